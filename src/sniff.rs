//! First bytes of a connection to a verdict: an opening handshake in some dialect, plain HTTP, or a refusal.
//!
//! The verdict depends on the bytes alone, never on how they were cut: as long as it could still change, it is "more".

use std::fmt;

use crate::dialect::hixie76::key_number;
use crate::dialect::opening::{Asked, Opening, Proof};
use crate::dialect::{Dialect, DialectSet, hybi};
use crate::http::{self, Refusal, Repeated, Request};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Not enough yet to tell.
    More,
    /// HTTP, after so many bytes of stray line ends.
    Http(usize),
    /// Another protocol, or none.
    Foreign(Foreign),
}

/// A protocol that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// The PROXY protocol, version 1 or 2.
    Proxy,
    /// A TLS ClientHello, also in the format of SSLv2.
    Tls,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Flash asking for its policy file.
    FlashPolicy,
    /// Nothing known.
    Garbage,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Proxy => "a PROXY protocol preamble",
            Foreign::Tls => "a TLS handshake",
            Foreign::Http2 => "HTTP/2 with prior knowledge",
            Foreign::FlashPolicy => "a Flash policy request",
            Foreign::Garbage => "neither HTTP nor anything else known",
        })
    }
}

impl Foreign {
    /// Why a listener does not serve it, as the end of a sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            Foreign::Proxy => ", from a peer that the listener's proxy_protocol does not name",
            Foreign::Tls => ", and the listener has no certificates",
            Foreign::Http2 => ", which is not served",
            Foreign::FlashPolicy => ", and the listener has no flash_policy to answer with",
            Foreign::Garbage => "",
        }
    }

    /// What its peer is told before the connection ends, in its own protocol.
    pub fn farewell(self) -> &'static [u8] {
        match self {
            Foreign::Tls => &HANDSHAKE_FAILURE,
            _ => &[],
        }
    }
}

/// A fatal alert (RFC 8446 §6), in a record that every version reads: handshake_failure.
const HANDSHAKE_FAILURE: [u8; 7] = [0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 40];

const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const SIGNATURES: [(&[u8], Foreign); 5] = [
    (PROXY_V2, Foreign::Proxy),
    (b"PROXY ", Foreign::Proxy),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Foreign::Http2),
    (b"<policy-file-request/>\0", Foreign::FlashPolicy),
    // The record type and major version of every TLS since SSL 3.0.
    (b"\x16\x03", Foreign::Tls),
];

/// Looks at the first bytes of a connection (at most 24 decide).
pub fn first(bytes: &[u8]) -> First {
    for (signature, foreign) in SIGNATURES {
        if bytes.starts_with(signature) {
            return First::Foreign(foreign);
        }
        if signature.starts_with(bytes) {
            return First::More;
        }
    }
    // RFC 9112 §2.2: a server should ignore an empty line before the request line; two, for clients that end a body so.
    let mut skipped = 0;
    for _ in 0..2 {
        match &bytes[skipped..] {
            [b'\r', b'\n', ..] => skipped += 2,
            [b'\n', ..] => skipped += 1,
            [b'\r'] => return First::More,
            _ => {}
        }
    }
    match &bytes[skipped..] {
        [] => First::More,
        [first, ..] if http::is_token(&[*first]) => First::Http(skipped),
        // SSLv2 §1.2: two bytes of length with the top bit set, then a ClientHello (1).
        [0x80..=0xFF, _, 0x01, ..] if skipped == 0 => First::Foreign(Foreign::Tls),
        [0x80..=0xFF] | [0x80..=0xFF, _] if skipped == 0 => First::More,
        _ => First::Foreign(Foreign::Garbage),
    }
}

/// What a whole, readable head asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An opening handshake.
    Opening(Box<Opening>),
    /// An ordinary request, whose body is framed so.
    Http(Body),
}

