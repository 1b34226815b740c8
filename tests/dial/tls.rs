//! wss.

use std::io::{Read as _, Write as _};

use crate::program::*;
use crate::support::*;
use crate::tls_support::{Authority, Encrypted, listen};

/// A server of that dialect that says one message and what it heard, then closes.
fn serve(mut stream: Encrypted, dialect: Dialect) {
    let mut read = |until: &[u8], more: usize| {
        let mut bytes = Vec::new();
        while !bytes.ends_with(until) {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_err() {
                return (Vec::new(), Vec::new());
            }
            bytes.push(byte[0]);
        }
        let mut rest = vec![0; more];
        let _ = stream.read_exact(&mut rest);
        (bytes, rest)
    };
    let (head, key3) = read(b"\r\n\r\n", if dialect == Dialect::Hixie76 { 8 } else { 0 });
    if head.is_empty() {
        return;
    }
    let request = String::from_utf8(head).expect("the head is text");
    let mut answer = answer_to(&request, &key3, dialect, &[]);
    // hixie repeats the URL, which is one of wss.
    if let Some(at) = answer.windows(5).position(|part| part == b"ws://") {
        answer.insert(at + 2, b's');
    }
    let _ = stream.write_all(&[answer, heard(dialect, "secret"), farewell(dialect, 1000)].concat());
    stream.conn.send_close_notify();
    let _ = stream.flush();
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_server_that_is_believed_talks_in_every_dialect() {
    let authority = Authority::new("dial");
    let file = authority.file.to_str().expect("a plain path");
    for dialect in ALL {
        let address = listen(authority.server(&["tv.example"], |_| {}), move |stream| serve(stream, dialect));
        let (port, address) = (address.port(), address.to_string());
        let url = format!("wss://tv.example:{port}/news");
        let ended = run_open(&["-d", dialect.name(), "--connect", &address, "--ca", file, &url]);
        assert_eq!((ended.code, shown(&ended.stdout)), (Some(0), "secret\\n".into()), "{dialect}: {}", ended.stderr);
        let ended = run_open(&["-d", dialect.name(), "--insecure", &format!("wss://{address}/news")]);
        assert_eq!((ended.code, shown(&ended.stdout)), (Some(0), "secret\\n".into()), "{dialect}: {}", ended.stderr);
    }
}

/// Runs it until the server closes.
fn run_open(arguments: &[&str]) -> Ended {
    let mut dial = Dial::start(arguments);
    dial.ended()
}

#[test]
fn a_server_that_is_not_believed_hears_nothing() {
    let (authority, other) = (Authority::new("known"), Authority::new("unknown"));
    let (file, wrong) = (authority.file.to_str().expect("plain"), other.file.to_str().expect("plain"));
    let address = listen(authority.server(&["tv.example"], |_| {}), |mut stream| {
        assert!(!matches!(stream.read(&mut [0; 1]), Ok(1..)), "somebody was told something");
    });
    let (port, address) = (address.port(), address.to_string());
    let check = |arguments: &[&str], expected: &str| {
        let ended = run_open(arguments);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), &b""[..]), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{expected} in {}", ended.stderr);
    };
    let named = format!("wss://tv.example:{port}/");
    check(&["--connect", &address, "--ca", wrong, &named], "--ca FILE, or --insecure");
    check(&["--ca", file, &format!("wss://{address}/")], "is for tv.example and not for 127.0.0.1");
    check(&["--ca", "no/such.pem", &named, "--connect", &address], "no/such.pem: it cannot be read");
    let plain = Backend::listen();
    let url = format!("wss://{}/", plain.address());
    let mut dial = Dial::start(&[&url]);
    let mut wire = plain.accept();
    wire.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(dial.exits(1).contains("does not answer in TLS; if the port is a plain one, write ws://"));
}
