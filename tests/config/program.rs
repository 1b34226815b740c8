//! The command line in place of a file.

use std::process::{Command, Stdio};

fn refused(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    let output = command.arg("serve").args(arguments).stdin(Stdio::null()).output().expect("the program starts");
    let stderr = String::from_utf8(output.stderr).expect("what is printed is text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    stderr
}

#[test]
fn arguments_that_do_not_fit_together_are_misuse() {
    // Were they taken, there would be nothing to listen on, and the program would end.
    let rest = ["--listen", "192.0.2.1:1", "--upstream", "ws://127.0.0.1:1"];
    for (arguments, said) in [
        (["--tls-cert", "a.pem"], "--tls-key"),
        (["--tls-key", "a.key"], "--tls-cert"),
        (["--proxy-protocol", "0.0.0.0/0"], "believes everybody"),
        (["--proxy-protocol", "10.0.0.5/8"], "write \"10.0.0.0/8\" for the network"),
        (["--trusted", "localhost"], "write \"127.0.0.1\" and \"::1\""),
        (["--upstream", "wss://127.0.0.1:2"], "one is reached over TLS and another is not"),
        (["--upstream", "ws://127.0.0.1:1"], "it is in the list already"),
        (["--upstream", "ws+unix://run/app.sock"], "the path of the socket is not absolute"),
    ] {
        let stderr = refused(&[&rest[..], &arguments].concat());
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert!(stderr.contains("--help"), "{arguments:?}: {stderr}");
    }
    for arguments in [&["--tls-cert", "a", "--tls-key", "b"][..], &["--proxy-protocol", "::1"], &["--trusted", "::1"]] {
        let stderr = refused(&[&["--config", "no/such.toml"], arguments].concat());
        assert!(stderr.contains("cannot be used with"), "{arguments:?}: {stderr}");
    }
}
