//! The ordinary clients beside a siege, one after the other and of every dialect, and how long the slowest had to wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{ALL, Wire, answer, heard, ms, opening, said};

/// How long an ordinary client may wait until it has its echo. On a quiet machine half a second is much.
const MOST: Duration = Duration::from_secs(3);
/// Fewer would say nothing.
const FEWEST: usize = 20;

pub struct Citizens {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Citizens {
    pub fn start(to: SocketAddr) -> Citizens {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let live = move || {
            let mut waits = Vec::new();
            for dialect in ALL.into_iter().cycle() {
                if told.load(Ordering::SeqCst) {
                    break;
                }
                let begun = Instant::now();
                let mut client = Wire::connect(to);
                client.say(opening(dialect, "/echo", &[]));
                client.hears(answer(dialect, "/echo", &[]));
                client.say(said(dialect, "is anybody there?"));
                client.hears(heard(dialect, "is anybody there?"));
                waits.push(begun.elapsed());
                thread::sleep(ms(10));
            }
            waits
        };
        Citizens { stop, thread: thread::spawn(live) }
    }

    /// That each of them was served in time.
    #[track_caller]
    pub fn were_served(self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut waits = self.thread.join().expect("each of them was served");
        waits.sort();
        let (count, worst) = (waits.len(), waits.last().copied().unwrap_or_default());
        println!("{count} others: half waited less than {:?}, the last {worst:?}", waits[count / 2]);
        assert!(count >= FEWEST, "only {count} others were served");
        assert!(worst < MOST, "one waited {worst:?}");
    }
}
