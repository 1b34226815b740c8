//! A row: one attack or fault, what a client and a backend do in it, and what must come of it.

use std::fmt;
use std::time::Duration;

use super::frames::head_end;
use super::judge::Check;
use super::support::{Dialect, masked, opening_head, plain};

/// Stands in what is said for this row's own mark, by which the backend knows whose bytes it hears.
pub const TAG: &str = "{TAG}";

/// Stands in what a backend says for the `Sec-WebSocket-Accept` of the request it heard.
pub const ACCEPT: &str = "{ACCEPT}";

/// What one end does, one after the other. It hears all the while.
#[derive(Clone)]
pub enum Step {
    /// Says these bytes.
    Say(Vec<u8>),
    /// Says them one by one, with so much time before each.
    Drip(Vec<u8>, Duration),
    /// Says them again and again, until so many bytes were said or the other end takes no more.
    Pour(Vec<u8>, u64),
    /// Waits for the blank line of a head, or for the end, or for a while.
    HearHead,
    /// Waits until these bytes were heard, or for the end, or for a while.
    Hear(Vec<u8>),
    /// Waits until anything more is heard, or for the end, or for a while.
    HearMore,
    /// Waits.
    Pause(Duration),
    /// Ends its own half of the connection.
    Finish,
    /// Breaks off: TCP's reset.
    Reset,
    /// Hears no more, so that what is said to it stays in the way.
    Deaf,
    /// Hears again.
    Heed,
    /// While deaf, takes at most so many bytes, after so much time, so many times.
    Sip(usize, Duration, usize),
    /// Makes so many more connections to where this one leads, says these bytes on each, and holds them to the end.
    Crowd(usize, Vec<u8>),
}

/// The backend's part.
#[derive(Clone)]
pub enum Part {
    /// What a decent server does: it agrees to every good handshake and answers a close; other requests get 200.
    Decent,
    /// These steps, once a head was heard.
    Script(Vec<Step>),
    /// These steps, on every connection as soon as it was taken: for rows that run alone.
    AtOnce(Vec<Step>),
}

impl Part {
    /// Whether this backend stops listening.
    pub fn is_deaf(&self) -> bool {
        matches!(self, Part::Script(steps) | Part::AtOnce(steps) if steps.iter().any(|step| matches!(step, Step::Deaf)))
    }
}

/// What may run beside a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Many,
    Few,
    Nobody,
}

/// One attack or fault.
pub struct Row {
    /// `family/what-is-done`, and where it is done by several dialects, `/dialect`.
    pub name: String,
    /// What is attempted and what is safe, in words, with the section that says so.
    pub why: &'static str,
    /// Whose frames the client hears; none where no connection should open, or where its bytes are only compared.
    pub dialect: Option<Dialect>,
    /// What the client does.
    pub client: Vec<Step>,
    /// What the backend does on each connection that reaches it.
    pub backend: Part,
    /// What must hold in the end, all of it.
    pub safe: Vec<Check>,
    /// What may run beside it.
    pub beside: Beside,
}

/// A new row. `why` says what is attempted, what is safe, and the section that says so.
pub fn row(name: impl Into<String>, why: &'static str) -> Row {
    Row {
        name: name.into(),
        why,
        dialect: None,
        client: Vec::new(),
        backend: Part::Decent,
        safe: Vec::new(),
        beside: Beside::Many,
    }
}

impl Row {
    /// What the client does.
    pub fn client(mut self, steps: impl IntoIterator<Item = Step>) -> Row {
        self.client.extend(steps);
        self
    }

    /// The client first opens a connection in this dialect and waits for the answer; both are judged by its rules.
    pub fn opens(mut self, dialect: Dialect) -> Row {
        self.dialect = Some(dialect);
        self.client.extend([Step::Say(opening(dialect)), Step::HearHead]);
        if dialect == Dialect::Hixie76 {
            // The digest of the example, which is its own proof that the answer is whole.
            self.client.push(Step::Hear(super::support::DIGEST.to_vec()));
        }
        self
    }

    /// The client speaks this dialect, and says its handshake itself.
    pub fn speaks(mut self, dialect: Dialect) -> Row {
        self.dialect = Some(dialect);
        self
    }

    /// The client sends a request of this kind, which it says itself.
    pub fn sends(mut self, kind: Option<Dialect>) -> Row {
        self.dialect = kind;
        self
    }

    /// What the backend does once it heard a head, in place of what a decent one does.
    pub fn backend(mut self, steps: impl IntoIterator<Item = Step>) -> Row {
        self.backend = Part::Script(steps.into_iter().collect());
        self
    }

    /// What the backend does as soon as it has taken a connection, whoever made it; so nothing else may run beside it.
    pub fn backend_at_once(mut self, steps: impl IntoIterator<Item = Step>) -> Row {
        self.backend = Part::AtOnce(steps.into_iter().collect());
        self.alone()
    }

    /// What must come of it.
    pub fn safe(mut self, checks: impl IntoIterator<Item = Check>) -> Row {
        self.safe.extend(checks);
        self
    }

