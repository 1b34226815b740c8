//! Who may use a route.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::authority::{joined, split_pattern};
use super::fault::{Refusal, nearest, quoted};
use super::units;
use super::upstream::Upstream;
use crate::arrival::is_claim;
use crate::dialect::opening::stream::CONNECTION_ID;
use crate::http;

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

impl FromStr for OriginRule {
    type Err = Refusal;

    /// Reads an origin as browsers send it, one with `*.` before its domain, `null`, or `missing`.
    fn from_str(text: &str) -> Result<OriginRule, Refusal> {
        const FORM: &str =
            "write it as browsers send it, as in \"https://tv.example\" or \"https://*.tv.example:8443\"";
        match text {
            "null" => return Ok(OriginRule::Null),
            "missing" => return Ok(OriginRule::Missing),
            "*" | "any" => {
                return Err(Refusal::new("one of a list cannot be any", "write origins = \"any\", without the list"));
            }
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let remedy = match nearest(text, &["null", "missing"]) {
                Some(near) => format!("did you mean {near:?}?"),
                None => FORM.to_owned(),
            };
            return Err(Refusal::new("it is no origin: it has no scheme", remedy));
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(fits) {
            return Err(Refusal::new(format!("{} is not a scheme", quoted(scheme)), FORM));
        }
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            // Pages from files and in applications may have no host.
            _ if rest.is_empty() => return Ok(OriginRule::Exact(format!("{scheme}://"))),
            _ => None,
        };
        if let Some(path) = rest.find(['/', '?', '#']) {
            let remedy = format!("write {}", quoted(&format!("{scheme}://{}", &rest[..path])));
            return Err(Refusal::new("an origin has no path, nor a slash at its end", remedy));
        }
        if rest == "*" {
            return Err(Refusal::new("a * alone is every host", "write origins = \"any\", or *. before a domain"));
        }
        let (host, port) = split_pattern(rest)?;
        let scheme = format!("{scheme}://");
        let host = joined(&host, port, usual);
        Ok(match host.starts_with('.') {
            true => OriginRule::Below { scheme, domain: host },
            false => OriginRule::Exact(format!("{scheme}{host}")),
        })
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

impl Auth {
    /// Reads the URL of the server; which of its headers go on is decided elsewhere.
    pub(super) fn parse(url: &str) -> Result<Auth, Refusal> {
        const FORM: &str = "write http://HOST:PORT/PATH, https:// for TLS, or http+unix:///SOCKET:/PATH";
        match Upstream::of_requests(url) {
            Some(read) => {
                let (server, path) = read?;
                Ok(Auth { server: Upstream { path: Some(path), ..server }, headers: Vec::new() })
            }
            None if url.contains("://") => Err(Refusal::new("it is not asked with this scheme", FORM)),
            None => Err(Refusal::new("the URL has no scheme", FORM)),
        }
    }

    /// The URL that is asked.
    pub(super) fn url(&self) -> String {
        self.server.request_url(self.server.path.as_deref().unwrap_or("/"))
    }
}

/// Reads the name of a header of an auth server's answer that goes on to the backend.
pub(super) fn auth_header(name: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "leave it out; name headers of your own, as in \"X-User\"";
    if !http::is_token(name.as_bytes()) {
        return Err(Refusal::new("it is not the name of a header", "write one, as in \"X-User\""));
    }
    let lower = name.to_ascii_lowercase();
    if http::is_hop_header(name) || matches!(&*lower, "content-length" | "host") {
        return Err(Refusal::new("this header is about the connection that it came on", REMEDY));
    }
    let handshake = lower.starts_with("sec-websocket-") || lower.starts_with("websocket-") || lower == "origin";
    if handshake || is_claim(name) || http::is_alike(name, CONNECTION_ID) {
        return Err(Refusal::new("this header is hybridge's own to write", REMEDY));
    }
    Ok(name.to_owned())
}

/// Reads the addresses that one has, `10.0.0.5`, or all of a network, `10.0.0.0/8`.
///
/// # Errors
///
/// When the text is neither; the refusal says what to write.
pub fn parse_network(text: &str) -> Result<IpNet, Refusal> {
    const FORM: &str = "write an address or a network, as in \"10.0.0.5\", \"10.0.0.0/8\" or \"fd00::/8\"";
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(if address == "localhost" {
            Refusal::new("a name is not an address", "write \"127.0.0.1\" and \"::1\"")
        } else if address.starts_with('[') {
            Refusal::new("an address alone has no brackets", format!("{FORM}, without a port"))
        } else if address.parse::<std::net::SocketAddr>().is_ok() {
            Refusal::new("an address alone has no port", "leave out the colon and what follows it")
        } else if address.contains('%') {
            Refusal::new("an address with a zone is not served", "leave out the % and what follows it")
        } else {
            Refusal::new("it is not an address", FORM)
        });
    };
    let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(length) => match length.parse::<u8>() {
            Ok(bits) if bits <= most && length.bytes().all(|byte| byte.is_ascii_digit()) => bits,
            _ => {
                let mask = length.parse().ok().and_then(|mask: Ipv4Addr| ipnet::ipv4_mask_to_prefix(mask).ok());
                let remedy = match mask {
                    Some(bits) if ip.is_ipv4() => format!("write \"{address}/{bits}\""),
                    _ => format!("write a number from 0 to {most} after the slash"),
                };
                return Err(Refusal::new(format!("{} is not the length of a network", quoted(length)), remedy));
            }
        },
    };
    // Clients are compared by what their addresses mean, so no client would ever be in such a network.
    if let (IpAddr::V6(ip), Some(bits)) = (ip, length.checked_sub(96))
        && let Some(Ok(mapped)) = ip.to_ipv4_mapped().map(|ip| Ipv4Net::new(ip, bits))
    {
        let remedy = format!("write {:?}", written(IpNet::V4(mapped.trunc())));
        return Err(Refusal::new("this is IPv4 in the form of IPv6", remedy));
    }
    let Ok(network) = IpNet::new(ip, length) else { return Err(Refusal::new("it is not a network", FORM)) };
    if network.trunc() != network {
        let remedy =
            format!("write {:?} for the network, or {:?} for the one address", network.trunc().to_string(), address);
        return Err(Refusal::new("the address has bits behind the network's", remedy));
    }
    Ok(network)
}

