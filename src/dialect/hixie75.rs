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
        let piece = piece(begun, body)?;
        *input = &body[piece.taken + usize::from(piece.ends)..];
        self.reading = if piece.ends { Reading::Frames } else { Reading::Text };
        Some(Event::Data(Chunk {
            opens: (!begun).then_some(Kind::Text),
            rsv: 0,
            payload: piece.payload,
            rest: if piece.ends { Rest::End } else { Rest::More },
        }))
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

    #[inline(never)]
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
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
/// produce it), and what is handed on always ends at a character. Out of line: most texts do not need it.
#[inline(never)]
fn piece(begun: bool, body: &[u8]) -> Option<Piece<'_>> {
    // 0xFF is a fault to the check, and never the rest of one, so a text need not be searched for it, but in front, where the
    // fault would be mended. In a short text a search costs less than the fault; one for each of many faults would not.
    let end = match body.first() {
        Some(&END) => Some(0),
        _ if begun => None,
        _ => memchr::memchr(END, &body[..body.len().min(NEAR)]),
    };
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
mod tests;
