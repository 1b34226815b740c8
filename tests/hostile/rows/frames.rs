//! Frames that break a rule, in either direction (dialects.md 6.4, 9.4).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, BINARY, Dialect, FIRST, HIXIE, HYBI, LAST, MIDDLE, PING, TEXT, masked, plain, said};

pub fn rows() -> Vec<Row> {
    let families = [broken_by_client(), broken_by_backend(), inside_messages(), legal(), cut_short(), floods()];
    families.into_iter().flatten().collect()
}

/// A frame whose header is broken, from either end: its first byte.
fn broken_firsts() -> Vec<(String, u8)> {
    let bits = [0x40, 0x20, 0x10, 0x70].into_iter().flat_map(|bits| {
        [("text", TEXT | bits), ("binary", BINARY | bits), ("first-fragment", FIRST | bits)]
            .map(|(kind, first)| (format!("reserved-bits-{bits:02x}-on-{kind}"), first))
    });
    let opcodes = (3..=7).chain(11..=15).flat_map(|opcode| {
        [
            (format!("reserved-opcode-{opcode:x}"), 0x80 | opcode),
            (format!("reserved-opcode-{opcode:x}-unfinished"), opcode),
        ]
    });
    let continuations = [LAST, MIDDLE].map(|first| (format!("continuation-{first:02x}-of-nothing"), first));
    bits.chain(opcodes).chain(continuations).collect()
}

/// What is wrong with a frame that a client said: it is told, and the backend is not blamed (9.4).
fn client_is_told(row: Row, codes: &'static [u16]) -> Row {
    row.safe([told(codes), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(&[])])
}

fn broken_by_client() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.4, 9.4: a frame that breaks a rule fails the connection (1002); nothing of it reaches the backend";
    let mut cases: Vec<(String, Vec<u8>)> =
        broken_firsts().into_iter().map(|(name, first)| (name, masked(first, "hello"))).collect();
    cases.extend([
        ("unmasked-text".into(), plain(TEXT, "hello")),
        ("unmasked-binary".into(), plain(BINARY, "hello")),
        ("unmasked-empty".into(), plain(TEXT, "")),
        ("unmasked-fragment".into(), plain(FIRST, "hello")),
        // As if the client had no need to say what it means.
        ("http-request".into(), b"GET /{TAG}/secret HTTP/1.1\r\nHost: tv.example\r\n\r\n".to_vec()),
        ("hixie-text".into(), b"\0hello\xff".to_vec()),
        ("length-2-to-the-63".into(), [b"\x82\xff\x80\0\0\0\0\0\0\0".as_slice(), &[0; 4], b"hello"].concat()),
        (
            "length-2-to-the-64".into(),
            [b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(), &[0; 4], b"hello"].concat(),
        ),
    ]);
    for dialect in HYBI {
        for (name, bytes) in &cases {
            // What follows a broken frame must not be read as if it were whole.
            let bytes = [&bytes[..], &masked(TEXT, "behind")].concat();
            rows.push(client_is_told(
                row(format!("frames/{name}/{dialect}"), why).opens(dialect).client([say(bytes)]),
                &[1002],
            ));
        }
        // An honest message in front still arrives; in a segment of its own, or not.
        for (name, pauses) in [("a-segment", None), ("its-own-segment", Some(pause(50)))] {
            rows.push(
                row(
                    format!("frames/good-then-bad-in-{name}/{dialect}"),
                    "9.4: what was said before the broken rule was said",
                )
                .opens(dialect)
                .client([say_masked(TEXT, "good")])
                .client(pauses)
                .client([say_masked(0x83, "bad")])
                .safe([told(&[1002]), backend_told(&[1001]), gets_messages(&[b"good"])]),
            );
        }
    }
    rows
}

/// What is wrong with a frame that the backend said: it is told, and the client is not blamed (9.4, 9.7).
fn backend_is_told(row: Row, dialect: Dialect, codes: &'static [u16]) -> Row {
    row.client(answers_close(dialect, 1001)).safe([
        backend_told(codes),
        any([told(&[1001]), cut_off()]),
        hears_messages(&[]),
    ])
}

