//! Those who do not read what is said to them (dialects.md 9.6, 11.8): nothing piles up for them, and they are given up in
//! the end; but only for taking nothing, not for taking little.

use std::time::Duration;

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, CLOSE, Dialect, FIRST, GOODBYE, PING, TEXT};
use crate::support::{masked, opening_head, plain, said, status};

/// More than all buffers on the way can hold.
const FLOOD: u64 = 64 << 20;

/// How long after it went deaf an end hears again: `timeouts.stall` of hybridge.toml, and time to fill the buffers on a
/// busy machine.
const LATER: u64 = 5000;

pub fn rows() -> Vec<Row> {
    let mut rows = refusals();
    rows.extend(ordinary_requests());
    for dialect in ALL {
        rows.extend(deaf_at_a_stage(dialect));
        rows.extend(floods(dialect));
    }
    rows.extend(patient());
    rows
}

/// Messages of 48 KiB, again and again.
fn pour(message: Vec<u8>) -> Step {
    let count = (48 << 10) / message.len() + 1;
    Step::Pour(message.repeat(count), FLOOD)
}

/// The client hears nothing any more, and later sees what became of its connection.
fn deaf_for(ms: u64) -> [Step; 3] {
    [Step::Deaf, pause(ms), Step::Heed]
}

/// The client goes deaf where little or nothing is said to it.
fn deaf_at_a_stage(dialect: Dialect) -> Vec<Row> {
    let named = |name: &str, why| row(format!("readers/deaf-{name}/{dialect}"), why);
    let head = opening_head(dialect, "/{TAG}", &[]);
    let whole = said(dialect, "hello");
    let mut rows = vec![
        named("inside-its-head", "11.8: a head that does not come is not waited for, whoever hears that")
            .client([say(&head[..head.len() / 2])])
            .client(deaf_for(1500))
            .safe([turned_away(), untouched()]),
        named("before-the-backend-answers", "9.4: a close, too, that is not heard ends the connection in time")
            .speaks(dialect)
            .client([say(opening(dialect))])
            .client(deaf_for(2000))
            .backend([pause(300), consent(), pause(50), say_plain(TEXT, "hi"), say_plain(CLOSE, status(1000, ""))])
            .safe([answered(101), hears_messages(&["hi"]), told(&[1000]), backend_told(&[1000])]),
        named("before-the-backend-refuses", "9.1: a refusal that is not heard ends the connection in time")
            .client([say(opening(dialect))])
            .client(deaf_for(1500))
            .backend([pause(300), say("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")])
            .safe([refused(&[403]), backend_left()]),
        named("while-the-backend-closes", "9.4: who does not answer a close is let go after a short while")
            .opens(dialect)
            .client(deaf_for(1800))
            .backend([consent(), pause(100), say_plain(CLOSE, status(1000, ""))])
            .safe([answered(101), told(&[1000]), backend_told(&[1000])]),
        named(
            "while-the-backend-ends",
            "9.4: the end of the backend's stream is that of the client's, whoever hears it",
        )
        .opens(dialect)
        .client(deaf_for(800))
        .backend([consent(), pause(100), say(&plain(TEXT, "hello")[..4]), Step::Finish])
        .safe([answered(101), cut_off(), hears_messages(&[]), backend_left()]),
        named("inside-its-message", "11.8: a silent connection ends, and its message is not completed")
            .opens(dialect)
            .client([say(&whole[..whole.len() - 2])])
            .client(deaf_for(5500))
            .safe([answered(101), ended(), gets_messages(&[]), backend_left()]),
        named("and-breaks-a-rule", "9.4: one that breaks a rule is told so and closed, whether it hears or not")
            .opens(dialect)
            .client([Step::Deaf, say(broken(dialect)), pause(1800), Step::Heed])
            .safe([answered(101), told(&[]), backend_told(&[1001])]),
    ];
    let close = match dialect {
        Dialect::Hixie75 => return rows,
        Dialect::Hixie76 => GOODBYE.to_vec(),
        _ => masked(CLOSE, status(1000, "")),
    };
    rows.extend([
        named("after-its-own-close", "9.4: its close is answered, and TCP ended, whether it hears or not")
            .opens(dialect)
            .client([Step::Deaf, say(&close), pause(1500), Step::Heed])
            .safe([answered(101), told(&[1000]), backend_told(&[1000])]),
        named("backend-and-a-close", "9.4: a backend that never hears a close keeps nobody")
            .opens(dialect)
            .client([say(close)])
            .backend([consent(), Step::Deaf])
            .safe([answered(101), told(&[])]),
    ]);
    rows
}

