//! TLS as a client: who is believed, and what is said of those who are not.

#[path = "support/tls.rs"]
#[allow(dead_code)]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use hybridge::config::{Auth, Config, Upstream, UpstreamTls};
use hybridge::proxy::Server;
use hybridge::proxy::stream::Stream;
use hybridge::proxy::tls::{Tls, TlsError, TlsFault, Trust, TrustError};
use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use support::{Authority, Encrypted, listen};

/// Says everything back, and its own close_notify after the client's, without which reading is an error.
fn echo(mut stream: Encrypted) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) if stream.write_all(&buffer[..read]).is_ok() => {}
            _ => return,
        }
    }
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// Connects and lets `then` use the connection.
fn connect<T>(
    trust: &Trust,
    address: SocketAddr,
    host: &str,
    then: impl AsyncFnOnce(Stream) -> T,
) -> Result<T, TlsError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let tls = Tls::new(trust, None).expect("the trust can be read");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        match tokio::time::timeout(Duration::from_secs(20), tls.connect(stream, host)).await {
            Ok(connected) => Ok(then(connected?).await),
            Err(_) => panic!("the handshake never ended"),
        }
    })
}

/// The fault that dialling `host` meets.
#[track_caller]
fn fault(trust: &Trust, address: SocketAddr, host: &str) -> TlsFault {
    connect(trust, address, host, async |_| ()).expect_err("nobody should believe this").fault
}

/// A server that answers the first bytes it gets with these.
fn answers(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the system's choice is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody connects");
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while let Ok(1..) = stream.read(&mut [0; 4096]) {}
    });
    address
}

#[test]
fn bytes_go_both_ways_and_both_ends_say_that_they_are_done() {
    let authority = Authority::new("echo");
    let trust = Trust::File(authority.file.clone());
    for (names, host) in [(["localhost"], "localhost"), (["127.0.0.1"], "127.0.0.1")] {
        let address = listen(authority.server(&names, |_| {}), echo);
        let heard = connect(&trust, address, host, async |mut stream| {
            stream.write_all(&[7; 100_000]).await.expect("it takes bytes");
            stream.shutdown().await.expect("it takes the end");
            let mut heard = Vec::new();
            // Without a close_notify at the end this would be an error.
            stream.read_to_end(&mut heard).await.expect("it says that it is done");
            heard
        });
        assert_eq!(heard.map(|heard| heard == [7; 100_000]), Ok(true), "{host}");
    }
}

#[test]
fn an_end_that_nobody_told_is_an_error() {
    let authority = Authority::new("cut");
    let trust = Trust::File(authority.file.clone());
    let address = listen(authority.server(&["localhost"], |_| {}), |mut stream| {
        let _ = stream.write_all(b"half");
    });
    let heard = connect(&trust, address, "localhost", async |mut stream| {
        stream.read_to_end(&mut Vec::new()).await.map_err(|error| error.kind())
    });
    assert_eq!(heard, Ok(Err(std::io::ErrorKind::UnexpectedEof)));
}

#[test]
fn a_certificate_that_cannot_be_believed_says_why() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let ours = Trust::File(authority.file.clone());
    let good = listen(authority.server(&["tv.example", "10.0.0.5"], |_| {}), echo);
    assert_eq!(fault(&Trust::File(other.file.clone()), good, "tv.example"), TlsFault::UnknownIssuer);
    // Some machines, built from nothing, have no authorities.
    if Tls::new(&Trust::System, None).is_ok() {
        assert_eq!(fault(&Trust::System, good, "tv.example"), TlsFault::UnknownIssuer);
    }
    for wrong in ["localhost", "127.0.0.1"] {
        let fault = connect(&ours, good, wrong, async |_| ()).expect_err("the name is another");
        let said = fault.to_string();
        assert!(said.contains("is for tv.example, 10.0.0.5 and not for ") && said.contains(wrong), "{said}");
    }
    let expired =
        listen(authority.server(&["tv.example"], |params| params.not_after = date_time_ymd(2020, 1, 1)), echo);
    assert!(matches!(fault(&ours, expired, "tv.example"), TlsFault::Expired(Some(2000..))));
    let early = listen(authority.server(&["tv.example"], |params| params.not_before = date_time_ymd(3000, 1, 1)), echo);
    assert_eq!(fault(&ours, early, "tv.example"), TlsFault::NotYetValid);
    let itself = listen(authority.as_server(), echo);
    assert_eq!(fault(&ours, itself, "tv.example"), TlsFault::AuthorityAsServer);
    assert_eq!(fault(&ours, good, "not a name"), TlsFault::NoName);

    for address in [good, expired, early, itself] {
        assert_eq!(connect(&Trust::Anybody, address, "localhost", async |_| ()), Ok(()));
    }
}

