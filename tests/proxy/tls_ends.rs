//! How connections end in TLS: told by its close_notify (RFC 8446 §6.1), or cut, by whoever is on the way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hybridge::config::{Config, Protocol};
use hybridge::proxy::tls::{Tls, Trust};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::certificates::Authority;
use crate::hall;
use crate::support::*;
use crate::tls::{port, speaks};
use crate::upstream_tls::place;

/// What becomes of an end of stream on the plain side of a door.
#[derive(Clone, Copy, Debug)]
enum End {
    /// TLS says it, and TCP stays open.
    Told,
    /// TCP ends, and TLS says nothing.
    Cut,
}

/// Carries bytes between somebody and the proxy, and ends as ends are told there: one that TLS did not tell becomes a
/// reset on the plain side.
async fn carry(mut plain: TcpStream, mut secret: TlsStream<TcpStream>, end: End) {
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let (mut said, mut heard) = (true, true);
    while said || heard {
        tokio::select! {
            read = plain.read(&mut up), if said => match read {
                Ok(1..) => {
                    let bytes = &up[..read.expect("matched just now")];
                    secret.write_all(bytes).await.expect("the proxy reads");
                    secret.flush().await.expect("the proxy reads");
                }
                _ => {
                    said = false;
                    match end {
                        End::Told => secret.get_mut().1.send_close_notify(),
                        End::Cut => SockRef::from(secret.get_ref().0).shutdown(std::net::Shutdown::Write).expect("once"),
                    }
                    // The proxy may be gone.
                    let _ = secret.flush().await;
                }
            },
            read = secret.read(&mut down), if heard => match read {
                Ok(0) => {
                    heard = false;
                    let _ = plain.shutdown().await;
                }
                Ok(read) => plain.write_all(&down[..read]).await.expect("somebody reads"),
                Err(_) => return SockRef::from(&plain).set_linger(Some(Duration::ZERO)).expect("an option can be set"),
            },
        }
    }
}

/// A stage whose clients come in TLS, and the plain port that leads to it.
fn clients(authority: &Authority, end: End, change: impl FnOnce(&mut Config)) -> (Stage, SocketAddr) {
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| {
        speaks(config, &[&files]);
        change(config);
    });
    let tls = Tls::new(&Trust::File(authority.file.clone()), None).expect("the authority can be read");
    let (proxy, connector) = (stage.proxy.address, TlsConnector::from(tls.config()));
    let door = port(move |plain| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(proxy).await.expect("the proxy listens");
            let _ = (plain.set_nodelay(true), stream.set_nodelay(true));
            let name = "localhost".try_into().expect("a name");
            let secret = connector.connect(name, stream).await.expect("the proxy is believed");
            carry(plain, secret.into(), end).await;
        }
    });
    (stage, door)
}

/// A stage whose backend is reached over TLS.
fn backends(authority: &Authority, end: End) -> Stage {
    let backend = Backend::listen();
    let (address, config) = (backend.address(), authority.server(&["localhost"], |_| {}));
    let front = port(move |stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let _ = stream.set_nodelay(true);
            let secret = acceptor.accept(stream).await.expect("the proxy believes us");
            let behind = TcpStream::connect(address).await.expect("the backend listens");
            let _ = behind.set_nodelay(true);
            carry(behind, secret.into(), end).await;
        }
    });
    let proxy = hall::proxy(vec![place(front)], |config| {
        config.routes[0].upstream.secure = true;
        config.upstream_tls.ca = Some(authority.file.clone());
    });
    Stage { proxy, backend }
}

/// A client behind the door, and its backend, through their opening handshakes.
#[track_caller]
fn open(stage: &Stage, door: SocketAddr, dialect: Dialect) -> (Wire, Wire) {
    eprintln!("{dialect}");
    let mut client = Wire::connect(door);
    client.say(opening(dialect, "/", &[]));
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    client.head();
    if dialect == Dialect::Hixie76 {
        client.hears(DIGEST);
    }
    (client, upstream)
}

#[test]
fn a_client_that_is_cut_off_between_messages_is_going_away() {
    let authority = Authority::new("ends-away");
    let (stage, door) = clients(&authority, End::Cut, |_| {});
    for dialect in ALL {
        let (mut client, mut upstream) = open(&stage, door, dialect);
        client.say(said(dialect, "last"));
        client.fin();
        upstream.gets_message(TEXT, "last");
        upstream.gets(CLOSE, status(1001, ""));
        upstream.say(plain(CLOSE, status(1001, "")));
        upstream.fin();
        upstream.hears_end();
    }
}

