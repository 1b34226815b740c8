//! The loop between socket, stdin, stdout, clock and signals.

use std::io;
use std::time::Duration;

use hybridge::event::{Close, code};
use hybridge::proxy::stream::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::lines::Input;
use super::print::{Printer, Trace};
use super::session::{Phase, Session};

/// Bytes read at a time.
const READ: usize = 64 << 10;
/// While so many bytes wait for the server, stdin does too.
const FULL: usize = 64 << 10;
/// While so many wait, so does the server: it pings, and does not take the pongs.
const OVERFULL: usize = 1 << 20;
/// How long the end of TCP is awaited once both have closed (RFC 6455 §7.1.1: the server ends it first).
const LEAVE: Duration = Duration::from_secs(2);

/// SIGINT and SIGTERM.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they do not end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub fn catch() -> io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next one, as the exit code of a process that it ends.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
        }
    }
}

/// What the loop is told.
pub struct Patience {
    /// For the server's answer to our close.
    pub close: Duration,
    /// After stdin's end: listen on for so long, or until the session has heard enough; `None` closes at once.
    pub linger: Option<Linger>,
}

/// How long to listen after stdin's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// So long.
    For(Duration),
    /// Until the session or the server closes.
    Ever,
}

/// Why stdin came to a bad end.
#[derive(Debug)]
pub enum BadInput {
    /// The line of this number is not UTF-8.
    NotUtf8(u64),
    /// It cannot be read.
    Failed(io::Error),
}

/// What the loop has seen besides the session's ending.
#[derive(Debug, Default)]
pub struct Seen {
    /// What was wrong with stdin.
    pub bad_input: Option<BadInput>,
    /// A second signal: its exit code.
    pub killed: Option<u8>,
}

/// The ends of everything.
pub struct Pump<'p> {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    stdin: mpsc::Receiver<Input>,
    printer: &'p Printer,
    signals: &'p mut Signals,
    trace: Trace,
    patience: Patience,
    /// Everything of stdin was taken.
    input_ended: bool,
    /// Bytes were written that may still be held by TLS.
    unflushed: bool,
    /// Our stream takes no more.
    shut: bool,
    /// Nobody reads stdout any more.
    unread: bool,
    /// A signal has come.
    signalled: bool,
    /// When waiting ends, and for what.
    deadline: Option<(Wait, Instant)>,
    /// Since when stdout has taken nothing of what waits for it.
    stalled: Option<Instant>,
    seen: Seen,
}

/// What has been done for our direction.
enum Onward {
    /// So many bytes were written.
    Written(usize),
    /// Nothing of what was written is held back.
    Flushed,
    /// The stream has ended.
    Shut,
}

/// Does the next thing: writes, then flushes, then ends the stream. Giving up the wait loses nothing.
async fn onward(writer: &mut WriteHalf<Stream>, out: &[u8], unflushed: bool) -> io::Result<Onward> {
    if !out.is_empty() {
        return match writer.write(out).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(Onward::Written(written)),
        };
    }
    if unflushed {
        return writer.flush().await.map(|()| Onward::Flushed);
    }
    writer.shutdown().await.map(|()| Onward::Shut)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Input,
    Phase(Phase),
}

