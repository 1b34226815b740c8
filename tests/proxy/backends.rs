//! Where servers are, and what they are told first: Unix sockets, IPv6, names, preambles; event streams on several.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;

use hybridge::config::{Config, Health, Place, Protocol, SendTo};
use hybridge::preamble::Version;

use crate::hall::*;
use crate::support::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: tv\r\n\r\n";
const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";
/// proxy-protocol.txt §2.2
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn place(backend: &Backend) -> Place {
    Place::Tcp { host: "127.0.0.1".into(), port: backend.address().port() }
}

/// A path for a socket, for one test alone.
fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("hybridge-test-{}-{name}.sock", std::process::id()))
}

fn sends_events(config: &mut Config) {
    let route = &mut config.routes[0];
    (route.upstream.protocol, route.events.retry) = (Protocol::Events, ms(20));
    route.events.send = Some(SendTo { backend: None, path: "/in".into() });
}

#[test]
fn a_unix_socket_is_a_server_like_any_other() {
    let path = socket("all");
    let book = unix_host(4, &path);
    let away = Place::Unix(socket("nobody"));
    for servers in [vec![Place::Unix(path.clone())], vec![away.clone(), Place::Unix(path.clone())]] {
        let ws = proxy(servers.clone(), |_| {});
        for dialect in ALL {
            assert_eq!(opened(from(&ws, 1), dialect, "/", &[]).1, 4, "{dialect}");
        }
        let mut client = from(&ws, 1);
        assert_eq!(asked(&mut client, GET), "4");
        assert_eq!(asked(&mut client, "POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 5\r\n\r\nHello"), "Hello4");
        let sse = proxy(servers, sends_events);
        for dialect in ALL {
            let (mut client, number) = opened(from(&sse, 1), dialect, "/", &[]);
            assert_eq!(number, 4, "{dialect}");
            book.heads.lock().expect("nobody panicked").clear();
            client.say(said(dialect, "hello"));
            eventually("the message is taken", || book.heads_with("POST /in ").len() == 1);
        }
    }
    // A server is told no path as its host.
    let ws = proxy(vec![Place::Unix(path.clone())], |_| {});
    let mut old = from(&ws, 1);
    old.say("GET /old HTTP/1.0\r\n\r\n");
    assert!(old.head().starts_with("HTTP/1.0 200 "));
    assert!(book.heads_with("/old")[0].to_ascii_lowercase().contains("\r\nhost: localhost\r\n"));
    let _ = std::fs::remove_file(&path);
    // The socket is gone.
    let mut client = from(&ws, 1);
    client.say(opening(Dialect::Hixie76, "/", &[]));
    assert!(client.head().starts_with("HTTP/1.1 502 "));
}

#[test]
fn a_server_may_have_an_ipv6_address_or_a_name_of_both_families() {
    let Ok(six) = std::panic::catch_unwind(|| Host::at(6, "[::1]:0".parse::<SocketAddr>().expect("an address"))) else {
        eprintln!("this machine has no IPv6");
        return;
    };
    let proxy_six = proxy(vec![six.place()], |config| {
        config.routes[0].upstream_host = hybridge::config::UpstreamHost::Upstream;
    });
    assert_eq!(host_of(&proxy_six, 1, "/ws", &[]), 6);
    assert_eq!(page_of(&proxy_six, 1, "/page", ""), 6);
    for target in ["/ws", "/page"] {
        let head = six.book.heads_with(target).remove(0);
        assert_eq!(field(&head, "Host"), Some(&*six.address.to_string()), "{head}");
    }
    // Whichever of its addresses comes first, somebody listens at one of them.
    let four = Host::new(4);
    let local: Vec<SocketAddr> = ("localhost", 0).to_socket_addrs().expect("everybody knows this name").collect();
    for host in [&six, &four].into_iter().filter(|host| local.iter().any(|own| own.ip() == host.address.ip())) {
        let named = Place::Tcp { host: "localhost".into(), port: host.address.port() };
        let named = proxy(vec![named], |_| {});
        let number = if host.address.is_ipv6() { 6 } else { 4 };
        assert_eq!(host_of(&named, 1, "/", &[]), number);
        assert_eq!(page_of(&named, 1, "/", ""), number);
    }
}

