//! What backends and hixie clients are told of how a client got here.

use std::net::IpAddr;

use hybridge::config::{Balance, Config, ForwardedHeader};
use hybridge::preamble::{Preamble, Tls, TlsFacts, Version};

use crate::certificates::Authority;
use crate::hall::{self, Hall};
use crate::support::*;
use crate::tls;

/// The default headers, and this address as the peer of everybody.
fn telling(config: &mut Config) {
    config.forwarded.headers = hybridge::config::Forwarded::default().headers;
}

fn trusting(config: &mut Config) {
    telling(config);
    config.forwarded.trusted = vec![IpAddr::from([127, 0, 0, 1]).into(), "10.0.0.0/8".parse().expect("a network")];
}

/// What of a head says how the client came, in its order.
fn told(head: &str) -> Vec<&str> {
    let about = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        name.starts_with("x-forwarded")
            || name.starts_with("x_forwarded")
            || matches!(&*name, "forwarded" | "x-real-ip")
    };
    head.lines().filter(about).collect()
}

/// A handshake with these lines; what its backend is told, and the location its client is told.
#[track_caller]
fn opened(client: &mut Wire, backend: &Backend, before: &[u8], lines: &[&str]) -> (Vec<String>, String) {
    client.say([before, &opening(Dialect::Hixie76, "/live?x=1", lines)].concat());
    let mut upstream = backend.accept();
    let request = upstream.agrees(&[]);
    let head = client.head();
    client.hears(DIGEST);
    let location = field(&head, "Sec-WebSocket-Location").expect("hixie-76 has one").to_owned();
    (told(&request).into_iter().map(str::to_owned).collect(), location)
}

const CLAIMS: [&str; 7] = [
    "X-Forwarded-For: 203.0.113.9, 10.1.1.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: tv.front",
    "X_Forwarded_For: 1.2.3.4",
    "X-Forwarded-Port: 8443",
    "X-Real-IP: 5.6.7.8",
    "Forwarded: for=9.9.9.9;proto=https",
];

#[test]
fn what_strangers_claim_is_replaced_by_what_is_seen() {
    let stage = Stage::with(telling);
    for claims in [&CLAIMS[..], &[]] {
        let (told, location) = opened(&mut stage.client(), &stage.backend, b"", claims);
        let expected = [
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: tv.example:8080",
            "Forwarded: for=127.0.0.1;host=\"tv.example:8080\";proto=http",
        ];
        assert_eq!(told, expected);
        assert_eq!(location, "ws://tv.example:8080/live?x=1");
    }
}

#[test]
fn what_a_trusted_front_says_is_believed_and_goes_on_with_its_own_address() {
    let stage = Stage::with(trusting);
    let (told, location) = opened(&mut stage.client(), &stage.backend, b"", &CLAIMS[..3]);
    assert_eq!(
        told[..3],
        ["X-Forwarded-For: 203.0.113.9, 10.1.1.1, 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: tv.front",]
    );
    assert!(told[3].starts_with("Forwarded: ") && told[3].contains("203.0.113.9"), "{told:?}");
    assert_eq!(location, "wss://tv.front/live?x=1");
    let (told, location) =
        opened(&mut stage.client(), &stage.backend, b"", &["Forwarded: for=\"[2001:db8::7]:99\";proto=https;host=a.b"]);
    assert!(told[3].starts_with("Forwarded: for=\"[2001:db8::7]:99\";proto=https;host=a.b, for=127.0.0.1"), "{told:?}");
    assert_eq!(told[0], "X-Forwarded-For: 2001:db8::7, 127.0.0.1");
    assert_eq!(location, "wss://a.b/live?x=1");
}

#[test]
fn headers_that_only_fronts_write_pass_from_trusted_ones_alone() {
    const OTHERS: [&str; 3] = ["X-Forwarded-User: admin", "x_forwarded_prefix: /admin", "X-FORWARDED-Client-Cert: a"];
    for (trusted, expected) in [(false, &[][..]), (true, &OTHERS)] {
        let stage = Stage::with(|config| {
            if trusted {
                trusting(config);
            }
            config.forwarded.headers = Vec::new();
        });
        let (told_of_socket, _) = opened(&mut stage.client(), &stage.backend, b"", &OTHERS);
        assert_eq!(told_of_socket, expected);
        let mut client = stage.client();
        client.say(head("GET /page HTTP/1.1", &[&["Host: tv.example:8080"], &OTHERS[..]].concat()));
        assert_eq!(told(&stage.backend.accept().head()), expected);
    }
}

#[test]
fn a_claim_that_is_no_host_is_not_told_to_anybody() {
    let stage = Stage::with(trusting);
    for claim in ["X-Forwarded-Host: a b", "X-Forwarded-Host: a/b", "X-Forwarded-Host: x\u{e4}", "X-Forwarded-Port: 0"]
    {
        let (told, location) = opened(&mut stage.client(), &stage.backend, b"", &[claim]);
        assert!(told.contains(&"X-Forwarded-Host: tv.example:8080".to_owned()), "{told:?}");
        assert_eq!(location, "ws://tv.example:8080/live?x=1", "{claim}");
    }
}

