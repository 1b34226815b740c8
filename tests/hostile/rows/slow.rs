//! Clients that take their time (dialects.md 11.8). A limit holds for the whole of what is waited for, not for each byte of
//! it; but slowness alone is no offence.

use crate::frames::head_end;
use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, CLOSE, DIGEST, Dialect, FIRST, GOODBYE, HYBI, KEY3, LAST, PING, PONG, TEXT};
use crate::support::{heard, masked, opening_head, plain, said, status};

/// `timeouts.head` of hybridge.toml, in milliseconds. What must be too slow takes twice as long: a proxy that is not given
/// its turn for a while finds what came late beside the deadline that passed.
const HEAD_TIME: u64 = 2000;

pub fn rows() -> Vec<Row> {
    let mut rows = openings();
    rows.extend(third_key());
    rows.extend(ordinary_requests());
    rows.extend(crowds());
    for dialect in ALL {
        rows.extend(heads(dialect));
        rows.extend(frames(dialect));
    }
    rows
}

/// `bytes` in about so many pieces, with so much time before each.
fn pieces(bytes: &[u8], count: usize, ms: u64) -> Vec<Step> {
    bytes.chunks(bytes.len().div_ceil(count)).flat_map(|piece| [pause(ms), say(piece)]).collect()
}

/// First bytes that lead nowhere.
fn openings() -> Vec<Row> {
    let waits = "11.8: who does not come to the point is closed in time, and nothing reaches the backend";
    let mut rows: Vec<Row> = [
        ("nothing", vec![]),
        ("a-byte", vec![say("G")]),
        ("a-byte-of-tls", vec![say(b"\x16")]),
        ("a-byte-of-a-preamble", vec![say("P")]),
        ("half-a-method", vec![dripped("GE", 30)]),
        ("a-target-without-end", vec![say("GET /{TAG}"), dripped("x".repeat(200), 20)]),
        ("a-request-line", vec![say("GET /{TAG} HTTP/1.1\r\n")]),
        ("a-field-name", vec![say("GET /{TAG} HTTP/1.1\r\nHost")]),
        ("fields-one-by-one", {
            let fields = (0..12).flat_map(|at| [pause(150), say(format!("X-{at}: y\r\n"))]);
            [say("GET /{TAG} HTTP/1.1\r\nHost: tv.example\r\n")].into_iter().chain(fields).collect()
        }),
        ("a-field-without-end", vec![say("GET /{TAG} HTTP/1.1\r\nX: "), dripped("x".repeat(200), 20)]),
        ("all-but-the-last-byte", vec![say("GET /{TAG} HTTP/1.1\r\nHost: tv.example\r\n\r")]),
        ("line-ends-without-end", vec![dripped("\r\n".repeat(100), 20)]),
        ("half-a-policy-request", vec![say("<policy-file")]),
    ]
    .into_iter()
    .map(|(name, steps)| {
        row(format!("slow/only-{name}"), waits).client(steps).safe([turned_away_even_by_reset(), untouched()])
    })
    .collect();
    rows.push(
        row("slow/a-second-head-drips", "11.8: behind an ordinary request, too, the time is that of the whole head")
            .client([
                say(request("GET /{TAG} HTTP/1.1", &["Host: tv.example"])),
                hear("ordinary"),
                dripped("GET /{TAG}/2 HTTP/1.1\r\nHost: tv.example\r\nX: ".to_owned() + &"x".repeat(100), 20),
            ])
            .safe([answered(200), ended(), requests(1), never_gets("/2")]),
    );
    rows.push(
        row("slow/silence-after-a-response", "11.8: an idle connection is closed in time")
            .client([say(request("GET /{TAG} HTTP/1.1", &["Host: tv.example"]))])
            .safe([answered(200), ended(), requests(1)]),
    );
    rows.push(
        row("slow/a-second-request-in-time", "RFC 9112 9.3: a connection may rest between two requests")
            .client([
                say(request("GET /{TAG} HTTP/1.1", &["Host: tv.example"])),
                hear("ordinary"),
                pause(600),
                say(request("GET /{TAG}/2 HTTP/1.1", &["Host: tv.example"])),
            ])
            .safe([requests(2), gets("/2"), stays()]),
    );
    rows
}

/// Turned away; what it says too late may cost it the words.
fn turned_away_even_by_reset() -> Check {
    any([turned_away(), all([not_opened(), ended()])])
}

