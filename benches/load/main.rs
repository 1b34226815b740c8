//! What `benches/compare` puts before and behind proxies: clients of every dialect, backends, and a relay that
//! understands nothing. Everything that comes back is compared with what should, byte for byte; `client` ends with 1 if
//! anything differs.
//!
//! It runs on one thread, and spends on a message less than a proxy does.

mod client;
mod clock;
mod connection;
mod echo;
mod events;
mod floor;
mod frames;
mod hearing;
mod pattern;
mod stream;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hybridge::dialect::Dialect;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};

/// Load on proxies: `benches/compare` uses it.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Nothing is measured by itself; `cargo bench` asks every bench for it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Role {
    /// A backend that sends every message back (RFC 6455).
    Echo {
        #[arg(long)]
        listen: SocketAddr,
        /// Change one byte in so many.
        #[arg(long, default_value_t = 0)]
        spoil: u64,
    },
    /// A backend that sends numbered events, as fast as they are taken.
    Events {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// A relay of bytes: one wait, one read, one write.
    Floor {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// Clients, which take orders on stdin.
    Client {
        #[arg(long)]
        connect: SocketAddr,
        /// Without one, they read the event stream itself.
        #[arg(long)]
        dialect: Option<Dialect>,
        /// Use TLS, and trust this certificate for `localhost`.
        #[arg(long)]
        tls: Option<PathBuf>,
    },
    /// A certificate for `localhost` (ECDSA, P-256): cert.pem, key.pem, and both.pem with both.
    Certificate { folder: PathBuf },
}

fn main() -> ExitCode {
    let Some(role) = Arguments::parse().role else {
        println!("load: benches/compare starts it; --help tells the rest");
        return ExitCode::SUCCESS;
    };
    // As many as are allowed; if they are too few, opening says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match play(role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(role: Role) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match role {
        Role::Echo { listen, spoil } => {
            let listener = bind(&runtime, listen)?;
            runtime.block_on(echo::serve(listener, spoil))
        }
        Role::Events { listen } => {
            let listener = bind(&runtime, listen)?;
            runtime.block_on(events::serve(listener))
        }
        Role::Floor { listen, upstream } => {
            let listener = mio::net::TcpListener::bind(listen)?;
            println!("listening on {}", listener.local_addr()?);
            floor::serve(listener, upstream)
        }
        Role::Client { connect, dialect, tls } => {
            let tls = tls.as_deref().map(stream::tls).transpose()?;
            let plain = dialect.is_none();
            let dialect = dialect.unwrap_or(Dialect::Rfc6455);
            let first = u64::from(rand::random::<u32>());
            let caller = connection::Caller { address: connect, dialect, tls, first };
            client::Clients::new(caller, plain).serve(&runtime)
        }
        Role::Certificate { folder } => certificate(&folder),
    }
}

/// Listens there, and says so.
fn bind(runtime: &Runtime, address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let _inside = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(4096)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

fn certificate(folder: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(folder.join("cert.pem"), &cert)?;
    fs::write(folder.join("key.pem"), &key)?;
    fs::write(folder.join("both.pem"), cert + &key)
}
