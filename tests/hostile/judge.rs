//! What must come of a row, and whether it did.

use super::backend::Running;
use super::bodies::{Answers, Body, answers, body};
use super::frames::{Frame, fault_of_frames};
use super::frames::{close_code, fault_of_head, fault_of_stream, head_end, hixie, hybi, messages};
use super::line::{End, Heard, contains};
use super::support::{Dialect, shown};

/// What came of a row so far.
pub struct Seen {
    pub dialect: Option<Dialect>,
    /// What the client heard.
    pub client: Vec<u8>,
    /// How much that was, also beyond what was kept.
    pub client_total: u64,
    pub client_end: Option<End>,
    pub visits: Vec<Visited>,
}

/// A request that reached the backend, and what came behind it.
pub struct Visited {
    pub bytes: Vec<u8>,
    pub upgraded: bool,
    pub ended: bool,
}

impl Seen {
    pub fn new(dialect: Option<Dialect>, client: &Heard, running: &Running) -> Seen {
        let visits = running.visits.lock().expect("nobody panics");
        let visited = |visit: &super::backend::Visit| Visited {
            bytes: visit.bytes(),
            upgraded: visit.upgraded,
            ended: visit.ended() || visit.is_over(),
        };
        Seen {
            dialect,
            client: client.bytes.clone(),
            client_total: client.total,
            client_end: client.end,
            visits: visits.iter().map(visited).collect(),
        }
    }

    /// The status of the first answer.
    pub fn status(&self) -> Option<u16> {
        let head = &self.client[..head_end(&self.client)?];
        std::str::from_utf8(head).ok()?.split(' ').nth(1)?.get(..3)?.parse().ok()
    }

    /// What the client heard after its answer of 101, and in hixie-76 after the digest; nothing before that.
    pub fn stream(&self) -> &[u8] {
        let digest = if self.dialect == Some(Dialect::Hixie76) { 16 } else { 0 };
        let from = head_end(&self.client).filter(|_| self.status() == Some(101));
        from.and_then(|from| self.client.get(from + digest..)).unwrap_or_default()
    }

    /// The whole messages that the client heard.
    fn client_messages(&self) -> Vec<Vec<u8>> {
        match self.dialect {
            Some(Dialect::Hixie75 | Dialect::Hixie76) => hixie(self.stream()).texts,
            _ => messages(&hybi(self.stream())).into_iter().map(|(_, payload)| payload).collect(),
        }
    }

    /// The whole messages that reached the backend.
    pub fn backend_messages(&self) -> Vec<Vec<u8>> {
        messages(&self.backend_frames()).into_iter().map(|(_, payload)| payload).collect()
    }

    /// The frames that reached the backend on connections that are WebSockets.
    fn backend_frames(&self) -> Vec<Frame> {
        let upgraded = self.visits.iter().filter(|visit| visit.upgraded);
        upgraded
            .flat_map(|visit| head_end(&visit.bytes).map(|from| hybi(&visit.bytes[from..])).unwrap_or_default())
            .collect()
    }

    /// What is wrong whatever the row is about: heads and frames that nobody may write.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        // A backend may be connected to and told nothing.
        for visit in self.visits.iter().filter(|visit| !visit.bytes.is_empty()) {
            let Some(end) = head_end(&visit.bytes) else {
                faults.push(format!("what reached the backend is no request: {}", shown(&visit.bytes)));
                continue;
            };
            faults.extend(
                fault_of_head(&visit.bytes[..end]).map(|fault| format!("in the request to the backend: {fault}")),
            );
            if visit.upgraded {
                let fault = fault_of_frames(&hybi(&visit.bytes[end..]), true);
                faults.extend(fault.map(|fault| format!("to the backend: {fault}")));
            }
        }
        if let Some(end) = head_end(&self.client) {
            faults.extend(
                fault_of_head(&self.client[..end]).map(|fault| format!("in the answer to the client: {fault}")),
            );
        }
        if let Some(dialect) = self.dialect {
            faults.extend(fault_of_stream(dialect, self.stream()).map(|fault| format!("to the client: {fault}")));
        }
        faults
    }

    /// What the client heard, as ordinary answers.
    pub fn answers(&self) -> Answers {
        answers(&self.client, self.client_end.is_some())
    }

    /// What was heard, for people.
    pub fn told(&self) -> String {
        let mut text = format!("client heard {}", shown(&self.client));
        text += match self.client_end {
            Some(End::Fin) => " and the end",
            Some(End::Reset) => " and a reset",
            Some(End::Left) => " until it left",
            None => ", and its connection is open",
        };
        for visit in &self.visits {
            text += &format!("\n      backend heard {}", shown(&visit.bytes));
            text += if visit.ended { " and the end" } else { ", and its connection is open" };
        }
        text
    }
}

