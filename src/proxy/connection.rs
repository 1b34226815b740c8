//! The life of one connection: sniff, dial, answer, carry bytes, close.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::drain::Drain;
use super::entry::{self, Came, Door, Entered, HandedOver, Left};
use super::passthrough::{self, Upload};
use super::permits::{Permit, Permits};
use super::rate::Handshakes;
use super::reception::{Agreement, Greeted, Upstream, shake_hands};
use super::relay::{Carried, relay};
use super::servers::pool::Pool;
use super::servers::{Lease, Servers};
use super::sse::{self, Feed};
use super::stream::Stream;
use super::upstream::Consented;
use crate::access;
use crate::arrival::Arrival;
use crate::config::Config;
use crate::dialect::Dialect;
use crate::handshake::Conversation;
use crate::http::Refusal;
use crate::sniff::Foreign;

/// How long a refused client is listened to, so that it can read why before the system resets the connection.
const LINGER: Duration = Duration::from_secs(1);

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

/// Serves a client from its first byte to its last.
pub fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    mut permit: Permit,
    door: Arc<Door>,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> + Send {
    // What a future is made with it keeps to its end, what an async function takes even twice.
    let arrived = Box::new((stream, peer));
    async move {
        // The handshake's state is large and soon done with; boxed, an open connection does not keep its size.
        let mut carrying = Box::pin(begin(*arrived, &mut permit, &door, &shared)).await;
        // By reference, for what is awaited is kept beside what it came from.
        (&mut carrying).await;
    }
}

/// What the log says of a connection that was open.
struct Seen<'s> {
    client: Box<str>,
    dialect: Dialect,
    target: Box<str>,
    route: &'s str,
    since: Instant,
    /// For as long as the connection, its server counts it; a stream of events has leases of its own.
    lease: Option<Lease>,
}

impl Seen<'_> {
    fn log(&mut self, carried: &Carried) {
        let Seen { client, dialect, target, route, since, lease } = self;
        drop(lease.take());
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

/// What is left to do for a connection once its handshake is over.
enum Carrying<'s, R> {
    /// With a backend of RFC 6455.
    Relay(Seen<'s>, R),
    /// With a stream of events, or another program. Boxed, for its size is not every connection's.
    Other(Pin<Box<dyn Future<Output = ()> + Send + 's>>),
    /// Nothing.
    Over,
}

impl<R: Future<Output = Carried> + Unpin> Future for Carrying<'_, R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Carrying::Relay(seen, relay) => Pin::new(relay).poll(cx).map(|carried| seen.log(&carried)),
            Carrying::Other(other) => other.as_mut().poll(cx),
            Carrying::Over => Poll::Ready(()),
        }
    }
}

/// An error as the end of a sentence.
fn with(error: Option<std::io::Error>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
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
    route: &'s str,
}

/// Where a connection is that did not open here.
enum Gone {
    /// Nowhere any more.
    Over,
    /// With another program.
    Elsewhere(HandedOver),
}

/// Does all that comes before bytes are only carried.
async fn begin<'s>(
    (stream, peer): (TcpStream, SocketAddr),
    permit: &mut Permit,
    door: &Door,
    shared: &'s Shared,
) -> Carrying<'s, impl Future<Output = Carried> + Send + Unpin + use<'s>> {
    let Open { client, downstream, upstream, conversation, dialect, target, route } =
        match open(stream, peer, permit, door, shared).await {
            Ok(open) => open,
            Err(Gone::Over) => return Carrying::Over,
            Err(Gone::Elsewhere(handed_over)) => {
                let (client, stall) = (handed_over.client, shared.config.timeouts.stall);
                return Carrying::Other(Box::pin(async move {
                    let carried = handed_over.carry(stall).await;
                    debug!(%client, "the connection to old_tls ended{}", with(carried.err()));
                }));
            }
        };
    debug!(%client, %dialect, %target, %route, "open");
    let watch = shared.drain.watch();
    let mut seen = Seen { client, dialect, target, route, since: Instant::now(), lease: None };
    match upstream {
        Upstream::WebSocket(Consented { stream, early, lease, .. }) => {
            seen.lease = Some(lease);
            let timeouts = &shared.config.timeouts;
            Carrying::Relay(seen, relay(downstream, (stream, early), conversation, timeouts, watch))
        }
        Upstream::Events(begun) => {
            let carried = sse::carry(downstream, *begun, conversation, watch);
            Carrying::Other(Box::pin(async move { seen.log(&carried.await) }))
        }
    }
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
                    route: &route.name,
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

/// Writes what a client is told last, and ends the connection.
async fn tell(mut stream: Stream, last: &[u8]) {
    if let Ok(Ok(())) = timeout(LINGER, stream.say(last)).await {
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
        assert!(size(serve) <= 544, "{} bytes", size(serve));
    }
}
