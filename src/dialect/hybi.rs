//! Frames of hybi-07 (version 7), hybi-10 (version 8) and RFC 6455 (version 13): one layout, both roles, and a row for
//! each of the rules in which they differ.

mod key;

use std::convert::Infallible;

pub use self::key::{accept, client_key, is_key};
use super::Dialect;
use crate::event::{
    Chunk, Close, Closing, Codec, Event, Keys, Kind, MaskingKey, Payload, ProtocolError, Rest, Undeliverable, code,
};
use crate::utf8::{self, Prefix, Utf8};

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
/// RFC 7692 §6: set on the first frame of a compressed message, whose payload is then not UTF-8.
const RSV1: u8 = 0x40;
const MASK: u8 = 0x80;
const OPCODE: u8 = 0x0F;
/// Set in the opcodes of control frames.
const CONTROL: u8 = 0x8;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// The first byte of a message that is one plain frame.
const WHOLE_TEXT: u8 = FIN | TEXT;
const WHOLE_BINARY: u8 = FIN | BINARY;
/// RFC 6455 §5.2: the longest payload whose length stands in the second byte.
const SHORT: usize = 125;

/// Which end of the connection the codec is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends masked frames and receives plain ones.
    Client,
    /// It sends plain frames and receives masked ones.
    Server,
}

/// The rules in which the versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules {
    /// hybi-10 made invalid UTF-8 an error (1007); before, the receiver replaced it by U+FFFD. Version 8 covers both,
    /// and the stricter is the later one.
    mends_text: bool,
    /// hybi-14: a length must be written in the fewest bytes.
    minimal_lengths: bool,
    /// "Message too large": 1004 up to hybi-12, 1009 since.
    too_big: u16,
}

fn rules(dialect: Dialect) -> Rules {
    const V7: Rules = Rules { mends_text: true, minimal_lengths: false, too_big: code::TOO_LARGE_EARLY };
    const V8: Rules = Rules { mends_text: false, ..V7 };
    const V13: Rules = Rules { mends_text: false, minimal_lengths: true, too_big: code::TOO_BIG };
    match dialect {
        Dialect::Hybi07 => V7,
        Dialect::Hybi10 => V8,
        _ => V13,
    }
}

/// A peer that speaks hybi frames.
#[derive(Debug)]
pub struct Hybi {
    rules: Rules,
    role: Role,
    extensions: bool,
    /// The message being read, from its first frame's header to its last byte.
    message: Option<Message>,
    /// The data frame being read; between frames it has no byte left.
    frame: Frame,
    /// The frame being written.
    writing: Written,
    /// The close code the peer sent, as it wrote it.
    heard_code: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    /// Compressed by an extension, so that its bytes are not the text.
    opaque: bool,
    text: Utf8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    /// The first byte of its header; once a chunk has said what it says of the message's beginning, [`FIN`] of it.
    first: u8,
    /// Bytes of payload still to come.
    left: u64,
    /// The key for the next of them.
    key: Option<MaskingKey>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    owed: u64,
    key: Option<MaskingKey>,
}

/// A frame's first bytes.
#[derive(Clone, Copy, Debug)]
struct Header {
    first: u8,
    length: u64,
    key: Option<MaskingKey>,
    /// Bytes the header itself takes.
    size: usize,
}

impl Hybi {
    /// A codec between messages, in the given role. `extensions` allows reserved bits, whose meaning passes unread.
    pub fn new(dialect: Dialect, role: Role, extensions: bool) -> Self {
        Hybi {
            rules: rules(dialect),
            role,
            extensions,
            message: None,
            frame: Frame::default(),
            writing: Written::default(),
            heard_code: None,
        }
    }

