//! Bodies of responses: the same bytes, and the same end, however they are cut; and of a chunked body what a second,
//! plain reading finds, which is nothing where the framing is broken.

use hybridge::http::body::Framing;
use hybridge::http::chunks::{BadChunk, Chunks};
use hybridge::http::{Response, head_length};

use crate::input::{Input, pieces};

/// How much of the bytes was the body and its framing, what it is, and whether it is over.
type Body = Result<(usize, Vec<u8>, bool), BadChunk>;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, seed) = (input.byte(), input.byte());
    let bytes = input.rest();
    let (framing, bytes) = match choice % 4 {
        0 => (Framing::Chunked(Chunks::START), bytes),
        1 => (Framing::ToEnd, bytes),
        2 => (Framing::Length(u64::from(choice)), bytes),
        _ => {
            // As the head says.
            let Ok(Some(length)) = head_length(bytes) else { return };
            let Ok(response) = Response::parse(&bytes[..length], 100) else { return };
            let Ok(framing) = Framing::of(&response) else { return };
            (framing, &bytes[length..])
        }
    };
    let whole = read(framing, &[bytes]);
    assert_eq!(whole, read(framing, &pieces(bytes, seed)), "cut otherwise");
    match (framing, &whole) {
        (Framing::ToEnd, whole) => assert_eq!(whole, &Ok((bytes.len(), bytes.to_vec(), false))),
        (Framing::Length(length), whole) => {
            let here = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            assert_eq!(whole, &Ok((here, bytes[..here].to_vec(), here as u64 == length)));
        }
        (Framing::Chunked(_), Ok((taken, body, true))) => {
            assert_eq!(plainly(&bytes[..*taken]).as_ref(), Some(body), "another reader finds another body");
        }
        (Framing::Chunked(_), _) => assert_eq!(plainly(bytes), None, "another reader finds a body"),
    }
    if let Framing::Chunked(mut chunks) = framing {
        // Asked for the end alone, as of requests.
        assert_eq!(chunks.take(bytes).ok(), whole.ok().map(|(taken, ..)| taken));
    }
}

fn read(mut framing: Framing, pieces: &[&[u8]]) -> Body {
    let (mut taken, mut body) = (0, Vec::new());
    for piece in pieces {
        let mut input = *piece;
        while let Some(data) = framing.next(&mut input)? {
            assert!(!data.is_empty());
            body.extend_from_slice(data);
        }
        taken += piece.len() - input.len();
        if !input.is_empty() {
            assert!(framing.is_over(), "only what follows the body is left");
            break;
        }
    }
    Ok((taken, body, framing.is_over()))
}

/// The chunked body at the front, if it is there to its end.
fn plainly(bytes: &[u8]) -> Option<Vec<u8>> {
    let line = |bytes: &[u8]| bytes.windows(2).position(|two| two == b"\r\n");
    let is_plain = |line: &[u8]| line.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        let end = line(rest)?;
        let size = std::str::from_utf8(rest[..end].split(|byte| *byte == b';').next()?).ok()?;
        let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| digits && is_plain(&rest[..end]))?;
        rest = &rest[end + 2..];
        if size == 0 {
            break;
        }
        let (data, behind) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        body.extend_from_slice(data);
        rest = behind.strip_prefix(b"\r\n")?;
    }
    loop {
        let end = line(rest)?;
        if end == 0 {
            return Some(body);
        }
        is_plain(&rest[..end]).then_some(())?;
        rest = &rest[end + 2..];
    }
}
