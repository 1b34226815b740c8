//! What is printed: messages on stdout, everything else on stderr.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::thread;

use hybridge::event::{Chunk, Close, Event, Kind, Payload, Rest};
use tokio::sync::{mpsc, oneshot};

use crate::cli::bytes::{by_line, quoted};

/// Bytes of a frame that a trace shows.
const SHOWN: usize = 96;

/// Writes a line to stderr. Where nobody reads it, nothing is lost.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Who said the bytes of a line in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// We did.
    Us,
    /// The server did.
    Server,
}

impl Voice {
    fn prefix(self) -> char {
        match self {
            Voice::Us => '>',
            Voice::Server => '<',
        }
    }
}

/// What is shown of the protocol: nothing, the handshakes and control frames, or every frame.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// How often -v was written.
    pub level: u8,
}

impl Trace {
    /// Whether the closing handshake is shown.
    pub fn is_on(self) -> bool {
        self.level > 0
    }

    /// Something that happened to the connection.
    pub fn note(self, text: &str) {
        if self.is_on() {
            say(&format!("* {text}"));
        }
    }

    /// A head, with what stands behind it.
    pub fn head(self, voice: Voice, bytes: &[u8]) {
        if self.is_on() {
            head(voice, bytes);
        }
    }

    /// A frame, or the piece of one that is at hand: the bytes that said it, and what they mean.
    pub fn frame(self, voice: Voice, bytes: &[u8], event: &Event<'_>) {
        let needed = if matches!(event, Event::Data(_)) { 2 } else { 1 };
        if self.level >= needed {
            say(&format!("{} {}  {}", voice.prefix(), abridged(bytes), meaning(event)));
        }
    }
}

/// A head line by line, with what stands behind it.
pub fn head(voice: Voice, bytes: &[u8]) {
    for line in by_line(bytes) {
        say(&format!("{} {}", voice.prefix(), abridged_to(1024, &line)));
    }
}

fn abridged(bytes: &[u8]) -> String {
    abridged_to(SHOWN, bytes)
}

fn abridged_to(most: usize, bytes: &[u8]) -> String {
    match bytes.get(..most) {
        Some(front) if bytes.len() > most => format!("{}... {} bytes", quoted(front), bytes.len()),
        _ => quoted(bytes),
    }
}

fn meaning(event: &Event<'_>) -> String {
    match event {
        Event::Data(chunk) => {
            let kind = match chunk.opens {
                Some(Kind::Text) => "text",
                Some(Kind::Binary) => "binary",
                None => "continued",
            };
            if chunk.rest == Rest::End { kind.to_owned() } else { format!("{kind}, goes on") }
        }
        Event::Ping(_) => "ping".to_owned(),
        Event::Pong(_) => "pong".to_owned(),
        Event::Close(close) => closing(close.code, &reason(close)),
    }
}

/// The reason of a close, as text.
pub fn reason(close: &Close<'_>) -> String {
    String::from_utf8_lossy(&close.reason.to_vec()).into_owned()
}

/// A close for people: `close 1001 "so long"`.
pub fn closing(code: Option<u16>, reason: &str) -> String {
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    let reason = if reason.is_empty() { String::new() } else { format!(" {reason:?}") };
    format!("close{code}{reason}")
}

/// Messages as stdout has them.
#[derive(Debug)]
pub struct Messages {
    raw: bool,
    kind: Kind,
    bytes: u64,
    /// How many are complete.
    pub complete: u64,
    /// Whether one is not.
    pub unfinished: bool,
}

impl Messages {
    /// `raw`: binary ones as they are, with nothing added.
    pub fn new(raw: bool) -> Messages {
        Messages { raw, kind: Kind::Text, bytes: 0, complete: 0, unfinished: false }
    }

    /// Appends what stdout gets of a chunk.
    pub fn take(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) {
        if let Some(kind) = chunk.opens {
            (self.kind, self.bytes, self.unfinished) = (kind, 0, true);
        }
        self.bytes += chunk.payload.len() as u64;
        let as_it_is = self.kind == Kind::Text || self.raw;
        if as_it_is {
            chunk.payload.append_to(out, None);
        } else {
            hexadecimal(&chunk.payload, out);
        }
        if chunk.rest != Rest::End {
            return;
        }
        self.complete += 1;
        self.unfinished = false;
        if self.kind == Kind::Text || !self.raw {
            out.push(b'\n');
        }
        if !as_it_is {
            say(&format!("hybridge: message {} is binary, {} bytes, in hexadecimal", self.complete, self.bytes));
        }
    }
}

fn hexadecimal(payload: &Payload<'_>, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let Ok::<_, Infallible>(()) = payload.for_each_plain(|bytes| {
        out.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]).map(|digit| DIGITS[usize::from(digit)]));
        Ok(())
    });
}

/// Writes to stdout in a thread of its own: whoever reads there may be slow, and must not keep us from listening.
pub struct Printer {
    /// What is to be written. Closed when nobody reads stdout any more.
    pub sender: mpsc::Sender<Vec<u8>>,
    written: oneshot::Receiver<()>,
}

impl Printer {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn start() -> io::Result<Printer> {
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(2);
        let (done, written) = oneshot::channel();
        thread::Builder::new().name("stdout".into()).spawn(move || {
            let mut stdout = io::stdout().lock();
            while let Some(bytes) = receiver.blocking_recv() {
                if stdout.write_all(&bytes).and_then(|()| stdout.flush()).is_err() {
                    break;
                }
            }
            drop(receiver);
            let _ = done.send(());
        })?;
        Ok(Printer { sender, written })
    }

    /// Waits until all is written.
    pub async fn finish(self) {
        drop(self.sender);
        let _ = self.written.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(opens: Option<Kind>, bytes: &[u8], rest: Rest) -> Chunk<'_> {
        Chunk { opens, rsv: 0, payload: Payload::plain(bytes), rest }
    }

    #[test]
    fn messages_become_lines_and_raw_bytes_stay_bytes() {
        let check = |raw, kind, expected: &[u8]| {
            let mut messages = Messages::new(raw);
            let mut out = Vec::new();
            messages.take(&chunk(Some(kind), b"\0a", Rest::More), &mut out);
            assert!(messages.unfinished);
            messages.take(&chunk(None, b"\xff", Rest::End), &mut out);
            messages.take(&chunk(Some(Kind::Text), b"t", Rest::End), &mut out);
            assert_eq!((messages.complete, messages.unfinished), (2, false));
            assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
        };
        check(false, Kind::Text, b"\0a\xff\nt\n");
        check(true, Kind::Text, b"\0a\xff\nt\n");
        check(false, Kind::Binary, b"0061ff\nt\n");
        check(true, Kind::Binary, b"\0a\xfft\n");
    }

    #[test]
    fn a_long_frame_is_abridged_and_measured() {
        assert_eq!(abridged(b"\x81\x05it's\""), r#""\x81\x05it's\"""#);
        assert_eq!(abridged(&[b'x'; 96]), format!("\"{}\"", "x".repeat(96)));
        assert_eq!(abridged(&[b'x'; 97]), format!("\"{}\"... 97 bytes", "x".repeat(96)));
    }

    #[test]
    fn a_close_is_told_with_what_it_has() {
        assert_eq!(closing(None, ""), "close");
        assert_eq!(closing(Some(4321), "so\nlong"), "close 4321 \"so\\nlong\"");
    }
}
