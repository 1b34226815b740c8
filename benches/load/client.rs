//! The clients: each order on stdin is carried out, and answered by a line of JSON on stdout. Between orders
//! connections are idle, so that whoever gives the orders can look at the proxy meanwhile.
//!
//! | order | |
//! |---|---|
//! | `open COUNT AT_ONCE` | opens connections and keeps them |
//! | `talk MESSAGES SIZE` | so many messages on each connection, the next when the last has come back |
//! | `last SECONDS SIZE` | the same for so long |
//! | `rate PER_SECOND SECONDS SIZE` | messages when they are due, on one connection after the other |
//! | `churn COUNT AT_ONCE` | opens connections and closes them at once |
//! | `listen SECONDS` | hears events on all connections |
//! | `close` | closes all connections, each as its dialect does |
//! | `drop` | leaves them without a word |

use std::future::poll_fn;
use std::io::{self, BufRead as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock;
use crate::connection::{Caller, Connection, Talk, Until};
use crate::events::Reader;
use crate::hearing::wrong;

/// How long a thing may take that ends by itself.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is held open.
enum Held {
    Talking(Box<Connection>),
    /// An event stream that comes as it is.
    Reading(Box<Reader>),
}

impl Held {
    /// How many events it has heard.
    fn events(&self) -> u64 {
        match self {
            Held::Talking(connection) => connection.events(),
            Held::Reading(reader) => reader.events(),
        }
    }
}

/// The clients of one proxy.
pub struct Clients {
    caller: Arc<Caller>,
    /// They read the event stream itself, and speak no dialect.
    plain: bool,
    held: Vec<Held>,
    opened: Arc<AtomicU64>,
}

/// What an order came to.
struct Outcome {
    count: u64,
    /// Bytes that were compared.
    bytes: u64,
    took: Duration,
    latencies: Vec<u64>,
}

impl Outcome {
    /// As JSON: latencies in microseconds, each the one that so many of all stay below.
    fn into_json(mut self) -> String {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        let at = |share: f64| {
            let place = (last as f64 * share).round() as usize;
            self.latencies.get(place).map_or(0.0, |nanos| *nanos as f64 / 1e3)
        };
        format!(
            "{{\"count\":{},\"bytes\":{},\"seconds\":{:.6},\"p50\":{:.1},\"p90\":{:.1},\"p99\":{:.1},\"max\":{:.1}}}",
            self.count,
            self.bytes,
            self.took.as_secs_f64(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        )
    }
}

impl Clients {
    pub fn new(caller: Caller, plain: bool) -> Clients {
        Clients { caller: Arc::new(caller), plain, held: Vec::new(), opened: Arc::default() }
    }

    /// Carries out orders until there are no more.
    ///
    /// # Errors
    /// Something was not as it should be; what is not measured right is not measured on.
    pub fn serve(mut self, runtime: &tokio::runtime::Runtime) -> io::Result<()> {
        for line in io::stdin().lock().lines() {
            let line = line?;
            let words: Vec<&str> = line.split_whitespace().collect();
            println!("{}", runtime.block_on(self.obey(&words))?.into_json());
        }
        Ok(())
    }

    async fn obey(&mut self, words: &[&str]) -> io::Result<Outcome> {
        let misuse = || io::Error::new(io::ErrorKind::InvalidInput, format!("no such order: {}", words.join(" ")));
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).ok_or_else(misuse);
        let span = |at: usize| number(at).map(Duration::from_secs_f64);
        match words.first().copied() {
            Some("open") => self.open(number(1)? as u64, number(2)? as usize).await,
            Some("talk") => {
                let messages = number(1)? as u64;
                self.talk(number(2)? as u64, |_| Until::Messages(messages)).await
            }
            Some("last") => {
                let end = Instant::now() + span(1)?;
                self.talk(number(2)? as u64, |_| Until::Time(end)).await
            }
            Some("rate") => self.rate(number(1)? as u32, span(2)?, number(3)? as u64).await,
            Some("churn") => self.churn(number(1)? as u64, number(2)? as usize).await,
            Some("listen") => self.listen(span(1)?).await,
            Some("close") => self.close().await,
            Some("drop") => Ok(self.leave()),
            _ => Err(misuse()),
        }
    }

    async fn open(&mut self, count: u64, at_once: usize) -> io::Result<Outcome> {
        let begun = Instant::now();
        let left = Arc::new(AtomicU64::new(count));
        let mut openers = JoinSet::new();
        for _ in 0..at_once {
            let (caller, left, opened, plain) =
                (Arc::clone(&self.caller), Arc::clone(&left), Arc::clone(&self.opened), self.plain);
            openers.spawn(async move {
                let (mut held, mut latencies) = (Vec::new(), Vec::new());
                while take_one(&left) {
                    let begun = Instant::now();
                    held.push(match plain {
                        true => Held::Reading(Box::new(Reader::open(caller.address).await?)),
                        false => Held::Talking(Box::new(caller.open(opened.fetch_add(1, Ordering::Relaxed)).await?)),
                    });
                    latencies.push(begun.elapsed().as_nanos() as u64);
                }
                io::Result::Ok((held, latencies))
            });
        }
        let mut outcome = Outcome { count, bytes: 0, took: Duration::ZERO, latencies: Vec::new() };
        for (held, latencies) in all(openers).await? {
            self.held.extend(held);
            outcome.latencies.extend(latencies);
        }
        outcome.took = begun.elapsed();
        Ok(outcome)
    }

    /// Talks on all connections, on each until what `until` says of it.
    async fn talk(&mut self, size: u64, mut until: impl FnMut(usize) -> Until) -> io::Result<Outcome> {
        let begun = Instant::now();
        let mut talks = JoinSet::new();
        for (number, held) in self.held.drain(..).enumerate() {
            let Held::Talking(mut connection) = held else { return Err(wrong("a reader of events cannot talk")) };
            let mut talk = Talk::new(size, until(number));
            talks.spawn(async move {
                poll_fn(|context| connection.poll_talk(context, &mut talk)).await?;
                io::Result::Ok((connection, talk.latencies))
            });
        }
        let mut latencies = Vec::new();
        for (connection, taken) in all(talks).await? {
            self.held.push(Held::Talking(connection));
            latencies.extend(taken);
        }
        let count = latencies.len() as u64;
        Ok(Outcome { count, bytes: count * size, took: begun.elapsed(), latencies })
    }

    async fn rate(&mut self, per_second: u32, time: Duration, size: u64) -> io::Result<Outcome> {
        if per_second == 0 || self.held.is_empty() {
            return Err(wrong("a rate needs connections and a number above 0"));
        }
        let (tellers, mut listeners): (Vec<_>, Vec<_>) = self.held.iter().map(|_| mpsc::unbounded_channel()).unzip();
        let clock = thread::spawn(move || clock::tick(&tellers, per_second, time));
        let outcome = self.talk(size, |_| Until::Ticks(listeners.pop().expect("one for each connection"))).await?;
        // Its listeners heard of its end already.
        let told = clock.join().expect("the clock does not panic");
        if told == outcome.count { Ok(outcome) } else { Err(wrong(format!("{} of {told} came back", outcome.count))) }
    }

    async fn churn(&mut self, count: u64, at_once: usize) -> io::Result<Outcome> {
        let begun = Instant::now();
        let left = Arc::new(AtomicU64::new(count));
        let mut churners = JoinSet::new();
        for _ in 0..at_once {
            let (caller, left, opened) = (Arc::clone(&self.caller), Arc::clone(&left), Arc::clone(&self.opened));
            churners.spawn(async move {
                let mut latencies = Vec::new();
                while take_one(&left) {
                    let begun = Instant::now();
                    let connection = caller.open(opened.fetch_add(1, Ordering::Relaxed)).await?;
                    latencies.push(begun.elapsed().as_nanos() as u64);
                    connection.close(caller.dialect).await?;
                }
                io::Result::Ok(latencies)
            });
        }
        let latencies = all(churners).await?.concat();
        Ok(Outcome { count, bytes: 0, took: begun.elapsed(), latencies })
    }

    async fn listen(&mut self, time: Duration) -> io::Result<Outcome> {
        let begun = Instant::now();
        let mut listeners = JoinSet::new();
        for mut held in self.held.drain(..) {
            listeners.spawn(async move {
                let before = held.events();
                let listening = poll_fn(|context| match &mut held {
                    Held::Talking(connection) => connection.poll_listen(context),
                    Held::Reading(reader) => reader.poll_listen(context),
                });
                timeout(time, listening).await.unwrap_or(Ok(()))?;
                let heard = held.events() - before;
                io::Result::Ok((held, heard))
            });
        }
        let mut count = 0;
        for (held, heard) in all(listeners).await? {
            self.held.push(held);
            count += heard;
        }
        Ok(Outcome { count, bytes: count * crate::events::SIZE as u64, took: begun.elapsed(), latencies: Vec::new() })
    }

    fn leave(&mut self) -> Outcome {
        let count = self.held.drain(..).count() as u64;
        Outcome { count, bytes: 0, took: Duration::ZERO, latencies: Vec::new() }
    }

    async fn close(&mut self) -> io::Result<Outcome> {
        let begun = Instant::now();
        let mut closers = JoinSet::new();
        for held in self.held.drain(..) {
            let dialect = self.caller.dialect;
            closers.spawn(async move {
                match held {
                    Held::Talking(connection) => connection.close(dialect).await,
                    Held::Reading(_) => Err(wrong("a reader of events can only be dropped")),
                }
            });
        }
        let count = all(closers).await?.len() as u64;
        Ok(Outcome { count, bytes: 0, took: begun.elapsed(), latencies: Vec::new() })
    }
}

/// Whether there was one left to take.
fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// What all of them return, if they do in time.
async fn all<T: 'static>(mut tasks: JoinSet<io::Result<T>>) -> io::Result<Vec<T>> {
    let mut returned = Vec::new();
    let joined = timeout(PATIENCE, async {
        while let Some(task) = tasks.join_next().await {
            returned.push(task.map_err(io::Error::other)??);
        }
        io::Result::Ok(())
    });
    joined.await.map_err(|_| wrong(format!("not done after {} s", PATIENCE.as_secs())))??;
    Ok(returned)
}
