//! Text that is not UTF-8, at every place, and text at the edges of it that is (dialects.md 9.7).

use std::time::Duration;

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, Dialect, FIRST, HIXIE, HYBI, LAST, MIDDLE, TEXT, masked, plain, said};

pub fn rows() -> Vec<Row> {
    [from_clients(), mended(), from_backends(), edges()].into_iter().flatten().collect()
}

/// A fault of each kind; the last three are characters cut short.
const FAULTS: [(&str, &[u8]); 21] = [
    ("lone-80", b"\x80"),
    ("lone-bf", b"\xbf"),
    ("overlong-c0", b"\xc0\x80"),
    ("overlong-c1", b"\xc1\xbf"),
    ("overlong-slash", b"\xc0\xaf"),
    ("overlong-e0", b"\xe0\x80\x80"),
    ("overlong-e0-9f", b"\xe0\x9f\xbf"),
    ("overlong-f0", b"\xf0\x80\x80\x80"),
    ("overlong-f0-8f", b"\xf0\x8f\xbf\xbf"),
    ("surrogate-first", b"\xed\xa0\x80"),
    ("surrogate-last", b"\xed\xbf\xbf"),
    ("surrogate-pair", b"\xed\xa0\xbd\xed\xb8\x80"),
    ("above-the-last", b"\xf4\x90\x80\x80"),
    ("f5", b"\xf5\x80\x80\x80"),
    ("f8", b"\xf8\x88\x80\x80\x80"),
    ("fe", b"\xfe"),
    ("ff", b"\xff"),
    ("ff-00", b"\xff\x00"),
    ("cut-of-2", b"\xc3"),
    ("cut-of-3", b"\xe2\x82"),
    ("cut-of-4", b"\xf0\x9f\x98"),
];

/// A text with the fault in a place, as frames of an end that writes them so; between parts the sayer rests.
fn places(fault: &[u8], frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let cut = fault.len().div_ceil(2);
    let around = |before: &[u8], after: &[u8]| [before, fault, after].concat();
    let whole = frame(TEXT, &around(b"a", b"b"));
    // Behind the first byte of the fault: frames end with their payload, here with one byte behind the fault.
    let at = whole.len() - 1 - (fault.len() - cut);
    vec![
        ("alone", vec![frame(TEXT, fault)]),
        ("first", vec![frame(TEXT, &around(b"", b"b"))]),
        ("middle", vec![whole.clone()]),
        ("at-the-end", vec![frame(TEXT, &around(b"a", b""))]),
        (
            "across-fragments",
            vec![
                [frame(FIRST, &[b"a", &fault[..cut]].concat()), frame(LAST, &[&fault[cut..], b"b"].concat())].concat(),
            ],
        ),
        (
            "across-an-empty-fragment",
            vec![
                [
                    frame(FIRST, &[b"a", &fault[..cut]].concat()),
                    frame(MIDDLE, b""),
                    frame(LAST, &[&fault[cut..], b"b"].concat()),
                ]
                .concat(),
            ],
        ),
        ("in-the-last-fragment", vec![frame(FIRST, b"a"), frame(LAST, &around(b"", b"b"))]),
        ("at-the-end-of-the-last-fragment", vec![[frame(FIRST, b"a"), frame(LAST, fault)].concat()]),
        ("across-segments", vec![whole[..at].to_vec(), whole[at..].to_vec()]),
    ]
}

/// Says the parts with a rest between them.
fn in_parts(parts: Vec<Vec<u8>>) -> impl Iterator<Item = Step> {
    parts.into_iter().enumerate().flat_map(|(at, part)| (at > 0).then(|| pause(30)).into_iter().chain([say(part)]))
}

fn from_clients() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.7: text that is not UTF-8 fails with 1007; none of it reaches the backend as a message";
    for dialect in [Dialect::Hybi10, Dialect::Rfc6455] {
        for (fault_name, fault) in FAULTS {
            for (place, parts) in places(fault, |first, payload| masked(first, payload)) {
                rows.push(
                    row(format!("text/{fault_name}-{place}/{dialect}"), why)
                        .opens(dialect)
                        .client(in_parts(parts))
                        .client([say_masked(TEXT, "behind")])
                        .safe([told(&[1007]), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(&[])]),
                );
            }
        }
    }
    rows
}

/// The backend got `texts` messages, of which the first had its faults replaced by U+FFFD, as many as may be.
fn got_mended(first: &'static str, texts: &'static [&'static str]) -> Check {
    check(format!("the backend gets {first:?} with U+FFFD for what is no text, then {texts:?}"), move |seen| {
        let messages = seen.backend_messages();
        let Some((mended, rest)) = messages.split_first() else { return false };
        // Which of the bytes behind a fault belong to it is anybody's choice, but for the good ones.
        let plain = String::from_utf8_lossy(mended).replace(['\u{FFFD}', '\0'], "");
        mended.windows(3).any(|window| window == "\u{FFFD}".as_bytes())
            && plain == first
            && rest.iter().map(Vec::as_slice).eq(texts.iter().map(|text| text.as_bytes()))
    })
}

/// What surrounds the fault in a place.
fn around(place: &str) -> &'static str {
    match place {
        "alone" => "",
        "first" => "b",
        "at-the-end" | "at-the-end-of-the-last-fragment" => "a",
        _ => "ab",
    }
}

