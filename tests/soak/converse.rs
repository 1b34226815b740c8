//! One end of an open conversation, client or backend: it says what its plan has, compares what it hears with the
//! other's part of the plan, both at once, and ends as planned.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::ears::{Ears, Sound};
use crate::outcome::{Outcome, Tally};
use crate::plan::{End, Message, Plan, Side};
use crate::support::{BINARY, CLOSE, Dialect, GOODBYE, PING, PONG, TEXT, masked, plain, status};

/// How long a conversation may take. Only one that hangs takes as long.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The words of one end: a backend's are those of RFC 6455, a client's those of its dialect.
#[derive(Clone, Copy)]
pub struct Mouth {
    side: Side,
    dialect: Dialect,
}

impl Mouth {
    pub fn new(side: Side, dialect: Dialect) -> Mouth {
        Mouth { side, dialect }
    }

    fn is_hixie(self) -> bool {
        self.side == Side::Client && matches!(self.dialect, Dialect::Hixie75 | Dialect::Hixie76)
    }

    fn frame(self, first: u8, payload: &[u8]) -> Vec<u8> {
        match self.side {
            Side::Client => masked(first, payload),
            Side::Backend => plain(first, payload),
        }
    }

    /// A message as writes may begin and end in it, and how many pings stand inside.
    fn message(self, message: &Message, pings: bool, whims: &mut StdRng) -> (Vec<u8>, u64) {
        if self.is_hixie() {
            return ([b"\0", &message.bytes[..], b"\xff"].concat(), 0);
        }
        let mut opcode = if message.is_text { TEXT } else { BINARY } & 0x0F;
        let (mut bytes, mut rest, mut count) = (Vec::new(), &message.bytes[..], 0);
        while whims.random_range(0..3) == 0 {
            let (fragment, behind) = rest.split_at(whims.random_range(0..=rest.len()));
            bytes.extend(self.frame(opcode, fragment));
            (opcode, rest) = (0, behind);
            if pings && whims.random_range(0..4) == 0 {
                bytes.extend(self.frame(PING, b"are you there?"));
                count += 1;
            }
        }
        bytes.extend(self.frame(0x80 | opcode, rest));
        (bytes, count)
    }

    /// What closes in this dialect, if anything does.
    fn close(self, code: u16) -> Option<Vec<u8>> {
        match self.dialect {
            Dialect::Hixie75 if self.side == Side::Client => None,
            Dialect::Hixie76 if self.side == Side::Client => Some(GOODBYE.to_vec()),
            _ if code == 0 => Some(self.frame(CLOSE, b"")),
            _ => Some(self.frame(CLOSE, &status(code, ""))),
        }
    }
}

/// What both directions of one end know.
#[derive(Default)]
struct Common {
    /// Answers to pings, to be said at the next opportunity.
    replies: RefCell<Vec<Vec<u8>>>,
    /// The close that was heard; 0 is one without a code.
    close: Cell<Option<u16>>,
    /// The stream ended, one way or the other.
    gone: Cell<bool>,
    /// All that the other side had to say was heard.
    heard_all: Cell<bool>,
    /// We have dropped the connection.
    dropped: Cell<bool>,
    /// For the direction that says: something of this has changed.
    heard: Notify,
    /// For the direction that hears: it need not any more.
    hung_up: Notify,
}

impl Common {
    fn is_over(&self) -> bool {
        self.gone.get() || self.close.get().is_some()
    }

    async fn until(&self, holds: impl Fn(&Common) -> bool) {
        while !holds(self) {
            self.heard.notified().await;
        }
    }
}

/// Compares what is heard with what the other side has to say.
pub struct Listener<'p> {
    plan: &'p Plan,
    from: Side,
    number: usize,
    expected: Option<(Message, usize)>,
    pub tally: Tally,
}

impl<'p> Listener<'p> {
    pub fn new(plan: &'p Plan, from: Side) -> Self {
        Listener { plan, from, number: 0, expected: None, tally: Tally::default() }
    }

