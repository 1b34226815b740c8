//! What hyper sees of a client's connection: ordinary requests, one after the other, and never an opening handshake.
//!
//! A front may send a WebSocket handshake on a connection that carried ordinary requests before (nginx does, from its
//! pool). So each head is judged here, from the raw bytes, before hyper gets to see it; when one is not for hyper, it
//! sees the end of the stream, and the connection goes back with that head unread.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::stream::Stream;
use crate::config::{Config, Timeouts};
use crate::handshake::{Received, receive};
use crate::http::chunks::Chunks;
use crate::sniff::Body;

/// Bytes read at once.
const READ: usize = 16 << 10;

/// How far hyper is with the requests it was given. Shared with the responses that pass through the service.
#[derive(Debug, Default)]
pub struct Progress {
    /// Responses sent to their end, or given up.
    responses: AtomicUsize,
    gate: Mutex<Option<Waker>>,
}

/// Reports to [`Progress`] when dropped.
#[derive(Debug)]
pub struct Done {
    progress: Arc<Progress>,
}

impl Progress {
    /// A response has passed when this is dropped.
    pub fn response(self: &Arc<Self>) -> Done {
        Done { progress: Arc::clone(self) }
    }

    fn wait(&self, cx: &Context<'_>) {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }

    fn wake(&self) {
        let waker = self.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.progress.responses.fetch_add(1, Ordering::SeqCst);
        self.progress.wake();
    }
}

#[derive(Clone, Copy, Debug)]
enum Passing {
    /// Between requests.
    Nothing,
    /// So many bytes of a head, and then its body.
    Head(usize, Body),
    /// So many bytes of a body.
    Length(u64),
    /// A chunked body.
    Chunked(Chunks),
}

/// A client's connection, as hyper may see it.
pub struct Gate {
    stream: Stream,
    config: Arc<Config>,
    progress: Arc<Progress>,
    /// Read, but not yet passed on.
    buffer: Vec<u8>,
    passing: Passing,
    /// Whether what is in the buffer is for others than hyper.
    hands_over: bool,
    /// Requests passed on.
    requests: usize,
    reading: Clock,
    writing: Clock,
}

/// What one direction waits for, and since when. Each has its own: hyper polls both in turn, and the wait of one must not
/// begin the other's anew.
struct Clock {
    waits: Option<Wait>,
    timer: Pin<Box<Sleep>>,
}

/// What is waited for, each with a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Request,
    Head,
    Body,
    Write,
}

impl Wait {
    fn time(self, timeouts: &Timeouts) -> Duration {
        match self {
            Wait::Request => timeouts.keep_alive,
            Wait::Head => timeouts.head,
            Wait::Body | Wait::Write => timeouts.stall,
        }
    }
}

impl Clock {
    fn new() -> Self {
        Clock { waits: None, timer: Box::pin(sleep_until(Instant::now())) }
    }

    /// Starts, or goes on with, a wait; true once it is over.
    fn is_over(&mut self, wait: Wait, timeouts: &Timeouts, cx: &mut Context<'_>) -> bool {
        if self.waits != Some(wait) {
            self.waits = Some(wait);
            self.timer.as_mut().reset(Instant::now() + wait.time(timeouts));
        }
        self.timer.as_mut().poll(cx).is_ready()
    }
}

impl Gate {
    /// A gate before `stream`, from which `buffer` was read already.
    pub fn new(stream: Stream, buffer: Vec<u8>, config: Arc<Config>, progress: Arc<Progress>) -> Self {
        Gate {
            stream,
            config,
            progress,
            buffer,
            passing: Passing::Nothing,
            hands_over: false,
            requests: 0,
            reading: Clock::new(),
            writing: Clock::new(),
        }
    }

    /// The connection, and what was read from it if that is not for hyper. What follows a request that asked for the
    /// end of the connection is nobody's.
    pub fn into_inner(self) -> (Stream, Vec<u8>) {
        // Whatever else is left hyper did not want any more: requests behind the last it would serve, or, worse, a body
        // nobody read, which may well look like a request.
        (self.stream, if self.hands_over { self.buffer } else { Vec::new() })
    }

    /// Whether a response is on its way: not yet in hyper's hands as a whole, or not yet out of them.
    fn busy(&self) -> bool {
        self.progress.responses.load(Ordering::SeqCst) < self.requests || self.writing.waits.is_some()
    }

