//! A backend that sends Server-Sent Events and breaks off, and an old client that notices nothing of it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hybridge::dialect::Dialect;
use hybridge::http::{self, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::clients::{Browser, CAST};
use super::play::{Line, Transcript, Voice};
use super::wire::{Heard, Meaning, Wire};
use crate::cli::bytes::by_line;
use crate::cli::client::Handshake;

/// The path of the events, and of what is said to their backend.
pub const PATH: &str = "/news";
pub const SEND: &str = "/say";
/// How long the backend wants to be left alone.
pub const RETRY: Duration = Duration::from_millis(50);

/// The time the client has for all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first stream, which breaks off inside an event, and the one that goes on behind it.
const FIRST: &str = "id: 1\ndata: Hello\n\nid: 2\ndata: Grüße\n\nid: 3\ndata: lo";
const SECOND: &str = "id: 3\ndata: lost, and found\n\n";
const TOLD: [&str; 3] = ["Hello", "Grüße", "lost, and found"];
const SAID: &str = "Thanks 😀";

/// What came to the backend, or went out.
type Notes = UnboundedSender<(Voice, Vec<u8>)>;

/// What shows it: the only browser of the cast that is needed.
pub fn browser() -> &'static Browser {
    CAST.iter().find(|browser| browser.dialect == Dialect::Hixie76).unwrap_or(&CAST[0])
}

/// Plays it: the backend, on this listener, and the client.
pub async fn play(listener: TcpListener, proxy: SocketAddr) -> Transcript {
    let (notes, noted) = unbounded_channel();
    let backend = tokio::spawn(serve(listener, notes));
    let mut player = Player { noted, transcript: Transcript::default() };
    let broken = match timeout(PATIENCE, player.perform(proxy)).await {
        Ok(done) => done.err(),
        Err(_) => Some(format!("it was not done within {} s", PATIENCE.as_secs())),
    };
    player.note_what_came();
    player.transcript.broken.extend(broken);
    backend.abort();
    player.transcript
}

/// Whether the client heard everything once, and the backend what it said: everything that was wrong, as sentences.
pub fn judge(transcript: &Transcript) -> Vec<String> {
    let mut faults = transcript.broken.clone();
    let bytes = |voice| {
        let lines = transcript.lines.iter().filter(move |line| line.voice == voice);
        lines.map(|line| line.pieces.concat()).collect::<Vec<_>>()
    };
    let heard: Vec<Vec<u8>> = bytes(Voice::ClientHears).into_iter().skip(1).filter(|bytes| !bytes.is_empty()).collect();
    let told = TOLD.iter().map(|text| [b"\0", text.as_bytes(), b"\xff"].concat());
    let expected: Vec<Vec<u8>> = told.chain([b"\xff\0".to_vec()]).collect();
    if heard != expected {
        faults.push(format!("the client heard \"{}\" of the events", heard.concat().escape_ascii()));
    }
    let requests: Vec<String> =
        bytes(Voice::BackendHears).iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    if !requests.iter().any(|request| request.starts_with("GET ") && request.contains("\r\nLast-Event-ID: 2\r\n")) {
        faults.push("the backend was not asked for what follows event 2".into());
    }
    if !requests.iter().any(|request| request.starts_with(&format!("POST {SEND} ")) && request.ends_with(SAID)) {
        faults.push(format!("the backend did not hear \"{SAID}\""));
    }
    faults
}

struct Player {
    noted: UnboundedReceiver<(Voice, Vec<u8>)>,
    transcript: Transcript,
}

impl Player {
    async fn perform(&mut self, proxy: SocketAddr) -> Result<(), String> {
        let broken = |error| format!("its connection broke off: {error}");
        let mut handshake = Handshake::default();
        let opened = browser().open(proxy, PATH, &mut handshake).await;
        self.line(Voice::ClientSays, by_line(&handshake.said), None);
        self.note_what_came();
        self.line(Voice::ClientHears, by_line(&handshake.heard), None);
        let mut wire = opened?;
        for _ in TOLD {
            let heard = wire.hear().await.map_err(broken)?;
            self.hears(heard);
        }
        let said = Meaning::Text(SAID.into());
        let bytes = wire.say(&said).await.map_err(broken)?;
        self.line(Voice::ClientSays, vec![bytes], Some(said));
        let Some(note) = self.noted.recv().await else { return Err("the backend is gone".into()) };
        self.note(note);
        self.part(&mut wire).await.map_err(broken)
    }

    async fn part(&mut self, wire: &mut Wire) -> io::Result<()> {
        let farewell = Meaning::Close(None, String::new());
        let bytes = wire.say(&farewell).await?;
        self.line(Voice::ClientSays, vec![bytes], Some(farewell));
        loop {
            let heard = wire.hear().await?;
            let ended = heard.meaning == Meaning::End;
            self.hears(heard);
            if ended {
                return Ok(());
            }
        }
    }

    fn line(&mut self, voice: Voice, pieces: Vec<Vec<u8>>, meaning: Option<Meaning>) {
        self.transcript.lines.push(Line { voice, pieces, meaning });
    }

    fn hears(&mut self, heard: Heard) {
        self.note_what_came();
        self.line(Voice::ClientHears, vec![heard.bytes], Some(heard.meaning));
    }

    fn note_what_came(&mut self) {
        while let Ok(note) = self.noted.try_recv() {
            self.note(note);
        }
    }

    fn note(&mut self, (voice, bytes): (Voice, Vec<u8>)) {
        let pieces = match voice {
            Voice::BackendHears => by_line(&bytes),
            _ => vec![bytes],
        };
        self.line(voice, pieces, None);
    }
}

async fn serve(listener: TcpListener, notes: Notes) {
    while let Ok((stream, _)) = listener.accept().await {
        let notes = notes.clone();
        // A connection that breaks off is missed in what the client hears.
        tokio::spawn(async move { connection(stream, &notes).await });
    }
}

async fn connection(mut stream: TcpStream, notes: &Notes) -> io::Result<()> {
    let mut buffer = Vec::new();
    let (mut head, mut body) = (0, 0);
    while head == 0 || buffer.len() < head + body {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        if let Ok(Some(length)) = http::head_length(&buffer)
            && let Ok(request) = Request::parse(&buffer[..length], 100)
        {
            let size = request.fields.first("content-length").and_then(|size| std::str::from_utf8(size).ok());
            (head, body) = (length, size.and_then(|size| size.parse().ok()).unwrap_or(0));
        }
    }
    let is_post = buffer.starts_with(b"POST ");
    let is_first = !buffer[..head].windows(13).any(|window| window.eq_ignore_ascii_case(b"last-event-id"));
    note(notes, Voice::BackendHears, &buffer);
    if is_post {
        return stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    }
    let events = if is_first { FIRST } else { SECOND };
    note(notes, Voice::BackendSays, events.as_bytes());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    stream.write_all([head, events].concat().as_bytes()).await?;
    if !is_first {
        // Until the proxy has enough.
        while stream.read_buf(&mut buffer).await? > 0 {}
    }
    Ok(())
}

fn note(notes: &Notes, voice: Voice, bytes: &[u8]) {
    // Nobody listens when the play is over.
    let _ = notes.send((voice, bytes.to_vec()));
}
