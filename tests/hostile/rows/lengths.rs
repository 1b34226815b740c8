//! Messages and frames of all too many bytes, and lengths that are written in too many (dialects.md 6.4, 9.4, 11.8).

use crate::frames::hybi;
use crate::judge::*;
use crate::row::*;
use crate::support::{
    ALL, BINARY, CLOSE, Dialect, FIRST, HIXIE, HYBI, LAST, MIDDLE, TEXT, masked, plain, said, status,
};

pub fn rows() -> Vec<Row> {
    [padded(), too_large(), too_large_in_pieces(), too_large_from_the_backend(), as_large_as_allowed()]
        .into_iter()
        .flatten()
        .collect()
}

/// `max_message` in the configuration that is attacked.
const MOST: usize = 1 << 20;

/// What says "message too large" in this dialect (6.5).
fn too_big(dialect: Dialect) -> &'static [u16] {
    if dialect == Dialect::Rfc6455 { &[1009] } else { &[1004] }
}

/// A backend that listens until it hears a close: one that read frames again and again would take longer for much
/// than the proxy.
fn listening() -> [Step; 4] {
    [consent(), hear(b"\x88\x82"), say_plain(CLOSE, status(1001, "")), Step::Finish]
}

/// A header alone: its length written in two or eight bytes.
fn header(first: u8, mask: bool, wide: bool, length: u64) -> Vec<u8> {
    let bit = if mask { 0x80 } else { 0 };
    let mut bytes = vec![first, bit | if wide { 127 } else { 126 }];
    if wide {
        bytes.extend(length.to_be_bytes());
    } else {
        bytes.extend((length as u16).to_be_bytes());
    }
    bytes.extend([0; 4].iter().filter(|_| mask));
    bytes
}

/// Lengths in more bytes than needed: a rule only since hybi-14.
fn padded() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in HYBI {
        for (length, wide) in
            [(0, false), (1, false), (125, false), (0, true), (5, true), (125, true), (126, true), (65_535, true)]
        {
            let width = if wide { 64 } else { 16 };
            let bytes =
                [header(TEXT, true, wide, length), vec![b'a'; length as usize], masked(TEXT, "behind")].concat();
            let row = row(
                format!("lengths/{length}-in-{width}-bits/{dialect}"),
                "RFC 6455 5.2: v13 must refuse it (1002); before hybi-14 it was legal, and is written anew in the fewest bytes",
            )
            .opens(dialect)
            .client([say(bytes)]);
            rows.push(if dialect == Dialect::Rfc6455 {
                row.safe([told(&[1002]), backend_told(&[1001]), gets_messages(&[])])
            } else {
                row.safe([stays(), gets_messages(&[&vec![b'a'; length as usize], b"behind"])])
            });
        }
    }
    rows
}

/// More than the route allows, announced in one header.
fn too_large() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.4, 11.8: above the limit it fails by its header, or where it goes beyond; 1009, or 1004 before v13";
    let poured = Step::Pour(vec![b'a'; 64 << 10], 2 * MOST as u64);
    for dialect in HYBI {
        for (name, first, length) in [
            ("one-too-many", TEXT, MOST as u64 + 1),
            ("one-too-many-binary", BINARY, MOST as u64 + 1),
            ("one-too-many-in-a-fragment", FIRST, MOST as u64 + 1),
            ("4-gib", BINARY, 1 << 32),
            ("most-of-all", BINARY, (1 << 63) - 1),
        ] {
            rows.push(
                row(format!("lengths/announces-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client([say(header(first, true, true, length)), poured.clone()])
                    .backend(listening())
                    .safe([
                        told(too_big(dialect)),
                        any([backend_told(&[1001]), backend_cut_off()]),
                        gets_messages(&[]),
                    ]),
            );
        }
        // What was there already counts, without overflow.
        let sum = [masked(FIRST, "hello"), header(MIDDLE, true, true, (1 << 63) - 3)].concat();
        rows.push(
            row(format!("lengths/announces-more-than-fits-into-a-sum/{dialect}"), why)
                .opens(dialect)
                .client([say(sum), poured.clone()])
                .backend(listening())
                .safe([told(too_big(dialect)), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(&[])]),
        );
    }
    rows
}

/// The same bit by bit.
fn too_large_in_pieces() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.4, 11.8: the limit is one of messages, however many frames they take; the backend never has it whole";
    for dialect in HYBI {
        let piece = masked(MIDDLE, vec![b'a'; 64 << 10]);
        let small = masked(MIDDLE, "aaaaaaaa").repeat(4096);
        for (name, piece) in [("64-kib", piece), ("8-byte", small)] {
            rows.push(
                row(format!("lengths/{name}-fragments-without-end/{dialect}"), why)
                    .opens(dialect)
                    .client([say_masked(FIRST, "a"), Step::Pour(piece, 3 << 20)])
                    .backend(listening())
                    .safe([told(too_big(dialect)), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(&[])])
                    .heavy(),
            );
        }
        let just = [masked(FIRST, vec![b'a'; MOST]), masked(LAST, "b")].concat();
        rows.push(
            row(format!("lengths/one-too-many-in-the-last-fragment/{dialect}"), why)
                .opens(dialect)
                .client([say(just)])
                .backend(listening())
                .safe([told(too_big(dialect)), any([backend_told(&[1001]), backend_cut_off()]), gets_messages(&[])])
                .heavy(),
        );
    }
    rows
}

