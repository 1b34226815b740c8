//! What the ears of a play understand of the frames they hear.

use std::fmt;

use super::Meaning;
use crate::conversation::Side;
use crate::dialect::any::AnyCodec;
use crate::dialect::hybi::{Hybi, Role};
use crate::dialect::{BinaryPolicy, Dialect};
use crate::event::{Codec, Event, Kind, ProtocolError, Rest};

pub(super) fn listed(meanings: &[Meaning]) -> String {
    let lines: Vec<String> = meanings.iter().map(Meaning::to_string).collect();
    lines.join(", ")
}

/// A codec that understands what `side` is told.
pub(super) fn ear_codec(side: Side, dialect: Dialect, extensions: bool) -> AnyCodec {
    match (side, dialect) {
        // Both directions of hixie are alike.
        (Side::Downstream, Dialect::Hixie75 | Dialect::Hixie76) => dialect.codec(false, BinaryPolicy::Close),
        (Side::Downstream, _) => Hybi::new(dialect, Role::Client, extensions).into(),
        (Side::Upstream, _) => Hybi::new(Dialect::Rfc6455, Role::Server, extensions).into(),
    }
}

/// What frames mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whole messages joined, and control frames, in the order of their last bytes.
    pub whole: Vec<Meaning>,
    /// What is there of a message that goes on.
    pub unfinished: Option<(Kind, Vec<u8>)>,
    /// Bytes that mean nothing yet, or never.
    pub rest: Vec<u8>,
    /// The rule that was broken, if one was; nothing is understood from there on.
    pub broke: Option<ProtocolError>,
}

impl Heard {
    /// Reads frames in pieces of `step` bytes, up to a close or a broken rule.
    pub(super) fn by(codec: &mut impl Codec, frames: &[u8], step: usize) -> Heard {
        let mut heard = Heard::default();
        for piece in frames.chunks(step) {
            heard.rest.extend_from_slice(piece);
            let kept = std::mem::take(&mut heard.rest);
            let mut input = &kept[..];
            loop {
                match codec.decode(&mut input) {
                    Ok(Some(event)) => {
                        if let Some(Meaning::Close(..)) = heard.add(&event) {
                            return heard;
                        }
                    }
                    Ok(None) => break,
                    Err(rule) => {
                        heard.rest = input.to_vec();
                        heard.broke = Some(rule);
                        return heard;
                    }
                }
            }
            heard.rest = input.to_vec();
        }
        heard
    }

    fn add(&mut self, event: &Event<'_>) -> Option<&Meaning> {
        let meaning = match event {
            Event::Data(chunk) => {
                let (_, bytes) = self.unfinished.get_or_insert((chunk.opens.unwrap_or(Kind::Text), Vec::new()));
                bytes.extend(chunk.payload.to_vec());
                if chunk.rest != Rest::End {
                    return None;
                }
                match self.unfinished.take()? {
                    (Kind::Text, bytes) => Meaning::Text(bytes),
                    (Kind::Binary, bytes) => Meaning::Binary(bytes),
                }
            }
            Event::Ping(payload) => Meaning::Ping(payload.to_vec()),
            Event::Pong(payload) => Meaning::Pong(payload.to_vec()),
            Event::Close(close) => Meaning::Close(close.code, close.reason.to_vec()),
        };
        self.whole.push(meaning);
        self.whole.last()
    }

    /// Whether there is more of an unfinished message here than in `other`, or another one.
    pub(super) fn goes_beyond(&self, other: &Heard) -> bool {
        match (&self.unfinished, &other.unfinished) {
            (None, _) => false,
            (Some((_, bytes)), None) => !bytes.is_empty(),
            (Some((kind, bytes)), Some((other_kind, other))) => kind != other_kind || !other.starts_with(bytes),
        }
    }

    /// Whether this stream ended inside a message which `other` had not begun when it said its close.
    pub(super) fn broke_off_of(&self, other: &Heard, ended: bool) -> bool {
        let inside = self.unfinished.is_some() || !self.rest.is_empty();
        let before_close = |heard: &Heard| match heard.whole.split_last() {
            Some((Meaning::Close(..), before)) => before.to_vec(),
            _ => heard.whole.clone(),
        };
        ended && inside && before_close(self) == before_close(other)
            // A fragment that is whole can be followed by the close.
            || self.unfinished.is_some() && self.whole == other.whole && matches!(self.whole.last(), Some(Meaning::Close(..)))
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.whole))?;
        if let Some((kind, bytes)) = &self.unfinished {
            write!(f, ", unfinished {kind:?} \"{}\"", bytes.escape_ascii())?;
        }
        if self.rest.is_empty() { Ok(()) } else { write!(f, ", and \"{}\"", self.rest.escape_ascii()) }
    }
}
