//! Backends: where they are reached, and what they are told of themselves.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::authority::{joined, split_authority};
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
    /// `sse+http://HOST:PORT/PATH`. Over TLS these are `wss`, `https` and `sse+https`. Port and path may be left out. For a
    /// Unix socket `ws+unix:///SOCKET:/PATH`, `http+unix` or `sse+http+unix`.
    ///
    /// # Errors
    ///
    /// When the text is no such URL, or names more than is served; the refusal says what to write.
    pub fn parse(url: &str) -> Result<Upstream, Refusal> {
        const FORM: &str = "write ws://HOST:PORT or http://HOST:PORT, wss:// or https:// for TLS, sse+http://HOST:PORT for \
                            an event stream, ws+unix:///SOCKET for a Unix socket";
        use Protocol as P;
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(Refusal::new("the URL has no scheme", FORM));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => Upstream::at(P::WebSocket, false, rest),
            "wss" | "https" => Upstream::at(P::WebSocket, true, rest),
            "sse+http" => Upstream::at(P::Events, false, rest),
            "sse+https" => Upstream::at(P::Events, true, rest),
            "ws+unix" | "http+unix" => Upstream::at_socket(P::WebSocket, rest),
            "sse+http+unix" => Upstream::at_socket(P::Events, rest),
            "wss+unix" | "https+unix" | "sse+https+unix" => Err(no_tls_over_unix(scheme)),
            other => {
                let form = match other {
                    "sse" | "sse+ws" => "write sse+http://HOST:PORT",
                    "sse+wss" => "write sse+https://HOST:PORT",
                    "unix" => "write ws+unix:///SOCKET",
                    "sse+unix" => "write sse+http+unix:///SOCKET",
                    _ => FORM,
                };
                Err(Refusal::new(format!("unknown scheme {}", quoted(scheme)), form))
            }
        }
    }

    /// Reads the URL of a server that gets plain requests, `http`, `https` or `http+unix`; none for another scheme. Its
    /// path is apart, for it is the whole target.
    pub(super) fn of_requests(url: &str) -> Option<Result<(Upstream, String), Refusal>> {
        let (scheme, rest) = url.split_once("://")?;
        let upstream = match scheme.to_ascii_lowercase().as_str() {
            "http" => Upstream::at(Protocol::WebSocket, false, rest),
            "https" => Upstream::at(Protocol::WebSocket, true, rest),
            "http+unix" => Upstream::at_socket(Protocol::WebSocket, rest),
            "https+unix" => Err(no_tls_over_unix(scheme)),
            _ => return None,
        };
        Some(upstream.map(|mut upstream| {
            let path = upstream.path.take().unwrap_or_else(|| "/".to_owned());
            (upstream, path)
        }))
    }

    /// Adds the servers of another upstream, which must speak the same and be asked for the same.
    ///
    /// # Errors
    ///
    /// When they do not fit together, or a server is there already.
    pub fn join(&mut self, other: Upstream) -> Result<(), Refusal> {
        let ways = "give all servers of a route the same, or write a route for each";
        if other.protocol != self.protocol {
            return Err(Refusal::new("one speaks WebSocket and another sends events", ways));
        }
        if other.secure != self.secure {
            return Err(Refusal::new("one is reached over TLS and another is not", ways));
        }
        if other.path != self.path {
            return Err(Refusal::new("its path is not that of the others", ways));
        }
        if other.servers.iter().any(|server| self.servers.contains(server)) {
            return Err(Refusal::new("it is in the list already", "leave one out"));
        }
        self.servers.extend(other.servers);
        Ok(())
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

    /// Reads what follows the scheme of the URL of a Unix socket: its path, and perhaps a colon and the path to ask for.
    fn at_socket(protocol: Protocol, rest: &str) -> Result<Upstream, Refusal> {
        const FORM: &str = "write the absolute path of the socket after ://, as in ws+unix:///run/app.sock, and a path to \
                            ask for behind a colon, as in ws+unix:///run/app.sock:/rooms";
        let (socket, path) = match rest.split_once(":/") {
            Some((socket, path)) => (socket, Some(check_path(&format!("/{path}"))?)),
            None => (rest, None),
        };
        if !socket.starts_with('/') {
            return Err(Refusal::new("the path of the socket is not absolute", FORM));
        }
        if socket.ends_with(['/', ':']) || socket.contains(['?', '#']) || socket.chars().any(char::is_control) {
            return Err(Refusal::new(format!("{} is not the path of a socket", quoted(socket)), FORM));
        }
        if socket.len() > LONGEST_SOCKET {
            return Err(Refusal::new(
                format!("the path of the socket has {} bytes, and systems take {LONGEST_SOCKET}", socket.len()),
                "have the backend make its socket at a shorter path",
            ));
        }
        Ok(Upstream { protocol, secure: false, servers: vec![Place::Unix(socket.into())], path })
    }

    /// Host and port of its first server as they stand in a URL or a `Host` header.
    pub fn authority(&self) -> String {
        self.servers.first().map_or_else(String::new, |server| server.authority(self.secure))
    }

    /// The URL of ordinary requests to its first server, for this path.
    pub(super) fn request_url(&self, path: &str) -> String {
        self.servers.first().map_or_else(String::new, |server| server.url(self.http_scheme(), self.secure, path))
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
            Place::Tcp { host, port } => joined(host, Some(*port), Some(usual_port(secure))),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The server's URL, with this scheme and path.
    pub(super) fn url(&self, scheme: &str, secure: bool, path: &str) -> String {
        match self {
            Place::Tcp { .. } => format!("{scheme}://{}{path}", self.authority(secure)),
            Place::Unix(socket) => {
                let colon = if path.is_empty() { "" } else { ":" };
                format!("{scheme}+unix://{}{colon}{path}", socket.display())
            }
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
        let (scheme, path) = (self.protocol.scheme(self.secure), self.path.as_deref().unwrap_or_default());
        let urls = self.servers.iter().map(|server| server.url(scheme, self.secure, path));
        f.write_str(&urls.collect::<Vec<_>>().join(", "))
    }
}

/// The port of HTTP's schemes.
fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// How many bytes the path of a Unix socket may have: `sun_path` of Linux, without the zero at its end.
const LONGEST_SOCKET: usize = 107;

/// Refuses a URL that asks for TLS where none is spoken.
fn no_tls_over_unix(scheme: &str) -> Refusal {
    let plain = if scheme.to_ascii_lowercase().starts_with("sse") { "sse+http" } else { "ws" };
    Refusal::new(
        "nobody can listen in on a Unix socket, so no TLS is spoken there",
        format!("write {plain}+unix:///SOCKET"),
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
