//! The memory of the process that is attacked.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How much of the process is resident, in KiB; `None` if it is gone or not on this machine.
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Looks again and again how much memory is in use.
pub struct Watch {
    pid: Option<u32>,
    /// The most since it was last asked.
    highest: AtomicU64,
    over: AtomicBool,
}

impl Watch {
    pub fn new(pid: Option<u32>) -> Watch {
        Watch { pid, highest: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    /// Runs until [`Watch::stop`], on a thread of its own: a busy runtime would look too late.
    pub fn run(&self) {
        while let Some(pid) = self.pid
            && !self.over.load(Ordering::Relaxed)
        {
            self.highest.fetch_max(resident(pid).unwrap_or(0), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The most that was in use since this was last called, in KiB; `None` if nobody looks.
    pub fn highest(&self) -> Option<u64> {
        let pid = self.pid?;
        let now = resident(pid)?;
        Some(self.highest.swap(now, Ordering::Relaxed).max(now))
    }
}
