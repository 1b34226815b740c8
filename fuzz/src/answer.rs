//! What an upstream answers: the judgement is the same at every step of a cut, and is not put off beyond the limits. A
//! handshake is taken for agreed only with 101, Upgrade, Connection and the one Accept that belongs to the key, computed
//! here by other means; then with no subprotocol or extension that was not asked for. What the client is told is a clean
//! head, which its own strictest browser takes; and so is what it is told of a refusal. Event streams begin only with 200
//! and their type, auth servers say yes only with 2xx.

use hybridge::config::{Config, Limits, Upstream};
use hybridge::dialect::Dialect;
use hybridge::dialect::client::Ask;
use hybridge::dialect::opening::stream::{Addressed, Answer};
use hybridge::dialect::opening::{Agreed, Opening};
use hybridge::handshake::{Received, auth_answer, consent, events_answer, receive};
use hybridge::http::{Refusal, head_length, is_value};
use hybridge::transcript::UPSTREAM_KEY;

use crate::heads::{Head, accept, clean};
use crate::input::{Input, steps};

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, seed) = (input.byte(), input.byte());
    let bytes = input.rest();
    let (ask, opening) = asked(Dialect::ALL[usize::from(choice) % 5]);
    let limits = Limits { head_bytes: 1024, head_fields: 20, ..Limits::default() };
    match choice / 5 % 3 {
        0 => {
            let judge = |bytes: &[u8]| consent(&opening, bytes, UPSTREAM_KEY, &limits);
            match at_every_step(bytes, seed, judge) {
                Ok(Some((agreed, taken))) => check_agreed(&agreed, &final_head(bytes, taken), &ask, &opening),
                Ok(None) => {}
                Err(refusal) => check_refusal(&refusal),
            }
        }
        1 => {
            let addressed = Addressed { target: "/a", hosts: ["h:1", "inner"], secure: false };
            match at_every_step(bytes, seed, |bytes| events_answer(&opening, bytes, &addressed, &limits)) {
                Ok(Some((answer, taken))) => check_events(&answer, &final_head(bytes, taken), &opening),
                Ok(None) => {}
                Err(refusal) => check_refusal(&refusal),
            }
        }
        _ => {
            let wanted = ["X-User".to_owned(), "Host".to_owned(), "Cookie".to_owned()];
            match at_every_step(bytes, seed, |bytes| auth_answer(bytes, &wanted, &limits)) {
                Ok(Some(granted)) => {
                    let mut opening = opening;
                    let granted: Vec<(String, Vec<u8>)> = granted.into_iter().collect();
                    assert!(granted.iter().all(|(name, value)| {
                        wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) && is_value(value)
                    }));
                    opening.replace(&|_| false, granted).expect("it can stand in a head");
                    let sent = clean(&opening.upstream_request("/", None, UPSTREAM_KEY));
                    assert_eq!(sent.one("host"), b"h:1");
                }
                Ok(None) => {}
                Err(refusal) => check_refusal(&refusal),
            }
        }
    }
}

/// The judgement, which never changes once it is there.
fn at_every_step<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    seed: u8,
    judge: impl Fn(&[u8]) -> Result<Option<T>, Refusal>,
) -> Result<Option<T>, Refusal> {
    let whole = judge(bytes);
    for end in steps(bytes, seed) {
        match judge(&bytes[..end]) {
            // Up to five interim answers may come before the one that counts.
            Ok(None) => assert!(end < 6 * 1024, "{end} bytes are not enough"),
            part => {
                assert_eq!(part, whole, "at {end}");
                break;
            }
        }
    }
    whole
}

/// A client that asks for all there is.
fn asked(dialect: Dialect) -> (Ask, Opening) {
    let mut ask = Ask::new(dialect, "h:1", "/a?b", &mut || 0x1234_5678);
    ask.origin = Some("http://o".to_owned());
    ask.subprotocols = vec!["chat".to_owned(), "sample".to_owned()];
    ask.cookie = Some("a=b".to_owned());
    ask.fields = vec![("Sec-WebSocket-Extensions".to_owned(), "permessage-deflate, x-mux".to_owned())];
    let config = Config::simple(Vec::new(), Upstream::parse("ws://127.0.0.1:1").expect("a URL"));
    match receive(&ask.request(), &config) {
        Received::Opening { opening, .. } => (ask, *opening),
        other => panic!("{other:?}"),
    }
}

