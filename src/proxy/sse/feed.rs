//! The body of a request that goes out while it is still coming in: one piece at a time, so that whoever speaks is
//! slowed down to what the backend takes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Instant;

/// What the two ends share.
struct Slot {
    piece: Option<Bytes>,
    /// What the body ends with when the slot is empty: nothing yet, its end, or an error.
    end: Option<Result<(), ()>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The end that is written to. A body whose writer is gone before it was finished breaks off: it must not look whole.
pub struct Writer {
    slot: Arc<Mutex<Slot>>,
    finished: bool,
}

/// The end that hyper reads.
pub struct Feed {
    slot: Arc<Mutex<Slot>>,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
    /// When it last moved.
    moved: Arc<Mutex<Instant>>,
}

/// A body of `size` bytes, if that is known, which notes in `moved` when it was read.
pub fn feed(size: Option<u64>, moved: Arc<Mutex<Instant>>) -> (Writer, Feed) {
    let slot = Arc::new(Mutex::new(Slot { piece: None, end: None, reader: None, writer: None }));
    (Writer { slot: Arc::clone(&slot), finished: false }, Feed { slot, left: size, moved })
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // Nothing that holds the lock can leave the slot half changed.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Ready when a piece can be written.
    pub fn poll_ready(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut slot = lock(&self.slot);
        if slot.piece.is_none() {
            return Poll::Ready(());
        }
        slot.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes a piece; what was written before must have been read.
    pub fn write(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.change(|slot| slot.piece = Some(piece));
        }
    }

    /// The body is whole.
    pub fn finish(&mut self) {
        self.finished = true;
        self.change(|slot| slot.end = Some(Ok(())));
    }

    fn change(&mut self, change: impl FnOnce(&mut Slot)) {
        let reader = {
            let mut slot = lock(&self.slot);
            change(&mut slot);
            slot.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            self.change(|slot| slot.end = Some(Err(())));
        }
    }
}

impl Body for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let (piece, writer) = {
            let mut slot = lock(&self.slot);
            let Some(piece) = slot.piece.take() else {
                return match slot.end {
                    None => {
                        slot.reader = Some(cx.waker().clone());
                        Poll::Pending
                    }
                    Some(Ok(())) => Poll::Ready(None),
                    Some(Err(())) => Poll::Ready(Some(Err(io::Error::other("the client did not finish its message")))),
                };
            };
            (piece, slot.writer.take())
        };
        if let Some(writer) = writer {
            writer.wake();
        }
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        let slot = lock(&self.slot);
        slot.piece.is_none() && matches!(slot.end, Some(Ok(())))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::BodyExt as _;
    use tokio::runtime::Builder;

    use super::*;

    /// What hyper reads of a body written like this; none where it breaks off.
    fn read(size: Option<u64>, write: impl FnOnce(&mut Writer)) -> Option<Bytes> {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (mut writer, body) = feed(size, Arc::new(Mutex::new(Instant::now())));
            assert_eq!(body.size_hint().exact(), size);
            write(&mut writer);
            drop(writer);
            body.collect().await.ok().map(http_body_util::Collected::to_bytes)
        })
    }

    #[test]
    fn a_body_that_was_not_finished_breaks_off() {
        let hello = || Bytes::from_static(b"Hello");
        assert_eq!(read(Some(5), |_| {}), None);
        assert_eq!(read(Some(5), |writer| writer.write(hello())), None);
        assert_eq!(read(None, |writer| writer.write(hello())), None, "it must not look whole");
        let whole = |writer: &mut Writer| {
            writer.write(hello());
            writer.finish();
        };
        assert_eq!(read(None, whole), Some(hello()));
        assert_eq!(read(Some(5), whole), Some(hello()));
        assert_eq!(read(Some(0), Writer::finish), Some(Bytes::new()));
    }

    #[test]
    fn a_piece_waits_until_the_one_before_was_read() {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (mut writer, mut body) = feed(None, Arc::new(Mutex::new(Instant::now())));
            writer.write(Bytes::from_static(b"one"));
            assert!(poll_fn(|cx| Poll::Ready(writer.poll_ready(cx))).await.is_pending());
            let reader = async {
                tokio::task::yield_now().await;
                body.frame().await
            };
            let (frame, ()) = tokio::join!(reader, poll_fn(|cx| writer.poll_ready(cx)));
            let frame = frame.expect("a piece").expect("of a body that goes on");
            assert_eq!(frame.into_data().ok(), Some(Bytes::from_static(b"one")));
        });
    }
}
