//! UTF-8 checked across chunk borders.
//!
//! The check itself is the `simdutf8` crate's; what stands here is the memory of a character that a border cut in two.

use crate::event::Payload;

/// Most bytes that are first looked at for ASCII alone: most short texts are nothing else, and the quick check of long
/// ones is slow to begin.
const SHORT: usize = 128;

/// Most bytes of a masked text that are unmasked at once where they are not ASCII: they are still at hand for the check,
/// and few characters are cut in two.
const BLOCK: usize = 4096;

/// How far a text has been checked: remembers a character that the last chunk left unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8 {
    /// Bytes of the unfinished character seen so far.
    have: u8,
    /// Bytes it still needs; 0 between characters.
    need: u8,
    /// The range its next byte must lie in.
    next: (u8, u8),
}

/// Where a text stops being UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    /// Offset of the first byte behind the faulty sequence.
    end: usize,
    /// How long the sequence is; it may have begun in an earlier chunk.
    len: usize,
}

/// Not UTF-8, however the text goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl Utf8 {
    /// Checks the next bytes of the text.
    ///
    /// # Errors
    /// At the first byte that no continuation can make valid.
    #[inline]
    pub fn feed(&mut self, payload: &Payload<'_>) -> Result<(), NotUtf8> {
        if self.need == 0 && payload.len() <= SHORT && payload.is_ascii() {
            return Ok(());
        }
        self.walk(*payload).map_err(|_| NotUtf8)
    }

    /// Checks what is not both short and ASCII. Out of line, so that most texts do not pay for the room that it needs.
    #[inline(never)]
    fn walk(&mut self, payload: Payload<'_>) -> Result<(), Fault> {
        // Among plain bytes the check itself finds ASCII the quickest, and what is short is not worth the room below. Either
        // comes in one piece.
        if payload.key().is_none() || payload.len() <= SHORT {
            return payload.for_each_plain(|plain| self.check(plain));
        }
        let mut done = self.skip_ascii(&payload, 0);
        let mut plain = Vec::with_capacity(BLOCK.min(payload.len() - done));
        while done < payload.len() {
            plain.clear();
            payload.slice(done, payload.len().min(done + BLOCK)).append_to(&mut plain, None);
            self.check(&plain).map_err(|fault| Fault { end: done + fault.end, ..fault })?;
            done = self.skip_ascii(&payload, done + plain.len());
        }
        Ok(())
    }

    /// Where what follows `done` stops being ASCII, at the earliest; `done` itself inside a character.
    fn skip_ascii(self, payload: &Payload<'_>, done: usize) -> usize {
        if self.need == 0 { done + payload.slice(done, payload.len()).ascii_front() } else { done }
    }

    /// Whether the text may end here.
    pub fn is_complete(self) -> bool {
        self.need == 0
    }

    /// How many bytes the unfinished character still needs; 0 between characters.
    pub fn missing(self) -> usize {
        usize::from(self.need)
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while self.need > 0 {
            let Some(&byte) = bytes.get(at) else { return Ok(()) };
            if !(self.next.0..=self.next.1).contains(&byte) {
                return Err(Fault { end: at, len: usize::from(self.have) });
            }
            *self = Utf8 { have: self.have + 1, need: self.need - 1, next: (0x80, 0xBF) };
            at += 1;
        }
        let Err(error) = simdutf8::compat::from_utf8(&bytes[at..]) else {
            self.have = 0;
            return Ok(());
        };
        at += error.valid_up_to();
        if let Some(len) = error.error_len() {
            return Err(Fault { end: at + len, len });
        }
        self.begin(&bytes[at..]);
        Ok(())
    }

    /// Remembers the valid beginning of a character (Unicode 15, table 3-7).
    fn begin(&mut self, cut: &[u8]) {
        let (length, second) = match cut[0] {
            0xE0 => (3, (0xA0, 0xBF)),
            0xED => (3, (0x80, 0x9F)),
            0xE1..=0xEF => (3, (0x80, 0xBF)),
            0xF0 => (4, (0x90, 0xBF)),
            0xF4 => (4, (0x80, 0x8F)),
            0xF1..=0xF3 => (4, (0x80, 0xBF)),
            _ => (2, (0x80, 0xBF)),
        };
        let have = u8::try_from(cut.len()).expect("an unfinished character has at most 3 bytes");
        *self = Utf8 { have, need: length - have, next: if have == 1 { second } else { (0x80, 0xBF) } };
    }
}

