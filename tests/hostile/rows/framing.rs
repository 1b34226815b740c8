//! Bodies whose end two readers could see in two places (dialects.md 11.3).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, Dialect};

/// What an attacker hopes is taken for a request by the second reader.
const SECRET: &str = "GET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n";

pub fn rows() -> Vec<Row> {
    [lengths(), codings(), chunks(), lenient_chunks(), trailers(), cut_short(), endless(), handshakes()]
        .into_iter()
        .flatten()
        .collect()
}

fn post(lines: &[&str], body: &str) -> Step {
    let head = request("POST /{TAG} HTTP/1.1", &[&["Host: tv.example"], lines].concat());
    say([&head, body.as_bytes()].concat())
}

/// Refused before anybody else hears of it.
fn never() -> Check {
    all([turned_away(), untouched()])
}

/// Refused, or read in one way and passed on so.
fn once() -> Check {
    any([never(), all([framed(), hides_nothing("/secret")])])
}

fn lengths() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, lines) in [
        ("twice-different", &["Content-Length: 5", "Content-Length: 6"][..]),
        ("twice-0-first", &["Content-Length: 0", "Content-Length: 5"]),
        ("list-different", &["Content-Length: 5, 6"]),
        ("plus", &["Content-Length: +5"]),
        ("minus", &["Content-Length: -5"]),
        ("minus-0", &["Content-Length: -0"]),
        ("blank-inside", &["Content-Length: 5 0"]),
        ("hex", &["Content-Length: 0x5"]),
        ("letters", &["Content-Length: five"]),
        ("letter-behind", &["Content-Length: 5a"]),
        ("empty", &["Content-Length:"]),
        ("point", &["Content-Length: 5.0"]),
        ("exponent", &["Content-Length: 5e0"]),
        ("comma-behind", &["Content-Length: 5,"]),
        ("quoted", &["Content-Length: \"5\""]),
        ("nul", &["Content-Length: 5\0"]),
        ("vt-before", &["Content-Length: \x0b5"]),
        ("over-64-bits", &["Content-Length: 18446744073709551621"]),
        ("over-32-bits-twice", &["Content-Length: 4294967301", "Content-Length: 5"]),
        (
            "of-100-digits",
            &["Content-Length: 1000000000000000000000000000000000000000000000000000000000000000000000000005"],
        ),
        ("blank-before-the-colon", &["Content-Length : 5"]),
        ("folded", &["Content-Length:\r\n 5"]),
    ] {
        let rule = if matches!(name, "folded" | "comma-behind") { once() } else { never() };
        rows.push(
            row(
                format!("framing/length-{name}"),
                "RFC 9112 6.3, RFC 9110 8.6: a length that is no number, or two; refused before the backend hears of it",
            )
            .client([post(lines, "hello"), say(SECRET)])
            .safe([rule]),
        );
    }
    for (name, lines) in
        [("twice-equal", &["Content-Length: 5", "Content-Length: 5"][..]), ("list-equal", &["Content-Length: 5, 5"])]
    {
        rows.push(
            row(format!("framing/length-{name}"), "RFC 9110 8.6: the same length again; refused, or made one")
                .client([post(lines, "hello"), say(SECRET)])
                .safe([once()]),
        );
    }
    rows
}

