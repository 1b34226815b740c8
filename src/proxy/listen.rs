//! Listening sockets, one of each address for every thread.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::random;

/// Connections that may wait to be accepted, per socket.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self.source.kind() {
            io::ErrorKind::AddrInUse => "another program does; stop it, or choose another port",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need root or CAP_NET_BIND_SERVICE; grant it, or choose a higher port"
            }
            io::ErrorKind::AddrNotAvailable => {
                "no interface of this machine has that address; write one that it has, or 0.0.0.0"
            }
            _ => "write an address of this machine and a port",
        };
        write!(f, "cannot listen on {}: {remedy}", self.address)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// `threads` sockets that share `address`, and the address really bound. With `only_v6`, one of IPv6 leaves IPv4 on its
/// port to others.
///
/// # Errors
/// The address cannot be had.
pub fn bind(address: SocketAddr, only_v6: bool, threads: usize) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let failed = |source| BindError { address, source };
    if address.port() != 0 {
        // Sockets that share a port would share it with another hybridge too, without a word. One that does not share
        // finds out.
        socket(address, only_v6, false).map_err(failed)?;
    }
    let first = listener(address, only_v6).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?;
    let mut all = vec![first];
    for _ in 1..threads {
        all.push(listener(bound, only_v6).map_err(failed)?);
    }
    Ok((bound, all))
}

fn socket(address: SocketAddr, only_v6: bool, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if only_v6 && address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listener(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = socket(address, only_v6, true)?;
    tune_for_all(&socket);
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What every connection wants, on either side: no delay for small frames, and the end of a peer that is gone without
/// a word found out within three minutes or so, since hixie clients cannot be pinged.
pub fn tune(stream: &TcpStream) {
    tune_for_all(stream);
    tune_accepted(stream);
}

/// What is the same for all. Linux has what is accepted inherit it from the listening socket.
fn tune_for_all(socket: &impl AsFd) {
    // Nothing of it is worth a connection where the system refuses it.
    let _ = sockopt::set_tcp_nodelay(socket, true);
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepcnt(socket, 6);
    // Between the probes of one that does not answer.
    let _ = sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15));
}

/// As [`tune`], for one that a socket of [`bind`] has accepted: one system call instead of five.
pub fn tune_accepted(stream: &TcpStream) {
    // Each connection is probed in a rhythm of its own. Thousands that came together would else be probed together, for
    // ever, and what is more than Linux queues at once for its own machine (`netdev_max_backlog`, 1000) is lost:
    // connections to backends here would be taken for dead.
    let _ = sockopt::set_tcp_keepidle(stream, random::spread(Duration::from_secs(90)));
}

/// When the log was last told that nobody can be accepted. Clones share it: the threads run out of file descriptors
/// together, and a log that fills the disk is one trouble more.
#[derive(Clone, Debug, Default)]
pub struct Outcry(Arc<Mutex<Option<Instant>>>);

impl Outcry {
    /// Whether to say it, `every` so often at most; then it counts as said.
    pub fn is_due(&self, now: Instant, every: Duration) -> bool {
        // An instant cannot be left half changed.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= every);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use socket2::SockRef;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn connections_on_both_sides_are_tuned_and_not_probed_together() {
        let (address, mut sockets) = bind("127.0.0.1:0".parse().expect("an address"), false, 1).expect("it can be had");
        let listener = tokio::net::TcpListener::from_std(sockets.remove(0)).expect("it does not block");
        let mut times = HashSet::new();
        for _ in 0..64 {
            let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (near, (far, _)) = (near.expect("somebody listens"), far.expect("somebody connects"));
            tune(&near);
            tune_accepted(&far);
            for stream in [&near, &far] {
                let socket = SockRef::from(stream);
                assert!(stream.nodelay().expect("it can be asked"));
                assert!(socket.keepalive().expect("it can be asked"));
                assert_eq!(socket.tcp_keepalive_retries().expect("it can be asked"), 6);
                times.insert(socket.tcp_keepalive_time().expect("it can be asked"));
                assert_eq!(socket.tcp_keepalive_interval().expect("it can be asked"), Duration::from_secs(15));
            }
        }
        assert!(times.len() > 10, "{times:?}");
        assert!(times.iter().all(|time| (45..=90).contains(&time.as_secs())), "{times:?}");
    }

    #[test]
    fn an_outcry_is_one_for_all_threads_and_not_again_too_soon() {
        let (one, second) = (Outcry::default(), Duration::from_secs(1));
        let other = one.clone();
        let start = Instant::now();
        assert!(one.is_due(start, second));
        assert!(!other.is_due(start + second / 2, second));
        assert!(other.is_due(start + second, second));
        assert!(!one.is_due(start + second, second));
    }
}
