//! Performs a play through the pure core, as the shell would through sockets.
//!
//! A play is a row of beats: something is said (or a stream ends, or time is over), and then each side hears what
//! follows from it. A play is performed again and again:
//!
//! - **Whole**, each beat in one piece. What each side hears must then be, byte for byte and beat for beat, what stands
//!   in the play.
//! - **Cut**, at every place once, at every pair of places where the play is short, and between all bytes. Handshakes
//!   must come out byte for byte the same. Frames may be cut differently on the way, for payload never waits for the
//!   rest of a message whose length nobody announced; so of frames the *meaning* is compared where the bytes differ:
//!   whole messages joined, control frames, closes, and what is there already of an unfinished message.
//!
//! One thing more may differ when cut: a fault inside a frame of which a part is on its way already. That frame cannot
//! be taken back, so the stream just ends in it, where otherwise a close could be said.

use std::fmt;

use super::{Act, Ending, Meaning, Transcript};
use crate::config::{Config, Route, UpstreamHost};
use crate::conversation::{Cause, Conversation, Finish, Output, Side};
use crate::dialect::hixie76::KEY3;
use crate::dialect::hybi::{self, Hybi, Role};
use crate::dialect::opening::{Agreed, Opening, Proof};
use crate::dialect::{BinaryPolicy, Dialect};
use crate::event::{Codec, Event, Keys, Kind, MaskingKey, Rest};
use crate::handshake::{self, Received, consent, receive};
use crate::http::Refusal;

/// The key of every opening handshake to the upstream: RFC 6455's example (§1.3).
const UPSTREAM_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The first masking key: RFC 6455's example (§5.7). Each further one is greater by one.
const FIRST_MASKING_KEY: u32 = 0x37fa_213d;
/// Plays of at most so many bytes are cut at every pair of places.
const SHORT: usize = 64;
/// Longer plays are cut at every place of their first and last so many bytes, and at every `STRIDE`th between.
const LONG: usize = 2048;
const STRIDE: usize = 4099;
/// Where only parts are shown, this much on both sides of the difference, in characters.
const SHOWN: usize = 48;

const SIDES: [Side; 2] = [Side::Downstream, Side::Upstream];

/// Where a performance differs from the play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The line of the play.
    pub line: usize,
    /// How what is said was cut.
    pub cutting: Cutting,
    /// What differs.
    pub mismatch: Mismatch,
}