fn codings() -> Vec<Row> {
    let mut rows = Vec::new();
    let chunked = "Transfer-Encoding: chunked";
    for (name, lines) in [
        ("and-length", &[chunked, "Content-Length: 5"][..]),
        ("and-length-first", &["Content-Length: 5", chunked]),
        ("and-length-0", &["Content-Length: 0", chunked]),
        ("after-gzip", &["Transfer-Encoding: gzip, chunked"]),
        ("with-empty-members", &["Transfer-Encoding: , chunked,"]),
        ("twice", &[chunked, chunked]),
        ("in-two-lines", &["Transfer-Encoding: gzip", chunked]),
        ("in-capitals", &["Transfer-Encoding: CHUNKED"]),
        ("folded", &["Transfer-Encoding:\r\n chunked"]),
        ("with-an-underscore", &["Transfer_Encoding: chunked", "Content-Length: 5"]),
    ] {
        rows.push(
            row(
                format!("framing/coding-chunked-{name}"),
                "RFC 9112 6.1, 6.3: a body with two ends; refused, or passed on with the one that counts and no other",
            )
            .client([post(lines, "0\r\n\r\n"), say(SECRET)])
            .safe([once()])
            // RFC 9112 6.1: whoever serves both ends the connection behind it.
            .safe(name.starts_with("and-length").then(|| never_gets("/secret"))),
        );
    }
    for (name, lines) in [
        ("gzip", &["Transfer-Encoding: gzip"][..]),
        ("identity", &["Transfer-Encoding: identity"]),
        ("xchunked", &["Transfer-Encoding: xchunked"]),
        ("chunkedx", &["Transfer-Encoding: chunkedx"]),
        ("chunk", &["Transfer-Encoding: chunk"]),
        ("chunked-then-gzip", &["Transfer-Encoding: chunked, gzip"]),
        ("chunked-then-identity", &["Transfer-Encoding: chunked, identity"]),
        ("chunked-chunked", &["Transfer-Encoding: chunked, chunked"]),
        ("quoted", &["Transfer-Encoding: \"chunked\""]),
        ("with-a-parameter", &["Transfer-Encoding: chunked;q=1"]),
        ("vt-before", &["Transfer-Encoding: \x0bchunked"]),
        ("nul-behind", &["Transfer-Encoding: chunked\0"]),
        ("cr-before", &["Transfer-Encoding: \rchunked"]),
        ("blank-before-the-colon", &["Transfer-Encoding : chunked"]),
        ("blank-before-the-name", &["X: y", " Transfer-Encoding: chunked", "Content-Length: 5"]),
        ("xchunked-and-length", &["Transfer-Encoding: xchunked", "Content-Length: 5"]),
        ("empty", &["Transfer-Encoding:", "Content-Length: 5"]),
        ("lf-before-the-name", &["X: y\nTransfer-Encoding: chunked", "Content-Length: 5"]),
        ("cr-before-the-name", &["X: y\rTransfer-Encoding: chunked", "Content-Length: 5"]),
    ] {
        // Whoever reads LF as a line end sees a chunked body beside a length, and says so on.
        let rule = if name.starts_with("lf") || name == "blank-before-the-name" { once() } else { never() };
        rows.push(
            row(
                format!("framing/coding-{name}"),
                "RFC 9112 6.1, 6.3: a coding other than chunked, or what some take for it; refused before the backend hears of it",
            )
            .client([post(lines, "0\r\n\r\n"), say(SECRET)])
            .safe([rule]),
        );
    }
    rows.push(
        row("framing/coding-in-http-1.0", "RFC 9112 6.1: HTTP/1.0 has no codings; refused, or read in one way and then closed")
            .client([say(format!(
                "POST /{TAG} HTTP/1.0\r\nHost: tv.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{SECRET}"
            ))])
            .safe([any([never(), all([ended(), framed(), never_gets("/secret")])])]),
    );
    rows
}

fn chunked(body: &str) -> Step {
    post(&["Transfer-Encoding: chunked"], body)
}

