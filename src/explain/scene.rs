//! What was seen between one client and one server: a play, captured bytes, or a handshake pasted as text, in one form.

use std::fmt;
use std::time::Duration;

use super::paste;
use crate::conversation::Side;
use crate::dialect::Dialect;
use crate::http;
use crate::sniff::{self, First, Foreign};
use crate::transcript::{Act, Transcript};

/// One of the two that talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Client,
    Server,
}

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Says(Who, Vec<u8>),
    Ends(Who),
    Pause(Duration),
    /// A wait ran out; how long it was is not known.
    TimesOut,
    ShutsDown,
}

/// How well a side was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Byte for byte.
    Exact,
    /// As text that went through a clipboard: line ends, unprintable bytes and runs of blanks may be lost.
    Pasted,
    /// Not at all.
    None,
}

/// What was seen between a client and a server, in its order.
#[derive(Clone, Debug)]
pub struct Scene {
    pub(super) steps: Vec<Step>,
    pub(super) client: Sight,
    pub(super) server: Sight,
    /// It is shown from its beginning to its end, so that silence is silence.
    pub(super) whole: bool,
    /// The header lines may have been put in another order.
    pub(super) sorted: bool,
    /// Both secrets of hixie-76 came through a paste unharmed.
    pub(super) proof_survived: bool,
    /// Whether the page's URL is known to be `wss`.
    pub(super) secure: Option<bool>,
    opened: Option<Dialect>,
    remarks: Vec<String>,
    behind: Option<Box<Scene>>,
}

/// Why nothing could be read from a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood(pub String);

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotUnderstood {}

impl Scene {
    pub(super) fn new(steps: Vec<Step>, client: Sight, server: Sight) -> Scene {
        Scene {
            steps,
            client,
            server,
            whole: false,
            sorted: false,
            proof_survived: false,
            secure: None,
            opened: None,
            remarks: Vec::new(),
            behind: None,
        }
    }

    /// What a client and hybridge, or any server, say to each other in a play; and behind it, what hybridge and its
    /// upstream do.
    pub fn of_play(play: &Transcript) -> Scene {
        let mut front = Scene { whole: true, ..Scene::new(Vec::new(), Sight::Exact, Sight::Exact) };
        let mut behind = front.clone();
        for line in play.lines() {
            let (scene, step) = match &line.act {
                Act::Opens(dialect) => {
                    front.opened = Some(*dialect);
                    continue;
                }
                Act::Says(Side::Downstream, bytes) => (&mut front, Step::Says(Who::Client, bytes.clone())),
                Act::Hears(Side::Downstream, bytes) => (&mut front, Step::Says(Who::Server, bytes.clone())),
                Act::Ends(Side::Downstream, _) => (&mut front, Step::Ends(Who::Client)),
                Act::HearsEnd(Side::Downstream) => (&mut front, Step::Ends(Who::Server)),
                Act::Says(Side::Upstream, bytes) => (&mut behind, Step::Says(Who::Server, bytes.clone())),
                Act::Hears(Side::Upstream, bytes) => (&mut behind, Step::Says(Who::Client, bytes.clone())),
                Act::Ends(Side::Upstream, _) => (&mut behind, Step::Ends(Who::Server)),
                Act::HearsEnd(Side::Upstream) => (&mut behind, Step::Ends(Who::Client)),
                Act::TimesOut(Side::Downstream) => (&mut front, Step::TimesOut),
                Act::TimesOut(Side::Upstream) => (&mut behind, Step::TimesOut),
                Act::ShutsDown => (&mut front, Step::ShutsDown),
                Act::Pause(time) => {
                    behind.steps.push(Step::Pause(*time));
                    (&mut front, Step::Pause(*time))
                }
                // More of what a play leaves open: at the least the blank line of a refusal's head.
                Act::HearsMore(Side::Downstream) => (&mut front, Step::Says(Who::Server, b"\r\n".to_vec())),
                Act::HearsMore(Side::Upstream) => (&mut behind, Step::Says(Who::Client, b"\r\n".to_vec())),
                Act::Comment(_) | Act::Setting(..) | Act::Means(..) | Act::Explains(_) => continue,
            };
            scene.steps.push(step);
        }
        let dialled = behind.steps.iter().any(|step| matches!(step, Step::Says(Who::Client, _)));
        if front.opened.is_none() && dialled {
            front.behind = Some(Box::new(behind));
        }
        front
    }

