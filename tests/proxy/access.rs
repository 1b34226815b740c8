//! Who may connect: refused before any backend hears of it, in a way that every old client can read.

use std::num::NonZeroUsize;

use hybridge::config::{Config, FlashDomain, OriginRule, Rate, Upstream};

use crate::support::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: tv\r\n\r\n";

/// What every dialect is told, exactly.
fn refusal(first: &str, more: &str, why: &str) -> String {
    let length = why.len() + 1;
    format!(
        "HTTP/1.1 {first}\r\nConnection: close\r\n{more}Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{why}\n"
    )
}

/// That the client is refused so, and that the backend sees nothing of it.
#[track_caller]
fn refused(stage: &Stage, bytes: &[u8], expected: &str) {
    for cut in [Cut::Whole, Cut::Head] {
        let mut client = stage.client();
        client.say_cut(bytes, cut);
        assert_eq!(String::from_utf8_lossy(&client.rest()), expected, "{}", shown(bytes));
        stage.backend.saw_nobody();
    }
}

/// That the client gets through.
#[track_caller]
fn opens(stage: &Stage, bytes: &[u8]) -> (Wire, Wire) {
    let mut client = stage.client();
    client.say(bytes);
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    assert!(client.head().starts_with("HTTP/1.1 101 "), "{}", shown(bytes));
    (client, upstream)
}

fn origins(rules: &[OriginRule]) -> Stage {
    Stage::with(|config| config.routes[0].origins = Some(rules.to_vec()))
}

fn exact(origin: &str) -> OriginRule {
    OriginRule::Exact(origin.to_owned())
}

/// An opening handshake of a page of that origin, or of none.
fn from(dialect: Dialect, origin: Option<&str>) -> Vec<u8> {
    let bytes = String::from_utf8(opening(dialect, "/", &[])).expect("keys of text");
    let line = if matches!(dialect, Dialect::Hybi07 | Dialect::Hybi10) { "Sec-WebSocket-Origin" } else { "Origin" };
    let own = format!("{line}: http://tv.example\r\n");
    let other = origin.map(|origin| format!("{line}: {origin}\r\n")).unwrap_or_default();
    assert!(bytes.contains(&own), "{bytes}");
    bytes.replace(&own, &other).into_bytes()
}

#[test]
fn only_pages_of_listed_origins_open_connections() {
    let below = OriginRule::Below { scheme: "https://".into(), domain: ".tv.example".into() };
    let stage = origins(&[exact("http://tv.example"), below, exact("file://")]);
    let forbidden = refusal("403 Forbidden", "", "pages of this origin may not connect here");
    for dialect in ALL {
        eprintln!("{dialect}");
        for origin in ["http://tv.example", "HTTP://tv.example:80", "https://a.tv.example", "file://"] {
            opens(&stage, &from(dialect, Some(origin)));
        }
        for origin in
            [Some("http://evil"), Some("https://tv.example"), Some("http://tv.example.evil"), Some("null"), None]
        {
            refused(&stage, &from(dialect, origin), &forbidden);
        }
    }
    // It is for opening handshakes alone: what a page may read of ordinary answers its browser judges.
    let mut client = stage.client();
    client.say("GET / HTTP/1.1\r\nHost: tv\r\nOrigin: http://evil\r\n\r\n");
    stage.backend.accept().head();
}

#[test]
fn null_and_no_origin_at_all_pass_where_they_are_listed() {
    let (null, missing) = (origins(&[OriginRule::Null]), origins(&[OriginRule::Missing]));
    let forbidden = refusal("403 Forbidden", "", "pages of this origin may not connect here");
    for dialect in ALL {
        opens(&null, &from(dialect, Some("null")));
        refused(&null, &from(dialect, None), &forbidden);
        opens(&missing, &from(dialect, None));
        refused(&missing, &from(dialect, Some("null")), &forbidden);
    }
}

