//! The life of one connection: sniff, dial, answer, carry bytes, close.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::auth;
use super::drain::Drain;
use super::entry::{self, Came, Door, Entered, HandedOver, Left};
use super::passthrough::{self, Upload};
use super::permits::{Permit, Permits};
use super::random::Fresh;
use super::rate::Handshakes;
use super::relay::{Carried, relay};
use super::servers::pool::Pool;
use super::servers::{Guest, Lease, Servers};
use super::sse::{self, Begun, Feed};
use super::stream::Stream;
use super::upstream::{self, Consented};
use crate::access;
use crate::arrival::{Arrival, Facts};
use crate::config::{Config, Listener, Protocol, Route};
use crate::conversation::{Conversation, Output, Side};
use crate::dialect::Dialect;
use crate::dialect::hixie76::KEY3;
use crate::dialect::opening::auth::Asker;
use crate::dialect::opening::{Agreed, Opening, Proof};
use crate::handshake::{self, Received, receive};
use crate::http::Refusal;
use crate::sniff::{self, First, Foreign};

/// How long a refused client is listened to, so that it can read why before the system resets the connection.
const LINGER: Duration = Duration::from_secs(1);

/// Why a shutdown ends a handshake.
const STOPPING: &str = "hybridge is shutting down";

/// What the connections of a thread share.
pub struct Shared {
    /// The settings.
    pub config: Arc<Config>,
    /// Connections to backends for ordinary HTTP.
    pub pool: Pool<Upload>,
    /// Connections to backends for what clients send to event streams.
    pub posts: Pool<Feed>,
    /// How many connections there are.
    pub permits: Permits,
    /// How often clients have asked for opening handshakes.
    pub handshakes: Handshakes,
    /// The backends.
    pub servers: Arc<Servers>,
    /// The shutdown.
    pub drain: Drain,
}

/// Why a connection ended before it was open, for the log.
pub enum Ended {
    /// Told so.
    Refused(Refusal),
    /// It speaks something else.
    Foreign(Foreign),
    /// Told so again; the log has it.
    RefusedAgain(Refusal),
    /// Flash, which asked who may connect.
    Flash,
    /// Without an answer: there was nobody to understand one.
    Silently(String),
    /// Served, or never more than a probe.
    Quietly,
}

/// A connection that is open on both sides.
struct Open<'s> {
    /// For the log: who it is.
    client: Box<str>,
    downstream: (Stream, Vec<u8>),
    upstream: Upstream<'s>,
    conversation: Conversation,
    /// For the log: what was asked for, and where it went.
    dialect: Dialect,
    target: Box<str>,
    route: Box<str>,
}

/// An upstream that agreed.
enum Upstream<'s> {
    /// To RFC 6455.
    WebSocket(Consented),
    /// With a stream of events.
    Events(Box<Begun<'s>>),
}

impl Upstream<'_> {
    fn agreed(&self) -> &Agreed {
        match self {
            Upstream::WebSocket(consented) => &consented.agreed,
            Upstream::Events(begun) => &begun.agreed,
        }
    }

    fn conversation(&self, opening: &Opening, route: &Route) -> Conversation {
        match self {
            Upstream::WebSocket(consented) => handshake::conversation(opening, &consented.agreed, route),
            Upstream::Events(begun) => begun.conversation(),
        }
    }
}

/// Serves a client from its first byte to its last.
pub async fn serve(stream: TcpStream, peer: SocketAddr, mut permit: Permit, door: Arc<Door>, shared: Arc<Shared>) {
    // The handshake's state is large and soon done with; boxed, an open connection does not keep its size.
    let (seen, carrying) = match Box::pin(open(stream, peer, &mut permit, &door, &shared)).await {
        Ok(open) => open.begin(&shared),
        Err(Gone::Over) => return,
        Err(Gone::Elsewhere(handed_over)) => {
            let client = handed_over.client;
            let carried = Box::pin(handed_over.carry(shared.config.timeouts.stall)).await;
            return debug!(%client, "the connection to old_tls ended{}", with(carried.err()));
        }
    };
    let carried = carrying.await;
    seen.log(&carried);
}

/// What the log says of a connection that was open.
struct Seen {
    client: Box<str>,
    dialect: Dialect,
    target: Box<str>,
    route: Box<str>,
    since: Instant,
    /// For as long as the connection, its server counts it; a stream of events has leases of its own.
    lease: Option<Lease>,
}

