//! Where the events come from: one request after the other, each for the stream behind the last event.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;

use super::super::random;
use super::super::servers::{Group, Guest, Lease, Reached, Seeker, Servers};
use super::super::stream::Stream as Socket;
use crate::config::{Config, Route};
use crate::dialect::opening::stream::{Addressed, Answer, Open, Start};
use crate::dialect::opening::{Agreed, Opening};
use crate::handshake::events_answer;
use crate::http::Refusal;
use crate::http::body::Framing;

/// Redirections in a row that are followed.
const MAX_HOPS: usize = 5;

/// One client's claim to the events of a route.
pub struct Source<'s> {
    pub opening: Opening,
    pub route: &'s Route,
    pub config: &'s Config,
    /// What the client asked for, and behind which event.
    pub start: Start,
    /// What tells this client from others.
    pub id: String,
    pub seeker: Seeker,
    pub servers: Arc<Servers>,
    group: Arc<Group>,
    pub at: At,
}

/// The server that a client's events come from at this time. Clones share it.
#[derive(Clone, Default)]
pub struct At(Arc<AtomicUsize>);

impl At {
    /// Its place in the group; none while a stream is lost, and the next one may come from any.
    pub fn get(&self) -> Option<usize> {
        self.0.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Notes it.
    pub fn set(&self, server: Option<usize>) {
        self.0.store(server.map_or(0, |server| server + 1), Ordering::Relaxed);
    }
}

/// A stream that has begun.
pub struct Stream {
    pub socket: Socket,
    pub framing: Framing,
    /// What of its body came with the head.
    pub early: Vec<u8>,
    pub agreed: Agreed,
    /// For as long as the stream.
    pub lease: Lease,
}

/// Why none has begun.
pub enum Unopened {
    /// The upstream has no more events.
    Done(Refusal),
    /// It may have some later.
    Later(Refusal),
    /// It does not give them.
    Refused(Refusal),
}

impl Unopened {
    /// What a client is told that is not open yet.
    pub fn refusal(self) -> Refusal {
        let (Unopened::Done(refusal) | Unopened::Later(refusal) | Unopened::Refused(refusal)) = self;
        refusal
    }
}

impl<'s> Source<'s> {
    /// The claim that an opening handshake makes.
    ///
    /// # Errors
    /// What the client is told instead.
    pub fn new(
        opening: &Opening,
        route: &'s Route,
        guest: Guest,
        config: &'s Config,
        servers: &Arc<Servers>,
    ) -> Result<Source<'s>, Refusal> {
        let start = opening.start(&route.events.resume)?;
        Ok(Source {
            opening: opening.clone(),
            route,
            config,
            start,
            id: random::connection_id(),
            seeker: Seeker::opening(opening, route, guest),
            servers: Arc::clone(servers),
            group: Arc::clone(servers.of(route)),
            at: At::default(),
        })
    }

    /// Asks for the stream behind the event `last_id`. Every wait is bounded.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask(&self, last_id: &str) -> Result<Stream, Unopened> {
        let mut target = self.route.upstream_target(&self.start.target);
        // Who redirects knows the place on its own server, if not on the others.
        let mut redirecting = None;
        for _ in 0..=MAX_HOPS {
            let connecting = self.servers.connect(&self.group, &self.seeker, redirecting);
            let Reached { stream: mut socket, lease, server } = connecting.await.map_err(Unopened::Later)?;
            let asking = self.ask_at(server, &target, last_id, &mut socket);
            let asked = timeout(self.config.timeouts.handshake, asking).await;
            let (answer, early) = asked.map_err(|_| {
                let why = "the upstream did not answer the request for events within timeouts.handshake";
                Unopened::Later(Refusal::new(504, why))
            })??;
            match answer {
                Answer::Open(open) => {
                    let Open { agreed, framing } = *open;
                    self.at.set(Some(server));
                    return Ok(Stream { socket, framing, early, agreed, lease });
                }
                // A connection each time: what is left of the answer would have to be read to its end first.
                Answer::Elsewhere(there) => (target, redirecting) = (there, Some(server)),
                Answer::Done(refusal) => return Err(Unopened::Done(refusal)),
                Answer::Later(refusal) => return Err(Unopened::Later(refusal)),
                Answer::Refused(refusal) => return Err(Unopened::Refused(refusal)),
            }
        }
        Err(Unopened::Refused(Refusal::new(502, format!("the upstream redirects more than {MAX_HOPS} times"))))
    }

    async fn ask_at(
        &self,
        server: usize,
        target: &str,
        last_id: &str,
        socket: &mut Socket,
    ) -> Result<(Answer, Vec<u8>), Unopened> {
        let broken = |error: io::Error| {
            Unopened::Later(Refusal::new(502, format!("the upstream broke off before its events: {error}")))
        };
        let host = self.group.host(server);
        let hosts = [host.unwrap_or(&self.opening.host), self.group.authority(server)];
        let addressed = Addressed { target, hosts, secure: self.route.upstream.secure };
        let request = self.opening.events_request(target, host, &self.id, last_id);
        let judge = |answer: &[u8]| {
            events_answer(&self.opening, answer, &addressed, &self.config.limits).map_err(Unopened::Refused)
        };
        let ((judged, taken), mut answer) = socket.ask(&request, broken, judge).await?;
        Ok((judged, answer.split_off(taken)))
    }
}
