//! `hybridge replay` as a stranger runs it: over the wire at this proxy, at servers that are wrong, and at none.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use hybridge::config::{Config, Upstream};

use super::support::*;

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("replay-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the folder for tests can be written");
        Folder(path)
    }

    fn with(self, name: &str, text: &str) -> Folder {
        fs::write(self.0.join(name), text).expect("the folder for tests can be written");
        self
    }

    fn shown(&self) -> &str {
        self.0.to_str().expect("its name is text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What it printed on stdout and stderr, and its exit code.
fn replay(arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("replay").args(arguments);
    let Output { stdout, stderr, status } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (text(stdout), text(stderr), status.code())
}

/// A server that reads one request of a client after another and answers each so.
fn answering(answer: impl Fn(&mut Wire, String) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the system's choice is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut wire = Wire::over(stream);
            // The first connection only asks whether anybody is there.
            let head = wire.said_so_far(ms(100));
            if !head.is_empty() {
                answer(&mut wire, String::from_utf8_lossy(&head).into_owned());
                // Whose end comes first is for the play to say.
                wire.rest_or_reset();
            }
        }
    });
    address
}

const HIXIE_76: &str = r#"# The example of the draft (hixie-76 1.2)
client says     "GET /demo HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
client says     "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
client says     "Origin: http://example.com\r\n\r\n^n:ds[4U"
client hears    "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
client hears    "Sec-WebSocket-Origin: http://example.com\r\nSec-WebSocket-Location: ws://example.com/demo\r\n"
client hears    "\r\n8jKS'y:G*Co,Wxa-"
"#;

fn hixie_76_answer(digest: &str) -> String {
    format!(
        "HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nDate: today\r\n\
         Sec-WebSocket-Location: ws://example.com/demo\r\nSec-WebSocket-Origin: http://example.com\r\n\r\n{digest}"
    )
}

#[test]
fn the_whole_corpus_goes_over_the_wire_with_replay_at_both_ends() {
    // Its port stays free until replay takes it.
    let free = TcpListener::bind(own_address()).expect("all of 127/8 is this machine");
    let upstream = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let url = Upstream::parse(&format!("ws://{upstream}")).expect("a proper URL");
    let proxy = Proxy::run(Config::simple(vec![([127, 0, 0, 1], 0).into()], url));
    let address = proxy.address.to_string();
    for (least, chosen) in [(400, &["fixtures"][..]), (60, &["fixtures/hixie-76", "--split", "7"])] {
        let arguments = [chosen, &["--against", &address, "--upstream", &upstream, "--patience", "20"]].concat();
        let (stdout, stderr, code) = replay(&arguments);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        let summary = stdout.lines().last().expect("a summary");
        let passed: usize = summary.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(passed >= least && summary.contains(" passed, 0 failed, "), "{summary}");
    }
}

#[test]
fn fields_in_another_order_and_a_date_are_no_difference_but_a_digest_is() {
    let folder = Folder::new().with("example.txt", HIXIE_76);
    let right = answering(|wire, _| wire.say(hixie_76_answer("8jKS'y:G*Co,Wxa-")));
    let (stdout, _, code) = replay(&[folder.shown(), "--against", &right.to_string()]);
    assert_eq!((stdout.as_str(), code), ("1 passed, 0 failed\n", Some(0)));

    let wrong = answering(|wire, _| wire.say(hixie_76_answer("8jKS'y:G*Co,Wxa+")));
    let (stdout, stderr, code) = replay(&[folder.shown(), "--against", &format!("ws://{wrong}/")]);
    assert_eq!(code, Some(1), "{stdout}");
    for part in [
        "example.txt, line 2: the answer to the challenge (the server did not answer the challenge (hixie-76 4.1)) that the \
         client hears is another",
        "  expected  8jKS\\'y:G*Co,Wxa-\n  got       8jKS\\'y:G*Co,Wxa+\n                            ^\n",
        "in a play that shows: The example of the draft (hixie-76 1.2)",
        "0 passed, 1 failed",
    ] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
    assert_eq!(stderr, "hybridge: one play did not go as written\n");
}

