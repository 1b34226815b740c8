//! What must hold for every input: any split means the same, nothing panics, frames pass untouched, memory is bounded.

#[path = "support/meant.rs"]
mod meant;

use std::time::Duration;

use hybridge::config::{Config, Limits, Upstream};
use hybridge::conversation::{Output, Side};
use hybridge::dialect::hybi::{Hybi, Role, accept};
use hybridge::dialect::opening::Opening;
use hybridge::dialect::{BinaryPolicy, Dialect};
use hybridge::event::{Chunk, Close, Codec as _, Event, Kind, Payload, Rest};
use hybridge::handshake::{Conversation, Received, consent, receive};
use hybridge::transcript::rules::{self, Held};
use hybridge::transcript::{Act, Due, Ending, Meaning, Table, Transcript, play};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use self::meant::{Counting, Kin, LEFT_OVER, Meant, Shortly, means_the_same_written_anew, read};

// What a codec is and what it reads

fn kin() -> impl Strategy<Value = Kin> {
    let role = prop_oneof![Just(Role::Client), Just(Role::Server)];
    (select(&Dialect::ALL[..]), role, any::<bool>()).prop_map(|(dialect, role, extensions)| Kin {
        dialect,
        role,
        extensions,
    })
}

/// The bytes in pieces cut at these places.
fn pieces<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

// Bytes that are nearly, or fully, what a codec expects

/// Lengths near those at which the form of a header changes, and those at which text is looked at in another way.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..20usize, 2 => 120..132usize, 1 => near_a_block(), 1 => select(vec![65535usize, 65536])]
}

fn near_a_block() -> impl Strategy<Value = usize> {
    (select(vec![256usize, 2048, 4096, 4096 + 128]), 0..8usize).prop_map(|(block, more)| block - 4 + more)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    (length(), any::<u8>())
        .prop_map(|(length, seed)| (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect())
}

/// Text with characters of every length, of about so many bytes.
fn text() -> impl Strategy<Value = String> {
    (
        length(),
        vec(
            select(vec![
                "a",
                "\0",
                "\u{e9}",
                "\u{905}",
                "\u{20ac}",
                "\u{d7ff}",
                "\u{10000}",
                "\u{1f600}",
                "\u{10ffff}",
            ]),
            1..6,
        ),
    )
        .prop_map(|(length, letters)| letters.iter().cycle().take(length / 2).copied().collect())
}

#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    payload: Vec<u8>,
    key: Option<[u8; 4]>,
}