/// How the body of an ordinary request is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes, perhaps none.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// Checks what holds for every request, whatever route and dialect, and returns its host (empty where an HTTP/1.0
/// client named none) and its path with query.
///
/// # Errors
/// The refusal to send.
pub fn addressed<'a>(request: &Request<'a>) -> Result<(&'a str, &'a str), Refusal> {
    let refuse = |status, why: &str| Err(Refusal::new(status, why));
    if request.version.0 > 1 {
        return refuse(505, "this server speaks HTTP/1.1");
    }
    let host = match request.fields.only("host") {
        Ok(Some(host)) => std::str::from_utf8(host).ok().filter(|host| http::is_host(host)),
        Ok(None) if request.version == (1, 0) => Some(""),
        Ok(None) => return refuse(400, "there is no Host header (RFC 9112 3.2)"),
        Err(Repeated) => return refuse(400, "there are two Host headers (RFC 9112 3.2)"),
    };
    let Some(host) = host else { return refuse(400, "Host is not a host and port (RFC 9110 7.2)") };
    if request.method == "CONNECT" {
        return Err(Refusal::new(405, "CONNECT is not served").with("Allow", "GET, HEAD, POST, PUT, DELETE"));
    }
    match request.path() {
        Ok(path) => Ok((host, path)),
        Err(http::ForeignTarget) => refuse(400, "the target is neither a path nor a URL of this host (RFC 9112 3.2)"),
    }
}

/// Whether the bytes begin with the whole head of an ordinary request.
pub fn is_ordinary_request(bytes: &[u8]) -> bool {
    let First::Http(skip) = first(bytes) else { return false };
    let Ok(Some(length)) = http::head_length(&bytes[skip..]) else { return false };
    let request = Request::parse(&bytes[skip..skip + length], usize::MAX);
    request.is_ok_and(|request| matches!(classify(&request, DialectSet::ALL), Ok(Verdict::Http(_))))
}

/// From the head to the dialect, among those that are `on`: the first rule that matches decides.
///
/// # Errors
/// The refusal to send, in the manner of the dialect it was taken for.
pub fn classify(request: &Request<'_>, on: DialectSet) -> Result<Verdict, Refusal> {
    let (_, target) = addressed(request)?;
    let fields = &request.fields;
    if !fields.has_token("upgrade", "websocket") {
        if fields.iter().any(|field| field.name.to_ascii_lowercase().starts_with("sec-websocket-")) {
            return Err(Refusal::new(400, "Sec-WebSocket headers without Upgrade: an intermediary stripped it"));
        }
        return Ok(Verdict::Http(body(request)?));
    }
    let refuse = |why: &str| Err(Refusal::new(400, why));
    if request.method != "GET" {
        return Err(Refusal::new(405, "a WebSocket handshake is a GET (RFC 6455 4.1)").with("Allow", "GET"));
    }
    if request.version < (1, 1) {
        return refuse("a WebSocket handshake over HTTP/1.0: an intermediary downgraded it");
    }
    if !fields.has_token("connection", "upgrade") {
        return refuse("Upgrade without Connection: Upgrade (RFC 6455 4.2.1)");
    }
    let hixie76 = fields.has("sec-websocket-key1") && fields.has("sec-websocket-key2");
    let length = fields.only("content-length");
    // Three hixie-76 clients announce their third key; it is no body for all that.
    let no_body = matches!(length, Ok(None | Some(b"0"))) || (hixie76 && length == Ok(Some(b"8")));
    if !no_body || fields.has("transfer-encoding") {
        return refuse("a WebSocket handshake with a body");
    }
    let reader = Reader { request, target, on };
    let opening = match reader.version()? {
        Some(dialect) => reader.hybi(dialect),
        None => reader.unversioned(),
    }?;
    Ok(Verdict::Opening(Box::new(opening)))
}

/// RFC 9112 §6.3, and nothing that two readers could frame differently.
fn body(request: &Request<'_>) -> Result<Body, Refusal> {
    let refuse = |why: &str| Err(Refusal::new(400, why));
    let fields = &request.fields;
    match (fields.only("transfer-encoding"), fields.only("content-length")) {
        (Err(Repeated), _) | (_, Err(Repeated)) => {
            refuse("a repeated Content-Length or Transfer-Encoding (RFC 9112 6.3)")
        }
        (Ok(Some(_)), Ok(Some(_))) => refuse("both Content-Length and Transfer-Encoding (RFC 9112 6.3)"),
        (Ok(Some(coding)), Ok(None)) if request.version >= (1, 1) && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Body::Chunked)
        }
        (Ok(Some(_)), Ok(None)) => refuse("a Transfer-Encoding other than chunked (RFC 9112 6.1)"),
        (Ok(None), Ok(Some(length))) => match std::str::from_utf8(length).ok().and_then(decimal) {
            Some(length) => Ok(Body::Length(length)),
            None => refuse("a Content-Length that is no number (RFC 9110 8.6)"),
        },
        (Ok(None), Ok(None)) => Ok(Body::Length(0)),
    }
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Reads the part of an opening handshake in which the dialects differ.
struct Reader<'r, 'a> {
    request: &'r Request<'a>,
    target: &'a str,
    on: DialectSet,
}