fn too_large_from_the_backend() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "9.4, 11.8: the limit holds either way; 1009 to the backend, and the client never has it whole";
    for dialect in ALL {
        let announced = |first, length| [header(first, false, true, length), vec![b'a'; 4096]].concat();
        let many = plain(MIDDLE, vec![b'a'; 64 << 10]);
        let cases: [(&str, Vec<Step>); 4] = [
            ("announces-one-too-many", vec![say(announced(TEXT, MOST as u64 + 1))]),
            ("announces-most-of-all", vec![say(announced(TEXT, (1 << 63) - 1))]),
            ("fragments-without-end", vec![say_plain(FIRST, "a"), Step::Pour(many, 3 << 20)]),
            ("one-too-many-in-the-last-fragment", vec![say_plain(FIRST, vec![b'a'; MOST]), say_plain(LAST, "b")]),
        ];
        for (name, steps) in cases {
            rows.push(
                row(format!("lengths/backend-{name}/{dialect}"), why)
                    .opens(dialect)
                    .client(answers_close(dialect, 1001))
                    .backend([consent()].into_iter().chain(steps).chain(leaves_once_told()))
                    .safe([backend_told(&[1009]), any([told(&[1001]), cut_off()]), hears_messages(&[])])
                    .heavy(),
            );
        }
        let binary = announced(BINARY, (1 << 63) - 1);
        // For a hixie client it is wrong twice over.
        let codes: &[u16] = if HIXIE.contains(&dialect) { &[1003, 1009] } else { &[1009] };
        rows.push(
            row(format!("lengths/backend-announces-most-of-all-in-binary/{dialect}"), why)
                .opens(dialect)
                .client(answers_close(dialect, 1001))
                .backend([consent(), say(binary)].into_iter().chain(leaves_once_told()))
                .safe([backend_told(codes), any([told(&[1001]), cut_off()]), hears_messages(&[])]),
        );
    }
    rows
}

/// What is just within the limit passes, either way.
fn as_large_as_allowed() -> Vec<Row> {
    let mut rows = Vec::new();
    let why = "11.8: a limit refuses what is beyond it, and nothing else";
    let text = "a".repeat(MOST);
    // Each way of reading text once: reading a mebibyte again and again is slow.
    for dialect in [Dialect::Hixie76, Dialect::Hybi07, Dialect::Rfc6455] {
        rows.push(
            row(format!("lengths/as-much-as-allowed/{dialect}"), why)
                .opens(dialect)
                .client([say(said(dialect, &text))])
                .backend([consent()])
                .safe([
                    stays(),
                    check("the backend gets one message of 1 MiB", |seen| {
                        seen.backend_messages().iter().map(Vec::len).eq([MOST])
                    }),
                ])
                .heavy(),
        );
        rows.push(
            row(format!("lengths/backend-as-much-as-allowed/{dialect}"), why)
                .opens(dialect)
                .backend([consent(), say_plain(TEXT, &text)])
                .safe([
                    stays(),
                    check("the client hears one message of 1 MiB", move |seen| match HIXIE.contains(&dialect) {
                        true => seen.stream().len() == MOST + 2 && seen.stream().ends_with(b"a\xff"),
                        false => hybi(seen.stream()).iter().map(|frame| frame.payload.len()).sum::<usize>() == MOST,
                    }),
                ])
                .heavy(),
        );
    }
    rows
}
