//! Finds the heads in both directions of a connection, however they were cut, and lets everything pass but their secrets.
//!
//! Bytes come in as they were read and go out in the same order and number. Only the line of a head that has not ended
//! is held, up to [`LONGEST_LINE`]; what follows a head is let through at once, as frames, or counted as a body up to the
//! next head. Where it cannot be known whether a head or anything else goes on, the doubt is for the secret.

use super::secrets::{Secrets, mask};
use crate::conversation::Side;
use crate::http;

/// The longest line that is held until it ends. What a longer one has beyond that is masked, whatever it is.
const LONGEST_LINE: usize = 64 << 10;
/// The longest head that is kept to be understood.
const LONGEST_HEAD: usize = 64 << 10;
/// The longest method, or name of a field, that may stand where a head begins.
const LONGEST_NAME: usize = 64;
/// So many bytes are looked at in one go, for each line that ends is cut off the rest of them.
const STRETCH: usize = 512;
/// How PROXY protocol version 2 begins.
const PROXY_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What stands for the name of a field that is not known. It says that its value is secret.
const TORN: &[u8] = b"secret";
/// How an answer begins.
const ANSWER: &[u8; 7] = b"HTTP/1.";

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Heads {
    secrets: Secrets,
    keep: bool,
    from_client: Stream,
    from_server: Stream,
    /// The client's head that has just ended.
    request: Option<Vec<u8>>,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a start line.
    Start,
    /// In the fields of a head.
    Fields,
    /// In a line whose beginning was lost, or that was too long: all of it is masked; then as in the fields.
    Torn,
    /// In a body, or another stretch of so many bytes.
    Body(u64),
    /// Before the size of a chunk.
    ChunkSize,
    /// After a chunk's bytes.
    ChunkEnd,
    /// In the fields after the last chunk.
    Trailer,
    /// After a head that asks for another protocol: bytes of that one, or another head.
    Asked,
    /// Frames, for good.
    Frames,
    /// No HTTP, or not known to be any; a segment that begins as a head does is one.
    Unknown,
    /// A body of which two readers could see different ends: nothing after it can be told from a head.
    Masked,
}

/// What stands where a head may begin.
enum Beginning {
    /// Too few bytes to tell.
    More,
    /// A line, perhaps not ended yet.
    Line,
    /// So many bytes that come before a head.
    Preamble(u64),
    /// No HTTP.
    Foreign,
}

/// One direction.
#[derive(Debug)]
struct Stream {
    state: State,
    /// Whether this is where the stream began.
    fresh: bool,
    /// Whether what comes next may be an answer although a body was announced, as after HEAD.
    peek: bool,
    /// Not yet let through.
    held: Vec<u8>,
    /// Let through, and not yet fetched.
    clear: Vec<u8>,
    head: Head,
}

/// What is known of the head that is being read.
#[derive(Debug, Default)]
struct Head {
    /// As it came; given up when too long.
    bytes: Vec<u8>,
    /// The last field's name, in lower case.
    name: Vec<u8>,
    status: u16,
    length: Option<u64>,
    chunked: bool,
    /// Two lengths, or one that is no number, or an unknown coding.
    unclear: bool,
    upgrade: bool,
    /// The body may never be sent, for the answer is awaited first.
    expects: bool,
    /// Something of it was lost, or too long.
    torn: bool,
    /// It may be something else: it begins like no request or answer, or its beginning was lost.
    lenient: bool,
}

impl Heads {
    /// `keep`: nothing is masked. `inside`: the connection is not seen from its beginning.
    pub fn new(keep: bool, inside: bool) -> Heads {
        let stream = || Stream {
            state: if inside { State::Torn } else { State::Start },
            fresh: !inside,
            peek: false,
            held: Vec::new(),
            clear: Vec::new(),
            head: Head { torn: inside, lenient: inside, ..Head::default() },
        };
        Heads { secrets: Secrets::default(), keep, from_client: stream(), from_server: stream(), request: None }
    }

    /// Takes bytes from a side, as they were read.
    pub fn push(&mut self, side: Side, bytes: &[u8]) {
        let stream = self.stream(side);
        let may_begin = match stream.state {
            State::Unknown => true,
            State::Torn => stream.head.lenient,
            State::Body(_) => stream.head.expects,
            _ => false,
        };
        if may_begin && stream.held.is_empty() && begins_a_head(bytes) {
            stream.begin();
        }
        if stream.held.is_empty() && matches!(stream.state, State::Frames | State::Unknown) && !stream.peek {
            stream.clear.extend_from_slice(bytes);
            return;
        }
        for stretch in bytes.chunks(STRETCH) {
            self.stream(side).held.extend_from_slice(stretch);
            while self.step(side) {}
        }
        // An answer can tell what the client's bytes are.
        while self.step(Side::Downstream) {}
        if self.stream(side).held.len() > LONGEST_LINE {
            self.release(side);
        }
    }

