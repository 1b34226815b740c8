//! The stage where the upstream sends events: what `proxy/sse` does with its streams, one after the other.

use super::script::index;
use super::stage::Stage;
use crate::config::{Route, UpstreamHost};
use crate::conversation::{Lost, Output, Side};
use crate::dialect::opening::Opening;
use crate::dialect::opening::stream::{Addressed, Answer, Start, is_sendable};
use crate::dialect::sse::{self, Piece};
use crate::event::Kind;
use crate::handshake::{Conversation, events_answer};
use crate::http::Refusal;
use crate::http::body::Framing;

/// The connection's id in every play.
const CONNECTION: &str = "0123456789abcdef";

/// The upstream's stream of events, and the way back.
pub(super) struct Events<'c> {
    opening: Opening,
    route: &'c Route,
    start: Start,
    /// Where the events are asked for: the route's target, or where that was redirected.
    target: String,
    /// What was answered so far, before the stream begins.
    answer: Vec<u8>,
    /// How the stream is framed, once it has begun.
    framing: Option<Framing>,
    /// The message of the client's that is not whole yet.
    message: Option<(Kind, Vec<u8>)>,
    ended: bool,
}

impl<'c> Events<'c> {
    /// Asks for the events.
    pub(super) fn asked(opening: &Opening, route: &'c Route) -> Result<Events<'c>, Refusal> {
        let start = opening.start(&route.events.resume)?;
        Ok(Events::new(opening, route, start, None))
    }

    /// A stream that has begun, all of which is events.
    pub(super) fn begun(opening: &Opening, route: &'c Route) -> Events<'c> {
        let start = Start { target: opening.target.clone(), last_id: String::new() };
        Events::new(opening, route, start, Some(Framing::ToEnd))
    }

    fn new(opening: &Opening, route: &'c Route, start: Start, framing: Option<Framing>) -> Events<'c> {
        let target = route.upstream_target(&start.target);
        let (opening, answer) = (opening.clone(), Vec::new());
        Events { opening, route, start, target, answer, framing, message: None, ended: false }
    }

    /// Ends the stream for good; false if that was done before.
    pub(super) fn ends(&mut self) -> bool {
        !std::mem::replace(&mut self.ended, true)
    }

    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// The `Host` in place of the client's.
    fn host(&self) -> Option<String> {
        match &self.route.upstream_host {
            UpstreamHost::Client => None,
            UpstreamHost::Upstream => Some(self.route.upstream.authority()),
            UpstreamHost::Fixed(host) => Some(host.clone()),
        }
    }

    pub(super) fn request(&self) -> Vec<u8> {
        self.opening.events_request(&self.target, self.host().as_deref(), CONNECTION, &self.start.last_id)
    }

    /// What the upstream has answered, once that is whole, and what follows it.
    pub(super) fn hears_answer(
        &mut self,
        bytes: &[u8],
        stage: &Stage<'_>,
    ) -> Result<Option<(Answer, Vec<u8>)>, Refusal> {
        self.answer.extend_from_slice(bytes);
        let host = self.host().unwrap_or_else(|| self.opening.host.clone());
        let upstream = &self.route.upstream;
        let hosts = [&*host, &upstream.authority()];
        let addressed = Addressed { target: &self.target, hosts, secure: upstream.secure };
        let Some((answer, taken)) = events_answer(&self.opening, &self.answer, &addressed, &stage.config.limits)?
        else {
            return Ok(None);
        };
        let rest = self.answer.split_off(taken);
        self.answer.clear();
        match &answer {
            Answer::Open(open) => self.framing = Some(open.framing),
            Answer::Elsewhere(target) => self.target.clone_from(target),
            Answer::Done(_) | Answer::Later(_) | Answer::Refused(_) => {}
        }
        Ok(Some((answer, rest)))
    }

    /// The requests that take the messages to the upstream which are whole.
    pub(super) fn posts(&mut self, mut written: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(Piece { opens, bytes, ends }) = sse::next_piece(&mut written) {
            let kind = opens.map_or(Kind::Text, |(kind, _)| kind);
            let (kind, message) = self.message.get_or_insert_with(|| (kind, Vec::new()));
            message.extend_from_slice(bytes);
            if ends {
                let content_type = match kind {
                    Kind::Text => &self.route.events.send_type,
                    Kind::Binary => sse::BINARY_TYPE,
                };
                let message = std::mem::take(message);
                out.extend(self.post(content_type, &message));
                self.message = None;
            }
        }
        out
    }

    fn post(&self, content_type: &str, message: &[u8]) -> Vec<u8> {
        let host = self.host();
        let target = self.route.events.send.as_ref().map(|send| send.target(&self.start.target)).unwrap_or_default();
        let mut out = format!("POST {target} HTTP/1.1\r\n").into_bytes();
        let length = message.len().to_string();
        let described = [("Content-Type", content_type.as_bytes()), ("Content-Length", length.as_bytes())];
        for (name, value) in self.opening.send_fields(host.as_deref(), CONNECTION).chain(described) {
            out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        [&out, &b"\r\n"[..], message].concat()
    }
}

impl Stage<'_> {
    /// The upstream goes on with its stream, or its answer to a request for one.
    pub(super) fn streams(&mut self, conversation: &mut Conversation, carry: &mut [Vec<u8>; 2], bytes: &[u8]) {
        if self.ear(Side::Upstream).gone {
            return;
        }
        let mut input = bytes;
        while let Some(framing) = self.events.as_mut().and_then(|events| events.framing.as_mut()) {
            match framing.next(&mut input) {
                Ok(Some(piece)) => self.hears(conversation, carry, Side::Upstream, piece),
                Ok(None) if !framing.is_over() => return,
                Ok(None) | Err(_) => return self.lost(conversation, carry),
            }
        }
        let Some(mut events) = self.events.take() else { return };
        let answer = events.hears_answer(input, self);
        self.events = Some(events);
        match answer {
            Ok(None) => {}
            Ok(Some((Answer::Open(_), rest))) => self.streams(conversation, carry, &rest),
            Ok(Some((Answer::Elsewhere(_) | Answer::Later(_), _))) => self.ask(),
            Ok(Some((Answer::Done(_), _))) => self.give_up(conversation, Lost::Done),
            Ok(Some((Answer::Refused(_), _))) | Err(_) => self.give_up(conversation, Lost::Refused),
        }
    }

    /// The stream has ended, or is taken for lost: another is asked for, unless nobody wants one any more.
    pub(super) fn lost(&mut self, conversation: &mut Conversation, carry: &mut [Vec<u8>; 2]) {
        let (Some(events), Some(resume)) = (&mut self.events, conversation.resume(Side::Upstream)) else { return };
        let from = index(Side::Upstream);
        carry[from].clear();
        self.breaks.push(self.spoken[from].len());
        self.ears[from].silent = false;
        events.framing = None;
        events.answer.clear();
        events.target = events.route.upstream_target(&events.start.target);
        events.start.last_id = resume.last_id;
        if is_sendable(&events.start.last_id) { self.ask() } else { self.give_up(conversation, Lost::Refused) }
    }

    /// Whether the upstream has been asked for a stream that has not begun.
    pub(super) fn is_asking(&self) -> bool {
        self.events.as_ref().is_some_and(|events| events.framing.is_none())
    }

    fn ask(&mut self) {
        if let Some(events) = &self.events {
            let request = events.request();
            self.ear(Side::Upstream).heard.extend(request);
        }
    }

    pub(super) fn give_up(&mut self, conversation: &mut Conversation, lost: Lost) {
        let mut out = Output::default();
        conversation.give_up(lost, &mut out, &mut self.keys);
        self.settle(conversation, &mut out);
    }
}
