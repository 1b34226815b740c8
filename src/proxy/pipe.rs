//! One side of an open connection: its socket, and what is kept for it while its peer takes nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use super::stream::Stream;
use crate::conversation::Finish;

/// One side's socket and what is kept for it.
pub struct Pipe {
    /// Gone once nothing more is to be done with it.
    pub stream: Option<Stream>,
    /// Read, but not yet understood: the front of a header or control frame, or of a character.
    pub carry: Vec<u8>,
    /// To be written; what stands before `sent` is.
    unsent: Vec<u8>,
    sent: usize,
    /// Written to TLS, which has not yet got rid of it all.
    flushing: bool,
    /// How much of what is to be written answers what this side itself said.
    pub answers: usize,
    /// Since when the peer takes nothing.
    pub stalled: Option<Instant>,
    /// What the conversation wants done with the stream, and since when.
    pub finish: Finish,
    /// Since when.
    pub since: Option<Instant>,
    /// The peer's end of stream was read.
    pub ended: bool,
    /// The peer's end of stream was told, and no failure: it may wait for ours.
    pub told_end: bool,
    /// Our end of stream was written.
    pub shut: bool,
    /// In this turn of the task there was nothing more to read, and the task will be woken when there is.
    pub asleep: bool,
    /// Since the opening handshake.
    pub read_bytes: u64,
}

impl Pipe {
    /// A side of which nothing was heard yet.
    pub fn new(stream: Stream) -> Self {
        Pipe {
            stream: Some(stream),
            carry: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            flushing: false,
            answers: 0,
            stalled: None,
            finish: Finish::Open,
            since: None,
            ended: false,
            told_end: false,
            shut: false,
            asleep: false,
            read_bytes: 0,
        }
    }

    /// Whether something was said that the peer has not taken.
    pub fn is_waiting(&self) -> bool {
        self.flushing || self.sent < self.unsent.len()
    }

    /// Whether nobody waits for this peer, to take something or to end.
    pub fn is_calm(&self) -> bool {
        self.stalled.is_none() && self.finish == Finish::Open
    }

    /// Writes as much of `bytes` as the peer takes now; an error is for the caller to tell the conversation.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(bytes.len()) };
        let mut done = 0;
        while done < bytes.len() {
            match Pin::new(&mut *stream).poll_write(cx, &bytes[done..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(more)) => done += more,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        self.flushing = match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(flushed) => flushed.map(|()| false)?,
            Poll::Pending => true,
        };
        Ok(done)
    }

    /// Writes `bytes` behind what is still unsent, and keeps what the peer does not take.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if self.stream.is_none() {
            return Ok(());
        }
        let done = if self.sent == self.unsent.len() { self.poll_write(cx, bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[done..]);
        if self.is_waiting() {
            self.stalled.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Writes what was kept; true if some of it went.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.is_waiting() {
            return Ok(false);
        }
        let mut unsent = std::mem::take(&mut self.unsent);
        let sent = std::mem::take(&mut self.sent);
        let done = self.poll_write(cx, &unsent[sent..])?;
        self.sent = sent + done;
        if self.sent == unsent.len() {
            // Empty again: an idle connection holds no buffers.
            unsent = Vec::new();
            self.sent = 0;
        }
        self.unsent = unsent;
        if !self.is_waiting() {
            self.answers = 0;
            self.stalled = None;
            // Only now has the peer got what it is given time to answer.
            self.since = self.since.map(|_| Instant::now());
            return Ok(true);
        }
        if done > 0 {
            self.stalled = Some(Instant::now());
        }
        Ok(done > 0)
    }

    /// Is done with the connection. In TLS a peer that told its end is told ours, if that can be said at once: without it,
    /// whatever it heard last may have been cut (RFC 8446 §6.1).
    pub fn part(&mut self, cx: &mut Context<'_>) {
        let owes = self.told_end && !self.shut && !self.is_waiting();
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
        self.unsent = Vec::new();
        self.sent = 0;
        self.flushing = false;
        self.stalled = None;
    }
}
