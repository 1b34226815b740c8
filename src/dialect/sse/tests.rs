//! Every row of the tables of event-stream parsing, whole and cut at every pair of places.

use super::*;
use crate::event::{Close, MaskingKey};

struct NoKeys;
impl Keys for NoKeys {
    fn fresh(&mut self) -> MaskingKey {
        unreachable!("nothing here is masked")
    }
}

fn codec(form: Form, types: Types, max_event: usize) -> Sse {
    Sse::new(Reading { form, types, max_event }, false, "")
}

/// What the pieces of a stream mean: each message, and `*` for a comment.
fn read(codec: &mut Sse, pieces: &[&[u8]]) -> Result<Vec<String>, ProtocolError> {
    let (mut kept, mut meaning, mut message) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        // As the conversation asks, which asks for nothing where nothing is left.
        while !input.is_empty() {
            let event = match codec.at_once(&mut input) {
                Some(chunk) => Event::Data(chunk),
                None => match codec.decode(&mut input)? {
                    Some(event) => event,
                    None => break,
                },
            };
            match event {
                Event::Data(chunk) => {
                    assert_eq!(chunk.opens.is_some(), message.is_none(), "a message opens once");
                    let (text, owed) = message.get_or_insert_with(|| (String::new(), u64::MAX));
                    let piece = chunk.payload.to_vec();
                    assert!(*owed == u64::MAX || *owed == piece.len() as u64 + chunk.rest.owed(), "a kept promise");
                    *owed = chunk.rest.owed();
                    assert!(chunk.rest.fin(), "one frame for a message");
                    // JSON spells what the codec keeps byte by byte, so only the whole is text.
                    text.push_str(&piece.iter().map(|byte| char::from(*byte)).collect::<String>());
                    if chunk.rest == Rest::End {
                        let (text, _) = message.take().expect("it is open");
                        let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
                        meaning.push(String::from_utf8(bytes).expect("only text is told"));
                    }
                }
                Event::Ping(payload) if payload.is_empty() => meaning.push("*".to_owned()),
                other => panic!("{other:?}"),
            }
        }
        let taken = kept.len() - input.len();
        kept.drain(..taken);
    }
    assert!(message.is_none(), "a message is told in one go");
    Ok(meaning)
}

