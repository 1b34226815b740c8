//! Two codecs face to face: what one side says is decoded into events and encoded for the other at once.
//!
//! Here, and only here, it is settled what becomes of an event that the other side has no words for, and how a close
//! on one side becomes one on the other:
//!
//! | said by one side | the other side gets | and the sayer |
//! |---|---|---|
//! | ping, to a dialect without | nothing | the pong |
//! | pong, to a dialect without | nothing | nothing |
//! | binary, to a dialect of text (policy `close`) | its close | close 1003 |
//! | a message, to an upstream that only speaks | the end of the stream | close 1003 |
//! | close with a code (client) | the close | the other side's close, when it comes |
//! | close with a code (upstream) | its close | the answer at once |
//! | the closing frame of hixie-76 | close 1000 | the answer at once, and nothing after it |
//! | the end of the stream, between messages (client) | close 1001 | |
//! | the end of the stream, inside a message (client) | the end of the stream | |
//! | the end of the stream (upstream) | the end of the stream, or the close it waits for | |
//! | the end of the stream, to be resumed (upstream) | nothing | |
//! | the end of the stream, that cannot be resumed (upstream) | close 1011, 1013 or 1000 | |
//! | a broken rule | close 1001, or the end of the stream inside a frame | the close code that says so, once the other side has closed |
//!
//! It owns no socket, no clock, no randomness. The shell asks [`Conversation::finish`] what to do with each stream, keeps
//! the time, and says when it is over ([`Conversation::expired`]).

mod cause;
mod pass;

pub use self::cause::{Cause, Lost};
use self::pass::{Passed, Said, Terms, pass};
use crate::event::{Close, Closing, Codec, Event, Keys, ProtocolError, Resume, Undeliverable, code};

/// One end of the connection through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Downstream,
    /// The backend's.
    Upstream,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Downstream => Side::Upstream,
            Side::Upstream => Side::Downstream,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Downstream => "client",
            Side::Upstream => "upstream",
        })
    }
}

/// Bytes to be written, lent by the shell.
#[derive(Debug, Default)]
pub struct Output {
    /// To the client.
    pub downstream: Vec<u8>,
    /// To the backend.
    pub upstream: Vec<u8>,
}

impl Output {
    /// The bytes for one side.
    pub fn to(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Downstream => &mut self.downstream,
            Side::Upstream => &mut self.upstream,
        }
    }
}

/// What the shell does with a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// Carry on.
    #[default]
    Open,
    /// The closing handshake is under way: carry on, for a few seconds at most.
    Await,
    /// As [`Finish::Await`], but the peer may be one that never answers, or that is gone: for about a second.
    AwaitBriefly,
    /// Nothing more will be written: flush, end the stream, and read it to its end for a few seconds at most.
    Flush,
    /// Drop the stream, whatever is still unwritten.
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// It may say more.
    Open,
    /// Its close came.
    Closed,
    /// Its stream ended.
    Ended,
    /// It broke a rule, and is not listened to any more.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It may be told more.
    Open,
    /// It will be told this close once the frame that is half written is whole.
    Closing(Option<u16>),
    /// It was told a close.
    Closed,
    /// Its stream ends without one.
    Ended,
    /// Its stream is dropped.
    Dropped,
}

impl Told {
    fn takes_data(self) -> bool {
        matches!(self, Told::Open | Told::Closing(_))
    }
}

struct Leg<C> {
    /// Apart, since the task of a connection takes room in steps of 128 bytes.
    codec: Box<C>,
    said: Said,
    heard: Heard,
    told: Told,
    /// The code of the close it is owed once the other side has had its say: an answer to its own, or the rule it
    /// broke.
    owed: Option<Option<u16>>,
}

impl<C: Codec> Leg<C> {
    fn new(codec: C) -> Self {
        Leg { codec: Box::new(codec), said: Said::default(), heard: Heard::Open, told: Told::Open, owed: None }
    }

