//! What may differ from run to run and what may not: a play held against what came over a network.
//!
//! Keys, dates, the order of fields, the words of a refusal and the cuts of frames may differ. What a client or a
//! backend makes of the bytes may not: an answer opens the connection or breaks the same rule, a refusal has the same
//! status and the fields that mean something, frames mean the same messages in the same order, and streams end.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Side;
use super::difference::Mismatch;
use super::heard::{Heard, ear_codec, listed};
use super::script::Due;
use crate::dialect::hixie76::KEY3;
use crate::dialect::terms::{Expected, Opened, Terms, WrongAnswer};
use crate::dialect::{BinaryPolicy, Dialect, DialectSet, hybi};
use crate::http::{self, Fields, Request, Response};
use crate::sniff::{self, First, Verdict};

/// The most fields of a head.
const MAX_FIELDS: usize = 1000;
/// Fields of a refusal that name the server and frame its words.
const FREE: [&str; 8] =
    ["date", "server", "via", "connection", "content-type", "content-length", "transfer-encoding", "keep-alive"];
/// Fields that speak for the client: a proxy must not add them.
const PERSONAL: [&str; 3] = ["origin", "cookie", "authorization"];

/// Whether what came is what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is.
    Right,
    /// It is, as far as anything whole goes; the play also shows the beginning of something, which servers that gather
    /// whole messages keep to themselves.
    Begun,
    /// It may still become so.
    NotYet(Mismatch),
    /// It never will.
    Wrong(Mismatch),
}

/// The terms of the client that says these bytes; `None` where they begin with no opening handshake. `secure`: its
/// connection is encrypted.
pub fn terms(said: &[u8], secure: bool) -> Option<Terms> {
    let First::Http(skip) = sniff::first(said) else { return None };
    let said = &said[skip..];
    let length = http::head_length(said).ok()??;
    let request = Request::parse(&said[..length], MAX_FIELDS).ok()?;
    match sniff::classify(&request, DialectSet::ALL) {
        Ok(Verdict::Opening(opening)) => {
            let key3 = said[length..].first_chunk::<KEY3>().copied();
            Some(Terms::of(&opening, &request, key3, secure))
        }
        _ => None,
    }
}

/// A head that a play shows only in part, for `hears more` follows, as a whole one of the lines that are whole.
fn as_far_as_told(bytes: &[u8], more: bool) -> Cow<'_, [u8]> {
    if !more || bytes.is_empty() || http::head_length(bytes) != Ok(None) {
        return bytes.into();
    }
    let lines = memchr::memmem::rfind(bytes, b"\r\n").unwrap_or(bytes.len());
    [&bytes[..lines], b"\r\n\r\n"].concat().into()
}

/// The terms of the client in the play, whose connection is plain, also where it is performed over TLS.
fn as_written(terms: &Terms) -> Terms {
    Terms { secure: false, ..terms.clone() }
}

/// What a client was told.
struct Answer<'a> {
    status: u16,
    fields: Fields<'a>,
    verdict: Result<Option<Opened>, WrongAnswer>,
    /// The 16 bytes of hixie-76, as far as they are there.
    proof: &'a [u8],
    frames: &'a [u8],
}

