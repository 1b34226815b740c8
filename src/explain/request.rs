//! The way in: from a connection's first bytes to an opening handshake that was understood.

use super::scene::{Sight, Who};
use super::words::{count, hex, shown};
use super::{Book, Broken, Fault, Rule, Scene};
use crate::dialect::opening::Opening;
use crate::dialect::terms::Terms;
use crate::dialect::{Dialect, DialectSet, hixie76, hybi};
use crate::http::{self, BadHead, Refusal, Request};
use crate::sniff::{self, First, Foreign, Verdict};

/// As much as hybridge reads where nobody says otherwise.
const MAX_HEAD: usize = 16 << 10;
const MAX_FIELDS: usize = 100;
/// A key of hixie-76 that is good, for a paste that lost blanks of the real one.
const SOME_KEY: &str = "1 2";

/// A request head that is whole.
pub(super) struct Seen {
    head: Vec<u8>,
    /// Client's bytes up to its end, with the stray line ends in front.
    taken: usize,
}

/// A handshake that was understood, and what its answer is held to.
pub(super) struct Asked {
    pub(super) dialect: Dialect,
    /// `None` where the request was not seen.
    pub(super) terms: Option<Terms>,
    pub(super) opening: Option<Opening>,
    /// The client's bytes that belong to the handshake.
    pub(super) taken: usize,
    pub(super) key3: Option<[u8; hixie76::KEY3]>,
    /// The raw keys of hixie-76.
    pub(super) keys: [Vec<u8>; 2],
    /// The key of hybi, as it stands there.
    pub(super) key: String,
    /// Whether the page's URL is `wss`, and by what that is told.
    pub(super) secure: Option<(bool, &'static str)>,
}

/// What the request leads to.
pub(super) enum Way {
    /// It was not seen, or is done before the play begins.
    Unseen(Option<Dialect>),
    Asked(Box<Asked>),
    /// It asks for no WebSocket, and nothing says that it should have.
    Elsewhere,
}

impl Asked {
    /// A handshake of which nothing was seen.
    pub(super) fn unseen(dialect: Dialect) -> Asked {
        Asked {
            dialect,
            terms: None,
            opening: None,
            taken: 0,
            key3: None,
            keys: Default::default(),
            key: String::new(),
            secure: None,
        }
    }
}

impl Seen {
    /// The head, if one can be found.
    pub(super) fn of(scene: &Scene) -> Option<Seen> {
        let bytes = scene.said_by(Who::Client);
        let First::Http(skip) = sniff::first(&bytes) else { return None };
        let length = http::head_length(&bytes[skip..]).ok()??;
        Some(Seen { head: bytes[skip..skip + length].to_vec(), taken: skip + length })
    }

    /// What it says; `None` where it cannot be read.
    pub(super) fn request(&self) -> Option<Request<'_>> {
        Request::parse(&self.head, 1000).ok()
    }

    /// The dialect, even of a request that breaks its rules, and by what it is told.
    pub(super) fn dialect(&self) -> Option<(Dialect, String)> {
        let request = self.request()?;
        let fields = &request.fields;
        if let Some(version) = fields.first("sec-websocket-version") {
            let text = std::str::from_utf8(version).ok()?;
            let dialect = text.parse().ok().and_then(Dialect::of_version)?;
            return Some((dialect, format!("Sec-WebSocket-Version: {text}")));
        }
        if fields.has("sec-websocket-key1") || fields.has("sec-websocket-key2") {
            let later_draft = fields.all("sec-websocket-draft").any(|draft| draft.value != b"0");
            return (!later_draft).then(|| (Dialect::Hixie76, "Sec-WebSocket-Key1 and -Key2".into()));
        }
        let hixie75 = fields.has_token("upgrade", "websocket") && !fields.has("sec-websocket-key");
        hixie75.then(|| (Dialect::Hixie75, "Upgrade: WebSocket without any key or version".into()))
    }

    /// The request in one line, without what is secret in it.
    pub(super) fn line(&self) -> String {
        let Some(request) = self.request() else {
            let first = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return shown(first);
        };
        let mut line = format!("{} {}", request.method, shown(request.target.as_bytes()));
        let names = [("host", "Host"), ("origin", "Origin"), ("sec-websocket-origin", "Origin")];
        for (name, label) in names {
            if let Some(value) = request.fields.first(name) {
                line += &format!("  {label}: {}", shown(value));
            }
        }
        line
    }
}