/// What differs between a play and its performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The bytes that a side hears.
    Bytes {
        /// The side.
        side: Side,
        /// As the play has it.
        expected: Vec<u8>,
        /// As it came out.
        got: Vec<u8>,
    },
    /// Whether a side hears the end of its stream; `got` tells.
    End {
        /// The side.
        side: Side,
        /// Whether it came.
        got: bool,
    },
    /// What a side's bytes mean; where cut, what the bytes mean that it hears.
    Meaning {
        /// The side.
        side: Side,
        /// As the play has it.
        expected: String,
        /// As it came out.
        got: String,
    },
    /// The line cannot be played.
    Unplayable(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match self.cutting {
            Cutting::Whole => {}
            Cutting::At(first, second) if first == second => write!(f, ", cut at byte {first}")?,
            Cutting::At(first, second) => write!(f, ", cut at bytes {first} and {second}")?,
            Cutting::Everywhere => f.write_str(", in one-byte pieces")?,
        }
        f.write_str(": ")?;
        match &self.mismatch {
            Mismatch::Bytes { side, expected, got } => {
                let same = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
                writeln!(f, "the {side} hears other bytes, from byte {same} on")?;
                let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
                pointed(f, &shown(expected), &shown(got), shown(&expected[..same]).len())
            }
            Mismatch::Meaning { side, expected, got } => {
                writeln!(f, "the {side}'s frames mean something else")?;
                let same = expected.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
                pointed(f, expected, got, same)
            }
            Mismatch::End { side, got: true } => write!(f, "the {side} hears the end of its stream too early"),
            Mismatch::End { side, got: false } => write!(f, "the {side} does not hear the end of its stream"),
            Mismatch::Unplayable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Difference {}

/// Both texts around `at`, where they begin to differ, and a mark under it. Both are ASCII.
fn pointed(f: &mut fmt::Formatter<'_>, expected: &str, got: &str, at: usize) -> fmt::Result {
    let from = at.saturating_sub(SHOWN);
    let part = |text: &str| {
        let before = if from > 0 { "…" } else { " " };
        let after = if text.chars().count() > at + SHOWN { "…" } else { "" };
        let shown: String = text.chars().skip(from).take(at - from + SHOWN).collect();
        format!("{before}{shown}{after}")
    };
    writeln!(f, "  expected {}", part(expected))?;
    writeln!(f, "  got      {}", part(got))?;
    write!(f, "           {:>width$}", '^', width = at - from + 2)
}

/// Performs the play whole and cut at every place.
///
/// # Errors
/// The first difference between play and performance.
pub fn play(transcript: &Transcript) -> Result<(), Difference> {
    let config = transcript.config().map_err(|(line, why)| unplayable(line, why))?;
    let script = Script::read(transcript, &config)?;
    let whole = script.perform(&config, Cutting::Whole, None)?;
    script.compare(&whole)?;
    for cutting in cuttings(script.bytes) {
        script.perform(&config, cutting, Some(&whole))?;
    }
    Ok(())
}

fn unplayable(line: usize, why: impl Into<String>) -> Difference {
    Difference { line, cutting: Cutting::Whole, mismatch: Mismatch::Unplayable(why.into()) }
}

fn cuttings(bytes: usize) -> Vec<Cutting> {
    let mut all = vec![Cutting::Everywhere];
    let places = 1..bytes;
    if bytes <= SHORT {
        all.extend(places.flat_map(|first| (first..bytes).map(move |second| Cutting::At(first, second))));
    } else {
        let near_an_end = |at: &usize| *at < LONG || bytes - at < LONG || at.is_multiple_of(STRIDE);
        all.extend(places.filter(near_an_end).map(|at| Cutting::At(at, at)));
    }
    all
}

/// How what is said is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutting {
    /// Not at all: each beat comes in one piece.
    Whole,
    /// At two places, or twice the same, in bytes from the beginning of the play.
    At(usize, usize),
    /// Between all bytes.
    Everywhere,
}

impl Cutting {
    /// The pieces of `said`, which begins at `from`.
    fn pieces(self, said: &[u8], from: usize) -> Vec<&[u8]> {
        match self {
            Cutting::Whole => vec![said],
            Cutting::Everywhere => said.chunks(1).collect(),
            Cutting::At(first, second) => {
                let within = |at: usize| at.saturating_sub(from).min(said.len());
                let (first, second) = (within(first), within(second));
                let pieces = [&said[..first], &said[first..second], &said[second..]];
                pieces.into_iter().filter(|piece| !piece.is_empty()).collect()
            }
        }
    }
}

/// What happens on stage.
#[derive(Clone, Debug)]
enum Cue {
    Says(Side, Vec<u8>),
    Ends(Side, Ending),
    TimesOut(Side),
    ShutsDown,
}

/// What a side is to hear of a cue.
#[derive(Clone, Debug, Default)]
struct Expected {
    bytes: Vec<u8>,
    more: bool,
    end: bool,
}

#[derive(Clone, Debug)]
struct Beat {
    line: usize,
    cue: Cue,
    hears: [Expected; 2],
}

/// A play, ready to be performed.
struct Script<'c> {
    /// Both opening handshakes, where the play does not show them.
    opened: Option<(Opening, Agreed, &'c Route)>,
    beats: Vec<Beat>,
    /// What each side is to mean, and the line where that begins; not looked at where a play does not say.
    means: [Option<(usize, Vec<Meaning>)>; 2],
    /// Bytes that are said in all beats together.
    bytes: usize,
}

impl<'c> Script<'c> {
    fn read(transcript: &Transcript, config: &'c Config) -> Result<Script<'c>, Difference> {
        let mut script = Script { opened: None, beats: Vec::new(), means: [None, None], bytes: 0 };
        for line in transcript.lines() {
            let number = line.number;
            let cue = match &line.act {
                Act::Comment(_) => continue,
                Act::Setting(..) if script.beats.is_empty() => continue,
                Act::Setting(..) => return Err(unplayable(number, "settings stand before what is said")),
                Act::Opens(dialect) if script.beats.is_empty() && script.opened.is_none() => {
                    script.opened = Some(plain_opening(*dialect, config).map_err(|why| unplayable(number, why))?);
                    continue;
                }
                Act::Opens(_) => return Err(unplayable(number, "a connection opens once, before anything is said")),
                Act::Says(side, bytes) => {
                    script.bytes += bytes.len();
                    match script.beats.last_mut() {
                        // Only what was meant stands between.
                        Some(Beat { cue: Cue::Says(before, said), hears, .. })
                            if before == side && hears.iter().all(Expected::is_silence) =>
                        {
                            said.extend_from_slice(bytes);
                            continue;
                        }
                        _ => Cue::Says(*side, bytes.clone()),
                    }
                }
                Act::Ends(side, ending) => Cue::Ends(*side, *ending),
                Act::TimesOut(side) => Cue::TimesOut(*side),
                Act::ShutsDown => Cue::ShutsDown,
                Act::Means(side, meaning) => {
                    let (_, all) = script.means[index(*side)].get_or_insert_with(|| (number, Vec::new()));
                    all.push(meaning.clone());
                    continue;
                }
                Act::Hears(side, _) | Act::HearsMore(side) | Act::HearsEnd(side) => {
                    let Some(beat) = script.beats.last_mut() else {
                        return Err(unplayable(number, "nothing was said yet that could be heard"));
                    };
                    let expected = &mut beat.hears[index(*side)];
                    if expected.end || expected.more && matches!(line.act, Act::Hears(..)) {
                        return Err(unplayable(number, "nothing can be heard after this side's end, or after more"));
                    }
                    match &line.act {
                        Act::Hears(_, bytes) => expected.bytes.extend_from_slice(bytes),
                        Act::HearsMore(_) => expected.more = true,
                        _ => expected.end = true,
                    }
                    continue;
                }
            };
            script.beats.push(Beat { line: number, cue, hears: Default::default() });
        }
        if script.beats.is_empty() {
            return Err(unplayable(1, "nothing is said"));
        }
        Ok(script)
    }

    /// Performs every beat. Where `whole` is given, compares each with how it went then.
    fn perform(
        &self,
        config: &'c Config,
        cutting: Cutting,
        whole: Option<&Performance>,
    ) -> Result<Performance, Difference> {
        let mut stage = Stage::new(config);
        if let Some((opening, agreed, route)) = &self.opened {
            stage.open(opening.clone(), agreed.clone(), route, Vec::new(), Vec::new());
        }
        let mut marks = Vec::new();
        let mut from = 0;
        for (number, beat) in self.beats.iter().enumerate() {
            let differs = |mismatch| Difference { line: beat.line, cutting, mismatch };
            let went = match &beat.cue {
                Cue::Says(side, said) => {
                    let pieces = cutting.pieces(said, from);
                    from += said.len();
                    pieces.into_iter().try_for_each(|piece| stage.says(*side, piece))
                }
                Cue::Ends(side, ending) => stage.ends(*side, *ending),
                Cue::TimesOut(side) => stage.times_out(*side),
                Cue::ShutsDown => stage.shuts_down(),
            };
            went.map_err(|why| differs(Mismatch::Unplayable(why)))?;
            let mark = [0, 1].map(|side| Mark { heard: stage.ears[side].heard.len(), ended: stage.ears[side].ended });
            if let Some(whole) = whole {
                for side in SIDES {
                    whole.compare(number, side, &stage).map_err(differs)?;
                }
            }
            marks.push(mark);
        }
        let Stage { ears, listening, spoken, request, .. } = stage;
        Ok(Performance { marks, ears, listening, spoken, request })
    }

    /// Compares a performance of whole beats with the play.
    fn compare(&self, whole: &Performance) -> Result<(), Difference> {
        let mut before = [Mark { heard: 0, ended: false }; 2];
        for (beat, marks) in self.beats.iter().zip(&whole.marks) {
            for side in SIDES {
                let (at, mark) = (index(side), marks[index(side)]);
                let differs = |mismatch| Err(Difference { line: beat.line, cutting: Cutting::Whole, mismatch });
                let got = &whole.ears[at].heard[before[at].heard..mark.heard];
                let Expected { bytes: expected, more, end } = &beat.hears[at];
                let fits =
                    if *more { got.len() > expected.len() && got.starts_with(expected) } else { got == expected };
                if !fits {
                    let (expected, got) = (expected.clone(), got.to_vec());
                    return differs(Mismatch::Bytes { side, expected, got });
                }
                let ended = mark.ended && !before[at].ended;
                if ended != *end {
                    return differs(Mismatch::End { side, got: ended });
                }
            }
            before = *marks;
        }
        for side in SIDES {
            let Some((line, expected)) = &self.means[index(side)] else { continue };
            for step in [usize::MAX, 1] {
                let got = whole.meant_by(side, step);
                if *expected != got {
                    let (expected, got) = (listed(expected), listed(&got));
                    let cutting = if step == 1 { Cutting::Everywhere } else { Cutting::Whole };
                    return Err(Difference {
                        line: *line,
                        cutting,
                        mismatch: Mismatch::Meaning { side, expected, got },
                    });
                }
            }
        }
        Ok(())
    }
}

impl Expected {
    fn is_silence(&self) -> bool {
        self.bytes.is_empty() && !self.more && !self.end
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Downstream => 0,
        Side::Upstream => 1,
    }
}

fn listed(meanings: &[Meaning]) -> String {
    let lines: Vec<String> = meanings.iter().map(Meaning::to_string).collect();
    lines.join(", ")
}

/// Both handshakes in their plainest form, for plays that are about what comes after them.
fn plain_opening(dialect: Dialect, config: &Config) -> Result<(Opening, Agreed, &Route), String> {
    let proof = match (dialect, dialect.facts().version) {
        (_, Some(version)) => format!("Sec-WebSocket-Key: {UPSTREAM_KEY}\r\nSec-WebSocket-Version: {version}\r\n"),
        (Dialect::Hixie76, None) => "Sec-WebSocket-Key1: 1 2\r\nSec-WebSocket-Key2: 3 4\r\n".to_owned(),
        _ => String::new(),
    };
    let path = config.routes.first().map_or("/", |route| &route.path);
    let head =
        format!("GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nHost: example.com\r\n{proof}\r\n");
    let (opening, route) = match receive(head.as_bytes(), config) {
        Received::Opening { opening, route, .. } => (*opening, route),
        other => return Err(format!("the settings do not let {dialect} in: {other:?}")),
    };
    let accept = hybi::accept(UPSTREAM_KEY);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    match consent(&opening, answer.as_bytes(), UPSTREAM_KEY, &config.limits) {
        Ok(Some((agreed, _))) => Ok((opening, agreed, route)),
        other => Err(format!("the plain answer was not understood: {other:?}")),
    }
}

/// How far a side had heard at the end of a beat.
#[derive(Clone, Copy, Debug)]
struct Mark {
    heard: usize,
    ended: bool,
}

/// What came of a play.
struct Performance {
    marks: Vec<[Mark; 2]>,
    ears: [Ear; 2],
    listening: Option<(Dialect, bool)>,
    /// What each side said after the handshake.
    spoken: [Vec<u8>; 2],
    request: bool,
}

impl Performance {
    /// Compares what `side` had heard at the end of a beat, byte for byte or, in frames, by its meaning.
    fn compare(&self, beat: usize, side: Side, stage: &Stage<'_>) -> Result<(), Mismatch> {
        let mark = self.marks[beat][index(side)];
        let (was, now) = (&self.ears[index(side)], &stage.ears[index(side)]);
        let expected = &was.heard[..mark.heard];
        if expected == now.heard && mark.ended == now.ended {
            return Ok(());
        }
        // The handshake is compared as bytes, in this performance and in that one.
        let head = stage.listening.and(now.head).unwrap_or(now.heard.len());
        let expected_head = was.head.unwrap_or(usize::MAX).min(expected.len());
        if expected[..expected_head] != now.heard[..head] {
            return Err(Mismatch::Bytes { side, expected: expected.to_vec(), got: now.heard.clone() });
        }
        let (was_heard, now_heard) = match stage.listening {
            Some((dialect, extensions)) => {
                let listen = |frames: &[u8]| Heard::by(&mut *ear_codec(side, dialect, extensions), frames, usize::MAX);
                (listen(&expected[expected_head..]), listen(&now.heard[head..]))
            }
            None => Default::default(),
        };
        if was_heard == now_heard && mark.ended == now.ended || now_heard.broke_off_of(&was_heard, now.ended) {
            return Ok(());
        }
        if was_heard == now_heard {
            return Err(Mismatch::End { side, got: now.ended });
        }
        Err(Mismatch::Meaning { side, expected: was_heard.to_string(), got: now_heard.to_string() })
    }

    /// What `side` said after its handshake, read in pieces of `step` bytes.
    fn meant_by(&self, side: Side, step: usize) -> Vec<Meaning> {
        if self.request && side == Side::Downstream {
            return vec![Meaning::Request];
        }
        let Some((dialect, extensions)) = self.listening else { return Vec::new() };
        let mut codec: Box<dyn Codec> = match side {
            Side::Downstream => dialect.codec(extensions, BinaryPolicy::Close),
            Side::Upstream => Box::new(Hybi::new(Dialect::Rfc6455, Role::Client, extensions)),
        };
        Heard::by(&mut *codec, &self.spoken[index(side)], step).whole
    }
}

/// A codec that understands what `side` is told.
fn ear_codec(side: Side, dialect: Dialect, extensions: bool) -> Box<dyn Codec> {
    match (side, dialect) {
        // Both directions of hixie are alike.
        (Side::Downstream, Dialect::Hixie75 | Dialect::Hixie76) => dialect.codec(false, BinaryPolicy::Close),
        (Side::Downstream, _) => Box::new(Hybi::new(dialect, Role::Client, extensions)),
        (Side::Upstream, _) => Box::new(Hybi::new(Dialect::Rfc6455, Role::Server, extensions)),
    }
}

/// What frames mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Heard {
    /// Whole messages joined, and control frames, in the order of their last bytes.
    whole: Vec<Meaning>,
    /// What is there of a message that goes on.
    unfinished: Option<(Kind, Vec<u8>)>,
    /// Bytes that mean nothing yet, or never.
    rest: Vec<u8>,
}

impl Heard {
    /// Reads frames in pieces of `step` bytes, up to a close or a broken rule.
    fn by(codec: &mut dyn Codec, frames: &[u8], step: usize) -> Heard {
        let mut heard = Heard::default();
        for piece in frames.chunks(step) {
            heard.rest.extend_from_slice(piece);
            let kept = std::mem::take(&mut heard.rest);
            let mut input = &kept[..];
            loop {
                match codec.decode(&mut input) {
                    Ok(Some(event)) => {
                        if let Some(Meaning::Close(..)) = heard.add(&event) {
                            return heard;
                        }
                    }
                    Ok(None) => break,
                    Err(_) => {
                        heard.rest = input.to_vec();
                        return heard;
                    }
                }
            }
            heard.rest = input.to_vec();
        }
        heard
    }

    fn add(&mut self, event: &Event<'_>) -> Option<&Meaning> {
        let meaning = match event {
            Event::Data(chunk) => {
                let (_, bytes) = self.unfinished.get_or_insert((chunk.opens.unwrap_or(Kind::Text), Vec::new()));
                bytes.extend(chunk.payload.to_vec());
                if chunk.rest != Rest::End {
                    return None;
                }
                match self.unfinished.take()? {
                    (Kind::Text, bytes) => Meaning::Text(bytes),
                    (Kind::Binary, bytes) => Meaning::Binary(bytes),
                }
            }
            Event::Ping(payload) => Meaning::Ping(payload.to_vec()),
            Event::Pong(payload) => Meaning::Pong(payload.to_vec()),
            Event::Close(close) => Meaning::Close(close.code, close.reason.to_vec()),
        };
        self.whole.push(meaning);
        self.whole.last()
    }

    /// Whether this stream ended inside a message which `other` had not begun when it said its close.
    fn broke_off_of(&self, other: &Heard, ended: bool) -> bool {
        let inside = self.unfinished.is_some() || !self.rest.is_empty();
        let before_close = |heard: &Heard| match heard.whole.split_last() {
            Some((Meaning::Close(..), before)) => before.to_vec(),
            _ => heard.whole.clone(),
        };
        ended && inside && before_close(self) == before_close(other)
            // A fragment that is whole can be followed by the close.
            || self.unfinished.is_some() && self.whole == other.whole && matches!(self.whole.last(), Some(Meaning::Close(..)))
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.whole))?;
        if let Some((kind, bytes)) = &self.unfinished {
            write!(f, ", unfinished {kind:?} \"{}\"", bytes.escape_ascii())?;
        }
        if self.rest.is_empty() { Ok(()) } else { write!(f, ", and \"{}\"", self.rest.escape_ascii()) }
    }
}

