//! Where what came differs from what a play expects.

use std::fmt;

use super::script::Cutting;
use crate::conversation::Side;

/// Where only parts are shown, this much on both sides of the difference, in characters.
const SHOWN: usize = 48;
/// Texts of at most so many characters are shown whole.
const WHOLE: usize = 96;

/// Where a performance differs from the play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The line of the play.
    pub line: usize,
    /// How what is said was cut.
    pub cutting: Cutting,
    /// What differs.
    pub mismatch: Mismatch,
}

/// What differs between a play and its performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The bytes that a side hears.
    Bytes {
        /// The side.
        side: Side,
        /// As the play has it.
        expected: Vec<u8>,
        /// As it came out.
        got: Vec<u8>,
    },
    /// Whether a side hears the end of its stream; `got` tells.
    End {
        /// The side.
        side: Side,
        /// Whether it came.
        got: bool,
    },
    /// What a side's bytes mean; where cut, what the bytes mean that it hears.
    Meaning {
        /// The side.
        side: Side,
        /// As the play has it.
        expected: String,
        /// As it came out.
        got: String,
    },
    /// Something that is compared by rule and not by bytes, such as a status or a field.
    Rule {
        /// The side.
        side: Side,
        /// What it is, as "the status".
        what: String,
        /// As the play has it.
        expected: String,
        /// As it came.
        got: String,
    },
    /// The line cannot be played.
    Unplayable(String),
}

impl Difference {
    /// A line that cannot be played.
    pub fn unplayable(line: usize, why: impl Into<String>) -> Difference {
        Difference { line, cutting: Cutting::Whole, mismatch: Mismatch::Unplayable(why.into()) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match self.cutting {
            Cutting::Whole => {}
            Cutting::At(first, second) if first == second => write!(f, ", cut at byte {first}")?,
            Cutting::At(first, second) => write!(f, ", cut at bytes {first} and {second}")?,
            Cutting::Pieces(1) => f.write_str(", in one-byte pieces")?,
            Cutting::Pieces(length) => write!(f, ", in pieces of {length} bytes")?,
            Cutting::Recorded => f.write_str(", in the segments of the recording")?,
        }
        f.write_str(": ")?;
        match &self.mismatch {
            Mismatch::Bytes { side, expected, got } => {
                let same = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
                writeln!(f, "the {side} hears other bytes, from byte {same} on")?;
                let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
                pointed(f, &shown(expected), &shown(got), shown(&expected[..same]).len())
            }
            Mismatch::Meaning { side, expected, got } => {
                writeln!(f, "the {side}'s frames mean something else")?;
                let same = expected.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
                pointed(f, expected, got, same)
            }
            Mismatch::Rule { side, what, expected, got } => {
                writeln!(f, "{what} that the {side} hears is another")?;
                let same = expected.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
                pointed(f, expected, got, same)
            }
            Mismatch::End { side, got: true } => write!(f, "the {side} hears the end of its stream too early"),
            Mismatch::End { side, got: false } => write!(f, "the {side} does not hear the end of its stream"),
            Mismatch::Unplayable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Difference {}

/// Both texts around `at`, where they begin to differ, and a mark under it. Both are ASCII.
fn pointed(f: &mut fmt::Formatter<'_>, expected: &str, got: &str, at: usize) -> fmt::Result {
    let (from, to) = match expected.len().max(got.len()) {
        0..=WHOLE => (0, WHOLE),
        _ => (at.saturating_sub(SHOWN), at + SHOWN),
    };
    let part = |text: &str| {
        let before = if from > 0 { "…" } else { " " };
        let after = if text.chars().count() > to { "…" } else { "" };
        let shown: String = text.chars().skip(from).take(to - from).collect();
        format!("{before}{shown}{after}")
    };
    writeln!(f, "  expected {}", part(expected))?;
    writeln!(f, "  got      {}", part(got))?;
    write!(f, "           {:>width$}", '^', width = at - from + 2)
}
