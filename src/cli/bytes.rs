//! Bytes as people read them.

/// Bytes as they stand in a Rust string, but for single quotes, which need no escape here.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii().to_string().replace("\\'", "'"))
}

/// A head line by line, and what follows it.
pub fn by_line(bytes: &[u8]) -> Vec<Vec<u8>> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let mut pieces: Vec<Vec<u8>> = bytes[..head].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if head < bytes.len() {
        pieces.push(bytes[head..].to_vec());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_shown_line_by_line_and_what_follows_apart() {
        assert_eq!(by_line(b"GET / HTTP/1.1\r\n\r\n\n\n"), [&b"GET / HTTP/1.1\r\n"[..], b"\r\n", b"\n\n"]);
        assert_eq!(by_line(b"GET"), [b"GET"]);
        assert_eq!(by_line(b""), [b""; 0]);
    }
}
