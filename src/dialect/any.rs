//! The codec of any peer, as one type.

use super::hixie75::Hixie;
use super::hybi::Hybi;
use super::sse::Sse;
use crate::event::{Chunk, Closing, Codec, Event, Keys, ProtocolError, Resume, Undeliverable};

/// The codec of any peer: a closed list, so that asking one is a look at what it is and no call through a table.
#[derive(Debug)]
pub enum AnyCodec {
    /// hixie-75 and -76.
    Hixie(Hixie),
    /// Versions 7, 8 and 13.
    Hybi(Hybi),
    /// An event stream. Apart, for it is much larger than the others.
    Sse(Box<Sse>),
}

impl From<Hixie> for AnyCodec {
    fn from(codec: Hixie) -> Self {
        AnyCodec::Hixie(codec)
    }
}

impl From<Hybi> for AnyCodec {
    fn from(codec: Hybi) -> Self {
        AnyCodec::Hybi(codec)
    }
}

impl From<Sse> for AnyCodec {
    fn from(codec: Sse) -> Self {
        AnyCodec::Sse(Box::new(codec))
    }
}

/// Evaluates to `$does` with the codec there is.
macro_rules! whichever {
    ($any:expr, $codec:ident => $does:expr) => {
        match $any {
            AnyCodec::Hixie($codec) => $does,
            AnyCodec::Hybi($codec) => $does,
            AnyCodec::Sse($codec) => $does,
        }
    };
}

impl Codec for AnyCodec {
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        whichever!(self, codec => codec.decode(input))
    }

    #[inline(always)]
    fn at_once<'a>(&mut self, input: &mut &'a [u8]) -> Option<Chunk<'a>> {
        whichever!(self, codec => codec.at_once(input))
    }

    #[inline(always)]
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) -> Result<(), Undeliverable> {
        whichever!(self, codec => codec.encode(event, out, keys))
    }

    fn mid_frame(&self) -> bool {
        whichever!(self, codec => codec.mid_frame())
    }

    fn closing(&self) -> Closing {
        whichever!(self, codec => codec.closing())
    }

    fn resume(&mut self) -> Option<Resume> {
        whichever!(self, codec => codec.resume())
    }
}
