//! Backends and clients that die, stall or do not know when to stop (dialects.md 9.1, 9.4; RFC 6455 §7.1; RFC 9112 §8).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, CLOSE, Dialect, FIRST, GOODBYE, HIXIE, HYBI, LAST, PING, TEXT};
use crate::support::{heard, masked, plain, said, status};

pub fn rows() -> Vec<Row> {
    let mut rows = plain_http();
    for dialect in ALL {
        rows.extend(silence_before_the_101(dialect));
        rows.extend(silence_after(dialect));
        rows.extend(endings(dialect));
        rows.extend(vanished(dialect));
    }
    rows
}

fn upgrade() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

/// The closing frame of a client that has one.
fn goodbye(dialect: Dialect) -> Option<Step> {
    match dialect {
        Dialect::Hixie75 => None,
        Dialect::Hixie76 => Some(say(GOODBYE)),
        _ => Some(say_masked(CLOSE, status(1000, ""))),
    }
}

/// The backend takes too long, or nearly too long, to agree.
fn silence_before_the_101(dialect: Dialect) -> Vec<Row> {
    let too_late = "9.1: a backend that does not agree in time is a 504, and let go";
    let upgrade = upgrade();
    let mut rows: Vec<Row> = [
        ("says-nothing", vec![]),
        ("stops-in-its-status-line", vec![say("HTTP/1.1 101 Switch")]),
        ("stops-in-its-fields", vec![say(&upgrade[..60])]),
        ("stops-before-the-last-byte", vec![say(&upgrade[..upgrade.len() - 1])]),
        // The time is that of the whole head, not of each byte.
        ("drips-too-slowly", vec![dripped(&upgrade, 40)]),
        ("only-promises", vec![dripped("HTTP/1.1 100 Continue\r\n\r\n".repeat(3), 40)]),
    ]
    .into_iter()
    .map(|(name, steps)| {
        row(format!("faults/backend-{name}/{dialect}"), too_late)
            .speaks(dialect)
            .client([say(opening(dialect))])
            .backend(steps)
            .safe([too_late_or_promised(), backend_left()])
    })
    .collect();
    rows.push(
        row(format!("faults/backend-agrees-slowly/{dialect}"), "9.1: slow, but in time, is a consent like any other")
            .opens(dialect)
            .client([Step::Say(said(dialect, "hello"))])
            .backend([dripped(&upgrade[..40], 10), say(&upgrade[40..])])
            .safe([answered(101), gets_messages(&[b"hello"]), stays()]),
    );
    rows.push(
        row(
            format!("faults/backend-speaks-with-its-101/{dialect}"),
            "9.1.4: what rides with the 101 is heard after it",
        )
        .opens(dialect)
        .backend([say([upgrade.as_bytes(), &plain(TEXT, "at once")].concat())])
        .safe([answered(101), hears_messages(&["at once"]), stays()]),
    );
    rows
}

/// The client is told that it took too long; or was handed the backend's 100, and is closed.
fn too_late_or_promised() -> Check {
    any([answered(502), answered(504), all([answered(100), ended()])])
}

/// One end falls silent on an open connection.
fn silence_after(dialect: Dialect) -> Vec<Row> {
    let silent = "11.8: nobody is waited for without end, and what was begun is not completed";
    let inside = plain(TEXT, "h\u{20ac}llo");
    let first = [plain(FIRST, "whole fragment "), plain(LAST, "cut")[..3].to_vec()].concat();
    let whole = said(dialect, "hello");
    vec![
        row(format!("faults/both-are-silent/{dialect}"), silent).opens(dialect).backend([consent()]).safe([
            answered(101),
            told(&[1000, 1001]),
            backend_told(&[1000, 1001]),
        ]),
        row(format!("faults/backend-stalls-inside-a-character/{dialect}"), silent)
            .opens(dialect)
            .backend([consent(), pause(50), say(&inside[..5])])
            .safe([answered(101), cut_off(), hears_messages(&[]), never_hears("\u{fffd}"), backend_left()]),
        row(format!("faults/backend-stalls-inside-a-later-fragment/{dialect}"), silent)
            .opens(dialect)
            .backend([consent(), pause(50), say(first)])
            .safe([answered(101), cut_off(), hears_messages(&[]), backend_left()]),
        row(format!("faults/client-stalls-inside-a-message/{dialect}"), silent)
            .opens(dialect)
            .client([say(&whole[..whole.len() - 2])])
            .safe([answered(101), ended(), gets_messages(&[]), backend_left()]),
    ]
}