    /// Reads more into the buffer; `Ok(false)` at the end of the stream.
    fn poll_more(&mut self, wait: Option<Wait>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let start = self.buffer.len();
        self.buffer.resize(start + READ, 0);
        let mut unfilled = ReadBuf::new(&mut self.buffer[start..]);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut unfilled);
        let read = unfilled.filled().len();
        self.buffer.truncate(start + read);
        match polled {
            Poll::Ready(Ok(())) => {
                // A head has one deadline for all of it; any other wait starts anew with every byte.
                if self.reading.waits != Some(Wait::Head) || read == 0 {
                    self.reading.waits = None;
                }
                Poll::Ready(Ok(read > 0))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match wait {
                Some(wait) if self.reading.is_over(wait, &self.config.timeouts, cx) => {
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
                _ => Poll::Pending,
            },
        }
    }

    /// Passes on at most `most` bytes of the buffer, and says how many.
    fn pass(&mut self, most: u64, buf: &mut ReadBufCursor<'_>) -> usize {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let passed = most.min(self.buffer.len()).min(buf.remaining());
        buf.put_slice(&self.buffer[..passed]);
        self.buffer.drain(..passed);
        passed
    }

    /// Judges the head at the front of the buffer; true if it is for hyper, or the stream has ended.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            match receive(&self.buffer, &self.config) {
                Received::Http { skip, head, body } => {
                    self.buffer.drain(..skip);
                    self.requests += 1;
                    self.reading.waits = None;
                    self.passing = Passing::Head(head, body);
                    return Poll::Ready(Ok(true));
                }
                Received::More => {}
                Received::Foreign(_) | Received::Refused(_) | Received::Opening { .. } => {
                    // hyper must not see the end of the stream while a client still waits for its response.
                    self.progress.wait(cx);
                    self.hands_over = !self.busy();
                    return if self.hands_over { Poll::Ready(Ok(false)) } else { Poll::Pending };
                }
            }
            let wait = match (self.busy(), self.buffer.is_empty()) {
                (true, _) => None,
                (false, true) => Some(Wait::Request),
                (false, false) => Some(Wait::Head),
            };
            match self.poll_more(wait, cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Ok(false)),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                    // A head that is not whole in time has its refusal elsewhere.
                    self.hands_over = true;
                    return Poll::Ready(Ok(false));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // The wait between requests begins when the response has passed.
                    self.progress.wait(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Gate {
    /// What a write has come to, and how long it may take.
    fn written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(written) => {
                if self.writing.waits.take().is_some() {
                    // What waits for the response to be out may go on.
                    self.progress.wake();
                }
                Poll::Ready(written)
            }
            Poll::Pending if self.writing.is_over(Wait::Write, &self.config.timeouts, cx) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Read for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match this.passing {
                Passing::Nothing => match this.poll_head(cx) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                },
                Passing::Head(left, body) => {
                    let passed = this.pass(left as u64, &mut buf);
                    this.passing = match body {
                        _ if passed < left => Passing::Head(left - passed, body),
                        Body::Length(length) => Passing::Length(length),
                        Body::Chunked => Passing::Chunked(Chunks::START),
                    };
                    return Poll::Ready(Ok(()));
                }
                Passing::Length(0) | Passing::Chunked(Chunks::End) => this.passing = Passing::Nothing,
                Passing::Length(_) | Passing::Chunked(_) if this.buffer.is_empty() => {
                    match this.poll_more(Some(Wait::Body), cx) {
                        Poll::Ready(Ok(true)) => {}
                        Poll::Ready(Ok(false)) => return Poll::Ready(Ok(())),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Passing::Length(left) => {
                    let passed = this.pass(left, &mut buf) as u64;
                    this.passing = Passing::Length(left - passed);
                    return Poll::Ready(Ok(()));
                }
                Passing::Chunked(mut chunks) => {
                    let here = this.buffer.len().min(buf.remaining());
                    let Ok(most) = chunks.take(&this.buffer[..here]) else {
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    };
                    this.pass(most as u64, &mut buf);
                    this.passing = Passing::Chunked(chunks);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Write for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The stream may go on with another protocol; whoever takes it back ends it.
        Poll::Ready(Ok(()))
    }
}
