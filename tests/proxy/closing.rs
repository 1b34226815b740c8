//! How connections end (dialects.md 9.4, field notes 6): who says what to whom, and when TCP ends.

use std::time::Instant;

use crate::support::*;

/// A stage on which those who do not answer a close are not waited for as long as usual.
fn hasty() -> Stage {
    Stage::with(|config| config.timeouts.close = ms(200))
}

// The backend closes

#[test]
fn a_close_of_the_backend_is_heard_as_the_dialect_says_it_and_answered_at_once() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say([plain(TEXT, "last"), plain(CLOSE, status(4001, "over"))].concat());
        client.hears(heard(dialect, "last"));
        upstream.gets(CLOSE, status(4001, ""));
        match dialect {
            Dialect::Hixie75 => {}
            Dialect::Hixie76 => {
                client.hears(GOODBYE);
                client.say(GOODBYE);
            }
            _ => {
                client.hears(plain(CLOSE, status(4001, "over")));
                client.say(masked(CLOSE, status(4001, "")));
            }
        }
        client.hears_end();
        drop(upstream);
    }
}

#[test]
fn an_empty_close_stays_empty() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say(plain(CLOSE, ""));
        upstream.gets(CLOSE, "");
        match dialect {
            Dialect::Hixie75 => client.hears_end(),
            Dialect::Hixie76 => client.hears(GOODBYE),
            _ => {
                client.hears(plain(CLOSE, ""));
                client.say(masked(CLOSE, ""));
                client.hears_end();
            }
        }
    }
    for dialect in HYBI {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(masked(CLOSE, ""));
        upstream.gets(CLOSE, "");
        upstream.say(plain(CLOSE, ""));
        client.hears(plain(CLOSE, ""));
        client.hears_end();
    }
}

#[test]
fn every_code_that_may_travel_does_and_too_large_is_said_in_the_clients_words() {
    let stage = Stage::new();
    for dialect in HYBI {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4999] {
            eprintln!("{dialect} {code}");
            // Up to hybi-12 "too large" was 1004.
            let theirs = if code == 1009 && dialect != Dialect::Rfc6455 { 1004 } else { code };
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say(plain(CLOSE, status(code, "why")));
            client.hears(plain(CLOSE, status(theirs, "why")));
            drop((client, upstream));

            let (mut client, mut upstream) = stage.open(dialect);
            client.say(masked(CLOSE, status(theirs, "why")));
            upstream.gets(CLOSE, status(code, "why"));
            upstream.say(plain(CLOSE, status(code, "")));
            // Some ears of version 8 take 1004 for reserved, so it is not repeated.
            client.hears(if theirs == 1004 { plain(CLOSE, "") } else { plain(CLOSE, status(theirs, "")) });
            client.hears_end();
        }
    }
}

#[test]
fn a_code_that_is_never_sent_is_a_broken_rule() {
    let stage = Stage::new();
    for dialect in HYBI {
        for code in [0, 999, 1005, 1006, 1015, 1016, 2999, 5000] {
            eprintln!("{dialect} {code}");
            let (mut client, mut upstream) = stage.open(dialect);
            client.say(masked(CLOSE, status(code, "")));
            upstream.gets(CLOSE, status(1001, ""));
            upstream.say(plain(CLOSE, status(1001, "")));
            client.hears(plain(CLOSE, status(1002, "")));
            client.hears_end();
        }
    }
}

#[test]
fn the_end_of_the_backends_stream_is_the_end_of_the_clients() {
    let stage = Stage::new();
    for dialect in ALL {
        for how in ["FIN", "RST"] {
            eprintln!("{dialect} {how}");
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say(plain(TEXT, "last"));
            client.hears(heard(dialect, "last"));
            if how == "FIN" {
                drop(upstream)
            } else {
                upstream.reset()
            }
            // Nothing that looks like an orderly close.
            client.hears_end();
        }
    }
}

