//! `hybridge demo --once`, as a stranger would run it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    command.arg("demo").args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it prints UTF-8")
}

#[test]
fn every_dialect_is_played_and_answered_right() {
    let output = demo(&["--once", "--listen", "127.0.0.1:0"]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    for dialect in ["hixie-75", "hixie-76", "v7", "v8", "v13", "events"] {
        let row = |line: &&str| line.split_whitespace().next() == Some(dialect) && line.ends_with("answered right");
        assert_eq!(printed.lines().filter(row).count(), 1, "{dialect}\n{printed}");
    }
    for bytes in [
        r#""\x00Hello\xff""#,
        r#""\xff\x00""#,
        r#""\x81\x05Hello""#,
        r#""Last-Event-ID: 2\r\n""#,
        r#""Sec-WebSocket-Version: 13\r\n""#,
    ] {
        assert!(printed.contains(bytes), "{bytes}\n{printed}");
    }
    assert!(!printed.contains('\x1b'), "colours are for terminals\n{printed}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_port_that_is_taken_is_named_and_not_replaced_where_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = demo(&["--once", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn the_page_stays_up_behind_the_proxy() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    command.args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut running = command.spawn().expect("the binary runs");
    let printed = BufReader::new(running.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let address = printed
        .filter_map(|line| line.strip_prefix("open http://")?.split('/').next().map(str::to_owned))
        .next()
        .expect("it says where the page is");
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    running.kill().expect("it still runs");
    running.wait().expect("it ends");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("</html>\n"), "{page}");
    let fetched = ["src=\"http", "href=\"http", "url(", "@import"].iter().find(|outside| page.contains(**outside));
    assert_eq!(fetched, None, "the page needs nothing from outside");
}
