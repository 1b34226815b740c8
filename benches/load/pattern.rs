//! What messages say: text that differs from place to place, so that bytes which were changed, lost, doubled or swapped
//! show.

use std::sync::LazyLock;

/// After so many bytes the text repeats itself: a prime, so that no buffer is as long.
pub const PERIOD: usize = 65_521;
/// The longest piece that is handed out.
pub const PIECE: usize = 64 << 10;

/// Printable ASCII, the period as often as pieces need to be in one.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut printable = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b' ' + ((state >> 33) % 95) as u8
    };
    let period: Vec<u8> = (0..PERIOD).map(|_| printable()).collect();
    period.iter().copied().cycle().take(PERIOD + PIECE).collect()
});

/// A message, which says something else than its neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The connection that it is said on.
    pub connection: u64,
    /// Its place among the messages of that connection.
    pub number: u64,
}

impl Message {
    /// What it says from `at` on: `length` bytes, or a piece of them.
    pub fn text(self, at: u64, length: u64) -> &'static [u8] {
        let from = self.connection.wrapping_mul(31_337).wrapping_add(self.number.wrapping_mul(7_919)).wrapping_add(at);
        let from = (from % PERIOD as u64) as usize;
        &TEXT[from..from + length.min(PIECE as u64) as usize]
    }

    /// Whether it says these bytes from `at` on.
    pub fn says(self, mut at: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            if self.text(at, piece.len() as u64) != piece {
                return false;
            }
            at += piece.len() as u64;
            bytes = rest;
        }
        true
    }
}
