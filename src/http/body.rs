//! The body of a response, piece by piece as it comes (RFC 9112 §6.3).

use super::chunks::{BadChunk, Chunks};
use super::{Repeated, Response};

/// How a body is framed, and how far it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunked.
    Chunked(Chunks),
    /// All that comes until the stream ends.
    ToEnd,
}

/// Two readers could find two ends of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Framing {
    /// How the response to a GET frames its body.
    ///
    /// # Errors
    /// It does so in more than one way, or in one that nobody knows.
    pub fn of(response: &Response<'_>) -> Result<Framing, Ambiguous> {
        let fields = &response.fields;
        let coding = fields.only("transfer-encoding").map_err(|Repeated| Ambiguous)?;
        let length = fields.only("content-length").map_err(|Repeated| Ambiguous)?;
        match (coding, length) {
            (None, None) => Ok(Framing::ToEnd),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked(Chunks::START)),
            (None, Some(length)) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
                let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
                length.map(Framing::Length).ok_or(Ambiguous)
            }
            _ => Err(Ambiguous),
        }
    }

    /// Takes the next piece of the body off the front of `input`, never an empty one; `None` asks for more, or says that
    /// the body is over.
    ///
    /// # Errors
    /// The framing is broken.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadChunk> {
        let here = |left: u64, input: &[u8]| usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        while !input.is_empty() && !self.is_over() {
            let (taken, is_data) = match self {
                Framing::ToEnd => (input.len(), true),
                Framing::Length(left) => {
                    let here = here(*left, input);
                    *left -= here as u64;
                    (here, true)
                }
                Framing::Chunked(chunks) => {
                    let data = if let Chunks::Data(left) = chunks { Some(here(*left, input)) } else { None };
                    (chunks.take(&input[..data.unwrap_or(1)])?, data.is_some())
                }
            };
            let (piece, rest) = input.split_at(taken);
            *input = rest;
            if is_data {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Whether all of the body was read, before the stream has ended.
    pub fn is_over(&self) -> bool {
        matches!(self, Framing::Length(0) | Framing::Chunked(Chunks::End))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &str) -> Result<Framing, Ambiguous> {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        Framing::of(&Response::parse(head.as_bytes(), 10).expect("a head"))
    }

    #[test]
    fn a_body_is_framed_in_one_way_or_refused() {
        assert_eq!(framing(""), Ok(Framing::ToEnd));
        assert_eq!(framing("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked(Chunks::START)));
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(framing(fields), Err(Ambiguous), "{fields}");
        }
    }

    #[test]
    fn the_body_is_the_same_however_it_is_cut() {
        let rows: [(Framing, &[u8], &[u8], bool); 5] = [
            (Framing::ToEnd, b"Hello", b"Hello", false),
            (Framing::Length(5), b"HelloHTTP", b"Hello", true),
            (Framing::Length(0), b"HTTP", b"", true),
            (Framing::Chunked(Chunks::START), b"3;x=y\r\nHel\r\n002\r\nlo\r\n0\r\nX: y\r\n\r\nHTTP", b"Hello", true),
            (Framing::Chunked(Chunks::START), b"3\r\nHel\r\n5\r\nlo", b"Hello", false),
        ];
        for (framing, bytes, expected, over) in rows {
            for cut in 0..=bytes.len() {
                let (mut framing, mut body, mut kept) = (framing, Vec::new(), Vec::new());
                for part in [&bytes[..cut], &bytes[cut..]] {
                    kept.extend_from_slice(part);
                    let mut input = &kept[..];
                    while let Some(piece) = framing.next(&mut input).expect("well framed") {
                        assert!(!piece.is_empty());
                        body.extend_from_slice(piece);
                    }
                    kept = input.to_vec();
                }
                assert_eq!((&body[..], framing.is_over()), (expected, over), "cut at {cut}");
                assert!(kept.is_empty() || &kept == b"HTTP", "what follows the body is left");
            }
        }
        assert_eq!(Framing::Chunked(Chunks::START).next(&mut &b"x"[..]), Err(BadChunk));
    }
}
