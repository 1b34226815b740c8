//! Certificates and private keys, from their files.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use crate::config::Certificate;

/// A file that TLS needs cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, and what to do.
    pub why: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

impl std::error::Error for FileError {}

/// Reads a certificate with its chain, and its key.
///
/// # Errors
/// One of the files cannot be read or holds something else, or the key is another certificate's.
pub fn identity(files: &Certificate) -> Result<CertifiedKey, FileError> {
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => FileError {
            file: files.key.clone(),
            why: format!(
                "this private key is not that of the first certificate in {}; name the two that belong together, the \
                 server's own certificate before those of its authorities",
                files.cert.display()
            ),
        },
        other => FileError { file: files.key.clone(), why: format!("this private key cannot be used: {other}") },
    })
}

/// Reads the certificates in a PEM file; at least one.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let failed = |why: String| FileError { file: file.to_owned(), why };
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(failed("there is no certificate in it; expected lines from -----BEGIN CERTIFICATE----- on".into()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(failed(broken(&error))),
    }
}

/// Reads the authorities in a PEM file.
///
/// # Errors
/// As [`certificates`], or one of them is none that can be believed.
pub fn authorities(file: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| FileError { file: file.to_owned(), why: error.to_string() })?;
    }
    Ok(roots)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let failed = |why: String| FileError { file: file.to_owned(), why };
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        match error {
        PemError::NoItemsFound if contains(&pem, b"ENCRYPTED PRIVATE KEY") => failed(
            "the private key is protected by a password; make a copy without one (openssl pkey -in FILE -out COPY) and \
             let only the user that hybridge runs as read it"
                .into(),
        ),
        PemError::NoItemsFound => {
            failed("there is no private key in it; expected lines from -----BEGIN PRIVATE KEY----- on".into())
        }
        other => failed(broken(&other)),
    }
    })
}

fn broken(error: &PemError) -> String {
    format!("it is broken: {error}; make the file again in PEM format")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(file).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::PermissionDenied => "let the user that hybridge runs as read it",
            std::io::ErrorKind::IsADirectory => "name a file in that directory",
            _ => "check the path and the disk it is on",
        };
        FileError { file: file.to_owned(), why: format!("it cannot be read ({error}); {remedy}") }
    })
}
