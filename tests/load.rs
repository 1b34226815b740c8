//! The load of `benches/compare` notices every fault that it should; otherwise what it measures would mean nothing.

// Declared as the load declares them, for they name each other so.
#[path = "../benches/load/connection.rs"]
#[allow(dead_code)]
mod connection;
#[path = "../benches/load/echo.rs"]
mod echo;
#[path = "../benches/load/events.rs"]
mod events;
#[path = "../benches/load/floor.rs"]
mod floor;
#[path = "../benches/load/frames.rs"]
mod frames;
#[path = "../benches/load/hearing.rs"]
mod hearing;
#[path = "../benches/load/pattern.rs"]
mod pattern;
#[path = "../benches/load/stream.rs"]
#[allow(dead_code)]
mod stream;

use std::future::poll_fn;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hybridge::dialect::Dialect;
use tokio::net::TcpListener;
use tokio::time::timeout;

use connection::{Caller, Connection, Talk, Until};
use events::{Listener, Numbered, Reader};
use frames::{FIN, Frames, Head, Part, TEXT, mask};
use pattern::{Message, PERIOD, PIECE};

const PATIENCE: Duration = Duration::from_secs(30);
const DIALECTS: [Dialect; 4] = [Dialect::Hixie75, Dialect::Hixie76, Dialect::Hybi10, Dialect::Rfc6455];

/// The program, until dropped.
struct Program(Child, SocketAddr);

