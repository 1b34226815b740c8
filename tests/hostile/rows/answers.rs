//! Backends that answer what no client should hear (dialects.md 9.1, 11.2, 11.10).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, Dialect, TEXT, plain, said};

/// What would be the answer to somebody else's request.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// Who asks: an ordinary client, and a young and an old WebSocket.
const ASKERS: [Option<Dialect>; 3] = [None, Some(Dialect::Hixie76), Some(Dialect::Rfc6455)];

pub fn rows() -> Vec<Row> {
    [unreadable(), ambiguous(), odd(), torn(), surplus(), endless(), early(), glued()].into_iter().flatten().collect()
}

/// To a handshake no answer but a good 101 opens anything, whatever else is wrong with it.
fn refused_handshake() -> Check {
    all([refused(&[]), not_opened()])
}

/// Answers that are none.
fn unreadable() -> Vec<Row> {
    let table: [(&str, &[u8]); 27] = [
        ("garbage", b"\x01\x02\x03\xff\xfe\r\n\r\n"),
        ("text", b"Hello, world\r\n\r\n"),
        ("http-0.9", b"<html><body>hello</body></html>\r\n\r\n"),
        ("blank-lines", b"\r\n\r\n\r\n\r\n"),
        ("blank-then-status", b" HTTP/1.1 200 OK\r\n\r\n"),
        ("http-2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\x01\0\0"),
        ("http-2-status-line", b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("http-2.0-status-line", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("http-3.1-status-line", b"HTTP/3.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("http-0.9-status-line", b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("small-http", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("icy", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a-request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("tls", b"\x15\x03\x03\0\x02\x02\x28"),
        ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("smtp", b"220 mail ESMTP\r\n\r\n"),
        ("status-99", b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n"),
        ("status-1000", b"HTTP/1.1 1000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("status-abc", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
        ("status-minus", b"HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n"),
        ("status-000", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("status-2-00", b"HTTP/1.1 2 00\r\nContent-Length: 0\r\n\r\n"),
        ("status-empty", b"HTTP/1.1  \r\nContent-Length: 0\r\n\r\n"),
        ("no-status", b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        ("no-colon", b"HTTP/1.1 200 OK\r\nX-A\r\n\r\n"),
        ("half-a-head", b"HTTP/1.1 200 OK\r\nContent-Len"),
        ("nothing", b""),
    ];
    let mut rows = Vec::new();
    for kind in ASKERS {
        for (name, bytes) in table {
            // Without a colon a line may also be left out.
            let lenient = kind.is_none() && name == "no-colon";
            let plain = any([bad_gateway(), hears_a_torso()]);
            rows.push(
                row(
                    format!("answers/{name}/{}", kind_name(kind)),
                    "RFC 9112 4, 9.1: what the backend says is no answer; the client is told so, and hears none of it",
                )
                .client([say(asking(kind, &[]))])
                .backend([say(bytes), Step::Finish])
                .safe([match kind {
                    Some(_) => all([refused(&[500, 502, 503, 504]), not_opened()]),
                    None if lenient => any([plain, hears_answers(&[(200, "")])]),
                    None => plain,
                }]),
            );
        }
    }
    rows
}

/// Answers with two ends.
fn ambiguous() -> Vec<Row> {
    let strict: [(&str, &str, &str); 13] = [
        ("two-lengths", "Content-Length: 5\r\nContent-Length: 3", "hello"),
        ("two-lengths-smaller-first", "Content-Length: 3\r\nContent-Length: 5", "hello"),
        ("length-list", "Content-Length: 5, 3", "hello"),
        ("length-minus", "Content-Length: -5", "hello"),
        ("length-plus", "Content-Length: +5", "hello"),
        ("length-letters", "Content-Length: five", "hello"),
        ("length-hex", "Content-Length: 0x5", "hello"),
        ("length-empty", "Content-Length:", "hello"),
        ("length-over-64-bits", "Content-Length: 18446744073709551621", "hello"),
        ("length-with-a-letter", "Content-Length: 5a", "hello"),
        ("length-with-a-blank", "Content-Length: 5 5", "hello"),
        ("length-with-nul", "Content-Length: 5\0", "hello"),
        ("length-with-a-point", "Content-Length: 5.0", "hello"),
    ];
    let lenient: [(&str, &str, &str); 14] = [
        ("length-and-chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("chunked-and-length", "Transfer-Encoding: chunked\r\nContent-Length: 15", "5\r\nhello\r\n0\r\n\r\n"),
        ("chunked-and-length-0", "Transfer-Encoding: chunked\r\nContent-Length: 0", "5\r\nhello\r\n0\r\n\r\n"),
        ("chunked-and-a-large-length", "Content-Length: 5000\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("length-twice", "Content-Length: 5\r\nContent-Length: 5", "hello"),
        ("length-list-equal", "Content-Length: 5, 5", "hello"),
        ("coding-gzip", "Transfer-Encoding: gzip", "hello"),
        ("coding-identity", "Transfer-Encoding: identity", "hello"),
        ("coding-xchunked-and-length", "Transfer-Encoding: xchunked\r\nContent-Length: 3", "hello"),
        ("coding-chunked-chunked", "Transfer-Encoding: chunked, chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("coding-chunked-gzip", "Transfer-Encoding: chunked, gzip", "5\r\nhello\r\n0\r\n\r\n"),
        ("coding-chunked-twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "coding-blank-before-the-colon",
            "Transfer-Encoding : chunked\r\nContent-Length: 3",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        ("length-blank-before-the-colon", "Content-Length : 3", "hello"),
    ];
    let mut rows = Vec::new();
    for kind in ASKERS {
        for (name, fields, body, lenient) in
            strict.iter().map(|(a, b, c)| (a, b, c, false)).chain(lenient.iter().map(|(a, b, c)| (a, b, c, true)))
        {
            let answer = format!("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n{fields}\r\n\r\n{body}{POISON}");
            // Framed anew by its one end, or broken off, an answer is harmless; with what stands behind it, it is not.
            let anew = check("the client hears no more than one answer", |seen| {
                let heard = seen.answers();
                heard.whole.len() <= 1 && seen.client_end.is_some()
            });
            rows.push(
                row(
                    format!("answers/framed-{name}/{}", kind_name(kind)),
                    "RFC 9112 6.3: an answer with no length that is one, or two ends; 502, or passed on with one end",
                )
                .client([say(asking(kind, &[]))])
                .backend([say(answer), Step::Finish])
                .safe([match kind {
                    Some(_) => refused_handshake(),
                    None if lenient => any([bad_gateway(), anew]),
                    None => any([bad_gateway(), hears_a_torso()]),
                }]),
            );
        }
    }
    rows
}

/// Heads that some read.
fn odd() -> Vec<Row> {
    let table: [(&str, &[u8]); 16] = [
        ("lf", b"HTTP/1.1 403 No\nConnection: close\nContent-Length: 0\n\n"),
        ("a-lf", b"HTTP/1.1 403 No\r\nX-A: b\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("a-cr", b"HTTP/1.1 403 No\r\nX-A: b\rX-B: c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("a-folded-line", b"HTTP/1.1 403 No\r\nX-A: b\r\n c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("a-folded-length", b"HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length:\r\n 0\r\n\r\n"),
        ("a-nul", b"HTTP/1.1 403 No\r\nX-A: b\0c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("a-blank-before-a-colon", b"HTTP/1.1 403 No\r\nX-A : b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("no-name", b"HTTP/1.1 403 No\r\n: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("a-blank-in-a-name", b"HTTP/1.1 403 No\r\nX A: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("8-bit-name", b"HTTP/1.1 403 No\r\nX-\xe4: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("8-bit-value", b"HTTP/1.1 403 No\r\nX-A: \xe4\xff\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("no-reason", b"HTTP/1.1 403\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("status-without-a-blank", b"HTTP/1.1 403No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("two-blanks", b"HTTP/1.1  403 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        ("http-1.0", b"HTTP/1.0 403 No\r\nContent-Length: 0\r\n\r\n"),
        ("blank-line-first", b"\r\nHTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    ];
    let mut rows = Vec::new();
    for kind in ASKERS {
        for (name, bytes) in table {
            rows.push(
                row(
                    format!("answers/head-with-{name}/{}", kind_name(kind)),
                    "RFC 9112 2.2, 5, RFC 9110 5.5: a head that some read; 502, or one that all can read",
                )
                .client([say(asking(kind, &[]))])
                .backend([say(bytes), Step::Finish])
                .safe([if kind.is_some() {
                    refused_handshake()
                } else {
                    any([bad_gateway(), hears_answers(&[(403, "")])])
                }]),
            );
        }
        for status in [600, 799, 999] {
            rows.push(
                row(
                    format!("answers/status-{status}/{}", kind_name(kind)),
                    "RFC 9110 15: a status of no class; 502, or passed on in one whole answer",
                )
                .client([say(asking(kind, &[]))])
                .backend([
                    say(format!("HTTP/1.1 {status} What\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")),
                    Step::Finish,
                ])
                .safe([not_opened(), any([bad_gateway(), hears_answers(&[(status, "")])])]),
            );
        }
    }
    rows
}

/// Answers that break off.
fn torn() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, answer) in [
        ("length", "Content-Length: 100\r\n\r\nhello"),
        ("chunk", "Transfer-Encoding: chunked\r\n\r\n64\r\nhello"),
        ("between-chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ("last-chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
        ("chunk-size-no-hex", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nhello\r\n0\r\n\r\n"),
        ("chunk-size-minus", "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
        ("chunk-size-over-64-bits", "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("chunk-size-empty", "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
        ("chunk-size-too-small", "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"),
        ("chunk-size-too-large", "Transfer-Encoding: chunked\r\n\r\n6\r\nhello\r\n0\r\n\r\n"),
        ("chunk-without-its-end", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"),
    ] {
        for (how, end) in [("fin", Step::Finish), ("reset", Step::Reset)] {
            rows.push(
                row(
                    format!("answers/torn-{name}-by-{how}"),
                    "RFC 9112 8: an answer that breaks off never looks whole; the client's breaks off, or is 502",
                )
                .client([say(asking(None, &[]))])
                .backend([say(format!("HTTP/1.1 200 OK\r\n{answer}")), pause(50), end])
                .safe([any([hears_a_torso(), bad_gateway()])]),
            );
        }
    }
    rows
}

/// More than the answer.
fn surplus() -> Vec<Row> {
    let mut rows = Vec::new();
    let twice = |method: &str| {
        let first = request(&format!("{method} /{{TAG}} HTTP/1.1"), &["Host: tv.example"]);
        [
            say(first),
            Step::HearHead,
            pause(150),
            say(request("GET /{TAG}/next HTTP/1.1", &["Host: tv.example"])),
            Step::HearMore,
        ]
    };
    let clean = || {
        let no_poison = check("no second answer is made of what was too much", |seen| {
            seen.answers().whole.iter().all(|(_, body)| body != b"poison")
        });
        [no_poison, never_hears("poison")]
    };
    for (name, method, answer) in [
        ("a-body-longer-than-its-length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (
            "a-body-behind-the-last-chunk",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("a-body-to-204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("a-body-to-304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("a-body-to-head", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("a-body-to-204-with-a-length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 49\r\n\r\n"),
        ("a-body-to-205", "GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
    ] {
        for (how, steps) in [
            ("at-once", vec![say(format!("{answer}{POISON}")), pause(400), Step::Finish]),
            ("later", vec![say(answer), pause(50), say(POISON), pause(400), Step::Finish]),
        ] {
            rows.push(
                row(
                    format!("answers/{name}-{how}"),
                    "RFC 9112 6.3, 9.1: what follows an answer is no answer to what was not yet asked; the connection is not used again",
                )
                .client(twice(method))
                .backend(steps)
                .safe(clean())
                .alone(),
            );
        }
    }
    for status in [100, 102, 103] {
        rows.push(
            row(
                format!("answers/interim-{status}-then-200"),
                "RFC 9110 15.2: interim answers are passed or left out, and the final one is the answer",
            )
            .client([say(asking(None, &[]))])
            .backend([
                say(format!("HTTP/1.1 {status} Interim\r\n\r\n")),
                pause(20),
                say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
                Step::Finish,
            ])
            .safe([any([hears_answers(&[(200, "ok")]), bad_gateway()])]),
        );
    }
    rows
}

fn endless() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in ASKERS {
        for (name, start, flood) in [
            ("line", "HTTP/1.1 200 OK\r\nX-A: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("head", "HTTP/1.1 200 OK\r\n", "X-A: bbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
            ("reason", "HTTP/1.1 200 ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("status", "HTTP/1.1 2", "00000000000000000000000000000000"),
            ("interims", "", "HTTP/1.1 102 Processing\r\n\r\n"),
            ("blank-lines", "", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
        ] {
            // Interim answers to an ordinary request may as well be passed on until time is up.
            rows.push(
                row(
                    format!("answers/endless-{name}/{}", kind_name(kind)),
                    "11.8, 9.1: 64 MiB of what never becomes an answer; the client is told so, and none of it is kept",
                )
                .client([say(asking(kind, &[]))])
                .backend([say(start), Step::Pour(flood.repeat(2048).into_bytes(), 64 << 20)])
                .safe([if kind.is_some() {
                    all([refused(&[500, 502, 503, 504]), not_opened()])
                } else {
                    any([bad_gateway(), hears_a_torso()])
                }])
                .heavy(),
            );
        }
    }
    rows
}

/// An answer before the request is whole.
fn early() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, fields, answer) in [
        (
            "413",
            "Content-Length: 100000",
            "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        ("200", "Content-Length: 100000", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            "200-to-chunks",
            "Transfer-Encoding: chunked",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
    ] {
        let chunk = if fields.starts_with('T') { "186a0\r\n" } else { "" };
        let hidden = "GET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n";
        let head = request("POST /{TAG} HTTP/1.1", &["Host: tv.example", fields]);
        rows.push(
            row(
                format!("answers/before-the-body-{name}"),
                "RFC 9112 9.3: the backend answers before it has the whole body; what then comes is still body, never a request",
            )
            .client([say([&head[..], chunk.as_bytes(), b"hello"].concat()), Step::HearHead, pause(50), say(hidden), pause(100)])
            .backend([say(answer), Step::Finish])
            .safe([any([answered(413), answered(200), bad_gateway()]), requests(1), hides_as_body()]),
        );
    }
    rows
}

/// The hidden request is no request of its own.
fn hides_as_body() -> Check {
    check("no request begins with what was body", |seen| {
        seen.visits.iter().all(|visit| !visit.bytes.starts_with(b"GET "))
    })
}

/// Frames that ride with a good 101.
fn glued() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n";
        let all_at_once = [good.as_bytes(), &plain(TEXT, "one"), &plain(TEXT, "two")].concat();
        rows.push(
            row(
                format!("answers/frames-glued-to-the-101/{dialect}"),
                "17 of field-notes.md: frames that came with the answer are the client's, once and in order",
            )
            .opens(dialect)
            .client([say(said(dialect, "three"))])
            .backend([say(all_at_once)])
            .safe([hears_messages(&["one", "two"]), gets_messages(&[b"three"])]),
        );
        let half = plain(TEXT, "onetwo");
        rows.push(
            row(
                format!("answers/half-a-frame-glued-to-the-101/{dialect}"),
                "17 of field-notes.md: half a frame that came with the answer is the beginning of one",
            )
            .opens(dialect)
            .backend([say([good.as_bytes(), &half[..4]].concat()), pause(60), say(&half[4..])])
            .safe([hears_messages(&["onetwo"])]),
        );
        rows.push(
            row(
                format!("answers/garbage-glued-to-the-101/{dialect}"),
                "6.4, 9.4: what came with the answer is no frame; the client hears none of it, and its connection ends",
            )
            .speaks(dialect)
            .client([say(opening(dialect))])
            .backend([say([good.as_bytes(), b"\xc1\x05hello"].concat())])
            .safe([ended(), never_hears("hello")]),
        );
    }
    rows
}
