//! The clients: the opening handshake, or a part of it, and then the conversation.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt as _;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::converse::{PATIENCE, converse};
use crate::outcome::Outcome;
use crate::plan::{End, Kind, Plan, Side};
use crate::support::{ALL, Dialect, answer, farewell, heard, opening, said};

/// How many addresses the clients have, so that ports do not run out while those of closed connections rest.
const ADDRESSES: u64 = 50;

/// A connection from one of the clients' addresses.
async fn connect(to: SocketAddr, id: u64) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 1, (id % ADDRESSES) as u8], 0).into())?;
    let stream = timeout(PATIENCE, socket.connect(to)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Says the opening handshake, and hears exactly what the dialect has for an answer; returns what came behind it.
async fn open(stream: &mut TcpStream, dialect: Dialect, target: &str, cut: usize) -> Result<Vec<u8>, String> {
    let (said, expected) = (opening(dialect, target, &[]), answer(dialect, target, &[]));
    let (first, rest) = said.split_at(cut.min(said.len()));
    let opening = async {
        stream.write_all(first).await?;
        if !rest.is_empty() {
            sleep(Duration::from_millis(1)).await;
            stream.write_all(rest).await?;
        }
        let mut heard = Vec::with_capacity(1024);
        while heard.len() < expected.len() && stream.read_buf(&mut heard).await? > 0 {}
        Ok::<_, io::Error>(heard)
    };
    let mut heard = match timeout(PATIENCE, opening).await {
        Ok(Ok(heard)) => heard,
        Ok(Err(error)) => return Err(format!("its opening handshake broke off: {error}")),
        Err(_) => return Err("its opening handshake was never answered".to_owned()),
    };
    if !heard.starts_with(&expected) {
        return Err(format!("its opening handshake was answered {}", heard.escape_ascii()));
    }
    Ok(heard.split_off(expected.len()))
}

/// Plays the client's part of a plan from its first byte.
pub async fn play(to: SocketAddr, plan: &Plan) -> Outcome {
    let faulty = |fault: String| Outcome { id: plan.id, fault: Some(fault), ..Outcome::default() };
    let mut stream = match connect(to, plan.id).await {
        Ok(stream) => stream,
        Err(error) => return faulty(format!("it could not connect: {error}")),
    };
    let target = match plan.kind {
        Kind::Events => format!("/events/{}", plan.id),
        Kind::WebSocket | Kind::Cut => format!("/ws/{}", plan.id),
    };
    let cut = plan.whims(Side::Client).random_range(0..600);
    if plan.kind == Kind::Cut {
        let fault = cut_off(stream, plan, &opening(plan.dialect, &target, &[]), cut).await;
        return Outcome { id: plan.id, fault, ..Outcome::default() };
    }
    match open(&mut stream, plan.dialect, &target, cut).await {
        Ok(early) => converse(stream, plan, Side::Client, early).await,
        Err(fault) => faulty(fault),
    }
}

/// Says a part of the opening handshake, or all of it, and leaves.
async fn cut_off(mut stream: TcpStream, plan: &Plan, opening: &[u8], cut: usize) -> Option<String> {
    let said = stream.write_all(&opening[..cut.min(opening.len())]).await;
    match plan.end {
        End::Reset => drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        End::Fin if said.is_ok() => {
            let ended = async {
                stream.shutdown().await?;
                while stream.read(&mut [0; 1024]).await? > 0 {}
                Ok::<_, io::Error>(())
            };
            // However it was answered: what counts is that it was let go.
            return timeout(PATIENCE, ended).await.err().map(|_| "nobody lets it go".to_owned());
        }
        End::Close | End::Fin => {}
    }
    None
}

/// A connection that is opened, and then says nothing for long.
pub struct Idle {
    stream: TcpStream,
    dialect: Dialect,
    number: usize,
}

impl Idle {
    pub async fn open(to: SocketAddr, number: usize) -> Result<Idle, String> {
        let dialect = ALL[number % ALL.len()];
        let mut stream = connect(to, number as u64).await.map_err(|error| format!("it could not connect: {error}"))?;
        let early = open(&mut stream, dialect, "/echo", usize::MAX).await?;
        if early.is_empty() {
            Ok(Idle { stream, dialect, number })
        } else {
            Err("it hears what nobody said".to_owned())
        }
    }

    /// That it still works: a text there and back.
    pub async fn still_works(&mut self) -> Result<(), String> {
        let text = format!("still here, number {} – äöü 中 😀", self.number);
        let expected = heard(self.dialect, &text);
        let mut echo = vec![0; expected.len()];
        let echoing = async {
            self.stream.write_all(&said(self.dialect, &text)).await?;
            self.stream.read_exact(&mut echo).await
        };
        match timeout(PATIENCE, echoing).await {
            Ok(Ok(_)) if echo == expected => Ok(()),
            Ok(Ok(_)) => Err(format!("its echo is {}", echo.escape_ascii())),
            Ok(Err(error)) => Err(format!("it does not work any more: {error}")),
            Err(_) => Err("it does not answer any more".to_owned()),
        }
    }

    /// Whether it hears that the program is going away, as its dialect says it, and no more.
    pub async fn is_told_to_go(&mut self) -> bool {
        let due = farewell(self.dialect, 1001);
        let mut heard = vec![0; due.len()];
        let told = timeout(PATIENCE, self.stream.read_exact(&mut heard)).await;
        // The end of the stream is all that hixie-75 has.
        matches!(told, Ok(Ok(_)))
            && heard == due
            && (!due.is_empty() || matches!(self.stream.read(&mut [0]).await, Ok(0)))
    }
}
