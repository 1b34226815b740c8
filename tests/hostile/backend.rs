//! The backend behind the proxy that is attacked: it plays each row's part, by the mark in what it hears.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::net::{TcpListener, TcpStream};

use super::bodies::{Body, body};
use super::frames::{head_end, next_close};
use super::line::{Extent, Heard, Line, Record, contains};
use super::row::{ACCEPT, Part, Step};

/// How long a connection may say nothing that tells whose it is.
const SILENCE: Duration = Duration::from_secs(20);

/// A row that is being performed.
pub struct Running {
    pub tag: String,
    pub part: Part,
    /// Whether every connection without a mark is this row's.
    pub alone: bool,
    /// What reached the backend.
    pub visits: Mutex<Vec<Visit>>,
}

impl Running {
    /// What a judge of this row's visits may find changed.
    pub fn extents(&self) -> Vec<(Extent, Option<usize>, bool)> {
        let visits = self.visits.lock().expect("nobody panics");
        visits.iter().map(|visit| (visit.record.heard().extent(), visit.to, visit.upgraded)).collect()
    }
}

/// One request that reached the backend, and what came behind it on a connection that is no longer HTTP.
#[derive(Clone)]
pub struct Visit {
    record: Arc<Record>,
    from: usize,
    to: Option<usize>,
    /// Whether the backend agreed to the WebSocket.
    pub upgraded: bool,
}

impl Visit {
    /// What was heard: the head and all that follows.
    pub fn bytes(&self) -> Vec<u8> {
        let heard = self.record.heard();
        let to = self.to.unwrap_or(heard.bytes.len());
        heard.bytes[self.from..to].to_vec()
    }

    /// Whether the connection has ended, by FIN or reset.
    pub fn ended(&self) -> bool {
        self.record.heard().end.is_some()
    }

    /// Whether what follows on the connection belongs to another request.
    pub fn is_over(&self) -> bool {
        self.to.is_some()
    }
}

/// The rows that are being performed, and what came that belongs to none.
#[derive(Default)]
pub struct Book {
    rows: Mutex<HashMap<String, Arc<Running>>>,
    strays: Mutex<Vec<String>>,
}

impl Book {
    pub fn open(&self, running: &Arc<Running>) {
        self.rows.lock().expect("nobody panics").insert(running.tag.clone(), Arc::clone(running));
    }

    pub fn close(&self, tag: &str) {
        self.rows.lock().expect("nobody panics").remove(tag);
    }

    /// What came since that belongs to no row.
    pub fn strays(&self) -> Vec<String> {
        std::mem::take(&mut self.strays.lock().expect("nobody panics"))
    }

    /// The row whose backend hears nothing before it acts, if there is one.
    fn at_once(&self) -> Option<Arc<Running>> {
        let rows = self.rows.lock().expect("nobody panics");
        rows.values().find(|row| matches!(row.part, Part::AtOnce(_))).cloned()
    }

    fn owner(&self, bytes: &[u8]) -> Option<Arc<Running>> {
        let rows = self.rows.lock().expect("nobody panics");
        let marked = rows.values().find(|row| contains(bytes, row.tag.as_bytes()));
        marked.or_else(|| rows.values().find(|row| row.alone)).cloned()
    }
}

/// Takes connections for as long as the runtime lives.
pub async fn serve(listener: TcpListener, book: Arc<Book>) {
    loop {
        if let Ok((stream, peer)) = listener.accept().await {
            tokio::spawn(attend(stream, peer, Arc::clone(&book)));
        }
    }
}

async fn attend(stream: TcpStream, peer: SocketAddr, book: Arc<Book>) {
    let mut line = Line::over(stream);
    let mut from = 0;
    if let Some(row) = book.at_once()
        && let Part::AtOnce(steps) = &row.part
    {
        let visit = Visit { record: Arc::clone(&line.record), from, to: None, upgraded: false };
        row.visits.lock().expect("nobody panics").push(visit);
        return perform(&mut line, &[], steps).await;
    }
    loop {
        line.record.until(SILENCE, |heard| head_end(&heard.bytes[from..]).is_some()).await;
        let (head, rest) = {
            let heard = line.record.heard();
            let end = head_end(&heard.bytes[from..]).unwrap_or(heard.bytes.len() - from);
            (heard.bytes[from..from + end].to_vec(), from + end)
        };
        if head.is_empty() {
            return line.leave().await;
        }
        if contains(&head, super::stage::BYSTANDER.as_bytes()) {
            // An ordinary client's, between rows, also while one that runs alone is not quite over.
            return agree(&mut line, &head, rest).await;
        }
        let Some(row) = book.owner(&head) else {
            book.strays.lock().expect("nobody panics").push(format!("{peer}: {}", head.escape_ascii()));
            return line.leave().await;
        };
        let at = {
            let mut visits = row.visits.lock().expect("nobody panics");
            visits.push(Visit { record: Arc::clone(&line.record), from, to: None, upgraded: false });
            visits.len() - 1
        };
        let change = |change: &dyn Fn(&mut Visit)| change(&mut row.visits.lock().expect("nobody panics")[at]);
        match &row.part {
            Part::Script(steps) | Part::AtOnce(steps) => {
                change(&|visit| visit.upgraded = consents(steps));
                perform(&mut line, &head, steps).await;
                return;
            }
            Part::Decent if asks_for_websocket(&head) => {
                change(&|visit| visit.upgraded = true);
                return agree(&mut line, &head, rest).await;
            }
            Part::Decent => {
                let Some(end) = body_end(&line.record, &head, rest).await else {
                    return line.leave().await;
                };
                change(&|visit| visit.to = Some(end));
                from = end;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nordinary";
                if line.write(answer).await.is_err() {
                    return line.leave().await;
                }
            }
        }
    }
}

