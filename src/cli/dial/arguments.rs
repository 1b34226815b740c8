//! What was typed, and what it means.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use hybridge::config::{parse_duration, split_authority};
use hybridge::dialect::Dialect;
use hybridge::dialect::client::Ask;
use hybridge::event::Kind;
use hybridge::http::{is_host, is_token};
use hybridge::proxy::tls::Trust;

use super::place::Place;
use super::print::Trace;
use super::pump::Linger;
use super::session::Habits;
use crate::cli::client;

/// Headers that the handshake itself has, and the option that sets each.
const TAKEN: [(&str, &str); 14] = [
    ("Host", "use --host"),
    ("Origin", "use --origin"),
    ("Sec-WebSocket-Origin", "use --origin"),
    ("Cookie", "use --cookie"),
    ("Sec-WebSocket-Protocol", "use --protocol"),
    ("WebSocket-Protocol", "use --protocol"),
    ("Sec-WebSocket-Version", "use --dialect"),
    ("Sec-WebSocket-Key", "the dialect makes its own"),
    ("Sec-WebSocket-Key1", "the dialect makes its own"),
    ("Sec-WebSocket-Key2", "the dialect makes its own"),
    ("Sec-WebSocket-Extensions", "dial speaks none"),
    ("Upgrade", "the dialect has its own"),
    ("Connection", "the dialect has its own"),
    ("Sec-WebSocket-Draft", "use --dialect"),
];

/// How `--help` ends.
const EXITS: &str = "\
Each line of stdin is sent as one text message, without its line end, and each message is printed on stdout with a line \
end, at once. A text may itself have several lines. A binary message is printed in hexadecimal, with a word on stderr. \
Neither lines nor messages are held in memory, however long they are.

When stdin ends, dial closes: with 1000, with FF 00 in hixie-76, by ending the stream in hixie-75; what comes until the \
server's answer is still printed. A server may drop what it had not said by then: to see the answers to piped lines, \
say how many with --count, or for how long with --wait. Ctrl-C and SIGTERM close with 1001; a second one ends at once.

Exit codes:
  0    closed, by us or by the server: without a code, with 1000 or 1001, with FF 00, or by hixie-75's end of stream
  1    could not connect, or the opening handshake was refused
  2    misuse, or stdin that cannot be sent
  3    closed by the server with another code
  4    the connection broke, or ended without the close that its dialect has, or inside a message
  5    the server broke a rule of the protocol
  130, 143  a signal ended it before it was open, or a second one after

Examples:
  hybridge dial ws://127.0.0.1:9000/echo
  echo hello | hybridge dial --dialect hixie-76 --count 1 ws://127.0.0.1:8080/echo
  hybridge dial -v --dialect 75 --origin http://tv.example wss://tv.example/news </dev/null";

