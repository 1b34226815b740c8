//! One end leaves at each stage of a connection (dialects.md 9.1, 9.4). Who leaves in order ends its half and goes on
//! hearing; who does not, resets.

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, CLOSE, Dialect, FIRST, GOODBYE, HIXIE, HYBI, LAST, PING, TEXT};
use crate::support::{DIGEST, KEY3, heard, masked, opening_head, plain, said, status};

const WAYS: [&str; 2] = ["fin", "rst"];

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for way in WAYS {
        for (name, bytes) in [
            ("connecting", String::new()),
            ("a-byte", "G".to_owned()),
            ("half-a-request-line", format!("GET /{TAG} HT")),
            ("a-request-line", format!("GET /{TAG} HTTP/1.1\r\n")),
            ("half-a-line-end", format!("GET /{TAG} HTTP/1.1\r\nHost: tv.example\r\n\r")),
        ] {
            rows.push(
                row(
                    format!("stages/client-leaves-after-{name}/{way}"),
                    "9.1, 13.1: before its head is whole a client is nobody's business but the proxy's",
                )
                .client([say(bytes)])
                .client(leaves(way))
                .safe([untouched(), turned_away_or_left()]),
            );
        }
        for dialect in ALL {
            rows.extend(client_before(dialect, way));
            rows.extend(client_after(dialect, way));
            rows.extend(backend_before(dialect, way));
            rows.extend(backend_after(dialect, way));
        }
    }
    rows
}

/// Leaves, once what it said before is certainly under way: a reset overtakes what was not yet read.
fn leaves(way: &str) -> Vec<Step> {
    match way {
        "fin" => vec![Step::Finish],
        _ => vec![pause(100), Step::Reset],
    }
}

/// Turned away, or gone before it could be.
fn turned_away_or_left() -> Check {
    any([turned_away(), all([not_opened(), ended()])])
}

/// The client leaves before its connection is open.
fn client_before(dialect: Dialect, way: &'static str) -> Vec<Row> {
    let named = |name: &str, why| row(format!("stages/client-leaves-{name}/{way}/{dialect}"), why).speaks(dialect);
    let head = opening_head(dialect, &format!("/{TAG}"), &[]);
    let mut rows = vec![
        named("inside-its-fields", "9.1: half a head is no handshake; the backend hears nothing of it")
            .client([say(&head[..head.len() / 2])])
            .client(leaves(way))
            .safe([untouched(), turned_away_or_left()]),
        named(
            "before-the-backend-answered",
            "9.1.4: who vanishes during the handshake is not waited for: the backend is let go, told 1001 at most",
        )
        .client([say(opening(dialect)), pause(100)])
        .client(leaves(way))
        .backend([pause(300), consent()])
        .safe([ended(), backend_left(), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(&[])]),
        named("before-a-backend-that-never-answers", "9.1.4, 11.8: nobody is left to wait for it")
            .client([say(opening(dialect)), pause(100)])
            .client(leaves(way))
            .backend([])
            .safe([ended(), only_a_head(), backend_left()]),
        named("before-the-backend-refused", "9.1.4: the same where the backend refuses too late")
            .client([say(opening(dialect)), pause(100)])
            .client(leaves(way))
            .backend([pause(300), say("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")])
            .safe([ended(), only_a_head(), backend_left()]),
        named(
            "behind-an-early-message",
            "9.1.3: what a client says before it is answered reaches no backend that refuses",
        )
        .client([say(opening(dialect)), say(said(dialect, "early")), pause(100)])
        .client(leaves(way))
        .backend([pause(300), say("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")])
        .safe([ended(), only_a_head(), backend_left()]),
    ];
    if dialect == Dialect::Hixie76 {
        for (name, count) in [("before-key3", 0), ("inside-key3", 4), ("before-the-last-byte-of-key3", 7)] {
            let begun = [&head, &KEY3[..count]].concat();
            rows.extend([
                named(name, "9.1.4, field notes 7: the backend agreed; without key3 it is told that nobody is left")
                    .client([say(&begun), Step::HearHead])
                    .client(leaves(way))
                    .safe([never_hears(DIGEST), ended(), backend_told(&[1001]), gets_messages(&[])]),
                named(&format!("{name}-and-before-the-answer"), "9.1.4: the same while the backend has not answered")
                    .client([say(&begun), pause(100)])
                    .client(leaves(way))
                    .backend([pause(300), consent()])
                    .safe([never_hears(DIGEST), ended(), any([backend_told(&[1001]), backend_cut_off()])]),
            ]);
        }
    }
    rows
}

