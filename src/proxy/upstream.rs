//! Dialling a backend, and the opening handshake as its client.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{listen, random};
use crate::config::{Config, Route, Timeouts, Upstream, UpstreamHost};
use crate::dialect::hybi;
use crate::dialect::opening::{Agreed, Opening};
use crate::handshake::consent;
use crate::http::Refusal;

/// A backend that agreed.
pub struct Consented {
    /// The connection to it.
    pub stream: TcpStream,
    /// What was agreed.
    pub agreed: Agreed,
    /// Frames that came with the answer.
    pub early: Vec<u8>,
}

/// Connects to the route's upstream and performs the opening handshake of RFC 6455 that `opening` becomes.
///
/// # Errors
/// What the client is told instead.
pub async fn open(opening: &Opening, route: &Route, config: &Config) -> Result<Consented, Refusal> {
    let mut stream = connect(&route.upstream, &config.timeouts).await?;
    match timeout(config.timeouts.handshake, shake_hands(&mut stream, opening, route, config)).await {
        Ok(Ok((agreed, early))) => Ok(Consented { stream, agreed, early }),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(504, "the upstream did not answer the handshake within timeouts.handshake")),
    }
}

/// Connects to a backend.
///
/// # Errors
/// What the client is told instead.
pub async fn connect(upstream: &Upstream, timeouts: &Timeouts) -> Result<TcpStream, Refusal> {
    let connecting = TcpStream::connect((upstream.host.as_str(), upstream.port));
    let stream = match timeout(timeouts.connect, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Refusal::new(502, format!("the upstream cannot be reached: {error}"))),
        Err(_) => return Err(Refusal::new(504, "the upstream did not take the connection within timeouts.connect")),
    };
    listen::tune(&stream);
    Ok(stream)
}

async fn shake_hands(
    stream: &mut TcpStream,
    opening: &Opening,
    route: &Route,
    config: &Config,
) -> Result<(Agreed, Vec<u8>), Refusal> {
    let broken = |error: io::Error| Refusal::new(502, format!("the upstream broke off during the handshake: {error}"));
    let key = hybi::client_key(random::nonce());
    let authority;
    let host = match &route.upstream_host {
        UpstreamHost::Client => None,
        UpstreamHost::Upstream => {
            authority = route.upstream.authority();
            Some(authority.as_str())
        }
        UpstreamHost::Fixed(host) => Some(host.as_str()),
    };
    let request = opening.upstream_request(&route.upstream_target(&opening.target), host, &key);
    stream.write_all(&request).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        if let Some((agreed, taken)) = consent(opening, &answer, &key, &config.limits)? {
            return Ok((agreed, answer.split_off(taken)));
        }
    }
}
