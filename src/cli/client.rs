//! The opening handshake as a client: what the built-in browsers and `hybridge dial` have in common.

use std::fmt;
use std::io;

use hybridge::dialect::Dialect;
use hybridge::dialect::client::Ask;
use hybridge::dialect::terms::{Opened, WrongAnswer};
use hybridge::event::Keys as _;
use hybridge::proxy::Fresh;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of an answer that are read at a time.
const READ: usize = 4 << 10;

/// What has passed of an opening handshake, also of one that failed.
#[derive(Debug, Default)]
pub struct Handshake {
    /// The request.
    pub said: Vec<u8>,
    /// The answer; once it has opened the connection, without the frames that came with it.
    pub heard: Vec<u8>,
}

/// Why a connection did not open.
#[derive(Debug)]
pub enum Unopened {
    /// It broke.
    Broken(io::Error),
    /// The server ended its stream before its answer was whole.
    HungUp,
    /// The answer broke a rule.
    Wrong(WrongAnswer),
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unopened::Broken(error) => write!(f, "the connection broke off during the opening handshake: {error}"),
            Unopened::HungUp => f.write_str("the server hung up before its answer was whole"),
            Unopened::Wrong(rule) => write!(f, "the server {rule}"),
        }
    }
}

/// A request with keys that nobody can foretell.
pub fn ask(dialect: Dialect, host: &str, target: &str) -> Ask {
    Ask::new(dialect, host, target, &mut || u32::from_be_bytes(Fresh.fresh().0))
}

/// Sends the request and reads the answer until it opens the connection. What passes is left in `handshake`; the
/// frames that came with the answer are returned.
///
/// # Errors
/// The connection did not open.
pub async fn shake_hands(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ask: &Ask,
    handshake: &mut Handshake,
) -> Result<(Opened, Vec<u8>), Unopened> {
    handshake.said = ask.request();
    let terms = ask.terms();
    stream.write_all(&handshake.said).await.map_err(Unopened::Broken)?;
    stream.flush().await.map_err(Unopened::Broken)?;
    loop {
        match terms.judge(&handshake.heard) {
            Ok(Some(opened)) => {
                let early = handshake.heard.split_off(opened.taken);
                return Ok((opened, early));
            }
            Ok(None) => {}
            Err(rule) => return Err(Unopened::Wrong(rule)),
        }
        handshake.heard.reserve(READ);
        if stream.read_buf(&mut handshake.heard).await.map_err(Unopened::Broken)? == 0 {
            return Err(Unopened::HungUp);
        }
    }
}