impl Reader<'_, '_> {
    fn not_enabled(&self, why: String) -> Refusal {
        Refusal::new(426, why).with_versions(self.on.versions())
    }

    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(400, why))
    }

    fn refuse_version<T>(&self, why: &str) -> Result<T, Refusal> {
        Err(Refusal::new(400, why).with_versions(self.on.versions()))
    }

    /// The dialect of `Sec-WebSocket-Version`, if there is one.
    fn version(&self) -> Result<Option<Dialect>, Refusal> {
        let value = match self.request.fields.only("sec-websocket-version") {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(None),
            Err(Repeated) => return self.refuse_version("two Sec-WebSocket-Version headers (RFC 6455 4.2.1)"),
        };
        let text = std::str::from_utf8(value).unwrap_or_default();
        let number = decimal(text).and_then(|number| u8::try_from(number).ok());
        let Some(number) = number.filter(|number| number.to_string() == text) else {
            return self.refuse_version("Sec-WebSocket-Version is not a number from 0 to 255 (RFC 6455 4.3)");
        };
        match Dialect::of_version(number).filter(|dialect| self.on.contains(*dialect)) {
            Some(dialect) => Ok(Some(dialect)),
            None => Err(self.not_enabled(format!("version {number} of the WebSocket protocol is not served here"))),
        }
    }

    fn hybi(&self, dialect: Dialect) -> Result<Opening, Refusal> {
        let key = match self.request.fields.only("sec-websocket-key") {
            Ok(Some(key)) => std::str::from_utf8(key).ok().filter(|key| hybi::is_key(dialect, key)),
            Ok(None) => return self.refuse("there is no Sec-WebSocket-Key (RFC 6455 4.2.1)"),
            Err(Repeated) => return self.refuse("two Sec-WebSocket-Key headers (RFC 6455 11.3.1)"),
        };
        let Some(key) = key else {
            return self.refuse("Sec-WebSocket-Key is not base64 of 16 bytes (RFC 6455 4.2.1)");
        };
        // hybi-11 renamed the header. One client of version 8 sends both, and means the old one.
        let origin = match dialect {
            Dialect::Rfc6455 => self.origin(["origin", "sec-websocket-origin"])?,
            _ => self.origin(["sec-websocket-origin", "origin"])?,
        };
        let asked = self.asked_names()?;
        let proof = Proof::Accept(hybi::accept(key));
        Ok(Opening::new(dialect, self.request, self.target, origin, asked, proof))
    }

    /// hixie-75 or -76, or something that only resembles them.
    fn unversioned(&self) -> Result<Opening, Refusal> {
        let fields = &self.request.fields;
        if fields.has("sec-websocket-key") {
            return self.refuse_version("Sec-WebSocket-Key without Sec-WebSocket-Version (RFC 6455 4.2.1)");
        }
        if fields.all("sec-websocket-draft").any(|draft| draft.value != b"0") {
            return self.refuse("hybi-01 to hybi-03, announced by Sec-WebSocket-Draft, are not served");
        }
        let keys = [("Sec-WebSocket-Key1", "sec-websocket-key1"), ("Sec-WebSocket-Key2", "sec-websocket-key2")];
        let mut numbers = [None; 2];
        for ((shown, name), number) in keys.into_iter().zip(&mut numbers) {
            *number = match fields.only(name) {
                Ok(Some(key)) => match key_number(key) {
                    Ok(number) => Some(number),
                    Err(broken) => return self.refuse(format!("{shown} {broken} (hixie-76 5.2)")),
                },
                Ok(None) => None,
                Err(Repeated) => return self.refuse(format!("two {shown} headers (hixie-76 5.2)")),
            };
        }
        let (dialect, proof) = match numbers {
            [Some(first), Some(second)] => (Dialect::Hixie76, Proof::Numbers(first, second)),
            [None, None] => (Dialect::Hixie75, Proof::None),
            _ => return self.refuse("one of Sec-WebSocket-Key1 and -Key2 without the other (hixie-76 5.2)"),
        };
        if !self.on.contains(dialect) {
            return Err(self.not_enabled(format!("{dialect} is not served here")));
        }
        let origin = self.origin(["origin", "origin"])?;
        if origin.is_some_and(|origin| origin.chars().any(|c| c.is_control() || c.is_whitespace())) {
            return self.refuse("Origin holds a blank (hixie-76 5.1)");
        }
        let asked = self.asked_value(dialect)?;
        Ok(Opening::new(dialect, self.request, self.target, origin, asked, proof))
    }

    /// The origin, from the first of the two headers that has one.
    fn origin(&self, names: [&str; 2]) -> Result<Option<&str>, Refusal> {
        for name in names {
            match self.request.fields.only(name) {
                Ok(Some(value)) => match std::str::from_utf8(value) {
                    Ok("") => {}
                    Ok(origin) => return Ok(Some(origin)),
                    Err(_) => return self.refuse("Origin is not text (RFC 6454 7)"),
                },
                Ok(None) => {}
                Err(Repeated) => return self.refuse("two Origin headers (RFC 6454 7.3)"),
            }
        }
        Ok(None)
    }

    /// hybi: a list of tokens, perhaps over several lines (RFC 6455 §11.3.4).
    fn asked_names(&self) -> Result<Option<Asked>, Refusal> {
        let mut names: Vec<String> = Vec::new();
        for name in self.request.fields.all("sec-websocket-protocol").flat_map(|field| http::list(field.value)) {
            let text = std::str::from_utf8(name).ok().filter(|name| http::is_token(name.as_bytes()));
            let Some(name) = text else {
                return self.refuse("Sec-WebSocket-Protocol is not a list of tokens (RFC 6455 11.3.4)");
            };
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        let value = names.join(", ");
        Ok((!names.is_empty()).then_some(Asked { header: "Sec-WebSocket-Protocol", value, names, answer_name: true }))
    }

    /// hixie: one opaque string. What in it could be names is offered upstream; the client compares the whole.
    fn asked_value(&self, dialect: Dialect) -> Result<Option<Asked>, Refusal> {
        let fields = &self.request.fields;
        let headers = match dialect {
            Dialect::Hixie75 => ["WebSocket-Protocol", "Sec-WebSocket-Protocol"],
            _ => ["Sec-WebSocket-Protocol", "WebSocket-Protocol"],
        };
        let Some(header) =
            headers.into_iter().find(|header| fields.first(header).is_some_and(|value| !value.is_empty()))
        else {
            return Ok(None);
        };
        let value = match fields.only(header) {
            Ok(value) => value.and_then(|value| std::str::from_utf8(value).ok()),
            Err(Repeated) => return self.refuse(format!("two {header} headers (hixie-76 5.1)")),
        };
        let Some(value) = value.filter(|value| value.bytes().all(|byte| (0x20..=0x7E).contains(&byte))) else {
            return self.refuse(format!("{header} holds other characters than U+0020 to U+007E (hixie-76 1.9)"));
        };
        let mut names: Vec<String> = Vec::new();
        for name in value.split([',', ' ']).filter(|name| http::is_token(name.as_bytes())) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        // The Flash shim writes a list and takes one name as answer; every WebKit wants its whole string back. The
        // order of their headers tells them apart.
        let place = |name: &str| fields.iter().position(|field| field.is(name));
        let flash = match (place("cookie"), place("sec-websocket-key1"), place(header)) {
            (Some(cookie), Some(key1), Some(protocol)) => cookie < key1 && key1 < protocol,
            _ => false,
        };
        Ok(Some(Asked { header, value: value.to_owned(), names, answer_name: flash }))
    }
}
