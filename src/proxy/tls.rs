//! TLS as a client: whom it trusts, a stream that is plain or encrypted, and what went wrong in an operator's words.

mod acceptor;
mod ahead;
mod identity;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, InvalidMessage,
    PeerIncompatible, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::acceptor::{Acceptor, faults};
pub use self::ahead::Ahead;
use self::identity::authorities;
pub use self::identity::{FileError, identity};
use super::stream::Stream;
use crate::config::Certificate;

/// Bytes that TLS takes before it lets its writer wait for the peer. A message of 64 KiB fits in with its header, so that
/// it goes with one system call and without a record for its last bytes alone.
pub const KEPT_BACK: usize = 128 << 10;

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those issued by the certificate authorities of this machine (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    #[default]
    System,
    /// Those issued by the authorities in this PEM file, and no others.
    File(PathBuf),
    /// All: nobody knows who answers. For tests on networks one owns.
    Anybody,
    /// None. For those who have nobody to connect to.
    Nobody,
}

/// Makes encrypted connections. Copies share what they know, sessions to be resumed among it.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// A client that believes certificates by `trust`, and shows `own` to servers that ask for one. The files are read
    /// here, once.
    ///
    /// # Errors
    /// They cannot be read, or there are no authorities.
    pub fn new(trust: &Trust, own: Option<&Certificate>) -> Result<Tls, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the usual versions");
        let builder = match trust {
            Trust::System => builder.with_root_certificates(system_roots()?),
            Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
            Trust::File(file) => builder.with_root_certificates(authorities(file)?),
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Gullible { algorithms })),
        };
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(files) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity(files)?))),
        };
        // Servers that know HTTP/2 should not think of it: only HTTP/1.1 has the upgrade.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config) })
    }

    /// What it is made of, for those who connect themselves.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Performs the handshake. `host`, a name or an address without brackets, is what the certificate must be for; a
    /// name is also told to the server (SNI).
    ///
    /// # Errors
    /// What the server did wrong, or the connection.
    pub async fn connect(&self, stream: TcpStream, host: &str) -> Result<Stream, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::new(host, TlsFault::NoName))?;
        let connector = TlsConnector::from(self.config());
        let limit = |connection: &mut ClientConnection| connection.set_buffer_limit(Some(KEPT_BACK));
        match connector.connect_with(name, Ahead::new(stream), limit).await {
            Ok(stream) => Ok(Stream::Dialled(Box::new(stream))),
            Err(error) => Err(TlsError::new(host, TlsFault::of(&error))),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn system_roots() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Old authorities with strange certificates stand beside good ones on many machines.
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    match found.errors.first() {
        _ if added > 0 => Ok(roots),
        Some(error) => Err(TrustError::System(Some(error.to_string()))),
        None => Err(TrustError::System(None)),
    }
}

/// The authorities cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// The machine has none, and perhaps why.
    System(Option<String>),
    /// A file cannot be used.
    File(FileError),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::System(why) => {
                f.write_str("this machine has no certificate authorities; install ca-certificates, or name a CA file")?;
                why.iter().try_for_each(|why| write!(f, " ({why})"))
            }
            TrustError::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrustError {}

impl From<FileError> for TrustError {
    fn from(error: FileError) -> TrustError {
        TrustError::File(error)
    }
}

/// Why no encrypted connection came about. Each is a sentence about the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate leads to no authority that is trusted.
    UnknownIssuer,
    /// Its certificate is one of an authority, and not of a server.
    AuthorityAsServer,
    /// Its certificate has expired, so many days ago if that is known.
    Expired(Option<u64>),
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is for these names and not for the one wanted.
    WrongName(Vec<String>),
    /// What was dialled is neither a name nor an address that a certificate could be for.
    NoName,
    /// It answers, but not in TLS.
    PlainText,
    /// It speaks only versions before TLS 1.2.
    OldVersion,
    /// It shares no cipher suite with us.
    NoCommonCipher,
    /// It does not serve the name it was told (SNI).
    UnknownName,
    /// It wants a certificate from us.
    WantsCertificate,
    /// It ended the connection in the middle.
    HungUp,
    /// Anything else, in the library's words or the system's.
    Other(String),
}