#[test]
fn a_preamble_outdoes_the_connection_and_headers_are_believed_of_whom_it_names() {
    let stage = Stage::with(|config| {
        trusting(config);
        config.listeners[0].proxy_protocol = vec![IpAddr::from([127, 0, 0, 1]).into()];
    });
    let from = |client: &str, tls: Tls| {
        let client = client.parse().expect("an address");
        Preamble { tls, ..Preamble::of(client, "198.51.100.1:443".parse().expect("an address")) }.write(Version::V2)
    };
    let encrypted = || Tls::Encrypted(TlsFacts::default());
    // Who is not trusted is replaced, though the front that wrote the preamble is.
    let before = from("192.0.2.7:4711", encrypted());
    let (told, location) = opened(&mut stage.client(), &stage.backend, &before, &CLAIMS);
    assert_eq!(told[..2], ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"]);
    assert_eq!(location, "wss://tv.example:8080/live?x=1");
    // A front that is trusted behind the one that wrote the preamble.
    let before = from("10.0.0.9:4711", Tls::Unsaid);
    let (told, location) = opened(&mut stage.client(), &stage.backend, &before, &CLAIMS[..2]);
    assert_eq!(told[..2], ["X-Forwarded-For: 203.0.113.9, 10.1.1.1, 10.0.0.9", "X-Forwarded-Proto: https"]);
    assert_eq!(location, "wss://tv.example:8080/live?x=1");
    // That a preamble says TLS outdoes a header that denies it.
    let before = from("10.0.0.9:4711", encrypted());
    let (_, location) = opened(&mut stage.client(), &stage.backend, &before, &["X-Forwarded-Proto: http"]);
    assert_eq!(location, "wss://tv.example:8080/live?x=1");
}

#[test]
fn tls_here_is_outdone_by_trusted_headers_and_all_of_it_by_the_public_url() {
    let authority = Authority::new("seen");
    for (public_url, line, expected, proto) in [
        ("auto", "X-Other: 1", "wss://tv.example:8080/live?x=1", "https"),
        ("auto", "X-Forwarded-Proto: http", "ws://tv.example:8080/live?x=1", "http"),
        ("ws", "X-Forwarded-Proto: https", "ws://tv.example:8080/live?x=1", "http"),
        ("wss", "X-Forwarded-Proto: http", "wss://tv.example:8080/live?x=1", "https"),
        ("wss://tv/p", "X-Forwarded-Host: other", "wss://tv/p/live?x=1", "https"),
    ] {
        let files = authority.files("localhost", &["localhost"]);
        let stage = Stage::with(|config| {
            trusting(config);
            tls::speaks(config, &[&files]);
            config.routes[0].public_url = public_url.parse().expect("a URL");
        });
        let door = tls::through_tls_after(Vec::new(), stage.proxy.address, "localhost", &authority);
        let (told, location) = opened(&mut Wire::connect(door), &stage.backend, b"", &[line]);
        assert_eq!(location, expected, "{public_url} {line}");
        assert_eq!(told[1], format!("X-Forwarded-Proto: {proto}"), "{public_url} {line}");
        let host = if public_url.ends_with("/p") { "tv" } else { "tv.example:8080" };
        assert_eq!(told[2], format!("X-Forwarded-Host: {host}"), "{public_url} {line}");
        // One client, one story: what a front did not say is what public_url says, in both kinds of header.
        let (told, _) = opened(&mut Wire::connect(door), &stage.backend, b"", &[]);
        let proto = if public_url == "ws" { "http" } else { "https" };
        assert_eq!(told[1], format!("X-Forwarded-Proto: {proto}"), "{public_url}");
        assert!(told[3].contains(&format!("proto={proto}")), "{told:?}");
    }
}

#[test]
fn ordinary_requests_tell_the_same() {
    let stage = Stage::with(|config| {
        trusting(config);
        config.forwarded.headers = ForwardedHeader::ALL.to_vec();
    });
    let mut client = stage.client();
    for (claims, first) in
        [(&CLAIMS[..], "X-Forwarded-For: 203.0.113.9, 10.1.1.1, 127.0.0.1"), (&[], "X-Forwarded-For: 127.0.0.1")]
    {
        client.say(head("GET /page HTTP/1.1", &[&["Host: tv.example:8080"], claims].concat()));
        let mut upstream = stage.backend.accept();
        let request = upstream.head();
        let told = told(&request);
        assert_eq!(told[0], first, "{request}");
        assert_eq!(told.len(), 6, "{request}");
        assert!(!request.contains("1.2.3.4") && !request.contains("9.9.9.9"), "{request}");
        upstream.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        client.hear_until("\r\n\r\nok");
    }
}

#[test]
fn lists_of_clients_and_rates_go_by_the_address_that_is_believed() {
    let stage = Stage::with(|config| {
        trusting(config);
        config.routes[0].clients = Some(vec!["203.0.113.0/24".parse().expect("a network")]);
    });
    opened(&mut stage.client(), &stage.backend, b"", &["X-Forwarded-For: 203.0.113.9"]);
    for claim in ["X-Forwarded-For: 203.0.114.9", "X-Other: 203.0.113.9", "X-Forwarded-For: 203.0.113.9, 192.0.2.1"] {
        let mut client = stage.client();
        client.say(opening(Dialect::Hixie76, "/", &[claim]));
        assert!(client.head().starts_with("HTTP/1.1 403 "), "{claim}");
        let mut client = stage.client();
        client.say(head("GET / HTTP/1.1", &["Host: tv.example:8080", claim]));
        assert!(client.head().starts_with("HTTP/1.1 403 "), "{claim}");
    }
    stage.backend.saw_nobody();
}

#[test]
fn a_preamble_for_the_backend_tells_of_the_client_that_is_believed() {
    let authority = Authority::new("passed-on");
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| {
        trusting(config);
        tls::speaks(config, &[&files]);
        config.routes[0].send_proxy = Some(Version::V2);
    });
    let door = tls::through_tls_after(Vec::new(), stage.proxy.address, "localhost", &authority);
    let heard = |wire: &mut Wire| {
        let head = wire.hear(16);
        let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
        let whole = [head, wire.hear(length)].concat();
        hybridge::preamble::read(&whole).expect("a preamble").expect("a whole one").0
    };
    // One client's connection, which a trusted front uses for several clients of its own.
    let (mut client, mut kept) = (Wire::connect(door), Vec::new());
    for (claim, expected) in [
        ("X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: 203.0.113.10", "203.0.113.10"),
        ("X-Forwarded-For: 203.0.113.10", ""),
    ] {
        client.say(head("GET /page HTTP/1.1", &["Host: tv.example:8080", claim]));
        if expected.is_empty() {
            // The same client once more: the connection it had is still good.
            assert!(stage.backend.try_accept(ms(300)).is_none());
            break;
        }
        let mut upstream = stage.backend.accept();
        let told = heard(&mut upstream);
        assert_eq!(told.source.expect("a client").0.ip(), expected.parse::<IpAddr>().expect("an address"));
        upstream.head();
        upstream.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        client.hear_until("\r\n\r\nok");
        kept.push(upstream);
    }
    let mut client = Wire::connect(door);
    client.say(opening(Dialect::Hixie76, "/", &[]));
    let mut upstream = stage.backend.accept();
    let told = heard(&mut upstream);
    assert!(matches!(told.tls, Tls::Encrypted(ref facts) if facts.version.as_deref() == Some("TLSv1.3")), "{told:?}");
    assert_eq!(told.authority.as_deref(), Some("localhost"));
    assert_eq!(told.alpn.as_deref(), Some(&b"http/1.1"[..]));
    upstream.agrees(&[]);
    assert!(client.head().contains("Sec-WebSocket-Location: wss://"));
}

