//! What clients and backends say: opening handshakes and frames, written out by hand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::{Dialect, HYBI};

/// The whole of a text or binary message, a close, a ping and a pong: FIN and opcode.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;
/// Fragments: the first of a text, one in the middle, the last.
pub const FIRST: u8 = 0x01;
pub const MIDDLE: u8 = 0x00;
pub const LAST: u8 = 0x80;

/// hixie-76 §5.3: the closing frame.
pub const GOODBYE: &[u8] = b"\xff\0";

/// The example of hixie-76 §1.2, whose answer is [`DIGEST`].
pub const KEY1: &str = "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5";
pub const KEY2: &str = "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00";
pub const KEY3: &[u8] = b"^n:ds[4U";
pub const DIGEST: &[u8] = b"8jKS'y:G*Co,Wxa-";

/// The example of RFC 6455 §1.3.
pub const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The value of `Sec-WebSocket-Version`.
pub fn version(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::Hybi07 => 7,
        Dialect::Hybi10 => 8,
        Dialect::Rfc6455 => 13,
        Dialect::Hixie75 | Dialect::Hixie76 => panic!("hixie has no version"),
    }
}

/// Field lines as a head, after its first line.
pub fn head(first: &str, lines: &[&str]) -> Vec<u8> {
    let mut head = format!("{first}\r\n");
    for line in lines {
        head += line;
        head += "\r\n";
    }
    (head + "\r\n").into_bytes()
}

/// The head of a client's opening handshake as the browsers of its dialect write it, for `tv.example:8080` and a page
/// of `http://tv.example`; `more` are lines behind the usual ones.
pub fn opening_head(dialect: Dialect, target: &str, more: &[&str]) -> Vec<u8> {
    let version = HYBI.contains(&dialect).then(|| format!("Sec-WebSocket-Version: {}", version(dialect)));
    let version = version.as_deref().unwrap_or_default();
    let usual: &[&str] = match dialect {
        Dialect::Hixie75 => {
            &["Upgrade: WebSocket", "Connection: Upgrade", "Host: tv.example:8080", "Origin: http://tv.example"]
        }
        Dialect::Hixie76 => &[
            "Upgrade: WebSocket",
            "Connection: Upgrade",
            "Host: tv.example:8080",
            "Origin: http://tv.example",
            KEY1,
            KEY2,
        ],
        Dialect::Hybi07 | Dialect::Hybi10 => &[
            "Host: tv.example:8080",
            "Connection: keep-alive, Upgrade",
            version,
            "Sec-WebSocket-Origin: http://tv.example",
            KEY,
            "Upgrade: websocket",
        ],
        Dialect::Rfc6455 => &[
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Host: tv.example:8080",
            "Origin: http://tv.example",
            KEY,
            version,
        ],
    };
    head(&format!("GET {target} HTTP/1.1"), &[usual, more].concat())
}

/// The whole opening handshake: the head, and in hixie-76 the third key.
pub fn opening(dialect: Dialect, target: &str, more: &[&str]) -> Vec<u8> {
    let mut bytes = opening_head(dialect, target, more);
    if dialect == Dialect::Hixie76 {
        bytes.extend_from_slice(KEY3);
    }
    bytes
}

/// Exactly what the client must hear in answer to [`opening`], the digest of hixie-76 included; `more` are lines behind
/// those that the dialect demands.
pub fn answer(dialect: Dialect, target: &str, more: &[&str]) -> Vec<u8> {
    let location = format!("Location: ws://tv.example:8080{target}");
    let mut bytes = match dialect {
        Dialect::Hixie75 => head(
            "HTTP/1.1 101 Web Socket Protocol Handshake",
            &[
                &[
                    "Upgrade: WebSocket",
                    "Connection: Upgrade",
                    "WebSocket-Origin: http://tv.example",
                    &format!("WebSocket-{location}"),
                ],
                more,
            ]
            .concat(),
        ),
        Dialect::Hixie76 => head(
            "HTTP/1.1 101 WebSocket Protocol Handshake",
            &[
                &[
                    "Upgrade: WebSocket",
                    "Connection: Upgrade",
                    "Sec-WebSocket-Origin: http://tv.example",
                    &format!("Sec-WebSocket-{location}"),
                ],
                more,
            ]
            .concat(),
        ),
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => head(
            "HTTP/1.1 101 Switching Protocols",
            &[&["Upgrade: websocket", "Connection: Upgrade", ACCEPT], more].concat(),
        ),
    };
    if dialect == Dialect::Hixie76 {
        bytes.extend_from_slice(DIGEST);
    }
    bytes
}

/// The value of a field in a head, by its exact name.
pub fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// RFC 6455 §4.2.2: what proves that a backend has read this request.
pub fn accept_of(request: &str) -> String {
    let key = field(request, "Sec-WebSocket-Key").expect("the upstream's request has a key");
    STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

/// A backend's consent to `request`.
pub fn consent(request: &str, more: &[&str]) -> Vec<u8> {
    let accept = format!("Sec-WebSocket-Accept: {}", accept_of(request));
    let usual = ["Upgrade: websocket", "Connection: Upgrade", &accept];
    head("HTTP/1.1 101 Switching Protocols", &[&usual, more].concat())
}

fn header(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask | length as u8),
        126..=0xFFFF => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

/// A backend's frame; `first` is its first byte.
pub fn plain(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = header(first, 0, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// A hybi client's frame.
pub fn masked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = header(first, 0x80, payload.len());
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The payload of a close.
pub fn status(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// A text as the client of that dialect says it.
pub fn said(dialect: Dialect, text: impl AsRef<[u8]>) -> Vec<u8> {
    if HYBI.contains(&dialect) { masked(TEXT, text) } else { [b"\0", text.as_ref(), b"\xff"].concat() }
}

/// A text as the client of that dialect hears it.
pub fn heard(dialect: Dialect, text: impl AsRef<[u8]>) -> Vec<u8> {
    if HYBI.contains(&dialect) { plain(TEXT, text) } else { [b"\0", text.as_ref(), b"\xff"].concat() }
}

/// The close that a client of that dialect hears; nothing in hixie-75, which has none.
pub fn farewell(dialect: Dialect, code: u16) -> Vec<u8> {
    match dialect {
        Dialect::Hixie75 => Vec::new(),
        Dialect::Hixie76 => GOODBYE.to_vec(),
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => plain(CLOSE, status(code, "")),
    }
}
