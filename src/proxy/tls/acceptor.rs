//! TLS as a server: which certificate is shown to whom, whose are asked for, and files that change while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::identity::{self, FileError};
use crate::config::{ClientCertificate, ListenerTls};

/// What a listener needs to speak TLS. Connections take [`Acceptor::config`] as it is when they begin.
#[derive(Debug)]
pub struct Acceptor {
    settings: ListenerTls,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What tells one version of a file from another.
type Stamp = (SystemTime, u64);

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn new(settings: &ListenerTls) -> Result<Acceptor, FileError> {
        // Before the files are read: what changes meanwhile is seen later.
        let seen = stamps(settings);
        let current = RwLock::new(Arc::new(server_config(settings)?));
        Ok(Acceptor { settings: settings.clone(), current, seen: Mutex::new(seen) })
    }

    /// What connections that begin now are served with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &ListenerTls {
        &self.settings
    }

    /// Looks whether files have changed, and if so reads them anew; true if connections get something else from now on.
    ///
    /// # Errors
    /// They have changed and cannot be used. What was read before is used on, and the next change is looked for.
    pub fn renew(&self) -> Result<bool, FileError> {
        let now = stamps(&self.settings);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return Ok(false);
            }
            *seen = now;
        }
        let config = Arc::new(server_config(&self.settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }
}

/// What is wrong with the files, all of them.
pub fn faults(settings: &ListenerTls) -> Vec<FileError> {
    let certificates = settings.certificates.iter().filter_map(|files| identity::identity(files).err());
    let authorities = settings.client_ca.iter().filter_map(|file| identity::authorities(file).err());
    let found: Vec<FileError> = certificates.chain(authorities).collect();
    if found.is_empty() { server_config(settings).err().into_iter().collect() } else { found }
}

fn stamps(settings: &ListenerTls) -> Vec<Option<Stamp>> {
    let certificates = settings.certificates.iter().flat_map(|files| [&files.cert, &files.key]);
    certificates.chain(&settings.client_ca).map(PathBuf::as_path).map(stamp).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let facts = fs::metadata(file).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

fn server_config(settings: &ListenerTls) -> Result<ServerConfig, FileError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions");
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(identity::authorities(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match settings.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|error| FileError { file: file.clone(), why: format!("it cannot be used: {error}") })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let shown = settings.certificates.iter().map(|files| identity::identity(files).map(Arc::new));
    let mut config = builder.with_cert_resolver(Arc::new(Shown(shown.collect::<Result<_, _>>()?)));
    // HTTP/2 has no upgrade; clients that offer it beside HTTP/1.1 are told which it is.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A key of its own each time: sessions from before the files changed, with whoever was let in then, begin anew.
    config.ticketer = ring::Ticketer::new().expect("the system gives random numbers");
    Ok(config)
}

/// The certificates there are; never empty.
#[derive(Debug)]
struct Shown(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    /// The first that is for the name asked for and whose key the client can check; else the first that it can check:
    /// devices that ask for no name, or for an address, are no less welcome, and judge for themselves.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let checkable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = self.0.iter().filter(checkable).find(|key| {
            let (Some(name), Ok(certificate)) = (&name, key.end_entity_cert()) else { return false };
            EndEntityCert::try_from(certificate).is_ok_and(|cert| cert.verify_is_valid_for_subject_name(name).is_ok())
        });
        named.or_else(|| self.0.iter().find(checkable)).map(Arc::clone)
    }
}