#[derive(Args)]
#[command(after_help = EXITS)]
pub struct Arguments {
    /// Where to: ws://HOST:PORT/PATH?QUERY, or wss:// for TLS
    url: Place,
    /// What to speak: hixie-75, hixie-76, v7, v8 or v13; or 75, 76, 7, 8, 13
    #[arg(short, long, value_name = "NAME", default_value = "v13")]
    dialect: Dialect,
    /// The origin of the page; '' sends none [default: that of the URL in hixie, whose browsers always sent one; else none]
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    origin: Option<String>,
    /// A subprotocol to ask for; may be repeated
    #[arg(long = "protocol", value_name = "NAME")]
    protocols: Vec<String>,
    /// A further header; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The cookies, as in 'a=b; c=d'
    #[arg(long, value_name = "COOKIES", value_parser = value)]
    cookie: Option<String>,
    /// The Host header, and in hixie the location that the server must repeat [default: that of the URL]
    #[arg(long, value_name = "HOST:PORT", value_parser = host)]
    host: Option<String>,
    /// Connect there, whatever the URL says; it still names Host, and the certificate
    #[arg(long, value_name = "HOST:PORT", value_parser = authority)]
    connect: Option<(String, Option<u16>)>,
    /// For wss: a PEM file with the certificate authorities to believe [default: those of this machine]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// For wss: believe any certificate
    #[arg(long)]
    insecure: bool,
    /// How long connecting and the opening handshake may take, and the answer to our close: 10s, 500ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds)]
    timeout: Duration,
    /// Send lines as binary messages
    #[arg(long)]
    binary: bool,
    /// Print binary messages as they are, and without a line end
    #[arg(long)]
    raw: bool,
    /// When stdin has ended, listen for so long before closing: 5s, 500ms
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    wait: Option<Duration>,
    /// Close after N messages, and not before, even if stdin has ended (unless --wait is over)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Show handshakes, control frames and closes on stderr; -vv every frame
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// What is to be done, checked.
pub struct Plan {
    /// The request.
    pub ask: Ask,
    /// Host and port to connect to.
    pub connect: (String, u16),
    /// For wss: whom to believe.
    pub trust: Option<Trust>,
    /// What the certificate must be for.
    pub server_name: String,
    /// For opening, and for closing.
    pub timeout: Duration,
    /// What becomes of stdin's end.
    pub linger: Option<Linger>,
    /// What is printed and when it is enough.
    pub habits: Habits,
}

impl Arguments {
    /// Checks what only the arguments together can tell.
    ///
    /// # Errors
    /// They do not go together, and what to do.
    pub fn plan(self) -> Result<Plan, String> {
        let hixie = self.dialect.facts().version.is_none();
        if hixie && self.binary {
            return Err(format!("{} has no binary messages; leave out --binary", self.dialect));
        }
        if !self.url.secure && (self.ca.is_some() || self.insecure) {
            return Err("--ca and --insecure are for wss://; leave them out, or write wss://".to_owned());
        }
        check_protocols(&self.protocols, hixie)?;
        let authority = self.host.unwrap_or_else(|| self.url.authority());
        let mut ask = client::ask(self.dialect, &authority, &self.url.target);
        ask.secure = self.url.secure;
        ask.origin = match self.origin {
            Some(origin) => (!origin.is_empty()).then_some(origin),
            None => hixie.then(|| self.url.origin()),
        };
        ask.subprotocols = self.protocols;
        ask.cookie = self.cookie;
        ask.fields = self.headers;
        let connect = match self.connect {
            Some((host, port)) => (host, port.unwrap_or(self.url.port)),
            None => (self.url.host.clone(), self.url.port),
        };
        let trust = match self.ca {
            _ if self.insecure => Trust::Anybody,
            Some(file) => Trust::File(file),
            None => Trust::System,
        };
        let kind = if self.binary { Kind::Binary } else { Kind::Text };
        let habits = Habits { kind, raw: self.raw, count: self.count, trace: Trace { level: self.verbose } };
        Ok(Plan {
            ask,
            connect,
            trust: self.url.secure.then_some(trust),
            server_name: self.url.host,
            timeout: self.timeout,
            linger: self.wait.map(Linger::For).or(self.count.map(|_| Linger::Ever)),
            habits,
        })
    }
}

/// hixie asks with one opaque value; the others with a list of tokens, each once (RFC 6455 §4.1).
fn check_protocols(protocols: &[String], hixie: bool) -> Result<(), String> {
    for (at, name) in protocols.iter().enumerate() {
        let fits = match hixie {
            true => !name.is_empty() && name.bytes().all(|byte| (0x20..0x7F).contains(&byte)) && name.trim() == name,
            false => is_token(name.as_bytes()),
        };
        if !fits {
            return Err(format!("{name:?} is no subprotocol; write letters, digits and marks like - and ."));
        }
        if protocols[..at].contains(name) {
            return Err(format!("the subprotocol {name} is asked for twice"));
        }
    }
    Ok(())
}

/// Reads a header value. Whatever could end the line would become a header of its own.
fn value(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("a header has no line ends or other control characters in it".to_owned());
    }
    Ok(text.trim_matches([' ', '\t']).to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, content) = text.split_once(':').ok_or("write 'Name: value'")?;
    if !is_token(name.as_bytes()) {
        return Err(format!("{name:?} is no name of a header; write 'Name: value'"));
    }
    if let Some((_, instead)) = TAKEN.iter().find(|(taken, _)| name.eq_ignore_ascii_case(taken)) {
        return Err(format!("the opening handshake has its own {name}: {instead}"));
    }
    Ok((name.to_owned(), value(content)?))
}

fn origin(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("write an origin as in http://tv.example:8080, or null".to_owned())
}

fn host(text: &str) -> Result<String, String> {
    if is_host(text) { Ok(text.to_owned()) } else { Err("write a host as in tv.example or tv.example:8080".to_owned()) }
}

fn authority(text: &str) -> Result<(String, Option<u16>), String> {
    split_authority(text).map_err(|refusal| refusal.to_string())
}

/// Reads a duration; a number alone is of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = if bare { format!("{text}s") } else { text.to_owned() };
    parse_duration(&text).map_err(|refusal| refusal.to_string())
}