impl Frame {
    fn write(&self, out: &mut Vec<u8>) {
        let mask = if self.key.is_some() { 0x80 } else { 0 };
        out.push(self.first);
        match self.payload.len() {
            length @ 0..=125 => out.push(mask | length as u8),
            length @ 126..=0xFFFF => {
                out.push(mask | 126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(mask | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        match self.key {
            Some(key) => {
                out.extend(key);
                out.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
            }
            None => out.extend(&self.payload),
        }
    }
}

fn bytes_of(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.write(&mut bytes));
    bytes
}

/// A control frame, but no close.
fn control() -> impl Strategy<Value = (u8, Vec<u8>)> {
    (select(vec![0x89u8, 0x8A]), vec(any::<u8>(), 0..=125))
}

/// Frames that follow every rule: whole messages, in fragments with control frames between them.
fn lawful_frames(masked: bool, extensions: bool) -> impl Strategy<Value = Vec<Frame>> {
    let content = prop_oneof![
        text().prop_map(|text| (0x01u8, text.into_bytes())),
        payload().prop_map(|bytes| (0x02u8, bytes)),
        payload().prop_map(move |bytes| (if extensions { 0x41u8 } else { 0x02 }, bytes)),
    ];
    let message =
        (content, vec(any::<Index>(), 0..3), vec(control(), 0..3)).prop_map(|((first, bytes), cuts, controls)| {
            let parts = pieces(&bytes, &cuts);
            let last = parts.len() - 1;
            let mut frames = Vec::new();
            let mut controls = controls.into_iter();
            for (index, part) in parts.into_iter().enumerate() {
                let opcode = if index == 0 { first } else { 0 };
                frames.push((opcode | if index == last { 0x80 } else { 0 }, part.to_vec()));
                frames.extend(controls.next());
            }
            frames
        });
    vec((message, any::<[u8; 4]>()), 1..4).prop_map(move |messages| {
        let mut frames = Vec::new();
        for (parts, key) in messages {
            for (index, (first, payload)) in parts.into_iter().enumerate() {
                let key = u32::from_be_bytes(key).wrapping_mul(index as u32 + 1).to_be_bytes();
                frames.push(Frame { first, payload, key: masked.then_some(key) });
            }
        }
        frames
    })
}

/// Bytes that a peer of this kin may send: lawful, slightly spoilt, or anything.
fn bytes_for(kin: Kin) -> BoxedStrategy<Vec<u8>> {
    let lawful: BoxedStrategy<Vec<u8>> = if kin.is_hixie() {
        let frame = prop_oneof![
            4 => text().prop_map(|text| [b"\0", text.as_bytes(), b"\xff"].concat()),
            2 => vec(0..0xFFu8, 0..20).prop_map(|bytes| [b"\0", &bytes[..], b"\xff"].concat()),
            1 => vec(any::<u8>(), 0..20).prop_map(|bytes| [&[0x80, bytes.len() as u8], &bytes[..]].concat()),
            1 => Just(b"\xff\0".to_vec()),
            1 => vec(0..0xFFu8, 0..9).prop_map(|bytes| [b"\x05", &bytes[..], b"\xff"].concat()),
        ];
        vec(frame, 1..5).prop_map(|frames| frames.concat()).boxed()
    } else {
        lawful_frames(kin.role == Role::Server, kin.extensions).prop_map(|frames| bytes_of(&frames)).boxed()
    };
    let spoilt = (lawful.clone(), any::<Index>(), any::<u8>(), any::<bool>()).prop_map(|(mut bytes, at, byte, cut)| {
        if !bytes.is_empty() {
            // The first bytes are headers, where a change does most.
            let reach = bytes.len().min(300);
            bytes[at.index(reach)] = byte;
        }
        bytes.truncate(if cut { bytes.len() - bytes.len() / 7 } else { bytes.len() });
        bytes
    });
    prop_oneof![3 => lawful, 3 => spoilt, 1 => vec(any::<u8>(), 0..60)].boxed()
}

fn kin_and_bytes() -> impl Strategy<Value = (Kin, Vec<u8>)> {
    kin().prop_flat_map(|kin| (Just(kin), bytes_for(kin)))
}

// A conversation, as the relay carries it

struct Carried {
    conversation: Conversation,
    carry: [Vec<u8>; 2],
    heard: [Vec<u8>; 2],
    keys: Counting,
}

impl Carried {
    fn between(dialect: Dialect, extensions: bool, max_message: Option<u64>) -> Carried {
        let upstream = Hybi::new(Dialect::Rfc6455, Role::Client, extensions);
        let downstream = dialect.codec(extensions, BinaryPolicy::Base64);
        Carried {
            conversation: Conversation::new(downstream, upstream, max_message),
            carry: Default::default(),
            heard: Default::default(),
            keys: Counting(0),
        }
    }

    /// The time in which the other side may still have its say is over.
    fn waited(&mut self, side: Side) {
        let mut out = Output::default();
        self.conversation.expired(side, &mut out, &mut self.keys);
        self.heard[0].extend(out.downstream);
        self.heard[1].extend(out.upstream);
    }

    fn says(&mut self, side: Side, piece: &[u8]) {
        let carry = &mut self.carry[side as usize];
        carry.extend_from_slice(piece);
        let mut input = &carry[..];
        let mut out = Output::default();
        self.conversation.hears(side, &mut input, &mut out, &mut self.keys);
        assert!(input.len() < LEFT_OVER, "{} bytes were left over", input.len());
        carry.drain(..carry.len() - input.len());
        self.heard[Side::Downstream as usize].extend(out.downstream);
        self.heard[Side::Upstream as usize].extend(out.upstream);
    }

    fn heard(&self, side: Side) -> &[u8] {
        &self.heard[side as usize]
    }
}

fn config() -> Config {
    Config::simple(Vec::new(), Upstream::parse("ws://127.0.0.1:1").unwrap())
}

fn opening(head: &str) -> Opening {
    match receive(head.as_bytes(), &config()) {
        Received::Opening { opening, .. } => *opening,
        other => panic!("{head}: {other:?}"),
    }
}

const HEAD: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: a\r\n\r\n";
const HEADS: [&str; 6] = [
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n",
    HEAD,
    "GET /?x HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: h:1\r\nOrigin: http://o\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\nUpgrade: WebSocket\r\n\
     Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nContent-Length: 8\r\n\r\n^n:ds[4U",
    "\r\nPOST http://h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
];

/// A text with some of its bytes changed, and cut off somewhere.
fn nearly(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (select(texts), vec((any::<Index>(), any::<u8>()), 0..4), any::<Index>()).prop_map(|(text, changes, end)| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Mostly whole: an end in the front half keeps it so.
        let end = end.index(2 * bytes.len());
        bytes.truncate(if end < bytes.len() { bytes.len() } else { end - bytes.len() });
        bytes
    })
}

fn any_bytes_or(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => nearly(texts), 1 => vec(any::<u8>(), 0..200)]
}

// Plays

fn act() -> impl Strategy<Value = Act> {
    let side = || prop_oneof![Just(Side::Downstream), Just(Side::Upstream)];
    let bytes = || vec(any::<u8>(), 0..150);
    let words = || "[!-~]([ -~\u{e9}]{0,20}[!-~])?";
    let code = proptest::option::of(any::<u16>());
    let meaning = prop_oneof![
        bytes().prop_map(Meaning::Text),
        bytes().prop_map(Meaning::Binary),
        bytes().prop_map(Meaning::Ping),
        bytes().prop_map(Meaning::Pong),
        (code, bytes())
            .prop_map(|(code, reason)| Meaning::Close(code, if code.is_some() { reason } else { Vec::new() })),
        Just(Meaning::Request),
    ];
    prop_oneof![
        words().prop_map(Act::Comment),
        select(&Dialect::ALL[..]).prop_map(Act::Opens),
        (side(), bytes()).prop_map(|(side, bytes)| Act::Says(side, bytes)),
        (side(), bytes()).prop_map(|(side, bytes)| Act::Hears(side, bytes)),
        (side(), select(vec![Ending::Fin, Ending::Reset])).prop_map(|(side, ending)| Act::Ends(side, ending)),
        side().prop_map(Act::TimesOut),
        side().prop_map(Act::HearsMore),
        side().prop_map(Act::HearsEnd),
        (side(), meaning).prop_map(|(side, meaning)| Act::Means(side, meaning)),
        Just(Act::ShutsDown),
        (0..90_000u64).prop_map(|ms| Act::Pause(Duration::from_millis(ms))),
        "[a-z-]{1,20}".prop_map(Act::Explains),
        (1..1000u32).prop_map(|most| Act::Setting(Table::Route, format!("max_message = {most}"))),
    ]
}

fn acts(transcript: &Transcript) -> Vec<Act> {
    transcript.lines().iter().map(|line| line.act.clone()).collect()
}

const HIXIE_ANSWER: &str = "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Origin: http://o\r\nSec-WebSocket-Location: ws://a/\r\n\r\n8jKS'y:G*Co,Wxa-\x00Hello\x7f\u{7f}";

const PLAYS: &[&str] = &[
    "# x\nroute binary = \"base64\"\nlimits head_bytes = \"1KiB\"\nclient opens v13\nclient says \"\\x81\\x80abcd\" x 3\n\
     client means text \"\"\nclient means close 1000 \"a\"\nupstream hears more\nclient hears end\nclient times out\n",
    "# y\nclient says \"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\"\nclient means request\nclient breaks off\nhybridge shuts down\n",
];

#[test]
fn a_hixie_76_handshake_whose_keys_were_stripped_is_told_by_its_third_key() {
    // In one piece no play can show this: cut behind the head, the upstream has been asked by then.
    let head = HEADS.iter().find(|head| head.contains("Origin: http://o")).unwrap();
    let opening = opening(head);
    assert_eq!(opening.dialect, Dialect::Hixie75);
    assert_eq!(opening.check_early(b"^n:ds[4U").map_err(|refusal| refusal.status), Err(400));
    assert_eq!(opening.check_early(b"\0Hi\xff"), Ok(()));
    assert_eq!(opening.check_early(b""), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_means_the_same((kin, bytes) in kin_and_bytes(), cuts in vec(any::<Index>(), 0..6)) {
        let whole = read(&mut kin.codec(), [&bytes[..]]);
        prop_assert_eq!(&whole, &read(&mut kin.codec(), pieces(&bytes, &cuts)));
        prop_assert_eq!(&whole, &read(&mut Shortly(kin.codec()), pieces(&bytes, &cuts)));
        if bytes.len() < 400 {
            prop_assert_eq!(&whole, &read(&mut kin.codec(), bytes.chunks(1)));
        }
    }

    #[test]
    fn encode_then_decode_keeps_the_meaning((kin, bytes) in kin_and_bytes(), cuts in vec(any::<Index>(), 0..6)) {
        means_the_same_written_anew(kin, pieces(&bytes, &cuts));
    }

    #[test]
    fn what_was_encoded_is_decoded(
        kin in kin(),
        said in vec(prop_oneof![
            text().prop_map(|text| Meaning::Text(text.into_bytes())),
            payload().prop_map(Meaning::Binary),
            vec(any::<u8>(), 0..=125).prop_map(Meaning::Ping),
            vec(any::<u8>(), 0..=125).prop_map(Meaning::Pong),
        ], 0..4),
        close in proptest::option::of((select(vec![1000u16, 1001, 1009, 1011, 3000, 4999]), "[a-z\u{e9}]{0,40}")),
    ) {
        let mut writer = kin.codec();
        let (mut written, mut expected, mut keys) = (Vec::new(), Vec::new(), Counting(0));
        for meaning in said {
            let data = |kind, bytes| Event::Data(Chunk { opens: Some(kind), rsv: 0, payload: Payload::plain(bytes), rest: Rest::End });
            let event = match &meaning {
                Meaning::Text(bytes) => data(Kind::Text, bytes),
                Meaning::Binary(bytes) => data(Kind::Binary, bytes),
                Meaning::Ping(bytes) => Event::Ping(Payload::plain(bytes)),
                Meaning::Pong(bytes) => Event::Pong(Payload::plain(bytes)),
                other => panic!("{other}"),
            };
            let heard = writer.encode(&event, &mut written, &mut keys).is_ok();
            prop_assert!(!writer.mid_frame());
            prop_assert_eq!(heard, !kin.is_hixie() || matches!(event, Event::Data(_)));
            expected.extend(heard.then_some(match meaning {
                Meaning::Binary(bytes) if kin.is_hixie() => {
                    Meaning::Text(bytes.into_iter().map(char::from).collect::<String>().into_bytes())
                }
                meaning => meaning,
            }));
        }
        if let Some((code, reason)) = &close {
            let event = Event::Close(Close { code: Some(*code), reason: Payload::plain(reason.as_bytes()) });
            if writer.encode(&event, &mut written, &mut keys).is_ok() {
                let hixie = kin.is_hixie();
                expected.push(if hixie { Meaning::Close(None, Vec::new()) } else { Meaning::Close(Some(*code), reason.clone().into_bytes()) });
            }
        }
        let reader_role = if kin.role == Role::Server { Role::Client } else { Role::Server };
        let meant = read(&mut Kin { role: reader_role, ..kin }.codec(), [&written[..]]);
        prop_assert_eq!(meant, Meant { said: expected, ..Meant::default() });
    }

    #[test]
    fn hybi_frames_pass_untouched(
        dialect in select(vec![Dialect::Hybi10, Dialect::Rfc6455]),
        (extensions, up, down) in any::<bool>().prop_flat_map(|e| (Just(e), lawful_frames(true, e), lawful_frames(false, e))),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let mut carried = Carried::between(dialect, extensions, None);
        let (up, down) = (bytes_of(&up), bytes_of(&down));
        for piece in pieces(&up, &cuts) {
            carried.says(Side::Downstream, piece);
        }
        for piece in pieces(&down, &cuts) {
            carried.says(Side::Upstream, piece);
        }
        prop_assert!(carried.heard(Side::Upstream) == up, "client to upstream, masks included");
        prop_assert!(carried.heard(Side::Downstream) == down, "upstream to client");
    }

    #[test]
    fn marked_frames_are_refused_where_no_extension_was_agreed_on(
        dialect in select(vec![Dialect::Hybi07, Dialect::Hybi10, Dialect::Rfc6455]),
        rsv in select(vec![0x10u8, 0x20, 0x40, 0x50, 0x70]),
        opcode in select(vec![0x1u8, 0x2, 0x9]),
        bytes in vec(any::<u8>(), 0..9),
        key in any::<[u8; 4]>(),
        from in select(vec![Side::Downstream, Side::Upstream]),
    ) {
        let key = (from == Side::Downstream).then_some(key);
        let marked = bytes_of(&[Frame { first: 0x80 | rsv | opcode, payload: bytes, key }]);
        let mut carried = Carried::between(dialect, false, None);
        carried.says(from, &marked);
        carried.waited(from);
        let role = if from == Side::Downstream { Role::Client } else { Role::Server };
        let told = read(&mut Hybi::new(Dialect::Rfc6455, role, false), [carried.heard(from)]);
        prop_assert_eq!(told.said, [Meaning::Close(Some(1002), Vec::new())]);
        let role = if from == Side::Downstream { Role::Server } else { Role::Client };
        let other = read(&mut Hybi::new(Dialect::Rfc6455, role, false), [carried.heard(from.other())]);
        prop_assert_eq!(other.said, [Meaning::Close(Some(1001), Vec::new())], "none of it passed");
    }

    #[test]
    fn a_message_above_the_limit_is_refused_whether_or_not_it_ends(
        dialect in select(&Dialect::ALL[..]),
        max in 0..40u64,
        over in 1..30u64,
        ends in any::<bool>(),
        from in select(vec![Side::Downstream, Side::Upstream]),
        cuts in vec(any::<Index>(), 0..5),
    ) {
        let body = vec![b'a'; (max + over) as usize];
        let hixie = dialect.facts().version.is_none() && from == Side::Downstream;
        let bytes = match (hixie, ends) {
            (true, true) => [b"\0", &body[..], b"\xff"].concat(),
            (true, false) => [b"\0", &body[..]].concat(),
            (false, ends) => {
                let key = (from == Side::Downstream).then_some([1, 2, 3, 4]);
                bytes_of(&[Frame { first: if ends { 0x81 } else { 0x01 }, payload: body, key }])
            }
        };
        let mut carried = Carried::between(dialect, false, Some(max));
        for piece in pieces(&bytes, &cuts) {
            carried.says(from, piece);
        }
        carried.waited(from);
        let told = carried.heard(from);
        let expected: &[u8] = match (from, dialect) {
            (Side::Upstream, _) => &[0x88, 0x82, 0, 0, 0, 1, 0x03, 0xF1 ^ 1],
            (_, Dialect::Hixie75) => b"",
            (_, Dialect::Hixie76) => b"\xff\0",
            (_, Dialect::Rfc6455) => b"\x88\x02\x03\xf1",
            _ => b"\x88\x02\x03\xec",
        };
        // Keys went into fragments that had passed before.
        let fits = if from == Side::Upstream { told.len() == expected.len() } else { told == expected };
        prop_assert!(fits, "the sayer was told {}", told.escape_ascii());
        prop_assert!(carried.conversation.cause().unwrap().to_string().ends_with("sent a message above max_message"));
        let passed = carried.heard(from.other()).iter().filter(|byte| **byte == b'a').count();
        prop_assert!(passed as u64 <= max, "{passed} bytes of the message passed");
    }

    #[test]
    fn no_bytes_make_a_conversation_panic_or_grow(
        dialect in select(&Dialect::ALL[..]),
        extensions in any::<bool>(),
        max in proptest::option::of(0..50u64),
        turns in vec((any::<bool>(), any::<bool>(), kin_and_bytes()), 1..5),
        endings in vec((0..6u8, any::<bool>()), 0..4),
        cuts in vec(any::<Index>(), 0..4),
    ) {
        let mut carried = Carried::between(dialect, extensions, max);
        let mut endings = endings.into_iter();
        let mut said = 0;
        for (client, ends, (_, bytes)) in turns {
            let side = if client { Side::Downstream } else { Side::Upstream };
            for piece in pieces(&bytes, &cuts) {
                carried.says(side, piece);
            }
            said += bytes.len();
            if let Some((what, reset)) = endings.next().filter(|_| ends) {
                let mut out = Output::default();
                let keys = &mut carried.keys;
                match what {
                    0 | 1 => carried.conversation.ended(side, reset, &mut out, keys),
                    2 | 3 => carried.conversation.expired(side, &mut out, keys),
                    4 => carried.conversation.stalled(side, &mut out, keys),
                    _ => carried.conversation.go_away(hybridge::conversation::Cause::Idle, &mut out, keys),
                }
                carried.heard[0].extend(out.downstream);
                carried.heard[1].extend(out.upstream);
            }
            carried.conversation.finish(side);
        }
        // The worst: an empty hixie frame of two bytes becomes a header of six; each byte of a mended text, three bytes
        // and a header; each cut, a header. Closes are a constant.
        let most = 10 * said + 10 * (cuts.len() + 1) + 2 * LEFT_OVER;
        let heard = carried.heard[0].len() + carried.heard[1].len();
        prop_assert!(heard <= most, "{said} bytes became {heard}");
    }

    #[test]
    fn no_bytes_make_a_handshake_panic(bytes in any_bytes_or(&HEADS), cuts in vec(any::<Index>(), 0..2)) {
        let config = config();
        for piece_end in cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]) {
            if let Received::Opening { opening, taken, .. } = receive(&bytes[..piece_end], &config) {
                prop_assert!(taken <= piece_end);
                let request = opening.upstream_request(&opening.target, None, "k");
                prop_assert!(request.len() < 2 * bytes.len() + 300);
                prop_assert!(request.ends_with(b"\r\n\r\n"));
            }
        }
    }

