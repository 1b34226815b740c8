//! Servers that take nothing of what is sent to them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::proxy::stream::Stream;

/// A connection to a server that must go on taking what is written to it. Whoever asked may be gone, and the response
/// too late: without this a request's body that nobody takes would keep the connections of both ends for good.
pub struct Taking {
    stream: Stream,
    /// How long it may take nothing.
    stall: Duration,
    /// When that is over, while something waits to be taken.
    until: Option<Pin<Box<Sleep>>>,
}

impl Taking {
    /// A connection that may take nothing for so long.
    pub fn new(stream: Stream, stall: Duration) -> Taking {
        Taking { stream, stall, until: None }
    }

    fn taken<T>(&mut self, taken: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if taken.is_ready() {
            self.until = None;
            return taken;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + self.stall)));
        until.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Taking {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Taking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.taken(taken, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let taken = Pin::new(&mut self.stream).poll_flush(cx);
        self.taken(taken, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let taken = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.taken(taken, cx)
    }
}
