//! The built program under load for as long as wanted: clients of every dialect with random plans, all of which come to
//! an end somehow, beside some that are idle all the time. Every message is accounted for, and so are the program's
//! memory, threads, descriptors and log.
//!
//! `cargo test --test soak` takes some 15 seconds; `cargo test --release --test soak -- --minutes 30 --idle 9900` is the
//! long one. `--active N` is how many connections are busy at a time, `--seed N` repeats the plans of another run,
//! `--from N` only those from a connection's number on.

#[path = "../support/program.rs"]
#[allow(dead_code)]
mod program;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

mod backend;
mod client;
mod converse;
mod ears;
mod ledger;
mod outcome;
mod plan;
mod report;
mod run;

use std::process::ExitCode;
use std::time::Duration;

/// What is asked for on the command line.
pub struct Options {
    /// How long the load lasts.
    pub time: Duration,
    /// Connections that say nothing all the time.
    pub idle: usize,
    /// Connections that are busy at a time.
    pub active: usize,
    /// Of the plans.
    pub seed: u64,
    /// The number of the first busy connection.
    pub from: u64,
}

enum Wanted {
    Run(Options),
    Backend(u64),
    List,
    /// Another test.
    Nothing,
}

fn wanted(arguments: &[String]) -> Result<Wanted, String> {
    let mut options = Options {
        time: Duration::from_secs(7),
        idle: 200,
        active: 40,
        seed: rand::random_range(0..1_000_000),
        from: 0,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<f64, String> {
            let value = arguments.next().ok_or(format!("{argument} needs a number"))?;
            value.parse().map_err(|_| format!("{argument} {value}: that is no number"))
        };
        match argument.as_str() {
            "backend" => return Ok(Wanted::Backend(number()? as u64)),
            "--minutes" => options.time = Duration::from_secs_f64(number()? * 60.0),
            "--idle" => options.idle = number()? as usize,
            "--active" => options.active = number()? as usize,
            "--seed" => options.seed = number()? as u64,
            "--from" => options.from = number()? as u64,
            "--list" => return Ok(Wanted::List),
            // Cargo hands all of its tests the options and filters that are meant for some.
            option if option.starts_with('-') => {}
            filter if !"soak".contains(filter) => return Ok(Wanted::Nothing),
            _ => {}
        }
    }
    Ok(Wanted::Run(options))
}

fn main() -> ExitCode {
    if !cfg!(target_os = "linux") {
        println!("soak: /proc tells what it looks at, so it is for Linux alone");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match wanted(&arguments) {
        Ok(Wanted::Run(options)) => run::run(&options),
        Ok(Wanted::Backend(seed)) => {
            program::raise_file_limit();
            backend::run(seed);
            ExitCode::SUCCESS
        }
        Ok(Wanted::List) => {
            println!("soak: test");
            ExitCode::SUCCESS
        }
        Ok(Wanted::Nothing) => ExitCode::SUCCESS,
        Err(misuse) => {
            eprintln!("soak: {misuse}");
            ExitCode::from(2)
        }
    }
}