impl<'a> Answer<'a> {
    /// `None` before the head is whole.
    fn read(bytes: &'a [u8], terms: Option<&Terms>) -> Option<Answer<'a>> {
        let unreadable = |why| Answer {
            status: 0,
            fields: Fields::default(),
            verdict: Err(WrongAnswer::SentUnreadableHead(why)),
            proof: b"",
            frames: b"",
        };
        let length = match http::head_length(bytes) {
            Ok(length) => length?,
            Err(why) => return Some(unreadable(why)),
        };
        let Response { status, fields, .. } = match Response::parse(&bytes[..length], MAX_FIELDS) {
            Ok(response) => response,
            Err(why) => return Some(unreadable(why)),
        };
        let verdict = terms.map_or(Err(WrongAnswer::Declined(status)), |terms| terms.judge(bytes));
        let proof = terms.map_or(0, |terms| if matches!(terms.proof, Expected::Digest(_)) { 16 } else { 0 });
        let taken = match &verdict {
            Ok(Some(opened)) => opened.taken,
            _ if status == 101 => (length + proof).min(bytes.len()),
            // The rest are words for people.
            _ => bytes.len(),
        };
        let proof = &bytes[length..(length + proof).min(bytes.len())];
        Some(Answer { status, fields, verdict, proof, frames: &bytes[taken..] })
    }

    fn meanings(&self, dialect: Dialect) -> Heard {
        let extensions = matches!(&self.verdict, Ok(Some(opened)) if opened.extensions.is_some());
        Heard::by(&mut ear_codec(Side::Downstream, dialect, extensions), self.frames, usize::MAX)
    }
}

/// Holds what a client heard against what it should. `terms`: those of the client, where it asked for a connection.
pub fn client(due: &Due, heard: &[u8], ended: bool, terms: Option<&Terms>) -> Held {
    let side = Side::Downstream;
    let written = terms.map(as_written);
    let (at_last, so_far) = (as_far_as_told(&due.at_last, due.more), as_far_as_told(&due.so_far, due.more));
    let Some(last) = Answer::read(&at_last, written.as_ref()) else {
        return silence(side, due, heard, ended);
    };
    let now = Answer::read(&so_far, written.as_ref());
    let Some(got) = Answer::read(heard, terms) else {
        return match now {
            Some(_) => not_yet(side, "the answer", status(last.status), "nothing whole".to_owned(), ended),
            None => end(side, due, ended),
        };
    };
    if let Err(wrong) = same_answer(&last, &got) {
        return Held::Wrong(wrong);
    }
    if got.verdict == Ok(None) && now.as_ref().is_some_and(|now| now.verdict != Ok(None)) {
        return not_yet(side, "the answer", "16 bytes for the challenge".into(), "fewer".into(), ended);
    }
    let Some(dialect) = terms.map(|terms| terms.dialect).filter(|_| got.status == 101) else {
        return end(side, due, ended);
    };
    let now = now.map(|now| now.meanings(dialect)).unwrap_or_default();
    frames(side, &now, &last.meanings(dialect), &got.meanings(dialect), due, ended)
}

/// Holds the answer of a server whose backend nobody knows against what it should be: one that opens the connection, or
/// a refusal. What was agreed on, and how a refusal says so, is the server's own.
pub fn answer(due: &Due, heard: &[u8], ended: bool, terms: Option<&Terms>) -> Held {
    let side = Side::Downstream;
    let expected = as_far_as_told(&due.so_far, due.more);
    let last = Answer::read(&expected, terms.map(as_written).as_ref());
    let opens = last.as_ref().is_some_and(|last| last.status == 101);
    let Some(got) = Answer::read(heard, terms) else {
        return match last {
            // Nobody is told more than that.
            _ if !opens && ended => Held::Right,
            Some(last) => not_yet(side, "the answer", status(last.status), "nothing whole".to_owned(), ended),
            None => Held::NotYet(Mismatch::End { side, got: false }),
        };
    };
    let differs = |expected: &str, got: String| {
        Held::Wrong(Mismatch::Rule { side, what: "the answer".to_owned(), expected: expected.to_owned(), got })
    };
    match (&got.verdict, last) {
        (Ok(Some(_)), _) if opens => Held::Right,
        // Its proof comes once the client has sent what it is made of.
        (Ok(None), Some(Answer { verdict: Ok(None), .. })) => Held::Right,
        (Ok(None), _) if opens => {
            not_yet(side, "the answer", "16 bytes for the challenge".into(), "fewer".into(), ended)
        }
        // A play may show what some browser does not take.
        (got, Some(last)) if opens && *got == last.verdict => Held::Right,
        (Err(rule), _) if opens => differs("one that opens the connection", format!("one that {rule}")),
        _ if got.status == 101 => differs("a refusal", "one that opens the connection".to_owned()),
        _ => Held::Right,
    }
}

/// What a server's frames mean, once its answer has opened the connection.
pub fn meant_by_server(heard: &[u8], terms: &Terms) -> Option<Heard> {
    let answer = Answer::read(heard, Some(terms))?;
    matches!(answer.verdict, Ok(Some(_))).then(|| answer.meanings(terms.dialect))
}

/// What a client's frames mean, after its opening handshake.
pub fn meant_by_client(said: &[u8], terms: &Terms, extensions: bool) -> Heard {
    let First::Http(skip) = sniff::first(said) else { return Heard::default() };
    let said = &said[skip..];
    let head = http::head_length(said).ok().flatten().unwrap_or(said.len());
    let key3 = if matches!(terms.proof, Expected::Digest(_)) { KEY3 } else { 0 };
    let frames = &said[(head + key3).min(said.len())..];
    Heard::by(&mut terms.dialect.codec(extensions, BinaryPolicy::Close), frames, usize::MAX)
}

/// What must be equal in two answers whose heads are whole.
fn same_answer(expected: &Answer<'_>, got: &Answer<'_>) -> Result<(), Mismatch> {
    let differs = |what: &str, expected: String, got: String| {
        Err(Mismatch::Rule { side: Side::Downstream, what: what.to_owned(), expected, got })
    };
    if expected.status != got.status {
        return differs("the status", status(expected.status), status(got.status));
    }
    match (&expected.verdict, &got.verdict) {
        _ if expected.status != 101 => {}
        // A proof that is not whole yet, in either, is waited for.
        (Ok(None), Ok(_)) | (Ok(_), Ok(None)) => {}
        (Ok(Some(expected)), Ok(Some(got))) => {
            let shown = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
            if expected.subprotocol != got.subprotocol {
                return differs("the subprotocol", shown(&expected.subprotocol), shown(&got.subprotocol));
            }
            if expected.extensions != got.extensions {
                return differs("the extension", shown(&expected.extensions), shown(&got.extensions));
            }
        }
        (expected, got) if expected == got => {}
        (Ok(_), Err(rule)) | (Err(rule), Ok(_)) if told_apart(*rule, expected, got).is_some() => {
            let (what, was, is) = told_apart(*rule, expected, got).unwrap_or_default();
            let server = if got.verdict.is_ok() { "the play's server" } else { "the server" };
            return differs(&format!("{what} ({server} {rule})"), was, is);
        }
        (expected, got) => {
            let said = |verdict: &Result<Option<Opened>, WrongAnswer>| match verdict {
                Ok(_) => "one that opens the connection".to_owned(),
                Err(rule) => format!("one that {rule}"),
            };
            return differs("the answer", said(expected), said(got));
        }
    }
    for field in expected.fields.iter() {
        // What opens a connection was judged as a whole.
        let counts =
            if expected.status == 101 { field.is("set-cookie") } else { !FREE.iter().any(|free| field.is(free)) };
        let fits = |other: &http::Field<'_>| {
            other.value == field.value || field.is("set-cookie") && is_masked_cookie(field.value, other.value)
        };
        if counts && !got.fields.all(field.name).any(fits) {
            return Err(other_field(Side::Downstream, field, &got.fields));
        }
    }
    Ok(())
}

