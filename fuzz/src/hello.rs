//! ClientHellos: more bytes never change what is told of one; no more are asked for than the longest and its records have;
//! the host it names is one, in lower case.

use hybridge::hello::{LONGEST, Version, offered};

use crate::input::{Input, steps};

/// At most 64 records, each with a head of 5 bytes.
const MOST: usize = LONGEST + 64 * 5;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let seed = input.byte();
    let bytes = input.rest();
    let whole = offered(bytes);
    for end in steps(bytes, seed) {
        let part = offered(&bytes[..end]);
        if part == Ok(None) {
            assert!(end < MOST, "{end} bytes are not enough");
        } else {
            assert_eq!(part, whole);
            break;
        }
    }
    if let Ok(Some(offer)) = whole {
        assert!((Version::SSL2..=Version::TLS13).contains(&offer.version) || !offer.modern, "{offer:?}");
        if let Some(name) = offer.server_name {
            assert!(!name.is_empty() && name.len() <= 255, "{name:?}");
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()), "{name:?}");
            assert!(!name.contains(['/', ',', ';', '"', '\\', '@', '?', '#', ' ']) || is_odd_host(&name), "{name:?}");
        }
    }
}

/// RFC 3986 §3.2.2 lets these stand in a name too.
fn is_odd_host(name: &str) -> bool {
    !name.contains(['/', '"', '\\', '@', '?', '#', ' '])
}
