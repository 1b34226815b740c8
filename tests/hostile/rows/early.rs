//! What is said before it may be said (dialects.md 11.2, 13.3).

use std::time::Duration;

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, DIGEST, Dialect, HIXIE, HYBI, KEY3, TEXT, opening_head, plain, said};

const SECRET: &str = "GET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n";

pub fn rows() -> Vec<Row> {
    [frames(), hidden(), floods(), third_keys(), stripped(), pipelined(), bodies()].into_iter().flatten().collect()
}

/// Frames right behind the handshake.
fn frames() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let glued = [opening(dialect), said(dialect, "one"), said(dialect, "two")].concat();
        rows.push(
            row(
                format!("early/frames-glued-to-the-handshake/{dialect}"),
                "13.3: frames sent early are kept, and reach the backend once, after its consent",
            )
            .speaks(dialect)
            .client([say(&*glued)])
            .backend([pause(150), consent()])
            .safe([answered(101), gets_messages(&[b"one", b"two"]), requests(1)]),
        );
        let half = said(dialect, "onetwo");
        rows.push(
            row(
                format!("early/half-a-frame-glued-to-the-handshake/{dialect}"),
                "13.3: half a frame sent early is the beginning of one",
            )
            .speaks(dialect)
            .client([say([&opening(dialect), &half[..3]].concat()), Step::HearHead, pause(50), say(&half[3..])])
            .backend([pause(100), consent()])
            .safe([answered(101), gets_messages(&[b"onetwo"]), requests(1)]),
        );
        rows.push(
            row(
                format!("early/frames-a-moment-later/{dialect}"),
                "13.3: frames sent while the backend thinks are kept, and reach it once",
            )
            .speaks(dialect)
            .client([say(opening(dialect)), pause(60), say(said(dialect, "one")), pause(60), say(said(dialect, "two"))])
            .backend([pause(250), consent()])
            .safe([answered(101), gets_messages(&[b"one", b"two"]), requests(1)]),
        );
        for (name, steps) in [
            ("refuses", vec![pause(250), say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]),
            ("never-answers", vec![]),
            ("leaves", vec![pause(250), Step::Finish]),
            ("breaks-off", vec![pause(250), Step::Reset]),
            ("answers-200", vec![pause(250), say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]),
            (
                "proves-nothing",
                vec![
                    pause(250),
                    say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
                ],
            ),
        ] {
            rows.push(
                row(
                    format!("early/frames-and-the-backend-{name}/{dialect}"),
                    "11.2, 13.3: frames sent early never reach a backend that has not agreed",
                )
                .speaks(dialect)
                .client([say(&*glued)])
                .backend(steps)
                .safe([not_opened(), ended(), only_a_head()]),
            );
        }
        rows.push(
            row(
                format!("early/the-end-before-the-101/{dialect}"),
                "9.1: the client vanishes while the backend thinks; the backend hears of it, and gets no message",
            )
            .client([say(opening(dialect)), pause(60), Step::Reset])
            .backend([pause(250), consent()])
            .safe([any([gets_messages(&[]), only_a_head()]), backend_left()]),
        );
        rows.push(
            row(
                format!("early/a-message-of-the-backend-before-its-101/{dialect}"),
                "11.2: what a backend says before its 101 is no answer; refused, and the client hears none of it",
            )
            .speaks(dialect)
            .client([say(opening(dialect))])
            .backend([say(plain(TEXT, "too early")), pause(50), consent()])
            .safe([refused(&[]), never_hears("too early")]),
        );
    }
    rows
}

