//! Requests to servers through hyper's pool of connections: each server's are its own, and a request whose server
//! cannot be reached goes to the next one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_service::Service;

use super::taking::Taking;
use super::turns::Turns;
use super::{Group, Guest, Lease, Servers, Unreached};
use crate::http::Refusal;

/// Connections to servers, kept for the requests to come.
pub type Pool<B> = Client<Connector, Slot<B>>;

/// A pool whose connections are kept for so long when nobody needs them. With a guest it serves that client alone.
pub fn pool<B>(servers: &Arc<Servers>, guest: Option<Guest>, idle: Duration) -> Pool<B>
where
    B: Body<Data: Send> + Send + Unpin + 'static,
{
    Client::builder(TokioExecutor::new())
        .http1_preserve_header_case(true)
        // For requests that nobody else wrote.
        .http1_title_case_headers(true)
        .set_host(false)
        .pool_idle_timeout(idle)
        .build(Connector { servers: Arc::clone(servers), guest })
}

/// What the pool knows a server by: no name that anybody is told.
pub(super) fn authority(group: usize, server: usize) -> Authority {
    format!("server-{server}.group-{group}").parse().expect("letters, digits, hyphens and a dot")
}

/// The group and the server in it that the pool means.
fn meant(uri: &Uri) -> Option<(usize, usize)> {
    let (server, group) = uri.host()?.strip_prefix("server-")?.split_once(".group-")?;
    Some((group.parse().ok()?, server.parse().ok()?))
}

/// Makes the pool's connections.
#[derive(Clone)]
pub struct Connector {
    servers: Arc<Servers>,
    /// Whose they are, if one client's alone.
    guest: Option<Guest>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Pooled>;
    type Error = Unreached;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Pooled>, Unreached>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (servers, guest) = (Arc::clone(&self.servers), self.guest.clone());
        Box::pin(async move {
            let (group, server) = meant(&uri).expect("only `ask` uses the pool, and names a server");
            let stream = servers.reach(&servers.groups[group], server, guest.as_ref()).await?;
            Ok(TokioIo::new(Turns::new(Taking::new(stream, servers.stall))))
        })
    }
}

/// A connection to a server that neither holds the thread nor waits for ever to be listened to.
type Pooled = Turns<Taking>;

impl Connection for Pooled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// A body that can be taken back until somebody has read of it.
pub struct Slot<B>(Arc<Mutex<Held<B>>>);

struct Held<B> {
    body: B,
    touched: bool,
}

impl<B> Slot<B> {
    fn new(body: B) -> Slot<B> {
        Slot(Arc::new(Mutex::new(Held { body, touched: false })))
    }

    fn again(&self) -> Slot<B> {
        Slot(Arc::clone(&self.0))
    }

    fn held(&self) -> MutexGuard<'_, Held<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body + Unpin> Body for Slot<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut held = self.held();
        held.touched = true;
        Pin::new(&mut held.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.held().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.held().body.size_hint()
    }
}

/// Why a request has no response.
pub enum Unanswered {
    /// No server could be reached, and nothing of the request was sent.
    Unreached(Refusal),
    /// A server broke off, with perhaps some of it.
    Broken(Error),
}

/// Asks the servers of this order, one after the other until one is reached; what was sent to one is never sent to
/// another. `parts.uri` has a path alone. The lease is for as long as the response's body.
///
/// # Errors
/// Why there is no response.
pub async fn ask<B>(
    pool: &Pool<B>,
    group: &Group,
    order: Vec<usize>,
    parts: Parts,
    body: B,
) -> Result<(Response<Incoming>, Lease), Unanswered>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let body = Slot::new(body);
    let mut failures = Vec::new();
    for server in order {
        let lease = Lease::of(&group.servers[server]);
        let request = Request::from_parts(addressed(parts.clone(), group, server), body.again());
        match pool.request(request).await {
            Ok(response) => return Ok((response, lease)),
            Err(error) => match unreached(&error) {
                Some(unreached) if error.is_connect() && !body.held().touched => failures.push(unreached.clone()),
                _ => return Err(Unanswered::Broken(error)),
            },
        }
    }
    Err(Unanswered::Unreached(Unreached::refusal(&failures)))
}

fn addressed(mut parts: Parts, group: &Group, server: usize) -> Parts {
    // HTTP/1.0 may be without a host, HTTP/1.1 not.
    let nameless = parts.headers.get(HOST).is_none_or(HeaderValue::is_empty);
    let host = group.host(server).or_else(|| nameless.then(|| group.authority(server)));
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        parts.headers.insert(HOST, host);
    }
    let mut uri = parts.uri.into_parts();
    // TLS is the connector's affair.
    (uri.scheme, uri.authority) = (Some(Scheme::HTTP), Some(group.servers[server].pooled.clone()));
    parts.uri = Uri::from_parts(uri).expect("it has all its parts");
    parts
}

fn unreached(error: &Error) -> Option<&Unreached> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(unreached) = error.downcast_ref() {
            return Some(unreached);
        }
        cause = error.source();
    }
    None
}
