//! Frames read at every split, written by every policy, and what is refused.

use super::*;
use crate::event::MaskingKey;

struct NoKeys;
impl Keys for NoKeys {
    fn fresh(&mut self) -> MaskingKey {
        unreachable!("hixie frames are not masked")
    }
}

/// What the bytes mean, texts joined, fed in pieces cut at `cuts`.
fn read(revision: Revision, pieces: &[&[u8]]) -> Result<String, ProtocolError> {
    let mut codec = Hixie::new(revision, BinaryPolicy::Close);
    let mut kept = Vec::new();
    let mut meaning = String::new();
    for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        while let Some(event) = codec.decode(&mut input)? {
            match event {
                Event::Data(chunk) => {
                    meaning += if chunk.opens.is_some() { "<" } else { "" };
                    meaning += &String::from_utf8(chunk.payload.to_vec()).expect("only characters are handed on");
                    meaning += if chunk.rest == Rest::End { ">" } else { "" };
                }
                Event::Close(close) => {
                    assert_eq!(close.code, None);
                    meaning += "close";
                }
                other => panic!("{other:?}"),
            }
        }
        let left = input.len();
        assert!(left <= 12, "{left} bytes were left over");
        kept.drain(..kept.len() - left);
    }
    Ok(meaning)
}

fn check(revision: Revision, bytes: &[u8], expected: Result<&str, ProtocolError>) {
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            let meaning = read(revision, &pieces);
            assert_eq!(meaning.as_deref().map_err(|e| *e), expected, "{bytes:02x?} at {first} and {second}");
        }
    }
}

#[test]
fn frames_mean_the_same_at_every_split() {
    use Revision::{Draft75, Draft76};
    for revision in [Draft75, Draft76] {
        check(revision, b"\0Hello\xff", Ok("<Hello>"));
        check(revision, b"\0\xff", Ok("<>"));
        check(revision, b"\0\x0a\0\xff\0a\xff", Ok("<\x0a\0><a>"));
        check(revision, b"\0Apple = \xef\xa3\xbf\xff", Ok("<Apple = \u{f8ff}>"));
        check(revision, b"\x80\x02He\0Hello\xff", Ok("<Hello>"));
        check(revision, b"\x80\x80\x80\x05\x01\x02\x03\xff\x05\0a\xff", Ok("<a>"));
        check(revision, b"\0a\xe2\x82\xffb", read(revision, &[b"\0a\xe2\x82\xffb"]).as_deref().map_err(|e| *e));
        check(revision, b"\0\xe2\x82\xac\xf0\x9f\x98\x80\xff", Ok("<\u{20ac}\u{1f600}>"));
    }
    check(Draft75, b"\x01skipped\xff\0a\xff", Ok("<a>"));
    check(Draft75, b"\xff\0\0a\xff", Ok("<a>"));
    check(Draft76, b"\0a\xff\xff\0", Ok("<a>close"));
    check(Draft76, b"\x04\x05Hello", Err(ProtocolError::UsedReservedFrameType(4)));
    check(Draft76, b"\xff\x01a", Err(ProtocolError::UsedReservedFrameType(0xff)));
}

#[test]
fn a_text_ends_at_its_end_however_long_it_is() {
    for length in 0..300 {
        for odd in ["", "\u{20ac}"] {
            let text = "x".repeat(length / 2) + odd + &"y".repeat(length - length / 2);
            let frame = [b"\0", text.as_bytes(), b"\xff"].concat();
            let (front, back) = frame.split_at(1 + length * 2 / 3);
            let expected = Ok(format!("<{text}><z>"));
            assert_eq!(read(Revision::Draft76, &[&[&frame, &b"\0z\xff"[..]].concat()]), expected);
            assert_eq!(read(Revision::Draft76, &[front, back, b"\0z\xff"]), expected);
        }
    }
}

#[test]
fn invalid_utf8_is_mended_at_every_split() {
    for body in [&b"a\xe2\x82"[..], b"\xed\xa0\xbd", b"\xc0\xafx", b"\xf0\x9f\x98A", b"\x80\x80ok\xf5"] {
        let frame = [b"\0", body, b"\xff"].concat();
        let expected = format!("<{}>", String::from_utf8_lossy(body));
        check(Revision::Draft76, &frame, Ok(&expected));
    }
}

