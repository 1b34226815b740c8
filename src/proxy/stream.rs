//! A connection, over whatever it goes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

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
    Dialled(Box<client::TlsStream<TcpStream>>),
    /// TLS over TCP, from a client.
    Accepted(Box<server::TlsStream<TcpStream>>),
}

impl Stream {
    /// The TCP connection, for its options.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(stream) => Some(stream),
            Stream::Unix(_) => None,
            Stream::Dialled(stream) => Some(stream.get_ref().0),
            Stream::Accepted(stream) => Some(stream.get_ref().0),
        }
    }
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
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
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
