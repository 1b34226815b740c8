//! What the core costs without sockets, in time: conversations in every dialect and direction, and opening handshakes.
//! `copy` moves the same bytes and does nothing else; it is the peer in the same run.

#[allow(dead_code)]
mod feed;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hybridge::dialect::Dialect;

use self::feed::{Case, LOADS, Opening, Speaker, Stage, cases};

fn main() {
    divan::main();
}

#[divan::bench(args = LOADS.map(|(messages, size)| Case { dialect: Dialect::Hixie76, speaker: Speaker::Client, messages, size }))]
fn copy(bencher: Bencher, case: &Case) {
    let (feed, mut out) = (feed::feed(*case), Vec::new());
    bencher.counter(BytesCount::new(feed.len())).bench_local(|| {
        out.clear();
        out.extend_from_slice(black_box(&feed));
        black_box(&mut out);
    });
}

#[divan::bench(args = cases())]
fn hears(bencher: Bencher, case: &Case) {
    let mut stage = Stage::set(*case);
    bencher.counter(BytesCount::new(stage.fed())).bench_local(|| stage.hear());
    stage.check();
}

#[divan::bench(args = Dialect::ALL)]
fn receives(bencher: Bencher, dialect: Dialect) {
    let opening = Opening::of(dialect);
    bencher.bench_local(|| opening.receive());
}