    /// Tells the close now, or when the half-written frame is whole if somebody is left to complete it; otherwise its
    /// stream just ends.
    #[cold]
    fn close(&mut self, close: &Close<'_>, completes: bool, out: &mut Vec<u8>, keys: &mut dyn Keys) {
        if self.told != Told::Open {
            return;
        }
        let can_wait = completes && self.codec.closing() == Closing::Code;
        self.told = match self.codec.mid_frame() {
            true if can_wait => Told::Closing(close.code),
            true => Told::Ended,
            false => match self.codec.encode(&Event::Close(*close), out, keys) {
                Ok(()) => Told::Closed,
                Err(_) => Told::Ended,
            },
        };
    }

    /// Tells what follows from the other side being through: to one that broke a rule, that; to one that closed, the
    /// other's answer, or its own code for want of one. To any other, `close`; without one, its stream ends.
    fn conclude(&mut self, close: Option<&Close<'_>>, out: &mut Vec<u8>, keys: &mut dyn Keys) {
        let owed = self.owed.map(|code| Close { code, ..Close::EMPTY });
        let told = match self.heard {
            Heard::Broken => owed.as_ref().or(close),
            _ => close.or(owed.as_ref()),
        };
        match told {
            Some(close) => self.close(close, false, out, keys),
            None => self.end(),
        }
    }

    fn end(&mut self) {
        if self.told.takes_data() {
            self.told = Told::Ended;
        }
    }
}

/// Two codecs face to face. Of which dialects is nothing that it looks at: `C` is the codec of any of them.
pub struct Conversation<C> {
    downstream: Leg<C>,
    upstream: Leg<C>,
    max_message: Option<u64>,
    cause: Option<Cause>,
}

impl<C: Codec> Conversation<C> {
    /// A conversation after both opening handshakes. `max_message` is the most bytes a message may have, either way.
    pub fn new(downstream: impl Into<C>, upstream: impl Into<C>, max_message: Option<u64>) -> Self {
        let (downstream, upstream) = (Leg::new(downstream.into()), Leg::new(upstream.into()));
        Conversation { downstream, upstream, max_message, cause: None }
    }

    /// Takes what `side` says off the front of `input` and appends what follows from it to `out`. What is left must be
    /// offered again, in front of what comes next.
    pub fn hears(&mut self, side: Side, input: &mut &[u8], out: &mut Output, keys: &mut dyn Keys) {
        self.hears_until(side, usize::MAX, input, out, keys);
    }

    /// As [`Conversation::hears`], but pauses behind the message with which the other side is to be told `enough` bytes; true
    /// if it has. What is left may then hold more that could be heard at once.
    pub fn hears_until(
        &mut self,
        side: Side,
        enough: usize,
        input: &mut &[u8],
        out: &mut Output,
        keys: &mut dyn Keys,
    ) -> bool {
        while self.leg(side).heard == Heard::Open {
            let max = self.max_message;
            let (leg, other) = self.facing(side);
            let terms = Terms { max, enough, told: other.told };
            match pass((&mut *leg.codec, &mut leg.said), &mut *other.codec, terms, input, out.to(side.other()), keys) {
                Passed::All => return false,
                Passed::Enough => return true,
                Passed::Other(event) => self.control(side, &event, out, keys),
                Passed::Frame => self.close_late(side.other(), out, keys),
                Passed::Broke(rule) => self.broke(side, rule, out, keys),
                Passed::Refused(undeliverable) => self.refused(side, undeliverable, out, keys),
            }
            if !self.leg(side).said.speaking && out.to(side.other()).len() >= enough {
                return true;
            }
        }
        // After a close or a broken rule nothing more counts.
        *input = &[];
        false
    }

    /// The stream of `side` has ended; `reset`, or else it still takes what is written.
    pub fn ended(&mut self, side: Side, reset: bool, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(Cause::Ended(side));
        let leg = self.leg(side);
        let (before, speaking) = (leg.heard, leg.said.speaking);
        if before != Heard::Closed {
            leg.heard = Heard::Ended;
        }
        if reset || side == Side::Upstream {
            leg.told = Told::Dropped;
        }
        match side {
            Side::Downstream if before != Heard::Open => {}
            // Inside a message the upstream must not take what came for the whole, nor a close for its end.
            Side::Downstream if speaking => self.upstream.told = Told::Dropped,
            Side::Downstream => {
                self.upstream.conclude(Some(&Close::with(code::GOING_AWAY)), &mut out.upstream, keys);
            }
            Side::Upstream => self.downstream.conclude(None, &mut out.downstream, keys),
        }
    }

