//! `hybridge demo`: a backend, the proxy in front of it, and a client of every dialect, in one process.

mod backend;
mod clients;
mod judge;
mod news;
mod play;
mod print;
mod residents;
mod room;
mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use clap::Args;
use hybridge::config::{Config, LogLevel, Route, SendTo, Upstream};
use hybridge::proxy::{Drain, Server, StartError};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

use self::clients::{Browser, CAST};
use self::print::{Paint, show};
use self::room::Room;
use super::{Failure, log_to_stderr, serve};

#[derive(Args)]
pub struct Arguments {
    /// Where clients connect to; port 0 lets the system choose [default: 127.0.0.1:8080, or any port if that is taken]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// End after the play: with 0 if every client was answered right, else with 1
    #[arg(long)]
    once: bool,
}

/// Plays every dialect once, then keeps the page up until the process is told to stop.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    log_to_stderr(LogLevel::Warn);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let backend = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let upstream = Upstream::parse(&format!("ws://{}", backend.local_addr()?))?;
    let news = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let mut events = Route::new("news", Upstream::parse(&format!("sse+http://{}", news.local_addr()?))?);
    events.path = news::PATH.to_owned();
    events.events.retry = news::RETRY;
    events.events.send = Some(SendTo { backend: None, path: news::SEND.to_owned() });
    let server = bind(arguments.listen, upstream, events)?;
    let address = reachable(server.addresses().first().copied().ok_or("the proxy has no address")?);
    serve::stop_on_signal(&server)?;
    let drain = server.drain();
    let proxy = thread::Builder::new().name("proxy".into()).spawn(move || server.run())?;

    let result = runtime.block_on(async {
        let room = Arc::new(Room::default());
        let (notes, mut noted) = unbounded_channel();
        tokio::spawn(backend::serve(backend, Arc::clone(&room), notes));
        let mut stopped = drain.watch();
        let played = tokio::select! {
            played = play_all(address, &mut noted, news) => played,
            () = stopped.started() => Err("stopped before the play was over".into()),
        };
        drop(noted);
        if !arguments.once && !drain.has_started() {
            show(&format!("\nopen http://{address}/   Ctrl-C ends\n"))?;
            residents::stay(address, room).await;
            stopped.started().await;
        }
        end(drain, proxy).await?;
        played
    });
    // Connections that are still open end with the process.
    runtime.shutdown_background();
    result
}

/// Binds the address given, or else the usual one, or else any.
fn bind(listen: Option<SocketAddr>, upstream: Upstream, events: Route) -> Result<Server, StartError> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let bind = |address| {
        let mut config = Config::simple(vec![address], upstream.clone());
        // The longest path first, as configuration files are sorted.
        config.routes.insert(0, events.clone());
        Server::bind(config)
    };
    match bind(listen.unwrap_or(usual)) {
        Err(StartError::Bind(taken)) if listen.is_none() && taken.source.kind() == io::ErrorKind::AddrInUse => {
            let server = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            let address = server.addresses().first().copied().unwrap_or(usual);
            eprintln!("hybridge: {usual} is taken by another program; listening on {address} instead");
            Ok(server)
        }
        bound => bound,
    }
}

/// The address under which a client on this machine reaches a listener.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Plays and shows one client after the other, and says what was wrong.
async fn play_all(
    address: SocketAddr,
    notes: &mut tokio::sync::mpsc::UnboundedReceiver<(String, backend::Note)>,
    news: TcpListener,
) -> Result<(), Failure> {
    let paint = Paint::for_stdout();
    show(&format!("hybridge listens on {address}; its backend speaks RFC 6455 alone. Five clients say hello:\n"))?;
    let mut results: Vec<(&str, &Browser, Vec<String>)> = Vec::new();
    for browser in &CAST {
        let transcript = play::play(browser, address, notes).await;
        show(&paint.play(browser, &transcript))?;
        results.push((browser.dialect.name(), browser, judge::judge(browser, &transcript)));
    }
    let transcript = news::play(news, address).await;
    let explained = "a backend of Server-Sent Events that breaks off, and a hixie-76 client that notices nothing";
    show(&paint.scene("events", explained, &transcript))?;
    results.push(("events", news::browser(), news::judge(&transcript)));
    show(&paint.table(&results))?;
    let wrong: Vec<String> = results
        .iter()
        .filter(|(_, _, faults)| !faults.is_empty())
        .map(|(title, _, faults)| format!("{title}: {}", faults.join("; ")))
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not every client was answered right\n  {}", wrong.join("\n  ")).into())
    }
}

/// Stops the proxy and waits for it, while the backend still answers its closing handshakes.
async fn end(drain: Drain, proxy: thread::JoinHandle<io::Result<()>>) -> Result<(), Failure> {
    drain.start();
    let ended = tokio::task::spawn_blocking(|| proxy.join()).await?;
    Ok(ended.map_err(|_| "the proxy panicked")??)
}
