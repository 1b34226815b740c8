//! From what passed between a client and a server to the lines of a play, in order, with their times.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use super::heads::{Heads, begins_a_head};
use super::taken::{Meeting, Moment, Taken};
use crate::conversation::Side;
use crate::transcript::{Act, Ending};

/// The most bytes that are held until a line of a head ends, of both sides together.
const MOST_HELD: usize = 256 << 10;
/// The first bytes of a client that are kept until it is known what they are. `serve` reads no longer head.
const MOST_SNIFFED: usize = 32 << 10;
/// How much passes, at the most, before it is settled what the client is.
const MOST_UNSETTLED: u64 = 256 << 10;
/// The longest pause that one line of a play may have.
const LONGEST_PAUSE: u128 = 24 * 60 * 60 * 1000;
/// How many of them are believed.
const MOST_PAUSES: u128 = 30;

/// How to record.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Leave secrets as they are.
    pub keep_secrets: bool,
    /// The bytes of a connection after which its recording ends.
    pub max_bytes: u64,
}

/// Writes down one connection.
#[derive(Debug)]
pub struct Scribe {
    meeting: Meeting,
    manner: Manner,
    heads: Heads,
    /// What happened and is not written yet, for its bytes or those before it are still held.
    waiting: VecDeque<(Moment, Event)>,
    /// Until it is settled what the client is: its first bytes.
    sniffed: Option<Vec<u8>>,
    taken: Option<Taken>,
    /// Bytes that came from the client and from the server.
    passed: [u64; 2],
    full: bool,
    /// Milliseconds since the beginning, at the last line.
    clock: u128,
    /// Whose segment was written last, unless something else was since.
    last: Option<Side>,
    written: String,
}

#[derive(Debug)]
enum Event {
    Segment(Side, usize),
    Ended(Side, Ending),
    Note(String),
}

impl Scribe {
    /// Begins to write. `inside`: the connection was not seen from its beginning.
    pub fn new(meeting: Meeting, manner: Manner, inside: bool) -> Scribe {
        Scribe {
            meeting,
            manner,
            heads: Heads::new(manner.keep_secrets, inside),
            waiting: VecDeque::new(),
            sniffed: (!inside).then(Vec::new),
            taken: inside.then_some(Taken::Inside),
            passed: [0; 2],
            full: false,
            clock: 0,
            last: None,
            written: String::new(),
        }
    }

