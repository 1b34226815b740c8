//! A conversation as text: a *play*, in which meaning stands next to bytes.
//!
//! ```text
//! # hixie-76 §5.3: the closing frame is answered, and becomes a close upstream
//! client opens    hixie-76
//! client says     "\x00Hello\xff\xff\x00"
//! client means    text "Hello"
//! client means    close
//! client hears    "\xff\x00"
//! client hears    end
//! upstream hears  "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x82\x37\xfa\x21\x3e\x34\x12"
//! ```
//!
//! [`Transcript`] reads and writes that text; [`play()`] performs it through the pure core, fed whole and cut at every
//! place, and says where the two differ. fixtures/README.md is the format in one page.

mod difference;
mod events;
mod heard;
mod plain;
mod play;
mod reader;
pub mod rules;
mod script;
mod stage;
mod understudy;

use std::fmt;
use std::time::Duration;

pub use self::difference::{Difference, Mismatch};
pub use self::heard::Heard;
pub use self::play::{play, play_cut};
use self::reader::{Reader, Wrong};
pub use self::script::{Beat, Cue, Cutting, Due, Expected, SIDES, Script, Speech, index};
pub use self::stage::UPSTREAM_KEY;
use crate::config::{Config, Faults};
use crate::conversation::Side;
use crate::dialect::Dialect;

/// Where printing breaks the text between quotes, in columns.
const BREAK: usize = 100;

/// A play.
#[derive(Clone, Debug)]
pub struct Transcript {
    lines: Vec<Line>,
}

/// A line of a play; adjacent lines of one kind and side are one.
#[derive(Clone, Debug)]
pub struct Line {
    /// The line's number in the text, counted from 1; where lines were joined, of the first.
    pub number: usize,
    /// What it says.
    pub act: Act,
}

/// What a line of a play says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Words for people, without the `#` and the blank after it.
    Comment(String),
    /// A line of the configuration file: the table it stands in, and `key = value` as it is written there.
    Setting(Table, String),
    /// The client's and the upstream's opening handshakes, both done, in their plainest form.
    Opens(Dialect),
    /// Time that passed, or none: what follows came in another segment.
    Pause(Duration),
    /// Bytes from a side.
    Says(Side, Vec<u8>),
    /// The end of a side's stream: in order, or by a reset.
    Ends(Side, Ending),
    /// A side has let the time pass that hybridge gives it for an answer.
    TimesOut(Side),
    /// hybridge is told to stop.
    ShutsDown,
    /// The next thing that a side's bytes mean.
    Means(Side, Meaning),
    /// Bytes to a side.
    Hears(Side, Vec<u8>),
    /// More bytes to a side, whatever they are, up to the next thing that is said.
    HearsMore(Side),
    /// The end of the stream, to a side.
    HearsEnd(Side),
    /// The name of the fault that `hybridge explain` finds in what stands above. Such a play is explained, not performed.
    Explains(String),
}

/// The tables of the configuration that a play may write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The play's only route.
    Route,
    /// `[limits]`.
    Limits,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Fin,
    /// By a reset, or any other error.
    Reset,
}

/// What bytes mean. A message is meant once, when it is whole, however it was cut and fragmented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A text message.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close, with its code and reason.
    Close(Option<u16>, Vec<u8>),
    /// An ordinary HTTP request.
    Request,
}

/// Why a text is no play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file it was read from, as the caller named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.reason)
    }
}

impl std::error::Error for Fault {}

