//! Bytes from one connection to another, as they are.

use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::relay::SCRATCH;

/// Carries bytes both ways, `first` before all others to the server, until both directions have ended. A peer may take
/// no bytes for `stall` while some wait for it, nor say any for as long once the other has ended its direction: a TLS
/// peer has to end its own then, and one that does not shall not keep the connection.
///
/// # Errors
/// One of the connections broke, or stalled; both are dropped.
pub async fn tunnel(client: TcpStream, server: TcpStream, first: Vec<u8>, stall: Duration) -> io::Result<()> {
    let moves = AtomicU64::new(0);
    let there = async {
        write(&server, first, stall, &moves).await?;
        carry(&client, &server, stall, &moves).await
    };
    let (mut there, mut back) = (pin!(there), pin!(carry(&server, &client, stall, &moves)));
    tokio::select! {
        ended = &mut there => {
            ended?;
            unless_silent(back, stall, &moves).await
        }
        ended = &mut back => {
            ended?;
            unless_silent(there, stall, &moves).await
        }
    }
}

/// Waits for the last direction as long as it moves.
async fn unless_silent(
    mut last: Pin<&mut impl Future<Output = io::Result<()>>>,
    stall: Duration,
    moves: &AtomicU64,
) -> io::Result<()> {
    loop {
        let before = moves.load(Ordering::Relaxed);
        match timeout(stall, &mut last).await {
            Ok(ended) => return ended,
            Err(_) if moves.load(Ordering::Relaxed) == before => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

/// One direction. What is read passes through the thread's buffer, so that an idle connection holds none.
async fn carry(from: &TcpStream, to: &TcpStream, stall: Duration, moves: &AtomicU64) -> io::Result<()> {
    loop {
        from.readable().await?;
        moves.fetch_add(1, Ordering::Relaxed);
        let passed = SCRATCH.with_borrow_mut(|scratch| {
            let read = from.try_read(&mut scratch.read)?;
            let written = match to.try_write(&scratch.read[..read]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                written => written?,
            };
            Ok::<_, io::Error>((read, scratch.read[written..read].to_vec()))
        });
        match passed {
            Ok((0, _)) => return SockRef::from(to).shutdown(Shutdown::Write),
            Ok((_, unsent)) => write(to, unsent, stall, moves).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write(to: &TcpStream, bytes: Vec<u8>, stall: Duration, moves: &AtomicU64) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        timeout(stall, to.writable()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        moves.fetch_add(1, Ordering::Relaxed);
        match to.try_write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
