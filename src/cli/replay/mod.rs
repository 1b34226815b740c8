//! `hybridge replay`: plays of fixtures and recordings, through the pure core or against a running server.

mod against;
mod line;
mod report;
mod solo;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use hybridge::conversation::Side;
use hybridge::explain;
use hybridge::proxy::tls::{Tls, Trust};
use hybridge::sniff;
use hybridge::transcript::{Act, Cutting, Script, Transcript, play, play_cut};

use self::against::{Against, Outcome, Server};
use self::report::{Report, Result as PlayResult, Verdict};
use super::Failure;

/// A longer file is no play.
const LONGEST: u64 = 512 << 20;

#[derive(Args)]
pub struct Arguments {
    /// Plays, or folders of them; fixtures/README.md says how they are written
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Play the client's part at this server or proxy: HOST:PORT, ws://HOST:PORT, or wss://HOST:PORT for TLS
    #[arg(long, value_name = "ADDRESS")]
    against: Option<Server>,
    /// Be the backend too: the address that the proxy under test has as its upstream
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = super::address, requires = "against")]
    upstream: Option<std::net::SocketAddr>,
    /// Believe certificates of the authorities in this PEM file, and no others [default: those of this machine]
    #[arg(long, value_name = "FILE", requires = "against")]
    ca: Option<PathBuf>,
    /// Believe every certificate
    #[arg(long, requires = "against", conflicts_with = "ca")]
    insecure: bool,
    /// The server sends every message back, and is held to that
    #[arg(long, requires = "against", conflicts_with = "upstream")]
    echo: bool,
    /// Keep the pauses of recordings
    #[arg(long, requires = "against")]
    timing: bool,
    /// How what is said is cut: `whole`, `every` (between all bytes), `recorded`, or into pieces of N bytes
    /// [default: every cut there is, in long plays a part of them; with --against: whole]
    #[arg(long, value_name = "N|every|recorded|whole")]
    split: Option<Split>,
    /// How many seconds to wait for what must come
    #[arg(long, value_name = "SECONDS", default_value = "5", requires = "against")]
    patience: NonZeroUsize,
    /// The server's name in plays that note how it differs: `# NAME differs: why`, `# NAME, NAME differ: why`
    #[arg(long, value_name = "NAME", requires = "against")]
    peer: Option<String>,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print a line for every play
    #[arg(short, long)]
    verbose: bool,
}

/// The value of `--split`.
#[derive(Clone, Copy, Debug)]
struct Split(Cutting);

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Split, String> {
        let pieces = |length: NonZeroUsize| Cutting::Pieces(length.get());
        Ok(Split(match text {
            "whole" => Cutting::Whole,
            "every" => Cutting::Pieces(1),
            "recorded" => Cutting::Recorded,
            _ => {
                text.parse().map(pieces).map_err(|_| "write a number of bytes, every, recorded or whole".to_owned())?
            }
        }))
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Server, String> {
        const FORM: &str =
            "write HOST:PORT, ws://HOST:PORT or wss://HOST:PORT, without a path: the plays have their own";
        let (secure, authority) = match text.strip_prefix("wss://") {
            Some(authority) => (true, authority),
            None => (false, text.strip_prefix("ws://").unwrap_or(text)),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or(FORM)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| FORM)?;
        let odd = |c: char| c == '/' || c == '@' || c.is_whitespace();
        if host.is_empty() || host.contains(odd) {
            return Err(FORM.to_owned());
        }
        Ok(Server { host: host.to_owned(), port, secure })
    }
}

/// Performs every play, and says how it went.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let (mut files, mut folders) = (Vec::new(), BTreeSet::new());
    for path in &arguments.paths {
        collect(path, &mut files, &mut folders)?;
    }
    if files.is_empty() {
        let paths: Vec<String> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
        return Err(format!("there are no plays (*.txt) in {}", paths.join(", ")).into());
    }
    let mut report = Report::new(files.len(), arguments.verbose, io::stderr().is_terminal());
    match &arguments.against {
        Some(server) => over_the_network(&arguments, server.clone(), &files, &mut report)?,
        None => through_the_core(&arguments, &files, &mut report),
    }
    let went = report.summary();
    if let Some(file) = &arguments.junit {
        report.write_junit(file).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    went
}

/// The plays at a path, in the order of their names. Each folder is looked into once: links may lead back to it.
fn collect(path: &Path, files: &mut Vec<PathBuf>, folders: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: io::Error| format!("cannot read {}: {error}", path.display());
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if !folders.insert(fs::canonicalize(path).map_err(unreadable)?) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "txt") {
            collect(&entry, files, folders)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Transcript, String> {
    let shown = file.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{shown}: {error}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{shown}: longer than any play ({} MiB)", LONGEST >> 20));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        format!("{shown}:{line}:1: not UTF-8: write bytes as escapes, between quotes")
    })?;
    Transcript::parse(text, &shown).map_err(|fault| fault.to_string())
}

