//! Which of several servers a client gets, and which of them are left alone.

use std::fmt;

/// How a server is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest open connections.
    LeastConnections,
    /// By the client's address: the same client, the same server.
    Client,
    /// By the path and query that is asked for.
    Path,
    /// By the cookie of this name; by the client's address without one.
    Cookie(String),
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Balance::RoundRobin => f.write_str("round-robin"),
            Balance::LeastConnections => f.write_str("least-connections"),
            Balance::Client => f.write_str("client"),
            Balance::Path => f.write_str("path"),
            Balance::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// How servers are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// They take a connection.
    Tcp,
    /// They answer a GET of this path with 2xx or 3xx.
    Http(String),
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Tcp => f.write_str("tcp"),
            Health::Http(path) => f.write_str(path),
        }
    }
}