/// Opening handshakes, too slow and slow enough.
fn heads(dialect: Dialect) -> Vec<Row> {
    let head = opening_head(dialect, "/{TAG}", &[]);
    let too_slow = "11.8: a head that is not whole in time is none, however steadily it comes";
    let in_time = "9.1, field notes 16: a handshake that comes in pieces, but in time, is one";
    vec![
        row(format!("slow/a-head-byte-by-byte/{dialect}"), too_slow)
            .client([dripped(&head, 2 * HEAD_TIME / head.len() as u64)])
            .safe([turned_away_even_by_reset(), untouched()]),
        row(format!("slow/a-head-in-ten-pieces/{dialect}"), too_slow)
            .client(pieces(&head, 10, 2 * HEAD_TIME / 10))
            .safe([turned_away_even_by_reset(), untouched()]),
        row(format!("slow/a-head-that-stops/{dialect}"), too_slow)
            .client([say(&head[..head.len() - 2])])
            .safe([turned_away_even_by_reset(), untouched()]),
        row(format!("slow/a-head-in-time/{dialect}"), in_time)
            .speaks(dialect)
            .client(pieces(&opening(dialect), 8, 40))
            .client([Step::HearHead, say(said(dialect, "hello"))])
            .safe([answered(101), gets_messages(&[b"hello"]), stays()]),
        row(format!("slow/a-message-in-the-handshakes-last-piece/{dialect}"), in_time)
            .speaks(dialect)
            .client(pieces(&[opening(dialect), said(dialect, "hello")].concat(), 8, 40))
            .safe([answered(101), gets_messages(&[b"hello"]), stays()]),
    ]
}

/// The eight bytes behind the head of hixie-76.
fn third_key() -> Vec<Row> {
    let head = opening_head(Dialect::Hixie76, "/{TAG}", &[]);
    let row = |name: &str, why| row(format!("slow/{name}"), why).speaks(Dialect::Hixie76).client([say(&head)]);
    let waits = "11.8, 4.1: without its third key in time the client gets no digest, and the backend is let go";
    let told = any([backend_told(&[1001]), backend_cut_off(), untouched()]);
    vec![
        row("no-key3", waits).safe([ended(), never_hears(DIGEST), backend_left_or_untouched(), gets_messages(&[])]),
        row("seven-bytes-of-key3", waits).client([say(&KEY3[..7])]).safe([ended(), never_hears(DIGEST), told]),
        row("key3-byte-by-byte", waits).client([dripped(KEY3, 400)]).safe([
            ended(),
            never_hears(DIGEST),
            backend_left_or_untouched(),
        ]),
        row("key3-byte-by-byte-in-time", "field notes 6: key3 may come byte by byte")
            .client([dripped(KEY3, 40), hear(DIGEST), say(said(Dialect::Hixie76, "hello"))])
            .safe([answered(101), hears(DIGEST), gets_messages(&[b"hello"]), stays()]),
        row("key3-after-the-101", "field notes 7: fronts hold key3 back until they see a 101")
            .client([Step::HearHead, say(KEY3), hear(DIGEST), say(said(Dialect::Hixie76, "hello"))])
            .safe([answered(101), hears(DIGEST), gets_messages(&[b"hello"]), stays()]),
    ]
}

fn backend_left_or_untouched() -> Check {
    any([backend_left(), untouched()])
}

/// Bodies of ordinary requests.
fn ordinary_requests() -> Vec<Row> {
    let post = |field: &str| say(request("POST /{TAG} HTTP/1.1", &["Host: tv.example", field]));
    let legal = "11.8: an upload may be slow as long as it goes on";
    let stops = "11.8: one that stops is not waited for, and never looks whole to the backend";
    let chunks = "5\r\nabcde\r\n5\r\nfghij\r\n0\r\n\r\n";
    vec![
        row("slow/a-body-byte-by-byte", legal)
            .client([post("Content-Length: 20"), dripped("abcdefghijklmnopqrst", 60)])
            .safe([answered(200), gets("abcdefghijklmnopqrst"), stays()]),
        row("slow/a-body-for-longer-than-any-timeout", legal)
            .client([post("Content-Length: 10"), dripped("abcdefghij", 350)])
            .safe([answered(200), gets("abcdefghij"), stays()]),
        row("slow/chunks-byte-by-byte", legal)
            .client([post("Transfer-Encoding: chunked"), dripped(chunks, 30)])
            .safe([answered(200), gets_letters("abcdefghij"), gets("0\r\n\r\n"), stays()]),
        row("slow/a-body-that-stops", stops)
            .client([post("Content-Length: 20"), dripped("abc", 60)])
            .safe([ended(), backend_left_or_untouched()]),
        row("slow/no-body", stops).client([post("Content-Length: 20")]).safe([ended(), backend_left_or_untouched()]),
        row("slow/chunks-that-stop", stops)
            .client([post("Transfer-Encoding: chunked"), dripped(&chunks[..12], 20)])
            .safe([ended(), never_gets("0\r\n\r\n"), backend_left_or_untouched()]),
        row("slow/no-last-chunk", stops)
            .client([post("Transfer-Encoding: chunked"), say(&chunks[..chunks.len() - 5])])
            .safe([ended(), never_gets("0\r\n\r\n"), backend_left_or_untouched()]),
        row("slow/a-response-byte-by-byte", "11.8: nor is a slow response an offence")
            .client([say(request("GET /{TAG} HTTP/1.1", &["Host: tv.example"])), hear("abcdefghij")])
            .backend([dripped("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabcdefghij", 10)])
            .safe([answered(200), hears("abcdefghij"), stays()]),
    ]
}

