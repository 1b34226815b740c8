//! The stage of a play: the pure core, and what the shell does around it, with streams that take everything at once.

use super::Ending;
use super::events::Events;
use super::script::{SIDES, index};
use crate::arrival::Facts;
use crate::config::{Config, Protocol, Route, UpstreamHost};
use crate::conversation::{Cause, Finish, Lost, Output, Side};
use crate::dialect::Dialect;
use crate::dialect::hixie76::KEY3;
use crate::dialect::opening::stream::Answer;
use crate::dialect::opening::{Agreed, Opening, Proof};
use crate::event::{Keys, MaskingKey};
use crate::handshake::{self, Conversation, Received, consent, receive};
use crate::http::Refusal;

/// The key of every opening handshake to the upstream: RFC 6455's example (§1.3).
pub const UPSTREAM_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The first masking key: RFC 6455's example (§5.7). Each further one is greater by one.
const FIRST_MASKING_KEY: u32 = 0x37fa_213d;

/// Masking keys in a fixed order.
pub(super) struct Counting(u32);

impl Default for Counting {
    fn default() -> Self {
        Counting(FIRST_MASKING_KEY)
    }
}

impl Keys for Counting {
    fn fresh(&mut self) -> MaskingKey {
        let key = MaskingKey(self.0.to_be_bytes());
        self.0 = self.0.wrapping_add(1);
        key
    }
}

/// One side's stream, and what was written to it.
#[derive(Debug, Default)]
pub(super) struct Ear {
    pub(super) heard: Vec<u8>,
    /// How many bytes of it are the handshake, once that is over.
    pub(super) head: Option<usize>,
    /// Its stream was ended.
    pub(super) ended: bool,
    /// It ended its own.
    pub(super) silent: bool,
    /// Its stream is gone: nothing is read from it or written to it any more.
    pub(super) gone: bool,
}

impl Ear {
    fn drop_stream(&mut self) {
        self.ended = true;
        self.gone = true;
    }
}

/// How far the connection has come.
pub(super) enum Scene<'c> {
    /// The client's head is awaited.
    Greeting { buffer: Vec<u8> },
    /// The upstream's answer is awaited.
    Dialling { opening: Box<Opening>, route: &'c Route, early: Vec<u8>, answer: Vec<u8> },
    /// hixie-76's third key is awaited.
    Challenged { opening: Box<Opening>, agreed: Box<Agreed>, route: &'c Route, buffer: Vec<u8>, early: Vec<u8> },
    /// Both handshakes are over.
    Open { conversation: Conversation, carry: [Vec<u8>; 2] },
    /// There is no connection any more, or one that is not a WebSocket.
    Over,
}

/// Does what the shell does, with streams that take everything at once: `proxy/connection.rs` up to the open
/// connection, `proxy/relay.rs` from there on.
pub(super) struct Stage<'c> {
    pub(super) config: &'c Config,
    pub(super) scene: Scene<'c>,
    pub(super) keys: Counting,
    pub(super) ears: [Ear; 2],
    pub(super) listening: Option<(Dialect, bool)>,
    pub(super) spoken: [Vec<u8>; 2],
    pub(super) request: bool,
    /// The upstream's stream, where it sends events.
    pub(super) events: Option<Events<'c>>,
    /// How much the upstream had said when a stream of it ended that was resumed.
    pub(super) breaks: Vec<usize>,
}

impl<'c> Stage<'c> {
    pub(super) fn new(config: &'c Config) -> Self {
        Stage {
            config,
            scene: Scene::Greeting { buffer: Vec::new() },
            keys: Counting::default(),
            ears: Default::default(),
            listening: None,
            spoken: Default::default(),
            request: false,
            events: None,
            breaks: Vec::new(),
        }
    }

    pub(super) fn ear(&mut self, side: Side) -> &mut Ear {
        &mut self.ears[index(side)]
    }

