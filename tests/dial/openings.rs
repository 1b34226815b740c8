//! What is asked, how the answer is judged, and what is refused before anything is sent.

use std::net::TcpListener;

use crate::program::*;
use crate::support::*;

#[test]
fn everything_asked_for_reaches_a_server_of_every_dialect() {
    for dialect in ALL {
        let server = Backend::listen();
        let (host, url) = (server.address(), format!("ws://{}/demo?x=1", server.address()));
        let mut dial = Dial::start(&[
            "--dialect",
            dialect.name(),
            "--origin",
            "http://tv.example",
            "--cookie",
            "a=b; c=d",
            "--header",
            "X-Set:  42 ",
            "--header",
            "Authorization: Basic eDp5",
            "--protocol",
            "chat",
            "--protocol",
            "superchat",
            &url,
        ]);
        let mut wire = server.accept();
        let (chosen, origin) = match dialect {
            Dialect::Hixie75 => ("WebSocket-Protocol: chat, superchat", "Origin: http://tv.example"),
            Dialect::Hixie76 => ("Sec-WebSocket-Protocol: chat, superchat", "Origin: http://tv.example"),
            Dialect::Hybi07 | Dialect::Hybi10 => {
                ("Sec-WebSocket-Protocol: superchat", "Sec-WebSocket-Origin: http://tv.example")
            }
            Dialect::Rfc6455 => ("Sec-WebSocket-Protocol: superchat", "Origin: http://tv.example"),
        };
        let request = agree(&mut wire, dialect, &[chosen]);
        let asked = chosen.split(':').next().expect("a name").to_owned() + ": chat, superchat";
        let host = format!("Host: {host}");
        assert!(request.starts_with("GET /demo?x=1 HTTP/1.1\r\n"), "{request}");
        for line in [&*host, origin, "Cookie: a=b; c=d", "X-Set: 42", "Authorization: Basic eDp5", &asked] {
            assert_eq!(request.matches(&format!("\r\n{line}\r\n")).count(), 1, "{dialect}: {line} in {request}");
        }
        dial.done();
        gets_close(&mut wire, dialect, 1000);
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
}

#[test]
fn an_origin_is_sent_where_browsers_always_did_and_never_when_unwanted() {
    for dialect in ALL {
        let server = Backend::listen();
        let url = format!("ws://{}/", server.address());
        let origin_of = |arguments: &[&str]| {
            let mut dial = Dial::start(&[&["-d", dialect.name(), &url], arguments].concat());
            let (request, _) = request(&mut server.accept(), dialect);
            assert_eq!(dial.done().ended().code, Some(1));
            let origin = field(&request, "Origin").or(field(&request, "Sec-WebSocket-Origin"));
            origin.map(str::to_owned)
        };
        let usual = HIXIE.contains(&dialect).then(|| format!("http://{}", server.address()));
        assert_eq!(origin_of(&[]), usual, "{dialect}");
        assert_eq!(origin_of(&["--origin", ""]), None, "{dialect}");
        assert_eq!(origin_of(&["--origin", "null"]).as_deref(), Some("null"), "{dialect}");
    }
}

#[test]
fn a_host_may_be_another_than_the_one_dialled() {
    for dialect in [Dialect::Hixie75, Dialect::Rfc6455] {
        let server = Backend::listen();
        let address = server.address().to_string();
        for (arguments, expected) in [
            (["--connect", &address, "ws://tv.example:81/x"], "tv.example:81"),
            (["--host", "other.example", &format!("ws://{address}/x")], "other.example"),
        ] {
            let mut dial = Dial::start(&[&["-d", dialect.name()], &arguments[..]].concat());
            let mut wire = server.accept();
            let request = agree(&mut wire, dialect, &[]);
            assert_eq!(field(&request, "Host"), Some(expected));
            dial.done();
            gets_close(&mut wire, dialect, 1000);
            dial.exits(0);
        }
    }
}

#[test]
fn the_handshake_is_shown_byte_by_byte() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = {
            let url = format!("ws://{}/demo", server.address());
            (Dial::start(&["-v", "-d", dialect.name(), &url]), server.accept())
        };
        let (request, key3) = request(&mut wire, dialect);
        let answer = answer_to(&request, &key3, dialect, &["Set-Cookie: it's=1"]);
        wire.say(&answer);
        wire.say(if HYBI.contains(&dialect) { plain(PING, "?\0") } else { heard(dialect, "x") });
        if HYBI.contains(&dialect) {
            wire.gets(PONG, "?\0");
        } else {
            dial.prints("x\n");
        }
        dial.done();
        gets_close(&mut wire, dialect, 1000);
        let traced = dial.exits(0);
        let expected = |prefix: char, bytes: &[u8]| {
            let quoted = |piece: &[u8]| {
                let escaped: String = piece
                    .iter()
                    .map(|byte| match byte {
                        b'\'' => "'".to_owned(),
                        byte => std::ascii::escape_default(*byte).to_string(),
                    })
                    .collect();
                format!("{prefix} \"{escaped}\"\n")
            };
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
            let mut text: String = bytes[..end].split_inclusive(|byte| *byte == b'\n').map(quoted).collect();
            if end < bytes.len() {
                text += &quoted(&bytes[end..]);
            }
            text
        };
        let handshake = expected('>', &[request.as_bytes(), &key3].concat()) + &expected('<', &answer);
        assert!(traced.contains(&handshake), "{dialect}\n{traced}\nexpected\n{handshake}");
        let frames: &[&str] = match dialect {
            Dialect::Hixie75 => &["* our stream ends\n"],
            Dialect::Hixie76 => &["> \"\\xff\\x00\"  close\n", "< \"\\xff\\x00\"  close\n"],
            _ => &["< \"\\x89\\x02?\\x00\"  ping\n", "  pong\n", "< \"\\x88\\x02\\x03\\xe8\"  close 1000\n"],
        };
        for frame in frames {
            assert!(traced.contains(frame), "{dialect}: {frame} in {traced}");
        }
        assert!(!traced.contains("text"), "data is for -vv\n{traced}");
    }
}

