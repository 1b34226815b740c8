//! Requests hidden behind an opening handshake that fails (dialects.md 11.2).

use std::time::Duration;

use Step::HearHead;

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, HYBI, TEXT, plain};

/// What an attacker hopes reaches the backend as a request of its own.
const SECRET: &str = "GET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n";

pub fn rows() -> Vec<Row> {
    [refusals(), later(), false_consents(), odd_consents(), heads_before_consent(), unasked(), handshakes_of_others()]
        .into_iter()
        .flatten()
        .collect()
}

fn refusals() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        for (name, answer) in [
            ("200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ("400", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            (
                "426",
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
            ),
        ] {
            rows.push(
                row(
                    format!("smuggling/backend-answers-{name}/{dialect}"),
                    "11.2: the backend refuses, and the client goes on as if it had a tunnel; nothing but the head may reach it",
                )
                .speaks(dialect)
                .client([say(opening(dialect)), say(SECRET)])
                .backend([say(answer)])
                .safe([refused(&[]), any([only_a_head(), untouched()])]),
            );
        }
    }
    rows
}

/// The client waits for the refusal before it goes on.
fn later() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        for (status, answer) in [
            (200, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            (200, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            (200, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"),
            (204, "HTTP/1.1 204 No Content\r\n\r\n"),
            (301, "HTTP/1.1 301 Moved Permanently\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"),
            (304, "HTTP/1.1 304 Not Modified\r\n\r\n"),
            (
                401,
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"tv\"\r\nContent-Length: 5\r\n\r\nlogin",
            ),
            (403, "HTTP/1.1 403 Forbidden\r\nContent-Length: 101\r\n\r\n"),
            (426, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
            (500, "HTTP/1.1 500 Internal Server Error\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        ] {
            let number = rows.len() % 10;
            rows.push(
                row(
                    format!("smuggling/then-after-{status}-{number}/{dialect}"),
                    "11.2: once it has heard that the backend refuses, the client goes on as if it had a tunnel; there is none",
                )
                .speaks(dialect)
                .client([say(opening(dialect)), HearHead, pause(50), say(SECRET)])
                .backend([say(answer)])
                // A redirection or a refusal and the end (9.1), or an ordinary answer and then an ordinary request.
                .safe([not_opened(), refused_or_answered(status), hides_nothing("/secret")]),
            );
        }
    }
    rows
}

fn refused_or_answered(status: u16) -> Check {
    let as_it_is = check(format!("the client hears {status} as a well framed answer"), move |seen| {
        let heard = seen.answers();
        heard.whole.first().is_some_and(|(first, _)| *first == status) && (heard.rest.is_empty() || status == 403)
    });
    any([refused(&[]), as_it_is, all([answered(status), ended(), bare(status)])])
}

/// Not even a redirection that says that it is one may hold a body where none can be (RFC 9110 §15.4.5).
fn bare(status: u16) -> Check {
    check("with no body where none can be", move |seen| status != 304 || seen.client.ends_with(b"\r\n\r\n"))
}

/// Answers that only look like consent.
fn false_consents() -> Vec<Row> {
    const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n";
    let table: [(&str, &str); 14] = [
        ("without-accept", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        (
            "with-a-wrong-accept",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
        ),
        ("with-an-empty-accept", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept:\r\n"),
        (
            "with-the-accept-of-the-clients-key",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        ),
        (
            "with-two-accepts",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
        ),
        ("without-upgrade", "Connection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n"),
        ("to-h2c", "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n"),
        ("to-tls", "Upgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n"),
        ("without-connection", "Upgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n"),
        ("with-connection-close", "Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: {ACCEPT}\r\n"),
        (
            "with-an-unasked-extension",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        ),
        (
            "with-an-unasked-subprotocol",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n",
        ),
        (
            "with-two-unasked-subprotocols",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n",
        ),
        ("with-nothing-else", ""),
    ];
    let mut rows = Vec::new();
    for dialect in ALL {
        for (name, lines) in table {
            if name.contains("clients-key") && !HYBI.contains(&dialect) {
                continue;
            }
            rows.push(
                row(
                    format!("smuggling/101-{name}/{dialect}"),
                    "11.2, RFC 6455 4.1: a 101 that proves nothing, or agrees to what nobody asked, is no consent; no tunnel opens",
                )
                .speaks(dialect)
                .client([say(opening(dialect)), HearHead, say(SECRET)])
                .backend([say(format!("{SWITCHING}{lines}\r\n"))])
                .safe([refused(&[]), only_a_head()]),
            );
        }
    }
    rows
}

/// Consents that are odd but proven: they may be taken or not, but never be handed on as they are.
fn odd_consents() -> Vec<Row> {
    let usual = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n";
    let mut rows = Vec::new();
    for dialect in ALL {
        for (name, first, line, never) in [
            ("with-a-length", "HTTP/1.1 101 Switching Protocols", "Content-Length: 40\r\n", "ontent-"),
            ("with-a-length-of-0", "HTTP/1.1 101 Switching Protocols", "Content-Length: 0\r\n", "ontent-"),
            ("with-chunks", "HTTP/1.1 101 Switching Protocols", "Transfer-Encoding: chunked\r\n", "ransfer-"),
            ("in-http-1.0", "HTTP/1.0 101 Switching Protocols", "", "HTTP/1.0"),
        ] {
            let opens = all([answered(101), hears_messages(&["hello"]), never_hears(never)]);
            rows.push(
                row(
                    format!("smuggling/101-{name}/{dialect}"),
                    "11.10, RFC 9112 6.1: a 101 has no body; refused, or opened without what says that it has one",
                )
                .speaks(dialect)
                .client([say(opening(dialect)), HearHead])
                .backend([say([format!("{first}\r\n{usual}{line}\r\n").as_bytes(), &plain(TEXT, "hello")].concat())])
                .safe([any([refused(&[]), opens])]),
            );
        }
    }
    rows
}

/// More than one head in the backend's answer.
fn heads_before_consent() -> Vec<Row> {
    let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n";
    let bad = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </early>\r\n\r\n";
    let mut rows = Vec::new();
    for dialect in ALL {
        for (name, answer) in [("a-200", ok), ("a-bad-101", bad), ("a-403", "HTTP/1.1 403 No\r\n\r\n")] {
            rows.push(
                row(
                    format!("smuggling/101-behind-{name}/{dialect}"),
                    "11.2: the first final answer decides; a good 101 behind it is no consent any more",
                )
                .speaks(dialect)
                .client([say(opening(dialect)), HearHead, pause(50), say(SECRET)])
                .backend([say(format!("{answer}{good}"))])
                .safe([not_opened(), any([refused(&[]), answered(200)]), hides_nothing("/secret")]),
            );
        }
        rows.push(
            row(
                format!("smuggling/200-behind-101/{dialect}"),
                "11.2: what follows a 101 is frames, and a second answer is none; the client never hears it",
            )
            .speaks(dialect)
            .client([say(opening(dialect)), HearHead])
            .backend([say(format!("{good}{ok}"))])
            .safe([any([refused(&[]), all([answered(101), ended(), never_hears("200 OK")])])]),
        );
        rows.push(
            row(
                format!("smuggling/103-before-101/{dialect}"),
                "9.1: interim answers are skipped; what they said is not the client's",
            )
            .speaks(dialect)
            .client([say(opening(dialect)), HearHead])
            .backend([say(format!("{hint}HTTP/1.1 100 Continue\r\n\r\n{good}"))])
            .safe([any([refused(&[]), answered(101)]), never_hears("early")]),
        );
        rows.push(
            row(
                format!("smuggling/many-interims-before-101/{dialect}"),
                "9.1: interim answers are skipped, at most a few; the connection opens properly or not at all",
            )
            .speaks(dialect)
            .client([say(opening(dialect)), HearHead])
            .backend([say(format!("{}{good}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(300)))])
            .safe([any([refused(&[]), answered(101)]), never_hears("Processing")]),
        );
    }
    for (name, interim) in [("100", "HTTP/1.1 100 Continue\r\n\r\n"), ("103", hint)] {
        rows.push(
            row(
                format!("smuggling/endless-{name}"),
                "9.1, 11.8: interim answers without end; the client is told that it is no answer, and nothing is kept of them",
            )
            .client([say(opening(crate::support::Dialect::Rfc6455)), HearHead])
            .backend([Step::Pour(interim.repeat(400).into_bytes(), 64 << 20)])
            .safe([refused(&[])])
            .heavy(),
        );
    }
    rows
}

/// A 101 to what was no opening handshake.
fn unasked() -> Vec<Row> {
    let body = "Content-Length: 0";
    let table: [(&str, &str, &[&str]); 8] = [
        ("a-post", "POST /{TAG} HTTP/1.1", &[body]),
        ("a-put", "PUT /{TAG} HTTP/1.1", &[body]),
        ("a-delete", "DELETE /{TAG} HTTP/1.1", &[]),
        ("an-options", "OPTIONS /{TAG} HTTP/1.1", &[]),
        ("a-head", "HEAD /{TAG} HTTP/1.1", &[]),
        ("a-plain-get", "GET /{TAG} HTTP/1.1", &[]),
        ("an-upgrade-to-h2c", "GET /{TAG} HTTP/1.1", &["Connection: Upgrade", "Upgrade: h2c"]),
        ("a-stripped-handshake", "GET /{TAG} HTTP/1.1", &["Upgrade: websockets", "Connection: Upgrade"]),
    ];
    let mut rows = Vec::new();
    for (name, first, lines) in table {
        let told = if name == "a-head" { all([answered(502), ended()]) } else { refused(&[400, 502]) };
        rows.push(
            row(
                format!("smuggling/101-to-{name}"),
                "11.2: this is no opening handshake, whatever the backend answers; no tunnel opens, and every refusal closes",
            )
            .client([
                say(request(first, &[&["Host: tv.example"], lines].concat())),
                HearHead,
                pause(50),
                say(SECRET),
            ])
            .backend([say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")])
            .safe([told, never_gets("/secret")]),
        );
    }
    rows
}

/// What asks for a WebSocket without being an opening handshake, with a request behind it.
fn handshakes_of_others() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        for method in ["POST", "PUT", "HEAD", "OPTIONS", "TRACE", "get"] {
            rows.push(
                row(
                    format!("smuggling/handshake-by-{method}/{dialect}"),
                    "13.2 #3: an opening handshake is a GET; nothing reaches the backend, nor what is behind it",
                )
                .client([say(swapped(&opening(dialect), "GET ", format!("{method} "))), pause(20), say(SECRET)])
                .safe([any([refused(&[400, 405, 501]), dropped()]), untouched()]),
            );
        }
        rows.push(
            row(
                format!("smuggling/handshake-byte-by-byte-then-a-request/{dialect}"),
                "11.2: the backend refuses, however the handshake and what is behind it were cut",
            )
            .speaks(dialect)
            .client([
                say(opening(dialect)),
                pause(30),
                Step::Drip(SECRET.as_bytes().to_vec(), Duration::from_millis(2)),
            ])
            .backend([pause(300), say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")])
            .safe([refused(&[]), any([only_a_head(), untouched()])]),
        );
    }
    rows
}
