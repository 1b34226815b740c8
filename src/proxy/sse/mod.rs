//! A client whose backend sends Server-Sent Events: streams of events, one after the other, that look to it like one
//! connection, and requests that take what it says.
//!
//! As in `relay`, one task polls everything in turn and never waits for one thing alone. The client is read as long as
//! not too much of what it said waits to be sent; the stream is read while the client has taken what came before. So
//! either is slowed down to what the other side takes, by TCP itself.

mod events;
mod feed;
mod posts;
mod source;

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::warn;

use self::events::{Came, Events};
pub use self::feed::Feed;
use self::posts::Posts;
use self::source::Source;
use super::connection::Shared;
use super::drain::Watch;
use super::pipe::Pipe;
use super::random::Fresh;
use super::relay::{Carried, KEEP, MAX_ANSWERS, ROUNDS, SCRATCH, Scratch};
use super::servers::Guest;
use super::stream::Stream;
use crate::config::{Route, SendFailure, Timeouts};
use crate::conversation::{Cause, Finish, Lost, Output, Side};
use crate::dialect::opening::{Agreed, Opening};
use crate::handshake::{Conversation, events_conversation};
use crate::http::Refusal;

/// How long a connection for messages is kept when there are none. Backends close theirs after as little as two seconds,
/// and a message that meets such a close is lost: nobody can tell whether it was taken.
pub const IDLE: Duration = Duration::from_secs(1);
/// Bytes read at once from a client, whose messages may all have to wait.
const READ: usize = 64 << 10;

/// An upstream whose events have begun.
pub struct Begun<'s> {
    events: Events<'s>,
    posts: Posts,
    /// What the client is answered.
    pub agreed: Agreed,
}

/// Asks the route's upstream for its events.
///
/// # Errors
/// What the client is told instead.
pub async fn open<'s>(
    opening: &Opening,
    route: &'s Route,
    guest: Guest,
    shared: &'s Shared,
) -> Result<Begun<'s>, Refusal> {
    let source = Arc::new(Source::new(opening, route, guest, &shared.config, &shared.servers)?);
    let posts = Posts::new(&source, &shared.posts)?;
    let mut stream = source.ask(&source.start.last_id).await.map_err(source::Unopened::refusal)?;
    let agreed = std::mem::take(&mut stream.agreed);
    Ok(Begun { events: Events::new(source, stream), posts, agreed })
}

impl Begun<'_> {
    /// The conversation that follows.
    pub fn conversation(&self) -> Conversation {
        let Source { opening, route, config, start, .. } = &**self.events.source();
        events_conversation(opening, start, route, &config.limits)
    }
}

struct Carrier<'s> {
    client: Pipe,
    events: Events<'s>,
    posts: Posts,
    conversation: Conversation,
    route: &'s Route,
    timeouts: &'s Timeouts,
    send_queue: usize,
    drain: Option<Watch>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When a byte was read last from either side.
    heard: Instant,
    /// Whether the conversation was told that its upstream is done with.
    upstream_ended: bool,
}

/// Carries a conversation until the client's stream and the upstream's requests are done with. Beside the client's
/// stream stands what it sent beyond the handshake.
pub fn carry<'s>(
    client: (Stream, Vec<u8>),
    begun: Begun<'s>,
    conversation: Conversation,
    drain: Watch,
) -> impl Future<Output = Carried> + use<'s> {
    // Put together before anything waits: what a future takes as arguments it keeps twice.
    let Begun { events, posts, .. } = begun;
    let Source { route, config, .. } = **events.source();
    let mut carrier = Carrier {
        client: Pipe::new(client.0, client.1.len()),
        conversation,
        events,
        posts,
        route,
        timeouts: &config.timeouts,
        send_queue: config.limits.send_queue,
        drain: Some(drain),
        timer: None,
        heard: Instant::now(),
        upstream_ended: false,
    };
    let mut early = Some(client.1);
    poll_fn(move |cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            if let Some(early) = early.take() {
                carrier.client_says(&early, cx, &mut scratch.out);
            }
            carrier.poll(cx, scratch).map(|()| carrier.carried())
        })
    })
}

