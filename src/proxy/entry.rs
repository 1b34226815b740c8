//! The way in: what stands before a client's own bytes. The preamble of a front that tells who its client is, then TLS.
//!
//! A connection for TLS of old leaves here for the program that speaks it, and never comes further.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, CipherSuite, Error, ProtocolVersion, ServerConnection, server};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::StartHandshake;
use tracing::debug;

use super::connection::{Ended, Shared};
use super::listen;
use super::permits::Permit;
use super::stream::{Stream, read_onto};
use super::tls::{Acceptor, Ahead, KEPT_BACK};
use super::tunnel::tunnel;
use crate::arrival::{Arrival, OwnTls, is_in};
use crate::config::{Listener, OldTls};
use crate::hello::{self, Offer};
use crate::http::Refusal;
use crate::preamble::{self, Preamble, TlsFacts};
use crate::sniff::{self, First};

/// A listener, and what it speaks TLS with.
#[derive(Debug)]
pub struct Door {
    /// The settings.
    pub listener: Listener,
    /// None where it speaks TCP alone.
    pub tls: Option<Acceptor>,
}

/// What a connection is.
pub enum Came {
    /// A client's, to be served.
    Client(Box<Entered>),
    /// For another program.
    Elsewhere(HandedOver),
}

/// A connection that is no client's to be served.
pub struct Left {
    /// Whose it is, as far as that was told.
    pub client: SocketAddr,
    /// The connection, if it has to be told.
    pub stream: Option<Stream>,
    /// Why.
    pub ended: Ended,
}

/// A connection that is carried to another program as it is.
pub struct HandedOver {
    /// Whose it is.
    pub client: SocketAddr,
    stream: TcpStream,
    terminator: TcpStream,
    /// What stands before all that is carried.
    first: Vec<u8>,
}

impl HandedOver {
    /// Carries it until both are done.
    ///
    /// # Errors
    /// One of the two broke, or took nothing for `stall`.
    pub fn carry(self, stall: Duration) -> impl Future<Output = io::Result<()>> {
        tunnel(self.stream, self.terminator, self.first, stall)
    }
}

/// A client whose own bytes come next.
pub struct Entered {
    /// Where they come from.
    pub stream: Stream,
    /// Those that came already.
    pub buffer: Vec<u8>,
    /// How it got here.
    pub arrival: Arrival,
    /// Until when its head must be whole.
    pub deadline: Instant,
}

/// What is being read before a client's own bytes.
struct Entry<'s> {
    stream: TcpStream,
    buffer: Vec<u8>,
    arrival: Arrival,
    deadline: Instant,
    shared: &'s Shared,
}

/// Takes a connection in.
///
/// # Errors
/// It is no client's.
pub async fn enter(
    stream: TcpStream,
    peer: SocketAddr,
    permit: &mut Permit,
    door: &Door,
    shared: &Shared,
) -> Result<Came, Left> {
    let left = |client, (stream, ended)| Left { client, stream, ended };
    let Ok(local) = stream.local_addr() else { return Err(left(peer, (None, Ended::Quietly))) };
    let mut entry = Entry {
        stream,
        buffer: Vec::new(),
        arrival: Arrival::new(peer, local, None),
        deadline: Instant::now() + shared.config.timeouts.head,
        shared,
    };
    let fronted = is_in(&door.listener.proxy_protocol, peer.ip());
    if fronted {
        entry.read_preamble().await.map_err(|ended| left(peer, (None, ended)))?;
    }
    let client = entry.arrival.client;
    if !shared.permits.admit(permit, client.ip()) {
        let why = "more connections than limits.connections_per_address allows";
        return Err(left(client, (None, Ended::Silently(why.into()))));
    }
    match &door.tls {
        None => Ok(Came::Client(Box::new(entry.plain()))),
        Some(acceptor) => entry.encrypted(acceptor, permit).await.map_err(|why| left(client, why)),
    }
}

