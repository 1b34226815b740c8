//! One connection to one server: its addresses, the preamble, TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::listen;
use super::super::stream::Stream;
use super::super::tls::Tls;
use super::names::Names;
use crate::config::Place;

/// How long an address is tried alone before the next one is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to a server, says the preamble first, and then performs the TLS handshake if that is wanted.
///
/// # Errors
/// Why it cannot be reached.
pub async fn reach(place: &Place, preamble: &[u8], tls: Option<&Tls>, names: &Names) -> Result<Stream, String> {
    let said = |error: io::Error| error.to_string();
    match place {
        Place::Unix(socket) => {
            let mut stream = UnixStream::connect(socket).await.map_err(explained)?;
            stream.write_all(preamble).await.map_err(said)?;
            Ok(Stream::Unix(stream))
        }
        Place::Tcp { host, port } => {
            let unknown = |why| format!("{why}; check the name, and this machine's resolver");
            let addresses = names.addresses(host, *port).await.map_err(unknown)?;
            let mut stream = race(addresses).await.map_err(explained)?;
            listen::tune(&stream);
            stream.write_all(preamble).await.map_err(said)?;
            match tls {
                None => Ok(Stream::Plain(stream)),
                Some(tls) => tls.connect(stream, host).await.map_err(|error| error.to_string()),
            }
        }
    }
}

/// Why nobody took a connection, and what to look at.
fn explained(error: io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => "; is it running, and listening there?",
        io::ErrorKind::PermissionDenied => "; may hybridge's user, or this machine's firewall, connect there?",
        _ => "",
    };
    format!("{error}{remedy}")
}

/// Connects to the first of the addresses that takes it: the next one is tried when one fails or lets us wait. So an
/// address that swallows packets, as a broken IPv6 does, costs a moment and not the whole time.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [only] = addresses[..] {
        return TcpStream::connect(only).await;
    }
    let mut left = interleaved(addresses).into_iter();
    // Those that lose are closed when this is dropped.
    let mut racing = JoinSet::new();
    let mut failure = None;
    loop {
        if let Some(address) = left.next() {
            racing.spawn(async move { TcpStream::connect(address).await.map_err(|error| (address, error)) });
        }
        let ended = tokio::select! {
            ended = racing.join_next() => ended,
            () = sleep(STAGGER), if left.len() > 0 => continue,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            // One is enough to say what is wrong, and the first is mostly the address that the system prefers.
            Some(Ok(Err((address, error)))) => {
                let named = || io::Error::new(error.kind(), format!("{}: {error}", address.ip()));
                failure.get_or_insert_with(named);
            }
            Some(Err(_)) => {}
            None => return Err(failure.unwrap_or_else(|| io::Error::other("it has no address"))),
        }
    }
}

/// The addresses with their families by turns, beginning with the first one's (RFC 8305 §4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let preferred = addresses.first().map(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| Some(address.is_ipv6()) == preferred);
    let mut families = [one.into_iter(), other.into_iter()];
    let mut mixed = Vec::new();
    while families.iter().any(|family| family.len() > 0) {
        mixed.extend(families.iter_mut().filter_map(Iterator::next));
    }
    mixed
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn families_take_turns() {
        for (given, expected) in [
            (&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"][..], &["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"][..]),
            (&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]),
            (&["1.1.1.1:1"], &["1.1.1.1:1"]),
            (&[], &[]),
        ] {
            assert_eq!(interleaved(addresses(given)), addresses(expected));
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// A listener whose queue is full: it lets everybody wait, as an address does that swallows packets.
    fn swallowing() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let fill = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        };
        let waiting = (0..8).map(|_| fill()).collect();
        (listener, waiting, address.as_socket().unwrap())
    }

    #[test]
    fn an_address_that_swallows_packets_or_refuses_does_not_keep_the_next_one_from_being_tried() {
        let (_listener, _waiting, silent) = swallowing();
        let refusing = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = open.local_addr().unwrap();
        for addresses in
            [vec![silent, there], vec![refusing, there], vec![silent, refusing, silent, there], vec![there, silent]]
        {
            let stream = block_on(async { tokio::time::timeout(Duration::from_secs(20), race(addresses)).await });
            assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), there);
        }
        let error = block_on(race(vec![refusing, refusing])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with("127.0.0.1: "), "{error}");
        assert!(block_on(race(Vec::new())).is_err());
    }
}