impl Transcript {
    /// Reads a play; `file` is what faults call it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, file: &str) -> Result<Transcript, Fault> {
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let mut reader = Reader::new(text);
            let number = index + 1;
            let act = reader.line().map_err(|Wrong { at, reason }| {
                let column = 1 + text[..at].chars().count();
                Fault { file: file.to_owned(), line: number, column, reason }
            })?;
            lines.extend(act.map(|act| Line { number, act }));
        }
        let fault = |line, reason: &str| Fault { file: file.to_owned(), line, column: 1, reason: reason.to_owned() };
        match lines.first() {
            Some(Line { act: Act::Comment(_), .. }) => {}
            Some(line) => return Err(fault(line.number, "a play begins with a comment that says what it shows")),
            None => return Err(fault(1, "the play is empty")),
        }
        let transcript = Transcript::joined(lines);
        transcript.config().map_err(|(line, reason)| fault(line, &reason))?;
        Ok(transcript)
    }

    /// A play of these acts, numbered in their order.
    pub fn of(acts: impl IntoIterator<Item = Act>) -> Transcript {
        Transcript::joined(acts.into_iter().enumerate().map(|(index, act)| Line { number: index + 1, act }))
    }

    /// Its lines, adjacent ones of one kind and side joined.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What it shows: its first comment.
    pub fn title(&self) -> &str {
        let titles = self.lines.iter().find_map(|line| match &line.act {
            Act::Comment(text) => Some(text.as_str()),
            _ => None,
        });
        titles.unwrap_or_default()
    }

    fn joined(lines: impl IntoIterator<Item = Line>) -> Transcript {
        let mut joined: Vec<Line> = Vec::new();
        for line in lines {
            match (joined.last_mut().map(|line| &mut line.act), &line.act) {
                (Some(Act::Says(before, bytes)), Act::Says(side, more))
                | (Some(Act::Hears(before, bytes)), Act::Hears(side, more))
                    if before == side =>
                {
                    bytes.extend_from_slice(more);
                }
                _ => joined.push(line),
            }
        }
        Transcript { lines: joined }
    }

    /// The configuration its settings make; else the line that is wrong, and why.
    ///
    /// The text goes through the configuration's own parser, so that a play can set whatever a route can, in the same
    /// words.
    fn config(&self) -> Result<Config, (usize, String)> {
        let settings = |table: Table| {
            self.lines.iter().filter_map(move |line| match &line.act {
                Act::Setting(of, text) if *of == table => Some((line.number, text.as_str())),
                _ => None,
            })
        };
        let has_upstream =
            settings(Table::Route).any(|(_, text)| text.split('=').next().is_some_and(|key| key.trim() == "upstream"));
        let mut numbered = vec![(1, "listen = [\"127.0.0.1:1\"]"), (1, "[limits]")];
        numbered.extend(settings(Table::Limits));
        numbered.extend([(1, "[[route]]"), (1, "name = \"play\"")]);
        if !has_upstream {
            numbered.push((1, "upstream = \"ws://127.0.0.1:2\""));
        }
        numbered.extend(settings(Table::Route));
        let text: String = numbered.iter().flat_map(|(_, line)| [*line, "\n"]).collect();
        Config::parse(&text, "").map_err(|faults: Faults| match faults.as_slice().first() {
            Some(fault) => {
                let line = numbered.get(fault.line.saturating_sub(1)).map_or(1, |(number, _)| *number);
                (line, format!("{}; {}", fault.reason, fault.remedy))
            }
            None => (1, "the settings are no configuration".to_owned()),
        })
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| write!(f, "{}", line.act))
    }
}

impl fmt::Display for Act {
    /// The act as lines of a play, each with its line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Comment(text) if text.is_empty() => writeln!(f, "#"),
            Act::Comment(text) => writeln!(f, "# {text}"),
            Act::Setting(table, text) => writeln!(f, "{} {text}", table.name()),
            Act::Opens(dialect) => writeln!(f, "{:15} {dialect}", "client opens"),
            Act::Pause(time) => writeln!(f, "{:15} {}ms", "pause", time.as_millis()),
            Act::Says(side, bytes) => write_bytes(f, *side, "says", bytes),
            Act::Ends(side, Ending::Fin) => writeln!(f, "{side} ends"),
            Act::Ends(side, Ending::Reset) => writeln!(f, "{side} breaks off"),
            Act::TimesOut(side) => writeln!(f, "{side} times out"),
            Act::ShutsDown => writeln!(f, "hybridge shuts down"),
            Act::Means(side, meaning) => writeln!(f, "{:15} {meaning}", format!("{side} means")),
            Act::Hears(side, bytes) => write_bytes(f, *side, "hears", bytes),
            Act::HearsMore(side) => writeln!(f, "{:15} more", format!("{side} hears")),
            Act::HearsEnd(side) => writeln!(f, "{:15} end", format!("{side} hears")),
            Act::Explains(fault) => writeln!(f, "hybridge explains {fault}"),
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Meaning::Text(bytes) => write!(f, "text \"{}\"", bytes.escape_ascii()),
            Meaning::Binary(bytes) => write!(f, "binary \"{}\"", bytes.escape_ascii()),
            Meaning::Ping(bytes) => write!(f, "ping \"{}\"", bytes.escape_ascii()),
            Meaning::Pong(bytes) => write!(f, "pong \"{}\"", bytes.escape_ascii()),
            Meaning::Close(None, _) => f.write_str("close"),
            Meaning::Close(Some(code), reason) if reason.is_empty() => write!(f, "close {code}"),
            Meaning::Close(Some(code), reason) => write!(f, "close {code} \"{}\"", reason.escape_ascii()),
            Meaning::Request => f.write_str("request"),
        }
    }
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Route => "route",
            Table::Limits => "limits",
        }
    }
}

