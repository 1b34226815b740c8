//! What stands before a client's own bytes: the PROXY protocol of a front, and the TLS of old devices.

use std::net::{IpAddr, SocketAddr, TcpListener};

use hybridge::config::{Config, OldTls};
use hybridge::preamble::{self, Preamble, Version};

use crate::certificates::Authority;
use crate::support::*;
use crate::tls;

/// The peers of every test.
fn from_here(config: &mut Config) {
    config.listeners[0].proxy_protocol = vec![IpAddr::from([127, 0, 0, 1]).into()];
}

/// A client at 192.0.2.7, which connected to 198.51.100.1.
fn elsewhere() -> (SocketAddr, SocketAddr) {
    (SocketAddr::from(([192, 0, 2, 7], 4711)), SocketAddr::from(([198, 51, 100, 1], 443)))
}

/// The preamble of a front that ended TLS.
fn encrypted() -> Preamble {
    let (client, local) = elsewhere();
    Preamble { tls: preamble::Tls::Encrypted(preamble::TlsFacts::default()), ..Preamble::of(client, local) }
}

#[test]
fn a_preamble_is_taken_off_before_each_dialect_however_it_is_cut() {
    let stage = Stage::with(from_here);
    let (client_address, local) = elsewhere();
    for version in [Version::V1, Version::V2] {
        for dialect in ALL {
            for cut in [Cut::Whole, Cut::Head, Cut::Bytes] {
                let mut client = stage.client();
                let preamble = Preamble::of(client_address, local).write(version);
                client.say_cut(&[preamble, opening(dialect, "/demo?x=1", &[])].concat(), cut);
                let mut upstream = stage.backend.accept();
                upstream.agrees(&[]);
                client.hears(answer(dialect, "/demo?x=1", &[]));
                client.say(said(dialect, "hello"));
                upstream.gets_message(TEXT, "hello");
            }
        }
    }
}

#[test]
fn a_front_that_ended_tls_makes_the_location_secure() {
    let stage = Stage::with(from_here);
    for (preamble, scheme) in [(encrypted(), "wss"), (Preamble::default(), "ws")] {
        let mut client = stage.client();
        client.say([preamble.write(Version::V2), opening(Dialect::Hixie76, "/live?x", &[])].concat());
        stage.backend.accept().agrees(&[]);
        let head = client.head();
        let location = field(&head, "Sec-WebSocket-Location");
        assert_eq!(location, Some(&*format!("{scheme}://tv.example:8080/live?x")), "{head}");
    }
}

#[test]
fn who_must_send_a_preamble_is_not_served_without_and_nobody_else_with_one() {
    let (client_address, local) = elsewhere();
    let v1 = Preamble::of(client_address, local).write(Version::V1);
    let v2 = Preamble::of(client_address, local).write(Version::V2);
    let must = Stage::with(from_here);
    let broken = [&v2[..12], b"\x31\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02"].concat();
    for says in [
        &opening(Dialect::Rfc6455, "/", &[])[..],
        b"GET / HTTP/1.1\r\nHost: tv.example\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 99999\r\n",
        b"PROXY TCP4 192.0.2.7  198.51.100.1 4711 443\r\n",
        &[&b"PROXY "[..], &[b'x'; 200]].concat(),
        &broken,
    ] {
        let mut client = must.client();
        client.try_say(says);
        assert_eq!(client.rest_or_reset(), b"", "{}", shown(says));
    }
    must.backend.saw_nobody();
    let mustnt = Stage::with(|config| {
        config.listeners[0].proxy_protocol = vec![IpAddr::from([127, 0, 0, 2]).into()];
    });
    for preamble in [v1, v2] {
        let mut client = mustnt.client();
        client.try_say(&[preamble, opening(Dialect::Rfc6455, "/", &[])].concat());
        assert_eq!(client.rest_or_reset(), b"");
    }
    mustnt.backend.saw_nobody();
}

#[test]
fn a_preamble_that_never_ends_ends_with_the_head_s_time() {
    let stage = Stage::with(|config| {
        from_here(config);
        config.timeouts.head = ms(300);
    });
    let (client, local) = elsewhere();
    for version in [Version::V1, Version::V2] {
        let preamble = Preamble::of(client, local).write(version);
        for so_far in [&preamble[..1], &preamble[..preamble.len() - 1], &preamble] {
            let mut client = stage.client();
            client.say(so_far);
            client.rest_or_reset();
        }
    }
    stage.backend.saw_nobody();
}

#[test]
fn a_preamble_may_stand_before_tls() {
    let authority = Authority::new("fronted");
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| {
        from_here(config);
        tls::speaks(config, &[&files]);
    });
    let (client, local) = elsewhere();
    let first = Preamble::of(client, local).write(Version::V2);
    let door = tls::through_tls_after(first, stage.proxy.address, "localhost", &authority);
    tls::open(&stage, door, Dialect::Hixie76);
}

/// A proxy that shows a certificate and hands old TLS over to a port that this listens on.
fn with_terminator(authority: &Authority, send_proxy: Option<Version>) -> (Stage, TcpListener) {
    with_terminator_and(authority, send_proxy, |_| {})
}

