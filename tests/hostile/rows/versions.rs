//! Versions, drafts and what else decides about the dialect (dialects.md 13.2).

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, Dialect, HYBI, KEY, KEY1, KEY2, KEY3, TEXT, opening_head, said, version};

pub fn rows() -> Vec<Row> {
    [numbers(), no_numbers(), drafts(), stripped(), odd_upgrades(), no_upgrades(), behind_hixie_75()]
        .into_iter()
        .flatten()
        .collect()
}

/// That the client is told which versions there are, 13 among them.
pub fn lists_versions() -> Check {
    check("the answer lists version 13", |seen| {
        let text = String::from_utf8_lossy(&seen.client).to_ascii_lowercase();
        let values = text.split("\r\n").filter_map(|line| line.strip_prefix("sec-websocket-version:"));
        values.flat_map(|value| value.split(',')).any(|number| number.trim() == "13")
    })
}

const USUAL: [&str; 4] =
    ["Host: tv.example:8080", "Upgrade: websocket", "Connection: Upgrade", "Origin: http://tv.example"];

fn head(lines: &[&str]) -> Vec<u8> {
    request(&format!("GET /{TAG} HTTP/1.1"), lines)
}

fn with_version(lines: &[&str]) -> Vec<u8> {
    head(&[&USUAL[..], &[KEY], lines].concat())
}

/// A client that is let in, and whose message arrives.
fn served(name: String, why: &'static str, dialect: Dialect, opening: Vec<u8>) -> Row {
    row(name, why).speaks(dialect).client([say(opening), Step::HearHead, say(said(dialect, "hello"))]).safe([
        answered(101),
        requests(1),
        gets_messages(&[b"hello"]),
    ])
}

fn numbers() -> Vec<Row> {
    let mut rows = Vec::new();
    for number in (0..=16).chain([25, 76, 99, 100, 200, 254, 255]) {
        let opening = with_version(&[&format!("Sec-WebSocket-Version: {number}")]);
        if let Some(dialect) = HYBI.into_iter().find(|dialect| version(*dialect) == number) {
            rows.push(served(
                format!("versions/{number}"),
                "1: versions that browsers spoke are served",
                dialect,
                opening,
            ));
            continue;
        }
        // 5.5 has 400 for 0, which no client sends, and 13.2 row 8 has 426.
        let statuses: &[u16] = if number == 0 { &[400, 426] } else { &[426] };
        rows.push(
            row(format!("versions/{number}"), "13.2 row 8, RFC 6455 4.4: not served, and the client learns which are")
                .client([say(opening)])
                .safe([refused(statuses), untouched(), lists_versions()]),
        );
    }
    rows
}

/// Values of Sec-WebSocket-Version that are no number from 0 to 255; some would be 13 if they wrapped or were cut.
const NO_NUMBERS: [(&str, &[&str]); 27] = [
    ("256", &["256"]),
    ("269", &["269"]),
    ("65549", &["65549"]),
    ("2-to-the-32-and-13", &["4294967309"]),
    ("2-to-the-64-and-13", &["18446744073709551629"]),
    ("minus-1", &["-1"]),
    ("minus-13", &["-13"]),
    ("plus-13", &["+13"]),
    ("13.0", &["13.0"]),
    ("1.3e1", &["1.3e1"]),
    ("0x0d", &["0x0d"]),
    ("013", &["013"]),
    ("0000013", &["0000013"]),
    ("1-3", &["1 3"]),
    ("13-and-a-word", &["13 draft"]),
    ("13-semicolon", &["13;q=1"]),
    ("quoted", &["\"13\""]),
    ("other-digits", &["\u{661}\u{663}"]),
    ("list", &["13, 8"]),
    ("list-of-the-same", &["13,13"]),
    ("comma", &["13,"]),
    ("leading-comma", &[",13"]),
    ("empty", &[""]),
    ("word", &["thirteen"]),
    ("twice", &["13", "13"]),
    ("two", &["13", "8"]),
    ("good-and-empty", &["13", ""]),
];