/// Whether `payload` is valid UTF-8 by itself.
#[inline]
pub fn is_text(payload: &Payload<'_>) -> bool {
    let mut text = Utf8::default();
    text.feed(payload).is_ok() && text.is_complete()
}

/// How many bytes of ASCII `bytes` begins with, as far as a short look tells.
#[inline]
pub fn ascii(bytes: &[u8]) -> usize {
    let (words, tail) = bytes[..bytes.len().min(SHORT)].as_chunks::<8>();
    let high_bits = |word: &[u8; 8]| u64::from_le_bytes(*word) & 0x8080_8080_8080_8080;
    match words.iter().position(|word| high_bits(word) != 0) {
        Some(at) => at * 8 + high_bits(&words[at]).trailing_zeros() as usize / 8,
        None => words.len() * 8 + tail.iter().take_while(|byte| byte.is_ascii()).count(),
    }
}

/// How a text begins, for those who mend faults instead of refusing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// All of it is valid.
    Whole,
    /// `valid` bytes are, then come `skip` bytes which U+FFFD replaces.
    Fault {
        /// Valid bytes in front.
        valid: usize,
        /// Bytes of the faulty sequence after them: a maximal subpart, as browsers replace it.
        skip: usize,
    },
    /// `valid` bytes are, then the text ends inside a character.
    Cut {
        /// Valid bytes in front.
        valid: usize,
    },
}

