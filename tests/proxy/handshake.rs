//! Opening handshakes: what the backend is asked, what the client is answered, and the third key of hixie-76.

use hybridge::config::Config;

use crate::support::*;

#[test]
fn every_dialect_is_answered_with_exactly_its_bytes_however_its_own_were_cut() {
    let stage = Stage::new();
    for dialect in ALL {
        for cut in [Cut::Whole, Cut::Head, Cut::Bytes] {
            eprintln!("{dialect} {cut:?}");
            let mut client = stage.client();
            client.say_cut(&opening(dialect, "/demo?x=1", &[]), cut);
            let mut upstream = stage.backend.accept();
            upstream.agrees(&[]);
            client.hears(answer(dialect, "/demo?x=1", &[]));
        }
    }
}

#[test]
fn the_backend_gets_a_handshake_of_rfc_6455_with_the_clients_own_fields() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let mut client = stage.client();
        let more = [
            "Cookie: a=b; c=d",
            "X-First: 1",
            "x-LOWER-upper: Two  blanks",
            "Authorization: Basic dHY6dHY=",
            "User-Agent: HbbTV/1.1.1 (;LGE;)",
            "Cookie: second=1",
            "Accept-Language: de",
            "Keep-Alive: 300",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic eA==",
            "TE: trailers",
            "X-Forwarded-For: 192.0.2.7",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        client.say(opening(dialect, "/demo?x=1", &more));
        let request = stage.backend.accept().head();
        let key = field(&request, "Sec-WebSocket-Key").expect("a key").to_owned();
        assert_eq!(key.len(), 24, "{key}");
        assert_ne!(key, "dGhlIHNhbXBsZSBub25jZQ==", "the upstream's key is the proxy's own");
        let expected = format!(
            "GET /demo?x=1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {key}\r\nHost: tv.example:8080\r\nOrigin: http://tv.example\r\nCookie: a=b; c=d\r\nX-First: 1\r\nx-LOWER-upper: Two  blanks\r\n\
             Authorization: Basic dHY6dHY=\r\nUser-Agent: HbbTV/1.1.1 (;LGE;)\r\nCookie: second=1\r\n\
             Accept-Language: de\r\n\r\n"
        );
        assert_eq!(request, expected);
    }
}

#[test]
fn what_connection_names_goes_no_further() {
    let stage = Stage::new();
    let mut client = stage.client();
    let lines = [
        "Host: tv.example",
        "Upgrade: websocket, h2c",
        "Connection: keep-alive, X-Hop",
        "Connection: upgrade",
        "X-Hop: 1",
        KEY,
        "Sec-WebSocket-Version: 13",
        "X-Kept: 1",
    ];
    client.say(head("GET / HTTP/1.1", &lines));
    let request = stage.backend.accept().head();
    assert_eq!(field(&request, "X-Hop"), None, "{request}");
    assert_eq!(field(&request, "X-Kept"), Some("1"), "{request}");
    assert_eq!(request.matches("Upgrade: ").count(), 1, "{request}");
    assert_eq!(field(&request, "Upgrade"), Some("websocket"), "{request}");
}

