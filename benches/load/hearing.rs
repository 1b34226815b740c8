//! What a client hears of its server, in any dialect, as it comes.

use std::io;

use hybridge::dialect::Dialect;

use crate::frames::{CLOSE, CONTINUATION, FIN, Frames, Part, TEXT};

/// A thing heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// Bytes of a message.
    Bytes(&'a [u8]),
    /// The message is over.
    End,
    /// The server closes.
    Close,
}

/// Where in the server's bytes we are.
#[derive(Debug)]
pub enum Hearing {
    Hixie(Hixie),
    Hybi(Hybi),
}

/// hixie-75 and -76: where in a frame.
#[derive(Debug, Default)]
pub enum Hixie {
    #[default]
    Between,
    Text,
    /// Behind the 0xFF of the closing frame.
    Closing,
}

/// Versions 8 and 13.
#[derive(Debug, Default)]
pub struct Hybi {
    frames: Frames,
    /// The first byte of the frame that we are in.
    first: u8,
    /// The message that is not over yet.
    open: bool,
}

impl Hearing {
    pub fn new(dialect: Dialect) -> Hearing {
        match dialect {
            Dialect::Hixie75 | Dialect::Hixie76 => Hearing::Hixie(Hixie::default()),
            _ => Hearing::Hybi(Hybi::default()),
        }
    }

    /// The next thing, taken off the front of `input`; `None` asks for more.
    ///
    /// # Errors
    /// What no server may send.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> io::Result<Option<Heard<'a>>> {
        match self {
            Hearing::Hixie(hixie) => hixie.next(input),
            Hearing::Hybi(hybi) => hybi.next(input),
        }
    }
}

/// A fault of who was heard.
pub fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Hixie {
    fn next<'a>(&mut self, input: &mut &'a [u8]) -> io::Result<Option<Heard<'a>>> {
        while let Some((first, rest)) = input.split_first() {
            match (&self, first) {
                (Hixie::Between, 0x00) => (*self, *input) = (Hixie::Text, rest),
                (Hixie::Between, 0xFF) => (*self, *input) = (Hixie::Closing, rest),
                (Hixie::Between, other) => return Err(wrong(format!("a hixie frame began with {other:#04x}"))),
                (Hixie::Text, 0xFF) => {
                    (*self, *input) = (Hixie::Between, rest);
                    return Ok(Some(Heard::End));
                }
                (Hixie::Text, _) => {
                    let (text, rest) = input.split_at(memchr::memchr(0xFF, input).unwrap_or(input.len()));
                    *input = rest;
                    return Ok(Some(Heard::Bytes(text)));
                }
                (Hixie::Closing, 0x00) => {
                    *input = rest;
                    return Ok(Some(Heard::Close));
                }
                (Hixie::Closing, other) => return Err(wrong(format!("{other:#04x} in the closing frame"))),
            }
        }
        Ok(None)
    }
}

impl Hybi {
    fn next<'a>(&mut self, input: &mut &'a [u8]) -> io::Result<Option<Heard<'a>>> {
        while let Some(part) = self.frames.next(input)? {
            let closing = self.first & 0x0F == CLOSE;
            match part {
                Part::Head(head) => {
                    self.first = head.first;
                    match head.opcode() {
                        TEXT if !self.open => self.open = true,
                        CONTINUATION if self.open => {}
                        // No backend here sends pings, and no proxy has reason to.
                        CLOSE if head.first & FIN != 0 && head.length <= 125 => {}
                        _ => return Err(wrong(format!("a frame that cannot be here: {:#04x}", head.first))),
                    }
                    if head.key.is_some() || head.first & 0x70 != 0 {
                        return Err(wrong("a frame of a server with a mask or reserved bits"));
                    }
                }
                Part::Payload { .. } if closing => {}
                Part::Payload { bytes, .. } => return Ok(Some(Heard::Bytes(bytes))),
                Part::End if closing => return Ok(Some(Heard::Close)),
                Part::End if self.first & FIN != 0 => {
                    self.open = false;
                    return Ok(Some(Heard::End));
                }
                Part::End => {}
            }
        }
        Ok(None)
    }
}
