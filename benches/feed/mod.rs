//! What the benches feed: opening handshakes, and conversations of which one side says messages of one size.
//!
//! What comes out is decoded again and compared, before it is measured and after.

use std::fmt;
use std::hint::black_box;
use std::iter::repeat_n;

use hybridge::config::{Config, Upstream};
use hybridge::conversation::{Output, Side};
use hybridge::dialect::any::AnyCodec;
use hybridge::dialect::client::Ask;
use hybridge::dialect::hixie76::KEY3;
use hybridge::dialect::hybi::{Hybi, Role};
use hybridge::dialect::sse::{Form, Reading, Sse, Types};
use hybridge::dialect::{BinaryPolicy, Dialect};
use hybridge::event::{Chunk, Codec, Event, Keys, Kind, MaskingKey, Payload, Rest};
use hybridge::handshake::{Conversation, Received, receive};

/// How many messages of how many bytes are fed at once: one alone, as in most reads; as many as fill 64 KiB; and one as
/// large as a read can be.
pub const LOADS: [(usize, usize); 5] = [(1, 64), (900, 64), (60, 1024), (1, 60 << 10), (1, 256 << 10)];

/// Who says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    Client,
    /// A backend of RFC 6455.
    Backend,
    /// A backend of Server-Sent Events.
    Events,
}

impl Speaker {
    pub const ALL: [Speaker; 3] = [Speaker::Client, Speaker::Backend, Speaker::Events];
}

/// A client's dialect, and what is fed.
#[derive(Clone, Copy)]
pub struct Case {
    pub dialect: Dialect,
    pub speaker: Speaker,
    pub messages: usize,
    /// Bytes of each message.
    pub size: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speaker = match self.speaker {
            Speaker::Client => "client",
            Speaker::Backend => "backend",
            Speaker::Events => "events",
        };
        write!(f, "{} {speaker} {}x{}", self.dialect, self.messages, self.size)
    }
}

/// Every case; of events those of one dialect, for they are written to every client as a backend's messages are.
pub fn cases() -> impl Iterator<Item = Case> {
    let speakers = Dialect::ALL.into_iter().flat_map(|dialect| Speaker::ALL.map(|speaker| (dialect, speaker)));
    let told = speakers.filter(|(dialect, speaker)| *speaker != Speaker::Events || *dialect == Dialect::Hixie76);
    told.flat_map(|(dialect, speaker)| LOADS.map(|(messages, size)| Case { dialect, speaker, messages, size }))
}

/// Keys that differ, and cost what a generator costs at least.
struct Counted(u32);

impl Keys for Counted {
    fn fresh(&mut self) -> MaskingKey {
        self.0 = self.0.wrapping_mul(0x9E37_79B1).wrapping_add(1);
        MaskingKey(self.0.to_be_bytes())
    }
}

/// Mostly ASCII, of exactly so many bytes.
fn text(size: usize) -> String {
    const PHRASE: &str = "Grüße, 世界! plain ASCII mostly. ";
    let mut text = PHRASE.repeat(size / PHRASE.len());
    text.extend(repeat_n('.', size - text.len()));
    text
}

fn client(dialect: Dialect) -> AnyCodec {
    match dialect {
        // hixie frames are the same on both sides.
        Dialect::Hixie75 | Dialect::Hixie76 => dialect.codec(false, BinaryPolicy::Close),
        _ => Hybi::new(dialect, Role::Client, false).into(),
    }
}

fn backend() -> AnyCodec {
    Hybi::new(Dialect::Rfc6455, Role::Server, false).into()
}

fn frames(speaker: &mut AnyCodec, case: Case) -> Vec<u8> {
    let text = text(case.size);
    let chunk = Chunk { opens: Some(Kind::Text), rsv: 0, payload: Payload::plain(text.as_bytes()), rest: Rest::End };
    let (mut out, mut keys) = (Vec::new(), Counted(7));
    for _ in 0..case.messages {
        speaker.encode(&Event::Data(chunk), &mut out, &mut keys).expect("text has words everywhere");
    }
    out
}

/// What is fed.
pub fn feed(case: Case) -> Vec<u8> {
    match case.speaker {
        Speaker::Client => frames(&mut client(case.dialect), case),
        Speaker::Backend => frames(&mut backend(), case),
        Speaker::Events => format!("data: {}\n\n", text(case.size)).repeat(case.messages).into_bytes(),
    }
}