#[test]
fn a_name_that_nobody_knows_is_a_server_that_is_away() {
    let here = Host::new(3);
    let unknown = Place::Tcp { host: "nobody.invalid".into(), port: here.address.port() };
    let both = proxy(vec![unknown.clone(), here.place()], |_| {});
    (0..3).for_each(|_| assert_eq!(host_of(&both, 1, "/", &[]), 3));
    let nowhere = proxy(vec![unknown], |_| {});
    let mut client = from(&nowhere, 1);
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    assert!(client.head().starts_with("HTTP/1.1 50"));
}

/// What stands before the first request of this client: in version 1 a line, in version 2 its binary form.
#[track_caller]
fn hears_preamble(upstream: &mut Wire, version: Version, client: SocketAddr, proxy: SocketAddr) {
    let ports = [client.port().to_be_bytes(), proxy.port().to_be_bytes()].concat();
    upstream.hears(match version {
        Version::V1 => format!("PROXY TCP4 127.0.0.9 127.0.0.1 {} {}\r\n", client.port(), proxy.port()).into_bytes(),
        Version::V2 => [SIGNATURE, &[0x21, 0x11, 0, 12, 127, 0, 0, 9, 127, 0, 0, 1], &ports].concat(),
    });
}

#[test]
fn a_preamble_tells_each_connection_who_its_client_is() {
    for version in [Version::V1, Version::V2] {
        let backend = Backend::listen();
        let own = proxy(vec![place(&backend)], |config| config.routes[0].send_proxy = Some(version));
        for dialect in ALL {
            let mut client = from(&own, 9);
            client.say(opening(dialect, "/demo", &[]));
            let mut upstream = backend.accept();
            hears_preamble(&mut upstream, version, client.local_address(), own.address);
            upstream.agrees(&[]);
            client.hears(answer(dialect, "/demo", &[]));
        }
        // Ordinary requests share a connection only with those of the same client.
        let (mut one, mut other) = (from(&own, 9), from(&own, 9));
        let mut upstreams = Vec::new();
        for client in [&mut one, &mut other] {
            client.say(GET);
            let mut upstream = backend.accept();
            hears_preamble(&mut upstream, version, client.local_address(), own.address);
            upstream.head();
            upstream.say(ok("hi"));
            client.hears(ok("hi"));
            upstreams.push(upstream);
        }
        for (client, upstream) in [&mut one, &mut other].into_iter().zip(&mut upstreams) {
            client.say(GET);
            upstream.head();
            upstream.say(ok("hi"));
            client.hears(ok("hi"));
        }
        // They end with their client.
        drop(one);
        upstreams[0].hears_end();
    }
}

#[test]
fn a_preamble_stands_before_events_and_messages_too() {
    let backend = Backend::listen();
    let own = proxy(vec![place(&backend)], |config| {
        config.routes[0].send_proxy = Some(Version::V1);
        sends_events(config);
    });
    let mut client = from(&own, 9);
    client.say(opening(Dialect::Rfc6455, "/demo", &[]));
    let mut events = backend.accept();
    hears_preamble(&mut events, Version::V1, client.local_address(), own.address);
    events.head();
    events.say(STREAM);
    client.hears(answer(Dialect::Rfc6455, "/demo", &[]));
    client.say(masked(TEXT, "hello"));
    let mut message = backend.accept();
    hears_preamble(&mut message, Version::V1, client.local_address(), own.address);
    message.head();
    message.hears("hello");
    message.say(TAKEN);
}

