//! The commands, and what they exit with: 0 for done, 1 for a failure that was explained, 2 for misuse.

mod bytes;
mod client;
mod demo;
mod dial;
mod explain;
mod record;
mod replay;
mod serve;

use std::fmt::Debug;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hybridge::config::LogLevel;
use tracing::field::{Field, Visit as _};
use tracing_subscriber::field::{MakeExt as _, VisitOutput as _};
use tracing_subscriber::fmt::format::{self, DefaultVisitor, Writer};

/// A reverse proxy that lets old WebSocket clients talk to modern backends, unchanged.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = "Start with `hybridge demo`.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// See a client of every dialect at work, and chat with them in the browser
    Demo(demo::Arguments),
    /// Talk to a server in any dialect: lines in, messages out
    Dial(Box<dial::Arguments>),
    /// Stand in front of a backend and serve
    Serve(serve::Arguments),
    /// Stand between client and server and write down what passes, or read it from a capture
    Record(record::Arguments),
    /// Perform recorded conversations: through the pure core, or against a running server or proxy
    Replay(replay::Arguments),
    /// Read a configuration file and say what it means, or everything that is wrong with it
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say what is wrong with a handshake or a recording, and the remedy
    Explain(explain::Arguments),
}

/// Reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(arguments),
        // It has exit codes of its own.
        Command::Dial(arguments) => return dial::run(*arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Record(arguments) => record::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Check { config } => check(&config),
        // It has its own exit codes: a fault that it finds is no failure of its own.
        Command::Explain(arguments) => return explain::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let mut said = why.to_string();
            let mut cause = why.source();
            while let Some(deeper) = cause {
                said = format!("{said} ({deeper})");
                cause = deeper.source();
            }
            eprintln!("hybridge: {said}");
            ExitCode::FAILURE
        }
    }
}

/// Reads an address to listen on.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an address of this machine and a port, as in 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// Why a command failed, for people.
type Failure = Box<dyn std::error::Error>;

fn check(file: &std::path::Path) -> Result<(), Failure> {
    let config = hybridge::config::Config::read(file)?;
    let unusable = hybridge::proxy::unusable_files(&config);
    if !unusable.is_empty() {
        return Err(unusable.join("\n").into());
    }
    say(config.summary().trim_end());
    Ok(())
}

/// Writes a line to stdout; nobody need read it.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Sends the log to stderr, in colour where that is a terminal.
fn log_to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).with_max_level(level);
    if std::io::stderr().is_terminal() {
        log.with_ansi(true).init();
    } else {
        // The library's own fields ask before and after each name whether there are colours, and the nine fields of each
        // connection that ends were most of what its line costs.
        log.with_ansi(false).fmt_fields(format::debug_fn(field).delimited(" ")).init();
    }
}

/// Writes a field as the library does without colours; what it does for the `log` crate and for errors as values is not
/// needed here.
fn field(line: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        // What it takes out of the message, lest it steer a terminal on which the log is read, stays its own matter.
        "message" => {
            let mut message = DefaultVisitor::new(line.by_ref(), true);
            message.record_debug(field, value);
            message.finish()
        }
        name => {
            line.write_str(name)?;
            line.write_char('=')?;
            write!(line, "{value:?}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::SubscriberBuilder;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_are_written_as_the_library_writes_them() {
        let (own, others) = (Lines::default(), Lines::default());
        let plain = |lines: &Lines| {
            let lines = lines.clone();
            SubscriberBuilder::default().with_ansi(false).without_time().with_writer(move || lines.clone())
        };
        let say = || {
            tracing::info!(client = %"::1", ms = 7_u128, quoted = "a\x1b \"b\"", down = true, "told: {}\u{9b}", "\x1b[31m");
            tracing::warn!("alone");
            tracing::error!(only = ?Some(-1));
        };
        with_default(plain(&own).fmt_fields(format::debug_fn(field).delimited(" ")).finish(), say);
        with_default(plain(&others).finish(), say);
        let text = |lines: Lines| String::from_utf8(lines.0.lock().unwrap().clone()).expect("the log is text");
        let (own, others) = (text(own), text(others));
        assert_eq!(own, others);
        assert_eq!(own.lines().count(), 3);
    }
}
