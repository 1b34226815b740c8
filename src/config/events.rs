//! What is decided for a route whose upstream is an event stream.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::fault::{Refusal, quoted};
use super::route::check_path;
use super::units;
use super::upstream::Upstream;
use crate::dialect::sse::{Form, Types};

/// The settings of a route that only an event stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// What a message tells of its event. Default: its data.
    pub message: Form,
    /// Which types of events become messages. Default: all.
    pub types: Types,
    /// Where a client's messages go. Default: none, and a client that sends one is closed.
    pub send: Option<SendTo>,
    /// The `Content-Type` of a text message. Default: `text/plain; charset=utf-8`.
    pub send_type: String,
    /// What becomes of a message that the backend does not take. Default: the connection is closed.
    pub send_failure: SendFailure,
    /// The query parameters in which a client may say behind which event it wants to go on; the first that is there
    /// counts. Default: `lastEventId`, `Last-Event-ID`.
    pub resume: Vec<String>,
    /// How long a stream that ended is left alone, until the backend itself says how long. Default: 3 s.
    pub retry: Duration,
    /// How long the backend may be away before the client is closed; none: for ever. Default: 2 min.
    pub reconnect: Option<Duration>,
    /// How long the backend may be silent before it is taken for lost, and resumed; none: for ever. Default: none.
    pub silence: Option<Duration>,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            message: Form::default(),
            types: Types::default(),
            send: None,
            send_type: "text/plain; charset=utf-8".to_owned(),
            send_failure: SendFailure::default(),
            resume: vec!["lastEventId".to_owned(), "Last-Event-ID".to_owned()],
            retry: Duration::from_secs(3),
            reconnect: Some(Duration::from_secs(2 * 60)),
            silence: None,
        }
    }
}

impl Events {
    /// Every setting by its key, as it would be written.
    pub(super) fn settings(&self) -> [(&'static str, String); 9] {
        let or_off = |wait: Option<Duration>| wait.map_or("off".to_owned(), units::duration);
        let types = match &self.types {
            Types::All => "all".to_owned(),
            Types::Only(names) => names.join(", "),
        };
        let resume = if self.resume.is_empty() { "none".to_owned() } else { self.resume.join(", ") };
        [
            ("message", self.message.name().to_owned()),
            ("events", types),
            ("send", self.send.as_ref().map_or("none".to_owned(), SendTo::to_string)),
            ("send_type", self.send_type.clone()),
            ("send_failure", self.send_failure.name().to_owned()),
            ("resume", resume),
            ("retry", units::duration(self.retry)),
            ("reconnect", or_off(self.reconnect)),
            ("silence", or_off(self.silence)),
        ]
    }
}

/// Where a client's messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendTo {
    /// The backend; none: the one the events come from.
    pub backend: Option<Upstream>,
    /// The path.
    pub path: String,
}

impl SendTo {
    /// The target of a message from a client that asked for this target: its query goes with it.
    pub fn target(&self, target: &str) -> String {
        match target.split_once('?') {
            Some((_, query)) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl FromStr for SendTo {
    type Err = Refusal;

    /// Reads a path on the route's own backend, or `http://HOST:PORT/PATH`, `https`, `http+unix:///SOCKET:/PATH`.
    fn from_str(text: &str) -> Result<SendTo, Refusal> {
        const FORM: &str =
            "write a path on the same backend, as in \"/messages\", or http://HOST:PORT/PATH, https or http+unix";
        if text.starts_with('/') {
            return Ok(SendTo { backend: None, path: check_path(text)? });
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(Refusal::new("it is neither a path nor a URL", FORM));
        };
        match Upstream::of_requests(text) {
            Some(read) => read.map(|(backend, path)| SendTo { backend: Some(backend), path }),
            None => Err(Refusal::new(format!("messages cannot be sent with the scheme {}", quoted(scheme)), FORM)),
        }
    }
}

impl fmt::Display for SendTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            None => f.write_str(&self.path),
            Some(backend) => f.write_str(&backend.request_url(&self.path)),
        }
    }
}

/// What becomes of a message that the backend does not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendFailure {
    /// The client's connection is closed, with 1011.
    #[default]
    Close,
    /// The message is left out, and the log says so.
    Drop,
}

impl SendFailure {
    /// Every policy.
    pub const ALL: [SendFailure; 2] = [SendFailure::Close, SendFailure::Drop];

    /// The policy's name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            SendFailure::Close => "close",
            SendFailure::Drop => "drop",
        }
    }
}

impl FromStr for SendFailure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        SendFailure::ALL.into_iter().find(|policy| policy.name() == text).ok_or(())
    }
}