impl Seen {
    fn log(self, carried: &Carried) {
        let Seen { client, dialect, target, route, since, lease } = self;
        drop(lease);
        let Carried { cause, from_client, from_upstream } = carried;
        info!(
            %client, %dialect, %target, %route,
            ms = since.elapsed().as_millis(),
            client_bytes = from_client.0, client_messages = from_client.1,
            upstream_bytes = from_upstream.0, upstream_messages = from_upstream.1,
            "closed: {}", cause.map(|cause| cause.to_string()).unwrap_or_default(),
        );
    }
}

/// What is left to do for an open connection.
enum Carrying<'s, R> {
    /// With a backend of RFC 6455.
    Relay(R),
    /// With a stream of events. Boxed, for its size is not every connection's.
    Events(Pin<Box<dyn Future<Output = Carried> + Send + 's>>),
}

impl<R: Future<Output = Carried> + Unpin> Future for Carrying<'_, R> {
    type Output = Carried;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Carried> {
        match self.get_mut() {
            Carrying::Relay(relay) => Pin::new(relay).poll(cx),
            Carrying::Events(events) => events.as_mut().poll(cx),
        }
    }
}

impl<'s> Open<'s> {
    fn begin(self, shared: &Shared) -> (Seen, Carrying<'s, impl Future<Output = Carried> + Send + Unpin + use<>>) {
        let Open { client, downstream, upstream, conversation, dialect, target, route } = self;
        debug!(%client, %dialect, %target, %route, "open");
        let watch = shared.drain.watch();
        let (carrying, lease) = match upstream {
            Upstream::WebSocket(Consented { stream, early, lease, .. }) => {
                let timeouts = &shared.config.timeouts;
                (Carrying::Relay(relay(downstream, (stream, early), conversation, timeouts, watch)), Some(lease))
            }
            Upstream::Events(begun) => {
                (Carrying::Events(Box::pin(sse::carry(downstream, *begun, conversation, watch))), None)
            }
        };
        (Seen { client, dialect, target, route, since: Instant::now(), lease }, carrying)
    }
}

/// Where a connection is that did not open here.
enum Gone {
    /// Nowhere any more.
    Over,
    /// With another program.
    Elsewhere(HandedOver),
}

/// An error as the end of a sentence.
fn with(error: Option<std::io::Error>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

/// Reads, serves and answers what comes before an open connection, if one follows.
async fn open<'s>(
    stream: TcpStream,
    peer: SocketAddr,
    permit: &mut Permit,
    door: &Door,
    shared: &'s Shared,
) -> Result<Open<'s>, Gone> {
    let entered = match entry::enter(stream, peer, permit, door, shared).await {
        Ok(Came::Client(entered)) => *entered,
        Ok(Came::Elsewhere(handed_over)) => return Err(Gone::Elsewhere(handed_over)),
        Err(Left { client, stream, ended }) => {
            part(stream, &client.to_string(), ended, door).await;
            return Err(Gone::Over);
        }
    };
    let Entered { mut stream, mut buffer, arrival, mut deadline } = entered;
    loop {
        match shake_hands(&mut stream, &mut buffer, &arrival, deadline, door, shared).await {
            Ok(Greeted::WebSocket(agreed)) => {
                let Agreement { facts, opening, route, upstream } = *agreed;
                return Ok(Open {
                    client: facts.to_string().into(),
                    downstream: (stream, buffer),
                    conversation: upstream.conversation(&opening, route),
                    upstream,
                    dialect: opening.dialect,
                    target: opening.target.into(),
                    route: route.name.as_str().into(),
                });
            }
            Ok(Greeted::Http) => {
                (stream, buffer) = Box::pin(http(stream, buffer, &arrival, shared)).await.ok_or(Gone::Over)?
            }
            Err((client, ended)) => {
                part(Some(stream), &client, ended, door).await;
                return Err(Gone::Over);
            }
        }
        deadline = Instant::now() + shared.config.timeouts.head;
    }
}