    /// So many bytes from a side are not known.
    pub fn lost(&mut self, side: Side, bytes: u64) {
        self.release(side);
        let stream = self.stream(side);
        stream.fresh = false;
        stream.state = match stream.state {
            State::Body(left) if bytes <= left => State::Body(left - bytes),
            state @ (State::Frames | State::Unknown | State::Masked) => state,
            State::Asked => State::Unknown,
            _ => State::Torn,
        };
        if stream.state == State::Torn {
            stream.head = Head { torn: true, lenient: true, ..Head::default() };
        }
    }

    /// Lets through what is held of a side: no more is coming, or too much was held.
    pub fn release(&mut self, side: Side) {
        if self.stream(side).held.is_empty() {
            return;
        }
        let mut rest = std::mem::take(&mut self.stream(side).held);
        let state = self.stream(side).state;
        match state {
            State::Start | State::Fields | State::Trailer | State::ChunkSize | State::ChunkEnd => {
                self.mask_line(side, &mut rest, true);
                let stream = self.stream(side);
                stream.state = State::Torn;
                stream.head.torn = true;
            }
            State::Asked => self.stream(side).state = State::Unknown,
            State::Torn | State::Masked if !self.keep => mask(&mut rest),
            State::Body(left) => self.stream(side).state = State::Body(left.saturating_sub(rest.len() as u64)),
            _ => {}
        }
        self.stream(side).clear.append(&mut rest);
    }

    /// How many bytes of a side may be fetched.
    pub fn clear(&self, side: Side) -> usize {
        match side {
            Side::Downstream => self.from_client.clear.len(),
            Side::Upstream => self.from_server.clear.len(),
        }
    }

    /// How many bytes are in hand, of both sides.
    pub fn in_hand(&self) -> usize {
        [&self.from_client, &self.from_server].iter().map(|stream| stream.held.len() + stream.clear.len()).sum()
    }

    /// Fetches the next so many bytes of a side.
    pub fn fetch(&mut self, side: Side, bytes: usize) -> Vec<u8> {
        let clear = &mut self.stream(side).clear;
        let rest = clear.split_off(bytes.min(clear.len()));
        std::mem::replace(clear, rest)
    }

    /// The client's head that ended since the last call, as it came.
    pub fn request(&mut self) -> Option<Vec<u8>> {
        self.request.take()
    }

    fn stream(&mut self, side: Side) -> &mut Stream {
        match side {
            Side::Downstream => &mut self.from_client,
            Side::Upstream => &mut self.from_server,
        }
    }

    /// Goes on by a line, or what else can be told apart; returns whether there may be more to do.
    fn step(&mut self, side: Side) -> bool {
        let keep = self.keep;
        let stream = self.stream(side);
        if stream.held.is_empty() {
            return false;
        }
        if std::mem::take(&mut stream.peek) {
            match begins_with(&stream.held, ANSWER) {
                None => {
                    stream.peek = true;
                    return false;
                }
                Some(true) => stream.state = State::Start,
                Some(false) => {}
            }
        }
        match stream.state {
            State::Frames | State::Unknown => stream.clear.append(&mut stream.held),
            State::Asked => match becomes_a_head(&stream.held) {
                None => return false,
                Some(true) => stream.begin(),
                Some(false) => stream.state = State::Unknown,
            },
            State::Masked => {
                if !keep {
                    mask(&mut stream.held);
                }
                stream.clear.append(&mut stream.held);
            }
            State::Body(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(stream.held.len());
                stream.clear.extend(stream.held.drain(..taken));
                let left = left - taken as u64;
                // Of the stretches, only chunks are followed by more of the same message.
                let after = if stream.head.chunked { State::ChunkEnd } else { State::Start };
                stream.state = if left == 0 { after } else { State::Body(left) };
            }
            State::Start => match stream.beginning() {
                Beginning::More => return false,
                Beginning::Line => return self.line(side),
                Beginning::Preamble(length) => stream.state = State::Body(length),
                Beginning::Foreign => stream.state = State::Unknown,
            },
            State::Torn if stream.head.lenient && stream.is_no_text() => stream.state = State::Unknown,
            State::Fields if stream.head.lenient && stream.is_no_text() => {
                let mut held = std::mem::take(&mut stream.held);
                self.mask_line(side, &mut held, true);
                let stream = self.stream(side);
                stream.state = State::Unknown;
                stream.clear.append(&mut held);
            }
            _ => return self.line(side),
        }
        !self.stream(side).held.is_empty()
    }