/// Masking keys in a fixed order.
struct Counting(u32);

impl Keys for Counting {
    fn fresh(&mut self) -> MaskingKey {
        let key = MaskingKey(self.0.to_be_bytes());
        self.0 = self.0.wrapping_add(1);
        key
    }
}

/// One side's stream, and what was written to it.
#[derive(Debug, Default)]
struct Ear {
    heard: Vec<u8>,
    /// How many bytes of it are the handshake, once that is over.
    head: Option<usize>,
    /// Its stream was ended.
    ended: bool,
    /// It ended its own.
    silent: bool,
    /// Its stream is gone: nothing is read from it or written to it any more.
    gone: bool,
}

impl Ear {
    fn drop_stream(&mut self) {
        self.ended = true;
        self.gone = true;
    }
}

/// How far the connection has come.
enum Scene<'c> {
    /// The client's head is awaited.
    Greeting { buffer: Vec<u8> },
    /// The upstream's answer is awaited.
    Dialling { opening: Box<Opening>, route: &'c Route, early: Vec<u8>, answer: Vec<u8> },
    /// hixie-76's third key is awaited.
    Challenged { opening: Box<Opening>, agreed: Box<Agreed>, route: &'c Route, buffer: Vec<u8>, early: Vec<u8> },
    /// Both handshakes are over.
    Open { conversation: Conversation, carry: [Vec<u8>; 2] },
    /// There is no connection any more, or one that is not a WebSocket.
    Over,
}

/// Does what the shell does, with streams that take everything at once: `proxy/connection.rs` up to the open
/// connection, `proxy/relay.rs` from there on.
struct Stage<'c> {
    config: &'c Config,
    scene: Scene<'c>,
    keys: Counting,
    ears: [Ear; 2],
    listening: Option<(Dialect, bool)>,
    spoken: [Vec<u8>; 2],
    request: bool,
}

