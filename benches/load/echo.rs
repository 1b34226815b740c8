//! The backend: RFC 6455, every frame sent back as it came.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hybridge::dialect::hybi;
use hybridge::http::{Request, head_length};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::frames::{CLOSE, FIN, Frames, Head, PING, PONG, Part, mask};
use crate::hearing::wrong;
use crate::stream::poll_read;

/// The longest request, in bytes and in fields.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 100;

thread_local! {
    /// Lent to the connection that answers, as the buffer for reading is.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection to a proxy.
struct Echo {
    stream: TcpStream,
    parrot: Parrot,
    /// What was answered and not yet taken.
    rest: Vec<u8>,
}

/// What is said to what was heard.
struct Parrot {
    frames: Frames,
    /// The head of the frame that we are in.
    head: Head,
    /// A close was answered, or the stream has ended: nothing follows.
    over: bool,
    /// One byte in so many is changed; 0: none.
    spoil: u64,
    /// Bytes of messages so far.
    said: u64,
}

/// Serves for ever.
///
/// # Errors
/// No connection can be accepted.
pub async fn serve(listener: TcpListener, spoil: u64) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // Who leaves without a close is a client that was ended; what a proxy does wrong, the client sees.
            if let Err(error) = converse(stream, spoil).await
                && error.kind() == io::ErrorKind::InvalidData
            {
                eprintln!("load echo: {error}");
            }
        });
    }
}

async fn converse(mut stream: TcpStream, spoil: u64) -> io::Result<()> {
    let Some((request, early)) = read_head(&mut stream).await? else { return Ok(()) };
    let request = Request::parse(&request, MAX_FIELDS).map_err(|fault| wrong(fault.to_string()))?;
    let field = |name| request.fields.only(name).ok().flatten();
    let key = field("sec-websocket-key").and_then(|key| std::str::from_utf8(key).ok());
    let (Some(key), Some(b"13")) = (key, field("sec-websocket-version")) else {
        return Err(wrong("a handshake that is not RFC 6455"));
    };
    let accept = hybi::accept(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    let head = Head { first: 0, length: 0, key: None };
    let mut parrot = Parrot { frames: Frames::default(), head, over: false, spoil, said: 0 };
    let mut rest = Vec::new();
    parrot.answer(&early, &mut rest)?;
    let mut echo = Echo { stream, parrot, rest };
    std::future::poll_fn(|context| echo.poll(context)).await?;
    echo.stream.shutdown().await
}

/// A request's head, and what came behind it; nothing if the stream ends before.
///
/// # Errors
/// It is no HTTP, or the stream broke.
pub async fn read_head(stream: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(length) = head_length(&bytes).map_err(|fault| wrong(fault.to_string()))? {
            let behind = bytes.split_off(length);
            return Ok(Some((bytes, behind)));
        }
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

impl Echo {
    /// Echoes until either side closes.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // Nothing more is read while something is left to write.
            while !self.rest.is_empty() {
                let taken = ready!(Pin::new(&mut self.stream).poll_write(context, &self.rest))?;
                self.rest.drain(..taken);
            }
            if self.parrot.over {
                return Poll::Ready(Ok(()));
            }
            ready!(ANSWER.with_borrow_mut(|out| self.poll_once(context, out)))?;
        }
    }

    /// Reads once, and writes the answer.
    fn poll_once(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<io::Result<()>> {
        let Echo { stream, parrot, rest } = self;
        out.clear();
        ready!(poll_read(stream, context, |bytes| {
            parrot.over = bytes.is_empty();
            parrot.answer(bytes, out)
        }))?;
        let taken = match Pin::new(stream).poll_write(context, out) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        rest.extend_from_slice(&out[taken..]);
        Poll::Ready(Ok(()))
    }
}

impl Parrot {
    /// Appends to `out` what these bytes are answered with: their frames, without the mask.
    fn answer(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while let Some(part) = self.frames.next(&mut bytes)? {
            match part {
                Part::Head(head) => {
                    if head.key.is_none() || head.first & 0x70 != 0 {
                        return Err(wrong("a client's frame without a mask or with reserved bits"));
                    }
                    self.head = head;
                    let first = if head.opcode() == PING { FIN | PONG } else { head.first };
                    Head { first, key: None, ..head }.write(out);
                }
                Part::Payload { bytes, before } => {
                    let start = out.len();
                    out.extend_from_slice(bytes);
                    mask(&mut out[start..], self.head.key.unwrap_or_default(), before);
                    if self.head.opcode() < CLOSE {
                        self.spoil(&mut out[start..]);
                    }
                }
                Part::End => self.over |= self.head.opcode() == CLOSE,
            }
        }
        Ok(())
    }

    /// Changes a byte where it is time for that.
    fn spoil(&mut self, bytes: &mut [u8]) {
        let before = self.said;
        self.said += bytes.len() as u64;
        if self.spoil > 0 && self.said / self.spoil > before / self.spoil {
            bytes[0] ^= 1;
        }
    }
}