impl Carrier<'_> {
    fn carried(&self) -> Carried {
        Carried {
            cause: self.conversation.cause(),
            from_client: (self.client.read_bytes, self.conversation.messages(Side::Downstream)),
            from_upstream: (self.events.read_bytes(), self.conversation.messages(Side::Upstream)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        if self.drain.as_mut().is_some_and(|drain| drain.poll_started(cx).is_ready()) {
            self.drain = None;
            self.conversation.go_away(Cause::GoingAway, &mut scratch.out, &mut Fresh);
            self.settle(cx, &mut scratch.out);
        }
        for _ in 0..ROUNDS {
            let mut moved = self.flush(cx, &mut scratch.out);
            moved |= self.read_client(cx, scratch);
            moved |= self.read_events(cx, scratch);
            moved |= self.send(cx, &mut scratch.out);
            moved |= self.finish_upstream(cx, &mut scratch.out);
            moved |= self.client.wind_up(cx, true);
            if self.client.stream.is_none() && self.upstream_ended {
                return Poll::Ready(());
            }
            if !moved && self.poll_timer(cx, &mut scratch.out).is_pending() {
                return Poll::Pending;
            }
        }
        // See the same place in `relay`.
        let _ = self.poll_timer(cx, &mut scratch.out);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn flush(&mut self, cx: &mut Context<'_>, out: &mut Output) -> bool {
        match self.client.flush(cx) {
            Ok(moved) => moved,
            Err(_) => {
                self.client_ended(true, cx, out);
                true
            }
        }
    }

    /// Reads the client once, unless too much of what it said waits to be sent; true if there was something.
    fn read_client(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        let blocked = self.posts.waiting() > self.send_queue || self.client.answers() > MAX_ANSWERS;
        let draining = self.client.finish() == Finish::Flush && !self.conversation.heeds(Side::Downstream);
        if self.client.has_ended() || blocked && !draining {
            return false;
        }
        let room = self.client.carry.len() + READ;
        match self.client.poll_read(cx, &mut scratch.read[..room]) {
            Poll::Pending => return false,
            Poll::Ready(Err(_)) => self.client_ended(true, cx, &mut scratch.out),
            Poll::Ready(Ok(0)) => self.client_ended(false, cx, &mut scratch.out),
            Poll::Ready(Ok(there)) => {
                self.heard = Instant::now();
                self.client_says(&scratch.read[..there], cx, &mut scratch.out);
            }
        }
        true
    }

    fn client_says(&mut self, bytes: &[u8], cx: &mut Context<'_>, out: &mut Output) {
        let mut input = bytes;
        self.conversation.hears(Side::Downstream, &mut input, out, &mut Fresh);
        self.client.answered(out.downstream.len());
        self.client.carry_over(input);
        self.settle(cx, out);
    }

    fn client_ended(&mut self, reset: bool, cx: &mut Context<'_>, out: &mut Output) {
        self.client.end(reset);
        self.conversation.ended(Side::Downstream, reset, out, &mut Fresh);
        self.settle(cx, out);
    }

    /// Reads the stream of events, or carries on with getting one; true if something has moved.
    fn read_events(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        if !self.conversation.heeds(Side::Upstream) {
            return false;
        }
        if self.client.is_waiting() {
            self.events.held_up();
            return false;
        }
        let Scratch { read, out } = scratch;
        let Poll::Ready(came) = self.events.poll(cx, read, &mut self.conversation, out) else { return false };
        match came {
            Came::Bytes => self.heard = Instant::now(),
            Came::Change => {}
            Came::Lost(lost, why) => self.give_up(lost, &why, out),
        }
        self.settle(cx, out);
        true
    }

    fn give_up(&mut self, lost: Lost, why: &str, out: &mut Output) {
        warn!(route = self.route.name, target = self.events.source().start.target, "given up: {lost}: {why}");
        self.posts.clear();
        self.conversation.give_up(lost, out, &mut Fresh);
    }

    /// Carries on with what the client says; true if something has moved.
    fn send(&mut self, cx: &mut Context<'_>, out: &mut Output) -> bool {
        let Poll::Ready(moved) = self.posts.poll(cx) else { return false };
        if let Err(why) = moved {
            self.untaken(&why, cx, out);
        }
        true
    }

    /// The backend has not taken a message.
    fn untaken(&mut self, why: &str, cx: &mut Context<'_>, out: &mut Output) {
        // Who has left has nobody who could send again what is lost.
        let leaving = self.conversation.finish(Side::Upstream) != Finish::Open;
        if leaving || self.route.events.send_failure == SendFailure::Close {
            self.give_up(Lost::Unsent, why, out);
            self.settle(cx, out);
        } else {
            let target = &self.events.source().start.target;
            warn!(route = self.route.name, target, "message left out: {why}");
        }
    }

    /// Writes what the conversation has just said, and notes what it wants done with the client's stream.
    fn settle(&mut self, cx: &mut Context<'_>, out: &mut Output) {
        self.posts.push(&out.upstream);
        let sent = if out.downstream.is_empty() { Ok(()) } else { self.client.send(cx, &out.downstream) };
        for bytes in [&mut out.upstream, &mut out.downstream] {
            bytes.clear();
            bytes.shrink_to(KEEP);
        }
        if sent.is_err() {
            self.client_ended(true, cx, out);
        }
        self.client.plan(self.conversation.finish(Side::Downstream));
    }

    /// Ends the upstream's side once the conversation is through with it, and what waits was sent; true if that changed
    /// anything.
    fn finish_upstream(&mut self, cx: &mut Context<'_>, out: &mut Output) -> bool {
        if self.upstream_ended || self.conversation.finish(Side::Upstream) == Finish::Open {
            return false;
        }
        self.posts.close();
        let dropped = self.events.drop_stream();
        if !self.posts.is_idle() {
            return dropped;
        }
        self.upstream_ended = true;
        self.conversation.ended(Side::Upstream, true, out, &mut Fresh);
        self.settle(cx, out);
        true
    }

    /// When to look again though nothing moves.
    fn due(&self) -> Option<Instant> {
        let idle = self.timeouts.idle.filter(|_| self.client.finish() == Finish::Open).map(|idle| self.heard + idle);
        let (stalls, patience) = (self.client.stalls(self.timeouts), self.client.patience(self.timeouts));
        [idle, stalls, patience, self.events.due(), self.posts.due()].into_iter().flatten().min()
    }

    /// Ready when a wait was over, and something was done about it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, out: &mut Output) -> Poll<()> {
        let Some(due) = self.due() else { return Poll::Pending };
        match &mut self.timer {
            // A timer that goes off early only looks again.
            Some(timer) if timer.deadline() <= due && !timer.is_elapsed() => {}
            Some(timer) => timer.as_mut().reset(due),
            None => self.timer = Some(Box::pin(sleep_until(due))),
        }
        let timer = self.timer.as_mut().expect("set just now");
        // See the same place in `relay`.
        if Pin::new(&mut unconstrained(timer.as_mut())).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timed_out(Instant::now(), cx, out);
        Poll::Ready(())
    }

    fn timed_out(&mut self, now: Instant, cx: &mut Context<'_>, out: &mut Output) {
        let over = |until: Option<Instant>| until.is_some_and(|until| until <= now);
        let idle = self.timeouts.idle.filter(|_| self.client.finish() == Finish::Open);
        if over(idle.map(|idle| self.heard + idle)) {
            self.conversation.go_away(Cause::Idle, out, &mut Fresh);
        }
        if over(self.client.stalls(self.timeouts)) {
            self.client.reset();
            self.conversation.stalled(Side::Downstream, out, &mut Fresh);
        } else if over(self.client.patience(self.timeouts)) && self.client.finish() == Finish::Flush {
            self.client.drop_stream();
        } else if over(self.client.patience(self.timeouts)) {
            self.conversation.expired(Side::Downstream, out, &mut Fresh);
        }
        if over(self.events.due())
            && let Some((lost, why)) = self.events.timed_out(now, &mut self.conversation)
        {
            self.give_up(lost, &why, out);
        }
        if over(self.posts.due()) {
            let why = self.posts.stalled();
            self.untaken(&why, cx, out);
        }
        self.settle(cx, out);
    }
}
