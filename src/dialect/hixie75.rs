//! Text between 0x00 and 0xFF: the frames of hixie-75, and of hixie-76 which adds one.
//!
//! Both directions are alike and nothing is masked. A frame announces no length, so it streams until its 0xFF comes;
//! there is no binary, no ping, no fragment. hixie-76 has a closing frame, hixie-75 just ends the stream.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::BinaryPolicy;
use crate::event::{Chunk, Close, Closing, Codec, Event, Keys, Kind, Payload, ProtocolError, Rest, Undeliverable};
use crate::utf8::{self, Prefix};

const TEXT: u8 = 0x00;
const END: u8 = 0xFF;
/// hixie-76 §5.3: a zero length after 0xFF is the closing frame.
const CLOSING: [u8; 2] = [0xFF, 0x00];
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Most bytes a length may be written in: 63 bits, more than anybody can send.
const MAX_LENGTH_BYTES: usize = 9;
/// Longest reserved frame that is skipped, in bytes. No client is known to send any; a peer that sends more than this
/// is not one we speak with.
const MAX_SKIP: u64 = 1 << 20;

/// Where the end of a text is searched for before it is checked.
const NEAR: usize = 2048;

/// Which draft's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// hixie-75: reserved frames are skipped, the stream's end is the close.
    Draft75,
    /// hixie-76: frames of type 0x01 to 0x7F are refused, 0xFF 0x00 is the close.
    Draft76,
}

/// A peer that speaks hixie frames.
#[derive(Debug)]
pub struct Hixie {
    revision: Revision,
    binary: BinaryPolicy,
    reading: Reading,
    writing: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Between frames.
    Frames,
    /// Inside a text frame, of which something has been handed on.
    Text,
    /// Inside a reserved frame that 0xFF ends; so many bytes may still be skipped.
    SkipToEnd(u64),
    /// Inside a reserved frame that ends after so many bytes.
    SkipBytes(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Between,
    Text,
    /// A binary message as base64; up to two bytes wait for the third of their group.
    Base64 {
        held: [u8; 2],
        count: usize,
    },
    Latin1,
    Dropped,
}

impl Hixie {
    /// A codec between frames. `binary` is what becomes of binary messages to be encoded.
    pub fn new(revision: Revision, binary: BinaryPolicy) -> Self {
        Hixie { revision, binary, reading: Reading::Frames, writing: Writing::Between }
    }

    /// Reads the first bytes of a frame that is not text, as many as tell its type and, where it has one, its length.
    #[cold]
    fn begin<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        let Some((&ty, rest)) = input.split_first() else { return Ok(None) };
        match ty {
            ..=0x7F if self.revision == Revision::Draft76 => return Err(ProtocolError::UsedReservedFrameType(ty)),
            ..=0x7F => {
                self.reading = Reading::SkipToEnd(MAX_SKIP);
                *input = rest;
                return Ok(None);
            }
            0x80.. => {}
        }
        let Some(length) = length(rest)? else { return Ok(None) };
        *input = &rest[length.written..];
        if self.revision == Revision::Draft76 && ty == CLOSING[0] {
            return match length.value {
                0 => Ok(Some(Event::Close(Close::EMPTY))),
                _ => Err(ProtocolError::UsedReservedFrameType(ty)),
            };
        }
        if length.value > MAX_SKIP {
            return Err(ProtocolError::AnnouncedOverlongSkip);
        }
        self.reading = Reading::SkipBytes(length.value);
        Ok(None)
    }

