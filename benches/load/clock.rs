//! A clock for messages that are due at a steady rate. tokio's own timers tick in milliseconds; a thread sleeps better.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

/// Tells one after the other of `listeners`, `per_second` times a second for `time`, that its message is due, and since
/// when. The clock waits for nobody, so that what a slow proxy holds up counts from when it should have begun; only how
/// late the system wakes the clock itself is left out. Returns how often it told.
pub fn tick(listeners: &[UnboundedSender<Instant>], per_second: u32, time: Duration) -> u64 {
    let step = Duration::from_secs(1) / per_second;
    let begun = Instant::now();
    let mut told = 0;
    while step * told < time {
        thread::sleep((begun + step * told).saturating_duration_since(Instant::now()));
        // A listener that is gone has told its fault itself.
        let _ = listeners[told as usize % listeners.len()].send(Instant::now());
        told += 1;
    }
    u64::from(told)
}
