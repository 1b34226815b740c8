//! Server-Sent Events: an upstream that speaks an event stream (WHATWG HTML §9.2), and hears each message as a request
//! of its own.
//!
//! Reading: an event is one message, whole only at its blank line. So its lines stay in the input until then, which
//! bounds what an event may take; told, it borrows them, and its length is announced, so that the client gets one frame.
//!
//! Writing: an event stream has no way back. Where the route has one (`send`), messages are written as [`Piece`]s, from
//! which the shell makes its requests; without, there are no words for them.

mod told;

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use self::told::Telling;
use crate::event::{Chunk, Closing, Codec, Event, Keys, Kind, Payload, ProtocolError, Rest, Resume, Undeliverable};
use crate::utf8;

const BOM: &[u8] = "\u{FEFF}".as_bytes();
/// WHATWG HTML §9.2.6: the type of an event that names none.
const USUAL_TYPE: &str = "message";

/// What becomes of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What is told of an event.
    pub form: Form,
    /// Which events are told.
    pub types: Types,
    /// The most bytes of an event, from its first line of data on, and of any line. Above, the upstream is not listened
    /// to any more.
    pub max_event: usize,
}

/// What a message tells of its event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Its data alone.
    #[default]
    Data,
    /// A JSON object: `type`, `data`, and `id` where there is one.
    Json,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 2] = [Form::Data, Form::Json];

    /// The form's name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Form::Data => "data",
            Form::Json => "json",
        }
    }
}

impl FromStr for Form {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Form::ALL.into_iter().find(|form| form.name() == text).ok_or(())
    }
}

/// Which types of events are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Types {
    /// Every type.
    #[default]
    All,
    /// These alone, compared letter by letter; `message` is the type of events that name none.
    Only(Vec<String>),
}

impl Types {
    fn has(&self, name: &str) -> bool {
        match self {
            Types::All => true,
            Types::Only(names) => names.iter().any(|known| known == name),
        }
    }
}

/// An upstream that speaks an event stream.
#[derive(Debug)]
pub struct Sse {
    reading: Reading,
    /// Whether messages can be sent to it.
    sends: bool,
    /// Whether it is settled that the stream began with a byte order mark, or without.
    begun: bool,
    /// Whether the last line ended in a CR, so that an LF right behind it belongs to that.
    after_cr: bool,
    /// Bytes at the front of the input that are lines of the event which goes on.
    lines: usize,
    /// Bytes behind those in which no line ends: not searched twice.
    searched: usize,
    event: Unfinished,
    /// The id that the next blank line makes the last one.
    id: String,
    last_id: String,
    retry: Option<Duration>,
    /// The event that is being told; its lines are still in the input.
    telling: Option<Telling>,
    /// Inside a message that is written.
    writing: bool,
}

/// What is known of an event before its blank line.
#[derive(Debug, Default)]
struct Unfinished {
    /// Its type, empty where it names none.
    name: String,
    /// How many lines of data it has.
    data: u64,
    /// Bytes its data will take in the message.
    told: u64,
}

impl Unfinished {
    fn name(&self) -> &str {
        if self.name.is_empty() { USUAL_TYPE } else { &self.name }
    }
}

/// What a line means to whoever keeps the lines.
enum Line {
    Blank,
    Comment,
    Data,
    Other,
}

impl Sse {
    /// A codec at the beginning of a stream, which goes on behind the event of that id, if it is not empty. `sends` says
    /// whether messages may be written.
    pub fn new(reading: Reading, sends: bool, last_id: &str) -> Self {
        Sse {
            reading,
            sends,
            begun: false,
            after_cr: false,
            lines: 0,
            searched: 0,
            event: Unfinished::default(),
            id: last_id.to_owned(),
            last_id: last_id.to_owned(),
            retry: None,
            telling: None,
            writing: false,
        }
    }

    /// Settles how the stream begins; false as long as that is open.
    fn begin(&mut self, input: &mut &[u8]) -> bool {
        if !self.begun {
            if BOM.starts_with(input) && input.len() < BOM.len() {
                return false;
            }
            *input = input.strip_prefix(BOM).unwrap_or(input);
            self.begun = true;
        }
        true
    }

    /// Keeps the bytes up to `end` in the input, if they are needed once more, or else takes them.
    fn keep_or_take(&mut self, end: usize, input: &mut &[u8]) {
        if self.event.data > 0 {
            self.lines = end;
        } else {
            *input = &input[end..];
            self.lines = 0;
        }
    }

