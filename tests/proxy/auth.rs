//! An auth server is asked before the backend hears of a client, and whatever is no judgement of it is a no.

use std::os::unix::net::UnixListener;

use hybridge::config::{Auth, Config, Place, Upstream};

use crate::support::*;

/// A proxy whose route asks an auth server; its headers `X-User` and `X-Group` go on.
fn guarded(change: impl FnOnce(&mut Config)) -> (Stage, Backend) {
    let auth = Backend::listen();
    let stage = Stage::with(|config| {
        let server = Upstream::parse(&format!("http://{}/auth", auth.address())).expect("a proper URL");
        // What backends are told of clients besides is no matter here.
        config.forwarded.headers = Vec::new();
        config.routes[0].auth = Some(Auth { server, headers: vec!["X-User".into(), "X-Group".into()] });
        change(config);
    });
    (stage, auth)
}

const YES: &str = "HTTP/1.1 200 OK\r\nX-User: anna\r\nContent-Length: 0\r\n\r\n";

/// A client that has asked, and the auth server's end of the question.
#[track_caller]
fn ask(stage: &Stage, auth: &Backend, dialect: Dialect, more: &[&str]) -> (Wire, Wire, String) {
    let mut client = stage.client();
    client.say(opening(dialect, "/demo?x=1", more));
    let mut question = auth.accept();
    let asked = question.head();
    (client, question, asked)
}

/// That the client is told this status and nobody else anything; returns what it was told.
#[track_caller]
fn refused(stage: &Stage, mut client: Wire, status: u16) -> String {
    let refusal = client.head();
    assert!(refusal.starts_with(&format!("HTTP/1.1 {status} ")), "{refusal}");
    assert_eq!(field(&refusal, "Connection"), Some("close"), "{refusal}");
    let body = client.rest();
    stage.backend.saw_nobody();
    refusal + &String::from_utf8(body).expect("text")
}

#[test]
fn nobody_else_hears_of_a_client_before_it_may_pass() {
    let (stage, auth) = guarded(|_| {});
    for dialect in ALL {
        eprintln!("{dialect}");
        let more = [
            "Cookie: a=b",
            "Authorization: Basic eA==",
            "User-Agent: TV",
            "X-User: forged",
            "X-Forwarded-For: 192.0.2.7",
            "X-Original-URI: /forged",
            "Sec-WebSocket-Protocol: p",
        ];
        let (mut client, mut question, asked) = ask(&stage, &auth, dialect, &more);
        let expected = format!(
            "GET /auth HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nOrigin: http://tv.example\r\nCookie: a=b\r\n\
             Authorization: Basic eA==\r\nUser-Agent: TV\r\nX-User: forged\r\nX-Original-URI: /demo?x=1\r\n\
             X-Original-URL: http://tv.example:8080/demo?x=1\r\nX-Original-Method: GET\r\nX-Forwarded-Method: GET\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Host: tv.example:8080\r\nX-Forwarded-Uri: /demo?x=1\r\n\
             X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n\r\n",
            auth.address()
        );
        assert_eq!(asked, expected);
        client.hears_nothing_for(ms(10));
        stage.backend.saw_nobody();
        question.say(YES);
        let mut upstream = stage.backend.accept();
        upstream.agrees(&["Sec-WebSocket-Protocol: p"]);
        assert!(client.head().starts_with("HTTP/1.1 101 "));
    }
}

#[test]
fn what_the_auth_server_says_takes_the_place_of_what_the_client_says() {
    let (stage, auth) = guarded(|_| {});
    let forged = ["X-User: forged", "Cookie: a=b", "x-group: forged", "X_User: forged", "X-USER: forged"];
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\nx-user: anna\r\nX-Group: a\r\nSet-Cookie: s=1\r\nX-Other: 1\r\nX-Group: b\r\n\r\n",
            "Cookie: a=b\r\nx-user: anna\r\nX-Group: a\r\nX-Group: b\r\n\r\n",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "Cookie: a=b\r\n\r\n"),
        // Neither as a header of the connection nor behind the end of the head.
        ("HTTP/1.1 200 OK\r\nConnection: X-User\r\nX-User: anna\r\n\r\nX-Group: body\r\n\r\n", "Cookie: a=b\r\n\r\n"),
        // An interim answer is none.
        (
            "HTTP/1.1 103 Early\r\nX-User: early\r\n\r\nHTTP/1.1 200 OK\r\nX-User: \r\n\r\n",
            "Cookie: a=b\r\nX-User: \r\n\r\n",
        ),
    ] {
        for dialect in ALL {
            let (mut client, mut question, _) = ask(&stage, &auth, dialect, &forged);
            question.say(answer);
            let mut upstream = stage.backend.accept();
            let request = upstream.agrees(&[]);
            assert!(request.ends_with(&format!("\r\nOrigin: http://tv.example\r\n{expected}")), "{request}");
            let opened = client.head();
            assert!(opened.starts_with("HTTP/1.1 101 ") && !opened.contains("Set-Cookie"), "{opened}");
        }
    }
}

