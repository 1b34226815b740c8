//! ClientHellos of real clients: what is told of them, and that rustls serves those it is said to serve, no others.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hybridge::hello::{Offer, Version, offered};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

/// The file, its version, the host it asks for, and whether rustls serves it.
const HELLOS: [(&str, Version, Option<&str>, bool); 15] = [
    ("java-17-sslv2hello", Version::TLS10, None, false),
    ("java-17-tls1", Version::TLS10, None, false),
    ("java-17", Version::TLS13, None, true),
    ("node-0.10", Version::TLS12, Some("tv.example"), true),
    ("node-20", Version::TLS13, Some("tv.example"), true),
    ("openssl-3.0-default", Version::TLS13, Some("tv.example"), true),
    ("openssl-3.0-no-name", Version::TLS13, None, true),
    ("openssl-3.0-split-records", Version::TLS13, Some("tv.example"), true),
    ("openssl-3.0-tls1", Version::TLS10, Some("tv.example"), false),
    ("openssl-3.0-tls1_1", Version::TLS11, Some("tv.example"), false),
    ("openssl-3.0-tls1_2-rsa-cbc", Version::TLS12, Some("tv.example"), false),
    ("openssl-3.0-tls1_2-sha1", Version::TLS12, Some("tv.example"), false),
    ("openssl-3.0-tls1_2", Version::TLS12, Some("tv.example"), true),
    ("openssl-3.0-tls1_3", Version::TLS13, Some("tv.example"), true),
    ("phantomjs-2.1.1", Version::TLS12, Some("localhost"), true),
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hello")
}

fn hello(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.bin"))).unwrap()
}

/// A server as the proxy has it, with an ECDSA key.
fn server() -> Arc<ServerConfig> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["tv.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap())
}

/// Whether rustls answers the hello with one of its own, rather than an alert.
fn is_served(server: &Arc<ServerConfig>, mut bytes: &[u8]) -> bool {
    let mut connection = ServerConnection::new(Arc::clone(server)).unwrap();
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).unwrap();
        if connection.process_new_packets().is_err() {
            return false;
        }
    }
    connection.wants_write()
}

#[test]
fn what_real_clients_offer_is_told_at_every_cut() {
    for (name, version, server_name, modern) in HELLOS {
        let bytes = hello(name);
        for cut in 0..bytes.len() {
            assert_eq!(offered(&bytes[..cut]), Ok(None), "{name}, cut at {cut}");
        }
        let server_name = server_name.map(str::to_owned);
        assert_eq!(offered(&bytes), Ok(Some(Offer { version, server_name, modern })), "{name}");
    }
    let mut files = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(HELLOS.iter().any(|(known, ..)| *known == name), "{name} is not in the table");
            files += 1;
        }
    }
    assert_eq!(files, HELLOS.len());
}

#[test]
fn rustls_serves_those_that_are_modern_and_no_others() {
    let server = server();
    for (name, _, _, modern) in HELLOS {
        assert_eq!(is_served(&server, &hello(name)), modern, "{name}");
    }
}

#[test]
fn a_name_of_an_unknown_type_is_passed_over_as_rustls_does() {
    let mut bytes = hello("node-20");
    let name = bytes.windows(10).position(|window| window == b"tv.example").expect("it names a host");
    // The host is "t", and what follows it a name of type 0x76 that is longer than the list.
    bytes[name - 1] = 1;
    assert!(is_served(&server(), &bytes));
    let offer = offered(&bytes).expect("a hello").expect("a whole one");
    assert_eq!((offer.server_name.as_deref(), offer.modern), (Some("t"), true));
}

/// How hellos begin, and how they do not.
const LEADS: [&[u8]; 3] = [&[], &[22, 3, 1], &[0x80]];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever is done to a real hello: nothing panics, more bytes never change a verdict, and rustls never serves what
    /// is not called modern.
    #[test]
    fn spoilt_hellos_are_borne(
        which in select(&HELLOS[..]),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut bytes = hello(which.0);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = offered(&bytes);
        match offered(&bytes[..cut.index(bytes.len())]) {
            Ok(None) => {}
            part => prop_assert_eq!(&part, &whole),
        }
        if is_served(&server(), &bytes) {
            prop_assert!(whole.as_ref().is_ok_and(|offer| offer.as_ref().is_some_and(|offer| offer.modern)), "{whole:?}");
        }
    }

    #[test]
    fn any_bytes_are_borne(bytes in vec(any::<u8>(), 0..200), lead in select(&LEADS[..])) {
        let _ = offered(&[lead, &bytes].concat());
    }
}
