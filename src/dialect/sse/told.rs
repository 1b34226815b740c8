//! How an event is told: piece by piece, each borrowed from the input or from a table, none of it copied together.

use super::{Form, data_of};
use crate::event::{Chunk, Kind, Payload, Rest};
use crate::utf8::{self, Prefix};

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
/// How far JSON is looked ahead for the next character that needs an escape. What has many would else be looked through
/// to its end for each of them.
const WINDOW: usize = 256;

/// Every byte, for what the codec itself keeps: events borrow the input, and cannot borrow from the codec.
static LETTERS: [u8; 256] = letters();

const fn letters() -> [u8; 256] {
    let mut letters = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        letters[byte] = byte as u8;
        byte += 1;
    }
    letters
}

/// RFC 8259 §7: the control characters, which must be escaped.
static CONTROLS: [[u8; 6]; 32] = controls();

const fn controls() -> [[u8; 6]; 32] {
    let mut controls = [*b"\\u0000"; 32];
    let mut byte = 0;
    while byte < 32 {
        controls[byte][4] = b'0' + (byte >> 4) as u8;
        controls[byte][5] = b"0123456789abcdef"[byte & 0xF];
        byte += 1;
    }
    controls
}

/// The escape that a byte needs between the quotes of JSON.
fn escape(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\"),
        b'\t' => Some(b"\\t"),
        _ => CONTROLS.get(usize::from(byte)).map(|escape| &escape[..]),
    }
}

/// What stands between two lines of data.
pub(super) fn line_end(form: Form) -> &'static [u8] {
    match form {
        Form::Data => b"\n",
        Form::Json => b"\\n",
    }
}

/// The first piece of a value that is not empty, as it is told, and how many bytes of the value it stands for.
fn first_piece(value: &[u8], form: Form) -> (&[u8], usize) {
    if form == Form::Json
        && let Some(escape) = escape(value[0])
    {
        return (escape, 1);
    }
    let window = match form {
        Form::Data => value,
        Form::Json => &value[..value.len().min(WINDOW)],
    };
    let valid = match utf8::prefix(&Payload::plain(window)) {
        Prefix::Whole => window.len(),
        Prefix::Fault { valid: 0, skip } => return (REPLACEMENT, skip),
        // A window holds more than one character, so this is the value's own end.
        Prefix::Cut { valid: 0 } => return (REPLACEMENT, window.len()),
        Prefix::Fault { valid, .. } | Prefix::Cut { valid } => valid,
    };
    let plain = match form {
        Form::Data => valid,
        Form::Json => value[..valid].iter().position(|byte| escape(*byte).is_some()).unwrap_or(valid),
    };
    (&value[..plain], plain)
}

/// How many bytes a value takes when it is told.
pub(super) fn length(mut value: &[u8], form: Form) -> u64 {
    let mut length = 0;
    while !value.is_empty() {
        let (told, taken) = first_piece(value, form);
        length += told.len() as u64;
        value = &value[taken..];
    }
    length
}

fn json(text: &str) -> String {
    let mut bytes = text.as_bytes();
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (told, taken) = first_piece(bytes, Form::Json);
        out.extend_from_slice(told);
        bytes = &bytes[taken..];
    }
    // Nothing but valid text went in.
    String::from_utf8_lossy(&out).into_owned()
}

/// An event that is being told, whose lines are at the front of the input.
#[derive(Debug)]
pub(super) struct Telling {
    form: Form,
    /// What stands around the data: in JSON, the object.
    before: String,
    after: String,
    next: Next,
    /// Bytes of the event that are still in the input.
    lines: usize,
    /// Bytes of the message that are still to be told.
    left: u64,
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// The byte of `before` with this number.
    Before(usize),
    /// The next line with data, if there is one.
    Line { first: bool },
    /// So many bytes of a value, at which the input begins.
    Value(usize),
    /// The byte of `after` with this number.
    After(usize),
}

impl Telling {
    /// The event in the first `lines` bytes of the input, blank line and all, whose data takes `data` bytes told.
    pub(super) fn new(form: Form, name: &str, id: &str, data: u64, lines: usize) -> Telling {
        let (before, after) = match form {
            Form::Data => (String::new(), String::new()),
            Form::Json => {
                let id = if id.is_empty() { String::new() } else { format!(",\"id\":\"{}\"", json(id)) };
                (format!("{{\"type\":\"{}\",\"data\":\"", json(name)), format!("\"{id}}}"))
            }
        };
        let left = data + (before.len() + after.len()) as u64;
        Telling { form, before, after, next: Next::Before(0), lines, left, begun: false }
    }

    /// The next chunk; with the last one the event is taken off the input.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Chunk<'a> {
        let piece = if self.left == 0 { b"" } else { self.piece(input) };
        self.left -= piece.len() as u64;
        if self.left == 0 {
            self.take(self.lines, input);
        }
        Chunk {
            opens: (!std::mem::replace(&mut self.begun, true)).then_some(Kind::Text),
            rsv: 0,
            payload: Payload::plain(piece),
            rest: if self.left == 0 { Rest::End } else { Rest::Owed { bytes: self.left, fin: true } },
        }
    }

    fn piece<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        loop {
            match self.next {
                Next::Before(at) => match letter(&self.before, at) {
                    Some(letter) => {
                        self.next = Next::Before(at + 1);
                        return letter;
                    }
                    None => self.next = Next::Line { first: true },
                },
                Next::Line { first } => {
                    let event = &input[..self.lines];
                    // The last line end is the blank line's, and stays until all is told.
                    let Some(end) = memchr::memchr2(b'\r', b'\n', event).filter(|end| end + 1 < event.len()) else {
                        self.next = Next::After(0);
                        continue;
                    };
                    match data_of(&event[..end]) {
                        None => self.take(end + 1, input),
                        Some(value) => {
                            self.next = Next::Value(value.len());
                            self.take(end - value.len(), input);
                            if !first {
                                return line_end(self.form);
                            }
                        }
                    }
                }
                // What is left of the line is its end, which passes for lines without data.
                Next::Value(0) => self.next = Next::Line { first: false },
                Next::Value(left) => {
                    let value = &input[..left];
                    let (told, taken) = first_piece(value, self.form);
                    self.next = Next::Value(left - taken);
                    self.take(taken, input);
                    return told;
                }
                Next::After(at) => {
                    self.next = Next::After(at + 1);
                    return letter(&self.after, at).unwrap_or_default();
                }
            }
        }
    }

    fn take(&mut self, bytes: usize, input: &mut &[u8]) {
        *input = &input[bytes..];
        self.lines -= bytes;
    }
}

fn letter(text: &str, at: usize) -> Option<&'static [u8]> {
    let byte = usize::from(*text.as_bytes().get(at)?);
    Some(&LETTERS[byte..=byte])
}
