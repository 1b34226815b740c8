//! Performs a row: connects, does what the client does, looks at both ends and at the memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::backend::{Book, Running, fill};
use super::frames::head_end;
use super::judge::Seen;
use super::line::Line;
use super::memory::Watch;
use super::row::{Beside, Row, Step, TAG};
use super::support::{Dialect, opening};

/// The path of an ordinary client that looks whether others are still served.
pub const BYSTANDER: &str = "/ordinary-client";

/// How often in a row a look must find all right. Looks and not time: a machine that stood still brought nothing meanwhile.
const SETTLED: usize = 8;

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(15);

/// How much memory a row may cost, in KiB: those beside it and the allocator's whims included.
const ALLOWANCE: u64 = 12 << 10;

/// The proxy that is attacked, and all that is needed to judge it.
pub struct Stage {
    pub proxy: SocketAddr,
    pub book: Arc<Book>,
    pub watch: Arc<Watch>,
    /// Memory before the first row, in KiB.
    pub before: Option<u64>,
    /// How long what must come may take.
    pub patience: Duration,
    pub performed: AtomicUsize,
}

impl Stage {
    /// Performs the row; what is wrong, if anything is.
    pub async fn perform(&self, row: &Row) -> Result<(), Vec<String>> {
        let number = self.performed.fetch_add(1, Ordering::Relaxed);
        let tag = format!("row-{:x}-{number}-", std::process::id());
        let running = Arc::new(Running {
            tag: tag.clone(),
            part: row.backend.clone(),
            alone: row.beside == Beside::Nobody,
            visits: Mutex::default(),
        });
        self.book.open(&running);
        let mut verdict = self.judged(row, &running).await;
        self.book.close(&tag);
        // Not before: what has no mark would be this row's.
        if row.beside != Beside::Many
            && let Err(unserved) = self.bystander().await
        {
            verdict = Err(verdict.err().into_iter().flatten().chain([unserved]).collect());
        }
        verdict
    }

    async fn judged(&self, row: &Row, running: &Running) -> Result<(), Vec<String>> {
        let stream = match TcpStream::connect(self.proxy).await {
            Ok(stream) => stream,
            Err(error) => return Err(vec![format!("cannot connect to {}: {error}", self.proxy)]),
        };
        let mut line = Line::over(stream);
        let steps: Vec<Step> = row.client.iter().map(|step| fill(step, TAG, &running.tag)).collect();
        line.perform(&steps).await;
        let mut wrong = self.settled(row, &line, running).await;
        line.leave().await;
        wrong.extend(self.left_nothing(row, running).await);
        wrong.extend(self.memory());
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Waits until all that must come has come and stays; what has not, or what came that may not.
    async fn settled(&self, row: &Row, line: &Line, running: &Running) -> Vec<String> {
        let deadline = Instant::now() + self.patience;
        let (mut right, mut last, mut judged, mut wrong) = (0, None, None, Vec::new());
        let look = || Seen::new(row.dialect, &line.record.heard(), running);
        loop {
            let is_late = Instant::now() >= deadline;
            // All rows share a thread: megabytes are not judged while more of them come, nor twice.
            let there_is = Some((line.record.heard().extent(), running.extents()));
            if judged != there_is && (last == there_is || is_late) {
                let seen = look();
                let failed = row.safe.iter().filter(|check| !check.holds(&seen));
                wrong = failed.map(|check| format!("not: {}", check.says)).chain(seen.faults()).collect();
                judged.clone_from(&there_is);
            }
            right = if judged == there_is && wrong.is_empty() { right + 1 } else { 0 };
            if right >= SETTLED {
                return wrong;
            }
            if is_late && right == 0 {
                return wrong.into_iter().chain([look().told()]).collect();
            }
            last = there_is;
            sleep(LOOK).await;
        }
    }

    /// That with the client the backend's connections end, but for those that carry other requests.
    async fn left_nothing(&self, row: &Row, running: &Running) -> Option<String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let visits = running.visits.lock().expect("nobody panics").clone();
            // A backend that does not listen does not hear the end either.
            let open = visits.iter().any(|visit| !visit.ended() && !visit.is_over() && !row.backend.is_deaf());
            if !open {
                return None;
            }
            if Instant::now() >= deadline {
                return Some("the client is gone, and the backend's connection is still open".to_owned());
            }
            sleep(LOOK).await;
        }
    }

    fn memory(&self) -> Option<String> {
        let (before, highest) = (self.before?, self.watch.highest());
        match highest {
            None => Some("the process is gone".to_owned()),
            Some(highest) if highest > before + ALLOWANCE => {
                Some(format!("{} KiB of memory were in use, {before} before the first row", highest))
            }
            Some(_) => None,
        }
    }

    /// That an ordinary client gets in.
    pub async fn bystander(&self) -> Result<(), String> {
        let stream = TcpStream::connect(self.proxy).await.map_err(|error| format!("others cannot connect: {error}"))?;
        let mut line = Line::over(stream);
        line.perform(&[Step::Say(opening(Dialect::Rfc6455, BYSTANDER, &[])), Step::HearHead]).await;
        let answer = line.record.heard().bytes.clone();
        line.leave().await;
        let is_101 = head_end(&answer).is_some() && answer.starts_with(b"HTTP/1.1 101 ");
        if is_101 {
            Ok(())
        } else {
            Err(format!("an ordinary client is not served: {:?}", answer.escape_ascii().to_string()))
        }
    }
}
