//! Frames of the hixie drafts that break a rule or never end (dialects.md 3.4, 4.6).

use crate::judge::*;
use crate::row::*;
use crate::support::{BINARY, CLOSE, Dialect, FIRST, GOODBYE, HIXIE, LAST, PING, TEXT, plain, said, status};

pub fn rows() -> Vec<Row> {
    [stray_ends(), reserved(), overflows(), endless(), goodbyes(), backends(), legal()].into_iter().flatten().collect()
}

/// What became of a client that broke a rule: hixie-76 says so, hixie-75 just ends (9.4).
fn failed(messages: &'static [&'static [u8]]) -> Check {
    all([told(&[]), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(messages)])
}

/// What is no text is skipped, and what follows is heard; or the connection ends.
fn skipped_or_failed(before: &'static [&'static [u8]], all_of_them: &'static [&'static [u8]]) -> Check {
    any([all([stays(), gets_messages(all_of_them)]), failed(before)])
}

fn stray_ends() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "3.4: 0xFF ends a text, whatever its writer meant; what follows is a frame of its own, or none";
    for dialect in HIXIE {
        rows.push(
            row(format!("hixie/ff-inside-text/{dialect}"), why)
                .opens(dialect)
                .client([say(b"\0a\xffb\xff"), say(said(dialect, "c"))])
                .safe([skipped_or_failed(&[b"a"], &[b"a", b"c"])]),
        );
        rows.push(
            row(format!("hixie/goodbye-inside-text/{dialect}"), why)
                .opens(dialect)
                .client([say(b"\0ab\xff\0"), pause(50), Step::Finish])
                .safe([ended(), gets_messages(&[b"ab"]), backend_left()]),
        );
        for (name, begun) in
            [("a-text", &b"\0never ended"[..]), ("an-empty-text", b"\0"), ("a-character", b"\0\xe2\x82")]
        {
            for (how, end) in [("end", Step::Finish), ("reset", Step::Reset)] {
                rows.push(
                    row(format!("hixie/{how}-inside-{name}/{dialect}"), "9.4: a text cut short is never completed")
                        .opens(dialect)
                        .client([say(begun), pause(40), end])
                        .safe([ended(), gets_messages(&[]), backend_left()]),
                );
            }
        }
    }
    rows
}

/// What may become of a reserved frame and the text behind it.
fn fate(dialect: Dialect, name: &str, bytes: &[u8]) -> Check {
    if dialect == Dialect::Hixie76 && (0x01..=0x7F).contains(&bytes[0]) {
        // 4.6: these end it.
        return failed(&[]);
    }
    let usual = skipped_or_failed(&[], &[b"behind"]);
    match name {
        // It may be taken for the closing frame, whose length is zero too.
        "ff-and-00-in-two-bytes" => any([usual, all([told(&[]), backend_told(&[1000]), gets_messages(&[])])]),
        // Their length reaches beyond what there is.
        "a-masked-frame-of-hybi" | "ff-ff" => any([usual, all([stays(), gets_messages(&[])])]),
        _ => usual,
    }
}

