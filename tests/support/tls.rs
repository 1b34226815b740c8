//! Certificate authorities and TLS servers that live as long as a test.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process, thread};

use hybridge::config::Certificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The server's end of a connection.
pub type Encrypted = StreamOwned<ServerConnection, TcpStream>;

/// A certificate authority nobody knows, until its file is named.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate, as PEM.
    pub file: PathBuf,
}

impl Authority {
    /// `name` is for the file, and for one test alone.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).expect("no names are proper names");
        params.distinguished_name.push(DnType::CommonName, format!("authority of {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign");
        let file = env::temp_dir().join(format!("hybridge-test-{}-{name}.pem", process::id()));
        fs::write(&file, issuer.pem()).expect("the temporary folder can be written to");
        Authority { issuer, file }
    }

    /// A server with a certificate for these names; `change` makes it worse.
    pub fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("proper names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        config(certificate.der().clone(), &key)
    }

    /// A certificate for these names and its key, in files named after the authority's and this.
    pub fn files(&self, name: &str, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(names).expect("proper names");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let beside = |kind: &str| self.file.with_extension(format!("{name}.{kind}.pem"));
        let files = Certificate { cert: beside("cert"), key: beside("key") };
        fs::write(&files.cert, certificate.pem()).expect("the temporary folder can be written to");
        fs::write(&files.key, key.serialize_pem()).expect("the temporary folder can be written to");
        files
    }

    /// A server that shows the authority's own certificate.
    pub fn as_server(&self) -> Arc<ServerConfig> {
        config(self.issuer.der().clone(), self.issuer.key())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let own = self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let beside = fs::read_dir(env::temp_dir()).into_iter().flatten().flatten();
        for file in beside.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{own}."))) {
            let _ = fs::remove_file(file.path());
        }
    }
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of our own");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the usual versions").with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate], key).expect("the key fits the certificate"))
}

/// Serves every connection with `serve`, each in a thread of its own. A handshake that fails is the client's to judge.
pub fn listen(config: Arc<ServerConfig>, serve: impl Fn(Encrypted) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the system's choice is free");
    let address = listener.local_addr().expect("a listener has an address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(io::Result::ok) {
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
            let (config, serve) = (Arc::clone(&config), Arc::clone(&serve));
            thread::spawn(move || {
                let connection = ServerConnection::new(config).expect("the configuration is proper");
                serve(StreamOwned::new(connection, stream));
            });
        }
    });
    address
}
