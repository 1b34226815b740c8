//! The built-in clients that stay in the chat room for whoever opens the page.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hybridge::dialect::Dialect;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::clients::{Browser, CAST};
use super::room::{Room, VISITOR};
use super::wire::{Meaning, Wire};
use crate::cli::client::Handshake;

/// Between two things that one of them says unasked.
const INTERVAL: Duration = Duration::from_secs(20);
/// Between the first lines of one and the next, so that the page is soon complete.
const ENTRANCE: Duration = Duration::from_millis(600);
/// Between the turns of one and the next, from then on.
const STAGGER: Duration = Duration::from_secs(4);
/// Until the first of them answers a visitor, and then the next.
const ANSWER: Duration = Duration::from_millis(450);
/// How long an opening handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before a lost connection is opened anew.
const BACK_OFF: Duration = Duration::from_secs(2);

/// What a client of this dialect says unasked, in turn: short, so that its bytes can be taken in at a glance.
fn lines(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Hixie75 => &["Anyone else on XP?", "No ping here. Talk.", "Goodbye is hanging up."],
        Dialect::Hixie76 => &["Count my spaces.", "Hello from a TV 📺", "MD5 of 16 bytes. Done."],
        Dialect::Hybi07 => &["Masked, at last.", "I am MozWebSocket.", "Frames with lengths!"],
        Dialect::Hybi10 => &["Almost a standard.", "Bad UTF-8? I hang up.", "Version 8 of 13 🙂"],
        Dialect::Rfc6455 => &["RFC 6455 speaking.", "Hello from 2013 👋", "Nothing to translate."],
    }
}

/// What a client of this dialect says to a visitor whom it heard in so many bytes.
fn answer(dialect: Dialect, bytes: usize) -> String {
    match dialect {
        Dialect::Hixie75 => format!("{bytes} bytes, 00 to FF."),
        Dialect::Hixie76 => format!("{bytes} bytes. Clear."),
        Dialect::Hybi07 => format!("Read all {bytes} bytes."),
        Dialect::Hybi10 => format!("{bytes} bytes, all UTF-8."),
        Dialect::Rfc6455 => format!("{bytes} bytes, as sent."),
    }
}

/// Keeps a client of every dialect in the room, for ever.
pub async fn stay(proxy: SocketAddr, room: Arc<Room>) {
    for (place, browser) in CAST.iter().enumerate() {
        let room = Arc::clone(&room);
        let place = u32::try_from(place).expect("the cast is small");
        tokio::spawn(async move {
            let mut resident = Resident { browser, place, room, turns: 0 };
            loop {
                // Whatever ended it, it comes back.
                let _ = resident.visit(proxy).await;
                sleep(BACK_OFF).await;
            }
        });
    }
}

struct Resident {
    browser: &'static Browser,
    place: u32,
    room: Arc<Room>,
    /// Lines said unasked so far.
    turns: usize,
}

impl Resident {
    /// Enters the room, and speaks and answers there until the connection ends.
    async fn visit(&mut self, proxy: SocketAddr) -> io::Result<()> {
        let dialect = self.browser.dialect;
        let target = format!("/chat?as={dialect}");
        let mut handshake = Handshake::default();
        let opened = timeout(PATIENCE, self.browser.open(proxy, &target, &mut handshake)).await;
        let mut wire = opened.map_err(io::Error::from)?.map_err(io::Error::other)?;
        self.room.forgets(dialect);
        let entered = Instant::now();
        let mut next = entered + ENTRANCE * self.place;
        let mut owed: Option<(Instant, String)> = None;
        loop {
            let due = owed.as_ref().map_or(next, |(at, _)| next.min(*at));
            tokio::select! {
                heard = wire.hear() => {
                    let heard = heard?;
                    match &heard.meaning {
                        Meaning::Text(text) => {
                            if text.starts_with(VISITOR) {
                                self.room.heard(dialect, text, &heard.bytes);
                                // Only the last of several is answered, so that nobody can make it talk without end.
                                let at = Instant::now() + ANSWER * (self.place + 1);
                                owed = Some((at, answer(dialect, heard.bytes.len())));
                            }
                        }
                        Meaning::Close(..) => drop(wire.say(&heard.meaning).await?),
                        Meaning::End => return Ok(()),
                        Meaning::Binary(_) | Meaning::Ping(_) | Meaning::Pong(_) => {}
                    }
                }
                () = sleep_until(due) => match owed.take_if(|(at, _)| *at <= due) {
                    Some((_, said)) => self.says(&mut wire, said).await?,
                    None => {
                        let lines = lines(dialect);
                        self.says(&mut wire, lines[self.turns % lines.len()].to_owned()).await?;
                        self.turns += 1;
                        let on_time = entered + INTERVAL + STAGGER * self.place;
                        next = on_time.max(next + INTERVAL);
                    }
                }
            }
        }
    }

    /// Tells the room what is about to go out, and says it.
    async fn says(&self, wire: &mut Wire, text: String) -> io::Result<()> {
        let bytes = wire.encode(&Meaning::Text(text));
        self.room.writes(self.browser.dialect, &bytes);
        wire.write(&bytes).await
    }
}