    #[test]
    fn a_verdict_does_not_change_as_more_comes(bytes in any_bytes_or(&HEADS), at in any::<Index>()) {
        let config = config();
        let early = receive(&bytes[..at.index(bytes.len() + 1)], &config);
        if !matches!(early, Received::More) {
            prop_assert_eq!(format!("{early:?}"), format!("{:?}", receive(&bytes, &config)));
        }
    }

    #[test]
    fn a_refusal_is_a_whole_response(bytes in any_bytes_or(&HEADS)) {
        if let Received::Refused(refusal) = receive(&bytes, &config()) {
            let text = String::from_utf8(refusal.to_bytes()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let status_line = format!("HTTP/1.1 {} ", refusal.status);
            prop_assert!(head.starts_with(&status_line), "{}", text);
            let length = format!("Content-Length: {}", body.len());
            prop_assert!(head.split("\r\n").any(|line| line == length), "{}", text);
            prop_assert!(head.contains("Connection: close") || head.contains("Connection: Upgrade, close"), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_consent_panic(bytes in any_bytes_or(&[ANSWER]), at in any::<Index>()) {
        let opening = opening(HEAD);
        let judge = |bytes: &[u8]| consent(&opening, bytes, "dGhlIHNhbXBsZSBub25jZQ==", &Limits::default());
        let early = judge(&bytes[..at.index(bytes.len() + 1)]);
        if early != Ok(None) {
            prop_assert_eq!(early, judge(&bytes), "the verdict does not change as more comes");
        }
        prop_assert!(judge(ANSWER.as_bytes()).unwrap().is_some());
    }

    #[test]
    fn an_answer_to_another_key_is_no_consent(key in "[A-Za-z0-9+/]{22}==") {
        prop_assume!(accept(&key) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let refusal = consent(&opening(HEAD), ANSWER.as_bytes(), &key, &Limits::default()).unwrap_err();
        prop_assert_eq!(refusal.status, 502);
    }

    #[test]
    fn what_a_transcript_prints_reads_back_the_same(acts_ in vec(act(), 0..12)) {
        let written = Transcript::of([Act::Comment("it".into())].into_iter().chain(acts_));
        match Transcript::parse(&written.to_string(), "play") {
            Ok(read) => prop_assert_eq!(acts(&written), acts(&read)),
            // The one thing an act can say that no configuration has: the same setting twice.
            Err(fault) => prop_assert!(acts(&written).iter().filter(|act| matches!(act, Act::Setting(..))).count() > 1, "{}", fault),
        }
    }

    #[test]
    fn no_text_makes_the_transcript_parser_panic(text in any_bytes_or(PLAYS)) {
        let text = String::from_utf8_lossy(&text);
        match Transcript::parse(&text, "play") {
            // Most such plays go other than written; none may panic.
            Ok(transcript) => drop(play(&transcript)),
            Err(fault) => {
                let line = text.lines().nth(fault.line - 1).unwrap_or_default();
                prop_assert!(fault.column <= line.chars().count() + 1, "{}", fault);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_recording_panic(
        client in any_bytes_or(&HEADS),
        server in any_bytes_or(&[ANSWER, HIXIE_ANSWER]),
        (_, frames) in kin_and_bytes(),
        (_, more) in kin_and_bytes(),
        cut in any::<Index>(),
    ) {
        let (first, second) = server.split_at(cut.index(server.len() + 1));
        let recording = Transcript::of([
            Act::Comment("it".into()),
            Act::Says(Side::Downstream, client.clone()),
            Act::Hears(Side::Downstream, first.to_vec()),
            Act::Says(Side::Downstream, frames.clone()),
            Act::Hears(Side::Downstream, [second, &more].concat()),
            Act::HearsEnd(Side::Downstream),
        ]);
        drop(play(&recording));
        // The same bytes, as if a server had sent them.
        let heard = [&server[..], &more].concat();
        let due = Due { so_far: first.to_vec(), ended: false, at_last: heard.clone(), ends: true, more: false };
        let terms = rules::terms(&[&client[..], &frames].concat(), false);
        drop(rules::client(&due, &heard[..cut.index(heard.len() + 1)], true, terms.as_ref()));
        prop_assert_eq!(rules::client(&Due { so_far: heard.clone(), ..due }, &heard, true, terms.as_ref()), Held::Right);
        let asked = [&client[..], &more].concat();
        let due = Due { so_far: client, ended: false, at_last: asked.clone(), ends: true, more: false };
        drop(rules::upstream(&due, &asked[..cut.index(asked.len() + 1)], true, "own"));
    }
}
