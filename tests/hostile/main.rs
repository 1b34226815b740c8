//! Attacks and faults, one a row, against hybridge or any other proxy; each says what is safe, and is judged by what the
//! client heard, what reached the backend, and how much memory was in use.
//!
//! `cargo test --test hostile` starts a hybridge of its own; `-- --against HOST:PORT --upstream HOST:PORT` attacks what
//! listens at the first address and plays the backend at the second. Nothing here uses hybridge's own codecs.

#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;

mod backend;
mod bodies;
mod frames;
mod judge;
mod line;
mod memory;
mod row;
mod rows;
mod stage;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use backend::Book;
use memory::Watch;
use row::{Beside, Row};
use stage::Stage;

/// How many of those run side by side that cost much.
const FEW: usize = 6;

/// Hostile clients and backends, and faults, against a proxy.
#[derive(clap::Parser)]
struct Arguments {
    /// Only rows whose name contains one of these
    names: Vec<String>,
    /// The proxy; a hybridge of our own if left out
    #[arg(long, requires = "upstream")]
    against: Option<SocketAddr>,
    /// Where that proxy expects its backend, which is played here
    #[arg(long, requires = "against")]
    upstream: Option<SocketAddr>,
    /// The process whose memory is watched, on this machine
    #[arg(long)]
    pid: Option<u32>,
    /// Prints the rows and what they expect
    #[arg(long)]
    list: bool,
    /// Prints which rows took longest
    #[arg(long)]
    times: bool,
    /// How many run side by side
    #[arg(long, default_value_t = 48)]
    jobs: usize,
    /// How many seconds what must come may take
    #[arg(long, default_value_t = 10)]
    patience: u64,
    // What `cargo test` hands to every test, and what has no meaning here.
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    exact: bool,
}

/// A hybridge of our own, until dropped.
struct Program(Child, SocketAddr);

impl Program {
    fn start(upstream: SocketAddr) -> Program {
        let folder = std::env::temp_dir().join(format!("hybridge-hostile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is room for a file");
        let file = folder.join("hybridge.toml");
        let config = include_str!("hybridge.toml")
            .replace("127.0.0.1:8080", "127.0.0.1:0")
            .replace("127.0.0.1:9000", &upstream.to_string());
        std::fs::write(&file, config).expect("there is room for a file");
        let mut process = Command::new(env!("CARGO_BIN_EXE_hybridge"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it prints a line");
        std::fs::remove_dir_all(&folder).expect("it is ours");
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next()?.parse().ok());
        Program(process, address.unwrap_or_else(|| panic!("it says where it listens: {line}")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already, which the rows have told.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen = |row: &Row| arguments.names.is_empty() || arguments.names.iter().any(|name| row.name.contains(name));
    let rows: Vec<Row> = rows::all().into_iter().filter(chosen).collect();
    if arguments.list {
        rows.iter().for_each(|row| println!("{row}"));
        println!("{} rows", rows.len());
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let failed = runtime.block_on(run(&arguments, rows));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Performs the rows and prints what came of them; how many failed.
async fn run(arguments: &Arguments, rows: Vec<Row>) -> usize {
    let backend = arguments.upstream.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
    let listener = match TcpListener::bind(backend).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {backend}, where the proxy expects its backend: {error}");
            return 1;
        }
    };
    let upstream = listener.local_addr().expect("a listener has an address");
    let program = arguments.against.is_none().then(|| Program::start(upstream));
    let pid = program.as_ref().map(|program| program.0.id()).or(arguments.pid);
    let book = Arc::new(Book::default());
    tokio::spawn(backend::serve(listener, Arc::clone(&book)));

    let watch = Arc::new(Watch::new(pid));
    let mut stage = Stage {
        proxy: program.as_ref().map(|program| program.1).or(arguments.against).expect("one of both"),
        book: Arc::clone(&book),
        watch: Arc::clone(&watch),
        before: None,
        patience: Duration::from_secs(arguments.patience),
        performed: Default::default(),
    };
    if let Err(error) = stage.bystander().await {
        eprintln!("{error}\nnothing was attacked: is the proxy at {}, and its backend at {upstream}?", stage.proxy);
        return 1;
    }
    stage.before = watch.highest();
    let watching = std::thread::spawn({
        let watch = Arc::clone(&watch);
        move || watch.run()
    });
    let failed = perform(Arc::new(stage), rows, arguments).await;
    watch.stop();
    watching.join().expect("it only looks");
    if pid.is_none() {
        println!("memory was not watched: --pid names the process");
    }
    failed
}

async fn perform(stage: Arc<Stage>, mut rows: Vec<Row>, arguments: &Arguments) -> usize {
    let mut times = Vec::new();
    let mut families: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut tell = |row: &Row, verdict: Result<(), Vec<String>>| {
        let family = row.name.split('/').next().unwrap_or_default().to_owned();
        let (passed, failed) = families.entry(family).or_default();
        match verdict {
            Ok(()) => *passed += 1,
            Err(wrong) => {
                *failed += 1;
                println!("FAILED {row}");
                wrong.iter().for_each(|wrong| println!("      {wrong}"));
            }
        }
    };
    for (beside, jobs) in [(Beside::Many, arguments.jobs), (Beside::Few, arguments.jobs.min(FEW)), (Beside::Nobody, 1)]
    {
        let places = Arc::new(Semaphore::new(jobs.max(1)));
        let mut running = JoinSet::new();
        for row in rows.extract_if(.., |row| row.beside == beside) {
            let (stage, places) = (Arc::clone(&stage), Arc::clone(&places));
            running.spawn(async move {
                let _place = places.acquire().await.expect("never closed");
                let started = Instant::now();
                let verdict = stage.perform(&row).await;
                (row, verdict, started.elapsed())
            });
        }
        while let Some(done) = running.join_next().await {
            let (row, verdict, time) = done.expect("a row does not panic");
            tell(&row, verdict);
            times.push((time, row.name));
        }
    }
    if arguments.times {
        times.sort_unstable();
        times.iter().rev().take(40).for_each(|(time, name)| println!("{time:>10.1?} {name}"));
    }
    let strays = stage.book.strays();
    if !strays.is_empty() {
        println!("FAILED what reached the backend and belongs to no row:");
        strays.iter().for_each(|stray| println!("      {stray}"));
    }
    let (mut passed, mut failed) = (0, strays.len());
    for (family, (good, bad)) in &families {
        println!("{family:<14} {good:>4} of {}", good + bad);
        passed += good;
        failed += bad;
    }
    println!("{passed} passed, {failed} failed");
    failed
}
