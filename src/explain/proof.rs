//! Why a proof is wrong: the 16 bytes of hixie-76, and `Sec-WebSocket-Accept`, as servers have been seen to get them wrong.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::{Digest as _, Sha1};

use super::answer::Answer;
use super::scene::Sight;
use super::words::{count, hex, shown};
use super::{Book, Broken, Fault, Rule};
use crate::dialect::opening::Proof;
use crate::dialect::terms::{Expected, Terms};
use crate::dialect::{hixie76, hybi};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The answer to the key that stands in the RFC.
const RFC_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Takes the digest out of the judgement where it cannot be trusted: a paste, or a capture without the third key. It is
/// still looked at: where all bytes are printable they may have come through, and then they prove something.
pub(super) fn hide_digest(answer: &Answer<'_>, terms: &mut Terms, bytes: &mut Vec<u8>, book: &mut Book) {
    let head = bytes.len() - answer.after.len();
    let right = match terms.proof {
        Expected::Digest(Some(expected)) => answer.after.starts_with(&expected),
        _ => false,
    };
    if right {
        return;
    }
    let why = if answer.scene.server == Sight::Pasted { "lost by the paste" } else { "the eight bytes were not seen" };
    book.not_seen(Rule::Digest, why);
    if answer.after.len() < 16 || answer.scene.server == Sight::Pasted {
        bytes.truncate(head);
        bytes.extend_from_slice(&[0; 16]);
    }
    terms.proof = Expected::Digest(bytes[head..].first_chunk().copied());
}

/// The answer's head is right, and its 16 bytes are not all there.
pub(super) fn incomplete(answer: &Answer<'_>, book: &mut Book) -> Result<(), Broken> {
    let there = answer.after.len();
    let (asked, scene) = (answer.asked, answer.scene);
    book.passed(Rule::AnswerSubprotocol);
    if there == 0 && !scene.whole {
        book.not_seen(Rule::Digest, "the capture ends with the head");
        return Ok(());
    }
    if asked.key3.is_none() && scene.whole && there == 0 {
        let words = "my head was answered, and I sent eight bytes after it; they did not arrive, so no digest came";
        return Err(book.broken(Fault::Key3NeverCame, words));
    }
    Err(if there == 0 {
        book.broken(Fault::DigestMissing, "the head is right, and I wait for 16 bytes after it that do not come")
    } else {
        let words =
            format!("I wait for 16 bytes after the head, and {} came ({})", count(there, "byte"), hex(answer.after));
        book.broken(Fault::DigestShort, words)
    })
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    md5.finalize().into()
}

/// A key's digits as one number, and that number divided by its spaces once runs of them are collapsed.
fn misread(key: &[u8]) -> Option<(u32, Option<u32>)> {
    let digits: String = key.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    let number: u32 = digits.parse().ok()?;
    let mut collapsed = key.to_vec();
    collapsed.dedup_by(|b, a| *a == b' ' && *b == b' ');
    let spaces = u32::try_from(collapsed.iter().filter(|byte| **byte == b' ').count()).ok()?;
    Some((number, number.checked_div(spaces)))
}

