//! The first bytes of a connection: the verdict is the same at every step of a cut, and is not put off beyond the limits; no
//! head that holds a bare CR, LF or NUL is taken. A refusal is a whole response. An opening handshake becomes a request
//! that our own strict reader takes again, means the same by, and would send on as it is: with one Host, no claim of the
//! client on where it comes from, of `Sec-WebSocket-*` only what the dialects page lets through (9.1), and nothing else
//! that the client did not send.

use std::net::SocketAddr;

use hybridge::arrival::{Arrival, is_claim};
use hybridge::config::{Config, Route};
use hybridge::dialect::opening::{Agreed, Opening};
use hybridge::dialect::{Dialect, terms::Terms};
use hybridge::handshake::{Received, introduce, receive};
use hybridge::http::{Refusal, Request, Response, head_length};
use hybridge::sniff::first;
use hybridge::transcript::UPSTREAM_KEY;

use crate::heads::{Head, clean};
use crate::input::{Input, steps};

/// How many bytes in front of a head can be left out or decide that there is none.
const BEFORE: usize = 24;

/// What becomes of the connection.
#[derive(Debug, PartialEq)]
enum Verdict {
    More,
    Foreign(hybridge::sniff::Foreign),
    Refused(Refusal),
    Http(usize, usize, hybridge::sniff::Body),
    Opening(Box<Opening>, String, usize),
}

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, seed) = (input.byte(), input.byte());
    let config = config(choice);
    let bytes = input.rest();
    let whole = verdict(bytes, &config);
    for end in steps(bytes, seed) {
        let part = verdict(&bytes[..end], &config);
        if part == Verdict::More {
            assert!(end < config.limits.head_bytes + BEFORE, "{end} bytes are not enough");
        } else {
            assert_eq!(part, whole, "at {end}");
            break;
        }
    }
    assert_eq!(first(bytes), first(&bytes[..bytes.len().min(BEFORE)]), "{BEFORE} bytes decide");
    match whole {
        Verdict::More | Verdict::Foreign(_) => {}
        Verdict::Refused(refusal) => check_refusal(&refusal),
        Verdict::Http(skip, length, _) => drop(clean(&bytes[skip..skip + length])),
        Verdict::Opening(opening, route, taken) => {
            let skip = bytes.iter().position(|byte| *byte == b'G').expect("it is a GET");
            assert!(skip <= 4 && taken <= bytes.len() && taken - skip <= config.limits.head_bytes);
            let route = config.routes.iter().find(|known| known.name == route).expect("one of them");
            check_opening(*opening, &bytes[..taken], clean(&bytes[skip..taken]), route, &config, choice & 4 != 0);
        }
    }
}

fn config(choice: u8) -> Config {
    let head_bytes = if choice & 1 == 0 { "16KiB" } else { "1KiB" };
    let dialects = if choice & 2 == 0 { "" } else { "dialects = [\"hixie-76\", \"v13\"]\n" };
    let text = format!(
        "listen = [\"127.0.0.1:1\"]\n[limits]\nhead_bytes = \"{head_bytes}\"\nhead_fields = 20\n[forwarded]\n\
         trusted = [\"192.0.2.1\", \"10.0.0.0/8\"]\n[[route]]\nname = \"deep\"\npath = \"/deep\"\n\
         upstream = \"ws://127.0.0.1:2/base\"\nupstream_host = \"inner:7\"\n[[route]]\nname = \"all\"\n\
         upstream = \"ws://127.0.0.1:2\"\n{dialects}"
    );
    Config::parse(&text, "fuzz").expect("it is right")
}

fn verdict(bytes: &[u8], config: &Config) -> Verdict {
    match receive(bytes, config) {
        Received::More => Verdict::More,
        Received::Foreign(foreign) => Verdict::Foreign(foreign),
        Received::Refused(refusal) => Verdict::Refused(refusal),
        Received::Http { skip, head, body } => Verdict::Http(skip, head, body),
        Received::Opening { opening, route, taken } => Verdict::Opening(opening, route.name.clone(), taken),
    }
}

/// A refusal is a whole response, and closes.
fn check_refusal(refusal: &Refusal) {
    let bytes = refusal.to_bytes();
    let length = head_length(&bytes).expect("a head").expect("a whole one");
    let head = clean(&bytes[..length]);
    assert_eq!(Response::parse(&bytes[..length], 100).expect("a head").status, refusal.status);
    assert_eq!(head.one("content-length"), (bytes.len() - length).to_string().as_bytes());
    assert!(head.list("connection").contains(&b"close".to_vec()));
    std::str::from_utf8(&bytes).expect("it is text");
}