/// Whether this is a cookie whose value was masked when it was recorded, and the other one of its name.
fn is_masked_cookie(expected: &[u8], got: &[u8]) -> bool {
    let name = |cookie: &[u8]| memchr::memchr(b'=', cookie).map(|at| cookie[..at].to_vec());
    let value = expected.split(|byte| matches!(byte, b'=' | b';')).nth(1).unwrap_or_default();
    let masked = value.iter().all(|byte| !byte.is_ascii_alphanumeric() || matches!(byte, b'x' | b'X' | b'0'));
    masked && !value.is_empty() && name(expected).is_some() && name(expected) == name(got)
}

/// What in two answers shows the rule that the second one broke: its name, and the one and the other.
fn told_apart(rule: WrongAnswer, expected: &Answer<'_>, got: &Answer<'_>) -> Option<(String, String, String)> {
    use WrongAnswer as W;
    let ending = match rule {
        W::SentWrongUpgrade => "upgrade",
        W::SentWrongConnection => "connection",
        W::SentWrongOrigin => "websocket-origin",
        W::SentWrongLocation => "websocket-location",
        W::SentWrongAccept => "websocket-accept",
        W::ChoseForeignSubprotocol | W::ChoseNoSubprotocol => "websocket-protocol",
        W::ChoseForeignExtension => "websocket-extensions",
        W::FailedChallenge => {
            let shown = |answer: &Answer<'_>| answer.proof.escape_ascii().to_string();
            return Some(("the answer to the challenge".to_owned(), shown(expected), shown(got)));
        }
        _ => return None,
    };
    let of = |answer: &Answer<'_>| {
        let fields = answer.fields.iter().filter(|field| field.name.to_ascii_lowercase().ends_with(ending));
        let values: Vec<String> = fields.map(|field| field.value.escape_ascii().to_string()).collect();
        if values.is_empty() { "none".to_owned() } else { values.join(", ") }
    };
    let all = || expected.fields.iter().chain(got.fields.iter());
    let name = all().map(|field| field.name).find(|name| name.to_ascii_lowercase().ends_with(ending))?;
    Some((format!("the field {name}"), of(expected), of(got)))
}

