//! PROXY preambles, versions 1 and 2: more bytes never change a verdict; no more are asked for than the longest has; and
//! what was read is written so that it is read as the same again, and written the same.

use std::net::SocketAddr;

use hybridge::preamble::{LONGEST_BODY, Preamble, Version, read};

use crate::input::{Input, steps};

/// The signature, two bytes, and the length.
const HEAD: usize = 16;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let seed = input.byte();
    let bytes = input.rest();
    let whole = read(bytes);
    for end in steps(bytes, seed) {
        match read(&bytes[..end]) {
            Ok(None) => assert!(end < HEAD + LONGEST_BODY, "{end} bytes are not enough"),
            Ok(Some(found)) => {
                assert_eq!(Ok(Some(found)), whole);
                break;
            }
            // Why it is none may be said in other words once there is more.
            Err(_) => assert!(whole.is_err()),
        }
    }
    let Ok(Some((preamble, taken))) = whole else { return };
    assert!(taken <= bytes.len() && taken <= HEAD + LONGEST_BODY);
    if let Some(authority) = &preamble.authority {
        assert!(!authority.contains(|c: char| c.is_control() || c.is_whitespace() || "/\\\"',;@".contains(c)));
    }
    for version in [Version::V1, Version::V2] {
        let written = preamble.write(version);
        let (again, length) = read(&written).expect("ours is a good one").expect("and whole");
        assert_eq!(length, written.len());
        assert_eq!(again, said(&preamble, version));
        assert_eq!(again.write(version), written);
    }
}

/// The preamble as its version can say it, IPv4 as such.
fn said(preamble: &Preamble, version: Version) -> Preamble {
    let Some((client, local)) = preamble.source else { return Preamble::default() };
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    // Neither version can mix the families.
    let guise = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => address,
    };
    let (client, local) = (canonical(client), canonical(local));
    let source = if client.is_ipv4() == local.is_ipv4() { (client, local) } else { (guise(client), guise(local)) };
    match version {
        Version::V1 => Preamble::of(source.0, source.1),
        Version::V2 => Preamble { source: Some(source), ..preamble.clone() },
    }
}
