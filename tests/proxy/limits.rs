//! How much is taken from clients, and for how long they are waited for.

use std::num::NonZeroUsize;

use crate::support::*;

fn status_of(client: &mut Wire) -> String {
    let head = client.head();
    assert_eq!(field(&head, "Connection"), Some("close"), "{head}");
    head.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn a_head_above_the_limit_is_refused_whether_or_not_it_ever_ends() {
    let stage = Stage::with(|config| config.limits.head_bytes = 1024);
    for (line, ends) in
        [("Cookie: ".to_owned() + &"c".repeat(1100), true), ("C: ".to_owned() + &"c".repeat(4000), false)]
    {
        for dialect in ALL {
            let mut client = stage.client();
            let head = opening_head(dialect, "/", &[&line]);
            client.say(if ends { &head[..] } else { &head[..head.len() - 2] });
            assert_eq!(status_of(&mut client), "431");
            client.rest();
        }
        // Nor does an ordinary request.
        let mut client = stage.client();
        client.say(head("GET / HTTP/1.1", &["Host: tv", &line]));
        assert_eq!(status_of(&mut client), "431");
    }
    stage.backend.saw_nobody();
}

#[test]
fn a_head_of_exactly_the_limit_passes() {
    let stage = Stage::with(|config| config.limits.head_bytes = 1024);
    let least = opening_head(Dialect::Rfc6455, "/", &["Cookie: "]).len();
    let line = "Cookie: ".to_owned() + &"c".repeat(1024 - least);
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/", &[&line]));
    stage.backend.accept().agrees(&[]);
    client.hears(answer(Dialect::Rfc6455, "/", &[]));
}

#[test]
fn too_many_fields_are_refused() {
    let stage = Stage::with(|config| config.limits.head_fields = 12);
    let mut client = stage.client();
    client.say(opening(Dialect::Hixie76, "/", &["X: 1"; 7]));
    assert_eq!(status_of(&mut client), "431");
    stage.backend.saw_nobody();
    let mut client = stage.client();
    client.say(opening(Dialect::Hixie76, "/", &["X: 1"; 6]));
    stage.backend.accept().head();
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let stage = Stage::with(|config| config.timeouts.head = ms(100));
    // Bytes now and then do not put the end off.
    let mut client = stage.client();
    for byte in opening(Dialect::Hixie76, "/", &[]).iter().take(40) {
        if !client.try_say(&[*byte]) {
            break;
        }
        std::thread::sleep(ms(5));
    }
    assert_eq!(status_of(&mut client), "408");
    client.rest_or_reset();
    // Nobody is there to read a refusal.
    stage.client().hears_end();
    stage.backend.saw_nobody();
}

#[test]
fn one_address_has_only_its_share_of_connections() {
    let stage = Stage::with(|config| config.limits.connections_per_address = Some(2));
    let (first, second) = (stage.open(Dialect::Hixie76), stage.open(Dialect::Rfc6455));
    let mut third = stage.client();
    third.try_say(&opening(Dialect::Hixie76, "/", &[]));
    assert_eq!(third.rest_or_reset(), b"");
    stage.backend.saw_nobody();
    // What one gives back another may take; the place is free once both sides are through.
    let (mut client, mut upstream) = second;
    client.say(masked(CLOSE, status(1000, "")));
    upstream.gets(CLOSE, status(1000, ""));
    upstream.say(plain(CLOSE, status(1000, "")));
    client.hears(plain(CLOSE, status(1000, "")));
    client.hears_end();
    drop((client, upstream));
    eventually("a connection is let in again", || {
        let mut client = stage.client();
        client.try_say(&head("GET / HTTP/9.9", &[])) && !client.rest_or_reset().is_empty()
    });
    drop(first);
}

#[test]
fn connections_above_the_limit_wait_for_their_turn() {
    for threads in [1, 2] {
        let stage = Stage::with(|config| {
            config.limits.connections = 2;
            config.threads = NonZeroUsize::new(threads);
        });
        let first = stage.open(Dialect::Hixie76);
        let second = stage.open(Dialect::Hixie76);
        let mut third = stage.client();
        third.say(opening(Dialect::Rfc6455, "/", &[]));
        third.hears_nothing_for(ms(30));
        stage.backend.saw_nobody();
        drop((first, second));
        stage.backend.accept().agrees(&[]);
        third.hears(answer(Dialect::Rfc6455, "/", &[]));
    }
}

#[test]
fn every_thread_takes_connections_however_few_there_may_be() {
    // The system deals connections out to the threads' sockets as it likes.
    let stage = Stage::with(|config| {
        config.limits.connections = 1;
        config.threads = NonZeroUsize::new(4);
    });
    for _ in 0..12 {
        let mut client = stage.client();
        client.say(head("GET / HTTP/9.9", &[]));
        assert_eq!(status_of(&mut client), "505");
        client.rest();
    }
}

#[test]
fn an_upload_that_the_backend_does_not_take_keeps_no_connection() {
    let stage = Stage::with(|config| {
        config.timeouts.response = Some(ms(200));
        config.timeouts.stall = ms(500);
    });
    let mut client = stage.client();
    client.say(head("POST / HTTP/1.1", &["Host: tv", "Content-Length: 67108864"]));
    let mut upstream = stage.backend.accept();
    upstream.head();
    // More than all buffers on the way can hold. It ends in an error once the proxy has given up, or is thrown away.
    client.try_say(&vec![b'x'; 64 << 20]);
    client.rest_or_reset();
    let taken = upstream.rest_or_reset().len();
    assert!(taken < 64 << 20, "{taken} bytes were taken");
}

// max_message

fn limited() -> Stage {
    Stage::with(|config| config.routes[0].max_message = Some(1000))
}

/// What a client of that dialect hears when its message is too large.
fn too_large(dialect: Dialect) -> Vec<u8> {
    farewell(dialect, if dialect == Dialect::Rfc6455 { 1009 } else { 1004 })
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let stage = limited();
    let text = "x".repeat(1000);
    for dialect in ALL {
        let (mut client, mut upstream) = stage.open(dialect);
        for _ in 0..2 {
            client.say(said(dialect, &text));
            upstream.gets_message(TEXT, &text);
            upstream.say(plain(TEXT, &text));
            client.hears(heard(dialect, &text));
        }
    }
}

#[test]
fn a_message_above_the_limit_ends_its_sender_whether_or_not_it_ever_ends() {
    let stage = limited();
    for dialect in ALL {
        for ends in [true, false] {
            eprintln!("{dialect}, {}", if ends { "whole" } else { "without end" });
            let whole = said(dialect, "x".repeat(1002));
            let (mut client, mut upstream) = stage.open(dialect);
            client.say(&whole[..whole.len() - usize::from(!ends)]);
            client.hears(too_large(dialect));
            client.hears_end();
            // It may have been sent the part that fits, but no end of it.
            upstream.gets_no_message_but(CLOSE, status(1001, ""));
        }
    }
}

#[test]
fn the_header_alone_tells_that_a_hybi_message_is_too_large() {
    let stage = limited();
    // Text of version 7 is mended, and its length not known before it is.
    for dialect in [Dialect::Hybi10, Dialect::Rfc6455] {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(&masked(TEXT, "x".repeat(1001))[..9]);
        client.hears(too_large(dialect));
        upstream.gets(CLOSE, status(1001, ""));
    }
}

#[test]
fn fragments_count_together() {
    let stage = limited();
    for dialect in HYBI {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say([masked(FIRST, [b'x'; 600]), masked(LAST, [b'x'; 401])].concat());
        client.hears(too_large(dialect));
        upstream.gets(FIRST, [b'x'; 600]);
        upstream.gets(CLOSE, status(1001, ""));
    }
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say([b"\0", &[b'x'; 600][..]].concat());
        upstream.gets(FIRST, [b'x'; 600]);
        client.say([b'x'; 401]);
        client.hears(too_large(dialect));
        client.hears_end();
        upstream.gets(CLOSE, status(1001, ""));
    }
}

#[test]
fn the_backends_messages_are_limited_too() {
    let stage = limited();
    for dialect in ALL {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say(plain(TEXT, "x".repeat(1001)));
        upstream.gets(CLOSE, status(1009, ""));
        client.hears(farewell(dialect, 1001));
    }
    for dialect in HIXIE {
        // A frame that is half heard is not completed.
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say(plain(FIRST, "x".repeat(600)));
        client.hear(601);
        upstream.say(plain(LAST, "x".repeat(401)));
        upstream.gets(CLOSE, status(1009, ""));
        client.hears_end();
    }
}
