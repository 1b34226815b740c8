//! Backends that send Server-Sent Events.

use std::time::{Duration, Instant};

use hybridge::config::{Config, SendFailure, SendTo, Upstream};
use hybridge::dialect::sse::Form;
use socket2::{Domain, Socket, Type};

use crate::support::*;

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A proxy in front of a backend of events, with a short time to wait.
fn stage(change: impl FnOnce(&mut Config)) -> Stage {
    let backend = Backend::listen();
    let upstream = Upstream::parse(&format!("sse+http://{}", backend.address())).expect("a proper URL");
    let mut config = Config::simple(vec![([127, 0, 0, 1], 0).into()], upstream);
    config.routes[0].events.retry = ms(20);
    change(&mut config);
    Stage { proxy: Proxy::run(config), backend }
}

fn sending(change: impl FnOnce(&mut Config)) -> Stage {
    stage(|config| {
        config.routes[0].events.send = Some(SendTo { backend: None, path: "/in".into() });
        change(config);
    })
}

/// The next stream of a backend, begun; and the request for it.
#[track_caller]
fn begin(stage: &Stage) -> (Wire, String) {
    let mut stream = stage.backend.accept();
    let head = stream.head();
    stream.say(STREAM);
    (stream, head)
}

/// A client through its opening handshake, and its first stream.
#[track_caller]
fn open(stage: &Stage, dialect: Dialect) -> (Wire, Wire) {
    open_by(stage, stage.client(), dialect)
}

#[track_caller]
fn open_by(stage: &Stage, mut client: Wire, dialect: Dialect) -> (Wire, Wire) {
    client.say(opening(dialect, "/demo?x=1", &[]));
    let (stream, _) = begin(stage);
    client.hears(answer(dialect, "/demo?x=1", &[]));
    (client, stream)
}

#[track_caller]
fn status_of(client: &mut Wire) -> String {
    let head = client.head();
    assert_eq!(field(&head, "Connection"), Some("close"), "{head}");
    head.split(' ').nth(1).expect("a status").to_owned()
}

/// A request with a body of known length.
#[track_caller]
fn post(wire: &mut Wire) -> (String, Vec<u8>) {
    let head = wire.head();
    let length = field(&head, "Content-Length").unwrap_or_else(|| panic!("no length in {head}"));
    (head.clone(), wire.hear(length.parse().expect("a number")))
}

#[test]
fn a_client_of_any_dialect_hears_events() {
    for dialect in ALL {
        let stage = stage(|_| {});
        let mut client = stage.client();
        let lines = ["Cookie: a=b", "User-Agent: TV", "X-Request-Id: 192.0.2.1", "Authorization: Basic eA=="];
        client.say(opening(dialect, "/demo?x=1", &lines));
        let mut stream = stage.backend.accept();
        let head = stream.head();
        assert!(head.starts_with("GET /demo?x=1 HTTP/1.1\r\nAccept: text/event-stream\r\n"), "{head}");
        for line in
            lines.into_iter().chain(["Cache-Control: no-cache", "Host: tv.example:8080", "Origin: http://tv.example"])
        {
            assert!(head.split("\r\n").any(|found| found == line), "{line} in {head}");
        }
        for word in ["Upgrade", "WebSocket", "Last-Event-ID", "Accept-Encoding"] {
            assert!(!head.contains(word), "{word} in {head}");
        }
        // Nothing is promised before the backend has agreed.
        client.hears_nothing_for(ms(30));
        stream.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.hears(answer(dialect, "/demo?x=1", &[]));
        // At once, also where nothing but a bare CR ends the line, and its chunk is not over.
        stream.say("20\r\ndata: a\r\r");
        client.hears(heard(dialect, "a"));
        stream.say("data: b\n\n");
        client.hears(heard(dialect, "b"));
    }
}

