//! What a client asks, and what it takes for an answer.

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
    check(&all, "\r\nConnection", &format!("\r\nX: {}\r\nConnection", "x".repeat(MAX_HEAD)), Err(W::SentEndlessHead));

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