fn check_opening(mut opening: Opening, bytes: &[u8], said: Head, route: &Route, config: &Config, is_front: bool) {
    let peer: SocketAddr = if is_front { "192.0.2.1:5" } else { "192.0.2.9:5" }.parse().expect("an address");
    let arrival = Arrival::new(peer, "192.0.2.2:80".parse().expect("an address"), None);
    let (facts, _bad) = introduce(&mut opening, bytes, route, &arrival, config);
    let target = route.upstream_target(&opening.target);
    let host = (route.name == "deep").then_some("inner:7");
    let request = opening.upstream_request(&target, host, UPSTREAM_KEY);
    let sent = clean(&request);
    assert_eq!(sent.first, format!("GET {target} HTTP/1.1").into_bytes());
    check_fields(&sent, &said, &opening, host);

    // Our own reader takes it, and would send on the same.
    assert_eq!(head_length(&request), Ok(Some(request.len())));
    let again = Config {
        limits: hybridge::config::Limits { head_bytes: 1 << 20, head_fields: 1000, ..config.limits.clone() },
        ..self::config(0)
    };
    match receive(&request, &again) {
        Received::Opening { opening: second, taken, .. } => {
            assert_eq!((second.dialect, taken), (Dialect::Rfc6455, request.len()));
            assert_eq!(
                (&second.target, &second.origin, &second.extensions),
                (&target, &opening.origin, &opening.extensions)
            );
            assert_eq!(second.upstream_request(&target, None, UPSTREAM_KEY), request, "as it is");
        }
        other => panic!("{other:?} for {}", request.escape_ascii()),
    }

    // And the answer is one that the strictest browser takes.
    let location = route.public_url.location(&facts, &opening.host, &opening.target);
    let mut answer = opening.answer(&Agreed::default(), &location);
    let head = clean(&answer);
    assert!(head.first.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(head.one("connection"), b"Upgrade");
    assert!(head.one("upgrade").eq_ignore_ascii_case(b"websocket"));
    let request = Request::parse(&bytes[bytes.len() - said_length(bytes)..], 1000).expect("it was read before");
    let mut terms = Terms::of(&opening, &request, Some(*b"^n:ds[4U"), facts.secure);
    terms.asked = None;
    answer.extend(opening.challenge_answer(*b"^n:ds[4U").into_iter().flatten());
    if !is_front {
        assert!(matches!(terms.judge(&answer), Ok(Some(_))), "{:?}: {}", terms.judge(&answer), answer.escape_ascii());
    }
}

/// How many bytes of these are the head, without the empty lines in front of it.
fn said_length(bytes: &[u8]) -> usize {
    bytes.len() - bytes.iter().position(|byte| *byte == b'G').unwrap_or_default()
}

fn check_fields(sent: &Head, said: &Head, opening: &Opening, host: Option<&str>) {
    assert_eq!(sent.one("host"), host.unwrap_or(&opening.host).as_bytes());
    assert_eq!(said.one("host"), opening.host.as_bytes());
    assert_eq!((sent.one("upgrade"), sent.one("connection")), (&b"websocket"[..], &b"Upgrade"[..]));
    assert_eq!(sent.one("sec-websocket-version"), b"13");
    assert_eq!(sent.one("sec-websocket-key"), UPSTREAM_KEY.as_bytes());
    assert!(sent.all("origin").len() <= 1);
    let named: Vec<Vec<u8>> = said.list("connection");
    let tokens = |names: [&str; 2]| {
        let all = names.iter().flat_map(|name| said.all(name)).collect::<Vec<_>>().join(&b","[..]);
        all.split(|byte| b", ".contains(byte)).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    for (name, value) in &sent.fields {
        match name.as_str() {
            "host" | "upgrade" | "connection" | "sec-websocket-version" | "sec-websocket-key" => {}
            "origin" => {
                let origins = [said.all("origin"), said.all("sec-websocket-origin")].concat();
                assert!(origins.contains(&&value[..]), "an origin of the client's own");
            }
            "sec-websocket-protocol" => {
                assert_eq!(sent.all(name).len(), 1);
                let asked = tokens(["sec-websocket-protocol", "websocket-protocol"]);
                let offered: Vec<&[u8]> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
                assert!(
                    offered.iter().all(|name| asked.iter().any(|asked| asked.trim_ascii() == *name)),
                    "tokens it asked for"
                );
            }
            "sec-websocket-extensions" => {
                assert_eq!((sent.all(name).len(), opening.dialect), (1, Dialect::Rfc6455));
            }
            name if is_claim(name) => assert_eq!(sent.all(name).len(), 1, "{name} is ours"),
            name => {
                assert!(!name.starts_with("sec-websocket-") && !name.starts_with("websocket-"), "{name}");
                let hop = ["keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "content-length"];
                assert!(!hop.contains(&name) && !named.iter().any(|named| named == name.as_bytes()), "{name}");
                assert!(said.all(name).contains(&&value[..]), "{name} is the client's own");
            }
        }
    }
}
