//! Lines of input as messages, or as pieces of messages where a line is long.

use std::io::{self, Read as _};
use std::thread;

use hybridge::event::{Kind, Payload};
use hybridge::utf8::{self, Prefix};
use tokio::sync::mpsc;

/// The longest line that is held until its end comes, in bytes. A longer one leaves in pieces.
const LONGEST_HELD: usize = 64 << 10;
/// Pieces that wait for the network.
const QUEUE: usize = 16;

/// Something read.
#[derive(Debug)]
pub enum Input {
    /// A piece of a message.
    Piece(Piece),
    /// The line of this number, from 1, is not UTF-8. Nothing follows.
    NotUtf8(u64),
    /// Reading failed. Nothing follows.
    Failed(io::Error),
}

/// A piece of a message: for most lines, all of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes. Those of a text are whole characters.
    pub bytes: Vec<u8>,
    /// Whether it is the first.
    pub opens: bool,
    /// Whether it is the last.
    pub ends: bool,
}

/// A line is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotUtf8;

/// Cuts what is read into lines.
struct Lines {
    kind: Kind,
    /// The line so far, without what has left.
    line: Vec<u8>,
    /// Whether something of it has left.
    begun: bool,
    /// How many were whole before it.
    before: u64,
}

impl Lines {
    fn new(kind: Kind) -> Lines {
        Lines { kind, line: Vec::new(), begun: false, before: 0 }
    }

    fn feed(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Piece)) -> Result<(), NotUtf8> {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            self.line.extend_from_slice(&bytes[..at]);
            bytes = &bytes[at + 1..];
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            self.end_line(take)?;
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > LONGEST_HELD {
            // A CR may be half of the line's end.
            let most = self.line.len() - usize::from(self.line.last() == Some(&b'\r'));
            let cut = most.min(self.characters()?);
            let rest = self.line.split_off(cut);
            let bytes = std::mem::replace(&mut self.line, rest);
            take(Piece { bytes, opens: !self.begun, ends: false });
            self.begun = true;
        }
        Ok(())
    }

    /// The input has ended: so has its last line, if there is any of it.
    fn end(&mut self, take: &mut impl FnMut(Piece)) -> Result<(), NotUtf8> {
        if self.begun || !self.line.is_empty() { self.end_line(take) } else { Ok(()) }
    }

    fn end_line(&mut self, take: &mut impl FnMut(Piece)) -> Result<(), NotUtf8> {
        if self.characters()? < self.line.len() {
            return Err(NotUtf8);
        }
        take(Piece { bytes: std::mem::take(&mut self.line), opens: !self.begun, ends: true });
        self.begun = false;
        self.before += 1;
        Ok(())
    }

    /// How many bytes of the line are whole characters, or would not have to be.
    fn characters(&self) -> Result<usize, NotUtf8> {
        if self.kind == Kind::Binary {
            return Ok(self.line.len());
        }
        match utf8::prefix(&Payload::plain(&self.line)) {
            Prefix::Whole => Ok(self.line.len()),
            Prefix::Cut { valid } => Ok(valid),
            Prefix::Fault { .. } => Err(NotUtf8),
        }
    }
}

/// Reads stdin in a thread of its own, since nothing else can wait for it; its end is the channel's.
///
/// # Errors
/// There is no thread to be had.
pub fn read_stdin(kind: Kind) -> io::Result<mpsc::Receiver<Input>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        // Nobody takes more when the connection is over, and then the process soon is, too.
        let mut take = |piece| drop(sender.blocking_send(Input::Piece(piece)));
        let mut lines = Lines::new(kind);
        let mut buffer = vec![0; LONGEST_HELD];
        let mut stdin = io::stdin().lock();
        let outcome = loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break lines.end(&mut take).map_err(|NotUtf8| Input::NotUtf8(lines.before + 1)),
                Ok(read) => {
                    if let Err(NotUtf8) = lines.feed(&buffer[..read], &mut take) {
                        break Err(Input::NotUtf8(lines.before + 1));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(Input::Failed(error)),
            }
            if sender.is_closed() {
                return;
            }
        };
        if let Err(problem) = outcome {
            let _ = sender.blocking_send(problem);
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that the input becomes, fed in pieces of `size` bytes, and the pieces that the longest took.
    fn read(kind: Kind, input: &[u8], size: usize) -> Result<(Vec<Vec<u8>>, usize), NotUtf8> {
        let (mut messages, mut pieces, mut most) = (Vec::<Vec<u8>>::new(), 0, 0);
        let mut open = false;
        let mut take = |piece: Piece| {
            assert_eq!(piece.opens, !open);
            assert!(piece.bytes.len() <= 2 * LONGEST_HELD);
            if kind == Kind::Text {
                assert!(std::str::from_utf8(&piece.bytes).is_ok(), "a piece cuts a character");
            }
            if piece.opens {
                messages.push(Vec::new());
                pieces = 0;
            }
            messages.last_mut().expect("one is open").extend(&piece.bytes);
            open = !piece.ends;
            pieces += 1;
            most = most.max(pieces);
        };
        let mut lines = Lines::new(kind);
        for part in input.chunks(size) {
            lines.feed(part, &mut take)?;
        }
        lines.end(&mut take)?;
        assert!(!open);
        Ok((messages, most))
    }

    #[track_caller]
    fn check(input: &[u8], expected: &[&[u8]]) {
        for kind in [Kind::Text, Kind::Binary] {
            for size in 1..=input.len().max(1) {
                let (messages, _) = read(kind, input, size).expect("proper input");
                assert_eq!(messages, expected, "{kind:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        check(b"", &[]);
        check(b"a\nb\n", &[b"a", b"b"]);
        check(b"a\r\nb", &[b"a", b"b"]);
        check(b"\n\r\n\n", &[b"", b"", b""]);
        check(b"a\rb\r\r\n\r", &[b"a\rb\r", b"\r"]);
        check(
            "Gr\u{fc}\u{df}e, \u{1f600}\n\u{20ac}".as_bytes(),
            &["Gr\u{fc}\u{df}e, \u{1f600}".as_bytes(), "\u{20ac}".as_bytes()],
        );
    }

    #[test]
    fn long_lines_leave_in_pieces_and_arrive_whole() {
        let line = "\u{20ac}\r".repeat(100_000);
        let input = [line.as_bytes(), b"\n", line.as_bytes(), b"\r\nshort"].concat();
        for size in [1 << 16, 65_537, 1021] {
            let (messages, pieces) = read(Kind::Text, &input, size).expect("proper input");
            // The first line's own last CR stands before its end.
            let expected = [&line.as_bytes()[..line.len() - 1], line.as_bytes(), b"short"];
            assert!(messages == expected, "in pieces of {size}");
            assert!(pieces > 3, "{pieces} pieces");
        }
    }

    #[test]
    fn what_is_not_utf8_is_no_text() {
        for input in
            [&b"a\xff\n"[..], b"\xe2\x82", b"ok\n\xed\xa0\x80\n", &[&b"x".repeat(70_000)[..], b"\x80"].concat()]
        {
            assert_eq!(read(Kind::Text, input, input.len()), Err(NotUtf8));
            assert!(read(Kind::Binary, input, input.len()).is_ok());
        }
    }
}
