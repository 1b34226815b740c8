//! `hybridge serve`: from the arguments or a file to a running proxy.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};
use hybridge::config::{
    Certificate, ClientCertificate, Config, ListenerTls, LogLevel, PublicUrl, Refusal, Upstream, UpstreamHost,
    UpstreamTls, parse_size, parse_trusted,
};
use hybridge::dialect::BinaryPolicy;
use hybridge::proxy::Server;
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, log_to_stderr, say};

#[derive(Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["config", "upstream"]))]
pub struct Arguments {
    /// The configuration file; config.example.toml has every key
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["listen", "upstream"])]
    config: Option<PathBuf>,
    /// Where clients connect to; may be repeated. Port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = super::address)]
    listen: Vec<SocketAddr>,
    /// Speak TLS with clients: the certificate and its chain, in PEM. For several of them, write a file
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "config")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", conflicts_with = "config")]
    tls_key: Option<PathBuf>,
    /// Expect a PROXY preamble, version 1 or 2, from these addresses, and from no others; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = trusted, conflicts_with = "config")]
    proxy_protocol: Vec<IpNet>,
    /// Believe these addresses what X-Forwarded-For and its like say of their clients; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = trusted, conflicts_with = "config")]
    trusted: Vec<IpNet>,
    /// The backend: ws://HOST:PORT, wss:// for TLS, or ws://HOST:PORT/PATH to put a path before the client's;
    /// sse+http://HOST:PORT for one that sends Server-Sent Events; ws+unix:///SOCKET for a Unix socket. May be repeated
    /// for several servers of one kind, which take turns
    #[arg(long, value_name = "URL", value_parser = upstream)]
    upstream: Vec<Upstream>,
    /// Believe backends over TLS by the authorities in this PEM file, and no others [default: those of this machine]
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    upstream_ca: Option<PathBuf>,
    /// Believe every certificate of a backend
    #[arg(long, conflicts_with_all = ["config", "upstream_ca"])]
    upstream_insecure: bool,
    /// The Host header the backend gets: `client` (as the client sent it), `upstream` (its own), or a NAME:PORT
    #[arg(long, value_name = "HOST", value_parser = upstream_host, conflicts_with = "config")]
    upstream_host: Option<UpstreamHost>,
    /// The URL clients use, where it is not this one: `wss` behind a TLS terminator, or wss://HOST/PREFIX
    #[arg(long, value_name = "URL", value_parser = public_url, conflicts_with = "config")]
    public_url: Option<PublicUrl>,
    /// What a binary message becomes for a hixie client: close, base64, latin1 or drop
    #[arg(long, value_name = "POLICY", value_parser = binary, conflicts_with = "config")]
    binary: Option<BinaryPolicy>,
    /// The most bytes a message may have, such as 16MiB [default: no limit, since none is ever held]
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with = "config")]
    max_message: Option<u64>,
    /// How many threads carry connections [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
}

fn upstream(url: &str) -> Result<Upstream, String> {
    Upstream::parse(url).map_err(|refusal| refusal.to_string())
}

fn trusted(text: &str) -> Result<IpNet, String> {
    parse_trusted(text).map_err(|refusal| refusal.to_string())
}

fn upstream_host(text: &str) -> Result<UpstreamHost, String> {
    text.parse().map_err(|refusal: Refusal| refusal.to_string())
}

fn public_url(text: &str) -> Result<PublicUrl, String> {
    text.parse().map_err(|refusal: Refusal| refusal.to_string())
}

fn binary(text: &str) -> Result<BinaryPolicy, String> {
    text.parse().map_err(|()| "expected one of close, base64, latin1, drop".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|refusal| refusal.to_string())
}

/// Serves until the process is told to stop.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = config(arguments)?;
    log_to_stderr(config.log_level);
    let upstreams: Vec<String> = config.routes.iter().map(|route| route.upstream.to_string()).collect();
    let connections = config.limits.connections;
    let encrypted: Vec<bool> = config.listeners.iter().map(|listener| listener.tls.is_some()).collect();
    let server = Server::bind(config)?;
    for (address, encrypted) in server.addresses().iter().zip(encrypted) {
        let tls = if encrypted { " (TLS)" } else { "" };
        say(&format!("listening on {address}{tls}, upstream {}", upstreams.join(", ")));
    }
    raise_file_limit(connections);
    stop_on_signal(&server)?;
    server.run()?;
    Ok(())
}

/// Each connection takes two file descriptors, and systems allow a process only a thousand unless it asks.
fn raise_file_limit(connections: usize) {
    // Not worth refusing to serve for: what is too much waits to be accepted.
    let Ok(limit) = rlimit::increase_nofile_limit(u64::MAX) else { return };
    let room = limit / 2;
    if room < connections as u64 {
        tracing::info!("the system allows {limit} open files, room for about {room} connections (ulimit -n)");
    }
}

fn config(arguments: Arguments) -> Result<Config, Failure> {
    let mut config = match (arguments.config, several(arguments.upstream)) {
        (Some(file), _) => Config::read(&file)?,
        (None, Some(upstream)) => Config::simple(arguments.listen, upstream),
        (None, None) => unreachable!("clap demands one of them"),
    };
    if let Some((cert, key)) = arguments.tls_cert.zip(arguments.tls_key) {
        let tls = ListenerTls {
            certificates: vec![Certificate { cert, key }],
            client_ca: None,
            client_certificate: ClientCertificate::default(),
            old: None,
        };
        config.listeners.iter_mut().for_each(|listener| listener.tls = Some(tls.clone()));
    }
    if !arguments.proxy_protocol.is_empty() {
        let peers = &arguments.proxy_protocol;
        config.listeners.iter_mut().for_each(|listener| listener.proxy_protocol.clone_from(peers));
    }
    if !arguments.trusted.is_empty() {
        config.forwarded.trusted = arguments.trusted;
    }
    for route in &mut config.routes {
        route.upstream_host = arguments.upstream_host.clone().unwrap_or_else(|| route.upstream_host.clone());
        route.public_url = arguments.public_url.clone().unwrap_or_else(|| route.public_url.clone());
        route.binary = arguments.binary.unwrap_or(route.binary);
        route.max_message = arguments.max_message.or(route.max_message);
    }
    if arguments.upstream_insecure || arguments.upstream_ca.is_some() {
        let (ca, insecure) = (arguments.upstream_ca, arguments.upstream_insecure);
        config.upstream_tls = UpstreamTls { ca, insecure, ..config.upstream_tls };
    }
    config.threads = arguments.threads.or(config.threads);
    config.log_level = arguments.log_level.unwrap_or(config.log_level);
    Ok(config)
}

/// The one upstream with the servers of all; misuse where they do not fit together.
fn several(upstreams: Vec<Upstream>) -> Option<Upstream> {
    let mut upstreams = upstreams.into_iter();
    let mut first = upstreams.next()?;
    for next in upstreams {
        let url = next.to_string();
        if let Err(refusal) = first.join(next) {
            let mut program = super::Arguments::command();
            program.build();
            let command = program.find_subcommand_mut("serve").expect("this is it");
            command.error(ErrorKind::ValueValidation, format!("--upstream {url}: {refusal}")).exit();
        }
    }
    Some(first)
}

/// Turns the server's switch on SIGINT or SIGTERM; a second one ends the process at once, as it would without us.
pub fn stop_on_signal(server: &Server) -> Result<(), Failure> {
    let drain = server.drain();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            for told in 0.. {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if told > 0 {
                    std::process::exit(1);
                }
                tracing::info!("stopping: clients are told 1001; a second signal stops at once");
                drain.start();
            }
        });
    })?;
    Ok(())
}