fn broken_by_backend() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.4, 9.4: a backend's frame that breaks a rule fails the connection (1002); the client is not to blame";
    let mut cases: Vec<(String, Vec<u8>)> =
        broken_firsts().into_iter().map(|(name, first)| (name, plain(first, "hello"))).collect();
    cases.extend([
        ("masked-text".into(), masked(TEXT, "hello")),
        ("masked-empty".into(), masked(TEXT, "")),
        ("masked-fragment".into(), masked(FIRST, "hello")),
        ("http-answer".into(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("hixie-text".into(), b"\0hello\xff".to_vec()),
        ("length-2-to-the-63".into(), b"\x81\x7f\x80\0\0\0\0\0\0\0hello".to_vec()),
        ("length-2-to-the-64".into(), b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffhello".to_vec()),
        ("padded-length-16".into(), b"\x81\x7e\0\x05hello".to_vec()),
        ("padded-length-64".into(), b"\x81\x7f\0\0\0\0\0\0\0\x05hello".to_vec()),
        ("padded-length-0".into(), b"\x81\x7e\0\0".to_vec()),
    ]);
    for dialect in ALL {
        for (name, bytes) in &cases {
            let bytes = [&bytes[..], &plain(TEXT, "behind")].concat();
            rows.push(backend_is_told(
                row(format!("frames/backend-{name}/{dialect}"), why)
                    .opens(dialect)
                    .backend([consent(), say(bytes)].into_iter().chain(leaves_once_told())),
                dialect,
                &[1002],
            ));
        }
    }
    rows
}

/// Frames that are good, but not where they stand.
fn inside_messages() -> Vec<Row> {
    let mut rows = Vec::new();
    let cases: [(&str, &[u8]); 6] = [
        ("text-inside-text", &[FIRST, TEXT]),
        ("binary-inside-text", &[FIRST, BINARY]),
        ("fragment-inside-text", &[FIRST, FIRST]),
        ("text-inside-binary", &[0x02, TEXT]),
        ("text-inside-a-long-message", &[FIRST, MIDDLE, MIDDLE, TEXT]),
        ("text-behind-a-ping-inside-text", &[FIRST, PING, TEXT]),
    ];
    let why = "6.4: no message begins inside another; 1002, and what was begun is never completed";
    for (name, firsts) in cases {
        let frames =
            |frame: fn(u8, &str) -> Vec<u8>| firsts.iter().flat_map(|first| frame(*first, "a")).collect::<Vec<u8>>();
        let (from_client, from_backend) =
            (frames(|first, text| masked(first, text)), frames(|first, text| plain(first, text)));
        for dialect in HYBI {
            rows.push(client_is_told(
                row(format!("frames/{name}/{dialect}"), why).opens(dialect).client([say(&from_client)]),
                &[1002],
            ));
        }
        for dialect in ALL {
            // Binary is for a hixie client's backend to hear of.
            let codes: &[u16] = if HIXIE.contains(&dialect) && firsts[0] == 0x02 { &[1002, 1003] } else { &[1002] };
            rows.push(backend_is_told(
                row(format!("frames/backend-{name}/{dialect}"), why)
                    .opens(dialect)
                    .backend([consent(), say(&from_backend)].into_iter().chain(leaves_once_told())),
                dialect,
                codes,
            ));
        }
    }
    for dialect in HYBI {
        let again = [masked(FIRST, "a"), masked(LAST, "b"), masked(LAST, "c")].concat();
        rows.push(
            row(format!("frames/continuation-of-a-finished-message/{dialect}"), "6.4: it continues nothing; 1002")
                .opens(dialect)
                .client([say(again)])
                .safe([told(&[1002]), backend_told(&[1001]), gets_messages(&[b"ab"])]),
        );
    }
    rows
}

/// What a client does, and the messages that come of it.
type Legal<'a> = (&'a str, Vec<Step>, &'a [&'a [u8]]);