#[test]
fn a_health_check_is_nobodys() {
    for version in [Version::V1, Version::V2] {
        let backend = Backend::listen();
        let _own = proxy(vec![place(&backend)], |config| {
            let route = &mut config.routes[0];
            route.send_proxy = Some(version);
            (route.health, route.health_interval) = (Some(Health::Http("/well".into())), ms(50));
        });
        let mut check = backend.accept();
        check.hears(match version {
            Version::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
            Version::V2 => [SIGNATURE, &[0x20, 0, 0, 0]].concat(),
        });
        let head = check.head();
        assert!(head.starts_with("GET /well HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "Host"), Some(&*backend.address().to_string()));
    }
}

#[test]
fn a_stream_of_a_dead_server_goes_on_at_another() {
    for dialect in [Dialect::Hixie75, Dialect::Rfc6455] {
        let (one, other) = (Backend::listen(), Backend::listen());
        let own = proxy(vec![place(&one), place(&other)], sends_events);
        let mut client = from(&own, 1);
        client.say(opening(dialect, "/demo", &[]));
        let mut events = one.accept();
        events.head();
        events.say(STREAM);
        client.hears(answer(dialect, "/demo", &[]));
        events.say("id: 17\ndata: a\n\n");
        client.hears(heard(dialect, "a"));
        // What the client says goes where its events come from, whosever turn it is.
        for text in ["x", "y"] {
            client.say(said(dialect, text));
            let mut message = one.accept();
            assert!(message.head().starts_with("POST /in "));
            message.hears(text);
            message.say(TAKEN);
        }
        other.saw_nobody();
        drop((events, one));
        let mut events = other.accept();
        assert_eq!(field(&events.head(), "Last-Event-ID"), Some("17"));
        events.say(STREAM);
        events.say("data: b\n\n");
        client.hears(heard(dialect, "b"));
        client.say(said(dialect, "z"));
        let mut message = other.accept();
        assert!(message.head().starts_with("POST /in "));
        message.hears("z");
        message.say(TAKEN);
    }
}

#[test]
fn who_redirects_is_asked_again_and_not_another() {
    let (one, other) = (Backend::listen(), Backend::listen());
    let own = proxy(vec![place(&one), place(&other)], sends_events);
    let mut client = from(&own, 1);
    client.say(opening(Dialect::Rfc6455, "/demo", &[]));
    for target in ["/demo", "/a", "/b"] {
        let mut events = one.accept();
        assert!(events.head().starts_with(&format!("GET {target} ")));
        let next = if target == "/demo" { "/a" } else { "/b" };
        events.say(if target == "/b" {
            STREAM.into()
        } else {
            format!("HTTP/1.1 307 There\r\nLocation: {next}\r\n\r\n")
        });
        if target == "/b" {
            client.hears(answer(Dialect::Rfc6455, "/demo", &[]));
        }
    }
    other.saw_nobody();
}

#[test]
fn a_message_between_two_streams_goes_to_a_server_that_is_there() {
    let mut one = Some(TcpListener::bind(own_address()).expect("all of 127/8 is this machine"));
    let address = one.as_ref().and_then(|one| one.local_addr().ok()).expect("an address");
    let other = Backend::listen();
    let first = Place::Tcp { host: address.ip().to_string(), port: address.port() };
    let own = proxy(vec![first, place(&other)], |config| {
        sends_events(config);
        config.routes[0].events.retry = std::time::Duration::from_secs(600);
    });
    let mut client = from(&own, 1);
    client.say(opening(Dialect::Rfc6455, "/demo", &[]));
    let mut events = Wire::over(one.as_ref().expect("it listens").accept().expect("the proxy comes").0);
    events.head();
    one.take();
    events.say(STREAM);
    client.hears(answer(Dialect::Rfc6455, "/demo", &[]));
    events.say("data: a\n\n");
    client.hears(heard(Dialect::Rfc6455, "a"));
    drop(events);
    // That the proxy has noticed is nothing that a socket tells.
    std::thread::sleep(ms(100));
    client.say(masked(TEXT, "hello"));
    let mut message = other.accept();
    message.head();
    message.hears("hello");
    message.say(TAKEN);
}
