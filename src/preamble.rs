//! The PROXY protocol.

use std::fmt;
use std::str::FromStr;

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary, with more to tell.
    V2,
}

impl Version {
    /// The version's name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(word: &str) -> Result<Version, ()> {
        [Version::V1, Version::V2].into_iter().find(|version| version.name() == word).ok_or(())
    }
}