/// Reads the addresses of those who are believed what they say of others, as [`parse_network`] does.
///
/// # Errors
///
/// When the text is no such addresses, or all that there are: anybody could then be anyone.
pub fn parse_trusted(text: &str) -> Result<IpNet, Refusal> {
    match parse_network(text)? {
        network if network.prefix_len() == 0 => Err(Refusal::new(
            "this believes everybody, and anybody could then claim any address",
            "write the addresses of the proxies in front, as in \"10.0.0.5\" or \"10.0.0.0/8\"",
        )),
        network => Ok(network),
    }
}

/// A network as [`parse_network`] reads it, one address without its length.
pub(super) fn written(network: IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

const COUNT: RangeInclusive<u32> = 1..=1_000_000;
const PER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

impl FromStr for Rate {
    type Err = Refusal;

    /// Reads `COUNT/DURATION`.
    fn from_str(text: &str) -> Result<Rate, Refusal> {
        const FORM: &str = "write how many in how long, as in \"30/1m\"";
        let Some((count, per)) = text.split_once('/') else {
            return Err(Refusal::new("it does not say in how long", FORM));
        };
        let (count, per) = (count.trim(), per.trim());
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = count.parse().ok().filter(|number| digits && COUNT.contains(number)) else {
            let reason = format!("{} is not a count from 1 to {}", quoted(count), COUNT.end());
            return Err(Refusal::new(reason, FORM));
        };
        // As in "30/m", of others.
        if matches!(per, "s" | "m" | "h") {
            return Err(Refusal::new("the duration has no number", format!("write \"{number}/1{per}\"")));
        }
        let per = units::parse_duration(per)?;
        if !PER.contains(&per) {
            let (least, most) = (units::duration(*PER.start()), units::duration(*PER.end()));
            return Err(Refusal::new(format!("its duration is not from {least} to {most}"), FORM));
        }
        Ok(Rate { count: number, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, units::duration(self.per))
    }
}