    /// The next piece of a text frame; `begun`: something of it has been handed on.
    #[inline]
    fn text<'a>(&mut self, begun: bool, input: &mut &'a [u8]) -> Option<Event<'a>> {
        // The type byte stays until something can be handed on, so that the frame can go out in one piece.
        let body = &input[usize::from(!begun)..];
        let piece = piece(body)?;
        *input = &body[piece.taken + usize::from(piece.ends)..];
        self.reading = if piece.ends { Reading::Frames } else { Reading::Text };
        Some(Event::Data(Chunk {
            opens: (!begun).then_some(Kind::Text),
            rsv: 0,
            payload: piece.payload,
            rest: if piece.ends { Rest::End } else { Rest::More },
        }))
    }

    /// As [`Codec::decode`], of an input that is not empty.
    #[inline(never)]
    fn read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        while !input.is_empty() {
            let begun = match self.reading {
                Reading::Frames if input[0] == TEXT => false,
                Reading::Text => true,
                Reading::Frames => {
                    if let Some(close) = self.begin(input)? {
                        return Ok(Some(close));
                    }
                    if self.reading == Reading::Frames {
                        return Ok(None);
                    }
                    continue;
                }
                Reading::SkipToEnd(left) => {
                    let found = memchr::memchr(END, input);
                    let skipped = found.map_or(input.len(), |at| at + 1);
                    let left = left.checked_sub(skipped as u64).ok_or(ProtocolError::AnnouncedOverlongSkip)?;
                    *input = &input[skipped..];
                    self.reading = if found.is_some() { Reading::Frames } else { Reading::SkipToEnd(left) };
                    continue;
                }
                Reading::SkipBytes(left) => {
                    let skipped = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    *input = &input[skipped..];
                    let left = left - skipped as u64;
                    self.reading = if left == 0 { Reading::Frames } else { Reading::SkipBytes(left) };
                    continue;
                }
            };
            return Ok(self.text(begun, input));
        }
        Ok(None)
    }

    #[inline(always)]
    fn open(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<(), Undeliverable> {
        self.writing = match (kind, self.binary) {
            (Kind::Text, _) => Writing::Text,
            (Kind::Binary, BinaryPolicy::Close) => return Err(Undeliverable::Binary),
            (Kind::Binary, BinaryPolicy::Base64) => Writing::Base64 { held: [0; 2], count: 0 },
            (Kind::Binary, BinaryPolicy::Latin1) => Writing::Latin1,
            (Kind::Binary, BinaryPolicy::Drop) => Writing::Dropped,
        };
        if self.writing != Writing::Dropped {
            out.push(TEXT);
        }
        Ok(())
    }

    #[inline(always)]
    fn write(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) -> Result<(), Undeliverable> {
        if let Some(kind) = chunk.opens {
            self.open(kind, out)?;
        }
        let ends = chunk.rest == Rest::End;
        match &mut self.writing {
            Writing::Between | Writing::Dropped => {}
            Writing::Text => chunk.payload.append_to(out, None),
            Writing::Base64 { held, count } => write_base64(held, count, &chunk.payload, ends, out),
            Writing::Latin1 => {
                let Ok::<_, Infallible>(()) = chunk.payload.for_each_plain(|bytes| {
                    for byte in bytes {
                        out.extend_from_slice(char::from(*byte).encode_utf8(&mut [0; 2]).as_bytes());
                    }
                    Ok(())
                });
            }
        }
        if ends {
            if self.mid_frame() {
                out.push(END);
            }
            self.writing = Writing::Between;
        }
        Ok(())
    }
}

impl Codec for Hixie {
    /// A short text.
    #[inline(always)]
    fn at_once<'a>(&mut self, input: &mut &'a [u8]) -> Option<Chunk<'a>> {
        let body = input.strip_prefix(&[TEXT]).filter(|_| self.reading == Reading::Frames)?;
        // Most are ASCII up to their end: one look tells both.
        let ascii = utf8::ascii(body);
        let length = match body.get(ascii)? {
            &END => ascii,
            _ => ascii + memchr::memchr(END, &body[ascii..body.len().min(NEAR)])?,
        };
        let payload = Payload::plain(&body[..length]);
        if length > ascii && !utf8::is_text(&payload) {
            return None;
        }
        *input = &body[length + 1..];
        Some(Chunk { opens: Some(Kind::Text), rsv: 0, payload, rest: Rest::End })
    }

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        // Asked once more behind every read, so the answer must not pay for the room that reading takes.
        if input.is_empty() { Ok(None) } else { self.read(input) }
    }

    #[inline(always)]
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>, _: &mut dyn Keys) -> Result<(), Undeliverable> {
        match event {
            Event::Data(chunk) => self.write(chunk, out),
            Event::Ping(_) | Event::Pong(_) => Err(Undeliverable::Heartbeat),
            Event::Close(_) if self.revision == Revision::Draft76 => {
                out.extend_from_slice(&CLOSING);
                Ok(())
            }
            Event::Close(_) => Err(Undeliverable::Close),
        }
    }

    fn mid_frame(&self) -> bool {
        !matches!(self.writing, Writing::Between | Writing::Dropped)
    }

    fn closing(&self) -> Closing {
        match self.revision {
            Revision::Draft75 => Closing::Stream,
            Revision::Draft76 => Closing::Frame,
        }
    }
}