#[test]
fn an_odd_but_honest_handshake_opens() {
    let hybi = |version: &'static str, more: &[&'static str]| {
        let usual = ["Host: tv.example", "Upgrade: WEBSOCKET", "Connection: keep-alive,upgrade", version];
        [&usual[..], more].concat()
    };
    let v13 = "Sec-WebSocket-Version: 13";
    let rows: Vec<(&str, Vec<&str>)> = vec![
        ("GET / HTTP/1.1", hybi(v13, &[KEY])),
        ("GET http://tv.example/ HTTP/1.1", hybi(v13, &[KEY])),
        ("GET ws://tv.example/ HTTP/1.1", hybi(v13, &[KEY])),
        ("GET / HTTP/1.1", hybi(v13, &[KEY, "Upgrade: WebSocket"])),
        // The misprint of RFC 6455 and a key of 15 bytes, as node 0.4 sends it.
        ("GET / HTTP/1.1", hybi(v13, &["Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="])),
        ("GET / HTTP/1.1", hybi("Sec-WebSocket-Version: 8", &["Sec-WebSocket-Key: OC0xMzMwMDAwMDAwMDAw"])),
        // Keys of hixie-76 beside a version and its key mean nothing.
        ("GET / HTTP/1.1", hybi(v13, &[KEY, KEY1, KEY2])),
        ("GET / HTTP/1.1", hybi(v13, &[KEY, "Content-Length: 0"])),
        ("\r\nGET / HTTP/1.1", hybi(v13, &[KEY])),
        ("\r\n\r\nGET / HTTP/1.1", hybi(v13, &[KEY])),
    ];
    let stage = Stage::new();
    for (first, lines) in rows {
        eprintln!("{first:?} {lines:?}");
        let mut client = stage.client();
        client.say(head(first, &lines));
        let request = stage.backend.accept().agrees(&[]);
        assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
        let answer = client.head();
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
        assert_eq!(answer.matches("Connection: Upgrade\r\n").count(), 1, "{answer}");
    }
}

