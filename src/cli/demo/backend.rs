//! A backend that speaks RFC 6455 alone: `/echo` says everything back, `/chat` is the room, `/` is the page.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hybridge::dialect::opening::{Agreed, Opening};
use hybridge::dialect::{BinaryPolicy, Dialect, DialectSet};
use hybridge::http::{self, Refusal, Request};
use hybridge::sniff::{self, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

use super::room::{Member, Room};
use super::wire::{Heard, Meaning, Wire};

const PAGE: &str = include_str!("page.html");
/// The longest request head, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The most fields in it.
const MAX_FIELDS: usize = 100;
/// How long accepting pauses after it failed.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What came over a connection to `/echo`, for whoever plays there.
#[derive(Debug)]
pub enum Note {
    /// The opening handshake.
    Opening(Vec<u8>),
    /// Something said.
    Heard(Heard),
    /// The connection broke off.
    Broke(io::Error),
}

/// Where notes go, each with the target of its connection.
pub type Notes = UnboundedSender<(String, Note)>;

/// Serves whoever connects, for ever.
pub async fn serve(listener: TcpListener, room: Arc<Room>, notes: Notes) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (room, notes) = (Arc::clone(&room), notes.clone());
                // A connection that breaks off concerns nobody else; what `/echo` had of it is in the notes.
                tokio::spawn(async move { connection(stream, &room, &notes).await });
            }
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
}

async fn connection(mut stream: TcpStream, room: &Room, notes: &Notes) -> io::Result<()> {
    // Small frames should not wait for each other.
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    let length = loop {
        if let Some(length) = http::head_length(&buffer).map_err(|bad| io::Error::other(bad.to_string()))? {
            break length;
        }
        if buffer.len() > MAX_HEAD || stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    };
    let early = buffer.split_off(length);
    match asked(&buffer) {
        Ok(Asked::Page) => stream.write_all(&page()).await,
        Err(refusal) => stream.write_all(&refusal.to_bytes()).await,
        Ok(Asked::WebSocket(opening)) => {
            let target = &opening.target;
            let joining = is_at(target, "/chat");
            if !joining {
                // Nobody listens when the play is over.
                let _ = notes.send((target.clone(), Note::Opening(buffer)));
            }
            stream.write_all(&opening.answer(&Agreed::default(), "")).await?;
            let wire = Wire::new(stream, Dialect::Rfc6455.codec(false, BinaryPolicy::Close), early);
            if joining { chat(wire, room.join(target)).await } else { echo(wire, target, notes).await }
        }
    }
}

enum Asked {
    Page,
    WebSocket(Box<Opening>),
}

fn asked(head: &[u8]) -> Result<Asked, Refusal> {
    let request = Request::parse(head, MAX_FIELDS).map_err(|bad| Refusal::new(400, bad.to_string()))?;
    let modern = DialectSet::from_iter([Dialect::Rfc6455]);
    match sniff::classify(&request, modern)? {
        Verdict::Http(_) if request.method != "GET" => {
            Err(Refusal::new(405, "only GET is served").with("Allow", "GET"))
        }
        Verdict::Http(_) if is_at(request.target, "/") => Ok(Asked::Page),
        Verdict::Opening(opening) if ["/echo", "/chat"].iter().any(|path| is_at(&opening.target, path)) => {
            Ok(Asked::WebSocket(opening))
        }
        _ => Err(Refusal::new(404, "the page is at /, and WebSockets are at /echo and /chat")),
    }
}

/// Whether the target has this path, with or without a query.
fn is_at(target: &str, path: &str) -> bool {
    target.split('?').next() == Some(path)
}

fn page() -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n{PAGE}",
        PAGE.len(),
    )
    .into_bytes()
}

/// Says back what it hears, and notes it before it does.
async fn echo(mut wire: Wire, target: &str, notes: &Notes) -> io::Result<()> {
    let note = |note| {
        // Nobody listens when the play is over.
        let _ = notes.send((target.to_owned(), note));
    };
    loop {
        let heard = match wire.hear().await {
            Ok(heard) => heard,
            Err(error) => {
                note(Note::Broke(error));
                return Ok(());
            }
        };
        let meaning = heard.meaning.clone();
        note(Note::Heard(heard));
        match meaning {
            Meaning::Ping(payload) => wire.say(&Meaning::Pong(payload)).await?,
            Meaning::Pong(_) => continue,
            Meaning::End => return Ok(()),
            Meaning::Close(..) => {
                wire.say(&meaning).await?;
                return wire.end().await;
            }
            Meaning::Text(_) | Meaning::Binary(_) => wire.say(&meaning).await?,
        };
    }
}

/// Carries what is said between a member and the room.
async fn chat(mut wire: Wire, mut member: Member<'_>) -> io::Result<()> {
    loop {
        tokio::select! {
            heard = wire.hear() => {
                let heard = heard?;
                match &heard.meaning {
                    Meaning::Text(text) => member.says(text, &heard.bytes),
                    Meaning::Ping(payload) => drop(wire.say(&Meaning::Pong(payload.clone())).await?),
                    Meaning::Binary(_) | Meaning::Pong(_) => {}
                    Meaning::Close(..) => {
                        wire.say(&heard.meaning).await?;
                        return wire.end().await;
                    }
                    Meaning::End => return Ok(()),
                }
            }
            told = member.told() => match told {
                Some(text) => drop(wire.say(&Meaning::Text(text)).await?),
                // It took too little of what it was told.
                None => return Ok(()),
            }
        }
    }
}