/// That the stream means this, wherever it is cut; returns the codec afterwards.
#[track_caller]
fn check(form: Form, stream: &[u8], expected: &[&str]) -> Sse {
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            let got = read(&mut codec(form, Types::All, 1000), &pieces);
            assert_eq!(got.as_deref(), Ok(expected.map_owned().as_slice()), "{} cut at {first}, {second}", {
                stream.escape_ascii()
            });
        }
    }
    let mut last = codec(form, Types::All, 1000);
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(read(&mut last, &bytes).as_deref(), Ok(expected.map_owned().as_slice()));
    last
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn data_is_told_as_the_standard_has_it() {
    let rows: [(&[u8], &[&str]); 32] = [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", &["YHOO\n+2\n10"]),
        (b"data\n\ndata\ndata\n\ndata:", &["", "\n"]),
        (b"data:test\n\ndata: test\n\n", &["test", "test"]),
        (b"data:  two\n\n", &[" two"]),
        (b"data: a\r\ndata: b\r\r\ndata: c\n\n", &["a\nb", "c"]),
        (b"data: a\r\rdata: b\r\r", &["a", "b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
        (b"data: a\n\rdata: b\r\n\n", &["a", "b"]),
        (b"\xEF\xBB\xBFdata: bom\n\n", &["bom"]),
        (b"\xEF\xBB\xBF\xEF\xBB\xBFdata: x\ndata: y\n\n", &["y"]),
        (b"\xEF\xBBdata: x\ndata: y\n\n", &["y"]),
        (b"data: \xEF\xBB\xBFx\n\n", &["\u{FEFF}x"]),
        (b": c\nevent: add\nid: 7\ndata: q\n\ndata: r\n\nid\ndata: s\n\n", &["*", "q", "r", "s"]),
        (b"id: 5\ndata: lost\n", &[]),
        (b"retry: 1500\n\n", &[]),
        (b"event: foo\n\ndata: x\n\n", &["x"]),
        (b"Data: x\ndata : y\n data: z\n\n", &[]),
        (b"data: \xFF\n\n", &["\u{FFFD}"]),
        (b"data: \xE2\x82\ndata: \xE2\x82\xAC\n\n", &["\u{FFFD}\n\u{20AC}"]),
        (b"data: a\xF0\x9F\x98\xFFb\n\n", &["a\u{FFFD}\u{FFFD}b"]),
        (b"data: \xED\xA0\x80\xC0\x80\n\n", &["\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"]),
        // U+0085, U+2028, VT and FF end no line.
        ("data: a\u{85}b\u{2028}c\x0Bd\x0Ce\n\n".as_bytes(), &["a\u{85}b\u{2028}c\x0Bd\x0Ce"]),
        (b"data: a\0b\n\n", &["a\0b"]),
        (b"data: a: b\n\n", &["a: b"]),
        (b"data::\n\n", &[":"]),
        (b"data:\tx\n\n", &["\tx"]),
        (b"data: x\n: in between\nfoo: bar\nid: 1\ndata: y\n\n", &["*", "x\ny"]),
        (b"dat\ndatabase: x\n\n", &[]),
        (b"\n\n\r\r\n\n", &[]),
        (b":\n:\n:ping\n\n", &["*", "*", "*"]),
        (b"data: \ndata:\ndata\n\n", &["\n\n"]),
        (b"event: message\nevent: other\ndata: x\n\n", &["x"]),
    ];
    for (stream, expected) in rows {
        check(Form::Data, stream, expected);
    }
}

#[test]
fn json_tells_type_and_id_as_well() {
    let rows: [(&[u8], &[&str]); 10] = [
        (b"data: a\n\n", &[r#"{"type":"message","data":"a"}"#]),
        (b"event: add\nid: 7\ndata: q\n\n", &[r#"{"type":"add","data":"q","id":"7"}"#]),
        // The id stays, the type does not; both may stand behind the data.
        (
            b"data: q\nevent: add\nid: 7\n\ndata: r\n\nid\ndata: s\n\n",
            &[
                r#"{"type":"add","data":"q","id":"7"}"#,
                r#"{"type":"message","data":"r","id":"7"}"#,
                r#"{"type":"message","data":"s"}"#,
            ],
        ),
        (b"id: 1\n\ndata: x\n\n", &[r#"{"type":"message","data":"x","id":"1"}"#]),
        (b"id: a\0b\ndata: x\n\n", &[r#"{"type":"message","data":"x"}"#]),
        (b"data\n\n", &[r#"{"type":"message","data":""}"#]),
        (b"data: a\ndata: b\n\n", &[r#"{"type":"message","data":"a\nb"}"#]),
        (b"data: \"\\\t\x01\x1F\x7F/\n\n", &["{\"type\":\"message\",\"data\":\"\\\"\\\\\\t\\u0001\\u001f\x7F/\"}"]),
        (
            b"id: \"\xFF\nevent: \\\xC3\xA9\ndata: \xE2\x82\"\n\n",
            &["{\"type\":\"\\\\\u{E9}\",\"data\":\"\u{FFFD}\\\"\",\"id\":\"\\\"\u{FFFD}\"}"],
        ),
        ("data: \u{1F600}\"\u{2028}\n\n".as_bytes(), &["{\"type\":\"message\",\"data\":\"\u{1F600}\\\"\u{2028}\"}"]),
    ];
    for (stream, expected) in rows {
        check(Form::Json, stream, expected);
    }
}

#[test]
fn the_last_id_is_that_of_the_last_whole_event() {
    let rows: [(&[u8], &str); 12] = [
        (b"id: 7\ndata: q\n\ndata: r\n\n", "7"),
        (b"id: 7\ndata: q\n\nid\ndata: s\n\n", ""),
        (b"id: 1\n\n", "1"),
        (b"id: a\0b\ndata: x\n\n", ""),
        (b"id: 5\ndata: lost\n", ""),
        (b"id: 4\ndata: x\n\nid: 5\ndata: lost\n", "4"),
        (b"id: 4\n\nid: 5\r", "4"),
        (b"id: 4\nid: 5\n\n", "5"),
        (b"id:  a b \n\n", " a b "),
        ("id: \u{E9}\n\n".as_bytes(), "\u{E9}"),
        (b"id: \xFF\n\n", "\u{FFFD}"),
        (b"Id: 1\n\n", ""),
    ];
    for (stream, expected) in rows {
        for cut in 0..=stream.len() {
            let mut codec = codec(Form::Data, Types::All, 1000);
            read(&mut codec, &[&stream[..cut], &stream[cut..]]).expect("no rule is broken");
            let resume = codec.resume().expect("event streams are resumed");
            assert_eq!(resume.last_id, expected, "{}", stream.escape_ascii());
            // It is told again as long as nothing else takes its place.
            assert_eq!(codec.resume().map(|resume| resume.last_id).as_deref(), Some(expected));
            read(&mut codec, &[b": alive\n\n"]).expect("a comment");
            assert_eq!(codec.resume().map(|resume| resume.last_id).as_deref(), Some(expected));
        }
    }
}

#[test]
fn the_time_to_wait_is_digits_alone() {
    let ms = |number| Some(Duration::from_millis(number));
    let rows: [(&[u8], Option<Duration>); 8] = [
        (b"retry: 1500\n", ms(1500)),
        (b"retry: 15x\nretry:\nretry: -1\n\n", None),
        (b"retry: 100\nretry: x\n", ms(100)),
        (b"retry:0\r", ms(0)),
        (b"retry: 1\nretry: 2\ndata: x\n", ms(2)),
        (b"retry: 99999999999999999999999999\n", ms(u64::MAX)),
        (b"retry:  5\n", None),
        (b"retry: 15", None),
    ];
    for (stream, expected) in rows {
        let mut codec = check(Form::Data, stream, &[]);
        assert_eq!(codec.resume().map(|resume| resume.retry), Some(expected), "{}", stream.escape_ascii());
        assert_eq!(codec.resume().map(|resume| resume.retry), Some(expected), "the next stream leaves it");
    }
}

#[test]
fn a_stream_is_resumed_behind_its_last_whole_event() {
    let ends: [&[u8]; 9] = [
        b"",
        b"data: half",
        b"data: half\n",
        b"event: x\n",
        b"id: 9\n",
        b": c",
        b"\xEF\xBB",
        b"data: a\ndata: b\r",
        b"\r",
    ];
    for end in ends {
        let mut codec = codec(Form::Json, Types::All, 1000);
        let first = [b"id: 8\ndata: x\n\n", end].concat();
        let got = read(&mut codec, &[&first]).expect("no rule is broken");
        assert_eq!(got[0], r#"{"type":"message","data":"x","id":"8"}"#);
        assert_eq!(codec.resume(), Some(Resume { last_id: "8".into(), retry: None }));
        // A new stream begins anew: with a byte order mark, and without an LF that belongs to the old one's CR.
        let again = read(&mut codec, &[b"\xEF\xBB\xBFdata: y\n\n"]);
        assert_eq!(again, Ok(vec![r#"{"type":"message","data":"y","id":"8"}"#.to_owned()]), "{}", end.escape_ascii());
    }
}

#[test]
fn other_types_are_left_out_and_their_ids_count() {
    let stream =
        b"data: a\n\nevent: add\nid: 1\ndata: b\n\nevent: Add\ndata: c\n\nevent: del\nid: 2\ndata: d\ndata: e\n\n";
    let only = |names: &[&str]| Types::Only(names.map_owned());
    let rows: [(Types, &[&str]); 4] = [
        (Types::All, &["a", "b", "c", "d\ne"]),
        (only(&["message"]), &["a"]),
        (only(&["add", "del"]), &["b", "d\ne"]),
        (only(&["x"]), &[]),
    ];
    for (types, expected) in rows {
        for cut in 0..=stream.len() {
            let mut codec = codec(Form::Data, types.clone(), 1000);
            let got = read(&mut codec, &[&stream[..cut], &stream[cut..]]);
            assert_eq!(got, Ok(expected.map_owned()), "{types:?}");
            assert_eq!(codec.resume().map(|resume| resume.last_id).as_deref(), Some("2"));
        }
    }
}

#[test]
fn an_event_is_told_as_soon_as_its_blank_line_is_there() {
    for stream in [&b"data: x\n\n"[..], b"data: x\r\r", b"data: x\r\n\r", b"data: x\n\r"] {
        let mut codec = codec(Form::Data, Types::All, 1000);
        let (last, before) = stream.split_last().expect("not empty");
        let mut input = before;
        assert!(matches!(codec.decode(&mut input), Ok(None)));
        let whole = [input, &[*last]].concat();
        assert_eq!(read(&mut codec, &[&whole]), Ok(vec!["x".to_owned()]), "{}", stream.escape_ascii());
    }
}

#[test]
fn the_limit_holds_for_lines_and_events_wherever_they_are_cut() {
    type Row<'a> = (&'a [u8], Result<Vec<String>, ProtocolError>);
    let over = Err(ProtocolError::ExceededEventLimit);
    let text = |text: &str| Ok(vec![text.to_owned()]);
    let rows: [Row<'_>; 13] = [
        (b"data: 3456789\n\n", text("3456789")),
        (b"data: 3456789\r\n\r\n", text("3456789")),
        (b"data: 34567890123\n\n", text("34567890123")),
        (b"data: 345678901234\n\n", over.clone()),
        (b"data: 345678901234", over.clone()),
        // Not over yet, and within the limit.
        (b"data: 56\ndata: 56", Ok(Vec::new())),
        (b"data: 5\ndata: 5\n\n", text("5\n5")),
        (b"data: 567\ndata: 56\n\n", over.clone()),
        (b"data: 5\r\ndata: 567\r\n\r\n", over.clone()),
        (b": 34567890123456789", over.clone()),
        (b": 345678901234567\n: 345678901234567\n\n", Ok(vec!["*".into(), "*".into()])),
        (b"id: 1\nevent: a\nretry: 7\ndata: 3456789\n\n", text("3456789")),
        (b"data: a\nid: 2345678901\n\n", over),
    ];
    for (stream, expected) in rows {
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let mut codec = codec(Form::Data, Types::All, 17);
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(read(&mut codec, &pieces), expected, "{} cut at {first}, {second}", stream.escape_ascii());
            }
        }
    }
}

#[test]
fn what_is_left_over_is_bounded_and_nothing_is_looked_at_twice() {
    let mut codec = codec(Form::Json, Types::All, 4 << 20);
    let line = [b"data: ".to_vec(), b"a\"".repeat(300_000), b"\n".to_vec()].concat();
    let started = std::time::Instant::now();
    let (mut kept, mut told) = (Vec::new(), 0);
    for piece in line.chunks(1000).chain([&b"\n"[..]]) {
        kept.extend_from_slice(piece);
        let mut input = &kept[..];
        while let Some(Event::Data(chunk)) = codec.decode(&mut input).expect("within the limit") {
            told += chunk.payload.len();
        }
        let taken = kept.len() - input.len();
        kept.drain(..taken);
        assert_eq!(codec.lines + codec.searched, kept.len());
    }
    assert_eq!((told, kept.len()), (r#"{"type":"message","data":""}"#.len() + 300_000 * 3, 0));
    // To look ahead to the end for each escape would take minutes.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn messages_are_written_as_pieces_and_read_back() {
    let chunk = |opens, payload: &'static [u8], rest| Chunk { opens, rsv: 0, payload: Payload::plain(payload), rest };
    let (text, binary) = (Some(Kind::Text), Some(Kind::Binary));
    let owed = |bytes, fin| Rest::Owed { bytes, fin };
    let rows = [
        (chunk(text, b"Hello", Rest::End), Some((Kind::Text, Some(5))), true),
        (chunk(binary, b"", Rest::End), Some((Kind::Binary, Some(0))), true),
        (chunk(text, b"He", owed(3, true)), Some((Kind::Text, Some(5))), false),
        (chunk(None, b"llo", Rest::End), None, true),
        (chunk(text, b"He", owed(3, false)), Some((Kind::Text, None)), false),
        (chunk(None, b"llo", Rest::More), None, false),
        (chunk(None, b"", Rest::End), None, true),
    ];
    let reading = Reading { form: Form::Data, types: Types::All, max_event: 1000 };
    let (mut codec, mut out) = (Sse::new(reading.clone(), true, ""), Vec::new());
    for (chunk, _, ends) in &rows {
        assert_eq!(codec.encode(&Event::Data(*chunk), &mut out, &mut NoKeys), Ok(()));
        assert_eq!(codec.mid_frame(), !ends);
    }
    let mut written = &out[..];
    for (chunk, opens, ends) in &rows {
        let piece = next_piece(&mut written).expect("as many as were written");
        assert_eq!((piece.opens, piece.bytes.to_vec(), piece.ends), (*opens, chunk.payload.to_vec(), *ends));
    }
    assert_eq!(next_piece(&mut written), None);

    let mut one_way = Sse::new(reading, false, "");
    let mut encode = |event| one_way.encode(&event, &mut Vec::new(), &mut NoKeys);
    assert_eq!(encode(Event::Data(rows[0].0)), Err(Undeliverable::Message));
    assert_eq!(encode(Event::Ping(Payload::plain(b""))), Err(Undeliverable::Heartbeat));
    assert_eq!(encode(Event::Close(Close::EMPTY)), Err(Undeliverable::Close));
}