#[test]
fn a_refusal_of_the_auth_server_reaches_the_client() {
    let (stage, auth) = guarded(|_| {});
    for dialect in ALL {
        for (status, lines, expected) in [
            (
                401,
                "WWW-Authenticate: Basic realm=\"tv\"\r\nSet-Cookie: s=1\r\n",
                "WWW-Authenticate: Basic realm=\"tv\"\r\nSet-Cookie: s=1\r\n",
            ),
            (
                403,
                "Retry-After: 9\r\nServer: 10.0.0.7\r\nContent-Type: text/html\r\nConnection: X-Hop\r\nX-Hop: 1\r\n",
                "Retry-After: 9\r\n",
            ),
            (302, "Location: http://login.example/?to=x\r\n", "Location: http://login.example/?to=x\r\n"),
            (404, "Sec-WebSocket-Version: 99\r\n", ""),
        ] {
            let (client, mut question, _) = ask(&stage, &auth, dialect, &[]);
            question.say(format!("HTTP/1.1 {status} My Words\r\n{lines}Content-Length: 1000\r\n\r\n<html>"));
            let why = format!("the auth server answered {status} My Words\n");
            let expected = format!(
                "HTTP/1.1 {status} My Words\r\nConnection: close\r\n{expected}Content-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {}\r\n\r\n{why}",
                why.len()
            );
            assert_eq!(refused(&stage, client, status), expected);
        }
    }
}

#[test]
fn what_is_no_judgement_is_a_no() {
    let (stage, auth) = guarded(|config| config.limits.head_bytes = 2048);
    let huge = format!("HTTP/1.1 200 OK\r\nX-User: {}\r\n\r\n", "a".repeat(3000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(101));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10) + YES;
    for answer in [
        "HTTP/1.1 500 Oops\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-User: anna\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nX-User: anna\n\n",
        "200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-User: anna\rX-Group: root\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-User: anna\nX-Group: root\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-User: anna\r\n X-Group: root\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-User: anna\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-User : anna\r\n\r\n",
        &huge,
        &huge[..2500],
        &many,
        &interim,
        // It ends before its head does.
        "",
        "HTTP/1.1 200 OK\r\nX-User: anna\r\n",
    ] {
        let (client, mut question, _) = ask(&stage, &auth, Dialect::Hixie76, &[]);
        question.say(answer);
        question.fin();
        let told = refused(&stage, client, 503);
        assert!(told.ends_with("\r\n\r\nthe auth server gave no judgement\n"), "{answer}: {told}");
        assert_eq!(field(&told, "Retry-After"), None);
    }
}

#[test]
fn an_auth_server_that_is_away_or_silent_is_a_no() {
    for dialect in ALL {
        let (stage, auth) = guarded(|config| config.timeouts.auth = ms(80));
        let (client, mut question, _) = ask(&stage, &auth, dialect, &[]);
        // Bytes now and then do not put the end off.
        for byte in YES.bytes().take(20) {
            question.try_say(&[byte]);
            std::thread::sleep(ms(5));
        }
        refused(&stage, client, 503);
        drop((question, auth));
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        refused(&stage, client, 503);
    }
}

#[test]
fn an_answer_may_come_byte_by_byte_and_its_body_never() {
    let (stage, auth) = guarded(|_| {});
    let (mut client, mut question, _) = ask(&stage, &auth, Dialect::Hixie75, &[]);
    question.say_cut(b"HTTP/1.0 200 OK\r\nX-User: anna\r\nContent-Length: 1000000\r\n\r\n", Cut::Bytes);
    let mut upstream = stage.backend.accept();
    assert_eq!(field(&upstream.agrees(&[]), "X-User"), Some("anna"));
    client.head();
    // Nor is more of it taken.
    let body = vec![b'x'; 64 << 20];
    while question.try_say(&body) {}
}