/// Judges the request and what follows its head.
pub(super) fn judge(scene: &Scene, seen: Option<&Seen>, book: &mut Book) -> Result<Way, Broken> {
    if scene.client == Sight::None {
        return Ok(Way::Unseen(None));
    }
    let bytes = scene.said_by(Who::Client);
    check_first_bytes(&bytes, book)?;
    book.passed(Rule::FirstBytes);
    let Some(seen) = seen else { return Err(unfinished(scene, &bytes, book)) };
    book.passed(Rule::HeadWhole);
    if scene.said_by(Who::Server).starts_with(b"HTTP/1.1 431") && seen.head.len() < MAX_HEAD / 4 {
        return Err(book.broken(Fault::TooManyHeaders, "the server answered 431 to a head that is not long"));
    }
    if seen.head.len() > MAX_HEAD {
        let words = format!("my request head is {}, and this server reads {MAX_HEAD}", count(seen.head.len(), "byte"));
        return Err(book.broken(Fault::HeadTooLarge, words));
    }
    let request = Request::parse(&seen.head, MAX_FIELDS).map_err(|bad| unreadable(bad, &seen.head, book))?;
    let lost_blanks = scene.client == Sight::Pasted && has_lost_blanks(&request);
    let mended = if lost_blanks { Some(with_some_keys(&seen.head)) } else { None };
    let request = match &mended {
        Some(head) => {
            book.not_seen(Rule::Key, "their blanks did not survive the paste");
            Request::parse(head, MAX_FIELDS).map_err(|bad| unreadable(bad, head, book))?
        }
        None => request,
    };
    match sniff::classify(&request, DialectSet::ALL) {
        Ok(Verdict::Opening(opening)) => {
            book.passed(Rule::Subprotocol);
            follow(scene, seen, &request, *opening, book).map(|asked| Way::Asked(Box::new(asked)))
        }
        Ok(Verdict::Http(_)) => ordinary(&request, &bytes[seen.taken..], book),
        Err(refusal) => Err(refused(&refusal, &request, book)),
    }
}

fn check_first_bytes(bytes: &[u8], book: &mut Book) -> Result<(), Broken> {
    if bytes.is_empty() {
        return Err(book.broken(Fault::NoBytes, "I connected, said nothing, and was closed"));
    }
    let First::Foreign(foreign) = sniff::first(bytes) else { return Ok(()) };
    let begins = hex(&bytes[..bytes.len().min(8)]);
    Err(match foreign {
        Foreign::Tls => book.broken(
            Fault::TlsOnPlainPort,
            format!("I opened wss, and began with a TLS ClientHello ({begins}); this port answers plain text"),
        ),
        Foreign::Proxy => {
            let version = if bytes.starts_with(b"PROXY") { "1 (PROXY …)" } else { "2 (0d 0a 0d 0a 00 …)" };
            book.broken(
                Fault::ProxyPreamble,
                format!("the front before me wrote a PROXY protocol preamble, version {version}, ahead of my request"),
            )
        }
        Foreign::Http2 => book.broken(Fault::Http2Preface, "I began with the preface of HTTP/2 (PRI * HTTP/2.0)"),
        Foreign::FlashPolicy => book.broken(
            Fault::FlashPolicy,
            "I am Flash, asked for <policy-file-request/> first, and open nothing without an answer",
        ),
        Foreign::Garbage if is_frame(bytes) => {
            book.broken(Fault::FrameFirst, format!("I went on with a frame ({begins}) as if this connection were open"))
        }
        Foreign::Garbage => book.broken(Fault::NotHttp, format!("the first bytes are {begins}")),
    })
}

/// A text frame of hixie, its closing frame, or a masked frame of hybi.
fn is_frame(bytes: &[u8]) -> bool {
    match bytes {
        [0, rest @ ..] => {
            rest.iter().position(|byte| *byte == 0xFF).is_some_and(|end| std::str::from_utf8(&rest[..end]).is_ok())
        }
        [0xFF, 0, ..] => true,
        [0x01 | 0x02 | 0x81 | 0x82 | 0x88..=0x8A, 0x80..=0xFF, ..] => true,
        _ => false,
    }
}

/// The head does not end, or ends its lines in another way.
fn unfinished(scene: &Scene, bytes: &[u8], book: &mut Book) -> Broken {
    if http::head_length(bytes).is_err() {
        return book.broken(Fault::BareLineEnd, "a line of the request's head ends in LF without CR");
    }
    let answer = scene.said_by(Who::Server);
    if bytes.len() > MAX_HEAD || answer.starts_with(b"HTTP/1.1 431") {
        return book.broken(Fault::HeadTooLarge, format!("I sent {} of a head", count(bytes.len(), "byte")));
    }
    book.broken(Fault::HeadUnfinished, format!("I sent {} of a request, and no blank line", count(bytes.len(), "byte")))
}

