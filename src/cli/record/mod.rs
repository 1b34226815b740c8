//! `hybridge record`: every connection as a play, taken down between client and server or read from a capture.

mod capture;
mod carry;
mod desk;
mod page;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hybridge::config::{LogLevel, Place, Protocol, Upstream, parse_size};
use hybridge::proxy::{bind, tune};
use hybridge::recording::Manner;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::error;

use self::desk::Desk;
use super::{Failure, log_to_stderr, say};

/// How long the server may take to accept a connection.
const DIAL: Duration = Duration::from_secs(10);
/// How long accepting pauses after it failed, typically for want of file descriptors.
const BACK_OFF: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["upstream", "from_pcap"]))]
pub struct Arguments {
    /// Where clients connect to; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = super::address)]
    listen: SocketAddr,
    /// The server, or hybridge itself: ws://HOST:PORT, or HOST:PORT. Every byte passes as it is
    #[arg(long, value_name = "URL", value_parser = upstream)]
    upstream: Option<Upstream>,
    /// Read the connections from a capture instead: a file of tcpdump, pcap or pcapng
    #[arg(long, value_name = "FILE", conflicts_with = "listen")]
    from_pcap: Option<PathBuf>,
    /// The port of the server, where a capture does not show who called whom [default: the lower of the two]
    #[arg(long, value_name = "N", conflicts_with = "upstream")]
    port: Option<u16>,
    /// The folder for the recordings, one file for each connection; it is made if missing
    #[arg(long, value_name = "FOLDER", default_value = "recordings")]
    out: PathBuf,
    /// The bytes of a connection after which its recording ends; they pass all the same
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size)]
    max_bytes: u64,
    /// Leave cookies, credentials and tokens in the recordings as they are
    #[arg(long)]
    keep_secrets: bool,
}

fn upstream(url: &str) -> Result<Upstream, String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(scheme.as_deref(), Some("wss" | "https")) {
        return Err("a TLS server cannot be recorded by this version; write ws://HOST:PORT of its plain port, or of \
                    a hop on this machine that speaks TLS to it (stunnel, HAProxy, nginx)"
            .into());
    }
    let url = if scheme.is_some() { url.to_owned() } else { format!("ws://{url}") };
    let upstream = Upstream::parse(&url).map_err(|refusal| refusal.to_string())?;
    match upstream.path.as_deref() {
        _ if upstream.protocol != Protocol::WebSocket => {
            Err("a recording is of WebSocket conversations; write ws://HOST:PORT".into())
        }
        _ if matches!(upstream.servers[..], [Place::Unix(_)]) => {
            Err("a recording is of TCP connections; write ws://HOST:PORT".into())
        }
        None | Some("/") => Ok(upstream),
        Some(_) => Err("what clients ask for passes as it is; write the URL without a path".into()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|refusal| refusal.to_string())
}

/// Records until the process is told to stop, or the capture ends.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let manner = Manner { keep_secrets: arguments.keep_secrets, max_bytes: arguments.max_bytes };
    log_to_stderr(LogLevel::Info);
    if let Some(file) = arguments.from_pcap {
        return capture::run(&file, arguments.port, &arguments.out, manner);
    }
    let Some(upstream) = arguments.upstream else { unreachable!("clap demands one of them") };
    page::prepare(&arguments.out)?;
    let (address, mut sockets) = bind(arguments.listen, false, 1)?;
    let socket = sockets.pop().ok_or("there is no socket to listen on")?;
    say(&format!("recording on {address}, upstream ws://{}, into {}", upstream.authority(), arguments.out.display()));
    // Not worth refusing to record for: what is too much waits to be accepted.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let desk = Desk::open(arguments.out, manner, upstream.authority())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let result = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut recording = JoinSet::new();
        tokio::select! {
            () = accept(TcpListener::from_std(socket)?, &upstream, &desk, &mut recording) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // A second signal ends the process at once.
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(1);
        });
        recording.shutdown().await;
        tokio::task::spawn_blocking(|| desk.close()).await?;
        Ok::<(), io::Error>(())
    });
    runtime.shutdown_background();
    Ok(result?)
}

/// Takes connections and carries them.
async fn accept(listener: TcpListener, upstream: &Upstream, desk: &Desk, recording: &mut JoinSet<()>) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                tune(&client);
                let (ink, upstream) = (desk.begin(peer), upstream.clone());
                recording.spawn(async move {
                    match dial(&upstream).await {
                        Ok(server) => carry::carry(client, server, ink).await,
                        Err(why) => carry::turn_away(client, ink, &why).await,
                    }
                });
                while recording.try_join_next().is_some() {}
            }
            // The peer gave up before it was accepted.
            Err(why) if why.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(why) => {
                error!("cannot accept connections: {why}; trying again in a second");
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Connects to the server.
async fn dial(upstream: &Upstream) -> io::Result<TcpStream> {
    let Some(Place::Tcp { host, port }) = upstream.servers.first() else {
        return Err(io::Error::other("a recording is made between TCP connections"));
    };
    let stream = timeout(DIAL, TcpStream::connect((host.as_str(), *port)))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    tune(&stream);
    Ok(stream)
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
