//! What hybridge costs in instructions, which are the same in every run, against the committed `figures.toml`:
//! conversations and opening handshakes of the pure core, and the program itself. `benches/README.md` says how to run it.
//!
//! Each figure is the difference of two runs under callgrind, a short one and a long one, so that starting and stopping
//! fall out. The long and the short run of the core are this program again, with `--repeat`.

mod callgrind;
mod echo;
#[path = "../feed/mod.rs"]
#[allow(dead_code)]
mod feed;
mod figures;
#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use clap::Parser;
use hybridge::dialect::Dialect;

use self::callgrind::Count;
use self::feed::{Case, Opening, Stage};
use self::figures::{Change, Figures, Rows};

#[derive(Parser)]
struct Options {
    /// Only what has this in its name; then nothing is missing.
    #[arg(conflicts_with = "write")]
    name: Option<String>,
    /// Takes what is measured as the committed figures.
    #[arg(long)]
    write: bool,
    /// Does this work so many times, unmeasured.
    #[arg(long, hide = true, requires = "name")]
    repeat: Option<u64>,
}

/// What is measured.
enum Work {
    /// One feed.
    Hears(Case),
    /// One opening handshake.
    Receives(Dialect),
    /// One message through the program and back.
    Echoes(Dialect),
}

/// All of it. Larger reads show nothing more.
fn works() -> impl Iterator<Item = Work> {
    let cases = feed::cases().filter(|case| case.size < 256 << 10);
    let each = |work: fn(Dialect) -> Work| Dialect::ALL.into_iter().map(work);
    cases.map(Work::Hears).chain(each(Work::Receives)).chain(each(Work::Echoes))
}

impl Work {
    fn name(&self) -> String {
        match self {
            Work::Hears(case) => case.to_string(),
            Work::Receives(dialect) => format!("{dialect} opening"),
            Work::Echoes(dialect) => format!("{dialect} echo {}", echo::SIZE),
        }
    }

    /// Does it so many times in this process; the program's work is the program's.
    fn repeat(&self, times: u64) {
        match self {
            Work::Hears(case) => {
                let mut stage = Stage::set(*case);
                (0..times).for_each(|_| stage.hear());
                stage.check();
            }
            Work::Receives(dialect) => {
                let opening = Opening::of(*dialect);
                (0..times).for_each(|_| opening.receive());
            }
            Work::Echoes(_) => {}
        }
    }

    /// Instructions for doing it so many times, with starting and stopping.
    fn total(&self, times: u64) -> u64 {
        if let Work::Echoes(dialect) = self {
            return echo::total(&program(), *dialect, times);
        }
        let count = Count::new();
        let done = count.command(&this()).args(["--repeat", &times.to_string(), &self.name()]).status();
        assert!(done.is_ok_and(|status| status.success()), "{} fails its check", self.name());
        count.total()
    }

    /// Instructions for one message or handshake.
    fn figure(&self) -> f64 {
        // Enough that what differs in starting is nothing, and few enough to be done in a second.
        let (few, many, messages) = match self {
            Work::Hears(case) if case.messages * case.size < 1024 => (500, 5_500, case.messages as u64),
            Work::Hears(case) => (5, 55, case.messages as u64),
            Work::Receives(_) => (50, 550, 1),
            Work::Echoes(_) => (500, 5_500, 1),
        };
        let difference = self.total(many) - self.total(few);
        // As it is written, so that a row just taken has not changed.
        (difference as f64 / ((many - few) * messages) as f64 * 10.0).round() / 10.0
    }
}

/// This program's path.
fn this() -> PathBuf {
    env::current_exe().expect("this program has a path")
}

/// The program's, which cargo puts one folder above its examples.
fn program() -> PathBuf {
    let folder = this().ancestors().nth(2).map(Path::to_owned).expect("cargo has a folder for examples");
    folder.join(format!("hybridge{}", env::consts::EXE_SUFFIX))
}

/// Measures on every core; it counts instructions, not time.
fn measure(works: Vec<Work>) -> Rows {
    let (waiting, rows) = (Mutex::new(works.into_iter()), Mutex::new(Rows::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(work) = next() {
                    let figure = work.figure();
                    rows.lock().unwrap_or_else(PoisonError::into_inner).insert(work.name(), figure);
                }
            });
        }
    });
    rows.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether no figure has become worse, and none is unknown.
fn judge(now: &Rows, committed: &Rows, asked: &dyn Fn(&str) -> bool) -> bool {
    println!("{:<24} {:>12} {:>12} {:>9}", "user instructions", "now", "committed", "change");
    let names: BTreeSet<&String> = now.keys().chain(committed.keys().filter(|name| asked(name))).collect();
    let compare = |name: &String| figures::compare(name, now.get(name).copied(), committed.get(name).copied());
    let changes: Vec<Change> = names.into_iter().map(compare).collect();
    let count = |wanted| changes.iter().filter(|change| **change == wanted).count();
    let (same, better, worse, odd) =
        (count(Change::Same), count(Change::Better), count(Change::Worse), count(Change::Odd));
    if better > 0 {
        println!(
            "{better} better by more than 3 %: take the new figures with --write, so that they are not lost again"
        );
    }
    if worse > 0 {
        println!(
            "{worse} worse by more than 3 %: make it cheaper, or take the new figures with --write and say why in the commit"
        );
    }
    if odd > 0 {
        println!("{odd} measured or committed, but not both: take the new figures with --write");
    }
    println!("{} passed, {} failed", same + better, worse + odd);
    worse + odd == 0
}

fn run(options: &Options) -> Result<bool, String> {
    let asked = |name: &str| options.name.as_ref().is_none_or(|part| name.contains(part.as_str()));
    if cfg!(debug_assertions) {
        return Err("this program is not optimised; benches/README.md says how to run it".to_owned());
    }
    let works: Vec<Work> = works().filter(|work| asked(&work.name())).collect();
    if works.is_empty() {
        return Err("nothing has that in its name".to_owned());
    }
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "benches", "instructions", "figures.toml"].iter().collect();
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !valgrind.is_ok_and(|status| status.success()) {
        return Err("valgrind is needed: apt-get install valgrind".to_owned());
    }
    if options.write {
        Figures::here(measure(works)).write(&file)?;
        println!("written to {}", file.display());
        return Ok(true);
    }
    let committed = Figures::read(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    if let Some(why) = Figures::here(Rows::new()).stranger(&committed) {
        println!("{} skipped: instructions ({why})", works.len());
        return Ok(true);
    }
    Ok(judge(&measure(works), &committed.rows, &asked))
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(times) = options.repeat {
        works().filter(|work| options.name.as_ref() == Some(&work.name())).for_each(|work| work.repeat(times));
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::FAILURE
        }
    }
}