/// The last head in the bytes that an answer took; those before it are interim.
fn final_head(bytes: &[u8], taken: usize) -> Head {
    let mut rest = &bytes[..taken];
    loop {
        let length = head_length(rest).expect("a head").expect("a whole one");
        let head = clean(&rest[..length]);
        rest = &rest[length..];
        if rest.is_empty() {
            return head;
        }
        assert!(head.first[9..].starts_with(b"1"), "an interim answer");
    }
}

fn check_agreed(agreed: &Agreed, said: &Head, ask: &Ask, opening: &Opening) {
    assert!(said.first.starts_with(b"HTTP/1.") && said.first[8..].starts_with(b" 101"));
    assert!(said.list("upgrade").contains(&b"websocket".to_vec()));
    assert!(said.list("connection").contains(&b"upgrade".to_vec()));
    assert_eq!(said.one("sec-websocket-accept"), accept(UPSTREAM_KEY).as_bytes());
    let chosen = said.all("sec-websocket-protocol");
    assert!(chosen.len() <= 1 && chosen.iter().all(|name| matches!(*name, b"chat" | b"sample")));
    for extension in said.list("sec-websocket-extensions").iter().filter(|extension| !extension.is_empty()) {
        let name = extension.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        assert!(opening.dialect == Dialect::Rfc6455 && (name == b"permessage-deflate" || extension.contains(&b'"')));
    }

    let mut answer = opening.answer(agreed, "ws://h:1/a?b");
    let head = clean(&answer);
    assert!(head.first.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(head.one("connection"), b"Upgrade");
    for (name, value) in &head.fields {
        let own = name.starts_with("sec-websocket-") || name.starts_with("websocket-");
        assert!(own || matches!(&**name, "upgrade" | "connection") || said.all(name).contains(&&value[..]), "{name}");
    }
    if let hybridge::dialect::terms::Expected::Digest(digest) = ask.terms().proof {
        answer.extend(digest.expect("the third key is there"));
    }
    // A client that asked and is not answered fails, but for those that may choose to go on.
    let judged = ask.terms().judge(&answer);
    assert!(matches!(judged, Ok(Some(_))) || agreed.subprotocol.is_none(), "{judged:?}: {}", answer.escape_ascii());
}

fn check_events(answer: &Answer, said: &Head, opening: &Opening) {
    match answer {
        Answer::Open(open) => {
            assert!(said.first[8..].starts_with(b" 200"));
            let kind = said.one("content-type").to_ascii_lowercase();
            assert!(kind.starts_with(b"text/event-stream"), "{}", kind.escape_ascii());
            clean(&opening.answer(&open.agreed, "ws://h:1/a?b"));
        }
        Answer::Elsewhere(target) => {
            let is_clean = |c: char| !c.is_control() && c != ' ' && c != '#';
            assert!(target.starts_with('/') && target.chars().all(is_clean), "{target:?}");
            clean(&opening.events_request(target, None, "0123456789abcdef", ""));
        }
        Answer::Done(refusal) | Answer::Later(refusal) | Answer::Refused(refusal) => check_refusal(refusal),
    }
}

/// A refusal is a whole response, whatever of the upstream's goes into it.
fn check_refusal(refusal: &Refusal) {
    let bytes = refusal.to_bytes();
    let length = head_length(&bytes).expect("a head").expect("a whole one");
    let head = clean(&bytes[..length]);
    assert!((300..600).contains(&refusal.status), "{}", refusal.status);
    assert_eq!(head.one("content-length"), (bytes.len() - length).to_string().as_bytes());
    assert!(head.all("transfer-encoding").is_empty());
    assert!(head.one("connection").ends_with(b"close"));
}
