//! The least that a proxy outside the kernel can do: wait, read, write. It understands nothing of what passes.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// Bytes read at a time.
const READ: usize = 64 << 10;
const LISTENER: Token = Token(usize::MAX);

/// One of the two sockets of a connection; the other's number differs in the last bit.
struct Half {
    stream: TcpStream,
    /// What this socket did not take yet.
    waiting: Vec<u8>,
    /// Its last was told, and must be read up to without being told again.
    ending: bool,
    /// It has said its last.
    ended: bool,
}

struct Floor {
    /// Pairs: client's and upstream's socket.
    halves: Vec<Option<Half>>,
    /// Places of pairs that are gone.
    free: Vec<usize>,
    /// Of those that went within this round of events, which may still be named in it.
    gone: Vec<usize>,
    buffer: Vec<u8>,
}

/// Relays for ever.
///
/// # Errors
/// The system cannot poll, or no connection can be accepted.
pub fn serve(mut listener: TcpListener, upstream: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut floor = Floor { halves: Vec::new(), free: Vec::new(), gone: Vec::new(), buffer: vec![0; READ] };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&poll, &listener, upstream)?,
                Token(at) => floor.serve(at, event),
            }
        }
        floor.free.append(&mut floor.gone);
    }
}

impl Floor {
    fn accept(&mut self, poll: &Poll, listener: &TcpListener, upstream: SocketAddr) -> io::Result<()> {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let place = self.free.pop().unwrap_or_else(|| {
                self.halves.extend([None, None]);
                self.halves.len() - 2
            });
            for (at, mut stream) in [(place, client), (place + 1, TcpStream::connect(upstream)?)] {
                stream.set_nodelay(true)?;
                poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
                self.halves[at] = Some(Half { stream, waiting: Vec::new(), ending: false, ended: false });
            }
        }
    }

    /// What can be done now at this socket.
    fn serve(&mut self, at: usize, event: &Event) {
        let Some(half) = &mut self.halves[at] else { return };
        half.ending |= event.is_read_closed();
        let flushed = if event.is_writable() { self.flush(at) } else { Ok(false) };
        // Events are told once: what was left to read while the peer took nothing is read when it takes again.
        let done = flushed.and_then(|flushed| {
            if event.is_readable() {
                self.carry(at)?;
            }
            if flushed { self.carry(at ^ 1) } else { Ok(()) }
        });
        let is_over = |at: usize| self.halves[at].as_ref().is_none_or(|half| half.ended);
        if done.is_err() || is_over(at) && is_over(at ^ 1) {
            (self.halves[at], self.halves[at ^ 1]) = (None, None);
            self.gone.push(at & !1);
        }
    }

    /// Writes what waits; whether something did, and is gone.
    fn flush(&mut self, at: usize) -> io::Result<bool> {
        let Some(half) = &mut self.halves[at] else { return Ok(false) };
        let waited = !half.waiting.is_empty();
        while !half.waiting.is_empty() {
            match half.stream.write(&half.waiting) {
                Ok(taken) => drop(half.waiting.drain(..taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        half.waiting = Vec::new();
        Ok(waited)
    }

    /// Carries what this socket has to its peer, until there is no more or the peer takes no more.
    fn carry(&mut self, at: usize) -> io::Result<()> {
        let place = at & !1;
        let Some([Some(client), Some(upstream)]) = self.halves.get_mut(place..place + 2) else { return Ok(()) };
        let (half, peer) = if at == place { (client, upstream) } else { (upstream, client) };
        while peer.waiting.is_empty() && !half.ended {
            let read = match half.stream.read(&mut self.buffer) {
                Ok(0) => {
                    half.ended = true;
                    return peer.stream.shutdown(Shutdown::Write);
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let taken = match peer.stream.write(&self.buffer[..read]) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            peer.waiting.extend_from_slice(&self.buffer[taken..read]);
            // A short read has emptied the socket; what comes later is told anew.
            if read < READ && !half.ending {
                return Ok(());
            }
        }
        Ok(())
    }
}