    /// Lets a line through, if it has ended.
    fn line(&mut self, side: Side) -> bool {
        let stream = self.stream(side);
        let Some(end) = memchr::memchr(b'\n', &stream.held) else { return false };
        let rest = stream.held.split_off(end + 1);
        let mut line = std::mem::replace(&mut stream.held, rest);
        stream.fresh = false;
        let blank = line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if matches!(stream.state, State::Start | State::Fields) && stream.head.bytes.len() <= LONGEST_HEAD {
            stream.head.bytes.extend_from_slice(&line);
        }
        let state = stream.state;
        match state {
            State::Start if blank => stream.head.bytes.clear(),
            State::Start => stream.start_line(&line),
            State::Fields if blank => self.head_ends(side),
            State::Trailer if blank => stream.begin(),
            State::Fields | State::Trailer if !matches!(line.first(), Some(b' ' | b'\t')) => stream.field(&line),
            State::ChunkSize => stream.chunk_size(&line),
            State::ChunkEnd => stream.state = if blank { State::ChunkSize } else { State::Masked },
            State::Torn => {
                stream.state = State::Fields;
                // A line that goes on with it is as secret.
                stream.head.name = TORN.to_vec();
            }
            _ => {}
        }
        if state == State::Torn && !self.keep {
            mask(&mut line);
        } else {
            self.mask_line(side, &mut line, false);
        }
        self.stream(side).clear.append(&mut line);
        true
    }

    /// `cut`: the line has not ended.
    fn mask_line(&mut self, side: Side, line: &mut [u8], cut: bool) {
        if self.keep {
            return;
        }
        let folds = matches!(line.first(), Some(b' ' | b'\t'));
        let name = std::mem::take(&mut self.stream(side).head.name);
        let folded = (folds && !name.is_empty()).then_some(name.as_slice());
        if cut {
            self.secrets.mask_cut_line(line, folded);
        } else {
            self.secrets.mask_line(line, folded);
        }
        self.stream(side).head.name = name;
    }

    /// What follows a head.
    fn head_ends(&mut self, side: Side) {
        let stream = self.stream(side);
        let head = std::mem::take(&mut stream.head);
        stream.begin();
        (stream.head.chunked, stream.head.expects) = (head.chunked, head.expects);
        let framed = match (head.unclear, head.chunked, head.length) {
            (true, ..) => Some(State::Masked),
            (_, true, _) => Some(State::ChunkSize),
            (_, _, Some(0)) => Some(State::Start),
            (_, _, Some(length)) => Some(State::Body(length)),
            (_, false, None) => None,
        };
        match side {
            // Until the answer is known it may still be refused, and another head follow.
            Side::Downstream if head.torn => stream.state = State::Unknown,
            Side::Downstream if head.upgrade => stream.state = State::Asked,
            Side::Downstream => stream.state = framed.unwrap_or(State::Start),
            Side::Upstream if head.status == 101 => {
                stream.state = State::Frames;
                if matches!(self.from_client.state, State::Asked | State::Unknown) {
                    self.from_client.state = State::Frames;
                }
            }
            Side::Upstream => {
                let bodiless = matches!(head.status, 100..200 | 204 | 304);
                stream.state = if bodiless { State::Start } else { framed.unwrap_or(State::Unknown) };
                stream.peek = true;
                let asked = matches!(self.from_client.state, State::Asked | State::Unknown);
                let refused = head.status >= 200 && asked;
                if refused && self.from_client.held.is_empty() {
                    self.from_client.begin();
                }
            }
        }
        if side == Side::Downstream && !head.torn && head.bytes.len() <= LONGEST_HEAD {
            self.request = Some(head.bytes);
        }
    }
}

impl Stream {
    /// The next thing is a head.
    fn begin(&mut self) {
        self.state = State::Start;
        self.head = Head::default();
    }

