//! An open connection from the client's end: what is said, what is heard, and how it ends. It owns no socket and no
//! clock; `pump` has both.

use std::io;

use hybridge::dialect::any::AnyCodec;
use hybridge::event::{Chunk, Close, Closing, Codec, Event, Kind, Payload, ProtocolError, Rest, code};
use hybridge::proxy::Fresh;

use super::lines::Piece;
use super::print::{self, Messages, Trace, Voice};

/// How a connection ended.
#[derive(Debug)]
pub enum Ending {
    /// The closing handshake was performed; hixie-75 has only the end of the stream. The server's code and reason.
    Closed(Option<u16>, String),
    /// The server ended its stream without a close, though the dialect has one.
    Unclosed,
    /// The server ended its stream inside a message.
    CutShort,
    /// The connection broke.
    Lost(io::Error),
    /// The server did not answer our close in time.
    Unanswered,
    /// The server broke a rule.
    Broke(ProtocolError),
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Both may speak.
    Open,
    /// We have closed, and wait for the server.
    Closing,
    /// Both have closed, or one has nothing more to say that counts: the stream's end is awaited, for a moment.
    Leaving,
    /// The server's stream has ended.
    Over,
}

/// What the session prints and when it has heard enough.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How lines are sent.
    pub kind: Kind,
    /// Binary messages are printed as they are.
    pub raw: bool,
    /// After so many messages it closes.
    pub count: Option<u64>,
    /// What is shown on stderr.
    pub trace: Trace,
}

/// An open connection.
pub struct Session {
    codec: AnyCodec,
    habits: Habits,
    messages: Messages,
    /// Read, and not yet understood.
    pub unread: Vec<u8>,
    /// To be written to the server.
    pub out: Vec<u8>,
    /// To be written to stdout.
    pub shown: Vec<u8>,
    /// We have closed.
    told: bool,
    /// Our stream is to end once all is written.
    pub ends: bool,
    /// The server's stream has ended.
    over: bool,
    heard: Option<Ending>,
}

impl Session {
    /// A connection whose opening handshake is done; `early` came with it.
    pub fn new(codec: AnyCodec, habits: Habits, early: Vec<u8>) -> Session {
        Session {
            codec,
            messages: Messages::new(habits.raw),
            habits,
            unread: early,
            out: Vec::new(),
            shown: Vec::new(),
            told: false,
            ends: false,
            over: false,
            heard: None,
        }
    }

    /// How far the end has come.
    pub fn phase(&self) -> Phase {
        // Whoever closes by ending the stream waits for no answer; only what was on its way may still come.
        let brief = self.told && self.codec.closing() == Closing::Stream;
        match (self.over, &self.heard, self.told) {
            (true, ..) => Phase::Over,
            (false, None, false) => Phase::Open,
            (false, None, true) if !brief => Phase::Closing,
            _ => Phase::Leaving,
        }
    }

    /// Whether nothing more than the rest of a half-written frame may be said.
    pub fn has_closed(&self) -> bool {
        self.told
    }

    /// Says a piece of a message.
    pub fn says(&mut self, piece: &Piece) {
        let rest = if piece.ends { Rest::End } else { Rest::More };
        let opens = piece.opens.then_some(self.habits.kind);
        self.encode(&Event::Data(Chunk { opens, rsv: 0, payload: Payload::plain(&piece.bytes), rest }));
    }

    /// Whether the dialect had words for it.
    fn encode(&mut self, event: &Event<'_>) -> bool {
        let start = self.out.len();
        let said = self.codec.encode(event, &mut self.out, &mut Fresh).is_ok();
        if said {
            self.habits.trace.frame(Voice::Us, &self.out[start..], event);
        }
        said
    }

    /// Closes, as the dialect does; nothing can be said after it.
    pub fn close(&mut self, close: &Close<'_>) {
        if self.told {
            return;
        }
        self.told = true;
        let close = if self.codec.closing() == Closing::Code { *close } else { Close::EMPTY };
        // A text of hixie that is half written cannot be interrupted: what is cut short must not look whole.
        if self.codec.mid_frame() || !self.encode(&Event::Close(close)) {
            self.habits.trace.note("our stream ends");
            self.ends = true;
        }
    }

    /// Takes what was read.
    pub fn hears(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let mut input = &unread[..];
        while self.heard.is_none() {
            let before = input;
            match self.codec.decode(&mut input) {
                Ok(Some(event)) => {
                    self.habits.trace.frame(Voice::Server, &before[..before.len() - input.len()], &event);
                    self.hear(&event);
                }
                Ok(None) => break,
                Err(rule) => self.broke(rule),
            }
        }
        // After a close or a broken rule nothing more counts.
        let left = if self.heard.is_none() { input.len() } else { 0 };
        self.unread = unread;
        self.unread.drain(..self.unread.len() - left);
    }

    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Data(chunk) => {
                if self.has_enough() {
                    return;
                }
                self.messages.take(chunk, &mut self.shown);
                if self.has_enough() {
                    self.close(&Close::with(code::NORMAL));
                }
            }
            Event::Ping(payload) if !self.told => {
                self.encode(&Event::Pong(*payload));
            }
            Event::Ping(_) | Event::Pong(_) => {}
            Event::Close(close) => {
                self.close(&Close { code: close.code, ..Close::EMPTY });
                // hixie-76 §5.3: who closed first ends TCP when it is answered.
                self.ends |= self.codec.closing() == Closing::Frame;
                self.heard = Some(Ending::Closed(close.code, print::reason(close)));
            }
        }
    }

    fn has_enough(&self) -> bool {
        self.habits.count.is_some_and(|count| self.messages.complete >= count)
    }

    fn broke(&mut self, rule: ProtocolError) {
        self.close(&Close::with(rule.close_code()));
        self.ends = true;
        self.heard = Some(Ending::Broke(rule));
    }

    /// The server's stream has ended.
    pub fn ended(&mut self) {
        self.habits.trace.note("the server's stream ended");
        let cut = self.messages.unfinished || !self.unread.is_empty();
        let ending = match self.codec.closing() {
            _ if cut => Ending::CutShort,
            Closing::Stream => Ending::Closed(None, String::new()),
            Closing::Frame | Closing::Code => Ending::Unclosed,
        };
        self.over(ending);
    }

    /// The connection broke.
    pub fn lost(&mut self, error: io::Error) {
        self.habits.trace.note(&format!("the connection broke: {error}"));
        self.over(Ending::Lost(error));
    }

    /// The server takes nothing more: what it has said is still heard.
    pub fn abandoned(&mut self) {
        self.told = true;
    }

    /// Nobody reads what it says: it is not printed any more, and there is no use in staying.
    pub fn muted(&mut self) {
        self.shown.clear();
        self.habits.count = Some(0);
        self.messages.unfinished = false;
        self.close(&Close::with(code::NORMAL));
    }

    /// The time is over.
    pub fn expired(&mut self) {
        let ending = match self.codec.closing() {
            Closing::Stream => Ending::Closed(None, String::new()),
            Closing::Frame | Closing::Code => Ending::Unanswered,
        };
        self.over(ending);
    }

    fn over(&mut self, ending: Ending) {
        self.over = true;
        self.told = true;
        self.ends = true;
        self.heard.get_or_insert(ending);
    }

    /// How it ended.
    pub fn ending(self) -> Ending {
        self.heard.unwrap_or(Ending::Unanswered)
    }
}