/// Bytes between quotes, a line for each line in them and for what does not fit on one.
fn write_bytes(f: &mut fmt::Formatter<'_>, side: Side, verb: &str, bytes: &[u8]) -> fmt::Result {
    let words = format!("{side} {verb}");
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        text.extend(std::ascii::escape_default(*byte).map(char::from));
        if *byte == b'\n' || text.len() >= BREAK {
            writeln!(f, "{words:15} \"{text}\"")?;
            text.clear();
            if index + 1 == bytes.len() {
                return Ok(());
            }
        }
    }
    writeln!(f, "{words:15} \"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_file_line_column_and_reason() {
        let check = |text: &str, expected: &str| {
            let fault = Transcript::parse(text, "a.txt").expect_err(text);
            assert!(fault.to_string().starts_with(expected), "{fault}\nexpected {expected}");
        };
        check("", "a.txt:1:1: the play is empty");
        check("client ends", "a.txt:1:1: a play begins with a comment");
        check("# x\n\nclient shouts", "a.txt:3:8: expected says, ends");
        check("# x\nserver says \"a\"", "a.txt:2:1: expected #, route");
        check("# x\nclient says a", "a.txt:2:13: expected bytes between quotes");
        check("# x\nclient says \"a", "a.txt:2:15: the closing quote is missing");
        check("# x\nclient says \"a\\y\"", "a.txt:2:15: expected an escape");
        check("# x\nclient says \"\u{e9}\"", "a.txt:2:14: write this byte as an escape");
        check("# x\nclient says \"a\" b", "a.txt:2:17: nothing may follow here");
        check("# x\nclient says \"a\" x 1048577", "a.txt:2:19: expected a number of times");
        check("# x\nclient opens v14", "a.txt:2:14: expected hixie-75");
        check("# x\nclient means close x", "a.txt:2:20: expected a close code");
        check("# x\nupstream opens v13", "a.txt:2:10: expected says");
        check("# x\nroute binary = \"hex\"", "a.txt:2:1: ");
        check("# x\npause 1s", "a.txt:2:7: expected a number of milliseconds");
        check("# x\npause 86400001ms", "a.txt:2:7: expected a number of milliseconds");
        check("# x\nhybridge explains", "a.txt:2:18: expected the name of a fault");
        check("# x\nhybridge waits", "a.txt:2:10: expected shuts down or explains");
        check("# x\nclient hears nothing", "a.txt:2:14: expected bytes between quotes, more or end");
    }

    #[test]
    fn adjacent_lines_of_one_speaker_are_one() {
        let text = "# x\nclient says \"a\"\n\n client  says \"b\" x 2\nupstream says \"c\"\nclient says \"d\"\n";
        let transcript = Transcript::parse(text, "a.txt").expect("well formed");
        let says: Vec<_> = transcript.lines()[1..].iter().map(|line| (line.number, line.act.clone())).collect();
        let (client, upstream) = (Side::Downstream, Side::Upstream);
        assert_eq!(
            says,
            [
                (2, Act::Says(client, b"abb".to_vec())),
                (5, Act::Says(upstream, b"c".to_vec())),
                (6, Act::Says(client, b"d".to_vec())),
            ]
        );
        assert_eq!(transcript.title(), "x");
    }

    #[test]
    fn a_pause_keeps_segments_apart_and_prints_as_it_reads() {
        let text = "# x\nclient says     \"a\"\npause           0ms\nclient says     \"b\"\npause           45ms\n";
        let transcript = Transcript::parse(text, "a.txt").expect("well formed");
        assert_eq!(transcript.lines().len(), 5);
        assert_eq!(transcript.to_string(), text);
    }
}
