//! TLS with clients: each dialect inside it, which certificate is shown, who is let in, and what those hear who come to
//! the wrong kind of port.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use hybridge::config::{Certificate, ClientCertificate, Config, ListenerTls};
use hybridge::proxy::tls::{Tls, Trust};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use crate::certificates::Authority;
use crate::support::*;

/// A listener that shows these certificates.
pub fn speaks(config: &mut Config, certificates: &[&Certificate]) {
    let tls = ListenerTls {
        certificates: certificates.iter().map(|files| (*files).clone()).collect(),
        client_ca: None,
        client_certificate: ClientCertificate::default(),
        old: None,
    };
    config.listeners[0].tls = Some(tls);
}

/// The address of a plain port whose connections go on to `server` in TLS, as one for `name`.
pub fn through_tls(server: SocketAddr, name: &str, trust: &Trust, own: Option<&Certificate>) -> SocketAddr {
    carried(Vec::new(), server, name, Tls::new(trust, own).expect("the files are good"))
}

/// As [`through_tls`], with these bytes before the TLS of each connection.
pub fn through_tls_after(first: Vec<u8>, server: SocketAddr, name: &str, authority: &Authority) -> SocketAddr {
    let trust = Trust::File(authority.file.clone());
    carried(first, server, name, Tls::new(&trust, None).expect("the authority can be read"))
}

fn carried(first: Vec<u8>, server: SocketAddr, name: &str, tls: Tls) -> SocketAddr {
    let name = name.to_owned();
    port(move |mut plain| {
        let (first, tls, name) = (first.clone(), tls.clone(), name.clone());
        async move {
            let mut stream = TcpStream::connect(server).await.expect("the proxy listens");
            let _ = (plain.set_nodelay(true), stream.set_nodelay(true));
            stream.write_all(&first).await.expect("the proxy reads");
            // Whoever is not let in sees the end of the connection.
            if let Ok(mut encrypted) = tls.connect(stream, &name).await {
                let _ = copy_bidirectional(&mut plain, &mut encrypted).await;
            }
        }
    })
}

/// The address of a port whose connections are served so, all by one thread.
pub fn port<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the system's choice is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            listener.set_nonblocking(true).expect("an option can be set");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime is there");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    });
    address
}

/// A stage whose proxy shows a certificate for localhost, and the plain port that leads to it.
pub fn stage(authority: &Authority) -> (Stage, SocketAddr) {
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| speaks(config, &[&files]));
    let door = through_tls(stage.proxy.address, "localhost", &Trust::File(authority.file.clone()), None);
    (stage, door)
}

/// A client, and its backend, through their opening handshakes.
#[track_caller]
pub fn open(stage: &Stage, door: SocketAddr, dialect: Dialect) -> (Wire, Wire) {
    let mut client = Wire::connect(door);
    client.say(opening(dialect, "/demo?x=1", &[]));
    let mut upstream = stage.backend.accept();
    upstream.agrees(&[]);
    let expected = answer(dialect, "/demo?x=1", &[]);
    let expected =
        String::from_utf8(expected).expect("an answer is text").replace("Location: ws://", "Location: wss://");
    client.hears(expected);
    (client, upstream)
}

#[test]
fn every_dialect_is_spoken_inside_tls_and_told_a_secure_location() {
    let authority = Authority::new("inside");
    let (stage, door) = stage(&authority);
    for dialect in ALL {
        let (mut client, mut upstream) = open(&stage, door, dialect);
        talk(&mut client, &mut upstream, dialect);
        upstream.say(plain(CLOSE, status(1000, "")));
        client.hears(farewell(dialect, 1000));
        if dialect != Dialect::Hixie75 {
            client.say(if dialect == Dialect::Hixie76 { GOODBYE.to_vec() } else { masked(CLOSE, status(1000, "")) });
        }
        client.hears_end();
    }
}

#[test]
fn a_client_that_reads_nothing_for_a_while_loses_nothing_that_tls_held_back() {
    let authority = Authority::new("slow");
    let (stage, door) = stage(&authority);
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let (mut client, mut upstream) = open(&stage, door, dialect);
        let message = "x".repeat(60_000);
        let mut told = 0;
        let frame = plain(TEXT, &message);
        while told < 2_000 {
            let taken = upstream.say_until_stuck(&frame, ms(100));
            told += 1;
            if taken < frame.len() {
                // The rest of it must still come, when the client reads again.
                let rest = frame[taken..].to_vec();
                let mut writer = upstream.twin();
                let writing = thread::spawn(move || writer.say(rest));
                for _ in 0..told {
                    client.hears(heard(dialect, &message));
                }
                writing.join().expect("the rest goes out");
                break;
            }
        }
        assert!(told < 2_000, "nothing ever stopped the upstream");
        upstream.say(plain(TEXT, "and one more"));
        client.hears(heard(dialect, "and one more"));
    }
}

#[test]
fn the_certificate_that_is_for_the_name_is_shown_and_the_first_to_all_others() {
    let (ours, theirs) = (Authority::new("sni-one"), Authority::new("sni-two"));
    let (one, two) = (ours.files("one", &["one.example"]), theirs.files("two", &["two.example", "*.two.example"]));
    let stage = Stage::with(|config| speaks(config, &[&one, &two]));
    let greeted = |trust: &Authority, name: &str| {
        let door = through_tls(stage.proxy.address, name, &Trust::File(trust.file.clone()), None);
        let mut client = Wire::connect(door);
        client.say(head("GET /x HTTP/1.0", &["Upgrade: websocket", "Host: tv.example"]));
        !client.rest_or_reset().is_empty()
    };
    for (authority, name, fits) in [
        (&ours, "one.example", true),
        (&theirs, "two.example", true),
        (&theirs, "TV.two.example", true),
        (&theirs, "a.b.two.example", false),
        (&theirs, "one.example", false),
        (&ours, "two.example", false),
        (&ours, "three.example", false),
    ] {
        assert_eq!(greeted(authority, name), fits, "{name}");
    }
}