/// Frame types that carry nothing a proxy could hand on.
fn reserved() -> Vec<Row> {
    let mut rows = Vec::new();
    let why =
        "3.4, 4.6: reserved frames are skipped, or end the connection; they are no texts, nor are the bytes in them";
    let types: [(&str, &[u8]); 20] = [
        ("type-01", b"\x01hidden\xff"),
        ("type-04-of-hybi-01", b"\x04\x05hello\xff"),
        ("type-7f", b"\x7fhidden\xff"),
        ("type-01-around-a-text", b"\x01\0hidden\xff"),
        ("type-81-of-hybi", b"\x81\x05hello"),
        ("a-masked-frame-of-hybi", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        ("length-0", b"\x80\x00"),
        ("length-2", b"\x80\x02He"),
        ("length-around-a-text", b"\x80\x08\0hidden\xff"),
        ("length-with-leading-zeroes", b"\x80\x80\x80\x05hello"),
        ("length-of-two-bytes", b"\x80\x81\x00\0hidden\xff........................................................................................................................"),
        ("type-fe", b"\xfe\x03abc"),
        ("type-ff-with-a-length", b"\xff\x01a"),
        ("ff-and-a-text", b"\xff\x08\0hidden\xff"),
        ("ff-and-00-in-two-bytes", b"\xff\x80\x00"),
        ("ff-ff", b"\xff\xff\x00"),
        ("http", b"GET /{TAG}/secret HTTP/1.1\r\nHost: tv.example\r\n\r\n\xff"),
        ("flash-policy-request", b"<policy-file-request/>\0\xff"),
        ("tls", b"\x16\x03\x01\x00\xa5\xff"),
        ("many-of-length-0", &[0x80, 0, 0x80, 0, 0x80, 0, 0x80, 0, 0x80, 0, 0x80, 0, 0x80, 0]),
    ];
    for dialect in HIXIE {
        for (name, bytes) in types {
            let bytes = [bytes, &said(dialect, "behind")].concat();
            for (way, step) in [
                ("at-once", say(&bytes)),
                ("byte-by-byte", Step::Drip(bytes.clone(), std::time::Duration::from_millis(1))),
            ] {
                rows.push(
                    row(format!("hixie/{name}-{way}/{dialect}"), why)
                        .opens(dialect)
                        .client([step])
                        .safe([fate(dialect, name, &bytes)]),
                );
            }
        }
    }
    rows
}

/// Lengths that would be small if they wrapped.
fn overflows() -> Vec<Row> {
    let mut rows = Vec::new();
    let why =
        "3.4, 11.8: the value and the bytes of a length are capped; what would be skipped is never taken for frames";
    // In 32 and 64 bits these are 2.
    let wraps: [(&str, &[u8]); 5] = [
        ("wraps-at-32-bits", b"\x80\x90\x80\x80\x80\x02"),
        ("wraps-at-64-bits", b"\x80\x82\x80\x80\x80\x80\x80\x80\x80\x80\x02"),
        ("published-attack", b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"),
        ("ff-and-a-length-that-wraps-to-0", b"\xff\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        ("2-to-the-63", b"\x80\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
    ];
    for dialect in HIXIE {
        for (name, length) in wraps {
            rows.push(
                row(format!("hixie/length-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([say([length, b"He", b"\0smuggled\xff"].concat())])
                    .safe([failed(&[])]),
            );
        }
    }
    rows
}

fn endless() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "11.8: what never ends is ended, and costs no memory meanwhile; the backend never has it whole";
    for dialect in HIXIE {
        let cases: [(&str, &[u8], Vec<u8>); 6] = [
            ("text", b"\0", vec![b'a'; 64 << 10]),
            ("faults", b"\0", vec![0x80; 64 << 10]),
            ("reserved-text", b"\x01", vec![b'a'; 64 << 10]),
            ("length-of-ones", b"\x80", vec![0xFF; 64 << 10]),
            ("length-of-zeroes", b"\x80", vec![0x80; 64 << 10]),
            ("length-of-ones-behind-ff", b"\xff", vec![0x81; 64 << 10]),
        ];
        for (name, first, more) in cases {
            rows.push(
                row(format!("hixie/endless-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([say(first), Step::Pour(more, 64 << 20)])
                    .backend([consent(), hear(b"\x88\x82"), say_plain(CLOSE, status(1001, "")), Step::Finish])
                    .safe([ended(), backend_left(), gets_messages(&[])])
                    .heavy(),
            );
        }
        let beyond = "a".repeat((1 << 20) + 1);
        rows.push(
            row(
                format!("hixie/one-byte-too-many/{dialect}"),
                "9.4: above the limit it ends, and the backend never has it whole",
            )
            .opens(dialect)
            .client([say(said(dialect, beyond))])
            .backend([consent(), hear(b"\x88\x82"), say_plain(CLOSE, status(1001, "")), Step::Finish])
            .safe([failed(&[])])
            .heavy(),
        );
        rows.push(
            row(format!("hixie/empty-texts-without-end/{dialect}"), "11.8: they pass, and cost no memory")
                .opens(dialect)
                .client([Step::Pour(b"\0\xff".repeat(1000), 40_000), Step::Finish])
                .backend([consent()])
                .safe([ended(), backend_left()])
                .heavy(),
        );
    }
    rows
}

/// The closing frame of hixie-76, and what stands behind it.
fn goodbyes() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "4.6, 9.4: 0xFF 0x00 is a normal close, answered at once; all behind it is discarded";
    let cases: [(&str, Vec<Step>); 8] = [
        ("at-once", vec![say(b"\0last\xff\xff\0")]),
        ("in-pieces", vec![say(b"\0last\xff"), say(b"\xff"), pause(60), say(b"\0")]),
        ("twice", vec![say(b"\0last\xff\xff\0\xff\0")]),
        ("and-a-text", vec![say(b"\0last\xff\xff\0\0smuggled\xff")]),
        ("and-a-text-later", vec![say(b"\0last\xff\xff\0"), pause(40), say(b"\0smuggled\xff")]),
        ("and-nonsense", vec![say(b"\0last\xff\xff\0\x7f\x7f\x7f")]),
        ("and-the-end", vec![say(b"\0last\xff\xff\0"), Step::Finish]),
        ("and-a-request", vec![say(b"\0last\xff\xff\0GET /{TAG}/secret HTTP/1.1\r\nHost: tv.example\r\n\r\n")]),
    ];
    for (name, steps) in cases {
        rows.push(row(format!("hixie/goodbye-{name}"), why).opens(Dialect::Hixie76).client(steps).safe([
            told(&[]),
            backend_told(&[1000]),
            gets_messages(&[b"last"]),
        ]));
    }
    rows.push(
        row(
            "hixie/half-a-goodbye-and-the-end",
            "4.6, 9.4: half of it is none, and the end of the stream a normal close",
        )
        .opens(Dialect::Hixie76)
        .client([say(b"\0last\xff\xff"), pause(40), Step::Finish])
        .safe([ended(), backend_told(&[1000, 1001]), gets_messages(&[b"last"])]),
    );
    rows.push(
        row(
            "hixie/goodbye-while-a-message-is-heard",
            "9.4: nothing is put into a text that is half heard; it is not completed",
        )
        .opens(Dialect::Hixie76)
        .client([hear(b"\0half"), say(GOODBYE)])
        .backend([
            consent(),
            say_plain(FIRST, "half"),
            hear(b"\x88\x82"),
            say_plain(LAST, "late"),
            say_plain(CLOSE, status(1000, "")),
            Step::Finish,
        ])
        .safe([ended(), hears_messages(&[]), backend_told(&[1000])]),
    );
    rows.push(
        row("hixie/goodbyes-that-cross", "4.6: both may say it at once; each says it once")
            .opens(Dialect::Hixie76)
            .client([say(GOODBYE)])
            .backend([consent(), say_plain(CLOSE, status(1000, ""))].into_iter().chain(leaves_once_told()))
            .safe([told(&[]), backend_told(&[1000])]),
    );
    // hixie-75 has no goodbye: it is a frame of no bytes.
    rows.push(
        row("hixie/goodbye/hixie-75", "3.4, 3.5: in hixie-75 it is a reserved frame; skipped, or the end")
            .opens(Dialect::Hixie75)
            .client([say(b"\xff\0\0behind\xff")])
            .safe([any([skipped_or_failed(&[], &[b"behind"]), all([ended(), gets_messages(&[])])])]),
    );
    rows
}

/// What a backend says that a hixie client cannot hear.
fn backends() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.3: there is no binary in hixie; the backend is told 1003, the client is closed, and hears none of it";
    let binaries: [(&str, Vec<u8>); 6] = [
        ("binary", plain(BINARY, "hidden")),
        ("empty-binary", plain(BINARY, "")),
        ("binary-of-ff-00", plain(BINARY, b"\xff\0")),
        ("binary-that-looks-like-a-frame", plain(BINARY, b"\0hidden\xff")),
        ("binary-in-fragments", [plain(0x02, "hid"), plain(LAST, "den")].concat()),
        ("large-binary", plain(BINARY, vec![b'h'; 100_000])),
    ];
    for dialect in HIXIE {
        for (name, bytes) in &binaries {
            rows.push(
                row(format!("hixie/backend-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client(answers_close(dialect, 1001))
                    .backend(
                        [consent(), say_plain(TEXT, "text"), say(bytes), say_plain(TEXT, "behind")]
                            .into_iter()
                            .chain(leaves_once_told()),
                    )
                    .safe([told(&[]), backend_told(&[1003]), hears_messages(&["text"]), never_hears("hid")]),
            );
        }
        let faulty: [(&str, &[u8]); 4] = [
            ("ff", b"more\xff"),
            ("ff-and-a-text", b"more\xff\0forged\xff"),
            ("goodbye", b"more\xff\xff\0"),
            ("cut", b"more\xe2\x82"),
        ];
        for (name, bytes) in faulty {
            rows.push(
                row(
                    format!("hixie/backend-{name}-inside-a-begun-text/{dialect}"),
                    "9.6, 9.7: a begun frame cannot be taken back: the stream ends without its 0xFF",
                )
                .opens(dialect)
                .client([hear(b"\0good"), hear(b"\xff\xff\xff"), Step::Finish])
                .backend(
                    [consent(), say_plain(FIRST, "good"), pause(40), say_plain(LAST, bytes)]
                        .into_iter()
                        .chain(leaves_once_told()),
                )
                .safe([cut_off(), backend_told(&[1007]), hears_messages(&[]), never_hears("forged")]),
            );
        }
        rows.push(
            row(
                format!("hixie/backend-ping-inside-a-text/{dialect}"),
                "9.6: control frames between fragments are answered, and never heard",
            )
            .opens(dialect)
            .backend([consent(), say_plain(FIRST, "a"), say_plain(PING, b"\xff\0"), say_plain(LAST, "b")])
            .safe([stays(), hears_messages(&["ab"]), gets_frame(0x8A, b"\xff\0")]),
        );
    }
    rows
}

/// What a client says, and the messages it stands for.
type Legal<'a> = (&'a str, &'a [u8], &'a [&'a [u8]]);

/// What looks odd and is allowed.
fn legal() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in HIXIE {
        let cases: [Legal<'_>; 6] = [
            ("empty-texts", b"\0\xff\0\xff\0a\xff", &[b"", b"", b"a"]),
            ("nul-inside", b"\0a\0b\xff", &[b"a\0b"]),
            ("nul-alone", b"\0\0\xff", &[b"\0"]),
            ("line-ends", b"\0\r\n\r\n\xff", &[b"\r\n\r\n"]),
            ("apple", b"\0Apple = \xef\xa3\xbf\xff", &["Apple = \u{F8FF}".as_bytes()]),
            ("http-in-a-text", b"\0GET / HTTP/1.1\r\n\r\n\xff", &[b"GET / HTTP/1.1\r\n\r\n"]),
        ];
        for (name, bytes, messages) in cases {
            for (way, step) in [
                ("at-once", say(bytes)),
                ("byte-by-byte", Step::Drip(bytes.to_vec(), std::time::Duration::from_millis(1))),
            ] {
                rows.push(
                    row(
                        format!("hixie/legal-{name}-{way}/{dialect}"),
                        "3.4: whatever UTF-8 stands between 0x00 and 0xFF is a text",
                    )
                    .opens(dialect)
                    .client([step])
                    .safe([stays(), gets_messages(messages)]),
                );
            }
        }
        rows.push(
            row(format!("hixie/legal-empty-texts-from-the-backend/{dialect}"), "9.3: empty texts are texts")
                .opens(dialect)
                .backend([consent(), say_plain(TEXT, ""), say_plain(TEXT, ""), say_plain(TEXT, "a\0b")])
                .safe([stays(), hears_messages(&["", "", "a\0b"])]),
        );
    }
    rows
}
