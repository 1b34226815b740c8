//! What an answer must repeat: the dialect, the first lines, the origin, the location, the subprotocol.

use std::net::Ipv4Addr;

use super::Fault;
use super::answer::Answer;
use super::scene::Sight;
use super::words::shown;
use crate::dialect::Dialect;
use crate::dialect::terms::Terms;

/// An answer in another dialect than the client's.
pub(super) fn other_dialect(answer: &Answer<'_>) -> Option<(Fault, String)> {
    let has = |name: &str| answer.response.fields.has(name);
    let hixie75 = has("websocket-location") || has("websocket-origin");
    let hixie76 = has("sec-websocket-location") || has("sec-websocket-origin");
    let hybi = has("sec-websocket-accept");
    let found = match answer.asked.dialect {
        Dialect::Hixie75 | Dialect::Hixie76 if hybi && !hixie75 && !hixie76 => (
            Fault::HybiAnswerToHixie,
            "I am of 2010 and look for a location; the server sent Sec-WebSocket-Accept, as to a client of today",
        ),
        Dialect::Hixie75 if hixie76 && !hixie75 => (
            Fault::HixieMixedUp,
            "I speak hixie-75 and look for WebSocket-Location; the server sent Sec-WebSocket-Location",
        ),
        Dialect::Hixie76 if hixie75 && !hixie76 => (
            Fault::HixieMixedUp,
            "I speak hixie-76 and look for Sec-WebSocket-Location; the server sent WebSocket-Location",
        ),
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 if !hybi && (hixie75 || hixie76) => (
            Fault::HixieAnswerToHybi,
            "I look for Sec-WebSocket-Accept; the server sent a location, as to a client of 2010",
        ),
        _ => return None,
    };
    Some((found.0, found.1.to_owned()))
}

/// The three fixed lines of hixie-75.
pub(super) fn first_lines(answer: &Answer<'_>) -> (Fault, String) {
    let response = &answer.response;
    let first: Vec<&str> = response.fields.iter().take(3).map(|field| field.name).collect();
    let there = response.fields.has_token("upgrade", "websocket") && response.fields.has_token("connection", "upgrade");
    let in_place = |at: usize, name: &str| first.get(at).is_some_and(|got| got.eq_ignore_ascii_case(name));
    let moved = !in_place(0, "upgrade") || !in_place(1, "connection");
    if there && moved && response.reason == "Web Socket Protocol Handshake" {
        let words = "I compare the first three lines byte for byte: status, Upgrade, Connection; after the status came";
        return (Fault::FirstLinesReordered, format!("{words} {}", first.join(", ")));
    }
    let words = "I compare the first three lines byte for byte, and look for";
    let (wanted, sent) = if response.reason == "Web Socket Protocol Handshake" {
        let value = |name: &str| response.fields.first(name).map_or("none".into(), shown);
        let sent = format!("Upgrade: {}, Connection: {}", value("upgrade"), value("connection"));
        ("Upgrade: WebSocket, Connection: Upgrade", sent)
    } else {
        ("101 Web Socket Protocol Handshake", format!("101 {}", response.reason))
    };
    (Fault::FirstLinesChanged, format!("{words} `{wanted}`; the server sent `{sent}`"))
}

fn header(answer: &Answer<'_>, name: &str) -> String {
    let prefix = if answer.asked.dialect == Dialect::Hixie75 { "WebSocket" } else { "Sec-WebSocket" };
    format!("{prefix}-{name}")
}

/// An origin that is not the page's.
pub(super) fn origin(answer: &Answer<'_>) -> (Fault, String) {
    let name = header(answer, "Origin");
    let all: Vec<&[u8]> = answer.response.fields.iter().filter(|f| f.is(&name)).map(|f| f.value).collect();
    let own = answer.terms.origin.as_deref();
    let words = match own {
        Some(own) => format!("my page is {}", shown(own.as_bytes())),
        None => "I named no origin".to_owned(),
    };
    let (fault, sent) = match (&all[..], own) {
        ([], _) => (Fault::AnswerOriginMissing, "the server sent none".to_owned()),
        ([value], own) => {
            let sent = format!("the server sent {}", shown(value));
            let fault = match own {
                Some(own) if own.as_bytes().eq_ignore_ascii_case(value) => Fault::AnswerOriginCase,
                _ if *value == b"null" => Fault::AnswerOriginNull,
                _ => Fault::AnswerOriginOther,
            };
            (fault, sent)
        }
        (several, _) => (Fault::AnswerOriginTwice, format!("the server sent {} of them", several.len())),
    };
    (fault, format!("I compare {name} with my page's origin: {words}, {sent}"))
}

