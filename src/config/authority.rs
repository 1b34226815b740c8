//! Hosts and ports as people write them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::fault::{Refusal, quoted};

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

/// Takes a pattern of hosts apart, `HOST` or `*.DOMAIN`, with a port or without. What is below a domain begins with its
/// dot.
pub(super) fn split_pattern(text: &str) -> Result<(String, Option<u16>), Refusal> {
    const FORM: &str = "write *. before a domain, as in \"*.tv.example\", or the host as it is";
    let domain = text.strip_prefix("*.");
    let (host, _) = domain.unwrap_or(text).split_once(':').unwrap_or((domain.unwrap_or(text), ""));
    if host.contains('*') {
        return Err(Refusal::new("a * stands for whole names, left of all others", FORM));
    }
    let Some(domain) = domain else { return split_authority(text) };
    let (host, port) = split_authority(domain)?;
    if host.contains(':') || host.parse::<Ipv4Addr>().is_ok() {
        return Err(Refusal::new("there is nothing below an address", "write the address without *."));
    }
    Ok((format!(".{host}"), port))
}

/// A host as it stands in a URL, an IPv6 address in brackets, and a port that is not the scheme's own.
pub(super) fn joined(host: &str, port: Option<u16>, usual: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match port.filter(|port| Some(*port) != usual) {
        None => host,
        Some(port) => format!("{host}:{port}"),
    }
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