#[test]
fn a_message_the_backend_did_not_finish_is_never_completed() {
    let stage = Stage::new();
    for dialect in ALL {
        for how in ["FIN", "RST"] {
            eprintln!("{dialect} {how}");
            let fragment = if HIXIE.contains(&dialect) { b"\0Hel".to_vec() } else { plain(FIRST, "Hel") };
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say(plain(FIRST, "Hel"));
            client.hears(&fragment);
            if how == "FIN" {
                drop(upstream)
            } else {
                upstream.reset()
            }
            client.hears_end();

            // The same inside a frame.
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say(&plain(TEXT, "Hello")[..5]);
            let begun = heard(dialect, "Hello");
            client.hears(&begun[..if HIXIE.contains(&dialect) { 4 } else { 5 }]);
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
fn a_close_inside_a_message_completes_no_hixie_frame() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say([plain(FIRST, "Hel"), plain(CLOSE, status(1011, ""))].concat());
        client.hears(b"\0Hel");
        client.hears_end();
        upstream.gets(CLOSE, status(1011, ""));
    }
}

#[test]
fn a_hixie_client_that_never_answers_is_let_go_soon_after_the_goodbye() {
    // Old WebKits neither answer FF 00 nor fire onclose until TCP ends. The usual three seconds are too long for them.
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
    let told = Instant::now();
    upstream.say(plain(CLOSE, status(1000, "")));
    client.hears(GOODBYE);
    client.hears_end();
    assert!(told.elapsed() < ms(2500), "{:?}", told.elapsed());
}

#[test]
fn a_hixie_75_client_hears_the_end_of_tcp_at_once_and_nothing_before() {
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie75);
    upstream.say(plain(CLOSE, status(1000, "")));
    client.hears_end();
    upstream.gets(CLOSE, status(1000, ""));
}

#[test]
fn a_client_that_does_not_answer_a_close_is_dropped() {
    let stage = hasty();
    for dialect in ALL {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say(plain(CLOSE, status(1000, "")));
        client.hears(farewell(dialect, 1000));
        client.hears_end();
        upstream.gets(CLOSE, status(1000, ""));
    }
}

// The client closes

#[test]
fn a_hixie_76_goodbye_is_answered_at_once_and_is_a_normal_close_upstream() {
    let stage = Stage::new();
    for at_once in [false, true] {
        let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
        // What follows a goodbye is discarded.
        client.say(b"\0last\xff\xff\0\0discarded\xff");
        if at_once {
            // As the Flash shim does.
            client.fin();
        }
        client.hears(GOODBYE);
        client.hears_end();
        upstream.gets(TEXT, "last");
        upstream.gets(CLOSE, status(1000, ""));
        // It is not told what the backend still says.
        upstream.say([plain(TEXT, "late"), plain(CLOSE, status(1000, ""))].concat());
        drop(client);
        drop(upstream);
    }
}

#[test]
fn a_goodbye_in_two_segments_is_one() {
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
    client.say_cut(GOODBYE, Cut::Bytes);
    client.hears(GOODBYE);
    client.hears_end();
    upstream.gets(CLOSE, status(1000, ""));
}

#[test]
fn a_goodbye_while_a_message_is_being_heard_puts_nothing_into_it() {
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
    upstream.say(plain(FIRST, "Hel"));
    client.hears(b"\0Hel");
    client.say(GOODBYE);
    upstream.gets(CLOSE, status(1000, ""));
    client.hears_end();
}

#[test]
fn two_goodbyes_that_cross_are_one_each() {
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
    upstream.say(plain(CLOSE, status(1000, "")));
    client.say(GOODBYE);
    client.hears(GOODBYE);
    client.hears_end();
    upstream.gets(CLOSE, status(1000, ""));
}

#[test]
fn a_close_of_a_hybi_client_is_answered_by_the_backend_and_then_tcp_ends_promptly() {
    let stage = Stage::new();
    for dialect in HYBI {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(masked(CLOSE, status(1000, "bye")));
        upstream.gets(CLOSE, status(1000, "bye"));
        // The backend may finish what it was saying.
        upstream.say([plain(TEXT, "still"), plain(CLOSE, status(1000, ""))].concat());
        let answered = Instant::now();
        client.hears([plain(TEXT, "still"), plain(CLOSE, status(1000, ""))].concat());
        client.hears_end();
        assert!(answered.elapsed() < ms(900), "one client aborts after a second: {:?}", answered.elapsed());
    }
}