/// The client leaves an open connection.
fn client_after(dialect: Dialect, way: &'static str) -> Vec<Row> {
    let named = |name: &str, why| row(format!("stages/client-leaves-{name}/{way}/{dialect}"), why).opens(dialect);
    let whole = said(dialect, "hello");
    let between = "9.4: a client that ends at a frame's border is gone: 1001 upstream";
    let inside = "9.4: what the client did not finish nobody finishes for it, nor says a close inside it";
    let mut rows = vec![
        named("after-the-101", between).client(leaves(way)).safe([ended(), backend_told(&[1001]), gets_messages(&[])]),
        named("between-messages", between).client([say(&whole)]).client(leaves(way)).safe([
            ended(),
            backend_told(&[1001]),
            gets_messages(&[b"hello"]),
        ]),
        // Of its first byte alone the backend may have been told nothing.
        named("after-a-frames-first-byte", inside).client([say(&whole[..1])]).client(leaves(way)).safe([
            ended(),
            gets_messages(&[]),
            any([backend_told(&[1001]), backend_cut_off()]),
        ]),
        named("inside-a-payload", inside).client([say(&whole[..whole.len() - 2])]).client(leaves(way)).safe([
            ended(),
            gets_messages(&[]),
            backend_cut_off(),
        ]),
        named("before-a-messages-last-byte", inside)
            .client([say(said(dialect, "one")), say(&whole[..whole.len() - 1])])
            .client(leaves(way))
            .safe([ended(), gets_messages(&[b"one"]), backend_cut_off()]),
        named("inside-a-character", inside)
            .client([say(&said(dialect, "h\u{20ac}llo")[..whole.len() - 3])])
            .client(leaves(way))
            .safe([ended(), gets_messages(&[]), never_gets("\u{fffd}"), backend_cut_off()]),
        named(
            "after-the-backends-close",
            "9.4: the backend's close was answered at once, and who leaves changes nothing",
        )
        .client([Step::HearMore])
        .client(leaves(way))
        .backend([consent(), pause(100), say_plain(CLOSE, status(1000, ""))])
        .safe([ended(), backend_told(&[1000])]),
        named("inside-a-message-while-it-is-told-one", inside)
            .client([Step::Hear(heard(dialect, "hello")[..3].to_vec()), say(&whole[..whole.len() - 2])])
            .client(leaves(way))
            .backend([consent(), pause(100), say(&plain(TEXT, "hello")[..5])])
            .safe([ended(), gets_messages(&[]), hears_messages(&[]), backend_cut_off()]),
    ];
    if HYBI.contains(&dialect) {
        let long = masked(TEXT, "x".repeat(300));
        for (name, bytes) in [("inside-a-length", &long[..3]), ("inside-a-mask", &long[..6])] {
            rows.push(named(name, inside).client([say(bytes)]).client(leaves(way)).safe([
                ended(),
                gets_messages(&[]),
                any([backend_told(&[1001]), backend_cut_off()]),
            ]));
        }
        let first = masked(FIRST, "hel");
        for (name, bytes) in [
            ("between-fragments", first.clone()),
            ("after-a-ping-between-fragments", [first.clone(), masked(PING, "p")].concat()),
            ("inside-a-later-fragments-header", [first.clone(), masked(LAST, "lo")[..3].to_vec()].concat()),
            ("inside-a-later-fragment", [first, masked(LAST, "lo")[..7].to_vec()].concat()),
        ] {
            rows.push(named(name, inside).client([say(bytes)]).client(leaves(way)).safe([
                ended(),
                gets_messages(&[]),
                backend_cut_off(),
            ]));
        }
        rows.push(
            named("inside-its-close", "9.4: half a close is none: 1001, as from one that just left")
                .client([say(&masked(CLOSE, status(1000, ""))[..7])])
                .client(leaves(way))
                .safe([ended(), any([backend_told(&[1001]), backend_cut_off()])]),
        );
        rows.push(
            named("inside-a-ping", "9.4: half a ping is nothing")
                .client([say(&masked(PING, "hello")[..8])])
                .client(leaves(way))
                .safe([ended(), any([backend_told(&[1001]), backend_cut_off()])]),
        );
    }
    if dialect != Dialect::Hixie75 {
        let close = if dialect == Dialect::Hixie76 { GOODBYE.to_vec() } else { masked(CLOSE, status(1000, "")) };
        rows.push(
            named("after-its-own-close", "9.4, field notes 6: the close has arrived, and travels on whoever is left")
                .client([say(&close)])
                .client(leaves(way))
                .safe([ended(), backend_told(&[1000])]),
        );
    }
    rows
}

