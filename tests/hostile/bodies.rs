//! Bodies and ordinary answers as they were heard, read by this suite's own strict eyes (RFC 9112 §6, §7).

use super::frames::head_end;

/// What stands behind a head.
#[derive(Debug)]
pub enum Body {
    /// A whole body, and how many bytes it took.
    Whole { content: Vec<u8>, length: usize },
    /// The beginning of one.
    Cut,
    /// Framed in several ways, or in one that breaks the rules.
    Broken,
}

/// The body behind a head. A response without a length lasts until the end, which is not here: it is [`Body::Cut`].
pub fn body(head: &[u8], rest: &[u8], is_response: bool) -> Body {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let values = |name: &str| -> Vec<&str> {
        let fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.filter(|(named, _)| *named == name).map(|(_, value)| value.trim()).collect()
    };
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], ["chunked"]) => chunked(rest),
        ([length], []) => match length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit())) {
            Some(length) if length <= rest.len() => Body::Whole { content: rest[..length].to_vec(), length },
            Some(_) => Body::Cut,
            None => Body::Broken,
        },
        ([], []) if is_response => Body::Cut,
        ([], []) => Body::Whole { content: Vec::new(), length: 0 },
        _ => Body::Broken,
    }
}

fn chunked(bytes: &[u8]) -> Body {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let Some((line, next)) = line(bytes, at) else { return Body::Cut };
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(size) = number.and_then(|digits| usize::from_str_radix(digits, 16).ok()) else { return Body::Broken };
        at = next;
        if size == 0 {
            break;
        }
        let Some(end) = at.checked_add(size) else { return Body::Broken };
        let (Some(data), Some(behind)) = (bytes.get(at..end), bytes.get(end..end + 2)) else { return Body::Cut };
        if behind != b"\r\n" {
            return Body::Broken;
        }
        content.extend_from_slice(data);
        at = end + 2;
    }
    loop {
        match line(bytes, at) {
            None => return Body::Cut,
            Some(([], next)) => return Body::Whole { content, length: next },
            Some((_, next)) => at = next,
        }
    }
}

/// The line at `at`, without its CR LF, and where the next begins.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let length = memchr::memmem::find(rest, b"\r\n")?;
    Some((&rest[..length], at + length + 2))
}

/// Ordinary answers, one after the other.
#[derive(Default)]
pub struct Answers {
    /// Those that are whole, interim ones left out: status and body.
    pub whole: Vec<(u16, Vec<u8>)>,
    /// What stands behind them.
    pub rest: Vec<u8>,
}

/// The answers in `bytes`; one without a length is whole when the stream has ended.
pub fn answers(mut bytes: &[u8], ended: bool) -> Answers {
    let mut heard = Answers::default();
    while let Some(end) = head_end(bytes) {
        let (head, rest) = bytes.split_at(end);
        let status =
            head.strip_prefix(b"HTTP/1.").and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok());
        let (content, length) = match (status, body(head, rest, true)) {
            (Some(100 | 102..200), _) => {
                bytes = rest;
                continue;
            }
            (Some(204 | 304), _) => (Vec::new(), 0),
            (Some(_), Body::Whole { content, length }) => (content, length),
            (Some(_), Body::Cut) if ended && is_unframed(head) => (rest.to_vec(), rest.len()),
            _ => break,
        };
        heard.whole.extend(status.map(|status| (status, content)));
        bytes = &rest[length..];
    }
    heard.rest = bytes.to_vec();
    heard
}

fn is_unframed(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    !text.contains("\r\ncontent-length:") && !text.contains("\r\ntransfer-encoding:")
}