    /// A side sent these bytes, read at once.
    pub fn segment(&mut self, at: Moment, side: Side, bytes: &[u8]) {
        if self.full || bytes.is_empty() {
            return;
        }
        let room = self.manner.max_bytes - self.passed.iter().sum::<u64>();
        let kept = &bytes[..usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len())];
        if kept.is_empty() {
            return self.end_full(at);
        }
        if self.taken == Some(Taken::Inside) && side == Side::Downstream && self.passed[0] == 0 && begins_a_head(kept) {
            // Only its beginning without bytes was not seen.
            (self.taken, self.sniffed) = (None, Some(Vec::new()));
        }
        self.passed[index(side)] += kept.len() as u64;
        self.sniff(side, kept);
        self.heads.push(side, kept);
        if let Some(head) = self.heads.request() {
            self.later_opening(at, &head);
        }
        self.waiting.push_back((at, Event::Segment(side, kept.len())));
        if self.heads.in_hand() > MOST_HELD {
            self.release();
        }
        self.write();
        if kept.len() < bytes.len() {
            self.end_full(at);
        }
    }

    /// So many bytes of a side passed that were not seen, or could not be kept; `why` says which.
    pub fn lost(&mut self, at: Moment, side: Side, bytes: u64, why: &str) {
        if self.full {
            return;
        }
        self.heads.lost(side, bytes);
        if side == Side::Downstream {
            // What the client is can only be told from its first bytes.
            self.sniffed = None;
            let so_far = if self.passed[0] == 0 { Taken::Inside } else { Taken::Unfinished };
            self.taken.get_or_insert(so_far);
        }
        self.waiting.push_back((at, Event::Note(format!("{bytes} bytes from the {} are missing: {why}", name(side)))));
        self.write();
    }

    /// A side's stream ended.
    pub fn ended(&mut self, at: Moment, side: Side, ending: Ending) {
        if self.full {
            return;
        }
        self.heads.release(side);
        self.waiting.push_back((at, Event::Ended(side, ending)));
        self.write();
    }

    /// Words for people.
    pub fn note(&mut self, at: Moment, text: &str) {
        if !self.full {
            self.waiting.push_back((at, Event::Note(text.escape_debug().to_string())));
            self.write();
        }
    }

    /// Nothing more is coming: what was held is written, and what the client is settled.
    pub fn finish(&mut self) {
        self.release();
        self.write();
        self.settle();
    }

    /// What the client was taken for; `None` while more bytes could tell.
    pub fn taken(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    /// The play's first comment and the name of its file, without an ending. Both may change until it is known what the
    /// client is taken for.
    pub fn heading(&self) -> (String, String) {
        let taken = self.taken.clone().unwrap_or(self.so_far());
        (Act::Comment(self.meeting.title(&taken)).to_string(), self.meeting.file_name(&taken))
    }

    /// The lines written since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.written)
    }

    /// Whether so much was written that the recording ended.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes recorded, of the client and of the server.
    pub fn passed(&self) -> [u64; 2] {
        self.passed
    }

    fn so_far(&self) -> Taken {
        if self.passed[0] == 0 { Taken::Silent } else { Taken::Unfinished }
    }

    fn settle(&mut self) {
        let so_far = self.so_far();
        self.taken.get_or_insert(so_far);
        self.sniffed = None;
    }

    fn sniff(&mut self, side: Side, bytes: &[u8]) {
        if let (Some(sniffed), Side::Downstream) = (&mut self.sniffed, side) {
            let room = MOST_SNIFFED - sniffed.len();
            sniffed.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if let Some(taken) = Taken::of(sniffed) {
                self.taken = Some(taken);
                self.sniffed = None;
            }
        }
        if self.sniffed.is_some() && self.passed.iter().sum::<u64>() > MOST_UNSETTLED {
            self.settle();
        }
    }

    /// A head that comes after others, or after another beginning, can be an opening handshake too.
    fn later_opening(&mut self, at: Moment, head: &[u8]) {
        match Taken::of(head) {
            Some(taken @ Taken::Client(_)) if self.taken.as_ref() != Some(&taken) => {
                self.waiting.push_back((at, Event::Note(format!("taken for {taken} from here on"))));
            }
            _ => {}
        }
    }

    fn release(&mut self) {
        self.heads.release(Side::Downstream);
        self.heads.release(Side::Upstream);
    }

    fn end_full(&mut self, at: Moment) {
        self.release();
        let most = self.manner.max_bytes;
        self.waiting.push_back((at, Event::Note(format!("{most} bytes are recorded, as many as --max-bytes allows"))));
        self.write();
        self.settle();
        self.full = true;
    }

    /// Writes what waits no longer.
    fn write(&mut self) {
        while let Some((_, event)) = self.waiting.front() {
            if let Event::Segment(side, bytes) = event
                && self.heads.clear(*side) < *bytes
            {
                return;
            }
            let Some((at, event)) = self.waiting.pop_front() else { return };
            self.pass_time(at, &event);
            match event {
                Event::Segment(side @ Side::Downstream, bytes) => {
                    let bytes = self.heads.fetch(side, bytes);
                    self.put(&Act::Says(side, bytes));
                }
                Event::Segment(side @ Side::Upstream, bytes) => {
                    let bytes = self.heads.fetch(side, bytes);
                    self.put(&Act::Hears(Side::Downstream, bytes));
                }
                Event::Ended(side @ Side::Downstream, ending) => self.put(&Act::Ends(side, ending)),
                Event::Ended(Side::Upstream, ending) => {
                    if ending == Ending::Reset {
                        self.put(&Act::Comment("the server broke the connection off".into()));
                    }
                    self.put(&Act::HearsEnd(Side::Downstream));
                }
                Event::Note(text) => self.put(&Act::Comment(text)),
            }
        }
    }

    /// Writes the time since the last line, if any passed, or if two segments would otherwise be one.
    fn pass_time(&mut self, at: Moment, event: &Event) {
        let now = at.0.saturating_sub(self.meeting.began.0).as_millis();
        let mut left = now.saturating_sub(self.clock);
        self.clock = self.clock.max(now);
        let side = match event {
            Event::Segment(side, _) => Some(*side),
            Event::Ended(..) => None,
            // Words do not keep segments apart for those who read bytes alone.
            Event::Note(_) => self.last,
        };
        let joins = matches!(event, Event::Segment(..)) && side == self.last;
        self.last = side;
        if left == 0 && !joins {
            return;
        }
        if left > MOST_PAUSES * LONGEST_PAUSE {
            // A clock was set, or a capture is damaged.
            self.put(&Act::Comment(format!("{} days passed, or so it seems", left / LONGEST_PAUSE)));
            left = LONGEST_PAUSE;
        }
        loop {
            let pause = left.min(LONGEST_PAUSE);
            self.put(&Act::Pause(Duration::from_millis(pause as u64)));
            left -= pause;
            if left == 0 {
                return;
            }
        }
    }

    fn put(&mut self, act: &Act) {
        // Writing to a string does not fail.
        let _ = write!(self.written, "{act}");
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Downstream => 0,
        Side::Upstream => 1,
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Downstream => "client",
        Side::Upstream => "server",
    }
}