#[test]
fn the_origin_that_counts_is_the_one_the_backend_is_told() {
    // Version 8 has an older name for it; a page cannot set either, but a strange client may send both.
    let stage = origins(&[exact("http://tv.example")]);
    opens(&stage, &opening(Dialect::Hybi10, "/", &["Origin: http://evil"]));
    opens(&stage, &opening(Dialect::Rfc6455, "/", &["Sec-WebSocket-Origin: http://evil"]));
    let forbidden = refusal("403 Forbidden", "", "pages of this origin may not connect here");
    for (dialect, other) in [(Dialect::Hybi10, "Origin"), (Dialect::Rfc6455, "Sec-WebSocket-Origin")] {
        let evil = String::from_utf8(from(dialect, Some("http://evil"))).expect("text");
        let both = evil.replace("Host:", &format!("{other}: http://tv.example\r\nHost:"));
        refused(&stage, both.as_bytes(), &forbidden);
    }
}

#[test]
fn an_address_that_is_not_listed_gets_nothing() {
    let stage = Stage::with(|config| config.routes[0].clients = Some(vec!["10.0.0.0/8".parse().expect("a network")]));
    let forbidden = refusal("403 Forbidden", "", "this address may not connect here");
    for dialect in ALL {
        refused(&stage, &opening(dialect, "/", &[]), &forbidden);
    }
    let mut client = stage.client();
    client.say(GET);
    let answer = client.head();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert_eq!(client.rest(), b"this address may not connect here\n");
    stage.backend.saw_nobody();
}

#[test]
fn an_address_that_is_listed_gets_everything() {
    let networks = ["10.0.0.0/8", "127.0.0.0/8"].map(|network| network.parse().expect("a network"));
    let stage = Stage::with(|config| config.routes[0].clients = Some(networks.to_vec()));
    for dialect in ALL {
        opens(&stage, &opening(dialect, "/", &[]));
    }
    let mut client = stage.client();
    client.say(GET);
    assert!(stage.backend.accept().head().starts_with("GET / "));
}

#[test]
fn each_route_has_its_own_clients_on_the_same_connection() {
    let stage = Stage::with(|config| {
        let mut closed = config.routes[0].clone();
        (closed.name, closed.path, closed.clients) = ("closed".into(), "/closed".into(), Some(Vec::new()));
        config.routes.insert(0, closed);
    });
    let mut client = stage.client();
    client.say(GET);
    let mut upstream = stage.backend.accept();
    assert!(upstream.head().starts_with("GET / "));
    upstream.say("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 204 "));
    // What follows a refusal is nobody's, be it a request or a body that looks like one.
    client.say(format!("POST /closed HTTP/1.1\r\nHost: tv\r\nContent-Length: {}\r\n\r\n{GET}{GET}", GET.len()));
    assert!(client.head().starts_with("HTTP/1.1 403 Forbidden\r\n"));
    assert_eq!(client.rest_or_reset(), b"this address may not connect here\n");
    upstream.hears_nothing_for(ms(30));
    stage.backend.saw_nobody();
}

#[test]
fn another_spelling_of_a_path_does_not_go_around_its_routes_clients() {
    let stage = Stage::with(|config| {
        let mut closed = config.routes[0].clone();
        (closed.name, closed.path, closed.clients) = ("closed".into(), "/closed".into(), Some(Vec::new()));
        config.routes.insert(0, closed);
    });
    for target in ["//closed", "/%63losed", "/x/../closed", "/closed/..", "/closed;x", "/./closed"] {
        for dialect in ALL {
            refused(
                &stage,
                &opening(dialect, target, &[]),
                &refusal("404 Not Found", "", "no route matches this host and path"),
            );
        }
        let mut client = stage.client();
        client.say(format!("GET {target} HTTP/1.1\r\nHost: tv\r\n\r\n"));
        assert!(client.head().starts_with("HTTP/1.1 404 "), "{target}");
        stage.backend.saw_nobody();
    }
}

fn limited(count: u32, per: u64, change: impl FnOnce(&mut Config)) -> Stage {
    Stage::with(|config| {
        config.limits.handshakes_per_address = Some(Rate { count, per: ms(1000 * per) });
        change(config);
    })
}

#[test]
fn an_address_has_only_its_share_of_handshakes_on_all_threads_together() {
    for dialect in ALL {
        let stage = limited(3, 300, |config| config.threads = NonZeroUsize::new(4));
        let _open: Vec<_> = (0..3).map(|_| opens(&stage, &opening(dialect, "/", &[]))).collect();
        for _ in 0..8 {
            let mut client = stage.client();
            client.say(opening(dialect, "/", &[]));
            let answer = client.head();
            let wait: u64 = field(&answer, "Retry-After").expect("when to try again").parse().expect("seconds");
            assert!((1..=100).contains(&wait), "{answer}");
            let more = format!("Retry-After: {wait}\r\n");
            let why = "more opening handshakes than limits.handshakes_per_address allows";
            let expected = refusal("429 Too Many Requests", &more, why);
            assert_eq!(answer + &String::from_utf8_lossy(&client.rest()), expected);
            stage.backend.saw_nobody();
        }
        // Ordinary requests are not counted, nor refused.
        let mut client = stage.client();
        client.say(GET);
        assert!(stage.backend.accept().head().starts_with("GET / "));
    }
}