impl Visited {
    /// The body of what reached the backend.
    fn body(&self) -> Body {
        let Some(end) = head_end(&self.bytes) else { return Body::Broken };
        body(&self.bytes[..end], &self.bytes[end..], false)
    }
}

/// Something that must hold in the end.
pub struct Check {
    /// What, in words.
    pub says: String,
    test: Box<dyn Fn(&Seen) -> bool + Send + Sync>,
}

impl Check {
    pub fn holds(&self, seen: &Seen) -> bool {
        (self.test)(seen)
    }
}

/// A check of a row's own.
pub fn check(says: impl Into<String>, test: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Check {
    Check { says: says.into(), test: Box::new(test) }
}

/// One of these holds.
pub fn any(checks: impl IntoIterator<Item = Check>) -> Check {
    let checks: Vec<Check> = checks.into_iter().collect();
    let says = checks.iter().map(|check| check.says.as_str()).collect::<Vec<_>>().join(", or ");
    check(says, move |seen| checks.iter().any(|check| check.holds(seen)))
}

/// All of these hold.
pub fn all(checks: impl IntoIterator<Item = Check>) -> Check {
    let checks: Vec<Check> = checks.into_iter().collect();
    let says = checks.iter().map(|check| check.says.as_str()).collect::<Vec<_>>().join(" and ");
    check(says, move |seen| checks.iter().all(|check| check.holds(seen)))
}

// The client.

/// One answer with one of these statuses, any of 4xx and 5xx if none is named, then the end and nothing else.
pub fn refused(statuses: &'static [u16]) -> Check {
    let says = match statuses {
        [] => "the client is refused and closed".to_owned(),
        _ => format!("the client is refused with {statuses:?} and closed"),
    };
    check(says, move |seen| {
        let fits = |status| if statuses.is_empty() { (400..600).contains(&status) } else { statuses.contains(&status) };
        seen.client_end.is_some() && seen.status().is_some_and(fits) && is_one_answer(&seen.client)
    })
}

fn is_one_answer(bytes: &[u8]) -> bool {
    let Some(end) = head_end(bytes) else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    // Without a length the end of the stream is the end of the answer, which must not look like another.
    length.map_or_else(|| !contains(&bytes[end..], b"HTTP/1."), |length| bytes.len() - end == length)
}

/// The client hears nothing at all, and the end.
pub fn dropped() -> Check {
    check("the client is closed without a word", |seen| seen.client_end.is_some() && seen.client.is_empty())
}

/// The client is turned away, with a refusal or without a word.
pub fn turned_away() -> Check {
    any([refused(&[]), dropped()])
}

/// The client's answer has this status, whatever follows.
pub fn answered(status: u16) -> Check {
    check(format!("the client is answered {status}"), move |seen| seen.status() == Some(status))
}

/// The client's connection did not become a WebSocket.
pub fn not_opened() -> Check {
    check("no connection opens", |seen| seen.status() != Some(101))
}

/// The client's connection has ended.
pub fn ended() -> Check {
    check("the client's connection ends", |seen| seen.client_end.is_some())
}

/// The client's connection is still there.
pub fn stays() -> Check {
    check("the client's connection stays open", |seen| seen.client_end.is_none())
}

/// What the client hears of an HTTP response does not look whole: fewer bytes than its length says, or no last chunk. A
/// body with neither just ends, so only a reset tells. Being told 502 or 504 is as good.
pub fn unfinished() -> Check {
    check("the client sees that the response is not whole", |seen| {
        let Some(end) = head_end(&seen.client) else { return seen.client.is_empty() };
        let head = String::from_utf8_lossy(&seen.client[..end]).to_ascii_lowercase();
        let body = &seen.client[end..];
        let field = |name: &str| head.split("\r\n").find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        let is_short = match field("content-length:").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => body.len() < length,
            None if field("transfer-encoding:").is_some() => !body.ends_with(b"0\r\n\r\n"),
            None => seen.client_end.is_none_or(|end| end == End::Reset),
        };
        is_short || matches!(seen.status(), Some(502 | 504))
    })
}