    /// Nothing else may run beside it: what reaches the backend has no mark, or is said on a connection that others use.
    pub fn alone(mut self) -> Row {
        self.beside = Beside::Nobody;
        self
    }

    /// Few may run beside it: its point is how much memory or work it costs.
    pub fn heavy(mut self) -> Row {
        if self.beside == Beside::Many {
            self.beside = Beside::Few;
        }
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}\n    safe:", self.name, self.why)?;
        for (at, check) in self.safe.iter().enumerate() {
            write!(f, "{} {}", if at == 0 { "" } else { ";" }, check.says)?;
        }
        Ok(())
    }
}

/// Says these bytes; `{TAG}` and `{ACCEPT}` are filled in.
pub fn say(bytes: impl AsRef<[u8]>) -> Step {
    Step::Say(bytes.as_ref().to_vec())
}

/// Waits so many milliseconds.
pub fn pause(ms: u64) -> Step {
    Step::Pause(Duration::from_millis(ms))
}

/// The opening handshake of a dialect as its browsers write it, at a path with the row's mark.
pub fn opening(dialect: Dialect) -> Vec<u8> {
    opening_with(dialect, &[])
}

/// The same with these lines behind the usual ones.
pub fn opening_with(dialect: Dialect, lines: &[&str]) -> Vec<u8> {
    let mut bytes = opening_head(dialect, &format!("/{TAG}"), lines);
    if dialect == Dialect::Hixie76 {
        bytes.extend_from_slice(super::support::KEY3);
    }
    bytes
}

/// A head of any kind: its first line, then its fields; `{TAG}` should stand in the target.
pub fn request(first: &str, lines: &[&str]) -> Vec<u8> {
    super::support::head(first, lines)
}

/// An ordinary request, and an opening handshake in each dialect.
pub const KINDS: [Option<Dialect>; 6] = [
    None,
    Some(Dialect::Hixie75),
    Some(Dialect::Hixie76),
    Some(Dialect::Hybi07),
    Some(Dialect::Hybi10),
    Some(Dialect::Rfc6455),
];

/// What a kind of request is called in a row's name.
pub fn kind_name(kind: Option<Dialect>) -> String {
    kind.map_or_else(|| "plain".to_owned(), |dialect| dialect.to_string())
}

/// A request of this kind, at a path with the row's mark, with these lines of any bytes behind the usual ones.
pub fn asking(kind: Option<Dialect>, lines: &[&[u8]]) -> Vec<u8> {
    let plain = || request(&format!("GET /{TAG} HTTP/1.1"), &["Host: tv.example:8080", "Origin: http://tv.example"]);
    let mut bytes = kind.map_or_else(plain, opening);
    let end = head_end(&bytes).expect("a whole head") - 2;
    bytes.splice(end..end, lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()));
    bytes
}

/// `bytes` with the first `old` in them replaced.
pub fn swapped(bytes: &[u8], old: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Vec<u8> {
    let old = old.as_ref();
    let at = memchr::memmem::find(bytes, old).expect("what is replaced is there");
    [&bytes[..at], new.as_ref(), &bytes[at + old.len()..]].concat()
}

/// A backend's consent, as it should be.
pub fn consent() -> Step {
    consent_with(&[])
}

/// The same with these lines behind the usual ones.
pub fn consent_with(lines: &[&str]) -> Step {
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}");
    let usual = ["Upgrade: websocket", "Connection: Upgrade", &accept];
    say(super::support::head("HTTP/1.1 101 Switching Protocols", &[&usual, lines].concat()))
}

/// Says a frame as a hybi client does, under a mask; `first` is its first byte.
pub fn say_masked(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Say(masked(first, payload))
}

/// Says a frame as a backend does.
pub fn say_plain(first: u8, payload: impl AsRef<[u8]>) -> Step {
    Step::Say(plain(first, payload))
}

/// Waits until these bytes were heard.
pub fn hear(bytes: impl AsRef<[u8]>) -> Step {
    Step::Hear(bytes.as_ref().to_vec())
}

/// A client that was told a close, with this code where there are codes, answers it, so that nobody waits for it.
pub fn answers_close(dialect: Dialect, code: u16) -> Vec<Step> {
    use super::support::{CLOSE, GOODBYE, plain, status};
    match dialect {
        // Nothing is said to it; it waits for the end, and ends too.
        Dialect::Hixie75 => vec![hear(b"\xff\xff"), Step::Finish],
        Dialect::Hixie76 => vec![hear(GOODBYE), say(GOODBYE)],
        _ => vec![hear(plain(CLOSE, status(code, ""))), say_masked(CLOSE, status(code, ""))],
    }
}

/// A backend's last steps: it waits until it is told a close of a code alone, and ends, so that nobody waits for it.
pub fn leaves_once_told() -> [Step; 2] {
    [hear(b"\x88\x82"), Step::Finish]
}

/// Says these bytes one by one, with so many milliseconds before each.
pub fn dripped(bytes: impl AsRef<[u8]>, ms: u64) -> Step {
    Step::Drip(bytes.as_ref().to_vec(), Duration::from_millis(ms))
}
