//! The program itself as a process of its own, held to limits, with its log read as it comes and its vitals from /proc.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a process may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open files; it cannot raise this.
    pub files: u64,
    /// Address space, in KiB.
    pub address_space: u64,
}

/// What a log said, without the log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Lines at each level, from error down.
    pub lines: [u64; 5],
    /// Lines without a level: what a panic prints.
    pub others: u64,
    /// Lines that say that no connection can be accepted.
    pub cannot_accept: u64,
    /// The first lines that should not be there.
    pub bad: Vec<String>,
}

const LEVELS: [&str; 5] = [" ERROR ", " WARN ", " INFO ", " DEBUG ", " TRACE "];
/// Bad lines that are kept.
const KEPT: usize = 10;

impl Log {
    fn note(&mut self, line: &str) {
        // The level stands behind the time, before anything that a peer could have chosen.
        let front: String = format!("{} ", line.chars().take(36).collect::<String>());
        let level = LEVELS.iter().position(|level| front.contains(level));
        match level {
            Some(level) => self.lines[level] += 1,
            None => self.others += 1,
        }
        self.cannot_accept += u64::from(line.contains("cannot accept connections"));
        if matches!(level, Some(0) | None) && self.bad.len() < KEPT {
            self.bad.push(line.to_owned());
        }
    }
}

/// The program while it serves, until dropped.
pub struct Program {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<Log>>,
    config: PathBuf,
}

impl Program {
    /// Starts `hybridge serve` with this configuration under these limits, and waits until it listens.
    pub fn serve(config: &str, limits: Limits) -> Program {
        let name = format!("{}-{:?}.toml", std::process::id(), thread::current().id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, config).expect("a file can be written");
        // A process can lower its own limits alone, and the shell is the one that says how.
        let mut process = Command::new("sh")
            .args(["-c", "ulimit -n \"$1\" && ulimit -v \"$2\" && exec \"$0\" serve --config \"$3\""])
            .arg(env!("CARGO_BIN_EXE_hybridge"))
            .args([limits.files.to_string(), limits.address_space.to_string()])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let log = Arc::<Mutex<Log>>::default();
        let (stderr, told) = (process.stderr.take().expect("a pipe"), Arc::clone(&log));
        thread::spawn(move || read(stderr, &told));
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it prints a line");
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next()?.parse().ok());
        let Some(address) = address else {
            panic!("it says {line:?}, and {:?}", log.lock().map(|log| log.bad.clone()))
        };
        Program { process, address, log, config: file }
    }

    /// What its log said so far.
    pub fn log(&self) -> Log {
        self.counted().clone()
    }

    fn counted(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends it a signal; whether that could be done.
    pub fn signal(&self, name: &str) -> bool {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        sent.is_ok_and(|status| status.success())
    }

    /// How it ended and after how long, unless it does not within `patience`.
    pub fn ended(&mut self, patience: Duration) -> Option<(ExitStatus, Duration)> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.process.try_wait().expect("it can be waited for") {
                return Some((status, begun.elapsed()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Whether it is still there.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().expect("it can be waited for").is_none()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap_or_default()
    }

    /// The memory that is its own and no file's: heap and stacks, in KiB. What it has of its own file comes and goes with
    /// the system's need, and with others that run the same one.
    pub fn memory(&self) -> u64 {
        number(&self.proc("status"), "RssAnon:").unwrap_or(0)
    }

    /// The most memory that it ever held, and the most address space, in KiB.
    pub fn peaks(&self) -> (u64, u64) {
        let status = self.proc("status");
        (number(&status, "VmHWM:").unwrap_or(0), number(&status, "VmPeak:").unwrap_or(0))
    }

    /// How many threads it has.
    pub fn threads(&self) -> u64 {
        number(&self.proc("status"), "Threads:").unwrap_or(0)
    }

    /// The inodes of what its descriptors are, as /proc writes them.
    fn descriptors_as_links(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.process.id())) else { return Vec::new() };
        let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// How many descriptors it has.
    pub fn descriptors(&self) -> u64 {
        self.descriptors_as_links().len() as u64
    }

    /// How many of the TCP sockets in its network are its own. A socket that it has closed is nobody's any more.
    pub fn sockets(&self) -> u64 {
        let own = self.descriptors_as_links();
        let own: std::collections::HashSet<&str> =
            own.iter().filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']')).collect();
        let tables = [self.proc("net/tcp"), self.proc("net/tcp6")];
        let inodes = tables.iter().flat_map(|table| table.lines().skip(1));
        inodes.filter_map(|line| line.split_whitespace().nth(9)).filter(|inode| own.contains(inode)).count() as u64
    }

    /// The processor time that it has used.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The name in brackets may hold blanks; the user's and the system's time are the 12th and 13th field behind it.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        // USER_HZ is 100 on every Linux that Rust runs on.
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.config);
    }
}

/// Counts the lines of a log, and keeps none but some that should not be there.
fn read(stderr: ChildStderr, log: &Mutex<Log>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        log.lock().unwrap_or_else(PoisonError::into_inner).note(&String::from_utf8_lossy(&line));
    }
}

/// The number behind a name in the tables of /proc.
fn number(table: &str, name: &str) -> Option<u64> {
    table.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// The hard limit of open files, which is this process's own from now on.
pub fn raise_file_limit() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024)
}