/// The bodies that reach the backend have just these letters, however they are cut into chunks.
fn gets_letters(letters: &'static str) -> Check {
    check(format!("the backend gets the letters {letters}"), move |seen| {
        let bodies = seen.visits.iter().flat_map(|visit| &visit.bytes[head_end(&visit.bytes).unwrap_or(0)..]);
        bodies.filter(|byte| byte.is_ascii_alphabetic()).copied().eq(letters.bytes())
    })
}

/// Many that only take up room.
fn crowds() -> Vec<Row> {
    let why = "11.8: three hundred that hardly say anything keep nobody out";
    let head = request("GET / HTTP/1.1", &["Host: tv.example"]);
    [("say-nothing", String::new()), ("begin-a-head", String::from_utf8_lossy(&head[..head.len() - 2]).into_owned())]
        .into_iter()
        .map(|(name, bytes)| {
            row(format!("slow/three-hundred-that-{name}"), why)
                .speaks(Dialect::Rfc6455)
                .client([Step::Crowd(300, bytes.into_bytes()), say(opening(Dialect::Rfc6455)), Step::HearHead])
                .client([say(said(Dialect::Rfc6455, "hello"))])
                .safe([answered(101), gets_messages(&[b"hello"]), requests(1), stays()])
                .heavy()
        })
        .collect()
}

/// Frames byte by byte, which must arrive.
fn frames(dialect: Dialect) -> Vec<Row> {
    let why = "field notes 16: a frame may come byte by byte, and arrives as if it had come at once";
    let text = "h\u{20ac}ll\u{1f600}";
    let mut rows = vec![
        row(format!("slow/a-message-byte-by-byte/{dialect}"), why)
            .opens(dialect)
            .client([dripped(said(dialect, text), 10)])
            .safe([gets_messages(&[text.as_bytes()]), stays()]),
        row(format!("slow/a-backends-message-byte-by-byte/{dialect}"), why)
            .opens(dialect)
            .backend([consent(), dripped(plain(TEXT, text), 10)])
            .safe([hears_messages(&["h\u{20ac}ll\u{1f600}"]), stays()]),
        row(format!("slow/a-backends-fragments-byte-by-byte/{dialect}"), why)
            .opens(dialect)
            .backend([
                consent(),
                dripped([plain(FIRST, &text[..4]), plain(PING, "p"), plain(LAST, &text[4..])].concat(), 10),
            ])
            .safe([hears_messages(&["h\u{20ac}ll\u{1f600}"]), stays()]),
        row(format!("slow/a-backends-close-byte-by-byte/{dialect}"), why)
            .opens(dialect)
            .backend([consent(), dripped(plain(CLOSE, status(1000, "bye")), 20)])
            .safe([told(&[1000]), backend_told(&[1000])]),
        row(
            format!("slow/a-message-slower-than-the-head-may-be/{dialect}"),
            "11.8: only silence ends an open connection",
        )
        .opens(dialect)
        .client([dripped(said(dialect, "slowly"), 250)])
        .safe([gets_messages(&[b"slowly"]), stays()]),
        row(format!("slow/both-at-once/{dialect}"), why)
            .opens(dialect)
            .client([dripped(said(dialect, text), 15)])
            .backend([consent(), dripped(plain(TEXT, text), 15)])
            .safe([gets_messages(&[text.as_bytes()]), hears(heard(dialect, text)), stays()]),
    ];
    if HYBI.contains(&dialect) {
        let fragments = [masked(FIRST, &text[..4]), masked(PING, "p"), masked(LAST, &text[4..])].concat();
        rows.extend([
            row(format!("slow/fragments-byte-by-byte/{dialect}"), why)
                .opens(dialect)
                .client([dripped(fragments, 10)])
                .backend([consent(), hear("nothing that comes"), say_plain(PONG, "p")])
                .safe([gets_messages(&[text.as_bytes()]), hears(plain(PONG, "p")), stays()]),
            row(format!("slow/a-long-frame-in-pieces/{dialect}"), why)
                .opens(dialect)
                .client(pieces(&masked(TEXT, "x".repeat(70_000)), 20, 20))
                .safe([gets_messages(&["x".repeat(70_000).as_bytes()]), stays()]),
        ]);
    }
    let close = match dialect {
        Dialect::Hixie75 => return rows,
        Dialect::Hixie76 => GOODBYE.to_vec(),
        _ => masked(CLOSE, status(1000, "bye")),
    };
    rows.push(
        row(format!("slow/a-close-byte-by-byte/{dialect}"), why)
            .opens(dialect)
            .client([dripped(close, 30)])
            .safe([told(&[1000]), backend_told(&[1000])]),
    );
    rows
}