#[test]
fn every_frame_is_shown_where_asked_for() {
    let server = Backend::listen();
    let (mut dial, mut wire) = Dial::open(&server, Dialect::Rfc6455, &["-vv", "--count", "1"]);
    dial.types("hi\n").done();
    wire.gets(TEXT, "hi");
    wire.say([plain(FIRST, "a"), plain(LAST, "b")].concat());
    gets_close(&mut wire, Dialect::Rfc6455, 1000);
    let ended = dial.ended();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), &b"ab\n"[..]));
    for line in ["< \"\\x01\\x01a\"  text, goes on\n", "< \"\\x80\\x01b\"  continued\n", "> \"\\x81\\x82"] {
        assert!(ended.stderr.contains(line), "{line} in {}", ended.stderr);
    }
}

/// The server answers with this; dial exits with 1 and says that.
#[track_caller]
fn refused(dialect: Dialect, change: impl Fn(Vec<u8>) -> Vec<u8>, expected: &str) {
    let server = Backend::listen();
    let url = format!("ws://{}/demo", server.address());
    let mut dial = Dial::start(&["-d", dialect.name(), &url]);
    let mut wire = server.accept();
    let (request, key3) = request(&mut wire, dialect);
    wire.say(change(answer_to(&request, &key3, dialect, &[])));
    wire.hears_end();
    let said = dial.exits(1);
    assert!(said.contains(expected) && said.contains("\n< \"\\r\\n\"\n"), "{dialect}: {expected} in {said}");
    let hints = ["hybridge explain", "see --", "its answer says why"];
    assert!(hints.iter().any(|hint| said.contains(hint)), "{said}");
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |answer| {
        let at = answer.windows(from.len()).position(|part| part == from.as_bytes()).expect("it is in the answer");
        [&answer[..at], to.as_bytes(), &answer[at + from.len()..]].concat()
    }
}

