//! What is wrong with a conversation, for people: which dialect the client speaks, every rule in the order in which it is
//! met, the first one that is broken, and the remedy.
//!
//! ```text
//! file ──▶ scene ──▶ request ──▶ answer ──▶ frames ──▶ Explanation
//!          a play, raw bytes or pasted text            rules with marks, one finding
//! ```
//!
//! [`Scene`] is what was seen between one client and one server, in its order, and how much of it can be trusted. The
//! stages judge it with the same code that serves (`sniff`, `Terms`, the codecs) and give what broke a name: [`Fault`].

mod answer;
mod echo;
mod fault;
mod frames;
mod paste;
mod programs;
mod proof;
mod request;
mod scene;
mod words;

use std::fmt;

pub use self::fault::Fault;
pub use self::scene::{NotUnderstood, Scene};
use crate::dialect::Dialect;
use crate::transcript::{Act, Transcript};

/// The rules of a connection, in the order in which they are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each has its words in one place below")]
pub enum Rule {
    FirstBytes,
    HeadWhole,
    HeadReadable,
    Addressed,
    Upgrade,
    Method,
    HttpOneOne,
    Connection,
    NoBody,
    Version,
    Key,
    Origin,
    Subprotocol,
    Key3,
    Answered,
    AnswerReadable,
    Status,
    AnswerUpgrade,
    AnswerConnection,
    AnswerWebkit,
    AnswerOrigin,
    AnswerLocation,
    Accept,
    Extension,
    AnswerSubprotocol,
    Digest,
    Habits,
    Frames,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was kept.
    Passed,
    /// It was broken.
    Broken,
    /// Nothing was seen by which it could be judged, with the reason where there is one to tell.
    NotSeen(&'static str),
}

impl Mark {
    /// Why nothing was seen, where there is a reason to tell.
    pub fn reason(&self) -> &'static str {
        match self {
            Mark::NotSeen(why) => why,
            Mark::Passed | Mark::Broken => "",
        }
    }
}

/// The fault that was found, with what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name and remedy.
    pub fault: Fault,
    /// What the client would say of it.
    pub words: String,
    /// Between hybridge and its upstream, and not the client's own conversation.
    pub upstream: bool,
}

/// What was found out about a conversation.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What the client speaks, and by what that was told.
    pub dialect: Option<(Dialect, String)>,
    /// Which programs are known to send such a request.
    pub programs: Vec<String>,
    /// What was seen of the request, in one line.
    pub request: Option<String>,
    /// Every rule that holds for this client, in order.
    pub rules: Vec<(Rule, Mark)>,
    /// The first rule that was broken.
    pub finding: Option<Finding>,
    /// What else is worth knowing: what a paste lost, what was odd and did no harm.
    pub remarks: Vec<String>,
}

impl Rule {
    /// Every rule, in order.
    pub const ALL: [Rule; 28] = [
        Rule::FirstBytes,
        Rule::HeadWhole,
        Rule::HeadReadable,
        Rule::Addressed,
        Rule::Upgrade,
        Rule::Method,
        Rule::HttpOneOne,
        Rule::Connection,
        Rule::NoBody,
        Rule::Version,
        Rule::Key,
        Rule::Origin,
        Rule::Subprotocol,
        Rule::Key3,
        Rule::Answered,
        Rule::AnswerReadable,
        Rule::Status,
        Rule::AnswerUpgrade,
        Rule::AnswerConnection,
        Rule::AnswerWebkit,
        Rule::AnswerOrigin,
        Rule::AnswerLocation,
        Rule::Accept,
        Rule::Extension,
        Rule::AnswerSubprotocol,
        Rule::Digest,
        Rule::Habits,
        Rule::Frames,
    ];

    /// Whether it holds for a client of this dialect; where that is not known, for all of them.
    fn holds_for(self, dialect: Option<Dialect>) -> bool {
        let Some(dialect) = dialect else {
            let of_some = [Rule::Version, Rule::Key, Rule::Key3, Rule::AnswerWebkit, Rule::AnswerOrigin, Rule::Accept];
            let of_others = [Rule::AnswerLocation, Rule::Extension, Rule::Digest];
            return !of_some.contains(&self) && !of_others.contains(&self);
        };
        let hixie = dialect.facts().version.is_none();
        match self {
            Rule::Version => !hixie,
            Rule::Key => dialect != Dialect::Hixie75,
            Rule::Key3 => hixie,
            Rule::AnswerOrigin | Rule::AnswerLocation => hixie,
            Rule::Digest => dialect == Dialect::Hixie76,
            Rule::Accept | Rule::Extension => !hixie,
            Rule::AnswerWebkit => hixie || dialect == Dialect::Hybi10,
            _ => true,
        }
    }

