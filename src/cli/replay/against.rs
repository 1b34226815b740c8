//! A play over the network: replay is the client of a running server or proxy, and on request also the backend behind
//! it.

use std::net::SocketAddr;
use std::time::Duration;

use hybridge::conversation::Side;
use hybridge::dialect::hybi;
use hybridge::dialect::terms::Terms;
use hybridge::proxy::stream::Stream;
use hybridge::proxy::tls::Tls;
use hybridge::transcript::rules::{self, Held};
use hybridge::transcript::{
    Act, Beat, Cue, Cutting, Difference, Ending, Mismatch, SIDES, Script, Transcript, UPSTREAM_KEY, index,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::line::Line;
use super::solo;

/// How long one end is listened to after the last beat for what should not come.
pub const SURPLUS: Duration = Duration::from_millis(20);
/// How long the beginning of something is waited for, so that what follows does not overtake it.
const BEGUN: Duration = Duration::from_millis(100);
/// The pause between the pieces of a speech that is cut, so that they leave in segments of their own.
const APART: Duration = Duration::from_millis(1);
/// Pieces that are so kept apart; where there are more, the others follow as fast as they go.
const KEPT_APART: usize = 24;

/// What came of a play.
#[derive(Debug)]
pub enum Outcome {
    /// It went as written.
    Passed,
    /// It cannot be performed so.
    Skipped(String),
    /// It went otherwise.
    Failed(Difference),
}

/// A server under test, and how it is talked to.
pub struct Against {
    /// Where it listens.
    pub server: Server,
    /// Whom it is believed to be, where it speaks TLS.
    pub tls: Option<Tls>,
    /// Where it reaches its backend, which is us.
    pub backend: Option<TcpListener>,
    /// How what is said is cut.
    pub cutting: Cutting,
    /// Whether recorded pauses are kept.
    pub timing: bool,
    /// Whether it sends every message back.
    pub echo: bool,
    /// How long to wait for what must come.
    pub patience: Duration,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it speaks TLS there.
    pub secure: bool,
}

impl Against {
    /// Performs a play.
    pub async fn perform(&self, transcript: &Transcript) -> Outcome {
        if transcript.lines().iter().any(|line| matches!(line.act, Act::Explains(_))) {
            return Outcome::Skipped("are to be explained".to_owned());
        }
        let unplayable = |(line, why)| Outcome::Failed(Difference::unplayable(line, why));
        let script = match Script::read(transcript) {
            Ok(script) => script,
            Err(fault) => return unplayable(fault),
        };
        if let Some(why) = self.unsuitable(transcript, &script) {
            return Outcome::Skipped(why);
        }
        let script = match script.with_plain_opening() {
            Ok(script) => script,
            Err(fault) => return unplayable(fault),
        };
        let went = match &self.backend {
            Some(backend) => self.play(&script, Some(backend)).await,
            None if script.is_one_sided() => self.play(&script, None).await,
            None => solo::perform(self, &script).await,
        };
        match went {
            Ok(()) => Outcome::Passed,
            Err((line, mismatch)) => Outcome::Failed(Difference { line, cutting: self.cutting, mismatch }),
        }
    }

    /// Why a play cannot be performed over the network, if it cannot.
    fn unsuitable(&self, transcript: &Transcript, script: &Script) -> Option<String> {
        for line in transcript.lines() {
            match &line.act {
                Act::Setting(..) => return Some("need settings of their own".to_owned()),
                Act::TimesOut(_) => return Some("wait for a timeout of the server".to_owned()),
                Act::ShutsDown => return Some("shut the server down".to_owned()),
                _ => {}
            }
        }
        let silent = script.beats.iter().all(|beat| beat.hears.iter().all(|heard| heard.is_silence()));
        if silent {
            return Some("show nothing that could be heard".to_owned());
        }
        match () {
            () if self.backend.is_some() => None,
            () if solo::depends_on_backend(script) => Some("show what becomes of a backend's refusal".to_owned()),
            () if solo::leaves_unanswered(script) => {
                Some("show a client that is gone before it is answered".to_owned())
            }
            () if solo::uses_extension(script) => Some("use an extension that the backend agrees to".to_owned()),
            () => None,
        }
    }

    async fn play(&self, script: &Script, backend: Option<&TcpListener>) -> Result<(), (usize, Mismatch)> {
        let mut scene = Scene::open(self, script, backend).await.map_err(|why| broken(1, why))?;
        for (number, beat) in script.beats.iter().enumerate() {
            if self.timing {
                sleep(beat.pause).await;
            }
            scene.perform(beat).await.map_err(|why| broken(beat.line, why))?;
            scene.await_beat(number + 1).await.map_err(|mismatch| (beat.line, mismatch))?;
        }
        let line = script.beats.last().map_or(1, |beat| beat.line);
        scene.surplus(script.beats.len()).await.map_err(|mismatch| (line, mismatch))
    }

    /// Connects to the server.
    pub async fn connect(&self) -> Result<Line, String> {
        let Server { host, port, .. } = &self.server;
        let connecting = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await;
            let stream = stream.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?;
            match &self.tls {
                Some(tls) => tls.connect(stream, host).await.map_err(|error| format!("{host}:{port}: {error}")),
                None => Ok(Stream::Plain(stream)),
            }
        };
        match timeout(self.patience, connecting).await {
            Ok(stream) => Line::of(stream?).map_err(|error| error.to_string()),
            Err(_) => Err(format!("cannot connect to {host}:{port} within {} s", self.patience.as_secs())),
        }
    }

    /// Sends a speech in pieces, while the lines are listened to.
    ///
    /// # Errors
    /// The peer neither takes it nor ends the connection. One that has ended it by now is found by what it says.
    pub async fn say(&self, line: &mut Line, speech: &hybridge::transcript::Speech, from: usize) -> Result<(), String> {
        let mut at = 0;
        for (number, piece) in self.cutting.pieces(speech, from).into_iter().enumerate() {
            if number > 0 && number < KEPT_APART {
                sleep(APART).await;
            }
            if self.timing {
                let within = |(border, _): &&(usize, Duration)| (at..at + piece.len()).contains(border);
                sleep(speech.borders.iter().filter(within).map(|(_, pause)| *pause).sum()).await;
            }
            at += piece.len();
            match timeout(self.patience, line.say(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break,
                Err(_) => return Err(format!("what is said was not taken within {} s", self.patience.as_secs())),
            }
        }
        Ok(())
    }
}

fn broken(line: usize, why: String) -> (usize, Mismatch) {
    (line, Mismatch::Unplayable(why))
}

/// Both ends of a server under test.
struct Scene<'a> {
    against: &'a Against,
    script: &'a Script,
    backend: Option<&'a TcpListener>,
    /// Where the backend is reached, as a `Host` field would say.
    own: String,
    terms: Option<Terms>,
    lines: [Option<Line>; 2],
    /// Bytes said so far, in the order of the play.
    from: usize,
}

