//! TOML text → validated [`Config`].
//!
//! What leaves this module needs no second look: sizes are bytes, durations are in range, routes stand in the order in
//! which they are tried. What is refused is refused all at once: each [`Fault`] names file, line, key, reason and
//! remedy.

mod access;
mod authority;
mod balance;
mod events;
mod fault;
mod file;
mod listener;
mod public_url;
mod route;
mod summary;
mod units;
mod upstream;
mod value;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

pub use crate::arrival::ForwardedHeader;
pub use access::{Auth, OriginRule, Rate, parse_network, parse_trusted};
pub use authority::split_authority;
pub use balance::{Balance, Health};
pub use events::{Events, SendFailure, SendTo};
pub use fault::{Fault, Faults, ReadError, Refusal};
pub use file::KEYS;
pub use listener::{Certificate, ClientCertificate, FlashDomain, Listener, ListenerTls, OldTls};
pub use public_url::PublicUrl;
pub use route::Route;
pub use units::{parse_duration, parse_size};
pub use upstream::{Place, Protocol, Upstream, UpstreamHost};

/// Everything that an operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many threads carry connections. Default: none, which is one for each core.
    pub threads: Option<NonZeroUsize>,
    /// What is worth a line in the log. Default: info.
    pub log_level: LogLevel,
    /// Where clients connect to; at least one.
    pub listeners: Vec<Listener>,
    /// Whom is believed what they say of their own clients, and what backends are told of theirs.
    pub forwarded: Forwarded,
    /// How long each wait may take.
    pub timeouts: Timeouts,
    /// How much is taken from clients.
    pub limits: Limits,
    /// Backends over TLS.
    pub upstream_tls: UpstreamTls,
    /// Where requests go. The first that matches wins: those with a host come before those without, then the longest
    /// path first.
    pub routes: Vec<Route>,
}

impl Config {
    /// Reads the text of a configuration file; `file` is what faults call it.
    ///
    /// # Errors
    ///
    /// With everything that is wrong. Text that is no TOML has one fault, for what follows it cannot be trusted.
    pub fn parse(text: &str, file: &str) -> Result<Config, Faults> {
        let mut config = file::parse(text, file)?;
        config.routes.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.path.len())));
        Ok(config)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or with everything that is wrong in it.
    pub fn read(path: &Path) -> Result<Config, ReadError> {
        let bytes = fs::read(path).map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
        let file = path.display().to_string();
        match std::str::from_utf8(&bytes) {
            Ok(text) => Config::parse(text, &file).map_err(ReadError::Faulty),
            Err(error) => {
                let before = bytes.iter().take(error.valid_up_to());
                let fault = Fault {
                    file,
                    line: 1 + before.filter(|byte| **byte == b'\n').count(),
                    key: String::new(),
                    value: None,
                    reason: "this is not UTF-8".to_owned(),
                    remedy: "save the file as UTF-8".to_owned(),
                };
                Err(ReadError::Faulty(fault.into()))
            }
        }
    }

    /// The configuration without a file: one route, `default`, that takes every request, and defaults for the rest.
    pub fn simple(listen: Vec<SocketAddr>, upstream: Upstream) -> Config {
        let listeners = listen.into_iter().map(Listener::plain).collect();
        Config { listeners, routes: vec![Route::new("default", upstream)], ..Config::bare() }
    }

    /// The way of a request, by the value of its `Host` header and its target. None also for a target that goes one way by
    /// its letters, and by another spelling of the same path one that not everybody may go.
    pub fn route(&self, host: &str, target: &str) -> Option<&Route> {
        let route = self.routes.iter().find(|route| route.matches(host, target))?;
        (!route.evades(&self.routes, host, target)).then_some(route)
    }

    /// Neither listeners nor routes, and every setting at its default.
    fn bare() -> Config {
        Config {
            threads: None,
            log_level: LogLevel::default(),
            listeners: Vec::new(),
            forwarded: Forwarded::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            upstream_tls: UpstreamTls::default(),
            routes: Vec::new(),
        }
    }
}