fn no_numbers() -> Vec<Row> {
    let refused_row = |name: &str, values: &[&str]| {
        let lines: Vec<String> = values.iter().map(|value| format!("Sec-WebSocket-Version: {value}")).collect();
        row(format!("versions/{name}"), "13.2 row 7: exactly one number from 0 to 255 in its shortest form, else 400")
            .client([say(with_version(&lines.iter().map(String::as_str).collect::<Vec<_>>()))])
            .safe([refused(&[400]), untouched(), lists_versions()])
    };
    let mut rows: Vec<Row> = NO_NUMBERS.iter().map(|(name, values)| refused_row(name, values)).collect();
    rows.push(refused_row("four-thousand-digits", &[&"13".repeat(2000)]));
    for (name, value) in [("blanks-around", "   13   "), ("tabs-around", "\t13\t"), ("no-blank", "13")] {
        let line = format!("Sec-WebSocket-Version:{value}");
        let why = "RFC 9110 5.5: blanks around a value are not part of it";
        rows.push(served(format!("versions/{name}"), why, Dialect::Rfc6455, with_version(&[&line])));
    }
    rows.push(
        row("versions/hixie-keys-and-a-bad-version", "13.2 row 7: the version decides, whatever else is there")
            .client([
                say([&head(&[&USUAL[..], &[KEY1, KEY2, "Sec-WebSocket-Version: x"]].concat())[..], KEY3].concat()),
            ])
            .safe([refused(&[400]), untouched(), lists_versions()]),
    );
    rows.push(
        row("versions/hixie-keys-and-an-unknown-version", "13.2 row 8: the version decides, whatever else is there")
            .client([
                say([&head(&[&USUAL[..], &[KEY1, KEY2, "Sec-WebSocket-Version: 0"]].concat())[..], KEY3].concat()),
            ])
            .safe([refused(&[400, 426]), untouched(), lists_versions()]),
    );
    rows
}

fn drafts() -> Vec<Row> {
    let mut rows = Vec::new();
    let zero = "Sec-WebSocket-Draft: 0";
    rows.push(served(
        "versions/draft-0".into(),
        "4.1: draft 0 is hixie-76",
        Dialect::Hixie76,
        opening_with(Dialect::Hixie76, &[zero]),
    ));
    let why = "13.2 row 12: the frames of other drafts look alike and mean other things; 400";
    for (name, value) in [
        ("1", "1"),
        ("2", "2"),
        ("3", "3"),
        ("empty", ""),
        ("word", "hybi-00"),
        ("minus-0", "-0"),
        ("list", "0, 0"),
        ("256", "256"),
        ("2-to-the-32", "4294967296"),
    ] {
        let line = format!("Sec-WebSocket-Draft: {value}");
        for dialect in [Dialect::Hixie75, Dialect::Hixie76] {
            rows.push(
                row(format!("versions/draft-{name}/{dialect}"), why)
                    .client([say(opening_with(dialect, &[&line]))])
                    .safe([refused(&[400]), untouched()]),
            );
        }
    }
    rows.push(
        row("versions/draft-0-and-2", why)
            .client([say(opening_with(Dialect::Hixie76, &[zero, "Sec-WebSocket-Draft: 2"]))])
            .safe([refused(&[400]), untouched()]),
    );
    rows
}

/// The opening of a dialect without the line that begins so.
fn without(dialect: Dialect, start: &str) -> Vec<u8> {
    let text = String::from_utf8(opening_head(dialect, &format!("/{TAG}"), &[])).expect("it is ASCII");
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with(start)).collect();
    let mut bytes = lines.join("\r\n").into_bytes();
    if dialect == Dialect::Hixie76 {
        bytes.extend(KEY3);
    }
    bytes
}

/// What intermediaries that do not know a header leave out.
fn stripped() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let name = format!("versions/upgrade-stripped/{dialect}");
        let what = without(dialect, "Upgrade:");
        rows.push(if dialect == Dialect::Hixie75 {
            row(name, "13.2 row 2: nothing is left that says WebSocket; an ordinary request, and nothing opens")
                .client([say([&what[..], b""].concat())])
                .safe([not_opened(), any([requests(1), untouched()])])
        } else {
            row(name, "13.2 row 2: Upgrade was stripped on the way; 400, and no tunnel")
                .client([say(what)])
                .safe([refused(&[400]), untouched()])
        });
        rows.push(
            row(format!("versions/connection-stripped/{dialect}"), "13.2 row 5: Upgrade without Connection is 400")
                .client([say(without(dialect, "Connection:"))])
                .safe([refused(&[400]), untouched()]),
        );
    }
    rows
}

/// Legal ways to ask for a WebSocket, in the lines of `Upgrade` and `Connection`.
const LEGAL: [(&str, &[&str]); 14] = [
    ("upper-case", &["Upgrade: WEBSOCKET", "Connection: UPGRADE"]),
    ("mixed-case", &["Upgrade: WebSocket", "Connection: uPgRaDe"]),
    ("internet-explorer", &["Upgrade: Websocket", "Connection: Upgrade"]),
    ("names-in-lower-case", &["upgrade: websocket", "connection: upgrade"]),
    ("names-in-upper-case", &["UPGRADE: websocket", "CONNECTION: Upgrade"]),
    ("two-upgrade-lines", &["Upgrade: WebSocket", "Upgrade: WebSocket", "Connection: Upgrade"]),
    ("twice-in-a-line", &["Upgrade: websocket,websocket", "Connection: Upgrade"]),
    ("keep-alive", &["Upgrade: websocket", "Connection: keep-alive, Upgrade"]),
    ("keep-alive-without-blank", &["Upgrade: websocket", "Connection: Upgrade,keepalive"]),
    ("two-connection-lines", &["Upgrade: websocket", "Connection: keep-alive", "Connection: Upgrade"]),
    ("empty-items", &["Upgrade: ,websocket,", "Connection: , ,Upgrade,"]),
    ("tabs", &["Upgrade:\twebsocket\t", "Connection:\tkeep-alive\t,\tUpgrade"]),
    ("h2c-behind", &["Upgrade: websocket, h2c", "Connection: Upgrade"]),
    ("h2c-in-front", &["Upgrade: h2c, websocket", "Connection: Upgrade"]),
];

