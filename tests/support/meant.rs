//! What a codec makes of bytes in any pieces, and what must hold for each: for the properties here and for `fuzz/`.

use hybridge::dialect::any::AnyCodec;
use hybridge::dialect::hybi::{Hybi, Role};
use hybridge::dialect::{BinaryPolicy, Dialect};
use hybridge::event::{
    Chunk, Closing, Codec, Event, Keys, Kind, MaskingKey, ProtocolError, Rest, Resume, Undeliverable,
};
use hybridge::transcript::Meaning;

/// A control frame of the longest kind is what a decoder may leave for later: 2 + 4 + 125 bytes, and less than this.
pub const LEFT_OVER: usize = 140;

/// Masking keys in a fixed order.
pub struct Counting(pub u32);

impl Keys for Counting {
    fn fresh(&mut self) -> MaskingKey {
        self.0 = self.0.wrapping_add(1);
        MaskingKey(self.0.to_be_bytes())
    }
}

/// A codec by its dialect and, for hybi, its role and whether an extension was agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Kin {
    pub dialect: Dialect,
    pub role: Role,
    pub extensions: bool,
}

impl Kin {
    pub fn codec(self) -> AnyCodec {
        match self.is_hixie() {
            true => self.dialect.codec(false, BinaryPolicy::Latin1),
            false => Hybi::new(self.dialect, self.role, self.extensions).into(),
        }
    }

    pub fn is_hixie(self) -> bool {
        self.dialect.facts().version.is_none()
    }

    /// The one that it faces.
    pub fn facing(self) -> Kin {
        let role = if self.role == Role::Server { Role::Client } else { Role::Server };
        Kin { role, ..self }
    }
}

/// A codec that is asked as the conversation asks it: first for what comes at once.
pub struct Shortly<C>(pub C);

impl<C: Codec> Codec for Shortly<C> {
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        match self.0.at_once(input) {
            Some(chunk) => Ok(Some(Event::Data(chunk))),
            None => self.0.decode(input),
        }
    }

    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>, keys: &mut dyn Keys) -> Result<(), Undeliverable> {
        self.0.encode(event, out, keys)
    }

    fn mid_frame(&self) -> bool {
        self.0.mid_frame()
    }

    fn closing(&self) -> Closing {
        self.0.closing()
    }

    fn resume(&mut self) -> Option<Resume> {
        self.0.resume()
    }
}

/// What bytes mean, with neighbouring chunks joined. A text that goes on is there with what it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meant {
    pub said: Vec<Meaning>,
    pub going_on: Option<(Kind, Vec<u8>)>,
    pub broke: Option<ProtocolError>,
}

impl Meant {
    pub fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Data(chunk) => {
                assert_eq!(
                    chunk.opens.is_some(),
                    self.going_on.is_none(),
                    "a message is opened by its first chunk alone"
                );
                let (_, bytes) = self.going_on.get_or_insert((chunk.opens.unwrap_or(Kind::Text), Vec::new()));
                bytes.extend(chunk.payload.to_vec());
                if chunk.rest == Rest::End {
                    self.said.extend(self.going_on.take().map(|(kind, bytes)| match kind {
                        Kind::Text => Meaning::Text(bytes),
                        Kind::Binary => Meaning::Binary(bytes),
                    }));
                }
            }
            Event::Ping(payload) => self.said.push(Meaning::Ping(payload.to_vec())),
            Event::Pong(payload) => self.said.push(Meaning::Pong(payload.to_vec())),
            Event::Close(close) => self.said.push(Meaning::Close(close.code, close.reason.to_vec())),
        }
    }

    /// Where a rule was broken inside a message, how much of that had come out before depends on the cuts.
    fn settled(mut self) -> Self {
        if self.broke.is_some() {
            self.going_on = None;
        }
        self
    }
}

