//! A recording through the pure core: an understudy plays the server that was recorded.
//!
//! A recording shows a client and whatever answered it, with no backend in sight. The understudy is the backend that
//! agrees to what the client was told and says what the server said, in the words of RFC 6455; then the client must
//! hear from hybridge what it heard from the server, by the rules of [`super::rules`].

use super::difference::{Difference, Mismatch};
use super::rules::{self, Held};
use super::script::{Beat, Cue, Cutting, Script, index};
use super::stage::{Counting, Scene, Stage, UPSTREAM_KEY};
use super::{Ending, Side};
use crate::config::Config;
use crate::dialect::any::AnyCodec;
use crate::dialect::hybi::{self, Hybi, Role};
use crate::dialect::terms::{Opened, Terms};
use crate::dialect::{BinaryPolicy, Dialect};
use crate::event::{Codec, Keys};
use crate::http::{Field, Response, head_length};

struct Understudy {
    /// From the server's words to those of a backend; `None` where they are the same, as in all of hybi.
    tongues: Option<(AnyCodec, AnyCodec)>,
    /// Words of the server that mean nothing yet.
    kept: Vec<u8>,
    /// The answer to hybridge's opening handshake, until it is given.
    consent: Option<Vec<u8>>,
    /// What it has to say before it could.
    waiting: Vec<u8>,
    /// Bytes of the recorded answer that come before the server's frames.
    head: usize,
    keys: Counting,
}

impl Understudy {
    fn of(terms: &Terms, told: &[u8]) -> Understudy {
        let opened = terms.judge(told).ok().flatten();
        let hixie = matches!(terms.dialect, Dialect::Hixie75 | Dialect::Hixie76);
        let tongues = hixie.then(|| {
            let encoder = Hybi::new(Dialect::Rfc6455, Role::Server, false).into();
            (terms.dialect.codec(false, BinaryPolicy::Close), encoder)
        });
        let head = opened.as_ref().map_or(told.len(), |opened| opened.taken);
        let consent = Some(consent(terms, opened.as_ref(), told));
        Understudy { tongues, kept: Vec::new(), consent, waiting: Vec::new(), head, keys: Counting::default() }
    }

    /// Takes what the server said, and says as much of it as it can by now.
    fn takes(&mut self, stage: &mut Stage<'_>, words: &[u8]) -> Result<(), String> {
        let from = self.head.min(words.len());
        self.head -= from;
        let words = &words[from..];
        match &mut self.tongues {
            None => self.waiting.extend_from_slice(words),
            Some((server, backend)) => {
                self.kept.extend_from_slice(words);
                let mut input = &self.kept[..];
                while let Ok(Some(event)) = server.decode(&mut input) {
                    // A backend has words for all that hixie can say.
                    let _ = backend.encode(&event, &mut self.waiting, &mut self.keys as &mut dyn Keys);
                }
                self.kept = input.to_vec();
            }
        }
        self.says(stage)
    }

    fn says(&mut self, stage: &mut Stage<'_>) -> Result<(), String> {
        if matches!(stage.scene, Scene::Dialling { .. })
            && let Some(consent) = self.consent.take()
        {
            stage.says(Side::Upstream, &consent)?;
        }
        if matches!(stage.scene, Scene::Open { .. }) && !self.waiting.is_empty() && !stage.ear(Side::Upstream).silent {
            stage.says(Side::Upstream, &std::mem::take(&mut self.waiting))?;
        }
        Ok(())
    }
}

/// The 101 of a backend that agrees to what the client was told.
fn consent(terms: &Terms, opened: Option<&Opened>, told: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        hybi::accept(UPSTREAM_KEY)
    )
    .into_bytes();
    let mut put = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            answer.extend_from_slice(part);
        }
    };
    let told_name = opened.and_then(|opened| opened.subprotocol.as_deref());
    if let (Some(asked), Some(told_name)) = (&terms.asked, told_name) {
        // hixie repeats the whole value; a backend chooses one of the names in it.
        let chosen = if asked.answer_name { Some(told_name) } else { asked.names.first().map(String::as_str) };
        chosen.iter().for_each(|chosen| put("Sec-WebSocket-Protocol", chosen.as_bytes()));
    }
    let extensions = opened.and_then(|opened| opened.extensions.as_deref());
    // Older versions' extensions are never offered on.
    if let Some(extensions) = extensions.filter(|_| terms.dialect == Dialect::Rfc6455) {
        put("Sec-WebSocket-Extensions", extensions.as_bytes());
    }
    if let Ok(Some(length)) = head_length(told)
        && let Ok(response) = Response::parse(&told[..length], usize::MAX)
    {
        let cookies = response.fields.iter().filter(|field| field.is("set-cookie"));
        cookies.for_each(|Field { name, value }| put(name, value));
    }
    answer.extend_from_slice(b"\r\n");
    answer
}

/// Performs a recording, and compares what the client hears.
pub(super) fn perform(script: &Script, config: &Config, cutting: Cutting) -> Result<(), Difference> {
    let told = script.heard(Side::Downstream, script.beats.len());
    let terms = rules::terms(&script.said(Side::Downstream), false);
    let mut understudy = terms.as_ref().map(|terms| Understudy::of(terms, &told));
    let mut stage = Stage::new(config);
    let mut from = 0;
    for beat in &script.beats {
        let went = play_beat(beat, cutting, &mut from, &mut stage, understudy.as_mut());
        went.map_err(|why| Difference { line: beat.line, cutting, mismatch: Mismatch::Unplayable(why) })?;
    }
    let line = script.beats.last().map_or(1, |beat| beat.line);
    let ear = stage.ear(Side::Downstream);
    let mut due = script.due(Side::Downstream, script.beats.len());
    // A recording may stop before the end does.
    due.ends |= ear.ended;
    match rules::client(&due, &ear.heard, ear.ended, terms.as_ref()) {
        Held::Right | Held::Begun => Ok(()),
        Held::NotYet(mismatch) | Held::Wrong(mismatch) => Err(Difference { line, cutting, mismatch }),
    }
}

fn play_beat(
    beat: &Beat,
    cutting: Cutting,
    from: &mut usize,
    stage: &mut Stage<'_>,
    mut understudy: Option<&mut Understudy>,
) -> Result<(), String> {
    match &beat.cue {
        Cue::Says(side, speech) => {
            for piece in cutting.pieces(speech, *from) {
                stage.says(*side, piece)?;
                understudy.iter_mut().try_for_each(|understudy| understudy.says(stage))?;
            }
            *from += speech.bytes.len();
        }
        Cue::Ends(side, ending) => stage.ends(*side, *ending)?,
        Cue::TimesOut(_) | Cue::ShutsDown => {
            return Err("a recording shows no more than a client and its server".into());
        }
    }
    let heard = &beat.hears[index(Side::Downstream)];
    if let Some(understudy) = understudy {
        understudy.takes(stage, &heard.bytes)?;
    }
    let upstream = stage.ear(Side::Upstream);
    if heard.end && !upstream.silent && !upstream.gone && matches!(stage.scene, Scene::Open { .. }) {
        stage.ends(Side::Upstream, Ending::Fin)?;
    }
    Ok(())
}
