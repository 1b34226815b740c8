//! TLS as a client: who is believed, and what is said of those who are not.

#[path = "support/tls.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use hybridge::proxy::tls::{Stream, Tls, TlsError, TlsFault, Trust, TrustError};
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
        let tls = Tls::new(trust).expect("the trust can be read");
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
    if Tls::new(&Trust::System).is_ok() {
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
        let trusted = Tls::new(&Trust::File(file.into()));
        trusted.map(|_| ()).expect_err("the file is no good").to_string()
    };
    assert!(said("no/such/file.pem").starts_with("cannot read the CA file no/such/file.pem: No such file"));
    assert!(said("Cargo.toml").contains("there is no certificate in it"), "{}", said("Cargo.toml"));
    assert!(matches!(Tls::new(&Trust::File("Cargo.toml".into())), Err(TrustError::File(..))));
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