    /// Looks whether this can be the beginning of a head at all.
    fn beginning(&mut self) -> Beginning {
        if self.fresh {
            match begins_with(&self.held, PROXY_V2) {
                None => return Beginning::More,
                // PROXY protocol 2.2: the length of what follows stands in the bytes after the next two.
                Some(true) => {
                    let [_, _, high, low, ..] = self.held[PROXY_V2.len()..] else { return Beginning::More };
                    self.fresh = false;
                    return Beginning::Preamble(16 + u64::from(u16::from_be_bytes([high, low])));
                }
                Some(false) => {}
            }
        }
        if is_foreign(&self.held) { Beginning::Foreign } else { Beginning::Line }
    }

    /// Whether what stands in place of a torn line cannot be the rest of one.
    fn is_no_text(&self) -> bool {
        let line = self.held.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let control = |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\r')) || *byte == 0x7F;
        line.first().is_some_and(|first| *first >= 0x80) || line.iter().any(control)
    }

    fn start_line(&mut self, line: &[u8]) {
        // PROXY protocol 2.1: a line before the request line.
        if line.starts_with(b"PROXY ") {
            self.head.bytes.clear();
            return;
        }
        self.state = State::Fields;
        self.head.lenient = !line.to_ascii_uppercase().windows(5).any(|text| text == b"HTTP/");
        if begins_with(line, ANSWER) == Some(true) {
            let status = line.split(|byte| *byte == b' ').nth(1).and_then(|status| std::str::from_utf8(status).ok());
            self.head.status = status.and_then(|status| status.trim().parse().ok()).unwrap_or_default();
        }
    }

    fn field(&mut self, line: &[u8]) {
        let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
        let head = &mut self.head;
        head.name = name.trim_ascii().to_ascii_lowercase();
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii().to_ascii_lowercase();
        match head.name.as_slice() {
            b"upgrade" => head.upgrade = true,
            b"expect" => head.expects = true,
            b"content-length" => {
                let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(&value).ok().filter(|_| digits).and_then(|value| value.parse().ok());
                head.unclear |=
                    length.is_none() || head.chunked || head.length.is_some_and(|known| Some(known) != length);
                head.length = length;
            }
            b"transfer-encoding" => {
                head.unclear |= value != b"chunked" || head.length.is_some() || head.chunked;
                head.chunked = true;
            }
            _ => {}
        }
    }

    fn chunk_size(&mut self, line: &[u8]) {
        let size = line.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).next().unwrap_or_default().trim_ascii();
        let digits = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
        let size =
            std::str::from_utf8(size).ok().filter(|_| digits).and_then(|size| u64::from_str_radix(size, 16).ok());
        self.state = match size {
            Some(0) => State::Trailer,
            Some(size) => State::Body(size),
            None => State::Masked,
        };
    }
}

/// Whether the bytes begin so; `None` if there are too few to tell.
fn begins_with(bytes: &[u8], start: &[u8]) -> Option<bool> {
    if bytes.starts_with(start) {
        return Some(true);
    }
    if start.starts_with(bytes) { None } else { Some(false) }
}

/// Whether the line that begins here is neither a start line nor a field, nor might become one.
fn is_foreign(bytes: &[u8]) -> bool {
    let stray = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = &bytes[stray..];
    let token = bytes.iter().take_while(|byte| http::is_token(&[**byte])).count();
    match bytes.get(token) {
        _ if token > LONGEST_NAME => true,
        None => false,
        Some(b' ' | b'\t' | b':' | b'\r' | b'\n') => false,
        Some(b'/') => !bytes[..token].eq_ignore_ascii_case(b"HTTP"),
        Some(_) => true,
    }
}

/// Whether a segment looks like the beginning of a head, in the midst of something else.
pub(super) fn begins_a_head(segment: &[u8]) -> bool {
    becomes_a_head(segment) == Some(true)
}

/// Whether these bytes look like the beginning of a head; `None` if there are too few to tell.
fn becomes_a_head(bytes: &[u8]) -> Option<bool> {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let targets = [&b" /"[..], b" http", b" ws", b" *"].map(|start| begins_with(&bytes[method..], start));
    let request = match method {
        0..3 if method < bytes.len() => Some(false),
        17.. => Some(false),
        _ if targets.contains(&Some(true)) => Some(true),
        _ if targets.contains(&None) => None,
        _ => Some(false),
    };
    match (request, begins_with(bytes, ANSWER)) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, _) | (_, None) => None,
        (Some(false), Some(false)) => Some(false),
    }
}
