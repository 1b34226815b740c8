//! Ordinary HTTP passes to the same backend, and a WebSocket handshake may follow it on the same connection.

use std::thread;

use hybridge::config::Upstream;

use crate::support::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: tv\r\n\r\n";

/// A whole response with that body.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends a request and lets the backend answer it; returns the backend's end and what it was asked.
#[track_caller]
fn exchange(stage: &Stage, client: &mut Wire, request: &str, response: &str) -> (Wire, String) {
    client.say(request);
    let mut upstream = stage.backend.accept();
    let asked = upstream.head();
    upstream.say(response);
    (upstream, asked)
}

/// The lines of a head whose order nobody settles by writing them: framing, which is each hop's own.
fn without_framing(head: &str) -> String {
    head.split_inclusive("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("transfer-encoding:")).collect()
}

#[test]
fn a_request_and_its_response_keep_the_case_and_order_of_their_headers() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (_upstream, asked) = exchange(
        &stage,
        &mut client,
        "GET /a%20b?c=d HTTP/1.1\r\nuser-AGENT: old TV\r\nHost: tv.example:8080\r\nX-First: 1\r\ncookie: a=b\r\n\
         Authorization: Basic x\r\nX-FIRST-AGAIN: Two  blanks\r\nAccept-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 Fine\r\nSERVER: b/1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nset-Cookie: a=1\r\nX-Odd: \r\n\
         Content-length: 5\r\nX-Last: 1\r\n\r\nHello",
    );
    assert_eq!(
        asked,
        "GET /a%20b?c=d HTTP/1.1\r\nuser-AGENT: old TV\r\nHost: tv.example:8080\r\nX-First: 1\r\ncookie: a=b\r\n\
         Authorization: Basic x\r\nX-FIRST-AGAIN: Two  blanks\r\nAccept-Encoding: gzip\r\n\r\n"
    );
    client.hears(
        "HTTP/1.1 200 Fine\r\nSERVER: b/1\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nset-Cookie: a=1\r\nX-Odd: \r\n\
         Content-length: 5\r\nX-Last: 1\r\n\r\nHello",
    );
}

#[test]
fn headers_that_stand_twice_stay_twice_and_in_their_order() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (_upstream, asked) = exchange(
        &stage,
        &mut client,
        "GET / HTTP/1.1\r\nHost: tv\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(asked, "GET / HTTP/1.1\r\nHost: tv\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
    client.hears("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn what_belongs_to_one_hop_goes_no_further() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (_upstream, asked) = exchange(
        &stage,
        &mut client,
        "GET / HTTP/1.1\r\nHost: tv\r\nConnection: keep-alive, X-Hop, Upgrade, HTTP2-Settings\r\nX-Hop: 1\r\nKeep-Alive: 300\r\n\
         Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy: http://evil\r\nX-Kept: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(asked, "GET / HTTP/1.1\r\nHost: tv\r\nX-Kept: 1\r\n\r\n");
    client.hears("HTTP/1.1 200 OK\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn a_kept_alive_connection_serves_requests_and_then_a_handshake_of_any_dialect() {
    let stage = Stage::new();
    for dialect in ALL {
        for cut in [Cut::Whole, Cut::Bytes] {
            eprintln!("{dialect} {cut:?}");
            let mut client = stage.client();
            client.say(GET);
            let mut upstream = stage.backend.accept();
            for number in 0..3 {
                if number > 0 {
                    client.say_cut(GET.as_bytes(), cut);
                }
                assert!(upstream.head().starts_with("GET / HTTP/1.1\r\n"));
                upstream.say(ok(&number.to_string()));
                client.hears(ok(&number.to_string()));
            }
            // The handshake has a connection of its own; the pooled one ends here, so that the next row finds none.
            drop(upstream);
            client.say_cut(&[opening(dialect, "/demo", &[]), said(dialect, "early")].concat(), cut);
            let mut upstream = stage.backend.accept();
            upstream.agrees(&[]);
            client.hears(answer(dialect, "/demo", &[]));
            upstream.gets_message(TEXT, "early");
            upstream.say(plain(TEXT, "hello"));
            client.hears(heard(dialect, "hello"));
        }
    }
}

#[test]
fn a_handshake_pipelined_behind_requests_waits_for_their_responses() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let mut client = stage.client();
        client.say([GET.as_bytes(), GET.as_bytes(), &opening(dialect, "/demo", &[])].concat());
        let mut upstream = stage.backend.accept();
        upstream.head();
        stage.backend.saw_nobody();
        upstream.say(ok("one"));
        upstream.head();
        upstream.say(ok("two"));
        client.hears(ok("one") + &ok("two"));
        let mut websocket = stage.backend.accept();
        websocket.agrees(&[]);
        client.hears(answer(dialect, "/demo", &[]));
    }
}

