//! The randomness handed to the core.

use std::time::Duration;

use rand::RngExt as _;

use crate::event::{Keys, MaskingKey};

/// Masking keys of the thread's ChaCha generator, which the system seeds (RFC 6455 §10.3: from a strong source).
pub struct Fresh;

impl Keys for Fresh {
    fn fresh(&mut self) -> MaskingKey {
        let mut rng = rand::rng();
        loop {
            // All zeroes is legal, but leaves the bytes on the wire to whoever sent them.
            // Drawn as one number: as an array it would be a number for each byte.
            let key: u32 = rng.random();
            if key != 0 {
                return MaskingKey(key.to_ne_bytes());
            }
        }
    }
}

/// An id that tells a connection from all others: 16 hexadecimal digits.
pub fn connection_id() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

/// Half of `wait` and up to all of it, so that those who wait for the same do not all come at once.
pub fn spread(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Some part of `wait`, so that what is done again and again is not done by all at once.
pub fn part(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.0..1.0))
}

/// 16 bytes for a `Sec-WebSocket-Key`.
pub fn nonce() -> [u8; 16] {
    rand::rng().random()
}