    pub(super) fn says(&mut self, side: Side, piece: &[u8]) -> Result<(), String> {
        if self.ear(side).silent {
            return Err(format!("the {side} speaks after it has ended its stream"));
        }
        match (std::mem::replace(&mut self.scene, Scene::Over), side) {
            (Scene::Greeting { mut buffer }, Side::Downstream) => {
                buffer.extend_from_slice(piece);
                self.greet(buffer);
            }
            (Scene::Greeting { .. }, Side::Upstream) => return Err("the upstream was not asked yet".into()),
            (Scene::Dialling { opening, route, mut early, answer }, Side::Downstream) => {
                early.extend_from_slice(piece);
                match opening.check_early(&early) {
                    Ok(()) => self.scene = Scene::Dialling { opening, route, early, answer },
                    Err(refusal) => self.refuse(&refusal),
                }
            }
            (Scene::Dialling { opening, route, early, mut answer }, Side::Upstream) => {
                answer.extend_from_slice(piece);
                self.judge(opening, route, early, answer);
            }
            (Scene::Challenged { opening, agreed, route, mut buffer, early }, Side::Downstream) => {
                buffer.extend_from_slice(piece);
                self.challenge(opening, agreed, route, buffer, early);
            }
            (Scene::Challenged { opening, agreed, route, buffer, mut early }, Side::Upstream) => {
                early.extend_from_slice(piece);
                self.scene = Scene::Challenged { opening, agreed, route, buffer, early };
            }
            (Scene::Open { mut conversation, mut carry }, side) => {
                match side {
                    Side::Upstream if self.events.is_some() => self.streams(&mut conversation, &mut carry, piece),
                    side => self.hears(&mut conversation, &mut carry, side, piece),
                }
                self.scene = Scene::Open { conversation, carry };
            }
            (Scene::Over, _) => {}
        }
        Ok(())
    }

    fn greet(&mut self, buffer: Vec<u8>) {
        match receive(&buffer, self.config) {
            Received::More => self.scene = Scene::Greeting { buffer },
            Received::Foreign(foreign) => {
                let ear = self.ear(Side::Downstream);
                ear.heard.extend(foreign.farewell());
                ear.drop_stream();
            }
            Received::Refused(refusal) => self.refuse(&refusal),
            Received::Http { .. } => self.request = true,
            Received::Opening { opening, route, taken } => {
                let early = buffer[taken..].to_vec();
                if let Err(refusal) = opening.check_early(&early) {
                    return self.refuse(&refusal);
                }
                if route.upstream.protocol == Protocol::Events {
                    return self.ask_for_events(opening, route, early);
                }
                let authority = route.upstream.authority();
                let host = match &route.upstream_host {
                    UpstreamHost::Client => None,
                    UpstreamHost::Upstream => Some(authority.as_str()),
                    UpstreamHost::Fixed(host) => Some(host.as_str()),
                };
                let target = route.upstream_target(&opening.target);
                let request = opening.upstream_request(&target, host, UPSTREAM_KEY);
                self.ear(Side::Upstream).heard.extend(request);
                self.scene = Scene::Dialling { opening, route, early, answer: Vec::new() };
            }
        }
    }