#[test]
fn who_has_waited_as_told_is_served_again() {
    let stage = limited(1, 1, |_| {});
    let served = || {
        let mut client = stage.client();
        client.say(opening(Dialect::Hixie76, "/", &[]));
        let answer = std::thread::spawn(move || client.head());
        while !answer.is_finished() {
            if let Some(mut upstream) = stage.backend.try_accept(ms(5)) {
                upstream.agrees(&[]);
            }
        }
        let answer = answer.join().expect("the client is answered");
        if answer.starts_with("HTTP/1.1 101 ") {
            return true;
        }
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        assert_eq!(field(&answer, "Retry-After"), Some("1"));
        false
    };
    eventually("a client is refused that comes too often", || !served());
    // One that tries again far too often in between is none the worse for it.
    eventually("it is served again", served);
}

#[test]
fn only_handshakes_that_go_on_are_counted() {
    let stage = limited(1, 300, |config| config.routes[0].origins = Some(vec![exact("http://tv.example")]));
    for _ in 0..5 {
        let mut client = stage.client();
        client.say(from(Dialect::Rfc6455, Some("http://evil")));
        assert!(client.head().starts_with("HTTP/1.1 403 "));
        let mut client = stage.client();
        client.say(head("GET / HTTP/1.1", &["Host: tv", "Upgrade: websocket"]));
        assert!(client.head().starts_with("HTTP/1.1 400 "));
    }
    opens(&stage, &opening(Dialect::Rfc6455, "/", &[]));
    // What the backend refuses was asked of it.
    let stage = limited(1, 300, |_| {});
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    let mut upstream = stage.backend.accept();
    upstream.head();
    upstream.say("HTTP/1.1 401 Unauthorized\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 401 "));
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    assert!(client.head().starts_with("HTTP/1.1 429 "));
}

const POLICY_REQUEST: &[u8] = b"<policy-file-request/>\0";

#[test]
fn flash_hears_the_policy_of_its_listener_and_nothing_else() {
    let domain = |domain: &str, port| FlashDomain { domain: domain.to_owned(), port };
    let mut config =
        Config::simple(vec![([127, 0, 0, 1], 0).into(); 2], Upstream::parse("ws://127.0.0.1:1").expect("a URL"));
    config.listeners[0].flash_policy = vec![domain("*.tv.example", None), domain("tv.example", Some(80))];
    let proxy = Proxy::run(config);
    let expected = format!(
        "<?xml version=\"1.0\"?><cross-domain-policy>\
         <allow-access-from domain=\"*.tv.example\" to-ports=\"{}\"/>\
         <allow-access-from domain=\"tv.example\" to-ports=\"80\"/>\
         </cross-domain-policy>\0",
        proxy.address.port()
    );
    for cut in [Cut::Whole, Cut::Bytes] {
        let mut client = Wire::connect(proxy.address);
        client.say_cut(POLICY_REQUEST, cut);
        assert_eq!(String::from_utf8(client.rest()).expect("text"), expected);
    }
    // What follows the question is nobody's.
    let mut client = Wire::connect(proxy.address);
    client.say([POLICY_REQUEST, GET.as_bytes()].concat());
    assert_eq!(String::from_utf8(client.rest()).expect("text"), expected);
}

#[test]
fn flash_hears_nothing_from_a_listener_without_policy() {
    let mut config =
        Config::simple(vec![([127, 0, 0, 1], 0).into(); 2], Upstream::parse("ws://127.0.0.1:1").expect("a URL"));
    config.listeners[1].flash_policy = vec![FlashDomain { domain: "*".to_owned(), port: None }];
    let proxy = Proxy::run(config);
    let mut client = Wire::connect(proxy.address);
    client.say(POLICY_REQUEST);
    assert_eq!(shown(&client.rest_or_reset()), "");
}