impl Program {
    fn before(upstream: &str) -> Program {
        let mut process = Command::new(env!("CARGO_BIN_EXE_hybridge"))
            .args(["serve", "--threads", "1", "--listen", "127.0.0.1:0", "--upstream", upstream])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it prints a line");
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next()?.parse().ok());
        Program(process, address.expect("it says where it listens"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An echo of our own, which changes one byte in so many.
async fn echo(spoil: u64) -> SocketAddr {
    let (listener, address) = bound().await;
    tokio::spawn(echo::serve(listener, spoil));
    address
}

async fn open(address: SocketAddr, dialect: Dialect) -> Connection {
    let caller = Caller { address, dialect, tls: None, first: 7 };
    timeout(PATIENCE, caller.open(0)).await.unwrap().unwrap()
}

/// Says so many messages, and compares their echoes.
async fn talk(connection: &mut Connection, messages: u64, size: u64) -> io::Result<u64> {
    let mut talk = Talk::new(size, Until::Messages(messages));
    timeout(PATIENCE, poll_fn(|context| connection.poll_talk(context, &mut talk))).await.unwrap()?;
    Ok(talk.latencies.len() as u64)
}

#[tokio::test]
async fn every_dialect_is_spoken_and_closed() {
    let program = Program::before(&format!("ws://{}", echo(0).await));
    for dialect in DIALECTS {
        let mut connection = open(program.1, dialect).await;
        for (messages, size) in [(20, 64), (1, 0), (3, 1), (3, 200_000), (5, PIECE as u64), (5, 125), (5, 126)] {
            assert_eq!(talk(&mut connection, messages, size).await.unwrap(), messages, "{dialect:?}, {size} bytes");
        }
        timeout(PATIENCE, connection.close(dialect)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_changed_byte_is_noticed_in_every_dialect() {
    let program = Program::before(&format!("ws://{}", echo(10_000).await));
    for dialect in DIALECTS {
        let mut connection = open(program.1, dialect).await;
        talk(&mut connection, 9, 1_000).await.unwrap();
        let noticed = talk(&mut connection, 1, 1_000).await.unwrap_err();
        assert!(noticed.to_string().contains("is not what was said"), "{dialect:?}: {noticed}");
    }
}

#[tokio::test]
async fn the_floor_passes_everything() {
    let upstream = echo(0).await;
    let listener = mio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || floor::serve(listener, upstream));
    // Far more than the buffers on the way hold.
    for size in [64, 30_000_000] {
        let mut connection = open(address, Dialect::Rfc6455).await;
        assert_eq!(talk(&mut connection, 2, size).await.unwrap(), 2);
        timeout(PATIENCE, connection.close(Dialect::Rfc6455)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn events_are_heard_as_lines_and_as_messages() {
    let (listener, address) = bound().await;
    tokio::spawn(events::serve(listener));
    let mut reader = Reader::open(address).await.unwrap();
    let listening = timeout(Duration::from_millis(100), poll_fn(|context| reader.poll_listen(context))).await;
    assert!(listening.is_err(), "it hears on until it is told otherwise");
    assert!(reader.events() > 1_000, "{} events", reader.events());

    let program = Program::before(&format!("sse+http://{address}"));
    for dialect in DIALECTS {
        let mut connection = open(program.1, dialect).await;
        for _ in 0..100 {
            let listening =
                timeout(Duration::from_millis(100), poll_fn(|context| connection.poll_listen(context))).await;
            assert!(listening.is_err(), "{dialect:?}: {listening:?}");
            if connection.events() > 1_000 {
                break;
            }
        }
        assert!(connection.events() > 1_000, "{dialect:?}: {} events", connection.events());
    }
}

#[test]
fn no_byte_can_be_changed_unseen() {
    let message = Message { connection: 3, number: 5 };
    let length = 3 * PIECE as u64 + 17;
    let mut text = Vec::new();
    while (text.len() as u64) < length {
        text.extend_from_slice(message.text(text.len() as u64, length - text.len() as u64));
    }
    assert!(message.says(0, &text));
    for at in [0, 1, PERIOD, PIECE, text.len() - 1] {
        let mut changed = text.clone();
        changed[at] ^= 1;
        assert!(!message.says(0, &changed), "the byte at {at}");
    }
    assert!(!message.says(1, &text), "a byte was lost");
    assert!(!Message { number: 6, ..message }.says(0, &text), "messages have changed places");
    assert!(!Message { connection: 4, ..message }.says(0, &text), "connections were mixed up");
}

/// The head and the unmasked payload of one frame that comes in these pieces.
fn taken_apart<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Option<Head>, Vec<u8>, bool) {
    let (mut frames, mut head, mut payload, mut ended) = (Frames::default(), None, Vec::new(), false);
    for mut piece in pieces {
        while let Some(part) = frames.next(&mut piece).unwrap() {
            match part {
                Part::Head(found) => head = Some(found),
                Part::Payload { bytes, before } => {
                    let start = payload.len();
                    payload.extend_from_slice(bytes);
                    mask(&mut payload[start..], head.unwrap().key.unwrap_or_default(), before);
                }
                Part::End => ended = true,
            }
        }
    }
    (head, payload, ended)
}

#[test]
fn a_frame_is_the_same_at_every_cut() {
    for length in [0, 1, 7, 125, 126, 300, 0xFFFF, 0x10000] {
        for key in [None, Some([1, 2, 3, 250])] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let written = Head { first: FIN | TEXT, length: length as u64, key };
            let mut wire = Vec::new();
            written.write(&mut wire);
            let start = wire.len();
            wire.extend(text.iter().zip([1, 2, 3, 250].iter().cycle()).map(|(byte, k)| match key {
                Some(_) => byte ^ k,
                None => *byte,
            }));
            assert_eq!(wire.len(), start + length);
            for size in [1, 2, 3, 5, 1000, wire.len()] {
                let (head, payload, ended) = taken_apart(wire.chunks(size));
                assert_eq!(head, Some(written));
                assert!(payload == text && ended, "{length} bytes, cut after each {size}");
            }
        }
    }
}

#[test]
fn events_count_on_and_none_can_be_left_out() {
    let (mut source, mut all) = (Numbered::new(), Vec::new());
    for _ in 0..1_234 {
        all.extend_from_slice(&[b"data: ".as_slice(), &source.text, b"\n\n"].concat());
        source.advance();
    }
    assert!(source.text.starts_with(b"000000001234"));
    for size in [1, 71, 72, 1000] {
        let mut listener = Listener::of_lines();
        all.chunks(size).for_each(|piece| listener.read(piece).unwrap());
        assert_eq!(listener.heard(), 1_234);
    }
    let event = all.len() / 1_234;
    let twice = [&all[..event], &all[..]].concat();
    assert!(Listener::of_lines().read(&all[event..]).is_err(), "the first is missing");
    assert!(Listener::of_lines().read(&twice).is_err(), "the first came twice");
}
