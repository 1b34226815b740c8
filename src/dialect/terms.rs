//! What a client holds the answer to its opening handshake to.
//!
//! The judgement is as strict as the strictest browser of the dialect: what passes here opens everywhere.

use std::fmt;

use super::any::AnyCodec;
use super::opening::{Asked, Opening, Proof, extension_name, extensions};
use super::{BinaryPolicy, Dialect, hixie76, hybi};
use crate::http::{self, BadHead, Field, Fields, Repeated, Request, Response};

/// The longest answer head that is read, in bytes.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// The most fields in it.
const MAX_FIELDS: usize = 100;
/// hixie-75 §4.1: the answer begins with these bytes and no others.
const HIXIE75_PREAMBLE: &[u8] =
    b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n";

/// What a client that has asked knows of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What the client speaks.
    pub dialect: Dialect,
    /// Whether the client's own connection is encrypted, so that hixie expects `wss` in the answer.
    pub secure: bool,
    /// The `Host` header, as it was sent.
    pub host: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// The page's origin; `None` for a client without pages.
    pub origin: Option<String>,
    /// The subprotocols it asked for.
    pub asked: Option<Asked>,
    /// The values of `Sec-WebSocket-Extensions`.
    pub offers: Vec<String>,
    /// What only a server that understood the handshake can answer.
    pub proof: Expected,
}

/// What only a server that understood the handshake can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// hixie-75 proves nothing.
    Nothing,
    /// The 16 bytes that follow the head of hixie-76; `None` before the third key was sent, where no bytes are right.
    Digest(Option<[u8; 16]>),
    /// The value of `Sec-WebSocket-Accept`.
    Accept(String),
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

impl Terms {
    /// The terms of the client that sent this opening handshake, understood as `opening`, and for hixie-76 its third
    /// key. `secure`: its own connection is encrypted.
    pub fn of(opening: &Opening, request: &Request<'_>, key3: Option<[u8; hixie76::KEY3]>, secure: bool) -> Terms {
        let offers = request.fields.all("sec-websocket-extensions").filter_map(Field::text);
        Terms {
            dialect: opening.dialect,
            secure,
            host: opening.host.clone(),
            target: opening.target.clone(),
            origin: opening.origin.clone(),
            asked: opening.asked.clone(),
            offers: offers.map(str::to_owned).collect(),
            proof: match &opening.proof {
                Proof::None => Expected::Nothing,
                Proof::Numbers(..) => Expected::Digest(key3.and_then(|key3| opening.challenge_answer(key3))),
                Proof::Accept(accept) => Expected::Accept(accept.clone()),
            },
        }
    }

    /// The URL that the client opened.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.host, self.target)
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
        match &self.proof {
            Expected::Nothing => {
                self.check_echo(fields, "websocket-origin", "websocket-location")?;
                self.opened_hixie(fields, length).map(Some)
            }
            Expected::Digest(expected) => {
                self.check_echo(fields, "sec-websocket-origin", "sec-websocket-location")?;
                let opened = self.opened_hixie(fields, length)?;
                let Some(digest) = answer[length..].first_chunk() else { return Ok(None) };
                if Some(*digest) != *expected {
                    return Err(WrongAnswer::FailedChallenge);
                }
                Ok(Some(Opened { taken: length + digest.len(), ..opened }))
            }
            Expected::Accept(accept) => {
                if fields.only("sec-websocket-accept") != Ok(Some(accept.as_bytes())) {
                    return Err(WrongAnswer::SentWrongAccept);
                }
                let extensions = self.agreed_extensions(fields)?;
                let subprotocol = self.chosen_name(fields)?;
                Ok(Some(Opened { subprotocol, extensions, taken: length }))
            }
        }
    }

    /// The codec for what follows an answer that opened the connection.
    pub fn codec(&self, opened: &Opened) -> AnyCodec {
        match self.dialect {
            // Both directions of hixie are alike.
            Dialect::Hixie75 | Dialect::Hixie76 => self.dialect.codec(false, BinaryPolicy::Close),
            Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
                hybi::Hybi::new(self.dialect, hybi::Role::Client, opened.extensions.is_some()).into()
            }
        }
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
        if fields.only(location) != Ok(Some(self.url().as_bytes())) {
            return Err(WrongAnswer::SentWrongLocation);
        }
        Ok(())
    }

    /// hixie: who asked must get the same value back; who did not looks at none.
    fn opened_hixie(&self, fields: &Fields<'_>, taken: usize) -> Result<Opened, WrongAnswer> {
        let Some(asked) = &self.asked else { return Ok(Opened { subprotocol: None, extensions: None, taken }) };
        let chosen = match fields.only(asked.header) {
            Ok(None) => return Err(WrongAnswer::ChoseNoSubprotocol),
            Ok(Some(chosen)) => std::str::from_utf8(chosen).ok(),
            Err(Repeated) => None,
        };
        let fits = |chosen: &&str| match asked.answer_name {
            true => asked.names.iter().any(|name| name == chosen),
            false => asked.value == *chosen,
        };
        let subprotocol = chosen.filter(fits).ok_or(WrongAnswer::ChoseForeignSubprotocol)?;
        Ok(Opened { subprotocol: Some(subprotocol.to_owned()), extensions: None, taken })
    }

    /// hybi: one of those asked for, or none; Chrome since 32 insists on one.
    fn chosen_name(&self, fields: &Fields<'_>) -> Result<Option<String>, WrongAnswer> {
        let chosen = fields.only("sec-websocket-protocol").map_err(|Repeated| WrongAnswer::ChoseForeignSubprotocol)?;
        let Some(chosen) = chosen else {
            let insists = self.dialect == Dialect::Rfc6455 && self.asked.is_some();
            return if insists { Err(WrongAnswer::ChoseNoSubprotocol) } else { Ok(None) };
        };
        let name = self.asked.iter().flat_map(|asked| &asked.names).find(|name| name.as_bytes() == chosen);
        name.cloned().map(Some).ok_or(WrongAnswer::ChoseForeignSubprotocol)
    }

    /// RFC 6455 §4.1: nothing that was not offered.
    fn agreed_extensions(&self, fields: &Fields<'_>) -> Result<Option<String>, WrongAnswer> {
        let offered = || self.offers.iter().flat_map(|value| extensions(value)).map(extension_name);
        let mut agreed = Vec::new();
        for field in fields.all("sec-websocket-extensions") {
            for extension in extensions(field.text().ok_or(WrongAnswer::ChoseForeignExtension)?) {
                if !offered().any(|name| name == extension_name(extension)) {
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