#[test]
fn a_client_that_closed_is_answered_even_if_the_backend_never_does() {
    let stage = hasty();
    for dialect in HYBI {
        for how in ["silent", "FIN"] {
            eprintln!("{dialect} {how}");
            let (mut client, mut upstream) = stage.open(dialect);
            client.say(masked(CLOSE, status(1000, "")));
            upstream.gets(CLOSE, status(1000, ""));
            if how == "FIN" {
                upstream.fin();
            }
            client.hears(plain(CLOSE, status(1000, "")));
            client.hears_end();
        }
    }
}

#[test]
fn the_end_of_a_clients_stream_between_messages_is_going_away() {
    let stage = Stage::new();
    for dialect in ALL {
        for how in ["FIN", "RST"] {
            eprintln!("{dialect} {how}");
            let (mut client, mut upstream) = stage.open(dialect);
            client.say(said(dialect, "last"));
            upstream.gets(TEXT, "last");
            if how == "FIN" {
                client.fin()
            } else {
                client.reset()
            }
            upstream.gets(CLOSE, status(1001, ""));
            upstream.say(plain(CLOSE, status(1001, "")));
            // RFC 6455 7.1.1: the server ends TCP first.
            upstream.fin();
            upstream.hears_end();
        }
    }
}

#[test]
fn a_client_that_is_gone_is_not_waited_for() {
    // A bare FIN is the normal close of a hixie browser: there is nobody left to answer.
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        let gone = Instant::now();
        client.fin();
        upstream.gets(CLOSE, status(1001, ""));
        client.rest();
        assert!(gone.elapsed() < ms(2500), "{:?}", gone.elapsed());
    }
}

#[test]
fn a_message_the_client_did_not_finish_is_never_completed() {
    let stage = Stage::new();
    for dialect in ALL {
        for how in ["FIN", "RST"] {
            eprintln!("{dialect} {how}");
            let (mut client, mut upstream) = stage.open(dialect);
            let whole = said(dialect, "Hello");
            client.say(&whole[..whole.len() - 2]);
            // Enough of it has arrived to know that the message was begun.
            let begun = upstream.hear(if HIXIE.contains(&dialect) { 6 + 4 } else { 6 + 3 });
            assert_eq!(begun[0] & 0x0F, 1);
            if how == "FIN" {
                client.fin()
            } else {
                client.reset()
            }
            let rest = upstream.rest_or_reset();
            assert!(rest.is_empty(), "{}", shown(&rest));
        }
    }
}

#[test]
fn the_end_of_the_stream_between_fragments_is_no_close_either() {
    let stage = Stage::new();
    for dialect in HYBI {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(masked(FIRST, "Hel"));
        upstream.gets(FIRST, "Hel");
        client.fin();
        let rest = upstream.rest_or_reset();
        assert!(rest.is_empty(), "{}", shown(&rest));
    }
}

// Broken rules