/// Facts about clients that travel in headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The peers that are believed what they say of their own clients. Default: none.
    pub trusted: Vec<IpNet>,
    /// The headers that backends are told in. Default: `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded`.
    pub headers: Vec<ForwardedHeader>,
}

impl Default for Forwarded {
    fn default() -> Forwarded {
        use ForwardedHeader as H;
        Forwarded { trusted: Vec::new(), headers: vec![H::For, H::Proto, H::Host, H::Forwarded] }
    }
}

/// Whom backends that are reached over TLS are believed to be, and who we are to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// A PEM file with the certificate authorities that are believed, and no others. Default: those of this machine.
    pub ca: Option<PathBuf>,
    /// Whether every certificate is believed. Default: no.
    pub insecure: bool,
    /// What backends are shown that ask for a certificate. Default: none.
    pub certificate: Option<Certificate>,
}

/// How long each wait may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a client has sent its whole request head. Default: 10 s.
    pub head: Duration,
    /// Until a hixie-76 client has sent the eight bytes after its head. Default: 10 s.
    pub key3: Duration,
    /// Until the upstream takes the connection. Default: 5 s.
    pub connect: Duration,
    /// Until the upstream has answered the opening handshake. Default: 15 s.
    pub handshake: Duration,
    /// Until a closing handshake is finished, 1 to 30 s. Default: 3 s.
    pub close: Duration,
    /// How long a WebSocket connection may be silent in both directions; none: for ever. Default: 1 h.
    pub idle: Option<Duration>,
    /// How long a peer may take no bytes while some wait for it. Default: 60 s.
    pub stall: Duration,
    /// Plain HTTP: until the backend's response head; none: for ever. Default: 2 min.
    pub response: Option<Duration>,
    /// Plain HTTP: how long a client's connection may be idle between requests. Default: 75 s.
    pub keep_alive: Duration,
    /// Until a route's auth server has answered. Default: 5 s.
    pub auth: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(10),
            key3: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(15),
            close: Duration::from_secs(3),
            idle: Some(Duration::from_secs(60 * 60)),
            stall: Duration::from_secs(60),
            response: Some(Duration::from_secs(2 * 60)),
            keep_alive: Duration::from_secs(75),
            auth: Duration::from_secs(5),
        }
    }
}

/// How much is taken from clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request head, in bytes, 1 KiB to 1 MiB. Default: 16 KiB.
    pub head_bytes: usize,
    /// The most header fields in a request head, 10 to 1000. Default: 100.
    pub head_fields: usize,
    /// The most connections of all clients at one time. Default: 100000.
    pub connections: usize,
    /// The most connections from one address at one time. Default: none, no limit.
    pub connections_per_address: Option<usize>,
    /// How many opening handshakes one client's address may ask for; of IPv6 its first 64 bits. Default: none, no limit.
    pub handshakes_per_address: Option<Rate>,
    /// The longest event, and the longest line, that an event stream may have, in bytes, 1 KiB to 64 MiB. Default:
    /// 1 MiB.
    pub event_bytes: usize,
    /// How much may wait of what a client sends to an event stream, in bytes, 1 KiB to 64 MiB; above, the client is not
    /// read. Default: 64 KiB.
    pub send_queue: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes: 16 << 10,
            head_fields: 100,
            connections: 100_000,
            connections_per_address: None,
            handshakes_per_address: None,
            event_bytes: 1 << 20,
            send_queue: 64 << 10,
        }
    }
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What an operator must look at.
    Error,
    /// What an operator should know of: refused clients, failing upstreams.
    Warn,
    /// The life of each connection.
    #[default]
    Info,
    /// What happens within a connection.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Every level, the quietest first.
    pub const ALL: [LogLevel; 5] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

    /// The level's name in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = Refusal;

    fn from_str(word: &str) -> Result<LogLevel, Refusal> {
        let level = LogLevel::ALL.into_iter().find(|level| level.as_str() == word);
        let known = LogLevel::ALL.map(LogLevel::as_str);
        level.ok_or_else(|| Refusal::unknown("log level", word, fault::nearest(word, &known), &known))
    }
}
