//! Several backends behind one proxy, each of which tells everybody its number.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use hybridge::config::{Config, Place, Protocol, Upstream};
use hybridge::dialect::Dialect;
use socket2::{Domain, Socket, Type};

use crate::support::*;

pub const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A whole response with that body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What the backends of a hall do, and have seen.
#[derive(Default)]
pub struct Book {
    /// The status for `/healthz`; 0 is 200.
    pub health: AtomicU16,
    /// Connections so far.
    pub met: AtomicUsize,
    /// Heads of requests so far, in their order.
    pub heads: Mutex<Vec<String>>,
    /// Nobody is accepted any more.
    closed: AtomicBool,
}

impl Book {
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    /// The heads of requests that contain this.
    pub fn heads_with(&self, text: &str) -> Vec<String> {
        self.heads.lock().expect("nobody panicked").iter().filter(|head| head.contains(text)).cloned().collect()
    }
}

/// A backend that serves in threads until dropped.
pub struct Host {
    pub address: SocketAddr,
    pub book: Arc<Book>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Host {
    pub fn new(number: usize) -> Host {
        Host::at(number, own_address())
    }

    /// At this very address, also when another host was there before.
    pub fn at(number: usize, address: SocketAddr) -> Host {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let book = Arc::new(Book::default());
        let own = Arc::clone(&book);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if own.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, book) = (stream.expect("a connection"), Arc::clone(&own));
                stream.set_nodelay(true).expect("an option can be set");
                book.met.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || serve(stream, number, &book));
            }
        });
        Host { address, book, accepting: Some(accepting) }
    }

    pub fn place(&self) -> Place {
        Place::Tcp { host: self.address.ip().to_string(), port: self.address.port() }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.book.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(thread::JoinHandle::join);
    }
}

/// A backend at a Unix socket, for the rest of the test.
pub fn unix_host(number: usize, path: &Path) -> Arc<Book> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("the temporary folder takes sockets");
    let book = Arc::new(Book::default());
    let own = Arc::clone(&book);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let book = Arc::clone(&own);
            thread::spawn(move || serve(stream, number, &book));
        }
    });
    book
}

/// Serves one connection: requests with the number as body, a WebSocket or a stream of events with it as its first
/// message. Of a request with a body that goes back in front of the number.
fn serve(mut stream: impl Read + Write, number: usize, book: &Book) {
    while let Some(head) = read_head(&mut stream) {
        book.heads.lock().expect("nobody panicked").push(head.clone());
        let lower = head.to_ascii_lowercase();
        if lower.contains("upgrade: websocket") {
            let _ = stream.write_all(&[consent(&head, &[]), plain(TEXT, number.to_string())].concat());
            // What the client sends first is its close.
            let _ = stream.read(&mut [0; 64]);
            return;
        }
        if lower.contains("accept: text/event-stream") {
            let _ = stream.write_all(format!("{STREAM}data: {number}\n\n").as_bytes());
            let _ = stream.read(&mut [0; 64]);
            return;
        }
        if head.starts_with("GET /healthz ") {
            let status = match book.health.load(Ordering::SeqCst) {
                0 => 200,
                status => status,
            };
            let _ = stream.write_all(format!("HTTP/1.1 {status} As told\r\nContent-Length: 0\r\n\r\n").as_bytes());
            continue;
        }
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8(body).expect("bodies are text") + &number.to_string();
        if stream.write_all(ok(&body).as_bytes()).is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A proxy in front of hosts numbered from 0.
pub struct Hall {
    pub proxy: Proxy,
    pub hosts: Vec<Option<Host>>,
}

impl Hall {
    pub fn new(count: usize, change: impl FnOnce(&mut Config)) -> Hall {
        let hosts: Vec<Host> = (0..count).map(Host::new).collect();
        let proxy = proxy(hosts.iter().map(Host::place).collect(), change);
        Hall { proxy, hosts: hosts.into_iter().map(Some).collect() }
    }

    pub fn host(&self, number: usize) -> &Host {
        self.hosts[number].as_ref().expect("it was not closed")
    }

    /// Closes a host: its address refuses connections.
    pub fn close(&mut self, number: usize) -> SocketAddr {
        self.hosts[number].take().expect("it was not closed").address
    }

    pub fn reopen(&mut self, number: usize, address: SocketAddr) {
        self.hosts[number] = Some(Host::at(number, address));
    }
}

/// A proxy in front of these servers.
pub fn proxy(servers: Vec<Place>, change: impl FnOnce(&mut Config)) -> Proxy {
    let upstream = Upstream { protocol: Protocol::WebSocket, secure: false, servers, path: None };
    let mut config = Config::simple(vec![([127, 0, 0, 1], 0).into()], upstream);
    change(&mut config);
    Proxy::run(config)
}

/// A client that connects from an address of this machine, 127.0.0.`last`.
pub fn from(proxy: &Proxy, last: u8) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("the whole network is this machine");
    socket.connect(&proxy.address.into()).expect("the proxy listens");
    Wire::over(socket.into())
}

/// Opens a WebSocket and hears which host has it.
#[track_caller]
pub fn opened(mut client: Wire, dialect: Dialect, target: &str, more: &[&str]) -> (Wire, usize) {
    client.say(opening(dialect, target, more));
    client.hears(answer(dialect, target, &[]));
    let number = match HYBI.contains(&dialect) {
        true => client.hear(3)[2],
        false => client.hear(3)[1],
    };
    (client, usize::from(number - b'0'))
}

/// The host that an RFC 6455 client from this address gets.
#[track_caller]
pub fn host_of(proxy: &Proxy, last: u8, target: &str, more: &[&str]) -> usize {
    opened(from(proxy, last), Dialect::Rfc6455, target, more).1
}

/// The body of the answer to a request.
#[track_caller]
pub fn asked(client: &mut Wire, request: &str) -> String {
    client.say(request);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = field(&head, "Content-Length").expect("a length").parse().expect("a number");
    String::from_utf8(client.hear(length)).expect("text")
}

/// The host that a request of this target gets, from this address.
#[track_caller]
pub fn page_of(proxy: &Proxy, last: u8, target: &str, more: &str) -> usize {
    let body = asked(&mut from(proxy, last), &format!("GET {target} HTTP/1.1\r\nHost: tv\r\n{more}\r\n"));
    body.parse().expect("a number")
}