#[test]
fn a_handshake_pipelined_behind_a_request_cuts_nothing_off_its_response() {
    let stage = Stage::new();
    let body = "x".repeat(8 << 20);
    let mut client = stage.client();
    client.say([GET.as_bytes(), &opening(Dialect::Hixie76, "/demo", &[])].concat());
    let mut upstream = stage.backend.accept();
    upstream.head();
    let response = ok(&body);
    let expected = response.len();
    let saying = thread::spawn(move || upstream.say(response));
    // Slower than the backend, so that the end of the response waits for the client.
    for _ in 0..64 {
        client.hear(expected / 64);
        thread::sleep(ms(4));
    }
    client.hear(expected % 64);
    saying.join().expect("all of it was taken");
    let mut websocket = stage.backend.accept();
    websocket.agrees(&[]);
    client.hears(answer(Dialect::Hixie76, "/demo", &[]));
}

#[test]
fn a_client_that_neither_sends_its_body_nor_takes_the_response_is_let_go() {
    let stage = Stage::with(|config| {
        config.timeouts.stall = ms(100);
        config.limits.connections = 1;
    });
    let mut stuck = stage.client();
    stuck.say("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 100\r\n\r\nbegun");
    let mut upstream = stage.backend.accept();
    upstream.hear_until("begun");
    upstream.say("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
    assert!(!upstream.try_say(&vec![b'x'; 32 << 20]), "more than anybody took");
    let mut next = stage.client();
    let (_upstream, _) = exchange(&stage, &mut next, GET, &ok("one"));
    next.hears(ok("one"));
}

#[test]
fn a_handshake_pipelined_behind_a_body_is_served() {
    let stage = Stage::new();
    for body in ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"] {
        eprintln!("{body:?}");
        let mut client = stage.client();
        let request = format!("POST / HTTP/1.1\r\nHost: tv\r\n{body}");
        client.say([request.as_bytes(), &opening(Dialect::Hixie76, "/demo", &[])].concat());
        let mut upstream = stage.backend.accept();
        upstream.head();
        upstream.hear_until("body");
        upstream.say(ok("done"));
        client.hears(ok("done"));
        let mut websocket = stage.backend.accept();
        websocket.agrees(&[]);
        client.hears(answer(Dialect::Hixie76, "/demo", &[]));
    }
}

#[test]
fn a_request_may_come_in_single_bytes() {
    let stage = Stage::new();
    let mut client = stage.client();
    client.say_cut(b"POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 5\r\n\r\nHello", Cut::Bytes);
    let mut upstream = stage.backend.accept();
    upstream.head();
    upstream.hears("Hello");
    upstream.say_cut(ok("yes").as_bytes(), Cut::Bytes);
    client.hears(ok("yes"));
}