    fn ask_for_events(&mut self, opening: Box<Opening>, route: &'c Route, early: Vec<u8>) {
        match Events::asked(&opening, route) {
            Ok(events) => {
                self.ear(Side::Upstream).heard.extend(events.request());
                self.events = Some(events);
                self.scene = Scene::Dialling { opening, route, early, answer: Vec::new() };
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Judges the upstream's answer to a request for its events.
    fn judge_events(&mut self, opening: Box<Opening>, route: &'c Route, early: Vec<u8>, answer: &[u8]) {
        let Some(mut events) = self.events.take() else { return };
        let judged = events.hears_answer(answer, self);
        let request = events.request();
        self.events = Some(events);
        match judged {
            Ok(Some((Answer::Open(open), rest))) => self.agreed(opening, open.agreed, route, early, rest),
            Ok(Some((Answer::Elsewhere(_), _))) => {
                self.ear(Side::Upstream).heard.extend(request);
                self.scene = Scene::Dialling { opening, route, early, answer: Vec::new() };
            }
            Ok(None) => self.scene = Scene::Dialling { opening, route, early, answer: Vec::new() },
            Ok(Some((Answer::Done(refusal) | Answer::Later(refusal) | Answer::Refused(refusal), _))) | Err(refusal) => {
                self.refuse(&refusal)
            }
        }
    }

    /// Judges the upstream's answer, and writes the client's.
    fn judge(&mut self, opening: Box<Opening>, route: &'c Route, early: Vec<u8>, answer: Vec<u8>) {
        if self.events.is_some() {
            return self.judge_events(opening, route, early, &answer);
        }
        match consent(&opening, &answer, UPSTREAM_KEY, &self.config.limits) {
            Ok(None) => self.scene = Scene::Dialling { opening, route, early, answer },
            Err(refusal) => self.refuse(&refusal),
            Ok(Some((agreed, taken))) => {
                let frames = answer[taken..].to_vec();
                self.agreed(opening, agreed, route, early, frames);
            }
        }
    }

    /// Writes the client's answer.
    fn agreed(
        &mut self,
        opening: Box<Opening>,
        agreed: Agreed,
        route: &'c Route,
        from_client: Vec<u8>,
        from_upstream: Vec<u8>,
    ) {
        let location = location(route, &opening);
        let answer = opening.answer(&agreed, &location);
        self.ear(Side::Downstream).heard.extend(answer);
        if matches!(opening.proof, Proof::Numbers(..)) {
            self.challenge(opening, Box::new(agreed), route, from_client, from_upstream);
        } else {
            self.open(*opening, agreed, route, from_client, from_upstream);
        }
    }

    /// Answers the challenge once the third key is there.
    fn challenge(
        &mut self,
        opening: Box<Opening>,
        agreed: Box<Agreed>,
        route: &'c Route,
        mut buffer: Vec<u8>,
        early: Vec<u8>,
    ) {
        let Some(key3) = buffer.first_chunk::<KEY3>().copied() else {
            self.scene = Scene::Challenged { opening, agreed, route, buffer, early };
            return;
        };
        buffer.drain(..KEY3);
        self.ear(Side::Downstream).heard.extend(opening.challenge_answer(key3).into_iter().flatten());
        self.open(*opening, *agreed, route, buffer, early);
    }

    pub(super) fn open(
        &mut self,
        opening: Opening,
        agreed: Agreed,
        route: &'c Route,
        from_client: Vec<u8>,
        from_upstream: Vec<u8>,
    ) {
        for ear in &mut self.ears {
            ear.head = Some(ear.heard.len());
        }
        self.listening = Some((opening.dialect, agreed.extensions.is_some()));
        let mut carry = [Vec::new(), Vec::new()];
        let mut conversation = if route.upstream.protocol == Protocol::Events {
            let events = self.events.get_or_insert_with(|| Events::begun(&opening, route));
            handshake::events_conversation(&opening, events.start(), route, &self.config.limits)
        } else {
            handshake::conversation(&opening, &agreed, route)
        };
        match self.events {
            Some(_) => self.streams(&mut conversation, &mut carry, &from_upstream),
            None => self.hears(&mut conversation, &mut carry, Side::Upstream, &from_upstream),
        }
        self.hears(&mut conversation, &mut carry, Side::Downstream, &from_client);
        self.scene = Scene::Open { conversation, carry };
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let ear = self.ear(Side::Downstream);
        ear.heard.extend(refusal.to_bytes());
        ear.drop_stream();
        self.give_up_upstream();
    }

    /// Drops the upstream's stream, if there is one.
    fn give_up_upstream(&mut self) {
        let ear = self.ear(Side::Upstream);
        if !ear.heard.is_empty() {
            ear.drop_stream();
        }
    }

    pub(super) fn ends(&mut self, side: Side, ending: Ending) -> Result<(), String> {
        let ended_before = std::mem::replace(&mut self.ear(side).silent, true);
        if ended_before && ending == Ending::Reset {
            // As some clients do: what they still hear finds nobody.
            self.ear(side).drop_stream();
            return Ok(());
        }
        if ended_before {
            return Err(format!("the {side} has ended its stream already"));
        }
        match (std::mem::replace(&mut self.scene, Scene::Over), side) {
            (Scene::Greeting { .. } | Scene::Dialling { .. }, Side::Downstream) => {
                self.ear(Side::Downstream).drop_stream();
                self.give_up_upstream();
            }
            (Scene::Challenged { opening, agreed, route, .. }, Side::Downstream) => {
                self.abandon(&opening, &agreed, route);
            }
            // What the client is told then is the shell's, and names the error of the system.
            (Scene::Greeting { .. } | Scene::Dialling { .. }, Side::Upstream) => {
                return Err("a play cannot tell what comes of an upstream that breaks off its handshake".into());
            }
            // Nobody reads the upstream before the client has sent its third key.
            (Scene::Challenged { .. }, Side::Upstream) => {
                return Err("the end of the upstream is not noticed before the third key".into());
            }
            (Scene::Open { mut conversation, mut carry }, Side::Upstream) if self.events.is_some() => {
                if self.is_asking() {
                    return Err("a play cannot tell what comes of an upstream that breaks off its answer".into());
                }
                self.lost(&mut conversation, &mut carry);
                self.scene = Scene::Open { conversation, carry };
            }
            (Scene::Open { mut conversation, carry }, side) => {
                let mut out = Output::default();
                if !self.ear(side).gone {
                    conversation.ended(side, ending == Ending::Reset, &mut out, &mut self.keys);
                }
                self.settle(&mut conversation, &mut out);
                self.scene = Scene::Open { conversation, carry };
            }
            (Scene::Over, _) => {}
        }
        Ok(())
    }

    pub(super) fn times_out(&mut self, side: Side) -> Result<(), String> {
        match std::mem::replace(&mut self.scene, Scene::Over) {
            Scene::Challenged { opening, agreed, route, .. } if side == Side::Downstream => {
                self.abandon(&opening, &agreed, route);
            }
            Scene::Open { mut conversation, mut carry } if side == Side::Upstream && self.events.is_some() => {
                // Silent for too long, or away for too long.
                if self.is_asking() {
                    self.give_up(&mut conversation, Lost::Away);
                } else {
                    self.lost(&mut conversation, &mut carry);
                }
                self.scene = Scene::Open { conversation, carry };
            }
            Scene::Open { mut conversation, carry } => {
                let mut out = Output::default();
                match conversation.finish(side) {
                    Finish::Await | Finish::AwaitBriefly => conversation.expired(side, &mut out, &mut self.keys),
                    Finish::Flush => self.ear(side).drop_stream(),
                    Finish::Open | Finish::Drop => return Err(format!("nobody waits for the {side} here")),
                }
                self.settle(&mut conversation, &mut out);
                self.scene = Scene::Open { conversation, carry };
            }
            _ => return Err(format!("a play cannot wait for the {side} here")),
        }
        Ok(())
    }

    pub(super) fn shuts_down(&mut self) -> Result<(), String> {
        let Scene::Open { conversation, .. } = &mut self.scene else {
            return Err("a play can shut hybridge down only on an open connection".into());
        };
        let mut out = Output::default();
        conversation.go_away(Cause::GoingAway, &mut out, &mut self.keys);
        let Scene::Open { mut conversation, carry } = std::mem::replace(&mut self.scene, Scene::Over) else {
            return Ok(());
        };
        self.settle(&mut conversation, &mut out);
        self.scene = Scene::Open { conversation, carry };
        Ok(())
    }

    /// Tells an upstream that agreed that the client is gone.
    fn abandon(&mut self, opening: &Opening, agreed: &Agreed, route: &Route) {
        let mut out = Output::default();
        let mut conversation = handshake::conversation(opening, agreed, route);
        conversation.ended(Side::Downstream, true, &mut out, &mut self.keys);
        self.listening = Some((opening.dialect, agreed.extensions.is_some()));
        for ear in &mut self.ears {
            ear.head = Some(ear.heard.len());
        }
        self.ear(Side::Upstream).heard.extend(out.upstream);
        self.ear(Side::Downstream).drop_stream();
        self.give_up_upstream();
    }

    pub(super) fn hears(
        &mut self,
        conversation: &mut Conversation,
        carry: &mut [Vec<u8>; 2],
        side: Side,
        bytes: &[u8],
    ) {
        self.spoken[index(side)].extend_from_slice(bytes);
        if self.ear(side).gone {
            return;
        }
        let kept = &mut carry[index(side)];
        kept.extend_from_slice(bytes);
        let mut out = Output::default();
        let mut input = &kept[..];
        conversation.hears(side, &mut input, &mut out, &mut self.keys);
        let taken = kept.len() - input.len();
        kept.drain(..taken);
        self.settle(conversation, &mut out);
    }

    /// Writes what the conversation has just said, and ends the streams with which it is through.
    pub(super) fn settle(&mut self, conversation: &mut Conversation, out: &mut Output) {
        if let Some(events) = &mut self.events {
            out.upstream = events.posts(&std::mem::take(&mut out.upstream));
        }
        for side in SIDES {
            let ear = &mut self.ears[index(side)];
            if !ear.gone {
                ear.heard.append(out.to(side));
            }
            match conversation.finish(side) {
                Finish::Open | Finish::Await | Finish::AwaitBriefly => {}
                Finish::Drop => ear.drop_stream(),
                Finish::Flush if ear.silent => ear.drop_stream(),
                // RFC 6455 §7.1.1: the server ends TCP first. Upstream the proxy is the client, and waits for that.
                Finish::Flush => ear.ended |= side == Side::Downstream,
            }
        }
        if conversation.finish(Side::Upstream) != Finish::Open && self.events.as_mut().is_some_and(Events::ends) {
            // Nobody listens to its events any more, and its requests were all answered.
            self.ear(Side::Upstream).drop_stream();
            conversation.ended(Side::Upstream, true, out, &mut self.keys);
            self.settle(conversation, out);
        }
    }
}

/// What a client is told of where it is, of whom no more is known than its request.
pub(super) fn location(route: &Route, opening: &Opening) -> String {
    let mut facts = Facts::default();
    route.public_url.overrule(&mut facts);
    route.public_url.location(&facts, &opening.host, &opening.target)
}
