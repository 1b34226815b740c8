//! An opening handshake that was understood: what it becomes upstream, and how it is answered in its own dialect.

pub mod auth;
pub mod stream;

use std::borrow::Cow;

use super::{Dialect, hixie76, hybi};
use crate::http::{self, BadHead, Refusal, Request, Response};

/// Extensions whose frames keep RFC 6455's layout and only set reserved bits, so that a relay which reads frames may
/// let them through. `deflate-stream` and the `mux` drafts hide the frames themselves and are never offered on.
const TRANSPARENT: [&str; 3] = ["permessage-deflate", "deflate-frame", "x-webkit-deflate-frame"];

/// Room for a head that is written, which mostly has no more.
const HEAD: usize = 512;
/// And for the field lines that travel on, with those that tell of the client.
const LINES: usize = 16;

/// An opening handshake, understood and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What the client speaks.
    pub dialect: Dialect,
    /// Path and query, as they came.
    pub target: String,
    /// The `Host` header, as it came.
    pub host: String,
    /// The page's origin; `None` where the client named none.
    pub origin: Option<String>,
    /// The subprotocols it asked for.
    pub asked: Option<Asked>,
    /// The extensions it offered and that may pass, as a header value.
    pub extensions: Option<String>,
    /// What its dialect's answer is made from.
    pub proof: Proof,
    /// The field lines that travel on, in their order and letter case; `Host` and `Origin` stand in them as gaps.
    forwarded: Vec<Line>,
}

/// What the client must see in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// hixie-75 proves nothing.
    None,
    /// The numbers of the two keys of hixie-76; the third key follows the head.
    Numbers(u32, u32),
    /// The value of `Sec-WebSocket-Accept`.
    Accept(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Host(String),
    Origin,
    Other(Cow<'static, str>, Vec<u8>),
}

/// The subprotocols a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The header to answer under: the name the client used.
    pub header: &'static str,
    /// The value as it came, lines joined; hixie compares the whole of it.
    pub value: String,
    /// The names in it, in their order, each once.
    pub names: Vec<String>,
    /// Whether the answer is the chosen name and not the whole value: for hybi, and for the Flash shim in hixie-76.
    pub answer_name: bool,
}

/// What both ends agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The value of the client's subprotocol header.
    pub subprotocol: Option<String>,
    /// Whether the upstream left out the subprotocol the client insists on, and the client is answered all the same.
    pub subprotocol_assumed: bool,
    /// The extensions, as the upstream wrote them.
    pub extensions: Option<String>,
    /// Field lines of the upstream's answer that travel on, each with its CR LF.
    fields: Vec<u8>,
}

impl Opening {
    /// Puts together what the sniffer found. `asked`, `extensions` and `proof` are as the dialect reads them.
    pub fn new(
        dialect: Dialect,
        request: &Request<'_>,
        target: &str,
        origin: Option<&str>,
        asked: Option<Asked>,
        proof: Proof,
    ) -> Opening {
        let extensions = (dialect == Dialect::Rfc6455).then(|| transparent_offers(request)).flatten();
        let fields = &request.fields;
        let mut forwarded = Vec::with_capacity(LINES);
        let mut origin_placed = origin.is_none();
        for field in fields.iter() {
            if field.is("host") {
                forwarded.push(Line::Host(field.name.to_owned()));
            } else if field.is("origin") || field.is("sec-websocket-origin") {
                // One origin goes on, under its final name, where the first of them stood.
                if !std::mem::replace(&mut origin_placed, true) {
                    forwarded.push(Line::Origin);
                }
            } else if !is_handshake_field(field.name) && !fields.is_hop_by_hop(field.name) {
                forwarded.push(Line::Other(field.name.to_owned().into(), field.value.to_vec()));
            }
        }
        Opening {
            dialect,
            target: target.to_owned(),
            host: fields.first("host").map(String::from_utf8_lossy).unwrap_or_default().into_owned(),
            origin: origin.map(str::to_owned),
            asked,
            extensions,
            proof,
            forwarded,
        }
    }