/// Looks how far `payload`, which begins at a character, is valid.
pub fn prefix(payload: &Payload<'_>) -> Prefix {
    // Those who read plain text have looked so far themselves, or are in no hurry.
    if payload.key().is_some() && payload.len() <= SHORT && payload.is_ascii() {
        return Prefix::Whole;
    }
    // Behind the ASCII in front, which need not be unmasked, a little at first: each of many faults may have it begin anew.
    let front = if payload.key().is_some() { payload.ascii_front() } else { 0 };
    let little = payload.len().min(front + SHORT);
    let mut text = Utf8::default();
    let walked = [(front, little), (little, payload.len())].into_iter().try_for_each(|(from, to)| {
        text.walk(payload.slice(from, to)).map_err(|fault| Fault { end: from + fault.end, ..fault })
    });
    match walked {
        Err(Fault { end, len }) => Prefix::Fault { valid: end - len, skip: len },
        Ok(()) if text.is_complete() => Prefix::Whole,
        Ok(()) => Prefix::Cut { valid: payload.len() - usize::from(text.have) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::MaskingKey;

    /// Every two- and three-byte start, and the borders of the four-byte ones, against the standard library.
    fn samples() -> Vec<Vec<u8>> {
        let edges = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE0, 0xED, 0xF4, 0xFF];
        let mut all = Vec::new();
        for first in 0x00..=0xFFu8 {
            for second in edges {
                for third in edges {
                    all.push(vec![first, second, third]);
                    all.push(vec![b'a', first, second, third, 0x80, b'z']);
                }
            }
        }
        all
    }

    /// Long texts, ASCII or nothing less, with a whole or a broken character at every place around the borders of blocks, which
    /// for who mends lie behind a little look.
    fn long_samples() -> impl Iterator<Item = Vec<u8>> {
        let borders =
            [SHORT, 256, 512, BLOCK, SHORT + BLOCK, BLOCK + 256].into_iter().flat_map(|border| border - 4..=border + 1);
        let inserts = [&b"\xE2\x82\xAC"[..], b"\xF0\x9F\x98\x80", b"\xE2\x82", b"\xED\xA0\x80", b"\xF0\x9F", b"\xFF"];
        borders.flat_map(move |at| {
            let fronts = [b"x".repeat(at), [b"x".repeat(at % 2), "\u{E9}".repeat(at / 2).into_bytes()].concat()];
            let ends = [b"y".repeat(300), Vec::new()];
            let all = fronts.into_iter().flat_map(move |front| ends.clone().map(|end| (front.clone(), end)));
            all.flat_map(move |(front, end)| inserts.map(|insert| [&front, insert, &end].concat()))
        })
    }

    #[test]
    fn a_long_masked_text_is_judged_as_the_standard_library_does() {
        let key = MaskingKey([0x81, 0x02, 0xF3, 0x04]);
        for sample in long_samples() {
            let verdict = std::str::from_utf8(&sample);
            let mut masked = sample.clone();
            key.apply(&mut masked);
            let payload = Payload::new(&masked, Some(key));
            let expected = match verdict.map_err(|error| (error.valid_up_to(), error.error_len())) {
                Ok(_) => Prefix::Whole,
                Err((valid, Some(skip))) => Prefix::Fault { valid, skip },
                Err((valid, None)) => Prefix::Cut { valid },
            };
            let which = format!("{:02x?} at the end of {}", &sample[sample.len().saturating_sub(306)..], sample.len());
            assert_eq!(prefix(&payload), expected, "{which}");
            let faulty = matches!(expected, Prefix::Fault { .. });
            for cut in
                [0, 255, 257, BLOCK - 1, BLOCK + 1, sample.len().saturating_sub(300), sample.len().saturating_sub(299)]
            {
                let cut = cut.min(sample.len());
                let mut text = Utf8::default();
                let fed = text.feed(&payload.slice(0, cut)).and_then(|()| text.feed(&payload.slice(cut, sample.len())));
                assert_eq!(fed.is_err(), faulty, "{which} cut at {cut}");
                assert_eq!(fed.is_ok() && text.is_complete(), verdict.is_ok(), "{which} cut at {cut}");
            }
        }
    }

    #[test]
    fn every_split_gives_the_verdict_of_the_whole() {
        for sample in samples() {
            let valid = std::str::from_utf8(&sample).is_ok();
            for cut in 0..=sample.len() {
                let mut text = Utf8::default();
                let verdict = [&sample[..cut], &sample[cut..]]
                    .iter()
                    .try_for_each(|part| text.feed(&Payload::plain(part)))
                    .is_ok_and(|()| text.is_complete());
                assert_eq!(verdict, valid, "{sample:02x?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_short_look_counts_ascii_to_its_end_or_the_first_other_byte() {
        for length in 0..SHORT + 20 {
            for at in 0..=length {
                let mut bytes = vec![0x7F; length];
                bytes[at..].fill(0x80);
                assert_eq!(ascii(&bytes), at.min(SHORT), "{at} of {length}");
            }
        }
    }

    #[test]
    fn a_fault_is_seen_at_its_own_byte_and_not_later() {
        for bytes in [&b"\xE2\x82A"[..], b"\xED\xA0", b"\xF4\x90", b"\xC0", b"\xFF", b"\xE0\x9F"] {
            let (last, first) = bytes.split_last().expect("not empty");
            let mut text = Utf8::default();
            for byte in first {
                assert_eq!(text.feed(&Payload::plain(&[*byte])), Ok(()), "{bytes:02x?}");
            }
            assert_eq!(text.feed(&Payload::plain(&[*last])), Err(NotUtf8), "{bytes:02x?}");
        }
    }

    #[test]
    fn mending_by_prefixes_equals_the_standard_lossy_reading() {
        let key = MaskingKey([9, 0x80, 0x55, 0xFE]);
        let long = [
            b"\xC3\xA9".repeat(SHORT / 2 - 1),
            b"x".to_vec(),
            b"\xE2\x82\xAC\xE2\x82".to_vec(),
            b"y".repeat(900),
            b"\xF0\x9F".to_vec(),
        ]
        .concat();
        for sample in samples().into_iter().chain([long]) {
            let mut masked = sample.clone();
            key.apply(&mut masked);
            for payload in [Payload::plain(&sample), Payload::new(&masked, Some(key))] {
                let mut mended = Vec::new();
                let mut at = 0;
                while at < sample.len() {
                    let rest = payload.slice(at, payload.len());
                    let (valid, skip) = match prefix(&rest) {
                        Prefix::Whole => (rest.len(), 0),
                        Prefix::Fault { valid, skip } => (valid, skip),
                        Prefix::Cut { valid } => (valid, rest.len() - valid),
                    };
                    mended.extend(rest.slice(0, valid).to_vec());
                    mended.extend(if skip > 0 { "\u{FFFD}".as_bytes() } else { b"" });
                    at += valid + skip;
                }
                assert_eq!(String::from_utf8(mended).as_deref(), Ok(&*String::from_utf8_lossy(&sample)));
            }
        }
    }
}