#[test]
fn the_accept_of_a_real_firefox_10_and_a_15_byte_key_is_right() {
    let stage = Stage::new();
    for (version, key, accept) in [
        (8, "pFik//FxwFk0riN4ZiPFjQ==", "oCPNMjdhvED8MxbvfN3kHe9jRfQ="),
        (8, "OC0xMzMwMDAwMDAwMDAw", "5prGTL7nnqWSmubbXWz/WbRQbBE="),
        (13, "If6o1XtBFJFCOjpx801n3w==", "oqdG/tyYop2FvC++CnYrC3uXVDU="),
        (13, "AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
    ] {
        let mut client = stage.client();
        let lines = [
            "Host: tv",
            "Upgrade: websocket",
            "Connection: Upgrade",
            &format!("Sec-WebSocket-Key: {key}"),
            &format!("Sec-WebSocket-Version: {version}"),
        ];
        client.say(head("GET / HTTP/1.1", &lines));
        stage.backend.accept().agrees(&[]);
        assert_eq!(field(&client.head(), "Sec-WebSocket-Accept"), Some(accept));
    }
}

#[test]
fn the_origin_is_the_one_that_the_dialect_names() {
    let rows: [(&str, &[&str], Option<&str>); 8] = [
        ("13", &["Origin: http://a"], Some("http://a")),
        ("13", &["Sec-WebSocket-Origin: http://b"], Some("http://b")),
        ("13", &["Sec-WebSocket-Origin: http://b", "Origin: http://a"], Some("http://a")),
        ("8", &["Origin: http://a", "Sec-WebSocket-Origin: http://b"], Some("http://b")),
        ("8", &["Origin: http://a"], Some("http://a")),
        ("7", &["Sec-WebSocket-Origin: http://b"], Some("http://b")),
        ("7", &["Origin: null"], Some("null")),
        ("8", &[], None),
    ];
    let stage = Stage::new();
    for (version, lines, expected) in rows {
        eprintln!("v{version} {lines:?}");
        let version = format!("Sec-WebSocket-Version: {version}");
        let usual = ["Host: tv", "Upgrade: websocket", "Connection: Upgrade", KEY, &version];
        let mut client = stage.client();
        client.say(head("GET / HTTP/1.1", &[&usual, lines].concat()));
        let request = stage.backend.accept().head();
        assert_eq!(field(&request, "Origin"), expected, "{request}");
        assert_eq!(request.matches("rigin: ").count(), usize::from(expected.is_some()), "{request}");
    }
}

#[test]
fn a_hixie_client_without_origin_gets_none_back() {
    let stage = Stage::new();
    for (keys, prefix) in [(&[][..], "WebSocket"), (&[KEY1, KEY2], "Sec-WebSocket")] {
        let mut client = stage.client();
        let usual = ["Upgrade: WebSocket", "Connection: Upgrade", "Host: TV.Example:80"];
        client.say(head("GET /a%20b?c=d&e HTTP/1.1", &[&usual, keys].concat()));
        if !keys.is_empty() {
            client.say(KEY3);
        }
        stage.backend.accept().agrees(&[]);
        let answer = client.head();
        assert_eq!(field(&answer, &format!("{prefix}-Origin")), None, "{answer}");
        // The client builds its own from the same strings, so letter case and a default port stay.
        assert_eq!(field(&answer, &format!("{prefix}-Location")), Some("ws://TV.Example:80/a%20b?c=d&e"), "{answer}");
    }
}

#[test]
fn what_the_backend_adds_to_its_consent_reaches_whom_it_helps() {
    let stage = Stage::new();
    let adds = [
        "Set-Cookie: s=1; Path=/",
        "set-cookie: t=2",
        "Server: Backend/1",
        "X-Empty: ",
        "Keep-Alive: timeout=5",
        "Content-Length: 0",
        "Sec-WebSocket-Version: 13",
    ];
    for dialect in ALL {
        eprintln!("{dialect}");
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        stage.backend.accept().agrees(&adds);
        let travels: &[&str] = match dialect {
            Dialect::Hixie75 | Dialect::Hixie76 => &adds[..2],
            _ => &adds[..3],
        };
        client.hears(answer(dialect, "/", travels));
    }
}

#[test]
fn interim_answers_are_skipped() {
    let stage = Stage::new();
    for dialect in ALL {
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        let mut upstream = stage.backend.accept();
        let request = upstream.head();
        upstream.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        upstream.say(consent(&request, &[]));
        client.hears(answer(dialect, "/", &[]));
    }
}

#[test]
fn frames_that_come_with_the_backends_consent_follow_the_answer() {
    let stage = Stage::new();
    for dialect in ALL {
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        let mut upstream = stage.backend.accept();
        let request = upstream.head();
        upstream.say([consent(&request, &[]), plain(TEXT, "first"), plain(TEXT, "second")].concat());
        client.hears([answer(dialect, "/", &[]), heard(dialect, "first"), heard(dialect, "second")].concat());
    }
}

#[test]
fn frames_that_come_with_the_handshake_wait_for_the_backends_consent() {
    let stage = Stage::new();
    for dialect in ALL {
        for cut in [Cut::Whole, Cut::Bytes] {
            eprintln!("{dialect} {cut:?}");
            let mut client = stage.client();
            client.say_cut(&[opening(dialect, "/", &[]), said(dialect, "early"), said(dialect, "")].concat(), cut);
            let mut upstream = stage.backend.accept();
            let request = upstream.head();
            upstream.hears_nothing_for(ms(30));
            upstream.say(consent(&request, &[]));
            upstream.gets_message(TEXT, "early");
            upstream.gets_message(TEXT, "");
            client.hears(answer(dialect, "/", &[]));
        }
    }
}

// Subprotocols (dialects.md 9.2)

#[test]
fn a_subprotocol_is_offered_and_answered_as_the_dialect_does() {
    struct Row {
        dialect: Dialect,
        asks: &'static [&'static str],
        offered: Option<&'static str>,
        chosen: &'static [&'static str],
        answered: &'static [&'static str],
    }
    use Dialect::*;
    let row = |dialect, asks, offered, chosen, answered| Row { dialect, asks, offered, chosen, answered };
    let rows = [
        row(Hixie75, &["WebSocket-Protocol: a"], Some("a"), &["Sec-WebSocket-Protocol: a"], &["WebSocket-Protocol: a"]),
        row(Hixie75, &["WebSocket-Protocol: a"], Some("a"), &[], &["WebSocket-Protocol: a"]),
        row(Hixie75, &["Sec-WebSocket-Protocol: a"], Some("a"), &[], &["Sec-WebSocket-Protocol: a"]),
        row(
            Hixie76,
            &["Sec-WebSocket-Protocol: a"],
            Some("a"),
            &["Sec-WebSocket-Protocol: a"],
            &["Sec-WebSocket-Protocol: a"],
        ),
        row(Hixie76, &["Sec-WebSocket-Protocol: a"], Some("a"), &[], &["Sec-WebSocket-Protocol: a"]),
        row(Hixie76, &["WebSocket-Protocol: a"], Some("a"), &[], &["WebSocket-Protocol: a"]),
        // A WebKit wants its whole string back.
        row(
            Hixie76,
            &["Sec-WebSocket-Protocol: a, b a"],
            Some("a, b"),
            &["Sec-WebSocket-Protocol: b"],
            &["Sec-WebSocket-Protocol: a, b a"],
        ),
        row(
            Hybi07,
            &["Sec-WebSocket-Protocol: a, b"],
            Some("a, b"),
            &["Sec-WebSocket-Protocol: b"],
            &["Sec-WebSocket-Protocol: b"],
        ),
        row(Hybi10, &["Sec-WebSocket-Protocol: a,b"], Some("a, b"), &[], &[]),
        row(
            Rfc6455,
            &["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"],
            Some("a, b"),
            &["Sec-WebSocket-Protocol: a"],
            &["Sec-WebSocket-Protocol: a"],
        ),
        row(Rfc6455, &["Sec-WebSocket-Protocol: chat, superchat"], Some("chat, superchat"), &[], &[]),
        row(Rfc6455, &[], None, &[], &[]),
    ];
    let stage = Stage::new();
    for Row { dialect, asks, offered, chosen, answered } in rows {
        eprintln!("{dialect} {asks:?}");
        let mut client = stage.client();
        client.say(opening(dialect, "/", asks));
        let request = stage.backend.accept().agrees(chosen);
        assert_eq!(field(&request, "Sec-WebSocket-Protocol"), offered, "{request}");
        client.hears(answer(dialect, "/", answered));
    }
}