#[test]
fn no_terminal_obeys_what_a_play_says() {
    let folder =
        Folder::new().with("example.txt", &HIXIE_76.replacen("The example", "The \u{1b}[2J\u{9b}31mexample", 1));
    let wrong = answering(|wire, _| wire.say("HTTP/1.1 400 Bad Request\r\n\r\n")).to_string();
    let (stdout, ..) = replay(&[folder.shown(), "--against", &wrong]);
    assert!(stdout.contains("in a play that shows: The \u{fffd}[2J\u{fffd}31mexample"), "{stdout:?}");
    assert!(!stdout.contains(|c: char| c != '\n' && c.is_control()), "{stdout:?}");
}

#[test]
fn a_difference_that_the_play_notes_is_counted_as_such_and_a_stale_note_fails() {
    let note = "# socketry differs: it has not read the draft\n";
    let folder = Folder::new().with("example.txt", &HIXIE_76.replacen('\n', &format!("\n{note}"), 1));
    let wrong = answering(|wire, _| wire.say("HTTP/1.1 400 Bad Request\r\n\r\n")).to_string();
    let (stdout, ..) = replay(&[folder.shown(), "--against", &wrong, "--peer", "socketry"]);
    assert!(stdout.ends_with("0 passed, 0 failed, 1 differ as noted in them\n"), "{stdout}");
    let (stdout, ..) = replay(&[folder.shown(), "--against", &wrong, "--peer", "another"]);
    assert!(stdout.ends_with("0 passed, 1 failed\n"), "{stdout}");

    let right = answering(|wire, _| wire.say(hixie_76_answer("8jKS'y:G*Co,Wxa-"))).to_string();
    let (stdout, ..) = replay(&[folder.shown(), "--against", &right, "--peer", "socketry"]);
    assert!(stdout.contains("remove the note") && stdout.ends_with("0 passed, 1 failed\n"), "{stdout}");
}

#[test]
fn the_clients_part_alone_holds_any_server_to_its_answer_pongs_echo_and_end() {
    let play = |said: &str| {
        format!(
            "# x\nclient opens v13\nclient says \"{said}\"\nupstream hears \"{said}\"\nupstream says \"\\x81\\x01?\"\nclient hears \"\\x81\\x01?\"\n"
        )
    };
    let text = Folder::new().with("text.txt", &play(r"\x81\x82\x00\x00\x00\x00hi"));
    let ping = Folder::new().with("ping.txt", &play(r"\x89\x82\x00\x00\x00\x00hi"));
    let close = Folder::new().with("close.txt", &play(r"\x88\x82\x00\x00\x00\x00\x03\xe8"));
    let server = |answer: &'static [u8]| {
        let address = answering(move |wire, head| {
            wire.say(consent(&head, &[]));
            wire.hear(8);
            wire.say(answer);
        });
        address.to_string()
    };
    let check = |play: &Folder, answer: &'static [u8], echo: bool, expected: &str| {
        let address = server(answer);
        let mut arguments = vec![play.shown(), "--against", &address, "--patience", "1"];
        arguments.extend(echo.then_some("--echo"));
        let (stdout, ..) = replay(&arguments);
        assert!(stdout.contains(expected), "{expected}\n{stdout}");
    };
    check(&text, b"\x81\x02yo", false, "1 passed");
    check(&text, b"\x81\x02hi", true, "1 passed");
    check(&text, b"\x81\x02yo", true, "the echo that the client hears is another");
    check(&text, b"\xf1\x02yo", false, "set reserved bits without an extension");
    check(&ping, b"\x8a\x02hi", false, "1 passed");
    check(&ping, b"\x81\x02hi", false, "the pong that the client hears is another");
    check(&close, b"\x88\x02\x03\xe8", false, "1 passed");
}

