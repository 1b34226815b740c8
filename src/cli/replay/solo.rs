//! The client's part of a play alone, at a server whose own words nobody knows.
//!
//! What can be demanded of any server is demanded: the answer of the play, frames that are well formed, a pong for a
//! ping, an end once the client closes or breaks a rule, and of an echo server every message.

use hybridge::conversation::Side;
use hybridge::dialect::terms::Terms;
use hybridge::transcript::rules::{self, Held};
use hybridge::transcript::{Beat, Cue, Due, Ending, Heard, Meaning, Mismatch, Script, index};
use tokio::time::{Instant, sleep, timeout_at};

use super::against::{Against, SURPLUS};
use super::line::Line;

/// Whether the answer that the client gets is the consequence of what the backend does.
pub fn depends_on_backend(script: &Script) -> bool {
    let answered = script.beats.iter().find(|beat| !beat.hears[index(Side::Downstream)].is_silence());
    let refused = !script.heard(Side::Downstream, script.beats.len()).starts_with(b"HTTP/1.1 101 ");
    let of_backend =
        answered.is_some_and(|beat| matches!(beat.cue, Cue::Says(Side::Upstream, _) | Cue::Ends(Side::Upstream, _)));
    script.opens.is_none() && refused && of_backend
}

/// Whether the client ends its stream before it hears anything: then whatever the server does came too late.
pub fn leaves_unanswered(script: &Script) -> bool {
    let ends = |beat: &Beat| matches!(beat.cue, Cue::Ends(Side::Downstream, _));
    script.beats.iter().any(ends) && script.heard(Side::Downstream, script.beats.len()).is_empty()
}

/// Whether the play goes on in an extension that its backend agreed to.
pub fn uses_extension(script: &Script) -> bool {
    let terms = rules::terms(&script.said(Side::Downstream), false);
    let told = script.heard(Side::Downstream, script.beats.len());
    let opened = terms.and_then(|terms| terms.judge(&told).ok().flatten());
    opened.is_some_and(|opened| opened.extensions.is_some())
}

struct Solo<'a> {
    against: &'a Against,
    line: Line,
    terms: Option<Terms>,
    /// All that the client hears in the play.
    told: Due,
    /// Whether it has ended its stream.
    leaves: bool,
}

/// Performs the client's part.
pub async fn perform(against: &Against, script: &Script) -> Result<(), (usize, Mismatch)> {
    let line = against.connect().await.map_err(|why| (1, Mismatch::Unplayable(why)))?;
    let said = script.said(Side::Downstream);
    let told = script.due(Side::Downstream, script.beats.len());
    let mut solo = Solo { against, line, terms: rules::terms(&said, against.server.secure), told, leaves: false };
    let mut from = 0;
    // What the client has said, and had heard when it last spoke.
    let (mut spoken, mut heard) = (Vec::new(), 0);
    for (number, beat) in script.beats.iter().enumerate() {
        let differs = |mismatch| (beat.line, mismatch);
        let of_client = matches!(beat.cue, Cue::Says(Side::Downstream, _) | Cue::Ends(Side::Downstream, _));
        let hears = script.heard(Side::Downstream, number).len();
        if of_client && hears > std::mem::replace(&mut heard, hears) {
            let due = script.due(Side::Downstream, number);
            solo.listen_for(|solo| solo.answer(&due)).await.map_err(differs)?;
            // In the play it goes on only when it has heard something: let it.
            if let Some((meant, terms)) = solo.meant(&spoken) {
                solo.listen_for(|solo| solo.follows(&meant, &terms)).await.map_err(differs)?;
            }
        }
        if against.timing && of_client {
            sleep(beat.pause).await;
        }
        match &beat.cue {
            Cue::Says(side, speech) => {
                if *side == Side::Downstream {
                    spoken.extend_from_slice(&speech.bytes);
                    let said = against.say(&mut solo.line, speech, from).await;
                    said.map_err(|why| differs(Mismatch::Unplayable(why)))?;
                }
                from += speech.bytes.len();
            }
            Cue::Ends(Side::Downstream, Ending::Fin) => {
                let _ = timeout_at(Instant::now() + against.patience, solo.line.end()).await;
                solo.leaves = true;
            }
            Cue::Ends(Side::Downstream, Ending::Reset) => {
                solo.line.reset();
                return Ok(());
            }
            Cue::Ends(Side::Upstream, _) | Cue::TimesOut(_) | Cue::ShutsDown => {}
        }
    }
    let line = script.beats.last().map_or(1, |beat| beat.line);
    let due = script.due(Side::Downstream, script.beats.len());
    solo.listen_for(|solo| solo.answer(&due)).await.map_err(|mismatch| (line, mismatch))?;
    solo.conclude(&said).await.map_err(|mismatch| (line, mismatch))
}

