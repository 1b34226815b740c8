//! One run: a rehearsal, so that memory has something to be compared with, the load, and the end.

use std::cell::{Cell, RefCell};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, interval, sleep, timeout};

use crate::Options;
use crate::client::{Idle, play};
use crate::ledger::{Ledger, all_kinds};
use crate::outcome::Outcome;
use crate::plan::{Plan, Side};
use crate::program::{Limits, Program, raise_file_limit};
use crate::report::{Checks, NOISE, Rise, Sample};

/// Descriptors that the program needs for itself.
const OWN_FILES: u64 = 64;
/// Address space, in KiB: the threads' stacks and the allocator's reserve take most of it.
const ADDRESS_SPACE: u64 = 1 << 20;
/// Idle connections that are opened at a time.
const AT_A_TIME: usize = 64;
/// Idle connections that are still open when the program is told to stop.
const LAST: usize = 20;
/// How long things may take that should happen at once.
const SETTLE: Duration = Duration::from_secs(15);
/// Shutting down may take `timeouts.close` and a second, says the program.
const SHUTDOWN: Duration = Duration::from_secs(6);

/// The other process, which ends with its stdin.
struct Backend {
    process: Child,
    address: SocketAddr,
    lines: UnboundedReceiver<String>,
}

impl Backend {
    fn start(seed: u64) -> Backend {
        let program = std::env::current_exe().expect("this program has a name");
        let mut process = Command::new(program)
            .args(["backend", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts once more");
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it says where it listens");
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Backend { process, address: line.trim().parse().expect("an address"), lines }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

struct Run<'o> {
    options: &'o Options,
    idle: usize,
    program: Program,
    ledger: Rc<RefCell<Ledger>>,
    next: Rc<Cell<u64>>,
    begun: Instant,
    samples: Vec<Sample>,
}

pub fn run(options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(whole(options)))
}

async fn whole(options: &Options) -> ExitCode {
    let mut checks = Checks::default();
    println!(
        "soak: seed {}, {} s, {} idle and {} busy connections wanted",
        options.seed,
        options.time.as_secs(),
        options.idle,
        options.active
    );
    let (limits, idle) = afford(options, raise_file_limit());
    checks.check(
        "some idle connections can be had",
        idle > 0,
        &format!("{idle} of {}, under {limits:?}", options.idle),
    );
    let ledger = Rc::new(RefCell::new(Ledger::new(options.seed)));
    let mut backend = Backend::start(options.seed);
    let mut lines = std::mem::replace(&mut backend.lines, unbounded_channel().1);
    let books = Rc::clone(&ledger);
    spawn_local(async move {
        while let Some(line) = lines.recv().await {
            match Outcome::from_line(&line) {
                Some(outcome) => books.borrow_mut().enter(Side::Backend, outcome),
                None => books.borrow_mut().fault(line),
            }
        }
    });
    let program = Program::serve(&config(backend.address), limits);
    let (next, begun) = (Rc::new(Cell::new(options.from)), Instant::now());
    let mut run = Run { options, idle, program, ledger, next, begun, samples: Vec::new() };
    run.perform(&mut checks).await;
    run.account(&mut checks);
    checks.conclude()
}

fn config(backend: SocketAddr) -> String {
    // All is at its default but this: a machine that is busy otherwise may stop both ends for longer than 3 seconds, and
    // what a client has not read by then is lost with its connection.
    format!(
        "listen = [\"127.0.0.1:0\"]\n[timeouts]\nclose = \"20s\"\n[[route]]\nname = \"events\"\npath = \"/events\"\nupstream = \"sse+http://{backend}\"\n\
         [[route]]\nname = \"ws\"\nupstream = \"ws://{backend}\"\n"
    )
}

/// The limits of the program, and how many idle connections fit into them.
fn afford(options: &Options, hard: u64) -> (Limits, usize) {
    // Each proxied connection takes two, and one that is being closed is not yet gone when the next one comes.
    let spare = OWN_FILES + 3 * options.active as u64;
    let wanted = spare + 2 * options.idle as u64;
    let files = wanted.min(hard);
    let idle = options.idle.min((files.saturating_sub(spare) / 2) as usize);
    if idle < options.idle {
        println!(
            "only {idle} idle connections instead of {}: this machine allows a process {hard} open files, the busy \
             connections and the program itself take {spare}, and each idle connection 2",
            options.idle
        );
    }
    (Limits { files, address_space: ADDRESS_SPACE }, idle)
}

impl Run<'_> {
    async fn perform(&mut self, checks: &mut Checks) {
        // It says where it listens before all of its threads run.
        let first = Idle::open(self.program.address, 0).await.map(drop);
        checks.check("it serves", first.is_ok(), &format!("{first:?}"));
        sleep(Duration::from_millis(500)).await;
        let (before, listening) = (self.program.descriptors(), self.program.sockets());
        // The same peak as later, and then nothing: what memory comes back to.
        let rehearsal = (self.options.time / 6).clamp(Duration::from_secs(2), Duration::from_secs(30));
        let rehearsed = self.open_idle().await;
        self.load(rehearsal).await;
        drop(rehearsed);
        let back = self.descriptors_are(before).await;
        checks.check("after a rehearsal, descriptors are back", back, &self.descriptors_against(before));
        sleep(Duration::from_secs(1)).await;
        let rest = self.program.memory();

        let mut idle = self.open_idle().await;
        let opened = format!("{} of {}", idle.len(), self.idle);
        checks.check("idle connections are open", idle.len() == self.idle, &opened);
        self.samples.clear();
        self.load(self.options.time).await;
        self.check_samples(checks);

        let mut works = 0;
        for connection in &mut idle {
            match connection.still_works().await {
                Ok(()) => works += 1,
                Err(fault) => self.ledger.borrow_mut().fault(format!("an idle connection: {fault}")),
            }
        }
        checks.check("each idle connection still works", works == self.idle, &format!("{works} of {}", self.idle));

        drop(idle.split_off(LAST.min(idle.len())));
        let last = before + 2 * idle.len() as u64;
        let back = self.descriptors_are(last).await;
        checks.check("after the load, descriptors are back", back, &self.descriptors_against(last));
        let (sockets, due) = (self.program.sockets(), listening + 2 * idle.len() as u64);
        checks.check("and so are TCP sockets", sockets == due, &format!("{sockets}, {due} due"));
        sleep(Duration::from_secs(1)).await;
        let after = self.program.memory();
        let holds = (after as f64) < rest as f64 * 1.05 + NOISE;
        let figures =
            format!("{after} KiB, {rest} KiB after the rehearsal of the same peak (5 % and {NOISE} KiB are let pass)");
        checks.check("memory is back", holds, &figures);
        self.stop(idle, checks).await;
    }

    async fn open_idle(&self) -> Vec<Idle> {
        let (mut open, mut opening, mut numbers) = (Vec::new(), JoinSet::new(), 0..self.idle);
        loop {
            while opening.len() < AT_A_TIME
                && let Some(number) = numbers.next()
            {
                opening.spawn_local(Idle::open(self.program.address, number));
            }
            match opening.join_next().await {
                None => return open,
                Some(Ok(Ok(idle))) => open.push(idle),
                Some(Ok(Err(fault))) => self.ledger.borrow_mut().fault(format!("an idle connection: {fault}")),
                Some(Err(panic)) => self.ledger.borrow_mut().fault(panic.to_string()),
            }
        }
    }

    /// Keeps so many connections busy for this long, and waits for the last.
    async fn load(&mut self, time: Duration) {
        let until = Instant::now() + time;
        let mut busy = JoinSet::new();
        for _ in 0..self.options.active {
            let (ledger, next, seed) = (Rc::clone(&self.ledger), Rc::clone(&self.next), self.options.seed);
            let address = self.program.address;
            busy.spawn_local(async move {
                while Instant::now() < until {
                    let plan = Plan::new(seed, next.replace(next.get() + 1));
                    let outcome = play(address, &plan).await;
                    ledger.borrow_mut().enter(Side::Client, outcome);
                }
            });
        }
        let mut ticks = interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                ended = busy.join_next() => match ended {
                    None => break,
                    Some(Err(panic)) => self.ledger.borrow_mut().fault(panic.to_string()),
                    Some(Ok(())) => {}
                },
                _ = ticks.tick(), if Instant::now() < until => self.sample(),
            }
        }
        // What the backend has to say of the last ones comes by another way.
        let _ = timeout(SETTLE, async {
            while self.ledger.borrow().open() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    fn sample(&mut self) {
        let sample = Sample {
            seconds: self.begun.elapsed().as_secs_f64(),
            memory: self.program.memory(),
            threads: self.program.threads(),
            descriptors: self.program.descriptors(),
        };
        // Long runs say that they live.
        if self.samples.len() % 30 == 29 {
            let ledger = self.ledger.borrow();
            println!("     {} connections so far, {} faults, {sample:?}", ledger.connections, ledger.faulty);
        }
        self.samples.push(sample);
    }

    async fn descriptors_are(&self, due: u64) -> bool {
        let waiting = timeout(SETTLE, async {
            while self.program.descriptors() != due {
                sleep(Duration::from_millis(50)).await;
            }
        });
        waiting.await.is_ok()
    }

    fn descriptors_against(&self, due: u64) -> String {
        format!("{}, {due} due", self.program.descriptors())
    }

    fn check_samples(&self, checks: &mut Checks) {
        let rise = Rise::over(&self.samples);
        let figures = format!(
            "{:+.2} % ({:+.0} KiB from {:.0} KiB) along the line of least squares through {} samples of its own \
             memory (RssAnon), a second apart, behind the first quarter; less than 1 % is due, or in less than a minute {NOISE} KiB",
            rise.percent(),
            rise.rise,
            rise.from,
            rise.samples
        );
        checks.check("memory does not rise", rise.is_none(), &figures);
        let range = |of: fn(&Sample) -> u64| {
            let values = || self.samples.iter().map(of);
            (values().min().unwrap_or(0), values().max().unwrap_or(0))
        };
        let (fewest, most) = range(|sample| sample.threads);
        checks.check("threads stay the same", fewest == most, &format!("{fewest} to {most}"));
        let (least, most) = range(|sample| sample.memory);
        let (fewest, open) = range(|sample| sample.descriptors);
        let (resident, space) = self.program.peaks();
        let gaps = self.samples.windows(2).map(|pair| pair[1].seconds - pair[0].seconds);
        println!(
            "     samples are at most {:.1} s apart: for longer, nothing held this process up",
            gaps.fold(0.0, f64::max)
        );
        println!(
            "     memory {least} to {most} KiB, at most {resident} resident and {space} of address space; descriptors \
             {fewest} to {open}"
        );
    }

    /// Tells the program to stop while some connections are open.
    async fn stop(&mut self, mut idle: Vec<Idle>, checks: &mut Checks) {
        let ears = async {
            let mut told = 0;
            for connection in &mut idle {
                told += usize::from(connection.is_told_to_go().await);
            }
            told
        };
        let signal = self.program.signal("TERM");
        let told = ears.await;
        let open = idle.len();
        drop(idle);
        checks.check("the last are told to go", signal && told == open, &format!("{told} of {open}"));
        let ended = self.program.ended(SHUTDOWN);
        let code = ended.and_then(|(status, _)| status.code());
        checks.check("SIGTERM ends it with 0", code == Some(0), &format!("{ended:?}"));
    }

    fn account(&mut self, checks: &mut Checks) {
        let log = self.program.log();
        let [errors, warnings, infos, ..] = log.lines;
        let figures = format!("{errors} errors, {warnings} warnings, {infos} infos, {} other lines", log.others);
        checks.check("the log has no error and no panic", errors + log.others == 0 && infos > 0, &figures);
        for line in log.bad {
            println!("     {line}");
        }
        let mut ledger = self.ledger.borrow_mut();
        ledger.close();
        let each = ledger.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join("; ");
        println!("     {} connections: {each}", ledger.connections);
        let seen = ledger.kinds.len();
        checks.check(
            "all kinds, dialects and endings occurred",
            seen == all_kinds(),
            &format!("{seen} of {}", all_kinds()),
        );
        for side in [Side::Client, Side::Backend] {
            println!("     the {side:?}s sent {}", ledger.said[side as usize]);
            println!("     and the other side heard {}", ledger.heard[side.other() as usize]);
        }
        checks.check("every message is accounted for", ledger.faulty == 0, &format!("{} faults", ledger.faulty));
        for fault in &ledger.faults {
            println!("     {fault}");
        }
    }
}
