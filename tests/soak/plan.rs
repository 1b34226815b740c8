//! What one connection is to do, from the seed of the run and the connection's number alone: both ends work it out for
//! themselves, so each knows what it must hear.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::support::{ALL, Dialect, HYBI};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Backend,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Backend,
            Side::Backend => Side::Client,
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With what the dialect has for it; in hixie-75 that is the end of the stream.
    Close,
    Fin,
    Reset,
}

/// What kind of backend a connection asks for, if it ever does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    WebSocket,
    /// Server-Sent Events, and the client only listens.
    Events,
    /// Closed in the middle of its opening handshake.
    Cut,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub id: u64,
    seed: u64,
    pub kind: Kind,
    pub dialect: Dialect,
    /// How many messages each side means to send.
    client: usize,
    backend: usize,
    /// Who ends it, and how.
    pub ender: Side,
    pub end: End,
    /// In the midst of one more message.
    pub mid: bool,
    /// Not before it has heard all the other has to say.
    pub patient: bool,
    /// The close code.
    pub code: u16,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub is_text: bool,
    pub bytes: Vec<u8>,
}

const LONGEST: usize = 1 << 20;
/// An event is kept whole by the proxy, `limits.event_bytes` at most.
const LONGEST_EVENT: usize = 64 << 10;

/// Randomness of its own for each purpose.
fn rng(seed: u64, id: u64, salt: u64) -> StdRng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, id, salt]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    StdRng::from_seed(key)
}

impl Plan {
    pub fn new(seed: u64, id: u64) -> Plan {
        let rng = &mut rng(seed, id, 0);
        let dialect = ALL[rng.random_range(0..ALL.len())];
        let kind = match rng.random_range(0..100) {
            0..10 => Kind::Cut,
            10..22 => Kind::Events,
            _ => Kind::WebSocket,
        };
        let ender = match kind {
            // A stream that its backend ends is resumed.
            Kind::Events | Kind::Cut => Side::Client,
            Kind::WebSocket => [Side::Client, Side::Backend][rng.random_range(0..2)],
        };
        let end = [End::Close, End::Fin, End::Reset][rng.random_range(0..3)];
        Plan {
            id,
            seed,
            kind,
            dialect,
            client: if kind == Kind::WebSocket { rng.random_range(0..12) } else { 0 },
            backend: if kind == Kind::Cut { 0 } else { rng.random_range(0..12) },
            ender,
            end,
            mid: kind == Kind::WebSocket && end != End::Close && rng.random(),
            patient: rng.random(),
            code: [1000, 1001, 3000, 4999][rng.random_range(0..4)],
        }
    }

    pub fn messages(&self, from: Side) -> usize {
        match from {
            Side::Client => self.client,
            Side::Backend => self.backend,
        }
    }

    /// Whether the other side may see the beginning of one message more than it will see whole.
    pub fn breaks_off(&self, from: Side) -> bool {
        self.mid && self.ender == from
    }

    /// Randomness for what the other end need not know: cuts and pauses.
    pub fn whims(&self, of: Side) -> StdRng {
        rng(self.seed, self.id, 1 + of as u64)
    }

    /// The message with this number, the same at both ends.
    pub fn message(&self, from: Side, number: usize) -> Message {
        let rng = &mut rng(self.seed, self.id, 16 + 2 * number as u64 + from as u64);
        let is_events = self.kind == Kind::Events;
        let is_text = is_events || !HYBI.contains(&self.dialect) || rng.random();
        let mut length = match rng.random_range(0..1000) {
            0..550 => rng.random_range(0..=126),
            550..850 => rng.random_range(0..=2_000),
            850..970 => rng.random_range(0..=70_000),
            970..995 => rng.random_range(0..=256 << 10),
            _ => rng.random_range(0..=LONGEST),
        };
        if is_events {
            // One without data is none.
            length = length.clamp(1, LONGEST_EVENT);
        }
        let mut bytes = vec![0; length];
        rng.fill_bytes(&mut bytes);
        if is_text {
            make_text(&mut bytes, is_events);
        }
        Message { is_text, bytes }
    }

    /// Whether all that `from` said must have arrived. Else it is a beginning of it.
    pub fn must_arrive(&self, from: Side) -> bool {
        let is_ender = from == self.ender;
        match self.end {
            // It has heard everything, and said so.
            _ if !is_ender && self.patient => true,
            End::Close if is_ender => true,
            // Of a client that ends inside a message, the backend loses what was not yet written; of a backend nothing.
            End::Fin if is_ender => !self.mid || from == Side::Backend,
            // After its own close a hybi client still hears what comes before the backend's.
            End::Close => from == Side::Backend && self.kind == Kind::WebSocket && HYBI.contains(&self.dialect),
            End::Fin | End::Reset => false,
        }
    }
}

/// Turns random bytes into text of the same length, with characters of one to four bytes.
fn make_text(bytes: &mut [u8], one_line: bool) {
    let mut at = 0;
    while at < bytes.len() {
        let draw = bytes[at];
        let character = match draw >> 6 {
            0 => char::from(draw & 0x7F),
            1 => char::from(0xC0 | draw & 0x3F),
            2 => char::from_u32(0x4E00 + u32::from(draw)).unwrap_or('中'),
            _ if draw & 0x20 == 0 => char::from(0x20 | draw & 0x5F),
            _ => char::from_u32(0x1_F600 + u32::from(draw & 0x1F)).unwrap_or('😀'),
        };
        let fits = character.len_utf8() <= bytes.len() - at && !(one_line && matches!(character, '\r' | '\n'));
        let character = if fits { character } else { '.' };
        at += character.encode_utf8(&mut bytes[at..]).len();
    }
}