impl<'a> Scene<'a> {
    async fn open(
        against: &'a Against,
        script: &'a Script,
        backend: Option<&'a TcpListener>,
    ) -> Result<Scene<'a>, String> {
        if let Some(backend) = backend {
            // What an earlier play left behind is not this one's.
            while let Ok(Ok(_)) = timeout_at(Instant::now(), backend.accept()).await {}
        }
        let terms = rules::terms(&script.said(Side::Downstream), against.server.secure);
        let own = backend.and_then(|backend| backend.local_addr().ok()).map(|own: SocketAddr| own.to_string());
        let lines = [Some(against.connect().await?), None];
        Ok(Scene { against, script, backend, own: own.unwrap_or_default(), terms, lines, from: 0 })
    }

    async fn perform(&mut self, beat: &Beat) -> Result<(), String> {
        match &beat.cue {
            Cue::Says(side, speech) => {
                let Some(line) = &mut self.lines[index(*side)] else {
                    return Err("the upstream was not dialled, and cannot speak".to_owned());
                };
                let mut speech = speech.clone();
                if *side == Side::Upstream {
                    fit_accept(&mut speech.bytes, &line.heard);
                }
                self.against.say(line, &speech, self.from).await?;
                self.from += speech.bytes.len();
            }
            Cue::Ends(side, ending) => {
                let Some(line) = &mut self.lines[index(*side)] else {
                    return Err(format!("the {side} is not connected, and cannot end its stream"));
                };
                match ending {
                    Ending::Fin => drop(timeout(self.against.patience, line.end()).await),
                    Ending::Reset => line.reset(),
                }
            }
            Cue::TimesOut(_) | Cue::ShutsDown => return Err("a server elsewhere cannot be told that".to_owned()),
        }
        Ok(())
    }

    fn held(&self, side: Side, beats: usize) -> Held {
        let due = self.script.due(side, beats);
        let nobody = Line::nobody();
        match (side, self.lines[index(side)].as_ref()) {
            (_, Some(line)) if line.was_reset() => Held::Right,
            // A connection that never was has not ended either.
            (Side::Upstream, line) => {
                let (heard, ended) = line.map_or((&[][..], false), |line| (&line.heard[..], line.ended));
                if self.backend.is_none() { Held::Right } else { rules::upstream(&due, heard, ended, &self.own) }
            }
            (Side::Downstream, line) => {
                let line = line.unwrap_or(&nobody);
                rules::client(&due, &line.heard, line.ended, self.terms.as_ref())
            }
        }
    }

    /// Listens until both sides have heard what they must.
    async fn await_beat(&mut self, beats: usize) -> Result<(), Mismatch> {
        let started = Instant::now();
        loop {
            let (mut missing, mut begun) = (None, false);
            for side in SIDES {
                match self.held(side, beats) {
                    Held::Right => {}
                    Held::Begun => begun = true,
                    Held::NotYet(mismatch) => missing = missing.or(Some(mismatch)),
                    Held::Wrong(mismatch) => return Err(mismatch),
                }
            }
            let patience = match (&missing, begun) {
                (Some(_), _) => self.against.patience,
                (None, true) => BEGUN,
                (None, false) => return Ok(()),
            };
            if timeout_at(started + patience, self.listen()).await.is_err() {
                return missing.map_or(Ok(()), Err);
            }
        }
    }

    /// Listens for what should not come after the play.
    async fn surplus(&mut self, beats: usize) -> Result<(), Mismatch> {
        let deadline = Instant::now() + SURPLUS;
        while timeout_at(deadline, self.listen()).await.is_ok() {}
        for side in SIDES {
            if let Held::Wrong(mismatch) | Held::NotYet(mismatch) = self.held(side, beats) {
                return Err(mismatch);
            }
        }
        Ok(())
    }

    /// Waits until something comes from anywhere.
    async fn listen(&mut self) {
        let [client, upstream] = &mut self.lines;
        let backend = async {
            match (upstream, self.backend) {
                (Some(line), _) => {
                    line.hear().await;
                    None
                }
                (None, Some(backend)) => Some(backend.accept().await),
                (None, None) => std::future::pending().await,
            }
        };
        let accepted = tokio::select! {
            () = hear(client) => None,
            accepted = backend => accepted,
        };
        if let Some(Ok((stream, _))) = accepted {
            self.lines[1] = Line::of(Stream::Plain(stream)).ok();
        }
    }
}

async fn hear(line: &mut Option<Line>) {
    match line {
        Some(line) => line.hear().await,
        None => std::future::pending().await,
    }
}

/// Lets the answer that the play gives to its own key answer the key that was really sent.
fn fit_accept(answer: &mut [u8], asked: &[u8]) {
    let of_play = hybi::accept(UPSTREAM_KEY);
    let Some(at) = answer.windows(of_play.len()).position(|window| window == of_play.as_bytes()) else { return };
    if let Some(key) = rules::key_of(asked) {
        answer[at..at + of_play.len()].copy_from_slice(hybi::accept(&key).as_bytes());
    }
}
