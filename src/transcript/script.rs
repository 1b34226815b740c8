//! A play, ready to be performed: a row of beats.

use std::time::Duration;

use super::plain::plain_beats;
use super::{Act, Ending, Meaning, Transcript};
use crate::config::{Config, Upstream};
use crate::conversation::Side;
use crate::dialect::Dialect;

/// Both sides, in the order of whatever has a place for each.
pub const SIDES: [Side; 2] = [Side::Downstream, Side::Upstream];

/// A side's place where there is one for each.
pub fn index(side: Side) -> usize {
    match side {
        Side::Downstream => 0,
        Side::Upstream => 1,
    }
}

/// What happens on stage.
#[derive(Clone, Debug)]
pub enum Cue {
    /// Bytes from a side.
    Says(Side, Speech),
    /// The end of a side's stream.
    Ends(Side, Ending),
    /// A side lets the time pass that it is given.
    TimesOut(Side),
    /// hybridge is told to stop.
    ShutsDown,
}

/// What a side says in one go.
#[derive(Clone, Debug, Default)]
pub struct Speech {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Where segments begin, but for the first, and the pause before each.
    pub borders: Vec<(usize, Duration)>,
}

/// What a side is to hear of a cue.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// These bytes.
    pub bytes: Vec<u8>,
    /// And more, whatever it is.
    pub more: bool,
    /// And the end of its stream.
    pub end: bool,
}

impl Expected {
    /// Whether that is nothing at all.
    pub fn is_silence(&self) -> bool {
        self.bytes.is_empty() && !self.more && !self.end
    }
}

/// A cue and what follows from it.
#[derive(Clone, Debug)]
pub struct Beat {
    /// The line of the play.
    pub line: usize,
    /// What passes before it.
    pub pause: Duration,
    /// What happens.
    pub cue: Cue,
    /// What each side hears of it, by [`index`].
    pub hears: [Expected; 2],
}

/// What a side hears by the end of a beat, and in the whole play.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// Everything up to here.
    pub so_far: Vec<u8>,
    /// And whether its stream has ended.
    pub ended: bool,
    /// Everything in the whole play.
    pub at_last: Vec<u8>,
    /// And whether its stream ends at all.
    pub ends: bool,
    /// And whether more comes that the play does not show.
    pub more: bool,
}

/// A play as beats.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The dialect of the opening handshakes, and the line, where the play does not show them.
    pub opens: Option<(usize, Dialect)>,
    /// In their order.
    pub beats: Vec<Beat>,
    /// What each side is to mean, and the line where that begins; `None` where a play does not say.
    pub means: [Option<(usize, Vec<Meaning>)>; 2],
    /// Bytes that are said in all beats together.
    pub bytes: usize,
}

/// Why a play cannot be performed: the line, and what is wrong there.
pub type Unplayable = (usize, String);

impl Script {
    /// Puts the lines of a play together.
    ///
    /// # Errors
    /// The first line that makes no sense where it stands.
    pub fn read(transcript: &Transcript) -> Result<Script, Unplayable> {
        let mut script = Script::default();
        let mut pause = Duration::ZERO;
        for line in transcript.lines() {
            let wrong = |why: &str| Err((line.number, why.to_owned()));
            let begun = !script.beats.is_empty();
            match &line.act {
                Act::Comment(_) => {}
                Act::Explains(_) => return wrong("what is to be explained is not performed"),
                Act::Setting(..) if begun => return wrong("settings stand before what is said"),
                Act::Setting(..) => {}
                Act::Opens(_) if begun || script.opens.is_some() => {
                    return wrong("a connection opens once, before anything is said");
                }
                Act::Opens(dialect) => script.opens = Some((line.number, *dialect)),
                Act::Pause(time) => pause += *time,
                Act::Says(side, bytes) => script.says(line.number, *side, bytes, std::mem::take(&mut pause)),
                Act::Ends(side, ending) => script.add(line.number, &mut pause, Cue::Ends(*side, *ending)),
                Act::TimesOut(side) => script.add(line.number, &mut pause, Cue::TimesOut(*side)),
                Act::ShutsDown => script.add(line.number, &mut pause, Cue::ShutsDown),
                Act::Means(side, meaning) => {
                    let (_, all) = script.means[index(*side)].get_or_insert_with(|| (line.number, Vec::new()));
                    all.push(meaning.clone());
                }
                Act::Hears(side, _) | Act::HearsMore(side) | Act::HearsEnd(side) => {
                    // What passed before it is the time of whoever answered.
                    pause = Duration::ZERO;
                    let Some(beat) = script.beats.last_mut() else {
                        return wrong("nothing was said yet that could be heard");
                    };
                    let expected = &mut beat.hears[index(*side)];
                    match &line.act {
                        _ if expected.end => return wrong("nothing can be heard after this side's end"),
                        Act::Hears(..) if expected.more => return wrong("nothing can be heard after more"),
                        Act::Hears(_, bytes) => expected.bytes.extend_from_slice(bytes),
                        Act::HearsMore(_) => expected.more = true,
                        _ => expected.end = true,
                    }
                }
            }
        }
        if script.beats.is_empty() { Err((1, "nothing is said".to_owned())) } else { Ok(script) }
    }

