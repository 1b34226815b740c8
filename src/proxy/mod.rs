//! The shell: sockets, clocks and randomness. It alone waits.
//!
//! One runtime per thread, and a listening socket of its own for each, so that a connection stays on the core that
//! accepted it.

mod auth;
mod connection;
mod drain;
mod entry;
mod gate;
mod listen;
mod passthrough;
mod permits;
mod pipe;
mod random;
mod rate;
mod reception;
mod relay;
mod servers;
mod sse;
pub mod stream;
pub mod tls;
mod tunnel;
mod upstream;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use self::connection::Shared;
pub use self::drain::Drain;
use self::drain::Watch;
use self::entry::Door;
use self::listen::Outcry;
pub use self::listen::{BindError, bind, tune};
use self::permits::Permits;
pub use self::random::Fresh;
use self::rate::Handshakes;
use self::servers::{Servers, pool};
use self::tls::{Acceptor, FileError, Tls, Trust, TrustError};
use crate::config::{Config, Listener, Route, UpstreamTls};

/// How long accepting pauses after it failed, typically for want of file descriptors; also how often that is logged.
const BACK_OFF: Duration = Duration::from_secs(1);
/// How often the certificates' files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Sooner than most timers of connections go off.
const SOON: Duration = Duration::from_millis(500);

/// A proxy that is bound to its addresses and not yet running.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    addresses: Vec<SocketAddr>,
    /// For each address what it speaks, in the same order.
    doors: Vec<Arc<Door>>,
    /// For each thread, its sockets, in the same order.
    listeners: Vec<Vec<TcpListener>>,
    servers: Arc<Servers>,
    drain: Drain,
}

/// Why a proxy cannot start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be had.
    Bind(BindError),
    /// Backends are reached over TLS, and nobody can be believed.
    Trust(TrustError),
    /// A listener speaks TLS, and has nothing to show.
    File(FileError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::Trust(error) => error.fmt(f),
            StartError::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Bind(error) => error.source(),
            StartError::Trust(error) => error.source(),
            StartError::File(error) => error.source(),
        }
    }
}

impl Server {
    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// One of them cannot be had, or nobody be believed of those who are reached over TLS.
    pub fn bind(config: Config) -> Result<Server, StartError> {
        let tls = Tls::new(&trust(&config), config.upstream_tls.certificate.as_ref()).map_err(StartError::Trust)?;
        let threads = config.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let mut listeners: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
        let (mut addresses, mut doors) = (Vec::new(), Vec::new());
        for listener in &config.listeners {
            let tls = listener.tls.as_ref().map(Acceptor::new).transpose().map_err(StartError::File)?;
            let is_beside = |other: SocketAddr| other.is_ipv4() && other.port() == listener.address.port();
            let only_v6 = config.listeners.iter().any(|other| is_beside(other.address));
            let (address, sockets) = listen::bind(listener.address, only_v6, threads).map_err(StartError::Bind)?;
            addresses.push(address);
            doors.push(Arc::new(Door { listener: Listener { address, ..listener.clone() }, tls }));
            for (of_thread, socket) in listeners.iter_mut().zip(sockets) {
                of_thread.push(socket);
            }
        }
        let servers = Arc::new(Servers::new(&config, tls));
        Ok(Server { config: Arc::new(config), addresses, doors, listeners, servers, drain: Drain::default() })
    }

    /// The addresses really bound, in the configuration's order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The switch that ends [`Server::run`]: clients and upstreams are told 1001, and get `timeouts.close` to answer.
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Serves until the switch is turned and the connections are gone.
    ///
    /// # Errors
    /// A thread or its runtime cannot be made.
    pub fn run(self) -> io::Result<()> {
        let Server { config, doors, listeners, servers, drain, .. } = self;
        let (permits, handshakes) = (Permits::new(&config.limits), Handshakes::new(&config.limits));
        let common = Common { config, servers, drain, permits, handshakes, outcry: Outcry::default() };
        let mut others = Vec::new();
        let mut threads = listeners.into_iter().map(|sockets| doors.iter().cloned().zip(sockets).collect::<Vec<_>>());
        let own = threads.next().unwrap_or_default();
        for (number, sockets) in threads.enumerate() {
            let worker = Worker::new(common.clone())?;
            let name = format!("hybridge-{}", number + 1);
            others.push(thread::Builder::new().name(name).spawn(move || worker.run(sockets))?);
        }
        let worker = Worker::new(common)?;
        let Common { servers, drain, .. } = &worker.common;
        worker.runtime.spawn(renew(doors, drain.watch()));
        worker.runtime.spawn(servers::health::watch(Arc::clone(servers), drain.watch()));
        let mut result = worker.run(own);
        for thread in others {
            result = result.and(thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))));
        }
        result
    }
}