/// A request right behind the handshake.
fn hidden() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let glued = [opening(dialect), SECRET.as_bytes().to_vec()].concat();
        rows.push(
            row(
                format!("early/a-request-and-the-backend-agrees/{dialect}"),
                "13.3: what is behind an opening handshake is frames; a request is none, and reaches nobody",
            )
            .client([say(&*glued)])
            .safe([ended(), any([untouched(), requests(1)]), never_gets("/secret")]),
        );
        for (name, steps) in [
            ("is-slow-and-refuses", vec![pause(250), say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]),
            ("is-slow-and-answers-200", vec![pause(250), say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]),
            (
                "proves-nothing",
                vec![say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")],
            ),
            ("never-answers", vec![]),
        ] {
            rows.push(
                row(
                    format!("early/a-request-and-the-backend-{name}/{dialect}"),
                    "11.2, 13.3: what is behind an opening handshake reaches nobody who has not agreed to it",
                )
                .client([say(&*glued)])
                .backend(steps)
                .safe([not_opened(), any([only_a_head(), untouched()]), hides_nothing("/secret")]),
            );
        }
        let second = [opening(dialect), opening(dialect)].concat();
        rows.push(
            row(
                format!("early/a-second-handshake/{dialect}"),
                "13.3: a second opening handshake behind the first is no frame; one request reaches the backend at most",
            )
            .client([say(second)])
            .safe([ended(), any([untouched(), requests(1)]), hides_nothing("GET /")]),
        );
    }
    rows
}

/// More than anybody keeps.
fn floods() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        for (name, steps) in [
            ("and-refuses", vec![pause(900), say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]),
            ("and-never-answers", vec![]),
        ] {
            rows.push(
                row(
                    format!("early/a-flood-while-the-backend-thinks-{name}/{dialect}"),
                    "13.3, 11.8: what is sent early is bounded; the rest waits with the client, and nothing reaches the backend",
                )
                .client([say(opening(dialect)), Step::Pour(said(dialect, "a".repeat(60_000)), 64 << 20)])
                .backend(steps)
                .safe([ended(), not_opened(), any([only_a_head(), untouched()])])
                .heavy(),
            );
        }
    }
    rows
}

/// The third key of hixie-76.
fn third_keys() -> Vec<Row> {
    let dialect = Dialect::Hixie76;
    let head = opening_head(dialect, "/{TAG}", &[]);
    let slow = || [pause(100), consent(), say(plain(TEXT, "hello"))];
    let digest = || all([answered(101), hears(DIGEST), hears_messages(&["hello"])]);
    let mut rows = Vec::new();
    let why = "4.4: eight bytes behind the head, however they come, are the third key, and frames come behind them";
    for (name, steps) in [
        ("at-once", vec![say([&head, KEY3].concat())]),
        ("later", vec![say(&*head), pause(40), say(KEY3)]),
        ("behind-the-101", vec![say(&*head), Step::HearHead, pause(20), say(KEY3)]),
        ("byte-by-byte", vec![say(&*head), Step::Drip(KEY3.to_vec(), Duration::from_millis(20))]),
        ("in-halves", vec![say([&head, &KEY3[..4]].concat()), pause(60), say(&KEY3[4..])]),
        ("split-around-the-101", vec![say([&head, &KEY3[..7]].concat()), Step::HearHead, pause(20), say(&KEY3[7..])]),
    ] {
        rows.push(
            row(format!("early/third-key-{name}"), why).speaks(dialect).client(steps).backend(slow()).safe([digest()]),
        );
    }
    for (name, key, rest) in
        [("with-a-frame", "^n:ds[4U", &b"\0one\xff"[..]), ("and-its-frame-split", "^n:ds[4U", b"\0one\xff")]
    {
        let at_once = [&head, key.as_bytes(), rest].concat();
        let steps = match name {
            "with-a-frame" => vec![say(at_once)],
            _ => {
                vec![say([&head, &key.as_bytes()[..5]].concat()), pause(40), say([&key.as_bytes()[5..], rest].concat())]
            }
        };
        rows.push(
            row(format!("early/third-key-{name}"), why)
                .speaks(dialect)
                .client(steps)
                .backend([pause(100), consent()])
                .safe([answered(101), hears(DIGEST), gets_messages(&[b"one"])]),
        );
    }
    let why =
        "4.4: the first eight bytes are the third key, whatever they look like, and what is behind them is no request";
    for (name, bytes) in [
        ("is-a-request", SECRET),
        ("is-blank-lines-and-a-request", "\r\n\r\n\r\n\r\nGET /{TAG}/secret HTTP/1.1\r\nHost: internal\r\n\r\n"),
        ("is-a-frame", "\0onetwo\u{7f}\0three"),
    ] {
        rows.push(
            row(format!("early/third-key-{name}"), why).client([say([&head[..], bytes.as_bytes()].concat())]).safe([
                answered(101),
                requests(1),
                never_gets("/secret"),
                gets_messages(&[]),
            ]),
        );
    }
    let why = "4.4, 11.8: no third key, no answer; nothing of either side passes, and time runs out";
    for (name, bytes) in [("never-comes", &b""[..]), ("stops-at-7", b"^n:ds[4")] {
        rows.push(
            row(format!("early/third-key-{name}"), why)
                .speaks(dialect)
                .client([say([&head, bytes].concat())])
                .backend([consent(), say(plain(TEXT, "hello"))])
                .safe([ended(), never_hears("hello"), gets_messages(&[]), backend_left()]),
        );
        rows.push(
            row(format!("early/third-key-{name}-but-the-end"), why)
                .speaks(dialect)
                .client([say([&head, bytes].concat()), Step::HearHead, Step::Finish])
                .backend([consent(), say(plain(TEXT, "hello"))])
                .safe([ended(), never_hears("hello"), gets_messages(&[]), backend_left()]),
        );
    }
    rows
}