#[test]
fn a_message_that_is_cut_off_with_its_client_is_never_completed() {
    let authority = Authority::new("ends-client");
    for end in [End::Cut, End::Told] {
        let (stage, door) = clients(&authority, end, |_| {});
        for dialect in ALL {
            eprintln!("{end:?}");
            let (mut client, mut upstream) = open(&stage, door, dialect);
            let whole = said(dialect, "Hello");
            client.say(&whole[..whole.len() - 2]);
            let begun = upstream.hear(if HIXIE.contains(&dialect) { 6 + 4 } else { 6 + 3 });
            assert_eq!(begun[0] & 0x0F, 1);
            client.fin();
            assert_eq!(shown(&upstream.rest_or_reset()), "");
        }
        for dialect in HYBI {
            let (mut client, mut upstream) = open(&stage, door, dialect);
            client.say(masked(FIRST, "Hel"));
            upstream.gets(FIRST, "Hel");
            client.fin();
            assert_eq!(shown(&upstream.rest_or_reset()), "");
        }
    }
}

#[test]
fn a_client_that_said_the_end_still_hears_what_comes_and_is_told_the_end() {
    let authority = Authority::new("ends-half");
    let (stage, door) = clients(&authority, End::Told, |_| {});
    for dialect in ALL {
        let (mut client, mut upstream) = open(&stage, door, dialect);
        client.say(said(dialect, "last"));
        client.fin();
        upstream.gets_message(TEXT, "last");
        upstream.gets(CLOSE, status(1001, ""));
        upstream.say([plain(TEXT, "still"), plain(CLOSE, status(1001, ""))].concat());
        client.hears([heard(dialect, "still"), farewell(dialect, 1001)].concat());
        client.hears_end();
    }
}

#[test]
fn a_client_of_events_that_said_the_end_is_told_it() {
    let authority = Authority::new("ends-events");
    let events = |config: &mut Config| config.routes[0].upstream.protocol = Protocol::Events;
    let (stage, door) = clients(&authority, End::Told, events);
    for dialect in ALL {
        let mut client = Wire::connect(door);
        client.say(opening(dialect, "/", &[]));
        let mut upstream = stage.backend.accept();
        upstream.head();
        upstream.say(format!("{}data: one\n\n", hall::STREAM));
        client.head();
        client.hear_until("one");
        client.fin();
        client.rest();
        upstream.rest_or_reset();
    }
}

#[test]
fn a_backend_that_is_cut_off_completes_nothing() {
    let authority = Authority::new("ends-backend");
    for end in [End::Cut, End::Told] {
        let stage = backends(&authority, end);
        for dialect in ALL {
            let hixie = HIXIE.contains(&dialect);
            let whole = heard(dialect, "Hello");
            let rows = [
                (Vec::new(), Vec::new()),
                (plain(FIRST, "Hel"), if hixie { b"\0Hel".to_vec() } else { plain(FIRST, "Hel") }),
                (plain(TEXT, "Hello")[..5].to_vec(), whole[..if hixie { 4 } else { 5 }].to_vec()),
            ];
            for (says, hears) in rows {
                eprintln!("{end:?} after {}", shown(&says));
                let (mut client, mut upstream) = open(&stage, stage.proxy.address, dialect);
                upstream.say([plain(TEXT, "last"), says].concat());
                client.hears([heard(dialect, "last"), hears].concat());
                upstream.fin();
                // Nothing that looks like an orderly close.
                client.hears_end();
            }
        }
    }
}

#[test]
fn a_backend_that_closes_and_says_the_end_is_told_the_end() {
    let authority = Authority::new("ends-orderly");
    let stage = backends(&authority, End::Told);
    for dialect in ALL {
        let (mut client, mut upstream) = open(&stage, stage.proxy.address, dialect);
        upstream.say(plain(CLOSE, status(1000, "")));
        upstream.gets(CLOSE, status(1000, ""));
        upstream.fin();
        client.hears(farewell(dialect, 1000));
        upstream.hears_end();
    }
}

#[test]
fn a_response_that_is_cut_off_is_not_taken_for_a_whole_one() {
    let authority = Authority::new("ends-response");
    for (end, whole) in [(End::Cut, false), (End::Told, true)] {
        let stage = backends(&authority, end);
        let mut client = stage.client();
        client.say("GET / HTTP/1.1\r\nHost: tv\r\n\r\n");
        let mut upstream = stage.backend.accept();
        upstream.head();
        // Only the end of the stream says where this body ends.
        upstream.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello");
        assert_eq!(field(&client.head(), "transfer-encoding"), Some("chunked"));
        client.hears("5\r\nHello\r\n");
        upstream.fin();
        if whole {
            client.hears("0\r\n\r\n");
        } else {
            assert_eq!(shown(&client.rest_or_reset()), "");
        }
    }
}