#[test]
fn an_impatient_client_waits_for_the_auth_server_as_for_the_backend() {
    let (stage, auth) = guarded(|_| {});
    for dialect in ALL {
        let (mut client, mut question, _) = ask(&stage, &auth, dialect, &[]);
        client.say(said(dialect, "early"));
        question.say(YES);
        let mut upstream = stage.backend.accept();
        upstream.agrees(&[]);
        upstream.gets_message(TEXT, "early");
        // One that leaves takes the question along.
        let (client, mut question, _) = ask(&stage, &auth, dialect, &[]);
        drop(client);
        question.rest_or_reset();
        stage.backend.saw_nobody();
    }
    // What shows that the keys of hixie-76 were stripped on the way counts at any time.
    let (mut client, mut question, _) = ask(&stage, &auth, Dialect::Hixie75, &[]);
    client.say(KEY3);
    refused(&stage, client, 400);
    question.rest_or_reset();
}

#[test]
fn a_shutdown_does_not_wait_for_the_auth_server() {
    let (stage, auth) = guarded(|_| {});
    let (client, _question, _) = ask(&stage, &auth, Dialect::Rfc6455, &[]);
    stage.proxy.drain.start();
    refused(&stage, client, 503);
    stage.proxy.stopped();
}

#[test]
fn ordinary_requests_are_not_asked_about_and_speak_for_nobody() {
    let (stage, auth) = guarded(|_| {});
    let mut client = stage.client();
    client
        .say("GET / HTTP/1.1\r\nHost: tv\r\nX-User: forged\r\nX-Kept: 1\r\nx_user: forged\r\nX-Group: forged\r\n\r\n");
    let mut upstream = stage.backend.accept();
    assert_eq!(upstream.head(), "GET / HTTP/1.1\r\nHost: tv\r\nX-Kept: 1\r\n\r\n");
    auth.saw_nobody();
}

#[test]
fn who_is_refused_without_a_question_is_none() {
    let (stage, auth) = guarded(|config| config.routes[0].origins = Some(Vec::new()));
    for dialect in ALL {
        let mut client = stage.client();
        client.say(opening(dialect, "/", &[]));
        refused(&stage, client, 403);
        auth.saw_nobody();
    }
}

#[test]
fn a_backend_of_events_is_told_the_same_with_every_request() {
    let (stage, auth) = guarded(|config| {
        let route = &mut config.routes[0];
        route.upstream.protocol = hybridge::config::Protocol::Events;
        route.events.retry = ms(10);
    });
    let (mut client, mut question, _) = ask(&stage, &auth, Dialect::Hixie76, &["X-User: forged"]);
    question.say(YES);
    for _ in 0..2 {
        let mut events = stage.backend.accept();
        let request = events.head();
        assert_eq!(request.matches("X-User").count(), 1, "{request}");
        assert_eq!(field(&request, "X-User"), Some("anna"), "{request}");
        events.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: an event\n\n");
        client.hear_until("an event");
    }
    // The question was asked once, at the beginning.
    auth.saw_nobody();
}

#[test]
fn an_auth_server_may_listen_at_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("hybridge-test-{}-auth.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("the temporary folder can be written to");
    let (stage, _auth) = guarded(|config| {
        let auth = config.routes[0].auth.as_mut().expect("it is guarded");
        auth.server.servers = vec![Place::Unix(path.clone())];
        auth.server.path = None;
    });
    let mut client = stage.client();
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    let (mut question, _) = listener.accept().expect("the proxy connects");
    std::fs::remove_file(&path).expect("it is our own");
    let mut asked = [0; 38];
    std::io::Read::read_exact(&mut question, &mut asked).expect("a question");
    assert_eq!(shown(&asked), shown(b"GET / HTTP/1.1\r\nHost: localhost\r\nConne"));
    std::io::Write::write_all(&mut question, YES.as_bytes()).expect("the proxy reads");
    stage.backend.accept().agrees(&[]);
    client.hears(answer(Dialect::Rfc6455, "/", &[]));
}
