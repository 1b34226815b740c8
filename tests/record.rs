//! `hybridge record` between real sockets: both ends see what they would see without it, and a file says what that was.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hybridge::conversation::Side;
use hybridge::transcript::{Act, Transcript};
use socket2::SockRef;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hybridge-record-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hybridge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    // What should have failed must not wait for clients.
    let mut command = Command::new("timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_hybridge")).args(arguments).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// A recorder in front of a server that is this test.
struct Recorder {
    process: Child,
    address: SocketAddr,
    server: TcpListener,
    folder: Folder,
}

impl Recorder {
    fn start(options: &[&str]) -> Recorder {
        Recorder::started(|upstream, out| {
            hybridge(&[&["record", "--listen", "127.0.0.1:0", "--upstream", upstream, "--out", out], options].concat())
        })
    }

    fn started(command: impl Fn(&str, &str) -> Command) -> Recorder {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let folder = Folder::new();
        let upstream = format!("ws://{}", server.local_addr().unwrap());
        let out = folder.0.to_str().unwrap().to_owned();
        let mut process = command(&upstream, &out).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let rest = line.strip_prefix("recording on ").unwrap_or_else(|| panic!("{line:?}"));
        assert_eq!(rest.split_once(", ").unwrap().1, format!("upstream {upstream}, into {out}\n"));
        let address = rest.split(',').next().unwrap().parse().expect("an address");
        Recorder { process, address, server, folder }
    }

    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.address).expect("it listens");
        let (server, _) = self.server.accept().expect("it dials");
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        (client, server)
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap().success());
    }

    /// Waits until the only recording has what is looked for, and returns its name and text.
    #[track_caller]
    fn recording(&self, wanted: &str) -> (String, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            let texts: Vec<_> = self
                .folder
                .files()
                .iter()
                .filter_map(|path| Some((name(path), fs::read_to_string(path).ok()?)))
                .collect();
            if let [(name, text)] = texts.as_slice()
                && text.contains(wanted)
            {
                parse(text);
                return (name.clone(), text.clone());
            }
            assert!(Instant::now() < until, "{wanted:?} is nowhere in {texts:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[track_caller]
fn parse(text: &str) -> Transcript {
    Transcript::parse(text, "recording").unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

#[track_caller]
fn hears(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).expect("bytes come");
    assert_eq!(bytes, expected);
}

#[track_caller]
fn hears_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0; 1]).expect("an end, in order"), 0);
}

#[track_caller]
fn hears_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0; 1]).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

const REQUEST: &[u8] = b"GET /chat?token=abc HTTP/1.1\r\nHost: tv\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
    Origin: http://tv\r\nCookie: sid=secret\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
    WebSocket-Origin: http://tv\r\nWebSocket-Location: ws://tv/chat?token=abc\r\n\r\n";

#[test]
fn every_byte_passes_at_once_as_it_is_and_is_written_without_its_secrets() {
    let recorder = Recorder::start(&[]);
    let (mut client, mut server) = recorder.connect();
    let port = client.local_addr().unwrap().port();
    for byte in REQUEST.chunks(1) {
        client.write_all(byte).unwrap();
        hears(&mut server, byte);
    }
    server.write_all(ANSWER).unwrap();
    hears(&mut client, ANSWER);
    client.write_all(b"\0hi\xFF").unwrap();
    hears(&mut server, b"\0hi\xFF");
    // On disk while the connection lives.
    let (name, text) = recorder.recording("\\x00hi\\xff");
    assert!(name.ends_with(&format!("Z-hixie-75-127.0.0.1-{port}.txt")), "{name}");
    assert!(!text.contains("secret") && !text.contains("abc"), "{text}");
    drop(client);
    hears_end(&mut server);
    drop(server);
    let (_, text) = recorder.recording("client hears    end\n");
    let says = parse(&text).lines().iter().filter(|line| matches!(line.act, Act::Says(Side::Downstream, _))).count();
    assert_eq!(says, REQUEST.len() + 1, "{text}");
    assert!(text.lines().next().unwrap().ends_with("taken for a hixie-75 client"), "{text}");
}

#[test]
fn secrets_are_kept_where_that_is_asked_for() {
    let recorder = Recorder::start(&["--keep-secrets"]);
    let (mut client, _server) = recorder.connect();
    client.write_all(REQUEST).unwrap();
    recorder.recording("Cookie: sid=secret");
}

