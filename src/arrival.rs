//! How a client got here.

/// A header that tells backends how a client got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    For,
    /// `X-Forwarded-Proto`
    Proto,
    /// `X-Forwarded-Host`
    Host,
    /// `X-Forwarded-Port`
    Port,
    /// `X-Real-IP`
    RealIp,
    /// `Forwarded` (RFC 7239)
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

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use rustls::ProtocolVersion;

use crate::preamble::Preamble;

/// Whether one of the networks has the address.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// stub
#[derive(Clone, Debug)]
pub struct OwnTls {
    /// stub
    pub server_name: Option<String>,
    /// stub
    pub version: Option<ProtocolVersion>,
}

/// stub
#[derive(Clone, Debug)]
pub struct Arrival {
    /// stub
    pub client: SocketAddr,
    /// stub
    pub local: SocketAddr,
    /// stub
    pub own_tls: Option<OwnTls>,
    /// stub
    pub preamble: Option<Box<Preamble>>,
}
impl Arrival {
    /// stub
    pub fn new(client: SocketAddr, local: SocketAddr) -> Self {
        Arrival { client, local, own_tls: None, preamble: None }
    }
    /// stub
    pub fn announced(&mut self, preamble: Preamble) {
        (self.client, self.local) = preamble.source.unwrap_or((self.client, self.local));
        self.preamble = Some(Box::new(preamble));
    }
    /// stub
    pub fn encrypted(&mut self, tls: OwnTls) {
        self.own_tls = Some(tls);
    }
    /// stub
    pub fn is_secure(&self) -> bool {
        let announced = self.preamble.as_ref().and_then(|preamble| preamble.encrypted());
        announced.unwrap_or(self.own_tls.is_some())
    }
    /// stub
    pub fn to_preamble(&self) -> Preamble {
        Preamble::of(self.client, self.local)
    }
}
