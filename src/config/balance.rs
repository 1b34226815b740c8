//! Which of several servers a client gets, and which of them are left alone.

use std::fmt;
use std::str::FromStr;

use super::fault::{Refusal, nearest};
use super::route::check_path;

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

impl FromStr for Balance {
    type Err = Refusal;

    /// Reads the name of a way to choose; `cookie` has that of the cookie after a blank.
    fn from_str(text: &str) -> Result<Balance, Refusal> {
        const KNOWN: [&str; 5] = ["round-robin", "least-connections", "client", "path", "cookie NAME"];
        if let Some(name) = text.strip_prefix("cookie").filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            let name = name.trim();
            // RFC 6265 4.1.1.
            if !crate::http::is_token(name.as_bytes()) {
                let remedy = "write its name after a blank, as in \"cookie session\"";
                return Err(Refusal::new("there is no name of a cookie", remedy));
            }
            return Ok(Balance::Cookie(name.to_owned()));
        }
        Ok(match text {
            "round-robin" => Balance::RoundRobin,
            "least-connections" => Balance::LeastConnections,
            "client" => Balance::Client,
            "path" => Balance::Path,
            _ => return Err(Refusal::unknown("choice", text, nearest(text, &KNOWN), &KNOWN)),
        })
    }
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

impl FromStr for Health {
    type Err = Refusal;

    /// Reads `tcp`, or a path, with or without a query.
    fn from_str(text: &str) -> Result<Health, Refusal> {
        if text == "tcp" {
            return Ok(Health::Tcp);
        }
        if !text.starts_with('/') {
            let remedy = "write \"tcp\" to connect alone, or a path to ask for, as in \"/healthz\"";
            return Err(Refusal::new("it is neither \"tcp\" nor a path", remedy));
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        check_path(path)?;
        if query.contains('#') || !query.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::new("the query has characters that none has", "write it percent-encoded"));
        }
        Ok(Health::Http(text.to_owned()))
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Tcp => f.write_str("tcp"),
            Health::Http(path) => f.write_str(path),
        }
    }
}