/// What the chunks of a codec have promised.
#[derive(Default)]
struct Promises {
    /// Bytes that the frame still owes, and whether they end the message.
    owed: Option<(u64, bool)>,
    /// A message that is marked by an extension need not be text.
    is_marked: bool,
}

impl Promises {
    fn keep(&mut self, event: &Event<'_>) {
        let Event::Data(chunk) = event else {
            assert_eq!(self.owed, None, "no control frame stands inside another frame");
            return;
        };
        let Chunk { opens, rsv, payload, rest } = chunk;
        self.is_marked = *rsv != 0 || (self.is_marked && opens.is_none());
        if let Some((owed, fin)) = self.owed {
            assert!(opens.is_none() && *rsv == 0, "a frame is opened once");
            let left = owed.checked_sub(payload.len() as u64).expect("no more comes than was announced");
            let expected = match (left, fin) {
                (0, true) => Rest::End,
                (0, false) => Rest::More,
                (bytes, fin) => Rest::Owed { bytes, fin },
            };
            assert_eq!(*rest, expected, "an announced length is a promise");
        }
        assert_ne!(rest.owed() == 0, matches!(rest, Rest::Owed { .. }), "nothing is not owed");
        self.owed = matches!(rest, Rest::Owed { .. }).then(|| (rest.owed(), rest.fin()));
    }
}

/// Decodes the pieces one after the other, what is left in front of the next.
pub fn read<'a>(codec: &mut impl Codec, pieces: impl IntoIterator<Item = &'a [u8]>) -> Meant {
    let (mut meant, mut promises) = (Meant::default(), Promises::default());
    let mut kept = Vec::new();
    for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        loop {
            match codec.decode(&mut input) {
                Ok(Some(event)) => {
                    promises.keep(&event);
                    meant.add(&event);
                    if let (Some(Meaning::Text(text)), None, false) =
                        (meant.said.last(), &meant.going_on, promises.is_marked)
                    {
                        assert!(std::str::from_utf8(text).is_ok(), "a text is one");
                    }
                }
                Ok(None) => break,
                Err(rule) => {
                    meant.broke = Some(rule);
                    return meant.settled();
                }
            }
        }
        assert!(input.len() < LEFT_OVER, "{} bytes were left over", input.len());
        kept.drain(..kept.len() - input.len());
    }
    if let (Some((Kind::Text, text)), false) = (&meant.going_on, promises.is_marked) {
        let fault = std::str::from_utf8(text).err().and_then(|error| error.error_len());
        assert_eq!(fault, None, "the beginning of a text is one");
    }
    meant
}

/// What a peer says in these pieces is written anew by an encoder that faces one like it, and means the same there.
pub fn means_the_same_written_anew<'a>(kin: Kin, pieces: impl IntoIterator<Item = &'a [u8]>) {
    let mut reader = kin.codec();
    let mut writer = kin.facing().codec();
    let mut keys = Counting(7);
    let (mut meant, mut written, mut kept) = (Meant::default(), Vec::new(), Vec::new());
    'all: for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        loop {
            let event = match reader.decode(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => break 'all,
            };
            meant.add(&event);
            let before = written.len();
            if writer.encode(&event, &mut written, &mut keys).is_err() {
                assert_eq!(before, written.len(), "nothing is written where there are no words");
                assert_eq!(kin.dialect, Dialect::Hixie75);
                meant.said.pop();
            }
            if matches!(event, Event::Close(_)) {
                break 'all;
            }
        }
        let left = input.len();
        kept.drain(..kept.len() - left);
    }
    let again = read(&mut kin.codec(), [&written[..]]);
    assert_eq!(meant.said, again.said);
    assert_eq!(again.broke, None);
    // A message on its way is there with every byte that was handed on; one with no bytes yet may wait.
    let begun = |going_on: Option<(Kind, Vec<u8>)>| going_on.filter(|(_, bytes)| !bytes.is_empty());
    assert_eq!(begun(meant.going_on), begun(again.going_on));
}