/// Chunks that nobody may read.
fn chunks() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, body) in [
        ("size-over-64-bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("size-of-30-digits", "fffffffffffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n"),
        ("size-minus", "-5\r\nhello\r\n0\r\n\r\n"),
        ("size-plus", "+5\r\nhello\r\n0\r\n\r\n"),
        ("size-0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("size-no-hex", "g\r\nhello\r\n0\r\n\r\n"),
        ("size-empty", "\r\nhello\r\n0\r\n\r\n"),
        ("size-underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("size-point", "5.0\r\nhello\r\n0\r\n\r\n"),
        ("size-nul", "5\0\r\nhello\r\n0\r\n\r\n"),
        ("size-too-small", "4\r\nhello\r\n0\r\n\r\n"),
        ("data-without-its-end", "5\r\nhello0\r\n\r\n"),
        ("data-before-cr-alone", "5\r\nhello\r0\r\n\r\n"),
        ("size-ended-by-cr", "5\rhello\r\n0\r\n\r\n"),
        ("extension-with-a-cr", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ] {
        rows.push(
            row(
                format!("framing/chunk-{name}"),
                "RFC 9112 7.1: a chunk that cannot be read; the request never looks whole, and nothing behind it is one",
            )
            .client([chunked(body), pause(30), say(SECRET), pause(100), Step::Finish])
            .safe([ended(), completes_nothing(), hides_nothing("/secret"), never_gets("/secret")]),
        );
    }
    rows
}

/// Chunks that some read; then they must go on in one meaning.
fn lenient_chunks() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, body) in [
        ("blank-behind-the-size", "5 \r\nhello\r\n0\r\n\r\n"),
        ("blank-before-the-size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("tab-behind-the-size", "5\t\r\nhello\r\n0\r\n\r\n"),
        ("lf-behind-the-size", "5\nhello\r\n0\r\n\r\n"),
        ("lf-behind-the-data", "5\r\nhello\n0\r\n\r\n"),
        ("lf-behind-the-last", "5\r\nhello\r\n0\n\r\n"),
        ("lf-for-the-blank-line", "5\r\nhello\r\n0\r\n\n"),
        ("only-lf", "5\nhello\n0\n\n"),
        ("lf-in-an-extension", "5;a\nhello\r\n0\r\n\r\n"),
        // To whom LF ends the line, the extension is the chunk's data, and the request behind it another.
        ("lf-hides-a-request", "3;\nxyz\r\n0\r\n\r\nGET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n"),
        // The chunk ends in CR, and LF alone stands behind it.
        ("size-too-large", "6\r\nhello\r\n0\r\n\r\n"),
        ("extension-quoted", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"),
        ("zeros-before-the-size", "0000000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
    ] {
        rows.push(
            row(
                format!("framing/chunk-{name}"),
                "RFC 9112 2.2, 7.1: what some read leniently; broken off, or passed on in one meaning",
            )
            .client([chunked(body), pause(30), say(SECRET), pause(100), Step::Finish])
            .safe([framed(), hides_nothing("/secret"), any([ended(), answered(200)])]),
        );
    }
    rows
}

fn trailers() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, trailer) in [
        ("a-length", "Content-Length: 50"),
        ("a-coding", "Transfer-Encoding: identity"),
        ("a-host", "Host: 6.6.6.6"),
        ("a-claim", "X-Forwarded-For: 6.6.6.6"),
        ("a-cookie", "Cookie: admin=6.6.6.6"),
        ("an-authorization", "Authorization: Basic Ni42LjYuNg=="),
    ] {
        let value = trailer.split(": ").nth(1).expect("a value");
        rows.push(
            row(
                format!("framing/trailer-with-{name}"),
                "RFC 9110 6.5.1: a trailer never becomes part of the head, and what frames or routes has no place in one",
            )
            .client([post(
                &["Transfer-Encoding: chunked", "Trailer: X-A"],
                &format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"),
            )])
            .safe([framed(), any([turned_away(), answered(200)]), never_gets(format!("{trailer}\r\n")), never_gets(value)]),
        );
    }
    for (name, trailer) in [
        ("no-field", "GET /{TAG}/secret HTTP/1.1"),
        ("lf", "X: y\n\nGET /{TAG}/secret HTTP/1.1"),
        ("cr", "X: y\rX-B: z"),
        ("nul", "X: \0"),
        ("blank-first", " X: y"),
    ] {
        rows.push(
            row(
                format!("framing/trailer-with-{name}"),
                "RFC 9112 2.2, 7.1.2: trailers that others read in another way; broken off, or left out",
            )
            .client([chunked(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n")), say(SECRET), pause(100), Step::Finish])
            .safe([
                framed(),
                hides_nothing("/secret"),
                hides_nothing("X-B"),
                any([ended(), answered(200)]),
            ]),
        );
    }
    rows
}

/// Bodies that break off.
fn cut_short() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, step) in [
        ("length", post(&["Content-Length: 10"], "hello")),
        ("chunk", chunked("a\r\nhello")),
        ("between-chunks", chunked("5\r\nhello\r\n")),
        ("last-chunk", chunked("5\r\nhello\r\n0\r\n")),
        ("chunk-size", chunked("5\r\nhello\r\n1")),
    ] {
        for (how, end) in [("fin", Step::Finish), ("reset", Step::Reset)] {
            rows.push(
                row(
                    format!("framing/cut-in-{name}-by-{how}"),
                    "RFC 9112 8: a request that breaks off never looks whole to the backend, whose connection ends",
                )
                .client([step.clone(), pause(60), end])
                .safe([completes_nothing(), any([untouched(), backend_left()])]),
            );
        }
    }
    rows
}

fn endless() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, start, flood) in [
        ("extension", "5;", "aaaaaaaaaaaaaaaa"),
        ("size", "", "0000000000000000"),
        ("trailer", "5\r\nhello\r\n0\r\nX: ", "aaaaaaaaaaaaaaaa"),
        ("trailers", "5\r\nhello\r\n0\r\n", "X: aaaaaaaaaaa\r\n"),
    ] {
        rows.push(
            row(
                format!("framing/endless-{name}"),
                "RFC 9112 7.1, 11.8: 32 MiB without an end where some bytes belong; broken off or left out, and never kept",
            )
            .client([chunked(start), Step::Pour(flood.repeat(4096).into_bytes(), 32 << 20), Step::Finish])
            .safe([ended(), completes_nothing()])
            .heavy(),
        );
    }
    rows
}

/// Opening handshakes have no body.
fn handshakes() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let hello = [b"5\r\nhello\r\n0\r\n\r\n", SECRET.as_bytes()].concat();
        for (name, lines) in [
            ("length-5", &["Content-Length: 5"][..]),
            ("length-9", &["Content-Length: 9"]),
            ("length-08", &["Content-Length: 08"]),
            ("length-8-twice", &["Content-Length: 8", "Content-Length: 8"]),
            ("length-0-and-8", &["Content-Length: 0", "Content-Length: 8"]),
            ("length-minus-8", &["Content-Length: -8"]),
            ("length-plus-0", &["Content-Length: +0"]),
            ("length-list", &["Content-Length: 8, 8"]),
            ("chunked", &["Transfer-Encoding: chunked"]),
            ("identity", &["Transfer-Encoding: identity"]),
            ("chunked-and-length-0", &["Transfer-Encoding: chunked", "Content-Length: 0"]),
        ] {
            rows.push(
                row(
                    format!("framing/handshake-with-{name}/{dialect}"),
                    "13.2 #6, 2.6: an opening handshake has no body; refused before the backend hears of it",
                )
                .client([say([opening_with(dialect, lines), hello.clone()].concat())])
                .safe([any([refused(&[400]), dropped()]), untouched()]),
            );
        }
        let eight = if dialect == Dialect::Hixie76 {
            row(
                format!("framing/handshake-with-length-8/{dialect}"),
                "2.6: three clients announce their third key; it opens",
            )
            .speaks(dialect)
            .client([say(opening_with(dialect, &["Content-Length: 8"]))])
            .safe([
                answered(101),
                hears(crate::support::DIGEST),
                gets_messages(&[]),
                never_gets("ontent-"),
            ])
        } else {
            row(
                format!("framing/handshake-with-length-8/{dialect}"),
                "13.2 #6: eight bytes without Key1 and Key2 are a body; refused before the backend hears of it",
            )
            .client([say([opening_with(dialect, &["Content-Length: 8"]), b"12345678".to_vec()].concat())])
            .safe([any([refused(&[400]), dropped()]), untouched()])
        };
        rows.push(eight);
        rows.push(
            row(format!("framing/handshake-with-length-0/{dialect}"), "2.6: no body, and it says so; it opens")
                .speaks(dialect)
                .client([say(opening_with(dialect, &["Content-Length: 0"]))])
                .safe([answered(101), requests(1)]),
        );
    }
    for (name, lines) in [("a-get", "GET /{TAG} HTTP/1.1"), ("a-delete", "DELETE /{TAG} HTTP/1.1")] {
        let length = format!("Content-Length: {}", SECRET.replace("{TAG}", "").len());
        rows.push(
            row(
                format!("framing/a-request-as-the-body-of-{name}"),
                "RFC 9110 9.3.1: a body is a body with every method",
            )
            .client([say(request(lines, &["Host: tv.example", &length])), say(SECRET.replace("{TAG}", ""))])
            .safe([framed(), any([never(), all([requests(1), answered(200)])])]),
        );
    }
    rows
}