#[test]
fn a_backend_that_gives_no_events_refuses_the_client() {
    let stage = stage(|config| config.timeouts.handshake = ms(150));
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";
    let rows = [
        ("HTTP/1.1 204 No Content\r\n\r\n", "503"),
        ("HTTP/1.1 205 Reset Content\r\n\r\n", "503"),
        (html, "502"),
        ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "401"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        ("HTTP/1.1 503 Busy\r\n\r\n", "503"),
        ("HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n", "302"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "502"),
        ("SSH-2.0\r\n\r\n", "502"),
        ("", "504"),
    ];
    for (said, expected) in rows {
        for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
            let mut client = stage.client();
            client.say(opening(dialect, "/", &[]));
            let mut stream = stage.backend.accept();
            stream.head();
            stream.say(said);
            assert_eq!(status_of(&mut client), expected, "{said}");
            client.rest();
            // The stream is not kept either.
            stream.rest_or_reset();
        }
    }
    // A backend that hangs up, and one that is away.
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    let mut stream = stage.backend.accept();
    stream.head();
    drop(stream);
    assert_eq!(status_of(&mut client), "502");
    let Stage { proxy, backend } = stage;
    drop(backend);
    let mut client = Wire::connect(proxy.address);
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    assert_eq!(status_of(&mut client), "502");
}

#[test]
fn redirections_on_the_same_host_are_followed_so_far_and_no_further() {
    let stage = stage(|_| {});
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/a/b", &[]));
    for (location, target) in [("c", "/a/b"), ("http://tv.example:8080/d", "/a/c"), ("/e?f", "/d")] {
        let mut stream = stage.backend.accept();
        assert!(stream.head().starts_with(&format!("GET {target} ")));
        stream.say(format!("HTTP/1.1 307 There\r\nLocation: {location}\r\n\r\n"));
        stream.rest_or_reset();
    }
    let (_stream, head) = begin(&stage);
    assert!(head.starts_with("GET /e?f "), "{head}");
    client.hears(answer(Dialect::Rfc6455, "/a/b", &[]));

    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    for _ in 0..6 {
        let mut stream = stage.backend.accept();
        stream.head();
        stream.say("HTTP/1.1 302 Round\r\nLocation: /\r\n\r\n");
    }
    assert_eq!(status_of(&mut client), "502");
    stage.backend.saw_nobody();
}