impl Solo<'_> {
    fn answer(&self, due: &Due) -> Held {
        rules::answer(due, &self.line.heard, self.line.ended, self.terms.as_ref())
    }

    /// Listens until what is demanded has come.
    async fn listen_for(&mut self, demand: impl Fn(&Self) -> Held) -> Result<(), Mismatch> {
        let deadline = Instant::now() + self.against.patience;
        loop {
            match demand(self) {
                Held::Right | Held::Begun => return Ok(()),
                Held::Wrong(mismatch) => return Err(mismatch),
                Held::NotYet(mismatch) => {
                    if self.line.ended || timeout_at(deadline, self.line.hear()).await.is_err() {
                        return Err(mismatch);
                    }
                }
            }
        }
    }

    /// What the client meant by all it said, if the play lets it in.
    fn meant(&self, said: &[u8]) -> Option<(Heard, Terms)> {
        let terms = self.terms.clone()?;
        rules::meant_by_server(&self.told.at_last, &terms)?;
        Some((rules::meant_by_client(said, &terms, false), terms))
    }

    /// Demands what follows from all that the client said.
    async fn conclude(&mut self, said: &[u8]) -> Result<(), Mismatch> {
        let Some((meant, terms)) = self.meant(said) else {
            // Refused, in the server's own way; or let in though some browsers would not go on.
            return Ok(());
        };
        let deadline = Instant::now() + SURPLUS;
        while timeout_at(deadline, self.line.hear()).await.is_ok() {}
        self.listen_for(|solo| solo.follows(&meant, &terms)).await
    }

    /// Whether the server has said what follows from what the client meant.
    fn follows(&self, meant: &Heard, terms: &Terms) -> Held {
        let side = Side::Downstream;
        let rule = |what: &str, expected: String, got: &Heard| {
            let got = if got.whole.is_empty() && got.broke.is_none() { "nothing".to_owned() } else { got.to_string() };
            Mismatch::Rule { side, what: what.to_owned(), expected, got }
        };
        let got = rules::meant_by_server(&self.line.heard, terms).unwrap_or_default();
        if let Some(broken) = got.broke {
            let (what, expected) = ("a frame".to_owned(), "a well-formed one".to_owned());
            return Held::Wrong(Mismatch::Rule { side, what, expected, got: format!("one of a server that {broken}") });
        }
        let closes = meant.broke.is_some() || meant.whole.iter().any(|meaning| matches!(meaning, Meaning::Close(..)));
        if self.against.echo {
            let messages = |all: &[Meaning]| -> Vec<Meaning> {
                all.iter().filter(|meaning| matches!(meaning, Meaning::Text(_) | Meaning::Binary(_))).cloned().collect()
            };
            let (said, echoed) = (messages(&meant.whole), messages(&got.whole));
            let mismatch =
                || rule("the echo", said.iter().map(Meaning::to_string).collect::<Vec<_>>().join(", "), &got);
            if !said.starts_with(&echoed) {
                return Held::Wrong(mismatch());
            }
            // Who leaves in the same breath may miss some.
            if said.len() > echoed.len() && !closes && !self.leaves {
                return Held::NotYet(mismatch());
            }
        }
        let closed = got.whole.iter().any(|meaning| matches!(meaning, Meaning::Close(..)));
        if closes {
            return ended(&self.line, !closed);
        }
        for ping in &meant.whole {
            let Meaning::Ping(payload) = ping else { continue };
            if !got.whole.contains(&Meaning::Pong(payload.clone())) {
                return Held::NotYet(rule("the pong", Meaning::Pong(payload.clone()).to_string(), &got));
            }
        }
        Held::Right
    }
}

fn ended(line: &Line, due: bool) -> Held {
    match due && !line.ended {
        true => Held::NotYet(Mismatch::End { side: Side::Downstream, got: false }),
        false => Held::Right,
    }
}
