//! Lines and headers brought in through what is copied (dialects.md 11.5).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, Dialect, HIXIE, HYBI, TEXT, plain};

pub fn rows() -> Vec<Row> {
    [into_requests(), escaped(), subprotocols(), into_consents(), into_refusals(), named(), claims(), forged()]
        .into_iter()
        .flatten()
        .collect()
}

/// Bytes that end a line for some, or that no head may hold.
const BAD: [(&str, &[u8]); 8] = [
    ("crlf-blank", b"\r\n X-Injected: yes"),
    ("cr", b"\rX-Injected: yes"),
    ("lf", b"\nX-Injected: yes"),
    ("lf-blank", b"\n X-Injected: yes"),
    ("nul", b"\0X-Injected: yes"),
    ("control-1", b"\x01X-Injected: yes"),
    ("vt", b"\x0bX-Injected: yes"),
    ("del", b"\x7fX-Injected: yes"),
];

/// Whoever takes LF for a line end (RFC 9112 §2.2 lets them) may pass the line on as one; that it is one is judged anyway.
fn never_hears_raw(name: &str, bytes: &[u8]) -> Check {
    never_hears(if name == "lf" { b"\0" } else { bytes })
}

fn never() -> Check {
    all([turned_away(), untouched()])
}

/// From the client's head into its own answer and into the backend's request.
fn into_requests() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let subprotocol: &[u8] =
            if dialect == Dialect::Hixie75 { b"WebSocket-Protocol: chat" } else { b"Sec-WebSocket-Protocol: chat" };
        let head = asking(Some(dialect), &[subprotocol, b"Cookie: a=b"]);
        for (place, old) in [
            ("host", "Host: tv.example:8080"),
            ("origin", "rigin: http://tv.example"),
            ("path", "/{TAG}"),
            ("query", "/{TAG}"),
            ("subprotocol", "rotocol: chat"),
            ("cookie", "Cookie: a=b"),
        ] {
            for (name, bytes) in BAD {
                let query: &[u8] = if place == "query" { b"?a=b" } else { b"" };
                rows.push(
                    row(
                        format!("injection/{name}-in-{place}/{dialect}"),
                        "11.5, 11.3: what is copied into the answer or the backend's request brings a line of its own; refused",
                    )
                    .client([say(swapped(&head, old, [old.as_bytes(), query, bytes].concat())), pause(30), Step::Finish])
                    .safe([never(), never_hears("Injected")]),
                );
            }
            for (name, bytes) in
                [("8-bit", &b"\xe4"[..]), ("no-utf-8", b"\xff\xfe\x80"), ("utf-8-nel", b"\xc2\x85X-Injected: yes")]
            {
                // What the backend gets is its affair; what is reflected must be text of the dialect.
                rows.push(
                    row(
                        format!("injection/{name}-in-{place}/{dialect}"),
                        "2, 11.5: bytes that are no ASCII; refused, or not reflected into the answer, which old clients could not read",
                    )
                    .sends(Some(dialect))
                    .client([say(swapped(&head, old, [old.as_bytes(), bytes].concat()))])
                    .safe([any([never(), all([answered(101), never_hears(bytes)])])]),
                );
            }
        }
    }
    rows
}

/// Escapes stay escapes.
fn escaped() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        for (place, target) in
            [("path", "/{TAG}%0d%0aX-Injected:%20yes"), ("query", "/{TAG}?a=%0d%0a%0d%0aX-Injected:%20yes%00")]
        {
            rows.push(
                row(
                    format!("injection/escaped-in-{place}/{}", kind_name(kind)),
                    "3.3, 11.5: an escaped line end is no line end; it goes on and into Location as it is, or is refused",
                )
                .sends(kind)
                .client([say(swapped(&asking(kind, &[]), "/{TAG}", target))])
                .safe([
                    any([never(), all([answered(if kind.is_some() { 101 } else { 200 }), gets("%0d%0aX-Injected")])]),
                    never_hears("\nX-Injected"),
                    never_gets("\nX-Injected"),
                ]),
            );
        }
        // Encoded by others' rules: UTF-7, overlong, double.
        let odd = "/{TAG}%250d%250aX-Injected:%20yes%c0%8d%c0%8aX-Injected%e5%98%8a%e5%98%8dX-Injected";
        rows.push(
            row(
                format!("injection/doubly-escaped/{}", kind_name(kind)),
                "3.3, 11.5: nobody undoes escapes on the way, once or twice",
            )
            .sends(kind)
            .client([say(swapped(&asking(kind, &[]), "/{TAG}", odd))])
            .safe([
                any([never(), gets("%250d%250aX-Injected")]),
                never_hears("\nX-Injected"),
                never_gets("\nX-Injected"),
            ]),
        );
    }
    rows
}

