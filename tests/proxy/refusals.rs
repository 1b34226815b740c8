//! What is refused before any backend hears of it (dialects.md 13, 4.2, 6.3), and how.

use crate::support::*;

const V13: &str = "Sec-WebSocket-Version: 13";
const LIST: Option<&str> = Some("13, 8, 7");

/// That this is answered with that status and version list, that the connection then ends, and that the backend saw
/// nothing of it.
#[track_caller]
fn refused(stage: &Stage, bytes: &[u8], expected: u16, versions: Option<&str>) {
    for cut in [Cut::Whole, Cut::Bytes] {
        let mut client = stage.client();
        client.say_cut(bytes, cut);
        let refusal = client.head();
        assert!(refusal.starts_with(&format!("HTTP/1.1 {expected} ")), "{}\n{refusal}", shown(bytes));
        let connection = field(&refusal, "Connection").unwrap_or_default();
        assert!(connection.split(", ").any(|token| token == "close"), "{refusal}");
        assert_eq!(field(&refusal, "Sec-WebSocket-Version"), versions, "{}\n{refusal}", shown(bytes));
        let length: usize = field(&refusal, "Content-Length").and_then(|text| text.parse().ok()).expect("a length");
        assert_eq!(client.rest().len(), length, "{refusal}");
        stage.backend.saw_nobody();
    }
}

/// A handshake of v13 with other lines than the usual ones.
fn with(first: &str, lines: &[&str]) -> Vec<u8> {
    head(first, lines)
}