/// The texts of all messages; every byte must be a message's, and every message whole.
fn messages(reader: &mut AnyCodec, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut messages, mut whole) = (Vec::new(), true);
    while let Some(event) = reader.decode(&mut bytes).expect("what was encoded is well formed") {
        let Event::Data(chunk) = event else { panic!("nobody said {event:?}") };
        assert_eq!(chunk.opens, whole.then_some(Kind::Text));
        if whole {
            messages.push(Vec::new());
        }
        chunk.payload.append_to(messages.last_mut().expect("one was opened"), None);
        whole = chunk.rest == Rest::End;
    }
    assert!(whole && bytes.is_empty(), "it ends inside a message");
    messages
}

/// A conversation, and what one of its sides says again and again.
pub struct Stage {
    case: Case,
    conversation: Conversation,
    feed: Vec<u8>,
    out: Output,
    keys: Counted,
}

impl Stage {
    /// Has heard it once, and passed the check.
    pub fn set(case: Case) -> Stage {
        let upstream: AnyCodec = match case.speaker {
            Speaker::Events => {
                let reading = Reading { form: Form::Data, types: Types::All, max_event: 1 << 20 };
                Sse::new(reading, false, "").into()
            }
            Speaker::Client | Speaker::Backend => Hybi::new(Dialect::Rfc6455, Role::Client, false).into(),
        };
        let conversation = Conversation::new(case.dialect.codec(false, BinaryPolicy::Close), upstream, None);
        let mut stage = Stage { case, conversation, feed: feed(case), out: Output::default(), keys: Counted(1) };
        stage.hear();
        stage.check();
        stage
    }

    fn side(&self) -> Side {
        if self.case.speaker == Speaker::Client { Side::Downstream } else { Side::Upstream }
    }

    /// Bytes that are fed at once.
    pub fn fed(&self) -> usize {
        self.feed.len()
    }

    /// Hears it all once; this is what is measured.
    pub fn hear(&mut self) {
        let side = self.side();
        self.out.to(side.other()).clear();
        self.conversation.hears(side, &mut black_box(&self.feed[..]), &mut self.out, &mut self.keys);
        black_box(&mut self.out);
    }

    /// That the other side was told exactly what was said.
    pub fn check(&mut self) {
        let mut reader = if self.side() == Side::Downstream { backend() } else { client(self.case.dialect) };
        let told = messages(&mut reader, self.out.to(self.side().other()));
        assert_eq!(told.len(), self.case.messages, "{}", self.case);
        assert!(told.iter().all(|message| *message == text(self.case.size).as_bytes()), "{}", self.case);
    }
}

/// An opening handshake, and who receives it.
pub struct Opening {
    dialect: Dialect,
    request: Vec<u8>,
    config: Config,
}

impl Opening {
    /// As a browser sends it.
    pub fn of(dialect: Dialect) -> Opening {
        let (mut keys, upstream) = (Counted(3), Upstream::parse("ws://127.0.0.1:9").expect("a proper URL"));
        let mut ask = Ask::new(dialect, "tv.example:8080", "/chat?room=7", &mut || u32::from_be_bytes(keys.fresh().0));
        ask.origin = Some("http://tv.example:8080".to_owned());
        ask.cookie = Some("session=0123456789abcdef0123456789abcdef".to_owned());
        ask.fields.push(("User-Agent".to_owned(), "Mozilla/5.0 (X11; Linux i686) AppleWebKit/534.30".to_owned()));
        Opening { dialect, request: ask.request(), config: Config::simple(Vec::new(), upstream) }
    }

    /// Receives it once, and compares; both are what is measured.
    pub fn receive(&self) {
        let Received::Opening { opening, taken, .. } = receive(black_box(&self.request), &self.config) else {
            panic!("the handshake of {} is not understood", self.dialect)
        };
        // Behind the head of hixie-76 its third key is still to be read.
        let key = if self.dialect == Dialect::Hixie76 { KEY3 } else { 0 };
        assert_eq!((opening.dialect, taken), (self.dialect, self.request.len() - key));
        black_box(opening);
    }
}