#[test]
fn a_wrong_answer_names_the_rule_and_shows_the_head() {
    for dialect in ALL {
        refused(dialect, replaced(" 101 ", " 404 "), "answered with status 404 and not 101");
    }
    refused(Dialect::Hixie75, replaced("Web Socket", "WebSocket"), "changed the three fixed first lines");
    refused(Dialect::Hixie76, replaced("Upgrade: WebSocket", "Upgrade: websocket"), "the one Upgrade header");
    for dialect in HIXIE {
        refused(dialect, replaced("Location: ws:", "Location: wss:"), "did not repeat the URL");
        refused(dialect, replaced("-Origin: http", "-Origin: https"), "did not repeat the page's origin");
    }
    let last_byte = |mut answer: Vec<u8>| {
        *answer.last_mut().expect("a digest") ^= 1;
        answer
    };
    refused(Dialect::Hixie76, last_byte, "did not answer the challenge");
    for dialect in HYBI {
        refused(dialect, replaced("Accept: ", "Accept: A"), "did not answer the key");
        refused(dialect, replaced("\r\n\r\n", "\r\nSec-WebSocket-Protocol: x\r\n\r\n"), "was not asked for");
    }
}

#[test]
fn what_a_server_says_when_it_declines_is_shown_however_late() {
    let server = Backend::listen();
    let mut dial = Dial::start(&[&format!("ws://{}/demo", server.address())]);
    let mut wire = server.accept();
    wire.head();
    wire.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\nnot from");
    std::thread::sleep(ms(50));
    wire.say(" there\n");
    wire.fin();
    let said = dial.exits(1);
    assert!(said.contains("\n< \"not from there\\n\"\n") && said.contains("status 403"), "{said}");
}

#[test]
fn who_cannot_be_reached_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    drop(taken);
    let ended = run(&[&format!("ws://127.0.0.1:{port}/")]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&port) && ended.stderr.contains("nothing listens there"), "{}", ended.stderr);

    let server = Backend::listen();
    let url = format!("ws://{}/", server.address());
    let ended = run(&["--timeout", "200ms", &url]);
    assert!(ended.code == Some(1) && ended.stderr.contains("did not answer within 200ms"), "{ended:?}");
    let _silent = server.accept();

    let mut dial = Dial::start(&[&url]);
    let mut wire = server.accept();
    wire.head();
    drop(wire);
    let said = dial.exits(1);
    assert!(said.contains("hung up before its answer was whole") && said.contains("--dialect"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_misuse_and_says_what_to_write() {
    let check = |arguments: &[&str], expected: &str| {
        let ended = run(arguments);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), &b""[..]), "{arguments:?} {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{arguments:?}: {expected} in {}", ended.stderr);
    };
    let url = "ws://127.0.0.1:1/";
    check(&[], "<URL>");
    check(&["127.0.0.1:1"], "write ws://127.0.0.1:1");
    check(&[url, "--dialect", "14"], "expected one of hixie-75");
    check(&[url, "--header", "X"], "write 'Name: value'");
    check(&[url, "--header", "X: a\r\nY: b"], "no line ends");
    check(&[url, "--header", "X\r\nY: b"], "is no name of a header");
    check(&[url, "--cookie", "a=b\nX: y"], "no line ends");
    check(&[url, "--header", "cookie: a"], "use --cookie");
    check(&[url, "--origin", "http://x y"], "write an origin");
    check(&[url, "--host", "a/b"], "write a host");
    check(&[url, "--protocol", "a b"], "is no subprotocol");
    check(&[url, "--protocol", "a", "--protocol", "a"], "asked for twice");
    check(&[url, "--dialect", "75", "--protocol", "a\r\nX: y"], "is no subprotocol");
    check(&[url, "--dialect", "75", "--binary"], "hixie-75 has no binary messages");
    check(&[url, "--insecure"], "for wss://");
    check(&["wss://127.0.0.1:1", "--insecure", "--ca", "x"], "cannot be used with");
    check(&[url, "--count", "0"], "--count");
    check(&[url, "--wait", "5x"], "unknown unit");
}