/// Why the 16 bytes are wrong.
pub(super) fn digest(answer: &Answer<'_>) -> (Fault, String) {
    let asked = answer.asked;
    let sent = &answer.after[..answer.after.len().min(16)];
    let Some(Proof::Numbers(first, second)) = asked.opening.as_ref().map(|opening| opening.proof.clone()) else {
        return (Fault::DigestWrong, format!("the 16 bytes are {}", hex(sent)));
    };
    let Some(key3) = asked.key3 else {
        let words = "my eight bytes did not arrive, and the server answered a digest all the same";
        return (Fault::DigestWithoutKey3, words.into());
    };
    let right = hixie76::answer(first, second, key3);
    let compare = format!("the 16 bytes are {}, and the answer to my keys is {}", hex(sent), hex(&right));
    let is = |candidate: [u8; 16]| sent == candidate;
    if matches!(sent, [0, ..]) && answer.after.contains(&0xFF) && !is(right) && frames_first(answer.after, &right) {
        return (Fault::FrameBeforeDigest, "frames came before the 16 bytes, and I took them for the digest".into());
    }
    let text: String = right.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let begins = |text: &str| answer.after.to_ascii_lowercase().starts_with(text.to_ascii_lowercase().as_bytes());
    if begins(&text) || begins(&STANDARD.encode(right)) {
        return (
            Fault::DigestHex,
            format!("the digest came as text, \"{}\": I read 16 raw bytes", sent.escape_ascii()),
        );
    }
    let (number1, number2) = (first.to_be_bytes(), second.to_be_bytes());
    if [&b""[..], &[0; 8]].into_iter().any(|key3| is(md5(&[&number1, &number2, key3]))) {
        return (Fault::DigestWithoutKey3, format!("{compare}: the server left the eight bytes out of its MD5"));
    }
    if is(hixie76::answer(first.swap_bytes(), second.swap_bytes(), key3)) {
        return (Fault::DigestLittleEndian, format!("{compare}: the server wrote the numbers in the wrong byte order"));
    }
    if is(hixie76::answer(second, first, key3)) {
        return (Fault::DigestSwapped, format!("{compare}: the server took Key2 before Key1"));
    }
    if let (Some((raw1, collapsed1)), Some((raw2, collapsed2))) = (misread(&asked.keys[0]), misread(&asked.keys[1])) {
        if is(hixie76::answer(raw1, raw2, key3)) {
            return (Fault::DigestUndivided, format!("{compare}: the server did not divide by the spaces"));
        }
        let numbers = (collapsed1.unwrap_or(first), collapsed2.unwrap_or(second));
        let choices = [numbers, (numbers.0, second), (first, numbers.1)];
        if choices.into_iter().any(|(one, two)| is(hixie76::answer(one, two, key3))) {
            return (Fault::DigestCollapsed, format!("{compare}: the server counted each run of spaces as one"));
        }
    }
    (Fault::DigestWrong, compare)
}

/// Whether the right digest stands behind a frame.
fn frames_first(after: &[u8], right: &[u8; 16]) -> bool {
    after.windows(16).any(|window| window == right)
        || after.len() >= 3 && after[0] == 0 && after[1..16.min(after.len())].contains(&0xFF)
}

/// Why `Sec-WebSocket-Accept` is wrong.
pub(super) fn accept(answer: &Answer<'_>) -> (Fault, String) {
    let all: Vec<&[u8]> =
        answer.response.fields.iter().filter(|f| f.is("sec-websocket-accept")).map(|field| field.value).collect();
    let sent = match &all[..] {
        [sent] => *sent,
        [] => return (Fault::AcceptMissing, "I sent a key, and no Sec-WebSocket-Accept came back".into()),
        several => {
            let words = format!("{} Sec-WebSocket-Accept headers came back", several.len());
            return (Fault::AcceptTwice, words);
        }
    };
    let key = &answer.asked.key;
    let compare = format!("my key's answer is {}, and the server sent {}", hybi::accept(key), shown(sent));
    let hash = |text: &[u8]| -> [u8; 20] { Sha1::digest(text).into() };
    let with_guid = |key: &[u8], guid: &str| hash(&[key, guid.as_bytes()].concat());
    let is = |hash: [u8; 20]| STANDARD.encode(hash).as_bytes() == sent;
    let right = with_guid(key.as_bytes(), GUID);
    let text: String = right.iter().map(|byte| format!("{byte:02x}")).collect();
    if sent.eq_ignore_ascii_case(text.as_bytes()) || STANDARD.encode(&text).as_bytes() == sent {
        return (Fault::AcceptHex, format!("{compare}: that is hexadecimal"));
    }
    if is(hash(key.as_bytes())) {
        return (Fault::AcceptWithoutGuid, format!("{compare}: that is the SHA-1 of the key alone"));
    }
    if STANDARD.decode(key).is_ok_and(|raw| is(with_guid(&raw, GUID)) || is(hash(&raw))) {
        return (Fault::AcceptDecodedKey, format!("{compare}: that is the SHA-1 of the decoded key"));
    }
    let beside = [" {}", "{} ", " {} ", "{}\r", "{}\n", "{}\r\n"];
    if beside.iter().any(|form| is(with_guid(form.replace("{}", key).as_bytes(), GUID))) {
        return (Fault::AcceptBlank, format!("{compare}: that is of my key with a blank or line end beside it"));
    }
    let example = hybi::accept(RFC_KEY).as_bytes() == sent;
    let of = if example { ": that is the answer to the example in RFC 6455" } else { "" };
    (Fault::AcceptOther, format!("{compare}{of}"))
}
