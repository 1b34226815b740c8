//! The loop that carries bytes between two sockets and the conversation. It is the only place that waits once a
//! connection is open.
//!
//! One task serves both directions and never waits for one side's write before it reads the other, so that a peer that
//! only speaks and one that only listens cannot stop each other for good. What is read and written passes through
//! buffers that belong to the thread and are lent for the length of a poll; a connection holds buffers of its own only
//! for what a peer has not yet taken, and the few bytes of an unfinished header.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::drain::Watch;
use super::pipe::Pipe;
use super::random::Fresh;
use super::stream::Stream;
use crate::config::Timeouts;
use crate::conversation::{Cause, Finish, Output, Side};
use crate::handshake::Conversation;

/// Bytes read at once. Large messages are decided by this: with 64 KiB they cost a quarter more than with 256, with 128 a
/// sixteenth. This and what is made of it are most of what a thread holds.
const READ: usize = 160 << 10;
/// Unwritten answers to a side's own pings, in bytes, above which it is not read. What the other side said does not
/// count: to stop reading for that would stop both for good.
pub(super) const MAX_ANSWERS: usize = 64 << 10;
/// Most capacity an output buffer keeps between polls: what one read becomes, unless it is mended or of very short messages.
pub(super) const KEEP: usize = 2 * READ;
/// How often in a row both sides are read before other connections have their turn: 640 KiB of each, from peers that are
/// always ready with more, and of TLS, which is read record by record, a tenth of that.
pub(super) const ROUNDS: usize = 4;
/// The idle timer looks this many times per `timeouts.idle` whether anything was read, so that reading costs no clock.
const IDLE_LOOKS: u32 = 4;

const SIDES: [Side; 2] = [Side::Downstream, Side::Upstream];

/// The buffers of a thread.
pub(super) struct Scratch {
    pub(super) read: Vec<u8>,
    pub(super) out: Output,
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { read: vec![0; READ], out: Output::default() });
}

/// What a connection carried, for the log.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// Why it ended.
    pub cause: Option<Cause>,
    /// Bytes and messages from the client.
    pub from_client: (u64, u64),
    /// Bytes and messages from the upstream.
    pub from_upstream: (u64, u64),
}

struct Relay<'t> {
    downstream: Pipe,
    upstream: Pipe,
    conversation: Conversation,
    timeouts: &'t Timeouts,
    drain: Option<Watch>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When to look next whether the connection is idle.
    look: Option<Instant>,
    /// Looks in a row at which nothing had been read.
    quiet: u32,
}

/// Carries a conversation until both streams are done with. Beside each stream stands what its peer sent beyond the
/// handshake.
pub fn relay<'t>(
    downstream: (Stream, Vec<u8>),
    upstream: (Stream, Vec<u8>),
    conversation: Conversation,
    timeouts: &'t Timeouts,
    drain: Watch,
) -> impl Future<Output = Carried> + Send + Unpin + use<'t> {
    // Put together before anything waits: what a future takes as arguments it keeps twice.
    let mut relay = Relay {
        downstream: Pipe::new(downstream.0, downstream.1.len()),
        upstream: Pipe::new(upstream.0, upstream.1.len()),
        conversation,
        timeouts,
        drain: Some(drain),
        timer: None,
        look: timeouts.idle.map(|idle| Instant::now() + idle / IDLE_LOOKS),
        quiet: 0,
    };
    let mut early = Some(Box::new((downstream.1, upstream.1)));
    poll_fn(move |cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            if let Some(early) = early.take() {
                let (from_client, from_upstream) = *early;
                // The upstream first: what it said may ride with the handshake's answer.
                relay.hears(Side::Upstream, &from_upstream, cx, &mut scratch.out);
                relay.hears(Side::Downstream, &from_client, cx, &mut scratch.out);
            }
            relay.poll(cx, scratch).map(|()| relay.carried())
        })
    })
}