#[test]
fn whatever_ends_a_long_text_is_mended_and_its_end_found() {
    let ends = [&b""[..], "\u{20ac}".as_bytes(), b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xed\xa0\xbd", b"\xc0\xafx"];
    for (length, end) in (NEAR - 6..NEAR + 6).flat_map(|length| ends.map(|end| (length, end))) {
        let body = [&b"x".repeat(length), end].concat();
        let expected = format!("<{}><z>", String::from_utf8_lossy(&body));
        let bytes = [b"\0", &body[..], b"\xff\0z\xff"].concat();
        for cut in [1, 1 + length, bytes.len() - 4, bytes.len()] {
            let (front, back) = bytes.split_at(cut);
            let meaning = read(Revision::Draft76, &[front, back]);
            assert!(meaning.as_ref() == Ok(&expected), "{end:02x?} behind {length}, cut at {cut}");
        }
    }
}

#[test]
fn a_long_text_that_is_there_is_one_chunk() {
    let bytes = [&b"\0"[..], &b"x".repeat(2 * NEAR), b"\xff"].concat();
    let mut input = &bytes[..];
    let event = Hixie::new(Revision::Draft76, BinaryPolicy::Close).decode(&mut input);
    let Ok(Some(Event::Data(chunk))) = event else { panic!("{event:?}") };
    assert_eq!((chunk.payload.len(), chunk.rest, input), (2 * NEAR, Rest::End, &b""[..]));
}

#[test]
fn a_length_that_nobody_can_mean_is_refused() {
    let overlong = Err(ProtocolError::AnnouncedOverlongSkip);
    assert_eq!(read(Revision::Draft75, &[b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"]), overlong);
    assert_eq!(read(Revision::Draft75, &[b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"]), overlong);
    assert_eq!(read(Revision::Draft75, &[b"\x80\xc0\x80\x01"]), overlong);
    assert_eq!(read(Revision::Draft75, &[&[1; (1 << 20) + 2]]), overlong);
}

#[test]
fn lengths_are_read_seven_bits_a_byte() {
    let value = |bytes: &[u8]| length(bytes).map(|length| length.map(|length| length.value));
    assert_eq!(value(b"\x02"), Ok(Some(2)));
    assert_eq!(value(b"\x81\x00"), Ok(Some(128)));
    assert_eq!(value(b"\x80\x80\x05"), Ok(Some(5)));
    assert_eq!(value(b"\x81"), Ok(None));
}

#[test]
fn binary_follows_the_policy_at_every_split() {
    let bytes: Vec<u8> = (0..=255).chain([0, 0x7f, 0x80]).collect();
    let latin1: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let framed = |text: &str| [b"\0", text.as_bytes(), b"\xff"].concat();
    for (policy, expected) in [
        (BinaryPolicy::Base64, framed(&STANDARD.encode(&bytes))),
        (BinaryPolicy::Latin1, framed(&latin1)),
        (BinaryPolicy::Drop, Vec::new()),
    ] {
        for first in 0..=bytes.len() {
            let second = (first + first % 5).min(bytes.len());
            let mut codec = Hixie::new(Revision::Draft76, policy);
            let mut out = Vec::new();
            for (from, to) in [(0, first), (first, second), (second, bytes.len())] {
                let last = to == bytes.len() && from == second;
                let chunk = Chunk {
                    opens: (from == 0 && to == first).then_some(Kind::Binary),
                    rsv: 0,
                    payload: Payload::plain(&bytes[from..to]),
                    rest: if last { Rest::End } else { Rest::More },
                };
                let opens = chunk.opens.filter(|_| out.is_empty());
                codec.encode(&Event::Data(Chunk { opens, ..chunk }), &mut out, &mut NoKeys).expect("has words");
                if last {
                    break;
                }
            }
            assert_eq!(out, expected, "{policy:?} cut at {first} and {second}");
            assert!(!codec.mid_frame());
        }
    }
    let binary = Chunk { opens: Some(Kind::Binary), rsv: 0, payload: Payload::plain(b"x"), rest: Rest::End };
    let mut out = Vec::new();
    let mut codec = Hixie::new(Revision::Draft75, BinaryPolicy::Close);
    assert_eq!(codec.encode(&Event::Data(binary), &mut out, &mut NoKeys), Err(Undeliverable::Binary));
    assert!(out.is_empty());
}