impl<'c> Stage<'c> {
    fn new(config: &'c Config) -> Self {
        Stage {
            config,
            scene: Scene::Greeting { buffer: Vec::new() },
            keys: Counting(FIRST_MASKING_KEY),
            ears: Default::default(),
            listening: None,
            spoken: Default::default(),
            request: false,
        }
    }

    fn ear(&mut self, side: Side) -> &mut Ear {
        &mut self.ears[index(side)]
    }

    fn says(&mut self, side: Side, piece: &[u8]) -> Result<(), String> {
        if self.ear(side).silent {
            return Err(format!("the {side} speaks after it has ended its stream"));
        }
        match (std::mem::replace(&mut self.scene, Scene::Over), side) {
            (Scene::Greeting { mut buffer }, Side::Downstream) => {
                buffer.extend_from_slice(piece);
                self.greet(buffer);
            }
            (Scene::Greeting { .. }, Side::Upstream) => return Err("the upstream was not asked yet".into()),
            (Scene::Dialling { opening, route, mut early, answer }, Side::Downstream) => {
                early.extend_from_slice(piece);
                match opening.check_early(&early) {
                    Ok(()) => self.scene = Scene::Dialling { opening, route, early, answer },
                    Err(refusal) => self.refuse(&refusal),
                }
            }
            (Scene::Dialling { opening, route, early, mut answer }, Side::Upstream) => {
                answer.extend_from_slice(piece);
                self.judge(opening, route, early, answer);
            }
            (Scene::Challenged { opening, agreed, route, mut buffer, early }, Side::Downstream) => {
                buffer.extend_from_slice(piece);
                self.challenge(opening, agreed, route, buffer, early);
            }
            (Scene::Challenged { opening, agreed, route, buffer, mut early }, Side::Upstream) => {
                early.extend_from_slice(piece);
                self.scene = Scene::Challenged { opening, agreed, route, buffer, early };
            }
            (Scene::Open { mut conversation, mut carry }, side) => {
                self.hears(&mut conversation, &mut carry, side, piece);
                self.scene = Scene::Open { conversation, carry };
            }
            (Scene::Over, _) => {}
        }
        Ok(())
    }

