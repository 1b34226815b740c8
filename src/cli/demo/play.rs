//! What each built-in client plays against the echo, and the transcript of it.

use std::net::SocketAddr;
use std::time::Duration;

use hybridge::dialect::Dialect;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::backend::Note;
use super::clients::Browser;
use super::wire::{Heard, Meaning};
use crate::cli::bytes::by_line;
use crate::cli::client::Handshake;

/// The time one client has for all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between the pieces of a message that is cut: long enough that each travels alone.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of such a piece. It cuts the four bytes of a character in two.
const PIECE: usize = 7;

/// Whose bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// The client wrote them.
    ClientSays,
    /// They came to the backend.
    BackendHears,
    /// The backend wrote them.
    BackendSays,
    /// They came to the client.
    ClientHears,
}

/// A line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose bytes.
    pub voice: Voice,
    /// The bytes, each piece as it is worth seeing: a line of a head, or what was written at once.
    pub pieces: Vec<Vec<u8>>,
    /// What they mean; none for the opening handshake.
    pub meaning: Option<Meaning>,
}

/// What passed between one client and the backend.
#[derive(Debug, Default)]
pub struct Transcript {
    /// In the order in which it happened, as far as one can tell.
    pub lines: Vec<Line>,
    /// Why it broke off, if it did: sentences about the client or the backend.
    pub broken: Vec<String>,
}

/// What a client of this dialect says between its handshakes, and into how long pieces it is cut, if it is.
pub fn script(dialect: Dialect) -> Vec<(Meaning, Option<usize>)> {
    let text = |text: &str| Meaning::Text(text.into());
    let mut script = vec![
        (text("Hello"), None),
        (text("Grüße, 世界 😀"), None),
        (text(""), None),
        (text("cut 😀 into pieces"), Some(PIECE)),
    ];
    if dialect.facts().version.is_some() {
        script.push((Meaning::Ping(b"still there?".to_vec()), None));
    }
    script
}

/// How a client of this dialect says that it is done.
pub fn farewell(dialect: Dialect) -> Meaning {
    match dialect {
        Dialect::Hixie75 => Meaning::End,
        Dialect::Hixie76 => Meaning::Close(None, String::new()),
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => Meaning::Close(Some(1000), "bye".into()),
    }
}

/// Plays one client from its opening handshake to the end of its connection.
pub async fn play(browser: &Browser, proxy: SocketAddr, notes: &mut UnboundedReceiver<(String, Note)>) -> Transcript {
    let target = format!("/echo?from={}", browser.dialect);
    let mut player = Player { browser, target, notes, transcript: Transcript::default() };
    let broken = match timeout(PATIENCE, player.perform(proxy)).await {
        Ok(done) => done.err(),
        Err(_) => Some(format!("it was not done within {} s", PATIENCE.as_secs())),
    };
    player.note_what_came();
    player.transcript.broken.extend(broken);
    player.transcript
}

struct Player<'p> {
    browser: &'p Browser,
    target: String,
    notes: &'p mut UnboundedReceiver<(String, Note)>,
    transcript: Transcript,
}

impl Player<'_> {
    async fn perform(&mut self, proxy: SocketAddr) -> Result<(), String> {
        let broken = |error| format!("its connection broke off: {error}");
        let mut handshake = Handshake::default();
        let opened = self.browser.open(proxy, &self.target, &mut handshake).await;
        self.line(Voice::ClientSays, by_line(&handshake.said), None);
        self.note_what_came();
        self.line(Voice::ClientHears, by_line(&handshake.heard), None);
        let mut wire = opened?;

        for (meaning, cut) in script(self.browser.dialect) {
            let bytes = wire.encode(&meaning);
            let pieces: Vec<Vec<u8>> = bytes.chunks(cut.unwrap_or(bytes.len())).map(<[u8]>::to_vec).collect();
            for piece in &pieces {
                wire.write(piece).await.map_err(broken)?;
                if cut.is_some() {
                    sleep(PAUSE).await;
                }
            }
            self.line(Voice::ClientSays, pieces, Some(meaning));
            let heard = wire.hear().await.map_err(broken)?;
            self.hears(heard);
        }

        let farewell = farewell(self.browser.dialect);
        let bytes = wire.say(&farewell).await.map_err(broken)?;
        if farewell == Meaning::End {
            wire.end().await.map_err(broken)?;
        }
        self.line(Voice::ClientSays, vec![bytes], Some(farewell));
        loop {
            let heard = wire.hear().await.map_err(broken)?;
            let ended = heard.meaning == Meaning::End;
            self.hears(heard);
            if ended {
                break;
            }
        }
        // hixie-75 may see the end before the backend does.
        while !self.backend_is_done() {
            let Some(note) = self.notes.recv().await else { break };
            self.note(note);
        }
        Ok(())
    }

    fn line(&mut self, voice: Voice, pieces: Vec<Vec<u8>>, meaning: Option<Meaning>) {
        self.transcript.lines.push(Line { voice, pieces, meaning });
    }

    /// The client has heard something: an echo of what the backend had heard before.
    fn hears(&mut self, heard: Heard) {
        self.note_what_came();
        self.line(Voice::ClientHears, vec![heard.bytes], Some(heard.meaning));
    }

    fn note_what_came(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            self.note(note);
        }
    }

    fn note(&mut self, (target, note): (String, Note)) {
        // Somebody else may be at the echo too, or a client before this one may have left something behind.
        if target != self.target {
            return;
        }
        match note {
            Note::Opening(head) => self.line(Voice::BackendHears, by_line(&head), None),
            Note::Heard(heard) => self.line(Voice::BackendHears, vec![heard.bytes], Some(heard.meaning)),
            Note::Broke(error) => {
                self.transcript.broken.push(format!("the backend's connection broke off: {error}"));
                self.line(Voice::BackendHears, Vec::new(), Some(Meaning::End));
            }
        }
    }

    fn backend_is_done(&self) -> bool {
        let done = |line: &Line| matches!(line.meaning, Some(Meaning::Close(..) | Meaning::End));
        self.transcript.lines.iter().any(|line| line.voice == Voice::BackendHears && done(line))
    }
}
