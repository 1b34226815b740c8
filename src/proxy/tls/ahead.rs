//! TCP beneath TLS, read ahead.
//!
//! The library asks for 4 KiB at a time, a system call each: of 64 KiB, five times as many as needed. Here as much is read
//! at once as the reader of the plaintext has room for, and handed on in pieces. The pieces stand in a buffer of the
//! thread, which a connection holds only while something is left in it: an idle one holds none.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes read ahead: more than 64 KiB of plaintext become in their records.
const AHEAD: usize = 128 << 10;

thread_local! {
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A connection that is read ahead.
#[derive(Debug)]
pub struct Ahead {
    /// The connection.
    pub tcp: TcpStream,
    /// How much is worth being read at once.
    wanted: usize,
    /// What was read and not yet handed on.
    rest: Option<Box<Rest>>,
}

/// Bytes of a buffer; never none.
#[derive(Debug)]
struct Rest {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Ahead {
    /// A connection of which nothing is read ahead before somebody [`wants`](Ahead::wants) it.
    pub fn new(tcp: TcpStream) -> Ahead {
        Ahead { tcp, wanted: 0, rest: None }
    }

    /// Says how much plaintext its reader has room for. Hardly more is read, so that little is held for a reader with little
    /// room; one with much that does not come back may leave all but the first record of 128 KiB behind.
    pub fn wants(&mut self, plaintext: usize) {
        self.wanted = plaintext.min(AHEAD);
    }
}

impl Rest {
    /// Hands on what there is room for; the rest of it, if any.
    fn hand_on(mut self: Box<Self>, buf: &mut ReadBuf<'_>) -> Option<Box<Self>> {
        let taken = buf.remaining().min(self.end - self.start);
        buf.put_slice(&self.buffer[self.start..self.start + taken]);
        self.start += taken;
        if self.start < self.end {
            return Some(self);
        }
        SPARE.set(Some(self.buffer));
        None
    }
}

impl AsyncRead for Ahead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(rest) = this.rest.take() {
            this.rest = rest.hand_on(buf);
            return Poll::Ready(Ok(()));
        }
        if this.wanted <= buf.remaining() {
            return Pin::new(&mut this.tcp).poll_read(cx, buf);
        }
        let mut buffer = SPARE.take().unwrap_or_else(|| vec![0; AHEAD].into_boxed_slice());
        let mut read = ReadBuf::new(&mut buffer[..this.wanted]);
        let came = Pin::new(&mut this.tcp).poll_read(cx, &mut read);
        let end = read.filled().len();
        if end <= buf.remaining() {
            // So it is with small messages, with the end and with nothing.
            buf.put_slice(read.filled());
            SPARE.set(Some(buffer));
            return came;
        }
        ready!(came)?;
        this.rest = Box::new(Rest { buffer, start: 0, end }).hand_on(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// What the library asks for at once.
    const PIECE: usize = 4096;

    /// A connection on which everything stands ready to be read.
    async fn hears(bytes: &[u8]) -> (Ahead, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the system's choice is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (near, mut far) = (near.expect("somebody listens"), far.expect("somebody connects").0);
        far.write_all(bytes).await.expect("the system takes it");
        let mut seen = vec![0; bytes.len()];
        while near.peek(&mut seen).await.expect("the connection is open") < bytes.len() {
            tokio::task::yield_now().await;
        }
        (Ahead::new(near), far)
    }

    async fn piece(ahead: &mut Ahead, room: usize) -> Vec<u8> {
        let mut buffer = vec![0; room];
        let mut read = ReadBuf::new(&mut buffer);
        let reading = poll_fn(|cx| Pin::new(&mut *ahead).poll_read(cx, &mut read));
        timeout(Duration::from_secs(5), reading).await.expect("there is more").expect("the connection is open");
        read.filled().to_vec()
    }

    fn left(ahead: &Ahead) -> usize {
        ahead.rest.as_ref().map_or(0, |rest| rest.end - rest.start)
    }

    fn noise(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 % 251) as u8).collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_there_is_room_for_is_read_at_once_and_handed_on_in_order() {
        let said = noise(60_000);
        let (mut ahead, _far) = hears(&said).await;
        ahead.wants(1 << 20);
        let mut heard = piece(&mut ahead, PIECE).await;
        assert_eq!(left(&ahead), said.len() - PIECE);
        while left(&ahead) > 0 {
            heard.extend(piece(&mut ahead, PIECE).await);
        }
        assert!(heard == said);
        assert!(ahead.rest.is_none(), "an idle connection holds a buffer");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn little_is_held_for_a_reader_with_little_room() {
        let (mut ahead, _far) = hears(&noise(60_000)).await;
        for (wanted, held) in [(0, 0), (1000, 0), (PIECE, 0), (PIECE + 1, 1), (10_000, 10_000 - PIECE)] {
            ahead.wants(wanted);
            assert_eq!(piece(&mut ahead, PIECE).await.len(), PIECE);
            assert_eq!(left(&ahead), held, "{wanted} wanted");
            while left(&ahead) > 0 {
                piece(&mut ahead, PIECE).await;
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_end_comes_after_the_last_bytes() {
        let (mut ahead, far) = hears(&noise(5000)).await;
        drop(far);
        ahead.wants(1 << 20);
        assert_eq!(piece(&mut ahead, PIECE).await.len(), PIECE);
        assert_eq!(piece(&mut ahead, PIECE).await.len(), 5000 - PIECE);
        assert_eq!(piece(&mut ahead, PIECE).await.len(), 0);
    }
}
