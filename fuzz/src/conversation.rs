//! A whole conversation between a client of any dialect and an upstream, both sides' bytes as the fuzzer interleaves them,
//! with ends, silences and a shutdown in between. It means the same at both ends however what is said is cut, but for what
//! had passed of a message when its sayer broke a rule. What the upstream gets is always masked RFC 6455, what the client
//! gets always its dialect, by a second, strict reader; nothing follows a close, or what the conversation says was the end.
//! A message is whole at one end only if it was whole at the other, is no longer than allowed, and says the same. Little is
//! kept, and little is made of little.

use data_encoding::BASE64;
use hybridge::conversation::{Cause, Finish, Output, Side};
use hybridge::dialect::any::AnyCodec;
use hybridge::dialect::hybi::{Hybi, Role};
use hybridge::dialect::{BinaryPolicy, Dialect};
use hybridge::event::{Codec, Event};
use hybridge::handshake::Conversation;

use crate::frames::{self, Frames, Said};
use crate::input::{Input, pieces};
use crate::meant::{Counting, LEFT_OVER};

const SIDES: [Side; 2] = [Side::Downstream, Side::Upstream];

/// Who speaks how, and how much.
#[derive(Clone, Copy, Debug)]
struct Terms {
    dialect: Dialect,
    binary: BinaryPolicy,
    extensions: bool,
    max_message: Option<u64>,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Act<'a> {
    Says(Side, &'a [u8]),
    Ends(Side, bool),
    TimesOut(Side),
    Stalls(Side),
    ShutsDown,
}

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let policies = [BinaryPolicy::Close, BinaryPolicy::Base64, BinaryPolicy::Latin1, BinaryPolicy::Drop];
    let dialect = input.one_of(&Dialect::ALL);
    let binary = input.one_of(&policies);
    let (choice, seed) = (input.byte(), input.byte());
    let terms = Terms {
        dialect,
        binary,
        extensions: choice & 1 != 0 && dialect == Dialect::Rfc6455,
        max_message: (choice & 2 != 0).then_some(u64::from(choice >> 2)),
    };
    let (mut whole, mut cut) = (Talk::new(terms), Talk::new(terms));
    let mut comparable = true;
    while !input.is_over() {
        let act = next_act(&mut input);
        whole.perform(act, None);
        cut.perform(act, Some(seed));
        // What had passed of the message in which a rule is broken cannot be taken back; from there on they differ.
        let broke = SIDES.map(|side| whole.ears[side as usize].broke);
        if comparable {
            SIDES.iter().for_each(|side| compare(&whole, &cut, *side, broke != [false; 2]));
        }
        comparable = broke == [false; 2];
    }
    whole.check_all();
    cut.check_all();
}

/// The next act. Of the bytes, how many: each play's are told in a byte.
fn next_act<'a>(input: &mut Input<'a>) -> Act<'a> {
    let what = input.byte();
    let side = SIDES[usize::from(what & 1)];
    match what >> 1 & 7 {
        0..=3 => {
            let length = usize::from(input.byte());
            Act::Says(side, input.bytes(length))
        }
        4 => Act::Ends(side, what & 0x10 != 0),
        5 => Act::TimesOut(side),
        6 => Act::Stalls(side),
        _ => Act::ShutsDown,
    }
}

/// A side's stream, and the reader that knows when it breaks a rule.
struct Ear {
    said: Vec<u8>,
    heard: Vec<u8>,
    carry: Vec<u8>,
    codec: AnyCodec,
    unread: Vec<u8>,
    size: u64,
    broke: bool,
    is_closed: bool,
    /// It has ended its stream.
    is_silent: bool,
    /// It was told everything.
    is_through: bool,
    is_gone: bool,
}

impl Ear {
    fn new(codec: impl Into<AnyCodec>) -> Ear {
        let empty = Vec::new;
        Ear {
            said: empty(),
            heard: empty(),
            carry: empty(),
            codec: codec.into(),
            unread: empty(),
            size: 0,
            broke: false,
            is_closed: false,
            is_silent: false,
            is_through: false,
            is_gone: false,
        }
    }

