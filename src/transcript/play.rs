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

use super::heard::{Heard, ear_codec, listed};
use super::stage::{Ear, SIDES, Stage, index, plain_opening};
use super::{Act, Ending, Meaning, Transcript};
use crate::config::{Config, Route};
use crate::conversation::Side;
use crate::dialect::hybi::{Hybi, Role};
use crate::dialect::opening::{Agreed, Opening};
use crate::dialect::sse::Sse;
use crate::dialect::{BinaryPolicy, Dialect};
use crate::event::Codec;
use crate::handshake::events_reading;

/// Plays of at most so many bytes are cut at every pair of places.
const SHORT: usize = 64;
/// Longer plays are cut at every place of their first and last so many bytes, and at every `STRIDE`th between.
const LONG: usize = 2048;
const STRIDE: usize = 4099;
/// Where only parts are shown, this much on both sides of the difference, in characters.
const SHOWN: usize = 48;

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
                Act::Comment(_) | Act::Pause(_) => continue,
                Act::Explains(_) => return Err(unplayable(number, "what is to be explained is not performed")),
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
        whole: Option<&Performance<'_>>,
    ) -> Result<Performance<'c>, Difference> {
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
        let events = stage.events.is_some().then(|| (stage.breaks.clone(), config));
        let Stage { ears, listening, spoken, request, .. } = stage;
        Ok(Performance { marks, ears, listening, spoken, request, events })
    }

    /// Compares a performance of whole beats with the play.
    fn compare(&self, whole: &Performance<'_>) -> Result<(), Difference> {
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

/// How far a side had heard at the end of a beat.
#[derive(Clone, Copy, Debug)]
struct Mark {
    heard: usize,
    ended: bool,
}

/// What came of a play.
struct Performance<'c> {
    marks: Vec<[Mark; 2]>,
    ears: [Ear; 2],
    listening: Option<(Dialect, bool)>,
    /// What each side said after the handshake.
    spoken: [Vec<u8>; 2],
    request: bool,
    /// Where the upstream sends events: where its streams ended, and what says how they are read.
    events: Option<(Vec<usize>, &'c Config)>,
}

impl Performance<'_> {
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
        if let (Side::Upstream, Some((breaks, config))) = (side, &self.events) {
            return events_meant(&self.spoken[index(side)], breaks, config, step);
        }
        let mut codec: Box<dyn Codec> = match side {
            Side::Downstream => dialect.codec(extensions, BinaryPolicy::Close),
            Side::Upstream => Box::new(Hybi::new(Dialect::Rfc6455, Role::Client, extensions)),
        };
        Heard::by(&mut *codec, &self.spoken[index(side)], step).whole
    }
}

/// What an upstream's streams of events mean, each read for itself.
fn events_meant(spoken: &[u8], breaks: &[usize], config: &Config, step: usize) -> Vec<Meaning> {
    let Some(route) = config.routes.first() else { return Vec::new() };
    let mut codec = Sse::new(events_reading(route, &config.limits), false, "");
    let mut meanings = Vec::new();
    let ends = breaks.iter().copied().chain([spoken.len()]);
    let mut from = 0;
    for to in ends {
        meanings.extend(Heard::by(&mut codec, &spoken[from..to], step).whole);
        codec.resume();
        from = to;
    }
    meanings
}