impl<'p> Pump<'p> {
    /// Everything connected.
    pub fn new(
        stream: Stream,
        stdin: mpsc::Receiver<Input>,
        printer: &'p Printer,
        signals: &'p mut Signals,
        trace: Trace,
        patience: Patience,
    ) -> Pump<'p> {
        let (reader, writer) = tokio::io::split(stream);
        Pump {
            reader,
            writer,
            stdin,
            printer,
            signals,
            trace,
            patience,
            input_ended: false,
            unflushed: false,
            shut: false,
            unread: false,
            signalled: false,
            deadline: None,
            stalled: None,
            seen: Seen::default(),
        }
    }

    /// Runs until the connection is over.
    pub async fn run(mut self, session: &mut Session) -> Seen {
        session.hears();
        while !self.is_done(session) {
            self.keep_time(session);
            self.step(session).await;
            if self.seen.killed.is_some() {
                return self.seen;
            }
        }
        // TLS tells that we are done; whether anybody still listens is of no importance.
        if !self.shut {
            let _ = timeout(LEAVE, self.writer.shutdown()).await;
        }
        self.seen
    }

    /// Nothing more is to come, and what is still to go cannot or has gone.
    fn is_done(&self, session: &Session) -> bool {
        session.phase() == Phase::Over && (self.shut || session.out.is_empty()) && session.shown.is_empty()
    }

    fn keep_time(&mut self, session: &Session) {
        let wait = match session.phase() {
            Phase::Open if self.input_ended => Wait::Input,
            phase => Wait::Phase(phase),
        };
        if self.deadline.is_some_and(|(awaited, _)| awaited == wait) {
            return;
        }
        let patience = match (wait, self.patience.linger) {
            (Wait::Input, Some(Linger::For(time))) => Some(time),
            (Wait::Phase(Phase::Closing), _) => Some(self.patience.close),
            (Wait::Phase(Phase::Leaving | Phase::Over), _) => Some(LEAVE.min(self.patience.close)),
            _ => None,
        };
        self.deadline = patience.map(|patience| (wait, Instant::now() + patience));
    }

    async fn step(&mut self, session: &mut Session) {
        // What stdout does not take is not held against the server, unless we were told to go.
        let stalled = !session.shown.is_empty();
        let ticking = self.deadline.filter(|_| !stalled || self.signalled);
        let over = session.phase() == Phase::Over;
        let writes = !self.shut && (self.unflushed || session.ends || !session.out.is_empty());
        session.unread.reserve(READ);
        tokio::select! {
            read = self.reader.read_buf(&mut session.unread),
                if !over && !stalled && session.out.len() < OVERFULL => match read {
                Ok(0) => session.ended(),
                Ok(_) => session.hears(),
                // TLS without its farewell. The frames say whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.trace.note("the server left without a TLS close_notify");
                    session.ended();
                }
                Err(error) => session.lost(error),
            },
            went = onward(&mut self.writer, &session.out, self.unflushed), if writes => match went {
                Ok(Onward::Written(written)) => {
                    session.out.drain(..written);
                    self.unflushed = true;
                }
                Ok(Onward::Flushed) => self.unflushed = false,
                Ok(Onward::Shut) => self.shut = true,
                // What it said before that may still be here to be read.
                Err(_) => self.abandon(session),
            },
            Ok(room) = self.printer.sender.reserve(), if stalled => {
                room.send(std::mem::take(&mut session.shown));
                self.taken();
            }
            () = self.printer.sender.closed(), if !self.unread => {
                self.trace.note("nobody reads stdout any more");
                self.unread = true;
                session.muted();
            }
            input = self.stdin.recv(), if !self.input_ended && session.out.len() < FULL => self.take(input, session),
            exit = self.signals.next() => self.told_to_go(exit, session),
            () = sleep_until(ticking.map_or_else(Instant::now, |(_, at)| at)), if ticking.is_some() => {
                self.give_up(session);
            }
        }
        if !session.shown.is_empty() && self.stalled.is_none() {
            self.stalled = Some(Instant::now());
        }
        // What is read from stdin after we have closed is of no use.
        self.input_ended |= session.has_closed();
    }

    fn abandon(&mut self, session: &mut Session) {
        self.trace.note("the server takes nothing more");
        session.out.clear();
        session.abandoned();
        (self.shut, self.unflushed) = (true, false);
    }

    /// stdout has taken what waited for it. The time that took is not the server's.
    fn taken(&mut self) {
        let since = self.stalled.take().unwrap_or_else(Instant::now);
        if let Some((_, at)) = &mut self.deadline {
            *at += since.elapsed();
        }
    }

    fn take(&mut self, input: Option<Input>, session: &mut Session) {
        match input {
            Some(Input::Piece(piece)) => return session.says(&piece),
            Some(Input::NotUtf8(line)) => self.seen.bad_input = Some(BadInput::NotUtf8(line)),
            Some(Input::Failed(error)) => self.seen.bad_input = Some(BadInput::Failed(error)),
            None => {}
        }
        self.input_ended = true;
        if self.seen.bad_input.is_some() {
            session.close(&Close::with(code::GOING_AWAY));
        } else if self.patience.linger.is_none() {
            session.close(&Close::with(code::NORMAL));
        }
    }

    fn told_to_go(&mut self, exit: u8, session: &mut Session) {
        if self.signalled {
            self.seen.killed = Some(exit);
        }
        self.signalled = true;
        session.close(&Close::with(code::GOING_AWAY));
    }

    fn give_up(&mut self, session: &mut Session) {
        match session.phase() {
            Phase::Open => session.close(&Close::with(code::NORMAL)),
            Phase::Closing | Phase::Leaving => session.expired(),
            Phase::Over => {
                // What could not be written by now never will be.
                session.out.clear();
                session.muted();
                self.shut = true;
            }
        }
    }
}