    /// The stream of `side` has ended, and another may take its place: where that is to go on, or `None` if it ended for
    /// good. What was unfinished of it is forgotten.
    pub fn resume(&mut self, side: Side) -> Option<Resume> {
        let leg = self.leg(side);
        (leg.heard == Heard::Open).then(|| leg.codec.resume()).flatten()
    }

    /// The upstream is given up.
    pub fn give_up(&mut self, lost: Lost, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(Cause::GaveUp(lost));
        self.upstream.heard = Heard::Ended;
        self.upstream.told = Told::Dropped;
        self.downstream.conclude(Some(&Close::with(lost.close_code())), &mut out.downstream, keys);
    }

    /// The time that [`Conversation::finish`] allowed for `side` is over.
    pub fn expired(&mut self, side: Side, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(Cause::Unanswered(side));
        let leg = self.leg(side);
        // Who is owed a close gets it even if the other side never had its say.
        if leg.owed.is_some() && leg.told == Told::Open {
            leg.conclude(None, out.to(side), keys);
        } else {
            self.ended(side, true, out, keys);
        }
    }

    /// `side` has taken nothing of what was written to it for longer than allowed.
    pub fn stalled(&mut self, side: Side, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(Cause::Stalled(side));
        self.ended(side, true, out, keys);
    }

    /// Closes both sides with 1001, since the proxy gives the connection up. `cause` is why: [`Cause::GoingAway`] or
    /// [`Cause::Idle`].
    pub fn go_away(&mut self, cause: Cause, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(cause);
        let close = Close::with(code::GOING_AWAY);
        self.downstream.close(&close, true, &mut out.downstream, keys);
        self.upstream.close(&close, true, &mut out.upstream, keys);
    }

    /// What to do with the stream of `side`.
    pub fn finish(&self, side: Side) -> Finish {
        let leg = match side {
            Side::Downstream => &self.downstream,
            Side::Upstream => &self.upstream,
        };
        match (leg.told, leg.heard) {
            (Told::Dropped, _) => Finish::Drop,
            (Told::Ended, _) => Finish::Flush,
            (Told::Closed, Heard::Open) if leg.codec.closing() == Closing::Frame => Finish::AwaitBriefly,
            (Told::Closed, Heard::Open) => Finish::Await,
            (Told::Closed, _) => Finish::Flush,
            (Told::Open, Heard::Open) => Finish::Open,
            (Told::Open | Told::Closing(_), Heard::Ended | Heard::Broken) => Finish::AwaitBriefly,
            (Told::Open | Told::Closing(_), _) => Finish::Await,
        }
    }

    /// Whether both sides may say, and be told, anything: [`Finish::Open`] for both.
    pub fn is_open(&self) -> bool {
        let is_open = |leg: &Leg<C>| matches!((leg.told, leg.heard), (Told::Open, Heard::Open));
        is_open(&self.downstream) && is_open(&self.upstream)
    }

    /// Whether what `side` says may still become bytes for the other.
    pub fn heeds(&self, side: Side) -> bool {
        let (leg, other) = match side {
            Side::Downstream => (&self.downstream, &self.upstream),
            Side::Upstream => (&self.upstream, &self.downstream),
        };
        leg.heard == Heard::Open && other.told.takes_data()
    }

    /// What ended the conversation first, if anything did yet.
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// How many messages `side` has finished.
    pub fn messages(&self, side: Side) -> u64 {
        match side {
            Side::Downstream => self.downstream.said.messages,
            Side::Upstream => self.upstream.said.messages,
        }
    }

