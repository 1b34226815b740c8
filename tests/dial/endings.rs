//! How a connection ends, and the exit code that tells.

use crate::program::*;
use crate::support::*;

/// The server says this, and ends its stream; dial exits with that and says so.
#[track_caller]
fn check(dialect: Dialect, bytes: impl AsRef<[u8]>, code: i32, expected: &str) {
    let server = Backend::listen();
    let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
    wire.say(bytes);
    wire.fin();
    wire.rest_or_reset();
    let ended = dial.ended();
    assert_eq!(ended.code, Some(code), "{dialect}: {}", ended.stderr);
    let fits = if expected.is_empty() { ended.stderr.is_empty() } else { ended.stderr.contains(expected) };
    assert!(fits, "{dialect}: {expected:?} in {:?}", ended.stderr);
}

#[test]
fn the_exit_code_tells_how_the_server_closed() {
    for dialect in HYBI {
        check(dialect, plain(CLOSE, ""), 0, "");
        check(dialect, plain(CLOSE, status(1000, "bye")), 0, "");
        check(dialect, plain(CLOSE, status(1001, "")), 0, "");
        check(dialect, plain(CLOSE, status(1011, "")), 3, "the server closed: close 1011");
        check(dialect, plain(CLOSE, status(4321, "so\nlong")), 3, r#"close 4321 "so\nlong""#);
        check(dialect, "", 4, "without a close");
        check(dialect, plain(TEXT, "whole"), 4, "without a close");
        check(dialect, plain(FIRST, "half"), 4, "inside a message");
        check(dialect, b"\x81\x05ha", 4, "inside a message");
        check(dialect, b"\x81", 4, "inside a message");
    }
    check(Dialect::Hixie76, GOODBYE, 0, "");
    check(Dialect::Hixie76, "", 4, "without a close");
    check(Dialect::Hixie75, "", 0, "");
    check(Dialect::Hixie75, heard(Dialect::Hixie75, "whole"), 0, "");
    for dialect in HIXIE {
        check(dialect, b"\0half", 4, "inside a message");
    }
}

#[test]
fn a_broken_rule_is_named_and_answered() {
    let check = |dialect, bytes: &[u8], answer: &[u8], expected: &str| {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        wire.say(bytes);
        if HYBI.contains(&dialect) {
            wire.gets(CLOSE, answer);
        } else {
            wire.hears(answer);
        }
        wire.hears_end();
        drop(wire);
        let said = dial.exits(5);
        assert!(said.contains(&format!("the server {expected}")), "{dialect}: {expected} in {said}");
    };
    for dialect in HYBI {
        check(dialect, &masked(TEXT, "a"), &status(1002, ""), "sent a masked frame");
        check(dialect, b"\x83\0", &status(1002, ""), "used the reserved opcode 0x3");
        check(dialect, b"\xc1\x01a", &status(1002, ""), "set reserved bits");
    }
    check(Dialect::Rfc6455, b"\x81\x01\xff", &status(1007, ""), "sent text that is not UTF-8");
    check(Dialect::Hixie76, b"\x04\x01", GOODBYE, "used the reserved frame type 0x04");
    check(Dialect::Hixie75, &[0x80; 12], b"", "announced a frame too long to skip");
}

#[test]
fn a_close_is_answered_with_its_code() {
    for dialect in HYBI {
        let server = Backend::listen();
        for (close, answer) in [(plain(CLOSE, ""), vec![]), (plain(CLOSE, status(4000, "x")), status(4000, ""))] {
            let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
            wire.say(close);
            wire.gets(CLOSE, answer);
            drop(wire);
            dial.ended();
        }
    }
    let server = Backend::listen();
    let (mut dial, mut wire) = Dial::open(&server, Dialect::Hixie76, &[]);
    wire.say(GOODBYE);
    wire.hears(GOODBYE);
    wire.hears_end();
    drop(wire);
    dial.exits(0);
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_long() {
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let server = Backend::listen();
        let (mut dial, wire) = Dial::open(&server, dialect, &["--timeout", "300ms"]);
        dial.done();
        let said = dial.exits(4);
        assert!(said.contains("did not answer the close within 300ms"), "{dialect}: {said}");
        drop(wire);
    }
    // hixie-75 has no answer, so none is missing, nor awaited.
    let server = Backend::listen();
    let (mut dial, wire) = Dial::open(&server, Dialect::Hixie75, &["--timeout", "1h"]);
    assert_eq!(dial.done().exits(0), "");
    drop(wire);
}

#[test]
fn a_server_that_closes_and_leaves_tcp_open_is_left() {
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &["--timeout", "300ms"]);
        wire.say(farewell(dialect, 1000));
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
}

#[test]
fn a_connection_that_breaks_is_no_close() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, wire) = Dial::open(&server, dialect, &[]);
        // Not before it is open, where the reset would be of the handshake.
        dial.types("x\n");
        let mut twin = wire.twin();
        gets_text(&mut twin, dialect, "x");
        drop(twin);
        wire.reset();
        let said = dial.exits(4);
        assert!(said.contains("the connection broke"), "{dialect}: {said}");
    }
}

#[test]
fn a_signal_closes_and_a_second_one_ends() {
    for (signal, dialect) in [("INT", Dialect::Rfc6455), ("TERM", Dialect::Hybi07), ("INT", Dialect::Hixie76)] {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        dial.types("x\n");
        gets_text(&mut wire, dialect, "x");
        dial.signal(signal);
        gets_close(&mut wire, dialect, 1001);
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
    let server = Backend::listen();
    let (mut dial, mut wire) = Dial::open(&server, Dialect::Rfc6455, &[]);
    dial.types("x\n");
    wire.gets(TEXT, "x");
    dial.signal("INT");
    wire.gets(CLOSE, status(1001, ""));
    dial.signal("INT");
    dial.exits(130);
}

#[test]
fn a_signal_before_the_connection_is_open_ends_at_once() {
    let server = Backend::listen();
    let mut dial = Dial::start(&[&format!("ws://{}/", server.address())]);
    let mut wire = server.accept();
    wire.head();
    dial.signal("TERM");
    dial.exits(143);
}
