//! The opening handshake, step by step, as functions of the bytes received so far.
//!
//! [`receive`] judges what a client sent, [`Opening::upstream_request`] becomes of it, and [`consent`] judges what the
//! upstream answered. Whoever carries the bytes (the proxy's sockets, or a recorded conversation) calls them again
//! with more until they have an answer.

use std::iter;

use crate::arrival::{Arrival, BadClaim, Facts};
use crate::config::{Config, Forwarded, Limits, Route};
use crate::conversation;
use crate::dialect::Dialect;
use crate::dialect::any::AnyCodec;
use crate::dialect::hybi::{Hybi, Role};
use crate::dialect::opening::stream::{Addressed, Answer, Start};
use crate::dialect::opening::{Agreed, Opening, auth};
use crate::dialect::sse::{Reading, Sse};
use crate::http::{self, BadHead, Field, Fields, Refusal, Request, Response};
use crate::sniff::{self, Body, First, Foreign, Verdict};

/// A conversation between peers of any dialect.
pub type Conversation = conversation::Conversation<AnyCodec>;

/// Interim answers (100, 103) that are skipped before an upstream's final one. More is not an answer.
const MAX_INTERIM: usize = 5;

/// What a client sent.
#[derive(Debug)]
pub enum Received<'c> {
    /// Not enough yet.
    More,
    /// Not HTTP; there is nothing to answer.
    Foreign(Foreign),
    /// Refuse it so, and close.
    Refused(Refusal),
    /// An ordinary request.
    Http {
        /// Bytes before its head, to be left out.
        skip: usize,
        /// Bytes of its head.
        head: usize,
        /// How its body is framed.
        body: Body,
    },
    /// An opening handshake for this route.
    Opening {
        /// What was understood of it.
        opening: Box<Opening>,
        /// Where it goes.
        route: &'c Route,
        /// Bytes it takes at the front: what follows is the client's own.
        taken: usize,
    },
}

/// Judges the bytes a client has sent on a fresh connection, or after an ordinary request was served.
pub fn receive<'c>(bytes: &[u8], config: &'c Config) -> Received<'c> {
    let skip = match sniff::first(bytes) {
        First::More => return Received::More,
        First::Foreign(foreign) => return Received::Foreign(foreign),
        First::Http(skip) => skip,
    };
    let bytes = &bytes[skip..];
    let length = match http::head_length(&bytes[..bytes.len().min(config.limits.head_bytes)]) {
        Ok(Some(length)) => length,
        Ok(None) if bytes.len() < config.limits.head_bytes => return Received::More,
        Ok(None) => return Received::Refused(Refusal::new(431, "the head is longer than limits.head_bytes allows")),
        Err(bad) => return Received::Refused(unreadable(bad)),
    };
    match judge(&bytes[..length], config) {
        Ok((Verdict::Http(body), _)) => Received::Http { skip, head: length, body },
        Ok((Verdict::Opening(opening), route)) => Received::Opening { opening, route, taken: skip + length },
        Err(refusal) => Received::Refused(refusal),
    }
}

/// What is known of the client of an opening handshake, which goes on with that in place of what its head, the front of
/// `bytes`, claims. Claims that were not understood are ignored, and worth a line in the log.
pub fn introduce(
    opening: &mut Opening,
    bytes: &[u8],
    route: &Route,
    arrival: &Arrival,
    config: &Config,
) -> (Facts, Vec<BadClaim>) {
    let Forwarded { trusted, headers } = &config.forwarded;
    // What a stranger claims is not heard, and all that matters of its head is the host.
    let claims = arrival.is_trusted(trusted).then(|| read_again(bytes, config)).flatten();
    let host = || Field { name: "Host", value: opening.host.as_bytes() };
    let fields = claims.unwrap_or_else(|| iter::once(host()).collect());
    let (mut facts, bad) = arrival.facts(&fields, trusted);
    route.public_url.overrule(&mut facts);
    let told = arrival.outgoing(&facts, &fields, headers);
    opening.replace(&|name| !arrival.may_pass(name, trusted), told).expect("addresses and hosts can stand in a head");
    (facts, bad)
}

/// The fields of a head that was read before.
fn read_again<'b>(bytes: &'b [u8], config: &Config) -> Option<Fields<'b>> {
    let First::Http(skip) = sniff::first(bytes) else { return None };
    let length = http::head_length(&bytes[skip..]).ok()??;
    let request = Request::parse(&bytes[skip..skip + length], config.limits.head_fields).ok()?;
    Some(request.fields)
}