/// Holds what an upstream heard against what it should. `own`: the host and port that the upstream is reached at, which
/// a proxy may name in `Host`.
pub fn upstream(due: &Due, heard: &[u8], ended: bool, own: &str) -> Held {
    let side = Side::Upstream;
    let (last, now, got) = match (asked(&due.at_last), asked(&due.so_far), asked(heard)) {
        (None, ..) => return silence(side, due, heard, ended),
        (_, Some(_), None) => return not_yet(side, "the request", "one".into(), "nothing whole".into(), ended),
        (_, None, None) => return end(side, due, ended),
        (Some(last), now, Some(got)) => (last, now, got),
    };
    if let Err(wrong) = same_request(&last.0, &got.0, own) {
        return Held::Wrong(wrong);
    }
    // Whether the extension was agreed on is the answer's; frames that use one tell so.
    let meanings = |frames: &[u8]| {
        Heard::by(
            &mut ear_codec(side, Dialect::Rfc6455, last.0.fields.has("sec-websocket-extensions")),
            frames,
            usize::MAX,
        )
    };
    let now = now.map(|now| meanings(now.1)).unwrap_or_default();
    frames(side, &now, &meanings(last.1), &meanings(got.1), due, ended)
}

fn asked(bytes: &[u8]) -> Option<(Request<'_>, &[u8])> {
    let length = http::head_length(bytes).ok()??;
    Some((Request::parse(&bytes[..length], MAX_FIELDS).ok()?, &bytes[length..]))
}

fn same_request(expected: &Request<'_>, got: &Request<'_>, own: &str) -> Result<(), Mismatch> {
    let line = |request: &Request<'_>| format!("{} {}", request.method, request.target);
    if line(expected) != line(got) {
        let what = "the request line".to_owned();
        return Err(Mismatch::Rule { side: Side::Upstream, what, expected: line(expected), got: line(got) });
    }
    for field in expected.fields.iter() {
        let fits = |value: &[u8]| match () {
            () if field.is("sec-websocket-key") => {
                std::str::from_utf8(value).is_ok_and(|key| hybi::is_key(Dialect::Rfc6455, key))
            }
            () if field.is("host") => value == field.value || value == own.as_bytes(),
            // Tokens, in any case.
            () if field.is("upgrade") || field.is("connection") => value.eq_ignore_ascii_case(field.value),
            () => value == field.value,
        };
        if !got.fields.all(field.name).any(|other| fits(other.value)) {
            return Err(other_field(Side::Upstream, field, &got.fields));
        }
    }
    let own_words = |name: &str| PERSONAL.contains(&name) || name.starts_with("sec-websocket-");
    for field in got.fields.iter() {
        if own_words(&field.name.to_ascii_lowercase()) && !expected.fields.has(field.name) {
            let what = format!("the field {}", field.name);
            let got = field.value.escape_ascii().to_string();
            return Err(Mismatch::Rule { side: Side::Upstream, what, expected: "none".into(), got });
        }
    }
    Ok(())
}

