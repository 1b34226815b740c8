//! What backends are told of a request's client, in place of what it claims itself.

use super::{Arrival, Believed, Facts, ForwardedHeader, claims, own_port, split_port};
use crate::http::{self, Fields};

impl Arrival {
    /// The headers of these kinds for a backend. They take the place of all that may not pass
    /// ([`Arrival::may_pass`]).
    ///
    /// Lists that were believed go on, with the peer at their end; all others begin with what is known. Where there is
    /// one value to give, it is the client's own: backends read the first and know nothing of the fronts.
    pub fn outgoing(
        &self,
        facts: &Facts,
        fields: &Fields<'_>,
        wanted: &[ForwardedHeader],
    ) -> Vec<(&'static str, Vec<u8>)> {
        let host = host(fields);
        let authority = facts.authority(host);
        let peer = self.client.ip().to_string();
        let value = |header: &ForwardedHeader| match header {
            ForwardedHeader::For => Some(self.chain(facts, fields, &peer)),
            ForwardedHeader::Proto => Some(scheme(facts.secure).into()),
            ForwardedHeader::Host => (!authority.is_empty()).then(|| authority.as_bytes().to_vec()),
            ForwardedHeader::Port => {
                let port = facts.host_port.map(|port| port.to_string());
                let named = split_port(&authority).1.filter(|port| !port.is_empty()).map(str::to_owned);
                Some(named.or(port).unwrap_or_else(|| own_port(facts.secure).to_string()).into_bytes())
            }
            ForwardedHeader::RealIp => Some(facts.client.to_string().into_bytes()),
            ForwardedHeader::Forwarded => Some(self.forwarded(facts, fields, &peer, host, &authority)),
        };
        wanted.iter().filter_map(|header| Some((header.name(), value(header)?))).collect()
    }

    /// `X-Forwarded-For`.
    fn chain(&self, facts: &Facts, fields: &Fields<'_>, peer: &str) -> Vec<u8> {
        let name = ForwardedHeader::For.name();
        let mut chain = Vec::new();
        if facts.believed == Believed::Former {
            chain = fields.iter().filter(|field| field.is(name)).flat_map(|field| http::list(field.value)).collect();
        }
        let client;
        // The client is known by another header.
        if chain.is_empty() && facts.client != self.client.ip() {
            client = facts.client.to_string();
            chain.push(client.as_bytes());
        }
        chain.push(peer.as_bytes());
        chain.join(&b", "[..])
    }

    /// `Forwarded` (RFC 7239 §4).
    fn forwarded(&self, facts: &Facts, fields: &Fields<'_>, peer: &str, host: &str, authority: &str) -> Vec<u8> {
        // Where the peer is the client, public_url may know better than the connection what it sees.
        let own = match facts.believed {
            Believed::Nobody => element(Some(peer), authority, facts.secure),
            _ => element(Some(peer), host, self.is_encrypted()),
        };
        let mut elements: Vec<Vec<u8>> = Vec::new();
        if facts.believed == Believed::Standard {
            // A quote without its end would swallow what is added behind it, so nothing left of it goes on.
            let lines: Vec<&[u8]> =
                fields.iter().filter(|field| field.is("forwarded")).map(|field| field.value).collect();
            let whole = lines.iter().rev().take_while(|line| claims::is_well_formed(line)).count();
            let lines = lines[lines.len() - whole..].iter().filter(|line| !line.is_empty());
            elements.extend(lines.map(|line| line.to_vec()));
        } else if facts.believed == Believed::Former {
            // The same in the words of the standard. §6.2: a front that does not name its client has one all the same.
            let client = (facts.client != self.client.ip()).then(|| facts.client.to_string());
            elements.push(element(client.as_deref(), authority, facts.secure).into_bytes());
        }
        elements.push(own.into_bytes());
        elements.join(&b", "[..])
    }
}

/// The request's host, if it is one, and cannot be taken for two in a list.
fn host<'a>(fields: &Fields<'a>) -> &'a str {
    let host = fields.only("host").ok().flatten().and_then(|host| std::str::from_utf8(host).ok());
    host.filter(|host| http::is_host(host) && !host.contains(',')).unwrap_or_default()
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// An element of `Forwarded`. What is no token is quoted; a host and an address hold nothing to escape in quotes.
fn element(client: Option<&str>, host: &str, secure: bool) -> String {
    let (before, client, behind) = match client {
        None => ("", "unknown", ""),
        Some(address) if address.contains(':') => ("\"[", address, "]\""),
        Some(address) => ("", address, ""),
    };
    let (named, host, end) = match host {
        "" => ("", "", ""),
        host if http::is_token(host.as_bytes()) => (";host=", host, ""),
        host => (";host=\"", host, "\""),
    };
    ["for=", before, client, behind, named, host, end, ";proto=", scheme(secure)].concat()
}
