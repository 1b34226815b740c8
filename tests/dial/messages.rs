//! Lines in, messages out.

use std::io::{Read as _, Write as _};
use std::thread;

use crate::program::*;
use crate::support::*;

/// Bytes of a long message, and far more than the program may have of it at a time.
const LONG: usize = 64 << 20;
/// What the program may have in all, in KiB: itself, unoptimised, and what is on the way.
const PEAK: u64 = 24 << 10;

#[test]
fn lines_become_messages_and_messages_lines_in_every_dialect() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        // Each is there before the next is said: nothing waits in a buffer.
        for line in ["hello", "", "Gr\u{fc}\u{df}e, \u{4e16}\u{754c} \u{1f600}", " two  blanks "] {
            dial.types(format!("{line}\n"));
            gets_text(&mut wire, dialect, line);
            wire.say(heard(dialect, line));
            dial.prints(format!("{line}\n"));
        }
        dial.types("crlf\r\nlast");
        gets_text(&mut wire, dialect, "crlf");
        dial.done();
        gets_text(&mut wire, dialect, "last");
        gets_close(&mut wire, dialect, 1000);
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
}

#[test]
fn what_comes_before_the_answer_to_our_close_is_printed() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        dial.done();
        match dialect {
            Dialect::Hixie75 => wire.hears_end(),
            Dialect::Hixie76 => wire.hears(GOODBYE),
            _ => wire.gets(CLOSE, status(1000, "")),
        }
        wire.say(heard(dialect, "late"));
        dial.prints("late\n");
        wire.say(farewell(dialect, 1000));
        wire.fin();
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
}

#[test]
fn binary_goes_and_comes_in_the_dialects_that_have_it() {
    for dialect in HYBI {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &["--binary"]);
        dial.types(b"\xff\0\r\n");
        wire.gets(BINARY, b"\xff\0");
        wire.say([plain(0x02, b"\x01"), plain(LAST, b"\xab")].concat());
        dial.prints("01ab\n");
        dial.done();
        gets_close(&mut wire, dialect, 1000);
        assert!(dial.exits(0).contains("message 1 is binary, 2 bytes, in hexadecimal"));

        let (mut dial, mut wire) = Dial::open(&server, dialect, &["--raw"]);
        wire.say([plain(BINARY, b"\xab\n\0"), plain(TEXT, "t")].concat());
        dial.prints(b"\xab\n\0t\n");
        dial.done();
        gets_close(&mut wire, dialect, 1000);
        assert_eq!(dial.exits(0), "");
    }
}

#[test]
fn pings_are_answered_while_nobody_types() {
    for dialect in HYBI {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        wire.say([plain(FIRST, "a"), plain(PING, "there?"), plain(LAST, "b")].concat());
        wire.gets(PONG, "there?");
        dial.prints("ab\n");
        dial.done();
        gets_close(&mut wire, dialect, 1000);
        dial.exits(0);
    }
}

#[test]
fn after_so_many_messages_it_closes_and_prints_no_more() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &["--count", "2"]);
        dial.types("a\n").done();
        gets_text(&mut wire, dialect, "a");
        wire.hears_nothing_for(ms(100));
        wire.say([heard(dialect, "1"), heard(dialect, "2"), heard(dialect, "3")].concat());
        gets_close(&mut wire, dialect, 1000);
        let ended = dial.ended();
        assert_eq!((ended.code, shown(&ended.stdout)), (Some(0), "1\\n2\\n".to_owned()), "{dialect}: {}", ended.stderr);
    }
}

#[test]
fn it_listens_on_for_as_long_as_it_is_told() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &["--wait", "300ms"]);
        dial.done();
        wire.hears_nothing_for(ms(100));
        wire.say(heard(dialect, "news"));
        dial.prints("news\n");
        gets_close(&mut wire, dialect, 1000);
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
}

#[test]
fn text_that_is_none_is_not_sent() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        dial.types(b"good\nb\xffd\nnever\n");
        gets_text(&mut wire, dialect, "good");
        gets_close(&mut wire, dialect, 1001);
        let said = dial.exits(2);
        assert!(said.contains("line 2 of stdin is not UTF-8"), "{dialect}: {said}");
    }
}

