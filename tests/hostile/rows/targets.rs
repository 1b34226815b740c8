//! Request targets, hosts, methods and protocols that are not for us (dialects.md 11.4, 13).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, Dialect};

pub fn rows() -> Vec<Row> {
    [upgrades(), versions(), absolutes(), forms(), hosts(), characters(), methods(), foreign()]
        .into_iter()
        .flatten()
        .collect()
}

fn never() -> Check {
    all([turned_away(), untouched()])
}

fn status_of(kind: Option<Dialect>) -> u16 {
    if kind.is_some() { 101 } else { 200 }
}

/// 11.4: other protocols to upgrade to.
fn upgrades() -> Vec<Row> {
    let h2c = [
        "Host: tv.example",
        "Upgrade: h2c",
        "Connection: Upgrade, HTTP2-Settings",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    ];
    let switching =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut rows = Vec::new();
    let why = "11.4: an upgrade to HTTP/2 in clear text, through which requests pass unseen; never forwarded";
    rows.push(row("targets/h2c", why).client([say(request("GET /{TAG} HTTP/1.1", &h2c))]).safe([
        any([answered(200), turned_away()]),
        never_gets("h2c"),
        never_gets("AAMAAA"),
        not_opened(),
    ]));
    rows.push(
        row("targets/h2c-not-named-in-connection", why)
            .client([say(request("GET /{TAG} HTTP/1.1", &[h2c[0], h2c[1], "Connection: Upgrade", h2c[3]]))])
            .safe([any([answered(200), turned_away()]), never_gets("h2c"), never_gets("AAMAAA")]),
    );
    rows.push(
        row("targets/h2c-without-connection", why)
            .client([say(request("GET /{TAG} HTTP/1.1", &[h2c[0], h2c[1], h2c[3]]))])
            .safe([any([answered(200), turned_away()]), never_gets("h2c"), never_gets("AAMAAA")]),
    );
    for method in ["GET", "POST", "OPTIONS"] {
        rows.push(
            row(format!("targets/h2c-and-the-backend-agrees-to-{method}"), why)
                .client([
                    say(request(&format!("{method} /{{TAG}} HTTP/1.1"), &h2c)),
                    Step::HearHead,
                    say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
                ])
                .backend([say(switching)])
                .safe([refused(&[]), never_gets("SM\r\n")]),
        );
    }
    for dialect in ALL {
        let head = opening(dialect);
        let upgrade =
            if memchr::memmem::find(&head, b"Upgrade: WebSocket").is_some() { "WebSocket" } else { "websocket" };
        for (name, value) in [("behind", format!("{upgrade}, h2c")), ("before", format!("h2c, {upgrade}"))] {
            let bytes = swapped(&head, format!("Upgrade: {upgrade}\r\n"), format!("Upgrade: {value}\r\n"));
            rows.push(
                row(
                    format!("targets/websocket-with-h2c-{name}/{dialect}"),
                    "11.4, 13.4: of several protocols only websocket goes on",
                )
                .speaks(dialect)
                .client([say(bytes)])
                .safe([answered(101), never_gets("h2c"), never_hears("h2c")]),
            );
        }
        rows.push(
            row(
                format!("targets/websocket-with-h2c-in-lines/{dialect}"),
                "11.4, 13.4: of several protocols only websocket goes on",
            )
            .speaks(dialect)
            .client([say(opening_with(dialect, &["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]))])
            .safe([answered(101), never_gets("h2c"), never_gets("AAMAAA"), never_hears("h2c")]),
        );
    }
    rows
}

/// Versions of HTTP.
fn versions() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let head = asking(kind, &[]);
        for version in [
            "HTTP/2.0",
            "HTTP/3.0",
            "HTTP/9.9",
            "HTTP/0.9",
            "HTTP/1.10",
            "HTTP/01.1",
            "HTTP/1.01",
            "HTTP/11",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "http/1.1",
            "HTTP/1,1",
            "HTTP/1.1x",
            "HTTP/-1.1",
            "HTTPS/1.1",
            "RTSP/1.0",
            "ICE/1.0",
            "HTTP /1.1",
            "HTTP/1.1 x",
            "\0",
        ] {
            // HTTP/1.10 is no version at all, but one that some take for 1.1: only what then goes on must be one.
            let name = version.replace('/', "-").replace(' ', "-blank-").replace('\0', "nul").to_lowercase();
            let name = if version.starts_with("http") { format!("small-{name}") } else { name };
            rows.push(
                row(
                    format!("targets/version-{name}/{}", kind_name(kind)),
                    "13.2 #4, RFC 9112 2.3: a version that is none, or not ours; refused",
                )
                .client([say(swapped(&head, "HTTP/1.1", version)), pause(30), Step::Finish])
                .safe([never()]),
            );
        }
        let downgraded = swapped(&head, "HTTP/1.1", "HTTP/1.0");
        rows.push(match kind {
            Some(dialect) => {
                row(format!("targets/version-http-1.0/{dialect}"), "13.2 #4: somebody on the way downgraded it; 400")
                    .client([say(downgraded)])
                    .safe([any([refused(&[400, 426, 505]), dropped()]), untouched()])
            }
            None => row("targets/version-http-1.0/plain", "RFC 9110 6.2: an old client is served, and closed")
                .client([say(downgraded)])
                .safe([answered(200), requests(1), ended(), hears("ordinary")]),
        });
        rows.push(
            row(
                format!("targets/version-http-1.2/{}", kind_name(kind)),
                "13.2 #4, RFC 9110 2.5: a higher minor version is served as the one we know, or refused; it does not go on",
            )
            .sends(kind)
            .client([say(swapped(&head, "HTTP/1.1", "HTTP/1.2"))])
            .safe([any([answered(status_of(kind)), never()]), never_gets("HTTP/1.2"), never_hears("HTTP/1.2")]),
        );
        let end = memchr::memmem::find(&head, b" HTTP/1.1").expect("a version");
        for (name, bytes) in [
            ("none", [&head[..end], &head[end + 9..]].concat()),
            ("none-but-a-blank", [&head[..end + 1], &head[end + 9..]].concat()),
            ("http-0.9", [&head[..end], b"\r\n"].concat()),
            ("http-0.9-and-a-blank-line", [&head[..end], b"\r\n\r\n"].concat()),
        ] {
            rows.push(
                row(
                    format!("targets/version-{name}/{}", kind_name(kind)),
                    "RFC 9112 2.3, 3: without a version it is HTTP/0.9 or nothing; refused",
                )
                .client([say(bytes), pause(30), Step::Finish])
                .safe([never()]),
            );
        }
    }
    rows
}

/// 13.4: targets with a host of their own.
fn absolutes() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let head = asking(kind, &[]);
        let kind_of = kind_name(kind);
        let with = |target: &str| swapped(&head, "GET /{TAG}", format!("GET {target}"));
        for (name, target) in [
            ("http", "http://tv.example:8080/{TAG}"),
            ("capitals", "HTTP://TV.EXAMPLE:8080/{TAG}"),
            ("ws", "ws://tv.example:8080/{TAG}"),
        ] {
            rows.push(
                row(
                    format!("targets/absolute-{name}/{kind_of}"),
                    "13.4, RFC 9112 3.2.2: a target with this host is reduced to its path, or refused; in Location it is never doubled",
                )
                .sends(kind)
                .client([say(with(target))])
                .safe([
                    any([all([answered(status_of(kind)), if kind.is_some() { gets("GET /row-") } else { requests(1) }]), never()]),
                    never_hears("8080http"),
                    never_hears("8080ws"),
                    never_hears("8080HTTP"),
                ]),
            );
        }
        for (name, target) in [
            ("another-host", "http://internal/{TAG}"),
            ("another-port", "http://tv.example:22/{TAG}"),
            ("userinfo", "http://tv.example:8080@internal/{TAG}"),
            ("userinfo-of-this-host", "http://admin@tv.example:8080/{TAG}"),
            ("ftp", "ftp://tv.example:8080/{TAG}"),
            ("file", "file:///{TAG}"),
            ("gopher", "gopher://tv.example:8080/{TAG}"),
            ("no-host", "http:///{TAG}"),
            ("one-slash", "http:/{TAG}"),
            ("no-slash", "http:{TAG}"),
            ("two-ports", "http://tv.example:8080:80/{TAG}"),
            ("backslash", "http://tv.example:8080\\@internal/{TAG}"),
            ("unix", "http://unix:%2frun%2fsecret.sock:/{TAG}"),
        ] {
            // RFC 9112 3.2.2 would have the target's host win over Host; 13.4 would rather refuse. Both together do not go on.
            let wins = all([
                answered(status_of(kind)),
                requests(1),
                never_gets_in_any_case("Host: tv.example:8080\r\n"),
                never_gets("@"),
            ]);
            rows.push(
                row(
                    format!("targets/absolute-{name}/{kind_of}"),
                    "13.4, RFC 9112 3.2.2: a target with another host than Host's, or none; refused, or its host wins alone",
                )
                .sends(kind)
                .client([say(with(target))])
                .safe([if kind.is_some() { never() } else { any([never(), wins]) }]),
            );
        }
    }
    rows
}

/// Targets that are neither a path nor a URL.
fn forms() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let marked = asking(kind, &[b"X-Mark: {TAG}"]);
        for (name, target) in [
            ("authority", "tv.example:8080"),
            ("asterisk", "*"),
            ("no-slash", "{TAG}"),
            ("query-alone", "?{TAG}"),
            ("dots", "../{TAG}"),
            ("backslash", "\\{TAG}"),
            ("fragment-alone", "#{TAG}"),
            ("scheme-less", "@internal/{TAG}"),
            ("percent", "%2f{TAG}"),
        ] {
            rows.push(
                row(
                    format!("targets/form-{name}/{}", kind_name(kind)),
                    "RFC 9112 3.2: a target that is no path; refused",
                )
                .client([say(swapped(&marked, "/{TAG}", target))])
                .safe([never()]),
            );
        }
        rows.push(
            row(format!("targets/fragment/{}", kind_name(kind)), "2.1: a fragment never goes on, nor into Location")
                .sends(kind)
                .client([say(swapped(&marked, "/{TAG}", "/{TAG}#fragment"))])
                .safe([any([never(), answered(status_of(kind))]), never_gets("#fragment"), never_hears("#fragment")]),
        );
    }
    for (name, first) in [
        ("a-name", "CONNECT {TAG}.internal:443 HTTP/1.1"),
        ("an-address", "CONNECT 127.0.0.1:22 HTTP/1.1"),
        ("a-path", "CONNECT /{TAG} HTTP/1.1"),
        ("a-url", "CONNECT http://tv.example/{TAG} HTTP/1.1"),
    ] {
        rows.push(
            row(format!("targets/connect-{name}"), "RFC 9110 9.3.6: a tunnel to anywhere; refused")
                .client([say(request(first, &["Host: tv.example", "X-Mark: {TAG}"])), pause(30), say("SSH-2.0-x\r\n")])
                .safe([never()]),
        );
    }
    rows.push(
        row(
            "targets/connect-and-the-backend-agrees",
            "RFC 9110 9.3.6: a tunnel to anywhere; refused, whoever would agree",
        )
        .client([
            say(request("CONNECT {TAG}.internal:443 HTTP/1.1", &["Host: tv.example"])),
            Step::HearHead,
            say("SSH-2.0-x\r\n"),
        ])
        .backend([say("HTTP/1.1 200 Connection established\r\n\r\n")])
        .safe([never()]),
    );
    rows.push(
        row("targets/options-asterisk", "RFC 9110 9.3.7: it asks about the server itself; answered or refused")
            .client([say(request("OPTIONS * HTTP/1.1", &["Host: tv.example", "X-Mark: {TAG}"]))])
            .safe([any([answered(200), answered(204), turned_away()]), not_opened()]),
    );
    rows
}