fn unreadable(bad: BadHead, head: &[u8], book: &mut Book) -> Broken {
    let words = format!("in the request, {bad}");
    match bad {
        BadHead::BareLineEnd => book.broken(Fault::BareLineEnd, words),
        BadHead::StartLine => {
            let first = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            book.broken(Fault::MalformedRequestLine, format!("the first line is {:?}", shown(first)))
        }
        BadHead::Folded => book.broken(Fault::FoldedHeader, words),
        BadHead::FieldName => book.broken(Fault::MalformedHeader, words),
        BadHead::FieldValue => book.broken(Fault::ControlCharacter, words),
        BadHead::TooManyFields => book.broken(Fault::TooManyHeaders, format!("I sent more than {MAX_FIELDS} headers")),
    }
}

/// Whether a key fails in the way in which pasting makes it fail: blanks run together, or turned into others.
fn has_lost_blanks(request: &Request<'_>) -> bool {
    ["sec-websocket-key1", "sec-websocket-key2"]
        .into_iter()
        .filter_map(|name| request.fields.first(name))
        .any(|key| matches!(hixie76::key_number(key), Err(hixie76::BadKey::NoSpace | hixie76::BadKey::NotDivisible)))
}

/// The head with other keys, so that the rest of it can be judged.
fn with_some_keys(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let lines = text.split_inclusive("\r\n").map(|line| match line.split_once(':') {
        Some((name, _)) if name.to_ascii_lowercase().starts_with("sec-websocket-key") && name.len() > 17 => {
            format!("{name}: {SOME_KEY}\r\n")
        }
        _ => line.to_owned(),
    });
    lines.collect::<String>().into_bytes()
}

/// The sniffer's own words, and the fault they mean; refined below where several faults break one rule.
const REFUSALS: [(&str, Fault); 30] = [
    ("this server speaks HTTP/1.1", Fault::HttpVersion),
    ("there is no Host", Fault::HostMissing),
    ("two Host headers", Fault::HostTwice),
    ("Host is not", Fault::HostMalformed),
    ("CONNECT", Fault::Connect),
    ("the target is neither", Fault::ForeignTarget),
    ("without Upgrade: an intermediary", Fault::UpgradeStripped),
    ("handshake is a GET", Fault::NotGet),
    ("over HTTP/1.0", Fault::Http10),
    ("Upgrade without Connection", Fault::ConnectionWithoutUpgrade),
    ("handshake with a body", Fault::BodyAnnounced),
    ("Content-Length", Fault::BodyAmbiguous),
    ("Transfer-Encoding", Fault::BodyAmbiguous),
    ("two Sec-WebSocket-Version", Fault::VersionTwice),
    ("Sec-WebSocket-Version is not", Fault::VersionMalformed),
    ("of the WebSocket protocol is not served", Fault::VersionUnknown),
    ("there is no Sec-WebSocket-Key", Fault::KeyMissing),
    ("two Sec-WebSocket-Key headers", Fault::KeyTwice),
    ("Sec-WebSocket-Key is not base64", Fault::KeyNotBase64),
    ("Key without Sec-WebSocket-Version", Fault::VersionMissing),
    ("Sec-WebSocket-Draft", Fault::DraftAnnounced),
    ("has no digit", Fault::HixieKeyNoDigit),
    ("has no space", Fault::HixieKeyNoSpace),
    ("not a multiple of its spaces", Fault::HixieKeyCollapsed),
    ("has a number above", Fault::HixieKeyTooLarge),
    ("two Sec-WebSocket-Key", Fault::HixieKeyTwice),
    ("without the other", Fault::HixieKeyAlone),
    ("two Origin", Fault::OriginTwice),
    ("Origin", Fault::OriginMalformed),
    ("Protocol", Fault::SubprotocolMalformed),
];