#[test]
fn what_comes_beyond_the_play_is_a_difference_even_if_it_means_nothing_yet() {
    let folder = Folder::new().with("example.txt", &format!("{HIXIE_76}client hears \"\\x00hi\\xff\"\n"));
    let check = |frames: &'static [u8], expected: &str| {
        let server = answering(move |wire, _| {
            wire.say([hixie_76_answer("8jKS'y:G*Co,Wxa-").as_bytes(), frames].concat());
        });
        let (stdout, ..) = replay(&[folder.shown(), "--against", &server.to_string(), "--patience", "1"]);
        assert!(stdout.contains(expected), "{}\n{stdout}", frames.escape_ascii());
    };
    check(b"\x00hi\xff", "1 passed");
    check(b"\x00hi\xff\x00and", "got       text \"hi\", unfinished Text \"and\"");
    check(b"\x00hi\xff\x7f", "got       text \"hi\", and \"\\x7f\"");
}

#[test]
fn a_cookie_that_was_masked_stands_for_any_value() {
    let recorded =
        |cookie: &str| HIXIE_76.replace("example.com/demo\\r\\n\"", &format!("example.com/demo\\r\\n{cookie}\""));
    let masked = Folder::new().with("masked.txt", &recorded("Set-Cookie: sid=xXx00x; Path=/\\r\\n"));
    let kept = Folder::new().with("kept.txt", &recorded("Set-Cookie: sid=aB3; Path=/\\r\\n"));
    let check = |play: &Folder, cookie: &'static str, expected: &str| {
        let server = answering(move |wire, _| {
            wire.say(hixie_76_answer("8jKS'y:G*Co,Wxa-").replacen("\r\n", &format!("\r\nSet-Cookie: {cookie}\r\n"), 1));
        });
        let (stdout, ..) = replay(&[play.shown(), "--against", &server.to_string(), "--patience", "1"]);
        assert!(stdout.contains(expected), "{cookie}\n{stdout}");
    };
    check(&masked, "sid=q7Z9; Path=/", "1 passed");
    check(&masked, "other=q7Z9; Path=/", "the field Set-Cookie that the client hears is another");
    check(&kept, "sid=aB3; Path=/", "1 passed");
    check(&kept, "sid=aB4; Path=/", "the field Set-Cookie that the client hears is another");
}

#[test]
fn nothing_is_waited_for_without_end() {
    // A server that reads nothing after the handshake.
    let server = answering(|wire, _| {
        wire.say(hixie_76_answer("8jKS'y:G*Co,Wxa-"));
        thread::sleep(ms(60_000));
    });
    let long = format!("client says \"\\x00{}\\xff\"\n", "x".repeat(1 << 16)).repeat(512);
    let folder = Folder::new().with("long.txt", &format!("{HIXIE_76}{long}"));
    let started = Instant::now();
    let (stdout, ..) = replay(&[folder.shown(), "--against", &server.to_string(), "--patience", "1"]);
    assert!(stdout.contains("what is said was not taken within 1 s"), "{stdout}");
    assert!(started.elapsed() < ms(30_000), "{:?}", started.elapsed());
    // A long recording, at all its cuts.
    let echoes: String = (0..5000)
        .map(|number| format!("client says \"\\x00{number}\\xff\"\nclient hears \"\\x00{number}\\xff\"\n"))
        .collect();
    let folder = Folder::new().with("echoes.txt", &format!("{}{echoes}", HIXIE_76.replace("Web Socket", "WebSocket")));
    let started = Instant::now();
    let (stdout, ..) = replay(&[folder.shown()]);
    assert!(stdout.contains("1 passed"), "{stdout}");
    assert!(started.elapsed() < ms(60_000), "{:?}", started.elapsed());
}

#[test]
fn odd_files_and_folders_are_gone_through_once() {
    let folder = Folder::new().with("example.txt", HIXIE_76);
    for link in ["a", "b", "c"] {
        std::os::unix::fs::symlink(&folder.0, folder.0.join(link)).expect("the folder for tests can be written");
    }
    let (stdout, ..) = replay(&[folder.shown()]);
    assert_eq!(stdout, "1 passed, 0 failed\n");
    // Nobody reads what it says.
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let output = command.args(["replay", "-v", folder.shown()]).stdout(writer).output().expect("the binary runs");
    assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), ("", Some(0)));
}

