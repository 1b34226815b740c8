//! The backend: in a thread, it echoes, sends more than anybody takes, or takes a body and never answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::ears::Ears;
use crate::support::{TEXT, consent, plain};

/// What one slow reader is sent: more than is kept for it on the way, and for all of them together less than makes the
/// system short of memory for TCP, which would slow down the others whatever the program does.
const FLOOD: usize = 256 << 10;
/// What the kernel shall keep on the backend's side.
const SEND_BUFFER: usize = 64 << 10;

pub struct Backend {
    pub address: SocketAddr,
    /// Connections that are open.
    pub open: Arc<AtomicUsize>,
}

impl Backend {
    /// Runs for as long as the test program.
    pub fn start() -> Backend {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
        socket.listen(4096).expect("it can be listened on");
        socket.set_nonblocking(true).expect("an option can be set");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it has an address");
        let open = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&open);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(socket.into()).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    let counter = Arc::clone(&counter);
                    counter.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        // However it ends, it is over.
                        let _ = serve(stream).await;
                        counter.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        });
        Backend { address, open }
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(1024);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let early = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    if head.starts_with("POST ") {
        while stream.read(&mut [0; 1024]).await? > 0 {}
        return Ok(());
    }
    stream.write_all(&consent(&head, &[])).await?;
    if head.starts_with("GET /flood ") { flood(stream).await } else { echo(stream, early).await }
}

async fn flood(mut stream: TcpStream) -> std::io::Result<()> {
    SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
    let frame = plain(TEXT, [b'a'; 16 << 10]);
    for _ in 0..FLOOD / frame.len() {
        stream.write_all(&frame).await?;
    }
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

async fn echo(mut stream: TcpStream, mut bytes: Vec<u8>) -> std::io::Result<()> {
    let mut ears = Ears::hybi(true);
    let (mut text, mut answer) = (Vec::new(), Vec::new());
    loop {
        let closed = ears.echo(&mut bytes, &mut text, &mut answer);
        stream.write_all(&std::mem::take(&mut answer)).await?;
        bytes.clear();
        // RFC 6455 §7.1.1: the server ends TCP.
        if closed != Ok(false) || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
}
