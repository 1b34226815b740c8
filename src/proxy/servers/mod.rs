//! The servers behind each route: which one a client gets, how it is reached, and what is known of each.
//!
//! All threads share them, so that turns, counts and failures are those of the whole process. What is decided is decided
//! in `choice` and `standing`, which neither wait nor know the time.

mod choice;
pub mod health;
mod names;
pub mod pool;
mod reach;
mod standing;
mod taking;
mod turns;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::http::uri::Authority;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use self::choice::{By, Seen, choose};
use self::names::Names;
use self::standing::Standing;
use super::stream::Stream;
use super::tls::Tls;
use crate::arrival::{Arrival, Facts};
use crate::config::{Balance, Config, Place, Route, Upstream, UpstreamHost};
use crate::dialect::opening::Opening;
use crate::http::Refusal;
use crate::preamble::Preamble;

/// The client on whose behalf servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    client: IpAddr,
    /// What the route's servers hear of it before all else; none where they want no preamble.
    preamble: Option<Arc<[u8]>>,
}

impl Guest {
    /// One that got here so, and of whom this is known.
    pub fn new(arrival: &Arrival, facts: &Facts, route: &Route) -> Guest {
        let preamble = route.send_proxy.map(|version| arrival.preamble(facts).write(version).into());
        Guest { client: facts.client, preamble }
    }
}

/// For whom a server is chosen.
#[derive(Clone, Debug)]
pub struct Seeker {
    /// None, if it is for ourselves.
    pub guest: Option<Guest>,
    /// What decides, where the client does.
    key: Box<[u8]>,
}

impl Seeker {
    /// The client of a request for that path and query; `cookies` are the values of its `Cookie` lines.
    pub fn new<'c>(route: &Route, guest: Guest, target: &str, cookies: impl Iterator<Item = &'c [u8]>) -> Seeker {
        let key = choice::key(&route.balance, guest.client, target, cookies).into();
        Seeker { guest: Some(guest), key }
    }

    /// Nobody but ourselves.
    pub fn ourselves() -> Seeker {
        Seeker { guest: None, key: Box::default() }
    }

    /// The client of an opening handshake.
    pub fn opening(opening: &Opening, route: &Route, guest: Guest) -> Seeker {
        Seeker::new(route, guest, &opening.target, opening.values("cookie"))
    }
}

/// The servers of all routes.
#[derive(Debug)]
pub struct Servers {
    groups: Vec<Arc<Group>>,
    /// For each route, which of them are its own.
    routes: Vec<Ways>,
    names: Names,
    tls: Tls,
    /// How long reaching one may take.
    patience: Duration,
    /// How long one that was reached may take nothing of what is written to it.
    stall: Duration,
}

/// The places of a route's groups among all.
#[derive(Debug)]
struct Ways {
    upstream: usize,
    /// Those that take messages.
    messages: usize,
    /// Those that are asked whether a client may pass.
    auth: Option<usize>,
}

/// Servers that do the same work, for one route.
#[derive(Debug)]
pub struct Group {
    /// How they are chosen and treated.
    route: Route,
    servers: Vec<Arc<Server>>,
    turn: AtomicUsize,
}

/// One server.
#[derive(Debug)]
pub struct Server {
    place: Place,
    /// What the log calls it.
    label: String,
    /// What it is told of itself, where the route says so.
    authority: String,
    /// What hyper's pool knows it by.
    pooled: Authority,
    /// Connections and requests that are on their way or open.
    open: AtomicUsize,
    standing: Mutex<Standing>,
}