/// Hosts that are none.
fn hosts() -> Vec<Row> {
    let table: [(&str, &[u8]); 27] = [
        ("userinfo", b"admin@tv.example"),
        ("blank", b"tv example"),
        ("tab", b"tv\texample"),
        ("two", b"tv.example, internal"),
        ("path", b"tv.example/internal"),
        ("query", b"tv.example?internal"),
        ("fragment", b"tv.example#internal"),
        ("backslash", b"tv.example\\internal"),
        ("scheme", b"http://tv.example"),
        ("two-ports", b"tv.example:80:80"),
        ("port-of-letters", b"tv.example:http"),
        ("port-minus", b"tv.example:-1"),
        ("port-plus", b"tv.example:+80"),
        ("port-overflow", b"tv.example:4294967376"),
        ("port-alone", b":80"),
        ("open-bracket", b"[::1"),
        ("bracket-and-more", b"[::1]x"),
        ("bracket-of-letters", b"[gggg]"),
        ("empty-brackets", b"[]"),
        ("brackets-and-bad-port", b"[::1]:x"),
        ("zone-with-path", b"[fe80::1%25/x]"),
        ("angle", b"<script>"),
        ("quote", b"tv\"example"),
        ("control", b"tv\x01example"),
        ("del", b"tv\x7fexample"),
        ("8-bit", b"tv\xe4example"),
        ("nul", b"tv.example\0"),
    ];
    let mut rows = Vec::new();
    for kind in KINDS {
        for (name, host) in table {
            rows.push(
                row(
                    format!("targets/host-{name}/{}", kind_name(kind)),
                    "11.5, 13.2 #1, RFC 9112 3.2: a Host that is no host and port, which is reflected in Location; refused",
                )
                .client([say(swapped(&asking(kind, &[]), "tv.example:8080", host))])
                .safe([never()]),
            );
        }
    }
    rows
}

