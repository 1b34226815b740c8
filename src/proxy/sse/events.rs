//! A client's events over all the streams they come in: reading one, losing it, waiting, asking for the next.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;
use tracing::debug;

use super::super::random::{Fresh, spread};
use super::super::servers::Lease;
use super::super::stream::Stream as Socket;
use super::source::{Source, Stream, Unopened};
use crate::conversation::{Lost, Output, Side};
use crate::dialect::opening::stream::is_sendable;
use crate::handshake::Conversation;
use crate::http::body::Framing;

/// Bytes read at once.
const READ: usize = 64 << 10;
/// How much the client is told before it is waited for. Events are told with the id of the last one that had any, so that
/// a few bytes of a stream may make a long message.
const ENOUGH: usize = 256 << 10;
/// The shortest wait before a stream is resumed, whatever the upstream says: one that ends at once must not be asked
/// without end.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// The longest wait between two attempts, unless the upstream itself asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest that an upstream may ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(60 * 60);

/// What came.
pub enum Came {
    /// Bytes of the stream, which the conversation has heard.
    Bytes,
    /// Another state.
    Change,
    /// Nothing more will, and why.
    Lost(Lost, String),
}

type Asking<'s> = Pin<Box<dyn Future<Output = Result<Stream, Unopened>> + Send + 's>>;

enum State<'s> {
    /// A stream is read.
    Reading(Reading),
    /// The upstream is left alone until then.
    Waiting(Instant),
    /// It is asked for the next stream.
    Asking(Asking<'s>),
    /// Nobody wants any more.
    Over,
}

struct Reading {
    socket: Socket,
    framing: Framing,
    /// Read, with the framing, but not yet heard: what came with the answer's head, or behind enough.
    unheard: Vec<u8>,
    since: Instant,
    /// When the last byte came, or was waited for again; none while nobody reads.
    heard: Option<Instant>,
    /// Whether any came.
    spoke: bool,
    _lease: Lease,
}

impl Reading {
    fn new(stream: Stream) -> Reading {
        let now = Instant::now();
        let Stream { socket, framing, early, lease, .. } = stream;
        Reading { socket, framing, unheard: early, since: now, heard: Some(now), spoke: false, _lease: lease }
    }
}

/// The events of one client.
pub struct Events<'s> {
    source: Arc<Source<'s>>,
    state: State<'s>,
    /// Read, but not yet understood: the lines of an event that goes on.
    carry: Vec<u8>,
    /// The conversation has paused, and `carry` may hold whole events.
    paused: bool,
    /// Behind which event the next stream goes on.
    last_id: String,
    /// How long the upstream wants to be left alone.
    retry: Duration,
    /// Since when there was no stream that said anything.
    lost: Option<Instant>,
    /// Attempts in vain since then.
    attempts: u32,
    read_bytes: u64,
}

impl<'s> Events<'s> {
    /// Events of which the first stream has begun.
    pub fn new(source: Arc<Source<'s>>, stream: Stream) -> Events<'s> {
        Events {
            retry: source.route.events.retry,
            last_id: source.start.last_id.clone(),
            source,
            state: State::Reading(Reading::new(stream)),
            carry: Vec::new(),
            paused: false,
            lost: None,
            attempts: 0,
            read_bytes: 0,
        }
    }

    /// Where they come from.
    pub fn source(&self) -> &Arc<Source<'s>> {
        &self.source
    }

    /// Bytes of all streams, without their framing.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Drops the stream, or what is done to get one; false if there is neither.
    pub fn drop_stream(&mut self) -> bool {
        (self.carry, self.paused) = (Vec::new(), false);
        !matches!(std::mem::replace(&mut self.state, State::Over), State::Over)
    }

    /// The stream is not read just now, so its silence means nothing, until it is polled again.
    pub fn held_up(&mut self) {
        if let State::Reading(reading) = &mut self.state {
            reading.heard = None;
        }
    }

