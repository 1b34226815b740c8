//! Where recordings are written: a thread of its own, so that no connection ever waits for a disk.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use hybridge::conversation::Side;
use hybridge::recording::{Manner, Meeting, Moment, Scribe};
use hybridge::transcript::Ending;
use tracing::info;

use super::page::Page;

/// The most bytes that wait to be written, of all connections and of one. What is more is missing in the recordings.
const MOST_WAITING: usize = 64 << 20;
const MOST_OF_ONE: usize = 16 << 20;
/// What a segment takes beside its bytes.
const OVERHEAD: usize = 256;

/// What a connection tells the writer.
enum Told {
    Begins(Meeting, Arc<Budget>),
    Segment(Side, Vec<u8>),
    Lost(Side, u64),
    Ended(Side, Ending),
    Note(String),
    Over,
}

/// How much of a connection waits to be written.
#[derive(Default)]
struct Budget {
    waiting: AtomicUsize,
    /// Nothing more of it is recorded.
    full: AtomicBool,
}

type Message = (u64, Moment, Told);

/// Takes down connections.
pub struct Desk {
    messages: Sender<Message>,
    writer: JoinHandle<()>,
    waiting: Arc<AtomicUsize>,
    server: String,
    clock: Clock,
    next: Cell<u64>,
}

/// The time of day when the desk opened, and a clock that nobody sets since.
#[derive(Clone, Copy)]
struct Clock(Moment, Instant);

impl Clock {
    fn now(self) -> Moment {
        Moment(self.0.0 + self.1.elapsed())
    }
}

impl Desk {
    /// Opens it; the recordings go into this folder.
    pub fn open(folder: PathBuf, manner: Manner, server: String) -> io::Result<Desk> {
        let (messages, told) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer { folder, manner, waiting: Arc::clone(&waiting), open: HashMap::new() };
        let writer = thread::Builder::new().name("recordings".into()).spawn(move || writer.run(&told))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let clock = Clock(Moment(now), Instant::now());
        Ok(Desk { messages, writer, waiting, server, clock, next: Cell::new(0) })
    }

    /// A client has connected.
    pub fn begin(&self, client: SocketAddr) -> Ink {
        let number = self.next.replace(self.next.get() + 1);
        let budget = Arc::new(Budget::default());
        let meeting = Meeting { began: self.clock.now(), client, server: self.server.clone() };
        let ink = Ink {
            number,
            messages: self.messages.clone(),
            all: Arc::clone(&self.waiting),
            own: Arc::clone(&budget),
            missing: Default::default(),
            clock: self.clock,
            finished: AtomicBool::new(false),
        };
        ink.tell(Told::Begins(meeting, budget));
        ink
    }

    /// Writes what is left; every connection is over.
    pub fn close(self) {
        drop(self.messages);
        // A writer that panicked has said why.
        let _ = self.writer.join();
    }
}

/// What a connection writes with. Nothing here waits.
pub struct Ink {
    number: u64,
    messages: Sender<Message>,
    all: Arc<AtomicUsize>,
    own: Arc<Budget>,
    /// Bytes of the client and of the server that there was no room for.
    missing: [AtomicU64; 2],
    clock: Clock,
    finished: AtomicBool,
}

impl Ink {
    /// A side sent these bytes.
    pub fn segment(&self, side: Side, bytes: &[u8]) {
        if self.own.full.load(Ordering::Relaxed) {
            return;
        }
        let cost = bytes.len() + OVERHEAD;
        let missing = &self.missing[usize::from(side == Side::Upstream)];
        if self.all.load(Ordering::Relaxed) + cost > MOST_WAITING
            || self.own.waiting.load(Ordering::Relaxed) + cost > MOST_OF_ONE
        {
            missing.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return;
        }
        self.tell_missing();
        self.all.fetch_add(cost, Ordering::Relaxed);
        self.own.waiting.fetch_add(cost, Ordering::Relaxed);
        self.tell(Told::Segment(side, bytes.to_vec()));
    }

    /// A side's stream ended.
    pub fn ended(&self, side: Side, ending: Ending) {
        self.tell_missing();
        self.tell(Told::Ended(side, ending));
    }

    /// Words for people.
    pub fn note(&self, text: &str) {
        self.tell(Told::Note(text.to_owned()));
    }

