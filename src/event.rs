//! The common tongue: what every dialect's bytes mean, and the trait that turns one into the other.
//!
//! A codec knows events and nothing of the other side, so a new dialect is one more codec and not one more pair.
//! No message is ever held: a [`Chunk`] carries the bytes in hand, and says how the message begins and goes on.

use std::fmt;
use std::time::Duration;

/// The kind of a message (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// Something one side said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Bytes of a message.
    Data(Chunk<'a>),
    /// A ping (RFC 6455 §5.5.2).
    Ping(Payload<'a>),
    /// A pong (RFC 6455 §5.5.3).
    Pong(Payload<'a>),
    /// The start, or the answer, of the closing handshake.
    Close(Close<'a>),
}

/// Bytes of one message, passed on as soon as they are in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// On the first chunk of a message: its kind.
    pub opens: Option<Kind>,
    /// The reserved bits of the frame that begins with this chunk (mask `0x70`), set by an extension both ends agreed on.
    pub rsv: u8,
    /// The bytes.
    pub payload: Payload<'a>,
    /// What follows.
    pub rest: Rest,
}

/// What follows a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The frame announced so many more bytes (never 0); `fin`: they end the message.
    Owed {
        /// Bytes of the frame still to come.
        bytes: u64,
        /// Whether the frame is the message's last.
        fin: bool,
    },
    /// The message goes on, its next length unknown.
    More,
    /// The message is complete.
    End,
}

impl Rest {
    /// Bytes that the frame still owes.
    pub fn owed(self) -> u64 {
        match self {
            Rest::Owed { bytes, .. } => bytes,
            Rest::More | Rest::End => 0,
        }
    }

    /// Whether the frame this chunk belongs to ends the message.
    pub fn fin(self) -> bool {
        matches!(self, Rest::End | Rest::Owed { fin: true, .. })
    }
}

/// A masking key (RFC 6455 §5.3). All zeroes is a legal key, and not the same as none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MaskingKey(pub [u8; 4]);

impl MaskingKey {
    /// The key as it applies `by` bytes further on.
    #[must_use]
    pub fn rotated(self, by: usize) -> Self {
        // Read with the first byte lowest, so that a shift to the right brings the next one to the front.
        MaskingKey(u32::from_le_bytes(self.0).rotate_right((by % 4) as u32 * 8).to_le_bytes())
    }

    /// XORs `bytes` with the key, from the key's first byte on.
    pub fn apply(self, bytes: &mut [u8]) {
        let key = self.wide();
        let (words, tail) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(key.to_ne_bytes()) {
            *byte ^= key;
        }
    }

    /// As [`MaskingKey::apply`] to a copy at the end of `out`, in one pass, which of large payloads is a third quicker than
    /// two. Out of line, so that a plain copy does not pay for it.
    #[inline(never)]
    fn append_applied(self, bytes: &[u8], out: &mut Vec<u8>) {
        let key = self.wide();
        let (words, tail) = bytes.as_chunks::<8>();
        out.reserve(bytes.len());
        out.extend(words.iter().flat_map(|word| (u64::from_ne_bytes(*word) ^ key).to_ne_bytes()));
        out.extend(tail.iter().zip(key.to_ne_bytes()).map(|(byte, key)| byte ^ key));
    }

    /// The key twice, as it lies over eight bytes.
    fn wide(self) -> u64 {
        let key = u64::from(u32::from_ne_bytes(self.0));
        key << 32 | key
    }

    fn xor(self, other: Self) -> Self {
        MaskingKey((u32::from_ne_bytes(self.0) ^ u32::from_ne_bytes(other.0)).to_ne_bytes())
    }
}

impl fmt::Debug for MaskingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// Where fresh masking keys come from. Randomness is handed in: the core draws none of its own.
pub trait Keys {
    /// A key nobody can foretell (RFC 6455 §5.3, §10.3).
    fn fresh(&mut self) -> MaskingKey;
}

/// Bytes as they travelled: plain, or under a key rotated to fit their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    key: Option<MaskingKey>,
}