#[test]
fn a_lost_stream_is_resumed_behind_its_last_event() {
    for dialect in ALL {
        let stage = stage(|_| {});
        let (mut client, mut stream) = open(&stage, dialect);
        stream.say("id: 7\ndata: a\n\nid: 8\ndata: lost");
        client.hears(heard(dialect, "a"));
        drop(stream);
        let (mut stream, head) = begin(&stage);
        assert!(head.starts_with("GET /demo?x=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "Last-Event-ID"), Some("7"), "{head}");
        stream.say("id: 8\ndata: b\n\n");
        client.hears(heard(dialect, "b"));
        // By a reset as by an end.
        stream.reset();
        let (mut stream, head) = begin(&stage);
        assert_eq!(field(&head, "Last-Event-ID"), Some("8"), "{head}");
        stream.say(": nothing new\n\n");
        stream.fin();
        let (mut stream, head) = begin(&stage);
        assert_eq!(field(&head, "Last-Event-ID"), Some("8"), "{head}");
        stream.say("data: c\n\n");
        if HYBI.contains(&dialect) {
            client.hears(plain(PING, b""));
        }
        client.hears(heard(dialect, "c"));
    }
}

#[test]
fn the_client_says_behind_which_event_it_goes_on() {
    for (target, line) in [("/n?a=1&lastEventId=x%207", "X: y"), ("/n?a=1", "Last-Event-ID: x 7")] {
        let stage = stage(|_| {});
        let mut client = stage.client();
        client.say(opening(Dialect::Rfc6455, target, &[line]));
        for _ in 0..2 {
            let (_, head) = begin(&stage);
            assert!(head.starts_with("GET /n?a=1 "), "{head}");
            assert_eq!(field(&head, "Last-Event-ID"), Some("x 7"), "{head}");
        }
    }
}

#[test]
fn an_id_no_header_can_hold_is_not_made_up() {
    let stage = stage(|_| {});
    let (mut client, mut stream) = open(&stage, Dialect::Rfc6455);
    stream.say("id: a\x01\ndata: a\n\n");
    client.hears(plain(TEXT, "a"));
    drop(stream);
    client.hears(plain(CLOSE, status(1011, "")));
    stage.backend.saw_nobody();
}

#[test]
fn the_backend_says_how_long_it_wants_to_be_left_alone() {
    let stage = stage(|config| config.routes[0].events.retry = Duration::from_secs(600));
    let (_client, mut stream) = open(&stage, Dialect::Hixie76);
    stream.say("retry: 200\n");
    let ended = Instant::now();
    drop(stream);
    drop(begin(&stage));
    let waited = ended.elapsed();
    assert!(waited >= ms(200) && waited < Duration::from_secs(10), "{waited:?}");
    // The stream before said it for those that follow.
    drop(begin(&stage));
}

#[test]
fn a_backend_that_stays_away_is_asked_ever_more_rarely_and_then_given_up() {
    let stage = stage(|config| config.routes[0].events.reconnect = Some(ms(700)));
    for dialect in ALL {
        let (mut client, mut stream) = open(&stage, dialect);
        stream.say("data: a\n\n");
        client.hears(heard(dialect, "a"));
        let lost = Instant::now();
        drop(stream);
        let given_up = std::thread::spawn(move || {
            client.hears(farewell(dialect, 1013));
            if dialect == Dialect::Hixie75 {
                // It has no close, only the end.
                client.hears_end();
            }
            (Instant::now(), client)
        });
        // Only what no busy machine can change: waits are never shorter than their bounds.
        let (mut asked, mut answered) = (0, lost);
        while !given_up.is_finished() {
            let Some(mut stream) = stage.backend.try_accept(ms(20)) else { continue };
            let waited = answered.elapsed();
            // The last attempt is made when the patience ends, whatever its wait would have been.
            assert!(lost.elapsed() >= ms(700) || waited >= ms(10 << asked), "attempt {asked} came after {waited:?}");
            stream.head();
            (asked, answered) = (asked + 1, Instant::now());
            stream.say("HTTP/1.1 503 Busy\r\n\r\n");
        }
        let (given_up, _client) = given_up.join().expect("the client is told");
        assert!(asked > 0 && given_up - lost >= ms(700), "{asked} attempts, given up after {:?}", given_up - lost);
        stage.backend.saw_nobody();
    }
}

#[test]
fn a_backend_that_is_away_for_a_while_is_asked_soon_and_again() {
    // With more patience than this test has.
    let stage = stage(|config| config.routes[0].events.reconnect = Some(Duration::from_secs(600)));
    let (mut client, stream) = open(&stage, Dialect::Hixie76);
    drop(stream);
    for _ in 0..5 {
        let mut stream = stage.backend.accept();
        stream.head();
        stream.say("HTTP/1.1 503 Busy\r\n\r\n");
    }
    let (mut stream, _) = begin(&stage);
    stream.say("data: back\n\n");
    client.hears(heard(Dialect::Hixie76, "back"));
}

#[test]
fn a_backend_that_cannot_be_reached_is_given_up_too_and_one_that_ends_at_once() {
    let give_up = |config: &mut Config| config.routes[0].events.reconnect = Some(ms(200));
    let stage = stage(give_up);
    let (mut client, stream) = open(&stage, Dialect::Rfc6455);
    let Stage { proxy: _proxy, backend } = stage;
    drop((stream, backend));
    client.hears(plain(CLOSE, status(1013, "")));

    let stage = self::stage(give_up);
    let (mut client, stream) = open(&stage, Dialect::Rfc6455);
    drop(stream);
    let backend = std::thread::spawn(move || {
        let Stage { proxy, backend } = stage;
        while let Some(mut stream) = backend.try_accept(ms(1500)) {
            stream.head();
            stream.say(STREAM);
        }
        proxy
    });
    client.hears(plain(CLOSE, status(1013, "")));
    backend.join().expect("it ends");
}

#[test]
fn a_refusal_to_resume_ends_the_connection() {
    let rows = [("204 No Content", 1000), ("404 Not Found", 1011), ("200 OK\r\nContent-Type: text/html", 1011)];
    for (answer, code) in rows {
        for dialect in ALL {
            let stage = stage(|_| {});
            let (mut client, stream) = open(&stage, dialect);
            drop(stream);
            let mut stream = stage.backend.accept();
            stream.head();
            stream.say(format!("HTTP/1.1 {answer}\r\n\r\n"));
            client.hears(farewell(dialect, code));
            if dialect == Dialect::Hixie75 {
                client.hears_end();
            }
            stage.backend.saw_nobody();
        }
    }
}

#[test]
fn a_silent_stream_is_taken_for_lost_and_a_comment_is_no_silence() {
    let stage = stage(|config| config.routes[0].events.silence = Some(ms(300)));
    let (mut client, mut stream) = open(&stage, Dialect::Rfc6455);
    let begun = Instant::now();
    stream.say("id: 1\n\n");
    while begun.elapsed() < ms(700) {
        stream.say(":\n");
        client.hears(plain(PING, b""));
        std::thread::sleep(ms(50));
    }
    let (mut second, head) = begin(&stage);
    assert_eq!(field(&head, "Last-Event-ID"), Some("1"));
    stream.rest_or_reset();
    second.say("data: x\n\n");
    client.hears(plain(TEXT, "x"));
}

#[test]
fn a_slow_client_slows_its_stream_and_loses_nothing() {
    std::thread::scope(|threads| {
        for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
            threads.spawn(move || slow_client(dialect));
        }
    });
}

fn slow_client(dialect: Dialect) {
    let stage = stage(|config| config.routes[0].events.silence = Some(ms(4000)));
    let (mut client, mut stream) = open(&stage, dialect);
    let event = [b"data: ".to_vec(), b"x".repeat(10_000), b"\n\n".to_vec()].concat();
    let all = event.repeat(4000);
    let taken = stream.say_until_stuck(&all, ms(500));
    assert!(taken < all.len(), "40 MB went into nobody's memory");
    // The silence of a stream that nobody reads is none of its own.
    std::thread::sleep(ms(4500));
    let writer = std::thread::spawn(move || {
        stream.say(&all[taken..]);
        stream
    });
    let message = heard(dialect, b"x".repeat(10_000));
    for _ in 0..4000 {
        client.hears(&message);
    }
    drop(writer.join().expect("all is taken"));
}

#[test]
fn a_stream_is_silent_only_while_somebody_reads_it() {
    const EVENT: usize = 8 << 10;
    const EACH: usize = 3;
    const STREAMS: usize = 20 * EACH;
    let silence = ms(3000);
    let stage = stage(|config| config.routes[0].events.silence = Some(silence));
    let event = format!("data: {}\n\n", "x".repeat(EVENT));
    // Some say a little more than their clients' sides hold: they are not read any more, and nothing of them waits.
    let mut pairs: Vec<_> = (0..STREAMS).map(|_| open_by(&stage, small_client(&stage), Dialect::Rfc6455)).collect();
    for first in (0..STREAMS).step_by(EACH) {
        for (_, stream) in &mut pairs[first..] {
            stream.say(&event);
        }
        std::thread::sleep(ms(10));
    }
    std::thread::sleep(silence * 19 / 10);
    // Those whose clients took it all were silent.
    let resumed: Vec<_> = std::iter::from_fn(|| stage.backend.try_accept(ms(1))).collect();
    assert!((1..STREAMS).contains(&resumed.len()), "{} of {STREAMS} were resumed", resumed.len());
    for (number, (client, _)) in pairs.iter_mut().enumerate() {
        for _ in 0..=number / EACH {
            client.hears(plain(TEXT, "x".repeat(EVENT)));
        }
    }
    assert!(stage.backend.try_accept(silence / 3).is_none(), "a stream was silent as soon as it was read again");
}

/// A client that holds little of what it does not read.
fn small_client(stage: &Stage) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option can be set");
    // With the loopback's long segments, the kernel would keep megabytes.
    socket.set_tcp_mss(536).expect("an option can be set");
    socket.connect(&stage.proxy.address.into()).expect("the proxy listens");
    Wire::over(socket.into())
}

