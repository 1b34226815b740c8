//! Backends that always have more to say take turns with everybody else on the thread.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

/// How much is read before the others have their turn.
const TURN: usize = 64 << 10;

/// A stream that is not ready now and then, although it is.
///
/// hyper reads on for as long as there is something, and skips interim answers while it does: without end, they would
/// hold the thread for seconds, and the time for a response could not run out.
pub struct Turns<S> {
    stream: S,
    read: usize,
}

impl<S> Turns<S> {
    /// The same stream, in turns.
    pub fn new(stream: S) -> Turns<S> {
        Turns { stream, read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Turns<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read >= TURN {
            self.read = 0;
            // Unlike a waker, it waits until timers and sockets were looked at, too.
            return pin!(yield_now()).poll(cx).map(Ok);
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read = if polled.is_pending() { 0 } else { self.read + buf.filled().len() - before };
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Turns<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn whoever_always_has_more_is_interrupted_and_loses_nothing() {
        let mut turns = Turns::new(tokio::io::repeat(b'a'));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut read, mut interrupted) = (0, 0);
        for _ in 0..1000 {
            let mut space = [0; 16 << 10];
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut turns).poll_read(&mut cx, &mut buf) {
                Poll::Ready(done) => done.expect("it never fails"),
                Poll::Pending => interrupted += 1,
            }
            read += buf.filled().len();
        }
        assert_eq!(interrupted, read / TURN, "once a turn");
        assert!(interrupted > 50);
    }
}
