//! One side of an open connection: its socket, and what is kept for it while its peer takes nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use super::stream::Stream;
use crate::config::Timeouts;
use crate::conversation::Finish;

/// How long a peer is waited for that may never answer, or is gone.
const BRIEFLY: Duration = Duration::from_secs(1);

/// One side's socket and what is kept for it.
pub struct Pipe {
    /// Gone once nothing more is to be done with it.
    pub stream: Option<Stream>,
    /// Read, but not yet understood: the front of a header or control frame, or of a character.
    pub carry: Vec<u8>,
    /// Since the opening handshake.
    pub read_bytes: u64,
    /// In this turn of the task there was nothing more to read, and the task will be woken when there is.
    pub asleep: bool,
    /// The socket has noted whom to wake when there is more to read.
    noted: bool,
    /// Most connections have none most of the time, and cost neither its room nor a look at each part of it.
    unsettled: Option<Box<Unsettled>>,
}

/// What is to be known of a side only while its peer has something to take, or either is about to end.
#[derive(Default)]
struct Unsettled {
    /// To be written; what stands before `sent` is.
    unsent: Vec<u8>,
    sent: usize,
    /// Written to TLS, which has not yet got rid of it all.
    flushing: bool,
    /// How much of what is to be written answers what this side itself said.
    answers: usize,
    /// Since when the peer takes nothing.
    stalled: Option<Instant>,
    /// What the conversation wants done with the stream.
    finish: Finish,
    /// Since when.
    since: Option<Instant>,
    /// The peer's end of stream was read.
    ended: bool,
    /// The peer's end of stream was told, and no failure: it may wait for ours.
    told_end: bool,
    /// Our end of stream was written.
    shut: bool,
}

impl Unsettled {
    fn is_waiting(&self) -> bool {
        self.flushing || self.sent < self.unsent.len()
    }
}

impl Pipe {
    /// A side of which nothing was heard yet but `early` bytes.
    pub fn new(stream: Stream, early: usize) -> Self {
        Pipe {
            stream: Some(stream),
            carry: Vec::new(),
            read_bytes: early as u64,
            asleep: false,
            noted: false,
            unsettled: None,
        }
    }

    /// Whether nobody waits for this peer, to take something or to end, nor has it ended.
    pub fn is_calm(&self) -> bool {
        self.unsettled.is_none()
    }

    /// Whether something was said that the peer has not taken.
    pub fn is_waiting(&self) -> bool {
        self.unsettled.as_ref().is_some_and(|unsettled| unsettled.is_waiting())
    }

    /// What the conversation wants done with the stream.
    pub fn finish(&self) -> Finish {
        self.unsettled.as_ref().map_or(Finish::Open, |unsettled| unsettled.finish)
    }

    /// Whether the peer's end of stream was read.
    pub fn has_ended(&self) -> bool {
        self.unsettled.as_ref().is_some_and(|unsettled| unsettled.ended)
    }

    /// How much of what is to be written answers what this side itself said.
    pub fn answers(&self) -> usize {
        self.unsettled.as_ref().map_or(0, |unsettled| unsettled.answers)
    }

    fn unsettled(&mut self) -> &mut Unsettled {
        self.unsettled.get_or_insert_default()
    }

    /// Notes that so many bytes of what will be written next answer what this side itself said. What can be written at
    /// once does not count.
    pub fn answered(&mut self, bytes: usize) {
        if let Some(unsettled) = self.unsettled.as_mut().filter(|unsettled| unsettled.is_waiting()) {
            unsettled.answers += bytes;
        }
    }

    /// Notes that the peer's stream has ended; `reset`, or else it told so and still takes what is written.
    pub fn end(&mut self, reset: bool) {
        let unsettled = self.unsettled();
        (unsettled.ended, unsettled.told_end) = (true, !reset);
    }

    /// Notes what the conversation wants done with the stream.
    pub fn plan(&mut self, finish: Finish) {
        if self.finish() != finish {
            let unsettled = self.unsettled();
            unsettled.finish = finish;
            unsettled.since = Some(Instant::now());
        }
    }