fn refused(refusal: &Refusal, request: &Request<'_>, book: &mut Book) -> Broken {
    let known = REFUSALS.into_iter().find(|(words, _)| refusal.why.contains(words));
    // Every refusal of the sniffer has its row; a new one would still be told in its own words.
    let fault = known.map_or(Fault::MalformedHeader, |(_, fault)| fault);
    let fields = &request.fields;
    let version = fields.first("sec-websocket-version").map(shown).unwrap_or_default();
    let (fault, words) = match fault {
        Fault::ConnectionWithoutUpgrade => match fields.first("connection") {
            None => (Fault::ConnectionStripped, "my Upgrade arrived, and my `Connection: Upgrade` did not".into()),
            Some(value) => (fault, format!("I sent `Connection: Upgrade`, and `Connection: {}` arrived", shown(value))),
        },
        Fault::UpgradeStripped => (fault, stripped(request)),
        Fault::VersionUnknown if matches!(&*version, "4" | "5" | "6") => {
            (Fault::VersionDraft, format!("I speak version {version}, hybi-0{version}"))
        }
        Fault::VersionUnknown => (fault, format!("I ask for version {version}, which was never in use")),
        Fault::KeyNotBase64 => {
            let key = fields.first("sec-websocket-key").unwrap_or_default();
            let letters = key.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
            let text = std::str::from_utf8(key).unwrap_or_default();
            let decodes = hybi::is_key(Dialect::Hybi10, text) || key.len() > 64 && letters;
            let fault = if decodes { Fault::KeyLength } else { fault };
            (fault, format!("my Sec-WebSocket-Key is {:?}", shown(key)))
        }
        Fault::HixieKeyNoSpace | Fault::HixieKeyCollapsed => bad_spaces(fault, refusal, request),
        Fault::Http10 => (fault, "I sent HTTP/1.1, and HTTP/1.0 arrived".into()),
        Fault::HttpVersion => {
            let (major, minor) = request.version;
            (fault, format!("the request line says HTTP/{major}.{minor}"))
        }
        Fault::NotGet => (fault, format!("the handshake came as {}", request.method)),
        _ => (fault, format!("the request breaks a rule: {}", refusal.why)),
    };
    book.broken(fault, words)
}