    /// Takes those field lines out that are `removed`, and puts `added` behind those that stay. What belongs to the
    /// handshake itself, `Host` and `Origin` among it, and to one hop alone is neither taken out nor added.
    ///
    /// # Errors
    /// A name or a value that no head can hold; then nothing is changed.
    pub fn replace<N: AsRef<str> + Into<Cow<'static, str>>>(
        &mut self,
        removed: &dyn Fn(&str) -> bool,
        added: Vec<(N, Vec<u8>)>,
    ) -> Result<(), BadHead> {
        if added.iter().any(|(name, _)| !http::is_token(name.as_ref().as_bytes())) {
            return Err(BadHead::FieldName);
        }
        if added.iter().any(|(_, value)| !http::is_value(value)) {
            return Err(BadHead::FieldValue);
        }
        self.forwarded.retain(|line| !matches!(line, Line::Other(name, _) if removed(name)));
        let may_be_added = |name: &str| {
            let gap = ["host", "origin"].iter().any(|gap| name.eq_ignore_ascii_case(gap));
            !gap && !is_handshake_field(name) && !http::is_hop_header(name)
        };
        let added = added.into_iter().filter(|(name, _)| may_be_added(name.as_ref()));
        self.forwarded.extend(added.map(|(name, value)| Line::Other(name.into(), value)));
        Ok(())
    }

    /// The opening handshake of RFC 6455 §4.1 that this one becomes, for `target` at the upstream. `host` replaces the
    /// client's `Host` where the route says so; `key` is fresh.
    pub fn upstream_request(&self, target: &str, host: Option<&str>, key: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD);
        for part in ["GET ", target, " HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        put(&mut out, "Sec-WebSocket-Version", b"13");
        put(&mut out, "Sec-WebSocket-Key", key.as_bytes());
        if let Some(asked) = self.asked.as_ref().filter(|asked| !asked.names.is_empty()) {
            put(&mut out, "Sec-WebSocket-Protocol", asked.names.join(", ").as_bytes());
        }
        if let Some(extensions) = &self.extensions {
            put(&mut out, "Sec-WebSocket-Extensions", extensions.as_bytes());
        }
        for line in &self.forwarded {
            match line {
                Line::Host(name) => put(&mut out, name, host.unwrap_or(&self.host).as_bytes()),
                Line::Origin => put(&mut out, "Origin", self.origin.as_deref().unwrap_or_default().as_bytes()),
                Line::Other(name, value) => put(&mut out, name, value),
            }
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The values of the field lines of this name, in lower case, that travel on.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.forwarded.iter().filter_map(move |line| match line {
            Line::Other(own, value) if own.eq_ignore_ascii_case(name) => Some(&value[..]),
            _ => None,
        })
    }

    /// Judges the upstream's answer to a handshake sent with `key` (RFC 6455 §4.1, the client's checks).
    ///
    /// # Errors
    /// What the client is told instead: the upstream's own refusal, or 502 for an answer that only looks like consent.
    pub fn agree(&self, response: &Response<'_>, key: &str) -> Result<Agreed, Refusal> {
        if response.status != 101 {
            return Err(declined(response));
        }
        let bad = |why: &str| Err(Refusal::new(502, format!("the upstream answered 101 {why}")));
        let fields = &response.fields;
        if !fields.has_token("upgrade", "websocket") {
            return bad("without Upgrade: websocket");
        }
        if !fields.has_token("connection", "upgrade") {
            return bad("without Connection: Upgrade");
        }
        if fields.only("sec-websocket-accept") != Ok(Some(hybi::accept(key).as_bytes())) {
            return bad("with a wrong Sec-WebSocket-Accept");
        }
        let mut agreed = Agreed::default();
        if fields.has("sec-websocket-extensions") {
            match self.agreed_extensions(response) {
                Some(extensions) => agreed.extensions = Some(extensions),
                None => return bad("with an extension that was not offered"),
            }
        }
        let chosen = match fields.only("sec-websocket-protocol") {
            Ok(chosen) => chosen.map(|name| String::from_utf8_lossy(name).into_owned()),
            Err(http::Repeated) => return bad("with two subprotocols"),
        };
        match (&self.asked, chosen) {
            (Some(asked), Some(chosen)) if asked.names.contains(&chosen) => {
                agreed.subprotocol = Some(if asked.answer_name { chosen } else { asked.value.clone() });
            }
            (_, Some(_)) => return bad("with a subprotocol that was not asked for"),
            (Some(asked), None) if self.dialect.facts().version.is_none() => {
                // hixie-76 §4.1: a client that asked and is not answered fails; a modern backend just says nothing.
                agreed.subprotocol = Some(asked.value.clone());
                agreed.subprotocol_assumed = true;
            }
            (_, None) => {}
        }
        for field in fields.iter().filter(|field| self.travels_back(field, response)) {
            put(&mut agreed.fields, field.name, field.value);
        }
        Ok(agreed)
    }

    /// The answer that opens the connection, up to and including its blank line. `location` is the URL the client
    /// used, which hixie compares.
    pub fn answer(&self, agreed: &Agreed, location: &str) -> Vec<u8> {
        // hixie-75 §4.1 compares these three lines byte for byte. "WebSocket" with capitals is what Opera demands of
        // hixie-76; lower case and canonical header names are what devices of the hybi years search for.
        let first = match self.dialect {
            Dialect::Hixie75 => "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\n",
            Dialect::Hixie76 => "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\n",
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            }
        };
        let mut out = Vec::with_capacity(HEAD);
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        let [origin_name, location_name] = match self.dialect {
            Dialect::Hixie75 => ["WebSocket-Origin", "WebSocket-Location"],
            _ => ["Sec-WebSocket-Origin", "Sec-WebSocket-Location"],
        };
        if let Proof::Accept(accept) = &self.proof {
            put(&mut out, "Sec-WebSocket-Accept", accept.as_bytes());
        } else {
            // No Origin asked, none echoed: an empty value makes a WebKit fail.
            if let Some(origin) = &self.origin {
                put(&mut out, origin_name, origin.as_bytes());
            }
            put(&mut out, location_name, location.as_bytes());
        }
        if let (Some(asked), Some(subprotocol)) = (&self.asked, &agreed.subprotocol) {
            put(&mut out, asked.header, subprotocol.as_bytes());
        }
        if let Some(extensions) = &agreed.extensions {
            put(&mut out, "Sec-WebSocket-Extensions", extensions.as_bytes());
        }
        out.extend_from_slice(&agreed.fields);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The 16 bytes that follow a hixie-76 answer, once the third key is there.
    pub fn challenge_answer(&self, key3: [u8; hixie76::KEY3]) -> Option<[u8; 16]> {
        match self.proof {
            Proof::Numbers(first, second) => Some(hixie76::answer(first, second, key3)),
            Proof::None | Proof::Accept(_) => None,
        }
    }

    /// Whether the bytes that follow the head already may be this client's.
    ///
    /// # Errors
    /// A hixie-75 client whose first byte begins no text frame: typically eight bytes of a hixie-76 handshake whose
    /// keys an intermediary took away.
    pub fn check_early(&self, early: &[u8]) -> Result<(), Refusal> {
        match (self.dialect, early.first()) {
            (Dialect::Hixie75, Some(first)) if *first != 0 => Err(Refusal::new(
                400,
                "bytes that begin no frame follow a hixie-75 handshake: Sec-WebSocket-Key1 and -Key2 were stripped on the way",
            )),
            _ => Ok(()),
        }
    }

    /// The extensions in the answer, if each of them was offered.
    fn agreed_extensions(&self, response: &Response<'_>) -> Option<String> {
        let offers = self.extensions.as_deref().unwrap_or_default();
        let mut agreed = Vec::new();
        for field in response.fields.all("sec-websocket-extensions") {
            for answer in extensions(field.text()?) {
                if !extensions(offers).any(|offer| extension_name(offer) == extension_name(answer)) {
                    return None;
                }
                agreed.push(answer);
            }
        }
        (!agreed.is_empty()).then(|| agreed.join(", "))
    }

    /// Whether a field of the upstream's 101 goes on to the client.
    fn travels_back(&self, field: &http::Field<'_>, response: &Response<'_>) -> bool {
        // An old WebKit fails on an empty value and on what is not UTF-8; hixie answers carry no more than they must.
        let readable = field.text().is_some_and(|value| !value.is_empty());
        let wanted = self.dialect.facts().version.is_some() || field.is("set-cookie");
        readable && wanted && !is_handshake_field(field.name) && !response.fields.is_hop_by_hop(field.name)
    }
}

