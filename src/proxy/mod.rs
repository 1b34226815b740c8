//! The shell: sockets, clocks and randomness. It alone waits.
//!
//! One runtime per thread, and a listening socket of its own for each, so that a connection stays on the core that
//! accepted it.

mod connection;
mod drain;
mod gate;
mod listen;
mod passthrough;
mod permits;
mod pipe;
mod random;
mod relay;
mod servers;
mod sse;
pub mod stream;
pub mod tls;
mod upstream;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use self::connection::Shared;
pub use self::drain::Drain;
pub use self::listen::{BindError, bind, tune};
use self::permits::Permits;
pub use self::random::Fresh;
use self::servers::{Servers, pool};
use self::stream::Stream;
use self::tls::{Tls, Trust, TrustError};
use crate::config::{Config, Route, UpstreamTls};

/// How long accepting pauses after it failed, typically for want of file descriptors; also how often that is logged.
const BACK_OFF: Duration = Duration::from_secs(1);

/// A proxy that is bound to its addresses and not yet running.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    addresses: Vec<SocketAddr>,
    /// For each thread, its sockets.
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
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::Trust(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Bind(error) => error.source(),
            StartError::Trust(error) => error.source(),
        }
    }
}

impl Server {
    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// One of them cannot be had, or nobody be believed of those who are reached over TLS.
    pub fn bind(config: Config) -> Result<Server, StartError> {
        let tls = Tls::new(&trust(&config)).map_err(StartError::Trust)?;
        let threads = config.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let mut listeners: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for listener in &config.listeners {
            let (bound, sockets) = listen::bind(listener.address, threads).map_err(StartError::Bind)?;
            addresses.push(bound);
            for (of_thread, socket) in listeners.iter_mut().zip(sockets) {
                of_thread.push(socket);
            }
        }
        let servers = Arc::new(Servers::new(&config, tls));
        Ok(Server { config: Arc::new(config), addresses, listeners, servers, drain: Drain::default() })
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
        let permits = Permits::new(&self.config.limits);
        let mut others = Vec::new();
        let mut listeners = self.listeners.into_iter();
        let own = listeners.next().unwrap_or_default();
        for (number, sockets) in listeners.enumerate() {
            let worker =
                Worker::new(Arc::clone(&self.config), Arc::clone(&self.servers), self.drain.clone(), permits.clone())?;
            let name = format!("hybridge-{}", number + 1);
            others.push(thread::Builder::new().name(name).spawn(move || worker.run(sockets, false))?);
        }
        let worker = Worker::new(self.config, self.servers, self.drain, permits)?;
        let mut result = worker.run(own, true);
        for thread in others {
            result = result.and(thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))));
        }
        result
    }
}

/// One thread's runtime and what it serves with.
struct Worker {
    runtime: Runtime,
    config: Arc<Config>,
    servers: Arc<Servers>,
    drain: Drain,
    permits: Permits,
}

/// Whom backends are believed to be.
fn trust(config: &Config) -> Trust {
    let secure = |route: &Route| {
        let sends = route.events.send.as_ref().and_then(|send| send.backend.as_ref());
        route.upstream.secure || sends.is_some_and(|backend| backend.secure)
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
    fn new(config: Arc<Config>, servers: Arc<Servers>, drain: Drain, permits: Permits) -> io::Result<Self> {
        // Only name look-ups block.
        let runtime = Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(16).build()?;
        Ok(Worker { runtime, config, servers, drain, permits })
    }

    /// Serves what the sockets bring. One thread of all asks the servers how they are.
    fn run(self, sockets: Vec<TcpListener>, asks: bool) -> io::Result<()> {
        self.runtime.block_on(async {
            let shared = Arc::new(Shared {
                pool: pool::pool(&self.servers, None, self.config.timeouts.keep_alive),
                posts: pool::pool(&self.servers, None, sse::IDLE),
                servers: Arc::clone(&self.servers),
                config: Arc::clone(&self.config),
                drain: self.drain.clone(),
            });
            let mut accepting = JoinSet::new();
            for socket in sockets {
                let listener = tokio::net::TcpListener::from_std(socket)?;
                accepting.spawn(accept(listener, Arc::clone(&shared), self.permits.clone()));
            }
            let asking = asks.then(|| servers::health::watch(&self.servers));
            self.drain.watch().started().await;
            drop(asking);
            accepting.shutdown().await;
            // The closing handshakes have their own deadline; the second more is for what they write last.
            let patience = self.config.timeouts.close + Duration::from_secs(1);
            if timeout(patience, self.permits.all_returned()).await.is_err() {
                info!("some connections were still open and are dropped");
            }
            Ok(())
        })
    }
}

/// Takes connections. One too many waits, accepted but unserved, until another ends, and those behind it in the
/// listener's backlog; a permit taken before would be one that no other thread's listener could use.
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>, permits: Permits) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let mut permit = permits.next().await;
                if !permits.admit(&mut permit, peer.ip()) {
                    warn!(client = %peer, "dropped: more connections than limits.connections_per_address allows");
                    continue;
                }
                listen::tune(&stream);
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    connection::serve(Stream::Plain(stream), peer, shared).await;
                    drop(permit);
                });
            }
            // The peer gave up before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                error!("cannot accept connections: {error}; trying again in a second");
                sleep(BACK_OFF).await;
            }
        }
    }
}