    /// Reads once, behind what was carried over, and tells how many bytes are there in all; 0 at the end of the stream.
    ///
    /// # Errors
    /// The connection is gone.
    #[inline(always)]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        let carried = self.carry.len();
        if carried > 0 {
            buffer[..carried].copy_from_slice(&self.carry);
        }
        let taken = stream.poll_take(cx, &mut self.noted, &mut buffer[carried..]);
        self.asleep = self.noted || taken.is_pending();
        taken.map_ok(|read| {
            self.read_bytes += read as u64;
            if read == 0 { 0 } else { carried + read }
        })
    }

    /// Keeps for the next read what could not yet be understood.
    pub fn carry_over(&mut self, left: &[u8]) {
        if !left.is_empty() {
            self.carry.clear();
            self.carry.extend_from_slice(left);
        } else if self.carry.capacity() > 0 {
            self.carry = Vec::new();
        }
    }

    /// Writes as much of `bytes` as the peer takes now; an error is for the caller to tell the conversation. Beside how
    /// much that was stands whether TLS still holds some of it back.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let Some(stream) = &mut self.stream else { return Ok((bytes.len(), false)) };
        let mut done = 0;
        while done < bytes.len() {
            match stream.poll_give(cx, &bytes[done..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(more)) => done += more,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        let flushing = stream.is_encrypted() && Pin::new(stream).poll_flush(cx)?.is_pending();
        Ok((done, flushing))
    }

    /// Writes `bytes` behind what is still unsent, and keeps what the peer does not take.
    ///
    /// # Errors
    /// The connection is gone.
    #[inline(always)]
    pub fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        // Mostly the peer takes all of it at once, and there is nothing to keep.
        let done = match &self.stream {
            Some(stream) if self.is_calm() => stream.give(bytes),
            _ => 0,
        };
        if done == bytes.len() { Ok(()) } else { self.send_or_keep(cx, &bytes[done..]) }
    }

    #[inline(never)]
    fn send_or_keep(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if self.stream.is_none() {
            return Ok(());
        }
        let held_up = self.unsettled.as_ref().is_some_and(|unsettled| unsettled.sent < unsettled.unsent.len());
        let (done, flushing) = if held_up { (0, false) } else { self.poll_write(cx, bytes)? };
        if done == bytes.len() && !flushing && self.is_calm() {
            return Ok(());
        }
        let unsettled = self.unsettled();
        unsettled.flushing = flushing || held_up && unsettled.flushing;
        unsettled.unsent.extend_from_slice(&bytes[done..]);
        if unsettled.is_waiting() {
            unsettled.stalled.get_or_insert_with(Instant::now);
        } else {
            (unsettled.answers, unsettled.stalled) = (0, None);
        }
        Ok(())
    }

    /// Writes what was kept; true if some of it went.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(unsettled) = self.unsettled.as_mut().filter(|unsettled| unsettled.is_waiting()) else {
            return Ok(false);
        };
        let unsent = std::mem::take(&mut unsettled.unsent);
        let sent = std::mem::take(&mut unsettled.sent);
        let (done, flushing) = self.poll_write(cx, &unsent[sent..])?;
        let unsettled = self.unsettled();
        unsettled.flushing = flushing;
        if sent + done < unsent.len() {
            (unsettled.unsent, unsettled.sent) = (unsent, sent + done);
        }
        if unsettled.is_waiting() {
            if done > 0 {
                unsettled.stalled = Some(Instant::now());
            }
            return Ok(done > 0);
        }
        (unsettled.answers, unsettled.stalled) = (0, None);
        // Only now has the peer got what it is given time to answer.
        unsettled.since = unsettled.since.map(|_| Instant::now());
        if unsettled.finish == Finish::Open && !unsettled.ended {
            self.unsettled = None;
        }
        Ok(true)
    }

    /// Ends the stream if the conversation is through with it; true if that changed anything. `first`: it is for this
    /// end to end TCP first, as a server does (RFC 6455 §7.1.1); a client waits for that.
    pub fn wind_up(&mut self, cx: &mut Context<'_>, first: bool) -> bool {
        let (Some(stream), Some(unsettled)) = (&mut self.stream, &mut self.unsettled) else { return false };
        match unsettled.finish {
            Finish::Open | Finish::Await | Finish::AwaitBriefly => return false,
            Finish::Flush if unsettled.is_waiting() => return false,
            Finish::Flush if unsettled.ended => self.part(cx),
            Finish::Flush if first && !unsettled.shut => match Pin::new(stream).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => unsettled.shut = true,
                Poll::Ready(Err(_)) => self.drop_stream(),
                Poll::Pending => return false,
            },
            Finish::Flush => return false,
            Finish::Drop => self.part(cx),
        }
        true
    }

    /// Until when the peer may take nothing of what is written to it, if some is.
    pub fn stalls(&self, timeouts: &Timeouts) -> Option<Instant> {
        let (Some(_), Some(unsettled)) = (&self.stream, &self.unsettled) else { return None };
        unsettled.stalled.map(|since| since + timeouts.stall)
    }

    /// Until when a stream that is being finished may take.
    pub fn patience(&self, timeouts: &Timeouts) -> Option<Instant> {
        let (Some(_), Some(unsettled)) = (&self.stream, &self.unsettled) else { return None };
        // A peer that still has to take what was said before has `timeouts.stall` for that, closing or not.
        if unsettled.is_waiting() && !unsettled.ended {
            return None;
        }
        let patience = match unsettled.finish {
            Finish::Open | Finish::Drop => return None,
            Finish::Await | Finish::Flush => timeouts.close,
            Finish::AwaitBriefly => timeouts.close.min(BRIEFLY),
        };
        unsettled.since.map(|since| since + patience)
    }

    /// Is done with the connection. In TLS a peer that told its end is told ours, if that can be said at once: without it,
    /// whatever it heard last may have been cut (RFC 8446 §6.1).
    fn part(&mut self, cx: &mut Context<'_>) {
        let owes = self.unsettled.as_ref().is_some_and(|of| of.told_end && !of.shut && !of.is_waiting());
        if let Some(stream) = self.stream.as_mut().filter(|stream| owes && stream.is_encrypted()) {
            // Whether it still listens does not matter.
            let _ = Pin::new(stream).poll_shutdown(cx);
        }
        self.drop_stream();
    }

    /// Has the system forget, once the connection is dropped, what it still holds for a peer that takes nothing. It would
    /// else go on offering that for minutes, megabytes for each such peer.
    pub fn reset(&self) {
        if let Some(tcp) = self.stream.as_ref().and_then(Stream::tcp) {
            // Where the system refuses, it keeps them a little longer.
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    /// Is done with the connection, whatever was still unsent.
    pub fn drop_stream(&mut self) {
        self.stream = None;
        self.carry = Vec::new();
        let unsettled = self.unsettled();
        unsettled.unsent = Vec::new();
        unsettled.sent = 0;
        unsettled.flushing = false;
        unsettled.stalled = None;
    }
}