#[test]
fn bodies_pass_in_their_framing() {
    let stage = Stage::new();
    let large = "0123456789abcdef".repeat(1 << 17);
    for body in ["", "x", &large] {
        eprintln!("{} bytes", body.len());
        let mut client = stage.client();
        thread::scope(|scope| {
            let mut mouth = client.twin();
            scope.spawn(move || {
                mouth.say(format!("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            });
            let mut upstream = stage.backend.accept();
            let asked = upstream.head();
            assert_eq!(field(&asked, "Content-Length"), Some(&*body.len().to_string()), "{asked}");
            upstream.hears(body);
            scope.spawn(move || upstream.say(ok(body)));
            client.hears(ok(body));
        });
    }
    let mut client = stage.client();
    client.say("POST / HTTP/1.1\r\nHost: tv\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n");
    let mut upstream = stage.backend.accept();
    let asked = upstream.head();
    assert_eq!(without_framing(&asked), "POST / HTTP/1.1\r\nHost: tv\r\n\r\n");
    // Each chunk goes on as it comes.
    upstream.hears("3\r\nabc\r\n");
    client.say("2\r\nde\r\n0\r\n\r\n");
    upstream.hears("2\r\nde\r\n0\r\n\r\n");
    upstream.say(ok("thanks"));
    client.hears(ok("thanks"));
}

#[test]
fn a_client_that_expects_to_be_asked_for_its_body_is_asked() {
    let stage = Stage::new();
    let mut client = stage.client();
    client.say("POST / HTTP/1.1\r\nHost: tv\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.hears("HTTP/1.1 100 Continue\r\n\r\n");
    client.say("Hello");
    let mut upstream = stage.backend.accept();
    upstream.head();
    upstream.say("HTTP/1.1 100 Continue\r\n\r\n");
    upstream.hears("Hello");
    upstream.say(ok("yes"));
    client.hears(ok("yes"));
}

#[test]
fn responses_without_body_have_none() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (mut upstream, asked) = exchange(
        &stage,
        &mut client,
        "HEAD / HTTP/1.1\r\nHost: tv\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    );
    assert!(asked.starts_with("HEAD / "), "{asked}");
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for response in ["HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"] {
        client.say(GET);
        upstream.head();
        upstream.say(response);
        client.hears(response);
    }
    client.say(GET);
    upstream.head();
    upstream.say(ok("body"));
    client.hears(ok("body"));
}

#[test]
fn a_response_flows_as_it_comes() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (mut upstream, _) = exchange(
        &stage,
        &mut client,
        GET,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let head = client.head();
    assert_eq!(without_framing(&head), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        upstream.say(&chunk);
        client.hears(chunk.to_uppercase().replace("DATA", "data"));
    }
    upstream.say("0\r\n\r\n");
    client.hears("0\r\n\r\n");
}

#[test]
fn the_end_of_a_client_ends_its_event_stream_at_the_backend() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (mut upstream, _) =
        exchange(&stage, &mut client, GET, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    client.head();
    drop(client);
    upstream.rest_or_reset();
}

#[test]
fn a_response_that_breaks_off_does_not_look_whole() {
    let stage = Stage::new();
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nHel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nHel\r\n",
    ] {
        let mut client = stage.client();
        let (upstream, _) = exchange(&stage, &mut client, GET, response);
        client.head();
        drop(upstream);
        let body = String::from_utf8(client.rest_or_reset()).expect("text");
        assert!(!body.contains("0\r\n\r\n"), "{body}");
    }
}

#[test]
fn an_http_1_0_client_is_served_in_its_version() {
    let stage = Stage::new();
    let mut client = stage.client();
    let (_upstream, asked) = exchange(&stage, &mut client, "GET / HTTP/1.0\r\n\r\n", &ok("old"));
    assert!(asked.starts_with("GET / HTTP/1.1\r\n"), "{asked}");
    assert_eq!(field(&asked.replace("host", "Host"), "Host"), Some(&*stage.backend.address().to_string()), "{asked}");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert_eq!(client.rest(), b"old");

    let stage = Stage::new();
    // It does not know chunks.
    let mut client = stage.client();
    let (_upstream, _) = exchange(
        &stage,
        &mut client,
        "GET / HTTP/1.0\r\nHost: tv\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nold\r\n0\r\n\r\n",
    );
    assert!(!client.head().contains("hunked"));
    assert_eq!(client.rest(), b"old");
}

#[test]
fn a_client_that_says_close_is_closed_and_not_asked_for_more() {
    let stage = Stage::new();
    let mut client = stage.client();
    let request = "GET / HTTP/1.1\r\nHost: tv\r\nConnection: close\r\n\r\n";
    let (_upstream, _) = exchange(&stage, &mut client, &[request, GET].concat(), &ok("last"));
    client.head();
    assert_eq!(client.rest(), b"last");
    stage.backend.saw_nobody();
}

#[test]
fn a_body_that_two_readers_could_frame_differently_is_refused() {
    let stage = Stage::new();
    for lines in [
        &["Content-Length: 5", "Transfer-Encoding: chunked"][..],
        &["Transfer-Encoding: chunked", "Content-Length: 5"],
        &["Content-Length: 5", "Content-Length: 5"],
        &["Content-Length: 5, 5"],
        &["Content-Length: +5"],
        &["Content-Length: 0x5"],
        &["Content-Length: "],
        &["Content-Length: 99999999999999999999"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding : chunked"],
    ] {
        eprintln!("{lines:?}");
        let mut client = stage.client();
        client.say(
            [head("POST / HTTP/1.1", &[&["Host: tv"], lines].concat()), b"5\r\nHello\r\n0\r\n\r\n".to_vec()].concat(),
        );
        assert!(client.head().starts_with("HTTP/1.1 400 Bad Request\r\n"));
        client.rest_or_reset();
        stage.backend.saw_nobody();
    }
}

#[test]
fn what_follows_a_chunked_body_is_judged_as_strictly_as_what_comes_first() {
    let stage = Stage::new();
    let chunked = "POST / HTTP/1.1\r\nHost: tv\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    for second in [
        "POST /second HTTP/1.1\r\nHost: tv\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /second HTTP/1.1\r\nHost: tv\r\nHost: other\r\n\r\n",
        "GET /second HTTP/1.1\nHost: tv\n\n",
        "GET /second HTTP/1.1\r\nHost: tv\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ] {
        eprintln!("{second:?}");
        let mut client = stage.client();
        client.say([chunked, second].concat());
        let mut upstream = stage.backend.accept();
        upstream.head();
        upstream.hear_until("0\r\n\r\n");
        upstream.say(ok("one"));
        client.hears(ok("one"));
        assert!(client.head().starts_with("HTTP/1.1 400 Bad Request\r\n"));
        client.rest_or_reset();
        assert_eq!(shown(&upstream.said_so_far(ms(20))), "");
        stage.backend.saw_nobody();
    }
}

#[test]
fn a_request_body_that_nobody_read_is_never_a_request() {
    let (_held, nowhere) = refusing();
    let elsewhere = Upstream::parse(&format!("ws://{nowhere}")).expect("a URL");
    for framing in ["length", "chunked"] {
        eprintln!("{framing}");
        let stage = Stage::with(|config| {
            let mut dead = config.routes[0].clone();
            (dead.name, dead.path, dead.upstream) = ("dead".into(), "/dead".into(), elsewhere.clone());
            config.routes.insert(0, dead);
        });
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: tv\r\n\r\n";
        // Wherever the proxy's buffers end, a request begins there.
        for padding in (0..smuggled.len()).step_by(7) {
            let body = "x".repeat(padding) + &smuggled.repeat(2000);
            let mut client = stage.client();
            let sent = match framing {
                "length" => {
                    format!("POST /dead HTTP/1.1\r\nHost: tv\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 1)
                }
                _ => format!("POST /dead HTTP/1.1\r\nHost: tv\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n{body}"),
            };
            let mut mouth = client.twin();
            thread::scope(|scope| {
                scope.spawn(|| mouth.try_say(sent.as_bytes()));
                let answers = client.rest_or_reset();
                let answers = String::from_utf8_lossy(&answers);
                assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{answers}");
            });
            stage.backend.saw_nobody();
        }
    }
}

#[test]
fn a_backend_that_is_away_or_silent_or_talks_nonsense_is_a_gateways_fault() {
    let (_held, nowhere) = refusing();
    let away = Stage::with(|config| {
        config.routes[0].upstream = Upstream::parse(&format!("ws://{nowhere}")).expect("a URL");
    });
    let mut client = away.client();
    for _ in 0..2 {
        // The connection stays good for another try.
        client.say(GET);
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
        let length = head.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
        client.hear(length.expect("a length"));
    }

    let stage = Stage::with(|config| config.timeouts.response = Some(ms(80)));
    let mut client = stage.client();
    let (_silent, _) = exchange(&stage, &mut client, GET, "HTTP/1.1 200 ");
    assert!(client.head().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));

    for nonsense in [
        "",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw",
    ] {
        eprintln!("{nonsense:?}");
        let mut client = stage.client();
        let (upstream, _) = exchange(&stage, &mut client, GET, nonsense);
        drop(upstream);
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
        // Who hoped for a tunnel gets none, and is not listened to any more.
        assert_eq!(head.contains("onnection: close\r\n"), nonsense.contains("101"), "{head}");
    }
}

#[test]
fn a_slow_upload_is_no_silent_backend() {
    // The wait for a response begins when the backend has been asked in full.
    let stage = Stage::with(|config| config.timeouts.response = Some(ms(1000)));
    let mut client = stage.client();
    client.say("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 10\r\n\r\n");
    let mut upstream = stage.backend.accept();
    upstream.head();
    for _ in 0..10 {
        client.say("x");
        upstream.hears("x");
        thread::sleep(ms(150));
    }
    upstream.say(ok("thanks"));
    client.hears(ok("thanks"));
}

#[test]
fn a_backend_that_ends_idle_connections_is_not_noticed() {
    let stage = Stage::new();
    let mut client = stage.client();
    for _ in 0..200 {
        client.say(GET);
        let mut upstream = stage.backend.accept();
        upstream.head();
        upstream.say(ok("yes"));
        client.hears(ok("yes"));
        drop(upstream);
    }
}

#[test]
fn a_pooled_connection_is_used_again() {
    let stage = Stage::new();
    let mut first = stage.client();
    let (mut upstream, _) = exchange(&stage, &mut first, GET, &ok("one"));
    first.hears(ok("one"));
    first.say(GET);
    upstream.head();
    upstream.say(ok("two"));
    first.hears(ok("two"));
    stage.backend.saw_nobody();
}

#[test]
fn a_quiet_kept_alive_client_is_closed_after_its_time() {
    let stage = Stage::with(|config| config.timeouts.keep_alive = ms(80));
    let mut client = stage.client();
    let (_upstream, _) = exchange(&stage, &mut client, GET, &ok("one"));
    client.hears(ok("one"));
    client.hears_end();
}

#[test]
fn a_second_request_has_a_deadline_for_its_head_too() {
    let stage = Stage::with(|config| config.timeouts.head = ms(80));
    let mut client = stage.client();
    let (_upstream, _) = exchange(&stage, &mut client, GET, &ok("one"));
    client.hears(ok("one"));
    client.say("GET / HT");
    assert!(client.head().starts_with("HTTP/1.1 408 "));
    client.rest();
}

#[test]
fn a_shutdown_lets_a_response_finish_and_ends_quiet_connections() {
    let stage = Stage::new();
    let mut quiet = stage.client();
    let (mut pooled, _) = exchange(&stage, &mut quiet, GET, &ok("one"));
    quiet.hears(ok("one"));
    let mut busy = stage.client();
    busy.say("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 0\r\n\r\n");
    let asked = pooled.head();
    assert!(asked.starts_with("POST"), "{asked}");
    stage.proxy.drain.start();
    quiet.hears_end();
    pooled.say(ok("two"));
    busy.head();
    assert_eq!(busy.rest(), b"two");
    stage.proxy.stopped();
}