impl<'a> Payload<'a> {
    /// Bytes under no key.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Payload { bytes, key: None }
    }

    /// Bytes as they came: under `key` if there is one.
    pub fn new(bytes: &'a [u8], key: Option<MaskingKey>) -> Self {
        Payload { bytes, key }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The key that fits the first byte.
    pub fn key(&self) -> Option<MaskingKey> {
        self.key
    }

    /// The bytes from `from` up to `to`, under the key that fits them.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Payload<'a> {
        Payload { bytes: &self.bytes[from..to], key: self.key.map(|key| key.rotated(from)) }
    }

    /// How many of the plain bytes in front are ASCII, for which they need not be unmasked: all, or whole steps of them.
    pub fn ascii_front(&self) -> usize {
        // Long enough that the sums after each step count for little, short enough that little is looked at in vain.
        const STEP: usize = 256;
        let (steps, last) = self.bytes.as_chunks::<STEP>();
        let is_ascii = |bytes| Payload::new(bytes, self.key).is_ascii();
        match steps.iter().position(|step| !is_ascii(step)) {
            Some(at) => at * STEP,
            None if is_ascii(last) => self.len(),
            None => steps.len() * STEP,
        }
    }

    /// Whether the plain bytes are all ASCII, for which they need not be unmasked.
    #[inline]
    pub fn is_ascii(&self) -> bool {
        let key = self.key.map_or(0, MaskingKey::wide);
        let (words, tail) = self.bytes.as_chunks::<8>();
        let words = words.iter().fold(0, |seen, word| seen | (u64::from_ne_bytes(*word) ^ key));
        let tail = tail.iter().zip(key.to_ne_bytes()).fold(0, |seen, (byte, key)| seen | (byte ^ key));
        words & 0x8080_8080_8080_8080 == 0 && tail.is_ascii()
    }

    /// Appends the bytes to `out` under the key `wanted`. Equal keys cancel to a plain copy.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>, wanted: Option<MaskingKey>) {
        let key = match (self.key, wanted) {
            (Some(had), Some(wanted)) if had == wanted => return out.extend_from_slice(self.bytes),
            (Some(had), Some(wanted)) => had.xor(wanted),
            (Some(key), None) | (None, Some(key)) => key,
            (None, None) => return out.extend_from_slice(self.bytes),
        };
        key.append_applied(self.bytes, out);
    }

    /// Hands the plain bytes to `take`, block after block, without allocating; stops at the first error.
    ///
    /// # Errors
    /// Whatever `take` returns.
    pub fn for_each_plain<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        // A multiple of 4, so that every block starts at the key's first byte; small, so that clearing it costs nothing
        // beside a short message.
        const BLOCK: usize = 256;
        let Some(key) = self.key else { return take(self.bytes) };
        let mut block = [0; BLOCK];
        for masked in self.bytes.chunks(BLOCK) {
            let plain = &mut block[..masked.len()];
            plain.copy_from_slice(masked);
            key.apply(plain);
            take(plain)?;
        }
        Ok(())
    }

    /// The plain bytes, as an owned copy: for messages to people and for tests, not for the relay.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.append_to(&mut out, None);
        out
    }
}

/// A closing frame: its code, if it had one, and the reason that followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The close code; `None` for an empty closing frame (locally 1005, RFC 6455 §7.1.5).
    pub code: Option<u16>,
    /// The reason, UTF-8, at most 123 bytes.
    pub reason: Payload<'a>,
}

impl Close<'_> {
    /// A close without code or reason.
    pub const EMPTY: Close<'static> = Close { code: None, reason: Payload { bytes: b"", key: None } };

    /// A close with a code alone.
    pub fn with(code: u16) -> Close<'static> {
        Close { code: Some(code), ..Close::EMPTY }
    }
}

/// Close codes this proxy itself sends (RFC 6455 §7.4.1).
pub mod code {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// An endpoint went away.
    pub const GOING_AWAY: u16 = 1001;
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A kind of data the other end cannot take.
    pub const UNSUPPORTED: u16 = 1003;
    /// Message too large, in versions 6 to 8 (hybi-06 to hybi-12).
    pub const TOO_LARGE_EARLY: u16 = 1004;
    /// Text that is not UTF-8.
    pub const INVALID_DATA: u16 = 1007;
    /// Message too big (RFC 6455).
    pub const TOO_BIG: u16 = 1009;
    /// The server met something that keeps it from going on.
    pub const INTERNAL_ERROR: u16 = 1011;
    /// Try again later (the registry's, after RFC 6455).
    pub const TRY_AGAIN: u16 = 1013;
}

