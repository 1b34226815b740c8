//! Version 1 of the PROXY protocol: one line of text.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{BadPreamble, Pair, Preamble};

/// §2.1: the longest line, its CR LF included.
const LONGEST: usize = 107;
const PREFIX: &[u8] = b"PROXY ";
const PROTOCOLS: [&str; 3] = ["TCP4", "TCP6", "UNKNOWN"];

/// Reads the line as far as it is there: each part as soon as it is whole.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Preamble, usize)>, BadPreamble> {
    let here = bytes.len().min(PREFIX.len());
    if bytes[..here] != PREFIX[..here] {
        return Err(BadPreamble::NoPreamble);
    }
    let line = &bytes[here..bytes.len().min(LONGEST - 1)];
    let (line, is_whole) = match line.iter().position(|byte| *byte == b'\r') {
        Some(end) => match bytes.get(here + end + 1) {
            Some(b'\n') => (&line[..end], true),
            Some(_) => return Err(BadPreamble::Line),
            None => (&line[..end], false),
        },
        None if bytes.len() >= LONGEST - 1 => return Err(BadPreamble::LongLine),
        None => (line, false),
    };
    let text = std::str::from_utf8(line).ok().filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let source = parts(text.ok_or(BadPreamble::Line)?, is_whole)?;
    Ok(is_whole.then(|| (Preamble { source, ..Preamble::default() }, here + line.len() + 2)))
}

/// What follows `PROXY `: the addresses, if it is whole and names some.
fn parts(text: &str, is_whole: bool) -> Result<Option<(SocketAddr, SocketAddr)>, BadPreamble> {
    let (protocol, rest) = match text.split_once(' ') {
        Some((protocol, rest)) => (protocol, Some(rest)),
        None => (text, None),
    };
    let is_begun = rest.is_none() && !is_whole;
    if !PROTOCOLS.iter().any(|known| protocol == *known || (is_begun && known.starts_with(protocol))) {
        return Err(BadPreamble::Protocol);
    }
    // §2.1: whatever follows UNKNOWN is to be ignored.
    if is_begun || protocol == "UNKNOWN" {
        return Ok(None);
    }
    let parts: Vec<&str> = rest.map_or_else(Vec::new, |rest| rest.split(' ').collect());
    if parts.len() > 4 || (is_whole && parts.len() < 4) {
        return Err(BadPreamble::Parts);
    }
    // The last part of a line cut short may go on.
    let whole = if is_whole { parts.len() } else { parts.len().saturating_sub(1) };
    if parts[..whole].contains(&"") {
        return Err(BadPreamble::Parts);
    }
    let mut addresses = Vec::new();
    for part in &parts[..whole.min(2)] {
        addresses.push(address(protocol, part).ok_or(BadPreamble::Address)?);
    }
    let mut ports = Vec::new();
    for part in parts[..whole].iter().skip(2) {
        ports.push(port(part).ok_or(BadPreamble::Port)?);
    }
    match (&addresses[..], &ports[..]) {
        ([client, local], [from, to]) => Ok(Some((SocketAddr::new(*client, *from), SocketAddr::new(*local, *to)))),
        _ => Ok(None),
    }
}

fn address(protocol: &str, text: &str) -> Option<IpAddr> {
    match protocol {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
    }
}

/// §2.1: decimal, from 0 to 65535, without leading zeros; and no sign, which the standard library would take.
fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port: &u16| port.to_string() == text)
}

/// The line for these addresses.
pub(super) fn write(source: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let Some((client, local)) = source else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let line = |protocol: &str, from: &dyn Display, to: &dyn Display| {
        format!("PROXY {protocol} {from} {to} {} {}\r\n", client.port(), local.port()).into_bytes()
    };
    match Pair::of(client.ip(), local.ip()) {
        Pair::V4(from, to) => line("TCP4", &from, &to),
        Pair::V6(from, to) => line("TCP6", &from, &to),
    }
}