    fn greet(&mut self, buffer: Vec<u8>) {
        match receive(&buffer, self.config) {
            Received::More => self.scene = Scene::Greeting { buffer },
            Received::Foreign(_) => self.ear(Side::Downstream).drop_stream(),
            Received::Refused(refusal) => self.refuse(&refusal),
            Received::Http { .. } => self.request = true,
            Received::Opening { opening, route, taken } => {
                let early = buffer[taken..].to_vec();
                if let Err(refusal) = opening.check_early(&early) {
                    return self.refuse(&refusal);
                }
                let authority = route.upstream.authority();
                let host = match &route.upstream_host {
                    UpstreamHost::Client => None,
                    UpstreamHost::Upstream => Some(authority.as_str()),
                    UpstreamHost::Fixed(host) => Some(host.as_str()),
                };
                let target = route.upstream_target(&opening.target);
                let request = opening.upstream_request(&target, host, UPSTREAM_KEY);
                self.ear(Side::Upstream).heard.extend(request);
                self.scene = Scene::Dialling { opening, route, early, answer: Vec::new() };
            }
        }
    }

    /// Judges the upstream's answer, and writes the client's.
    fn judge(&mut self, opening: Box<Opening>, route: &'c Route, early: Vec<u8>, answer: Vec<u8>) {
        match consent(&opening, &answer, UPSTREAM_KEY, &self.config.limits) {
            Ok(None) => self.scene = Scene::Dialling { opening, route, early, answer },
            Err(refusal) => self.refuse(&refusal),
            Ok(Some((agreed, taken))) => {
                let frames = answer[taken..].to_vec();
                let location = route.public_url.location(&opening.host, &opening.target);
                let answer = opening.answer(&agreed, &location);
                self.ear(Side::Downstream).heard.extend(answer);
                if matches!(opening.proof, Proof::Numbers(..)) {
                    self.challenge(opening, Box::new(agreed), route, early, frames);
                } else {
                    self.open(*opening, agreed, route, early, frames);
                }
            }
        }
    }