impl Entry<'_> {
    fn plain(self) -> Entered {
        let Entry { stream, buffer, arrival, deadline, .. } = self;
        Entered { stream: Stream::Plain(stream), buffer, arrival, deadline }
    }

    /// Reads more of what is to come first.
    async fn read(&mut self, what: &str) -> Result<(), Ended> {
        let mut watch = self.shared.drain.watch();
        let read = tokio::select! {
            read = timeout_at(self.deadline, read_onto(&mut self.stream, &mut self.buffer)) => read,
            () = watch.started() => return Err(Ended::Quietly),
        };
        match read {
            // A probe: load balancers connect and leave.
            Ok(Ok(0) | Err(_)) if self.buffer.is_empty() => Err(Ended::Quietly),
            Ok(Ok(0)) => Err(Ended::Silently(format!("it ended its stream inside its {what}"))),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Ended::Silently(format!("its {what} broke off: {error}"))),
            Err(_) if self.buffer.is_empty() => Err(Ended::Quietly),
            Err(_) => Err(Ended::Silently(format!("no whole {what} within timeouts.head"))),
        }
    }

    async fn read_preamble(&mut self) -> Result<(), Ended> {
        loop {
            match preamble::read(&self.buffer) {
                Ok(Some((preamble, taken))) => {
                    self.buffer.drain(..taken);
                    let Arrival { client, local, .. } = self.arrival;
                    self.arrival = Arrival::new(client, local, Some(preamble));
                    return Ok(());
                }
                Ok(None) => self.read("PROXY preamble").await?,
                Err(bad) => {
                    let why = format!("{bad}; the listener's proxy_protocol says that this peer sends one");
                    return Err(Ended::Silently(why));
                }
            }
        }
    }

    /// Reads the ClientHello, and goes on as it asks.
    async fn encrypted(mut self, acceptor: &Acceptor, permit: &mut Permit) -> Result<Came, (Option<Stream>, Ended)> {
        let offer = loop {
            match hello::offered(&self.buffer) {
                Ok(Some(offer)) => break offer,
                Ok(None) => self.read("TLS ClientHello").await.map_err(|ended| (None, ended))?,
                Err(_) => return Err(self.not_tls()),
            }
        };
        match &acceptor.settings().old {
            Some(old) if !offer.modern => {
                if !self.shared.permits.hand_over(permit) {
                    let why = "more connections are with old_tls than limits.connections allows";
                    return Err((None, Ended::Silently(why.into())));
                }
                self.hand_over(old, &offer).await.map(Came::Elsewhere).map_err(|ended| (None, ended))
            }
            _ => self.speak(acceptor, &offer).await.map(|entered| Came::Client(Box::new(entered))),
        }
    }

    /// Somebody who does not know that the port speaks TLS.
    fn not_tls(self) -> (Option<Stream>, Ended) {
        let why = "plain HTTP on a port that speaks TLS; ask for https:// or wss:// here";
        match sniff::first(&self.buffer) {
            First::Http(_) => (Some(Stream::Plain(self.stream)), Ended::Refused(Refusal::new(400, why))),
            First::Foreign(foreign) => (None, Ended::Silently(format!("{foreign}, on a port that speaks TLS"))),
            First::More => (None, Ended::Silently("no TLS on a port that speaks it".into())),
        }
    }

    /// Performs the TLS handshake.
    async fn speak(mut self, acceptor: &Acceptor, offer: &Offer) -> Result<Entered, (Option<Stream>, Ended)> {
        let failed = |error: &dyn fmt::Display| (None, Ended::Silently(tls_failure(error, offer)));
        let mut hello = server::Acceptor::default();
        let mut unread = &self.buffer[..];
        while !unread.is_empty() {
            match hello.read_tls(&mut unread) {
                Ok(0) => return Err(failed(&"its ClientHello is too long")),
                Ok(_) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let accepted = match hello.accept() {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return Err(failed(&"its ClientHello is not whole")),
            Err((error, mut alert)) => {
                let mut told = Vec::new();
                // Into memory, which takes everything.
                let _ = alert.write_all(&mut told);
                let _ = timeout_at(self.deadline, self.stream.write_all(&told)).await;
                return Err(failed(&error));
            }
        };
        let mut watch = self.shared.drain.watch();
        let limit = |connection: &mut ServerConnection| connection.set_buffer_limit(Some(KEPT_BACK));
        let start = StartHandshake::from_parts(accepted, Ahead::new(self.stream));
        let handshake = start.into_stream_with(acceptor.config(), limit);
        let spoken = tokio::select! {
            spoken = timeout_at(self.deadline, handshake) => spoken,
            () = watch.started() => return Err((None, Ended::Quietly)),
        };
        let stream = match spoken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(&explained(&error))),
            Err(_) => return Err(failed(&"it was not finished within timeouts.head")),
        };
        let connection = stream.get_ref().1;
        self.arrival.own_tls = Some(OwnTls {
            server_name: connection.server_name().map(str::to_owned),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            facts: facts(connection),
        });
        let (arrival, deadline) = (self.arrival, self.deadline);
        Ok(Entered { stream: Stream::Accepted(Box::new(stream)), buffer: Vec::new(), arrival, deadline })
    }
}