/// A subprotocol that asks for more than a name.
fn subprotocols() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in HYBI {
        for (name, value) in [
            ("no-token", "Sec-WebSocket-Protocol: chat, a/b"),
            ("quoted", "Sec-WebSocket-Protocol: \"chat\""),
            ("blanks", "Sec-WebSocket-Protocol: chat superchat"),
            ("a-field", "Sec-WebSocket-Protocol: chat: X-Injected"),
        ] {
            rows.push(
                row(
                    format!("injection/subprotocol-{name}/{dialect}"),
                    "6.7: a subprotocol is a list of tokens; refused, or not offered to the backend",
                )
                .speaks(dialect)
                .client([say(opening_with(dialect, &[value]))])
                .safe([any([never(), all([answered(101), never_gets(value)])])]),
            );
        }
    }
    for dialect in HIXIE {
        let header = if dialect == Dialect::Hixie75 { "WebSocket-Protocol" } else { "Sec-WebSocket-Protocol" };
        let value = "a: b; X-Injected=\"yes\" \\ <c>";
        rows.push(
            row(
                format!("injection/subprotocol-opaque/{dialect}"),
                "3.1, 9.2: an opaque string comes back as it is; of it only tokens are offered to the backend",
            )
            .speaks(dialect)
            .client([say(opening_with(dialect, &[&format!("{header}: {value}")]))])
            .safe([
                answered(101),
                hears(format!("\r\n{header}: {value}\r\n")),
                never_gets_in_any_case("X-Injected="),
                never_gets(value),
            ]),
        );
    }
    rows
}

/// From a backend's consent into the client's answer.
fn into_consents() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let subprotocol =
            if dialect == Dialect::Hixie75 { "WebSocket-Protocol: chat" } else { "Sec-WebSocket-Protocol: chat" };
        let start = "HTTP/1.1 101 Switching Protocols";
        let fields = "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n";
        for (name, bytes) in BAD {
            for (place, head) in [
                ("reason", [start.as_bytes(), bytes, fields.as_bytes(), b"\r\n"].concat()),
                (
                    "subprotocol",
                    [start, fields, "Sec-WebSocket-Protocol: chat"]
                        .concat()
                        .bytes()
                        .chain(bytes.iter().copied())
                        .chain(*b"\r\n\r\n")
                        .collect(),
                ),
                (
                    "cookie",
                    [start, fields, "Set-Cookie: a=b"]
                        .concat()
                        .bytes()
                        .chain(bytes.iter().copied())
                        .chain(*b"\r\n\r\n")
                        .collect(),
                ),
                (
                    "name",
                    [start, fields, "Set-Cookie"]
                        .concat()
                        .bytes()
                        .chain(bytes.iter().copied())
                        .chain(*b": c\r\n\r\n")
                        .collect(),
                ),
            ] {
                rows.push(
                    row(
                        format!("injection/{name}-in-consents-{place}/{dialect}"),
                        "11.5, 11.10, RFC 9110 5.5: a backend's answer brings a line or a control along; 502, or cleaned",
                    )
                    .speaks(dialect)
                    .client([say(opening_with(dialect, &[subprotocol])), Step::HearHead])
                    .backend([say([&head[..], &plain(TEXT, "hello")].concat())])
                    .safe([any([refused(&[500, 502, 503]), answered(101)]), never_hears_raw(name, bytes)]),
                );
            }
        }
        for (name, value) in [("latin-1", &b"a=\xe4"[..]), ("no-utf-8", b"a=\xff\xfe"), ("nothing", b"")] {
            let field = [b"Set-Cookie: ", value].concat();
            rows.push(
                row(
                    format!("injection/{name}-in-consents-cookie/{dialect}"),
                    "2, 2.10: old WebKits fail on a value that is empty or no UTF-8; a backend's goes no further, or is refused",
                )
                .speaks(dialect)
                .client([say(opening(dialect)), Step::HearHead])
                .backend([say([start.as_bytes(), fields.as_bytes(), &field, b"\r\n\r\n"].concat())])
                .safe([any([refused(&[500, 502, 503]), answered(101)]), never_hears([&field, &b"\r\n"[..]].concat())]),
            );
        }
        rows.push(
            row(
                format!("injection/handshake-fields-in-consent/{dialect}"),
                "11.10: what belongs to the handshake or to one hop is the proxy's to say, never the backend's",
            )
            .speaks(dialect)
            .client([say(opening(dialect))])
            .backend([consent_with(&[
                "Sec-WebSocket-Location: ws://evil.example/",
                "WebSocket-Location: ws://evil.example/",
                "Sec-WebSocket-Origin: http://evil.example",
                "WebSocket-Origin: http://evil.example",
                "Keep-Alive: evil.example",
                "Proxy-Authenticate: evil.example",
                "Sec-WebSocket-Version: 99",
                "Connection: Upgrade, X-Hop",
                "X-Hop: evil.example",
            ])])
            .safe([
                any([refused(&[502]), answered(101)]),
                never_hears("evil.example"),
                never_hears("Version: 99"),
            ]),
        );
    }
    rows
}

