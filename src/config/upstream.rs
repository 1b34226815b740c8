//! Backends: where they are reached, and what they are told of themselves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use super::fault::{Refusal, nearest, quoted};
use super::route::check_path;

/// What a backend speaks with hybridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 6455.
    #[default]
    WebSocket,
    /// Server-Sent Events.
    Events,
}

impl Protocol {
    /// The scheme of its URLs, with TLS or without.
    pub fn scheme(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Protocol::WebSocket, false) => "ws",
            (Protocol::WebSocket, true) => "wss",
            (Protocol::Events, false) => "sse+http",
            (Protocol::Events, true) => "sse+https",
        }
    }
}

/// Where a backend is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What it speaks with WebSocket clients. Ordinary requests reach it as they are.
    pub protocol: Protocol,
    /// Whether it is reached over TLS.
    pub secure: bool,
    /// The servers that do its work, each as well as the others; at least one.
    pub servers: Vec<Place>,
    /// The path that takes the place of the route's. Default: none, and targets stay as the client sent them.
    pub path: Option<String>,
}

impl Upstream {
    /// Reads `ws://HOST:PORT/PATH` or, equal in meaning, `http://HOST:PORT/PATH`; for an event stream
    /// `sse+http://HOST:PORT/PATH`, over TLS `sse+https://HOST:PORT/PATH`. Port and path may be left out.
    ///
    /// # Errors
    ///
    /// When the text is no such URL, or names more than is served; the refusal says what to write.
    pub fn parse(url: &str) -> Result<Upstream, Refusal> {
        const FORM: &str = "write ws://HOST:PORT or http://HOST:PORT, or sse+http://HOST:PORT for an event stream";
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(Refusal::new("the URL has no scheme", FORM));
        };
        let (protocol, secure) = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => (Protocol::WebSocket, false),
            "sse+http" => (Protocol::Events, false),
            "sse+https" => (Protocol::Events, true),
            "wss" | "https" => return Err(no_tls()),
            "sse" | "sse+ws" => {
                return Err(Refusal::new(format!("unknown scheme {}", quoted(scheme)), "write sse+http://HOST:PORT"));
            }
            _ => return Err(Refusal::new(format!("unknown scheme {}", quoted(scheme)), FORM)),
        };
        Upstream::at(protocol, secure, rest)
    }

    /// Reads what follows the scheme of a URL.
    pub(super) fn at(protocol: Protocol, secure: bool, rest: &str) -> Result<Upstream, Refusal> {
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Refusal::new(
                "the URL has a user name in it",
                "write it without; a client's own Authorization header reaches the backend",
            ));
        }
        if path.contains('#') {
            return Err(Refusal::new("the URL has a fragment", "leave out the # and what follows it"));
        }
        if path.contains('?') {
            return Err(Refusal::new(
                "the URL has a query",
                "leave out the ? and what follows it; a client's own query reaches the backend",
            ));
        }
        let (host, port) = split_authority(authority)?;
        let path = (!path.is_empty()).then(|| check_path(path)).transpose()?;
        let port = port.unwrap_or(usual_port(secure));
        Ok(Upstream { protocol, secure, servers: vec![Place::Tcp { host, port }], path })
    }

    /// Host and port of its first server as they stand in a URL or a `Host` header.
    pub fn authority(&self) -> String {
        self.servers.first().map_or_else(String::new, |server| server.authority(self.secure))
    }

    /// The scheme of ordinary requests to it.
    pub fn http_scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Over TCP.
    Tcp {
        /// A name or an address, in lower case, an IPv6 address without brackets.
        host: String,
        /// The port. Default: 80, with TLS 443.
        port: u16,
    },
    /// At a Unix socket, by its absolute path.
    Unix(PathBuf),
}

impl Place {
    /// Host and port as they stand in a URL or a `Host` header: an IPv6 address in brackets, the scheme's own port left
    /// out. A Unix socket has no better name than `localhost`.
    pub fn authority(&self, secure: bool) -> String {
        match self {
            Place::Tcp { host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                if *port == usual_port(secure) { host } else { format!("{host}:{port}") }
            }
            Place::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The host, when it is an address, and the port.
    pub(super) fn address(&self) -> Option<(IpAddr, u16)> {
        match self {
            Place::Tcp { host, port } => Some((host.parse().ok()?, *port)),
            Place::Unix(_) => None,
        }
    }
}

impl FromStr for Upstream {
    type Err = Refusal;

    fn from_str(url: &str) -> Result<Upstream, Refusal> {
        Upstream::parse(url)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or_default();
        for (index, server) in self.servers.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            match server {
                Place::Tcp { .. } => {
                    let (scheme, authority) = (self.protocol.scheme(self.secure), server.authority(self.secure));
                    write!(f, "{scheme}://{authority}{path}")?;
                }
                Place::Unix(socket) => {
                    let colon = if path.is_empty() { "" } else { ":" };
                    let scheme = if self.protocol == Protocol::Events { "sse+http" } else { "ws" };
                    write!(f, "{scheme}+unix://{}{colon}{path}", socket.display())?;
                }
            }
        }
        Ok(())
    }
}

/// The port of HTTP's schemes.
fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Refuses a URL that asks for TLS.
fn no_tls() -> Refusal {
    Refusal::new(
        "TLS upstreams are served by this version for event streams alone",
        "write ws://HOST:PORT of the backend's plain port, or of a hop on this machine that speaks TLS to the backend \
         (stunnel, HAProxy, nginx)",
    )
}

/// The `Host` header that a backend is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UpstreamHost {
    /// The one that the client sent.
    #[default]
    Client,
    /// The upstream's own, see [`Upstream::authority`].
    Upstream,
    /// This one.
    Fixed(String),
}