    fn leg(&mut self, side: Side) -> &mut Leg<C> {
        match side {
            Side::Downstream => &mut self.downstream,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// The leg of `side`, and the other.
    fn facing(&mut self, side: Side) -> (&mut Leg<C>, &mut Leg<C>) {
        match side {
            Side::Downstream => (&mut self.downstream, &mut self.upstream),
            Side::Upstream => (&mut self.upstream, &mut self.downstream),
        }
    }

    fn caused_by(&mut self, cause: Cause) {
        self.cause.get_or_insert(cause);
    }

    /// What brings no data. Out of line, like all that is rare, so that data does not pay for it.
    #[cold]
    fn control(&mut self, side: Side, event: &Event<'_>, out: &mut Output, keys: &mut dyn Keys) {
        match event {
            Event::Data(_) => {}
            Event::Close(close) => self.closed(side, close, out, keys),
            Event::Ping(payload) => {
                let other = self.leg(side.other());
                // Inside a hixie text there is no room for anything else, but there is no ping in hixie either.
                let deaf = other.told == Told::Open
                    && (other.codec.mid_frame() || other.codec.encode(event, out.to(side.other()), keys).is_err());
                let sayer = self.leg(side);
                if deaf && sayer.told == Told::Open && !sayer.codec.mid_frame() {
                    // The sayer has words for a ping, and so for a pong.
                    let _ = sayer.codec.encode(&Event::Pong(*payload), out.to(side), keys);
                }
            }
            Event::Pong(_) => {
                let other = self.leg(side.other());
                if other.told == Told::Open && !other.codec.mid_frame() {
                    // A dialect without pongs does without.
                    let _ = other.codec.encode(event, out.to(side.other()), keys);
                }
            }
        }
    }

    /// The frame is whole behind which `side` is to be told a close.
    #[cold]
    fn close_late(&mut self, side: Side, out: &mut Output, keys: &mut dyn Keys) {
        let leg = self.leg(side);
        if let Told::Closing(code) = leg.told {
            leg.told = Told::Open;
            leg.close(&Close { code, ..Close::EMPTY }, false, out.to(side), keys);
        }
    }

    /// The other side has no words for a message of `side`.
    #[cold]
    fn refused(&mut self, side: Side, undeliverable: Undeliverable, out: &mut Output, keys: &mut dyn Keys) {
        self.leg(side.other()).close(&Close::EMPTY, false, out.to(side.other()), keys);
        self.caused_by(match undeliverable {
            Undeliverable::Message => Cause::OneWay(side),
            _ => Cause::Binary(side),
        });
        self.leg(side).close(&Close::with(code::UNSUPPORTED), true, out.to(side), keys);
    }

    fn closed(&mut self, side: Side, close: &Close<'_>, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(Cause::Closed(side, close.code));
        let leg = self.leg(side);
        leg.heard = Heard::Closed;
        let manner = leg.codec.closing();
        // RFC 6455 §7.1.1 leaves the end of TCP to the server, so the upstream is answered without asking the client;
        // a hixie client that says goodbye wants to hear it back, and is then deaf.
        if side == Side::Upstream || manner == Closing::Frame {
            leg.close(&Close { code: close.code, ..Close::EMPTY }, true, out.to(side), keys);
        } else {
            leg.owed = Some(close.code);
        }
        // hixie-76's closing frame is a normal closure in the terms of those that have codes.
        let told = if manner == Closing::Frame { Close::with(code::NORMAL) } else { *close };
        self.leg(side.other()).conclude(Some(&told), out.to(side.other()), keys);
        self.settle_debts(side, out, keys);
    }

    #[cold]
    fn broke(&mut self, side: Side, rule: ProtocolError, out: &mut Output, keys: &mut dyn Keys) {
        self.caused_by(Cause::Broke(side, rule));
        let leg = self.leg(side);
        leg.heard = Heard::Broken;
        // Not told yet: what it said before it broke the rule may still be answered.
        leg.owed = Some(Some(rule.close_code()));
        // Whose fault it was stays between the proxy and the sayer. Nobody will complete a frame that is half written.
        let other = self.leg(side.other());
        if side == Side::Downstream && other.codec.mid_frame() {
            other.told = Told::Dropped;
        } else {
            other.conclude(Some(&Close::with(code::GOING_AWAY)), out.to(side.other()), keys);
        }
        self.settle_debts(side, out, keys);
    }

    /// Tells `side` the close it is owed if nothing more can come from the other.
    fn settle_debts(&mut self, side: Side, out: &mut Output, keys: &mut dyn Keys) {
        let other = self.leg(side.other());
        let through = other.heard != Heard::Open || other.told == Told::Dropped;
        let leg = self.leg(side);
        if through && leg.owed.is_some() {
            leg.conclude(None, out.to(side), keys);
        }
    }
}
