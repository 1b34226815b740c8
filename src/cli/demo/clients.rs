//! The built-in clients: a browser of each dialect, and how it connects.

use std::net::SocketAddr;

use hybridge::dialect::Dialect;
use tokio::net::TcpStream;

use super::wire::Wire;
use crate::cli::client::{self, Handshake};

/// A browser that is played.
#[derive(Debug, PartialEq, Eq)]
pub struct Browser {
    /// What it speaks.
    pub dialect: Dialect,
    /// The one that is played.
    pub name: &'static str,
    /// Who else spoke the dialect.
    pub who: &'static str,
    /// What such a browser offers besides.
    fields: &'static [(&'static str, &'static str)],
}

/// One browser of each dialect, oldest first.
pub const CAST: [Browser; 5] = [
    Browser {
        dialect: Dialect::Hixie75,
        name: "Chrome 4",
        who: "Chrome 4 and 5, Safari 5.0.0, Qt 4.7 (2010)",
        fields: &[],
    },
    Browser {
        dialect: Dialect::Hixie76,
        name: "Safari 5",
        who: "Safari 5, iOS 4.2 to 5, Chrome 6 to 13, PhantomJS 1, HbbTV 1 sets (2010 to 2011)",
        fields: &[],
    },
    Browser {
        dialect: Dialect::Hybi07,
        name: "Firefox 6",
        who: "Firefox 6 (2011)",
        // It compresses the whole stream if it may; nobody should let it.
        fields: &[("Sec-WebSocket-Extensions", "deflate-stream")],
    },
    Browser {
        dialect: Dialect::Hybi10,
        name: "Chrome 14",
        who: "Chrome 14 and 15, Firefox 7 to 10, Internet Explorer 10 previews (2011)",
        fields: &[],
    },
    Browser {
        dialect: Dialect::Rfc6455,
        name: "Chrome 28",
        who: "every browser since Chrome 16, Firefox 11 and Safari 6 (2011 to today)",
        fields: &[("Sec-WebSocket-Extensions", "x-webkit-deflate-frame")],
    },
];

impl Browser {
    /// Connects to the proxy and opens `target`. What passes is left in `handshake`.
    ///
    /// # Errors
    /// Why that failed, as a sentence about the browser.
    pub async fn open(&self, proxy: SocketAddr, target: &str, handshake: &mut Handshake) -> Result<Wire, String> {
        let host = proxy.to_string();
        let mut ask = client::ask(self.dialect, &host, target);
        ask.origin = Some(format!("http://{host}"));
        ask.fields = self.fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut stream = TcpStream::connect(proxy).await.map_err(|error| format!("it could not connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("its connection broke off: {error}"))?;
        let opened = client::shake_hands(&mut stream, &ask, handshake).await;
        let (opened, early) = opened.map_err(|why| format!("it was not let in: {why}"))?;
        Ok(Wire::new(stream, ask.terms().codec(&opened), early))
    }
}