#[test]
fn a_malformed_head_is_refused() {
    let stage = Stage::new();
    let tail = "Host: tv\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (head, expected) in [
        (format!("GET /\r\n{tail}"), 400),
        (format!("GET  / HTTP/1.1\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1 \r\n{tail}"), 400),
        (format!("GET /a b HTTP/1.1\r\n{tail}"), 400),
        (format!("GET /#a HTTP/1.1\r\n{tail}"), 400),
        (format!("GET a HTTP/1.1\r\n{tail}"), 400),
        (format!("GET http://other/ HTTP/1.1\r\n{tail}"), 400),
        (format!("GET / HTTP/2.0\r\n{tail}"), 505),
        (format!("GET / HTTP/1.1\r\nX: a\r\n b\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\nX : a\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\nX\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\n: a\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\nX: a\0b\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\nX: a\rb\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\nX: a\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\nHost: other\r\n{tail}"), 400),
        (format!("GET / HTTP/1.1\r\n{}", tail.replace("Host: tv\r\n", "")), 400),
        (format!("GET / HTTP/1.1\r\n{}", tail.replace("Host: tv", "Host: t v")), 400),
        (format!("GET / HTTP/1.1\r\n{}", tail.replace("Host: tv", "Host: tv/x")), 400),
        (format!("GET / HTTP/1.1\r\n{}", tail.replace("Host: tv", "Host: ")), 400),
    ] {
        refused(&stage, head.as_bytes(), expected, None);
    }
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    let stage = Stage::new();
    let usual = ["Host: tv", "Upgrade: websocket", "Connection: Upgrade", KEY];
    let but = |without: &str, more: &[&'static str]| -> Vec<&str> {
        usual.into_iter().filter(|line| !line.starts_with(without)).chain(more.iter().copied()).collect()
    };
    for (first, lines, expected, versions) in [
        // An intermediary took Upgrade away, or did not know HTTP/1.1.
        ("GET / HTTP/1.1", but("Upgrade", &[V13]), 400, None),
        ("GET / HTTP/1.0", but("-", &[V13]), 400, None),
        ("POST / HTTP/1.1", but("-", &[V13]), 405, None),
        ("HEAD / HTTP/1.1", but("-", &[V13]), 405, None),
        ("CONNECT tv:80 HTTP/1.1", but("-", &[V13]), 405, None),
        ("GET / HTTP/1.1", but("Connection", &[V13]), 400, None),
        ("GET / HTTP/1.1", but("Connection", &[V13, "Connection: close"]), 400, None),
        ("GET / HTTP/1.1", but("-", &[V13, "Content-Length: 8"]), 400, None),
        ("GET / HTTP/1.1", but("-", &[V13, "Transfer-Encoding: chunked"]), 400, None),
        // Versions.
        ("GET / HTTP/1.1", but("-", &[V13, V13]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 13, 8"]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 013"]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 256"]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: x"]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: "]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 4"]), 426, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 6"]), 426, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 12"]), 426, LIST),
        ("GET / HTTP/1.1", but("-", &["Sec-WebSocket-Version: 14"]), 426, LIST),
        // Keys.
        ("GET / HTTP/1.1", but("Sec", &[V13]), 400, None),
        ("GET / HTTP/1.1", but("Sec", &[V13, KEY1, KEY2]), 400, None),
        ("GET / HTTP/1.1", but("-", &[V13, KEY]), 400, None),
        ("GET / HTTP/1.1", but("Sec", &[V13, "Sec-WebSocket-Key: "]), 400, None),
        ("GET / HTTP/1.1", but("Sec", &[V13, "Sec-WebSocket-Key: dG9vIHNob3J0"]), 400, None),
        ("GET / HTTP/1.1", but("Sec", &[V13, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="]), 400, None),
        ("GET / HTTP/1.1", but("-", &[]), 400, LIST),
        ("GET / HTTP/1.1", but("-", &[KEY1, KEY2]), 400, LIST),
        // Origin and subprotocol.
        ("GET / HTTP/1.1", but("-", &[V13, "Origin: http://a", "Origin: http://b"]), 400, None),
        ("GET / HTTP/1.1", but("-", &[V13, "Sec-WebSocket-Protocol: a b"]), 400, None),
    ] {
        refused(&stage, &with(first, &lines), expected, versions);
    }
    let refusal = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n";
    let mut client = stage.client();
    client.say(with("GET / HTTP/1.1", &but("-", &["Sec-WebSocket-Version: 5"])));
    client.hears(refusal);
}

#[test]
fn a_challenge_of_hixie_76_that_does_not_add_up_is_refused() {
    let stage = Stage::new();
    let usual = ["Host: tv", "Upgrade: WebSocket", "Connection: Upgrade", "Origin: http://tv"];
    let check = |lines: &[&str], early: &[u8]| {
        refused(&stage, &[with("GET / HTTP/1.1", &[&usual, lines].concat()), early.to_vec()].concat(), 400, None);
    };
    for bad in [
        "nospaces123",
        "12998 5 Y3 1.P00",
        "2 L785 8o% s9Sy9@V. 4<1P5",
        "x4294967296 y",
        "a b",
        "1\t2",
        "8589934590  z",
    ] {
        check(&[&format!("Sec-WebSocket-Key1: {bad}"), KEY2], KEY3);
        check(&[KEY1, &format!("Sec-WebSocket-Key2: {bad}")], KEY3);
    }
    check(&[KEY1], KEY3);
    check(&[KEY2], b"");
    check(&[KEY1, KEY1, KEY2], KEY3);
    check(&[KEY1, KEY2, "Sec-WebSocket-Draft: 2"], KEY3);
    check(&[KEY1, KEY2, "Content-Length: 9"], KEY3);
    check(&[KEY1, KEY2, "Transfer-Encoding: chunked"], KEY3);
    check(&[KEY1, KEY2, "Origin: http://other"], KEY3);
    check(&["Content-Length: 8"], KEY3);
}

#[test]
fn a_hixie_75_handshake_with_eight_bytes_behind_it_lost_its_keys() {
    let stage = Stage::new();
    let mut client = stage.client();
    client.say([opening(Dialect::Hixie75, "/", &[]), KEY3.to_vec()].concat());
    assert!(client.head().starts_with("HTTP/1.1 400 "));
    client.rest();
    stage.backend.saw_nobody();
    // An impatient client's frame is no key.
    let mut client = stage.client();
    client.say([opening(Dialect::Hixie75, "/", &[]), said(Dialect::Hixie75, "a")].concat());
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    upstream.gets(TEXT, "a");
}

#[test]
fn a_host_or_origin_that_would_break_a_hixie_answer_is_refused() {
    let stage = Stage::new();
    for line in ["Origin: http://a b", "Origin: http://a\tb"] {
        let lines = ["Upgrade: WebSocket", "Connection: Upgrade", "Host: tv", line];
        refused(&stage, &with("GET / HTTP/1.1", &lines), 400, None);
        refused(&stage, &with("GET / HTTP/1.1", &[&lines[..], &[KEY1, KEY2]].concat()), 400, None);
    }
}

#[test]
fn what_is_not_http_is_dropped_without_a_word() {
    let stage = Stage::new();
    for bytes in [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"\x16\x03\x01\0\xa5\x01",
        b"\x80\x2e\x01\x03\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"<policy-file-request/>\0",
        b"\0Hello\xff",
        b"\xff\0\0a\xff",
        b"\x81\x05Hello",
        b"\x01",
        b"\r\n\r\n\r\nGET / HTTP/1.1\r\n",
    ] {
        for cut in [Cut::Whole, Cut::Bytes] {
            eprintln!("{} {cut:?}", shown(bytes));
            let mut client = stage.client();
            // It may be dropped before it has said everything.
            match cut {
                Cut::Bytes => _ = bytes.iter().all(|byte| client.try_say(&[*byte])),
                _ => _ = client.try_say(bytes),
            }
            // RFC 8446 §6: who speaks TLS is told so in an alert.
            let tls = bytes.starts_with(b"\x16") || bytes.starts_with(b"\x80");
            let expected = if tls { &b"\x15\x03\x01\0\x02\x02\x28"[..] } else { b"" };
            assert_eq!(client.rest_or_reset(), expected);
            stage.backend.saw_nobody();
        }
    }
}

#[test]
fn what_might_still_become_something_is_waited_for_and_then_dropped_without_a_word() {
    let stage = Stage::with(|config| config.timeouts.head = ms(50));
    for bytes in [&b"\xff\0"[..], b"\x16", b"<policy", b"\r\n", b"PROXY"] {
        eprintln!("{}", shown(bytes));
        let mut client = stage.client();
        client.say(bytes);
        assert_eq!(shown(&client.rest_or_reset()), "");
    }
}

#[test]
fn a_path_or_host_without_route_is_not_found() {
    let stage = Stage::with(|config| config.routes[0].path = "/chat".into());
    for dialect in ALL {
        refused(&stage, &opening(dialect, "/chatter", &[]), 404, None);
        refused(&stage, &opening(dialect, "/", &[]), 404, None);
        refused(&stage, &opening(dialect, "/chat/../admin", &[]), 404, None);
    }
    let stage = Stage::with(|config| config.routes[0].host = Some("other.example".into()));
    refused(&stage, &opening(Dialect::Hixie76, "/", &[]), 404, None);
}

#[test]
fn a_refused_client_can_read_why_though_it_is_still_sending() {
    let stage = Stage::new();
    let mut client = stage.client();
    let lines = ["Host: tv", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 99"];
    client.say([with("GET / HTTP/1.1", &lines), vec![b'x'; 100_000]].concat());
    assert!(client.head().starts_with("HTTP/1.1 426 "));
    client.rest();
}
