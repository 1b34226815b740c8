//! Reading and writing a socket at the least cost: the system is asked for bytes only where the runtime knows of some, and
//! to take bytes mostly without it; a short read or write tells it that there is no more, and a waker is left once for each
//! time it is used up. tokio's own `poll_read` and `poll_write` do the same with more ado, and so does the C library around
//! each call, which together is most of what a short message costs.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::has_budget_remaining;

/// What the runtime's sockets have in common.
pub trait Socket: AsFd {
    /// Runs `attempt` if the socket is ready for `interest`; that it would block makes it not ready.
    fn attempt<R>(&self, interest: Interest, attempt: impl FnOnce() -> io::Result<R>) -> io::Result<R>;

    /// Waits until there is something to read.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits until something can be written.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

macro_rules! socket {
    ($kind:ty) => {
        impl Socket for $kind {
            #[inline(always)]
            fn attempt<R>(&self, interest: Interest, attempt: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                self.try_io(interest, attempt)
            }

            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_read_ready(cx)
            }

            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(cx)
            }
        }
    };
}

socket!(TcpStream);
socket!(UnixStream);

/// Reads once. `noted` is kept by the caller, false at first: whether the socket knows whom to wake, and so has nothing
/// more to read until then. It can be trusted because the runtime tells of readiness and wakes on this same thread, with no
/// task between the two; where several threads did that, a wake-up could be lost.
///
/// # Errors
/// The connection broke.
#[inline(always)]
pub fn poll_take(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    noted: &mut bool,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        let mut asked = None;
        // What the runtime makes of the outcome is no news: it is here already.
        let _ = socket.attempt(Interest::READABLE, || {
            let read = recv(socket, &mut *buffer, RecvFlags::empty()).map(|(read, _)| read);
            asked = Some(read);
            match read {
                // Less than there was room for: nothing is left. What comes next makes it ready again.
                Ok(read) if 0 < read && read < buffer.len() => Err(io::ErrorKind::WouldBlock.into()),
                Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        let read = match asked {
            None if *noted => return Poll::Pending,
            None | Some(Err(Errno::WOULDBLOCK)) => 0,
            Some(Ok(read)) if 0 < read && read < buffer.len() => read,
            Some(done) => {
                // It was ready, so whoever was to be woken has been.
                *noted = false;
                return Poll::Ready(done.map_err(Into::into));
            }
        };
        let pending = socket.poll_readable(cx)?.is_pending();
        // A task that has used up its turn is told to come back, and the socket has then noted nobody.
        *noted = pending && has_budget_remaining();
        if read > 0 {
            return Poll::Ready(Ok(read));
        }
        if pending {
            return Poll::Pending;
        }
    }
}

/// Writes what the socket takes at once; nothing also if it is broken. Without the runtime, which mostly has nothing to
/// learn from it: that a socket is full or broken it hears by [`poll_give`] of the rest.
#[inline(always)]
pub fn give(socket: &impl AsFd, bytes: &[u8]) -> usize {
    send(socket, bytes, SendFlags::NOSIGNAL).unwrap_or(0)
}

/// Writes once.
///
/// # Errors
/// The connection broke.
pub fn poll_give(socket: &impl Socket, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        let mut asked = None;
        let _ = socket.attempt(Interest::WRITABLE, || {
            let written = send(socket, bytes, SendFlags::NOSIGNAL);
            asked = Some(written);
            match written {
                // Less than was offered: there is no more room.
                Ok(written) if 0 < written && written < bytes.len() => Err(io::ErrorKind::WouldBlock.into()),
                Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        match asked {
            None | Some(Err(Errno::WOULDBLOCK)) => ready!(socket.poll_writable(cx))?,
            Some(done) => return Poll::Ready(done.map_err(Into::into)),
        }
    }
}
