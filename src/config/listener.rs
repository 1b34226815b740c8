//! Where clients connect to, and what a connection begins with there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

use super::authority::{joined, split_authority, split_pattern};
use super::fault::{Refusal, nearest};
use crate::preamble;

/// One address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; a port 0 is chosen by the operating system.
    pub address: SocketAddr,
    /// What is needed to speak TLS. Default: none, and TCP alone is spoken.
    pub tls: Option<ListenerTls>,
    /// The peers whose connections begin with a preamble of the PROXY protocol; all others must have none. Default:
    /// none.
    pub proxy_protocol: Vec<IpNet>,
    /// Whose pages Flash is told may connect. Default: nobody's, and the question is not answered.
    pub flash_policy: Vec<FlashDomain>,
}

impl Listener {
    /// Plain TCP from everybody.
    pub fn plain(address: SocketAddr) -> Listener {
        Listener { address, tls: None, proxy_protocol: Vec::new(), flash_policy: Vec::new() }
    }
}

/// TLS as its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// Which certificates there are; the first is shown to those who ask for a name that none has. At least one.
    pub certificates: Vec<Certificate>,
    /// A PEM file with the authorities that issue clients' certificates. Default: none, and none are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client may have no certificate. Nobody looks at it without `client_ca`.
    pub client_certificate: ClientCertificate,
    /// Where clients go that know no TLS of today. Default: nowhere, and they are refused.
    pub old: Option<OldTls>,
}

/// A certificate with its chain, and its private key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file with the certificate, and behind it those that lead to the authority.
    pub cert: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
}

/// Whether clients must have a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Who has none is refused.
    #[default]
    Required,
    /// Who has none is served, too.
    Optional,
}

impl ClientCertificate {
    /// Both.
    pub const ALL: [ClientCertificate; 2] = [ClientCertificate::Required, ClientCertificate::Optional];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            ClientCertificate::Required => "required",
            ClientCertificate::Optional => "optional",
        }
    }
}

impl FromStr for ClientCertificate {
    type Err = Refusal;

    fn from_str(word: &str) -> Result<ClientCertificate, Refusal> {
        let known = ClientCertificate::ALL.map(ClientCertificate::name);
        let same = ClientCertificate::ALL.into_iter().find(|choice| choice.name() == word);
        same.ok_or_else(|| Refusal::unknown("choice", word, nearest(word, &known), &known))
    }
}

/// A program on this machine that speaks the TLS of old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldTls {
    /// Where it listens.
    pub address: SocketAddr,
    /// The preamble that tells it who the client is. Default: none.
    pub send_proxy: Option<preamble::Version>,
}

/// A domain whose pages Flash is told may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashDomain {
    /// The domain, perhaps with a wildcard in front, or `*` for all.
    pub domain: String,
    /// The port they may connect to. Default: that of the listener.
    pub port: Option<u16>,
}

impl FromStr for FlashDomain {
    type Err = Refusal;

    /// Reads `DOMAIN` or `DOMAIN:PORT`, where the domain is a name, `*.` before one, or `*` for all.
    fn from_str(text: &str) -> Result<FlashDomain, Refusal> {
        if text.contains("://") {
            let remedy = "write the domain alone, as in \"tv.example\" or \"*.tv.example:80\"";
            return Err(Refusal::new("a domain has no scheme", remedy));
        }
        // Any name will do to have the port read.
        let any = text.strip_prefix('*').filter(|rest| rest.is_empty() || rest.starts_with(':'));
        let (domain, port) = match any {
            Some(port) => ("*".to_owned(), split_authority(&format!("any{port}"))?.1),
            None => split_pattern(text)?,
        };
        let star = if domain.starts_with('.') { "*" } else { "" };
        Ok(FlashDomain { domain: format!("{star}{domain}"), port })
    }
}

impl fmt::Display for FlashDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.domain, self.port, None))
    }
}