    fn says(&mut self, line: usize, side: Side, bytes: &[u8], mut pause: Duration) {
        self.bytes += bytes.len();
        match self.beats.last_mut() {
            // Only what was meant, and time, stands between.
            Some(Beat { cue: Cue::Says(before, speech), hears, .. })
                if *before == side && hears.iter().all(Expected::is_silence) =>
            {
                speech.borders.push((speech.bytes.len(), pause));
                speech.bytes.extend_from_slice(bytes);
            }
            _ => self.add(line, &mut pause, Cue::Says(side, Speech { bytes: bytes.to_vec(), borders: Vec::new() })),
        }
    }

    fn add(&mut self, line: usize, pause: &mut Duration, cue: Cue) {
        self.beats.push(Beat { line, pause: std::mem::take(pause), cue, hears: Default::default() });
    }

    /// The same play with its opening handshakes shown.
    ///
    /// # Errors
    /// The default settings do not let the dialect in.
    pub fn with_plain_opening(mut self) -> Result<Script, Unplayable> {
        let Some((line, dialect)) = self.opens.take() else { return Ok(self) };
        let upstream = Upstream::parse("ws://127.0.0.1:2").map_err(|why| (line, why.to_string()))?;
        let config = Config::simple(Vec::new(), upstream);
        let beats = plain_beats(line, dialect, &config).map_err(|why| (line, why))?;
        self.beats.splice(..0, beats);
        Ok(self)
    }

    /// Whether a backend has a part in it.
    pub fn has_upstream(&self) -> bool {
        self.beats.iter().any(|beat| {
            let speaks = matches!(beat.cue, Cue::Says(Side::Upstream, _) | Cue::Ends(Side::Upstream, _));
            speaks || !beat.hears[index(Side::Upstream)].is_silence()
        })
    }

    /// Whether the play shows a client and whatever answered it, and nothing beyond: a recording.
    pub fn is_one_sided(&self) -> bool {
        let told_101 = self.heard(Side::Downstream, self.beats.len()).starts_with(b"HTTP/1.1 101 ");
        let of_client =
            |beat: &Beat| matches!(beat.cue, Cue::Says(Side::Downstream, _) | Cue::Ends(Side::Downstream, _));
        let unheard = |beat: &Beat| beat.hears[index(Side::Upstream)].is_silence();
        self.opens.is_none() && told_101 && self.beats.iter().all(|beat| of_client(beat) && unheard(beat))
    }

    /// What a side has heard after the first so many beats.
    pub fn heard(&self, side: Side, beats: usize) -> Vec<u8> {
        self.beats[..beats].iter().flat_map(|beat| &beat.hears[index(side)].bytes).copied().collect()
    }

    /// What a side must have heard after the first so many beats.
    pub fn due(&self, side: Side, beats: usize) -> Due {
        let any = |beats: &[Beat], is: fn(&Expected) -> bool| beats.iter().any(|beat| is(&beat.hears[index(side)]));
        Due {
            so_far: self.heard(side, beats),
            ended: any(&self.beats[..beats], |heard| heard.end),
            at_last: self.heard(side, self.beats.len()),
            ends: any(&self.beats, |heard| heard.end),
            more: any(&self.beats, |heard| heard.more),
        }
    }

    /// What a side says in all beats.
    pub fn said(&self, side: Side) -> Vec<u8> {
        let speeches = self.beats.iter().filter_map(|beat| match &beat.cue {
            Cue::Says(speaker, speech) if *speaker == side => Some(&speech.bytes),
            _ => None,
        });
        speeches.flatten().copied().collect()
    }
}

/// How what is said is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutting {
    /// Not at all: each beat comes in one piece.
    Whole,
    /// At two places, or twice the same, in bytes from the beginning of the play.
    At(usize, usize),
    /// Into pieces of so many bytes.
    Pieces(usize),
    /// Where the play shows a pause.
    Recorded,
}

impl Cutting {
    /// The pieces of a speech that begins at byte `from` of the play.
    pub fn pieces(self, speech: &Speech, from: usize) -> Vec<&[u8]> {
        let said = &speech.bytes[..];
        match self {
            Cutting::Whole => vec![said],
            Cutting::Pieces(length) => said.chunks(length.max(1)).collect(),
            Cutting::At(first, second) => {
                let within = |at: usize| at.saturating_sub(from).min(said.len());
                cut(said, [within(first), within(second)])
            }
            Cutting::Recorded => cut(said, speech.borders.iter().map(|(at, _)| *at)),
        }
    }
}

/// The parts between these places, which rise; none of them empty.
fn cut(said: &[u8], places: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut from = 0;
    let places = places.into_iter().chain([said.len()]);
    let parts = places.map(|at| &said[std::mem::replace(&mut from, at)..at]);
    parts.filter(|part| !part.is_empty()).collect()
}
