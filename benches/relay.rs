//! What translating costs without sockets: a conversation is fed 64 KiB of a client's or a backend's frames at a time.
//! `copy` moves the same bytes and does nothing else; it is the peer in the same run.
//!
//! Every conversation is checked once before it is timed: what comes out is decoded again and compared.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hybridge::conversation::{Conversation, Output, Side};
use hybridge::dialect::hybi::{Hybi, Role};
use hybridge::dialect::{BinaryPolicy, Dialect};
use hybridge::event::{Chunk, Codec, Event, Keys, Kind, MaskingKey, Payload, Rest};

fn main() {
    divan::main();
}

/// Bytes of frames fed at once.
const FEED: usize = 64 << 10;
const SIZES: [usize; 3] = [64, 1024, 60 << 10];

/// Keys that differ, and cost what a generator costs at least.
struct Counted(u32);

impl Keys for Counted {
    fn fresh(&mut self) -> MaskingKey {
        self.0 = self.0.wrapping_mul(0x9E37_79B1).wrapping_add(1);
        MaskingKey(self.0.to_be_bytes())
    }
}

fn text(size: usize) -> Vec<u8> {
    "Grüße, 世界! plain ASCII mostly. ".bytes().cycle().take(size - size % 45).chain(vec![b'.'; size % 45]).collect()
}

/// As many messages of `size` bytes as fill one feed, as `speaker` writes them.
fn frames(speaker: &mut dyn Codec, size: usize) -> (Vec<u8>, usize) {
    let text = String::from_utf8_lossy(&text(size)).into_owned();
    let chunk = Chunk { opens: Some(Kind::Text), rsv: 0, payload: Payload::plain(text.as_bytes()), rest: Rest::End };
    let (mut out, mut messages) = (Vec::new(), 0);
    while out.len() + size < FEED || messages == 0 {
        speaker.encode(&Event::Data(chunk), &mut out, &mut Counted(7)).expect("text has words everywhere");
        messages += 1;
    }
    (out, messages)
}

fn client(dialect: Dialect) -> Box<dyn Codec> {
    match dialect {
        // hixie frames are the same on both sides.
        Dialect::Hixie75 | Dialect::Hixie76 => dialect.codec(false, BinaryPolicy::Close),
        _ => Box::new(Hybi::new(dialect, Role::Client, false)),
    }
}

fn conversation(dialect: Dialect) -> Conversation {
    let upstream = Box::new(Hybi::new(Dialect::Rfc6455, Role::Client, false));
    Conversation::new(dialect.codec(false, BinaryPolicy::Close), upstream, None)
}

/// All payload bytes, joined.
fn meaning(reader: &mut dyn Codec, mut bytes: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    while let Some(event) = reader.decode(&mut bytes).expect("what was encoded is well formed") {
        if let Event::Data(chunk) = event {
            chunk.payload.append_to(&mut joined, None);
        }
    }
    joined
}

fn bench(bencher: Bencher, dialect: Dialect, side: Side, size: usize) {
    let mut backend = Hybi::new(Dialect::Rfc6455, Role::Server, false);
    let (feed, messages) = match side {
        Side::Downstream => frames(&mut *client(dialect), size),
        Side::Upstream => frames(&mut backend, size),
    };
    let mut conversation = conversation(dialect);
    let (mut out, mut keys) = (Output::default(), Counted(1));
    conversation.hears(side, &mut &feed[..], &mut out, &mut keys);
    let heard = match side {
        Side::Downstream => meaning(&mut backend, &out.upstream),
        Side::Upstream => meaning(&mut *client(dialect), &out.downstream),
    };
    assert_eq!(heard, String::from_utf8_lossy(&text(size)).repeat(messages).into_bytes(), "{dialect} {side}");
    bencher.counter(BytesCount::new(feed.len())).bench_local(|| {
        out.to(side.other()).clear();
        conversation.hears(side, &mut black_box(&feed[..]), &mut out, &mut keys);
        black_box(out.to(side.other()).len())
    });
}

#[divan::bench(args = SIZES)]
fn copy(bencher: Bencher, size: usize) {
    let (feed, _) = frames(&mut *client(Dialect::Hixie76), size);
    let mut out = Vec::new();
    bencher.counter(BytesCount::new(feed.len())).bench_local(|| {
        out.clear();
        out.extend_from_slice(black_box(&feed));
        black_box(out.len())
    });
}

/// A dialect, and the size of its messages in bytes.
struct Case(Dialect, usize);

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:>5}", self.0, self.1)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    Dialect::ALL.into_iter().flat_map(|dialect| SIZES.map(|size| Case(dialect, size)))
}

#[divan::bench(args = cases())]
fn from_client(bencher: Bencher, Case(dialect, size): &Case) {
    bench(bencher, *dialect, Side::Downstream, *size);
}

#[divan::bench(args = cases())]
fn from_upstream(bencher: Bencher, Case(dialect, size): &Case) {
    bench(bencher, *dialect, Side::Upstream, *size);
}
