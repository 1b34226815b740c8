//! The chat room: who is in it, and what each is told.
//!
//! Visitors and built-in clients get lines of text, `NAME: TEXT`. The page gets JSON, with the bytes of what the built-in
//! clients said and heard: those know their own wire, and tell the room of it.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hybridge::dialect::Dialect;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::clients::{Browser, CAST};

/// Lines that may wait for one member. Who lets more wait is shown out.
const WAITING: usize = 64;
/// Lines that the page is told of what happened before it came.
const HISTORY: usize = 40;
/// What visitors are called, with a number behind it.
pub const VISITOR: &str = "Visitor";

/// The room.
#[derive(Debug, Default)]
pub struct Room(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    members: HashMap<u64, Seat>,
    /// How many have ever come in, and how many of them were visitors.
    joined: u64,
    visitors: u64,
    /// What built-in clients have written and the backend has not heard yet.
    written: HashMap<Dialect, VecDeque<Vec<u8>>>,
    /// What the page was told last.
    history: VecDeque<String>,
}

#[derive(Debug)]
struct Seat {
    page: bool,
    tell: Sender<String>,
}

/// Somebody in the room, until dropped.
pub struct Member<'r> {
    room: &'r Room,
    number: u64,
    name: String,
    /// The built-in client, if it is one.
    browser: Option<&'static Browser>,
    told: Receiver<String>,
}

impl Room {
    /// Somebody comes in: `/chat?as=page` the page, `/chat?as=hixie-75` and so on the built-in clients, `/chat` anybody.
    pub fn join(&self, target: &str) -> Member<'_> {
        let role = target.split_once("?as=").map(|(_, role)| role);
        let browser = CAST.iter().find(|browser| role == Some(browser.dialect.name()));
        let page = role == Some("page");
        let (tell, told) = channel(WAITING);
        let mut state = self.lock();
        state.joined += 1;
        let number = state.joined;
        let name = browser.map(|browser| browser.name.to_owned()).unwrap_or_else(|| {
            state.visitors += 1;
            format!("{VISITOR} {}", state.visitors)
        });
        if page {
            let you = Json::object("hello").text("you", &name).end();
            for line in std::iter::once(&you).chain(&state.history) {
                // The channel is empty and longer than the history.
                let _ = tell.try_send(line.clone());
            }
        }
        state.members.insert(number, Seat { page, tell });
        Member { room: self, number, name, browser, told }
    }

    /// A built-in client writes these bytes, which mean one message.
    pub fn writes(&self, dialect: Dialect, bytes: &[u8]) {
        self.lock().written.entry(dialect).or_default().push_back(bytes.to_vec());
    }

    /// A built-in client's connection is new: what was under way on the last one is lost.
    pub fn forgets(&self, dialect: Dialect) {
        self.lock().written.remove(&dialect);
    }

    /// A built-in client has heard a visitor, in these bytes, which mean this text.
    pub fn heard(&self, dialect: Dialect, text: &str, bytes: &[u8]) {
        let line = Json::object("heard").text("by", dialect.name()).text("text", text).hex("wire", bytes).end();
        self.lock().tell_pages(line);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell_pages(&mut self, line: String) {
        self.tell(true, &line);
        self.history.push_back(line);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    fn tell(&mut self, page: bool, line: &str) {
        // Who does not keep up loses the seat, and with it the connection.
        self.members.retain(|_, seat| seat.page != page || seat.tell.try_send(line.to_owned()).is_ok());
    }
}

impl Member<'_> {
    /// The member has said something, which came to the backend in these bytes.
    pub fn says(&self, text: &str, bytes: &[u8]) {
        let mut state = self.room.lock();
        let mut json = Json::object("said").text("text", text).hex("backend", bytes);
        if let Some(browser) = self.browser {
            let written = state.written.get_mut(&browser.dialect).and_then(VecDeque::pop_front).unwrap_or_default();
            json = json.text("by", browser.dialect.name()).hex("wire", &written);
        }
        let line = json.text("name", &self.name).end();
        state.tell_pages(line);
        state.tell(false, &format!("{}: {text}", self.name));
    }

    /// The next line for the member; `None` when it was shown out.
    pub async fn told(&mut self) -> Option<String> {
        self.told.recv().await
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.room.lock().members.remove(&self.number);
    }
}

/// A JSON object under construction, whose `kind` comes first.
struct Json(String);

impl Json {
    fn object(kind: &str) -> Json {
        Json("{".to_owned()).text("kind", kind)
    }

    fn text(mut self, key: &str, value: &str) -> Json {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{comma}\"{key}\":\"");
        for c in value.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                // RFC 8259 §7: control characters must be escaped.
                '\0'..='\x1F' => drop(write!(self.0, "\\u{:04x}", u32::from(c))),
                _ => self.0.push(c),
            }
        }
        self.0.push('"');
        self
    }

    fn hex(self, key: &str, bytes: &[u8]) -> Json {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        self.text(key, &text)
    }

    fn end(self) -> String {
        self.0 + "}"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_the_whole_cast() {
        for browser in &CAST {
            let entry = format!("[\"{}\", \"{}\", ", browser.dialect, browser.name);
            assert!(include_str!("page.html").contains(&entry), "{entry}");
        }
    }

    #[test]
    fn text_survives_json() {
        let json = Json::object("said").text("text", "a\"b\\c\n\u{1F600}\0").hex("wire", b"\0\xff").end();
        assert_eq!(json, r#"{"kind":"said","text":"a\"b\\c\u000a😀\u0000","wire":"00ff"}"#);
    }

    #[test]
    fn the_page_sees_both_wires_and_others_a_line() {
        let room = Room::default();
        let (mut page, mut guest) = (room.join("/chat?as=page"), room.join("/chat"));
        let chrome = room.join("/chat?as=hixie-75");
        room.writes(Dialect::Hixie75, b"\0Hi\xff");
        chrome.says("Hi", b"\x81\x82mask");
        assert_eq!(page.told.try_recv().expect("a greeting"), r#"{"kind":"hello","you":"Visitor 1"}"#);
        assert_eq!(
            page.told.try_recv().expect("a line"),
            r#"{"kind":"said","text":"Hi","backend":"81826d61736b","by":"hixie-75","wire":"004869ff","name":"Chrome 4"}"#
        );
        assert_eq!(guest.told.try_recv().expect("a line"), "Chrome 4: Hi");
        let mut late = room.join("/chat?as=page");
        assert!(late.told.try_recv().is_ok() && late.told.try_recv().is_ok(), "the history is told");
    }

    #[test]
    fn who_does_not_listen_is_shown_out() {
        let room = Room::default();
        let (mut deaf, speaker) = (room.join("/chat"), room.join("/chat"));
        for _ in 0..=WAITING {
            speaker.says("x", b"");
        }
        while deaf.told.try_recv().is_ok() {}
        assert!(deaf.told.is_closed());
    }
}
