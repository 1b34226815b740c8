//! The program itself between a client and a backend, which compare every byte.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::callgrind::Count;
use crate::support::{Backend, Dialect, TEXT, Wire, eventually, heard, open, plain, said};

/// Bytes of each message.
pub const SIZE: usize = 64;

/// Instructions of a program that carries so many messages to the backend and back. There is one connection, and never more
/// than one message on the way, for how many are found ready at once is a matter of time.
pub fn total(program: &Path, dialect: Dialect, messages: u64) -> u64 {
    let (backend, count) = (Backend::listen(), Count::new());
    let mut command = count.command(program);
    command.args(["serve", "--threads", "1", "--listen", "127.0.0.1:0", "--upstream", &backend.url()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut serving = child.expect("util-linux has setpriv");
    let mut line = String::new();
    BufReader::new(serving.stdout.take().expect("a pipe")).read_line(&mut line).expect("it prints a line");
    let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next()?.parse().ok());
    let address = address.unwrap_or_else(|| panic!("it says {line:?}"));

    let (mut client, mut upstream) = open(Wire::connect(address), &backend, dialect, &[], &[]);
    for number in 0..messages {
        let text = format!("{number:0SIZE$}");
        client.say(said(dialect, &text));
        upstream.gets(TEXT, &text);
        upstream.say(plain(TEXT, &text));
        client.hears(heard(dialect, &text));
    }
    drop((client, upstream));

    let told = Command::new("kill").args(["-s", "TERM", &serving.id().to_string()]).status();
    assert!(told.is_ok_and(|status| status.success()), "it can be told to stop");
    eventually("the program stops", || serving.try_wait().expect("it can be waited for").is_some());
    count.total()
}