    /// Reads a header and judges it as soon as the bytes that condemn it are there.
    fn header(&self, input: &[u8]) -> Result<Option<Header>, ProtocolError> {
        let Some(&first) = input.first() else { return Ok(None) };
        let (fin, rsv, opcode) = (first & FIN != 0, first & RSV, first & OPCODE);
        let control = opcode & CONTROL != 0;
        // Extensions so far mark data frames only (RFC 7692 §6.1); a marked control frame has no meaning.
        if rsv != 0 && (!self.extensions || control) {
            return Err(ProtocolError::SetReservedBits);
        }
        match opcode {
            CONTINUATION if self.message.is_none() => return Err(ProtocolError::ContinuedNothing),
            TEXT | BINARY if self.message.is_some() => return Err(ProtocolError::InterruptedMessage),
            CONTINUATION | TEXT | BINARY => {}
            CLOSE | PING | PONG if fin => {}
            CLOSE | PING | PONG => return Err(ProtocolError::FragmentedControlFrame),
            _ => return Err(ProtocolError::UsedReservedOpcode(opcode)),
        }
        let Some(&second) = input.get(1) else { return Ok(None) };
        match (self.role, second & MASK != 0) {
            (Role::Server, false) => return Err(ProtocolError::SentUnmaskedFrame),
            (Role::Client, true) => return Err(ProtocolError::SentMaskedFrame),
            _ => {}
        }
        let (length, at) = match second & 0x7F {
            126 | 127 if control => return Err(ProtocolError::SentLongControlFrame),
            long @ (126 | 127) => match self.long_length(long, &input[2..])? {
                Some(length) => length,
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        let (key, size) = match self.role {
            Role::Client => (None, at),
            Role::Server => match input[at..].first_chunk() {
                Some(key) => (Some(MaskingKey(*key)), at + 4),
                None => return Ok(None),
            },
        };
        Ok(Some(Header { first, length, key, size }))
    }

    /// A length of two bytes or eight, and where in the frame it ends. Out of line, since most frames are short.
    #[inline(never)]
    fn long_length(&self, long: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, ProtocolError> {
        let (length, at, least) = match (long, bytes.first_chunk(), bytes.first_chunk()) {
            (126, Some(two), _) => (u64::from(u16::from_be_bytes(*two)), 4, 126),
            (127, _, Some(eight)) => (u64::from_be_bytes(*eight), 10, 0x1_0000),
            _ => return Ok(None),
        };
        if length >> 63 != 0 {
            return Err(ProtocolError::AnnouncedOverlongFrame);
        }
        if self.rules.minimal_lengths && length < least {
            return Err(ProtocolError::PaddedFrameLength);
        }
        Ok(Some((length, at)))
    }

    #[cold]
    fn control<'a>(&mut self, header: Header, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        let whole = header.size + header.length as usize;
        let Some((frame, rest)) = input.split_at_checked(whole) else { return Ok(None) };
        let payload = Payload::new(&frame[header.size..], header.key);
        let event = match header.first & OPCODE {
            PING => Event::Ping(payload),
            PONG => Event::Pong(payload),
            _ => Event::Close(self.read_close(payload)?),
        };
        *input = rest;
        Ok(Some(event))
    }

    fn read_close<'a>(&mut self, body: Payload<'a>) -> Result<Close<'a>, ProtocolError> {
        let body_bytes = body.len();
        if body_bytes == 0 {
            return Ok(Close { code: None, reason: body });
        }
        if body_bytes == 1 {
            return Err(ProtocolError::TruncatedCloseCode);
        }
        let mut number = [0; 2];
        let Ok::<_, Infallible>(()) = body.slice(0, 2).for_each_plain(|plain| {
            number.copy_from_slice(plain);
            Ok(())
        });
        let reason = body.slice(2, body_bytes);
        let mut text = Utf8::default();
        if text.feed(&reason).is_err() || !text.is_complete() {
            return Err(ProtocolError::SentInvalidCloseReason);
        }
        let number = u16::from_be_bytes(number);
        let code = self.understood(number)?;
        self.heard_code = Some(number);
        Ok(Close { code: Some(code), reason })
    }

