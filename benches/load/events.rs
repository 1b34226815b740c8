//! Server-Sent Events: a source of numbered ones as fast as they are taken, and those who hear them, as they come from
//! the source or as messages of a WebSocket.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use hybridge::http::body::Framing;
use hybridge::http::{Response, head_length};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::echo::read_head;
use crate::hearing::{Heard, wrong};
use crate::pattern::Message;
use crate::stream::poll_read;

/// Bytes of an event's data, the number among them.
pub const SIZE: usize = 64;
const DIGITS: usize = 12;
/// Bytes that are written at a time.
const WRITE: usize = 64 << 10;

/// The data of one event after the other.
pub struct Numbered {
    pub text: [u8; SIZE],
    number: u64,
}

impl Numbered {
    pub fn new() -> Numbered {
        let mut first = Numbered { text: [b'0'; SIZE], number: 0 };
        first.fill();
        first
    }

    fn fill(&mut self) {
        let text = Message { connection: 0, number: self.number }.text(0, (SIZE - DIGITS) as u64);
        self.text[DIGITS..].copy_from_slice(text);
    }

    /// Goes on to the next event.
    pub fn advance(&mut self) {
        self.number += 1;
        for digit in self.text[..DIGITS].iter_mut().rev() {
            *digit += 1;
            if *digit <= b'9' {
                break;
            }
            *digit = b'0';
        }
        self.fill();
    }
}

/// Serves events to everybody, for ever.
///
/// # Errors
/// No connection can be accepted.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // It ends when its reader leaves.
        tokio::spawn(pour(stream));
    }
}

/// A body that lasts as long as the connection is the least that a proxy can have to read.
async fn pour(mut stream: TcpStream) -> io::Result<()> {
    if read_head(&mut stream).await?.is_none() {
        return Ok(());
    }
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await?;
    let (mut event, mut out) = (Numbered::new(), Vec::with_capacity(WRITE + 128));
    loop {
        out.clear();
        while out.len() < WRITE {
            for part in [b"data: ".as_slice(), &event.text, b"\n\n"] {
                out.extend_from_slice(part);
            }
            event.advance();
        }
        stream.write_all(&out).await?;
    }
}

/// Who hears the events, each as these bytes: what stands before the data, the data, what stands behind it.
pub struct Listener {
    event: Numbered,
    expected: Vec<u8>,
    at: usize,
    before: usize,
}

impl Listener {
    /// Events as the messages of a WebSocket, whose ends are told otherwise.
    pub fn of_messages() -> Listener {
        Listener::new(b"", b"")
    }

    /// Events as they are written.
    pub fn of_lines() -> Listener {
        Listener::new(b"data: ", b"\n\n")
    }

    fn new(before: &[u8], behind: &[u8]) -> Listener {
        let event = Numbered::new();
        let expected = [before, &event.text, behind].concat();
        Listener { event, expected, at: 0, before: before.len() }
    }

    /// How many were heard.
    pub fn heard(&self) -> u64 {
        self.event.number
    }

    fn advance(&mut self) {
        self.event.advance();
        self.expected[self.before..self.before + SIZE].copy_from_slice(&self.event.text);
        self.at = 0;
    }

    fn differs(&self) -> io::Error {
        wrong(format!("event {} is another or out of order", self.event.number))
    }

    /// Holds a part of a message against what it should be.
    ///
    /// # Errors
    /// It is something else.
    pub fn hear(&mut self, heard: Heard<'_>) -> io::Result<()> {
        match heard {
            Heard::Bytes(bytes) if self.expected[self.at..].starts_with(bytes) => {
                self.at += bytes.len();
                Ok(())
            }
            Heard::End if self.at == self.expected.len() => {
                self.advance();
                Ok(())
            }
            _ => Err(self.differs()),
        }
    }

    /// Holds a piece of the stream against what it should be.
    ///
    /// # Errors
    /// It is something else.
    pub fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = &self.expected[self.at..];
            let here = left.len().min(bytes.len());
            if left[..here] != bytes[..here] {
                return Err(self.differs());
            }
            (self.at, bytes) = (self.at + here, &bytes[here..]);
            if self.at == self.expected.len() {
                self.advance();
            }
        }
        Ok(())
    }
}

/// A reader of the event stream itself.
pub struct Reader {
    stream: TcpStream,
    body: Framing,
    /// What came with the head.
    early: Vec<u8>,
    listener: Listener,
}

impl Reader {
    /// Asks for the stream.
    ///
    /// # Errors
    /// It is refused.
    pub async fn open(address: SocketAddr) -> io::Result<Reader> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut early = Vec::new();
        let length = loop {
            if stream.read_buf(&mut early).await? == 0 {
                return Err(wrong("the server hung up before its answer was whole"));
            }
            if let Some(length) = head_length(&early).map_err(|fault| wrong(fault.to_string()))? {
                break length;
            }
        };
        let rest = early.split_off(length);
        let response = Response::parse(&early, 100).map_err(|fault| wrong(fault.to_string()))?;
        if response.status != 200 {
            return Err(wrong(format!("the server answered with status {}", response.status)));
        }
        let body = Framing::of(&response).map_err(|_| wrong("a body that has two ends"))?;
        Ok(Reader { stream, body, early: rest, listener: Listener::of_lines() })
    }

    /// How many events were heard.
    pub fn events(&self) -> u64 {
        self.listener.heard()
    }

    /// Hears events without end.
    ///
    /// # Errors
    /// One was wrong, or the stream ended.
    pub fn poll_listen(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Reader { stream, body, early, listener } = self;
        let mut take = |mut bytes: &[u8]| {
            if bytes.is_empty() {
                return Err(wrong("the stream ended"));
            }
            while let Some(piece) = body.next(&mut bytes).map_err(|_| wrong("a broken chunk"))? {
                listener.read(piece)?;
            }
            Ok(())
        };
        if !early.is_empty() {
            take(&std::mem::take(early))?;
        }
        loop {
            ready!(poll_read(stream, context, &mut take))?;
        }
    }
}
