//! `hybridge dial`: a client of any dialect. Lines in, messages out.

mod arguments;
mod lines;
mod place;
mod print;
mod pump;
mod session;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use hybridge::dialect::terms::{Terms, WrongAnswer};
use hybridge::proxy::stream::Stream;
use hybridge::proxy::tls::{Tls, TlsFault};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

pub use self::arguments::Arguments;
use self::arguments::Plan;
use self::print::{Printer, Voice, say};
use self::pump::{BadInput, Patience, Pump, Seen, Signals};
use self::session::{Ending, Session};
use crate::cli::bytes::quoted;
use crate::cli::client::{self, Handshake, Unopened};

/// How long a server that declines may take to say why, and how many bytes of that are read.
const REASON: Duration = Duration::from_millis(500);
/// See [`REASON`].
const LONGEST_REASON: u64 = 4 << 10;

/// What the process exits with. `arguments::EXITS` tells users the same.
#[derive(Clone, Copy)]
enum Exit {
    Closed = 0,
    NotOpened = 1,
    Misuse = 2,
    ClosedWithCode = 3,
    Broken = 4,
    ProtocolError = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Talks until one side closes.
pub fn run(arguments: Arguments) -> ExitCode {
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(misuse) => {
            say(&format!("hybridge: {misuse}"));
            return Exit::Misuse.into();
        }
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let exit = runtime.block_on(dial(&plan));
    // A name that is still looked up, and stdin, do not keep the process.
    runtime.shutdown_background();
    exit
}

fn failed(why: &str) -> ExitCode {
    say(&format!("hybridge: {why}"));
    Exit::NotOpened.into()
}

async fn dial(plan: &Plan) -> ExitCode {
    let mut signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("signals cannot be caught: {error}")),
    };
    let opening = async {
        match timeout(plan.timeout, open(plan)).await {
            Ok(opened) => opened,
            Err(_) => Err(format!("the server did not answer within {:?}; see --timeout", plan.timeout)),
        }
    };
    let (stream, session) = tokio::select! {
        opened = opening => match opened {
            Ok(opened) => opened,
            Err(why) => return failed(&why),
        },
        exit = signals.next() => return ExitCode::from(exit),
    };
    talk(plan, stream, session, &mut signals).await
}

/// Connects, and performs the opening handshake.
async fn open(plan: &Plan) -> Result<(Stream, Session), String> {
    let mut stream = connect(plan).await?;
    let mut handshake = Handshake::default();
    let opened = client::shake_hands(&mut stream, &plan.ask, &mut handshake).await;
    if let Err(Unopened::Wrong(WrongAnswer::Declined(_))) = opened {
        let _ = timeout(REASON, (&mut stream).take(LONGEST_REASON).read_to_end(&mut handshake.heard)).await;
    }
    plan.habits.trace.head(Voice::Us, &handshake.said);
    plan.habits.trace.head(Voice::Server, &handshake.heard);
    let terms = plan.ask.terms();
    match opened {
        Ok((opened, early)) => {
            if let Some(subprotocol) = &opened.subprotocol {
                plan.habits.trace.note(&format!("the subprotocol is {}", quoted(subprotocol.as_bytes())));
            }
            Ok((stream, Session::new(terms.codec(&opened), plan.habits, early)))
        }
        Err(unopened) => {
            if !plan.habits.trace.is_on() {
                print::head(Voice::Server, &handshake.heard);
            }
            Err(explained(&unopened, &terms))
        }
    }
}

/// Why it did not open, and what to do about it.
fn explained(unopened: &Unopened, terms: &Terms) -> String {
    use WrongAnswer as W;
    let dialect = terms.dialect;
    let hint = match unopened {
        Unopened::Broken(_) | Unopened::HungUp => {
            format!("perhaps it speaks no {dialect}; -v shows what was said, and --dialect asks in another")
        }
        Unopened::Wrong(W::SentWrongLocation) => {
            format!("it should have been {}; where the server knows itself by another name, see --host", terms.url())
        }
        Unopened::Wrong(W::SentWrongOrigin) => match &terms.origin {
            Some(origin) => format!("it should have been {origin}; see --origin"),
            None => "none was sent, so none should have come; see --origin".to_owned(),
        },
        Unopened::Wrong(W::Declined(_)) => "its answer says why, if it does; -v shows what it was asked".to_owned(),
        Unopened::Wrong(_) => format!("-v shows the request, and `hybridge explain` reads such bytes in {dialect}"),
    };
    format!("{unopened} ({hint})")
}