    fn begins(&mut self, is_text: bool) -> Result<(), String> {
        let due = self.plan.messages(self.from) + usize::from(self.plan.breaks_off(self.from));
        if self.number >= due {
            return Err(format!("message {} was never to be sent", self.number));
        }
        let expected = self.plan.message(self.from, self.number);
        if expected.is_text != is_text {
            return Err(format!("message {} is of the wrong kind", self.number));
        }
        self.expected = Some((expected, 0));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (message, at) = self.expected.as_mut().ok_or("bytes outside a message")?;
        let number = self.number;
        let due = message.bytes.get(*at..*at + bytes.len());
        if due != Some(bytes) {
            return Err(format!(
                "message {number} is altered or too long, behind byte {at} of {}",
                message.bytes.len()
            ));
        }
        *at += bytes.len();
        Ok(())
    }

    fn ends(&mut self) -> Result<(), String> {
        let (message, at) = self.expected.take().ok_or("the end of no message")?;
        if at != message.bytes.len() {
            return Err(format!("message {} was cut to {at} of {} bytes", self.number, message.bytes.len()));
        }
        if self.number >= self.plan.messages(self.from) {
            return Err(format!("message {} was never finished, and looks whole", self.number));
        }
        self.number += 1;
        self.tally.count(&message);
        Ok(())
    }

    fn has_all(&self) -> bool {
        self.number == self.plan.messages(self.from)
    }
}

