//! The server's answer, held to the client's own terms; what broke them gets its name here.

use super::request::{Asked, Way};
use super::scene::{Sight, Step, Who};
use super::words::{count, shown};
use super::{Book, Broken, Fault, Rule, Scene, echo, proof};
use crate::dialect::opening::Asked as Subprotocols;
use crate::dialect::terms::{Expected, Opened, Terms, WrongAnswer};
use crate::dialect::{Dialect, hixie76};
use crate::http::{self, BadHead, Response};

const MAX_FIELDS: usize = 100;
/// HAProxy's own page for a request that it does not take.
const HAPROXY_400: &[u8] = b"Your browser sent an invalid request";

/// Why the rules of a request are not judged.
const UNSEEN: &str = "the request was not seen";

/// A connection that is open.
pub(super) struct Open {
    /// The server's bytes that belong to the answer.
    pub(super) taken: usize,
    /// An extension was agreed on, or may have been.
    pub(super) extensions: bool,
}

/// An answer's head, and what is known of the client that gets it.
pub(super) struct Answer<'a> {
    pub(super) scene: &'a Scene,
    pub(super) asked: &'a Asked,
    pub(super) terms: &'a Terms,
    pub(super) response: Response<'a>,
    /// What follows the head.
    pub(super) after: &'a [u8],
}

/// Judges the answer; `None` where nothing of what follows can be judged.
pub(super) fn judge(scene: &Scene, way: Way, book: &mut Book) -> Result<Option<(Asked, Open)>, Broken> {
    let asked = match way {
        Way::Elsewhere => return Ok(None),
        Way::Unseen(Some(dialect)) => {
            for rule in Rule::ALL.into_iter().filter(|rule| *rule < Rule::Frames) {
                book.not_seen(rule, "the connection is open when the play begins");
            }
            return Ok(Some((Asked::unseen(dialect), Open { taken: 0, extensions: false })));
        }
        Way::Unseen(None) => None,
        Way::Asked(asked) => Some(*asked),
    };
    if asked.is_none() {
        for rule in Rule::ALL.into_iter().filter(|rule| *rule < Rule::Answered) {
            book.not_seen(rule, UNSEEN);
        }
    }
    let mut answer = scene.said_by(Who::Server);
    if scene.server == Sight::None {
        let answer = Rule::ALL.into_iter().filter(|rule| *rule >= Rule::Answered && *rule < Rule::Frames);
        answer.for_each(|rule| book.not_seen(rule, "the answer was not seen"));
        let open = |asked: Asked| {
            let extensions = asked.terms.as_ref().is_some_and(|terms| !terms.offers.is_empty());
            (asked, Open { taken: 0, extensions })
        };
        return Ok(asked.map(open));
    }
    let before = skip_interim(&mut answer);
    if answer.is_empty() {
        return unanswered(scene, asked.is_some(), book);
    }
    let head = readable(&answer, book)?;
    if scene.sorted {
        answer = unsorted(&answer, head);
    }
    let response = match Response::parse(&answer[..head], MAX_FIELDS) {
        Ok(response) => response,
        Err(why) => return Err(book.broken(Fault::AnswerUnreadable, format!("in the answer, {why}"))),
    };
    if response.status == 101 && answer.starts_with(b"HTTP/1.0") {
        return Err(book.broken(Fault::AnswerHttp10, "the server answered `HTTP/1.0 101`"));
    }
    book.passed(Rule::AnswerReadable);
    if response.status != 101 {
        return Err(declined(&response, &answer[head..], asked.as_ref(), book));
    }
    let (asked, terms) = match asked {
        Some(asked) => match asked.terms.clone() {
            Some(terms) => (asked, terms),
            None => return Ok(None),
        },
        None => lonely(&response, &answer[head..], book),
    };
    let after = &answer[head..];
    let answer = Answer { scene, asked: &asked, terms: &terms, response, after };
    let opened = hold(&answer, head, book)?;
    let open = opened.map(|opened| Open { taken: before + opened.taken, extensions: opened.extensions.is_some() });
    Ok(open.map(|open| (asked, open)))
}

/// Takes 100 and 103 off the front, and returns their length.
fn skip_interim(answer: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    while let Ok(Some(head)) = http::head_length(&answer[taken..])
        && let Ok(response) = Response::parse(&answer[taken..taken + head], MAX_FIELDS)
        && response.status < 200
        && response.status != 101
    {
        taken += head;
    }
    answer.drain(..taken);
    taken
}

fn unanswered(scene: &Scene, asked: bool, book: &mut Book) -> Result<Option<(Asked, Open)>, Broken> {
    if !asked || !scene.whole {
        return Ok(None);
    }
    Err(if scene.ended_by(Who::Server) {
        book.broken(Fault::ClosedUnanswered, "I asked, and the connection was ended without a word")
    } else {
        book.broken(Fault::NoAnswer, "I asked, and heard nothing")
    })
}