fn through_the_core(arguments: &Arguments, files: &[PathBuf], report: &mut Report) {
    let next = AtomicUsize::new(0);
    let (results, received) = mpsc::channel();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, results) = (&next, results.clone());
            scope.spawn(move || {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let (title, verdict) = pure(file, arguments.split);
                    // Nobody listens any more only when the report has panicked.
                    let _ = results.send(PlayResult { file: file.clone(), title, verdict, took: started.elapsed() });
                }
            });
        }
        drop(results);
        received.iter().for_each(|result| report.add(result));
    });
}

fn pure(file: &Path, split: Option<Split>) -> (String, Verdict) {
    let transcript = match read(file) {
        Ok(transcript) => transcript,
        Err(fault) => return (String::new(), Verdict::Failed(fault)),
    };
    let title = || transcript.title().to_owned();
    if asks_to_explain(&transcript) {
        let verdict = match explain::check(&transcript) {
            Ok(()) => Verdict::Passed,
            Err(unexplained) => Verdict::Failed(format!("{}, {unexplained}", file.display())),
        };
        return (title(), verdict);
    }
    let went = match split {
        _ if shows_http_passing(&transcript) => {
            let why = "show ordinary HTTP, which the pure core only recognises".to_owned();
            return (title(), Verdict::Skipped(why));
        }
        Some(Split(cutting)) => play_cut(&transcript, cutting),
        None => play(&transcript),
    };
    let verdict = match went {
        Ok(()) => Verdict::Passed,
        Err(difference) => Verdict::Failed(format!("{}, {difference}", file.display())),
    };
    (title(), verdict)
}

/// Whether the play names a fault that is to be found in it.
fn asks_to_explain(transcript: &Transcript) -> bool {
    transcript.lines().iter().any(|line| matches!(line.act, Act::Explains(_)))
}

/// Whether a recording shows an ordinary request and its answer.
fn shows_http_passing(transcript: &Transcript) -> bool {
    let Ok(script) = Script::read(transcript) else { return false };
    let said = script.said(Side::Downstream);
    let answered = !script.heard(Side::Downstream, script.beats.len()).is_empty();
    script.opens.is_none() && answered && !script.has_upstream() && sniff::is_ordinary_request(&said)
}

fn over_the_network(
    arguments: &Arguments,
    server: Server,
    files: &[PathBuf],
    report: &mut Report,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let backend = match arguments.upstream {
            Some(address) => {
                let listening = tokio::net::TcpListener::bind(address).await;
                Some(listening.map_err(|error| format!("cannot listen on {address} for --upstream: {error}"))?)
            }
            None => None,
        };
        let trust = match (&arguments.ca, arguments.insecure) {
            (_, true) => Trust::Anybody,
            (Some(file), _) => Trust::File(file.clone()),
            (None, false) => Trust::System,
        };
        let against = Against {
            tls: if server.secure { Some(Tls::new(&trust, None)?) } else { None },
            server,
            backend,
            cutting: arguments.split.map_or(Cutting::Whole, |split| split.0),
            timing: arguments.timing,
            echo: arguments.echo,
            patience: Duration::from_secs(arguments.patience.get() as u64),
        };
        // Nobody there is one mistake, and not one for each play.
        against.connect().await?;
        for file in files {
            let started = Instant::now();
            let (title, verdict) = live(&against, file, arguments.peer.as_deref()).await;
            report.add(PlayResult { file: file.clone(), title, verdict, took: started.elapsed() });
        }
        Ok(())
    })
}

async fn live(against: &Against, file: &Path, peer: Option<&str>) -> (String, Verdict) {
    let transcript = match read(file) {
        Ok(transcript) => transcript,
        Err(fault) => return (String::new(), Verdict::Failed(fault)),
    };
    let title = transcript.title().to_owned();
    let noted = peer.and_then(|peer| note(&transcript, peer));
    let verdict = match (against.perform(&transcript).await, noted) {
        (Outcome::Skipped(why), _) => Verdict::Skipped(why),
        (Outcome::Passed, None) => Verdict::Passed,
        (Outcome::Passed, Some(_)) => {
            let peer = peer.unwrap_or_default();
            Verdict::Failed(format!("{}: {peer} is noted as differing, and did not: remove the note", file.display()))
        }
        (Outcome::Failed(_), Some(why)) => Verdict::Differs(why.to_owned()),
        (Outcome::Failed(difference), None) => Verdict::Failed(format!("{}, {difference}", file.display())),
    };
    (title, verdict)
}

/// Why the play expects otherwise of this server, where it says so: `# NAME differs: why`, or several names with commas
/// between them and `differ`.
fn note<'t>(transcript: &'t Transcript, peer: &str) -> Option<&'t str> {
    transcript.lines().iter().find_map(|line| {
        let Act::Comment(text) = &line.act else { return None };
        let (names, why) = text.split_once(" differs: ").or_else(|| text.split_once(" differ: "))?;
        names.split(", ").any(|name| name == peer).then_some(why)
    })
}
