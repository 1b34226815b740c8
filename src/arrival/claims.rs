//! What trusted fronts claim of a request: `X-Forwarded-*`, `X-Real-IP`, and `Forwarded` (RFC 7239).
//!
//! Each front adds the address of whoever connected to it at the right. So the list is walked from the right, past
//! fronts that are trusted; the first address that is not is the client, and what stands left of it is the client's own
//! word. Other facts are taken from the same place of their lists as the client was: what its own front said. A front may
//! also write a list anew, and have the rest in front of it do so; where a list is shorter, its first member is meant.
//!
//! `Forwarded` is heard only where none of the others is there. Fronts write the one or the other, mostly the former, and
//! let pass what they do not know: next to `X-Forwarded-For` a `Forwarded` is as likely the client's.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{BadClaim, Believed, Facts, ForwardedHeader, is_in, split_port, with_port};
use crate::http::{self, Fields};

/// The most fronts that are walked past. Nobody has so many.
const MOST: usize = 64;
/// How much of a bad value is shown.
const SHOWN: usize = 100;

/// An address with a port, if that is known.
type Node = (IpAddr, Option<u16>);

/// Sets the facts that the headers of a trusted peer claim.
pub(super) fn hear(facts: &mut Facts, fields: &Fields<'_>, trusted: &[IpNet], bad: &mut Vec<BadClaim>) {
    let former = ForwardedHeader::ALL.into_iter().filter(|header| *header != ForwardedHeader::Forwarded);
    let standard = standard(fields, bad);
    if former.into_iter().any(|header| fields.has(header.name())) {
        let peer = facts.client;
        facts.believed = Believed::Former;
        hear_former(facts, fields, trusted, bad);
        let walk = walk(peer, trusted, standard.iter().rev().map(Element::node));
        if walk.found.is_some_and(|(other, _)| other != facts.client) {
            let value = fields.first("forwarded").unwrap_or_default();
            bad.push(claim(
                "Forwarded",
                value,
                "names another client than the X-Forwarded headers, which are believed",
            ));
        }
    } else if !standard.is_empty() {
        facts.believed = Believed::Standard;
        hear_standard(facts, &standard, trusted, bad);
    }
}

fn claim(header: &'static str, value: &[u8], why: &'static str) -> BadClaim {
    BadClaim { header, value: value[..value.len().min(SHOWN)].escape_ascii().to_string(), why }
}

/// How far the list of addresses is to be believed.
struct Walk {
    /// The client, if anyone names one.
    found: Option<Node>,
    /// How many members of a list were written by trusted fronts, from the right.
    hops: usize,
    /// Whether it ended at a member that is no address.
    stopped: bool,
}

/// Walks the nodes from the right, as long as those who wrote them are trusted.
fn walk(peer: IpAddr, trusted: &[IpNet], nodes: impl Iterator<Item = Option<Node>>) -> Walk {
    let mut walk = Walk { found: None, hops: 0, stopped: false };
    let mut writer = peer;
    for node in nodes.take(MOST) {
        if !is_in(trusted, writer) {
            break;
        }
        walk.hops += 1;
        let Some((address, _)) = node else {
            walk.stopped = true;
            break;
        };
        walk.found = node;
        writer = address;
    }
    // The peer itself is trusted, whether it names its client or not.
    walk.hops = walk.hops.max(1);
    walk
}

fn set_client(facts: &mut Facts, walk: &Walk) {
    if let Some((address, port)) = walk.found {
        (facts.client, facts.client_port) = (address, port);
    }
}

/// The members of all lists of this name, in their order.
fn members<'a>(fields: &Fields<'a>, header: ForwardedHeader) -> Vec<&'a [u8]> {
    let fields = fields.iter().filter(|field| field.is(header.name()));
    fields.flat_map(|field| http::list(field.value)).collect()
}

fn hear_former(facts: &mut Facts, fields: &Fields<'_>, trusted: &[IpNet], bad: &mut Vec<BadClaim>) {
    let mut chain = (ForwardedHeader::For, members(fields, ForwardedHeader::For));
    // Some fronts write this alone. It has no list, and so nothing to walk past.
    if chain.1.is_empty() {
        chain = (ForwardedHeader::RealIp, members(fields, ForwardedHeader::RealIp));
    }
    let (header, chain) = chain;
    let walk = walk(facts.client, trusted, chain.iter().rev().map(|text| node(text)));
    set_client(facts, &walk);
    if walk.stopped {
        let at = chain.len() - walk.hops;
        if !is_hidden(chain[at]) {
            bad.push(claim(header.name(), chain[at], "is no address"));
        }
    }
    let mut said = |header, why, parse: &mut dyn FnMut(&str) -> bool| {
        let members = members(fields, header);
        let Some(value) = members.get(members.len().saturating_sub(walk.hops)) else { return };
        if !std::str::from_utf8(value).is_ok_and(parse) {
            bad.push(claim(header.name(), value, why));
        }
    };
    said(ForwardedHeader::Proto, NO_PROTO, &mut |text| proto(text).map(|secure| facts.secure = secure).is_some());
    let (mut named, mut number) = (None, None);
    said(ForwardedHeader::Host, NO_HOST, &mut |text| {
        named = host(text);
        named.is_some()
    });
    said(ForwardedHeader::Port, "is no port from 1 to 65535", &mut |text| {
        number = port(text);
        number.is_some()
    });
    set_host(facts, named, number);
}