#[test]
fn a_client_that_breaks_a_rule_is_told_and_the_backend_not_blamed() {
    let stage = Stage::new();
    let rows: [(&str, Vec<u8>, u16); 10] = [
        ("unmasked", plain(TEXT, "a"), 1002),
        ("reserved bit", masked(0xC1, "a"), 1002),
        ("reserved opcode", masked(0x83, "a"), 1002),
        ("reserved control opcode", masked(0x8B, "a"), 1002),
        ("fragmented ping", masked(0x09, "a"), 1002),
        ("long ping", masked(PING, [0; 126]), 1002),
        ("continuation of nothing", masked(LAST, "a"), 1002),
        ("message inside a message", [masked(FIRST, "a"), masked(TEXT, "b")].concat(), 1002),
        ("half a code", masked(CLOSE, [3]), 1002),
        ("reason not UTF-8", masked(CLOSE, b"\x03\xe8\xff"), 1007),
    ];
    for dialect in HYBI {
        for (what, bytes, code) in &rows {
            eprintln!("{dialect} {what}");
            let (mut client, mut upstream) = stage.open(dialect);
            client.say(bytes);
            client.hears(plain(CLOSE, status(*code, "")));
            client.hears_end();
            if *what == "message inside a message" {
                upstream.gets(FIRST, "a");
            }
            upstream.gets(CLOSE, status(1001, ""));
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_since_hybi_10() {
    let stage = Stage::new();
    for dialect in [Dialect::Hybi10, Dialect::Rfc6455] {
        for bytes in [b"a\xff".as_slice(), b"\xed\xa0\xbd", b"cut \xe2\x82"] {
            let (mut client, mut upstream) = stage.open(dialect);
            client.say(masked(TEXT, bytes));
            upstream.gets(CLOSE, status(1001, ""));
            upstream.say(plain(CLOSE, status(1001, "")));
            client.hears(plain(CLOSE, status(1007, "")));
            client.hears_end();
        }
    }
}

#[test]
fn lengths_in_more_bytes_than_needed_pass_before_v13_and_are_written_anew() {
    let stage = Stage::new();
    let padded = b"\x81\xfe\0\x01\0\0\0\0a";
    for dialect in [Dialect::Hybi07, Dialect::Hybi10] {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(padded);
        upstream.gets(TEXT, "a");
    }
    let (mut client, mut upstream) = stage.open(Dialect::Rfc6455);
    client.say(padded);
    upstream.gets(CLOSE, status(1001, ""));
    upstream.say(plain(CLOSE, status(1001, "")));
    client.hears(plain(CLOSE, status(1002, "")));
}

#[test]
fn frame_types_hixie_76_does_not_have_end_it() {
    let stage = Stage::new();
    for bytes in [&b"\x04\x05Hello"[..], b"\x01a\xff", b"\x7f", b"\xff\x01a"] {
        eprintln!("{}", shown(bytes));
        let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
        client.say(bytes);
        upstream.gets(CLOSE, status(1001, ""));
        upstream.say(plain(CLOSE, status(1001, "")));
        client.hears(GOODBYE);
        client.hears_end();
    }
}

#[test]
fn a_length_without_end_is_an_attack() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say([0x80].iter().chain(&[0xFF; 9]).chain(&[0]).copied().collect::<Vec<u8>>());
        upstream.gets(CLOSE, status(1001, ""));
        upstream.say(plain(CLOSE, status(1001, "")));
        client.hears(farewell(dialect, 1002));
        client.hears_end();
    }
}

#[test]
fn a_backend_that_breaks_a_rule_is_told_and_the_client_not_blamed() {
    let stage = Stage::new();
    let rows: [(&str, Vec<u8>, u16); 5] = [
        ("masked", masked(TEXT, "a"), 1002),
        ("reserved bit", plain(0xC1, "a"), 1002),
        ("reserved opcode", plain(0x83, "a"), 1002),
        ("1004", plain(CLOSE, status(1004, "")), 1002),
        ("not UTF-8", plain(TEXT, b"a\xff"), 1007),
    ];
    for dialect in ALL {
        for (what, bytes, code) in &rows {
            eprintln!("{dialect} {what}");
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say(bytes);
            client.hears(farewell(dialect, 1001));
            match dialect {
                Dialect::Hixie75 => {}
                Dialect::Hixie76 => client.say(GOODBYE),
                _ => client.say(masked(CLOSE, status(1001, ""))),
            }
            client.hears_end();
            drop(client);
            upstream.gets(CLOSE, status(*code, ""));
        }
    }
}

#[test]
fn what_a_client_says_to_a_backend_that_broke_a_rule_is_not_gathered() {
    let stage = Stage::new();
    let flood = masked(BINARY, vec![0; 64 << 20]);
    let (mut client, mut upstream) = stage.open(Dialect::Rfc6455);
    let text = plain(TEXT, "Hello");
    upstream.say(&text[..4]);
    client.hears(&text[..4]);
    upstream.say(b"\xff");
    client.hears_end();
    // The backend takes nothing of it.
    let taken = client.say_until_stuck(&flood, ms(300));
    assert!(taken < flood.len(), "{taken} bytes are somewhere");
}

#[test]
fn text_of_the_backend_that_stops_being_utf8_completes_no_hixie_frame() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say(plain(FIRST, "good"));
        client.hears(b"\0good");
        upstream.say(plain(LAST, b"\xff\0"));
        client.hears_end();
        upstream.gets(CLOSE, status(1007, ""));
    }
}

