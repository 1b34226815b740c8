//! Frames read a second time: slowly, whole, and without the product's codecs.

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A message, with the bits that an extension set on one of its frames.
    Text(Vec<u8>, u8),
    Binary(Vec<u8>, u8),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, Vec<u8>),
}

/// A stream of frames as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    pub said: Vec<Said>,
    /// The message that goes on: whether it is text, what is there of it, and its marks.
    pub going_on: Option<(bool, Vec<u8>, u8)>,
    /// Whether it ends inside a frame.
    pub inside: bool,
    /// Rules of RFC 6455 that were broken, and where.
    pub faults: Vec<String>,
}

impl Frames {
    /// The messages that were completed.
    pub fn messages(&self) -> Vec<Said> {
        self.said.iter().filter(|said| matches!(said, Said::Text(..) | Said::Binary(..))).cloned().collect()
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.said.last(), Some(Said::Close(..)))
    }
}

/// Reads frames of RFC 6455 up to a close, and notes what a strict reader would not take. `masked`: they come from a
/// client.
pub fn hybi(bytes: &[u8], masked: bool, extensions: bool) -> Frames {
    let mut frames = Frames::default();
    let mut at = 0;
    while at < bytes.len() && !frames.is_closed() {
        let Some((size, length)) = header(&bytes[at..]) else {
            frames.inside = true;
            return frames;
        };
        let (first, second) = (bytes[at], bytes[at + 1]);
        let mut fault = |is: bool, why: &str| {
            if is {
                frames.faults.push(format!("{why} at {at}"));
            }
        };
        let (fin, rsv, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0F);
        let is_control = opcode >= 8;
        fault((second & 0x80 != 0) != masked, "masked, or not");
        fault(rsv != 0 && (!extensions || is_control), "reserved bits");
        fault(!matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10), "a reserved opcode");
        fault(is_control && (!fin || length > 125), "a long or fragmented control frame");
        let shortest = if length < 126 {
            2
        } else if length < 0x1_0000 {
            4
        } else {
            10
        };
        fault(size != shortest + if second & 0x80 != 0 { 4 } else { 0 }, "a padded length");
        fault(length >> 63 != 0, "an overlong frame");
        let start = at + size;
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len());
        let mut payload = bytes[start..end.unwrap_or(bytes.len())].to_vec();
        if second & 0x80 != 0 {
            let key = &bytes[start - 4..start];
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        at = end.unwrap_or(bytes.len());
        match opcode {
            8.. if end.is_none() => {}
            8 => frames.close(&payload),
            9 => frames.said.push(Said::Ping(payload)),
            10 => frames.said.push(Said::Pong(payload)),
            _ => frames.data(opcode, rsv, payload, fin && end.is_some()),
        }
        frames.inside = end.is_none();
    }
    if at < bytes.len() {
        frames.faults.push(format!("bytes behind the close at {at}"));
    }
    frames.check_texts();
    frames
}

/// The size of a frame's header and the length it announces, if it is whole.
fn header(bytes: &[u8]) -> Option<(usize, u64)> {
    let second = *bytes.get(1)?;
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (size, length) = match second & 0x7F {
        126 => (4, big_endian(bytes.get(2..4)?)),
        127 => (10, big_endian(bytes.get(2..10)?)),
        short => (2, u64::from(short)),
    };
    let size = size + if second & 0x80 != 0 { 4 } else { 0 };
    (bytes.len() >= size).then_some((size, length))
}

impl Frames {
    fn data(&mut self, opcode: u8, rsv: u8, payload: Vec<u8>, ends: bool) {
        match (&mut self.going_on, opcode) {
            (Some((_, message, marks)), 0) => {
                message.extend(payload);
                *marks |= rsv;
            }
            (None, 1 | 2) => self.going_on = Some((opcode == 1, payload, rsv)),
            _ => self.faults.push("fragments out of order".to_owned()),
        }
        if ends {
            self.said.extend(self.going_on.take().map(|(is_text, message, marks)| match is_text {
                true => Said::Text(message, marks),
                false => Said::Binary(message, marks),
            }));
        }
    }

    fn close(&mut self, body: &[u8]) {
        let (code, reason) = body.split_at(body.len().min(2));
        let number = <[u8; 2]>::try_from(code).ok().map(u16::from_be_bytes);
        let known = matches!(number, Some(1000..=1003 | 1007..=1014 | 3000..=4999));
        if !(body.is_empty() || known) || std::str::from_utf8(reason).is_err() {
            self.faults.push(format!("the close {}", body.escape_ascii()));
        }
        self.said.push(Said::Close(number, reason.to_vec()));
    }

    fn check_texts(&mut self) {
        for said in &self.said {
            if let Said::Text(text, 0) = said
                && std::str::from_utf8(text).is_err()
            {
                self.faults.push("a text that is none".to_owned());
            }
        }
        if let Some((true, text, 0)) = &self.going_on
            && std::str::from_utf8(text).is_err_and(|error| error.error_len().is_some())
        {
            self.faults.push("the beginning of a text that is none".to_owned());
        }
    }
}

/// Reads frames of hixie-76 (of hixie-75: `closes` is false) up to a close. Texts are as they came.
pub fn hixie(bytes: &[u8], closes: bool) -> Frames {
    let mut frames = Frames::default();
    let mut rest = bytes;
    while let Some((ty, behind)) = rest.split_first() {
        if frames.is_closed() {
            frames.faults.push("bytes behind the close".to_owned());
            break;
        }
        if *ty < 0x80 {
            let Some(end) = behind.iter().position(|byte| *byte == 0xFF) else {
                frames.inside = true;
                frames.going_on = (*ty == 0).then(|| (true, behind.to_vec(), 0));
                break;
            };
            if *ty == 0 {
                frames.said.push(Said::Text(behind[..end].to_vec(), 0));
            } else {
                frames.faults.push(format!("a frame of type {ty}"));
            }
            rest = &behind[end + 1..];
            continue;
        }
        let Some(size) = behind.iter().position(|byte| byte & 0x80 == 0) else {
            frames.inside = true;
            break;
        };
        let length = behind[..=size].iter().fold(0_u128, |length, byte| length << 7 | u128::from(byte & 0x7F));
        if closes && *ty == 0xFF && length == 0 {
            frames.said.push(Said::Close(None, Vec::new()));
        } else {
            frames.faults.push(format!("a frame of type {ty}"));
        }
        let end = usize::try_from(length).ok().and_then(|length| behind.get(size + 1..)?.get(length..));
        rest = match end {
            Some(rest) => rest,
            None => {
                frames.inside = true;
                break;
            }
        };
    }
    frames.check_texts();
    frames
}