    /// Carries on: reads the stream once into `buffer` and tells the conversation, or gets the next one.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        conversation: &mut Conversation,
        out: &mut Output,
    ) -> Poll<Came> {
        match &mut self.state {
            State::Over | State::Waiting(_) => Poll::Pending,
            State::Asking(asking) => {
                let Poll::Ready(asked) = asking.as_mut().poll(cx) else { return Poll::Pending };
                Poll::Ready(self.asked(asked))
            }
            State::Reading(reading) if self.paused || !reading.unheard.is_empty() => {
                let unheard = std::mem::take(&mut reading.unheard);
                Poll::Ready(self.body(&unheard, conversation, out))
            }
            State::Reading(reading) => {
                let mut buffer = ReadBuf::new(&mut buffer[..READ]);
                match Pin::new(&mut reading.socket).poll_read(cx, &mut buffer) {
                    Poll::Pending => {
                        reading.heard.get_or_insert_with(Instant::now);
                        Poll::Pending
                    }
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                        Poll::Ready(self.body(buffer.filled(), conversation, out))
                    }
                    Poll::Ready(Ok(())) => Poll::Ready(self.ended("it ended", conversation)),
                    Poll::Ready(Err(error)) => Poll::Ready(self.ended(&format!("it broke off: {error}"), conversation)),
                }
            }
        }
    }

    /// Hears what was read of a body.
    fn body(&mut self, mut bytes: &[u8], conversation: &mut Conversation, out: &mut Output) -> Came {
        let State::Reading(reading) = &mut self.state else { return Came::Change };
        reading.heard = Some(Instant::now());
        if self.paused {
            self.paused = hears(&mut self.carry, b"", conversation, out);
        }
        while !self.paused {
            match reading.framing.next(&mut bytes) {
                Ok(Some(piece)) => {
                    reading.spoke = true;
                    self.read_bytes += piece.len() as u64;
                    self.paused = hears(&mut self.carry, piece, conversation, out);
                }
                Ok(None) if reading.framing.is_over() => return self.ended("it ended", conversation),
                Ok(None) => return Came::Bytes,
                Err(_) => return self.ended("its chunks are not well formed", conversation),
            }
        }
        reading.unheard = bytes.to_vec();
        Came::Bytes
    }

    /// A stream has ended.
    fn ended(&mut self, how: &str, conversation: &mut Conversation) -> Came {
        match self.resume(how, Instant::now(), conversation) {
            Some((lost, why)) => Came::Lost(lost, why),
            None => Came::Change,
        }
    }

    /// Waits before the next stream, or says why there will be none.
    fn resume(&mut self, how: &str, now: Instant, conversation: &mut Conversation) -> Option<(Lost, String)> {
        let State::Reading(reading) = std::mem::replace(&mut self.state, State::Over) else { return None };
        (self.carry, self.paused) = (Vec::new(), false);
        self.source.at.set(None);
        let resume = conversation.resume(Side::Upstream)?;
        self.last_id = resume.last_id;
        self.retry = resume.retry.unwrap_or(self.source.route.events.retry);
        self.retry = self.retry.clamp(SHORTEST_WAIT, LONGEST_RETRY);
        if !is_sendable(&self.last_id) {
            let why = format!("{how}, and no header can hold the id of its last event, {:?}", self.last_id);
            return Some((Lost::Refused, why));
        }
        // A stream that said nothing and was soon gone is one more attempt in vain.
        if reading.spoke || now >= reading.since + self.retry {
            (self.attempts, self.lost) = (0, Some(now));
        } else {
            self.attempts += 1;
        }
        self.wait(how.to_owned(), now)
    }

    /// Leaves the upstream alone for a while, unless it has been away for too long.
    fn wait(&mut self, why: String, now: Instant) -> Option<(Lost, String)> {
        let lost = *self.lost.get_or_insert(now);
        let last = self.source.route.events.reconnect.map(|patience| lost + patience);
        if self.attempts > 0 && last.is_some_and(|last| last <= now) {
            return Some((Lost::Away, why));
        }
        let wait = match self.attempts {
            0 => self.retry,
            attempts => {
                let doubled = self.retry.saturating_mul(1 << attempts.min(16));
                spread(doubled.min(LONGEST_WAIT.max(self.retry)))
            }
        };
        let mut until = now + wait;
        // The last attempt is made when the time is up, and the first one in any case.
        if let Some(last) = last.filter(|_| self.attempts > 0) {
            until = until.min(last);
        }
        debug!(
            route = self.source.route.name,
            target = self.source.start.target,
            last_id = self.last_id,
            ms = wait.as_millis(),
            "the upstream's stream is lost and will be resumed: {why}"
        );
        self.state = State::Waiting(until);
        None
    }

    fn asked(&mut self, asked: Result<Stream, Unopened>) -> Came {
        let given_up = match asked {
            Ok(stream) => {
                debug!(route = self.source.route.name, target = self.source.start.target, "resumed");
                self.state = State::Reading(Reading::new(stream));
                return Came::Change;
            }
            Err(Unopened::Done(refusal)) => Some((Lost::Done, refusal.logged())),
            Err(Unopened::Refused(refusal)) => Some((Lost::Refused, refusal.logged())),
            Err(Unopened::Later(refusal)) => {
                self.attempts += 1;
                self.wait(refusal.logged(), Instant::now())
            }
        };
        match given_up {
            Some((lost, why)) => {
                self.state = State::Over;
                Came::Lost(lost, why)
            }
            None => Came::Change,
        }
    }

    /// When to look again though nothing comes.
    pub fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Reading(reading) => Some(reading.heard? + self.source.route.events.silence?),
            State::Waiting(until) => Some(*until),
            State::Asking(_) | State::Over => None,
        }
    }

    /// A wait is over: for the next attempt, or for a word of the stream. Says why nothing more will come, if so.
    pub fn timed_out(&mut self, now: Instant, conversation: &mut Conversation) -> Option<(Lost, String)> {
        match &self.state {
            State::Reading(_) => self.resume("it was silent for longer than the route allows", now, conversation),
            State::Waiting(_) => {
                let (source, last_id) = (Arc::clone(&self.source), self.last_id.clone());
                self.state = State::Asking(Box::pin(async move { source.ask(&last_id).await }));
                None
            }
            State::Asking(_) | State::Over => None,
        }
    }
}

/// Tells the conversation a piece of the stream behind what it has not yet understood; true if it has paused.
fn hears(carry: &mut Vec<u8>, piece: &[u8], conversation: &mut Conversation, out: &mut Output) -> bool {
    if carry.is_empty() {
        let mut input = piece;
        let paused = conversation.hears_until(Side::Upstream, ENOUGH, &mut input, out, &mut Fresh);
        carry.extend_from_slice(input);
        return paused;
    }
    carry.extend_from_slice(piece);
    let mut input = &carry[..];
    let paused = conversation.hears_until(Side::Upstream, ENOUGH, &mut input, out, &mut Fresh);
    let taken = carry.len() - input.len();
    carry.drain(..taken);
    if carry.is_empty() {
        // Empty again: an idle connection holds no buffers.
        *carry = Vec::new();
    }
    paused
}