    /// Reads on, up to a close or a broken rule.
    fn read(&mut self, bytes: &[u8], max_message: Option<u64>) {
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let mut input = &unread[..];
        while !self.broke && !self.is_closed {
            match self.codec.decode(&mut input) {
                Ok(Some(Event::Data(chunk))) => {
                    self.size = if chunk.opens.is_some() { 0 } else { self.size } + chunk.payload.len() as u64;
                    let announced = self.size.saturating_add(chunk.rest.owed());
                    self.broke = max_message.is_some_and(|max| announced > max);
                }
                Ok(Some(Event::Close(_))) => self.is_closed = true,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => self.broke = true,
            }
        }
        self.unread = input.to_vec();
    }
}

/// A conversation as the shell carries it, with streams that take everything at once.
struct Talk {
    terms: Terms,
    conversation: Conversation,
    ears: [Ear; 2],
    keys: Counting,
    pieces: usize,
}

impl Talk {
    fn new(terms: Terms) -> Talk {
        let upstream = || Hybi::new(Dialect::Rfc6455, Role::Client, terms.extensions);
        let downstream = || terms.dialect.codec(terms.extensions, terms.binary);
        Talk {
            terms,
            conversation: Conversation::new(downstream(), upstream(), terms.max_message),
            ears: [Ear::new(downstream()), Ear::new(upstream())],
            keys: Counting(0x37fa_213c),
            pieces: 0,
        }
    }

    fn perform(&mut self, act: Act<'_>, seed: Option<u8>) {
        let mut out = Output::default();
        match act {
            Act::Says(side, bytes) => match seed {
                None => self.says(side, &[bytes]),
                Some(seed) => self.says(side, &pieces(bytes, seed)),
            },
            Act::Ends(side, reset) => {
                let ear = &mut self.ears[side as usize];
                if !std::mem::replace(&mut ear.is_silent, true) && !ear.is_gone {
                    self.conversation.ended(side, reset, &mut out, &mut self.keys);
                }
            }
            Act::TimesOut(side) => {
                if matches!(self.conversation.finish(side), Finish::Await | Finish::AwaitBriefly) {
                    self.conversation.expired(side, &mut out, &mut self.keys);
                }
            }
            Act::Stalls(side) if !self.ears[side as usize].is_gone => {
                self.conversation.stalled(side, &mut out, &mut self.keys);
            }
            Act::Stalls(_) => {}
            Act::ShutsDown => self.conversation.go_away(Cause::GoingAway, &mut out, &mut self.keys),
        }
        self.settle(out);
    }

    fn says(&mut self, side: Side, pieces: &[&[u8]]) {
        for piece in pieces {
            let ear = &mut self.ears[side as usize];
            if ear.is_silent || ear.is_gone {
                return;
            }
            self.pieces += 1;
            ear.said.extend_from_slice(piece);
            ear.read(piece, self.terms.max_message);
            ear.carry.extend_from_slice(piece);
            let mut input = &ear.carry[..];
            let mut out = Output::default();
            self.conversation.hears(side, &mut input, &mut out, &mut self.keys);
            assert!(input.len() < LEFT_OVER, "{} bytes were left over", input.len());
            let taken = ear.carry.len() - input.len();
            ear.carry.drain(..taken);
            self.settle(out);
        }
    }

    /// Hands on what was written, as long as there is somebody to hear it.
    fn settle(&mut self, mut out: Output) {
        for side in SIDES {
            let ear = &mut self.ears[side as usize];
            let written = out.to(side);
            assert!(!ear.is_through || written.is_empty(), "{side} is told {} after its end", written.escape_ascii());
            ear.heard.append(written);
            match self.conversation.finish(side) {
                Finish::Open | Finish::Await | Finish::AwaitBriefly => {}
                Finish::Flush => ear.is_through = true,
                Finish::Drop => (ear.is_through, ear.is_gone) = (true, true),
            }
            ear.is_gone |= ear.is_through && ear.is_silent;
        }
    }