fn with_terminator_and(
    authority: &Authority,
    send_proxy: Option<Version>,
    change: impl FnOnce(&mut Config),
) -> (Stage, TcpListener) {
    let terminator = TcpListener::bind("127.0.0.1:0").expect("a port of the system's choice is free");
    let address = terminator.local_addr().expect("a listener has an address");
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| {
        tls::speaks(config, &[&files]);
        config.listeners[0].tls.as_mut().expect("set just now").old = Some(OldTls { address, send_proxy });
        change(config);
    });
    (stage, terminator)
}

#[test]
fn the_tls_of_old_goes_untouched_to_its_terminator_and_all_else_is_served() {
    let authority = Authority::new("old");
    for send_proxy in [None, Some(Version::V1), Some(Version::V2)] {
        let (stage, terminator) = with_terminator(&authority, send_proxy);
        let old: [&[u8]; 3] = [
            include_bytes!("../data/hello/openssl-3.0-tls1.bin"),
            include_bytes!("../data/hello/java-17-sslv2hello.bin"),
            include_bytes!("../data/hello/openssl-3.0-tls1_2-rsa-cbc.bin"),
        ];
        for hello in old {
            let mut client = stage.client();
            client.say_cut(hello, Cut::Bytes);
            let mut there = Wire::over(terminator.accept().expect("it is handed over").0);
            if let Some(version) = send_proxy {
                let preamble = Preamble::of(client.local_address(), stage.proxy.address).write(version);
                there.hears(preamble);
            }
            there.hears(hello);
            let long = "s".repeat(1 << 20);
            let mut twin = there.twin();
            let (sends, expects) = (long.clone(), long.clone());
            let sending = std::thread::spawn(move || twin.say(sends));
            client.hears(expects);
            sending.join().expect("all of it goes out");
            client.say("and back");
            there.hears("and back");
            client.fin();
            there.hears_end();
            there.say("a last word");
            client.hears("a last word");
            there.fin();
            client.hears_end();
        }
        let files = authority.file.clone();
        let door = tls::through_tls(stage.proxy.address, "localhost", &hybridge::proxy::tls::Trust::File(files), None);
        tls::open(&stage, door, Dialect::Hixie76);
    }
}

#[test]
fn the_tls_of_old_is_dropped_where_nobody_takes_it() {
    let authority = Authority::new("nobody");
    let (stage, terminator) = with_terminator(&authority, None);
    drop(terminator);
    let mut client = stage.client();
    client.say(include_bytes!("../data/hello/openssl-3.0-tls1.bin"));
    client.rest_or_reset();
    let (stage, _) = tls::stage(&authority);
    let mut client = stage.client();
    client.say(include_bytes!("../data/hello/openssl-3.0-tls1.bin"));
    // RFC 8446 §6: a fatal alert, protocol_version.
    assert_eq!(client.rest_or_reset()[..1], b"\x15"[..]);
    stage.backend.saw_nobody();
}

#[test]
fn a_handed_over_connection_that_one_side_has_ended_is_not_kept_for_a_silent_other() {
    let authority = Authority::new("silent");
    let (stage, terminator) = with_terminator_and(&authority, None, |config| {
        config.timeouts.stall = ms(200);
        config.limits.connections = 1;
    });
    let hello = include_bytes!("../data/hello/openssl-3.0-tls1.bin");
    let mut client = stage.client();
    client.say(hello);
    let mut there = Wire::over(terminator.accept().expect("it is handed over").0);
    there.hears(hello);
    // The terminator is done, and the client keeps its half for ever. As long as it speaks it is listened to.
    there.fin();
    client.hears_end();
    for _ in 0..6 {
        std::thread::sleep(ms(100));
        client.say("x");
        there.hears("x");
    }
    terminator.set_nonblocking(true).expect("an option can be set");
    eventually("the only place is free again", || {
        let mut next = stage.client();
        next.say(hello);
        std::thread::sleep(ms(100));
        terminator.accept().is_ok()
    });
    drop(client);
}

#[test]
fn what_is_handed_over_leaves_its_place_to_what_comes_back_and_is_bounded_all_the_same() {
    let authority = Authority::new("places");
    let (stage, terminator) = with_terminator_and(&authority, None, |config| {
        (config.limits.connections, config.limits.connections_per_address) = (1, Some(1));
    });
    let hello = include_bytes!("../data/hello/openssl-3.0-tls1.bin");
    let mut old = stage.client();
    old.say(hello);
    let mut there = Wire::over(terminator.accept().expect("it is handed over").0);
    there.hears(hello);
    // One too many with the terminator.
    let mut second = stage.client();
    second.say(hello);
    assert_eq!(second.rest_or_reset(), b"");
    // The one place, and the address's one, are free for all that.
    let door = tls::through_tls_after(Vec::new(), stage.proxy.address, "localhost", &authority);
    tls::open(&stage, door, Dialect::Hixie76);
    there.say("still carried");
    old.hears("still carried");
}
