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

use super::difference::{Difference, Mismatch};
use super::heard::{Heard, ear_codec, listed};
use super::plain::plain_opening;
use super::script::{Cue, Cutting, Expected, SIDES, Script, index};
use super::stage::{Ear, Stage};
use super::{Meaning, Transcript, understudy};
use crate::config::{Config, Route};
use crate::conversation::Side;
use crate::dialect::any::AnyCodec;
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
/// Long plays of many beats are cut at fewer places, so that all performances together come to no more than so many
/// bytes, where every beat counts as some.
const MOST: usize = 256 << 20;
const BEAT: usize = 1 << 10;

/// Performs the play whole and cut at every place.
///
/// # Errors
/// The first difference between play and performance.
pub fn play(transcript: &Transcript) -> Result<(), Difference> {
    perform(transcript, cuttings)
}

/// Performs the play whole, and cut so.
///
/// # Errors
/// The first difference between play and performance.
pub fn play_cut(transcript: &Transcript, cutting: Cutting) -> Result<(), Difference> {
    perform(transcript, |_| vec![cutting])
}

fn perform(transcript: &Transcript, cuttings: impl Fn(&Script) -> Vec<Cutting>) -> Result<(), Difference> {
    let config = transcript.config().map_err(|(line, why)| Difference::unplayable(line, why))?;
    let script = Script::read(transcript).map_err(|(line, why)| Difference::unplayable(line, why))?;
    if script.is_one_sided() {
        let all = [Cutting::Whole].into_iter().chain(cuttings(&script));
        return all.into_iter().try_for_each(|cutting| understudy::perform(&script, &config, cutting));
    }
    let production = Production::of(script, &config)?;
    let whole = production.perform(&config, Cutting::Whole, None)?;
    production.compare(&whole)?;
    for cutting in cuttings(&production.script) {
        production.perform(&config, cutting, Some(&whole))?;
    }
    Ok(())
}

fn cuttings(script: &Script) -> Vec<Cutting> {
    let bytes = script.bytes;
    let mut all = vec![Cutting::Pieces(1)];
    let places = 1..bytes;
    if bytes <= SHORT {
        all.extend(places.flat_map(|first| (first..bytes).map(move |second| Cutting::At(first, second))));
    } else {
        let near_an_end = |at: &usize| *at < LONG || bytes - at < LONG || at.is_multiple_of(STRIDE);
        let places: Vec<usize> = places.filter(near_an_end).collect();
        let most = (MOST / (bytes + BEAT * script.beats.len())).max(1);
        all.extend(places.iter().step_by(places.len().div_ceil(most).max(1)).map(|at| Cutting::At(*at, *at)));
    }
    all
}

/// A play with its configuration.
struct Production<'c> {
    script: Script,
    /// Both opening handshakes, where the play does not show them.
    opened: Option<(Opening, Agreed, &'c Route)>,
}

impl<'c> Production<'c> {
    fn of(script: Script, config: &'c Config) -> Result<Production<'c>, Difference> {
        let plain = |(line, dialect)| plain_opening(dialect, config).map_err(|why| Difference::unplayable(line, why));
        Ok(Production { opened: script.opens.map(plain).transpose()?, script })
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
        for (number, beat) in self.script.beats.iter().enumerate() {
            let differs = |mismatch| Difference { line: beat.line, cutting, mismatch };
            let went = match &beat.cue {
                Cue::Says(side, speech) => {
                    let pieces = cutting.pieces(speech, from);
                    from += speech.bytes.len();
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
        for (beat, marks) in self.script.beats.iter().zip(&whole.marks) {
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
            let Some((line, expected)) = &self.script.means[index(side)] else { continue };
            for step in [usize::MAX, 1] {
                let got = whole.meant_by(side, step);
                if *expected != got {
                    let (expected, got) = (listed(expected), listed(&got));
                    let cutting = if step == 1 { Cutting::Pieces(1) } else { Cutting::Whole };
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
                let listen = |frames: &[u8]| Heard::by(&mut ear_codec(side, dialect, extensions), frames, usize::MAX);
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
        let mut codec: AnyCodec = match side {
            Side::Downstream => dialect.codec(extensions, BinaryPolicy::Close),
            Side::Upstream => Hybi::new(Dialect::Rfc6455, Role::Client, extensions).into(),
        };
        Heard::by(&mut codec, &self.spoken[index(side)], step).whole
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
