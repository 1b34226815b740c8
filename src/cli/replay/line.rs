//! One connection of a play: what was heard on it, and whether it has ended.

use std::io;
use std::time::Duration;

use hybridge::proxy::stream::Stream;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The most bytes that are kept of what a server says.
const MAX_HEARD: usize = 64 << 20;

/// A connection, and all that came on it.
pub struct Line {
    stream: Option<Stream>,
    /// What was heard so far.
    pub heard: Vec<u8>,
    /// Whether the peer has ended its stream.
    pub ended: bool,
    reset: bool,
}

impl Line {
    /// Over this stream.
    ///
    /// # Errors
    /// The stream is gone already.
    pub fn of(stream: Stream) -> io::Result<Line> {
        stream.tcp().map_or(Ok(()), |tcp| tcp.set_nodelay(true))?;
        Ok(Line { stream: Some(stream), heard: Vec::new(), ended: false, reset: false })
    }

    /// A connection that never was.
    pub fn nobody() -> Line {
        Line { stream: None, heard: Vec::new(), ended: false, reset: false }
    }

    /// Whether this end has broken it off; nothing is heard from then on.
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    /// Sends bytes, and hears meanwhile, so that a peer that only speaks does not stop them.
    ///
    /// # Errors
    /// The peer takes no more.
    pub async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let (mut reading, mut writing) = tokio::io::split(stream);
        let writing = writing.write_all(bytes);
        tokio::pin!(writing);
        loop {
            let read = tokio::select! {
                written = &mut writing => return written,
                read = reading.read_buf(&mut self.heard), if !self.ended && self.heard.len() < MAX_HEARD => read,
            };
            self.ended = !matches!(read, Ok(1..));
        }
    }

    /// Hears more; for ever, once the peer has ended.
    pub async fn hear(&mut self) {
        match &mut self.stream {
            Some(stream) if !self.ended && self.heard.len() < MAX_HEARD => {
                self.ended = !matches!(stream.read_buf(&mut self.heard).await, Ok(1..));
            }
            _ => std::future::pending().await,
        }
    }

    /// Ends this end's stream.
    pub async fn end(&mut self) {
        if let Some(stream) = &mut self.stream {
            // The peer may be gone before us.
            let _ = stream.shutdown().await;
        }
    }

    /// Breaks the connection off.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            let _ = stream.tcp().map(|tcp| SockRef::from(tcp).set_linger(Some(Duration::ZERO)));
        }
        self.reset = true;
    }
}
