//! What comes after the opening: frames, heartbeats, closing, and how the streams end.

use std::time::Duration;

use super::answer::Open;
use super::request::Asked;
use super::scene::{Step, Who};
use super::words::{hex, shown, time};
use super::{Book, Broken, Fault, Rule, Scene};
use crate::dialect::any::AnyCodec;
use crate::dialect::hybi::{Hybi, Role};
use crate::dialect::{BinaryPolicy, Dialect, hixie76};
use crate::event::{Close, Codec, Event, ProtocolError, Rest};

/// Idle timeouts that fronts come with, in seconds.
const ROUND: [u64; 9] = [15, 30, 60, 100, 120, 300, 600, 900, 3600];
/// How long the answer to a close, or the end of TCP after it, may take. One client gives up after a second (field notes
/// 21, 23), but after FF 00 a server may wait as long for one that answers (dialects 4.6).
const CLOSING: Duration = Duration::from_secs(2);
/// A pong that takes longer is none.
const PONG: Duration = Duration::from_secs(10);
/// A frame that fits one segment anywhere.
const SEGMENT: usize = 1200;

type Found = (Fault, String);

/// One direction after the handshake.
struct Ear {
    who: Who,
    dialect: Dialect,
    codec: AnyCodec,
    /// Bytes that still belong to the handshake.
    skip: usize,
    stream: Vec<u8>,
    taken: usize,
    /// Where the frame being read began; `None` between messages.
    begun: Option<usize>,
    /// Time passed inside the frame being read.
    cut: bool,
    /// When it closed.
    closed: Option<Duration>,
    ended: bool,
    /// When its unanswered ping was sent.
    ping: Option<Duration>,
}

impl Ear {
    fn new(who: Who, asked: &Asked, open: &Open) -> Ear {
        let dialect = asked.dialect;
        let codec: AnyCodec = match (who, dialect) {
            (Who::Client, _) | (_, Dialect::Hixie75 | Dialect::Hixie76) => {
                dialect.codec(open.extensions, BinaryPolicy::Close)
            }
            (Who::Server, _) => Hybi::new(dialect, Role::Client, open.extensions).into(),
        };
        let key3 = asked.terms.is_some() && dialect == Dialect::Hixie76 && asked.key3.is_none();
        let skip = match who {
            Who::Client => asked.taken + if key3 { hixie76::KEY3 } else { 0 },
            Who::Server => open.taken,
        };
        Ear {
            who,
            dialect,
            codec,
            skip,
            stream: Vec::new(),
            taken: 0,
            begun: None,
            cut: false,
            closed: None,
            ended: false,
            ping: None,
        }
    }

    fn is_hixie(&self) -> bool {
        self.dialect.facts().version.is_none()
    }

    fn name(&self) -> &'static str {
        match self.who {
            Who::Client => "the client",
            Who::Server => "the server",
        }
    }

    /// Whether the stream ends inside a message or frame.
    fn is_within(&self) -> bool {
        self.begun.is_some() || self.taken < self.stream.len()
    }

    /// What is wrong with a frame that begins so, where the codec would read over it or not know why.
    fn check_begin(&self) -> Option<Found> {
        let frame = &self.stream[self.taken..];
        let begins = || hex(&frame[..frame.len().min(8)]);
        let of_hybi = matches!(frame, [0x01..=0x05 | 0x81 | 0x82 | 0x84 | 0x85 | 0x88..=0x8A, ..]);
        let hixie_frame =
            matches!(frame, [0, ..] if frame[..frame.len().min(256)].contains(&0xFF)) || frame.starts_with(&[0xFF, 0]);
        match (self.who, self.is_hixie()) {
            (_, true) if matches!(frame, [] | [0 | 0xFF, ..]) => None,
            (Who::Server, true) if of_hybi => Some((
                Fault::HybiFrameToHixie,
                format!(
                    "I read text between 00 and FF, and the server sent {}: a frame of RFC 6455's layout",
                    begins()
                ),
            )),
            (Who::Server, true) if frame[0] >= 0x80 => Some((
                Fault::BinaryToHixie,
                format!("the server sent {}, a length-prefixed frame: I fire `error` and drop the message", begins()),
            )),
            (Who::Client, true) if of_hybi => Some((
                Fault::HybiFrameFromHixie,
                format!("the client asked in {}, and sends {}, a frame of another dialect", self.dialect, begins()),
            )),
            (_, true) => Some((
                Fault::ReservedFrameType,
                format!("{} sent {}, a frame type without meaning", self.name(), begins()),
            )),
            (Who::Server, false) if self.begun.is_none() && hixie_frame => Some((
                Fault::HixieFrameToHybi,
                format!("I speak {}, and the server sent {}: a frame of hixie", self.dialect, begins()),
            )),
            (Who::Client, false) if self.begun.is_none() && hixie_frame => Some((
                Fault::HixieFrameFromHybi,
                format!("the client asked in {}, and sends {}, a frame of hixie", self.dialect, begins()),
            )),
            _ => None,
        }
    }

    /// A rule that the codec saw broken.
    fn broke(&self, error: ProtocolError) -> Found {
        use ProtocolError as E;
        let fault = match error {
            E::SetReservedBits => Fault::ReservedBits,
            E::UsedReservedOpcode(_) => Fault::ReservedOpcode,
            E::SentUnmaskedFrame => Fault::ClientUnmasked,
            E::SentMaskedFrame => Fault::ServerMasked,
            E::AnnouncedOverlongFrame | E::PaddedFrameLength | E::AnnouncedOverlongSkip => Fault::FrameLength,
            E::ExceededMessageLimit | E::ExceededEventLimit => Fault::FrameLength,
            E::FragmentedControlFrame | E::SentLongControlFrame => Fault::ControlFrame,
            E::ContinuedNothing | E::InterruptedMessage => Fault::Fragmentation,
            E::TruncatedCloseCode | E::SentInvalidCloseCode(_) | E::SentInvalidCloseReason => Fault::CloseMalformed,
            E::SentInvalidUtf8 => Fault::NotUtf8,
            E::UsedReservedFrameType(_) => Fault::ReservedFrameType,
        };
        let frame = &self.stream[self.taken..];
        (fault, format!("{} {error}: {}", self.name(), hex(&frame[..frame.len().min(8)])))
    }

    /// A message of the server is whole: what old browsers make of it.
    fn check_text(&self, from: usize) -> Option<Found> {
        let text = self.stream.get(from + 1..self.taken.saturating_sub(1)).unwrap_or_default();
        let words = || format!("the server sent text that is not UTF-8 ({}): the page gets none of it", hex(text));
        let broken = self.is_hixie() && self.who == Who::Server && std::str::from_utf8(text).is_err();
        broken.then(|| (Fault::NotUtf8, words()))
    }

    /// Whether the frame that has just ended was short, and came in several segments all the same.
    fn was_cut_short(&mut self, from: usize) -> bool {
        let cut = std::mem::take(&mut self.cut);
        cut && self.is_hixie() && self.who == Who::Server && self.taken - from < SEGMENT
    }
}