/// What all threads serve with.
#[derive(Clone)]
struct Common {
    config: Arc<Config>,
    servers: Arc<Servers>,
    drain: Drain,
    permits: Permits,
    handshakes: Handshakes,
    outcry: Outcry,
}

/// One thread's runtime.
struct Worker {
    runtime: Runtime,
    common: Common,
}

/// What is wrong with the certificates, keys and authorities that the configuration names, a line for each file.
pub fn unusable_files(config: &Config) -> Vec<String> {
    let listeners = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let of_listeners = listeners.flat_map(tls::faults).map(|error| error.to_string());
    let own = config.upstream_tls.certificate.as_ref();
    let of_upstreams = Tls::new(&trust(config), own).err().map(|error| error.to_string());
    of_listeners.chain(of_upstreams).collect()
}

/// Whom backends are believed to be.
fn trust(config: &Config) -> Trust {
    let secure = |route: &Route| {
        let sends = route.events.send.as_ref().and_then(|send| send.backend.as_ref());
        let asks = route.auth.as_ref().map(|auth| &auth.server);
        [Some(&route.upstream), sends, asks].into_iter().flatten().any(|server| server.secure)
    };
    match &config.upstream_tls {
        // The authorities of a machine are many, and not read for nothing.
        _ if !config.routes.iter().any(secure) => Trust::Nobody,
        UpstreamTls { insecure: true, .. } => {
            warn!("upstream_tls.insecure: nobody checks which backend answers");
            Trust::Anybody
        }
        UpstreamTls { ca: Some(file), .. } => Trust::File(file.clone()),
        UpstreamTls { .. } => Trust::System,
    }
}

impl Worker {
    fn new(common: Common) -> io::Result<Self> {
        // One thread and no other drives its sockets, on which `stream::socket` relies. Only name look-ups block.
        let runtime = Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(16).build()?;
        Ok(Worker { runtime, common })
    }

    fn run(self, sockets: Vec<(Arc<Door>, TcpListener)>) -> io::Result<()> {
        let Common { config, servers, drain, permits, handshakes, outcry } = self.common;
        self.runtime.block_on(async {
            let shared = Arc::new(Shared {
                pool: pool::pool(&servers, None, config.timeouts.keep_alive),
                posts: pool::pool(&servers, None, sse::IDLE),
                servers,
                config: Arc::clone(&config),
                permits: permits.clone(),
                handshakes,
                drain: drain.clone(),
            });
            let mut accepting = JoinSet::new();
            for (door, socket) in sockets {
                let socket = tokio::net::TcpListener::from_std(socket)?;
                accepting.spawn(accept(socket, door, Arc::clone(&shared), outcry.clone()));
            }
            drain.watch().started().await;
            accepting.shutdown().await;
            // The closing handshakes have their own deadline; the second more is for what they write last.
            let patience = config.timeouts.close + Duration::from_secs(1);
            if timeout(patience, permits.all_returned()).await.is_err() {
                info!("some connections were still open and are dropped");
            }
            Ok(())
        })
    }
}

/// Looks again and again whether the certificates' files have changed, until the shutdown.
async fn renew(doors: Vec<Arc<Door>>, mut watch: Watch) {
    let acceptors: Vec<&Acceptor> = doors.iter().filter_map(|door| door.tls.as_ref()).collect();
    while !acceptors.is_empty() && timeout(LOOK, watch.started()).await.is_err() {
        for acceptor in &acceptors {
            match acceptor.renew() {
                Ok(false) => {}
                Ok(true) => info!("certificates have changed: new connections get the new ones"),
                Err(error) => error!("certificates have changed, and those from before are used on: {error}"),
            }
        }
    }
}

/// Takes connections. One too many waits, accepted but unserved, until another ends, and those behind it in the
/// socket's backlog; a permit taken before would be one that no other thread's socket could use.
async fn accept(socket: tokio::net::TcpListener, door: Arc<Door>, shared: Arc<Shared>, outcry: Outcry) {
    // Whenever a timer is to go off before all others, the runtime wakes itself up with a system call, even on its own
    // thread. With this one, which wakes nobody, that is seldom, and not once or twice for each connection. Since nobody
    // polls it, it is the reset that has it noted.
    let mut soonest = pin!(sleep(SOON));
    soonest.as_mut().reset(Instant::now() + SOON);
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                if soonest.is_elapsed() {
                    soonest.as_mut().reset(Instant::now() + SOON);
                }
                let permit = shared.permits.next().await;
                listen::tune_accepted(&stream);
                tokio::spawn(connection::serve(stream, peer, permit, Arc::clone(&door), Arc::clone(&shared)));
            }
            // The peer gave up before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if outcry.is_due(Instant::now().into_std(), BACK_OFF) {
                    error!("cannot accept connections: {error}; trying again every second");
                }
                sleep(BACK_OFF).await;
            }
        }
    }
}