/// The rule a peer broke. Each is a sentence about the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// RFC 6455 §5.2: a reserved bit is set and no extension was agreed on.
    SetReservedBits,
    /// RFC 6455 §5.2: opcodes 3-7 and B-F are reserved.
    UsedReservedOpcode(u8),
    /// RFC 6455 §5.1: a client's frame must be masked.
    SentUnmaskedFrame,
    /// RFC 6455 §5.1: a server's frame must not be masked.
    SentMaskedFrame,
    /// RFC 6455 §5.2: the top bit of a 64-bit length must be 0.
    AnnouncedOverlongFrame,
    /// RFC 6455 §5.2: the length must be written in the fewest bytes.
    PaddedFrameLength,
    /// RFC 6455 §5.5: a control frame must not be fragmented.
    FragmentedControlFrame,
    /// RFC 6455 §5.5: a control frame has at most 125 bytes of payload.
    SentLongControlFrame,
    /// RFC 6455 §5.4: a continuation without a message to continue.
    ContinuedNothing,
    /// RFC 6455 §5.4: a new message inside an unfinished one.
    InterruptedMessage,
    /// RFC 6455 §5.5.1: a close body of one byte.
    TruncatedCloseCode,
    /// RFC 6455 §7.4: a close code that may not be sent.
    SentInvalidCloseCode(u16),
    /// RFC 6455 §5.5.1: a close reason that is not UTF-8.
    SentInvalidCloseReason,
    /// RFC 6455 §8.1: text that is not UTF-8.
    SentInvalidUtf8,
    /// hixie-76 §5.3: a frame type that is neither text nor the closing frame.
    UsedReservedFrameType(u8),
    /// hixie-75 and -76: a frame length of too many bytes, or above what is skipped.
    AnnouncedOverlongSkip,
    /// The message is larger than the route allows.
    ExceededMessageLimit,
    /// An event, or a line of an event stream, is larger than allowed.
    ExceededEventLimit,
}

impl ProtocolError {
    /// The close code that tells the peer so, in RFC 6455's terms.
    pub fn close_code(self) -> u16 {
        match self {
            ProtocolError::SentInvalidUtf8 | ProtocolError::SentInvalidCloseReason => code::INVALID_DATA,
            ProtocolError::ExceededMessageLimit | ProtocolError::ExceededEventLimit => code::TOO_BIG,
            _ => code::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ProtocolError as E;
        f.write_str(match self {
            E::SetReservedBits => "set reserved bits without an extension (RFC 6455 5.2)",
            E::UsedReservedOpcode(op) => return write!(f, "used the reserved opcode 0x{op:X} (RFC 6455 5.2)"),
            E::SentUnmaskedFrame => "sent an unmasked frame (RFC 6455 5.1)",
            E::SentMaskedFrame => "sent a masked frame (RFC 6455 5.1)",
            E::AnnouncedOverlongFrame => "announced a frame of 2^63 bytes or more (RFC 6455 5.2)",
            E::PaddedFrameLength => "wrote a frame length in more bytes than needed (RFC 6455 5.2)",
            E::FragmentedControlFrame => "fragmented a control frame (RFC 6455 5.5)",
            E::SentLongControlFrame => "sent a control frame of more than 125 bytes (RFC 6455 5.5)",
            E::ContinuedNothing => "sent a continuation frame outside a message (RFC 6455 5.4)",
            E::InterruptedMessage => "began a message inside an unfinished one (RFC 6455 5.4)",
            E::TruncatedCloseCode => "sent a closing frame with half a close code (RFC 6455 5.5.1)",
            E::SentInvalidCloseCode(code) => return write!(f, "sent the invalid close code {code} (RFC 6455 7.4)"),
            E::SentInvalidCloseReason => "sent a close reason that is not UTF-8 (RFC 6455 5.5.1)",
            E::SentInvalidUtf8 => "sent text that is not UTF-8 (RFC 6455 8.1)",
            E::UsedReservedFrameType(ty) => return write!(f, "used the reserved frame type 0x{ty:02X} (hixie-76 5.3)"),
            E::AnnouncedOverlongSkip => "announced a frame too long to skip (hixie-76 5.3)",
            E::ExceededMessageLimit => "sent a message above max_message",
            E::ExceededEventLimit => "sent an event or a line above limits.event_bytes",
        })
    }
}

impl std::error::Error for ProtocolError {}

/// An event for which a dialect has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undeliverable {
    /// A binary message, to a dialect of text alone.
    Binary,
    /// Any message, to an upstream that only speaks.
    Message,
    /// A ping or pong, to a dialect without control frames.
    Heartbeat,
    /// A close, to a dialect whose only close is the end of the stream.
    Close,
}