impl FromStr for UpstreamHost {
    type Err = Refusal;

    /// Reads `client`, `upstream`, or a host with or without a port.
    fn from_str(text: &str) -> Result<UpstreamHost, Refusal> {
        match text {
            "client" => return Ok(UpstreamHost::Client),
            "upstream" => return Ok(UpstreamHost::Upstream),
            _ => {}
        }
        let (host, port) = split_authority(text)?;
        // A keyword with a typing mistake would else be sent to the backend as a host.
        if let (None, Some(near)) = (port, nearest(&host, &["client", "upstream"])) {
            return Err(Refusal::new(
                format!("unknown choice {}", quoted(text)),
                format!("did you mean {near:?}? A host of this name is written with its port, \"{host}:80\""),
            ));
        }
        Ok(UpstreamHost::Fixed(text.to_owned()))
    }
}

impl fmt::Display for UpstreamHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpstreamHost::Client => "client",
            UpstreamHost::Upstream => "upstream",
            UpstreamHost::Fixed(host) => host,
        })
    }
}

/// Takes `HOST` or `HOST:PORT` apart; the host in lower case, an IPv6 address without its brackets.
///
/// # Errors
///
/// When the text is neither; the refusal says what to write.
pub fn split_authority(text: &str) -> Result<(String, Option<u16>), Refusal> {
    if text.contains("://") {
        return Err(Refusal::new("a host has no scheme", "write the host alone, as in \"tv.example\""));
    }
    if text.contains('/') {
        return Err(Refusal::new("a host has no path", "leave out the / and what follows it"));
    }
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let Some((address, port)) = bracketed.split_once(']') else {
            return Err(Refusal::new("a bracket is not closed", "write [ADDRESS]:PORT, as in \"[::1]:9000\""));
        };
        if address.contains('%') {
            return Err(Refusal::new("an address with a zone is not served", "write a global address, or a name"));
        }
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return Err(Refusal::new(
                format!("{} is not an IPv6 address", quoted(address)),
                "write one, as in \"[::1]:9000\", or leave out the brackets",
            ));
        };
        let port = match port.strip_prefix(':') {
            None if !port.is_empty() => {
                return Err(Refusal::new(
                    format!("{} follows the bracket", quoted(port)),
                    "write [ADDRESS]:PORT, as in \"[::1]:9000\"",
                ));
            }
            port => port,
        };
        (address.to_string(), port)
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                let example = text.parse::<Ipv6Addr>().unwrap_or(Ipv6Addr::LOCALHOST);
                return Err(Refusal::new(
                    "more than one colon",
                    format!("put an IPv6 address in brackets, as in \"[{example}]\""),
                ));
            }
            Some((host, port)) => (check_name(host)?, Some(port)),
            None => (check_name(text)?, None),
        }
    };
    Ok((host, port.map(check_port).transpose()?))
}

fn check_port(port: &str) -> Result<u16, Refusal> {
    const REMEDY: &str = "write a port from 1 to 65535";
    if port.is_empty() {
        return Err(Refusal::new("no port follows the colon", format!("{REMEDY}, or leave out the colon")));
    }
    // A sign is part of a number to Rust, not to a URL.
    match port.parse() {
        Ok(0) => Err(Refusal::new("port 0 is no port to connect to", REMEDY)),
        Ok(number) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err(Refusal::new(format!("{} is not a port", quoted(port)), REMEDY)),
    }
}

/// Checks a name or an IPv4 address.
fn check_name(name: &str) -> Result<String, Refusal> {
    const FORM: &str = "write a name or an address, as in \"tv.example\" or \"10.0.0.5\"";
    if name.is_empty() {
        return Err(Refusal::new("no host", FORM));
    }
    if name.contains('*') {
        return Err(Refusal::new("wildcards are not served", "write one route for each host, or \"*\" alone for any"));
    }
    if !name.is_ascii() {
        return Err(Refusal::new(
            format!("the host {} has letters outside ASCII", quoted(name)),
            "write the form that clients send, which begins with xn--",
        ));
    }
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    // Underscores are in no host name of RFC 952, yet in many names of containers.
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if name.len() > 253 || !labels.clone().all(is_label) {
        return Err(Refusal::new(format!("{} is not a host", quoted(name)), FORM));
    }
    // A name whose last label is a number is an address to every resolver, and each has its own idea of "10.1".
    let numeric = labels.next_back().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if numeric && name.parse::<Ipv4Addr>().is_err() {
        return Err(Refusal::new(
            format!("{} is not an IPv4 address", quoted(name)),
            "write four numbers from 0 to 255, as in \"10.0.0.5\"",
        ));
    }
    Ok(name.to_ascii_lowercase())
}