#[test]
fn a_server_without_tls_is_recognised() {
    let trust = Trust::Anybody;
    let fault = |bytes| fault(&trust, answers(bytes), "localhost");
    assert_eq!(fault(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), TlsFault::PlainText);
    assert_eq!(fault(b"SSH-2.0-OpenSSH_9.2\r\n"), TlsFault::PlainText);
    assert_eq!(fault(b""), TlsFault::HungUp);
    // An alert of the record version that it understands: "protocol version", and "handshake failure".
    assert_eq!(fault(b"\x15\x03\x01\x00\x02\x02\x46"), TlsFault::OldVersion);
    assert_eq!(fault(b"\x15\x03\x03\x00\x02\x02\x28"), TlsFault::NoCommonCipher);
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    let said = |file: &str| {
        let trusted = Tls::new(&Trust::File(file.into()), None);
        trusted.map(|_| ()).expect_err("the file is no good").to_string()
    };
    assert!(said("no/such/file.pem").starts_with("no/such/file.pem: it cannot be read (No such file"));
    assert!(said("Cargo.toml").contains("there is no certificate in it"), "{}", said("Cargo.toml"));
    assert!(matches!(Tls::new(&Trust::File("Cargo.toml".into()), None), Err(TrustError::File(..))));
}

#[test]
fn replay_over_tls_expects_the_scheme_of_tls_in_the_answer() {
    let authority = Authority::new("replay");
    let file = authority.file.with_extension("txt");
    let play = "# x\nclient says \"GET /demo HTTP/1.1\\r\\nUpgrade: WebSocket\\r\\nConnection: Upgrade\\r\\n\"\n\
        client says \"Host: example.com\\r\\n\\r\\n\"\n\
        client hears \"HTTP/1.1 101 Web Socket Protocol Handshake\\r\\nUpgrade: WebSocket\\r\\nConnection: Upgrade\\r\\n\"\n\
        client hears \"WebSocket-Location: ws://example.com/demo\\r\\n\\r\\n\"\n";
    std::fs::write(&file, play).expect("the temporary folder can be written to");
    let check = |scheme: &'static str, ca: bool, expected: &str| {
        let address = listen(authority.server(&["127.0.0.1"], |_| {}), move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n";
            let _ = write!(stream, "{answer}WebSocket-Location: {scheme}://example.com/demo\r\n\r\n");
            while let Ok(1..) = stream.read(&mut [0; 4096]) {}
        });
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hybridge"));
        command.arg("replay").arg(&file).args(["--against", &format!("wss://{address}")]);
        if ca {
            command.arg("--ca").arg(&authority.file);
        }
        let output = command.output().expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(expected), "{expected}\n{said}");
    };
    check("wss", true, "1 passed, 0 failed");
    check("ws", true, "did not repeat the URL that was opened");
    check("wss", false, "authorit");
    std::fs::remove_file(&file).expect("it is there");
}

/// A backend that says of every request its first line, without the body, and of `/events` one event for each stream,
/// after which it breaks off.
fn backend(mut stream: Encrypted) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).expect("a head is text");
    let line = head.lines().next().expect("it has a first line");
    let body = if line.starts_with("GET /events ") {
        let last = head.lines().find_map(|line| line.strip_prefix("Last-Event-ID: ")).unwrap_or("0");
        let id = last.parse::<u32>().expect("our own id") + 1;
        format!("Content-Type: text/event-stream\r\n\r\nretry: 10\nid: {id}\ndata: event {id}\n\n")
    } else {
        POSTED.lock().expect("nobody panics with it").push(line.to_owned());
        format!("Content-Length: {}\r\n\r\n{line}", line.len())
    };
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{body}");
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

