//! How a target takes the fuzzer's bytes: first a few that choose, then those that are read; and how these are cut.

/// The fuzzer's bytes. Where there are no more of them every choice is 0.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// The next bytes, as many as there are.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes in pieces, as `seed` has it: 0 one by one, others in lengths that vary, up to more or fewer bytes.
pub fn pieces(mut bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let most = 1 << (seed % 8);
    let mut random = u32::from(seed);
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        // The constants of Numerical Recipes; only its high bits are any good.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, rest) = bytes.split_at((1 + (random >> 16) as usize % most).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// The ends of those pieces: how many bytes have come after each.
pub fn steps(bytes: &[u8], seed: u8) -> impl Iterator<Item = usize> {
    let mut end = 0;
    pieces(bytes, seed).into_iter().map(move |piece| {
        end += piece.len();
        end
    })
}