    /// The code in RFC 6455's terms (§7.4.1, and the registry's 1012 to 1014).
    fn understood(&self, code: u16) -> Result<u16, ProtocolError> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(code),
            _ if code == self.rules.too_big => Ok(code::TOO_BIG),
            _ => Err(ProtocolError::SentInvalidCloseCode(code)),
        }
    }

    /// Begins the frame, and the message if it is the first of it.
    fn begin_data(&mut self, header: &Header) {
        let rsv = header.first & RSV;
        match &mut self.message {
            // An extension that is not RFC 7692 may mark continuation frames alone; with one agreed, any mark makes the
            // message opaque from there on.
            Some(message) => message.opaque |= rsv != 0,
            None => {
                let kind = opened(header.first).unwrap_or(Kind::Binary);
                self.message = Some(Message { kind, opaque: rsv & RSV1 != 0, text: Utf8::default() });
            }
        }
        self.frame = Frame { first: header.first, left: header.length, key: header.key };
    }

    /// Takes the next piece of the frame being read.
    fn data<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        let (frame, Some(message)) = (&mut self.frame, &mut self.message) else { return Ok(None) };
        let here = usize::try_from(frame.left).map_or(input.len(), |left| left.min(input.len()));
        let frame_ends = frame.left == here as u64;
        if here == 0 && !frame_ends {
            return Ok(None);
        }
        let fin = frame.first & FIN != 0;
        let mut piece = Piece { payload: Payload::new(&input[..here], frame.key), taken: here };
        let text = message.kind == Kind::Text && !message.opaque;
        let mends = text && self.rules.mends_text;
        if mends {
            match mend(piece.payload, frame_ends, fin, &mut message.text)? {
                Some(mended) => piece = mended,
                None => return Ok(None),
            }
        } else if text {
            let valid = message.text.feed(&piece.payload).is_ok();
            if !valid || (fin && frame_ends && !message.text.is_complete()) {
                return Err(ProtocolError::SentInvalidUtf8);
            }
        }
        *input = &input[piece.taken..];
        frame.left -= piece.taken as u64;
        frame.key = frame.key.map(|key| key.rotated(piece.taken));
        let rest = match (frame.left, fin) {
            (0, true) => Rest::End,
            (0, false) => Rest::More,
            // What is mended may change its length, so nothing can be promised of it.
            (_, _) if mends => Rest::More,
            (bytes, fin) => Rest::Owed { bytes, fin },
        };
        let chunk = Chunk { opens: opened(frame.first), rsv: frame.first & RSV, payload: piece.payload, rest };
        frame.first &= FIN;
        if rest == Rest::End {
            self.message = None;
        }
        Ok(Some(Event::Data(chunk)))
    }

    /// The key of a new frame: none for a server; for a client the one the bytes came with, or a fresh one.
    fn key_for(&self, had: Option<MaskingKey>, keys: &mut dyn Keys) -> Option<MaskingKey> {
        match self.role {
            Role::Server => None,
            Role::Client => Some(had.unwrap_or_else(|| keys.fresh())),
        }
    }

    #[inline(always)]
    fn write_data(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) {
        let here = chunk.payload.len() as u64;
        let mut frame = self.writing;
        if frame.owed == 0 {
            let opcode = match chunk.opens {
                Some(Kind::Text) => TEXT,
                Some(Kind::Binary) => BINARY,
                None => CONTINUATION,
            };
            let fin = if chunk.rest.fin() { FIN } else { 0 };
            let key = self.key_for(chunk.payload.key(), keys);
            frame = Written { owed: here + chunk.rest.owed(), key };
            write_header(fin | chunk.rsv | opcode, frame.owed, key, out);
        }
        debug_assert_eq!(frame.owed - here, chunk.rest.owed(), "an announced length is a promise");
        let key = frame.key.map(|key| key.rotated(chunk.payload.len()));
        self.writing = Written { owed: frame.owed - here, key };
        chunk.payload.append_to(out, frame.key);
    }

    /// What brings no data. Out of line, like all that is rare, so that data does not pay for it.
    #[cold]
    fn write_other(&mut self, event: &Event<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) {
        match event {
            Event::Data(_) => {}
            Event::Ping(payload) => self.write_control(PING, payload, out, keys),
            Event::Pong(payload) => self.write_control(PONG, payload, out, keys),
            Event::Close(close) => self.write_close(close, out, keys),
        }
    }

    fn write_control(&mut self, opcode: u8, payload: &Payload<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) {
        let key = self.key_for(payload.key(), keys);
        write_header(FIN | opcode, payload.len() as u64, key, out);
        payload.append_to(out, key);
    }

    fn write_close(&mut self, close: &Close<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) {
        let Some(code) = close.code else { return self.write_control(CLOSE, &close.reason, out, keys) };
        let code = match (code, self.heard_code) {
            // An answer repeats the peer's number, not another for the same thing; but 1004 is reserved to later ears
            // of the same version, so it is answered by a close without a code, which all of them understand.
            (code::TOO_BIG, Some(code::TOO_LARGE_EARLY)) => {
                return self.write_control(CLOSE, &Close::EMPTY.reason, out, keys);
            }
            (code::TOO_BIG, None) => self.rules.too_big,
            (code, _) => code,
        };
        // The reason's key is the frame's, two bytes further on; two more bring it back to the start.
        let key = self.key_for(close.reason.key().map(|key| key.rotated(2)), keys);
        write_header(FIN | CLOSE, 2 + close.reason.len() as u64, key, out);
        Payload::plain(&code.to_be_bytes()).append_to(out, key);
        close.reason.append_to(out, key.map(|key| key.rotated(2)));
    }
}

/// The kind of the message that a frame with this first byte begins.
fn opened(first: u8) -> Option<Kind> {
    match first & OPCODE {
        TEXT => Some(Kind::Text),
        BINARY => Some(Kind::Binary),
        _ => None,
    }
}

struct Piece<'a> {
    payload: Payload<'a>,
    /// Bytes of input it stands for.
    taken: usize,
}

