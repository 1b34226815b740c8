//! Closes, pings and pongs that break a rule, and what is said while a connection closes (dialects.md 6.4 to 6.6, 9.4).

use crate::judge::*;
use crate::row::*;
use crate::support::{
    ALL, BINARY, CLOSE, Dialect, FIRST, HIXIE, HYBI, LAST, PING, PONG, TEXT, farewell, masked, plain, said, status,
};

pub fn rows() -> Vec<Row> {
    let families = [
        broken(),
        codes_that_travel(),
        codes_that_do_not(),
        pings(),
        floods(),
        behind_closes(),
        closing_badly(),
        leaving(),
    ];
    families.into_iter().flatten().collect()
}

/// Control frames as no end may send them: name, first byte, payload, and the code that tells so.
fn broken_frames() -> Vec<(String, u8, Vec<u8>, &'static [u16])> {
    let mut frames: Vec<(String, u8, Vec<u8>, &'static [u16])> = Vec::new();
    for (name, opcode) in [("close", 8), ("ping", 9), ("pong", 10)] {
        let body = if opcode == 8 { status(1000, "") } else { b"p".to_vec() };
        frames.push((format!("fragmented-{name}"), opcode, body.clone(), &[1002]));
        frames.push((format!("fragmented-empty-{name}"), opcode, Vec::new(), &[1002]));
        frames.push((
            format!("{name}-of-126-bytes"),
            0x80 | opcode,
            [&body[..], &[b'a'; 124]].concat()[..].to_vec(),
            &[1002],
        ));
        frames.push((format!("{name}-of-64-kib"), 0x80 | opcode, [&body[..], &vec![b'a'; 65_536]].concat(), &[1002]));
        for bits in [0x40, 0x20, 0x10] {
            frames.push((format!("{name}-with-reserved-bits-{bits:02x}"), 0x80 | bits | opcode, body.clone(), &[1002]));
        }
    }
    // Just beyond 125, for the two whose body above is a byte shorter.
    for frame in &mut frames {
        if frame.0.ends_with("126-bytes") {
            frame.2.resize(126, b'a');
        }
    }
    frames.push(("close-of-one-byte".into(), CLOSE, vec![3], &[1002]));
    for (name, reason) in [
        ("close-reason-ff", &b"\xff"[..]),
        ("close-reason-cut-character", b"bye \xe2\x82"),
        ("close-reason-surrogate", b"\xed\xa0\x80"),
        ("close-reason-overlong", b"\xc0\x80"),
    ] {
        frames.push((name.into(), CLOSE, [&status(1000, "")[..], reason].concat(), &[1007]));
    }
    frames
}

/// A control frame whose length is written in more bytes than fit one.
fn padded(first: u8, mask: bool, body: &[u8]) -> Vec<u8> {
    let bit = if mask { 0x80 } else { 0 };
    let key: &[u8] = if mask { &[0; 4] } else { &[] };
    [&[first, bit | 126, 0, body.len() as u8], key, body].concat()
}

fn broken() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.4, 6.5: control frames are whole, short and marked by nothing; 1002, or 1007 for the text of a reason";
    let padded = |mask| {
        [("close", CLOSE, status(1000, "")), ("ping", PING, b"p".to_vec()), ("pong", PONG, b"p".to_vec())].map(
            |(name, first, body)| (format!("{name}-with-a-padded-length"), padded(first, mask, &body), &[1002][..]),
        )
    };
    for dialect in HYBI {
        let frames = broken_frames().into_iter().map(|(name, first, body, codes)| (name, masked(first, body), codes));
        for (name, bytes, codes) in frames.chain(padded(true)) {
            rows.push(
                row(format!("control/{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([say([&bytes[..], &masked(TEXT, "behind")].concat())])
                    .safe([told(codes), backend_told(&[1001]), gets_messages(&[])]),
            );
        }
        for (name, bytes) in [("unmasked-ping", plain(PING, "p")), ("unmasked-close", plain(CLOSE, status(1000, "")))] {
            rows.push(
                row(format!("control/{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([say(bytes)])
                    .safe([told(&[1002]), backend_told(&[1001])]),
            );
        }
    }
    for dialect in ALL {
        let frames = broken_frames().into_iter().map(|(name, first, body, codes)| (name, plain(first, body), codes));
        let masked = [("masked-ping", masked(PING, "p")), ("masked-close", masked(CLOSE, status(1000, "")))]
            .map(|(name, bytes)| (name.to_owned(), bytes, &[1002][..]));
        for (name, bytes, codes) in frames.chain(padded(false)).chain(masked) {
            rows.push(
                row(format!("control/backend-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client(answers_close(dialect, 1001))
                    .backend(
                        [consent(), say([&bytes[..], &plain(TEXT, "behind")].concat())]
                            .into_iter()
                            .chain(leaves_once_told()),
                    )
                    .safe([told(&[1001]), backend_told(codes), hears_messages(&[])]),
            );
        }
    }
    rows
}

/// A close code as the other end must hear it: "too large" was 1004 up to hybi-12.
const CODES: [u16; 17] =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001, 4999];

/// As a list that lives as long as the rows.
fn one(code: u16) -> &'static [u16] {
    let at = ALL_CODES.binary_search(&code).expect("it is one of them");
    &ALL_CODES[at..=at]
}

const ALL_CODES: [u16; 18] =
    [1000, 1001, 1002, 1003, 1004, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001, 4999];

fn codes_that_travel() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.5, 9.4: codes that may be sent travel from end to end, in the words of each";
    for code in CODES {
        for dialect in HYBI {
            // 6.5: 1004 until version 8, and 1009 since.
            let theirs = if code == 1009 && dialect != Dialect::Rfc6455 { 1004 } else { code };
            let answered = if theirs == 1004 { &[1004, 1005][..] } else { one(theirs) };
            rows.push(
                row(format!("control/close-{theirs}/{dialect}"), why)
                    .opens(dialect)
                    .client([say_masked(CLOSE, status(theirs, "why"))])
                    .safe([backend_told(one(code)), told(answered), gets_frame(CLOSE, status(code, "why"))]),
            );
        }
        for dialect in ALL {
            let theirs = if code == 1009 && dialect != Dialect::Rfc6455 { 1004 } else { code };
            let heard = HYBI.contains(&dialect).then(|| hears_frame(CLOSE, status(theirs, "why")));
            rows.push(
                row(format!("control/backend-close-{code}/{dialect}"), why)
                    .opens(dialect)
                    .client([Step::HearMore, say(farewell_of_client(dialect, theirs)), Step::Finish])
                    .backend([consent(), say_plain(CLOSE, status(code, "why"))].into_iter().chain(leaves_once_told()))
                    .safe([told(one(theirs)), backend_told(one(code))])
                    .safe(heard),
            );
        }
    }
    let longest = "y".repeat(123);
    for dialect in HYBI {
        rows.push(
            row(
                format!("control/close-without-a-code/{dialect}"),
                "6.5: an empty close stays empty; 1005 is never written",
            )
            .opens(dialect)
            .client([say_masked(CLOSE, "")])
            .safe([backend_told(&[1005]), gets_frame(CLOSE, ""), told(&[1005])]),
        );
        rows.push(
            row(format!("control/close-with-the-longest-reason/{dialect}"), "6.5: a reason has at most 123 bytes")
                .opens(dialect)
                .client([say_masked(CLOSE, status(4000, &longest))])
                .safe([gets_frame(CLOSE, status(4000, &longest)), told(&[4000])]),
        );
    }
    rows
}

/// How a client answers a close.
fn farewell_of_client(dialect: Dialect, code: u16) -> Vec<u8> {
    match dialect {
        // It just goes, which is another step.
        Dialect::Hixie75 => Vec::new(),
        Dialect::Hixie76 => farewell(dialect, code),
        _ => masked(CLOSE, status(code, "")),
    }
}

fn codes_that_do_not() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.5: codes that are reserved, local or no codes at all are never passed on; 1002";
    let bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65_535];
    for code in bad {
        for dialect in HYBI.into_iter().filter(|dialect| code != 1004 || *dialect == Dialect::Rfc6455) {
            rows.push(
                row(format!("control/bad-close-{code}/{dialect}"), why)
                    .opens(dialect)
                    .client([say_masked(CLOSE, status(code, ""))])
                    .safe([told(&[1002]), backend_told(&[1001])]),
            );
        }
        for dialect in ALL {
            rows.push(
                row(format!("control/backend-bad-close-{code}/{dialect}"), why)
                    .opens(dialect)
                    .client(answers_close(dialect, 1001))
                    .backend([consent(), say_plain(CLOSE, status(code, ""))].into_iter().chain(leaves_once_told()))
                    .safe([told(&[1001]), backend_told(&[1002])]),
            );
        }
    }
    rows
}

fn pings() -> Vec<Row> {
    let mut rows = Vec::new();
    let longest = [b'p'; 125];
    for dialect in HYBI {
        for (name, payload) in [("empty", &b""[..]), ("of-125-bytes", &longest), ("not-utf8", b"\xff\xfe")] {
            rows.push(
                row(
                    format!("control/ping-{name}/{dialect}"),
                    "6.4, 9.3: a ping is passed on, or answered, with its payload",
                )
                .opens(dialect)
                .client([say_masked(PING, payload), say_masked(TEXT, "hello")])
                .safe([
                    any([gets_frame(PING, payload), hears_frame(PONG, payload)]),
                    gets_messages(&[b"hello"]),
                    stays(),
                ]),
            );
            rows.push(
                row(format!("control/pong-{name}-unasked/{dialect}"), "6.4: a pong that nobody asked for is legal")
                    .opens(dialect)
                    .client([say_masked(PONG, payload), say_masked(TEXT, "hello")])
                    .safe([gets_messages(&[b"hello"]), stays()]),
            );
        }
    }
    for dialect in ALL {
        for (name, payload) in [("empty", &b""[..]), ("of-125-bytes", &longest), ("not-utf8", b"\xff\xfe")] {
            let said = said(dialect, "hello");
            let pong = all([gets_frame(PONG, payload), hears_messages(&["behind"])]);
            let safe = if HIXIE.contains(&dialect) { pong } else { any([pong, hears_frame(PING, payload)]) };
            rows.push(
                row(
                    format!("control/backend-ping-{name}/{dialect}"),
                    "9.3: a hixie client knows no ping: it is answered for it",
                )
                .opens(dialect)
                .client([say(&said)])
                .backend([consent(), say_plain(PING, payload), say_plain(TEXT, "behind")])
                .safe([safe, gets_messages(&[b"hello"]), hears_messages(&["behind"]), stays()]),
            );
            rows.push(
                row(format!("control/backend-pong-{name}-unasked/{dialect}"), "9.3: a hixie client never hears of it")
                    .opens(dialect)
                    .backend([consent(), say_plain(PONG, payload), say_plain(TEXT, "behind")])
                    .safe([hears_messages(&["behind"]), stays()]),
            );
        }
    }
    rows
}

fn floods() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "11.8: control frames without end cost no memory, and others are served meanwhile";
    let (long, short) = (masked(PING, [b'p'; 125]).repeat(500), masked(PONG, "").repeat(1_000));
    for dialect in HYBI {
        for (name, bytes) in [("pings", &long), ("empty-pongs", &short)] {
            rows.push(
                row(format!("control/flood-of-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([Step::Pour(bytes.clone(), 2 << 20), Step::Finish])
                    .backend([consent()])
                    .safe([ended(), backend_left(), gets_messages(&[])])
                    .heavy(),
            );
        }
    }
    for dialect in [Dialect::Hixie75, Dialect::Hixie76, Dialect::Rfc6455] {
        // To one that does not listen, more than the system itself takes; but where the client answers for itself, nobody
        // speaks to it.
        let deaf = HIXIE.contains(&dialect).then_some(("is-deaf", Some(Step::Deaf), 16 << 20));
        for (name, deaf, amount) in [("listens", None, 3 << 20)].into_iter().chain(deaf) {
            let flood = Step::Pour(plain(PING, [b'p'; 125]).repeat(500), amount);
            rows.push(
                row(format!("control/flood-of-pings-from-a-backend-that-{name}/{dialect}"), why)
                    .opens(dialect)
                    .backend([consent()].into_iter().chain(deaf).chain([flood, Step::Finish]))
                    .safe([ended(), hears_messages(&[])])
                    .heavy(),
            );
        }
    }
    rows
}

/// A close is the last frame.
fn behind_closes() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.6: after a close nothing counts; none of it reaches the other end";
    let what = [
        ("text", TEXT, &b"smuggled"[..]),
        ("binary", BINARY, b"smuggled"),
        ("ping", PING, b"p"),
        ("another-close", CLOSE, b"\x0f\xa0"),
    ];
    for dialect in HYBI {
        for (name, first, payload) in what.into_iter().chain([("nonsense", 0xF7, &b"n"[..])]) {
            for (way, pauses) in [("at-once", None), ("later", Some(pause(60)))] {
                rows.push(
                    row(format!("control/{name}-{way}-behind-a-close/{dialect}"), why)
                        .opens(dialect)
                        .client([say_masked(CLOSE, status(1000, ""))])
                        .client(pauses)
                        .client([say_masked(first, payload)])
                        // It takes its time to answer, so that there is time for more.
                        .backend([
                            consent(),
                            hear(b"\x88\x82"),
                            pause(150),
                            say_plain(CLOSE, status(1000, "")),
                            Step::Finish,
                        ])
                        .safe([told(&[1000]), backend_told(&[1000]), gets_messages(&[])]),
                );
            }
        }
    }
    for dialect in ALL {
        for (name, first, payload) in what {
            for (way, pauses) in [("at-once", None), ("later", Some(pause(60)))] {
                rows.push(
                    row(format!("control/backend-{name}-{way}-behind-a-close/{dialect}"), why)
                        .opens(dialect)
                        .client([Step::HearMore, pause(120), say(farewell_of_client(dialect, 1000))])
                        .backend(
                            [consent(), say_plain(CLOSE, status(1000, ""))]
                                .into_iter()
                                .chain(pauses)
                                .chain([say_plain(first, payload)]),
                        )
                        .safe([told(&[1000]), backend_told(&[1000]), hears_messages(&[])]),
                );
            }
        }
        // The client goes on talking where it should answer the backend's close.
        rows.push(
            row(format!("control/client-talks-on-behind-the-backends-close/{dialect}"), why)
                .opens(dialect)
                .client([Step::HearMore, say(said(dialect, "smuggled"))])
                .backend([consent(), say_plain(CLOSE, status(1000, ""))])
                .safe([told(&[1000]), backend_told(&[1000]), gets_messages(&[])]),
        );
    }
    rows
}

/// Ends that break a rule, or say nothing, while the connection closes.
fn closing_badly() -> Vec<Row> {
    let mut rows = Vec::new();
    let bye = || say_masked(CLOSE, status(1000, ""));
    let closing: [(&str, Vec<Step>); 5] = [
        ("says-nothing", vec![]),
        ("ends", vec![Step::Finish]),
        ("breaks-off", vec![Step::Reset]),
        ("breaks-a-rule", vec![say_plain(0x83, "bad")]),
        ("answers-with-a-bad-code", vec![say_plain(CLOSE, status(1005, ""))]),
    ];
    for dialect in HYBI {
        for (name, steps) in &closing {
            rows.push(
                row(
                    format!("control/close-and-the-backend-{name}/{dialect}"),
                    "9.4: who closed hears a close and the end, whatever the other does",
                )
                .opens(dialect)
                .client([bye()])
                .backend([consent(), hear(b"\x88\x82")].into_iter().chain(steps.clone()))
                .safe([told(&[1000, 1001]), backend_left(), hears_messages(&[])]),
            );
        }
        rows.push(
            row(
                format!("control/close-and-the-backend-talks-on-for-ever/{dialect}"),
                "9.4, 11.8: closing has an end, though the backend has none",
            )
            .opens(dialect)
            .client([bye()])
            .backend([consent(), hear(b"\x88\x82"), Step::Pour(plain(TEXT, [b'a'; 1000]).repeat(60), 256 << 20)])
            .safe([ended(), backend_left()])
            .heavy(),
        );
        rows.push(
            row(format!("control/close-inside-a-message/{dialect}"), "6.6: what was begun is never completed")
                .opens(dialect)
                .client([say_masked(FIRST, "a"), bye(), say_masked(LAST, "b")])
                .safe([told(&[1000]), backend_told(&[1000]), gets_messages(&[])]),
        );
        rows.push(
            row(
                format!("control/half-a-close-and-the-end/{dialect}"),
                "9.4: half a close is none; the end is 1001, and the code is not guessed",
            )
            .opens(dialect)
            .client([say(&masked(CLOSE, status(4000, ""))[..7]), pause(30), Step::Finish])
            .safe([ended(), any([backend_told(&[1001]), backend_cut_off()])]),
        );
    }
    for dialect in ALL {
        let half = plain(CLOSE, status(4000, ""));
        rows.push(
            row(
                format!("control/backend-half-a-close-and-the-end/{dialect}"),
                "9.4: half a close is none; the stream just ends",
            )
            .opens(dialect)
            .backend([consent(), say(&half[..3]), pause(30), Step::Finish])
            .safe([any([cut_off(), told(&[1011, 1014])]), backend_left()]),
        );
        rows.push(
            row(format!("control/backend-closes-inside-a-message/{dialect}"), "9.4: what was begun is never completed")
                .opens(dialect)
                .client([Step::HearMore, pause(30), say(farewell_of_client(dialect, 1000))])
                .backend([consent(), say_plain(FIRST, "a"), say_plain(CLOSE, status(1000, "")), say_plain(LAST, "b")])
                .safe([any([told(&[1000]), cut_off()]), backend_told(&[1000]), hears_messages(&[])]),
        );
    }
    rows
}

/// Ends that close and do not wait for the answer.
fn leaving() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in HYBI {
        for (name, step) in [("the-end", Step::Finish), ("a-reset", Step::Reset)] {
            rows.push(
                row(
                    format!("control/close-and-{name}/{dialect}"),
                    "9.4: the close was said, and is handed on though nobody waits",
                )
                .opens(dialect)
                // A reset may overtake what was said before, unless that was read.
                .client([say_masked(CLOSE, status(4000, "")), pause(50), step])
                .safe([ended(), backend_told(&[4000])]),
            );
        }
    }
    for dialect in ALL {
        for (name, steps) in [
            ("says-nothing", vec![]),
            ("ends", vec![Step::Finish]),
            ("breaks-off", vec![Step::Reset]),
            ("breaks-a-rule", vec![say(b"\x7f\x7f\x7f")]),
        ] {
            rows.push(
                row(
                    format!("control/backend-closes-and-the-client-{name}/{dialect}"),
                    "9.4: the backend's close is answered without asking the client, which is let go",
                )
                .opens(dialect)
                .client([Step::HearMore].into_iter().chain(steps))
                .backend([consent(), say_plain(CLOSE, status(4001, ""))])
                .safe([ended(), backend_told(&[4001])]),
            );
        }
    }
    rows
}
