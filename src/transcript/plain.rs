//! Both handshakes in their plainest form, for plays that are about what comes after them.

use std::time::Duration;

use super::script::{Beat, Cue, Expected, Speech};
use super::stage::{UPSTREAM_KEY, location};
use crate::config::{Config, Protocol, Route};
use crate::conversation::Side;
use crate::dialect::Dialect;
use crate::dialect::hixie76::KEY3;
use crate::dialect::hybi;
use crate::dialect::opening::{Agreed, Opening};
use crate::handshake::{Received, consent, receive};

/// What comes of them, as if they had been performed.
pub(super) fn plain_opening(dialect: Dialect, config: &Config) -> Result<(Opening, Agreed, &Route), String> {
    let path = config.routes.first().map_or("/", |route| &route.path);
    let (opening, route) = match receive(plain_request(dialect, path).as_bytes(), config) {
        Received::Opening { opening, route, .. } => (*opening, route),
        other => return Err(format!("the settings do not let {dialect} in: {other:?}")),
    };
    if route.upstream.protocol == Protocol::Events {
        return Ok((opening, Agreed::default(), route));
    }
    match consent(&opening, plain_consent().as_bytes(), UPSTREAM_KEY, &config.limits) {
        Ok(Some((agreed, _))) => Ok((opening, agreed, route)),
        other => Err(format!("the plain answer was not understood: {other:?}")),
    }
}

/// A client's plainest opening handshake, without the third key of hixie-76.
fn plain_request(dialect: Dialect, path: &str) -> String {
    let proof = match (dialect, dialect.facts().version) {
        (_, Some(version)) => format!("Sec-WebSocket-Key: {UPSTREAM_KEY}\r\nSec-WebSocket-Version: {version}\r\n"),
        (Dialect::Hixie76, None) => "Sec-WebSocket-Key1: 1 2\r\nSec-WebSocket-Key2: 3 4\r\n".to_owned(),
        _ => String::new(),
    };
    format!(
        "GET {path} HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n\
         Origin: http://example.com\r\n{proof}\r\n"
    )
}

/// An upstream's plainest consent.
fn plain_consent() -> String {
    let accept = hybi::accept(UPSTREAM_KEY);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The beats of both handshakes in their plainest form.
pub(super) fn plain_beats(line: usize, dialect: Dialect, config: &Config) -> Result<[Beat; 2], String> {
    const KEY: [u8; KEY3] = *b"^n:ds[4U";
    let (opening, agreed, route) = plain_opening(dialect, config)?;
    let mut asks = plain_request(dialect, &route.path).into_bytes();
    let mut told = opening.answer(&agreed, &location(route, &opening));
    if let Some(digest) = opening.challenge_answer(KEY) {
        asks.extend(KEY);
        told.extend(digest);
    }
    let hears = |bytes| Expected { bytes, ..Expected::default() };
    let says = |side, bytes| Cue::Says(side, Speech { bytes, borders: Vec::new() });
    let beat = |cue, hears| Beat { line, pause: Duration::ZERO, cue, hears };
    let asked = opening.upstream_request(&route.upstream_target(&opening.target), None, UPSTREAM_KEY);
    Ok([
        beat(says(Side::Downstream, asks), [Expected::default(), hears(asked)]),
        beat(says(Side::Upstream, plain_consent().into_bytes()), [hears(told), Expected::default()]),
    ])
}