static POSTED: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

/// What a client of the proxy hears that says this, until it has heard `enough`, or the end.
fn heard(proxy: SocketAddr, says: &[u8], enough: &str) -> String {
    let mut stream = std::net::TcpStream::connect(proxy).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(says).expect("the proxy reads");
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&heard).contains(enough) {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => heard.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn events_messages_and_pages_come_and_go_over_tls() {
    let authority = Authority::new("events");
    let address = listen(authority.server(&["127.0.0.1"], |_| {}), backend);
    let serve = |ca: Option<std::path::PathBuf>, insecure: bool| {
        let upstream = Upstream::parse(&format!("sse+https://{address}")).expect("a proper URL");
        let mut config = Config::simple(vec![([127, 0, 0, 1], 0).into()], upstream);
        config.routes[0].events.send = Some(format!("https://{address}/in").parse().expect("a proper URL"));
        config.threads = std::num::NonZeroUsize::new(1);
        config.upstream_tls = UpstreamTls { ca, insecure, ..UpstreamTls::default() };
        let server = Server::bind(config).expect("a port is free, and the authority can be read");
        let (proxy, drain) = (server.addresses()[0], server.drain());
        thread::spawn(|| server.run());
        (proxy, drain)
    };
    let client = b"GET /events HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: tv\r\n\r\n\0hello\xff";
    let page = b"GET /page HTTP/1.1\r\nHost: tv\r\nConnection: close\r\n\r\n";
    for (ca, insecure) in [(Some(authority.file.clone()), false), (None, true)] {
        let (proxy, drain) = serve(ca, insecure);
        let told = heard(proxy, client, "event 3");
        assert!(told.starts_with("HTTP/1.1 101 Web Socket Protocol Handshake\r\n"), "{told}");
        assert!(told.contains("event 1") && told.contains("event 2") && told.ends_with("event 3\u{fffd}"), "{told}");
        let taken = || std::mem::take(&mut *POSTED.lock().expect("nobody panics with it"));
        let asked = std::time::Instant::now();
        let mut posted = taken();
        while posted.is_empty() && asked.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(5));
            posted = taken();
        }
        assert_eq!(posted, ["POST /in HTTP/1.1"]);
        assert!(heard(proxy, page, "GET /page").ends_with("GET /page HTTP/1.1"));
        assert_eq!(taken(), ["GET /page HTTP/1.1"]);
        drain.start();
    }
    let (proxy, drain) = serve(None, false);
    let told = heard(proxy, client, "authority");
    assert!(told.starts_with("HTTP/1.1 502 Bad Gateway\r\n") && !told.contains("127.0.0.1"), "{told}");
    assert!(heard(proxy, page, "\r\n\r\n").starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
    drain.start();
}

#[test]
fn an_auth_server_is_asked_over_tls_and_only_the_one_that_is_believed() {
    let authority = Authority::new("auth");
    let address = listen(authority.server(&["127.0.0.1"], |_| {}), |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    // Nothing listens at the backend: whoever hears of that was let pass.
    for (ca, expected) in [(Some(authority.file.clone()), "HTTP/1.1 502 "), (None, "HTTP/1.1 503 ")] {
        let upstream = Upstream::parse("ws://127.0.0.1:1").expect("a proper URL");
        let mut config = Config::simple(vec![([127, 0, 0, 1], 0).into()], upstream);
        let mut server = Upstream::parse(&format!("http://{address}/auth")).expect("a proper URL");
        server.secure = true;
        config.routes[0].auth = Some(Auth { server, headers: Vec::new() });
        config.threads = std::num::NonZeroUsize::new(1);
        config.upstream_tls.ca = ca;
        let server = Server::bind(config).expect("a port is free, and the authority can be read");
        let (proxy, drain) = (server.addresses()[0], server.drain());
        thread::spawn(|| server.run());
        let client = b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: tv\r\n\r\n";
        let told = heard(proxy, client, "\r\n\r\n");
        assert!(told.starts_with(expected), "{told}");
        drain.start();
    }
}
