//! How a client got here: who it is, and whether and by which name it reached the front, however many fronts there are.
//!
//! Four witnesses are heard. Of who the client is, each tells about a hop nearer to it than the one before, so that a
//! later one outdoes an earlier: the `Host` header and the TCP connection; TLS that ended here; the PROXY preamble, whose
//! sender stands between; and the forwarded headers, if the client of all these is a front that is trusted. That the client
//! speaks TLS is so if the preamble says it; else it is what the headers say, and last whether TLS ended here. What the
//! route's own `public_url` says is above them all, and not heard here.
//!
//! A front that is trusted has to set or remove the headers it is trusted for: what it lets through from its clients is
//! taken for its own word.

mod claims;
mod outgoing;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::http::{self, Fields};
use crate::preamble::{Preamble, Tls, TlsFacts};

/// How a connection came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The client: of the TCP connection or, where a preamble names one, that one.
    pub client: SocketAddr,
    /// The address that the client connected to, by the same witness.
    pub local: SocketAddr,
    /// TLS that ended here.
    pub own_tls: Option<OwnTls>,
    /// The preamble, if one was read.
    pub preamble: Option<Box<Preamble>>,
}

/// TLS that ended here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTls {
    /// The host that the client asked for.
    pub server_name: Option<String>,
    /// The protocol that was agreed on.
    pub alpn: Option<Vec<u8>>,
    /// Version, suite and certificate.
    pub facts: TlsFacts,
}

/// What is known of a request's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its address: the last that a trusted front, or the connection itself, vouches for.
    pub client: IpAddr,
    /// Its port, if that is known too.
    pub client_port: Option<u16>,
    /// Whether it uses TLS as far as its front.
    pub secure: bool,
    /// The host and port by which it reached its front, in lower case and without the scheme's own port, if a front that
    /// is trusted says so.
    pub host: Option<String>,
    /// The port by which it reached its front, if one that is trusted says so and nothing of the host.
    pub host_port: Option<u16>,
    /// The headers that were believed.
    believed: Believed,
}

/// Which headers say how a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Believed {
    /// None: the peer is not trusted, or says nothing.
    Nobody,
    /// `X-Forwarded-For` and those like it.
    Former,
    /// `Forwarded`.
    Standard,
}

/// A claim of a trusted front that is not understood. It is ignored, and worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadClaim {
    /// The header.
    pub header: &'static str,
    /// What it says, escaped and cut short.
    pub value: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BadClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\" {}", self.header, self.value, self.why)
    }
}

/// The headers that tell backends how a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: the client, then each front but the last.
    For,
    /// `X-Forwarded-Proto`: `http` or `https`, as the client's front was reached.
    Proto,
    /// `X-Forwarded-Host`: the host and port by which it was.
    Host,
    /// `X-Forwarded-Port`: the port alone.
    Port,
    /// `X-Real-IP`: the client.
    RealIp,
    /// `Forwarded`: all of it, by RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// All of them.
    pub const ALL: [ForwardedHeader; 6] = [
        ForwardedHeader::For,
        ForwardedHeader::Proto,
        ForwardedHeader::Host,
        ForwardedHeader::Port,
        ForwardedHeader::RealIp,
        ForwardedHeader::Forwarded,
    ];

    /// The header's name.
    pub fn name(self) -> &'static str {
        match self {
            ForwardedHeader::For => "X-Forwarded-For",
            ForwardedHeader::Proto => "X-Forwarded-Proto",
            ForwardedHeader::Host => "X-Forwarded-Host",
            ForwardedHeader::Port => "X-Forwarded-Port",
            ForwardedHeader::RealIp => "X-Real-IP",
            ForwardedHeader::Forwarded => "Forwarded",
        }
    }
}

impl fmt::Display for ForwardedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a header of this name claims how a request came, in any spelling that a backend could take for it, and so never
/// reaches one as the client sent it.
pub fn is_claim(name: &str) -> bool {
    ForwardedHeader::ALL.iter().any(|header| http::is_alike(header.name(), name))
}

/// Whether the address belongs to one of the networks; IPv4 in the guise of IPv6 is IPv4.
pub fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

impl Arrival {
    /// The arrival of a TCP connection, behind whose first bytes there may be a preamble.
    pub fn new(peer: SocketAddr, local: SocketAddr, preamble: Option<Preamble>) -> Arrival {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (client, local) = preamble.as_ref().and_then(|preamble| preamble.source).unwrap_or((peer, local));
        let (client, local) = (canonical(client), canonical(local));
        Arrival { client, local, own_tls: None, preamble: preamble.map(Box::new) }
    }

