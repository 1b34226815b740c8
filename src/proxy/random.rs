//! The randomness handed to the core.

use rand::RngExt as _;

use crate::event::{Keys, MaskingKey};

/// Masking keys of the thread's ChaCha generator, which the system seeds (RFC 6455 §10.3: from a strong source).
pub struct Fresh;

impl Keys for Fresh {
    fn fresh(&mut self) -> MaskingKey {
        let mut rng = rand::rng();
        loop {
            // All zeroes is legal, but leaves the bytes on the wire to whoever sent them.
            let key: [u8; 4] = rng.random();
            if key != [0; 4] {
                return MaskingKey(key);
            }
        }
    }
}

/// 16 bytes for a `Sec-WebSocket-Key`.
pub fn nonce() -> [u8; 16] {
    rand::rng().random()
}