/// 13.2 #17: eight bytes without their keys.
fn stripped() -> Vec<Row> {
    let mut rows = Vec::new();
    let head = opening(Dialect::Hixie75);
    for (name, bytes) in [
        ("eight", KEY3),
        ("one", &KEY3[..1]),
        ("a-hybi-frame", b"\x81\x05hello"),
        ("ff", b"\xff\0"),
        ("a-blank-line", b"\r\n"),
    ] {
        rows.push(
            row(
                format!("early/hixie-75-and-{name}"),
                "13.2 #17: bytes that begin no frame behind a hixie-75 handshake are those of another dialect; 400",
            )
            .client([say([&head, bytes].concat())])
            .safe([any([refused(&[400]), dropped()]), untouched()]),
        );
        rows.push(
            row(
                format!("early/hixie-75-and-{name}-later"),
                "13.2 #17: the same while the backend thinks: the connection does not open, and none of it reaches the backend",
            )
            .client([say(&*head), pause(60), say(bytes)])
            .backend([pause(300), say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")])
            .safe([refused(&[400, 403]), only_a_head()]),
        );
    }
    rows
}

/// The answers of an ordinary request or two, and then an open connection.
fn opens_behind(ordinary: usize) -> Check {
    check(format!("the client hears {ordinary} ordinary answers and then 101"), move |seen| {
        let heard = &seen.client;
        let first = memchr::memmem::find(heard, b"HTTP/1.1 101");
        first.is_some_and(|at| memchr::memmem::find_iter(&heard[..at], "200 OK").count() == ordinary)
            && memchr::memmem::find_iter(heard, "HTTP/1.1 ").count() == ordinary + 1
    })
}

/// Ordinary requests and opening handshakes in one connection.
fn pipelined() -> Vec<Row> {
    let mut rows = Vec::new();
    let get = |path: &str| request(&format!("GET /{{TAG}}{path} HTTP/1.1"), &["Host: tv.example"]);
    let closing = request("GET /{TAG}/first HTTP/1.1", &["Host: tv.example", "Connection: close"]);
    for dialect in ALL {
        let handshake = opening(dialect);
        rows.push(
            row(format!("early/one-request-before/{dialect}"), "13.3: each answer in its order, and never mixed")
                .client([say([&get("/first")[..], &handshake].concat())])
                .safe([opens_behind(1), requests(2)]),
        );
        rows.push(
            row(format!("early/two-requests-before/{dialect}"), "13.3: each answer in its order, and never mixed")
                .client([say([&get("/first")[..], &get("/second"), &handshake].concat())])
                .safe([opens_behind(2), requests(3)]),
        );
        rows.push(
            row(
                format!("early/a-frame-behind-a-request-and-a-handshake/{dialect}"),
                "13.3: what is behind is frames, once",
            )
            .client([say([&get("/first")[..], &handshake, &said(dialect, "one")].concat())])
            .safe([opens_behind(1), requests(2), gets_messages(&[b"one"])]),
        );
        rows.push(
            row(
                format!("early/a-handshake-behind-connection-close/{dialect}"),
                "RFC 9112 9.6: behind a request that ends the connection nothing is a request",
            )
            .client([say([&closing[..], &handshake].concat())])
            .safe([answered(200), ended(), requests(1), never_hears("HTTP/1.1 101")]),
        );
        rows.push(
            row(
                format!("early/a-request-behind-an-open-connection/{dialect}"),
                "13.3: an open connection never becomes HTTP again",
            )
            .opens(dialect)
            .client([say(said(dialect, "one")), pause(50), say(SECRET)])
            .safe([ended(), requests(1), never_gets("/secret"), gets("row-")]),
        );
        rows.push(
            row(
                format!("early/a-bad-handshake-behind-a-request/{dialect}"),
                "13.2, 13.3: a handshake that is refused is refused behind a request too, and what is behind it is not read",
            )
            .client([say([
                &get("/first")[..],
                &swapped(&handshake, "Host: tv.example:8080", "Host: tv.example:8080\r\nHost: internal"),
                &get("/second"),
            ]
            .concat())])
            .safe([answered(200), ended(), requests(1), never_gets("/second"), never_hears("HTTP/1.1 101")]),
        );
    }
    rows
}

/// Opening handshakes behind and inside bodies.
fn bodies() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let handshake = opening(dialect);
        let length = format!("Content-Length: {}", handshake.len() - "{TAG}".len() + "inside".len());
        let inside = swapped(&handshake, "{TAG}", "inside");
        let size = format!("{:x}\r\n", inside.len());
        let post = |fields: &str, body: &[u8]| {
            [&request("POST /{TAG}/post HTTP/1.1", &["Host: tv.example", fields])[..], body].concat()
        };
        for (name, bytes) in [
            ("a-length", post("Content-Length: 5", b"hello")),
            ("chunks", post("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")),
            ("no-body", post("Content-Length: 0", b"")),
        ] {
            rows.push(
                row(
                    format!("early/a-handshake-behind-a-body-with-{name}/{dialect}"),
                    "13.3: a body ends where it says, and behind it an opening handshake is one",
                )
                .client([say([&bytes[..], &handshake].concat())])
                .safe([opens_behind(1), requests(2)]),
            );
        }
        for (name, bytes) in [
            ("a-length", post(&length, &inside)),
            ("chunks", post("Transfer-Encoding: chunked", &[size.as_bytes(), &inside, b"\r\n0\r\n\r\n"].concat())),
        ] {
            rows.push(
                row(
                    format!("early/a-handshake-inside-a-body-with-{name}/{dialect}"),
                    "13.3: what is in a body is no request, however much it looks like one",
                )
                .client([say(bytes)])
                .safe([
                    hears_answers(&[(200, "ordinary")]),
                    requests(1),
                    framed(),
                    never_hears("HTTP/1.1 101"),
                ]),
            );
        }
        rows.push(
            row(
                format!("early/a-handshake-behind-a-body-that-is-refused/{dialect}"),
                "RFC 9112 9.3: the backend does not want the body and leaves; its rest is no handshake, whatever it looks like",
            )
            .client([say(post("Content-Length: 100000", b"hello")), Step::HearHead, pause(50), say(inside)])
            .backend([say("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), Step::Finish])
            .safe([requests(1), never_hears("HTTP/1.1 101"), never_hears("Web Socket"), never_hears("WebSocket Protocol")]),
        );
    }
    for dialect in HYBI.into_iter().chain(HIXIE) {
        rows.push(
            row(
                format!("early/a-handshake-behind-a-cut-chunk/{dialect}"),
                "RFC 9112 7.1: behind chunks that cannot be read nothing is a request",
            )
            .client([say([
                &request("POST /{TAG}/post HTTP/1.1", &["Host: tv.example", "Transfer-Encoding: chunked"])[..],
                b"5\r\nhello0\r\n\r\n",
                &opening(dialect),
            ]
            .concat())])
            .safe([
                ended(),
                completes_nothing(),
                never_hears("HTTP/1.1 101"),
                any([untouched(), requests(1)]),
            ]),
        );
    }
    rows
}
