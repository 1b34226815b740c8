//! Where a chunked body ends (RFC 9112 §7.1).
//!
//! Of a request, hyper decodes the body, but reads as much as it is given; what stands behind is not for it until it was
//! judged. So the end is found here, and what this reading and hyper's might differ in is refused.

/// How far a chunked body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// In a chunk's size, so far this; `None` before its first digit.
    Size(Option<u64>),
    /// Behind a size, up to the CR.
    Extension(u64),
    /// At the LF behind a size.
    SizeEnd(u64),
    /// In a chunk, which has so many bytes more.
    Data(u64),
    /// At the CR, then at the LF, behind a chunk.
    DataCr,
    /// See [`Chunks::DataCr`].
    DataLf,
    /// At the first byte of a line behind the last chunk.
    Line,
    /// In a trailer field, up to the CR.
    Trailer,
    /// At the LF behind a trailer field.
    TrailerEnd,
    /// At the LF of the blank line.
    BlankEnd,
    /// Behind the body.
    End,
}

/// The body's framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

impl Chunks {
    /// The beginning of a body.
    pub const START: Chunks = Chunks::Size(None);

    /// Reads on, and says how many of the bytes belong to the body: all, unless it ends before.
    ///
    /// # Errors
    /// Its framing is broken.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        while at < bytes.len() && *self != Chunks::End {
            if let Chunks::Data(left) = *self {
                let here = usize::try_from(left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                at += here;
                *self = if here as u64 == left { Chunks::DataCr } else { Chunks::Data(left - here as u64) };
            } else {
                *self = self.after(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn after(self, byte: u8) -> Result<Chunks, BadChunk> {
        Ok(match (self, byte) {
            (Chunks::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from(char::from(byte).to_digit(16).ok_or(BadChunk)?);
                let larger = size.unwrap_or(0).checked_mul(16).and_then(|size| size.checked_add(digit));
                Chunks::Size(Some(larger.ok_or(BadChunk)?))
            }
            (Chunks::Size(Some(size)), b'\r') => Chunks::SizeEnd(size),
            (Chunks::Size(Some(size)), b';') => Chunks::Extension(size),
            (Chunks::Extension(size), b'\r') => Chunks::SizeEnd(size),
            (Chunks::Extension(size), b'\t' | b' '..) => Chunks::Extension(size),
            (Chunks::SizeEnd(0), b'\n') | (Chunks::TrailerEnd, b'\n') => Chunks::Line,
            (Chunks::SizeEnd(size), b'\n') => Chunks::Data(size),
            (Chunks::DataCr, b'\r') => Chunks::DataLf,
            (Chunks::DataLf, b'\n') => Chunks::START,
            (Chunks::Line, b'\r') => Chunks::BlankEnd,
            (Chunks::BlankEnd, b'\n') => Chunks::End,
            (Chunks::Trailer, b'\r') => Chunks::TrailerEnd,
            (Chunks::Line | Chunks::Trailer, b'\t' | b' '..) => Chunks::Trailer,
            _ => return Err(BadChunk),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_at_its_blank_line_wherever_it_is_cut() {
        for body in
            ["0\r\n\r\n", "5\r\nHello\r\n0\r\n\r\n", "00a;x=\"y\"\r\n0\r\n\r\n78901\r\n000\r\nX: 1\r\nY: 2\r\n\r\n"]
        {
            let bytes = [body.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
            for cut in 0..=bytes.len() {
                let mut chunks = Chunks::START;
                let first = chunks.take(&bytes[..cut]).expect("well framed");
                assert_eq!(first, cut.min(body.len()));
                assert_eq!(first + chunks.take(&bytes[first..]).expect("well framed"), body.len());
                assert_eq!(chunks, Chunks::End);
            }
        }
    }

    #[test]
    fn what_others_might_read_differently_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "5 \r\n",
            "5\n",
            "5;\n",
            "1\r\nab",
            "1\r\na\n",
            "0\r\n\n",
            "0\r\nX: 1\n",
            "10000000000000000",
        ] {
            let mut chunks = Chunks::START;
            assert_eq!(chunks.take(body.as_bytes()), Err(BadChunk), "{body:?}");
        }
    }
}
