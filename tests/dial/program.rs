//! The program under test, and servers of every dialect for it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use md5::{Digest as _, Md5};

use crate::support::*;

/// A running `hybridge dial`.
pub struct Dial {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
}

/// What a program that has ended leaves.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Dial {
    pub fn start(arguments: &[&str]) -> Dial {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
        command.arg("dial").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let mut errors = process.stderr.take().expect("a pipe");
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).expect("stderr is text");
            text
        });
        Dial { stdin: process.stdin.take(), stdout: process.stdout.take(), stderr: Some(stderr), process }
    }

    /// Starts it towards a server, whose end of the connection is open when this returns.
    #[track_caller]
    pub fn open(server: &Backend, dialect: Dialect, arguments: &[&str]) -> (Dial, Wire) {
        let url = format!("ws://{}/demo?x=1", server.address());
        let dial = Dial::start(&[&["--dialect", dialect.name(), &url], arguments].concat());
        let mut wire = server.accept();
        agree(&mut wire, dialect, &[]);
        (dial, wire)
    }

    pub fn types(&mut self, bytes: impl AsRef<[u8]>) -> &mut Dial {
        self.stdin.as_mut().expect("stdin is open").write_all(bytes.as_ref()).expect("it reads stdin");
        self
    }

    /// Ends its stdin.
    pub fn done(&mut self) -> &mut Dial {
        self.stdin = None;
        self
    }

    /// The next bytes that it prints.
    #[track_caller]
    pub fn prints(&mut self, expected: impl AsRef<[u8]>) {
        let mut printed = vec![0; expected.as_ref().len()];
        let mut stdout = self.stdout.take().expect("stdout is open");
        let (stdout, printed) = within_patience(&format!("printing {}", shown(expected.as_ref())), move || {
            let read = stdout.read_exact(&mut printed);
            (stdout, read.map(|()| printed))
        });
        self.stdout = Some(stdout);
        let printed = printed.expect("it prints");
        assert_eq!(shown(&printed), shown(expected.as_ref()));
    }

    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    pub fn take_stdout(&mut self) -> ChildStdout {
        self.stdout.take().expect("stdout is open")
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// The most memory that it has had, in KiB.
    pub fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it still runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> Ended {
        let stdout = match self.stdout.take() {
            Some(mut pipe) => within_patience("the program ends its stdout", move || {
                let mut rest = Vec::new();
                pipe.read_to_end(&mut rest).expect("stdout can be read");
                rest
            }),
            None => Vec::new(),
        };
        let mut status = None;
        eventually("the program ends", || {
            status = self.process.try_wait().expect("it can be waited for");
            status.is_some()
        });
        let stderr = self.stderr.take().expect("asked once").join().expect("stderr is text");
        Ended { code: status.and_then(|status| status.code()), stdout, stderr }
    }

    /// That it ends so, having printed nothing more on stdout; returns what it complained of.
    #[track_caller]
    pub fn exits(&mut self, code: i32) -> String {
        let ended = self.ended();
        assert_eq!((ended.code, shown(&ended.stdout)), (Some(code), String::new()), "{}", ended.stderr);
        ended.stderr
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads a pipe in a thread of its own, for that has no deadline.
#[track_caller]
fn within_patience<T: Send + 'static>(what: &str, read: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(read()));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Runs it without a server that minds, to its end, with nothing on stdin.
pub fn run(arguments: &[&str]) -> Ended {
    Dial::start(arguments).done().ended()
}

/// hixie-76 §5.2: the number in a key. Written for the keys of a client under test, which must be good.
fn number(request: &str, key: &str) -> u32 {
    let value = field(request, key).expect("hixie-76 sends both keys");
    let digits: u64 = value.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("digits");
    let spaces = value.matches(' ').count() as u64;
    assert!(spaces > 0 && digits.is_multiple_of(spaces), "{value}");
    u32::try_from(digits / spaces).expect("32 bits")
}

/// The 101 of a server of that dialect, in full, `more` behind its own lines.
pub fn answer_to(request: &str, key3: &[u8], dialect: Dialect, more: &[&str]) -> Vec<u8> {
    let target = request.split(' ').nth(1).expect("a target");
    let host = field(request, "Host").expect("a host");
    let origin = field(request, "Origin").unwrap_or("none");
    let (phrase, prefix) = match dialect {
        Dialect::Hixie75 => ("Web Socket Protocol Handshake", "WebSocket"),
        _ => ("WebSocket Protocol Handshake", "Sec-WebSocket"),
    };
    let status = format!("HTTP/1.1 101 {phrase}");
    let (origin, location) = (format!("{prefix}-Origin: {origin}"), format!("{prefix}-Location: ws://{host}{target}"));
    let usual = ["Upgrade: WebSocket", "Connection: Upgrade", &origin, &location];
    match dialect {
        Dialect::Hixie75 => head(&status, &[&usual, more].concat()),
        Dialect::Hixie76 => {
            let mut md5 = Md5::new();
            for key in ["Sec-WebSocket-Key1", "Sec-WebSocket-Key2"] {
                md5.update(number(request, key).to_be_bytes());
            }
            md5.update(key3);
            [head(&status, &[&usual, more].concat()), md5.finalize().to_vec()].concat()
        }
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => consent(request, more),
    }
}

/// Reads a request with the third key, where the dialect has one.
pub fn request(wire: &mut Wire, dialect: Dialect) -> (String, Vec<u8>) {
    let request = wire.head();
    let key3 = if dialect == Dialect::Hixie76 { wire.hear(8) } else { Vec::new() };
    (request, key3)
}

/// Agrees to an opening handshake; returns the request.
pub fn agree(wire: &mut Wire, dialect: Dialect, more: &[&str]) -> String {
    let (request, key3) = request(wire, dialect);
    wire.say(answer_to(&request, &key3, dialect, more));
    request
}

/// A text as the server hears it from a client of that dialect.
#[track_caller]
pub fn gets_text(wire: &mut Wire, dialect: Dialect, text: &str) {
    if HYBI.contains(&dialect) { wire.gets(TEXT, text) } else { wire.hears(said(dialect, text)) }
}

/// The client's normal close, which is answered as a server of that dialect does.
#[track_caller]
pub fn gets_close(wire: &mut Wire, dialect: Dialect, code: u16) {
    match dialect {
        Dialect::Hixie75 => {}
        Dialect::Hixie76 => {
            wire.hears(GOODBYE);
            wire.say(GOODBYE);
        }
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => {
            wire.gets(CLOSE, status(code, ""));
            wire.say(plain(CLOSE, status(code, "")));
            // RFC 6455 §7.1.1: the server ends TCP first.
            wire.fin();
        }
    }
    wire.hears_end();
    wire.fin();
}
