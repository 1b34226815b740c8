//! What comes before an open connection: the client's first request read, and if it is an opening handshake, performed on
//! both sides.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use super::auth;
use super::connection::{Ended, Shared};
use super::drain::Drain;
use super::entry::Door;
use super::random::Fresh;
use super::servers::Guest;
use super::sse::{self, Begun};
use super::stream::Stream;
use super::upstream::{self, Consented};
use crate::access;
use crate::arrival::{Arrival, Facts};
use crate::config::{Config, Listener, Protocol, Route};
use crate::conversation::{Output, Side};
use crate::dialect::hixie76::KEY3;
use crate::dialect::opening::auth::Asker;
use crate::dialect::opening::{Agreed, Opening, Proof};
use crate::handshake::{self, Conversation, Received, receive};
use crate::http::Refusal;
use crate::sniff::{self, First, Foreign};

/// How long an upstream is told that nobody is left.
const LINGER: Duration = Duration::from_secs(1);
/// Why a shutdown ends a handshake.
const STOPPING: &str = "hybridge is shutting down";

/// An upstream that agreed.
pub enum Upstream<'s> {
    /// To RFC 6455.
    WebSocket(Consented),
    /// With a stream of events.
    Events(Box<Begun<'s>>),
}

impl Upstream<'_> {
    /// What was agreed.
    pub fn agreed(&self) -> &Agreed {
        match self {
            Upstream::WebSocket(consented) => &consented.agreed,
            Upstream::Events(begun) => &begun.agreed,
        }
    }

    /// The conversation that follows.
    pub fn conversation(&self, opening: &Opening, route: &Route) -> Conversation {
        match self {
            Upstream::WebSocket(consented) => handshake::conversation(opening, &consented.agreed, route),
            Upstream::Events(begun) => begun.conversation(),
        }
    }
}

/// What a client wants.
pub enum Greeted<'c> {
    /// Agreed on by both sides, and answered.
    WebSocket(Box<Agreement<'c>>),
    /// An ordinary request; it stays in the buffer.
    Http,
}

/// A handshake performed on both sides.
pub struct Agreement<'c> {
    /// What is known of the client.
    pub facts: Facts,
    /// What it asked for.
    pub opening: Opening,
    /// Where it goes.
    pub route: &'c Route,
    /// Who agreed.
    pub upstream: Upstream<'c>,
}

/// Reads the first request, and if it is an opening handshake performs it on both sides. What the client sent beyond
/// it stays in `buffer`. Beside what ended it stands whose connection it was, as far as that was told.
pub async fn shake_hands<'c>(
    stream: &mut Stream,
    buffer: &mut Vec<u8>,
    arrival: &Arrival,
    deadline: Instant,
    door: &Door,
    shared: &'c Shared,
) -> Result<Greeted<'c>, (Box<str>, Ended)> {
    let config = &*shared.config;
    let (mut opening, route, taken) =
        match greeting(stream, buffer, config, deadline, &door.listener, &shared.drain).await {
            Ok(Received::Opening { opening, route, taken }) => (*opening, route, taken),
            Ok(_) => return Ok(Greeted::Http),
            Err(ended) => return Err((arrival.client.to_string().into(), misplaced(ended, arrival))),
        };
    let (facts, bad) = handshake::introduce(&mut opening, buffer, route, arrival, config);
    for claim in bad {
        warn!(client = %arrival.client, "ignored: {claim}");
    }
    buffer.drain(..taken);
    match agree(stream, buffer, &opening, route, &facts, arrival, shared).await {
        Ok(upstream) => Ok(Greeted::WebSocket(Box::new(Agreement { facts, opening, route, upstream }))),
        Err(ended) => Err((facts.to_string().into(), ended)),
    }
}

