//! How a shutdown reaches every connection, at the cost of one waker each and nothing while it is not happening.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The switch. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    started: AtomicBool,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Drain {
    /// Starts the shutdown, and wakes whoever watches for it.
    pub fn start(&self) {
        self.0.started.store(true, Ordering::SeqCst);
        let wakers: Vec<Waker> = self.lock().wakers.iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether it has started.
    pub fn has_started(&self) -> bool {
        self.0.started.load(Ordering::SeqCst)
    }

    /// A watcher, for one task.
    pub fn watch(&self) -> Watch {
        Watch { drain: self.clone(), place: None }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        // Nothing that holds the lock can leave the list half changed.
        self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's view of the switch.
#[derive(Debug)]
pub struct Watch {
    drain: Drain,
    place: Option<usize>,
}

impl Watch {
    /// Whether the shutdown has started. The first poll leaves the task's waker, which must not change afterwards.
    pub fn poll_started(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.place.is_none() {
            self.leave(cx.waker());
        }
        if self.drain.has_started() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Not part of the poll, which every message pays for.
    #[cold]
    fn leave(&mut self, waker: &Waker) {
        let mut watchers = self.drain.lock();
        let place = watchers.free.pop().unwrap_or_else(|| {
            watchers.wakers.push(None);
            watchers.wakers.len() - 1
        });
        watchers.wakers[place] = Some(waker.clone());
        self.place = Some(place);
    }

    /// Waits for the shutdown to start.
    pub async fn started(&mut self) {
        poll_fn(|cx| self.poll_started(cx)).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut watchers = self.drain.lock();
            watchers.wakers[place] = None;
            watchers.free.push(place);
        }
    }
}