/// What backends can be told of TLS, in OpenSSL's words.
fn facts(connection: &ServerConnection) -> TlsFacts {
    let version = connection.protocol_version().map(|version| match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    });
    let suite = connection.negotiated_cipher_suite().map(|suite| openssl_name(suite.suite()));
    // A certificate that was shown was verified, or there would be no connection.
    let shown = connection.peer_certificates().is_some_and(|chain| !chain.is_empty());
    TlsFacts { version, cipher: suite, client_cn: None, client_cert: shown, verified: shown }
}

/// What OpenSSL calls a cipher suite: `TLS_AES_128_GCM_SHA256`, `ECDHE-RSA-AES128-GCM-SHA256`.
fn openssl_name(suite: CipherSuite) -> String {
    let name = format!("{suite:?}");
    match (name.strip_prefix("TLS13_"), name.strip_prefix("TLS_")) {
        (Some(rest), _) => format!("TLS_{rest}"),
        (_, Some(rest)) => {
            let rest = rest.replace("_WITH", "").replace("AES_", "AES").replace("_POLY1305_SHA256", "_POLY1305");
            rest.replace('_', "-")
        }
        _ => name,
    }
}

/// What an operator can do about a TLS handshake that failed, where the library's words do not say.
fn explained(error: &io::Error) -> String {
    use AlertDescription as A;
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "it left in the middle".to_owned(),
            _ => error.to_string(),
        };
    };
    match cause {
        Error::AlertReceived(
            alert @ (A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::CertificateExpired),
        ) => format!(
            "it does not believe our certificate ({alert:?}); see that `cert` has the whole chain, that the device knows its \
             authority, and that its clock is right"
        ),
        Error::NoCertificatesPresented => {
            "it showed no certificate, which client_ca demands; client_certificate = \"optional\" would let it in"
                .to_owned()
        }
        Error::InvalidCertificate(why) => format!("its certificate is not one that client_ca stands for: {why}"),
        other => other.to_string(),
    }
}

/// Why a TLS handshake came to nothing, for the log.
fn tls_failure(error: &dyn fmt::Display, offer: &Offer) -> String {
    let asked = offer.server_name.as_deref().map_or(String::new(), |name| format!(" (it asked for {name:?})"));
    if offer.modern {
        return format!("the TLS handshake failed: {error}{asked}");
    }
    format!(
        "the TLS handshake failed: it knows no more than {}, and none of our cipher suites{asked}; old_tls of this \
         listener can name a terminator that does",
        offer.version
    )
}

impl Entry<'_> {
    /// Connects to the program that speaks the TLS of old.
    async fn hand_over(self, old: &OldTls, offer: &Offer) -> Result<HandedOver, Ended> {
        let Entry { stream, buffer, arrival, shared, .. } = self;
        let unreached = |why: &dyn fmt::Display| {
            Ended::Silently(format!("old_tls, at {}, cannot be reached: {why}; is it running?", old.address))
        };
        let terminator = match timeout(shared.config.timeouts.connect, TcpStream::connect(old.address)).await {
            Ok(Ok(terminator)) => terminator,
            Ok(Err(error)) => return Err(unreached(&error)),
            Err(_) => return Err(unreached(&"it did not take the connection within timeouts.connect")),
        };
        listen::tune(&terminator);
        let Arrival { client, local, .. } = arrival;
        debug!(%client, terminator = %old.address, "handed over: it knows no more than {}", offer.version);
        let told = Preamble::of(client, local);
        let mut first = old.send_proxy.map_or_else(Vec::new, |version| told.write(version));
        first.extend_from_slice(&buffer);
        Ok(HandedOver { client, stream, terminator, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_have_the_names_that_openssl_gives_them() {
        let names: Vec<String> = rustls::crypto::ring::default_provider()
            .cipher_suites
            .iter()
            .map(|suite| openssl_name(suite.suite()))
            .collect();
        // As `openssl ciphers` prints them.
        let expected = [
            "TLS_AES_256_GCM_SHA384",
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ];
        assert_eq!(names, expected);
    }
}