/// What looks odd and is allowed.
fn legal() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "6.4: legal, if odd; a proxy that refuses it breaks honest clients";
    let zero_key = |first: u8, text: &str| [&[first, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat();
    let long = [b'b'; 130];
    for dialect in HYBI {
        let cases: [Legal<'_>; 8] = [
            ("mask-of-zeroes", vec![say(zero_key(TEXT, "hello"))], &[b"hello"]),
            (
                "mask-of-zeroes-that-looks-like-http",
                vec![say(zero_key(TEXT, "GET / HTTP/1.1\r\n\r\n"))],
                &[b"GET / HTTP/1.1\r\n\r\n"],
            ),
            (
                "empty-messages",
                vec![say([masked(TEXT, ""), masked(BINARY, ""), masked(TEXT, "a")].concat())],
                &[b"", b"", b"a"],
            ),
            ("empty-fragments", vec![say([masked(FIRST, ""), masked(MIDDLE, ""), masked(LAST, "")].concat())], &[b""]),
            ("fragments", vec![say([masked(FIRST, "a"), masked(MIDDLE, "b"), masked(LAST, "c")].concat())], &[b"abc"]),
            (
                "ping-between-fragments",
                vec![say([masked(FIRST, "a"), masked(PING, "p"), masked(LAST, "b")].concat())],
                &[b"ab"],
            ),
            (
                "byte-by-byte",
                vec![Step::Drip([masked(FIRST, ""), masked(LAST, long)].concat(), std::time::Duration::from_millis(1))],
                &[&long],
            ),
            ("close-code-bytes-as-text", vec![say_masked(TEXT, "\u{3}")], &[b"\x03"]),
        ];
        for (name, steps, messages) in cases {
            rows.push(
                row(format!("frames/legal-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client(steps)
                    .safe([stays(), gets_messages(messages)]),
            );
        }
    }
    for dialect in ALL {
        let frames =
            [plain(FIRST, "a"), plain(MIDDLE, ""), plain(PING, "p"), plain(LAST, "b"), plain(TEXT, "")].concat();
        for (name, step) in [
            ("at-once", say(&frames)),
            ("byte-by-byte", Step::Drip(frames.clone(), std::time::Duration::from_millis(1))),
        ] {
            rows.push(
                row(format!("frames/legal-backend-fragments-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([say(said(dialect, "hello"))])
                    .backend([consent(), step])
                    .safe([stays(), gets_messages(&[b"hello"]), hears_messages(&["ab", ""])]),
            );
        }
    }
    rows
}

/// Frames whose length is announced, and which then end or break off.
fn cut_short() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.4: a message cut short is never completed, nor followed by a close that would make it look whole";
    for dialect in HYBI {
        let whole = masked(TEXT, vec![b'a'; 300]);
        let fragments = [masked(FIRST, "abc"), masked(MIDDLE, "def")].concat();
        for (name, begun) in [
            ("in-its-payload", &whole[..20]),
            ("before-its-last-byte", &whole[..whole.len() - 1]),
            ("between-fragments", &fragments),
        ] {
            for (how, end) in [("end", Step::Finish), ("reset", Step::Reset)] {
                rows.push(
                    row(format!("frames/{how}-{name}/{dialect}"), why)
                        .opens(dialect)
                        // The beginning is on its way before the end comes.
                        .client([say(begun), pause(50), end])
                        .safe([ended(), gets_messages(&[]), backend_cut_off()]),
                );
            }
        }
        for (name, begun) in
            [("in-its-first-byte", &whole[..1]), ("in-its-length", &whole[..3]), ("in-its-mask", &whole[..6])]
        {
            rows.push(
                row(
                    format!("frames/end-{name}/{dialect}"),
                    "9.4: nothing was begun yet, so the backend may be told 1001",
                )
                .opens(dialect)
                .client([say(begun), pause(50), Step::Finish])
                .safe([ended(), gets_messages(&[]), any([backend_told(&[1001]), backend_cut_off()])]),
            );
        }
    }
    for dialect in ALL {
        let whole = plain(TEXT, vec![b'a'; 300]);
        let fragments = [plain(FIRST, "abc"), plain(MIDDLE, "def")].concat();
        for (name, begun) in [
            ("in-its-length", &whole[..3]),
            ("in-its-payload", &whole[..20]),
            ("before-its-last-byte", &whole[..whole.len() - 1]),
            ("between-fragments", &fragments),
        ] {
            for (how, end) in [("end", Step::Finish), ("reset", Step::Reset)] {
                rows.push(
                    row(format!("frames/backend-{how}-{name}/{dialect}"), why)
                        .opens(dialect)
                        .backend([consent(), say(begun), pause(50), end])
                        .safe([cut_off(), hears_messages(&[]), backend_left()]),
                );
            }
        }
    }
    rows
}

/// Frames without end that carry nothing.
fn floods() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "11.8: very many fragments cost no memory, and others are served meanwhile";
    let (some_masked, some_plain) = (masked(MIDDLE, "").repeat(10_000), plain(MIDDLE, "").repeat(10_000));
    for dialect in HYBI {
        rows.push(
            row(format!("frames/very-many-empty-fragments/{dialect}"), why)
                .opens(dialect)
                .client([say_masked(FIRST, "a"), Step::Pour(some_masked.clone(), 900_000), Step::Finish])
                // One that only listens: reading frames again and again would take longer than relaying them.
                .backend([consent()])
                .safe([ended(), gets_messages(&[]), backend_left()])
                .heavy(),
        );
    }
    for dialect in ALL {
        rows.push(
            row(format!("frames/backend-very-many-empty-fragments/{dialect}"), why)
                .opens(dialect)
                .backend([
                    consent(),
                    say_plain(FIRST, "a"),
                    Step::Pour(some_plain.clone(), 300_000),
                    say_plain(LAST, "b"),
                    Step::Finish,
                ])
                .safe([ended(), any([hears_messages(&["ab"]), all([hears_messages(&[]), backend_told(&[])])])])
                .heavy(),
        );
    }
    rows
}