/// Does the steps of a row's own backend, and then only listens until the other end leaves.
async fn perform(line: &mut Line, head: &[u8], steps: &[Step]) {
    let accept = accept_of(head).unwrap_or_default();
    let filled: Vec<Step> = steps.iter().map(|step| fill(step, ACCEPT, &accept)).collect();
    line.perform(&filled).await;
    line.record.until(6 * SILENCE, |_| false).await;
    line.leave().await;
}

/// Agrees, listens, answers a close, and ends the stream (RFC 6455 §7.1.1).
async fn agree(line: &mut Line, head: &[u8], from: usize) {
    let accept = accept_of(head).unwrap_or_default();
    let Step::Say(consent) = fill(&super::row::consent(), ACCEPT, &accept) else { return };
    if line.write(&consent).await.is_ok() {
        let (mut looked, mut close) = (from, None);
        let mut closed = |heard: &Heard| {
            close = next_close(&heard.bytes, &mut looked);
            close.is_some()
        };
        line.record.until(6 * SILENCE, &mut closed).await;
        if let Some(close) = close {
            let answer = Step::Say(super::support::plain(super::support::CLOSE, &close.payload));
            line.perform(&[answer, Step::Finish]).await;
            line.record.until(SILENCE, |_| false).await;
        }
    }
    line.leave().await;
}

/// `step` with `what` replaced by `with` in what is said.
pub fn fill(step: &Step, what: &str, with: &str) -> Step {
    let replaced = |bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = memchr::memmem::find(rest, what.as_bytes()) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(with.as_bytes());
            rest = &rest[at + what.len()..];
        }
        out.extend_from_slice(rest);
        out
    };
    match step {
        Step::Say(bytes) => Step::Say(replaced(bytes)),
        Step::Drip(bytes, gap) => Step::Drip(replaced(bytes), *gap),
        Step::Pour(bytes, total) => Step::Pour(replaced(bytes), *total),
        Step::Hear(bytes) => Step::Hear(replaced(bytes)),
        Step::Crowd(count, bytes) => Step::Crowd(*count, replaced(bytes)),
        step => step.clone(),
    }
}

fn consents(steps: &[Step]) -> bool {
    let agrees = |bytes: &[u8]| contains(bytes, ACCEPT.as_bytes());
    steps.iter().any(|step| matches!(step, Step::Say(bytes) | Step::Drip(bytes, _) if agrees(bytes)))
}

fn value(head: &[u8], name: &str) -> Option<String> {
    // What another field holds that is no text does not make this one unreadable.
    String::from_utf8_lossy(head).split("\r\n").find_map(|line| {
        let (named, value) = line.split_once(':')?;
        named.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn accept_of(head: &[u8]) -> Option<String> {
    let key = value(head, "sec-websocket-key")?;
    Some(STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))))
}

fn asks_for_websocket(head: &[u8]) -> bool {
    let upgrade = value(head, "upgrade").is_some_and(|value| value.to_ascii_lowercase().contains("websocket"));
    upgrade && head.starts_with(b"GET ") && accept_of(head).is_some()
}

/// Where the body of a request ends that begins at `from`, once it is all there; `None` if it never is.
async fn body_end(record: &Record, head: &[u8], from: usize) -> Option<usize> {
    let mut found = Body::Cut;
    let read = |heard: &Heard| {
        found = body(head, heard.bytes.get(from..).unwrap_or_default(), false);
        !matches!(found, Body::Cut)
    };
    record.until(SILENCE, read).await;
    if let Body::Whole { length, .. } = found { Some(from + length) } else { None }
}
