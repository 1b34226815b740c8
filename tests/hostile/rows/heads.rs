//! Request heads that two readers could read in two ways (dialects.md 11.3, 13.2).

use crate::judge::*;
use crate::row::*;
use crate::support::{Dialect, HYBI, KEY, KEY1, KEY2};

pub fn rows() -> Vec<Row> {
    [lines(), first_lines(), repeated(), oversized(), preludes()].into_iter().flatten().collect()
}

/// What may become of a bad line of an ordinary request.
enum Plain {
    /// It is refused.
    Refused,
    /// It is refused, or goes on without these bytes.
    Cleaned(&'static [u8]),
}

use Plain::{Cleaned, Refused};

fn refused_everywhere() -> Check {
    all([turned_away(), untouched()])
}

fn outcome(kind: Option<Dialect>, plain: &Plain) -> Check {
    match (kind, plain) {
        // RFC 9112 2.2 and 5.2, RFC 9110 5.5 leave both open.
        (None, Cleaned(bytes)) => any([refused_everywhere(), all([answered(200), requests(1), never_gets(bytes)])]),
        _ => refused_everywhere(),
    }
}

/// A line among the fields.
fn lines() -> Vec<Row> {
    let table: [(&str, &[u8], Plain); 26] = [
        ("a-folded-line", b"X-A: b\r\n c", Cleaned(b"\r\n c")),
        ("a-line-folded-by-a-tab", b"X-A: b\r\n\tc", Cleaned(b"\r\n\tc")),
        ("a-folded-blank-line", b"X-A: b\r\n ", Cleaned(b"\r\n \r\n")),
        ("a-cr-in-a-value", b"X-A: b\rX-B: c", Cleaned(b"b\rX")),
        ("a-cr-at-the-end", b"X-A: b\r", Cleaned(b"b\r\r")),
        ("a-lf-in-a-value", b"X-A: b\nX-B: c", Cleaned(b"b\nX")),
        ("a-lf-at-the-end", b"X-A: b\n", Cleaned(b"b\n\r")),
        ("a-blank-line-of-two-lf", b"X-A: b\n\nGET /{TAG}/secret HTTP/1.1\r\nHost: internal", Cleaned(b"b\n\nGET")),
        ("a-cr-in-a-name", b"X\r-A: b", Cleaned(b"X\r-A")),
        ("a-nul-in-a-value", b"X-A: b\0c", Cleaned(b"b\0c")),
        ("a-nul-in-a-name", b"X\0A: b", Cleaned(b"X\0A")),
        ("control-1-in-a-value", b"X-A: b\x01c", Cleaned(b"b\x01c")),
        ("vt-in-a-value", b"X-A: b\x0bc", Cleaned(b"b\x0bc")),
        ("esc-in-a-value", b"X-A: b\x1bc", Cleaned(b"b\x1bc")),
        ("del-in-a-value", b"X-A: b\x7fc", Cleaned(b"b\x7fc")),
        ("a-blank-before-the-colon", b"X-A : b", Refused),
        ("a-tab-before-the-colon", b"X-A\t: b", Refused),
        ("a-blank-in-a-name", b"X A: b", Cleaned(b"X A")),
        ("no-name", b": b", Cleaned(b"\r\n: b")),
        ("no-colon", b"X-A", Cleaned(b"X-A")),
        ("no-token-in-brackets", b"X[A]: b", Cleaned(b"X[A]")),
        ("no-token-8-bit", b"X-\xe4: b", Cleaned(b"X-\xe4")),
        ("no-token-quoted", b"\"X-A\": b", Cleaned(b"\"X-A\"")),
        ("a-request-line-again", b"GET /{TAG}/secret HTTP/1.1", Cleaned(b"/secret")),
        ("a-vt-before-a-name", b"\x0bX-A: b", Cleaned(b"\x0bX-A")),
        ("a-no-break-space-before-the-colon", b"Host\xa0: internal", Cleaned(b"Host\xa0")),
    ];
    let mut rows = Vec::new();
    for kind in KINDS {
        for (name, line, plain) in &table {
            rows.push(
                row(
                    format!("heads/{name}/{}", kind_name(kind)),
                    "11.3, 13.2 #1, RFC 9112 2.2, 5: a line that others read in another way; refused, or of an ordinary request cleaned",
                )
                .client([say(asking(kind, &[line]))])
                .safe([outcome(kind, plain)]),
            );
        }
    }
    rows
}

/// What is wrong with the first line or the one behind it.
fn first_lines() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let head = asking(kind, &[]);
        let end = memchr::memmem::find(&head, b"\r\n").expect("a first line");
        let behind = |bytes: &[u8]| [&head[..end], bytes, &head[end + 2..]].concat();
        let without_host = swapped(&head, "Host: tv.example:8080\r\n", "");
        let only_lf = head.iter().copied().filter(|byte| *byte != b'\r').collect();
        let only_cr = head.iter().copied().filter(|byte| *byte != b'\n').collect();
        let table: [(&str, Vec<u8>, Plain); 12] = [
            ("a-blank-before-the-first-field", behind(b"\r\n "), Cleaned(b"\r\n ")),
            ("a-tab-before-the-first-field", behind(b"\r\n\t"), Cleaned(b"\r\n\t")),
            ("a-blank-line-of-blanks-first", behind(b"\r\n  \r\n"), Cleaned(b"\r\n  \r\n")),
            ("a-cr-behind-the-first-line", behind(b"\r"), Refused),
            ("a-lf-behind-the-first-line", behind(b"\n"), Cleaned(b"1.1\n")),
            ("two-blanks-in-the-first-line", swapped(&head, "GET ", "GET  "), Cleaned(b"GET  ")),
            ("a-tab-in-the-first-line", swapped(&head, "GET ", "GET\t"), Cleaned(b"GET\t")),
            ("a-blank-before-the-method", [b" ", &head[..]].concat(), Cleaned(b" GET")),
            ("a-nul-in-the-method", swapped(&head, "GET ", "G\0ET "), Refused),
            ("no-host", without_host, Refused),
            ("only-lf", only_lf, Cleaned(b"1\nHost")),
            ("only-cr", only_cr, Refused),
        ];
        for (name, bytes, plain) in table {
            rows.push(
                row(
                    format!("heads/{name}/{}", kind_name(kind)),
                    "11.3, 13.2 #1, RFC 9112 2.2, 3, 3.2: a head that others read in another way; refused, or of an ordinary request cleaned",
                )
                .client([say(bytes), pause(50), Step::Finish])
                .safe([outcome(kind, &plain)]),
            );
        }
    }
    rows
}

