//! Frames of RFC 6455, taken apart as they come. These are not hybridge's own: what is measured does not check itself.

use std::io;

/// The bits and numbers of a frame's first byte.
pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its first byte: whether it ends a message, reserved bits, and what it is.
    pub first: u8,
    /// Bytes of payload.
    pub length: u64,
    /// The masking key, if it is masked.
    pub key: Option<[u8; 4]>,
}

impl Head {
    /// What kind of frame it is.
    pub fn opcode(self) -> u8 {
        self.first & 0x0F
    }

    /// Appends it.
    pub fn write(self, out: &mut Vec<u8>) {
        let mask = if self.key.is_some() { 0x80 } else { 0 };
        out.push(self.first);
        match self.length {
            0..=125 => out.push(mask | self.length as u8),
            126..=0xFFFF => {
                out.push(mask | 126);
                out.extend_from_slice(&(self.length as u16).to_be_bytes());
            }
            _ => {
                out.push(mask | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend_from_slice(self.key.as_ref().map_or(&[], |key| key.as_slice()));
    }
}

/// A part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Head(Head),
    /// Bytes of the payload, as they came, and how many stood before them.
    Payload {
        bytes: &'a [u8],
        before: u64,
    },
    /// The payload is whole.
    End,
}

/// Where in the frames we are.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; 14],
    /// Bytes of the head that are in.
    got: usize,
    /// The payload: its length, and how much of it was taken. `None` within heads.
    payload: Option<(u64, u64)>,
}

impl Frames {
    /// The next part, taken off the front of `input`; `None` asks for more.
    ///
    /// # Errors
    /// A length that nobody may write.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> io::Result<Option<Part<'a>>> {
        let Some((length, taken)) = &mut self.payload else { return self.head(input) };
        if taken == length {
            self.payload = None;
            return Ok(Some(Part::End));
        }
        if input.is_empty() {
            return Ok(None);
        }
        let here = usize::try_from(*length - *taken).map_or(input.len(), |left| left.min(input.len()));
        let (bytes, rest) = input.split_at(here);
        *input = rest;
        let before = *taken;
        *taken += here as u64;
        Ok(Some(Part::Payload { bytes, before }))
    }

    fn head<'a>(&mut self, input: &mut &'a [u8]) -> io::Result<Option<Part<'a>>> {
        loop {
            let (extended, key) = match self.head[1] & 0x7F {
                126 => (2, self.head[1] >> 7),
                127 => (8, self.head[1] >> 7),
                _ => (0, self.head[1] >> 7),
            };
            let needed = if self.got < 2 { 2 } else { 2 + extended + 4 * usize::from(key) };
            if self.got == needed && self.got >= 2 {
                self.got = 0;
                return self.read(extended, needed).map(Some);
            }
            let here = (needed - self.got).min(input.len());
            if here == 0 {
                return Ok(None);
            }
            let (bytes, rest) = input.split_at(here);
            self.head[self.got..self.got + here].copy_from_slice(bytes);
            (*input, self.got) = (rest, self.got + here);
        }
    }

    /// Reads the whole head.
    fn read<'a>(&mut self, extended: usize, whole: usize) -> io::Result<Part<'a>> {
        let long = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let length = if extended == 0 { u64::from(self.head[1] & 0x7F) } else { long(&self.head[2..2 + extended]) };
        if length > i64::MAX as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of more than 2^63 bytes"));
        }
        let key = (whole == 6 + extended).then(|| [0, 1, 2, 3].map(|at| self.head[2 + extended + at]));
        let head = Head { first: self.head[0], length, key };
        self.payload = Some((length, 0));
        Ok(Part::Head(head))
    }
}

/// Masks or unmasks what stands `before` bytes behind the payload's begin.
pub fn mask(bytes: &mut [u8], key: [u8; 4], before: u64) {
    let mut turned = key;
    turned.rotate_left((before % 4) as usize);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let word: &mut [u8; 8] = word.try_into().expect("a chunk of eight");
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}
