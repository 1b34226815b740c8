//! Data on its way from one codec to the other: what nearly all of a connection's bytes are.

use std::ops::ControlFlow;

use super::Told;
use crate::event::{Chunk, Codec, Event, Keys, ProtocolError, Rest, Undeliverable};

/// The messages of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// How many are finished.
    pub(super) messages: u64,
    /// Inside one.
    pub(super) speaking: bool,
    /// Bytes of the one it is saying.
    pub(super) size: u64,
}

/// What data is passed on under.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// The most bytes of a message.
    pub(super) max: Option<u64>,
    /// The bytes behind which to pause, at the end of a message.
    pub(super) enough: usize,
    /// What the one who is told was told before.
    pub(super) told: Told,
}

/// Why no more data is passed on.
pub(super) enum Passed<'a> {
    /// There is no more that could be understood.
    All,
    /// It is enough.
    Enough,
    /// This comes first, which is no data.
    Other(Event<'a>),
    /// A frame is whole behind which a close is to be told.
    Frame,
    /// A rule was broken.
    Broke(ProtocolError),
    /// There are no words for the message.
    Refused(Undeliverable),
}

/// Passes on what `from` says as long as it is data.
pub(super) fn pass<'a, C: Codec>(
    (from, said): (&mut C, &mut Said),
    to: &mut C,
    terms: Terms,
    input: &mut &'a [u8],
    out: &mut Vec<u8>,
    keys: &mut dyn Keys,
) -> Passed<'a> {
    loop {
        while let Some(chunk) = from.at_once(input) {
            if let ControlFlow::Break(why) = tell(chunk, said, to, terms, out, keys) {
                return why;
            }
        }
        // Mostly that was all, and who says nothing more need not be asked.
        if input.is_empty() {
            return Passed::All;
        }
        let chunk = match from.decode(input) {
            Ok(Some(Event::Data(chunk))) => chunk,
            Ok(Some(event)) => return Passed::Other(event),
            Ok(None) => return Passed::All,
            Err(rule) => return Passed::Broke(rule),
        };
        if let ControlFlow::Break(why) = tell(chunk, said, to, terms, out, keys) {
            return why;
        }
    }
}

/// Passes a chunk on. Once in each of its two places: of what comes at once there is little left to ask.
#[inline(always)]
fn tell<'a>(
    chunk: Chunk<'_>,
    said: &mut Said,
    to: &mut impl Codec,
    terms: Terms,
    out: &mut Vec<u8>,
    keys: &mut dyn Keys,
) -> ControlFlow<Passed<'a>> {
    said.size = if chunk.opens.is_some() { 0 } else { said.size } + chunk.payload.len() as u64;
    // What a frame announces counts at once, so that no part of it goes out; text that is mended announces nothing.
    if terms.max.is_some_and(|max| said.size.saturating_add(chunk.rest.owed()) > max) {
        return ControlFlow::Break(Passed::Broke(ProtocolError::ExceededMessageLimit));
    }
    said.speaking = chunk.rest != Rest::End;
    said.messages += u64::from(!said.speaking);
    if terms.told.takes_data() {
        if let Err(undeliverable) = to.encode(&Event::Data(chunk), out, keys) {
            return ControlFlow::Break(Passed::Refused(undeliverable));
        }
        if terms.told != Told::Open && !to.mid_frame() {
            return ControlFlow::Break(Passed::Frame);
        }
    }
    if !said.speaking && out.len() >= terms.enough {
        return ControlFlow::Break(Passed::Enough);
    }
    ControlFlow::Continue(())
}
