//! Dialling a backend, and the opening handshake as its client.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::stream::Stream;
use super::tls::Tls;
use super::{listen, random};
use crate::config::{Config, Place, Route, Timeouts, Upstream, UpstreamHost};
use crate::dialect::hybi;
use crate::dialect::opening::{Agreed, Opening};
use crate::handshake::consent;
use crate::http::Refusal;

/// A backend that agreed.
pub struct Consented {
    /// The connection to it.
    pub stream: Stream,
    /// What was agreed.
    pub agreed: Agreed,
    /// Frames that came with the answer.
    pub early: Vec<u8>,
}

/// Connects to the route's upstream and performs the opening handshake of RFC 6455 that `opening` becomes.
///
/// # Errors
/// What the client is told instead.
pub async fn open(opening: &Opening, route: &Route, config: &Config, tls: &Tls) -> Result<Consented, Refusal> {
    let mut stream = connect(&route.upstream, tls, &config.timeouts).await?;
    match timeout(config.timeouts.handshake, shake_hands(&mut stream, opening, route, config)).await {
        Ok(Ok((agreed, early))) => Ok(Consented { stream, agreed, early }),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(504, "the upstream did not answer the handshake within timeouts.handshake")),
    }
}

/// Connects to a backend, over TLS if that is said of it.
///
/// # Errors
/// What the client is told instead.
pub async fn connect(upstream: &Upstream, tls: &Tls, timeouts: &Timeouts) -> Result<Stream, Refusal> {
    let Some(place) = upstream.servers.first() else {
        return Err(Refusal::new(502, "the route has no server"));
    };
    let (stream, host) = match timeout(timeouts.connect, reach(place)).await {
        Ok(Ok(reached)) => reached,
        Ok(Err(error)) => return Err(Refusal::new(502, format!("the upstream cannot be reached: {error}"))),
        Err(_) => return Err(Refusal::new(504, "the upstream did not take the connection within timeouts.connect")),
    };
    match stream {
        Stream::Plain(stream) if upstream.secure => {
            match timeout(timeouts.handshake, tls.connect(stream, host)).await {
                Ok(connected) => {
                    connected.map_err(|error| Refusal::new(502, format!("the upstream over TLS: {error}")))
                }
                Err(_) => {
                    Err(Refusal::new(504, "the upstream did not finish the TLS handshake within timeouts.handshake"))
                }
            }
        }
        stream => Ok(stream),
    }
}

/// Connects to a server, and says by which name its certificate must know it.
async fn reach(place: &Place) -> io::Result<(Stream, &str)> {
    match place {
        Place::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            listen::tune(&stream);
            Ok((Stream::Plain(stream), host))
        }
        Place::Unix(socket) => Ok((Stream::Unix(UnixStream::connect(socket).await?), "localhost")),
    }
}

async fn shake_hands(
    stream: &mut Stream,
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
    stream.flush().await.map_err(broken)?;
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
