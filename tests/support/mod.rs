//! A stage for the proxy: clients and backends that speak raw bytes over real sockets.
//!
//! Nothing here uses the proxy's own codecs, so that an error in those is not found to agree with itself. A test plays
//! both ends in turn from one thread: whatever it waits for is an event on a socket, with a deadline that only a
//! failure reaches.

mod speech;
mod wire;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hybridge::config::{Config, Upstream};
pub use hybridge::dialect::Dialect;
use hybridge::proxy::{Drain, Server};
use socket2::{Domain, SockRef, Socket, Type};

pub use self::speech::*;
pub use self::wire::*;

/// Every dialect.
pub const ALL: [Dialect; 5] = Dialect::ALL;
/// Those whose frames are text between 0x00 and 0xFF.
pub const HIXIE: [Dialect; 2] = [Dialect::Hixie75, Dialect::Hixie76];
/// Those with the frames of RFC 6455.
pub const HYBI: [Dialect; 3] = [Dialect::Hybi07, Dialect::Hybi10, Dialect::Rfc6455];

/// How long a test waits for what must come. Busy machines are slow, and only failures take as long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// So many milliseconds.
pub fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A proxy that runs in this process, until dropped.
pub struct Proxy {
    pub address: SocketAddr,
    pub drain: Drain,
    running: JoinHandle<io::Result<()>>,
}

impl Proxy {
    /// Binds and runs. One thread is enough for most tests, and leaves the cores to others.
    pub fn run(mut config: Config) -> Proxy {
        config.threads = config.threads.or(NonZeroUsize::new(1));
        let server = Server::bind(config).expect("a port of the system's choice is free");
        let (address, drain) = (server.addresses()[0], server.drain());
        Proxy { address, drain, running: thread::spawn(|| server.run()) }
    }

    /// Waits until the proxy has stopped by itself, after its switch was turned.
    #[track_caller]
    pub fn stopped(&self) {
        eventually("the proxy stops", || self.running.is_finished());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.drain.start();
    }
}

/// An address that refuses connections for as long as the socket is kept: it is bound and does not listen, so that
/// nobody else can.
pub fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    let address = socket.local_addr().expect("an address").as_socket().expect("of the network");
    (socket, address)
}

/// An address of this machine that nobody else of this process is given, with any port: whoever leaves its port finds it
/// free again, where at 127.0.0.1 the system may have given it to somebody.
pub fn own_address() -> SocketAddr {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let [high, low] = LAST.fetch_add(1, Ordering::Relaxed).checked_add(1).expect("fewer are needed").to_be_bytes();
    SocketAddr::from(([127, 77, high, low], 0))
}

/// A socket that backends are reached at. Connections wait in it until they are accepted.
pub struct Backend {
    listener: TcpListener,
}

impl Backend {
    pub fn listen() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the system's choice is free");
        // On Linux the time for reads is also that for accepting.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Backend { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a listener has an address")
    }

    /// The backend as a URL.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Wire {
        match self.listener.accept() {
            Ok((stream, _)) => Wire::over(stream),
            Err(error) => panic!("nobody connected to the backend: {error}"),
        }
    }

    /// The next connection, if one comes within this time.
    pub fn try_accept(&self, within: Duration) -> Option<Wire> {
        let set = |time| SockRef::from(&self.listener).set_read_timeout(Some(time)).expect("a timeout can be set");
        set(within);
        let accepted = self.listener.accept();
        set(PATIENCE);
        accepted.ok().map(|(stream, _)| Wire::over(stream))
    }

    /// That nobody has connected since the last connection was accepted.
    #[track_caller]
    pub fn saw_nobody(&self) {
        // Connections are accepted in their order, so one of our own tells that none came before it.
        let ours = Wire::connect(self.address());
        let theirs = self.listener.accept().expect("our own connection").1;
        assert_eq!(ours.local_address(), theirs, "somebody connected to the backend");
    }
}

/// A proxy in front of one backend.
pub struct Stage {
    pub proxy: Proxy,
    pub backend: Backend,
}

impl Stage {
    /// With every setting at its default, but for the headers that tell backends of clients: there are none.
    pub fn new() -> Stage {
        Stage::with(|_| {})
    }

    /// With some settings changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Stage {
        let backend = Backend::listen();
        let upstream = Upstream::parse(&backend.url()).expect("the backend has a proper URL");
        let mut config = Config::simple(vec![([127, 0, 0, 1], 0).into()], upstream);
        // They have tests of their own; all others look at what is the client's.
        config.forwarded.headers.clear();
        change(&mut config);
        Stage { proxy: Proxy::run(config), backend }
    }

    /// A client that has said nothing yet.
    pub fn client(&self) -> Wire {
        Wire::connect(self.proxy.address)
    }

    /// A client and its backend, both through their opening handshakes.
    #[track_caller]
    pub fn open(&self, dialect: Dialect) -> (Wire, Wire) {
        self.open_with(dialect, &[], &[])
    }

    /// As [`Stage::open`], with further field lines in the client's request and in the backend's answer.
    #[track_caller]
    pub fn open_with(&self, dialect: Dialect, asks: &[&str], agrees: &[&str]) -> (Wire, Wire) {
        open(self.client(), &self.backend, dialect, asks, agrees)
    }
}

/// Takes a client that has said nothing yet and its backend through their opening handshakes.
#[track_caller]
pub fn open(mut client: Wire, backend: &Backend, dialect: Dialect, asks: &[&str], agrees: &[&str]) -> (Wire, Wire) {
    client.say(opening(dialect, "/demo?x=1", asks));
    let mut upstream = backend.accept();
    upstream.agrees(agrees);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{dialect}: {head}");
    if dialect == Dialect::Hixie76 {
        client.hears(DIGEST);
    }
    (client, upstream)
}

/// A short text and one of 1.6 MB, each way, between two ends that are open.
#[track_caller]
pub fn talk(client: &mut Wire, upstream: &mut Wire, dialect: Dialect) {
    for text in ["ä".to_owned(), "Grüße! ".repeat(200_000)] {
        let (mut twin, says) = (client.twin(), said(dialect, &text));
        let saying = thread::spawn(move || twin.say(says));
        upstream.gets_message(TEXT, &text);
        saying.join().expect("all of it goes out");
        let (mut twin, says) = (upstream.twin(), plain(TEXT, &text));
        let saying = thread::spawn(move || twin.say(says));
        client.hears(heard(dialect, &text));
        saying.join().expect("all of it goes out");
    }
}

/// Waits for something that no socket tells.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "in vain: {what}");
        thread::sleep(ms(2));
    }
}