#[test]
fn the_server_of_a_client_is_that_of_its_believed_address_for_pages_as_for_sockets() {
    let hall = Hall::new(5, |config| {
        trusting(config);
        config.routes[0].balance = Balance::Client;
    });
    let mut kept = hall::from(&hall.proxy, 1);
    let mut seen = Vec::new();
    for number in 0..10 {
        let claim = format!("X-Forwarded-For: 203.0.113.{number}");
        let socket = hall::host_of(&hall.proxy, 1, "/", &[&claim]);
        let page = hall::asked(&mut kept, &format!("GET / HTTP/1.1\r\nHost: tv\r\n{claim}\r\n\r\n"));
        assert_eq!(page, socket.to_string(), "{claim}");
        seen.push(socket);
    }
    assert!(seen.iter().any(|server| *server != seen[0]), "{seen:?}");
}

#[test]
fn a_preamble_names_the_believed_client_of_each_request_on_a_connection_of_a_front() {
    let stage = Stage::with(|config| {
        trusting(config);
        config.routes[0].send_proxy = Some(Version::V1);
    });
    let mut front = stage.client();
    let (mut before, mut upstream) = ("", None);
    for client in ["203.0.113.9", "203.0.113.9", "203.0.113.10"] {
        front.say(format!("GET / HTTP/1.1\r\nHost: tv\r\nX-Forwarded-For: {client}\r\n\r\n"));
        let wire: &mut Wire = match upstream.take() {
            // Two requests of the same client may share a connection.
            Some(wire) if client == before => upstream.insert(wire),
            _ => {
                let wire = upstream.insert(stage.backend.accept());
                let preamble = String::from_utf8(wire.hear_until("\r\n")).expect("text");
                assert!(preamble.starts_with(&format!("PROXY TCP4 {client} 127.0.0.1 ")), "{preamble}");
                wire
            }
        };
        wire.head();
        wire.say("HTTP/1.1 204 No Content\r\n\r\n");
        assert!(front.head().starts_with("HTTP/1.1 204 "));
        before = client;
    }
}