    /// Answers the challenge once the third key is there.
    fn challenge(
        &mut self,
        opening: Box<Opening>,
        agreed: Box<Agreed>,
        route: &'c Route,
        mut buffer: Vec<u8>,
        early: Vec<u8>,
    ) {
        let Some(key3) = buffer.first_chunk::<KEY3>().copied() else {
            self.scene = Scene::Challenged { opening, agreed, route, buffer, early };
            return;
        };
        buffer.drain(..KEY3);
        self.ear(Side::Downstream).heard.extend(opening.challenge_answer(key3).into_iter().flatten());
        self.open(*opening, *agreed, route, buffer, early);
    }

    fn open(&mut self, opening: Opening, agreed: Agreed, route: &Route, from_client: Vec<u8>, from_upstream: Vec<u8>) {
        for ear in &mut self.ears {
            ear.head = Some(ear.heard.len());
        }
        self.listening = Some((opening.dialect, agreed.extensions.is_some()));
        let mut conversation = handshake::conversation(&opening, &agreed, route);
        let mut carry = [Vec::new(), Vec::new()];
        self.hears(&mut conversation, &mut carry, Side::Upstream, &from_upstream);
        self.hears(&mut conversation, &mut carry, Side::Downstream, &from_client);
        self.scene = Scene::Open { conversation, carry };
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let ear = self.ear(Side::Downstream);
        ear.heard.extend(refusal.to_bytes());
        ear.drop_stream();
        self.give_up_upstream();
    }

