//! What TLS keeps back while a peer reads nothing: its last bytes wait in the library, after all was written to it, and
//! must go out when the peer reads on, though nobody says anything more.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use hybridge::proxy::tls::{Tls, Trust};
use rustls::{ClientConnection, StreamOwned};

use crate::certificates::{self, Authority};
use crate::hall;
use crate::support::*;
use crate::tls::speaks;
use crate::upstream_tls::place;

/// Longer than what TLS adds to all messages together, so that some bytes are its own; and much less than it takes before
/// it lets its writer wait.
const MESSAGE: usize = 32 << 10;

/// Bytes between the two ends of a connection, for which the system cares.
fn underway(from: SocketAddr, to: SocketAddr) -> usize {
    let number = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_le_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => panic!("the tests talk over IPv4"),
    };
    let (from, to) = (number(from), number(to));
    let table = fs::read_to_string("/proc/net/tcp").expect("the system lists its connections");
    let queues = |local: &str, remote: &str| {
        let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let queues = line.filter(|fields| fields[1..3] == [local, remote]).map(|fields| fields[4].to_owned()).next();
        let queues = queues.expect("the connection is open");
        let (unsent, unread) = queues.split_once(':').expect("two numbers");
        [unsent, unread].map(|text| usize::from_str_radix(text, 16).expect("a number"))
    };
    queues(&from, &to)[0] + queues(&to, &from)[1]
}

/// Has messages said, of which the other end reads nothing, until the system takes no more and TLS keeps some: how many.
#[track_caller]
fn fill(mut say: impl FnMut(), from: SocketAddr, to: SocketAddr) -> usize {
    for count in 1..4_000 {
        say();
        // Only one that stays where it is for a while is kept.
        let waited = Instant::now();
        while underway(from, to) < count * MESSAGE {
            if waited.elapsed() > ms(300) {
                return count;
            }
            thread::sleep(ms(1));
        }
    }
    panic!("nothing ever stopped it");
}

#[test]
fn a_client_that_reads_again_gets_the_last_bytes_though_nothing_follows_them() {
    let authority = Authority::new("flush-client");
    let files = authority.files("localhost", &["localhost"]);
    let stage = Stage::with(|config| speaks(config, &[&files]));
    let trust = Trust::File(authority.file.clone());
    let tls = Tls::new(&trust, None).expect("the authority can be read").config();
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        eprintln!("{dialect}");
        let stream = TcpStream::connect(stage.proxy.address).expect("the proxy listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let own = stream.local_addr().expect("an address");
        let name = "localhost".try_into().expect("a name");
        let connection = ClientConnection::new(Arc::clone(&tls), name).expect("the configuration is proper");
        let mut client = StreamOwned::new(connection, stream);
        client.write_all(&opening(dialect, "/", &[])).expect("the proxy reads");
        let mut upstream = stage.backend.accept();
        upstream.agrees(&[]);
        let answer = String::from_utf8(answer(dialect, "/", &[])).expect("text").replace("ws://", "wss://");
        client.read_exact(&mut vec![0; answer.len()]).expect("the proxy answers");

        let message = "x".repeat(MESSAGE);
        let count = fill(|| upstream.say(plain(TEXT, &message)), stage.proxy.address, own);
        let expected = heard(dialect, &message).repeat(count);
        let mut got = vec![0; expected.len()];
        client.read_exact(&mut got).expect("all of it comes");
        assert!(got == expected, "{dialect}: not what was said");
    }
}

/// What a backend tells the test: whom it talks to, and what it read since it last told something.
type Told = (SocketAddr, Vec<u8>);

/// A backend over TLS that agrees to one opening handshake, and reads on when it is told how much.
fn backend(authority: &Authority) -> (SocketAddr, Sender<usize>, Receiver<Told>) {
    let ((tell, told), (say, said)) = (channel(), channel());
    let ends = std::sync::Mutex::new(Some((told, say)));
    let address = certificates::listen(authority.server(&["localhost"], |_| {}), move |mut stream| {
        let (told, say) = ends.lock().expect("nobody panicked").take().expect("one connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request comes");
            request.push(byte[0]);
        }
        let peer = stream.sock.peer_addr().expect("an address");
        let request = String::from_utf8(request).expect("heads are text");
        stream.write_all(&consent(&request, &[])).expect("the proxy reads");
        say.send((peer, Vec::new())).expect("the test goes on");
        let mut bytes = vec![0; told.recv().expect("the test says when")];
        stream.read_exact(&mut bytes).expect("all of it comes");
        say.send((peer, bytes)).expect("the test goes on");
    });
    (address, tell, said)
}

#[test]
fn a_backend_that_reads_again_gets_the_last_bytes_though_nothing_follows_them() {
    let authority = Authority::new("flush-backend");
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        eprintln!("{dialect}");
        let (address, read, came) = backend(&authority);
        let proxy = hall::proxy(vec![place(address)], |config| {
            config.routes[0].upstream.secure = true;
            config.upstream_tls.ca = Some(authority.file.clone());
        });
        let mut client = Wire::connect(proxy.address);
        client.say(opening(dialect, "/", &[]));
        let (peer, _) = came.recv_timeout(PATIENCE).expect("the backend is asked");
        assert!(client.head().starts_with("HTTP/1.1 101 "));

        let message = "x".repeat(MESSAGE);
        let count = fill(|| client.say(said(dialect, &message)), peer, address);
        // Of hixie clients each message becomes a fragment or more, whose headers nobody can foretell: the text is enough.
        read.send(count * MESSAGE).expect("the backend waits");
        let (_, bytes) = came.recv_timeout(PATIENCE).expect("all of it comes");
        assert_eq!(bytes.len(), count * MESSAGE);
    }
}
