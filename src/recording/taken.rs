//! What a client was taken for, and when and between whom it was heard: the first comment of a recording, and its name.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Place, Protocol, Upstream};
use crate::dialect::Dialect;
use crate::handshake::{Received, receive};
use crate::sniff::Foreign;

/// What a client was taken for by its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A client that opens a WebSocket connection in this dialect.
    Client(Dialect),
    /// One whose request is refused, and why.
    Refused(String),
    /// One that makes an ordinary HTTP request.
    Http,
    /// Another protocol.
    Foreign(Foreign),
    /// One that had begun something, of which not enough is known to tell.
    Unfinished,
    /// One that had said nothing.
    Silent,
    /// One that was not seen from its beginning.
    Inside,
}

impl Taken {
    /// Judges the first bytes of a client, as `hybridge serve` would. `None` asks for more.
    pub fn of(bytes: &[u8]) -> Option<Taken> {
        let nowhere = Upstream {
            protocol: Protocol::WebSocket,
            secure: false,
            servers: vec![Place::Tcp { host: "localhost".into(), port: 80 }],
            path: None,
        };
        let config = Config::simple(Vec::new(), nowhere);
        match receive(bytes, &config) {
            Received::More => None,
            Received::Foreign(foreign) => Some(Taken::Foreign(foreign)),
            Received::Refused(refusal) => Some(Taken::Refused(refusal.why)),
            Received::Http { .. } => Some(Taken::Http),
            Received::Opening { opening, .. } => Some(Taken::Client(opening.dialect)),
        }
    }

    /// The word for file names.
    pub fn word(&self) -> &'static str {
        match self {
            Taken::Client(dialect) => dialect.facts().name,
            Taken::Refused(_) => "refused",
            Taken::Http => "http",
            Taken::Foreign(Foreign::Proxy) => "proxy-protocol",
            Taken::Foreign(Foreign::Tls) => "tls",
            Taken::Foreign(Foreign::Http2) => "http2",
            Taken::Foreign(Foreign::FlashPolicy) => "flash-policy",
            Taken::Foreign(Foreign::Garbage) => "garbage",
            Taken::Unfinished => "unfinished",
            Taken::Silent => "silent",
            Taken::Inside => "inside",
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Taken::Client(dialect) => write!(f, "a {dialect} client"),
            Taken::Refused(why) => write!(f, "a client to refuse, for {}", why.escape_debug()),
            Taken::Http => f.write_str("an HTTP client"),
            Taken::Foreign(foreign) => write!(f, "no client: {foreign}"),
            Taken::Unfinished => f.write_str("a client whose head is not whole"),
            Taken::Silent => f.write_str("a client that said nothing"),
            Taken::Inside => f.write_str("a client whose first bytes are not known"),
        }
    }
}

/// A moment, as time since 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// Year, month, day, hour, minute, second, millisecond.
    fn parts(self) -> [u64; 7] {
        let seconds = self.0.as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        // Years begin in March here, so that the leap day is the last one, and months have lengths in one pattern.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        [year, month, day, rest / 3600, rest / 60 % 60, rest % 60, u64::from(self.0.subsec_millis())]
    }

    /// As it stands in a file name, where it sorts.
    pub fn compact(self) -> String {
        let [year, month, day, hour, minute, second, ms] = self.parts();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{ms:03}Z")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second, ms] = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Between whom a connection is, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// Its beginning.
    pub began: Moment,
    /// The client.
    pub client: SocketAddr,
    /// The server, as people call it.
    pub server: String,
}

impl Meeting {
    /// The first comment of its recording.
    pub fn title(&self, taken: &Taken) -> String {
        let Meeting { began, client, server } = self;
        format!("{began}: {client} to {}, taken for {taken}", server.escape_debug())
    }

    /// The name of its recording, without an ending.
    pub fn file_name(&self, taken: &Taken) -> String {
        // Colons, as in addresses of IPv6, are not allowed in file names everywhere.
        let address = self.client.ip().to_string().replace(':', "_");
        format!("{}-{}-{address}-{}", self.began.compact(), taken.word(), self.client.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_in_utc() {
        let check = |ms: u64, expected: &str| assert_eq!(Moment(Duration::from_millis(ms)).to_string(), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(951_868_800_000, "2000-03-01T00:00:00.000Z");
        check(1_795_327_398_123, "2026-11-22T06:03:18.123Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        check(4_107_456_000_000, "2100-02-28T00:00:00.000Z");
    }

    #[test]
    fn names_sort_by_time_and_say_the_dialect_and_the_client() {
        let meeting = |client: &str| Meeting {
            began: Moment(Duration::from_millis(1_795_327_398_123)),
            client: client.parse().unwrap(),
            server: "127.0.0.1:9000".into(),
        };
        let taken = Taken::Client(Dialect::Hixie76);
        let name = meeting("192.0.2.7:51234").file_name(&taken);
        assert_eq!(name, "20261122T060318.123Z-hixie-76-192.0.2.7-51234");
        assert_eq!(meeting("[2001:db8::1]:80").file_name(&Taken::Silent), "20261122T060318.123Z-silent-2001_db8__1-80");
    }
}
