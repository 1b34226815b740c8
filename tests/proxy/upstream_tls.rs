//! Backends that are reached over TLS: every dialect, much and slowly, and every way to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use hybridge::config::{Config, Health, Place};
use hybridge::preamble::Version;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;
use crate::hall::*;
use crate::support::*;
use crate::tls::port;

/// The address of a TLS port whose connections go on to `backend` in plain, the first `plain` bytes of each as they are.
fn before(backend: SocketAddr, config: Arc<ServerConfig>, plain: usize) -> SocketAddr {
    port(move |mut stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut first = vec![0; plain];
            stream.read_exact(&mut first).await.expect("so much is said in plain");
            // Whom we do not convince goes away.
            let Ok(mut encrypted) = acceptor.accept(stream).await else { return };
            let mut behind = TcpStream::connect(backend).await.expect("the backend listens");
            behind.set_nodelay(true).expect("an option can be set");
            behind.write_all(&first).await.expect("the backend reads");
            let _ = copy_bidirectional(&mut encrypted, &mut behind).await;
        }
    })
}

pub fn place(address: SocketAddr) -> Place {
    Place::Tcp { host: "localhost".into(), port: address.port() }
}

/// A proxy that reaches its backend over TLS.
fn stage(authority: &Authority, change: impl FnOnce(&mut Config)) -> Stage {
    let backend = Backend::listen();
    let front = before(backend.address(), authority.server(&["localhost"], |_| {}), 0);
    let proxy = proxy(vec![place(front)], |config| {
        config.routes[0].upstream.secure = true;
        config.upstream_tls.ca = Some(authority.file.clone());
        change(config);
    });
    Stage { proxy, backend }
}

#[test]
fn every_dialect_talks_and_closes_over_tls() {
    let authority = Authority::new("upstream");
    let stage = stage(&authority, |_| {});
    for dialect in ALL {
        for client_closes in [false, true] {
            eprintln!("{dialect} {client_closes}");
            let (mut client, mut upstream) = stage.open(dialect);
            talk(&mut client, &mut upstream, dialect);
            let goodbye = if HYBI.contains(&dialect) { masked(CLOSE, status(1000, "")) } else { GOODBYE.to_vec() };
            if client_closes {
                match dialect {
                    Dialect::Hixie75 => client.fin(),
                    _ => client.say(&goodbye),
                }
                assert_eq!(upstream.frame().first, CLOSE);
                upstream.say(plain(CLOSE, status(1000, "")));
                client.hears(farewell(dialect, 1000));
            } else {
                upstream.say(plain(CLOSE, status(1000, "")));
                client.hears(farewell(dialect, 1000));
                if dialect != Dialect::Hixie75 {
                    client.say(&goodbye);
                }
                upstream.gets(CLOSE, status(1000, ""));
            }
            upstream.fin();
            client.hears_end();
            upstream.hears_end();
        }
    }
}

#[test]
fn nothing_is_lost_between_tls_and_one_who_reads_nothing_for_a_while() {
    let authority = Authority::new("upstream-slow");
    let stage = stage(&authority, |_| {});
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        // Down to a client that does not read.
        let (mut client, mut upstream) = stage.open(dialect);
        let message = "x".repeat(60_000);
        let (mut twin, said_again) = (upstream.twin(), plain(TEXT, &message));
        let sending = thread::spawn(move || (0..600).for_each(|_| twin.say(&said_again)));
        thread::sleep(ms(300));
        assert!(!sending.is_finished(), "36 MB went to somebody who reads nothing");
        for _ in 0..600 {
            client.hears(heard(dialect, &message));
        }
        sending.join().expect("all of it goes out");
        // Up to a backend that does not.
        let (mut twin, said_again) = (client.twin(), said(dialect, &message));
        let sending = thread::spawn(move || (0..600).for_each(|_| twin.say(&said_again)));
        thread::sleep(ms(300));
        assert!(!sending.is_finished(), "36 MB went to somebody who reads nothing");
        for _ in 0..600 {
            upstream.gets_message(TEXT, &message);
        }
        sending.join().expect("all of it goes out");
    }
}

#[test]
fn a_shutdown_reaches_both_sides() {
    for dialect in ALL {
        let authority = Authority::new(&format!("upstream-drain-{dialect}"));
        let stage = stage(&authority, |_| {});
        let (mut client, mut upstream) = stage.open(dialect);
        stage.proxy.drain.start();
        client.hears(farewell(dialect, 1001));
        upstream.gets(CLOSE, status(1001, ""));
        upstream.say(plain(CLOSE, status(1001, "")));
        upstream.fin();
        match dialect {
            Dialect::Hixie75 => {}
            Dialect::Hixie76 => client.say(GOODBYE),
            _ => client.say(masked(CLOSE, status(1001, ""))),
        }
        client.hears_end();
        upstream.hears_end();
        stage.proxy.stopped();
    }
}