// The proxy gives up

#[test]
fn a_shutdown_tells_clients_and_backends_to_go_away() {
    let stage = Stage::new();
    let mut open: Vec<_> = ALL.map(|dialect| (dialect, stage.open(dialect))).into_iter().collect();
    stage.proxy.drain.start();
    for (dialect, (client, upstream)) in &mut open {
        eprintln!("{dialect}");
        client.hears(farewell(*dialect, 1001));
        upstream.gets(CLOSE, status(1001, ""));
        if HYBI.contains(dialect) {
            client.say(masked(CLOSE, status(1001, "")));
        }
        upstream.say(plain(CLOSE, status(1001, "")));
        client.hears_end();
        // The backend, as the server, is left to end TCP first.
        upstream.fin();
        upstream.hears_end();
    }
    drop(open);
    stage.proxy.stopped();
}

#[test]
fn a_shutdown_ends_though_nobody_answers() {
    let stage = hasty();
    let open: Vec<_> = ALL.map(|dialect| stage.open(dialect)).into_iter().collect();
    let (silent, mut waiting) = (stage.client(), stage.client());
    waiting.say(opening_head(Dialect::Hixie76, "/", &[]));
    let mut slow = stage.backend.accept();
    slow.agrees(&[]);
    stage.proxy.drain.start();
    stage.proxy.stopped();
    drop((open, silent, waiting, slow));
}

#[test]
fn a_shutdown_ends_handshakes_too() {
    let stage = Stage::new();
    let (mut asking, mut owing) = (stage.client(), stage.client());
    asking.say(opening(Dialect::Rfc6455, "/", &[]));
    let mut asked = stage.backend.accept();
    asked.head();
    owing.say(opening_head(Dialect::Hixie76, "/", &[]));
    let mut agreed = stage.backend.accept();
    agreed.agrees(&[]);
    owing.head();
    stage.proxy.drain.start();
    assert!(asking.head().starts_with("HTTP/1.1 503 "));
    asked.hears_end();
    owing.hears_end();
    agreed.gets(CLOSE, status(1001, ""));
    agreed.hears_end();
    asking.rest();
    drop(asking);
    stage.proxy.stopped();
}

#[test]
fn a_shutdown_puts_nothing_into_a_message_that_is_half_heard() {
    let stage = Stage::new();
    let (mut client, mut upstream) = stage.open(Dialect::Hixie76);
    upstream.say(plain(FIRST, "Hel"));
    client.hears(b"\0Hel");
    // A hybi frame has announced its length: the close waits for it.
    let (mut modern, mut its_upstream) = stage.open(Dialect::Rfc6455);
    let frame = plain(TEXT, "Hello");
    its_upstream.say(&frame[..4]);
    modern.hears(&frame[..4]);
    stage.proxy.drain.start();
    client.hears_end();
    its_upstream.gets(CLOSE, status(1001, ""));
    its_upstream.say(&frame[4..]);
    modern.hears([&frame[4..], &farewell(Dialect::Rfc6455, 1001)[..]].concat());
}

#[test]
fn a_silent_connection_is_closed_after_the_idle_time() {
    let stage = Stage::with(|config| config.timeouts.idle = Some(ms(100)));
    for dialect in ALL {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.gets(CLOSE, status(1001, ""));
        upstream.say(plain(CLOSE, status(1001, "")));
        client.hears(farewell(dialect, 1001));
    }
}
