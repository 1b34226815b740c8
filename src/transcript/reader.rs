//! One line of a play, from text.

use std::time::Duration;

use super::{Act, Ending, Meaning, Table};
use crate::conversation::Side;

/// The most bytes one line may stand for, so that a typing mistake after `x` does not fill the memory.
const MAX_BYTES: usize = 1 << 20;
/// The longest pause, so that a typing mistake in it does not stop a replay for good.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is wrong at some offset of a line.
pub(super) struct Wrong {
    /// In bytes.
    pub(super) at: usize,
    pub(super) reason: String,
}

/// Reads one line of a play, word after word.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The reader of this line.
    pub(super) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// What the line says; nothing if it is empty.
    pub(super) fn line(&mut self) -> Result<Option<Act>, Wrong> {
        self.skip_blanks();
        let line = self.rest();
        if line.is_empty() {
            return Ok(None);
        }
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.strip_prefix(' ').unwrap_or(comment);
            return Ok(Some(Act::Comment(comment.trim_end().to_owned())));
        }
        let act = match self.word() {
            "route" => return Ok(Some(self.setting(Table::Route))),
            "limits" => return Ok(Some(self.setting(Table::Limits))),
            "client" => self.of_side(Side::Downstream)?,
            "upstream" => self.of_side(Side::Upstream)?,
            "pause" => Act::Pause(self.pause()?),
            "hybridge" => match self.word() {
                "shuts" => self.exactly("down").map(|()| Act::ShutsDown)?,
                "explains" => match self.word() {
                    "" => return self.wrong("expected the name of a fault"),
                    fault => Act::Explains(fault.to_owned()),
                },
                _ => return self.wrong_word("shuts down or explains"),
            },
            _ => return self.wrong_word("#, route, limits, client, upstream, hybridge or pause"),
        };
        self.skip_blanks();
        if self.rest().is_empty() { Ok(Some(act)) } else { self.wrong("nothing may follow here") }
    }

    fn setting(&mut self, table: Table) -> Act {
        self.skip_blanks();
        Act::Setting(table, self.rest().trim_end().to_owned())
    }

    fn of_side(&mut self, side: Side) -> Result<Act, Wrong> {
        match self.word() {
            "opens" if side == Side::Downstream => match self.word().parse() {
                Ok(dialect) => Ok(Act::Opens(dialect)),
                Err(_) => self.wrong_word("hixie-75, hixie-76, v7, v8 or v13"),
            },
            "says" => Ok(Act::Says(side, self.bytes()?)),
            "ends" => Ok(Act::Ends(side, Ending::Fin)),
            "breaks" => self.exactly("off").map(|()| Act::Ends(side, Ending::Reset)),
            "times" => self.exactly("out").map(|()| Act::TimesOut(side)),
            "means" => Ok(Act::Means(side, self.meaning()?)),
            "hears" => {
                self.skip_blanks();
                if self.rest().starts_with('"') {
                    return Ok(Act::Hears(side, self.bytes()?));
                }
                match self.word() {
                    "more" => Ok(Act::HearsMore(side)),
                    "end" => Ok(Act::HearsEnd(side)),
                    _ => self.wrong_word("bytes between quotes, more or end"),
                }
            }
            _ => self.wrong_word("says, ends, breaks off, times out, means, hears, or for a client opens"),
        }
    }

    fn pause(&mut self) -> Result<Duration, Wrong> {
        let word = self.word();
        let time = word.strip_suffix("ms").and_then(|number| number.parse().ok()).map(Duration::from_millis);
        match time.filter(|time| *time <= MAX_PAUSE) {
            Some(time) => Ok(time),
            None => self.wrong_word("a number of milliseconds, as in 45ms, of at most a day"),
        }
    }

    fn meaning(&mut self) -> Result<Meaning, Wrong> {
        match self.word() {
            "text" => Ok(Meaning::Text(self.bytes()?)),
            "binary" => Ok(Meaning::Binary(self.bytes()?)),
            "ping" => Ok(Meaning::Ping(self.bytes()?)),
            "pong" => Ok(Meaning::Pong(self.bytes()?)),
            "request" => Ok(Meaning::Request),
            "close" => {
                self.skip_blanks();
                if self.rest().is_empty() {
                    return Ok(Meaning::Close(None, Vec::new()));
                }
                let Ok(code) = self.word().parse() else { return self.wrong_word("a close code") };
                self.skip_blanks();
                let reason = if self.rest().is_empty() { Vec::new() } else { self.bytes()? };
                Ok(Meaning::Close(Some(code), reason))
            }
            _ => self.wrong_word("text, binary, ping, pong, close or request"),
        }
    }

    /// Bytes between quotes, perhaps followed by `x` and how often they stand there.
    fn bytes(&mut self) -> Result<Vec<u8>, Wrong> {
        self.skip_blanks();
        if !self.rest().starts_with('"') {
            return self.wrong("expected bytes between quotes");
        }
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.rest().as_bytes() {
                [] => return self.wrong("the closing quote is missing"),
                [b'"', ..] => break,
                [b'\\', ..] => bytes.push(self.escape()?),
                [byte @ b' '..=b'~', ..] => {
                    bytes.push(*byte);
                    self.at += 1;
                }
                _ => return self.wrong("write this byte as an escape, as \\x00 or \\t"),
            }
        }
        self.at += 1;
        self.skip_blanks();
        if !self.rest().starts_with('x') {
            return Ok(bytes);
        }
        self.at += 1;
        let word = self.word();
        match word.parse::<usize>().ok().filter(|times| times.saturating_mul(bytes.len()) <= MAX_BYTES) {
            Some(times) => Ok(bytes.repeat(times)),
            None => self.wrong_word(&format!("a number of times, for at most {MAX_BYTES} bytes")),
        }
    }

    fn escape(&mut self) -> Result<u8, Wrong> {
        let (byte, length) = match self.rest().as_bytes() {
            [_, b'r', ..] => (b'\r', 2),
            [_, b'n', ..] => (b'\n', 2),
            [_, b't', ..] => (b'\t', 2),
            [_, b'0', ..] => (0, 2),
            [_, byte @ (b'\\' | b'"' | b'\''), ..] => (*byte, 2),
            [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
                (digit(*high) << 4 | digit(*low), 4)
            }
            _ => return self.wrong("expected an escape: \\xNN, \\r, \\n, \\t, \\0, \\\\, \\\" or \\'"),
        };
        self.at += length;
        Ok(byte)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// The next word; empty at the end of the line.
    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let rest = self.rest();
        let word = &rest[..rest.find([' ', '\t', '"']).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn exactly(&mut self, expected: &str) -> Result<(), Wrong> {
        if self.word() == expected { Ok(()) } else { self.wrong_word(expected) }
    }

    fn wrong<T>(&self, reason: &str) -> Result<T, Wrong> {
        Err(Wrong { at: self.at, reason: reason.to_owned() })
    }

    /// The word just read is not what may stand there.
    fn wrong_word<T>(&self, expected: &str) -> Result<T, Wrong> {
        let before = &self.text[..self.at];
        let at = before.rfind([' ', '\t', '"']).map_or(0, |blank| blank + 1);
        Err(Wrong { at, reason: format!("expected {expected}") })
    }
}
