//! Requests hidden behind an opening handshake that fails (dialects.md 11.2).

use crate::judge::*;
use crate::row::*;
use crate::support::ALL;

/// What an attacker hopes reaches the backend as a request of its own.
const SECRET: &str = "GET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n";

pub fn rows() -> Vec<Row> {
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
    rows.push(
        row(
            "smuggling/101-to-a-post",
            "11.2: a POST is no opening handshake, whatever the backend answers; no tunnel opens",
        )
        .client([
            say(request(&format!("POST /{TAG} HTTP/1.1"), &["Host: tv.example", "Content-Length: 0"])),
            Step::HearHead,
            say(SECRET),
        ])
        .backend([say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")])
        .safe([refused(&[502]), never_gets("/secret")]),
    );
    rows
}
