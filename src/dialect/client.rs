//! The client's part of each dialect: the opening handshake as its browsers send it, their judgement of the answer, and
//! the codec they speak from then on.
//!
//! The judgement is as strict as the strictest browser of the dialect: what passes here opens everywhere. Like all of
//! the core it owns no socket, no clock and no randomness.

use std::fmt;

use super::opening::{extension_name, extensions};
use super::{BinaryPolicy, Dialect, hixie76, hybi};
use crate::event::Codec;
use crate::http::{self, BadHead, Fields, Response};

/// The longest answer head that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The most fields in it.
const MAX_FIELDS: usize = 100;
/// hixie-75 §4.1: the answer begins with these bytes and no others.
const HIXIE75_PREAMBLE: &[u8] =
    b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n";

/// What a client asks for. The texts go out as they are: whoever fills them in keeps line ends out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    dialect: Dialect,
    secret: Secret,
    /// The `Host` header: in lower case, with the port where it is not the scheme's own.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Whether the client's own connection is encrypted, so that hixie expects `wss` in the answer.
    pub secure: bool,
    /// The page's origin; `None` for a client without pages.
    pub origin: Option<String>,
    /// The subprotocols it would speak. hixie asks with the whole list as one opaque value.
    pub subprotocols: Vec<String>,
    /// The value of `Cookie`.
    pub cookie: Option<String>,
    /// Further fields, such as `User-Agent` or `Sec-WebSocket-Extensions`, where such a browser has its own.
    pub fields: Vec<(String, String)>,
}

/// What only a server that understood the handshake can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Secret {
    None,
    Challenge { key1: String, key2: String, key3: [u8; hixie76::KEY3] },
    Key(String),
}

/// An answer that opens the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The subprotocol: the name chosen, or for hixie the whole value that was asked.
    pub subprotocol: Option<String>,
    /// The extensions, as the server wrote them.
    pub extensions: Option<String>,
    /// Bytes of the answer: those that follow are frames.
    pub taken: usize,
}

/// The rule that an answer broke. Each is a sentence about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongAnswer {
    /// The head is no HTTP.
    SentUnreadableHead(BadHead),
    /// The head is longer than any browser reads.
    SentEndlessHead,
    /// Any status but 101.
    Declined(u16),
    /// hixie-75 §4.1: the first three lines differ from the fixed ones.
    ChangedFirstLines,
    /// An old WebKit looks for two blanks in the status line, and so for a reason phrase.
    LeftOutReason,
    /// An old WebKit gives up on a field without a value, or one that is not UTF-8.
    SentUnreadableValue,
    /// `Upgrade` is missing, repeated or another.
    SentWrongUpgrade,
    /// `Connection` is missing, repeated or another.
    SentWrongConnection,
    /// hixie: the origin is not the page's.
    SentWrongOrigin,
    /// hixie: the location is not the URL that the page used.
    SentWrongLocation,
    /// The subprotocol is none of those asked for.
    ChoseForeignSubprotocol,
    /// A subprotocol was asked for and none is named.
    ChoseNoSubprotocol,
    /// An extension was not offered.
    ChoseForeignExtension,
    /// hixie-76 §4.1: the 16 bytes do not answer the challenge.
    FailedChallenge,
    /// RFC 6455 §4.1: `Sec-WebSocket-Accept` does not answer the key.
    SentWrongAccept,
}

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use WrongAnswer as W;
        f.write_str(match self {
            W::SentUnreadableHead(why) => return write!(f, "sent a head that cannot be read: {why}"),
            W::SentEndlessHead => "sent a head of more than 16 KiB",
            W::Declined(status) => return write!(f, "answered with status {status} and not 101"),
            W::ChangedFirstLines => "changed the three fixed first lines (hixie-75 4.1)",
            W::LeftOutReason => "left out the blank before the reason phrase",
            W::SentUnreadableValue => "sent a header whose value is empty or not UTF-8",
            W::SentWrongUpgrade => "did not send the one Upgrade header expected",
            W::SentWrongConnection => "did not send the one Connection header expected",
            W::SentWrongOrigin => "did not repeat the page's origin",
            W::SentWrongLocation => "did not repeat the URL that was opened",
            W::ChoseForeignSubprotocol => "chose a subprotocol that was not asked for",
            W::ChoseNoSubprotocol => "chose no subprotocol although some were asked for",
            W::ChoseForeignExtension => "chose an extension that was not offered",
            W::FailedChallenge => "did not answer the challenge (hixie-76 4.1)",
            W::SentWrongAccept => "did not answer the key with Sec-WebSocket-Accept (RFC 6455 4.1)",
        })
    }
}

