//! Those who take their time: with the head, the third key, a body, or with reading.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::attack::{ATTACKERS, Endured, SLACK, Siege, connect, drip};
use crate::support::{ALL, Dialect, opening, opening_head};

const HEAD: Duration = Duration::from_secs(6);
const KEY3: Duration = Duration::from_secs(6);
const STALL: Duration = Duration::from_secs(4);
/// The same for readers, whose backends have much to say before they stall.
const READ_STALL: Duration = Duration::from_secs(12);
/// How long it takes until all of those have come who make work for everybody when they do: a reader's backend has much to
/// say, and a request with a body goes through hyper.
const READERS_COME: Duration = Duration::from_secs(8);
const BODIES_COME: Duration = Duration::from_secs(2);
/// When all have come and none was yet thrown out, even where they came slowly.
const ALL_ARE_IN: Duration = Duration::from_secs(2);
/// How long a slow body drips before it stops.
const DRIPPING: usize = 3;

/// That all were put up with for about so long, and none for longer.
#[track_caller]
fn all_within(endured: &Endured, least: Duration, most: Duration) {
    assert_eq!(endured.put_up.len(), ATTACKERS, "some were never thrown out");
    for time in &endured.put_up {
        assert!((least..most).contains(time), "one was put up with for {time:?}, {least:?} to {most:?} was due");
    }
}

/// Waits until it is this one's turn, of all who come within that time.
async fn come(number: usize, within: Duration) {
    sleep(within.mul_f64(number as f64 / ATTACKERS as f64)).await;
}

#[test]
fn slow_heads_hurt_nobody_else_and_end_in_time() {
    let mut siege = Siege::lay("head = \"6s\"");
    let endured = siege.endure(ALL_ARE_IN, 16, |to, number| async move {
        let head = opening_head(ALL[number % ALL.len()], "/echo", &[]);
        drip(connect(to, false).await?, &head).await
    });
    all_within(&endured, HEAD / 2, HEAD + SLACK);
}

#[test]
fn slow_third_keys_hurt_nobody_else_and_end_in_time() {
    let mut siege = Siege::lay("key3 = \"6s\"");
    let endured = siege.endure(ALL_ARE_IN, 24, |to, _| async move {
        let mut stream = connect(to, false).await?;
        stream.write_all(&opening_head(Dialect::Hixie76, "/echo", &[])).await?;
        // The answer, without what answers the keys, comes before them.
        if stream.read(&mut [0; 1024]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        drip(stream, b"seven...").await
    });
    all_within(&endured, KEY3 / 2, KEY3 + SLACK);
}

#[test]
fn slow_bodies_hurt_nobody_else_and_end_when_they_stop() {
    let mut siege = Siege::lay("stall = \"4s\"");
    let endured = siege.endure(ALL_ARE_IN, 96, |to, number| async move {
        come(number, BODIES_COME).await;
        let mut stream = connect(to, false).await?;
        stream.write_all(b"POST /upload HTTP/1.1\r\nHost: tv.example\r\nContent-Length: 1000\r\n\r\n").await?;
        drip(stream, &[b'a'; DRIPPING]).await
    });
    let dripping = Duration::from_secs(DRIPPING as u64 - 1);
    all_within(&endured, dripping + STALL / 2, dripping + STALL + SLACK);
}

/// Asks for much, reads nothing, and so never learns how long it is put up with.
async fn read_nothing(to: SocketAddr, number: usize) -> io::Result<Duration> {
    come(number, READERS_COME).await;
    let mut stream = connect(to, true).await?;
    stream.write_all(&opening(ALL[number % ALL.len()], "/flood", &[])).await?;
    std::future::pending().await
}

#[test]
fn slow_readers_hurt_nobody_else_and_end_in_time() {
    let mut siege = Siege::lay("stall = \"12s\"");
    let endured = siege.endure(READ_STALL - Duration::from_secs(1), 300, read_nothing);
    // The backends of some still have much to say when the last has come.
    assert!(
        endured.gone < READERS_COME + READ_STALL + 2 * SLACK,
        "the last of them was put up with for {:?}",
        endured.gone
    );
}