/// A conversation that is open, at some point of it.
struct Talk {
    client: Ear,
    server: Ear,
    now: Duration,
    /// When anything was last said.
    heard: Duration,
    shuts_down: bool,
    /// What some clients do not forgive, unless this one goes on after it.
    suspicion: Option<Found>,
}

/// Judges what follows the opening.
pub(super) fn judge(scene: &Scene, asked: &Asked, open: &Open, book: &mut Book) -> Result<(), Broken> {
    let mut talk = Talk {
        client: Ear::new(Who::Client, asked, open),
        server: Ear::new(Who::Server, asked, open),
        now: Duration::ZERO,
        heard: Duration::ZERO,
        shuts_down: false,
        suspicion: None,
    };
    for step in &scene.steps {
        let found = match step {
            Step::Says(who, bytes) => talk.says(*who, bytes),
            Step::Pause(time) => talk.waits(*time),
            Step::Ends(who) => talk.ends(*who),
            Step::ShutsDown => {
                talk.shuts_down = true;
                None
            }
            Step::TimesOut => None,
        };
        if let Some((fault, words)) = found {
            return Err(book.broken(fault, words));
        }
    }
    if let Some((fault, words)) = talk.suspicion {
        return Err(book.broken(fault, words));
    }
    let seen = [&talk.client, &talk.server].into_iter().any(|ear| !ear.stream.is_empty() || ear.ended);
    if seen {
        book.mark(Rule::Frames, super::Mark::Passed);
    }
    Ok(())
}

impl Talk {
    fn says(&mut self, who: Who, bytes: &[u8]) -> Option<Found> {
        self.heard = self.now;
        let ear = if who == Who::Client { &mut self.client } else { &mut self.server };
        let skip = ear.skip.min(bytes.len());
        ear.skip -= skip;
        if ear.closed.is_some() {
            return None;
        }
        ear.stream.extend_from_slice(&bytes[skip..]);
        if who == Who::Client {
            self.suspicion = None;
        }
        while self.ear(who).taken < self.ear(who).stream.len() {
            match self.next(who) {
                Ok(true) => {}
                Ok(false) => break,
                Err(found) => return Some(found),
            }
        }
        None
    }

    fn ear(&mut self, who: Who) -> &mut Ear {
        if who == Who::Client { &mut self.client } else { &mut self.server }
    }

