//! Who may use a route.

use std::fmt;
use std::time::Duration;

use super::upstream::Upstream;

/// An origin that may open connections (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginRule {
    /// This one, in lower case, without the scheme's own port.
    Exact(String),
    /// Every host below a domain, with this scheme and port: `https://*.tv.example:8443`.
    Below {
        /// With `://`.
        scheme: String,
        /// With its leading dot, and the port if it is not the scheme's own.
        domain: String,
    },
    /// The origin `null`, of sandboxed pages and some applications.
    Null,
    /// No origin at all.
    Missing,
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OriginRule::Exact(origin) => f.write_str(origin),
            OriginRule::Below { scheme, domain } => write!(f, "{scheme}*{domain}"),
            OriginRule::Null => f.write_str("null"),
            OriginRule::Missing => f.write_str("missing"),
        }
    }
}

/// A server that is asked whether an opening handshake may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Where it is asked; its path is the whole target.
    pub server: Upstream,
    /// The headers of its answer that go on to the backend.
    pub headers: Vec<String>,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}