/// What no client of the dialect may say.
fn broken(dialect: Dialect) -> Vec<u8> {
    match dialect {
        // A length that has no end: the only one that hixie-75 must fear.
        Dialect::Hixie75 | Dialect::Hixie76 => [&[0x80][..], &[0xFF; 12], &[0]].concat(),
        _ => masked(0x83, "a"),
    }
}

/// One end speaks without end, and the other does not hear.
fn floods(dialect: Dialect) -> Vec<Row> {
    let bounded = "9.6, 11.8: who takes nothing slows the sender and is given up in time; nothing piles up";
    let named = |name: &str| row(format!("readers/{name}/{dialect}"), bounded).opens(dialect).heavy();
    let from_backend = || pour(plain(TEXT, "0123456789abcdef".repeat(100)));
    let from_client = || pour(said(dialect, "0123456789abcdef".repeat(100)));
    let mut rows = vec![
        named("a-deaf-client").client(deaf_for(LATER)).backend([consent(), from_backend()]).safe([
            answered(101),
            ended(),
            never_hears_all(),
            backend_left(),
        ]),
        named("a-deaf-backend").client([from_client()]).backend([consent(), Step::Deaf]).safe([answered(101), ended()]),
    ];
    // What follows differs by the family of the dialect alone.
    if dialect == Dialect::Hixie76 || dialect == Dialect::Rfc6455 {
        rows.extend([
            named("both-deaf")
                .client([Step::Deaf, from_client(), Step::Heed])
                .backend([consent(), Step::Deaf, from_backend()])
                .safe([answered(101), ended(), never_hears_all()]),
            named("a-deaf-client-and-a-close")
                .client(deaf_for(LATER))
                .backend([consent(), Step::Pour(plain(TEXT, "x".repeat(16 << 10)), 12 << 20), say_plain(CLOSE, [])])
                .safe([answered(101), ended(), backend_left()]),
            named("a-deaf-client-in-a-message")
                .client(deaf_for(1000))
                .backend([consent(), say_plain(FIRST, "begun"), Step::Pour(plain(0, "x".repeat(10 << 10)), 900 << 10)])
                .safe([answered(101), hears_messages(&[]), stays()]),
        ]);
    }
    if dialect == Dialect::Rfc6455 {
        rows.push(
            named("a-deaf-client-and-pings")
                .client(deaf_for(LATER))
                .backend([consent(), pour(plain(PING, "there?"))])
                .safe([answered(101), ended(), never_hears_all(), backend_left()]),
        );
        rows.push(
            named("a-deaf-backend-and-pings")
                .client([pour(masked(PING, "there?"))])
                .backend([consent(), Step::Deaf])
                .safe([answered(101), ended()]),
        );
    } else if dialect == Dialect::Hixie76 {
        // The proxy itself answers these.
        rows.push(
            named("a-deaf-backend-that-pings")
                .client([pause(3500)])
                .backend([consent(), Step::Deaf, pour(plain(PING, "there?"))])
                .safe([answered(101), ended(), hears_messages(&[])]),
        );
    }
    rows
}

/// It was not all kept for who did not listen.
fn never_hears_all() -> Check {
    check("the client never hears all of it", |seen| seen.client_total < FLOOD / 2)
}