/// Fields that decide, twice.
fn repeated() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let mut table = vec![("host", "Host: tv.example:8080"), ("another-host", "Host: internal")];
        table.extend(match kind {
            None => [].as_slice(),
            Some(Dialect::Hixie75) => &[("origin", "Origin: http://evil.example")],
            Some(Dialect::Hixie76) => &[
                ("key1", KEY1),
                ("key2", KEY2),
                ("another-key1", "Sec-WebSocket-Key1: 1 2"),
                ("origin", "Origin: null"),
            ],
            Some(Dialect::Rfc6455) => &[
                ("key", KEY),
                ("another-key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA=="),
                ("version", "Sec-WebSocket-Version: 13"),
                ("another-version", "Sec-WebSocket-Version: 8"),
                ("origin", "Origin: http://evil.example"),
            ],
            Some(_) => &[
                ("key", KEY),
                ("version", "Sec-WebSocket-Version: 8"),
                ("another-version", "Sec-WebSocket-Version: 13"),
                ("origin", "Sec-WebSocket-Origin: http://evil.example"),
            ],
        });
        for (name, line) in table {
            rows.push(
                row(
                    format!("heads/twice-{name}/{}", kind_name(kind)),
                    "13.2 #1, #7, #9, #13, 13.4, RFC 9112 3.2: two of what decides, of which readers take the first or the last; refused",
                )
                .client([say(asking(kind, &[line.as_bytes()]))])
                .safe([any([refused(&[400]), dropped()]), untouched()]),
            );
        }
    }
    for dialect in HYBI {
        rows.push(
            row(format!("heads/version-as-a-list/{dialect}"), "13.2 #7: a list of versions is none; refused")
                .client([say(swapped(&opening(dialect), "Version: ", "Version: 13, "))])
                .safe([any([refused(&[400, 426]), dropped()]), untouched()]),
        );
    }
    rows
}

