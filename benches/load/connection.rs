//! A client's connection: opened, talked over, closed. Every byte that comes is compared with the one that should come.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hybridge::dialect::Dialect;
use hybridge::dialect::client::Ask;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_rustls::TlsConnector;

use crate::events::Listener;
use crate::frames::{CLOSE, FIN, Head, TEXT, mask};
use crate::hearing::{Heard, Hearing, wrong};
use crate::pattern::{Message, PIECE};
use crate::stream::{Stream, poll_read};

/// Who is called, and how.
#[derive(Clone)]
pub struct Caller {
    pub address: SocketAddr,
    pub dialect: Dialect,
    pub tls: Option<TlsConnector>,
    /// Distinguishes the connections of this caller from those of others.
    pub first: u64,
}

/// An open connection.
pub struct Connection {
    line: Line,
    mouth: Mouth,
    ear: Ear,
    /// What is heard where the server speaks by itself.
    events: Option<Box<Listener>>,
}

/// The stream, and what is heard on it.
struct Line {
    stream: Stream,
    hearing: Hearing,
    /// What came with the answer to the handshake.
    early: Vec<u8>,
}

/// What a client says.
struct Mouth {
    hixie: bool,
    /// What is to be written, and how much of it was.
    out: Vec<u8>,
    written: usize,
    /// The message that is being said, or the next one.
    message: Message,
}

/// What a client should hear.
struct Ear {
    /// The message whose echo comes, and how much of that did.
    message: Message,
    at: u64,
}

/// When a conversation is over.
pub enum Until {
    /// So many messages were echoed.
    Messages(u64),
    /// No message begins after this.
    Time(Instant),
    /// Messages are begun when they are due, whether or not others came back, until nobody says so any more.
    Ticks(UnboundedReceiver<Instant>),
}

/// One conversation: messages of one size, echoed.
pub struct Talk {
    size: u64,
    until: Until,
    /// When the messages that are on their way were due.
    due: VecDeque<Instant>,
    /// Of them, those of which nothing was said yet.
    unsaid: usize,
    /// The message that is being said: how much of it was, and its mask.
    open: Option<(u64, [u8; 4])>,
    /// How long each took, in nanoseconds.
    pub latencies: Vec<u64>,
}

impl Talk {
    pub fn new(size: u64, until: Until) -> Talk {
        let mut talk =
            Talk { size, until, due: VecDeque::new(), unsaid: 0, open: None, latencies: Vec::with_capacity(1024) };
        if !matches!(talk.until, Until::Ticks(_) | Until::Messages(0)) {
            talk.begin(Instant::now());
        }
        talk
    }

    fn begin(&mut self, due: Instant) {
        self.due.push_back(due);
        self.unsaid += 1;
    }

    /// Takes what the clock says; whether it will say more.
    fn poll_ticks(&mut self, context: &mut Context<'_>) -> bool {
        while let Until::Ticks(ticks) = &mut self.until {
            match ticks.poll_recv(context) {
                Poll::Ready(Some(due)) => self.begin(due),
                Poll::Ready(None) => return false,
                Poll::Pending => return true,
            }
        }
        false
    }

    /// An echo is whole.
    fn echoed(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let due = self.due.pop_front().ok_or_else(|| wrong("a message that nobody asked for"))?;
        self.latencies.push(now.saturating_duration_since(due).as_nanos() as u64);
        let again = match &self.until {
            Until::Messages(wanted) => (self.latencies.len() as u64) < *wanted,
            Until::Time(end) => now < *end,
            Until::Ticks(_) => false,
        };
        if again {
            self.begin(now);
        }
        Ok(())
    }
}

impl Caller {
    /// Connects and shakes hands; the answer is judged as the strictest browser of the dialect does.
    ///
    /// # Errors
    /// It did not open.
    pub async fn open(&self, number: u64) -> io::Result<Connection> {
        let mut stream = Stream::connect(self.address, self.tls.as_ref()).await?;
        let host = format!("localhost:{}", self.address.port());
        let mut ask = Ask::new(self.dialect, &host, "/", &mut rand::random);
        ask.origin = Some(format!("http://{host}"));
        ask.secure = self.tls.is_some();
        let terms = ask.terms();
        stream.write_all(&ask.request()).await?;
        stream.flush().await?;
        let mut early = Vec::new();
        let taken = loop {
            if stream.read_buf(&mut early).await? == 0 {
                return Err(wrong("the server hung up before its answer was whole"));
            }
            if let Some(opened) = terms.judge(&early).map_err(|rule| wrong(format!("the server {rule}")))? {
                break opened.taken;
            }
        };
        early.drain(..taken);
        early.shrink_to_fit();
        let message = Message { connection: self.first.wrapping_add(number), number: 0 };
        let hixie = matches!(self.dialect, Dialect::Hixie75 | Dialect::Hixie76);
        Ok(Connection {
            line: Line { stream, hearing: Hearing::new(self.dialect), early },
            mouth: Mouth { hixie, out: Vec::new(), written: 0, message },
            ear: Ear { message, at: 0 },
            events: None,
        })
    }
}