    /// The rule in words, for a client of this dialect.
    pub fn words(self, dialect: Option<Dialect>) -> &'static str {
        let hixie75 = dialect == Some(Dialect::Hixie75);
        match self {
            Rule::FirstBytes => "the connection begins with HTTP",
            Rule::HeadWhole => "the request's head is whole",
            Rule::HeadReadable => "each line of it can be read",
            Rule::Addressed => "it is addressed to this server: one Host, a path",
            Rule::Upgrade => "it asks for WebSocket: Upgrade",
            Rule::Method => "it is a GET",
            Rule::HttpOneOne => "it is HTTP/1.1",
            Rule::Connection => "Connection names Upgrade",
            Rule::NoBody => "it announces no body",
            Rule::Version => "its version is served",
            Rule::Key if dialect == Some(Dialect::Hixie76) => "Sec-WebSocket-Key1 and -Key2 hold their numbers",
            Rule::Key => "Sec-WebSocket-Key is a key",
            Rule::Origin => "at most one Origin, well formed",
            Rule::Subprotocol => "the subprotocols asked for are well formed",
            Rule::Key3 if hixie75 => "nothing but frames follows the head",
            Rule::Key3 => "eight bytes follow the head",
            Rule::Answered => "the server answers",
            Rule::AnswerReadable => "with a head that can be read",
            Rule::Status => "with status 101",
            Rule::AnswerUpgrade if hixie75 => "with the three fixed first lines, byte for byte",
            Rule::AnswerUpgrade if dialect == Some(Dialect::Hixie76) => "with Upgrade: WebSocket",
            Rule::AnswerUpgrade => "with Upgrade: websocket",
            Rule::AnswerConnection => "with Connection: Upgrade",
            Rule::AnswerWebkit => "with what an old WebKit can read: a reason phrase, no empty header",
            Rule::AnswerOrigin => "with the page's origin",
            Rule::AnswerLocation => "with the URL the page opened as location",
            Rule::Accept => "with the Sec-WebSocket-Accept of this key",
            Rule::Extension => "with no extension but those offered",
            Rule::AnswerSubprotocol => "with a subprotocol that was asked for, if any was",
            Rule::Digest => "with the 16 bytes that answer the challenge",
            Rule::Habits => "in the form that devices expect: names, no body, in one piece",
            Rule::Frames => "frames and closing keep the dialect's rules",
        }
    }
}

/// What the stages write into: the marks so far, and the first fault.
#[derive(Debug, Default)]
struct Book {
    dialect: Option<Dialect>,
    told: Option<(Dialect, String)>,
    marks: Vec<(Rule, Mark)>,
    finding: Option<Finding>,
    remarks: Vec<String>,
}

/// A stage found the first broken rule: nothing after it is looked at.
struct Broken;

impl Book {
    /// The rules up to this one were kept, but for those that are marked already.
    fn passed(&mut self, last: Rule) {
        for rule in Rule::ALL.into_iter().filter(|rule| *rule <= last) {
            self.mark(rule, Mark::Passed);
        }
    }

    /// Nothing was seen by which this rule could be judged.
    fn not_seen(&mut self, rule: Rule, why: &'static str) {
        self.mark(rule, Mark::NotSeen(why));
    }

    fn mark(&mut self, rule: Rule, mark: Mark) {
        if !self.marks.iter().any(|(known, _)| *known == rule) {
            self.marks.push((rule, mark));
        }
    }

    /// The first broken rule, in the client's words.
    fn broken(&mut self, fault: Fault, words: impl Into<String>) -> Broken {
        let rule = fault.rule();
        self.marks.retain(|(known, _)| *known < rule);
        for before in Rule::ALL.into_iter().filter(|before| *before < rule) {
            self.mark(before, Mark::Passed);
        }
        self.mark(rule, Mark::Broken);
        self.finding = Some(Finding { fault, words: words.into(), upstream: false });
        Broken
    }

    fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    fn rules(&mut self) -> Vec<(Rule, Mark)> {
        let marked = |rule: Rule| self.marks.iter().find(|(known, _)| *known == rule).map(|(_, mark)| mark.clone());
        let rules = Rule::ALL
            .into_iter()
            .filter(|rule| rule.holds_for(self.dialect) || matches!(marked(*rule), Some(Mark::Broken)));
        rules.map(|rule| (rule, marked(rule).unwrap_or(Mark::NotSeen("")))).collect()
    }
}

/// Explains a conversation.
pub fn explain(scene: &Scene) -> Explanation {
    let mut explanation = of_one(scene);
    // Where the server only hands on what its own upstream did, that is what is wrong.
    let rule = explanation.finding.as_ref().map(|finding| finding.fault.rule());
    let handed_on = matches!(rule, Some(Rule::Answered | Rule::Status));
    if let Some(behind) = scene.behind().filter(|_| handed_on) {
        let behind = of_one(behind);
        if let Some(finding) = behind.finding.filter(|finding| finding.fault.rule() < Rule::Frames) {
            explanation.finding = Some(Finding { upstream: true, ..finding });
        }
    }
    explanation
}

fn of_one(scene: &Scene) -> Explanation {
    let mut book = Book { remarks: scene.remarks().to_vec(), ..Book::default() };
    let mut programs = Vec::new();
    let mut request = None;
    let seen = request::Seen::of(scene).filter(|_| scene.opened().is_none());
    if let Some(seen) = &seen {
        book.told = seen.dialect();
        programs = programs::known(seen, scene.sorted);
        request = Some(seen.line());
    }
    if let Some(dialect) = scene.opened() {
        book.told = Some((dialect, "the play".to_owned()));
    }
    book.dialect = book.told.as_ref().map(|(dialect, _)| *dialect);
    // A stage that breaks off has said why in the book.
    let _: Result<(), Broken> = judge(scene, seen.as_ref(), &mut book);
    let rules = book.rules();
    Explanation { dialect: book.told, programs, request, rules, finding: book.finding, remarks: book.remarks }
}

/// The stages in their order, up to the first broken rule.
fn judge(scene: &Scene, seen: Option<&request::Seen>, book: &mut Book) -> Result<(), Broken> {
    let way = match scene.opened() {
        Some(dialect) => request::Way::Unseen(Some(dialect)),
        None => request::judge(scene, seen, book)?,
    };
    match answer::judge(scene, way, book)? {
        Some((asked, open)) => frames::judge(scene, &asked, &open, book),
        None => Ok(()),
    }
}

/// Why an explained play does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained {
    /// The line of the play.
    pub line: usize,
    /// What it expects, and what was found.
    pub why: String,
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for Unexplained {}

/// Verifies a play that ends in `hybridge explains NAME`: that very fault must be found in what stands above.
///
/// # Errors
/// There is no such line, it is not the last, it names no known fault, or another is found.
pub fn check(play: &Transcript) -> Result<(), Unexplained> {
    let lines = play.lines();
    let Some((at, expected)) = lines.iter().enumerate().find_map(|(at, line)| match &line.act {
        Act::Explains(name) => Some((at, name)),
        _ => None,
    }) else {
        return Err(Unexplained { line: 1, why: "the play does not say what hybridge explains".into() });
    };
    let unexplained = |why: String| Err(Unexplained { line: lines[at].number, why });
    if lines[at + 1..].iter().any(|line| !matches!(line.act, Act::Comment(_))) {
        return unexplained("nothing may follow what hybridge explains".into());
    }
    if !Fault::ALL.iter().any(|fault| fault.name() == expected) {
        return unexplained(format!("{expected} is no fault that hybridge knows; `hybridge explain --list` has them"));
    }
    match explain(&Scene::of_play(play)).finding {
        Some(finding) if finding.fault.name() == expected => Ok(()),
        Some(finding) => unexplained(format!("expected {expected}, found {}: {}", finding.fault, finding.words)),
        None => unexplained(format!("expected {expected}, found no fault")),
    }
}