    /// The next line, and where it ends; `None` asks for more.
    fn next_line<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
        if self.after_cr {
            let Some(next) = input.get(self.lines) else { return Ok(None) };
            self.after_cr = false;
            if *next == b'\n' {
                self.keep_or_take(self.lines + 1, input);
            }
        }
        let rest = &input[self.lines..];
        let found = memchr::memchr2(b'\r', b'\n', &rest[self.searched..]).map(|at| self.searched + at);
        let length = found.unwrap_or(rest.len());
        // Judged by what the line holds and not by its end, so that it does not matter whether that is there yet.
        if length > 0 && self.lines + length > self.reading.max_event {
            return Err(ProtocolError::ExceededEventLimit);
        }
        self.searched = if found.is_some() { 0 } else { length };
        Ok(found.map(|at| {
            self.after_cr = rest[at] == b'\r';
            (&rest[..at], self.lines + at + 1)
        }))
    }

    /// WHATWG HTML §9.2.6: what a line does.
    fn line(&mut self, line: &[u8]) -> Line {
        let (name, value) = match memchr::memchr(b':', line) {
            _ if line.is_empty() => return Line::Blank,
            Some(0) => return Line::Comment,
            Some(colon) => (&line[..colon], value_behind(&line[colon + 1..])),
            None => (line, &b""[..]),
        };
        match name {
            b"data" => {
                let between = if self.event.data > 0 { told::line_end(self.reading.form).len() } else { 0 };
                self.event.data += 1;
                self.event.told += between as u64 + told::length(value, self.reading.form);
                return Line::Data;
            }
            b"event" => self.event.name = lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.id = lossy(value).into_owned(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // A number that no machine counts to is as long as any.
                let digits = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.retry = Some(Duration::from_millis(digits.unwrap_or(u64::MAX)));
            }
            _ => {}
        }
        Line::Other
    }

    /// The blank line is there: the id counts from now on, and the next event begins.
    fn confirm(&mut self) -> Unfinished {
        if self.last_id != self.id {
            self.last_id.clone_from(&self.id);
        }
        std::mem::take(&mut self.event)
    }

    /// At its blank line, which ends at `end`, an event is told, or forgotten.
    fn dispatch(&mut self, end: usize, input: &mut &[u8]) {
        let event = self.confirm();
        self.lines = 0;
        if event.data > 0 && self.reading.types.has(event.name()) {
            let telling = Telling::new(self.reading.form, event.name(), &self.last_id, event.told, end);
            self.telling = Some(telling);
        } else {
            *input = &input[end..];
        }
    }

    fn read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            if let Some(telling) = &mut self.telling {
                let chunk = telling.next(input);
                if chunk.rest == Rest::End {
                    self.telling = None;
                }
                return Ok(Some(Event::Data(chunk)));
            }
            let Some((line, end)) = self.next_line(input)? else { return Ok(None) };
            match self.line(line) {
                Line::Blank => self.dispatch(end, input),
                Line::Data => self.keep_or_take(end, input),
                Line::Other => {
                    self.keep_or_take(end, input);
                    // Behind its id or type, most of an event's is one line of data, too.
                    if let Some(chunk) = self.at_once(input) {
                        return Ok(Some(Event::Data(chunk)));
                    }
                }
                Line::Comment => {
                    self.keep_or_take(end, input);
                    // What keeps this side alive is to keep the other side alive, too.
                    return Ok(Some(Event::Ping(Payload::plain(b""))));
                }
            }
        }
    }
}