    /// Drops the upstream's stream, if there is one.
    fn give_up_upstream(&mut self) {
        let ear = self.ear(Side::Upstream);
        if !ear.heard.is_empty() {
            ear.drop_stream();
        }
    }

    fn ends(&mut self, side: Side, ending: Ending) -> Result<(), String> {
        if std::mem::replace(&mut self.ear(side).silent, true) {
            return Err(format!("the {side} has ended its stream already"));
        }
        match (std::mem::replace(&mut self.scene, Scene::Over), side) {
            (Scene::Greeting { .. } | Scene::Dialling { .. }, Side::Downstream) => {
                self.ear(Side::Downstream).drop_stream();
                self.give_up_upstream();
            }
            (Scene::Challenged { opening, agreed, route, .. }, Side::Downstream) => {
                self.abandon(&opening, &agreed, route);
            }
            // What the client is told then is the shell's, and names the error of the system.
            (Scene::Greeting { .. } | Scene::Dialling { .. }, Side::Upstream) => {
                return Err("a play cannot tell what comes of an upstream that breaks off its handshake".into());
            }
            // Nobody reads the upstream before the client has sent its third key.
            (Scene::Challenged { .. }, Side::Upstream) => {
                return Err("the end of the upstream is not noticed before the third key".into());
            }
            (Scene::Open { mut conversation, carry }, side) => {
                let mut out = Output::default();
                if !self.ear(side).gone {
                    conversation.ended(side, ending == Ending::Reset, &mut out, &mut self.keys);
                }
                self.settle(&conversation, &mut out);
                self.scene = Scene::Open { conversation, carry };
            }
            (Scene::Over, _) => {}
        }
        Ok(())
    }

