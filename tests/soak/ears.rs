//! What an end hears, as it comes: frames taken apart without being held, in either family of dialects.

use crate::support::{CLOSE, TEXT, plain};

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Sound<'a> {
    /// A message begins, with text or not.
    Begins(bool),
    Bytes(&'a [u8]),
    Ends,
    Ping(&'a [u8]),
    Pong,
    /// With this code; hixie-76's closing frame has none.
    Close(Option<u16>),
}

/// One end's ears.
pub enum Ears {
    Hixie { inside: bool, after_ff: bool },
    Hybi(Hybi),
}

#[derive(Default)]
pub struct Hybi {
    /// Whether what is heard must be masked.
    masked: bool,
    header: Vec<u8>,
    /// Of the frame whose payload is being heard.
    first: u8,
    key: [u8; 4],
    left: u64,
    at: usize,
    control: Vec<u8>,
    /// Inside a message.
    speaking: bool,
}

impl Ears {
    pub fn hixie() -> Ears {
        Ears::Hixie { inside: false, after_ff: false }
    }

    /// Of an end that hears masked frames, as backends do, or of one that must not.
    pub fn hybi(masked: bool) -> Ears {
        Ears::Hybi(Hybi { masked, ..Hybi::default() })
    }

    /// Takes in what was read, and adds to `answer` what an echo says: each text again, and a close to a close; whether
    /// there was one. `text` is what came so far of the one that is being heard.
    pub fn echo(&mut self, bytes: &mut [u8], text: &mut Vec<u8>, answer: &mut Vec<u8>) -> Result<bool, String> {
        let mut closed = false;
        self.hear(bytes, &mut |sound| {
            match sound {
                Sound::Bytes(more) => text.extend_from_slice(more),
                Sound::Ends => answer.extend(plain(TEXT, std::mem::take(text))),
                Sound::Close(_) => {
                    answer.extend(plain(CLOSE, b""));
                    closed = true;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(closed)
    }

    /// Takes in what was read, and tells what it is.
    pub fn hear(
        &mut self,
        bytes: &mut [u8],
        tell: &mut impl FnMut(Sound<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        match self {
            Ears::Hixie { inside, after_ff } => hixie(bytes, inside, after_ff, tell),
            Ears::Hybi(hybi) => hybi.hear(bytes, tell),
        }
    }
}

fn hixie(
    mut bytes: &[u8],
    inside: &mut bool,
    after_ff: &mut bool,
    tell: &mut impl FnMut(Sound<'_>) -> Result<(), String>,
) -> Result<(), String> {
    while let Some(first) = bytes.first() {
        if *inside {
            let end = bytes.iter().position(|byte| *byte == 0xFF);
            let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            tell(Sound::Bytes(text))?;
            bytes = rest;
            if end.is_some() {
                *inside = false;
                tell(Sound::Ends)?;
                bytes = &bytes[1..];
            }
            continue;
        }
        match (*after_ff, first) {
            (false, 0x00) => {
                *inside = true;
                tell(Sound::Begins(true))?;
            }
            (false, 0xFF) => *after_ff = true,
            (true, 0x00) => {
                *after_ff = false;
                tell(Sound::Close(None))?;
            }
            _ => return Err(format!("{first:#04x} begins no hixie frame")),
        }
        bytes = &bytes[1..];
    }
    Ok(())
}

impl Hybi {
    fn hear(
        &mut self,
        mut bytes: &mut [u8],
        tell: &mut impl FnMut(Sound<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.header.push(bytes[0]);
                bytes = &mut bytes[1..];
                if self.header_is_whole()? {
                    self.begin(tell)?;
                }
                continue;
            }
            let here = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (payload, rest) = bytes.split_at_mut(here);
            for byte in payload.iter_mut() {
                *byte ^= self.key[self.at % 4];
                self.at += 1;
            }
            self.left -= here as u64;
            if self.first & 0x08 != 0 {
                self.control.extend_from_slice(payload);
            } else {
                tell(Sound::Bytes(payload))?;
            }
            if self.left == 0 {
                self.finish(tell)?;
            }
            bytes = rest;
        }
        Ok(())
    }

    fn header_is_whole(&self) -> Result<bool, String> {
        let Some(second) = self.header.get(1) else { return Ok(false) };
        if (second & 0x80 != 0) != self.masked {
            return Err("a frame is masked that must not be, or not that must".to_owned());
        }
        let long = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        Ok(self.header.len() == 2 + long + if self.masked { 4 } else { 0 })
    }

    fn begin(&mut self, tell: &mut impl FnMut(Sound<'_>) -> Result<(), String>) -> Result<(), String> {
        self.first = self.header[0];
        let key_at = self.header.len() - if self.masked { 4 } else { 0 };
        self.key = self.header[key_at..].try_into().unwrap_or_default();
        self.left = match self.header[1] & 0x7F {
            126 | 127 => self.header[2..key_at].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        self.at = 0;
        self.header.clear();
        match (self.first & 0x7F, self.speaking) {
            (1 | 2, false) => {
                self.speaking = true;
                tell(Sound::Begins(self.first & 0x0F == 1))?;
            }
            (0, true) => {}
            (8..=10, _) if self.first & 0x80 != 0 && self.left <= 125 => self.control.clear(),
            _ => return Err(format!("no frame begins with {:#04x} here", self.first)),
        }
        if self.left == 0 { self.finish(tell) } else { Ok(()) }
    }

    fn finish(&mut self, tell: &mut impl FnMut(Sound<'_>) -> Result<(), String>) -> Result<(), String> {
        match self.first & 0x0F {
            8 => tell(Sound::Close(self.control.first_chunk().map(|code| u16::from_be_bytes(*code)))),
            9 => tell(Sound::Ping(&self.control)),
            10 => tell(Sound::Pong),
            _ if self.first & 0x80 != 0 => {
                self.speaking = false;
                tell(Sound::Ends)
            }
            _ => Ok(()),
        }
    }
}