/// Plays one side of the plan over an open connection; `early` was read from it already.
pub async fn converse(mut stream: TcpStream, plan: &Plan, side: Side, early: Vec<u8>) -> Outcome {
    let common = Common::default();
    let mut listener = Listener::new(plan, side.other());
    let mut sent = Tally::default();
    let mouth = Mouth::new(side, plan.dialect);
    common.heard_all.set(listener.has_all());
    let done = {
        let (reading, writing) = stream.split();
        let hearing = hear(reading, early, mouth, &mut listener, &common);
        let saying = say(writing, plan, mouth, &mut sent, &common);
        timeout(PATIENCE, async { tokio::join!(hearing, saying).0 }).await
    };
    if common.dropped.get() {
        // Nothing may be lost by chance where it is meant to be lost on purpose.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
    let fault = match done {
        Ok(heard) => heard.err(),
        Err(_) => Some(format!("it hangs: heard {}, said {sent}", listener.tally)),
    };
    Outcome { id: plan.id, sent, heard: listener.tally, close: common.close.get(), fault }
}

async fn hear(
    mut stream: ReadHalf<'_>,
    mut early: Vec<u8>,
    mouth: Mouth,
    listener: &mut Listener<'_>,
    common: &Common,
) -> Result<(), String> {
    let mut ears = if mouth.is_hixie() { Ears::hixie() } else { Ears::hybi(mouth.side == Side::Backend) };
    let mut result = attend(&mut ears, &mut early, mouth, listener, common);
    drop(early);
    let mut buffer = vec![0; 64 << 10];
    while result.is_ok() {
        let read = tokio::select! {
            read = stream.read(&mut buffer) => read,
            () = common.hung_up.notified() => break,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(read) => result = attend(&mut ears, &mut buffer[..read], mouth, listener, common),
        }
    }
    common.gone.set(true);
    common.heard.notify_one();
    result
}

/// Takes in what was read.
fn attend(
    ears: &mut Ears,
    bytes: &mut [u8],
    mouth: Mouth,
    listener: &mut Listener<'_>,
    common: &Common,
) -> Result<(), String> {
    ears.hear(bytes, &mut |sound| {
        if common.close.get().is_some() {
            return Err("it says something after its close".to_owned());
        }
        match sound {
            Sound::Begins(is_text) => return listener.begins(is_text),
            Sound::Bytes(bytes) => return listener.bytes(bytes),
            Sound::Ends => listener.ends()?,
            Sound::Ping(payload) => {
                listener.tally.pings += 1;
                common.replies.borrow_mut().push(mouth.frame(PONG, payload));
            }
            Sound::Pong => listener.tally.pongs += 1,
            Sound::Close(code) => common.close.set(Some(code.unwrap_or(0))),
        }
        common.heard_all.set(listener.has_all());
        common.heard.notify_one();
        Ok(())
    })
}

/// Says what the plan has, and ends as it has.
async fn say(mut stream: WriteHalf<'_>, plan: &Plan, mouth: Mouth, sent: &mut Tally, common: &Common) {
    let mut whims = plan.whims(mouth.side);
    // An error means that the connection is gone, which the reader finds out.
    if talk(&mut stream, plan, mouth, &mut whims, sent, common).await.is_ok() {
        let _ = part(&mut stream, plan, mouth, &mut whims, sent, common).await;
    }
}

type Gone = std::io::Error;

async fn talk(
    stream: &mut WriteHalf<'_>,
    plan: &Plan,
    mouth: Mouth,
    whims: &mut StdRng,
    sent: &mut Tally,
    common: &Common,
) -> Result<(), Gone> {
    for number in 0..plan.messages(mouth.side) {
        pause(whims, common).await;
        reply(stream, sent, common).await?;
        if common.is_over() {
            return Ok(());
        }
        let message = plan.message(mouth.side, number);
        let (bytes, pings) = mouth.message(&message, true, whims);
        pour(stream, &bytes, whims, common).await?;
        sent.count(&message);
        sent.pings += pings;
    }
    Ok(())
}

async fn part(
    stream: &mut WriteHalf<'_>,
    plan: &Plan,
    mouth: Mouth,
    whims: &mut StdRng,
    sent: &mut Tally,
    common: &Common,
) -> Result<(), Gone> {
    let ends = plan.ender == mouth.side;
    // Whoever does not end goes on answering pings until the other does.
    while !common.is_over() && !(ends && (!plan.patient || common.heard_all.get())) {
        reply(stream, sent, common).await?;
        common.heard.notified().await;
    }
    if ends && !plan.patient {
        pause(whims, common).await;
    }
    if let Some(code) = common.close.get() {
        if let Some(close) = mouth.close(code) {
            stream.write_all(&close).await?;
        }
        return hang_up(stream, mouth).await;
    }
    if !ends || common.is_over() {
        return Ok(());
    }
    if plan.mid {
        let (bytes, _) = mouth.message(&plan.message(mouth.side, plan.messages(mouth.side)), false, whims);
        let most = whims.random_range(1..bytes.len());
        pour(stream, &bytes[..most], whims, common).await?;
    }
    match plan.end {
        End::Close => {
            let Some(close) = mouth.close(plan.code) else { return stream.shutdown().await };
            stream.write_all(&close).await?;
            common.until(Common::is_over).await;
            hang_up(stream, mouth).await
        }
        End::Fin => stream.shutdown().await,
        End::Reset => {
            common.dropped.set(true);
            common.hung_up.notify_one();
            Ok(())
        }
    }
}

/// RFC 6455 §7.1.1: after the closing handshake the server ends TCP. A client waits for that.
async fn hang_up(stream: &mut WriteHalf<'_>, mouth: Mouth) -> Result<(), Gone> {
    if mouth.side == Side::Backend { stream.shutdown().await } else { Ok(()) }
}

async fn reply(stream: &mut WriteHalf<'_>, sent: &mut Tally, common: &Common) -> Result<(), Gone> {
    let replies = common.replies.take();
    if replies.is_empty() || common.is_over() {
        return Ok(());
    }
    sent.pongs += replies.len() as u64;
    stream.write_all(&replies.concat()).await
}

/// Sometimes waits a little, unless the other end has had enough.
async fn pause(whims: &mut StdRng, common: &Common) {
    let time = match whims.random_range(0..10) {
        0..5 => return,
        5..9 => whims.random_range(0..20),
        _ => whims.random_range(0..300),
    };
    let _ = timeout(Duration::from_millis(time), common.until(Common::is_over)).await;
}

/// Writes the bytes, mostly in one piece and sometimes in many, for as long as anybody is there.
async fn pour(stream: &mut WriteHalf<'_>, mut bytes: &[u8], whims: &mut StdRng, common: &Common) -> Result<(), Gone> {
    let cuts = if whims.random_range(0..3) == 0 { whims.random_range(1..12) } else { 0 };
    for _ in 0..cuts {
        let (piece, rest) = bytes.split_at(whims.random_range(0..=bytes.len()));
        whole(stream, piece, common).await?;
        bytes = rest;
        if !common.is_over() {
            sleep(Duration::from_millis(whims.random_range(0..3))).await;
        }
    }
    whole(stream, bytes, common).await
}

async fn whole(stream: &mut WriteHalf<'_>, bytes: &[u8], common: &Common) -> Result<(), Gone> {
    tokio::select! {
        // What is written is counted, though the end of the stream comes at the same moment.
        biased;
        written = stream.write_all(bytes) => written,
        () = common.until(|common| common.gone.get()) => Err(std::io::ErrorKind::NotConnected.into()),
    }
}