#[test]
fn a_client_that_takes_nothing_or_says_nothing_is_given_up() {
    let stage = stage(|config| config.timeouts.stall = ms(300));
    let (mut client, mut stream) = open(&stage, Dialect::Hixie76);
    let events = [b"data: ".to_vec(), b"x".repeat(1000), b"\n\n".to_vec()].concat().repeat(1000);
    eventually("the stream is dropped", || !stream.try_say(&events));
    assert!(client.is_reset());

    let stage = self::stage(|config| config.timeouts.idle = Some(ms(300)));
    let (mut client, mut stream) = open(&stage, Dialect::Rfc6455);
    let begun = Instant::now();
    for _ in 0..5 {
        stream.say(":\n");
        client.hears(plain(PING, b""));
        std::thread::sleep(ms(100));
    }
    client.hears(plain(CLOSE, status(1001, "")));
    assert!(begun.elapsed() >= ms(700));
    assert_eq!(stream.rest_or_reset(), b"");
}

#[test]
fn when_the_client_leaves_its_stream_is_dropped() {
    let stage = stage(|_| {});
    for dialect in ALL {
        let (mut client, mut stream) = open(&stage, dialect);
        match dialect {
            Dialect::Hixie75 => client.fin(),
            Dialect::Hixie76 => client.say(GOODBYE),
            _ => client.say(masked(CLOSE, status(4001, "bye"))),
        }
        client.hears(farewell(dialect, 4001));
        client.hears_end();
        assert_eq!(stream.rest_or_reset(), b"");
        let (client, mut stream) = open(&stage, dialect);
        client.reset();
        assert_eq!(stream.rest_or_reset(), b"");
        // Also while there is no stream.
        let (client, stream) = open(&stage, dialect);
        drop((stream, client));
        while stage.backend.try_accept(ms(200)).is_some() {}
    }
}

