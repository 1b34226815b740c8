//! Keys and challenges that prove nothing (dialects.md 4.2, 6.1).

use crate::frames::head_end;
use crate::judge::*;
use crate::row::*;
use crate::support::{DIGEST, Dialect, HYBI, KEY, KEY1, KEY2, KEY3, said, version};

pub fn rows() -> Vec<Row> {
    [challenges(), numbers(), pairs(), third_keys(), accepts(), keys(), mixtures()].into_iter().flatten().collect()
}

/// A key of hixie-76 and what stands for the other.
const KEY1_NAME: &[u8] = b"Sec-WebSocket-Key1";
const KEY2_NAME: &[u8] = b"Sec-WebSocket-Key2";

/// The head of a hixie-76 client with these lines of keys, which may hold any byte.
fn head76(keys: &[(&[u8], &[u8])]) -> Vec<u8> {
    let lines = ["Upgrade: WebSocket", "Connection: Upgrade", "Host: tv.example:8080", "Origin: http://tv.example"];
    let mut head = request(&format!("GET /{TAG} HTTP/1.1"), &lines);
    head.truncate(head.len() - 2);
    for (name, value) in keys {
        head.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

fn value(line: &'static str) -> &'static [u8] {
    line.split_once(": ").expect("a field").1.as_bytes()
}

/// That the challenge was answered right, and nothing stood before the answer.
fn proven(digest: &[u8]) -> Check {
    all([answered(101), hears([b"\r\n\r\n", digest].concat())])
}

/// Key1, Key2, key3 and the right answer (dialects.md 4.5, A to I).
type Vector = (&'static str, &'static [u8], &'static [u8], &'static [u8], &'static [u8]);

const VECTORS: [Vector; 9] = [
    ("draft", b"4 @1  46546xW%0l 1 5", b"12998 5 Y3 1  .P00", b"^n:ds[4U", b"8jKS'y:G*Co,Wxa-"),
    (
        "draft-2",
        b"18x 6]8vM;54 *(5:  {   U1]8  z [  8",
        b"1_ tx7X d  <  nw  334J702) 7]o}` 0",
        b"Tm[K T2u",
        b"fQJ,fN/4F4!~K~MH",
    ),
    (
        "draft-client",
        b"P388 O503D&ul7 {K%gX( %7  15",
        b"1 N ?|k UT0or 3o  4 I97N 5-S3O 31",
        b"\x47\x30\x22\x2d\x5a\x3f\x47\x58",
        b"0st3Rl&q-2ZU^weu",
    ),
    ("draft-server", b"3e6b263  4 17 80", b"17  9 G`ZD9   2 2b 7X 3 /r90", b"WjN}|M(6", b"n`9eBk9z$R8pOtVb"),
    (
        "a-library",
        b"1   38 wZ3f9 23O0 3l 0r",
        b"27   0E 6 2  1665:< ;U 1H",
        b"\x91\x25\x3e\xd3\xa9\xe7\x6a\x88",
        b"\xb4\x9c\x6e\x40\x53\x04\x04\x26\xe5\x1b\xbf\x6c\xb7\x9f\x1d\xf9",
    ),
    (
        "another-library",
        b"4 @1  46546xW%0l 1 5",
        b"12998 5 Y3 1  .P00",
        b"aaaaaaaa",
        b"\xca\x34\x00\xd8\xa5\x08\x47\x97\x2c\xd5\x71\x5a\xba\xbf\x43\x7b",
    ),
    (
        "a-browser",
        b"134  8|4 8 RM E* Z29* 4 4",
        b"2   9 ,  14 826  ]4 ~ 4 8",
        b"\x87\x90\xdc\x28\x9c\x61\x4f\xbb",
        b"\x9b\x72\xbc\x61\x4e\x35\x4b\xad\xc5\xe4\x0a\x2e\x70\x7f\xce\x9f",
    ),
    (
        "line-ends-in-key3",
        b"5#6u}35MJ)ubI7C41~5 3",
        b"h421 2271_71 G 0",
        b"\x00\xff\x0d\x0a\x0d\x0a\xff\x00",
        b"\xaa\xb0\x90\x48\x4c\x9f\xd4\x4a\xa2\x52\x36\x25\x02\x2c\x65\x8c",
    ),
    (
        "zero-and-the-most",
        b"a 0b",
        b"x 4294967295y",
        b"\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff",
        b"\xf5\x68\x64\x62\xda\xb4\x30\xbe\x86\x80\x91\xaa\x4f\x27\x30\x11",
    ),
];

/// What is right must be answered right, however key3 comes.
fn challenges() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, key1, key2, key3, digest) in VECTORS {
        let head = head76(&[(KEY1_NAME, key1), (KEY2_NAME, key2)]);
        let announced = head76(&[(KEY1_NAME, key1), (KEY2_NAME, key2), (b"Content-Length", b"8")]);
        let frame = said(Dialect::Hixie76, "hello");
        let ways: [(&str, Vec<Step>); 4] = [
            ("at-once", vec![say([&head[..], key3, &frame].concat())]),
            ("after-the-101", vec![say(&head), Step::HearHead, say([key3, &frame].concat())]),
            (
                "byte-by-byte",
                vec![say(&head), Step::Drip(key3.to_vec(), std::time::Duration::from_millis(5)), say(&frame)],
            ),
            ("announced", vec![say([&announced[..], key3, &frame].concat())]),
        ];
        for (way, steps) in ways {
            rows.push(
                row(
                    format!("keys/right-challenge-{name}-{way}"),
                    "4.5: a right challenge is answered right, and what follows its eight bytes are frames",
                )
                .speaks(Dialect::Hixie76)
                .client(steps)
                .safe([proven(digest), requests(1), gets_messages(&[b"hello"])]),
            );
        }
    }
    rows
}

/// Values of Key1 or Key2 that no honest client sends.
const BAD: [(&str, &[u8]); 22] = [
    ("no-space", b"nospaces123"),
    ("no-digit", b"a b"),
    ("empty", b""),
    ("indivisible-2", b"12998 5 Y3 1.P00"),
    ("indivisible-3", b"2 L785 8o% s9Sy9@V. 4<1P5"),
    ("part-2-to-the-32", b"x4294967296 y"),
    ("part-2-to-the-33", b"85899 34592"),
    ("number-above-32-bits", b"8589934590  z"),
    // They would be 5 in 32 and in 64 bits.
    ("wraps-at-32-bits", b"429496730 1"),
    ("wraps-at-64-bits", b"1844674407370955162 1"),
    ("wraps-at-128-bits", b"34028236692093846346337460743176821146 1"),
    ("tab-for-space", b"1\t2"),
    ("tab-and-digits-divisible", b"12\t12"),
    ("no-break-space", b"1\xc2\xa02"),
    ("em-space", b"1\xe2\x80\x832"),
    ("latin1-no-break-space", b"1\xa02"),
    ("other-digits", "٤ ٢".as_bytes()),
    ("fullwidth-digits", "１ ２".as_bytes()),
    ("nul", b"1\x00 2"),
    ("control", b"1\x01 2"),
    ("escape", b"\x1b1 2"),
    ("delete", b"1\x7f 2"),
];

fn numbers() -> Vec<Row> {
    let mut rows = Vec::new();
    let why =
        "4.2: counting spaces is the defence against other protocols' clients; never relaxed, 400 and nothing else";
    for (name, bad) in BAD {
        for (place, keys) in [
            ("key1", [(KEY1_NAME, bad), (KEY2_NAME, value(KEY2))]),
            ("key2", [(KEY1_NAME, value(KEY1)), (KEY2_NAME, bad)]),
        ] {
            rows.push(
                row(format!("keys/{place}-{name}"), why)
                    .client([say([&head76(&keys)[..], KEY3].concat())])
                    .safe([refused(&[400]), untouched()]),
            );
        }
    }
    // Whether these are keys is a matter of taste, but not their number.
    let digits = [b"9".repeat(6000), b" 1".to_vec()].concat();
    let letters = [b"1 2".to_vec(), b"x".repeat(7000)].concat();
    let beyond = [b"1 2".to_vec(), b"x".repeat(40_000)].concat();
    let long_why =
        "4.2, 11.8: the digits may be many, the head may not; it is refused, or read to its end without overflow";
    let digest = b"\x95\x6a\x43\x34\x4c\xbd\x8a\x3a\x97\x15\xb6\x1b\x20\xa3\xf2\xfe";
    for (name, key, statuses) in [
        ("six-thousand-digits", &digits, &[400, 431][..]),
        ("seven-thousand-letters", &letters, &[400, 431]),
        ("forty-thousand-letters", &beyond, &[400, 431]),
    ] {
        let refused = all([refused(statuses), untouched()]);
        let right = (name == "seven-thousand-letters").then(|| proven(digest));
        rows.push(
            row(format!("keys/key1-{name}"), long_why)
                .speaks(Dialect::Hixie76)
                .client([say([&head76(&[(KEY1_NAME, key), (KEY2_NAME, value(KEY2))])[..], KEY3].concat())])
                .safe([any(right.into_iter().chain([refused]))]),
        );
    }
    rows
}

/// Names and values.
type Lines<'a> = Vec<(&'a [u8], &'a [u8])>;

/// One key, or more than two.
fn pairs() -> Vec<Row> {
    let (key1, key2) = ((KEY1_NAME, value(KEY1)), (KEY2_NAME, value(KEY2)));
    let cases: [(&str, Lines<'_>); 7] = [
        ("only-key1", vec![key1]),
        ("only-key2", vec![key2]),
        ("key1-twice", vec![key1, key1, key2]),
        ("key2-twice", vec![key1, key2, key2]),
        ("key1-twice-one-bad", vec![key1, key2, (KEY1_NAME, b"1")]),
        ("key1-twice-without-key2", vec![key1, key1]),
        ("key3-as-a-header", vec![key1, (b"Sec-WebSocket-Key3", b"1 2")]),
    ];
    let mut rows: Vec<Row> = cases
        .into_iter()
        .map(|(name, keys)| {
            row(format!("keys/{name}"), "13.2 row 13: one of Key1 and Key2, or one repeated, is no handshake")
                .client([say([&head76(&keys)[..], KEY3].concat())])
                .safe([refused(&[400]), untouched()])
        })
        .collect();
    for length in ["7", "9", "08", "8, 8", "+8", "18446744073709551624"] {
        let name = format!("keys/content-length-{}", length.replace([' ', ','], "-"));
        let keys = [key1, key2, (b"Content-Length".as_slice(), length.as_bytes())];
        rows.push(
            row(name, "2.6, 13.2 row 6: only 8, which counts key3, is no body")
                .client([say([&head76(&keys)[..], KEY3, b"x"].concat())])
                .safe([refused(&[400]), untouched()]),
        );
    }
    rows
}

/// Nothing behind the head of the answer: frames wait until the challenge is answered, and so does everything.
fn unproven() -> Check {
    check("the client hears at most a head", |seen| {
        seen.client.is_empty() || head_end(&seen.client) == Some(seen.client.len())
    })
}

fn third_keys() -> Vec<Row> {
    let head = head76(&[(KEY1_NAME, value(KEY1)), (KEY2_NAME, value(KEY2))]);
    let announced = head76(&[(KEY1_NAME, value(KEY1)), (KEY2_NAME, value(KEY2)), (b"Content-Length", b"8")]);
    let drip = |ms| Step::Drip(KEY3.to_vec(), std::time::Duration::from_millis(ms));
    let cases: [(&str, Vec<Step>); 8] = [
        ("never", vec![say(&head)]),
        ("announced-and-never", vec![say(&announced)]),
        ("seven-bytes", vec![say([&head[..], &KEY3[..7]].concat())]),
        ("seven-bytes-and-the-end", vec![say([&head[..], &KEY3[..7]].concat()), Step::Finish]),
        ("seven-bytes-later-and-the-end", vec![say(&head), Step::HearHead, say(&KEY3[..7]), Step::Finish]),
        ("seven-bytes-and-a-reset", vec![say(&head), Step::HearHead, say(&KEY3[..7]), Step::Reset]),
        ("the-end", vec![say(&head), Step::HearHead, Step::Finish]),
        // Each byte alone comes in time, but all eight do not.
        ("too-slow", vec![say(&head), drip(400)]),
    ];
    let why = "4.4: key3 has a deadline of its own; without it nothing is proven, nothing else is said, and all ends";
    let mut rows: Vec<Row> = cases
        .into_iter()
        .map(|(name, steps)| {
            row(format!("keys/key3-{name}"), why).client(steps).safe([
                ended(),
                unproven(),
                gets_messages(&[]),
                any([untouched(), backend_left()]),
            ])
        })
        .collect();
    rows.push(
        row(
            "keys/key3-slow-but-in-time",
            "4.4: key3 may be split anywhere; a slow client that keeps the deadline is served",
        )
        .speaks(Dialect::Hixie76)
        .client([say(&head), Step::HearHead, drip(60), say(said(Dialect::Hixie76, "hello"))])
        .safe([proven(DIGEST), gets_messages(&[b"hello"])]),
    );
    let early = [say(&head), Step::HearHead, pause(150), say(KEY3)];
    rows.push(
        row(
            "keys/key3-later-than-the-backends-first-frame",
            "4.4: frames are held back until the 16 bytes are written",
        )
        .speaks(Dialect::Hixie76)
        .client(early)
        .backend([consent(), say_plain(crate::support::TEXT, "first")])
        .safe([proven(DIGEST), hears_messages(&["first"])]),
    );
    rows
}

/// The head of a hybi client with this key line, or lines.
fn head_with(dialect: Dialect, keys: &[&str]) -> Vec<u8> {
    let version = format!("Sec-WebSocket-Version: {}", version(dialect));
    let usual = ["Host: tv.example:8080", "Upgrade: websocket", "Connection: Upgrade", "Origin: http://tv.example"];
    request(&format!("GET /{TAG} HTTP/1.1"), &[&usual, keys, &[version.as_str()]].concat())
}

/// Keys and what answers them (dialects.md 6.1).
const ACCEPTS: [(&str, &str, &str); 9] = [
    ("of-the-rfc", "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ("x3JJ", "x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    ("of-the-rfcs-text", "AQIDBAUGBwgJCgsMDQ4PEA==", "C/0nmHhBztSRGR1CwL6Tf4ZjwpY="),
    ("not-canonical", "AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
    ("of-chrome", "If6o1XtBFJFCOjpx801n3w==", "oqdG/tyYop2FvC++CnYrC3uXVDU="),
    ("of-firefox", "pFik//FxwFk0riN4ZiPFjQ==", "oCPNMjdhvED8MxbvfN3kHe9jRfQ="),
    ("blanks-around", "  \tdGhlIHNhbXBsZSBub25jZQ==\t  ", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ("fifteen-bytes", "OC0xMzMwMDAwMDAwMDAw", "5prGTL7nnqWSmubbXWz/WbRQbBE="),
    ("one-byte", "AA==", ""),
];

fn accepts() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in HYBI {
        for (name, key, accept) in ACCEPTS {
            let short = ["fifteen-bytes", "one-byte"].contains(&name);
            if short && (dialect == Dialect::Rfc6455 || accept.is_empty()) {
                continue;
            }
            rows.push(
                row(format!("keys/right-accept-{name}/{dialect}"), "6.1: Accept is made of the key's text as it came")
                    .speaks(dialect)
                    .client([say(head_with(dialect, &[&format!("Sec-WebSocket-Key: {key}")])), Step::HearHead])
                    .client([say(said(dialect, "hello"))])
                    .safe([answered(101), hears(format!("{accept}\r\n")), gets_messages(&[b"hello"])]),
            );
        }
    }
    rows
}

/// Keys that are none, in any version.
const NO_KEYS: [(&str, &[&str]); 14] = [
    ("missing", &[]),
    ("empty", &["Sec-WebSocket-Key:"]),
    ("blank", &["Sec-WebSocket-Key:    "]),
    ("repeated", &[KEY, KEY]),
    ("two", &[KEY, "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw=="]),
    ("good-and-empty", &[KEY, "Sec-WebSocket-Key:"]),
    ("two-in-a-line", &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, x3JJHMbDL1EzLkh9GBhXDw=="]),
    ("no-base64", &["Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!!!"]),
    ("blank-inside", &["Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ=="]),
    ("tab-inside", &["Sec-WebSocket-Key: dGhlIHNhbXBs\tZSBub25jZQ=="]),
    ("padding-inside", &["Sec-WebSocket-Key: dGhl==NhbXBsZSBub25jZQ=="]),
    ("padding-alone", &["Sec-WebSocket-Key: =="]),
    ("one-letter", &["Sec-WebSocket-Key: d"]),
    ("quoted", &["Sec-WebSocket-Key: \"dGhlIHNhbXBsZSBub25jZQ==\""]),
];

fn keys() -> Vec<Row> {
    let why =
        "6.1, 13.2 row 9: a key that is missing, repeated or no base64 is no handshake: 400, also in RFC 6455 4.2.2";
    let mut rows = Vec::new();
    for dialect in HYBI {
        for (name, lines) in NO_KEYS {
            rows.push(
                row(format!("keys/key-{name}/{dialect}"), why)
                    .client([say(head_with(dialect, lines))])
                    .safe([refused(&[400]), untouched()]),
            );
        }
        let long = format!("Sec-WebSocket-Key: {}", "AAAA".repeat(1000));
        rows.push(
            row(format!("keys/key-of-3000-bytes/{dialect}"), "6.1: 16 bytes in v13, at most 64 characters before")
                .client([say(head_with(dialect, &[&long]))])
                .safe([refused(&[400, 431]), untouched()]),
        );
        let unpadded = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ";
        let of_its_text = hears("Sec-WebSocket-Accept: RZWuh2JK/hL0RMgTNJFfZIAppXg=\r\n");
        rows.push(
            row(format!("keys/key-without-padding/{dialect}"), "6.1: refused, or answered as the text it is")
                .client([say(head_with(dialect, &[unpadded]))])
                .safe([any([all([refused(&[400]), untouched()]), all([answered(101), of_its_text])])]),
        );
    }
    for (name, key) in [
        ("fifteen-bytes", "OC0xMzMwMDAwMDAwMDAw"),
        ("seventeen-bytes", "AQIDBAUGBwgJCgsMDQ4PEBE="),
        ("eighteen-bytes", "AQIDBAUGBwgJCgsMDQ4PEBES"),
        ("one-byte", "AA=="),
    ] {
        let line = format!("Sec-WebSocket-Key: {key}");
        rows.push(
            row(format!("keys/key-of-{name}/v13"), "RFC 6455 4.2.1: a key is 16 bytes")
                .client([say(head_with(Dialect::Rfc6455, &[&line]))])
                .safe([refused(&[400]), untouched()]),
        );
    }
    rows
}

/// Keys of two dialects in one head.
fn mixtures() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in HYBI {
        for (name, lines) in
            [("both", &[KEY, KEY1, KEY2][..]), ("one", &[KEY1, KEY]), ("bad", &[KEY, "Sec-WebSocket-Key1: x"])]
        {
            rows.push(
                row(
                    format!("keys/hixie-keys-beside-{name}/{dialect}"),
                    "13.2 row 10: with a version Key1 and Key2 mean nothing",
                )
                .speaks(dialect)
                .client([say(head_with(dialect, lines)), Step::HearHead, say(said(dialect, "hello"))])
                .safe([
                    answered(101),
                    hears("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
                    gets_messages(&[b"hello"]),
                ]),
            );
        }
        for (name, lines) in [("no-key", &[KEY1, KEY2][..]), ("a-bad-key", &["Sec-WebSocket-Key: !", KEY1, KEY2])] {
            rows.push(
                row(
                    format!("keys/hixie-keys-with-a-version-and-{name}/{dialect}"),
                    "13.2 row 9: good Key1 and Key2 do not mend it",
                )
                .client([say([&head_with(dialect, lines)[..], KEY3].concat())])
                .safe([refused(&[400]), untouched()]),
            );
        }
    }
    let key = (b"Sec-WebSocket-Key".as_slice(), value(KEY));
    for (name, keys) in
        [("alone", vec![key]), ("beside-hixie-keys", vec![key, (KEY1_NAME, value(KEY1)), (KEY2_NAME, value(KEY2))])]
    {
        rows.push(
            row(
                format!("keys/key-without-version-{name}"),
                "13.2 row 11: a key without a version belongs to no dialect",
            )
            .client([say([&head76(&keys)[..], KEY3].concat())])
            .safe([refused(&[400]), untouched(), super::versions::lists_versions()]),
        );
    }
    rows
}