/// Characters in targets.
fn characters() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let head = asking(kind, &[]);
        let with = |bytes: &[u8]| swapped(&head, "/{TAG}", [b"/{TAG}", bytes].concat());
        for (name, bytes) in [
            ("nul", &b"\0x"[..]),
            ("control-1", b"\x01x"),
            ("tab", b"\tx"),
            ("cr", b"\rx"),
            ("lf", b"\nX: y"),
            ("esc", b"\x1b[2J"),
            ("del", b"\x7f"),
            ("blank", b" x"),
            ("blank-and-a-version", b" HTTP/1.1 x"),
            ("control-in-the-query", b"?a=\x01"),
        ] {
            let rule = if kind.is_none() && name == "lf" { any([never(), hides_nothing("X: y")]) } else { never() };
            rows.push(
                row(
                    format!("targets/with-{name}/{}", kind_name(kind)),
                    "11.5, 13.2 #1, RFC 9112 3.2: a control or a blank in the target; refused",
                )
                .client([say(with(bytes)), pause(30), Step::Finish])
                .safe([rule]),
            );
        }
        for (name, bytes) in [
            ("latin-1", &b"\xe4"[..]),
            ("no-utf-8", b"\xff\xfe"),
            ("overlong", b"\xc0\xaf"),
            ("surrogate", b"\xed\xa0\x80"),
        ] {
            rows.push(
                row(
                    format!("targets/with-{name}/{}", kind_name(kind)),
                    "11.5, 2: bytes that are no text in the target; refused, or escaped, and never in Location",
                )
                .sends(kind)
                .client([say(with(bytes))])
                .safe([any([never(), answered(status_of(kind))]), never_hears(bytes)]),
            );
        }
        for (name, text) in [("utf-8", "ä"), ("angles", "<a>"), ("quotes", "\"'"), ("braces", "{|}"), ("caret", "^`\\")]
        {
            rows.push(
                row(
                    format!("targets/with-{name}/{}", kind_name(kind)),
                    "3.3: what no URI should have, but some clients send; refused, or passed on as it is or escaped, once",
                )
                .sends(kind)
                .client([say(with(text.as_bytes()))])
                .safe([any([never(), all([answered(status_of(kind)), requests(1)])])]),
            );
        }
    }
    rows
}