#[test]
fn an_end_is_an_end_in_one_direction_and_the_other_goes_on() {
    let recorder = Recorder::start(&[]);
    let (mut client, mut server) = recorder.connect();
    client.write_all(b"\0").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    hears(&mut server, b"\0");
    hears_end(&mut server);
    server.write_all(b"\x01late").unwrap();
    hears(&mut client, b"\x01late");
    server.shutdown(Shutdown::Write).unwrap();
    hears_end(&mut client);
    let (_, text) = recorder.recording("client hears    end\n");
    let places = ["client ends", "\\x01late", "client hears    end"].map(|part| text.find(part).expect(part));
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn a_reset_is_a_reset() {
    let recorder = Recorder::start(&[]);
    let (mut client, mut server) = recorder.connect();
    client.write_all(b"\0").unwrap();
    hears(&mut server, b"\0");
    reset(client);
    hears_reset(&mut server);
    let (_, text) = recorder.recording("client breaks off\n");
    assert!(!text.contains("client ends"), "{text}");

    let recorder = Recorder::start(&[]);
    let (mut client, mut server) = recorder.connect();
    client.write_all(b"\0").unwrap();
    hears(&mut server, b"\0");
    reset(server);
    hears_reset(&mut client);
    recorder.recording("# the server broke the connection off\nclient hears    end\n");
}

#[test]
fn a_reset_after_an_end_and_one_against_a_full_pipe_are_passed_on_too() {
    let recorder = Recorder::start(&[]);
    let (client, mut server) = recorder.connect();
    client.shutdown(Shutdown::Write).unwrap();
    hears_end(&mut server);
    reset(client);
    // Linux calls it a broken pipe where the other direction had ended.
    assert_eq!(breaks(&server), std::io::ErrorKind::BrokenPipe);
    let recordings = recorder.recording("client ends\n");
    assert!(recorder.recording("client breaks off\n").1.contains("client ends\n"), "{recordings:?}");

    // The server takes nothing, the client's bytes pile up, and then it is gone.
    let (mut client, server) = recorder.connect();
    client.set_nonblocking(true).unwrap();
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        if client.write(&[0; 65536]).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }
    reset(client);
    assert_eq!(breaks(&server), std::io::ErrorKind::ConnectionReset);
}