/// The length of the answer's head.
fn readable(answer: &[u8], book: &mut Book) -> Result<usize, Broken> {
    let http = answer.starts_with(b"HTTP/");
    match http::head_length(answer) {
        Ok(Some(head)) => Ok(head),
        Err(BadHead::BareLineEnd) if http => Err(book
            .broken(Fault::AnswerLineEnd, "a line of the answer's head ends in LF without CR, and I read no further")),
        Ok(None) if http => {
            let words = format!("the answer stopped after {}, before its blank line", count(answer.len(), "byte"));
            Err(book.broken(Fault::AnswerUnreadable, words))
        }
        _ => {
            let words = format!("the answer begins with \"{}\"", answer[..answer.len().min(24)].escape_ascii());
            Err(book.broken(Fault::AnswerUnreadable, words))
        }
    }
}

/// Upgrade and Connection first, where a tool sorted the lines by name: their order cannot be judged then.
fn unsorted(answer: &[u8], head: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(&answer[..head]).into_owned();
    let mut lines: Vec<&str> = text.split_inclusive("\r\n").collect();
    let place = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        ["upgrade", "connection"].iter().position(|known| *known == name).unwrap_or(2)
    };
    if let Some((_, fields)) = lines.split_first_mut() {
        let end = fields.len().saturating_sub(1);
        fields[..end].sort_by_key(place);
    }
    [lines.concat().as_bytes(), &answer[head..]].concat()
}

/// Any status but 101.
fn declined(response: &Response<'_>, body: &[u8], asked: Option<&Asked>, book: &mut Book) -> Broken {
    let value = |name: &str| response.fields.first(name).map(shown).unwrap_or_default();
    let server = value("server");
    let by = if server.is_empty() { String::new() } else { format!(" by {server}") };
    let mut words = format!("I asked for a WebSocket, and was answered {} {}{by}", response.status, response.reason);
    let fault = match response.status {
        200 => Fault::Answered200,
        301 | 302 | 303 | 307 | 308 => {
            let to = value("location");
            words += &format!(", to {to}");
            let secure = asked.and_then(|asked| asked.secure).is_some_and(|(secure, _)| secure);
            if to.starts_with("https://") && !secure { Fault::RedirectHttps } else { Fault::Redirected }
        }
        400 if server.is_empty() && body.windows(HAPROXY_400.len()).any(|part| part == HAPROXY_400) => {
            Fault::RefusedByHaproxy
        }
        400 if server.to_ascii_lowercase().starts_with("nginx") => Fault::RefusedByNginx,
        400 => Fault::Answered400,
        401 => Fault::Answered401,
        403 => Fault::Answered403,
        404 => Fault::Answered404,
        426 => Fault::Answered426,
        431 => Fault::HeadTooLarge,
        502 => Fault::Answered502,
        503 => Fault::Answered503,
        504 => Fault::Answered504,
        _ => Fault::AnsweredOther,
    };
    // A page says nothing in its first line; servers of WebSockets do.
    let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let said = Some(first).filter(|line| !line.is_empty() && line.len() < 200 && !line.contains(&b'<'));
    if let Some(said) = said {
        words += &format!(". It says: {}", shown(said));
    }
    book.broken(fault, words)
}