/// The client heard these bytes.
pub fn hears(bytes: impl AsRef<[u8]>) -> Check {
    let bytes = bytes.as_ref().to_vec();
    check(format!("the client hears {}", shown(&bytes)), move |seen| contains(&seen.client, &bytes))
}

/// The client never hears these bytes.
pub fn never_hears(bytes: impl AsRef<[u8]>) -> Check {
    let bytes = bytes.as_ref().to_vec();
    check(format!("the client never hears {}", shown(&bytes)), move |seen| !contains(&seen.client, &bytes))
}

/// The client hears just these whole messages.
pub fn hears_messages(texts: &[&str]) -> Check {
    let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let says = match texts.len() {
        0 => "the client hears no whole message".to_owned(),
        _ => format!("the client hears the messages {:?}", texts.iter().map(|text| shown(text)).collect::<Vec<_>>()),
    };
    check(says, move |seen| seen.client_messages() == texts)
}

/// The client is told that it is over, in its dialect's words, and closed: a close with one of these codes (any, if none
/// is named) from version 7 up, 0xFF 0x00 in hixie-76, only the end in hixie-75.
pub fn told(codes: &'static [u16]) -> Check {
    check(format!("the client is told so{} and closed", Codes(codes)), move |seen| {
        let said = match seen.dialect {
            None | Some(Dialect::Hixie75) => true,
            Some(Dialect::Hixie76) => hixie(seen.stream()).closed,
            Some(_) => close_code(&hybi(seen.stream())).is_some_and(|code| codes.is_empty() || codes.contains(&code)),
        };
        said && seen.client_end.is_some()
    })
}

/// The client's stream ends without a close, as where a message was cut short.
pub fn cut_off() -> Check {
    check("the client's stream ends without a close", |seen| {
        let closed = match seen.dialect {
            None | Some(Dialect::Hixie75) => false,
            Some(Dialect::Hixie76) => hixie(seen.stream()).closed,
            Some(_) => close_code(&hybi(seen.stream())).is_some(),
        };
        !closed && seen.client_end.is_some()
    })
}

/// The client hears just these whole ordinary answers, each with its body, and nothing besides.
pub fn hears_answers(expected: &[(u16, &str)]) -> Check {
    let expected: Vec<(u16, Vec<u8>)> =
        expected.iter().map(|(status, body)| (*status, body.as_bytes().to_vec())).collect();
    let said: Vec<String> = expected.iter().map(|(status, body)| format!("{status} {}", shown(body))).collect();
    check(format!("the client hears the whole answers {said:?}"), move |seen| {
        let heard = seen.answers();
        heard.whole == expected && heard.rest.is_empty()
    })
}

/// The client is told that the backend is no good, and hears nothing besides.
pub fn bad_gateway() -> Check {
    check("the client hears one answer of 500, 502, 503 or 504", |seen| {
        let Answers { whole, rest } = seen.answers();
        matches!(whole[..], [(500 | 502..=504, _)]) && rest.is_empty()
    })
}

/// What the client hears cannot be taken for a whole answer: it begins one and ends, or is nothing but the end.
pub fn hears_a_torso() -> Check {
    check("the client's answer breaks off", |seen| seen.client_end.is_some() && seen.answers().whole.is_empty())
}

/// The client heard this frame; `first` is its first byte.
pub fn hears_frame(first: u8, payload: impl AsRef<[u8]>) -> Check {
    let payload = payload.as_ref().to_vec();
    check(format!("the client hears a frame {first:#04x} with {}", shown(&payload)), move |seen| {
        hybi(seen.stream()).iter().any(|frame| frame.first == first && frame.payload == payload)
    })
}

// The backend.

/// Nothing reached the backend.
pub fn untouched() -> Check {
    check("nothing reaches the backend", |seen| seen.visits.is_empty())
}

/// So many requests reached the backend.
pub fn requests(count: usize) -> Check {
    check(format!("{count} requests reach the backend"), move |seen| seen.visits.len() == count)
}

/// Just one request reached the backend, and nothing behind its head.
pub fn only_a_head() -> Check {
    check("of the client only a request head reaches the backend", |seen| {
        seen.visits.len() == 1 && seen.visits.iter().all(|visit| head_end(&visit.bytes) == Some(visit.bytes.len()))
    })
}

