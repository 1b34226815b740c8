//! Clients that have always more to say: they get their turns, and all others theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hybridge::config::{Config, Upstream};

use crate::support::*;

/// How long a flood lasts at most.
const LONG: Duration = Duration::from_secs(40);

/// As fast as it goes, frames that nobody answers, until told to stop; true if the other end went away before.
fn flood(mut client: Wire, over: Arc<AtomicBool>) -> thread::JoinHandle<bool> {
    let pongs = masked(PONG, b"").repeat(64 << 10);
    let until = Instant::now() + LONG;
    thread::spawn(move || {
        while !over.load(Ordering::Relaxed) && Instant::now() < until {
            if !client.try_say(&pongs) {
                return true;
            }
        }
        false
    })
}

#[test]
fn a_client_of_events_that_never_stops_talking_keeps_nobody_waiting() {
    let backend = Backend::listen();
    let upstream = Upstream::parse(&format!("sse+http://{}", backend.address())).expect("a proper URL");
    let config = Config::simple(vec![([127, 0, 0, 1], 0).into()], upstream);
    let stage = Stage { proxy: Proxy::run(config), backend };
    let open = || {
        let mut client = stage.client();
        client.say(opening(Dialect::Rfc6455, "/demo", &[]));
        let mut stream = stage.backend.accept();
        stream.head();
        stream.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        client.hears(answer(Dialect::Rfc6455, "/demo", &[]));
        (client, stream)
    };
    let (client, _stream) = open();
    let over = Arc::new(AtomicBool::new(false));
    let flooding = flood(client, Arc::clone(&over));
    thread::sleep(ms(200));
    for _ in 0..5 {
        let (mut client, mut stream) = open();
        stream.say("data: hello\n\n");
        client.hears(plain(TEXT, "hello"));
    }
    over.store(true, Ordering::Relaxed);
    assert!(!flooding.join().expect("it only talks"), "it did nothing that is forbidden");
}

#[test]
fn whoever_takes_nothing_is_given_up_however_much_it_says() {
    let stage = Stage::with(|config| config.timeouts.stall = ms(1500));
    let (client, mut upstream) = stage.open(Dialect::Rfc6455);
    let mut ear = upstream.twin();
    let listening = thread::spawn(move || ear.rest_or_reset().len());
    upstream.say_until_stuck(&plain(TEXT, [b'x'; 60_000]).repeat(500), ms(300));
    let flooding = flood(client, Arc::default());
    assert!(flooding.join().expect("it only talks"), "it went on for {LONG:?}");
    assert!(listening.join().expect("it only listens") > 0);
}