#[test]
fn the_end_of_a_stream_is_not_a_close_in_tls_either() {
    let authority = Authority::new("upstream-gone");
    let stage = stage(&authority, |_| {});
    for dialect in ALL {
        // The first is told by TLS, the second is not.
        for how in ["FIN", "RST"] {
            eprintln!("{dialect} {how}");
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say([plain(TEXT, "last"), plain(FIRST, "Hel")].concat());
            client.hears(heard(dialect, "last"));
            client.hears(if HIXIE.contains(&dialect) { b"\0Hel".to_vec() } else { plain(FIRST, "Hel") });
            if how == "FIN" {
                drop(upstream)
            } else {
                upstream.reset()
            }
            client.hears_end();
        }
    }
}

#[test]
fn ordinary_requests_go_over_tls_too() {
    let authority = Authority::new("upstream-http");
    let stage = stage(&authority, |_| {});
    let mut client = stage.client();
    client.say("POST /a?b HTTP/1.1\r\nhost: tv\r\nX-odd: 1\r\nContent-Length: 5\r\n\r\nHello");
    let mut upstream = stage.backend.accept();
    let head = upstream.head();
    assert!(head.starts_with("POST /a?b HTTP/1.1\r\nhost: tv\r\nX-odd: 1\r\nContent-Length: 5\r\n"), "{head}");
    upstream.hears("Hello");
    let large = "x".repeat(3 << 20);
    let (mut twin, response) = (upstream.twin(), ok(&large));
    let saying = thread::spawn(move || twin.say(response));
    client.hears(ok(&large));
    saying.join().expect("all of it goes out");
    // The connection is kept.
    client.say("GET /again HTTP/1.1\r\nHost: tv\r\n\r\n");
    assert!(upstream.head().starts_with("GET /again "));
    upstream.say(ok("yes"));
    client.hears(ok("yes"));
}

#[test]
fn a_server_that_nobody_can_believe_is_a_server_that_is_away() {
    let authority = Authority::new("upstream-believed");
    let backend = Backend::listen();
    let good = before(backend.address(), authority.server(&["localhost"], |_| {}), 0);
    let wrong = before(backend.address(), authority.server(&["elsewhere.example"], |_| {}), 0);
    let plain = Host::new(0);
    let secured = |servers: Vec<Place>| {
        proxy(servers, |config| {
            config.routes[0].upstream.secure = true;
            config.upstream_tls.ca = Some(authority.file.clone());
        })
    };
    let all = secured(vec![place(wrong), plain.place(), place(good)]);
    // Whoever's turn it is.
    for _ in 0..3 {
        let mut client = from(&all, 1);
        client.say(opening(Dialect::Hixie76, "/", &[]));
        let mut upstream = backend.accept();
        upstream.agrees(&[]);
        client.hears(answer(Dialect::Hixie76, "/", &[]));
    }
    for _ in 0..3 {
        let mut client = from(&all, 1);
        client.say("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 5\r\n\r\nHello");
        let mut upstream = backend.accept();
        upstream.head();
        upstream.hears("Hello");
        upstream.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        client.head();
    }
    let none = secured(vec![place(wrong), plain.place()]);
    let mut client = from(&none, 1);
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    assert!(client.head().starts_with("HTTP/1.1 502 "));
    assert!(plain.book.heads_with("").is_empty(), "nothing was said in plain");
}

#[test]
fn a_preamble_stands_before_tls_and_checks_go_through_it() {
    let authority = Authority::new("upstream-preamble");
    let backend = Backend::listen();
    let front = before(backend.address(), authority.server(&["localhost"], |_| {}), 28);
    let own = proxy(vec![place(front)], |config| {
        config.routes[0].upstream.secure = true;
        config.routes[0].send_proxy = Some(Version::V2);
        config.upstream_tls.ca = Some(authority.file.clone());
    });
    let mut client = from(&own, 9);
    client.say(opening(Dialect::Hixie76, "/", &[]));
    let mut upstream = backend.accept();
    upstream.hears(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x09\x7f\0\0\x01");
    let ports = [client.local_address().port().to_be_bytes(), own.address.port().to_be_bytes()].concat();
    upstream.hears(ports);
    upstream.agrees(&[]);
    client.hears(answer(Dialect::Hixie76, "/", &[]));

    let stage = stage(&authority, |config| {
        let route = &mut config.routes[0];
        (route.health, route.health_interval) = (Some(Health::Http("/well".into())), ms(50));
    });
    let mut check = stage.backend.accept();
    assert!(check.head().starts_with("GET /well HTTP/1.1\r\n"));
}