/// Closing handshakes that go wrong.
fn endings(dialect: Dialect) -> Vec<Row> {
    let over = [consent(), pause(50), say_plain(CLOSE, status(1000, ""))];
    let late = plain(TEXT, "late");
    let mut rows = vec![
        row(
            format!("faults/client-never-answers-a-close/{dialect}"),
            "9.4: who does not answer a close is let go after a short while; the backend is answered at once",
        )
        .opens(dialect)
        .backend(over.clone())
        .safe([answered(101), told(&[1000]), backend_told(&[1000])]),
        row(
            format!("faults/backend-speaks-after-its-close/{dialect}"),
            "RFC 6455 5.5.1: what follows a close is nobody's; the client hears the close and no more",
        )
        .opens(dialect)
        .client([Step::HearMore])
        .client(goodbye(dialect))
        .backend(over.clone().into_iter().chain([say(&late)]))
        .safe([answered(101), told(&[1000]), never_hears("late"), backend_left()]),
        row(
            format!("faults/backend-never-stops-after-its-close/{dialect}"),
            "9.4, 11.8: the same without end: neither kept nor listened to for long",
        )
        .opens(dialect)
        .backend(over.into_iter().chain([Step::Pour(plain(TEXT, "late".repeat(4 << 10)), 64 << 20)]))
        .safe([answered(101), told(&[1000]), never_hears("late"), backend_left()])
        .heavy(),
    ];
    let Some(close) = goodbye(dialect) else { return rows };
    rows.extend([
        row(
            format!("faults/backend-never-answers-a-close/{dialect}"),
            "9.4, RFC 6455 7.1.1: the client's close travels, and what never comes is not waited for",
        )
        .opens(dialect)
        .client([close.clone()])
        .backend([consent()])
        .safe([answered(101), told(&[]), backend_told(&[1000])]),
        row(
            format!("faults/backend-speaks-after-the-clients-close/{dialect}"),
            "9.4: it may finish in hybi; hixie-76 hears FF 00 at once and nothing behind it",
        )
        .opens(dialect)
        .client([close.clone()])
        .backend([consent(), pause(300), say(&late), say_plain(CLOSE, status(1000, "")), Step::Finish])
        .safe([answered(101), told(&[1000]), backend_told(&[1000])])
        .safe((dialect == Dialect::Hixie76).then(|| never_hears("late"))),
        row(
            format!("faults/backend-never-stops-after-the-clients-close/{dialect}"),
            "9.4, 11.8: a backend that ignores a close is left after a short while",
        )
        .opens(dialect)
        .client([close.clone()])
        .backend([consent(), pause(100)].into_iter().chain(trickle("late", 400)))
        .safe([answered(101), ended(), backend_left()]),
        row(
            format!("faults/client-speaks-after-its-close/{dialect}"),
            "9.4, RFC 6455 5.5.1: what follows a close reaches nobody",
        )
        .opens(dialect)
        .client([close.clone(), say(said(dialect, "late")), close])
        .safe([answered(101), told(&[1000]), backend_told(&[1000]), gets_messages(&[]), never_gets("late")]),
        row(
            format!("faults/a-close-inside-a-message-of-the-backend/{dialect}"),
            "9.4: the message is never completed, and nothing is put into it",
        )
        .opens(dialect)
        .backend([consent(), pause(50), say_plain(FIRST, "begun"), say_plain(CLOSE, status(1000, ""))])
        .safe([answered(101), ended(), hears_messages(&[]), backend_told(&[1000])])
        .safe([if HIXIE.contains(&dialect) { cut_off() } else { told(&[1000]) }]),
    ]);
    if HYBI.contains(&dialect) {
        rows.push(
            row(
                format!("faults/a-close-inside-a-message-of-the-client/{dialect}"),
                "RFC 6455 5.4, 5.5.1: a close may stand between fragments; the message is never completed",
            )
            .opens(dialect)
            .client([say(masked(FIRST, "begun")), say(masked(CLOSE, status(1000, "")))])
            .safe([answered(101), told(&[1000]), backend_told(&[1000]), gets_messages(&[])]),
        );
    }
    rows
}