/// Text that can be handed on.
struct Piece<'a> {
    payload: Payload<'a>,
    /// Bytes of input it stands for.
    taken: usize,
    /// Whether the end of the frame follows.
    ends: bool,
}

/// The next piece of any text. Invalid UTF-8 becomes U+FFFD (hixie-76 §5.3 lets the server choose; a real WebKit can
/// produce it), and what is handed on always ends at a character. `body` does not begin with 0xFF. Out of line: most texts
/// do not need it.
#[inline(never)]
fn piece(body: &[u8]) -> Option<Piece<'_>> {
    // 0xFF is a fault to the check, and never the rest of one, so a long text need not be searched for it. In a short one a
    // search costs less than the fault.
    let end = memchr::memchr(END, &body[..body.len().min(NEAR)]);
    let text = Payload::plain(&body[..end.unwrap_or(body.len())]);
    let (payload, taken) = match utf8::prefix(&text) {
        Prefix::Whole => (text, text.len()),
        Prefix::Cut { valid } | Prefix::Fault { valid, .. } if valid > 0 => (text.slice(0, valid), valid),
        Prefix::Fault { skip, .. } => (Payload::plain(REPLACEMENT), skip),
        Prefix::Cut { .. } if end.is_some() => (Payload::plain(REPLACEMENT), text.len()),
        Prefix::Cut { .. } => return None,
    };
    let ends = body.get(taken) == Some(&END);
    (ends || !payload.is_empty()).then_some(Piece { payload, taken, ends })
}

struct Length {
    value: u64,
    written: usize,
}

/// hixie-75 §4.2: seven bits a byte, the most significant first, the high bit set on all but the last.
fn length(bytes: &[u8]) -> Result<Option<Length>, ProtocolError> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(MAX_LENGTH_BYTES).enumerate() {
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Ok(Some(Length { value, written: at + 1 }));
        }
    }
    if bytes.len() >= MAX_LENGTH_BYTES { Err(ProtocolError::AnnouncedOverlongSkip) } else { Ok(None) }
}

/// Groups of three bytes become four characters; what does not fill a group waits, or is padded at the end.
fn write_base64(held: &mut [u8; 2], count: &mut usize, payload: &Payload<'_>, ends: bool, out: &mut Vec<u8>) {
    let mut put = |bytes: &[u8]| {
        let mut text = [0; 1024];
        for group in bytes.chunks(text.len() / 4 * 3) {
            let written = STANDARD.encode_slice(group, &mut text).expect("four characters for three bytes fit");
            out.extend_from_slice(&text[..written]);
        }
    };
    let Ok::<_, Infallible>(()) = payload.for_each_plain(|mut bytes| {
        if *count > 0 {
            let mut group = [held[0], held[1], 0];
            let filled = bytes.len().min(3 - *count);
            group[*count..*count + filled].copy_from_slice(&bytes[..filled]);
            bytes = &bytes[filled..];
            *count += filled;
            if *count < 3 {
                held.copy_from_slice(&group[..2]);
                return Ok(());
            }
            put(&group);
        }
        let (whole, left) = bytes.split_at(bytes.len() / 3 * 3);
        put(whole);
        held[..left.len()].copy_from_slice(left);
        *count = left.len();
        Ok(())
    });
    if ends {
        put(&held[..*count]);
    }
}

#[cfg(test)]
mod tests {
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
        let ends =
            [&b""[..], "\u{20ac}".as_bytes(), b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xed\xa0\xbd", b"\xc0\xafx"];
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
}