#[test]
fn the_flash_shim_is_answered_one_name_of_its_list() {
    let stage = Stage::new();
    let mut client = stage.client();
    let lines = [
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        "Host: tv.example",
        "Origin: http://tv.example",
        "Cookie: ",
        KEY1,
        KEY2,
        "Sec-WebSocket-Protocol: a,b",
    ];
    client.say(head("GET / HTTP/1.1", &lines));
    client.say(KEY3);
    stage.backend.accept().agrees(&["Sec-WebSocket-Protocol: b"]);
    assert_eq!(field(&client.head(), "Sec-WebSocket-Protocol"), Some("b"));
}

// Extensions (dialects.md 7)

#[test]
fn extensions_are_offered_for_v13_alone_and_never_those_that_hide_frames() {
    let asks = [
        "Sec-WebSocket-Extensions: deflate-stream, permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: x-webkit-deflate-frame, mux",
    ];
    let stage = Stage::new();
    for dialect in HYBI {
        let mut client = stage.client();
        client.say(opening(dialect, "/", &asks));
        let request = stage.backend.accept().agrees(&[]);
        let expected = (dialect == Dialect::Rfc6455)
            .then_some("permessage-deflate; client_max_window_bits, x-webkit-deflate-frame");
        assert_eq!(field(&request, "Sec-WebSocket-Extensions"), expected, "{request}");
        client.hears(answer(dialect, "/", &[]));
    }
}

#[test]
fn compressed_frames_pass_untouched_once_both_ends_agreed() {
    let stage = Stage::new();
    let agreed = "Sec-WebSocket-Extensions: permessage-deflate";
    let (mut client, mut upstream) = stage.open_with(Dialect::Rfc6455, &[agreed], &[agreed]);
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    client.say([masked(0x41, &hello[..3]), masked(0x80, &hello[3..])].concat());
    upstream.gets(0x41, &hello[..3]);
    upstream.gets(0x80, &hello[3..]);
    upstream.say(plain(0xC1, hello));
    client.hears(plain(0xC1, hello));
    // A message that is not compressed is text all the same.
    client.say(masked(TEXT, b"\xff"));
    client.hears(farewell(Dialect::Rfc6455, 1007));
}

