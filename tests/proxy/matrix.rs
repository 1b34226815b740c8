//! Every dialect, every kind of message, both directions: what the backend received and what the client heard.

use std::thread;

use hybridge::dialect::BinaryPolicy;

use crate::support::*;

/// Texts at the borders of every length encoding.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = ["", "Hello", "\n\0", "\u{20ac} \u{1f600} \u{f8ff}"].map(str::to_owned).to_vec();
    texts.extend([125, 126, 0xFFFF, 0x1_0000].map(|length| "x".repeat(length)));
    texts
}

#[test]
fn every_text_arrives_both_ways() {
    let stage = Stage::new();
    for dialect in ALL {
        let (mut client, mut upstream) = stage.open(dialect);
        for text in texts() {
            eprintln!("{dialect} {}", shown(text.as_bytes()));
            client.say(said(dialect, &text));
            upstream.gets_message(TEXT, &text);
            upstream.say(plain(TEXT, &text));
            client.hears(heard(dialect, &text));
        }
    }
}

#[test]
fn frames_cut_into_single_bytes_mean_the_same() {
    let stage = Stage::new();
    for dialect in ALL {
        let (mut client, mut upstream) = stage.open(dialect);
        for text in texts().into_iter().filter(|text| text.len() < 200) {
            eprintln!("{dialect} {}", shown(text.as_bytes()));
            client.say_cut(&said(dialect, &text), Cut::Bytes);
            upstream.gets_message(TEXT, &text);
            upstream.say_cut(&plain(TEXT, &text), Cut::Bytes);
            client.hears(heard(dialect, &text));
        }
    }
}

#[test]
fn a_mebibyte_arrives_both_ways_at_once() {
    let stage = Stage::new();
    let text = "Grüße \u{1f4fa} ".repeat((1 << 20) / 13);
    for dialect in ALL {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        let (mut clients_mouth, mut upstreams_mouth) = (client.twin(), upstream.twin());
        thread::scope(|scope| {
            scope.spawn(|| clients_mouth.say(said(dialect, &text)));
            scope.spawn(|| upstreams_mouth.say(plain(TEXT, &text)));
            scope.spawn(|| client.hears(heard(dialect, &text)));
            upstream.gets_message(TEXT, &text);
        });
    }
}

#[test]
fn a_small_message_is_one_frame_under_a_key_of_its_own() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        let mut keys = Vec::new();
        for _ in 0..3 {
            client.say(said(dialect, "same"));
            let (frame, key) = upstream.frame_and_key();
            assert_eq!(frame, Frame::new(TEXT, "same"));
            keys.push(key.expect("frames to a backend are masked"));
        }
        // RFC 6455 10.3: a page must not be able to choose the bytes on the wire.
        assert!(!keys.contains(&[0; 4]) && keys[0] != keys[1] && keys[1] != keys[2], "{keys:?}");
    }
}

#[test]
fn fragments_of_the_backend_become_one_hixie_frame_and_stay_fragments_for_hybi() {
    let stage = Stage::new();
    let euro = "\u{20ac}".as_bytes();
    let fragments: [(u8, &[u8]); 5] =
        [(FIRST, b"a"), (MIDDLE, b""), (MIDDLE, &euro[..1]), (MIDDLE, &euro[1..]), (LAST, b"")];
    let bytes: Vec<u8> = fragments.iter().flat_map(|(first, payload)| plain(*first, payload)).collect();
    for dialect in ALL {
        for cut in [Cut::Whole, Cut::Bytes] {
            eprintln!("{dialect} {cut:?}");
            let (mut client, mut upstream) = stage.open(dialect);
            upstream.say_cut(&bytes, cut);
            let expected = if HIXIE.contains(&dialect) { heard(dialect, "a\u{20ac}") } else { bytes.clone() };
            client.hears(expected);
        }
    }
}

#[test]
fn fragments_of_a_hybi_client_keep_their_borders() {
    let stage = Stage::new();
    for dialect in HYBI {
        let (mut client, mut upstream) = stage.open(dialect);
        for (kind, cut) in [(0x01, Cut::Whole), (0x02, Cut::Bytes)] {
            let bytes = [masked(kind, "He"), masked(PING, "?"), masked(MIDDLE, ""), masked(LAST, "llo")].concat();
            client.say_cut(&bytes, cut);
            upstream.gets(kind, "He");
            upstream.gets(PING, "?");
            upstream.gets(MIDDLE, "");
            upstream.gets(LAST, "llo");
        }
    }
}

