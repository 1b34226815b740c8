//! What is wrong with a configuration, where it stands, and what to write instead.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a value is refused, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong with the value.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Refusal {
        Refusal { reason: reason.into(), remedy: remedy.into() }
    }

    /// For a word that is none of the known ones. `meant` is the one that the writer probably had in mind.
    pub(super) fn unknown(what: &str, word: &str, meant: Option<&str>, known: &[&str]) -> Refusal {
        let hint = meant.map_or(String::new(), |meant| format!("did you mean {meant:?}? "));
        Refusal::new(format!("unknown {what} {}", quoted(word)), format!("{hint}write one of {}", known.join(", ")))
    }

    /// Adds what else may be written.
    pub(super) fn or(self, more: &str) -> Refusal {
        Refusal { remedy: format!("{}, or {more}", self.remedy), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

impl Error for Refusal {}

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named by whoever asked for it.
    pub file: String,
    /// The line in the file, counted from 1.
    pub line: usize,
    /// The key with the table it is in: `timeouts.close`, `route "chat": upstream`. Empty where no key is at fault.
    pub key: String,
    /// The value as it stands in the file, shortened when long; none for tables, lists and keys that are missing.
    pub value: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        match (self.key.as_str(), &self.value) {
            ("", _) => {}
            (key, None) => write!(f, "{key}: ")?,
            (key, Some(value)) => write!(f, "{key} = {value}: ")?,
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

impl Error for Fault {}

/// Everything that is wrong with a configuration file, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// None when nothing is wrong.
    pub(super) fn new(mut faults: Vec<Fault>) -> Option<Faults> {
        faults.sort_by_key(|fault| fault.line);
        (!faults.is_empty()).then_some(Faults(faults))
    }

    /// The faults in the order of their lines.
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults(vec![fault])
    }
}

/// One line for each fault, the last without a line end.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Faults {}

/// Why a configuration file gave no configuration.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file was read and is wrong.
    Faulty(Faults),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Faulty(faults) => faults.fmt(f),
            ReadError::Unreadable { path, source } => {
                let remedy = match source.kind() {
                    io::ErrorKind::NotFound => "check the path, or begin with a copy of config.example.toml",
                    io::ErrorKind::PermissionDenied => "let the user that hybridge runs as read it",
                    io::ErrorKind::IsADirectory => "name a file in that directory",
                    _ => "check the path and the disk it is on",
                };
                write!(f, "{}: the configuration cannot be read; {remedy}", path.display())
            }
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReadError::Unreadable { source, .. } => Some(source),
            ReadError::Faulty(_) => None,
        }
    }
}

/// How many letters of a value or a line a fault shows.
pub(super) const LONGEST_SHOWN: usize = 60;

/// The word between quotes, on one line and of bounded length, so that a fault stays one line whatever the file holds.
pub(super) fn quoted(word: &str) -> String {
    match word.char_indices().nth(LONGEST_SHOWN) {
        None => format!("{word:?}"),
        Some((end, _)) => format!("{:?}...", &word[..end]),
    }
}

/// The known word that was probably meant: the same but for case, hyphens and underscores, or a few letters away.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = plain(word);
    let allowed = 1 + word.len().min(15) / 5;
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate), allowed), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The word without what people vary when they mean the same: case, hyphens, underscores, blanks.
pub(super) fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour to make one word of the other;
/// any number above `enough` when it takes more.
fn distance(one: &[char], other: &[char], enough: usize) -> usize {
    if one.len().abs_diff(other.len()) > enough {
        return enough + 1;
    }
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters_put_in_left_out_replaced_and_swapped() {
        let rows = [
            ("", "", 0),
            ("host", "host", 0),
            ("host", "hsot", 1),
            ("host", "hos", 1),
            ("host", "hosts", 1),
            ("host", "most", 1),
            ("timeout", "timeouts", 1),
            ("abc", "", 3),
        ];
        for (one, other, expected) in rows {
            let (one, other) = (plain(one), plain(other));
            assert_eq!(distance(&one, &other, 9), expected, "{one:?} {other:?}");
            assert_eq!(distance(&other, &one, 9), expected, "{other:?} {one:?}");
        }
    }

    #[test]
    fn the_nearest_word_is_the_one_a_hand_may_have_missed() {
        let known = ["host", "path", "upstream", "upstream_host", "max_message"];
        let rows = [
            ("hsot", Some("host")),
            ("Path", Some("path")),
            ("upstreams", Some("upstream")),
            ("upstream-host", Some("upstream_host")),
            ("maxMessage", Some("max_message")),
            ("max_mesage", Some("max_message")),
            ("retries", None),
            ("", None),
            ("x", None),
        ];
        for (word, expected) in rows {
            assert_eq!(nearest(word, &known), expected, "{word:?}");
        }
    }

    #[test]
    fn a_long_word_or_a_line_break_leaves_a_fault_on_one_line() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"ä".repeat(70)), format!("\"{}\"...", "ä".repeat(60)));
    }
}