/// The front of a text up to its first fault, or the U+FFFD that replaces the fault; `None` waits for the rest of a
/// character.
#[inline(never)]
fn mend<'a>(
    payload: Payload<'a>,
    frame_ends: bool,
    fin: bool,
    text: &mut Utf8,
) -> Result<Option<Piece<'a>>, ProtocolError> {
    if !text.is_complete() {
        // The last fragment ended inside a character, and its bytes are gone: what does not go on from there can no
        // longer be mended. What follows the character can.
        let rest = payload.slice(0, payload.len().min(text.missing()));
        let ends = frame_ends && fin && rest.len() == payload.len();
        let valid = text.feed(&rest).is_ok() && (!ends || text.is_complete());
        return if valid {
            Ok(Some(Piece { payload: rest, taken: rest.len() }))
        } else {
            Err(ProtocolError::SentInvalidUtf8)
        };
    }
    let replaced = |taken| Some(Piece { payload: Payload::plain("\u{FFFD}".as_bytes()), taken });
    Ok(match utf8::prefix(&payload) {
        Prefix::Whole => Some(Piece { payload, taken: payload.len() }),
        Prefix::Cut { valid } | Prefix::Fault { valid, .. } if valid > 0 => {
            Some(Piece { payload: payload.slice(0, valid), taken: valid })
        }
        Prefix::Fault { skip, .. } => replaced(skip),
        Prefix::Cut { .. } if frame_ends && fin => replaced(payload.len()),
        Prefix::Cut { .. } if frame_ends => {
            let _unfinished = text.feed(&payload);
            Some(Piece { payload, taken: payload.len() })
        }
        Prefix::Cut { .. } => None,
    })
}

#[inline]
fn write_header(first: u8, length: u64, key: Option<MaskingKey>, out: &mut Vec<u8>) {
    match (length, key) {
        // Appended at once, since each part would ask for room of its own.
        (..126, Some(MaskingKey([a, b, c, d]))) => out.extend_from_slice(&[first, MASK | length as u8, a, b, c, d]),
        (..126, None) => out.extend_from_slice(&[first, length as u8]),
        _ => write_long_header(first, length, key, out),
    }
}

#[inline(never)]
fn write_long_header(first: u8, length: u64, key: Option<MaskingKey>, out: &mut Vec<u8>) {
    let mask = if key.is_some() { MASK } else { 0 };
    if let Ok(length) = u16::try_from(length) {
        out.extend_from_slice(&[first, mask | 126]);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.extend_from_slice(&[first, mask | 127]);
        out.extend_from_slice(&length.to_be_bytes());
    }
    if let Some(MaskingKey(key)) = key {
        out.extend_from_slice(&key);
    }
}

impl Codec for Hybi {
    /// A message of one short frame.
    #[inline(always)]
    fn at_once<'a>(&mut self, input: &mut &'a [u8]) -> Option<Chunk<'a>> {
        let [first, second, ..] = **input else { return None };
        let masked = self.role == Role::Server;
        let length = usize::from(second & !MASK);
        let kind = match first {
            WHOLE_TEXT => Kind::Text,
            WHOLE_BINARY => Kind::Binary,
            _ => return None,
        };
        let between = self.message.is_none() && self.frame.left == 0;
        if !between || (second & MASK != 0) != masked || length > SHORT {
            return None;
        }
        let (header, rest) = input.split_at_checked(if masked { 6 } else { 2 })?;
        let (payload, rest) = rest.split_at_checked(length)?;
        let payload = Payload::new(payload, header[2..].first_chunk().copied().map(MaskingKey));
        if kind == Kind::Text && !utf8::is_text(&payload) {
            return None;
        }
        *input = rest;
        Some(Chunk { opens: Some(kind), rsv: 0, payload, rest: Rest::End })
    }

    #[inline(never)]
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.frame.left == 0 {
            let Some(header) = self.header(input)? else { return Ok(None) };
            if header.first & CONTROL != 0 {
                return self.control(header, input);
            }
            // The header stays until some payload follows it, so that both can go out in one piece.
            if header.length > 0 && input.len() == header.size {
                return Ok(None);
            }
            *input = &input[header.size..];
            self.begin_data(&header);
        }
        self.data(input)
    }

    #[inline(always)]
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) -> Result<(), Undeliverable> {
        match event {
            Event::Data(chunk) => self.write_data(chunk, out, keys),
            _ => self.write_other(event, out, keys),
        }
        Ok(())
    }

    fn mid_frame(&self) -> bool {
        self.writing.owed > 0
    }

    fn closing(&self) -> Closing {
        Closing::Code
    }
}