    /// Whether it is a front, and is heard when it tells of others.
    pub fn is_trusted(&self, trusted: &[IpNet]) -> bool {
        is_in(trusted, self.client.ip())
    }

    /// Whether a header of this name goes on as it came. Beside those that we write ourselves there are more of the kind,
    /// `X-Forwarded-User` or `-Prefix`: backends believe them all, so only a front that is trusted may say them.
    pub fn may_pass(&self, name: &str, trusted: &[IpNet]) -> bool {
        const KIND: &str = "X-Forwarded-";
        let is_kind = name.get(..KIND.len()).is_some_and(|start| http::is_alike(start, KIND));
        !is_claim(name) && (!is_kind || self.is_trusted(trusted))
    }

    /// Whether [`Arrival::client`] uses TLS. The preamble's sender knows it, if it says so: TLS that ended here was
    /// spoken by that sender, unless it passed it on unopened, and then it says nothing.
    pub fn is_encrypted(&self) -> bool {
        let said = self.preamble.as_ref().and_then(|preamble| preamble.encrypted());
        said.unwrap_or(self.own_tls.is_some())
    }

    /// What is known of the client of a request with these fields, and what of its claims is ignored.
    pub fn facts(&self, fields: &Fields<'_>, trusted: &[IpNet]) -> (Facts, Vec<BadClaim>) {
        let mut facts = Facts {
            client: self.client.ip(),
            client_port: Some(self.client.port()),
            secure: self.is_encrypted(),
            host: None,
            host_port: None,
            believed: Believed::Nobody,
        };
        let mut bad = Vec::new();
        if self.is_trusted(trusted) {
            claims::hear(&mut facts, fields, trusted, &mut bad);
        }
        // A front that ended TLS with whoever is at the other end of it has seen that; a header only says so.
        facts.secure |= self.preamble.as_ref().and_then(|preamble| preamble.encrypted()) == Some(true);
        (facts, bad)
    }

    /// The preamble that tells a backend of the client. What a preamble or TLS here says of suites and certificates
    /// holds for the sender of this connection: where that is a front, the client's own TLS is known only as a fact.
    pub fn preamble(&self, facts: &Facts) -> Preamble {
        let mut told = Preamble::of(facts.address(), self.local);
        if facts.client != self.client.ip() || facts.secure != self.is_encrypted() {
            told.tls = if facts.secure { Tls::Encrypted(TlsFacts::default()) } else { Tls::Plain };
            return told;
        }
        if let Some(own) = &self.own_tls {
            told.tls = Tls::Encrypted(own.facts.clone());
            told.authority.clone_from(&own.server_name);
            told.alpn.clone_from(&own.alpn);
        }
        if let Some(heard) = &self.preamble {
            if heard.tls != Tls::Unsaid {
                told.tls = heard.tls.clone();
            }
            told.authority = heard.authority.clone().or(told.authority);
            told.alpn = heard.alpn.clone().or(told.alpn);
            told.unique_id.clone_from(&heard.unique_id);
        }
        told
    }
}

impl Default for Facts {
    /// Nothing is known.
    fn default() -> Facts {
        Facts {
            client: Ipv4Addr::UNSPECIFIED.into(),
            client_port: None,
            secure: false,
            host: None,
            host_port: None,
            believed: Believed::Nobody,
        }
    }
}

/// The client's address, with its port if that is known.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client_port {
            Some(port) => SocketAddr::new(self.client, port).fmt(f),
            None => self.client.fmt(f),
        }
    }
}

impl Facts {
    /// The client's address, with port 0 if its own is not known.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.client, self.client_port.unwrap_or(0))
    }

    /// The scheme of the client's URL.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "wss" } else { "ws" }
    }

    /// The host and port of the client's URL, for a request with this `Host`. That is taken letter by letter: a client
    /// makes it of the same URL with which it compares its location.
    pub fn authority<'f>(&'f self, host: &'f str) -> Cow<'f, str> {
        match (&self.host, self.host_port) {
            (Some(forwarded), _) => forwarded.into(),
            (None, Some(port)) if !host.is_empty() && split_port(host).1.is_none() => {
                with_port(host, port, self.secure).into()
            }
            _ => host.into(),
        }
    }
}

/// hixie-76 §3.2: the port is left out where it is the scheme's own.
fn with_port(host: &str, port: u16, secure: bool) -> String {
    if port == own_port(secure) { host.to_owned() } else { format!("{host}:{port}") }
}

fn own_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// A host, and what stands behind its colon.
fn split_port(host: &str) -> (&str, Option<&str>) {
    let name = host.rfind(']').map_or(0, |end| end + 1);
    match host[name..].find(':') {
        Some(colon) => (&host[..name + colon], Some(&host[name + colon + 1..])),
        None => (host, None),
    }
}