/// Performs an opening handshake on both sides, for a client of which these facts are known.
async fn agree<'c>(
    stream: &mut Stream,
    buffer: &mut Vec<u8>,
    opening: &Opening,
    route: &'c Route,
    facts: &Facts,
    arrival: &Arrival,
    shared: &'c Shared,
) -> Result<Upstream<'c>, Ended> {
    let config = &*shared.config;
    opening.check_early(buffer).map_err(Ended::Refused)?;
    admit(opening, route, facts.client, shared)?;
    let location = route.public_url.location(facts, &opening.host, &opening.target);
    let authority = facts.authority(&opening.host).into_owned();
    let asker = Asker { client: facts.client, secure: facts.secure, authority };
    let guest = Guest::new(arrival, facts, route);
    let mut watch = shared.drain.watch();
    let upstream = tokio::select! {
        upstream = dial(opening, route, guest, &asker, shared) => upstream.map_err(Ended::Refused)?,
        ended = early(stream, buffer, opening, config) => return Err(ended),
        () = watch.started() => return Err(Ended::Refused(Refusal::new(503, STOPPING))),
    };
    if upstream.agreed().subprotocol_assumed {
        debug!(
            dialect = %opening.dialect, route = route.name,
            "the upstream chose no subprotocol; the client is told its own, which it insists on"
        );
    }
    let answered = tokio::select! {
        answered = answer(stream, buffer, opening, location, upstream.agreed(), config) => answered,
        () = watch.started() => Err(Ended::Silently(STOPPING.into())),
    };
    if let Err(ended) = answered {
        abandon(upstream, opening, route).await;
        return Err(ended);
    }
    Ok(upstream)
}

/// Whether the client may have its handshake, as far as nobody else must be asked. Only one that goes on to somebody
/// counts against the client: a page of a foreign site, in the browser of an honest user, shall not use up the user's.
fn admit(opening: &Opening, route: &Route, client: IpAddr, shared: &Shared) -> Result<(), Ended> {
    access::check_client(route, client).map_err(Ended::Refused)?;
    access::check_origin(route, opening.origin.as_deref()).map_err(Ended::Refused)?;
    shared.handshakes.count(client, Instant::now().into_std()).map_err(|too_many| match too_many.untold {
        Some(_) => Ended::Refused(too_many.refusal()),
        None => Ended::RefusedAgain(too_many.refusal()),
    })
}

/// Performs the opening handshake at the route's upstream, if its auth server has nothing against it.
async fn dial<'c>(
    opening: &Opening,
    route: &'c Route,
    guest: Guest,
    asker: &Asker,
    shared: &'c Shared,
) -> Result<Upstream<'c>, Refusal> {
    let opening = &*auth::pass(opening, route, asker, &shared.config, &shared.servers).await?;
    match route.upstream.protocol {
        Protocol::WebSocket => {
            upstream::open(opening, route, guest, &shared.config, &shared.servers).await.map(Upstream::WebSocket)
        }
        Protocol::Events => {
            let begun = sse::open(opening, route, guest, shared).await?;
            Ok(Upstream::Events(Box::new(begun)))
        }
    }
}

/// Reads until it is known what the client wants.
async fn greeting<'c>(
    stream: &mut Stream,
    buffer: &mut Vec<u8>,
    config: &'c Config,
    deadline: Instant,
    listener: &Listener,
    drain: &Drain,
) -> Result<Received<'c>, Ended> {
    let mut watch = drain.watch();
    loop {
        match receive(buffer, config) {
            Received::More => {}
            Received::Refused(refusal) => return Err(Ended::Refused(refusal)),
            Received::Foreign(Foreign::FlashPolicy) if !listener.flash_policy.is_empty() => return Err(Ended::Flash),
            Received::Foreign(foreign) => return Err(Ended::Foreign(foreign)),
            received @ (Received::Http { .. } | Received::Opening { .. }) => return Ok(received),
        }
        let read = tokio::select! {
            read = timeout_at(deadline, stream.read_onto(buffer)) => read,
            () = watch.started() => return Err(Ended::Quietly),
        };
        match read {
            Ok(Ok(0)) | Ok(Err(_)) if buffer.is_empty() => return Err(Ended::Quietly),
            Ok(Ok(0)) => return Err(Ended::Silently("it ended its stream inside its request head".into())),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Ended::Silently(format!("its request head broke off: {error}"))),
            // Only those whose bytes begin like HTTP would understand an answer.
            Err(_) if !matches!(sniff::first(buffer), First::Http(_)) => return Err(Ended::Quietly),
            Err(_) => return Err(Ended::Refused(Refusal::new(408, "no whole request head within timeouts.head"))),
        }
    }
}