    /// What a side hears, read strictly.
    fn heard(&self, side: Side) -> Frames {
        let heard = &self.ears[side as usize].heard;
        let frames = match (side, self.terms.dialect) {
            (Side::Upstream, _) => frames::hybi(heard, true, self.terms.extensions),
            (_, Dialect::Hixie75) => frames::hixie(heard, false),
            (_, Dialect::Hixie76) => frames::hixie(heard, true),
            (_, dialect) => {
                let mut frames = frames::hybi(heard, false, self.terms.extensions);
                // "Message too large", up to hybi-12.
                frames.faults.retain(|fault| dialect == Dialect::Rfc6455 || !fault.starts_with("the close \\x03\\xec"));
                frames
            }
        };
        assert!(frames.faults.is_empty(), "{side}: {:?} in {}", frames.faults, heard.escape_ascii());
        frames
    }

    fn check_all(&self) {
        for side in SIDES {
            let (heard, expected) = (self.heard(side).messages(), self.expected(side));
            assert!(expected.starts_with(&heard), "{side} heard {heard:?}, the other said {expected:?}");
            let is_rewritten = side == Side::Downstream && self.is_hixie();
            for said in heard.iter().filter(|_| !is_rewritten) {
                let (Said::Text(bytes, _) | Said::Binary(bytes, _)) = said else { continue };
                assert!(self.terms.max_message.is_none_or(|max| bytes.len() as u64 <= max), "{} bytes", bytes.len());
            }
        }
        let [said, heard] = [|ear: &Ear| ear.said.len(), |ear: &Ear| ear.heard.len()]
            .map(|length| self.ears.iter().map(length).sum::<usize>());
        // The worst: an empty frame becomes a header, a byte of a mended text three and a header, each cut a header.
        assert!(heard <= 10 * said + 10 * self.pieces + 2 * LEFT_OVER, "{said} bytes became {heard}");
    }

    fn is_hixie(&self) -> bool {
        self.terms.dialect.facts().version.is_none()
    }

    /// The messages that the other side of `side` completed, as this one should hear them.
    fn expected(&self, side: Side) -> Vec<Said> {
        let said = &self.ears[side.other() as usize].said;
        let mended = |text: &[u8]| String::from_utf8_lossy(text).into_owned().into_bytes();
        if side == Side::Upstream {
            let messages = match self.terms.dialect {
                Dialect::Hixie75 | Dialect::Hixie76 => frames::hixie(said, self.terms.dialect == Dialect::Hixie76),
                _ => frames::hybi(said, true, self.terms.extensions),
            };
            let mends = self.is_hixie() || self.terms.dialect == Dialect::Hybi07;
            let messages = messages.messages().into_iter().map(|said| match said {
                Said::Text(text, marks) if mends => Said::Text(mended(&text), marks),
                said => said,
            });
            return messages.collect();
        }
        let messages = frames::hybi(said, false, self.terms.extensions).messages();
        if !self.is_hixie() {
            return messages;
        }
        let mut expected = Vec::new();
        for said in messages {
            match (said, self.terms.binary) {
                (Said::Binary(..), BinaryPolicy::Close) => break,
                (Said::Binary(..), BinaryPolicy::Drop) => {}
                (Said::Binary(bytes, _), BinaryPolicy::Base64) => {
                    expected.push(Said::Text(BASE64.encode(&bytes).into_bytes(), 0));
                }
                (Said::Binary(bytes, _), BinaryPolicy::Latin1) => {
                    expected.push(Said::Text(bytes.into_iter().map(char::from).collect::<String>().into_bytes(), 0));
                }
                (said, _) => expected.push(said),
            }
        }
        expected
    }
}

/// Both performances must have come to the same; where a rule was broken, but for closes and the message it was in.
fn compare(whole: &Talk, cut: &Talk, side: Side, broke: bool) {
    let (one, other) = (whole.heard(side), cut.heard(side));
    if broke {
        let without_close = |frames: &Frames| {
            let said = frames.said.iter().filter(|said| !matches!(said, Said::Close(..)));
            said.cloned().collect::<Vec<_>>()
        };
        assert_eq!(without_close(&one), without_close(&other), "{side}, cut otherwise");
        return;
    }
    assert_eq!(one.said, other.said, "{side}, cut otherwise");
    let begun = |frames: &Frames| frames.going_on.clone().filter(|(_, bytes, _)| !bytes.is_empty());
    assert_eq!(begun(&one), begun(&other), "{side}, cut otherwise");
    assert_eq!(whole.conversation.finish(side), cut.conversation.finish(side), "{side}, cut otherwise");
    assert_eq!(whole.conversation.cause(), cut.conversation.cause());
}
