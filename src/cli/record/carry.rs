//! Between two sockets: every byte passes as it came and at once, an end as an end, a reset as a reset.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use hybridge::conversation::Side;
use hybridge::transcript::Ending;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::desk::Ink;

/// The most that is read at once.
const BUFFER: usize = 64 << 10;
/// How long a client is listened to whose server cannot be reached, so that the recording says what it wanted.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A side that is gone.
struct Gone(Side);

/// Carries both directions until both ended, or one side is gone.
pub async fn carry(client: TcpStream, server: TcpStream, ink: Ink) {
    let gone = {
        let down = direction(&client, &server, Side::Downstream, &ink);
        let up = direction(&server, &client, Side::Upstream, &ink);
        tokio::pin!(down, up);
        let (mut down_ended, mut up_ended) = (false, false);
        loop {
            tokio::select! {
                ended = &mut down, if !down_ended => match ended {
                    Ok(()) => down_ended = true,
                    Err(gone) => break Some(gone),
                },
                ended = &mut up, if !up_ended => match ended {
                    Ok(()) => up_ended = true,
                    Err(gone) => break Some(gone),
                },
                // Nobody reads from a side that has ended its stream, but it can still break off.
                Ok(_) = client.ready(Interest::ERROR), if down_ended => break Some(Gone(Side::Downstream)),
                Ok(_) = server.ready(Interest::ERROR), if up_ended => break Some(Gone(Side::Upstream)),
            }
            if down_ended && up_ended {
                break None;
            }
        }
    };
    if let Some(Gone(side)) = gone {
        ink.ended(side, Ending::Reset);
        // Closing a socket that does not linger resets the connection.
        let other = if side == Side::Downstream { &server } else { &client };
        let _ = SockRef::from(other).set_linger(Some(Duration::ZERO));
    }
    ink.finished();
}

/// Carries one direction until its end has been passed on.
async fn direction(from: &TcpStream, to: &TcpStream, side: Side, ink: &Ink) -> Result<(), Gone> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.try_read(&mut buffer) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                from.readable().await.map_err(|_| Gone(side))?;
                continue;
            }
            read => read.map_err(|_| Gone(side))?,
        };
        if read == 0 {
            ink.ended(side, Ending::Fin);
            // Where it fails the other side is gone already, and its own direction says so.
            let _ = SockRef::from(to).shutdown(Shutdown::Write);
            return Ok(());
        }
        ink.segment(side, &buffer[..read]);
        write_all(to, from, &buffer[..read], side).await?;
    }
}

/// Writes everything, unless a side is gone before that.
async fn write_all(to: &TcpStream, from: &TcpStream, mut bytes: &[u8], side: Side) -> Result<(), Gone> {
    let other = if side == Side::Downstream { Side::Upstream } else { Side::Downstream };
    while !bytes.is_empty() {
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => tokio::select! {
                writable = to.writable() => writable.map_err(|_| Gone(other))?,
                Ok(_) = from.ready(Interest::ERROR) => return Err(Gone(side)),
            },
            Err(_) => return Err(Gone(other)),
        }
    }
    Ok(())
}

/// Ends a connection whose server cannot be reached, as a server does that is not there.
pub async fn turn_away(client: TcpStream, ink: Ink, why: &io::Error) {
    let mut buffer = vec![0; BUFFER];
    let listening = async {
        while client.readable().await.is_ok() {
            match client.try_read(&mut buffer) {
                Ok(0) => return ink.ended(Side::Downstream, Ending::Fin),
                Ok(read) => ink.segment(Side::Downstream, &buffer[..read]),
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return ink.ended(Side::Downstream, Ending::Reset),
            }
        }
    };
    // What it says in this time is recorded; that it says nothing is no failure.
    let _ = timeout(LAST_WORDS, listening).await;
    ink.note(&format!("the server cannot be reached: {why}"));
    let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
    ink.finished();
}