/// Says of a preamble that comes too late that it does: its sender may be one that the listener names.
fn misplaced(ended: Ended, arrival: &Arrival) -> Ended {
    let place = match ended {
        Ended::Foreign(Foreign::Proxy) if arrival.own_tls.is_some() => "inside TLS; have it sent before",
        Ended::Foreign(Foreign::Proxy) if arrival.preamble.is_some() => {
            "behind another; have only the front nearest to hybridge send one"
        }
        ended => return ended,
    };
    Ended::Silently(format!("{}, {place}", Foreign::Proxy))
}

/// Keeps what the client sends before it was answered. Returns only if it should not be answered any more.
async fn early(stream: &mut Stream, buffer: &mut Vec<u8>, opening: &Opening, config: &Config) -> Ended {
    while buffer.len() < config.limits.head_bytes {
        match stream.read_onto(buffer).await {
            Ok(0) | Err(_) => return Ended::Silently("it went away before the upstream had answered".into()),
            Ok(_) => {}
        }
        if let Err(refusal) = opening.check_early(buffer) {
            return Ended::Refused(refusal);
        }
    }
    // Enough for now: the rest waits in the system, and the client with it.
    std::future::pending().await
}

/// Writes the client's 101, and for hixie-76 what answers its challenge.
async fn answer(
    stream: &mut Stream,
    buffer: &mut Vec<u8>,
    opening: &Opening,
    location: String,
    agreed: &Agreed,
    config: &Config,
) -> Result<(), Ended> {
    let gone = |_| Ended::Silently("it went away before it was answered".into());
    let mut answer = opening.answer(agreed, &location);
    if !matches!(opening.proof, Proof::Numbers(..)) {
        return stream.say(&answer).await.map_err(gone);
    }
    if buffer.len() < KEY3 {
        // Fronts hold the eight bytes back until they have seen a 101, so they cannot be waited for before it.
        stream.say(&answer).await.map_err(gone)?;
        answer.clear();
        let deadline = Instant::now() + config.timeouts.key3;
        while buffer.len() < KEY3 {
            match timeout_at(deadline, stream.read_onto(buffer)).await {
                Ok(Ok(0) | Err(_)) => return Err(Ended::Silently("it went away before its third key".into())),
                Ok(Ok(_)) => {}
                Err(_) => return Err(Ended::Silently("no third key within timeouts.key3".into())),
            }
        }
    }
    let mut key3 = [0; KEY3];
    key3.copy_from_slice(&buffer[..KEY3]);
    buffer.drain(..KEY3);
    answer.extend(opening.challenge_answer(key3).into_iter().flatten());
    stream.say(&answer).await.map_err(gone)
}

/// Tells an upstream that agreed that the client is gone.
async fn abandon(upstream: Upstream<'_>, opening: &Opening, route: &Route) {
    // A stream of events has nobody to tell.
    let Upstream::WebSocket(mut consented) = upstream else { return };
    let mut out = Output::default();
    let mut conversation = handshake::conversation(opening, &consented.agreed, route);
    conversation.ended(Side::Downstream, true, &mut out, &mut Fresh);
    // A courtesy: the end of the stream says the same to those who do not hear it.
    let _ = timeout(LINGER, consented.stream.say(&out.upstream)).await;
}
