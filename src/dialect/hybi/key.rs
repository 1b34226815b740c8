//! `Sec-WebSocket-Key`, and what answers it.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

use crate::dialect::Dialect;

/// RFC 6455 §1.3: what is put behind the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2): of the key's text, which
/// is never decoded for this.
pub fn accept(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(GUID);
    STANDARD.encode(sha1.finalize())
}

/// A `Sec-WebSocket-Key` of 16 random bytes (RFC 6455 §4.1).
pub fn client_key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

/// Whether a `Sec-WebSocket-Key` is one that clients of this version send.
///
/// RFC 6455 §4.2.1 demands 16 bytes; its own example shows non-canonical last bits, so those pass. Version 8 clients
/// exist whose keys decode to 15 bytes: before version 13 any base64 of at most 64 characters is a key.
pub fn is_key(dialect: Dialect, key: &str) -> bool {
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let Ok(decoded) = engine.decode(key) else { return false };
    match dialect {
        Dialect::Rfc6455 => decoded.len() == 16,
        _ => !decoded.is_empty() && key.len() <= 64,
    }
}