#[test]
fn clients_show_a_certificate_of_the_authority_where_one_is_asked_for() {
    let (servers, clients, strangers) =
        (Authority::new("mutual"), Authority::new("mutual-clients"), Authority::new("mutual-strangers"));
    let files = servers.files("localhost", &["localhost"]);
    let (known, unknown) = (clients.files("tv", &["tv"]), strangers.files("tv", &["tv"]));
    for (demand, certificate, welcome) in [
        (ClientCertificate::Required, Some(&known), true),
        (ClientCertificate::Required, Some(&unknown), false),
        (ClientCertificate::Required, None, false),
        (ClientCertificate::Optional, Some(&known), true),
        (ClientCertificate::Optional, Some(&unknown), false),
        (ClientCertificate::Optional, None, true),
    ] {
        let stage = Stage::with(|config| {
            speaks(config, &[&files]);
            let tls = config.listeners[0].tls.as_mut().expect("set just now");
            (tls.client_ca, tls.client_certificate) = (Some(clients.file.clone()), demand);
        });
        let trust = Trust::File(servers.file.clone());
        let door = through_tls(stage.proxy.address, "localhost", &trust, certificate);
        if welcome {
            open(&stage, door, Dialect::Hixie76);
        } else {
            let mut client = Wire::connect(door);
            client.try_say(&opening(Dialect::Hixie76, "/", &[]));
            assert_eq!(client.rest_or_reset(), b"", "{demand:?} {certificate:?}");
            stage.backend.saw_nobody();
        }
    }
}

#[test]
fn files_that_change_are_read_anew_and_those_that_cannot_be_used_are_not() {
    let (before, after) = (Authority::new("renewed"), Authority::new("renewed-after"));
    let files = before.files("tv", &["localhost"]);
    let stage = Stage::with(|config| speaks(config, &[&files]));
    let address = stage.proxy.address;
    let door = |authority: &Authority| through_tls(address, "localhost", &Trust::File(authority.file.clone()), None);
    let (old_door, new_door) = (door(&before), door(&after));
    let serves = |door| {
        let mut client = Wire::connect(door);
        client.try_say(&head("GET / HTTP/1.1", &["Host: tv.example", "Upgrade: websocket"]));
        !client.rest_or_reset().is_empty()
    };
    let (mut client, mut upstream) = open(&stage, old_door, Dialect::Hixie75);
    assert!(!serves(new_door));
    let renewed = after.files("other", &["localhost"]);
    // The key of one and the certificate of the other do not go together: nothing may change.
    fs::copy(&renewed.cert, &files.cert).expect("a file can be copied");
    thread::sleep(ms(6_000));
    assert!(serves(old_door) && !serves(new_door));
    fs::copy(&renewed.key, &files.key).expect("a file can be copied");
    eventually("the new certificate is shown", || serves(new_door));
    assert!(!serves(old_door));
    client.say(said(Dialect::Hixie75, "still here"));
    upstream.gets_message(TEXT, "still here");
}

#[test]
fn who_comes_to_the_wrong_kind_of_port_hears_so() {
    let authority = Authority::new("wrong");
    let (secure, _) = stage(&authority);
    for says in [&opening(Dialect::Hixie76, "/", &[])[..], b"GET / HTTP/1.1\r\nHost: tv.example\r\n\r\n", b"POST "] {
        let mut client = Wire::connect(secure.proxy.address);
        client.say(says);
        let heard = String::from_utf8(client.rest()).expect("it is told in text");
        assert!(heard.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{heard}");
        assert!(heard.contains("Connection: close\r\n") && heard.contains("a port that speaks TLS"), "{heard}");
    }
    for says in
        [&b"\0hello\xff"[..], b"\x81\x05hello", b"<policy-file-request/>\0", b"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\n"]
    {
        let mut client = Wire::connect(secure.proxy.address);
        client.say(says);
        let heard = client.rest_or_reset();
        assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 400 "), "{}", shown(&heard));
    }
    let plain = Stage::new();
    let mut client = plain.client();
    client.say(include_bytes!("../data/hello/openssl-3.0-default.bin"));
    // RFC 8446 §6: a fatal alert, handshake_failure.
    assert_eq!(client.rest_or_reset(), b"\x15\x03\x01\x00\x02\x02\x28");
    for stage in [&secure, &plain] {
        stage.backend.saw_nobody();
    }
}

#[test]
fn a_handshake_that_is_never_finished_ends_with_the_head_s_time() {
    let authority = Authority::new("never");
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| {
        speaks(config, &[&files]);
        config.timeouts.head = ms(300);
    });
    let hello = include_bytes!("../data/hello/openssl-3.0-default.bin");
    for so_far in [&b""[..], &hello[..1], &hello[..hello.len() - 1], hello] {
        let mut client = Wire::connect(stage.proxy.address);
        client.say(so_far);
        client.rest_or_reset();
    }
    stage.backend.saw_nobody();
}