impl Codec for Sse {
    /// An event of one line of data, told as it is.
    #[inline(always)]
    fn at_once<'a>(&mut self, input: &mut &'a [u8]) -> Option<Chunk<'a>> {
        let between = self.begun && self.telling.is_none() && !self.after_cr && self.searched == 0;
        if !between || self.event.data > 0 || self.reading.form != Form::Data {
            return None;
        }
        let rest = input.strip_prefix(b"data:")?;
        let (line, rest) = rest.split_at(memchr::memchr2(b'\r', b'\n', rest)?);
        let behind = rest.strip_prefix(b"\n\n")?;
        let value = Payload::plain(value_behind(line));
        let too_long = input.len() - rest.len() > self.reading.max_event;
        if too_long || value.is_empty() || !utf8::is_text(&value) || !self.reading.types.has(self.event.name()) {
            return None;
        }
        self.confirm();
        *input = behind;
        Some(Chunk { opens: Some(Kind::Text), rsv: 0, payload: value, rest: Rest::End })
    }

    /// An event waits for its blank line: what is left in `input` is at most as long as an event may be, and three bytes.
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if !self.begin(input) {
            return Ok(None);
        }
        self.read(input)
    }

    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>, _: &mut dyn Keys) -> Result<(), Undeliverable> {
        match event {
            Event::Data(chunk) if self.sends => {
                self.writing = chunk.rest != Rest::End;
                write_piece(chunk, out);
                Ok(())
            }
            Event::Data(_) => Err(Undeliverable::Message),
            Event::Ping(_) | Event::Pong(_) => Err(Undeliverable::Heartbeat),
            Event::Close(_) => Err(Undeliverable::Close),
        }
    }

    fn mid_frame(&self) -> bool {
        self.writing
    }

    fn closing(&self) -> Closing {
        Closing::Stream
    }

    /// WHATWG HTML §9.2.6: an event without its blank line is discarded, and its id with it. The id of the last whole
    /// event stays the one that a blank line confirms, as in browsers: else the first keep-alive of the next stream
    /// would forget it.
    fn resume(&mut self) -> Option<Resume> {
        let reading = Reading { types: std::mem::take(&mut self.reading.types), ..self.reading };
        let (last_id, retry, writing) = (std::mem::take(&mut self.last_id), self.retry, self.writing);
        *self = Sse { retry, writing, ..Sse::new(reading, self.sends, &last_id) };
        Some(Resume { last_id, retry })
    }
}

/// A field's value: what follows the colon, without one blank.
fn value_behind(rest: &[u8]) -> &[u8] {
    rest.strip_prefix(b" ").unwrap_or(rest)
}

/// The value of a line that is one of data.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(b""),
        [b':', rest @ ..] => Some(value_behind(rest)),
        _ => None,
    }
}

/// Decoding as the standard has it: what is no UTF-8 becomes U+FFFD.
fn lossy(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value)
}

/// The `Content-Type` of a binary message.
pub const BINARY_TYPE: &str = "application/octet-stream";

const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;
const SIZED: u8 = 0x04;
const ENDS: u8 = 0x08;

/// A part of a message to the upstream, for the shell to make a request of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// On the first piece of a message: its kind, and its length in bytes where that is known.
    pub opens: Option<(Kind, Option<u64>)>,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the message is complete.
    pub ends: bool,
}

/// Appends a chunk as a piece: what it is, the message's length if it is known, the piece's own, and the bytes.
fn write_piece(chunk: &Chunk<'_>, out: &mut Vec<u8>) {
    let here = chunk.payload.len() as u64;
    let size = match (chunk.opens, chunk.rest) {
        (Some(_), Rest::End) => Some(here),
        (Some(_), Rest::Owed { bytes, fin: true }) => Some(here + bytes),
        _ => None,
    };
    out.push(
        match chunk.opens {
            Some(Kind::Text) => TEXT,
            Some(Kind::Binary) => BINARY,
            None => 0,
        } | if size.is_some() { SIZED } else { 0 }
            | if chunk.rest == Rest::End { ENDS } else { 0 },
    );
    out.extend(size.into_iter().flat_map(u64::to_be_bytes));
    out.extend(here.to_be_bytes());
    chunk.payload.append_to(out, None);
}

/// Takes the first piece off what was written; `None` if there is none.
pub fn next_piece<'a>(written: &mut &'a [u8]) -> Option<Piece<'a>> {
    let (flags, rest) = written.split_first()?;
    let number = |rest: &'a [u8]| rest.split_first_chunk().map(|(bytes, rest)| (u64::from_be_bytes(*bytes), rest));
    let (size, rest) = match flags & SIZED {
        0 => (None, rest),
        _ => number(rest).map(|(size, rest)| (Some(size), rest))?,
    };
    let (length, rest) = number(rest)?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *written = rest;
    let kind = match flags & (TEXT | BINARY) {
        TEXT => Some(Kind::Text),
        BINARY => Some(Kind::Binary),
        _ => None,
    };
    Some(Piece { opens: kind.map(|kind| (kind, size)), bytes, ends: flags & ENDS != 0 })
}

#[cfg(test)]
mod tests;