/// A text every 10 ms, so many times.
fn trickle(text: &str, times: usize) -> Vec<Step> {
    vec![[say_plain(TEXT, text), pause(10)]; times].concat()
}

/// The client goes while the backend speaks.
fn vanished(dialect: Dialect) -> Vec<Row> {
    let gone = "9.4: a client that is gone is not kept half open: the backend is let go soon, and nothing is gathered";
    let mut rows = Vec::new();
    for (way, steps) in [("fin", vec![Step::Finish]), ("rst", vec![Step::Reset])] {
        rows.push(
            row(format!("faults/client-vanishes-under-a-flood/{way}/{dialect}"), gone)
                .opens(dialect)
                .client([hear(heard(dialect, "flood".repeat(3 << 10))), Step::Deaf])
                .client(steps.clone())
                .backend([consent(), Step::Pour(plain(TEXT, "flood".repeat(3 << 10)), 64 << 20)])
                .safe([backend_left()])
                .heavy(),
        );
        rows.push(
            row(format!("faults/client-vanishes-while-it-is-spoken-to/{way}/{dialect}"), gone)
                .opens(dialect)
                .client([hear("drop")])
                .client(steps)
                .backend([consent()].into_iter().chain(trickle("drop", 400)))
                .safe([ended(), backend_told(&[1001])]),
        );
    }
    rows.push(
        row(
            format!("faults/a-ping-as-the-client-vanishes/{dialect}"),
            "9.4: nothing is said to the backend behind the close that tells it so",
        )
        .opens(dialect)
        .client([Step::Finish])
        .backend([consent()].into_iter().chain(vec![[say_plain(PING, "there?"), pause(10)]; 60].concat()))
        .safe([ended(), backend_told(&[1001])]),
    );
    rows
}