#[test]
fn a_text_that_breaks_off_never_looks_whole() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        dial.types("x".repeat(200_000)).types(b"\xff").done();
        if HYBI.contains(&dialect) {
            wire.gets_no_message_but(CLOSE, status(1001, ""));
            wire.say(plain(CLOSE, status(1001, "")));
            wire.fin();
        } else {
            let rest = wire.rest();
            assert!(rest.starts_with(b"\0xxx") && !rest.contains(&0xFF), "{dialect}: {}", shown(&rest));
            wire.fin();
        }
        assert_eq!(dial.ended().code, Some(2), "{dialect}");
    }
}

#[test]
fn a_long_message_streams_to_stdout() {
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        let speaking = thread::spawn(move || {
            let block = [b'x'; 1 << 16];
            if dialect == Dialect::Rfc6455 {
                wire.say([&[0x81, 127][..], &(LONG as u64).to_be_bytes()].concat());
            } else {
                wire.say(b"\0");
            }
            (0..LONG / block.len()).for_each(|_| wire.say(block));
            wire.say(if dialect == Dialect::Rfc6455 { &b""[..] } else { b"\xff" });
            wire
        });
        let mut stdout = dial.take_stdout();
        let mut printed = 0;
        let mut buffer = vec![0; 1 << 16];
        while printed < LONG + 1 {
            let read = stdout.read(&mut buffer).expect("it prints");
            assert!(read > 0, "{printed} bytes were printed");
            printed += read;
        }
        let mut wire = speaking.join().expect("everything was said");
        assert!(dial.peak() < PEAK, "{dialect}: {} KiB", dial.peak());
        dial.done();
        gets_close(&mut wire, dialect, 1000);
        assert_eq!((dial.ended().code, printed), (Some(0), LONG + 1));
    }
}

#[test]
fn a_long_line_streams_to_the_server() {
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        let mut stdin = dial.take_stdin();
        let typing = thread::spawn(move || {
            let block = [b'x'; 1 << 16];
            (0..LONG / block.len()).for_each(|_| stdin.write_all(&block).expect("it reads"));
            stdin.write_all(b"\n").expect("it reads");
            stdin
        });
        if dialect == Dialect::Rfc6455 {
            let mut bytes = 0;
            while bytes < LONG {
                bytes += wire.frame().payload.len();
            }
            assert_eq!(bytes, LONG);
        } else {
            wire.discard(LONG + 2);
        }
        assert!(dial.peak() < PEAK, "{dialect}: {} KiB", dial.peak());
        drop(typing.join().expect("everything was typed"));
        if dialect == Dialect::Rfc6455 {
            // The end of the line came when no byte of it was left.
            wire.gets(LAST, "");
        }
        gets_close(&mut wire, dialect, 1000);
        assert_eq!(dial.ended().code, Some(0));
    }
}

#[test]
fn a_reader_that_takes_nothing_holds_the_server_back() {
    let server = Backend::listen();
    let (mut dial, mut wire) = Dial::open(&server, Dialect::Rfc6455, &[]);
    let message = plain(TEXT, "x".repeat(60_000));
    let mut stuck = false;
    for _ in 0..LONG / message.len() {
        if wire.say_until_stuck(&message, ms(500)) < message.len() {
            stuck = true;
            break;
        }
    }
    assert!(stuck, "64 MiB went somewhere");
    assert!(dial.peak() < PEAK, "{} KiB", dial.peak());
    dial.signal("INT");
    wire.gets(CLOSE, status(1001, ""));
    dial.signal("TERM");
    assert_eq!(dial.ended().code, Some(143));
}

#[test]
fn when_nobody_reads_stdout_any_more_it_closes_quietly() {
    for dialect in ALL {
        let server = Backend::listen();
        let (mut dial, mut wire) = Dial::open(&server, dialect, &[]);
        wire.say(heard(dialect, "one"));
        dial.prints("one\n");
        drop(dial.take_stdout());
        wire.say(heard(dialect, "two"));
        gets_close(&mut wire, dialect, 1000);
        assert_eq!(dial.exits(0), "", "{dialect}");
    }
}