// Routes

fn route(name: &str, upstream: &Backend, more: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\nupstream = \"{}\"\n{more}\n", upstream.url())
}

fn config(routes: &[String]) -> Config {
    let text = format!("listen = [\"127.0.0.1:0\"]\n{}", routes.concat());
    Config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn a_handshake_goes_by_host_and_then_by_the_longest_path() {
    let [any, chat, room, tv] = [(); 4].map(|()| Backend::listen());
    let proxy = Proxy::run(config(&[
        route("any", &any, ""),
        route("chat", &chat, "path = \"/chat\""),
        route("room", &room, "path = \"/chat/room\""),
        route("tv", &tv, "host = \"tv.example\""),
    ]));
    for (host, target, backend) in [
        ("other", "/", &any),
        ("other", "/chatter", &any),
        ("other", "/chat?x", &chat),
        ("other", "/chat/roomy", &chat),
        ("other:8080", "/chat/room/1", &room),
        ("TV.example:8080", "/chat/room/1", &tv),
    ] {
        eprintln!("{host} {target}");
        let mut client = Wire::connect(proxy.address);
        let lines = [&format!("Host: {host}"), "Upgrade: WebSocket", "Connection: Upgrade"];
        client.say(head(&format!("GET {target} HTTP/1.1"), &lines));
        let request = backend.accept().agrees(&[]);
        assert!(request.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{request}");
        // The client compares this with its own idea, which knows nothing of routes.
        let answer = client.head();
        assert_eq!(field(&answer, "WebSocket-Location"), Some(&*format!("ws://{host}{target}")));
    }
}

#[test]
fn an_upstream_path_replaces_the_routes_and_the_location_stays_the_clients() {
    let backend = Backend::listen();
    let text = format!("[[route]]\nname = \"a\"\nupstream = \"{}/rooms\"\npath = \"/chat\"\n", backend.url());
    let proxy = Proxy::run(config(&[text]));
    let mut client = Wire::connect(proxy.address);
    client.say(opening(Dialect::Hixie76, "/chat/1?x", &[]));
    let request = backend.accept().agrees(&[]);
    assert!(request.starts_with("GET /rooms/1?x HTTP/1.1\r\n"), "{request}");
    client.hears(answer(Dialect::Hixie76, "/chat/1?x", &[]));
}

#[test]
fn the_backend_is_told_the_host_that_the_route_says() {
    let backend = Backend::listen();
    let own = backend.address().to_string();
    for (setting, expected) in [("client", "tv.example:8080"), ("upstream", &own), ("portal.example", "portal.example")]
    {
        let proxy = Proxy::run(config(&[route("a", &backend, &format!("upstream_host = \"{setting}\""))]));
        for dialect in ALL {
            let mut client = Wire::connect(proxy.address);
            client.say(opening(dialect, "/", &[]));
            let request = backend.accept().agrees(&[]);
            assert_eq!(field(&request, "Host"), Some(expected), "{request}");
            client.hears(answer(dialect, "/", &[]));
        }
    }
}

#[test]
fn a_route_speaks_only_its_dialects() {
    let backend = Backend::listen();
    for on in ALL {
        let proxy = Proxy::run(config(&[route("a", &backend, &format!("dialects = [\"{on}\"]"))]));
        for dialect in ALL {
            eprintln!("{dialect} where only {on} is served");
            let mut client = Wire::connect(proxy.address);
            client.say(opening(dialect, "/", &[]));
            if dialect == on {
                backend.accept().agrees(&[]);
                client.hears(answer(dialect, "/", &[]));
                continue;
            }
            let refusal = client.head();
            assert!(refusal.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{refusal}");
            let versions = HYBI.contains(&on).then(|| version(on).to_string());
            assert_eq!(field(&refusal, "Sec-WebSocket-Version"), versions.as_deref(), "{refusal}");
            client.rest();
            backend.saw_nobody();
        }
    }
}

// The third key (dialects.md 4.4, field notes 6 and 7)

#[test]
fn the_head_is_answered_before_the_third_key_and_the_digest_comes_in_one_piece() {
    let stage = Stage::new();
    for cut in [Cut::Whole, Cut::Bytes] {
        let mut client = stage.client();
        client.say(opening_head(Dialect::Hixie76, "/", &[]));
        let mut upstream = stage.backend.accept();
        upstream.agrees(&[]);
        let whole = answer(Dialect::Hixie76, "/", &[]);
        let (head, digest) = whole.split_at(whole.len() - DIGEST.len());
        client.hears(head);
        client.hears_nothing_for(ms(20));
        client.say_cut(KEY3, cut);
        assert_eq!(client.next_read(), digest);
    }
}

#[test]
fn head_and_digest_are_one_piece_where_the_third_key_is_there() {
    let stage = Stage::new();
    let mut client = stage.client();
    client.say(opening(Dialect::Hixie76, "/", &[]));
    stage.backend.accept().agrees(&[]);
    assert_eq!(shown(&client.next_read()), shown(&answer(Dialect::Hixie76, "/", &[])));
}

#[test]
fn an_announced_third_key_is_no_body() {
    let stage = Stage::new();
    for cut in [Cut::Whole, Cut::Head, Cut::Bytes] {
        let mut client = stage.client();
        client.say_cut(&opening(Dialect::Hixie76, "/", &["Content-Length: 8"]), cut);
        let mut upstream = stage.backend.accept();
        let request = upstream.agrees(&[]);
        assert_eq!(field(&request, "Content-Length"), None, "{request}");
        client.hears(answer(Dialect::Hixie76, "/", &[]));
        client.say(said(Dialect::Hixie76, "a"));
        upstream.gets(TEXT, "a");
    }
}

#[test]
fn a_third_key_may_look_like_anything() {
    let stage = Stage::new();
    let mut client = stage.client();
    let lines = [
        "Host: tv",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key1: 5#6u}35MJ)ubI7C41~5 3",
        "Sec-WebSocket-Key2: h421 2271_71 G 0",
        "Sec-WebSocket-Draft: 0",
    ];
    client.say(head("GET / HTTP/1.1", &lines));
    client.say(b"\x00\xff\r\n\r\n\xff\x00\0after\xff");
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    client.head();
    client.hears(b"\xaa\xb0\x90\x48\x4c\x9f\xd4\x4a\xa2\x52\x36\x25\x02\x2c\x65\x8c");
    upstream.gets(TEXT, "after");
}

#[test]
fn frames_wait_until_the_digest_is_written() {
    let stage = Stage::new();
    let mut client = stage.client();
    client.say(opening_head(Dialect::Hixie76, "/", &[]));
    let mut upstream = stage.backend.accept();
    let request = upstream.head();
    upstream.say([consent(&request, &[]), plain(TEXT, "early")].concat());
    client.head();
    client.hears_nothing_for(ms(20));
    client.say([KEY3, b"\0behind\xff"].concat());
    client.hears([DIGEST, b"\0early\xff"].concat());
    upstream.gets(TEXT, "behind");
}

#[test]
fn a_third_key_that_never_comes_ends_both_sides() {
    let stage = Stage::with(|config| config.timeouts.key3 = ms(50));
    let mut client = stage.client();
    client.say(opening_head(Dialect::Hixie76, "/", &[]));
    client.say(&KEY3[..7]);
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    client.head();
    client.hears_end();
    upstream.gets(CLOSE, status(1001, ""));
    upstream.hears_end();
}

#[test]
fn a_client_that_leaves_during_the_handshake_takes_its_backend_along() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        let mut upstream = stage.backend.accept();
        upstream.head();
        drop(client);
        upstream.hears_end();
    }
    // Agreed already, but not yet answered.
    let mut client = stage.client();
    client.say(opening_head(Dialect::Hixie76, "/", &[]));
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    client.head();
    drop(client);
    upstream.gets(CLOSE, status(1001, ""));
    upstream.hears_end();
}