impl Connection {
    /// Talks until the conversation is over.
    ///
    /// # Errors
    /// A byte was wrong, or the connection ended.
    pub fn poll_talk(&mut self, context: &mut Context<'_>, talk: &mut Talk) -> Poll<io::Result<()>> {
        let Connection { line, mouth, ear, .. } = self;
        loop {
            let more = talk.poll_ticks(context);
            // Reading goes on while writing waits: neither side of an echo may wait for the other.
            let said = mouth.poll_say(&mut line.stream, context, talk)?.is_ready();
            if said && !more && talk.due.is_empty() {
                return Poll::Ready(Ok(()));
            }
            ready!(line.poll_hear(context, |heard| ear.compare(talk, heard)))?;
        }
    }

    /// Hears events without end.
    ///
    /// # Errors
    /// One was wrong, or the connection ended.
    pub fn poll_listen(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Connection { line, events, .. } = self;
        let events = events.get_or_insert_with(|| Box::new(Listener::of_messages()));
        loop {
            ready!(line.poll_hear(context, |heard| events.hear(heard)))?;
        }
    }

    /// How many events were heard.
    pub fn events(&self) -> u64 {
        self.events.as_ref().map_or(0, |events| events.heard())
    }

    /// The closing handshake of the dialect, and the ends of both streams.
    ///
    /// # Errors
    /// The server did not answer it.
    pub async fn close(mut self, dialect: Dialect) -> io::Result<()> {
        let mut closing = Vec::new();
        match dialect {
            // It has none.
            Dialect::Hixie75 => self.line.stream.shutdown().await?,
            Dialect::Hixie76 => closing.extend_from_slice(&[0xFF, 0x00]),
            _ => {
                let key: [u8; 4] = rand::random();
                Head { first: FIN | CLOSE, length: 2, key: Some(key) }.write(&mut closing);
                let start = closing.len();
                closing.extend_from_slice(&1000u16.to_be_bytes());
                mask(&mut closing[start..], key, 0);
            }
        }
        self.line.stream.write_all(&closing).await?;
        self.line.stream.flush().await?;
        let mut answered = dialect == Dialect::Hixie75;
        let mut rest = Vec::new();
        // A server that resets an ended connection has ended it, too.
        let ended = self.line.stream.read_to_end(&mut rest).await;
        let mut input = &rest[..];
        while let Some(heard) = self.line.hearing.next(&mut input)? {
            match heard {
                Heard::Close => answered = true,
                other => return Err(wrong(format!("instead of a close came {other:?}"))),
            }
        }
        match answered {
            true => Ok(()),
            false => ended.and_then(|_| Err(wrong("the close was not answered"))),
        }
    }
}

impl Mouth {
    /// Writes until nothing is left to say.
    fn poll_say(&mut self, stream: &mut Stream, context: &mut Context<'_>, talk: &mut Talk) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                while self.out.len() < PIECE && (talk.open.is_some() || talk.unsaid > 0) {
                    self.say(talk);
                }
                if self.out.is_empty() {
                    return Pin::new(stream).poll_flush(context);
                }
            }
            self.written += ready!(Pin::new(&mut *stream).poll_write(context, &self.out[self.written..]))?;
        }
    }

    /// Appends the next piece of a message.
    fn say(&mut self, talk: &mut Talk) {
        let (at, key) = talk.open.take().unwrap_or_else(|| {
            talk.unsaid -= 1;
            let key = rand::random();
            match self.hixie {
                true => self.out.push(0x00),
                false => Head { first: FIN | TEXT, length: talk.size, key: Some(key) }.write(&mut self.out),
            }
            (0, key)
        });
        let text = self.message.text(at, talk.size - at);
        let start = self.out.len();
        self.out.extend_from_slice(text);
        if !self.hixie {
            mask(&mut self.out[start..], key, at);
        }
        let at = at + text.len() as u64;
        if at < talk.size {
            talk.open = Some((at, key));
            return;
        }
        if self.hixie {
            self.out.push(0xFF);
        }
        self.message.number += 1;
    }
}

impl Line {
    /// Reads once, and tells all that was in it.
    fn poll_hear(
        &mut self,
        context: &mut Context<'_>,
        mut listener: impl FnMut(Heard<'_>) -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let Line { stream, hearing, early } = self;
        let mut tell = |mut bytes: &[u8]| {
            if bytes.is_empty() {
                return Err(wrong("the server ended the connection"));
            }
            while let Some(heard) = hearing.next(&mut bytes)? {
                listener(heard)?;
            }
            Ok(())
        };
        if early.is_empty() { poll_read(stream, context, tell) } else { Poll::Ready(tell(&std::mem::take(early))) }
    }
}

impl Ear {
    /// Holds an echo against what was said.
    fn compare(&mut self, talk: &mut Talk, heard: Heard<'_>) -> io::Result<()> {
        let number = self.message.number;
        match heard {
            Heard::Bytes(bytes) => {
                let after = self.at + bytes.len() as u64;
                if !self.message.says(self.at, bytes) || after > talk.size {
                    return Err(wrong(format!("message {number} is not what was said, within {}..{after}", self.at)));
                }
                self.at = after;
            }
            Heard::End if self.at == talk.size => {
                self.at = 0;
                self.message.number += 1;
                talk.echoed()?;
            }
            Heard::End => return Err(wrong(format!("message {number} ended after {} bytes", self.at))),
            Heard::Close => return Err(wrong("the server closed")),
        }
        Ok(())
    }
}
