//! What one end saw of a connection, and as a line of text, for the backend is another process.

use crate::plan::Message;

/// What went one way, in whole messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub texts: u64,
    pub binaries: u64,
    pub bytes: u64,
    pub pings: u64,
    pub pongs: u64,
}

impl Tally {
    pub fn count(&mut self, message: &Message) {
        *(if message.is_text { &mut self.texts } else { &mut self.binaries }) += 1;
        self.bytes += message.bytes.len() as u64;
    }

    pub fn add(&mut self, other: &Tally) {
        self.texts += other.texts;
        self.binaries += other.binaries;
        self.bytes += other.bytes;
        self.pings += other.pings;
        self.pongs += other.pongs;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { texts, binaries, bytes, pings, pongs } = self;
        write!(f, "{texts} texts, {binaries} binaries, {bytes} bytes, {pings} pings, {pongs} pongs")
    }
}

/// What one end saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub id: u64,
    pub sent: Tally,
    pub heard: Tally,
    /// The close that it heard; 0 is one without a code.
    pub close: Option<u16>,
    /// What should not have happened.
    pub fault: Option<String>,
}

impl Outcome {
    pub fn to_line(&self) -> String {
        let tally = |tally: &Tally| {
            let Tally { texts, binaries, bytes, pings, pongs } = tally;
            format!("{texts} {binaries} {bytes} {pings} {pongs}")
        };
        let close = self.close.map_or("-".to_owned(), |code| code.to_string());
        let fault = self.fault.as_deref().unwrap_or_default().replace('\n', " ");
        format!("{} {} {} {close} {fault}", self.id, tally(&self.sent), tally(&self.heard))
    }

    pub fn from_line(line: &str) -> Option<Outcome> {
        let mut fields = line.splitn(13, ' ');
        let mut next = || fields.next()?.parse().ok();
        let id = next()?;
        let mut tally =
            || Some(Tally { texts: next()?, binaries: next()?, bytes: next()?, pings: next()?, pongs: next()? });
        let (sent, heard) = (tally()?, tally()?);
        let close = fields.next()?.parse().ok();
        let fault = fields.next().filter(|fault| !fault.is_empty()).map(str::to_owned);
        Some(Outcome { id, sent, heard, close, fault })
    }
}