#[test]
fn without_a_way_back_a_message_ends_the_connection() {
    let stage = stage(|_| {});
    for dialect in ALL {
        let (mut client, mut stream) = open(&stage, dialect);
        client.say(said(dialect, "hello"));
        client.hears(farewell(dialect, 1003));
        if dialect == Dialect::Hixie75 {
            client.hears_end();
        }
        assert_eq!(stream.rest_or_reset(), b"");
    }
    let (mut client, _stream) = open(&stage, Dialect::Rfc6455);
    client.say(masked(PING, "hi"));
    client.hears(plain(PONG, "hi"));
    client.say(masked(BINARY, [1]));
    client.hears(plain(CLOSE, status(1003, "")));
}

#[test]
fn a_shutdown_tells_the_client_and_drops_the_stream() {
    for dialect in ALL {
        let stage = stage(|_| {});
        let (mut client, mut stream) = open(&stage, dialect);
        stage.proxy.drain.start();
        client.hears(farewell(dialect, 1001));
        assert_eq!(stream.rest_or_reset(), b"");
        if dialect == Dialect::Hixie76 {
            client.say(GOODBYE);
        } else if HYBI.contains(&dialect) {
            client.say(masked(CLOSE, status(1001, "")));
        }
        client.hears_end();
        drop(client);
        stage.proxy.stopped();
    }
}

#[test]
fn an_event_above_the_limit_ends_the_connection() {
    let stage = stage(|config| config.limits.event_bytes = 1024);
    let (mut client, mut stream) = open(&stage, Dialect::Rfc6455);
    stream.say([b"data: ".to_vec(), b"x".repeat(1018), b"\n\n".to_vec()].concat());
    client.hears(plain(TEXT, b"x".repeat(1018)));
    stream.try_say(&[b"data: ".to_vec(), b"x".repeat(1019)].concat());
    client.hears(plain(CLOSE, status(1001, "")));
    stream.rest_or_reset();
}

#[test]
fn a_few_bytes_that_make_long_messages_are_told_as_fast_as_they_are_taken() {
    const ID: usize = 100 << 10;
    const EVENTS: usize = 2000;
    let stage = stage(|config| config.routes[0].events.message = Form::Json);
    let (mut client, mut stream) = open(&stage, Dialect::Rfc6455);
    stream.say([b"id: ".to_vec(), b"x".repeat(ID), b"\n\n".to_vec()].concat());
    stream.say("data\n\n".repeat(EVENTS));
    // All of it was read at once, and would be 200 MB for a client that takes none; others are served meanwhile.
    let mut other = stage.client();
    other.say("GET / HTTP/1.0\r\n\r\n");
    stage.backend.accept().head();
    let expected = [b"{\"type\":\"message\",\"data\":\"\",\"id\":\"", &*b"x".repeat(ID), b"\"}"].concat();
    for _ in 0..20 {
        client.hears(plain(TEXT, &expected));
    }
}

// What the client says

