//! One end of an open WebSocket connection, for those who keep whole messages and want to see their bytes: the built-in
//! clients and the backend. (The proxy does neither.)

use std::fmt;
use std::io;

use hybridge::dialect::any::AnyCodec;
use hybridge::event::{Chunk, Close, Codec, Event, Kind, Payload, ProtocolError, Rest};
use hybridge::proxy::Fresh;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// What was said, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A closing frame, with its code and reason.
    Close(Option<u16>, String),
    /// The end of the stream.
    End,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Meaning::Text(text) => write!(f, "text {text:?}"),
            Meaning::Binary(bytes) => write!(f, "binary \"{}\"", bytes.escape_ascii()),
            Meaning::Ping(bytes) => write!(f, "ping \"{}\"", bytes.escape_ascii()),
            Meaning::Pong(bytes) => write!(f, "pong \"{}\"", bytes.escape_ascii()),
            Meaning::Close(Some(code), reason) if reason.is_empty() => write!(f, "close {code}"),
            Meaning::Close(Some(code), reason) => write!(f, "close {code} {reason:?}"),
            Meaning::Close(None, _) => f.write_str("close"),
            Meaning::End => f.write_str("end of the stream"),
        }
    }
}

impl Meaning {
    /// The event that says it, and `None` for the end of the stream.
    fn event(&self) -> Option<Event<'_>> {
        let message = |kind, bytes| {
            Event::Data(Chunk { opens: Some(kind), rsv: 0, payload: Payload::plain(bytes), rest: Rest::End })
        };
        Some(match self {
            Meaning::Text(text) => message(Kind::Text, text.as_bytes()),
            Meaning::Binary(bytes) => message(Kind::Binary, bytes),
            Meaning::Ping(bytes) => Event::Ping(Payload::plain(bytes)),
            Meaning::Pong(bytes) => Event::Pong(Payload::plain(bytes)),
            Meaning::Close(code, reason) => {
                Event::Close(Close { code: *code, reason: Payload::plain(reason.as_bytes()) })
            }
            Meaning::End => return None,
        })
    }
}

/// Something heard, and the bytes that said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// As it came: for a message all of its frames.
    pub bytes: Vec<u8>,
    /// What it means.
    pub meaning: Meaning,
}

/// A connection with its codec.
pub struct Wire {
    stream: TcpStream,
    codec: AnyCodec,
    /// Read and not yet understood.
    unread: Vec<u8>,
    /// The message being heard: its kind, the bytes that said it so far, and its payload.
    kind: Kind,
    bytes: Vec<u8>,
    payload: Vec<u8>,
}

impl Wire {
    /// A connection whose opening handshake is done; `early` came with it.
    pub fn new(stream: TcpStream, codec: AnyCodec, early: Vec<u8>) -> Wire {
        Wire { stream, codec, unread: early, kind: Kind::Text, bytes: Vec::new(), payload: Vec::new() }
    }

    /// The bytes that say it in this connection's dialect; none where it has no words for it, or for the end.
    pub fn encode(&mut self, meaning: &Meaning) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(event) = meaning.event() {
            // Whoever has no words says nothing: hixie-75 closes by ending its stream.
            let _ = self.codec.encode(&event, &mut out, &mut Fresh);
        }
        out
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Says it, and returns the bytes that did.
    pub async fn say(&mut self, meaning: &Meaning) -> io::Result<Vec<u8>> {
        let bytes = self.encode(meaning);
        self.write(&bytes).await?;
        Ok(bytes)
    }

    /// Ends this end's stream.
    pub async fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// The next thing said at the other end. What was read is kept if the wait is given up.
    pub async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(heard) = self.understand().map_err(io::Error::other)? {
                return Ok(heard);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                let bytes = std::mem::take(&mut self.unread);
                if !bytes.is_empty() || !self.bytes.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended inside a message"));
                }
                return Ok(Heard { bytes, meaning: Meaning::End });
            }
        }
    }

    /// Takes what is whole off what was read.
    fn understand(&mut self) -> Result<Option<Heard>, ProtocolError> {
        let mut input = &self.unread[..];
        let mut heard = None;
        while heard.is_none() {
            let before = input;
            let Some(event) = self.codec.decode(&mut input)? else { break };
            let bytes = &before[..before.len() - input.len()];
            let meaning = match event {
                Event::Data(chunk) => {
                    self.kind = chunk.opens.unwrap_or(self.kind);
                    self.bytes.extend_from_slice(bytes);
                    chunk.payload.append_to(&mut self.payload, None);
                    if self.payload.len() > MAX_MESSAGE {
                        return Err(ProtocolError::ExceededMessageLimit);
                    }
                    if chunk.rest == Rest::End {
                        let bytes = std::mem::take(&mut self.bytes);
                        heard = Some(Heard { bytes, meaning: message(self.kind, std::mem::take(&mut self.payload))? });
                    }
                    continue;
                }
                Event::Ping(payload) => Meaning::Ping(payload.to_vec()),
                Event::Pong(payload) => Meaning::Pong(payload.to_vec()),
                Event::Close(close) => {
                    Meaning::Close(close.code, String::from_utf8_lossy(&close.reason.to_vec()).into_owned())
                }
            };
            heard = Some(Heard { bytes: bytes.to_vec(), meaning });
        }
        let taken = self.unread.len() - input.len();
        self.unread.drain(..taken);
        Ok(heard)
    }
}

fn message(kind: Kind, payload: Vec<u8>) -> Result<Meaning, ProtocolError> {
    match kind {
        Kind::Text => String::from_utf8(payload).map(Meaning::Text).map_err(|_| ProtocolError::SentInvalidUtf8),
        Kind::Binary => Ok(Meaning::Binary(payload)),
    }
}