/// One side of a connection in its dialect: bytes to events, events to bytes.
pub trait Codec: Send {
    /// Takes what it understands off the front of `input`; `None` asks for more. Its last byte is taken with
    /// the last event that follows from it, so that an empty input never says anything.
    ///
    /// Control frames wait until whole, payload never waits. What is left in `input` must be offered again, in front of
    /// what comes next; it is never longer than a control frame. (Of an event stream, whose events say nothing before
    /// they are whole, never longer than an event may be.)
    ///
    /// # Errors
    /// The rule that the peer broke. Nothing more can be decoded after that.
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError>;

    /// The message at the front of `input`, if it is of the kind that most are: whole in the input, in one frame, and told as
    /// it is; of frames, short. Exactly what [`Codec::decode`] makes of it, with a shorter look; `None` says nothing of
    /// `input`, and decides nothing.
    fn at_once<'a>(&mut self, input: &mut &'a [u8]) -> Option<Chunk<'a>> {
        let _ = input;
        None
    }

    /// Appends the event in this dialect.
    ///
    /// # Errors
    /// This dialect has no words for it, and nothing was written.
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) -> Result<(), Undeliverable>;

    /// Whether a frame is half written, so that nothing else may be put in before the rest of it.
    fn mid_frame(&self) -> bool;

    /// How this dialect closes.
    fn closing(&self) -> Closing;

    /// Forgets what is unfinished of a stream that has ended, and says where the next one is to go on; `None` in the
    /// dialects whose stream ends for good.
    fn resume(&mut self) -> Option<Resume> {
        None
    }
}

/// Where a stream that broke off is to be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The id of the last event, empty where it has none.
    pub last_id: String,
    /// How long the upstream wants to be left alone before, if it ever said so.
    pub retry: Option<Duration>,
}

/// How a dialect closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// By the end of the stream alone (hixie-75).
    Stream,
    /// By a frame that says nothing more, answered at once; some peers never answer (hixie-76 §5.3).
    Frame,
    /// By a frame with a code and a reason, which travel from end to end (RFC 6455 §7).
    Code,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: MaskingKey = MaskingKey([0x37, 0xfa, 0x21, 0x3d]);

    #[test]
    fn a_slice_keeps_the_key_in_step_with_its_bytes() {
        let mut masked = b"The quick brown fox".to_vec();
        KEY.apply(&mut masked);
        let payload = Payload::new(&masked, Some(KEY));
        for from in 0..masked.len() {
            assert_eq!(payload.slice(from, masked.len()).to_vec(), b"The quick brown fox"[from..]);
        }
    }

    #[test]
    fn one_byte_above_ascii_is_seen_wherever_it_stands() {
        // A key with high bits of its own.
        let key = MaskingKey([0x81, 0x02, 0xF3, 0x04]);
        for length in 0..70 {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            // The last round sets no byte.
            for at in 0..=plain.len() {
                let mut plain = plain.clone();
                plain.iter_mut().skip(at).take(1).for_each(|byte| *byte |= 0x80);
                let mut masked = plain.clone();
                key.apply(&mut masked);
                for payload in [Payload::plain(&plain), Payload::new(&masked, Some(key))] {
                    assert_eq!(payload.is_ascii(), at == plain.len(), "{at} of {length}");
                }
            }
        }
    }

    #[test]
    fn equal_keys_cancel_and_others_are_exchanged() {
        let payload = Payload::new(&[0x7f, 0x9f, 0x4d, 0x51, 0x58], Some(KEY));
        let check = |wanted: Option<MaskingKey>, expected: &[u8]| {
            let mut out = Vec::new();
            payload.append_to(&mut out, wanted);
            assert_eq!(out, expected, "{wanted:?}");
        };
        check(None, b"Hello");
        check(Some(KEY), &[0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        check(Some(MaskingKey([0; 4])), b"Hello");
        check(Some(MaskingKey([1, 2, 3, 4])), &[b'H' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1]);
    }

    #[test]
    fn plain_blocks_join_to_the_whole() {
        let plain: Vec<u8> = (0..5000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut masked = plain.clone();
        KEY.apply(&mut masked);
        let mut joined = Vec::new();
        let Ok::<_, ()>(()) = Payload::new(&masked, Some(KEY)).for_each_plain(|block| {
            joined.extend_from_slice(block);
            Ok(())
        }) else {
            unreachable!()
        };
        assert_eq!(joined, plain);
    }
}
