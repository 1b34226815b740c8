//! One end of a TCP connection: what it does step by step, and what it hears meanwhile.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::frames::head_end;
use super::row::Step;

/// How much of what is heard is kept; the rest is counted.
const KEPT: usize = 4 << 20;

/// How long a step waits for what it wants to hear before the next comes all the same: an attacker does not give up
/// because a proxy behaves.
const WAIT: Duration = Duration::from_millis(2500);

/// How long an answer to a handshake may take: longer, for it comes or the connection ends, and what a row says next means
/// something else before it.
const ANSWER: Duration = Duration::from_secs(10);

/// In how many parts a pause is made.
const PARTS: u32 = 8;

/// Longer than any row.
const LIFETIME: Duration = Duration::from_secs(600);

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Fin,
    Reset,
    /// This end left first.
    Left,
}

/// What was heard so far.
#[derive(Default)]
pub struct Heard {
    /// The first of it.
    pub bytes: Vec<u8>,
    /// How much it was in all.
    pub total: u64,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// Whether this end hears no more.
    deaf: bool,
}

/// How much was heard, and how it ended: all that can change, for nothing that was heard is taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extent(u64, Option<End>);

impl Heard {
    pub fn extent(&self) -> Extent {
        Extent(self.total, self.end)
    }
}

/// What one end hears, for whoever wants to know.
#[derive(Default)]
pub struct Record {
    heard: Mutex<Heard>,
    changed: Notify,
}

impl Record {
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nobody panics while holding it")
    }

    fn change(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard());
        self.changed.notify_waiters();
    }

    /// Waits until this holds, the stream has ended, or the time is over; whether it holds.
    pub async fn until(&self, within: Duration, mut holds: impl FnMut(&Heard) -> bool) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let heard = self.heard();
                if holds(&heard) {
                    return true;
                }
                if heard.end.is_some() {
                    return false;
                }
            }
            if timeout_at(deadline, changed).await.is_err() {
                return false;
            }
        }
    }
}

/// A connection's end.
pub struct Line {
    stream: Option<Arc<TcpStream>>,
    pub record: Arc<Record>,
    listener: JoinHandle<()>,
    /// Others that only take up room.
    crowd: Vec<TcpStream>,
}

impl Line {
    pub fn over(stream: TcpStream) -> Line {
        // What a row says in two steps shall not wait for each other.
        let _ = stream.set_nodelay(true);
        let (stream, record) = (Arc::new(stream), Arc::new(Record::default()));
        let listener = tokio::spawn(listen(Arc::clone(&stream), Arc::clone(&record)));
        Line { stream: Some(stream), record, listener, crowd: Vec::new() }
    }

    /// Does these steps; false once the other end takes no more.
    pub async fn perform(&mut self, steps: &[Step]) -> bool {
        for step in steps {
            if !self.step(step).await {
                return false;
            }
        }
        true
    }

    async fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Say(bytes) => return self.write(bytes).await.is_ok(),
            Step::Drip(bytes, gap) => {
                for byte in bytes {
                    sleep(*gap).await;
                    if self.write(&[*byte]).await.is_err() {
                        return false;
                    }
                }
            }
            Step::Pour(bytes, total) => {
                let mut said = 0;
                while said < *total {
                    if self.write(bytes).await.is_err() {
                        break;
                    }
                    said += bytes.len() as u64;
                    // A proxy that takes as fast as this pours would leave nobody else a turn on this thread.
                    tokio::task::yield_now().await;
                }
            }
            Step::HearHead => {
                self.record.until(ANSWER, |heard| head_end(&heard.bytes).is_some()).await;
            }
            Step::Hear(wanted) => {
                let mut from = 0;
                let comes = |heard: &Heard| {
                    let found = contains(&heard.bytes[from..], wanted);
                    // Its first bytes may be there.
                    from = (heard.bytes.len() + 1).saturating_sub(wanted.len()).max(from);
                    found
                };
                self.record.until(WAIT, comes).await;
            }
            Step::HearMore => {
                let before = self.record.heard().total;
                self.record.until(WAIT, |heard| heard.total > before).await;
            }
            Step::Pause(time) => {
                // Part by part: a machine that stands still for a while takes one of them, and leaves the others to the other end.
                for _ in 0..PARTS {
                    sleep(*time / PARTS).await;
                }
            }
            Step::Finish => {
                return self.stream().and_then(|stream| SockRef::from(stream).shutdown(Shutdown::Write)).is_ok();
            }
            Step::Reset => {
                let _ = self.stream().and_then(TcpStream::set_zero_linger);
                self.leave().await;
                return false;
            }
            Step::Deaf => self.record.change(|heard| heard.deaf = true),
            Step::Heed => self.record.change(|heard| heard.deaf = false),
            Step::Sip(most, gap, times) => {
                let mut buffer = vec![0; *most];
                for _ in 0..*times {
                    sleep(*gap).await;
                    if !self.stream().is_ok_and(|stream| take(stream, &self.record, &mut buffer)) {
                        return false;
                    }
                }
            }
            Step::Crowd(count, bytes) => return self.gather(*count, bytes).await.is_ok(),
        }
        true
    }

    /// Writes it all; an end that takes nothing for a while ends it.
    pub async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream()?;
        while !bytes.is_empty() {
            match stream.try_write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = stream.ready(Interest::WRITABLE);
                    tokio::time::timeout(3 * WAIT, writable).await.map_err(|_| io::ErrorKind::TimedOut)??;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn gather(&mut self, count: usize, bytes: &[u8]) -> io::Result<()> {
        let there = self.stream()?.peer_addr()?;
        for _ in 0..count {
            let stream = TcpStream::connect(there).await?;
            stream.writable().await?;
            stream.try_write(bytes)?;
            self.crowd.push(stream);
        }
        Ok(())
    }

    /// Closes the connection; by a reset if that was asked for, or if something was not heard.
    pub async fn leave(&mut self) {
        // After a reset it has left already.
        if self.stream.is_none() {
            return;
        }
        self.listener.abort();
        // Only when the listener has let go of the socket, too, is it closed.
        let _ = (&mut self.listener).await;
        self.stream = None;
        self.crowd.clear();
        self.record.change(|heard| heard.end = heard.end.or(Some(End::Left)));
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        self.stream.as_deref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Whether `wanted` is anywhere in `bytes`.
pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}

async fn listen(stream: Arc<TcpStream>, record: Arc<Record>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        if record.heard().deaf {
            if !record.until(LIFETIME, |heard| !heard.deaf).await {
                return;
            }
        } else if !take(&stream, &record, &mut buffer) {
            return;
        }
    }
}

/// Reads once; false at the end of the stream.
fn take(stream: &TcpStream, record: &Record, buffer: &mut [u8]) -> bool {
    match stream.try_read(buffer) {
        Ok(0) => record.change(|heard| heard.end = Some(End::Fin)),
        Ok(count) => record.change(|heard| {
            let room = KEPT.saturating_sub(heard.bytes.len()).min(count);
            heard.bytes.extend_from_slice(&buffer[..room]);
            heard.total += count as u64;
        }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => record.change(|heard| heard.end = Some(End::Reset)),
    }
    record.heard().end.is_none()
}
