//! Backends that refuse, lie, stay silent or are not there (dialects.md 9.1, 11.2).

use hybridge::config::Upstream;

use crate::support::*;

/// What the client is answered when the backend answers so.
#[track_caller]
fn declined(stage: &Stage, dialect: Dialect, asks: &[&str], answers: impl Fn(&str) -> Vec<u8>) -> String {
    let mut client = stage.client();
    client.say(opening(dialect, "/", asks));
    // What follows the head must not reach a backend that did not agree.
    client.say(said(dialect, "smuggled"));
    let mut upstream = stage.backend.accept();
    let request = upstream.head();
    upstream.say(answers(&request));
    let refusal = client.head();
    assert_eq!(field(&refusal, "Connection"), Some("close"), "{refusal}");
    let length = field(&refusal, "Content-Length").and_then(|text| text.parse().ok());
    assert_eq!(Some(client.rest().len()), length, "{refusal}");
    // The proxy may leave bytes of the refusal unread, which resets the connection; none of the client's may come.
    assert_eq!(upstream.rest_or_reset(), b"", "a backend that refused was sent more");
    refusal
}

#[test]
fn a_refusal_of_the_backend_reaches_the_client() {
    let stage = Stage::new();
    for dialect in ALL {
        for (answer, expected, kept) in [
            (
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"tv\"\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
                "401 Unauthorized",
                &["WWW-Authenticate: Basic realm=\"tv\""][..],
            ),
            (
                "403 Forbidden\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
                "403 Forbidden",
                &["Set-Cookie: a=1", "Set-Cookie: b=2"],
            ),
            (
                "302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n",
                "302 Found",
                &["Location: http://login.example/"],
            ),
            ("404 Nowhere To Be Seen\r\n\r\n", "404 Nowhere To Be Seen", &[]),
            ("429 Too Many Requests\r\nRetry-After: 5\r\n\r\n", "429 Too Many Requests", &["Retry-After: 5"]),
            (
                "500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "500 Internal Server Error",
                &[],
            ),
            ("503 Service Unavailable\r\nRetry-After: 60\r\n\r\n", "503 Service Unavailable", &["Retry-After: 60"]),
            // None of these is a refusal that an old client could be told.
            ("200 OK\r\nContent-Length: 2\r\n\r\nok", "502 Bad Gateway", &[]),
            ("204 No Content\r\n\r\n", "502 Bad Gateway", &[]),
            ("426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 14\r\n\r\n", "502 Bad Gateway", &[]),
            ("999 What\r\n\r\n", "502 Bad Gateway", &[]),
        ] {
            eprintln!("{dialect} {answer:?}");
            let refusal = declined(&stage, dialect, &[], |_| format!("HTTP/1.1 {answer}").into_bytes());
            assert!(refusal.starts_with(&format!("HTTP/1.1 {expected}\r\n")), "{refusal}");
            for line in kept {
                assert!(refusal.contains(&format!("\r\n{line}\r\n")), "{line} in {refusal}");
            }
            for name in ["Transfer-Encoding", "Sec-WebSocket-Version", "Upgrade"] {
                assert_eq!(field(&refusal, name), None, "{refusal}");
            }
        }
    }
}

#[test]
fn a_consent_that_only_looks_like_one_is_a_bad_gateway() {
    let stage = Stage::new();
    let agrees = |lines: &[&str]| head("HTTP/1.1 101 Switching Protocols", lines);
    for dialect in ALL {
        let accept = |request: &str| format!("Sec-WebSocket-Accept: {}", accept_of(request));
        let check = |what: &str, asks: &[&str], answers: &dyn Fn(&str) -> Vec<u8>| {
            eprintln!("{dialect} {what}");
            let refusal = declined(&stage, dialect, asks, answers);
            assert!(refusal.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{refusal}");
        };
        check("without Accept", &[], &|_| agrees(&["Upgrade: websocket", "Connection: Upgrade"]));
        check("with the Accept of another key", &[], &|_| {
            agrees(&["Upgrade: websocket", "Connection: Upgrade", ACCEPT])
        });
        check("without Upgrade", &[], &|request| agrees(&["Connection: Upgrade", &accept(request)]));
        check("without Connection", &[], &|request| agrees(&["Upgrade: websocket", &accept(request)]));
        check("to another protocol", &[], &|request| {
            agrees(&["Upgrade: h2c", "Connection: Upgrade", &accept(request)])
        });
        check("with an unasked subprotocol", &[], &|request| consent(request, &["Sec-WebSocket-Protocol: x"]));
        check("with an unasked extension", &[], &|request| {
            consent(request, &["Sec-WebSocket-Extensions: permessage-deflate"])
        });
        check("in a strange head", &[], &|_| b"HTTP/1.1 101\nUpgrade: websocket\n\n".to_vec());
        check("in no head at all", &[], &|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec());
        check("in a head without end", &[], &|_| [b"HTTP/1.1 101 x\r\nX: ".to_vec(), vec![b'x'; 17 << 10]].concat());
        check("after endless promises", &[], &|_| b"HTTP/1.1 100 Continue\r\n\r\n".repeat(20));
    }
    let asks = ["Sec-WebSocket-Protocol: a, b"];
    let refusal = declined(&stage, Dialect::Rfc6455, &asks, |request| consent(request, &["Sec-WebSocket-Protocol: c"]));
    assert!(refusal.starts_with("HTTP/1.1 502 "), "{refusal}");
    let refusal = declined(&stage, Dialect::Rfc6455, &asks, |request| consent(request, &["Sec-WebSocket-Protocol: A"]));
    assert!(refusal.starts_with("HTTP/1.1 502 "), "{refusal}");
}

#[test]
fn a_backend_that_breaks_off_is_a_bad_gateway() {
    let stage = Stage::new();
    for dialect in ALL {
        for said in ["", "HTTP/1.1 101 Switching Protocols\r\nUpgr"] {
            let mut client = stage.client();
            client.say(opening(dialect, "/", &[]));
            let mut upstream = stage.backend.accept();
            upstream.head();
            upstream.say(said);
            drop(upstream);
            assert!(client.head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
        }
    }
}

#[test]
fn a_backend_that_stays_silent_is_a_gateway_timeout() {
    let stage = Stage::with(|config| config.timeouts.handshake = ms(80));
    for dialect in ALL {
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        let mut upstream = stage.backend.accept();
        upstream.head();
        upstream.say("HTTP/1.1 101 Switching ");
        assert!(client.head().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
        client.rest();
        upstream.hears_end();
    }
}

#[test]
fn a_backend_that_is_not_there_is_a_bad_gateway() {
    let (_held, nowhere) = refusing();
    let stage = Stage::with(|config| {
        config.routes[0].upstream = Upstream::parse(&format!("ws://{nowhere}")).expect("a URL");
    });
    for dialect in ALL {
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        assert!(client.head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
        client.rest();
    }
}

#[test]
fn one_broken_connection_leaves_the_others_alone() {
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
    for dialect in ALL {
        let (broken, its_upstream) = stage.open(dialect);
        broken.reset();
        its_upstream.reset();
        client.say(said(Dialect::Hixie76, "still here"));
        upstream.gets(TEXT, "still here");
    }
}
