//! The opening handshake as a backend's client.

use std::io;

use tokio::time::timeout;

use super::random;
use super::servers::{Guest, Lease, Reached, Seeker, Servers};
use super::stream::Stream;
use crate::config::{Config, Route};
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
    /// For as long as the connection.
    pub lease: Lease,
}

/// Connects to one of the route's servers and performs the opening handshake of RFC 6455 that `opening` becomes.
///
/// # Errors
/// What the client is told instead.
pub async fn open(
    opening: &Opening,
    route: &Route,
    guest: Guest,
    config: &Config,
    servers: &Servers,
) -> Result<Consented, Refusal> {
    let group = servers.of(route);
    let seeker = Seeker::opening(opening, route, guest);
    let Reached { mut stream, lease, server } = servers.connect(group, &seeker, None).await?;
    let host = group.host(server);
    match timeout(config.timeouts.handshake, shake_hands(&mut stream, opening, route, host, config)).await {
        Ok(Ok((agreed, early))) => Ok(Consented { stream, agreed, early, lease }),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(504, "the upstream did not answer the handshake within timeouts.handshake")),
    }
}

async fn shake_hands(
    stream: &mut Stream,
    opening: &Opening,
    route: &Route,
    host: Option<&str>,
    config: &Config,
) -> Result<(Agreed, Vec<u8>), Refusal> {
    let broken = |error: io::Error| Refusal::new(502, format!("the upstream broke off during the handshake: {error}"));
    let key = hybi::client_key(random::nonce());
    let request = opening.upstream_request(&route.upstream_target(&opening.target), host, &key);
    let judge = |answer: &[u8]| consent(opening, answer, &key, &config.limits);
    let ((agreed, taken), mut answer) = stream.ask(&request, broken, judge).await?;
    Ok((agreed, answer.split_off(taken)))
}