/// Ends a connection that was never open, and says why to those who want to know.
async fn part(stream: Option<Stream>, client: &str, ended: Ended, door: &Door) {
    let last = match ended {
        Ended::Refused(refusal) => {
            warn!(%client, status = refusal.status, "refused: {}", refusal.logged());
            refusal.to_bytes()
        }
        Ended::RefusedAgain(refusal) => {
            debug!(%client, status = refusal.status, "refused again: {}", refusal.why);
            refusal.to_bytes()
        }
        Ended::Foreign(foreign) => {
            warn!(%client, "dropped: {foreign}{}", foreign.remedy());
            foreign.farewell().to_vec()
        }
        Ended::Flash => {
            debug!(%client, "answered a Flash policy request");
            access::flash_policy(&door.listener.flash_policy, door.listener.address.port())
        }
        Ended::Silently(why) => return warn!(%client, "dropped: {why}"),
        Ended::Quietly => return debug!(%client, "closed between requests"),
    };
    if let Some(stream) = stream.filter(|_| !last.is_empty()) {
        tell(stream, &last).await;
    }
}

/// Serves ordinary requests; returns the connection with what is none, if that comes after them.
async fn http(stream: Stream, buffer: Vec<u8>, arrival: &Arrival, shared: &Shared) -> Option<(Stream, Vec<u8>)> {
    match passthrough::serve(stream, buffer, arrival, shared).await {
        Ok((stream, rest)) if !rest.is_empty() && !shared.drain.has_started() => Some((stream, rest)),
        Ok((stream, _)) => {
            end(stream).await;
            None
        }
        Err(error) => {
            debug!(client = %arrival.client, "HTTP connection ended: {error}");
            None
        }
    }
}

/// What a client wants.
enum Greeted<'c> {
    /// Agreed on by both sides, and answered.
    WebSocket(Box<Agreement<'c>>),
    /// An ordinary request; it stays in the buffer.
    Http,
}

/// A handshake performed on both sides.
struct Agreement<'c> {
    facts: Facts,
    opening: Opening,
    route: &'c Route,
    upstream: Upstream<'c>,
}

/// Reads the first request, and if it is an opening handshake performs it on both sides. What the client sent beyond
/// it stays in `buffer`. Beside what ended it stands whose connection it was, as far as that was told.
async fn shake_hands<'c>(
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
    let asker = Asker { client: facts.client, secure: facts.secure, authority: facts.authority(&opening.host) };
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
            read = timeout_at(deadline, stream.read_buf(buffer)) => read,
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
        match stream.read_buf(buffer).await {
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
        return say(stream, &answer).await.map_err(gone);
    }
    if buffer.len() < KEY3 {
        // Fronts hold the eight bytes back until they have seen a 101, so they cannot be waited for before it.
        say(stream, &answer).await.map_err(gone)?;
        answer.clear();
        let deadline = Instant::now() + config.timeouts.key3;
        while buffer.len() < KEY3 {
            match timeout_at(deadline, stream.read_buf(buffer)).await {
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
    say(stream, &answer).await.map_err(gone)
}

/// Tells an upstream that agreed that the client is gone.
async fn abandon(upstream: Upstream<'_>, opening: &Opening, route: &Route) {
    // A stream of events has nobody to tell.
    let Upstream::WebSocket(mut consented) = upstream else { return };
    let mut out = Output::default();
    let mut conversation = handshake::conversation(opening, &consented.agreed, route);
    conversation.ended(Side::Downstream, true, &mut out, &mut Fresh);
    // A courtesy: the end of the stream says the same to those who do not hear it.
    let _ = timeout(LINGER, say(&mut consented.stream, &out.upstream)).await;
}

/// Writes all of it; what lies in a TLS buffer is not written.
async fn say(stream: &mut Stream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Writes what a client is told last, and ends the connection.
async fn tell(mut stream: Stream, last: &[u8]) {
    if let Ok(Ok(())) = timeout(LINGER, say(&mut stream, last)).await {
        end(stream).await;
    }
}

/// Ends the stream, and gives the client a moment to read what was written: a connection closed while bytes of it are
/// unread is reset, and the answer lost.
async fn end(mut stream: Stream) {
    let drained = async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whatever went wrong, it was answered, and now it is closed.
    let _ = timeout(LINGER, drained).await;
}
#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function returns.
    fn size<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_connection_stays_small() {
        // What one connection costs while it is idle is mostly this. A value that is kept across an await for nothing
        // shows here first.
        assert!(size(serve) <= 1280, "{} bytes", size(serve));
    }
}
