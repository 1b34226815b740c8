//! Bytes from one connection to another, as they are.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::relay::SCRATCH;

/// Carries bytes both ways, `first` before all others to the server, until both directions have ended. A peer may take
/// no bytes for `stall` while some wait for it.
///
/// # Errors
/// One of the connections broke, or stalled; both are dropped.
pub async fn tunnel(client: TcpStream, server: TcpStream, first: Vec<u8>, stall: Duration) -> io::Result<()> {
    let there = async {
        write(&server, first, stall).await?;
        carry(&client, &server, stall).await
    };
    tokio::try_join!(there, carry(&server, &client, stall)).map(|_| ())
}

/// One direction. What is read passes through the thread's buffer, so that an idle connection holds none.
async fn carry(from: &TcpStream, to: &TcpStream, stall: Duration) -> io::Result<()> {
    loop {
        from.readable().await?;
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
            Ok((_, unsent)) => write(to, unsent, stall).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write(to: &TcpStream, bytes: Vec<u8>, stall: Duration) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        timeout(stall, to.writable()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        match to.try_write(&bytes[sent..]) {
            Ok(more) => sent += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