/// The terms of the client to which an answer alone would be right, so that its form can be judged.
fn lonely(response: &Response<'_>, after: &[u8], book: &mut Book) -> (Asked, Terms) {
    let fields = &response.fields;
    let text = |name: &str| fields.first(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let dialect = if fields.has("sec-websocket-accept") {
        Dialect::Rfc6455
    } else if fields.has("sec-websocket-location") || fields.has("sec-websocket-origin") {
        Dialect::Hixie76
    } else if fields.has("websocket-location") || fields.has("websocket-origin") {
        Dialect::Hixie75
    } else {
        book.remark("This answer is of no dialect: it has neither a location nor Sec-WebSocket-Accept.");
        Dialect::Rfc6455
    };
    book.dialect = Some(dialect);
    let told = match dialect {
        Dialect::Rfc6455 => "the form of the answer alone (v7 and v8 are answered so, too)",
        _ => "the form of the answer alone",
    };
    book.told = Some((dialect, told.to_owned()));
    let hixie75 = dialect == Dialect::Hixie75;
    let prefix = if hixie75 { "websocket" } else { "sec-websocket" };
    let location = text(&format!("{prefix}-location")).unwrap_or_default();
    let (scheme, rest) = location.split_once("://").unwrap_or_default();
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let header = if hixie75 { "WebSocket-Protocol" } else { "Sec-WebSocket-Protocol" };
    let asked =
        text(header).map(|value| Subprotocols { header, names: vec![value.clone()], value, answer_name: false });
    let terms = Terms {
        dialect,
        secure: scheme == "wss",
        host: host.to_owned(),
        target: target.to_owned(),
        origin: text(&format!("{prefix}-origin")),
        asked,
        offers: text("sec-websocket-extensions").into_iter().collect(),
        proof: match dialect {
            Dialect::Hixie75 => Expected::Nothing,
            Dialect::Hixie76 => Expected::Digest(after.first_chunk().copied()),
            _ => Expected::Accept(text("sec-websocket-accept").unwrap_or_default()),
        },
    };
    for rule in [Rule::AnswerSubprotocol, Rule::Extension, Rule::Accept, Rule::Digest] {
        book.not_seen(rule, UNSEEN);
    }
    let page_is_secure = terms.origin.as_deref().is_some_and(|origin| origin.starts_with("https://"));
    let secure = page_is_secure.then_some((true, "its page came by https"));
    if !page_is_secure || terms.secure {
        book.not_seen(Rule::AnswerLocation, UNSEEN);
        book.not_seen(Rule::AnswerOrigin, UNSEEN);
    }
    let terms = Terms { secure: secure.map_or(terms.secure, |(secure, _)| secure), ..terms };
    (Asked { secure, ..Asked::unseen(dialect) }, terms)
}

/// Holds the answer to the terms. `None`: it opens the connection as far as can be seen, but no frames can follow.
fn hold(answer: &Answer<'_>, head: usize, book: &mut Book) -> Result<Option<Opened>, Broken> {
    let Answer { scene, asked, .. } = *answer;
    let mut bytes = scene.said_by(Who::Server);
    skip_interim(&mut bytes);
    if scene.sorted {
        bytes = unsorted(&bytes, head);
    }
    let mut terms = answer.terms.clone();
    let hidden = scene.server == Sight::Pasted && !scene.proof_survived
        || asked.terms.is_some() && asked.key3.is_none() && !scene.whole;
    if asked.dialect == Dialect::Hixie76 && hidden {
        proof::hide_digest(answer, &mut terms, &mut bytes, book);
    }
    let mut judged = terms.judge(&bytes);
    if judged == Err(WrongAnswer::SentWrongLocation) && asked.secure.is_none() {
        let flipped = Terms { secure: !terms.secure, ..terms.clone() };
        let fits = flipped.judge(&bytes);
        if fits != Err(WrongAnswer::SentWrongLocation) && !left_at_once(scene, asked, head) {
            book.not_seen(Rule::AnswerLocation, "nothing tells whether the page opened ws or wss");
            judged = fits;
        }
    }
    let taken = head + if asked.dialect == Dialect::Hixie76 { 16 } else { 0 };
    match judged {
        Ok(Some(opened)) => {
            let replaced = echo::replaced_host(&terms).filter(|_| !went_on(scene, asked, opened.taken));
            if let Some(words) = replaced {
                if left_at_once(scene, asked, opened.taken) {
                    return Err(book.broken(Fault::LocationInternalHost, words));
                }
                book.remark(format!("{words}."));
            }
            book.passed(Rule::Digest);
            if !went_on(scene, asked, opened.taken) {
                check_habits(answer, head, opened.taken, book)?;
            }
            book.passed(Rule::Habits);
            Ok((scene.server == Sight::Exact).then_some(opened))
        }
        Ok(None) => proof::incomplete(answer, book).map(|()| None),
        Err(wrong) => {
            let (fault, words) = named(wrong, answer);
            if !went_on(scene, asked, taken) {
                return Err(book.broken(fault, words));
            }
            book.remark(format!("{fault}: {words}. This client went on all the same; others would not."));
            book.not_seen(fault.rule(), "broken, but this client went on all the same");
            book.passed(Rule::Habits);
            Ok(Some(Opened { subprotocol: None, extensions: None, taken }))
        }
    }
}

/// Whether the client said anything after the whole answer: then the answer did open the connection for it.
fn went_on(scene: &Scene, asked: &Asked, answer: usize) -> bool {
    let own = asked.taken + if asked.dialect == Dialect::Hixie76 && asked.key3.is_none() { hixie76::KEY3 } else { 0 };
    let (mut said, mut heard) = (0, 0);
    scene.steps.iter().any(|step| {
        match step {
            Step::Says(Who::Client, bytes) => said += bytes.len(),
            Step::Says(Who::Server, bytes) => heard += bytes.len(),
            _ => {}
        }
        heard >= answer && said > own && matches!(step, Step::Says(Who::Client, _))
    })
}

/// Whether the client left after the answer without having said anything.
fn left_at_once(scene: &Scene, asked: &Asked, answer: usize) -> bool {
    scene.ended_by(Who::Client) && !went_on(scene, asked, answer)
}

/// The rule that an answer broke, by its own name and in the client's words.
fn named(wrong: WrongAnswer, answer: &Answer<'_>) -> (Fault, String) {
    use WrongAnswer as W;
    let fields = &answer.response.fields;
    if let Some(found) = echo::other_dialect(answer) {
        return found;
    }
    let value = |name: &str| fields.first(name).map_or("none".into(), |value| format!("`{}`", shown(value)));
    match wrong {
        W::SentUnreadableHead(BadHead::BareLineEnd) => (Fault::AnswerLineEnd, "a line ends in LF without CR".into()),
        W::SentUnreadableHead(_) | W::SentEndlessHead | W::Declined(_) => {
            (Fault::AnswerUnreadable, format!("the server {wrong}"))
        }
        W::ChangedFirstLines => echo::first_lines(answer),
        W::LeftOutReason => (
            Fault::ReasonMissing,
            format!("the status line is `HTTP/1.1 {}`; I look for a second blank in it", answer.response.status),
        ),
        W::SentUnreadableValue => {
            let field = fields.iter().find(|field| field.text().is_none_or(str::is_empty));
            let name = field.map_or("a header", |field| field.name);
            (Fault::EmptyValue, format!("{name} has no value that I can read, and I give up on the whole answer"))
        }
        W::SentWrongUpgrade => {
            let case = fields.only("upgrade").is_ok_and(|v| v.is_some_and(|v| v.eq_ignore_ascii_case(b"websocket")));
            let fault = if case { Fault::AnswerUpgradeCase } else { Fault::AnswerUpgradeMissing };
            (fault, format!("I look for `Upgrade: WebSocket`, and the server sent {}", value("upgrade")))
        }
        W::SentWrongConnection => connection(answer),
        W::SentWrongOrigin => echo::origin(answer),
        W::SentWrongLocation => echo::location(answer),
        W::ChoseForeignSubprotocol | W::ChoseNoSubprotocol => echo::subprotocol(answer),
        W::ChoseForeignExtension => (
            Fault::ExtensionUnasked,
            format!("the server agreed to {}, which I did not offer", value("sec-websocket-extensions")),
        ),
        W::FailedChallenge => proof::digest(answer),
        W::SentWrongAccept => proof::accept(answer),
    }
}

fn connection(answer: &Answer<'_>) -> (Fault, String) {
    let fields = &answer.response.fields;
    let all: Vec<String> = fields.all("connection").map(|field| shown(field.value)).collect();
    if fields.has_token("connection", "upgrade") {
        let words = "I compare Connection as a whole with `Upgrade`";
        return (Fault::AnswerConnectionList, format!("{words}, and the server sent `{}`", all.join("` and `")));
    }
    let sent = if all.is_empty() { "none".into() } else { format!("`{}`", all.join(", ")) };
    (Fault::AnswerConnectionMissing, format!("I look for `Connection: Upgrade`, and the server sent {sent}"))
}

/// What most clients forgive, and some devices do not (field notes 3, 7, 10).
fn check_habits(answer: &Answer<'_>, head: usize, taken: usize, book: &mut Book) -> Result<(), Broken> {
    let (fields, dialect) = (&answer.response.fields, answer.asked.dialect);
    let alone = fields.only("connection").is_ok_and(|v| v.is_some_and(|v| v.eq_ignore_ascii_case(b"upgrade")));
    if !alone {
        let (fault, words) = connection(answer);
        return Err(book.broken(fault, words.replace("I compare", "Many of us compare")));
    }
    let hybi = dialect.facts().version.is_some();
    let name = fields.iter().find(|field| field.is("sec-websocket-accept")).map_or("", |field| field.name);
    // A tool that writes names in its own way says nothing about the server.
    let faithful = answer.scene.server == Sight::Exact || fields.iter().any(|field| field.name.contains("WebSocket"));
    if hybi && faithful && name != "Sec-WebSocket-Accept" {
        let words =
            format!("the header is written `{name}`; browsers find it, devices that search for the exact text do not");
        return Err(book.broken(Fault::HeaderNameCase, words));
    }
    if let Some(field) = fields.iter().find(|field| field.is("content-length") || field.is("transfer-encoding")) {
        let words = format!("the 101 says `{}: {}`, and what follows are frames", field.name, shown(field.value));
        return Err(book.broken(Fault::BodyOn101, words));
    }
    let scene = answer.scene;
    if scene.whole && dialect == Dialect::Hixie75 && scene.cut_within(0, taken) {
        let words = "the answer came in several segments; one of us looks only at the last it read";
        return Err(book.broken(Fault::AnswerInPieces, words));
    }
    if scene.whole && dialect == Dialect::Hixie76 && scene.cut_within(head, taken) {
        let words = "the 16 bytes came in several segments; one of us reads once and takes what is there";
        return Err(book.broken(Fault::DigestInPieces, words));
    }
    Ok(())
}