/// The backend leaves before it agreed.
fn backend_before(dialect: Dialect, way: &'static str) -> Vec<Row> {
    let named = |name: &str| {
        let why = "9.1: a bad 101 is a 502, and what stands for one is never the client's";
        row(format!("stages/backend-leaves-{name}/{way}/{dialect}"), why).speaks(dialect)
    };
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}\r\n");
    let fields = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let mut rows: Vec<Row> = [
        ("with-the-head", String::new()),
        ("inside-its-status-line", "HTTP/1.1 101 Swit".to_owned()),
        ("inside-its-fields", format!("{fields}Sec-Web")),
        ("before-its-blank-line", format!("{fields}{accept}")),
        ("inside-its-blank-line", format!("{fields}{accept}\r")),
        ("after-a-100", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        named(name)
            .client([say(opening(dialect)), say(said(dialect, "early"))])
            .backend([say(bytes)].into_iter().chain(leaves(way)))
            .safe([refused_besides(&[502]), backend_left(), never_gets(said(dialect, "early"))])
    })
    .collect();
    rows.push(
        named("on-accept")
            .client([say(opening(dialect))])
            .backend_at_once(match way {
                "fin" => vec![Step::Finish],
                // Without a pause: before the head is there, or while it comes.
                _ => vec![Step::Reset],
            })
            .safe([refused(&[502, 503])]),
    );
    rows
}

/// The backend leaves an open connection.
fn backend_after(dialect: Dialect, way: &'static str) -> Vec<Row> {
    let broken_off =
        "9.4: the upstream just ended: never FF 00, never a whole message that was none, no close but 1011, 1014";
    let whole = plain(TEXT, "hello");
    let long = plain(TEXT, "x".repeat(300));
    let first = plain(FIRST, "hel");
    let one = plain(TEXT, "one");
    let stages: [(&str, Vec<u8>, &'static [&'static str]); 11] = [
        ("right-after-its-101", Vec::new(), &[]),
        ("between-messages", one.clone(), &["one"]),
        ("after-a-frames-first-byte", whole[..1].to_vec(), &[]),
        ("inside-a-length", long[..3].to_vec(), &[]),
        ("after-a-header", whole[..2].to_vec(), &[]),
        ("inside-a-payload", [&one, &whole[..5]].concat(), &["one"]),
        ("inside-a-character", plain(TEXT, "h\u{20ac}llo")[..5].to_vec(), &[]),
        ("between-fragments", first.clone(), &[]),
        ("after-a-ping-between-fragments", [&first[..], &plain(PING, "p")].concat(), &[]),
        ("inside-a-later-fragment", [&first[..], &plain(LAST, "lo")[..3]].concat(), &[]),
        ("inside-its-close", plain(CLOSE, status(1000, ""))[..3].to_vec(), &[]),
    ];
    let mut rows: Vec<Row> = stages
        .into_iter()
        .map(|(name, bytes, texts)| {
            row(format!("stages/backend-leaves-{name}/{way}/{dialect}"), broken_off)
                .opens(dialect)
                .backend([consent(), pause(100), say(bytes)].into_iter().chain(leaves(way)))
                .safe([answered(101), hears_messages(texts), never_hears("\u{fffd}"), backend_left()])
                .safe([broken_off_for(dialect)])
        })
        .collect();
    rows.push(
        row(
            format!("stages/backend-leaves-after-its-close/{way}/{dialect}"),
            "9.4: a close is a close: the client is told so in its own words, although nobody waits for an answer",
        )
        .opens(dialect)
        .backend([consent(), pause(100), say_plain(CLOSE, status(1000, ""))].into_iter().chain(leaves(way)))
        .safe([answered(101), told(&[1000]), backend_left()]),
    );
    rows
}

/// Refused so; but a 100 may have come before it, and to a client that went on speaking a 400 behind it.
fn refused_besides(statuses: &'static [u16]) -> Check {
    any([refused(statuses), all([answered(100), ended()]), all([answered(statuses[0]), hears(" 400 "), ended()])])
}

/// No close; or one that says whose fault it was, where the dialect has words for that.
fn broken_off_for(dialect: Dialect) -> Check {
    if HIXIE.contains(&dialect) { cut_off() } else { any([cut_off(), told(&[1011, 1014])]) }
}
