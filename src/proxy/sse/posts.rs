//! What a client sends, message by message, each as a request of its own: in order, one at a time.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use tokio::time::Instant;

use super::super::passthrough::{self, chain};
use super::super::servers::pool::{self, Pool, Unanswered};
use super::super::servers::{Group, Seeker};
use super::feed::{Feed, Writer, feed};
use super::source::{At, Source};
use crate::dialect::sse::{BINARY_TYPE, Piece, next_piece};
use crate::event::Kind;
use crate::http::Refusal;

/// How much of an answer is read, so that its connection can be used again. Nobody wants it otherwise.
const MAX_ANSWER: usize = 64 << 10;

/// Why a message was not taken.
pub type Untaken = String;

type Answer = Pin<Box<dyn Future<Output = Result<(), Untaken>> + Send>>;

/// The messages of one client.
pub struct Posts {
    /// Pieces as the codec wrote them; what stands before `taken` is on its way.
    queue: Vec<u8>,
    taken: usize,
    /// The message that is on its way.
    active: Option<Active>,
    /// The rest of a message is left out whose request is over.
    skipping: bool,
    /// Nothing more comes.
    closed: bool,
    to: Option<Box<To>>,
    /// How long a backend may take to answer.
    patience: Option<Duration>,
    /// Since when a piece waits that the backend does not take, and how long it may.
    stuck: Option<Instant>,
    stall: Duration,
}

struct Active {
    answer: Answer,
    /// Gone when all of the message is written.
    writer: Option<Writer>,
}

/// Where messages go.
struct To {
    pool: Pool<Feed>,
    group: Arc<Group>,
    seeker: Seeker,
    /// The server that the events come from, unless messages have a backend of their own.
    events: Option<At>,
    uri: Uri,
    headers: HeaderMap,
    text_type: HeaderValue,
}

impl Posts {
    /// The messages of the client with this claim.
    ///
    /// # Errors
    /// Its target makes none that they can be sent to.
    pub fn new(source: &Source<'_>, pool: &Pool<Feed>) -> Result<Posts, Refusal> {
        Ok(Posts {
            queue: Vec::new(),
            taken: 0,
            active: None,
            skipping: false,
            closed: false,
            to: To::of(source, pool)?,
            patience: source.config.timeouts.response,
            stuck: None,
            stall: source.config.timeouts.stall,
        })
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.queue.len() - self.taken
    }