/// What the client is told when the upstream did not consent.
fn declined(response: &Response<'_>) -> Refusal {
    declined_by("the upstream", response)
}

/// What the client is told when a server did not consent: the same status, and what of its fields may travel.
fn declined_by(who: &str, response: &Response<'_>) -> Refusal {
    let why = format!("{who} answered {} {}", response.status, response.reason).trim_end().to_owned();
    // 304: nobody asked whether something had changed, and the client would take our body for what follows.
    // 426: the upstream does not speak RFC 6455, and the versions it lists are not the client's business.
    if !(300..600).contains(&response.status) || matches!(response.status, 304 | 426) {
        return Refusal::new(502, why);
    }
    let mut refusal = Refusal::new(response.status, why);
    if !response.reason.is_empty() {
        refusal.phrase = Some(response.reason.to_owned());
    }
    for field in response.fields.iter() {
        let name = field.name.to_ascii_lowercase();
        let about_the_body = name.starts_with("content-") || name == "etag" || name == "last-modified";
        let hop = response.fields.is_hop_by_hop(&name);
        if let Some(value) = field.text().filter(|value| !value.is_empty())
            && !about_the_body
            && !hop
            && !is_handshake_field(field.name)
        {
            refusal = refusal.with(field.name, value);
        }
    }
    refusal
}

fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Whether a field belongs to the handshake itself, which this proxy writes anew on either side.
fn is_handshake_field(name: &str) -> bool {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("sec-websocket-") || starts("websocket-") || name.eq_ignore_ascii_case("content-length")
}

/// The offers that may pass, as one header value; `None` if there are none.
fn transparent_offers(request: &Request<'_>) -> Option<String> {
    let offers: Vec<&str> = request
        .fields
        .all("sec-websocket-extensions")
        .filter_map(http::Field::text)
        .flat_map(extensions)
        .filter(|offer| TRANSPARENT.contains(&extension_name(offer)))
        .collect();
    (!offers.is_empty()).then(|| offers.join(", "))
}

/// The members of an extension list (RFC 6455 §9.1); a comma in a quoted parameter separates nothing.
pub(super) fn extensions(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value
        .split(move |c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// The name of one of them.
pub(super) fn extension_name(extension: &str) -> &str {
    extension.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        let head = b"GET /a?b HTTP/1.1\r\nX-One: 1\r\nHost: tv\r\nx-user: forged\r\nOrigin: http://o\r\nX-Two: 2\r\n\
                     X-USER: forged\r\n\r\n";
        let request = Request::parse(head, 100).expect("a head");
        Opening::new(Dialect::Rfc6455, &request, "/a?b", Some("http://o"), None, Proof::None)
    }

    /// The field lines that go on, without those of the handshake.
    fn fields(opening: &Opening) -> String {
        let request = String::from_utf8(opening.upstream_request("/", None, "key")).expect("text");
        let (_, fields) = request.split_once("Sec-WebSocket-Key: key\r\n").expect("a handshake");
        fields.replace("\r\n", "|")
    }

    fn added(lines: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn what_is_added_comes_last_and_what_stays_keeps_its_place() {
        let mut opening = opening();
        let lines = added(&[("X-User", "a"), ("X-Group", "b"), ("X-Group", ""), ("x-User", "\u{e9}\t")]);
        opening.replace(&|name| name.eq_ignore_ascii_case("x-user"), lines).expect("proper lines");
        assert_eq!(
            fields(&opening),
            "X-One: 1|Host: tv|Origin: http://o|X-Two: 2|X-User: a|X-Group: b|X-Group: |x-User: \u{e9}\t||"
        );
        opening.replace(&|_| true, added(&[])).expect("no lines");
        assert_eq!(fields(&opening), "Host: tv|Origin: http://o||");
    }

    #[test]
    fn what_belongs_to_the_handshake_or_to_one_hop_is_not_added() {
        let mut opening = opening();
        let before = opening.clone();
        for name in [
            "Host",
            "ORIGIN",
            "Sec-WebSocket-Origin",
            "sec-websocket-key",
            "WebSocket-Protocol",
            "Upgrade",
            "Connection",
            "Content-Length",
            "transfer-encoding",
            "Proxy-Authorization",
            "TE",
        ] {
            opening.replace(&|_| false, added(&[(name, "1")])).expect("proper lines");
            assert_eq!(opening, before, "{name}");
        }
    }

    #[test]
    fn what_no_head_can_hold_changes_nothing() {
        let mut opening = opening();
        let before = opening.clone();
        for (name, value, expected) in [
            ("", "1", BadHead::FieldName),
            ("X Y", "1", BadHead::FieldName),
            ("X:", "1", BadHead::FieldName),
            ("X\r\nY", "1", BadHead::FieldName),
            ("X", "1\r\nY: 2", BadHead::FieldValue),
            ("X", "1\n", BadHead::FieldValue),
            ("X", "1\r", BadHead::FieldValue),
            ("X", "1\0", BadHead::FieldValue),
            ("X", "\u{7f}", BadHead::FieldValue),
        ] {
            let lines = added(&[("X-Good", "1"), (name, value)]);
            assert_eq!(opening.replace(&|_| true, lines), Err(expected), "{name:?} {value:?}");
            assert_eq!(opening, before);
        }
    }
}