/// A URL, as far as a location is compared.
struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn read(text: &'a str) -> Url<'a> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| digits(port)) {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        Url { scheme, host, port, path, query }
    }

    fn default_port(&self) -> &'static str {
        if self.scheme == "wss" { "443" } else { "80" }
    }
}

/// A host that means nothing outside: an address of a private network, or a name without a dot.
fn is_internal(host: &str) -> bool {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.is_private() || address.is_loopback() || address.is_link_local();
    }
    let suffixes = [".local", ".internal", ".lan", ".localdomain"];
    !host.contains(['.', '[']) || suffixes.iter().any(|suffix| host.ends_with(suffix))
}

/// A `Host` inside, asked for by a page outside: a front may have replaced it, and then the location made from it is
/// not the page's URL either.
pub(super) fn replaced_host(terms: &Terms) -> Option<String> {
    let origin = terms.origin.as_deref()?;
    let (page, host) = (Url::read(origin), Url::read(&terms.host));
    let outside = !page.host.is_empty() && !is_internal(page.host) && terms.dialect.facts().version.is_none();
    (outside && is_internal(host.host)).then(|| {
        format!(
            "Host is {}, a host inside, and the page is {}: where a front replaced Host, a location made from it is not \
             the URL the page opened",
            shown(terms.host.as_bytes()),
            shown(origin.as_bytes())
        )
    })
}

/// A location that is not the URL the page opened.
pub(super) fn location(answer: &Answer<'_>) -> (Fault, String) {
    let name = header(answer, "Location");
    let all: Vec<&[u8]> = answer.response.fields.iter().filter(|f| f.is(&name)).map(|f| f.value).collect();
    let own = answer.terms.url();
    let (client, compares, drop) = match answer.scene.client {
        Sight::None => ("a WebKit of 2010", "compares", "it drops"),
        _ => ("I", "compare", "I drop"),
    };
    let value = match &all[..] {
        [value] => *value,
        [] => {
            return (Fault::LocationMissing, format!("{client} {compares} {name} with the URL; the server sent none"));
        }
        several => {
            let words = format!("{client} {compares} {name} with the URL; the server sent {} of them", several.len());
            return (Fault::LocationTwice, words);
        }
    };
    let text = String::from_utf8_lossy(value);
    let (page, sent) = (Url::read(&own), Url::read(&text));
    let told = match answer.asked.secure {
        Some((_, by)) if page.scheme != sent.scheme => format!(" (told by: {by})"),
        _ => String::new(),
    };
    let words = format!(
        "{client} {compares} {name} with the URL the page opened: it has {}{told}, the server sent {}; \
         {drop} the connection without a word",
        shown(own.as_bytes()),
        shown(value)
    );
    let fault = if page.scheme != sent.scheme {
        Fault::LocationScheme
    } else if !page.host.eq_ignore_ascii_case(sent.host) && is_internal(sent.host) && !is_internal(page.host) {
        Fault::LocationInternalHost
    } else if page.host != sent.host {
        Fault::LocationHost
    } else if page.port != sent.port {
        let default = page.port.is_none() && sent.port == Some(sent.default_port());
        if default { Fault::LocationDefaultPort } else { Fault::LocationPort }
    } else if page.path == sent.path && page.query.is_some() && sent.query.is_none() {
        Fault::LocationQuery
    } else {
        Fault::LocationPath
    };
    (fault, words)
}

/// A subprotocol that does not fit what was asked.
pub(super) fn subprotocol(answer: &Answer<'_>) -> (Fault, String) {
    let asked = answer.terms.asked.as_ref();
    let name = asked.map_or("Sec-WebSocket-Protocol", |asked| asked.header);
    let sent: Vec<String> =
        answer.response.fields.iter().filter(|field| field.is(name)).map(|field| shown(field.value)).collect();
    match (asked, &sent[..]) {
        (Some(asked), []) => {
            let words = format!("I asked for the subprotocol `{}`", shown(asked.value.as_bytes()));
            (Fault::SubprotocolLeftOut, format!("{words} and was sent none: I drop the connection"))
        }
        (None, sent) => {
            let words = format!("I asked for no subprotocol and was sent `{}`", sent.join("` and `"));
            (Fault::SubprotocolUnasked, words)
        }
        (Some(asked), sent) => {
            let words = format!("I asked for the subprotocol `{}`", shown(asked.value.as_bytes()));
            (Fault::SubprotocolOther, format!("{words} and was sent `{}`", sent.join("` and `")))
        }
    }
}