/// How a stream breaks, without reading what came before.
fn breaks(stream: &TcpStream) -> std::io::ErrorKind {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(error) = stream.take_error().unwrap() {
            return error.kind();
        }
        assert!(Instant::now() < until, "it does not break");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_it_does_not_understand_is_recorded_all_the_same() {
    let check = |bytes: &[u8], word: &str| {
        let recorder = Recorder::start(&[]);
        let (mut client, mut server) = recorder.connect();
        client.write_all(bytes).unwrap();
        hears(&mut server, bytes);
        drop(client);
        hears_end(&mut server);
        drop(server);
        let (name, _) = recorder.recording("client hears    end\n");
        assert!(name.contains(&format!("Z-{word}-127.0.0.1-")), "{name}");
    };
    check(b"\x16\x03\x01\0\0", "tls");
    check(b"\x01\x02", "garbage");
    check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http");
    check(b"GET / HTTP/1.1\r\nHo", "unfinished");
    check(b"", "silent");
}

#[test]
fn a_recorder_that_is_told_to_stop_finishes_its_files() {
    for signal in ["TERM", "INT"] {
        let mut recorder = Recorder::start(&[]);
        let (mut client, mut server) = recorder.connect();
        client.write_all(&REQUEST[..60]).unwrap();
        hears(&mut server, &REQUEST[..60]);
        recorder.signal(signal);
        assert_eq!(recorder.process.wait().unwrap().code(), Some(0));
        let (name, text) = recorder.recording("# the recorder was told to stop\n");
        assert!(name.contains("-unfinished-") && text.contains("client says     \"GET /chat?token=xxx"), "{text}");
    }
}

#[test]
fn a_recorder_that_is_killed_at_any_moment_leaves_plays() {
    for round in 0..8u64 {
        let mut recorder = Recorder::start(&[]);
        let (mut client, mut server) = recorder.connect();
        client.write_all(REQUEST).unwrap();
        hears(&mut server, REQUEST);
        let reading = thread::spawn(move || while server.read(&mut [0; 65536]).is_ok_and(|read| read > 0) {});
        recorder.recording("Cookie: sid=xxxxxx");
        let writing = thread::spawn(move || while client.write_all(&[0x80; 60_000]).is_ok() {});
        thread::sleep(Duration::from_millis(20 + 7 * round));
        recorder.process.kill().unwrap();
        recorder.process.wait().unwrap();
        let files = recorder.folder.files();
        assert_eq!(files.len(), 1);
        let text = fs::read_to_string(&files[0]).unwrap();
        parse(&text);
        // Where a write is cut by the end of its process, it is between pages.
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            assert!(at % 4096 + line.len() <= 4096, "{line:?} at {at}");
            at += line.len();
        }
        writing.join().unwrap();
        reading.join().unwrap();
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_connection() {
    // A limit on the size of files is met as a full disk is: a write takes a part, and the next fails.
    let mut recorder = Recorder::started(|upstream, out| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 41; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hybridge")]);
        shell.args(["record", "--listen", "127.0.0.1:0", "--upstream", upstream, "--out", out]);
        shell.stdin(Stdio::null()).stdout(Stdio::piped());
        shell
    });
    let (mut client, mut server) = recorder.connect();
    client.write_all(REQUEST).unwrap();
    hears(&mut server, REQUEST);
    for _ in 0..200 {
        client.write_all(&[0x80; 500]).unwrap();
        hears(&mut server, &[0x80; 500]);
    }
    server.write_all(b"still there").unwrap();
    hears(&mut client, b"still there");
    recorder.signal("TERM");
    assert_eq!(recorder.process.wait().unwrap().code(), Some(0));
    let (_, text) = recorder.recording("Cookie: sid=xxxxxx");
    assert!(text.len() <= 41 * 512 && text.contains("\\x80\\x80"), "{text}");
}

#[test]
fn what_is_beyond_max_bytes_passes_and_is_not_written() {
    let recorder = Recorder::start(&["--max-bytes", "1KiB"]);
    let (mut client, mut server) = recorder.connect();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
    let sent = bytes.clone();
    let writing = thread::spawn(move || client.write_all(&sent).map(|()| client));
    hears(&mut server, &bytes);
    drop(writing.join().unwrap());
    let (_, text) = recorder.recording("# 1024 bytes are recorded, as many as --max-bytes allows\n");
    assert!(text.len() < 8192);
}

#[test]
fn a_server_that_is_away_is_said_in_the_recording_and_looks_away_to_the_client() {
    let recorder = Recorder::start(&[]);
    let address = recorder.address;
    let Recorder { server, .. } = &recorder;
    // Nobody listens where the server was: its socket is closed under the recorder's eyes.
    let port = server.local_addr().unwrap();
    SockRef::from(server).shutdown(Shutdown::Both).unwrap();
    assert!(TcpStream::connect(port).is_err());
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(REQUEST).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    hears_reset(&mut client);
    let (name, text) = recorder.recording("# the server cannot be reached: ");
    assert!(name.contains("hixie-75") && text.contains("Cookie: sid=xxxxxx"), "{text}");
}

#[test]
fn mistakes_are_explained() {
    let folder = Folder::new();
    let out = folder.0.to_str().unwrap();
    let check = |arguments: &[&str], code: i32, parts: &[&str]| {
        let out = if arguments.contains(&"--out") { &[][..] } else { &["--out", out] };
        let (status, stdout, stderr) = run(&[&["record"], arguments, out].concat());
        assert_eq!((status, stdout.as_str()), (Some(code), ""), "{arguments:?}\n{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} is not in\n{stderr}");
        }
    };
    check(&[], 2, &["--upstream <URL>", "--from-pcap <FILE>"]);
    check(&["--upstream", "wss://tv:1"], 2, &["a TLS server cannot be recorded", "ws://HOST:PORT"]);
    check(&["--upstream", "ws+unix:///run/x.sock"], 2, &["of TCP connections", "ws://HOST:PORT"]);
    check(&["--upstream", "ws://tv:1/path"], 2, &["without a path"]);
    check(&["--upstream", "tv:x"], 2, &["port"]);
    check(&["--upstream", "tv:1", "--listen", "8080"], 2, &["127.0.0.1:8080"]);
    check(&["--upstream", "tv:1", "--max-bytes", "0"], 2, &["must not be zero"]);
    check(&["--upstream", "tv:1", "--port", "5"], 2, &["--port <N>", "--upstream <URL>"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&["--upstream", "tv:1", "--listen", &address, "--out", out], 1, &[&address, "choose another port"]);
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    check(&["--upstream", "tv:1", "--out", file.to_str().unwrap()], 1, &["--out", "/file", "cannot be made"]);
    check(&["--from-pcap", "/nowhere.pcap", "--out", out], 1, &["/nowhere.pcap", "cannot be read"]);
    check(&["--from-pcap", file.to_str().unwrap(), "--out", out], 1, &["this is no capture", "tcpdump -w"]);
}

#[test]
fn a_capture_becomes_files_that_are_never_overwritten() {
    let folder = Folder::new();
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures/phantomjs-and-backend-cooked2.pcap");
    let arguments = ["record", "--from-pcap", capture, "--out", folder.0.to_str().unwrap()];
    for _ in 0..2 {
        let (status, stdout, stderr) = run(&arguments);
        assert_eq!(status, Some(0), "{stderr}");
        assert_eq!(stdout, format!("2 connections of {capture}, into {}\n", folder.0.display()));
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
    }
    let names: Vec<String> = folder.files().iter().map(|path| name(path)).collect();
    assert_eq!(
        names,
        [
            "20261122T064901.842Z-hixie-76-127.0.0.1-47216-2.txt",
            "20261122T064901.842Z-hixie-76-127.0.0.1-47216.txt",
            "20261122T064901.843Z-v13-127.0.0.1-60362-2.txt",
            "20261122T064901.843Z-v13-127.0.0.1-60362.txt",
        ]
    );
}