/// From a backend's refusal into the client's.
fn into_refusals() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let start = "HTTP/1.1 401 Unauthorized";
        for (name, bytes) in BAD {
            let with = |before: &str, after: &str| [before.as_bytes(), bytes, after.as_bytes()].concat();
            for (place, head) in [
                ("reason", with(start, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")),
                (
                    "location",
                    with(&format!("{start}\r\nLocation: /a"), "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                ),
                (
                    "www-authenticate",
                    with(
                        &format!("{start}\r\nWWW-Authenticate: Basic"),
                        "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                    ),
                ),
                (
                    "cookie",
                    with(&format!("{start}\r\nSet-Cookie: a=b"), "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                ),
                (
                    "name",
                    with(&format!("{start}\r\nSet-Cookie"), ": c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                ),
            ] {
                rows.push(
                    row(
                        format!("injection/{name}-in-refusals-{place}/{}", kind_name(kind)),
                        "11.5, RFC 9112 2.2, 5.2, RFC 9110 5.5: a backend's refusal brings a line or a control along; 502, or cleaned",
                    )
                    .client([say(asking(kind, &[])), Step::HearHead])
                    .backend([say(head), Step::Finish])
                    .safe([any([refused(&[]), bad_gateway(), hears_answers(&[(401, "")])]), never_hears_raw(name, bytes)]),
                );
            }
        }
        rows.push(
            row(
                format!("injection/8-bit-in-refusals-reason/{}", kind_name(kind)),
                "2: bytes that are no text in a reason phrase; refused or passed on, in one answer that is whole",
            )
            .client([say(asking(kind, &[]))])
            .backend([
                say(b"HTTP/1.1 401 \xff\xfe\xe4\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                Step::Finish,
            ])
            .safe([any([refused(&[]), bad_gateway(), hears_answers(&[(401, "")])])]),
        );
    }
    rows
}

/// Headers named in Connection.
fn named() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let head = opening(dialect);
        for name in [
            "Host",
            "Origin",
            "Sec-WebSocket-Origin",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Key1",
            "Upgrade",
            "Connection",
            "close",
            "X-Forwarded-For",
            "Cookie",
            "GET",
        ] {
            rows.push(
                row(
                    format!("injection/connection-names-{}/{dialect}", name.to_lowercase()),
                    "9.1, RFC 9110 7.6.1: a client names in Connection what the backend must see; the handshake stays whole",
                )
                .speaks(dialect)
                .client([say(swapped(&head, "Upgrade\r\n", format!("Upgrade, {name}\r\n")))])
                .safe([
                    any([never(), all([answered(101), gets("http://tv.example"), gets_in_any_case("Host: "), gets_in_any_case("Sec-WebSocket-Key: "), gets_in_any_case("Sec-WebSocket-Version: 13")])]),
                ]),
            );
        }
    }
    for (name, frames, body) in [
        ("host", "Content-Length: 5", "hello"),
        ("content-length", "Content-Length: 5", "hello"),
        ("transfer-encoding", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("content-type", "Content-Length: 5", "hello"),
        ("keep-alive", "Content-Length: 5", "hello"),
    ] {
        let head = request("POST /{TAG} HTTP/1.1", &["Host: tv.example", frames, &format!("Connection: {name}")]);
        rows.push(
            row(
                format!("injection/connection-names-{name}/plain"),
                "RFC 9110 7.6.1: a client names in Connection what frames or routes the request; it stays whole, or is refused",
            )
            .client([say([&head[..], body.as_bytes()].concat())])
            .safe([framed(), any([never(), all([answered(200), requests(1), gets("hello"), gets_in_any_case("Host: ")])])]),
        );
    }
    for kind in KINDS {
        let head = asking(kind, &[b"X-Forwarded-For: 6.6.6.6", b"Connection: X-Forwarded-For, X-Real-IP, Forwarded"]);
        rows.push(
            row(
                format!("injection/connection-names-claims/{}", kind_name(kind)),
                "11.5: a client names in Connection what the proxy says of it; it is said all the same, or nothing is",
            )
            .sends(kind)
            .client([say(head)])
            .safe([any([never(), requests(1)]), never_gets("6.6.6.6")]),
        );
    }
    rows
}

/// What only a trusted front could know.
fn claims() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        for (name, lines) in [
            ("x-forwarded-for", &["X-Forwarded-For: 6.6.6.6"][..]),
            ("x-forwarded-for-twice", &["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 127.0.0.1, 6.6.6.6"]),
            ("small-x-forwarded-for", &["x-forwarded-for: 6.6.6.6"]),
            ("x-underscore-forwarded-for", &["X_Forwarded_For: 6.6.6.6"]),
            ("x-forwarded-for-local", &["X-Forwarded-For: 127.0.0.1, ::1, 6.6.6.6"]),
            ("forwarded", &["Forwarded: for=6.6.6.6;host=evil.example;proto=https"]),
            ("forwarded-quoted", &["Forwarded: for=\"[::6.6.6.6]:1\";by=_evil.example"]),
            ("x-real-ip", &["X-Real-IP: 6.6.6.6"]),
            ("x-forwarded-host", &["X-Forwarded-Host: evil.example"]),
            ("x-forwarded-proto-and-port", &["X-Forwarded-Proto: https", "X-Forwarded-Port: 666"]),
        ] {
            let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            rows.push(
                row(
                    format!("injection/claim-{name}/{}", kind_name(kind)),
                    "11.5, 3.3: an untrusted client says who it is and how it came; neither the backend nor Location hears of it",
                )
                .sends(kind)
                .client([say(asking(kind, &lines))])
                .safe([
                    answered(if kind.is_some() { 101 } else { 200 }),
                    never_gets("6.6.6.6"),
                    never_gets("evil.example"),
                    never_gets("https"),
                    never_gets(" 666"),
                    never_hears("evil.example"),
                    never_hears("wss:"),
                    never_hears(":666"),
                ]),
            );
        }
        rows.push(
            row(
                format!("injection/proxy-header/{}", kind_name(kind)),
                "RFC 3875 4.1.18: Proxy becomes HTTP_PROXY at a CGI backend, which then asks the attacker; it does not go on",
            )
            .sends(kind)
            .client([say(asking(kind, &[b"Proxy: http://evil.example:8080/"]))])
            .safe([any([never(), requests(1)]), never_gets("evil.example")]),
        );
    }
    rows
}

/// Fields of the handshake that are not the client's to say.
fn forged() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        rows.push(
            row(
                format!("injection/extensions-that-hide-frames/{dialect}"),
                "7: extensions that hide frames never pass, whatever else is offered",
            )
            .speaks(dialect)
            .client([say(opening_with(
                dialect,
                &["Sec-WebSocket-Extensions: deflate-stream, x-google-mux, mux; quota=1"],
            ))])
            .safe([answered(101), never_gets("deflate-stream"), never_gets("mux")]),
        );
        if dialect != Dialect::Rfc6455 {
            rows.push(
                row(
                    format!("injection/extensions-of-old-clients/{dialect}"),
                    "7, 9.1: what an old client offers is none of RFC 6455's; nothing is offered to the backend",
                )
                .speaks(dialect)
                .client([say(opening_with(dialect, &["Sec-WebSocket-Extensions: permessage-deflate"]))])
                .safe([answered(101), never_gets_in_any_case("Extensions"), never_hears("Extensions")]),
            );
        }
        rows.push(
            row(
                format!("injection/handshake-fields-of-others/{dialect}"),
                "9.1: of the client's Sec-WebSocket fields none goes on but what was understood",
            )
            .speaks(dialect)
            .client([say(opening_with(
                dialect,
                &[
                    "Sec-WebSocket-Accept: forged",
                    "Sec-WebSocket-Location: ws://forged/",
                    "WebSocket-Location: ws://forged/",
                    "Sec-WebSocket-Nonce: forged",
                ],
            ))])
            .safe([any([never(), all([answered(101), never_gets("forged")])]), never_hears("forged")]),
        );
    }
    rows
}
