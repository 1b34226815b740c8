//! The program itself: what it prints, what it exits with, and how it is stopped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

use crate::support::*;

fn hybridge(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = hybridge(arguments).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("what is printed is text");
    (status.code(), text(stdout), text(stderr))
}

/// The program while it serves, until dropped.
pub struct Binary {
    process: Child,
    /// What it printed first.
    pub line: String,
}

impl Binary {
    /// Starts `hybridge serve` and waits until it listens.
    pub fn serve(arguments: &[&str]) -> Binary {
        let mut process = hybridge(&[&["serve"], arguments].concat()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it prints a line");
        Binary { process, line }
    }

    /// The same, with its log.
    fn logging(arguments: &[&str]) -> (Binary, ChildStderr) {
        let mut process = hybridge(arguments).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it prints a line");
        let log = process.stderr.take().expect("a pipe");
        (Binary { process, line }, log)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn address(&self) -> SocketAddr {
        let rest = self.line.strip_prefix("listening on ").expect("it says where it listens");
        rest.split(',').next().and_then(|address| address.parse().ok()).expect("an address")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the program ends", || {
            status = self.process.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn serve_says_where_it_listens_and_carries_messages() {
    let backend = Backend::listen();
    let binary = Binary::serve(&["--listen", "127.0.0.1:0", "--upstream", &backend.url()]);
    assert_eq!(binary.line, format!("listening on {}, upstream {}\n", binary.address(), backend.url()));
    assert_ne!(binary.address().port(), 0);
    for dialect in ALL {
        let mut client = Wire::connect(binary.address());
        client.say(opening(dialect, "/", &[]));
        let mut upstream = backend.accept();
        upstream.agrees(&[]);
        client.hears(answer(dialect, "/", &[]));
        client.say(said(dialect, "a"));
        upstream.gets(TEXT, "a");
    }
}

#[test]
fn a_termination_tells_everyone_and_is_no_failure() {
    for name in ["TERM", "INT"] {
        let backend = Backend::listen();
        let mut binary = Binary::serve(&["--listen", "127.0.0.1:0", "--upstream", &backend.url(), "--threads", "2"]);
        let mut open = Vec::new();
        for dialect in ALL {
            let mut client = Wire::connect(binary.address());
            client.say(opening(dialect, "/", &[]));
            let mut upstream = backend.accept();
            upstream.agrees(&[]);
            client.hears(answer(dialect, "/", &[]));
            open.push((dialect, client, upstream));
        }
        binary.signal(name);
        for (dialect, mut client, mut upstream) in open {
            eprintln!("{name} {dialect}");
            upstream.gets(CLOSE, status(1001, ""));
            upstream.say(plain(CLOSE, status(1001, "")));
            client.hears(farewell(dialect, 1001));
        }
        assert_eq!(binary.ended().code(), Some(0));
    }
}

#[test]
fn misuse_exits_with_2_and_says_what_is_wrong() {
    for (arguments, said) in [
        (&["serve", "--upstream", "ws://127.0.0.1:1", "--frobnicate"][..], "--frobnicate"),
        (&["serve"], "--upstream"),
        (&["serve", "--upstream", "htp://x"], "htp"),
        (&["serve", "--upstream", "ws://127.0.0.1:1", "--listen", "nowhere"], "nowhere"),
        (&["serve", "--upstream", "ws://127.0.0.1:1", "--binary", "octal"], "base64"),
        (&["check"], "--config"),
        (&["frobnicate"], "frobnicate"),
        (&[], "Usage"),
    ] {
        let (code, _, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_port_in_use_exits_with_1_and_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it has an address").to_string();
    let (code, stdout, stderr) = run(&["serve", "--listen", &address, "--upstream", "ws://127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(stdout, "");
    assert!(stderr.contains(&address) && stderr.contains("choose another port"), "{stderr}");

    // Another hybridge is another program, too.
    let first = Binary::serve(&["--listen", "127.0.0.1:0", "--upstream", "ws://127.0.0.1:1"]);
    let address = first.address().to_string();
    let (code, _, stderr) = run(&["serve", "--listen", &address, "--upstream", "ws://127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{stderr}");
}

/// A file in the place that cargo keeps for tests.
fn file(name: &str, text: &str) -> PathBuf {
    // The tests may run twice at a time.
    let name = format!("{}-{name}", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file can be written");
    path
}

#[test]
fn check_says_what_a_file_means_or_everything_that_is_wrong_with_it() {
    let good = file(
        "good.toml",
        "listen = [\"127.0.0.1:8080\"]\n[[route]]\nname = \"tv\"\nupstream = \"ws://10.0.0.5:9000\"\nbinary = \"base64\"\n",
    );
    let (code, stdout, stderr) = run(&["check", "--config", good.to_str().expect("text")]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.contains("tv") && stdout.contains("10.0.0.5:9000") && stdout.contains("base64"), "{stdout}");

    let bad = file(
        "bad.toml",
        "listen = [\"127.0.0.1\"]\n[timeouts]\nheadd = \"1s\"\n[[route]]\nname = \"tv\"\nupstream = \"ws://\"\n",
    );
    let (code, stdout, stderr) = run(&["check", "--config", bad.to_str().expect("text")]);
    assert_eq!((code, &*stdout), (Some(1), ""));
    for said in ["bad.toml", "listen", "headd", "upstream"] {
        assert!(stderr.contains(said), "{said} in {stderr}");
    }

    let files = file(
        "files.toml",
        "[[listener]]\naddress = \"127.0.0.1:8443\"\nclient_ca = \"/nonexistent/ca.pem\"\ncertificates = [\
         { cert = \"/nonexistent/one.pem\", key = \"one.key\" }, { cert = \"/nonexistent/two.pem\", key = \"two.key\" }]\n\
         [upstream_tls]\ncert = \"/nonexistent/own.pem\"\nkey = \"own.key\"\n\
         [[route]]\nname = \"tv\"\nupstream = \"ws://10.0.0.5:9000\"\n",
    );
    let (code, stdout, stderr) = run(&["check", "--config", files.to_str().expect("text")]);
    assert_eq!((code, &*stdout), (Some(1), ""));
    for said in ["one.pem", "two.pem", "ca.pem", "own.pem"] {
        assert!(stderr.contains(said), "{said} in {stderr}");
    }

    let (code, _, stderr) = run(&["check", "--config", "/nonexistent/hybridge.toml"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/nonexistent/hybridge.toml"), "{stderr}");
}

#[test]
fn a_file_serves_as_it_says() {
    let backend = Backend::listen();
    let path = file(
        "serve.toml",
        &format!(
            "listen = [\"127.0.0.1:0\"]\nthreads = 1\n[[route]]\nname = \"tv\"\npath = \"/tv\"\n\
             upstream = \"{}\"\n",
            backend.url()
        ),
    );
    let binary = Binary::serve(&["--config", path.to_str().expect("text")]);
    let mut client = Wire::connect(binary.address());
    client.say(opening(Dialect::Hixie76, "/other", &[]));
    assert!(client.head().starts_with("HTTP/1.1 404 "));
    let mut client = Wire::connect(binary.address());
    client.say(opening(Dialect::Hixie76, "/tv", &[]));
    backend.accept().agrees(&[]);
    client.hears(answer(Dialect::Hixie76, "/tv", &[]));
}

#[test]
fn the_log_tells_how_each_connection_ended() {
    let backend = Backend::listen();
    let (mut binary, mut log) = Binary::logging(&["serve", "--listen", "127.0.0.1:0", "--upstream", &backend.url()]);
    let mut client = Wire::connect(binary.address());
    client.say(opening(Dialect::Hixie76, "/demo", &[]));
    let mut upstream = backend.accept();
    upstream.agrees(&[]);
    client.hears(answer(Dialect::Hixie76, "/demo", &[]));
    client.say([said(Dialect::Hixie76, "abc"), GOODBYE.to_vec()].concat());
    client.hears(GOODBYE);
    upstream.gets(TEXT, "abc");
    upstream.gets(CLOSE, status(1000, ""));
    upstream.say(plain(CLOSE, status(1000, "")));
    drop((client, upstream));
    binary.signal("TERM");
    assert_eq!(binary.ended().code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).expect("the log is text");
    let closed =
        text.lines().find(|line| line.contains("closed: ")).unwrap_or_else(|| panic!("no such line in {text}"));
    for said in ["hixie-76", "/demo", "client_messages=1", "client_bytes=7", "upstream_messages=0", "client closed"] {
        assert!(closed.contains(said), "{said} in {closed}");
    }
}

#[test]
fn the_log_says_what_to_do_about_a_backend_that_is_not_there() {
    let (_held, refusing) = refusing();
    for (host, remedy) in [
        (&*refusing.to_string(), "is it running, and listening there?"),
        // RFC 6761 §6.4: a name that nobody has.
        ("backend.invalid:8080", "check the name, and this machine's resolver"),
    ] {
        for scheme in ["ws", "wss", "sse+http"] {
            let upstream = format!("{scheme}://{host}");
            let arguments = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream];
            let (mut binary, mut log) = Binary::logging(&arguments);
            for dialect in ALL {
                let mut client = Wire::connect(binary.address());
                client.say(opening(dialect, "/", &[]));
                let head = client.head();
                assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{dialect} {upstream}: {head}");
                assert_eq!(client.rest(), b"the upstream cannot be reached\n");
            }
            binary.signal("TERM");
            assert_eq!(binary.ended().code(), Some(0));
            let mut text = String::new();
            log.read_to_string(&mut text).expect("the log is text");
            let told = text.lines().filter(|line| line.contains(&upstream) && line.contains(remedy)).count();
            assert_eq!(told, ALL.len(), "{text}");
        }
    }
}

#[test]
fn the_log_names_the_client_behind_a_front_and_not_the_front() {
    let backend = Backend::listen();
    let path = file(
        "fronted.toml",
        &format!(
            "threads = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = [\"127.0.0.1\"]\n\
             [limits]\nconnections_per_address = 1\n[[route]]\nname = \"tv\"\nupstream = \"{}\"\n",
            backend.url()
        ),
    );
    let (mut binary, mut log) = Binary::logging(&["serve", "--config", path.to_str().expect("text")]);
    let preamble = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
    let mut first = Wire::connect(binary.address());
    first.say([preamble.as_bytes(), &opening(Dialect::Rfc6455, "/", &[])].concat());
    backend.accept().agrees(&[]);
    first.head();
    let mut second = Wire::connect(binary.address());
    second.try_say(preamble.as_bytes());
    second.rest_or_reset();
    let mut third = Wire::connect(binary.address());
    third.try_say("PROXY TCP4 192.0.2.8 198.51.100.1 4711 80\r\n".repeat(2).as_bytes());
    third.rest_or_reset();
    drop(first);
    binary.signal("TERM");
    assert_eq!(binary.ended().code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).expect("the log is text");
    let with = |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in {text}"));
    assert!(with("connections_per_address").contains("client=192.0.2.7:4711"), "{text}");
    let twice = with("client=192.0.2.8:4711");
    assert!(twice.contains("behind another") && !twice.contains("does not name"), "{text}");
}

#[test]
fn the_log_names_the_client_that_a_trusted_front_names() {
    let path = file(
        "trusting.toml",
        "listen = [\"127.0.0.1:0\"]\nthreads = 1\n[forwarded]\ntrusted = [\"127.0.0.1\"]\n\
         [[route]]\nname = \"tv\"\nupstream = \"ws://127.0.0.1:1\"\norigins = [\"http://else\"]\n",
    );
    let (mut binary, mut log) = Binary::logging(&["serve", "--config", path.to_str().expect("text")]);
    let mut client = Wire::connect(binary.address());
    client.say(opening(Dialect::Rfc6455, "/", &["X-Forwarded-For: 192.0.2.7"]));
    assert!(client.head().starts_with("HTTP/1.1 403 "));
    binary.signal("TERM");
    assert_eq!(binary.ended().code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).expect("the log is text");
    let refused = text.lines().find(|line| line.contains("refused")).unwrap_or_else(|| panic!("none in {text}"));
    assert!(refused.contains("client=192.0.2.7 "), "{refused}");
}

#[test]
fn every_address_of_a_port_may_be_listened_on_in_both_families() {
    // Below those that the system gives to whoever asks for any, so that it stays free until it is listened on again.
    let free = |port: &u16| TcpListener::bind(("::", *port)).is_ok();
    let port = (20_000..30_000).find(free).expect("a port is free");
    let backend = Backend::listen();
    let (four, six) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    for (first, second) in [(&four, &six), (&six, &four)] {
        let binary = Binary::serve(&["--listen", first, "--listen", second, "--upstream", &backend.url()]);
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let mut client = Wire::connect(address.parse().expect("an address"));
            client.say(opening(Dialect::Rfc6455, "/", &[]));
            backend.accept().agrees(&[]);
            assert!(client.head().starts_with("HTTP/1.1 101 "), "{address}");
        }
        drop(binary);
    }
    // Alone, it takes both, as the system has it.
    let binary = Binary::serve(&["--listen", &six, "--upstream", &backend.url()]);
    let mut client = Wire::connect(format!("127.0.0.1:{port}").parse().expect("an address"));
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    backend.accept().agrees(&[]);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    drop(binary);
}
