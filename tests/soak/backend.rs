//! The backend: this program again, as a process of its own, so that neither process needs more descriptors than its
//! own ends. It says on stdout where it listens, then a line for each conversation, and ends with its stdin.

use std::io::Read as _;
use std::time::Duration;

use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::converse::{PATIENCE, converse};
use crate::ears::Ears;
use crate::outcome::Outcome;
use crate::plan::{Plan, Side};
use crate::support::consent;

/// Serves until its stdin ends.
pub fn run(seed: u64) {
    std::thread::spawn(|| {
        // Whoever started it is done with it, or gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(async {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
        listener.listen(4096).expect("it can be listened on");
        listener.set_nonblocking(true).expect("an option can be set");
        let listener = TcpListener::from_std(listener.into()).expect("a listener");
        println!("{}", listener.local_addr().expect("it has an address"));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(spawn_local(serve(stream, seed))),
                Err(error) => {
                    println!("fault the backend cannot accept: {error}");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }));
}

async fn serve(mut stream: TcpStream, seed: u64) {
    let _ = stream.set_nodelay(true);
    let Some((head, early)) = head(&mut stream).await else { return };
    let target = head.split(' ').nth(1).unwrap_or_default();
    let mut parts = target.split('/').skip(1);
    let (what, id) = (parts.next().unwrap_or_default(), parts.next().and_then(|id| id.parse().ok()));
    let outcome = match (what, id) {
        ("echo", _) => return echo(stream, &head, early).await,
        ("ws", Some(id)) => {
            if stream.write_all(&consent(&head, &[])).await.is_err() {
                return;
            }
            converse(stream, &Plan::new(seed, id), Side::Backend, early).await
        }
        ("events", Some(id)) => events(stream, &Plan::new(seed, id)).await,
        _ => return println!("fault the backend was asked for {target:?}"),
    };
    println!("{}", outcome.to_line());
}

/// A request head, and what came with it.
async fn head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let early = bytes.split_off(at + 4);
            return Some((String::from_utf8(bytes).ok()?, early));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Says every text again.
async fn echo(mut stream: TcpStream, head: &str, mut bytes: Vec<u8>) {
    let mut ears = Ears::hybi(true);
    let (mut text, mut answer) = (Vec::new(), consent(head, &[]));
    let mut buffer = Vec::new();
    loop {
        let closed = ears.echo(&mut bytes, &mut text, &mut answer);
        let said = stream.write_all(&std::mem::take(&mut answer)).await;
        if closed != Ok(false) || said.is_err() {
            return;
        }
        // Thousands of them are idle, and hold nothing.
        buffer.clear();
        buffer.shrink_to(0);
        if stream.readable().await.is_err() {
            return;
        }
        buffer.reserve(4096);
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => return,
            Ok(_) => bytes = std::mem::take(&mut buffer),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => bytes = Vec::new(),
            Err(_) => return,
        }
    }
}

/// Sends its part of the plan as Server-Sent Events, and waits until nobody listens any more.
async fn events(mut stream: TcpStream, plan: &Plan) -> Outcome {
    let mut outcome = Outcome { id: plan.id, ..Outcome::default() };
    let mut whims = plan.whims(Side::Backend);
    let saying = async {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await?;
        for number in 0..plan.messages(Side::Backend) {
            let message = plan.message(Side::Backend, number);
            let comment: &[u8] = if whims.random() { b": still here\n" } else { b"" };
            let bytes = [comment, b"data: ", &message.bytes, b"\n\n"].concat();
            let (first, rest) = bytes.split_at(whims.random_range(0..=bytes.len()));
            stream.write_all(first).await?;
            sleep(Duration::from_millis(whims.random_range(0..20))).await;
            stream.write_all(rest).await?;
            outcome.sent.count(&message);
        }
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whoever listens may leave at any time.
    if timeout(PATIENCE, saying).await.is_err() {
        outcome.fault = Some("nobody ends the stream of events".to_owned());
    }
    outcome
}
