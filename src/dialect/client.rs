//! The client's part of each dialect: the opening handshake as its browsers send it.
//!
//! What it holds the answer to are its [`Terms`].

use super::opening::Asked;
use super::terms::{Expected, Terms};
use super::{Dialect, hixie76, hybi};

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

    /// What the answer is held to.
    pub fn terms(&self) -> Terms {
        let header = if self.dialect == Dialect::Hixie75 { "WebSocket-Protocol" } else { "Sec-WebSocket-Protocol" };
        let asked = |value| Asked { header, value, names: self.subprotocols.clone(), answer_name: false };
        let offers = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        Terms {
            dialect: self.dialect,
            secure: self.secure,
            host: self.host.clone(),
            target: self.target.clone(),
            origin: self.origin.clone(),
            asked: self.asked().map(asked),
            offers: offers.map(|(_, value)| value.clone()).collect(),
            proof: match &self.secret {
                Secret::None => Expected::Nothing,
                Secret::Challenge { key1, key2, key3 } => Expected::Digest(challenge_answer(key1, key2, *key3)),
                Secret::Key(key) => Expected::Accept(hybi::accept(key)),
            },
        }
    }

    /// The value that asks for the subprotocols, if any are asked for.
    fn asked(&self) -> Option<String> {
        (!self.subprotocols.is_empty()).then(|| self.subprotocols.join(", "))
    }
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
    use super::super::terms::{MAX_HEAD, Opened, WrongAnswer};
    use super::*;
    use crate::http::BadHead;

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
        let whole = ask.terms().judge(answer);
        let mut settled = false;
        for end in 0..=answer.len() {
            let so_far = ask.terms().judge(&answer[..end]);
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
            assert_eq!(ask(dialect).terms().judge(&bytes[..taken - 1]), Ok(None), "{dialect}");
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