#[test]
fn pieces_and_pauses_are_as_asked_for() {
    let text = "# x\nclient says \"GET / HTTP/1.1\\r\\n\"\npause 300ms\nclient says \"Host: a\\r\\n\\r\\n\"\n\
                client hears \"HTTP/1.1 400 \"\nclient hears more\nclient hears end\n";
    let folder = Folder::new().with("slow.txt", text);
    let refusing = |pieces: &'static [usize]| {
        let address = answering(move |wire, head| {
            // What `answering` has read is the first segments of them.
            let (first, _) = pieces.split_first().expect("some pieces");
            assert_eq!(head.len(), *first, "{head:?}");
            wire.say("HTTP/1.1 400 Bad Request\r\n\r\n");
            wire.fin();
        });
        address.to_string()
    };
    let started = Instant::now();
    let (stdout, ..) = replay(&[folder.shown(), "--against", &refusing(&[16, 11]), "--timing", "--split", "recorded"]);
    assert!(started.elapsed() >= ms(300) && stdout.starts_with("1 passed"), "{stdout}");
    let (stdout, ..) = replay(&[folder.shown(), "--against", &refusing(&[27])]);
    assert!(stdout.starts_with("1 passed"), "{stdout}");
}

#[test]
fn what_cannot_be_performed_is_explained() {
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let (stdout, stderr, got) = replay(arguments);
        assert!(got == Some(code) && format!("{stdout}{stderr}").contains(expected), "{expected}\n{stdout}{stderr}");
    };
    let empty = Folder::new();
    check(&[empty.shown()], 1, "there are no plays (*.txt) in ");
    check(&["nowhere"], 1, "cannot read nowhere: ");
    let odd = Folder::new().with("odd.txt", "# x\nclient says \"a\\q\"\n");
    check(&[odd.shown()], 1, "odd.txt:2:15: expected an escape: ");
    let latin = Folder::new();
    fs::write(latin.0.join("latin.txt"), b"# x\n# \xe9\n").expect("the folder for tests can be written");
    check(&[latin.shown()], 1, "latin.txt:2:1: not UTF-8");
    let set = Folder::new().with("set.txt", "# x\nroute binary = \"drop\"\nclient says \"\\x00\"\nclient hears end\n");
    let server = answering(|_, _| {}).to_string();
    check(
        &[set.shown(), "--against", &server],
        1,
        "skipped 1: plays that need settings of their own\n0 passed, 0 failed, 1 skipped",
    );
    check(&[set.shown()], 0, "1 passed, 0 failed");
    check(&["fixtures", "--against", "127.0.0.1:1"], 1, "cannot connect to 127.0.0.1:1: ");
    check(&["fixtures", "--against", "http://a"], 2, "write HOST:PORT, ws://HOST:PORT or wss://HOST:PORT");
    check(&[set.shown(), "--junit", "/nowhere/results.xml"], 1, "1 passed, 0 failed\nhybridge: cannot write /nowhere/");
    check(&["fixtures", "--timing"], 2, "--against");
    check(&["fixtures", "--split", "0"], 2, "write a number of bytes, every, recorded or whole");
}

#[test]
fn junit_has_a_case_for_each_play_and_the_reason_for_each_failure() {
    let folder = Folder::new()
        .with("a-right.txt", "# right\nclient says \"\\x00\"\nclient hears end\n")
        .with("b-wrong.txt", "# <wrong\u{1}>\nclient says \"\\x00\"\nclient hears \"&\"\n");
    let file = folder.0.join("results.xml");
    let (_, _, code) = replay(&[folder.shown(), "--junit", file.to_str().expect("its name is text")]);
    assert_eq!(code, Some(1));
    let xml = fs::read_to_string(&file).expect("it was written");
    for part in [
        "<testsuite name=\"hybridge replay\" tests=\"2\" failures=\"1\" skipped=\"0\"",
        "name=\"a-right\"",
        "<failure message=\"&lt;wrong\u{FFFD}&gt;\">",
        "the client hears other bytes, from byte 0 on",
        "expected  &amp;",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    assert!(xml.find("a-right") < xml.find("b-wrong"), "{xml}");
}
