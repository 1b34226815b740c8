//! The closed list of dialects, and a row of facts for each.
//!
//! A new dialect is one file here, one row in [`Dialect::facts`] and its fixtures; nothing else changes.

pub mod any;
pub mod client;
pub mod hixie75;
pub mod hixie76;
pub mod hybi;
pub mod opening;
pub mod sse;
pub mod terms;

use std::fmt;
use std::str::FromStr;

use self::any::AnyCodec;

/// A dialect of the WebSocket protocol that a client may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// draft-hixie-thewebsocketprotocol-75: Chrome 4-5, Safari 5.0.0, Qt 4.7.
    Hixie75,
    /// draft-hixie-thewebsocketprotocol-76, the same as hybi-00: Chrome 6-13, Safari 5, iOS 4-5, PhantomJS 1, HbbTV 1.
    Hixie76,
    /// draft-ietf-hybi-thewebsocketprotocol-07, version 7: Firefox 6.
    Hybi07,
    /// hybi-08 to -12, version 8: Chrome 14-15, Firefox 7-10, IE 10 previews.
    Hybi10,
    /// hybi-13 to -17 and RFC 6455, version 13.
    Rfc6455,
}

/// What distinguishes a dialect where only data differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// The name in configuration, logs and fixtures.
    pub name: &'static str,
    /// Other names people know it by.
    pub aliases: &'static [&'static str],
    /// The number in `Sec-WebSocket-Version`, for those that send it.
    pub version: Option<u8>,
}

impl Dialect {
    /// Every dialect, oldest first.
    pub const ALL: [Dialect; 5] =
        [Dialect::Hixie75, Dialect::Hixie76, Dialect::Hybi07, Dialect::Hybi10, Dialect::Rfc6455];

    /// The dialect's row.
    pub fn facts(self) -> &'static Facts {
        static ROWS: [Facts; 5] = [
            Facts { name: "hixie-75", aliases: &["hixie75", "75"], version: None },
            Facts { name: "hixie-76", aliases: &["hixie76", "76", "hybi-00"], version: None },
            Facts { name: "v7", aliases: &["hybi-07", "7"], version: Some(7) },
            Facts { name: "v8", aliases: &["hybi-10", "8"], version: Some(8) },
            Facts { name: "v13", aliases: &["rfc6455", "13"], version: Some(13) },
        ];
        &ROWS[self as usize]
    }

    /// The name in configuration, logs and fixtures.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The dialect that announces itself with this `Sec-WebSocket-Version`.
    pub fn of_version(version: u8) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.facts().version == Some(version))
    }

    /// The codec of the server that faces a client of this dialect.
    ///
    /// `extensions` says whether the opening handshake agreed on one (RFC 6455 §9).
    pub fn codec(self, extensions: bool, binary: BinaryPolicy) -> AnyCodec {
        match self {
            Dialect::Hixie75 => hixie75::Hixie::new(hixie75::Revision::Draft75, binary).into(),
            Dialect::Hixie76 => hixie75::Hixie::new(hixie75::Revision::Draft76, binary).into(),
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                hybi::Hybi::new(self, hybi::Role::Server, extensions).into()
            }
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == text || dialect.facts().aliases.contains(&text))
            .ok_or(UnknownDialect)
    }
}

/// The text names no dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDialect;

impl fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of hixie-75, hixie-76, v7, v8, v13")
    }
}

impl std::error::Error for UnknownDialect {}

/// Which dialects a route serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialectSet(u8);

impl DialectSet {
    /// Every dialect.
    pub const ALL: DialectSet = DialectSet(0b1_1111);

    /// Whether the dialect is one of them.
    pub fn contains(self, dialect: Dialect) -> bool {
        self.0 & 1 << dialect as u8 != 0
    }

    /// Those of the set that have a version number, highest first, as `Sec-WebSocket-Version` lists them.
    pub fn versions(self) -> impl Iterator<Item = u8> {
        Dialect::ALL.into_iter().rev().filter(move |dialect| self.contains(*dialect)).filter_map(|d| d.facts().version)
    }
}

impl FromIterator<Dialect> for DialectSet {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        DialectSet(dialects.into_iter().fold(0, |set, dialect| set | 1 << dialect as u8))
    }
}

/// What becomes of a binary message on its way to a hixie client, which has no words for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinaryPolicy {
    /// The connection is closed, with 1003 to the upstream.
    #[default]
    Close,
    /// A text message with the bytes in standard base64, padded.
    Base64,
    /// A text message with each byte as the character of its number, U+0000 to U+00FF.
    Latin1,
    /// Nothing: the message is left out.
    Drop,
}

impl BinaryPolicy {
    /// The policy's name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            BinaryPolicy::Close => "close",
            BinaryPolicy::Base64 => "base64",
            BinaryPolicy::Latin1 => "latin1",
            BinaryPolicy::Drop => "drop",
        }
    }
}

impl FromStr for BinaryPolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        use BinaryPolicy as P;
        [P::Close, P::Base64, P::Latin1, P::Drop].into_iter().find(|policy| policy.name() == text).ok_or(())
    }
}