impl std::error::Error for WrongAnswer {}

/// A place in the request, in the order of the dialect's browsers.
enum Slot {
    Line(&'static str),
    Host,
    Origin(&'static str),
    Subprotocols(&'static str),
    Cookie,
    Secret,
    Others,
}

/// The places of a dialect's request: hixie-75 §4.1 fixes them; the others are WebKit's for hixie-76 and v8 (Safari 5,
/// Chrome 14), Firefox's for v7 and Chrome's for v13.
fn layout(dialect: Dialect) -> &'static [Slot] {
    use Slot::{Cookie, Host, Line, Origin, Others, Secret, Subprotocols};
    match dialect {
        Dialect::Hixie75 => &[
            Line("Upgrade: WebSocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Origin"),
            Subprotocols("WebSocket-Protocol"),
            Cookie,
            Others,
        ],
        Dialect::Hixie76 => &[
            Line("Upgrade: WebSocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Cookie,
            Secret,
            Others,
        ],
        Dialect::Hybi07 => &[
            Host,
            Others,
            Line("Connection: keep-alive, Upgrade"),
            Line("Sec-WebSocket-Version: 7"),
            Origin("Sec-WebSocket-Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Secret,
            Cookie,
            Line("Pragma: no-cache"),
            Line("Cache-Control: no-cache"),
            Line("Upgrade: websocket"),
        ],
        Dialect::Hybi10 => &[
            Line("Upgrade: websocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Sec-WebSocket-Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Secret,
            Line("Sec-WebSocket-Version: 8"),
            Others,
            Cookie,
        ],
        Dialect::Rfc6455 => &[
            Line("Upgrade: websocket"),
            Line("Connection: Upgrade"),
            Host,
            Origin("Origin"),
            Subprotocols("Sec-WebSocket-Protocol"),
            Line("Pragma: no-cache"),
            Line("Cache-Control: no-cache"),
            Secret,
            Line("Sec-WebSocket-Version: 13"),
            Others,
            Cookie,
        ],
    }
}

impl Ask {
    /// A client that asks for this `target` at this `host`, over a plain connection and without anything optional. Its
    /// keys are made from the numbers that `random` draws; nobody may foretell them where a browser is involved.
    pub fn new(dialect: Dialect, host: &str, target: &str, random: &mut dyn FnMut() -> u32) -> Ask {
        let secret = match dialect {
            Dialect::Hixie75 => Secret::None,
            Dialect::Hixie76 => {
                let (key1, key2) = (hixie_key(random), hixie_key(random));
                let mut key3 = [0; hixie76::KEY3];
                fill(&mut key3, random);
                Secret::Challenge { key1, key2, key3 }
            }
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                let mut nonce = [0; 16];
                fill(&mut nonce, random);
                Secret::Key(hybi::client_key(nonce))
            }
        };
        Ask {
            dialect,
            secret,
            host: host.to_owned(),
            target: target.to_owned(),
            secure: false,
            origin: None,
            subprotocols: Vec::new(),
            cookie: None,
            fields: Vec::new(),
        }
    }

    /// What the client speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The opening handshake, with the eight bytes that follow the head of hixie-76.
    pub fn request(&self) -> Vec<u8> {
        let mut out = format!("GET {} HTTP/1.1\r\n", self.target);
        let mut put = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                out.push_str(part);
            }
        };
        for slot in layout(self.dialect) {
            match (slot, &self.secret) {
                (Slot::Line(line), _) => {
                    let (name, value) = line.split_once(": ").expect("the fixed lines are fields");
                    put(name, value);
                }
                (Slot::Host, _) => put("Host", &self.host),
                (Slot::Origin(name), _) => self.origin.iter().for_each(|origin| put(name, origin)),
                (Slot::Subprotocols(name), _) => self.asked().iter().for_each(|asked| put(name, asked)),
                (Slot::Cookie, _) => self.cookie.iter().for_each(|cookie| put("Cookie", cookie)),
                (Slot::Secret, Secret::Challenge { key1, key2, .. }) => {
                    put("Sec-WebSocket-Key1", key1);
                    put("Sec-WebSocket-Key2", key2);
                }
                (Slot::Secret, Secret::Key(key)) => put("Sec-WebSocket-Key", key),
                (Slot::Secret, Secret::None) => {}
                (Slot::Others, _) => self.fields.iter().for_each(|(name, value)| put(name, value)),
            }
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        if let Secret::Challenge { key3, .. } = &self.secret {
            out.extend_from_slice(key3);
        }
        out
    }

    /// Judges what the server has answered so far. `None` asks for more.
    ///
    /// # Errors
    /// The first rule that the answer broke: a browser fails the connection, and so must the caller.
    pub fn judge(&self, answer: &[u8]) -> Result<Option<Opened>, WrongAnswer> {
        let within = &answer[..answer.len().min(MAX_HEAD)];
        let Some(length) = http::head_length(within).map_err(WrongAnswer::SentUnreadableHead)? else {
            return if within.len() == MAX_HEAD { Err(WrongAnswer::SentEndlessHead) } else { Ok(None) };
        };
        let head = &answer[..length];
        let response = Response::parse(head, MAX_FIELDS).map_err(WrongAnswer::SentUnreadableHead)?;
        if response.status != 101 {
            return Err(WrongAnswer::Declined(response.status));
        }
        self.check_upgrade(head, &response)?;
        let fields = &response.fields;
        match &self.secret {
            Secret::None => {
                self.check_echo(fields, "websocket-origin", "websocket-location")?;
                self.opened_hixie(fields, "websocket-protocol", length).map(Some)
            }
            Secret::Challenge { key1, key2, key3 } => {
                self.check_echo(fields, "sec-websocket-origin", "sec-websocket-location")?;
                let opened = self.opened_hixie(fields, "sec-websocket-protocol", length)?;
                let Some(digest) = answer[length..].first_chunk() else { return Ok(None) };
                if Some(*digest) != challenge_answer(key1, key2, *key3) {
                    return Err(WrongAnswer::FailedChallenge);
                }
                Ok(Some(Opened { taken: length + digest.len(), ..opened }))
            }
            Secret::Key(key) => {
                if fields.only("sec-websocket-accept") != Ok(Some(hybi::accept(key).as_bytes())) {
                    return Err(WrongAnswer::SentWrongAccept);
                }
                let extensions = self.agreed_extensions(fields)?;
                let subprotocol = self.chosen_name(fields)?;
                Ok(Some(Opened { subprotocol, extensions, taken: length }))
            }
        }
    }

    /// The codec for what follows an answer that opened the connection.
    pub fn codec(&self, opened: &Opened) -> Box<dyn Codec> {
        match self.dialect {
            // Both directions of hixie are alike.
            Dialect::Hixie75 | Dialect::Hixie76 => self.dialect.codec(false, BinaryPolicy::Close),
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                Box::new(hybi::Hybi::new(self.dialect, hybi::Role::Client, opened.extensions.is_some()))
            }
        }
    }

    /// The value that asks for the subprotocols, if any are asked for.
    fn asked(&self) -> Option<String> {
        (!self.subprotocols.is_empty()).then(|| self.subprotocols.join(", "))
    }

    /// The status line and the two fields that every dialect has.
    fn check_upgrade(&self, head: &[u8], response: &Response<'_>) -> Result<(), WrongAnswer> {
        let fields = &response.fields;
        let is = |name: &str, expected: &[u8]| fields.only(name).is_ok_and(|value| value == Some(expected));
        let is_in_any_case = |name: &str, expected: &[u8]| {
            fields.only(name).is_ok_and(|value| value.is_some_and(|value| value.eq_ignore_ascii_case(expected)))
        };
        let (upgrade, connection) = match self.dialect {
            Dialect::Hixie75 if head.starts_with(HIXIE75_PREAMBLE) => (true, true),
            Dialect::Hixie75 => return Err(WrongAnswer::ChangedFirstLines),
            // Opera 11 compares the letter case too.
            Dialect::Hixie76 => (is("upgrade", b"WebSocket"), is_in_any_case("connection", b"Upgrade")),
            // WebKit compared the whole value until 2012.
            Dialect::Hybi10 => (is_in_any_case("upgrade", b"websocket"), is_in_any_case("connection", b"Upgrade")),
            Dialect::Hybi07 | Dialect::Rfc6455 => {
                (is_in_any_case("upgrade", b"websocket"), fields.has_token("connection", "Upgrade"))
            }
        };
        if !upgrade {
            return Err(WrongAnswer::SentWrongUpgrade);
        }
        if !connection {
            return Err(WrongAnswer::SentWrongConnection);
        }
        if matches!(self.dialect, Dialect::Hixie75 | Dialect::Hixie76 | Dialect::Hybi10) {
            check_as_old_webkit(head, fields)?;
        }
        Ok(())
    }

    /// hixie-75 §4.1, hixie-76 §4.1: both equal what the page used, byte for byte.
    fn check_echo(&self, fields: &Fields<'_>, origin: &str, location: &str) -> Result<(), WrongAnswer> {
        if fields.only(origin) != Ok(self.origin.as_deref().map(str::as_bytes)) {
            return Err(WrongAnswer::SentWrongOrigin);
        }
        let scheme = if self.secure { "wss" } else { "ws" };
        let expected = format!("{scheme}://{}{}", self.host, self.target);
        if fields.only(location) != Ok(Some(expected.as_bytes())) {
            return Err(WrongAnswer::SentWrongLocation);
        }
        Ok(())
    }

    /// hixie: who asked must get the same value back; who did not looks at none.
    fn opened_hixie(&self, fields: &Fields<'_>, protocol: &str, taken: usize) -> Result<Opened, WrongAnswer> {
        let subprotocol = self.asked();
        if let Some(asked) = &subprotocol {
            match fields.only(protocol) {
                Ok(None) => return Err(WrongAnswer::ChoseNoSubprotocol),
                Ok(Some(chosen)) if chosen == asked.as_bytes() => {}
                _ => return Err(WrongAnswer::ChoseForeignSubprotocol),
            }
        }
        Ok(Opened { subprotocol, extensions: None, taken })
    }

    /// hybi: one of those asked for, or none; Chrome since 32 insists on one.
    fn chosen_name(&self, fields: &Fields<'_>) -> Result<Option<String>, WrongAnswer> {
        let chosen = fields.only("sec-websocket-protocol").map_err(|_| WrongAnswer::ChoseForeignSubprotocol)?;
        let Some(chosen) = chosen else {
            let insists = self.dialect == Dialect::Rfc6455 && !self.subprotocols.is_empty();
            return if insists { Err(WrongAnswer::ChoseNoSubprotocol) } else { Ok(None) };
        };
        let name = self.subprotocols.iter().find(|name| name.as_bytes() == chosen);
        name.cloned().map(Some).ok_or(WrongAnswer::ChoseForeignSubprotocol)
    }

    /// RFC 6455 §4.1: nothing that was not offered.
    fn agreed_extensions(&self, fields: &Fields<'_>) -> Result<Option<String>, WrongAnswer> {
        const NAME: &str = "sec-websocket-extensions";
        let offered: Vec<&str> = self
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
            .flat_map(|(_, value)| extensions(value))
            .map(extension_name)
            .collect();
        let mut agreed = Vec::new();
        for field in fields.all(NAME) {
            for extension in extensions(field.text().ok_or(WrongAnswer::ChoseForeignExtension)?) {
                if !offered.contains(&extension_name(extension)) {
                    return Err(WrongAnswer::ChoseForeignExtension);
                }
                agreed.push(extension);
            }
        }
        Ok((!agreed.is_empty()).then(|| agreed.join(", ")))
    }
}

/// What the WebKit of 2010 and 2011 demanded of any answer.
fn check_as_old_webkit(head: &[u8], fields: &Fields<'_>) -> Result<(), WrongAnswer> {
    let status_line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if status_line.iter().filter(|byte| **byte == b' ').count() < 2 {
        return Err(WrongAnswer::LeftOutReason);
    }
    if fields.iter().any(|field| field.text().is_none_or(str::is_empty)) {
        return Err(WrongAnswer::SentUnreadableValue);
    }
    Ok(())
}

fn challenge_answer(key1: &str, key2: &str, key3: [u8; hixie76::KEY3]) -> Option<[u8; 16]> {
    let number1 = hixie76::key_number(key1.as_bytes()).ok()?;
    let number2 = hixie76::key_number(key2.as_bytes()).ok()?;
    Some(hixie76::answer(number1, number2, key3))
}

/// A `Sec-WebSocket-Key1` or `-Key2` (hixie-76 §4.1, steps 16 to 22): a number that is a multiple of its spaces, with
/// other characters strewn in.
fn hixie_key(random: &mut dyn FnMut() -> u32) -> String {
    let mut below = |end: usize| random() as usize % end;
    let spaces = 1 + below(12);
    let number = below(u32::MAX as usize / spaces);
    let mut key = (number * spaces).to_string();
    for _ in 0..=below(12) {
        let others = ('!'..='/').chain(':'..='~');
        let other = others.clone().nth(below(others.count())).expect("drawn below their count");
        key.insert(below(key.len() + 1), other);
    }
    for _ in 0..spaces {
        // Neither first nor last, where a server would trim it.
        key.insert(1 + below(key.len() - 1), ' ');
    }
    key
}

fn fill(bytes: &mut [u8], random: &mut dyn FnMut() -> u32) {
    for piece in bytes.chunks_mut(4) {
        piece.copy_from_slice(&random().to_be_bytes()[..piece.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, the same every time (xorshift).
    fn numbers(mut state: u32) -> impl FnMut() -> u32 {
        move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        }
    }

    /// A page that asks for everything, with the keys of the drafts' own examples.
    fn ask(dialect: Dialect) -> Ask {
        let mut ask = Ask::new(dialect, "example.com", "/demo", &mut numbers(1));
        ask.origin = Some("http://example.com".into());
        ask.subprotocols = vec!["sample".into()];
        ask.secret = match ask.secret {
            Secret::None => Secret::None,
            Secret::Challenge { .. } => Secret::Challenge {
                key1: "4 @1  46546xW%0l 1 5".into(),
                key2: "12998 5 Y3 1  .P00".into(),
                key3: *b"^n:ds[4U",
            },
            Secret::Key(_) => Secret::Key("dGhlIHNhbXBsZSBub25jZQ==".into()),
        };
        ask
    }

    /// The answers of the drafts' own examples.
    fn answer(dialect: Dialect) -> Vec<u8> {
        match dialect {
            Dialect::Hixie75 => {
                "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
                 WebSocket-Origin: http://example.com\r\nWebSocket-Location: ws://example.com/demo\r\n\
                 WebSocket-Protocol: sample\r\n\r\n"
            }
            Dialect::Hixie76 => {
                "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Origin: http://example.com\r\nSec-WebSocket-Location: ws://example.com/demo\r\n\
                 Sec-WebSocket-Protocol: sample\r\n\r\n8jKS'y:G*Co,Wxa-"
            }
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sample\r\n\r\n"
            }
        }
        .as_bytes()
        .to_vec()
    }

    /// The verdict on the whole answer, once it is certain that it is the same however the answer is cut.
    fn verdict(ask: &Ask, answer: &[u8]) -> Result<Option<Opened>, WrongAnswer> {
        let whole = ask.judge(answer);
        let mut settled = false;
        for end in 0..=answer.len() {
            let so_far = ask.judge(&answer[..end]);
            assert!(so_far == Ok(None) && !settled || so_far == whole, "{so_far:?} and {whole:?} after {end} bytes");
            settled = so_far != Ok(None);
        }
        whole
    }

    #[test]
    fn every_dialect_asks_as_its_browsers_do() {
        let check = |dialect, expected: &str| {
            let mut ask = ask(dialect);
            ask.cookie = Some("a=b".into());
            ask.fields = vec![("User-Agent".into(), "x".into())];
            assert_eq!(ask.request().escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        };
        check(
            Dialect::Hixie75,
            "GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n\
             Origin: http://example.com\r\nWebSocket-Protocol: sample\r\nCookie: a=b\r\nUser-Agent: x\r\n\r\n",
        );
        check(
            Dialect::Hixie76,
            "GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n\
             Origin: http://example.com\r\nSec-WebSocket-Protocol: sample\r\nCookie: a=b\r\n\
             Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\
             User-Agent: x\r\n\r\n^n:ds[4U",
        );
        check(
            Dialect::Hybi07,
            "GET /demo HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Version: 7\r\nSec-WebSocket-Origin: http://example.com\r\nSec-WebSocket-Protocol: sample\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=b\r\nPragma: no-cache\r\n\
             Cache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n",
        );
        check(
            Dialect::Hybi10,
            "GET /demo HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: example.com\r\n\
             Sec-WebSocket-Origin: http://example.com\r\nSec-WebSocket-Protocol: sample\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\nUser-Agent: x\r\n\
             Cookie: a=b\r\n\r\n",
        );
        check(
            Dialect::Rfc6455,
            "GET /demo HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: example.com\r\n\
             Origin: http://example.com\r\nSec-WebSocket-Protocol: sample\r\nPragma: no-cache\r\n\
             Cache-Control: no-cache\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             User-Agent: x\r\nCookie: a=b\r\n\r\n",
        );
    }

    #[test]
    fn the_published_answers_open_at_every_split() {
        for dialect in Dialect::ALL {
            let mut bytes = answer(dialect);
            let taken = bytes.len();
            bytes.extend_from_slice(b"\x81\x05Hello");
            let opened = Opened { subprotocol: Some("sample".into()), extensions: None, taken };
            assert_eq!(verdict(&ask(dialect), &bytes), Ok(Some(opened)), "{dialect}");
            assert_eq!(ask(dialect).judge(&bytes[..taken - 1]), Ok(None), "{dialect}");
        }
    }

    #[test]
    fn every_published_challenge_and_key_is_known_when_answered() {
        let mut ask = ask(Dialect::Hixie76);
        ask.secret = Secret::Challenge {
            key1: "P388 O503D&ul7 {K%gX( %7  15".into(),
            key2: "1 N ?|k UT0or 3o  4 I97N 5-S3O 31".into(),
            key3: *b"\x47\x30\x22\x2d\x5a\x3f\x47\x58",
        };
        let mut bytes = answer(Dialect::Hixie76);
        let digest = bytes.len() - 16;
        bytes[digest..].copy_from_slice(b"0st3Rl&q-2ZU^weu");
        assert!(matches!(verdict(&ask, &bytes), Ok(Some(_))));

        for (key, accept) in [
            ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
            ("AQIDBAUGBwgJCgsMDQ4PEA==", "C/0nmHhBztSRGR1CwL6Tf4ZjwpY="),
            ("AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
            ("If6o1XtBFJFCOjpx801n3w==", "oqdG/tyYop2FvC++CnYrC3uXVDU="),
            ("pFik//FxwFk0riN4ZiPFjQ==", "oCPNMjdhvED8MxbvfN3kHe9jRfQ="),
            ("OC0xMzMwMDAwMDAwMDAw", "5prGTL7nnqWSmubbXWz/WbRQbBE="),
        ] {
            let mut ask = self::ask(Dialect::Hybi10);
            ask.secret = Secret::Key(key.into());
            let other = String::from_utf8(answer(Dialect::Hybi10)).expect("the example is text");
            let other = other.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", accept);
            assert!(matches!(verdict(&ask, other.as_bytes()), Ok(Some(_))), "{key}");
        }
    }

    #[test]
    fn every_wrong_answer_is_refused_at_every_split() {
        use Dialect::{Hixie75, Hixie76, Hybi07, Hybi10, Rfc6455};
        use WrongAnswer as W;
        let check = |dialects: &[Dialect], from: &str, to: &str, expected: Result<(), WrongAnswer>| {
            for &dialect in dialects {
                let right = answer(dialect);
                let at = right.windows(from.len()).position(|window| window == from.as_bytes());
                let at = at.unwrap_or_else(|| panic!("{dialect} has no {from}"));
                let wrong = [&right[..at], to.as_bytes(), &right[at + from.len()..]].concat();
                assert_eq!(verdict(&ask(dialect), &wrong).map(|_| ()), expected, "{dialect}: {from:?} as {to:?}");
            }
        };
        let hixie = [Hixie75, Hixie76];
        let hybi = [Hybi07, Hybi10, Rfc6455];
        let all = Dialect::ALL;
        let unreadable = |why| Err(W::SentUnreadableHead(why));

        check(&all, "101", "404", Err(W::Declined(404)));
        check(&all, "101", "401", Err(W::Declined(401)));
        check(&all, "HTTP/1.1 ", "SSH-2.0-x", unreadable(BadHead::StartLine));
        check(&all, "\r\nUpgrade", "\nUpgrade", unreadable(BadHead::BareLineEnd));
        check(&all, "\r\nUpgrade", "\r\n Upgrade", unreadable(BadHead::Folded));
        check(
            &all,
            "\r\nConnection",
            &format!("\r\nX: {}\r\nConnection", "x".repeat(MAX_HEAD)),
            Err(W::SentEndlessHead),
        );

        check(&[Hixie75], "Web Socket", "WebSocket", Err(W::ChangedFirstLines));
        check(&[Hixie75], "Upgrade: WebSocket", "Upgrade: websocket", Err(W::ChangedFirstLines));
        check(&[Hixie75], "Upgrade: W", "Upgrade:W", Err(W::ChangedFirstLines));
        check(&[Hixie75], "Connection: Upgrade", "Date: x\r\nConnection: Upgrade", Err(W::ChangedFirstLines));

        check(&[Hixie76], "Upgrade: WebSocket", "Upgrade: websocket", Err(W::SentWrongUpgrade));
        check(&hybi, "Upgrade: websocket", "Upgrade: WebSocket", Ok(()));
        check(&hybi, "Upgrade: websocket", "Upgrade: websocket, h2c", Err(W::SentWrongUpgrade));
        check(&hybi, "Upgrade: websocket\r\n", "", Err(W::SentWrongUpgrade));
        check(&[Hixie76, Hybi10], "Connection: ", "Connection: keep-alive, ", Err(W::SentWrongConnection));
        check(&[Hybi07, Rfc6455], "Connection: ", "Connection: keep-alive, ", Ok(()));
        check(&[Hixie76, Hybi10], "Connection: ", "Connection: x\r\nConnection: ", Err(W::SentWrongConnection));
        check(&hybi, "Connection: Upgrade\r\n", "", Err(W::SentWrongConnection));

        check(&[Hixie76], " WebSocket Protocol Handshake", "", Err(W::LeftOutReason));
        check(&[Hybi10], " Switching Protocols", "", Err(W::LeftOutReason));
        check(&[Hybi07, Rfc6455], " Switching Protocols", "", Ok(()));
        check(&[Hixie75, Hixie76, Hybi10], "\r\n\r\n", "\r\nSet-Cookie:\r\n\r\n", Err(W::SentUnreadableValue));
        check(&[Hybi07, Rfc6455], "\r\n\r\n", "\r\nSet-Cookie:\r\n\r\n", Ok(()));

        check(&hixie, "Origin: http:", "Origin: https:", Err(W::SentWrongOrigin));
        check(&hixie, "Origin: http://example.com", "X: y", Err(W::SentWrongOrigin));
        check(&[Hixie75], "WebSocket-Origin", "WebSocket-Origin: http://example.com\r\nWebSocket-Origin", {
            Err(W::SentWrongOrigin)
        });
        check(&hixie, "Location: ws:", "Location: wss:", Err(W::SentWrongLocation));
        check(&hixie, "com/demo", "com:80/demo", Err(W::SentWrongLocation));
        check(&hixie, "com/demo", "com/Demo", Err(W::SentWrongLocation));
        check(&hixie, "Location: ws://example.com/demo", "X: y", Err(W::SentWrongLocation));

        check(&all, "sample", "Sample", Err(W::ChoseForeignSubprotocol));
        check(&all, "sample", "sample, sample", Err(W::ChoseForeignSubprotocol));
        check(&[Hixie75], "WebSocket-Protocol: sample", "X: y", Err(W::ChoseNoSubprotocol));
        check(&[Hixie76, Rfc6455], "Sec-WebSocket-Protocol: sample", "X: y", Err(W::ChoseNoSubprotocol));
        check(&[Hybi07, Hybi10], "Sec-WebSocket-Protocol: sample", "X: y", Ok(()));

        check(&[Hixie76], "8jKS'y", "8jKS'x", Err(W::FailedChallenge));
        check(&hybi, "s3pP", "S3pP", Err(W::SentWrongAccept));
        check(&hybi, "Sec-WebSocket-Accept", "X", Err(W::SentWrongAccept));
        check(&hybi, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: mux\r\n\r\n", Err(W::ChoseForeignExtension));
    }

    #[test]
    fn what_was_not_asked_for_is_as_strict() {
        for dialect in Dialect::ALL {
            let mut ask = ask(dialect);
            ask.subprotocols.clear();
            let foreign = dialect.facts().version.map(|_| WrongAnswer::ChoseForeignSubprotocol);
            assert_eq!(verdict(&ask, &answer(dialect)).err(), foreign, "{dialect}");
        }
        let mut ask = ask(Dialect::Rfc6455);
        ask.fields = vec![("Sec-WebSocket-Extensions".into(), "permessage-deflate; client_max_window_bits".into())];
        let text = String::from_utf8(answer(Dialect::Rfc6455)).expect("the example is text");
        let agreed = text.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        let opened = verdict(&ask, agreed.as_bytes()).map(|opened| opened.and_then(|opened| opened.extensions));
        assert_eq!(opened, Ok(Some("permessage-deflate".into())));
    }

    #[test]
    fn a_secure_page_expects_its_own_scheme() {
        for dialect in [Dialect::Hixie75, Dialect::Hixie76] {
            let mut ask = ask(dialect);
            ask.secure = true;
            assert_eq!(verdict(&ask, &answer(dialect)), Err(WrongAnswer::SentWrongLocation));
        }
    }

    #[test]
    fn drawn_keys_keep_the_rules() {
        for seed in 1..2000 {
            let key = hixie_key(&mut numbers(seed));
            assert!(hixie76::key_number(key.as_bytes()).is_ok(), "{key:?}");
            assert_eq!(key.trim(), key);
            let (spaces, others) =
                key.bytes().filter(|byte| !byte.is_ascii_digit()).partition::<Vec<u8>, _>(|b| *b == b' ');
            assert!((1..=12).contains(&spaces.len()) && (1..=12).contains(&others.len()), "{key:?}");
            assert!(others.iter().all(u8::is_ascii_graphic), "{key:?}");
        }
        // The ends of every range.
        for extreme in [0, u32::MAX] {
            let key = hixie_key(&mut || extreme);
            assert!(hixie76::key_number(key.as_bytes()).is_ok(), "{key:?}");
        }
        let keys = |seed| match Ask::new(Dialect::Rfc6455, "h", "/", &mut numbers(seed)).secret {
            Secret::Key(key) => key,
            other => panic!("{other:?}"),
        };
        assert!(hybi::is_key(Dialect::Rfc6455, &keys(1)));
        assert_ne!(keys(1), keys(2));
    }
}
