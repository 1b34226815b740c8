//! A connection, over whatever it goes.

mod socket;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

use super::tls::Ahead;

/// A connection to a server or from a client, encrypted or not. Shutting it down ends our direction alone; in TLS after
/// telling so.
///
/// A TLS peer that ends its direction without telling so is an error to read (`UnexpectedEof`), for anybody on the way
/// could have cut it: the reader decides whether that matters. What was written to TLS may still have to be flushed.
#[derive(Debug)]
pub enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// A socket of this machine.
    Unix(UnixStream),
    /// TLS over TCP, to a server.
    Dialled(Box<client::TlsStream<Ahead>>),
    /// TLS over TCP, from a client.
    Accepted(Box<server::TlsStream<Ahead>>),
}

impl Stream {
    /// The TCP connection, for its options.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(stream) => Some(stream),
            Stream::Unix(_) => None,
            Stream::Dialled(stream) => Some(&stream.get_ref().0.tcp),
            Stream::Accepted(stream) => Some(&stream.get_ref().0.tcp),
        }
    }

    /// Whether it goes over TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Stream::Dialled(_) | Stream::Accepted(_))
    }

    /// Reads what there is, up to 2 KiB, onto `buffer`, and tells how much that was; 0 at the end of the stream. So a head
    /// mostly comes in one piece, and whoever has said nothing yet holds no room for one.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read_onto(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        read_onto(self, buffer).await
    }

    /// Writes all of it, and what TLS would keep back.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// Sends a request, and reads until `judge` knows what its answer is. Beside the judgement stands all that was read:
    /// what follows the answer may have come with it. It is for `judge` to end an answer that is too long.
    ///
    /// # Errors
    /// What `judge` says of the answer, or what `broken` makes of a connection that broke off before.
    pub async fn ask<T, E>(
        &mut self,
        request: &[u8],
        broken: impl Fn(io::Error) -> E,
        judge: impl Fn(&[u8]) -> Result<Option<T>, E>,
    ) -> Result<(T, Vec<u8>), E> {
        self.say(request).await.map_err(&broken)?;
        let mut answer = Vec::with_capacity(1024);
        loop {
            if self.read_buf(&mut answer).await.map_err(&broken)? == 0 {
                return Err(broken(io::ErrorKind::UnexpectedEof.into()));
            }
            if let Some(judged) = judge(&answer)? {
                return Ok((judged, answer));
            }
        }
    }

    /// Reads once, as [`AsyncRead::poll_read`] does, for one task that is woken through its own waker and keeps `noted`
    /// beside the connection, false at first. It is whether there is nothing more to read and the socket has noted whom to
    /// wake when there is, which then need not be asked again until the task is woken, nor be told again at every turn.
    ///
    /// # Errors
    /// The connection broke.
    #[inline(always)]
    pub fn poll_take(&mut self, cx: &mut Context<'_>, noted: &mut bool, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => socket::poll_take(stream, cx, noted, buffer),
            Stream::Unix(stream) => socket::poll_take(stream, cx, noted, buffer),
            Stream::Dialled(_) | Stream::Accepted(_) => {
                let mut buffer = ReadBuf::new(buffer);
                Pin::new(self).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
            }
        }
    }

    /// Writes what a socket takes at once, and tells how much that was: nothing where TLS has to be asked, or something is
    /// wrong, which [`Stream::poll_give`] will tell.
    #[inline(always)]
    pub fn give(&self, bytes: &[u8]) -> usize {
        match self {
            Stream::Plain(stream) => socket::give(stream, bytes),
            Stream::Unix(stream) => socket::give(stream, bytes),
            Stream::Dialled(_) | Stream::Accepted(_) => 0,
        }
    }

    /// Writes once, as [`AsyncWrite::poll_write`] does.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_give(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => socket::poll_give(stream, cx, bytes),
            Stream::Unix(stream) => socket::poll_give(stream, cx, bytes),
            Stream::Dialled(_) | Stream::Accepted(_) => Pin::new(self).poll_write(cx, bytes),
        }
    }
}

/// As [`Stream::read_onto`], of any stream.
///
/// # Errors
/// The connection broke.
pub async fn read_onto(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut piece = [0; 2048];
        let mut read = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
    .await
}

/// The same for each kind of connection.
macro_rules! each {
    ($stream:expr, $inner:ident => $done:expr) => {
        match $stream.get_mut() {
            Stream::Plain($inner) => $done,
            Stream::Unix($inner) => $done,
            Stream::Dialled($inner) => {
                let $inner = $inner.as_mut();
                $done
            }
            Stream::Accepted($inner) => {
                let $inner = $inner.as_mut();
                $done
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Dialled(stream) => {
                stream.get_mut().0.wants(buf.remaining());
                Pin::new(stream.as_mut()).poll_read(cx, buf)
            }
            Stream::Accepted(stream) => {
                stream.get_mut().0.wants(buf.remaining());
                Pin::new(stream.as_mut()).poll_read(cx, buf)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