impl Relay<'_> {
    fn carried(&self) -> Carried {
        Carried {
            cause: self.conversation.cause(),
            from_client: (self.downstream.read_bytes, self.conversation.messages(Side::Downstream)),
            from_upstream: (self.upstream.read_bytes, self.conversation.messages(Side::Upstream)),
        }
    }

    fn pipe(&mut self, side: Side) -> &mut Pipe {
        match side {
            Side::Downstream => &mut self.downstream,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// Whether there is nothing to do but read.
    fn is_calm(&self) -> bool {
        self.downstream.is_calm() && self.upstream.is_calm()
    }

    /// One turn. What a message passes through while all goes well is made one function, here and below: entering and leaving
    /// eight small ones was a fifth of the relay's instructions.
    #[inline(always)]
    fn poll(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        if self.drain.as_mut().is_some_and(|drain| drain.poll_started(cx).is_ready()) {
            self.drain = None;
            self.conversation.go_away(Cause::GoingAway, &mut scratch.out, &mut Fresh);
            self.settle(cx, &mut scratch.out);
        }
        self.downstream.asleep = false;
        self.upstream.asleep = false;
        for _ in 0..ROUNDS {
            let mut moved = self.turn(Side::Downstream, cx, scratch);
            moved |= self.turn(Side::Upstream, cx, scratch);
            if self.is_calm() {
                moved &= !(self.downstream.asleep && self.upstream.asleep);
            } else {
                moved |= self.downstream.wind_up(cx, true);
                moved |= self.upstream.wind_up(cx, false);
                if self.downstream.stream.is_none() && self.upstream.stream.is_none() {
                    return Poll::Ready(());
                }
            }
            if !moved && self.poll_timer(cx, &mut scratch.out).is_pending() {
                return Poll::Pending;
            }
        }
        // Whoever has always more to say shall not stop the clock.
        let _ = self.poll_timer(cx, &mut scratch.out);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes to a side what it did not take before, and reads it once; true if either moved anything.
    #[inline(always)]
    fn turn(&mut self, side: Side, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        let flushed = !self.pipe(side).is_calm() && self.flush(side, cx, &mut scratch.out);
        let read = !self.pipe(side).asleep && self.read(side, cx, scratch);
        flushed || read
    }

    fn flush(&mut self, side: Side, cx: &mut Context<'_>, out: &mut Output) -> bool {
        match self.pipe(side).flush(cx) {
            Ok(moved) => moved,
            Err(_) => {
                self.ended(side, true, cx, out);
                true
            }
        }
    }

    /// Whether the side is to be read while something is unsettled: not unless what it said before was taken, nor beyond
    /// its end.
    fn listens(&mut self, side: Side) -> bool {
        let blocked = self.pipe(side.other()).is_waiting();
        let heeded = self.conversation.heeds(side);
        let pipe = self.pipe(side);
        let draining = pipe.finish() == Finish::Flush && !heeded;
        !pipe.has_ended() && (draining || !(blocked || pipe.answers() > MAX_ANSWERS))
    }

    /// Reads a side once; true if there was something.
    #[inline(always)]
    fn read(&mut self, side: Side, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        if !self.is_calm() && !self.listens(side) {
            return false;
        }
        match self.pipe(side).poll_read(cx, &mut scratch.read) {
            Poll::Pending => return false,
            Poll::Ready(Err(_)) => self.ended(side, true, cx, &mut scratch.out),
            Poll::Ready(Ok(0)) => self.ended(side, false, cx, &mut scratch.out),
            Poll::Ready(Ok(there)) => {
                self.quiet = 0;
                self.hears(side, &scratch.read[..there], cx, &mut scratch.out);
            }
        }
        true
    }

    fn hears(&mut self, side: Side, bytes: &[u8], cx: &mut Context<'_>, out: &mut Output) {
        // Nothing waits in either, and what is long goes to the other side alone: one large buffer serves both directions.
        if out.to(side).capacity() > out.to(side.other()).capacity() {
            std::mem::swap(&mut out.downstream, &mut out.upstream);
        }
        let mut input = bytes;
        self.conversation.hears(side, &mut input, out, &mut Fresh);
        let answers = out.to(side).len();
        let pipe = self.pipe(side);
        pipe.answered(answers);
        pipe.carry_over(input);
        self.settle(cx, out);
    }

    fn ended(&mut self, side: Side, reset: bool, cx: &mut Context<'_>, out: &mut Output) {
        self.pipe(side).end(reset);
        self.conversation.ended(side, reset, out, &mut Fresh);
        self.settle(cx, out);
    }

    /// Writes what the conversation has just said, and notes what it wants done with the streams.
    #[inline(always)]
    fn settle(&mut self, cx: &mut Context<'_>, out: &mut Output) {
        if !out.upstream.is_empty() {
            self.send(Side::Upstream, cx, out);
        }
        if !out.downstream.is_empty() {
            self.send(Side::Downstream, cx, out);
        }
        if !(self.conversation.is_open() && self.is_calm()) {
            self.downstream.plan(self.conversation.finish(Side::Downstream));
            self.upstream.plan(self.conversation.finish(Side::Upstream));
        }
    }

    #[inline(always)]
    fn send(&mut self, side: Side, cx: &mut Context<'_>, out: &mut Output) {
        let sent = self.pipe(side).send(cx, out.to(side));
        out.to(side).clear();
        out.to(side).shrink_to(KEEP);
        if sent.is_err() {
            self.ended(side, true, cx, out);
        }
    }

    /// When to look again though no byte moves.
    fn due(&self) -> Option<Instant> {
        let of_pipe = |pipe: &Pipe| [pipe.stalls(self.timeouts), pipe.patience(self.timeouts)];
        let of_pipes = of_pipe(&self.downstream).into_iter().chain(of_pipe(&self.upstream));
        of_pipes.chain([self.look]).flatten().min()
    }

    /// Ready when a wait was over, and something was done about it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, out: &mut Output) -> Poll<()> {
        // A timer is set for the next look at the latest, so where nobody is waited for there is nothing to work out.
        if self.is_calm() && self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed()) {
            return Poll::Pending;
        }
        let Some(due) = self.due() else { return Poll::Pending };
        match &mut self.timer {
            // A timer that goes off early only looks again, so it is never put off, which would cost every message.
            Some(timer) if timer.deadline() <= due && !timer.is_elapsed() => return Poll::Pending,
            Some(timer) => timer.as_mut().reset(due),
            None => self.timer = Some(Box::pin(sleep_until(due))),
        }
        let timer = self.timer.as_mut().expect("set just now");
        // A task that has used up its turn is told by everything it polls to come back, and a timer that says so has
        // not noted whom to wake; nor would it be polled again before its time.
        if Pin::new(&mut unconstrained(timer.as_mut())).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.timed_out(Instant::now(), cx, out);
        Poll::Ready(())
    }

    fn timed_out(&mut self, now: Instant, cx: &mut Context<'_>, out: &mut Output) {
        if self.look.is_some_and(|look| look <= now) {
            self.quiet += 1;
            self.look = self.timeouts.idle.map(|idle| now + idle / IDLE_LOOKS);
            // The first quiet look may have come right after the last byte.
            if self.quiet > IDLE_LOOKS {
                self.look = None;
                self.conversation.go_away(Cause::Idle, out, &mut Fresh);
            }
        }
        for side in SIDES {
            let timeouts = self.timeouts;
            let pipe = self.pipe(side);
            let is_over = |until: Option<Instant>| until.is_some_and(|until| until <= now);
            let over = is_over(pipe.patience(timeouts));
            if is_over(pipe.stalls(timeouts)) {
                pipe.reset();
                self.conversation.stalled(side, out, &mut Fresh);
            } else if over && pipe.finish() == Finish::Flush {
                pipe.drop_stream();
            } else if over {
                self.conversation.expired(side, out, &mut Fresh);
            }
        }
        self.settle(cx, out);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::{consume_budget, coop::has_budget_remaining};
    use tokio::time::timeout;

    use super::*;
    use crate::dialect::hybi::{Hybi, Role};
    use crate::dialect::{BinaryPolicy, Dialect};
    use crate::proxy::Drain;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the system's choice is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Stream::Plain(near.expect("somebody listens")), far.expect("somebody connects").0)
    }

    #[test]
    fn a_timer_set_at_the_end_of_a_tasks_turn_goes_off_all_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let cause = runtime.block_on(async {
            let ((downstream, _client), (upstream, _backend)) = (pair().await, pair().await);
            let conversation = Conversation::new(
                Dialect::Hixie75.codec(false, BinaryPolicy::Close),
                Hybi::new(Dialect::Rfc6455, Role::Client, false),
                None,
            );
            let short = Duration::from_millis(20);
            let timeouts = Timeouts { idle: Some(short), close: short, ..Timeouts::default() };
            let watch = Drain::default().watch();
            let mut relayed =
                pin!(relay((downstream, Vec::new()), (upstream, Vec::new()), conversation, &timeouts, watch));
            // Polled once at the end of a turn, and then only when woken.
            let first = poll_fn(|cx| {
                while has_budget_remaining() {
                    let _spent = pin!(consume_budget()).poll(cx);
                }
                Poll::Ready(relayed.as_mut().poll(cx))
            });
            assert!(first.await.is_pending());
            let woken = timeout(Duration::from_secs(10), relayed).await;
            woken.expect("its timer wakes it").cause
        });
        assert_eq!(cause, Some(Cause::Idle));
    }
}