const NO_PROTO: &str = "is neither http, https, ws nor wss";
const NO_HOST: &str = "is not a host and port";

/// The port of the one header is the host's of the other, if it has none of its own; or that of `Host`.
fn set_host(facts: &mut Facts, named: Option<(String, Option<u16>)>, number: Option<u16>) {
    match named {
        Some((name, port)) => {
            facts.host = Some(match port.or(number) {
                Some(port) => with_port(&name, port, facts.secure),
                None => name,
            });
        }
        None => facts.host_port = number,
    }
}

fn hear_standard(facts: &mut Facts, elements: &[Element], trusted: &[IpNet], bad: &mut Vec<BadClaim>) {
    let walk = walk(facts.client, trusted, elements.iter().rev().map(Element::node));
    set_client(facts, &walk);
    let believed = &elements[elements.len().saturating_sub(walk.hops)..];
    if let (true, Some(Element { client: Some(text), .. })) = (walk.stopped, believed.first())
        && !is_hidden(text.as_bytes())
    {
        bad.push(claim("Forwarded", text.as_bytes(), "is no address"));
    }
    // The client's own front, or the nearest to it that says so.
    if let Some(text) = believed.iter().find_map(|element| element.proto.as_deref()) {
        match proto(text) {
            Some(secure) => facts.secure = secure,
            None => bad.push(claim("Forwarded", text.as_bytes(), NO_PROTO)),
        }
    }
    if let Some(text) = believed.iter().find_map(|element| element.host.as_deref()) {
        match host(text) {
            Some(named) => set_host(facts, Some(named), None),
            None => bad.push(claim("Forwarded", text.as_bytes(), NO_HOST)),
        }
    }
}

/// RFC 7239 §6: a front may say that it does not know, or will not tell.
fn is_hidden(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"unknown") || text.starts_with(b"_")
}

/// An address, IPv6 also in brackets, and perhaps a port.
fn node(text: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), None));
    }
    let (name, port_text) = split_port(text);
    let address = match name.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(name.parse::<Ipv4Addr>().ok()?),
    };
    let number = match port_text {
        None => None,
        // RFC 7239 §6.2: a port may be hidden as well.
        Some(hidden) if hidden.starts_with('_') => None,
        Some(text) => Some(port(text)?),
    };
    Some((address.to_canonical(), number))
}

fn port(text: &str) -> Option<u16> {
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

/// Whether the scheme is one with TLS.
fn proto(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(false),
        "https" | "wss" => Some(true),
        _ => None,
    }
}

/// A host in lower case, as browsers compare it, and its port.
fn host(text: &str) -> Option<(String, Option<u16>)> {
    let (name, number) = split_port(text);
    let number = match number {
        Some(text) => Some(port(text)?),
        None => None,
    };
    let fits = http::is_host(text) && text.len() <= 255 && !text.contains(',');
    fits.then(|| (name.to_ascii_lowercase(), number))
}

/// One front's word in `Forwarded`.
#[derive(Default)]
struct Element {
    client: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

impl Element {
    fn node(&self) -> Option<Node> {
        node(self.client.as_deref()?.as_bytes())
    }
}

/// All elements of `Forwarded`, in their order. A line that cannot be read is one that says nothing, where the walk ends.
fn standard(fields: &Fields<'_>, bad: &mut Vec<BadClaim>) -> Vec<Element> {
    let mut all = Vec::new();
    for field in fields.iter().filter(|field| field.is("forwarded")) {
        match elements(field.value) {
            Some(elements) => all.extend(elements),
            None => {
                // A client may have written as many as a head may have lines, and a front let them through.
                if bad.is_empty() {
                    bad.push(claim("Forwarded", field.value, "is not well formed (RFC 7239 4)"));
                }
                all.push(Element::default());
            }
        }
    }
    all
}

/// Whether the line can be read.
pub(super) fn is_well_formed(line: &[u8]) -> bool {
    elements(line).is_some()
}

/// RFC 7239 §4: elements between commas, pairs between semicolons, values as they are or in quotes.
fn elements(line: &[u8]) -> Option<Vec<Element>> {
    let mut rest = std::str::from_utf8(line).ok()?;
    let mut all = Vec::new();
    let mut element = Element::default();
    let mut is_empty = true;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = value(after)?;
            if !http::is_token(name.as_bytes()) {
                return None;
            }
            let slot = match name.to_ascii_lowercase().as_str() {
                "for" => Some(&mut element.client),
                "proto" => Some(&mut element.proto),
                "host" => Some(&mut element.host),
                _ => None,
            };
            // §4: each parameter once in an element.
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return None;
            }
            is_empty = false;
            rest = after.trim_start_matches([' ', '\t']);
        }
        match rest.as_bytes().first() {
            Some(b';') => {}
            None | Some(b',') => {
                if !is_empty {
                    all.push(std::mem::take(&mut element));
                }
                is_empty = true;
            }
            Some(_) => return None,
        }
        match rest.get(1..) {
            Some(after) => rest = after,
            None => return Some(all),
        }
    }
}

/// A value, and what follows it. Addresses with a colon should be in quotes, and often are not.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ';', ' ', '\t']).unwrap_or(text.len()));
        let plain = value.bytes().all(|byte| http::is_token(&[byte]) || b":[]".contains(&byte));
        return (plain && !value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}