    /// The connection is over, and not because the recorder was told to stop.
    pub fn finished(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    fn tell_missing(&self) {
        for (side, missing) in [Side::Downstream, Side::Upstream].into_iter().zip(&self.missing) {
            let bytes = missing.swap(0, Ordering::Relaxed);
            if bytes > 0 {
                self.tell(Told::Lost(side, bytes));
            }
        }
    }

    fn tell(&self, what: Told) {
        // Without a writer there is nobody left to hear it; the bytes pass on.
        let _ = self.messages.send((self.number, self.clock.now(), what));
    }
}

impl Drop for Ink {
    fn drop(&mut self) {
        self.tell_missing();
        if !self.finished.load(Ordering::Relaxed) {
            self.note("the recorder was told to stop");
        }
        self.tell(Told::Over);
    }
}

/// The thread that writes.
struct Writer {
    folder: PathBuf,
    manner: Manner,
    waiting: Arc<AtomicUsize>,
    open: HashMap<u64, Recording>,
}

struct Recording {
    scribe: Scribe,
    page: Page,
    budget: Arc<Budget>,
    began: Moment,
    client: SocketAddr,
}

impl Writer {
    fn run(mut self, told: &Receiver<Message>) {
        for (number, at, what) in told {
            self.write(number, at, what);
        }
    }

    fn write(&mut self, number: u64, at: Moment, what: Told) {
        if let Told::Begins(meeting, budget) = what {
            let (began, client) = (meeting.began, meeting.client);
            let scribe = Scribe::new(meeting, self.manner, false);
            self.open.insert(number, Recording { scribe, page: Page::new(&self.folder), budget, began, client });
            return;
        }
        if matches!(what, Told::Over) {
            if let Some(recording) = self.open.remove(&number) {
                recording.close(at);
            }
            return;
        }
        let Some(recording) = self.open.get_mut(&number) else { return };
        let Recording { scribe, page, budget, .. } = recording;
        match what {
            Told::Segment(side, bytes) => {
                let cost = bytes.len() + OVERHEAD;
                scribe.segment(at, side, &bytes);
                page.update(scribe);
                self.waiting.fetch_sub(cost, Ordering::Relaxed);
                budget.waiting.fetch_sub(cost, Ordering::Relaxed);
                if scribe.is_full() || page.is_broken() {
                    budget.full.store(true, Ordering::Relaxed);
                }
            }
            Told::Lost(side, bytes) => scribe.lost(at, side, bytes, "they came faster than they could be written"),
            Told::Ended(side, ending) => scribe.ended(at, side, ending),
            Told::Note(text) => scribe.note(at, &text),
            Told::Begins(..) | Told::Over => {}
        }
        page.update(scribe);
    }
}

impl Recording {
    fn close(mut self, at: Moment) {
        self.scribe.finish();
        self.page.update(&mut self.scribe);
        let [client_bytes, server_bytes] = self.scribe.passed();
        let ms = at.0.saturating_sub(self.began.0).as_millis();
        let taken = self.scribe.taken().map(ToString::to_string).unwrap_or_default();
        info!(client = %self.client, ms, client_bytes, server_bytes, file = %self.page.name(), "recorded {taken}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_keep_up_costs_bytes_of_the_recording_and_no_memory() {
        let (messages, told) = channel();
        let ink = Ink {
            number: 0,
            messages,
            all: Arc::default(),
            own: Arc::default(),
            missing: Default::default(),
            clock: Clock(Moment::default(), Instant::now()),
            finished: AtomicBool::new(true),
        };
        let passed = 3 * MOST_OF_ONE / 1000;
        for _ in 0..passed {
            ink.segment(Side::Upstream, &[0; 1000]);
        }
        drop(ink);
        let (mut kept, mut missing) = (0, 0);
        for (_, _, what) in told {
            match what {
                Told::Segment(Side::Upstream, bytes) => kept += bytes.len(),
                Told::Lost(Side::Upstream, bytes) => missing += bytes as usize,
                _ => {}
            }
        }
        assert_eq!(kept + missing, passed * 1000);
        assert!(kept <= MOST_OF_ONE && kept > MOST_OF_ONE / 2, "{kept}");
    }
}