    fn times_out(&mut self, side: Side) -> Result<(), String> {
        match std::mem::replace(&mut self.scene, Scene::Over) {
            Scene::Challenged { opening, agreed, route, .. } if side == Side::Downstream => {
                self.abandon(&opening, &agreed, route);
            }
            Scene::Open { mut conversation, carry } => {
                let mut out = Output::default();
                match conversation.finish(side) {
                    Finish::Await | Finish::AwaitBriefly => conversation.expired(side, &mut out, &mut self.keys),
                    Finish::Flush => self.ear(side).drop_stream(),
                    Finish::Open | Finish::Drop => return Err(format!("nobody waits for the {side} here")),
                }
                self.settle(&conversation, &mut out);
                self.scene = Scene::Open { conversation, carry };
            }
            _ => return Err(format!("a play cannot wait for the {side} here")),
        }
        Ok(())
    }

    fn shuts_down(&mut self) -> Result<(), String> {
        let Scene::Open { conversation, .. } = &mut self.scene else {
            return Err("a play can shut hybridge down only on an open connection".into());
        };
        let mut out = Output::default();
        conversation.go_away(Cause::GoingAway, &mut out, &mut self.keys);
        let Scene::Open { conversation, carry } = std::mem::replace(&mut self.scene, Scene::Over) else {
            return Ok(());
        };
        self.settle(&conversation, &mut out);
        self.scene = Scene::Open { conversation, carry };
        Ok(())
    }

    /// Tells an upstream that agreed that the client is gone.
    fn abandon(&mut self, opening: &Opening, agreed: &Agreed, route: &Route) {
        let mut out = Output::default();
        let mut conversation = handshake::conversation(opening, agreed, route);
        conversation.ended(Side::Downstream, true, &mut out, &mut self.keys);
        self.listening = Some((opening.dialect, agreed.extensions.is_some()));
        for ear in &mut self.ears {
            ear.head = Some(ear.heard.len());
        }
        self.ear(Side::Upstream).heard.extend(out.upstream);
        self.ear(Side::Downstream).drop_stream();
        self.give_up_upstream();
    }

    fn hears(&mut self, conversation: &mut Conversation, carry: &mut [Vec<u8>; 2], side: Side, bytes: &[u8]) {
        self.spoken[index(side)].extend_from_slice(bytes);
        if self.ear(side).gone {
            return;
        }
        let kept = &mut carry[index(side)];
        kept.extend_from_slice(bytes);
        let mut out = Output::default();
        let mut input = &kept[..];
        conversation.hears(side, &mut input, &mut out, &mut self.keys);
        let taken = kept.len() - input.len();
        kept.drain(..taken);
        self.settle(conversation, &mut out);
    }

    /// Writes what the conversation has just said, and ends the streams with which it is through.
    fn settle(&mut self, conversation: &Conversation, out: &mut Output) {
        for side in SIDES {
            let ear = &mut self.ears[index(side)];
            if !ear.gone {
                ear.heard.append(out.to(side));
            }
            match conversation.finish(side) {
                Finish::Open | Finish::Await | Finish::AwaitBriefly => {}
                Finish::Drop => ear.drop_stream(),
                Finish::Flush if ear.silent => ear.drop_stream(),
                // RFC 6455 §7.1.1: the server ends TCP first. Upstream the proxy is the client, and waits for that.
                Finish::Flush => ear.ended |= side == Side::Downstream,
            }
        }
    }
}
