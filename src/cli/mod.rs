//! The commands, and what they exit with: 0 for done, 1 for a failure that was explained, 2 for misuse.

mod bytes;
mod client;
mod demo;
mod dial;
mod explain;
mod record;
mod replay;
mod serve;

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hybridge::config::LogLevel;

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
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(level)
        .init();
}