/// Ordinary responses that are not whole.
fn plain_http() -> Vec<Row> {
    let ask = |name: &str, why| {
        row(format!("faults/http-{name}"), why)
            .client([say(request(&format!("GET /{TAG} HTTP/1.1"), &["Host: tv.example"]))])
    };
    let cut = "RFC 9112 8: a response that broke off must not look whole to the client";
    let ok = "HTTP/1.1 200 OK\r\n";
    let bodies = [
        ("length", format!("{ok}Content-Length: 100\r\n\r\npart")),
        ("length-before-its-first-byte", format!("{ok}Content-Length: 100\r\n\r\n")),
        ("chunks", format!("{ok}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")),
        ("a-chunk", format!("{ok}Transfer-Encoding: chunked\r\n\r\na\r\npart")),
        ("a-chunks-size", format!("{ok}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n1")),
        ("the-last-chunk", format!("{ok}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n")),
        ("the-trailers", format!("{ok}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nX: y\r\n")),
    ];
    let mut rows = Vec::new();
    for (way, steps) in [("fin", vec![Step::Finish]), ("rst", vec![pause(100), Step::Reset])] {
        for (name, answer) in &bodies {
            rows.push(
                ask(&format!("backend-dies-inside-{name}/{way}"), cut)
                    .backend([say(answer)].into_iter().chain(steps.clone()))
                    .safe([ended(), unfinished(), backend_left()]),
            );
        }
        for (name, answer) in [
            ("without-a-word", ""),
            ("inside-its-status-line", "HTTP/1.1 2"),
            ("inside-its-fields", "HTTP/1.1 200 OK\r\nContent-Le"),
            ("after-a-100", "HTTP/1.1 100 Continue\r\n\r\n"),
        ] {
            rows.push(
                ask(&format!("backend-dies-{name}/{way}"), "RFC 9110 15.6.3: no response is a 502")
                    .backend([say(answer)].into_iter().chain(steps.clone()))
                    .safe([any([answered(502), all([answered(100), hears(" 502 ")])]), backend_left()]),
            );
        }
        rows.push(
            row(format!("faults/http-backend-dies-on-accept/{way}"), "RFC 9110 15.6.3: no response is a 502")
                .client([say(request(&format!("GET /{TAG} HTTP/1.1"), &["Host: tv.example"]))])
                .backend_at_once(steps[steps.len() - 1..].to_vec())
                .safe([any([answered(502), answered(503)])]),
        );
        rows.push(
            row(format!("faults/http-backend-dies-inside-an-upload/{way}"), "RFC 9110 15.6.3: no response is a 502")
                .client([
                    say(request(&format!("POST /{TAG} HTTP/1.1"), &["Host: tv.example", "Content-Length: 100"])),
                    say("half"),
                ])
                .backend([pause(50)].into_iter().chain(steps.clone()))
                .safe([any([answered(502), dropped()]), any([untouched(), backend_left()])]),
        );
    }
    rows.push(
        ask("a-reset-ends-a-body-without-length", "RFC 9112 8: only an orderly end is the end of such a body")
            .backend([say(format!("{ok}Connection: close\r\n\r\npart")), pause(100), Step::Reset])
            .safe([ended(), unfinished()]),
    );
    rows.push(
        ask("a-fin-ends-a-body-without-length", "RFC 9112 6.3: the end of the stream is the end of the body")
            .backend([say(format!("{ok}Connection: close\r\n\r\nwhole")), Step::Finish])
            .safe([answered(200), hears("whole"), backend_left()]),
    );
    rows.push(
        ask("a-fin-after-a-whole-response", "RFC 9112 9.6: a backend may end its connection behind a response")
            .backend([say(format!("{ok}Content-Length: 5\r\n\r\nwhole")), Step::Finish])
            .safe([answered(200), hears("whole"), backend_left()]),
    );
    for (name, steps) in [
        ("says-nothing", vec![]),
        ("stops-in-its-head", vec![say("HTTP/1.1 200 OK\r\nContent-")]),
        ("only-promises", vec![dripped("HTTP/1.1 100 Continue\r\n\r\n".repeat(3), 40)]),
    ] {
        rows.push(
            ask(&format!("backend-{name}"), "11.8, RFC 9110 15.6.5: a response that does not begin in time is a 504")
                .backend(steps)
                .safe([too_late_or_promised(), backend_left()]),
        );
    }
    for (name, answer) in &bodies[..5] {
        rows.push(
            ask(&format!("backend-stalls-inside-{name}"), "RFC 9112 8: as long as it is not whole it does not look so")
                .client([pause(2500)])
                .backend([say(answer)])
                .safe([unfinished()]),
        );
    }
    for (name, head, body) in [
        ("length", "Content-Length: 100", "half"),
        ("chunks", "Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
        ("a-chunk", "Transfer-Encoding: chunked", "a\r\nhalf"),
    ] {
        for (way, steps) in [("fin", vec![Step::Finish]), ("rst", vec![pause(100), Step::Reset]), ("stalls", vec![])] {
            rows.push(
                row(
                    format!("faults/http-client-dies-inside-{name}/{way}"),
                    "RFC 9112 8: an upload that broke off must not look whole to the backend",
                )
                .client([say(request(&format!("POST /{TAG} HTTP/1.1"), &["Host: tv.example", head])), say(body)])
                .client(steps)
                .safe([ended(), never_gets("\r\n0\r\n\r\n"), any([untouched(), backend_left()])]),
            );
        }
    }
    rows
}