impl TlsFault {
    fn of(error: &io::Error) -> TlsFault {
        let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => TlsFault::HungUp,
                _ => TlsFault::Other(error.to_string()),
            };
        };
        match cause {
            Error::InvalidCertificate(why) => TlsFault::of_certificate(why),
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                TlsFault::PlainText
            }
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => TlsFault::OldVersion,
            Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
                TlsFault::NoCommonCipher
            }
            Error::AlertReceived(AlertDescription::UnrecognisedName) => TlsFault::UnknownName,
            Error::AlertReceived(AlertDescription::CertificateRequired) => TlsFault::WantsCertificate,
            other => TlsFault::Other(other.to_string()),
        }
    }

    fn of_certificate(why: &CertificateError) -> TlsFault {
        match why {
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
            CertificateError::Expired => TlsFault::Expired(None),
            CertificateError::ExpiredContext { time, not_after } => {
                TlsFault::Expired(Some(time.as_secs().saturating_sub(not_after.as_secs()) / (24 * 60 * 60)))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
            CertificateError::NotValidForName => TlsFault::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => TlsFault::WrongName(presented.clone()),
            // webpki's own words: rustls has no variant for it, and it is what `openssl req -x509` makes.
            other if other.to_string().contains("CaUsedAsEndEntity") => TlsFault::AuthorityAsServer,
            other => TlsFault::Other(Error::InvalidCertificate(other.clone()).to_string()),
        }
    }
}

/// No encrypted connection came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What was dialled.
    pub host: String,
    /// What went wrong.
    pub fault: TlsFault,
}

impl TlsError {
    fn new(host: &str, fault: TlsFault) -> TlsError {
        TlsError { host: host.to_owned(), fault }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TlsFault as T;
        let host = &self.host;
        match &self.fault {
            T::UnknownIssuer => f.write_str(
                "no authority trusted here issued the server's certificate; name the PEM file of the one that did",
            ),
            T::AuthorityAsServer => f.write_str(
                "the server's certificate is an authority's and not a server's (CA:TRUE); have it make one with CA:FALSE",
            ),
            T::Expired(Some(days @ 1..)) => {
                write!(f, "the server's certificate expired {days} days ago; renew it there, or check this machine's clock")
            }
            T::Expired(_) => f.write_str("the server's certificate has expired; renew it there"),
            T::NotYetValid => f.write_str("the server's certificate is not valid yet; check this machine's clock"),
            T::WrongName(presented) if presented.is_empty() => {
                write!(f, "the server's certificate is not for {host}; dial the name that it is for")
            }
            T::WrongName(presented) => {
                let presented: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
                let presented = presented.join(", ");
                write!(f, "the server's certificate is for {presented} and not for {host}; dial a name that it is for")
            }
            T::NoName => write!(f, "{host} is neither a name nor an address that a certificate could be for"),
            T::PlainText => f.write_str("the server does not answer in TLS; if the port is a plain one, write ws://"),
            T::OldVersion => f.write_str(
                "the server speaks only TLS 1.1 or older, which are broken and not spoken here; enable TLS 1.2 there",
            ),
            T::NoCommonCipher => f.write_str(
                "the server accepts none of our cipher suites or curves; enable those of TLS 1.2 with ECDHE there",
            ),
            T::UnknownName => write!(f, "the server serves no {host}; check the name"),
            T::WantsCertificate => f.write_str(
                "the server wants a certificate that it knows from its clients; name one that it does, with its key",
            ),
            T::HungUp => {
                f.write_str("the server hung up during the TLS handshake; if the port is a plain one, write ws://")
            }
            T::Other(why) => write!(f, "the TLS handshake failed: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// A name as the library presents it, `DnsName("tv.example")`, without its wrapping.
fn plain_name(presented: &str) -> String {
    let inside = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(presented);
    inside.trim_matches('"').to_owned()
}

/// Believes every certificate. Signatures are still checked, so that broken ones are found.
#[derive(Debug)]
struct Gullible {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
