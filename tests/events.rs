//! Event streams: whatever the bytes and however they are cut, what is told is what a plain reading of the standard
//! tells, and what is sent is what was said.

#[allow(dead_code)]
#[path = "support/meant.rs"]
mod meant;
#[path = "support/plainly.rs"]
mod plainly;

use hybridge::dialect::sse::{Form, Piece, Reading, Sse, Types, next_piece};
use hybridge::event::{Chunk, Codec, Event, Keys, Kind, MaskingKey, Payload, Rest};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use self::meant::Shortly;
use self::plainly::plainly;

/// More than any stream here has.
const LIMIT: usize = 1 << 20;

struct Zero;

impl Keys for Zero {
    fn fresh(&mut self) -> MaskingKey {
        MaskingKey([0; 4])
    }
}

/// What a codec tells of the stream in these pieces.
fn told(mut codec: impl Codec, stream: &[u8], cuts: &[usize]) -> (Vec<String>, String, Option<u64>) {
    let (mut told, mut message, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for ends in cuts.windows(2) {
        kept.extend_from_slice(&stream[ends[0]..ends[1]]);
        let mut input = &kept[..];
        while let Some(event) = codec.decode(&mut input).expect("far below the limit") {
            let Event::Data(chunk) = event else { continue };
            chunk.payload.append_to(&mut message, None);
            if chunk.rest == Rest::End {
                told.push(String::from_utf8(std::mem::take(&mut message)).expect("only text is told"));
            }
        }
        let taken = kept.len() - input.len();
        kept.drain(..taken);
    }
    let resume = codec.resume().expect("event streams are resumed");
    let retry = resume.retry.and_then(|retry| u64::try_from(retry.as_millis()).ok());
    (told, resume.last_id, retry)
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"data: ",
        b"data:",
        b"data",
        b"event: ",
        b"event",
        b"id: ",
        b"id",
        b"retry: ",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b"\r\n\r\n",
        b"x",
        b"17",
        b"\0",
        b"\t",
        b"\"",
        b"\\",
        b"\xFF",
        b"\xE2\x82",
        b"\xE2\x82\xAC",
        b"\xF0\x9F\x98\x80",
        b"\xEF\xBB\xBF",
        b"\xC2\x85",
    ];
    vec(select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_is_what_the_standard_says_wherever_the_stream_is_cut(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..6),
        form in select(Form::ALL.to_vec()),
    ) {
        let expected = plainly(&stream, form);
        let codec = || Sse::new(Reading { form, types: Types::All, max_event: LIMIT }, false, "");
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let all: Vec<usize> = (0..=stream.len()).collect();
        for places in [&[0, stream.len()][..], &places, &all] {
            prop_assert_eq!(&told(codec(), &stream, places), &expected);
            prop_assert_eq!(&told(Shortly(codec()), &stream, places), &expected);
        }
    }

    #[test]
    fn no_bytes_panic(stream in vec(any::<u8>(), 0..300), limit in 1usize..40) {
        let mut codec = Sse::new(Reading { form: Form::Json, types: Types::All, max_event: limit }, false, "");
        let mut kept = Vec::new();
        'stream: for byte in stream {
            kept.push(byte);
            let mut input = &kept[..];
            loop {
                match codec.decode(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            prop_assert!(input.len() <= limit + 3, "{} bytes are kept", input.len());
            let taken = kept.len() - input.len();
            kept.drain(..taken);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        messages in vec((any::<bool>(), vec(vec(any::<u8>(), 0..20), 1..4), 0..3usize), 0..6),
    ) {
        let mut codec = Sse::new(Reading { form: Form::Data, types: Types::All, max_event: LIMIT }, true, "");
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        for (text, chunks, promise) in &messages {
            let kind = if *text { Kind::Text } else { Kind::Binary };
            let whole = chunks.concat();
            let mut left = whole.len() as u64;
            for (place, bytes) in chunks.iter().enumerate() {
                left -= bytes.len() as u64;
                let rest = match (place + 1 == chunks.len(), promise, left) {
                    (true, ..) => Rest::End,
                    (false, 0, 1..) => Rest::Owed { bytes: left, fin: true },
                    (false, 1, 1..) => Rest::Owed { bytes: left, fin: false },
                    _ => Rest::More,
                };
                let chunk = Chunk { opens: (place == 0).then_some(kind), rsv: 0, payload: Payload::plain(bytes), rest };
                prop_assert_eq!(codec.encode(&Event::Data(chunk), &mut out, &mut Zero), Ok(()));
            }
            expected.push((kind, whole));
        }
        let (mut written, mut read) = (&out[..], Vec::new());
        while let Some(Piece { opens, bytes, ends }) = next_piece(&mut written) {
            if let Some((kind, size)) = opens {
                read.push((kind, Vec::new(), size, false));
            }
            let (_, message, size, done) = read.last_mut().expect("a message opens before it goes on");
            message.extend_from_slice(bytes);
            *done = ends;
            prop_assert!(!ends || size.is_none_or(|size| size == message.len() as u64), "a length is a promise");
        }
        prop_assert!(written.is_empty() && read.iter().all(|(.., done)| *done));
        let read: Vec<_> = read.into_iter().map(|(kind, message, ..)| (kind, message)).collect();
        prop_assert_eq!(read, expected);
    }
}