/// Dialects whose receivers replace what is no text.
fn mended() -> Vec<Row> {
    let mut rows = Vec::new();
    let why =
        "9.7: up to hybi-09 what is no text becomes U+FFFD while it streams; never raw, and never another message";
    for (fault_name, fault) in FAULTS {
        for (place, parts) in places(fault, |first, payload| masked(first, payload)) {
            let mended = all([got_mended(around(place), &["behind"]), stays()]);
            // The beginning of a character that a later fragment breaks is gone already.
            let refused = all([told(&[1007]), gets_messages(&[])]);
            let across = place.starts_with("across-") && place != "across-segments";
            rows.push(
                row(format!("text/{fault_name}-{place}/v7"), why)
                    .opens(Dialect::Hybi07)
                    .client(in_parts(parts))
                    .client([say_masked(TEXT, "behind")])
                    .safe([any([mended].into_iter().chain(across.then_some(refused)))]),
            );
        }
        // To a hixie client 0xFF is the end of a text, which is another family's.
        if fault.contains(&0xFF) {
            continue;
        }
        for dialect in HIXIE {
            // Their frames have no fragments.
            let places = places(fault, |_, payload| [b"\0", payload, b"\xff"].concat());
            for (place, parts) in places.into_iter().filter(|(place, _)| !place.contains("fragment")) {
                let parts = if place == "across-segments" {
                    vec![[b"\0a", &fault[..1]].concat(), [&fault[1..], b"b\xff"].concat()]
                } else {
                    parts
                };
                rows.push(
                    row(format!("text/{fault_name}-{place}/{dialect}"), why)
                        .opens(dialect)
                        .client(in_parts(parts))
                        .client([say(said(dialect, "behind"))])
                        .safe([got_mended(around(place), &["behind"]), stays()]),
                );
            }
        }
    }
    rows
}

fn from_backends() -> Vec<Row> {
    let mut rows = Vec::new();
    let why =
        "9.7: a backend whose text is not UTF-8 is told 1007; no client hears it whole, and no 0xFF ends a hixie frame";
    for dialect in ALL {
        for (fault_name, fault) in FAULTS {
            for (place, parts) in places(fault, |first, payload| plain(first, payload)) {
                rows.push(
                    row(format!("text/backend-{fault_name}-{place}/{dialect}"), why)
                        .opens(dialect)
                        .client(answers_close(dialect, 1001))
                        .backend(
                            [consent()]
                                .into_iter()
                                .chain(in_parts(parts))
                                .chain([say_plain(TEXT, "behind")])
                                .chain(leaves_once_told()),
                        )
                        .safe([backend_told(&[1007]), any([told(&[1001]), cut_off()]), hears_messages(&[])]),
                );
            }
        }
    }
    rows
}

/// The first and last characters of each length and beside each gap.
const EDGES: [&str; 13] = [
    "\u{0}",
    "\u{7F}",
    "\u{80}",
    "\u{7FF}",
    "\u{800}",
    "\u{FFF}",
    "\u{D7FF}",
    "\u{E000}",
    "\u{FEFF}",
    "\u{FFFD}",
    "\u{FFFF}",
    "\u{10000}",
    "\u{10FFFF}",
];

/// All of them pass, however they are cut.
fn edges() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.7: what is UTF-8 passes unchanged, wherever it is cut";
    let all: &'static str = EDGES.concat().leak();
    for (name, text) in EDGES
        .iter()
        .map(|text| (format!("u+{:04x}", u32::from(text.chars().next().expect("one"))), *text))
        .chain([("all-edges".to_owned(), all)])
    {
        let fragments = |frame: fn(u8, &[u8]) -> Vec<u8>| {
            let bytes = text.as_bytes();
            let middle: Vec<u8> = bytes.iter().flat_map(|byte| frame(MIDDLE, &[*byte])).collect();
            [frame(FIRST, b""), middle, frame(LAST, b"")].concat()
        };
        for dialect in ALL {
            let whole = said(dialect, text);
            let mut ways =
                vec![("whole", say(&whole)), ("byte-by-byte", Step::Drip(whole.clone(), Duration::from_millis(2)))];
            if HYBI.contains(&dialect) {
                ways.push(("fragment-by-fragment", say(fragments(|first, payload| masked(first, payload)))));
            }
            for (way, step) in ways {
                rows.push(
                    row(format!("text/{name}-{way}/{dialect}"), why)
                        .opens(dialect)
                        .client([step])
                        .safe([stays(), gets_messages(&[text.as_bytes()])]),
                );
            }
            let whole = plain(TEXT, text);
            for (way, step) in [
                ("whole", say(&whole)),
                ("byte-by-byte", Step::Drip(whole.clone(), Duration::from_millis(2))),
                ("fragment-by-fragment", say(fragments(|first, payload| plain(first, payload)))),
            ] {
                rows.push(
                    row(format!("text/backend-{name}-{way}/{dialect}"), why)
                        .opens(dialect)
                        .backend([consent(), step])
                        .safe([stays(), hears_messages(&[text])]),
                );
            }
        }
    }
    rows
}