#[test]
fn messages_are_sent_in_order_one_at_a_time() {
    for dialect in ALL {
        let stage = sending(|_| {});
        let mut client = stage.client();
        client.say(opening(dialect, "/demo?x=1", &["Cookie: a=b"]));
        let (mut stream, get) = begin(&stage);
        client.hears(answer(dialect, "/demo?x=1", &[]));
        let number = |number: usize| format!("message {number}");
        client.say((0..200).flat_map(|index| said(dialect, number(index))).collect::<Vec<u8>>());
        let mut backend = stage.backend.accept();
        for index in 0..200 {
            let (head, body) = post(&mut backend);
            assert_eq!(body, number(index).as_bytes());
            assert!(head.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{head}");
            for name in ["Host", "Origin", "Cookie", "Hybridge-Connection"] {
                assert_eq!(field(&head, name), field(&get, name), "{name}");
            }
            assert_eq!(field(&head, "Content-Type"), Some("text/plain; charset=utf-8"));
            if index == 7 {
                // The next waits for the answer to this one.
                backend.hears_nothing_for(ms(50));
            }
            backend.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        stream.say("data: still here\n\n");
        client.hears(heard(dialect, "still here"));
    }
}

#[test]
fn a_message_goes_out_while_it_comes_in_and_only_a_whole_one_ends() {
    let stage = sending(|_| {});
    let (mut client, _stream) = open(&stage, Dialect::Hixie76);
    client.say(b"\0one \xe2\x82");
    let mut backend = stage.backend.accept();
    let head = backend.head();
    assert_eq!(field(&head, "Transfer-Encoding"), Some("chunked"), "{head}");
    backend.hears("4\r\none \r\n");
    client.say(b"\xac two\xff");
    backend.hears("7\r\n\u{20ac} two\r\n0\r\n\r\n");
    backend.say(TAKEN);
    client.say(b"\0three");
    backend.head();
    backend.hears("5\r\nthree\r\n");
    client.reset();
    assert_eq!(backend.rest_or_reset(), b"", "it must not look whole");

    // A length that the frame announces is told.
    let (mut client, _stream) = open(&stage, Dialect::Rfc6455);
    let frame = masked(BINARY, b"x".repeat(100_000));
    client.say(&frame[..50_000]);
    let mut backend = stage.backend.accept();
    let head = backend.head();
    assert_eq!(field(&head, "Content-Length"), Some("100000"), "{head}");
    assert_eq!(field(&head, "Content-Type"), Some("application/octet-stream"), "{head}");
    backend.discard(40_000);
    client.say(&frame[50_000..]);
    backend.discard(60_000);
    backend.say(TAKEN);
}

#[test]
fn who_sends_more_than_the_backend_takes_is_slowed_down() {
    let stage = sending(|config| config.limits.send_queue = 4096);
    let (mut client, _stream) = open(&stage, Dialect::Rfc6455);
    let message = masked(TEXT, b"x".repeat(10_000));
    let all = message.repeat(3000);
    let taken = client.say_until_stuck(&all, ms(500));
    assert!(taken < all.len(), "30 MB went into nobody's memory");
    let mut backend = stage.backend.accept();
    let writer = std::thread::spawn(move || {
        client.say(&all[taken..]);
        client
    });
    for _ in 0..3000 {
        let (_, body) = post(&mut backend);
        assert_eq!(body.len(), 10_000);
        backend.say(TAKEN);
    }
    drop(writer.join().expect("all is taken"));
}

#[test]
fn a_message_that_is_not_taken_ends_the_connection_or_is_left_out() {
    let refusals =
        ["HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n", "HTTP/1.1 302 No\r\nLocation: /\r\n\r\n", "", "SSH"];
    for refusal in refusals {
        let impatient = |config: &mut Config| {
            config.timeouts.response = Some(if refusal.is_empty() { ms(1500) } else { PATIENCE });
        };
        for dialect in ALL {
            let stage = sending(impatient);
            let (mut client, mut stream) = open(&stage, dialect);
            client.say([said(dialect, "one"), said(dialect, "two")].concat());
            let mut backend = stage.backend.accept();
            post(&mut backend);
            backend.say(refusal);
            client.hears(farewell(dialect, 1011));
            if dialect == Dialect::Hixie75 {
                client.hears_end();
            }
            assert_eq!(stream.rest_or_reset(), b"");
        }
        let stage = sending(|config| {
            impatient(config);
            config.routes[0].events.send_failure = SendFailure::Drop;
        });
        let (mut client, mut stream) = open(&stage, Dialect::Hixie76);
        client.say(b"\0one\xff\0two");
        let mut backend = stage.backend.accept();
        post(&mut backend);
        backend.say(refusal);
        client.say(b"\xff\0three\xff");
        drop(backend);
        let bodies = [(); 2].map(|()| {
            let mut backend = stage.backend.accept();
            let body = body(&mut backend);
            backend.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            body
        });
        assert_eq!(bodies, ["two", "three"], "{refusal}");
        stream.say("data: still here\n\n");
        client.hears(heard(Dialect::Hixie76, "still here"));
    }
}

/// The body of the next request, however it is framed.
#[track_caller]
fn body(wire: &mut Wire) -> String {
    let head = wire.head();
    if let Some(length) = field(&head, "Content-Length") {
        return String::from_utf8(wire.hear(length.parse().expect("a number"))).expect("text");
    }
    let chunks = wire.hear_until("\r\n0\r\n\r\n");
    let chunks = String::from_utf8(chunks).expect("text");
    let lines: Vec<&str> = chunks.split("\r\n").collect();
    lines.chunks(2).filter_map(|pair| pair.get(1)).copied().collect()
}

#[test]
fn what_was_said_before_the_client_left_is_sent() {
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let stage = sending(|_| {});
        let (mut client, _stream) = open(&stage, dialect);
        client.say([said(dialect, "one"), said(dialect, "two")].concat());
        match dialect {
            Dialect::Hixie76 => client.say([GOODBYE, b"\0never"].concat()),
            _ => client.say(masked(CLOSE, status(1000, ""))),
        }
        let mut backend = stage.backend.accept();
        for expected in ["one", "two"] {
            assert_eq!(body(&mut backend), expected);
            backend.say(TAKEN);
        }
        client.hears(farewell(dialect, 1000));
        client.hears_end();
        backend.hears_nothing_for(ms(30));
    }
    // The unfinished one is not.
    let stage = sending(|_| {});
    let (mut client, _stream) = open(&stage, Dialect::Hixie75);
    client.say(b"\0one\xff\0tw");
    client.fin();
    let mut backend = stage.backend.accept();
    assert_eq!(body(&mut backend), "one");
    backend.say(TAKEN);
    client.hears_end();
}

#[test]
fn a_backend_that_takes_nothing_of_a_message_is_given_up() {
    let stage = sending(|config| {
        config.timeouts.response = None;
        config.timeouts.stall = ms(3000);
        config.limits.connections = 1;
    });
    let (mut client, _stream) = open(&stage, Dialect::Hixie76);
    let taken = client.say_until_stuck(&[b"\0".to_vec(), b"x".repeat(30 << 20)].concat(), ms(300));
    assert!(taken < 30 << 20, "30 MiB went into nobody's memory");
    let _deaf = stage.backend.accept();
    client.hears(GOODBYE);
    client.reset();
    // There is room for one connection.
    let (_client, _stream) = open(&stage, Dialect::Hixie76);
}

#[test]
fn messages_may_go_to_another_backend() {
    let other = Backend::listen();
    let stage = sending(|config| {
        config.routes[0].events.send = Some(format!("http://{}/there", other.address()).parse().expect("a URL"));
        config.routes[0].events.send_type = "application/json".into();
    });
    let (mut client, _stream) = open(&stage, Dialect::Hixie76);
    client.say(b"\0{}\xff");
    let mut backend = other.accept();
    let (head, body) = post(&mut backend);
    assert!(head.starts_with("POST /there?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!((field(&head, "Content-Type"), &body[..]), (Some("application/json"), &b"{}"[..]));
    stage.backend.saw_nobody();
}

#[test]
fn a_target_that_no_message_could_be_sent_to_is_refused() {
    let stage = sending(|_| {});
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/a?<b>", &[]));
    assert_eq!(status_of(&mut client), "400");
    stage.backend.saw_nobody();
}

// Ordinary requests

#[test]
fn an_ordinary_request_for_the_events_passes_through_undelayed() {
    let stage = stage(|_| {});
    let mut client = stage.client();
    client.say("GET /n HTTP/1.1\r\nHost: tv\r\nAccept: text/event-stream\r\nLast-Event-ID: 5\r\n\r\n");
    let mut stream = stage.backend.accept();
    let head = stream.head();
    assert_eq!(field(&head, "Last-Event-ID"), Some("5"), "{head}");
    stream.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.head();
    for data in ["a", "b"] {
        stream.say(format!("9\r\ndata: {data}\n\n\r\n"));
        client.hear_until(&format!("data: {data}\n\n"));
    }
}
