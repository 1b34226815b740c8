//! Ordinary HTTP: to the same backend, through hyper, streaming both ways.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::connection::Shared;
use super::gate::{Done, Gate, Progress};
use super::servers::pool::{self, Pool, Unanswered};
use super::servers::{Group, Guest, Lease, Seeker, Servers};
use super::stream::Stream;
use crate::access;
use crate::arrival::Arrival;
use crate::config::{Config, Route};
use crate::handshake::nowhere;
use crate::http::{Field, Fields, Refusal};

/// What hyper reads and writes at once, in bytes, at most; its own default.
const MIN_BUFFER: usize = 400 << 10;

/// A body that reports when it has passed.
pub struct Tracked<B> {
    body: B,
    /// Who is told, and the connection that is then over.
    done: Option<(Done, Option<Lease>)>,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.done = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body, which notes when it last moved.
pub struct Upload {
    body: Incoming,
    moved: Arc<Mutex<Instant>>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Waits until the body has not moved for so long, and the backend not answered.
pub(super) async fn silence(time: Option<Duration>, moved: &Mutex<Instant>) {
    let Some(time) = time else { return std::future::pending().await };
    loop {
        let until = *moved.lock().unwrap_or_else(PoisonError::into_inner) + time;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

/// A response's body, and what is held until it has passed.
type Passing = (Response<Either<Incoming, Full<Bytes>>>, Option<Lease>);

/// What the requests of one client's connection have in common.
struct Client {
    arrival: Arrival,
    config: Arc<Config>,
    servers: Arc<Servers>,
    /// Connections that all clients share.
    shared: Pool<Upload>,
    /// Connections that begin with a client's address, and whose: behind a trusted front it may change from one request
    /// to the next.
    own: Mutex<Option<(Guest, Pool<Upload>)>>,
}

impl Client {
    fn pool(&self, group: &Group, guest: &Guest) -> Pool<Upload> {
        if !group.is_personal() {
            return self.shared.clone();
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match &*own {
            Some((whose, pool)) if whose == guest => pool.clone(),
            _ => {
                let pool = pool::pool(&self.servers, Some(guest.clone()), self.config.timeouts.keep_alive);
                *own = Some((guest.clone(), pool.clone()));
                pool
            }
        }
    }
}

/// Serves ordinary requests of a client until it ends the connection or sends what is none; then returns the connection
/// and what was read of that.
///
/// # Errors
/// The client sent what hyper cannot read, or went away.
pub async fn serve(
    stream: Stream,
    buffer: Vec<u8>,
    arrival: &Arrival,
    shared: &Shared,
) -> hyper::Result<(Stream, Vec<u8>)> {
    let config = &shared.config;
    let progress = Arc::new(Progress::default());
    let gate = Gate::new(stream, buffer, Arc::clone(config), Arc::clone(&progress));
    let client = Arc::new(Client {
        arrival: arrival.clone(),
        config: Arc::clone(config),
        servers: Arc::clone(&shared.servers),
        shared: shared.pool.clone(),
        own: Mutex::default(),
    });
    let service = service_fn(|request: Request<Incoming>| {
        let (client, progress) = (Arc::clone(&client), Arc::clone(&progress));
        Box::pin(async move {
            let response = progress.response();
            let (passing, lease) = forward(request, &client).await;
            let (parts, body) = passing.into_parts();
            Ok::<_, Infallible>(Response::from_parts(parts, Tracked { body, done: Some((response, lease)) }))
        })
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .preserve_header_case(true)
        // The date, like every other header, is the backend's.
        .auto_date_header(false)
        .half_close(false)
        .max_headers(config.limits.head_fields)
        // A head that was judged already fits; hyper's own limit lies below what head_bytes may be.
        .max_buf_size((2 * config.limits.head_bytes).max(MIN_BUFFER))
        .serve_connection(gate, service);
    let mut watch = shared.drain.watch();
    tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended?,
        () = watch.started() => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await?;
        }
    }
    Ok(connection.into_parts().io.into_inner())
}

/// Sends a request on, and its response back.
async fn forward(request: Request<Incoming>, client: &Client) -> Passing {
    let (mut parts, body) = request.into_parts();
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let Way { route, guest, told } = match way(client, &parts.headers, host, target) {
        Ok(way) => way,
        Err(refusal) => return refused(&refusal),
    };
    let Ok(uri) = route.upstream_target(target).parse::<Uri>() else {
        return refused(&Refusal::new(400, "the target cannot be forwarded"));
    };
    let group = client.servers.of(route);
    let cookies = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let order = group.order(&Seeker::new(route, guest.clone(), target, cookies));
    // The auth server is asked at opening handshakes alone, but nobody may speak for it here either.
    let trusted = &client.config.forwarded.trusted;
    let may = |name: &str| !access::is_granted(route, name) && client.arrival.may_pass(name, trusted);
    parts.headers = end_to_end(&parts.headers, may);
    parts.headers.extend(told);
    parts.uri = uri;
    parts.version = Version::HTTP_11;
    // The backend's time begins when it has been asked in full: an upload may take as long as it moves.
    let moved = Arc::new(Mutex::new(Instant::now()));
    let upload = Upload { body, moved: Arc::clone(&moved) };
    let pool = client.pool(group, &guest);
    let response = tokio::select! {
        response = pool::ask(&pool, group, order, parts, upload) => Some(response),
        () = silence(client.config.timeouts.response, &moved) => None,
    };
    judged(response, route)
}

/// What the client is answered.
fn judged(response: Option<Result<(Response<Incoming>, Lease), Unanswered>>, route: &Route) -> Passing {
    let failed = |status: StatusCode, why: &str, cause: &str| {
        warn!(upstream = %route.upstream, status = status.as_u16(), "{why}{cause}");
        answer(status, why)
    };
    match response {
        // Nobody asked for another protocol, and whatever follows is not HTTP: neither from this backend, nor from a
        // client that was after a tunnel.
        Some(Ok((response, _))) if response.status().is_informational() => {
            let refusal = Refusal::new(502, "the backend switched protocols unasked");
            warn!(upstream = %route.upstream, status = refusal.status, "{}", refusal.why);
            refused(&refusal)
        }
        Some(Ok((response, lease))) => {
            let (mut parts, body) = response.into_parts();
            parts.headers = end_to_end(&parts.headers, |_| true);
            // hyper writes the version that this client speaks.
            parts.version = Version::HTTP_11;
            (Response::from_parts(parts, Either::Left(body)), Some(lease))
        }
        Some(Err(Unanswered::Unreached(refusal))) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
            failed(status, &refusal.why, &refusal.note.map(|note| format!(": {note}")).unwrap_or_default())
        }
        Some(Err(Unanswered::Broken(error))) => {
            failed(StatusCode::BAD_GATEWAY, "the backend broke off", &format!(": {}", chain(&error)))
        }
        None => failed(StatusCode::GATEWAY_TIMEOUT, "the backend sent no response within timeouts.response", ""),
    }
}

/// Where a request goes, and on whose behalf.
struct Way<'c> {
    route: &'c Route,
    guest: Guest,
    /// The header fields in which its backend is told of the client.
    told: Vec<(HeaderName, HeaderValue)>,
}

/// The way of a request, if this client may go it.
fn way<'c>(client: &'c Client, headers: &HeaderMap, host: &str, target: &str) -> Result<Way<'c>, Refusal> {
    let Client { arrival, config, .. } = client;
    let route = config.route(host, target).ok_or_else(|| nowhere(host, target))?;
    let fields: Fields<'_> =
        headers.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() }).collect();
    let (mut facts, bad) = arrival.facts(&fields, &config.forwarded.trusted);
    for claim in bad {
        warn!(client = %arrival.client, "ignored: {claim}");
    }
    access::check_client(route, facts.client).inspect_err(|refusal| {
        warn!(client = %facts.client, status = refusal.status, "refused: {}", refusal.logged());
    })?;
    route.public_url.overrule(&mut facts);
    let told = arrival.outgoing(&facts, &fields, &config.forwarded.headers);
    let told = told.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(&value).ok()?))
    });
    Ok(Way { route, guest: Guest::new(arrival, &facts, route), told: told.collect() })
}

/// Those of the headers that are not for this hop alone and that `may` go on, in their order; hyper frames the body anew.
fn end_to_end(headers: &HeaderMap, may: impl Fn(&str) -> bool) -> HeaderMap {
    let named = |name: &str| {
        headers
            .get_all(hyper::header::CONNECTION)
            .iter()
            .any(|value| crate::http::list(value.as_bytes()).any(|token| token.eq_ignore_ascii_case(name.as_bytes())))
    };
    // Built anew rather than thinned out: removing from the map would change the order of what stays.
    let mut kept = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        if !crate::http::is_hop_header(name.as_str()) && !named(name.as_str()) && may(name.as_str()) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// An error and what caused it, for the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What a client is told that may not go on; with that its connection ends, as with every refusal.
fn refused(refusal: &Refusal) -> Passing {
    let mut passing = answer(StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::FORBIDDEN), &refusal.why);
    passing.0.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
    passing
}

fn answer(status: StatusCode, why: &str) -> Passing {
    let mut response = Response::new(Either::Right(Full::from(format!("{why}\n"))));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, text);
    (response, None)
}
