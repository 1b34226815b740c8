//! Event streams: however they are cut, what is told is what a plain reading of the standard tells, at most up to where an
//! event is too long; no more is kept than an event may be; messages are text whose length was announced; and what is
//! written for the shell, piece by piece, are the same messages.

use hybridge::dialect::sse::{Form, Reading, Sse, Types, next_piece};
use hybridge::event::{Codec, Event, Kind, ProtocolError, Rest};

use crate::input::{Input, pieces};
use crate::meant::{Counting, Shortly};
use crate::plainly::plainly;

/// What a codec tells of a stream.
#[derive(Debug, PartialEq)]
struct Told {
    messages: Vec<String>,
    pings: usize,
    broke: Option<ProtocolError>,
    last_id: String,
    retry: Option<u64>,
}

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, seed) = (input.byte(), input.byte());
    let form = Form::ALL[usize::from(choice & 1)];
    let max_event = if choice & 2 == 0 { 1 << 20 } else { 1 + usize::from(choice >> 2) };
    let stream = input.rest();

    let codec = || reader(form, max_event, false);
    let whole = told(codec(), &[stream], max_event);
    assert_eq!(whole, told(codec(), &pieces(stream, seed), max_event), "cut otherwise");
    assert_eq!(whole, told(Shortly(codec()), &[stream], max_event), "read the short way");
    assert_eq!(
        whole,
        told(Shortly(codec()), &pieces(stream, seed), max_event),
        "cut otherwise, and read the short way"
    );
    let (messages, last_id, retry) = plainly(stream, form);
    match whole.broke {
        None => assert_eq!((&whole.messages, &whole.last_id, whole.retry), (&messages, &last_id, retry)),
        Some(_) => {
            assert!(messages.starts_with(&whole.messages), "{whole:?} {messages:?}");
            assert!(stream.len() > max_event, "nothing is too long");
        }
    }
}

fn reader(form: Form, max_event: usize, sends: bool) -> Sse {
    Sse::new(Reading { form, types: Types::All, max_event }, sends, "")
}

fn told(mut codec: impl Codec, pieces: &[&[u8]], max_event: usize) -> Told {
    let mut writer = reader(Form::Data, max_event, true);
    let mut told = Told { messages: Vec::new(), pings: 0, broke: None, last_id: String::new(), retry: None };
    let (mut message, mut kept, mut written, mut owed) = (Vec::new(), Vec::new(), Vec::new(), None);
    'stream: for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        loop {
            let event = match codec.decode(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(rule) => {
                    told.broke = Some(rule);
                    break 'stream;
                }
            };
            let Event::Data(chunk) = event else {
                told.pings += 1;
                continue;
            };
            let length = chunk.payload.len() as u64;
            assert_eq!(owed.unwrap_or(length + chunk.rest.owed()), length + chunk.rest.owed(), "a length is a promise");
            assert!(chunk.rest == Rest::End || matches!(chunk.rest, Rest::Owed { fin: true, .. }), "one frame");
            assert_eq!(chunk.opens, owed.is_none().then_some(Kind::Text));
            owed = (chunk.rest != Rest::End).then(|| chunk.rest.owed());
            writer.encode(&event, &mut written, &mut Counting(0)).expect("it may be sent");
            chunk.payload.append_to(&mut message, None);
            if chunk.rest == Rest::End {
                told.messages.push(String::from_utf8(std::mem::take(&mut message)).expect("only text is told"));
            }
        }
        assert!(input.len() <= max_event + 3, "{} bytes are kept", input.len());
        kept.drain(..kept.len() - input.len());
    }
    assert_eq!(read_back(&written), told.messages, "what is written is what was told");
    let resume = codec.resume().expect("event streams are resumed");
    told.retry = resume.retry.and_then(|retry| u64::try_from(retry.as_millis()).ok());
    told.last_id = resume.last_id;
    told
}

/// The messages in pieces; each must be whole, and as long as was said.
fn read_back(mut written: &[u8]) -> Vec<String> {
    let (mut messages, mut message, mut size) = (Vec::new(), Vec::new(), 0);
    while let Some(piece) = next_piece(&mut written) {
        if let Some((kind, length)) = piece.opens {
            assert!(message.is_empty() && kind == Kind::Text);
            size = length.expect("it is known");
        }
        message.extend_from_slice(piece.bytes);
        if piece.ends {
            assert_eq!(message.len() as u64, size);
            messages.push(String::from_utf8(std::mem::take(&mut message)).expect("a text"));
        }
    }
    assert!(written.is_empty() && message.is_empty());
    messages
}