#[test]
fn a_burst_keeps_its_order_and_its_messages() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        let texts: Vec<String> = (0..500).map(|number| format!("message {number}")).collect();
        client.say(texts.iter().flat_map(|text| said(dialect, text)).collect::<Vec<u8>>());
        texts.iter().for_each(|text| upstream.gets_message(TEXT, text));
        upstream.say(texts.iter().flat_map(|text| plain(TEXT, text)).collect::<Vec<u8>>());
        client.hears(texts.iter().flat_map(|text| heard(dialect, text)).collect::<Vec<u8>>());
    }
}

#[test]
fn binary_passes_between_those_who_have_it() {
    let stage = Stage::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for dialect in HYBI {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        client.say([masked(BINARY, ""), masked(BINARY, &bytes)].concat());
        upstream.gets(BINARY, "");
        upstream.gets(BINARY, &bytes);
        upstream.say([plain(BINARY, ""), plain(BINARY, &bytes)].concat());
        client.hears([plain(BINARY, ""), plain(BINARY, &bytes)].concat());
    }
}

#[test]
fn binary_reaches_a_hixie_client_as_the_route_says() {
    for (policy, expected) in [
        (BinaryPolicy::Base64, &b"\0//4AQQ==\xff"[..]),
        (BinaryPolicy::Latin1, b"\0\xc3\xbf\xc3\xbe\0A\xff"),
        (BinaryPolicy::Drop, b""),
    ] {
        let stage = Stage::with(|config| config.routes[0].binary = policy);
        for dialect in HIXIE {
            for bytes in [
                plain(BINARY, b"\xff\xfe\0A"),
                [plain(0x02, b"\xff"), plain(PING, "!"), plain(MIDDLE, b"\xfe\0"), plain(LAST, b"A")].concat(),
            ] {
                eprintln!("{dialect} {policy:?}");
                let (mut client, mut upstream) = stage.open(dialect);
                upstream.say(bytes);
                upstream.say(plain(TEXT, "next"));
                client.hears([expected, b"\0next\xff"].concat());
            }
        }
    }
}

#[test]
fn binary_ends_a_hixie_connection_where_the_route_says_close() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say([plain(TEXT, "last"), plain(BINARY, [0; 300]), plain(TEXT, "never heard")].concat());
        client.hears([b"\0last\xff", &farewell(dialect, 1003)[..]].concat());
        upstream.gets(CLOSE, status(1003, ""));
        client.hears_end();
    }
}

#[test]
fn pings_and_pongs_pass_between_those_who_have_them() {
    let stage = Stage::new();
    for dialect in HYBI {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        let longest = "p".repeat(125);
        for payload in ["", "beat", &longest] {
            client.say([masked(PING, payload), masked(PONG, payload)].concat());
            upstream.gets(PING, payload);
            upstream.gets(PONG, payload);
            upstream.say([plain(PING, payload), plain(PONG, payload)].concat());
            client.hears([plain(PING, payload), plain(PONG, payload)].concat());
        }
    }
}

#[test]
fn a_ping_hixie_cannot_hear_is_answered_here() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say([plain(PING, "beat"), plain(PONG, "unasked"), plain(PING, ""), plain(TEXT, "after")].concat());
        upstream.gets(PONG, "beat");
        upstream.gets(PONG, "");
        client.hears(heard(dialect, "after"));
    }
}

#[test]
fn a_ping_between_the_fragments_of_a_message_to_hixie_is_answered_here_too() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        upstream.say([plain(FIRST, "Hel"), plain(PING, "beat")].concat());
        client.hears(b"\0Hel");
        upstream.gets(PONG, "beat");
        upstream.say(plain(LAST, "lo"));
        client.hears(b"lo\xff");
    }
}

#[test]
fn invalid_utf8_is_mended_where_the_dialect_mends_it() {
    let stage = Stage::new();
    let emoji_halves = b"a\xed\xa0\xbd\xed\xb8\x80b";
    for dialect in [Dialect::Hixie75, Dialect::Hixie76, Dialect::Hybi07] {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(said(dialect, emoji_halves));
        let mended = String::from_utf8(upstream.message().payload).expect("a backend gets UTF-8");
        assert!(mended.starts_with("a\u{fffd}") && mended.ends_with("\u{fffd}b"), "{mended}");
        client.say(said(dialect, "cut \u{20ac}".as_bytes().split_last().expect("bytes").1));
        upstream.gets_message(TEXT, "cut \u{fffd}");
        client.say(said(dialect, "fine"));
        upstream.gets_message(TEXT, "fine");
    }
}

#[test]
fn reserved_hixie_frames_are_skipped() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        let long = [&b"\x80\x82\x2c"[..], &[b'x'; 300]].concat();
        client.say([b"\x80\x02He\0one\xff", &long[..], b"\x80\x80\x80\x00\0two\xff"].concat());
        upstream.gets_message(TEXT, "one");
        upstream.gets_message(TEXT, "two");
    }
}