/// More than anybody needs.
fn oversized() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let kind_of = kind_name(kind);
        let long = [b"X-A: ", &b"a".repeat(300 << 10)[..]].concat();
        let many = "X: y\r\n".repeat(20_000);
        let target = swapped(&asking(kind, &[]), "{TAG}", format!("{{TAG}}{}", "a".repeat(300 << 10)));
        for (name, bytes) in [
            ("a-line-of-300-kb", asking(kind, &[&long])),
            ("20000-fields", asking(kind, &[many.trim_end().as_bytes()])),
            ("a-target-of-300-kb", target),
        ] {
            rows.push(
                row(
                    format!("heads/{name}/{kind_of}"),
                    "11.8, 13.2 #1: a head of hundreds of kilobytes; refused, and never at the backend",
                )
                .client([say(bytes)])
                .safe([any([refused(&[400, 413, 414, 431]), cut_short()]), untouched()]),
            );
        }
    }
    let start = "GET /{TAG} HTTP/1.1\r\nHost: tv.example\r\n";
    for (name, start, flood) in [
        ("line", format!("{start}X-A: "), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("target", "GET /{TAG}".to_owned(), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("method", "{TAG}".to_owned(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("name", start.to_owned(), "X-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("head-of-fields", start.to_owned(), "X-A: bbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
        ("prelude", String::new(), "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
    ] {
        rows.push(
            row(
                format!("heads/an-endless-{name}"),
                "11.8: 64 MiB that never end a head; refused or dropped, and not kept",
            )
            .client([say(start), Step::Pour(flood.repeat(2048).into_bytes(), 64 << 20)])
            .safe([any([turned_away(), cut_short()]), untouched()])
            .heavy(),
        );
    }
    rows
}

/// The refusal may be lost where the client does not stop to listen.
fn cut_short() -> Check {
    check("the client is closed before it has said it all", |seen| seen.client_end.is_some() && seen.status().is_none())
}

/// Blank lines before a request.
fn preludes() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let status = if kind.is_some() { 101 } else { 200 };
        for (name, prelude) in [("one", "\r\n"), ("two", "\r\n\r\n")] {
            rows.push(
                row(
                    format!("heads/{name}-blank-lines-before/{}", kind_name(kind)),
                    "13.1, RFC 9112 2.2: blank lines before a request are no part of it; they are skipped",
                )
                .sends(kind)
                .client([say([prelude.as_bytes(), &asking(kind, &[])].concat())])
                .safe([answered(status), requests(1), never_gets("\r\n\r\nGET")]),
            );
        }
        for (name, prelude) in [("a-blank-line-of-blanks", " \r\n"), ("a-lone-cr", "\r"), ("nul", "\0\r\n")] {
            rows.push(
                row(
                    format!("heads/{name}-before/{}", kind_name(kind)),
                    "13.1: what is no blank line before a request is no request; turned away",
                )
                .client([say([prelude.as_bytes(), &asking(kind, &[])].concat())])
                .safe([if name == "a-lone-cr" {
                    any([refused_everywhere(), all([answered(status), never_gets("\rGET")])])
                } else {
                    refused_everywhere()
                }]),
            );
        }
    }
    rows
}