/// Those who take little, but take it.
fn patient() -> Vec<Row> {
    const ALL_OF_IT: u64 = 16 << 20;
    let sip = |times| Step::Sip(128 << 10, Duration::from_millis(15), times);
    let sips = || [Step::Deaf, sip(200), Step::Heed];
    // It speaks now and then, lest the proxy take it for idle while it drinks what waits in buffers.
    let speaks = |dialect| {
        let word = say(said(dialect, "more"));
        let turns = (0..5).flat_map(move |_| [sip(40), word.clone()]);
        [Step::Deaf].into_iter().chain(turns).chain([Step::Heed])
    };
    let hears_all = || check("the client hears all of it", |seen: &Seen| seen.client_total > ALL_OF_IT);
    let why = "9.6, 11.8: who takes little is slow, not stalled, and hears everything";
    let mut rows: Vec<Row> = [Dialect::Hixie76, Dialect::Rfc6455]
        .into_iter()
        .map(|dialect| {
            row(format!("readers/a-client-that-sips/{dialect}"), why)
                .opens(dialect)
                .client(speaks(dialect))
                .backend([consent(), Step::Pour(plain(TEXT, "x".repeat(16 << 10)), ALL_OF_IT)])
                .safe([answered(101), hears_all(), gets_messages(&[b"more".as_slice(); 5]), stays()])
                .heavy()
        })
        .collect();
    rows.push(
        row("readers/a-client-that-sips/http", why)
            .client([say(request("GET /{TAG} HTTP/1.1", &["Host: tv.example"]))])
            .client(sips())
            .backend([
                say(format!("HTTP/1.1 200 OK\r\nContent-Length: {ALL_OF_IT}\r\nConnection: close\r\n\r\n")),
                Step::Pour(b"0123456789abcdef".repeat(1 << 10), ALL_OF_IT),
            ])
            .safe([answered(200), hears_all()])
            .heavy(),
    );
    rows
}

/// Refusals that nobody hears.
fn refusals() -> Vec<Row> {
    let why = "11.8: one that is refused has a moment to read why, and no more";
    let bad = request("GET /{TAG} HTTP/1.1", &["Host: tv.example", "Content-Length: x"]);
    vec![
        row("readers/deaf-to-a-refusal", why)
            .client([Step::Deaf, say(&bad), pause(1500), Step::Heed])
            .safe([turned_away(), untouched()]),
        row("readers/refused-and-goes-on", why)
            .client([say(&bad), Step::Pour("x".repeat(16 << 10).into_bytes(), FLOOD)])
            .safe([not_opened(), ended(), untouched()])
            .heavy(),
        row("readers/refused-deaf-and-goes-on", why)
            .client([Step::Deaf, say(&bad), Step::Pour("x".repeat(16 << 10).into_bytes(), FLOOD), Step::Heed])
            .safe([not_opened(), ended(), untouched()])
            .heavy(),
        row("readers/refused-and-drips-on", why)
            .client([say(&bad), Step::Drip(vec![b'x'; 400], Duration::from_millis(10))])
            .safe([not_opened(), ended(), untouched()]),
        row(
            "readers/early-and-without-end",
            "9.1.4, 11.8: what comes before the answer is bounded; the rest waits outside",
        )
        .speaks(Dialect::Rfc6455)
        .client([say(opening(Dialect::Rfc6455)), pour(said(Dialect::Rfc6455, "x".repeat(1 << 10)))])
        .backend([])
        .safe([refused_or_reset(), only_a_head()])
        .heavy(),
    ]
}

/// Refused; by a reset, too, if it says more than it is heard out.
fn refused_or_reset() -> Check {
    any([refused(&[502, 504]), all([not_opened(), ended()])])
}

/// Bodies of ordinary requests and responses.
fn ordinary_requests() -> Vec<Row> {
    let bounded = "11.8: a body waits where it comes from, and a reader that takes nothing is given up in time";
    let block = b"0123456789abcdef".repeat(1 << 10);
    vec![
        row("readers/a-deaf-client/http", bounded)
            .client([say(request("GET /{TAG} HTTP/1.1", &["Host: tv.example"]))])
            .client(deaf_for(LATER))
            .backend([
                say(format!("HTTP/1.1 200 OK\r\nContent-Length: {FLOOD}\r\nConnection: close\r\n\r\n")),
                Step::Pour(block.clone(), FLOOD),
            ])
            .safe([answered(200), ended(), never_hears_all(), backend_left()])
            .heavy(),
        row("readers/a-deaf-backend/http", bounded)
            .client([
                say(request("POST /{TAG} HTTP/1.1", &["Host: tv.example", &format!("Content-Length: {FLOOD}")])),
                Step::Pour(block, FLOOD),
            ])
            .backend([Step::Deaf])
            .safe([ended()])
            .heavy(),
    ]
}