fn methods() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, method) in [
        ("empty", ""),
        ("bracketed", "[GET]"),
        ("with-a-colon", "GET:"),
        ("with-a-slash", "GE/T"),
        ("8-bit", "GÄT"),
        ("quoted", "\"GET\""),
        ("control", "G\x01T"),
    ] {
        rows.push(
            row(format!("targets/method-{name}"), "RFC 9110 9.1, 5.6.2: a method is a token; refused")
                .client([say(request(&format!("{method} /{{TAG}} HTTP/1.1"), &["Host: tv.example"]))])
                .safe([never()]),
        );
    }
    for method in ["get", "Get", "TRACE", "TRACK", "DEBUG", "PURGE", "PROPFIND", "X-UNKNOWN"] {
        rows.push(
            row(
                format!("targets/method-{method}"),
                "RFC 9110 9.1, 9.3.8: an odd method goes on as it is or is refused; nothing of the request comes back",
            )
            .client([say(request(&format!("{method} /{{TAG}} HTTP/1.1"), &["Host: tv.example", "Cookie: a=secret"]))])
            .safe([
                any([answered(200), turned_away()]),
                any([untouched(), gets(format!("{method} /"))]),
                never_hears("secret"),
            ]),
        );
    }
    rows
}

/// 13.1: what is no HTTP/1.
fn foreign() -> Vec<Row> {
    let get = "GET /{TAG} HTTP/1.1\r\nHost: tv.example\r\n\r\n";
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x06\x06\x06\x06\x7f\0\0\x01\x12\x34\0\x50";
    let table: [(&str, Vec<u8>); 24] = [
        ("http-2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("http-2-and-a-request", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", get.as_bytes()].concat()),
        ("http-2-without-sm", [b"PRI * HTTP/2.0\r\n\r\n", get.as_bytes()].concat()),
        ("pri-with-http-1.1", request("PRI * HTTP/1.1", &["Host: tv.example", "X-Mark: {TAG}"])),
        ("proxy-v1", format!("PROXY TCP4 6.6.6.6 127.0.0.1 1 80\r\n{get}").into_bytes()),
        ("proxy-v1-unknown", format!("PROXY UNKNOWN\r\n{get}").into_bytes()),
        ("proxy-v2", [&v2[..], get.as_bytes()].concat()),
        ("proxy-v2-local", [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", get.as_bytes()].concat()),
        (
            "tls-1.2",
            b"\x16\x03\x01\0\x40\x01\0\0\x3c\x03\x03{TAG}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                .to_vec(),
        ),
        (
            "tls-1.0",
            b"\x16\x03\x00\0\x2f\x01\0\0\x2b\x03\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec(),
        ),
        ("sslv2", b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10\x01\0\x80\x07\0\xc0\x03\0\x80aaaaaaaaaaaaaaaa".to_vec()),
        ("flash-policy", b"<policy-file-request/>\0".to_vec()),
        ("smtp", b"EHLO {TAG}\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n".to_vec()),
        ("resp", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n{TAG}\r\n".to_vec()),
        ("redis-inline", b"SET a {TAG}\r\n\r\n".to_vec()),
        ("memcached", b"set {TAG} 0 60 5\r\nhello\r\n\r\n".to_vec()),
        ("ssh", b"SSH-2.0-{TAG}\r\n\r\n".to_vec()),
        ("ftp", b"USER {TAG}\r\nPASS x\r\n\r\n".to_vec()),
        ("socks-5", b"\x05\x01\0".to_vec()),
        ("rdp", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0".to_vec()),
        ("a-hybi-frame", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()),
        ("a-hixie-frame", b"\0hello\xff".to_vec()),
        ("a-hixie-close", b"\xff\0".to_vec()),
        ("an-answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Mark: {TAG}\r\n\r\n".to_vec()),
    ];
    let mut rows = Vec::new();
    for (name, bytes) in table {
        let alert = check("the client hears a TLS alert and the end", |seen| {
            seen.client_end.is_some() && seen.client.starts_with(b"\x15\x03") && seen.client.len() == 7
        });
        rows.push(
            row(
                format!("targets/foreign-{name}"),
                "13.1: another protocol at this port; turned away, and the backend hears nothing, neither of a request behind it",
            )
            .client([say(bytes), pause(30), Step::Finish])
            .safe([any([turned_away(), alert]), untouched()]),
        );
    }
    rows
}