/// What became of the spaces in a key.
fn bad_spaces(fault: Fault, refusal: &Refusal, request: &Request<'_>) -> (Fault, String) {
    let name = if refusal.why.contains("Key1") { "Sec-WebSocket-Key1" } else { "Sec-WebSocket-Key2" };
    let key = request.fields.first(name).unwrap_or_default();
    let text = String::from_utf8_lossy(key).into_owned();
    if key.contains(&b'\t') {
        return (Fault::HixieKeyTab, format!("{name} arrived with tabs: {text:?}; I count spaces and sent no tab"));
    }
    if fault == Fault::HixieKeyNoSpace {
        return (fault, format!("{name} arrived as {text:?}; I sent 1 to 12 spaces in it, and the number needs them"));
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let spaces = text.matches(' ').count();
    let mut words =
        format!("{name} arrived as {text:?}: its digits {digits} are not a multiple of its {}", count(spaces, "space"));
    let sent = digits.parse::<u64>().ok().and_then(|number| (spaces as u64 + 1..=12).find(|n| number % n == 0));
    if let Some(sent) = sent.filter(|_| !text.contains("  ")) {
        words += &format!("; I sent more of them ({sent} would fit), and a hop ran them together");
    }
    (fault, words)
}

/// The signs of a hop that took Upgrade away.
fn stripped(request: &Request<'_>) -> String {
    let mut words = "I sent Upgrade: WebSocket, and it did not arrive".to_owned();
    let connection = request.fields.first("connection").map(<[u8]>::to_ascii_lowercase);
    if request.version == (1, 0) && connection.as_deref() == Some(b"close") {
        words += "; HTTP/1.0 and `Connection: close` are what nginx writes where nobody told it to upgrade";
    } else if let Some(via) = request.fields.first("via") {
        words += &format!("; Via names the hop: {}", shown(via));
    }
    words
}

/// A request that asks for no WebSocket: was it meant to?
fn ordinary(request: &Request<'_>, after: &[u8], book: &mut Book) -> Result<Way, Broken> {
    let fields = &request.fields;
    if let Some(upgrade) = fields.first("upgrade") {
        let words = format!("my Upgrade is {:?}, which is no WebSocket", shown(upgrade));
        return Err(book.broken(Fault::UpgradeElse, words));
    }
    // Old clients send neither of these two, and every page's own request has both (dialects 2.7).
    let bare = !fields.has("user-agent") && !fields.has("accept");
    let silent_eight = after.len() == hixie76::KEY3 && !fields.has("content-length");
    let webkit = request.method == "GET" && bare && (fields.has("origin") || silent_eight);
    if fields.has_token("connection", "upgrade") || webkit || fields.has("websocket-protocol") {
        return Err(book.broken(Fault::UpgradeStripped, stripped(request)));
    }
    book.passed(Rule::Addressed);
    book.not_seen(Rule::Upgrade, "this is an ordinary HTTP request");
    book.remark(
        "Nothing in this request asks for a WebSocket. If it should have, a hop took Upgrade away before it came here.",
    );
    Ok(Way::Elsewhere)
}

/// What follows the head, and what the answer will be held to.
fn follow(
    scene: &Scene,
    seen: &Seen,
    request: &Request<'_>,
    opening: Opening,
    book: &mut Book,
) -> Result<Asked, Broken> {
    let bytes = scene.said_by(Who::Client);
    let after = &bytes[seen.taken..];
    let early = scene.said_first();
    let early = early.get(seen.taken..).unwrap_or_default();
    let mut key3 = None;
    match opening.dialect {
        Dialect::Hixie75 if opening.check_early(early).is_err() => {
            let words = format!(
                "{} ({}) follow a handshake without keys: I sent Sec-WebSocket-Key1 and -Key2, and they did not arrive",
                count(early.len(), "byte"),
                hex(&early[..early.len().min(8)])
            );
            return Err(book.broken(Fault::HixieKeysStripped, words));
        }
        Dialect::Hixie76 => {
            key3 = after.first_chunk().copied();
            if key3.is_none() {
                await_key3(scene, after.len(), book)?;
            }
        }
        _ => {}
    }
    book.passed(Rule::Key3);
    let secure = secure(scene, request);
    let terms = Terms::of(&opening, request, key3, secure.is_some_and(|(secure, _)| secure));
    let value = |name: &str| request.fields.first(name).unwrap_or_default().to_vec();
    Ok(Asked {
        dialect: opening.dialect,
        terms: Some(terms),
        taken: seen.taken + key3.map_or(0, |key3| key3.len()),
        key3,
        keys: [value("sec-websocket-key1"), value("sec-websocket-key2")],
        key: String::from_utf8_lossy(&value("sec-websocket-key")).into_owned(),
        secure,
        opening: Some(opening),
    })
}

/// The third key is not there: is it held back, or only not shown?
fn await_key3(scene: &Scene, there: usize, book: &mut Book) -> Result<(), Broken> {
    if scene.client == Sight::Pasted {
        book.not_seen(Rule::Key3, "lost by the paste");
        return Ok(());
    }
    if scene.whole && scene.said_by(Who::Server).is_empty() {
        let words = format!(
            "I sent eight bytes after my head; {there} of them arrived, the server waits for them, and I wait for it"
        );
        return Err(book.broken(Fault::Key3Withheld, words));
    }
    book.not_seen(Rule::Key3, "");
    if !scene.whole {
        book.remark(
            "The eight bytes after the head are not in this capture. If the connection hung here, a front holds them \
             back until it sees a 101 (key3-withheld).",
        );
    }
    Ok(())
}

/// Whether the page's URL is `wss`, where anything tells.
fn secure(scene: &Scene, request: &Request<'_>) -> Option<(bool, &'static str)> {
    if let Some(secure) = scene.secure {
        return Some((secure, "the URL it opened"));
    }
    let fields = &request.fields;
    let says =
        |name: &str, value: &str| fields.first(name).is_some_and(|got| got.eq_ignore_ascii_case(value.as_bytes()));
    let target = request.target.to_ascii_lowercase();
    if target.starts_with("wss:") || target.starts_with("ws:") {
        return Some((target.starts_with("wss:"), "the URL it opened"));
    }
    if says("x-forwarded-proto", "https") || says("x-forwarded-proto", "wss") {
        return Some((true, "X-Forwarded-Proto"));
    }
    if says("x-forwarded-ssl", "on") || says("front-end-https", "on") || says("x-forwarded-port", "443") {
        return Some((true, "the front's X-Forwarded headers"));
    }
    if fields.first("host").is_some_and(|host| host.ends_with(b":443")) {
        return Some((true, "port 443 in Host"));
    }
    if ["origin", "sec-websocket-origin"]
        .iter()
        .any(|name| fields.first(name).is_some_and(|o| o.starts_with(b"https://")))
    {
        return Some((true, "its page came by https"));
    }
    if says("x-forwarded-proto", "http") || says("x-forwarded-proto", "ws") {
        return Some((false, "X-Forwarded-Proto"));
    }
    None
}