    /// Reads the next event of a side; `false` asks for more.
    fn next(&mut self, who: Who) -> Result<bool, Found> {
        let (now, shuts_down) = (self.now, self.shuts_down);
        let other_closed = if who == Who::Client { &self.server } else { &self.client }.closed.is_some();
        let ear = self.ear(who);
        if (ear.begun.is_none() || !ear.is_hixie())
            && let Some(found) = ear.check_begin()
        {
            return Err(found);
        }
        let before = ear.taken;
        let mut input = &ear.stream[ear.taken..];
        let event = match ear.codec.decode(&mut input) {
            Ok(event) => event,
            Err(error) => return Err(ear.broke(error)),
        };
        ear.taken = ear.stream.len() - input.len();
        match event {
            None => return Ok(false),
            Some(Event::Data(chunk)) => {
                let from = *ear.begun.get_or_insert(before);
                if chunk.rest == Rest::End {
                    ear.begun = None;
                    if let Some(found) = ear.check_text(from) {
                        return Err(found);
                    }
                    if ear.was_cut_short(from) {
                        let words = "a short frame of the server came in several segments; one of us loses such frames";
                        self.suspicion.get_or_insert((Fault::HixieFrameInPieces, words.into()));
                    }
                }
            }
            Some(Event::Ping(_)) => ear.ping = Some(now),
            Some(Event::Pong(_)) if who == Who::Client => self.server.ping = None,
            Some(Event::Pong(_)) => self.client.ping = None,
            Some(Event::Close(close)) => {
                ear.closed = Some(now);
                let found = if who == Who::Server && !other_closed { check_close(&close, shuts_down) } else { None };
                ear.taken = ear.stream.len();
                return found.map_or(Ok(false), Err);
            }
        }
        Ok(true)
    }

    /// Time passes: is anything overdue?
    fn waits(&mut self, passed: Duration) -> Option<Found> {
        self.now += passed;
        let now = self.now;
        for ear in [&mut self.client, &mut self.server] {
            ear.cut |= ear.is_within();
            if ear.ping.is_some_and(|ping| now - ping >= PONG) {
                return Some((Fault::PingUnanswered, format!("{} sent a ping, and no pong came", ear.name())));
            }
        }
        if self.server.ended {
            return None;
        }
        let hixie = self.client.is_hixie();
        match (self.client.closed, self.server.closed) {
            (Some(closed), None) if now - closed >= CLOSING => {
                let close = if hixie { "FF 00" } else { "a close" };
                let words = format!("I sent {close} and wait for the same; nothing came for {}", time(now - closed));
                Some((Fault::CloseUnanswered, words))
            }
            (client, Some(server)) => {
                let since = client.map_or(server, |client| client.max(server));
                let waiting = hixie || client.is_some();
                let words = if hixie { "FF 00 came, and I fire onclose only when TCP ends" } else { "we both closed" };
                let words = format!("{words}; the server left TCP open for {}", time(now - since));
                (waiting && now - since >= CLOSING).then_some((Fault::LeftOpen, words))
            }
            _ => None,
        }
    }

    /// A stream ends: was it time?
    fn ends(&mut self, who: Who) -> Option<Found> {
        let closed = self.client.closed.is_some() || self.server.closed.is_some();
        let gone = self.client.ended || self.server.ended;
        let silence = self.now - self.heard;
        let ear = self.ear(who);
        ear.ended = true;
        let (within, name, hixie75) = (ear.is_within(), ear.name(), ear.dialect == Dialect::Hixie75);
        // Before the answer is whole there is nothing to close.
        if closed || gone || self.server.skip > 0 {
            return None;
        }
        if within {
            return Some((Fault::EndedInMessage, format!("{name}'s stream ended inside a message")));
        }
        if let Some(round) = round(silence) {
            let words = format!("after {} of silence the connection was gone, without a close", time(silence));
            return Some((Fault::IdleCut, format!("{words}: {round} s is what fronts allow an idle connection")));
        }
        let by_server = who == Who::Server && !hixie75;
        by_server
            .then(|| (Fault::CutWithoutClose, "the server ended TCP without a close: my page sees it unclean".into()))
    }
}

/// The timeout that a silence of this length looks like.
fn round(silence: Duration) -> Option<u64> {
    let ms = u64::try_from(silence.as_millis()).ok()?;
    ROUND.into_iter().find(|round| (round * 1000 - 300..=round * 1000 + 1000).contains(&ms))
}

/// The server closes first: what does its code say?
fn check_close(close: &Close<'_>, shuts_down: bool) -> Option<Found> {
    let code = close.code?;
    let reason = close.reason.to_vec();
    let text = String::from_utf8_lossy(&reason).to_lowercase();
    let said = if text.is_empty() { String::new() } else { format!(" {:?}", shown(&reason)) };
    let going =
        ["shut", "restart", "reload", "deploy", "maintenance", "going away"].iter().any(|word| text.contains(word));
    let meaning = match code {
        1000 if shuts_down || going => {
            let words =
                format!("the server went away and said 1000{said}: to me that is a normal end, and I stay away");
            return Some((Fault::Close1000AtShutdown, words));
        }
        1002 => "a rule of the protocol was broken",
        1003 => "it cannot take such data, mostly binary",
        1007 => "text that is not UTF-8",
        1008 => "its policy",
        1009 => "a message too big",
        1010 => "an extension is missing",
        1011 => "an error of its own",
        1014 => "its own upstream failed",
        _ => return None,
    };
    Some((Fault::ClosedWithError, format!("the server closed with {code}{said}: {meaning}")))
}