/// Whatever holds these bytes reached the backend as a request of its own, or not at all: it begins with them.
pub fn hides_nothing(secret: impl AsRef<[u8]>) -> Check {
    let secret = secret.as_ref().to_vec();
    check(format!("{} is hidden in no other request", shown(&secret)), move |seen| {
        seen.visits.iter().all(|visit| {
            memchr::memmem::find(&visit.bytes, &secret).is_none_or(|at| !contains(&visit.bytes[..at], b"\r\n"))
        })
    })
}

/// No request reached the backend as a whole: what is cut short or broken is never made to look complete.
pub fn completes_nothing() -> Check {
    check("no whole request reaches the backend", |seen| {
        seen.visits.iter().all(|visit| !matches!(visit.body(), Body::Whole { .. }))
    })
}

/// The bodies that reached the backend are framed in one way, end where they say, and nothing stands behind them.
pub fn framed() -> Check {
    check("every body that reaches the backend is well framed", |seen| {
        seen.visits.iter().all(|visit| match visit.body() {
            Body::Whole { length, .. } => head_end(&visit.bytes).map(|end| end + length) == Some(visit.bytes.len()),
            Body::Cut => true,
            Body::Broken => false,
        })
    })
}

/// The backend heard these bytes.
pub fn gets(bytes: impl AsRef<[u8]>) -> Check {
    let bytes = bytes.as_ref().to_vec();
    check(format!("the backend gets {}", shown(&bytes)), move |seen| {
        seen.visits.iter().any(|visit| contains(&visit.bytes, &bytes))
    })
}

/// The backend heard this text, in any letter case, as the names of fields may be written.
pub fn gets_in_any_case(text: &'static str) -> Check {
    check(format!("the backend gets {text:?} in any case"), move |seen| {
        seen.visits
            .iter()
            .any(|visit| contains(&visit.bytes.to_ascii_lowercase(), text.to_ascii_lowercase().as_bytes()))
    })
}

/// The backend never hears this text, in whatever letter case.
pub fn never_gets_in_any_case(text: &'static str) -> Check {
    check(format!("the backend never gets {text:?} in any case"), move |seen| {
        let text = text.to_ascii_lowercase();
        seen.visits.iter().all(|visit| !contains(&visit.bytes.to_ascii_lowercase(), text.as_bytes()))
    })
}

/// The backend never hears these bytes.
pub fn never_gets(bytes: impl AsRef<[u8]>) -> Check {
    let bytes = bytes.as_ref().to_vec();
    check(format!("the backend never gets {}", shown(&bytes)), move |seen| {
        seen.visits.iter().all(|visit| !contains(&visit.bytes, &bytes))
    })
}

/// Just these whole messages reached the backend.
pub fn gets_messages(texts: &[&[u8]]) -> Check {
    let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
    let says = match texts.len() {
        0 => "no whole message reaches the backend".to_owned(),
        _ => format!("the backend gets the messages {:?}", texts.iter().map(|text| shown(text)).collect::<Vec<_>>()),
    };
    check(says, move |seen| seen.backend_messages() == texts)
}

/// This frame reached the backend; `first` is its first byte.
pub fn gets_frame(first: u8, payload: impl AsRef<[u8]>) -> Check {
    let payload = payload.as_ref().to_vec();
    check(format!("the backend gets a frame {first:#04x} with {}", shown(&payload)), move |seen| {
        seen.backend_frames().iter().any(|frame| frame.first == first && frame.payload == payload)
    })
}

/// The backend hears a close with one of these codes, any if none is named, and the end.
pub fn backend_told(codes: &'static [u16]) -> Check {
    check(format!("the backend is told so{} and closed", Codes(codes)), move |seen| {
        let code = close_code(&seen.backend_frames());
        code.is_some_and(|code| codes.is_empty() || codes.contains(&code))
            && seen.visits.iter().all(|visit| visit.ended)
    })
}

/// The backend's connection ends without a close, as where a message was cut short.
pub fn backend_cut_off() -> Check {
    check("the backend's stream ends without a close", |seen| {
        !seen.visits.is_empty()
            && close_code(&seen.backend_frames()).is_none()
            && seen.visits.iter().all(|visit| visit.ended)
    })
}

/// The backend's connections have ended, in whatever way.
pub fn backend_left() -> Check {
    check("the backend's connection ends", |seen| {
        !seen.visits.is_empty() && seen.visits.iter().all(|visit| visit.ended)
    })
}

/// Close codes in a sentence.
struct Codes(&'static [u16]);

impl std::fmt::Display for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " with {:?}", self.0) }
    }
}