impl Server {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Nothing that holds the lock can leave the record half changed.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection or request of a server's, counted until dropped.
pub struct Lease(Arc<Server>);

impl Lease {
    fn of(server: &Arc<Server>) -> Lease {
        server.open.fetch_add(1, Ordering::Relaxed);
        Lease(Arc::clone(server))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection to a server.
pub struct Reached {
    /// Over which nothing of the client was said.
    pub stream: Stream,
    /// To be kept for as long as the connection.
    pub lease: Lease,
    /// The server's place in its group.
    pub server: usize,
}

/// A server that cannot be reached, and why.
#[derive(Clone, Debug)]
pub struct Unreached {
    server: String,
    why: String,
    /// It did not answer in time.
    late: bool,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.why)
    }
}

impl std::error::Error for Unreached {}

impl Unreached {
    /// What a client is told for whom all of these were tried, and the log, which names them.
    pub fn refusal(all: &[Unreached]) -> Refusal {
        let status = if all.iter().all(|one| one.late) { 504 } else { 502 };
        let reasons: Vec<String> = all.iter().map(Unreached::to_string).collect();
        Refusal::new(status, "the upstream cannot be reached").noting(reasons.join("; "))
    }
}

impl Group {
    fn new(number: usize, route: Route) -> Group {
        let Upstream { protocol, secure, servers, .. } = &route.upstream;
        let server = |(index, place): (usize, &Place)| {
            let one = Upstream { protocol: *protocol, secure: *secure, servers: vec![place.clone()], path: None };
            Arc::new(Server {
                place: place.clone(),
                label: one.to_string(),
                authority: one.authority(),
                pooled: pool::authority(number, index),
                open: AtomicUsize::new(0),
                standing: Mutex::default(),
            })
        };
        let servers = servers.iter().enumerate().map(server).collect();
        Group { route, servers, turn: AtomicUsize::new(0) }
    }

    /// The servers to try for a client, in their order, at most as many as the route says.
    pub fn order(&self, seeker: &Seeker) -> Vec<usize> {
        let now = Instant::now();
        let seen: Vec<Seen<'_>> = self
            .servers
            .iter()
            .map(|server| Seen {
                identity: &server.label,
                open: server.open.load(Ordering::Relaxed),
                well: server.standing().is_well(now),
            })
            .collect();
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
        let mut order = choose(
            &seen,
            match self.route.balance {
                Balance::RoundRobin => By::Turn(turn()),
                Balance::LeastConnections => By::Fewest(turn()),
                Balance::Client | Balance::Path | Balance::Cookie(_) => By::Key(&seeker.key),
            },
        );
        order.truncate(self.route.attempts);
        order
    }

    /// The host and port of a server, as they stand in a URL.
    pub fn authority(&self, server: usize) -> &str {
        &self.servers[server].authority
    }

    /// The `Host` that a server is told in place of the client's.
    pub fn host(&self, server: usize) -> Option<&str> {
        match &self.route.upstream_host {
            UpstreamHost::Client => None,
            UpstreamHost::Upstream => Some(self.authority(server)),
            UpstreamHost::Fixed(host) => Some(host),
        }
    }

    /// Whether each client's connections must be its own, because they begin with its address.
    pub fn is_personal(&self) -> bool {
        self.route.send_proxy.is_some()
    }

    /// Notes how a connect went.
    fn note(&self, server: &Server, reached: &Result<Stream, Unreached>) {
        let route = &self.route.name;
        // Where there is no other, it would be tried all the same, and leaving alone be an empty word.
        let alone = self.servers.len() == 1;
        match reached {
            Ok(_) => {
                if server.standing().reached() {
                    info!(route, server = server.label, "the server takes connections again");
                }
            }
            // Whoever wanted it says so, there is nothing more to try.
            Err(_) if alone => {}
            Err(unreached) => {
                warn!(route, server = server.label, "the server cannot be reached: {}", unreached.why);
                let (after, time) = (self.route.eject_after, self.route.eject_for);
                if after.is_some_and(|after| server.standing().failed(Instant::now(), after, time)) {
                    warn!(
                        route,
                        server = server.label,
                        "the server is left alone for {time:?}: too many connects failed in a row"
                    );
                }
            }
        }
    }
}

impl Servers {
    /// Those of this configuration.
    pub fn new(config: &Config, tls: Tls) -> Servers {
        let mut groups: Vec<Arc<Group>> = Vec::new();
        let mut routes = Vec::new();
        let mut add = |route: Route| {
            let number = groups.len();
            groups.push(Arc::new(Group::new(number, route)));
            number
        };
        for route in &config.routes {
            // Whether another backend expects a preamble, or serves the page of a health check, was not said of it.
            let besides = |upstream: &Upstream| Route {
                upstream: upstream.clone(),
                send_proxy: None,
                health: None,
                ..route.clone()
            };
            let upstream = add(route.clone());
            let send = route.events.send.as_ref().and_then(|send| send.backend.as_ref());
            let messages = send.map_or(upstream, |backend| add(besides(backend)));
            let auth = route.auth.as_ref();
            let auth = auth.map(|auth| add(Route { balance: Balance::default(), ..besides(&auth.server) }));
            routes.push(Ways { upstream, messages, auth });
        }
        Servers {
            groups,
            routes,
            names: Names::default(),
            tls,
            patience: config.timeouts.connect,
            stall: config.timeouts.stall,
        }
    }