fn judge<'c>(head: &[u8], config: &'c Config) -> Result<(Verdict, &'c Route), Refusal> {
    let request = Request::parse(head, config.limits.head_fields).map_err(unreadable)?;
    let (host, path) = sniff::addressed(&request)?;
    let route = config.route(host, path).ok_or_else(|| nowhere(host, path))?;
    Ok((sniff::classify(&request, route.dialects)?, route))
}

/// What a client is told that asked for what no route has, or for what may be another route's by another spelling.
pub fn nowhere(host: &str, target: &str) -> Refusal {
    Refusal::new(404, "no route matches this host and path").noting(format!("{host:?}, {target:?}"))
}

fn unreadable(bad: BadHead) -> Refusal {
    let status = if bad == BadHead::TooManyFields { 431 } else { 400 };
    Refusal::new(status, bad.to_string())
}

/// Judges what an upstream has answered so far to a handshake sent with `key`. `None` asks for more; otherwise what was
/// agreed, and how many bytes the answer took: those that follow are frames.
///
/// # Errors
/// What the client is told instead.
pub fn consent(
    opening: &Opening,
    bytes: &[u8],
    key: &str,
    limits: &Limits,
) -> Result<Option<(Agreed, usize)>, Refusal> {
    let Some((response, taken)) = answered(bytes, limits).map_err(unanswered)? else { return Ok(None) };
    opening.agree(&response, key).map(|agreed| Some((agreed, taken)))
}

/// Judges what an upstream has answered so far to a request for its events that was so addressed. `None` asks for more; otherwise the answer, and how many bytes it took: those that follow are its body.
///
/// # Errors
/// What the client is told instead of an answer that cannot be read.
pub fn events_answer(
    opening: &Opening,
    bytes: &[u8],
    addressed: &Addressed<'_>,
    limits: &Limits,
) -> Result<Option<(Answer, usize)>, Refusal> {
    let Some((response, taken)) = answered(bytes, limits).map_err(unanswered)? else { return Ok(None) };
    Ok(Some((opening.events_answer(&response, addressed), taken)))
}

/// Judges what an auth server has answered so far. `None` asks for more; otherwise which of its headers, of those that
/// are `wanted`, go on to the backend. Its body is nobody's.
///
/// # Errors
/// What the client is told instead.
pub fn auth_answer(bytes: &[u8], wanted: &[String], limits: &Limits) -> Result<Option<Vec<auth::Granted>>, Refusal> {
    let unreadable = |why| auth::unjudged(format!("its answer cannot be read: {why}"));
    let Some((response, _)) = answered(bytes, limits).map_err(unreadable)? else { return Ok(None) };
    auth::judge(&response, wanted).map(Some)
}

fn unanswered(why: String) -> Refusal {
    Refusal::new(502, format!("the upstream's answer cannot be read: {why}"))
}

/// The final response of a server, and how many bytes it took; `None` asks for more, and an error says why it cannot be
/// read.
fn answered<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Option<(Response<'b>, usize)>, String> {
    let mut taken = 0;
    for _ in 0..=MAX_INTERIM {
        let rest = &bytes[taken..];
        let within = &rest[..rest.len().min(limits.head_bytes)];
        let Some(length) = http::head_length(within).map_err(|why| why.to_string())? else {
            let full = rest.len() >= limits.head_bytes;
            return if full { Err("its head is longer than limits.head_bytes".into()) } else { Ok(None) };
        };
        let response = Response::parse(&rest[..length], limits.head_fields).map_err(|why| why.to_string())?;
        taken += length;
        if response.status >= 200 || response.status == 101 {
            return Ok(Some((response, taken)));
        }
    }
    Err(format!("more than {MAX_INTERIM} interim responses"))
}

/// The conversation that follows.
pub fn conversation(opening: &Opening, agreed: &Agreed, route: &Route) -> Conversation {
    let extensions = agreed.extensions.is_some();
    Conversation::new(
        opening.dialect.codec(extensions, route.binary),
        Hybi::new(Dialect::Rfc6455, Role::Client, extensions),
        route.max_message,
    )
}

/// The conversation that follows where the upstream sends events.
pub fn events_conversation(opening: &Opening, start: &Start, route: &Route, limits: &Limits) -> Conversation {
    Conversation::new(
        opening.dialect.codec(false, route.binary),
        Sse::new(events_reading(route, limits), route.events.send.is_some(), &start.last_id),
        route.max_message,
    )
}

/// How the events of a route are read.
pub fn events_reading(route: &Route, limits: &Limits) -> Reading {
    Reading { form: route.events.message, types: route.events.types.clone(), max_event: limits.event_bytes }
}