/// The `Sec-WebSocket-Key` of the request an upstream heard, once its head is whole.
pub fn key_of(heard: &[u8]) -> Option<String> {
    let (request, _) = asked(heard)?;
    Some(String::from_utf8_lossy(request.fields.first("sec-websocket-key").unwrap_or_default()).into_owned())
}

fn other_field(side: Side, field: &http::Field<'_>, got: &Fields<'_>) -> Mismatch {
    let value = |value: &[u8]| value.escape_ascii().to_string();
    let got = got.first(field.name).map_or("none".to_owned(), value);
    Mismatch::Rule { side, what: format!("the field {}", field.name), expected: value(field.value), got }
}

fn frames(side: Side, now: &Heard, last: &Heard, got: &Heard, due: &Due, ended: bool) -> Held {
    let mismatch =
        |expected: &Heard| Mismatch::Meaning { side, expected: listed(&expected.whole), got: got.to_string() };
    if !last.whole.starts_with(&got.whole) {
        return Held::Wrong(mismatch(last));
    }
    if got.broke.is_some() && last.broke.is_none() {
        return Held::Wrong(mismatch(last));
    }
    // A stream may break off in what the play does not begin; but then it ends.
    if !due.more && got.whole == last.whole && got.goes_beyond(last) && !got.broke_off_of(last, ended) {
        let wrong = mismatch(last);
        return if ended { Held::Wrong(wrong) } else { Held::NotYet(wrong) };
    }
    let begun = |heard: &Heard| heard.unfinished.as_ref().map_or(0, |(_, bytes)| bytes.len()) + heard.rest.len();
    match got.whole.len().cmp(&now.whole.len()) {
        // A fault in a frame of which a part was on its way: the stream just ends in it.
        Ordering::Less if got.broke_off_of(last, ended) => end(side, due, ended),
        Ordering::Less if ended => Held::Wrong(mismatch(now)),
        Ordering::Less => Held::NotYet(mismatch(now)),
        Ordering::Equal if begun(got) < begun(now) && !ended => Held::Begun,
        _ => end(side, due, ended),
    }
}

/// A side that hears nothing in the whole play that could be compared by rule.
fn silence(side: Side, due: &Due, heard: &[u8], ended: bool) -> Held {
    let mismatch = || Mismatch::Bytes { side, expected: due.at_last.clone(), got: heard.to_vec() };
    if !due.at_last.starts_with(heard) {
        return Held::Wrong(mismatch());
    }
    match heard.len() >= due.so_far.len() {
        true => end(side, due, ended),
        false if ended => Held::Wrong(mismatch()),
        false => Held::NotYet(mismatch()),
    }
}

fn end(side: Side, due: &Due, ended: bool) -> Held {
    match (due.ended, ended) {
        (true, false) => Held::NotYet(Mismatch::End { side, got: false }),
        (false, true) if !due.ends => Held::Wrong(Mismatch::End { side, got: true }),
        _ => Held::Right,
    }
}

fn not_yet(side: Side, what: &str, expected: String, got: String, ended: bool) -> Held {
    let mismatch = Mismatch::Rule { side, what: what.to_owned(), expected, got };
    if ended { Held::Wrong(mismatch) } else { Held::NotYet(mismatch) }
}

fn status(status: u16) -> String {
    if status == 0 { "no HTTP status".to_owned() } else { format!("status {status}") }
}