fn odd_upgrades() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        for (name, lines) in LEGAL {
            let mut opening = without(dialect, "Upgrade:");
            let (first, rest) =
                (opening.iter().position(|byte| *byte == b'\n').expect("a line") + 1, lines.join("\r\n") + "\r\n");
            let connection = memchr::memmem::find(&opening, b"Connection:").expect("it has one");
            let end = connection + memchr::memchr(b'\n', &opening[connection..]).expect("it ends") + 1;
            opening.drain(connection..end);
            opening.splice(first..first, rest.into_bytes());
            let why = "2.3, 2.4, 13.4: lists of tokens in any case; only websocket goes on";
            rows.push(
                served(format!("versions/upgrade-{name}/{dialect}"), why, dialect, opening).safe([never_gets("h2c")]),
            );
        }
    }
    rows
}

/// What looks like asking for a WebSocket, and is not.
fn no_upgrades() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "13.2 rows 2 and 5: tokens are compared whole, not looked for inside others; 400, and nothing opens";
    for (name, lines) in [
        ("websockets", &["Upgrade: websockets", "Connection: Upgrade"][..]),
        ("xwebsocket", &["Upgrade: xwebsocket", "Connection: Upgrade"]),
        ("two-words", &["Upgrade: web socket", "Connection: Upgrade"]),
        ("quoted", &["Upgrade: \"websocket\"", "Connection: Upgrade"]),
        ("h2c", &["Upgrade: h2c", "Connection: Upgrade"]),
        ("empty", &["Upgrade:", "Connection: Upgrade"]),
        ("split-over-lines", &["Upgrade: web", "Upgrade: socket", "Connection: Upgrade"]),
        ("connection-close", &["Upgrade: websocket", "Connection: close"]),
        ("connection-upgraded", &["Upgrade: websocket", "Connection: upgraded"]),
        ("connection-no-upgrade", &["Upgrade: websocket", "Connection: no-upgrade"]),
        ("connection-two-words", &["Upgrade: websocket", "Connection: keep-alive Upgrade"]),
        ("connection-empty", &["Upgrade: websocket", "Connection:"]),
    ] {
        let usual = ["Host: tv.example:8080", "Origin: http://tv.example", KEY, "Sec-WebSocket-Version: 13"];
        rows.push(
            row(format!("versions/no-upgrade-{name}"), why)
                .client([say(head(&[&usual, lines].concat())), say(said(Dialect::Rfc6455, "hello"))])
                .safe([refused(&[400]), untouched()]),
        );
    }
    rows
}

/// Bytes behind the head of a hixie-75 client, which sends none before it is answered.
fn behind_hixie_75() -> Vec<Row> {
    let opening = opening(Dialect::Hixie75);
    let why = "13.2 row 17: eight bytes behind hixie-75 are hixie-76 with its keys stripped: 400; no frame of them";
    let mut rows = vec![
        row("versions/hixie-75-and-key3", why)
            .client([say([&opening[..], KEY3].concat())])
            .safe([refused(&[400]), untouched()]),
        row("versions/hixie-75-and-a-request", why)
            .client([say([&opening[..], b"GET /{TAG}/secret HTTP/1.1\r\nHost: tv.example\r\n\r\n"].concat())])
            .safe([refused(&[400]), untouched()]),
        row("versions/hixie-75-and-the-goodbye-of-76", why)
            .client([say([&opening[..], b"\xff\0"].concat())])
            .safe([refused(&[400]), untouched()]),
        // A backend that takes its time, so that the bytes come while it is asked.
        row("versions/hixie-75-and-key3-a-little-later", why)
            .client([say(&opening), pause(60), say(KEY3)])
            .backend([pause(400), consent()])
            .safe([refused(&[400]), any([untouched(), only_a_head()])]),
        row("versions/hixie-75-and-a-frame", "13.2 row 17: a client that does not wait may be served or refused")
            .speaks(Dialect::Hixie75)
            .client([say([&opening[..], &said(Dialect::Hixie75, "hello")].concat())])
            .safe([any([all([answered(101), gets_messages(&[b"hello"])]), all([refused(&[400]), untouched()])])]),
    ];
    // What the backend says must not be lost or come early either.
    rows.push(
        row("versions/hixie-75-hears-a-frame-with-the-answer", "3.2: the answer first, then frames")
            .opens(Dialect::Hixie75)
            .backend([consent(), say_plain(TEXT, "first")])
            .safe([answered(101), hears_messages(&["first"])]),
    );
    rows
}