    /// Whether none waits or is on its way.
    pub fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.active.is_none()
    }

    /// Puts what the codec has written behind what waits.
    pub fn push(&mut self, pieces: &[u8]) {
        // What is gone must not pile up under somebody who never stops.
        self.queue.drain(..self.taken);
        self.taken = 0;
        self.queue.extend_from_slice(pieces);
    }

    /// Nothing more comes: a message that is not whole is never sent, what is whole is.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let (mut waiting, mut whole) = (&self.queue[self.taken..], self.taken);
        while let Some(piece) = next_piece(&mut waiting) {
            if piece.ends {
                whole = self.queue.len() - waiting.len();
            }
        }
        self.queue.truncate(whole);
    }

    /// Leaves out everything.
    pub fn clear(&mut self) {
        (self.queue, self.taken) = (Vec::new(), 0);
        self.active = None;
        self.closed = true;
    }

    /// Until when the backend must have taken what waits for it.
    pub fn due(&self) -> Option<Instant> {
        self.stuck.filter(|_| self.active.is_some()).map(|since| since + self.stall)
    }

    /// That time is over: gives the message up, and says why.
    pub fn stalled(&mut self) -> Untaken {
        (self.active, self.skipping, self.stuck) = (None, true, None);
        "the backend took no bytes for timeouts.stall".to_owned()
    }

    /// Carries on. Ready when something has moved, with the failure of a message that was not taken.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Untaken>> {
        if let Some(active) = &mut self.active {
            if let Poll::Ready(answer) = active.answer.as_mut().poll(cx) {
                // The backend has said enough, also about a message that goes on.
                self.skipping = active.writer.is_some();
                self.active = None;
                return Poll::Ready(answer);
            }
            let Some(writer) = &mut active.writer else { return Poll::Pending };
            if self.closed && self.queue.len() == self.taken {
                // The rest of the message will not come, whether or not the backend takes what came.
                self.active = None;
                return Poll::Ready(Ok(()));
            }
            if self.queue.len() > self.taken && writer.poll_ready(cx).is_pending() {
                self.stuck.get_or_insert_with(Instant::now);
                return Poll::Pending;
            }
        }
        self.stuck = None;
        let mut waiting = &self.queue[self.taken..];
        let Some(piece) = next_piece(&mut waiting) else { return Poll::Pending };
        let left = waiting.len();
        if let Some(Active { writer: Some(writer), .. }) = &mut self.active {
            writer.write(Bytes::copy_from_slice(piece.bytes));
            if piece.ends {
                writer.finish();
                self.active.as_mut().expect("it was there just now").writer = None;
            }
        } else if self.skipping && piece.opens.is_none() {
            self.skipping = !piece.ends;
        } else {
            self.skipping = false;
            self.active = self.to.as_ref().map(|to| to.begin(&piece, self.patience));
        }
        self.taken = self.queue.len() - left;
        if left == 0 {
            // Empty again: an idle connection holds no buffers.
            (self.queue, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl To {
    /// Where the route sends messages to, if it does.
    fn of(source: &Source<'_>, pool: &Pool<Feed>) -> Result<Option<Box<To>>, Refusal> {
        let events = &source.route.events;
        let Some(send) = &events.send else { return Ok(None) };
        let bad = |what: &str| Refusal::new(400, format!("{what} cannot be forwarded with a message"));
        let uri: Result<Uri, _> = send.target(&source.start.target).parse();
        let mut headers = HeaderMap::new();
        for (name, value) in source.opening.send_fields(None, &source.id) {
            match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                (Ok(name), Ok(value)) => headers.append(name, value),
                _ => return Err(bad(name)),
            };
        }
        let text_type = HeaderValue::from_str(&events.send_type).map_err(|_| bad("send_type"))?;
        let uri = uri.map_err(|_| bad("the target"))?;
        let group = Arc::clone(source.servers.of_messages(source.route));
        let seeker = source.seeker.clone();
        let pool = match group.is_personal() {
            true => pool::pool(&source.servers, seeker.guest.clone(), super::IDLE),
            false => pool.clone(),
        };
        let events = send.backend.is_none().then(|| source.at.clone());
        Ok(Some(Box::new(To { pool, group, seeker, events, uri, headers, text_type })))
    }

    /// Begins the request that takes a message whose first piece this is.
    fn begin(&self, piece: &Piece<'_>, patience: Option<Duration>) -> Active {
        let (kind, size) = piece.opens.unwrap_or((Kind::Text, None));
        let moved = Arc::new(Mutex::new(Instant::now()));
        let (mut writer, body) = feed(size, Arc::clone(&moved));
        writer.write(Bytes::copy_from_slice(piece.bytes));
        if piece.ends {
            writer.finish();
        }
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let content_type = match kind {
            Kind::Text => self.text_type.clone(),
            Kind::Binary => HeaderValue::from_static(BINARY_TYPE),
        };
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        // A session at the server that the events come from may be unknown to the others.
        let there = self.events.as_ref().and_then(At::get);
        let order = there.map_or_else(|| self.group.order(&self.seeker), |server| vec![server]);
        let answer = Box::pin(answered(self.pool.clone(), Arc::clone(&self.group), order, request, patience, moved));
        Active { answer, writer: (!piece.ends).then_some(writer) }
    }
}

/// Sends a request and waits for its answer, as long as plain HTTP waits for one.
async fn answered(
    pool: Pool<Feed>,
    group: Arc<Group>,
    order: Vec<usize>,
    request: Request<Feed>,
    patience: Option<Duration>,
    moved: Arc<Mutex<Instant>>,
) -> Result<(), Untaken> {
    let exchange = async {
        let (parts, body) = request.into_parts();
        let asked = pool::ask(&pool, &group, order, parts, body).await;
        let (response, _lease) = asked.map_err(|unanswered| match unanswered {
            Unanswered::Unreached(refusal) => refusal.logged(),
            Unanswered::Broken(error) => chain(&error),
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("the backend answered {status}"));
        }
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MAX_ANSWER {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        answer = exchange => answer,
        () = passthrough::silence(patience, &moved) => {
            Err("the backend sent no response within timeouts.response".to_owned())
        }
    }
}
