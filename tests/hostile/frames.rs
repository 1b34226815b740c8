//! Heads and frames as they were heard, read by this suite's own strict eyes.

use hybridge::dialect::Dialect;

/// Where a head ends: behind its blank line.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// What is wrong with a request or response head that a proxy wrote; `None` if nothing is. RFC 9112 §2.2, §5, §6, §11.
pub fn fault_of_head(head: &[u8]) -> Option<String> {
    // Byte by byte: what is no UTF-8 must not hide what else is wrong.
    let text: String = head.iter().copied().map(char::from).collect();
    let lines: Vec<&str> = text.strip_suffix("\r\n\r\n")?.split("\r\n").collect();
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Some("a bare line end or NUL in a head".to_owned());
    }
    let is_response = lines[0].starts_with("HTTP/");
    if !is_response && lines[0].split(' ').count() != 3 {
        return Some(format!("a request line that is not three words: {:?}", lines[0]));
    }
    let mut seen: Vec<String> = Vec::new();
    for line in &lines[1..] {
        let Some((name, _)) = line.split_once(':') else { return Some(format!("a line that is no field: {line:?}")) };
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Some(format!("a field name that is no token: {line:?}"));
        }
        seen.push(name.to_ascii_lowercase());
    }
    let count = |name: &str| seen.iter().filter(|seen| *seen == name).count();
    for name in ["host", "content-length", "transfer-encoding", "sec-websocket-key", "sec-websocket-version"] {
        if count(name) > 1 {
            return Some(format!("{name} more than once"));
        }
    }
    if count("content-length") > 0 && count("transfer-encoding") > 0 {
        return Some("content-length beside transfer-encoding".to_owned());
    }
    if !is_response && count("host") == 0 {
        return Some("no host".to_owned());
    }
    None
}

/// A frame of hybi-07 to RFC 6455.
#[derive(Debug)]
pub struct Frame {
    pub first: u8,
    pub masked: bool,
    /// Whether its length was written in more bytes than needed.
    pub padded: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    pub fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }
}

/// The whole frames in `bytes`.
pub fn hybi(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = next_frame(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// The first close in `bytes`; what stands before `from`, which this moves on, was looked through by earlier calls.
pub fn next_close(bytes: &[u8], from: &mut usize) -> Option<Frame> {
    while let Some((frame, rest)) = next_frame(&bytes[*from..]) {
        *from = bytes.len() - rest.len();
        if frame.opcode() == 8 {
            return Some(frame);
        }
    }
    None
}

fn next_frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let (length, rest) = match second & 0x7F {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*length), rest)
        }
        length => (u64::from(length), rest),
    };
    let padded = match second & 0x7F {
        126 => length < 126,
        127 => length <= 0xFFFF,
        _ => false,
    };
    let masked = second & 0x80 != 0;
    let (key, rest) = if masked { rest.split_first_chunk::<4>()? } else { (&[0; 4], rest) };
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let mut payload = payload.to_vec();
    if masked {
        // Eight at a time: there are megabytes of them, and tests are not optimised.
        let wide = u64::from(u32::from_ne_bytes(*key)) * 0x1_0000_0001;
        let (words, tail) = payload.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        tail.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    Some((Frame { first, masked, padded, payload }, rest))
}

/// The whole text and binary messages among `frames`, with their opcodes.
pub fn messages(frames: &[Frame]) -> Vec<(u8, Vec<u8>)> {
    let mut whole = Vec::new();
    let mut open: Option<(u8, Vec<u8>)> = None;
    for frame in frames.iter().filter(|frame| frame.opcode() < 8) {
        let (opcode, mut payload) = open.take().unwrap_or((frame.opcode(), Vec::new()));
        payload.extend_from_slice(&frame.payload);
        if frame.is_final() {
            whole.push((opcode, payload));
        } else {
            open = Some((opcode, payload));
        }
    }
    whole
}

/// The code of the close among `frames`: 1005 where it has none (RFC 6455 §7.1.5).
pub fn close_code(frames: &[Frame]) -> Option<u16> {
    let close = frames.iter().find(|frame| frame.opcode() == 8)?;
    Some(close.payload.first_chunk::<2>().map_or(1005, |code| u16::from_be_bytes(*code)))
}

/// What is wrong with the frames that an end heard; `None` if nothing is. RFC 6455 §5.
pub fn fault_of_frames(frames: &[Frame], masked: bool) -> Option<String> {
    let mut open = false;
    for (at, frame) in frames.iter().enumerate() {
        let says = |what: &str| Some(format!("frame {at} ({:#04x}) {what}", frame.first));
        match frame.opcode() {
            0 if !open => return says("continues nothing"),
            1 | 2 if open => return says("begins a message inside another"),
            0..=2 => open = !frame.is_final(),
            8..=10 if !frame.is_final() || frame.payload.len() > 125 => return says("is no proper control frame"),
            8..=10 => {}
            _ => return says("has an unknown opcode"),
        }
        if frame.first & 0x70 != 0 {
            return says("has reserved bits");
        }
        if frame.masked != masked {
            return says(if masked { "is not masked" } else { "is masked" });
        }
        if frame.padded {
            return says("has a length in more bytes than needed");
        }
        if frame.opcode() == 8 && at + 1 < frames.len() {
            return says("is a close with frames behind it");
        }
    }
    let bad = messages(frames).into_iter().find(|(opcode, text)| *opcode == 1 && std::str::from_utf8(text).is_err());
    bad.map(|(_, text)| format!("a text that is not UTF-8: {}", text.escape_ascii()))
}

/// What a hixie client hears.
pub struct Hixie {
    /// Its whole texts.
    pub texts: Vec<Vec<u8>>,
    /// Whether 0xFF 0x00 was among it.
    pub closed: bool,
    /// What came behind that, or is no frame of the dialect.
    pub strange: Vec<u8>,
}

/// The frames of hixie-75 and hixie-76 in `bytes`.
pub fn hixie(mut bytes: &[u8]) -> Hixie {
    let mut heard = Hixie { texts: Vec::new(), closed: false, strange: Vec::new() };
    while !bytes.is_empty() {
        if heard.closed {
            heard.strange = bytes.to_vec();
            break;
        }
        if let Some(rest) = bytes.strip_prefix(b"\xff\0") {
            heard.closed = true;
            bytes = rest;
        } else if bytes[0] == 0 {
            let Some(end) = memchr::memchr(0xFF, bytes) else { break };
            heard.texts.push(bytes[1..end].to_vec());
            bytes = &bytes[end + 1..];
        } else {
            heard.strange = bytes.to_vec();
            break;
        }
    }
    heard
}

/// What is wrong with what a client of this dialect heard after its answer; `None` if nothing is.
pub fn fault_of_stream(dialect: Dialect, bytes: &[u8]) -> Option<String> {
    match dialect {
        Dialect::Hixie75 | Dialect::Hixie76 => {
            let heard = hixie(bytes);
            let text = heard.texts.iter().find(|text| std::str::from_utf8(text).is_err());
            let strange = (!heard.strange.is_empty() && heard.strange != b"\xff").then(|| heard.strange.escape_ascii());
            text.map(|text| format!("a text that is not UTF-8: {}", text.escape_ascii()))
                .or_else(|| strange.map(|bytes| format!("bytes that belong to no frame: {bytes}")))
        }
        Dialect::Hybi07 | Dialect::Hybi10 | Dialect::Rfc6455 => fault_of_frames(&hybi(bytes), false),
    }
}