    /// The servers of a route.
    pub fn of(&self, route: &Route) -> &Arc<Group> {
        &self.groups[self.ways(route).upstream]
    }

    /// Those that take what the clients of a route send as messages.
    pub fn of_messages(&self, route: &Route) -> &Arc<Group> {
        &self.groups[self.ways(route).messages]
    }

    /// Those that are asked whether a client of a route may pass.
    pub fn of_auth(&self, route: &Route) -> Option<&Arc<Group>> {
        self.ways(route).auth.map(|auth| &self.groups[auth])
    }

    fn ways(&self, route: &Route) -> &Ways {
        let found = self.routes.iter().find(|ways| self.groups[ways.upstream].route.name == route.name);
        found.expect("every route is one of the configuration's")
    }

    /// Connects to a server of the group: to `first` if one is named, else in the order in which they are chosen.
    /// Waits at most `timeouts.connect` for each server that is tried, and tries at most `attempts`.
    ///
    /// # Errors
    /// What the client is told instead; it names each server that was tried.
    pub async fn connect(&self, group: &Group, seeker: &Seeker, first: Option<usize>) -> Result<Reached, Refusal> {
        let mut order = group.order(seeker);
        if let Some(first) = first {
            order.retain(|server| *server != first);
            order.insert(0, first);
            order.truncate(group.route.attempts);
        }
        let mut failures = Vec::new();
        for server in order {
            let lease = Lease::of(&group.servers[server]);
            match self.reach(group, server, seeker.guest.as_ref()).await {
                Ok(stream) => return Ok(Reached { stream, lease, server }),
                Err(unreached) => failures.push(unreached),
            }
        }
        Err(Unreached::refusal(&failures))
    }

    /// Connects to one server of a group, on behalf of a client, and notes how it went.
    async fn reach(&self, group: &Group, server: usize, guest: Option<&Guest>) -> Result<Stream, Unreached> {
        let server = &group.servers[server];
        let reached = self.dial(group, server, guest, self.patience).await;
        group.note(server, &reached);
        reached
    }

    /// The same without a note; for nobody, if no client is named.
    async fn dial(
        &self,
        group: &Group,
        server: &Server,
        guest: Option<&Guest>,
        time: Duration,
    ) -> Result<Stream, Unreached> {
        let preamble = preamble_for(&group.route, guest);
        let tls = group.route.upstream.secure.then_some(&self.tls);
        let reached = timeout(time, reach::reach(&server.place, &preamble, tls, &self.names)).await;
        let late = reached.is_err();
        let reached = reached.unwrap_or_else(|_| Err(format!("it did not take the connection within {time:?}")));
        reached.map_err(|why| Unreached { server: server.label.clone(), why, late })
    }
}

/// What a connection begins with on a route that tells its backend who the client is; nothing on others. Who speaks for
/// no client says so (LOCAL, UNKNOWN).
fn preamble_for(route: &Route, guest: Option<&Guest>) -> Arc<[u8]> {
    let Some(version) = route.send_proxy else { return Arc::default() };
    let told = guest.and_then(|guest| guest.preamble.clone());
    told.unwrap_or_else(|| Preamble::default().write(version).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_each_server_in_the_log_alone() {
        let one = |server: &str, late| Unreached { server: server.to_owned(), why: "no".to_owned(), late };
        for (late, status) in [([true, true], 504), ([true, false], 502), ([false, false], 502)] {
            let refusal = Unreached::refusal(&[one("ws://a", late[0]), one("ws://b", late[1])]);
            assert_eq!((refusal.status, refusal.why.as_str()), (status, "the upstream cannot be reached"));
            assert_eq!(refusal.logged(), "the upstream cannot be reached: ws://a: no; ws://b: no");
        }
    }
}