async fn connect(plan: &Plan) -> Result<Stream, String> {
    let (host, port) = &plan.connect;
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::ConnectionRefused => "; nothing listens there: check host and port",
            _ => "",
        };
        format!("cannot connect to {host} port {port}: {error}{remedy}")
    })?;
    // Small messages should not wait for each other; where the system refuses, they do.
    let _ = stream.set_nodelay(true);
    if let Ok(peer) = stream.peer_addr() {
        plan.habits.trace.note(&format!("connected to {peer}"));
    }
    let Some(trust) = &plan.trust else { return Ok(Stream::Plain(stream)) };
    let tls = Tls::new(trust, None).map_err(|error| error.to_string())?;
    tls.connect(stream, &plan.server_name).await.map_err(|error| {
        let option = match error.fault {
            TlsFault::UnknownIssuer => " (--ca FILE, or --insecure to believe anybody)",
            TlsFault::AuthorityAsServer | TlsFault::Expired(_) | TlsFault::NotYetValid => {
                " (--insecure believes anybody)"
            }
            TlsFault::WrongName(_) => " (--connect dials an address under another name)",
            _ => "",
        };
        format!("{error}{option}")
    })
}

/// Carries lines and messages until the connection is over.
async fn talk(plan: &Plan, stream: Stream, mut session: Session, signals: &mut Signals) -> ExitCode {
    let ready = Printer::start().and_then(|printer| Ok((printer, lines::read_stdin(plan.habits.kind)?)));
    let (printer, stdin) = match ready {
        Ok(ready) => ready,
        Err(error) => return failed(&format!("no thread could be started: {error}")),
    };
    let is_terminal = io::stdin().is_terminal();
    if is_terminal {
        say(&format!("connected in {}; each line is a message, Ctrl-D closes", plan.ask.dialect()));
    }
    let patience = Patience { close: plan.timeout, linger: plan.linger };
    let seen = Pump::new(stream, stdin, &printer, signals, plan.habits.trace, patience).run(&mut session).await;
    if let Some(exit) = seen.killed {
        return ExitCode::from(exit);
    }
    // Whoever reads stdout takes what is left; a signal ends that, too.
    tokio::select! {
        () = printer.finish() => {}
        exit = signals.next() => return ExitCode::from(exit),
    }
    verdict(session.ending(), seen, plan, is_terminal)
}

/// Says how it ended, where that is worth a word, and returns the exit code.
fn verdict(ending: Ending, seen: Seen, plan: &Plan, is_terminal: bool) -> ExitCode {
    let (exit, said) = match &ending {
        Ending::Closed(None | Some(1000 | 1001), _) => (Exit::Closed, None),
        Ending::Closed(code, reason) => {
            let closing = print::closing(*code, reason);
            (Exit::ClosedWithCode, Some(format!("the server closed: {closing}")))
        }
        Ending::Unclosed => (Exit::Broken, Some("the server ended the connection without a close".to_owned())),
        Ending::CutShort => (Exit::Broken, Some("the server ended the connection inside a message".to_owned())),
        Ending::Lost(error) => (Exit::Broken, Some(format!("the connection broke: {error}"))),
        Ending::Unanswered => {
            (Exit::Broken, Some(format!("the server did not answer the close within {:?}", plan.timeout)))
        }
        Ending::Broke(rule) => (Exit::ProtocolError, Some(format!("the server {rule}"))),
    };
    match said {
        Some(said) => say(&format!("hybridge: {said}")),
        None if is_terminal => say("closed"),
        None => {}
    }
    match seen.bad_input {
        None => exit.into(),
        Some(BadInput::NotUtf8(line)) => {
            say(&format!("hybridge: line {line} of stdin is not UTF-8, which a text must be; see --binary"));
            Exit::Misuse.into()
        }
        Some(BadInput::Failed(error)) => {
            say(&format!("hybridge: stdin cannot be read: {error}"));
            Exit::Misuse.into()
        }
    }
}