    /// Whatever these bytes are: a play, captured bytes of one side or of both in turn, or pasted text.
    ///
    /// # Errors
    /// They are text in which no play and no handshake can be found.
    pub fn of_bytes(bytes: &[u8]) -> Result<Scene, NotUnderstood> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).ok();
        if let Some(text) = text.filter(|text| is_play(text)) {
            let play = Transcript::parse(text, "line")
                .map_err(|fault| NotUnderstood(format!("this looks like a play, but cannot be read: {fault}")))?;
            return Ok(Scene::of_play(&play));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) && !bytes.starts_with(b"\r\n\r\n") {
            return Err(NotUnderstood("the file is empty".into()));
        }
        if is_captured(bytes) {
            return Ok(Scene::of_capture(bytes));
        }
        let printable = |byte: &&u8| **byte >= 0x20 || byte.is_ascii_whitespace() || **byte == 0x1B;
        let mostly_text = bytes.iter().filter(printable).count() * 10 >= bytes.len() * 9;
        if let Some(scene) = mostly_text.then(|| paste::scene(&String::from_utf8_lossy(bytes))).flatten() {
            return Ok(scene);
        }
        let begins_a_request = ["GET ", "POST ", "HEAD ", "CONNECT "].iter().any(|m| bytes.starts_with(m.as_bytes()));
        if text.is_some() && mostly_text && !begins_a_request {
            return Err(NotUnderstood(
                "no play, no request (GET … HTTP/1.1) and no answer (HTTP/1.1 101 …) can be found in this text".into(),
            ));
        }
        Ok(Scene::of_capture(bytes))
    }

    /// Captured bytes: of the client, of the server where they begin with a response, or of both in turn.
    pub(super) fn of_capture(bytes: &[u8]) -> Scene {
        if bytes.starts_with(b"HTTP/") {
            let steps = vec![Step::Says(Who::Server, bytes.to_vec())];
            return Scene::new(steps, Sight::None, Sight::Exact);
        }
        // A response that begins where a client's bytes would be frames, or after its third key.
        let head = http::head_length(bytes).ok().flatten().unwrap_or(bytes.len());
        let answers = |at: &usize| bytes.get(*at..).is_some_and(|rest| rest.starts_with(b"HTTP/1."));
        match [head, head + 8].into_iter().find(answers) {
            Some(at) => {
                let steps =
                    vec![Step::Says(Who::Client, bytes[..at].to_vec()), Step::Says(Who::Server, bytes[at..].to_vec())];
                Scene::new(steps, Sight::Exact, Sight::Exact)
            }
            None => Scene::new(vec![Step::Says(Who::Client, bytes.to_vec())], Sight::Exact, Sight::None),
        }
    }

    pub(super) fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(remark.into());
    }

    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The dialect in which the connection is open from the start.
    pub(super) fn opened(&self) -> Option<Dialect> {
        self.opened
    }

    /// What hybridge and its upstream say to each other meanwhile.
    pub(super) fn behind(&self) -> Option<&Scene> {
        self.behind.as_deref()
    }

    /// All that one of them says.
    pub(super) fn said_by(&self, who: Who) -> Vec<u8> {
        let said = self.steps.iter().filter_map(|step| match step {
            Step::Says(by, bytes) if *by == who => Some(bytes.as_slice()),
            _ => None,
        });
        said.collect::<Vec<_>>().concat()
    }

    /// What the client says before the server says anything.
    pub(super) fn said_first(&self) -> Vec<u8> {
        let before = self.steps.iter().take_while(|step| !matches!(step, Step::Says(Who::Server, _)));
        let said = before.filter_map(|step| match step {
            Step::Says(Who::Client, bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        said.collect::<Vec<_>>().concat()
    }

    /// Whether one of them ends the stream.
    pub(super) fn ended_by(&self, who: Who) -> bool {
        self.steps.contains(&Step::Ends(who))
    }

    /// Whether the server's byte of this number and the one before it came in two segments.
    pub(super) fn cut_within(&self, from: usize, to: usize) -> bool {
        let mut at = 0;
        let mut cut = false;
        for step in &self.steps {
            match step {
                Step::Says(Who::Server, bytes) => {
                    if cut && at > from && at < to {
                        return true;
                    }
                    (at, cut) = (at + bytes.len(), false);
                }
                _ => cut = true,
            }
        }
        false
    }
}

/// A text that begins as plays do: with a comment, and then a line of theirs.
fn is_play(text: &str) -> bool {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let verbs = ["says", "hears", "opens", "ends", "breaks", "times", "means", "shuts", "explains"];
    let mut seen = lines.take(20).map(|line| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("client" | "upstream" | "hybridge"), Some(verb)) => verbs.contains(&verb),
            (Some("pause"), Some(time)) => time.ends_with("ms"),
            (Some("route" | "limits"), Some(_)) => line.contains('='),
            _ => false,
        }
    });
    seen.next() == Some(true)
}

/// A request whose answer stands behind it as only a paste has it: after something other than the third key, or without
/// a blank line at its end.
fn is_pasted_with_crlf(bytes: &[u8]) -> bool {
    let Ok(Some(head)) = http::head_length(bytes) else { return false };
    if bytes.starts_with(b"HTTP/") {
        return false;
    }
    let after = &bytes[head..];
    let answer = (0..after.len().saturating_sub(6))
        .find(|at| after[*at..].starts_with(b"HTTP/1.") && (*at == 0 || *at == 8 || after[at - 1] == b'\n'));
    // Eight bytes of which two end a line, and not one unprintable byte anywhere: that was no third key.
    let text = bytes.iter().all(|byte| (0x20..0x7F).contains(byte) || matches!(byte, b'\r' | b'\n'));
    let no_key3 = |at: usize| at == 8 && text && after[..8].ends_with(b"\r\n");
    answer.is_some_and(|at| !matches!(at, 0 | 8) || no_key3(at) || matches!(http::head_length(&after[at..]), Ok(None)))
}

/// Bytes as they went over the wire: another protocol's first ones, or a head whose lines end in CR LF.
fn is_captured(bytes: &[u8]) -> bool {
    if let First::Foreign(Foreign::Proxy | Foreign::Tls | Foreign::Http2 | Foreign::FlashPolicy) = sniff::first(bytes) {
        return true;
    }
    let mut rest = bytes;
    while let [b'\r' | b'\n', after @ ..] = rest {
        rest = after;
    }
    let mut lines = rest.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let names_http = first.starts_with(b"HTTP/") || first.windows(6).any(|six| six == b" HTTP/");
    let begins = first.first().is_some_and(u8::is_ascii_uppercase) && names_http && first.ends_with(b"\r\n");
    // A file that an editor saved has lost its last, empty line.
    let whole = rest.windows(4).any(|four| four == b"\r\n\r\n");
    begins
        && !is_pasted_with_crlf(rest)
        && (whole || lines.any(|line| !line.ends_with(b"\r\n") && line.ends_with(b"\n")))
}
