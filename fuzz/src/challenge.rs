//! The challenge of hixie-76: which keys are good, what their numbers are and what answers them is what a second reading of
//! the rule says (digits as a decimal number, spaces counted, one divided by the other, MD5), be it asked directly or by
//! way of a handshake; and the keys that our own client makes are always good.

use hybridge::config::{Config, Upstream};
use hybridge::dialect::Dialect;
use hybridge::dialect::client::Ask;
use hybridge::dialect::hixie76::{answer, key_number};
use hybridge::dialect::terms::Expected;
use hybridge::handshake::{Received, receive};

use crate::input::Input;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let key3: [u8; 8] = std::array::from_fn(|_| input.byte());
    let bytes = input.rest();
    let mut parts = bytes.split(|byte| *byte == b'\n');
    let keys = [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()];
    for key in keys {
        assert_eq!(key_number(key).ok(), number(key), "{}", key.escape_ascii());
    }

    // Blanks and tabs around a value are none of it, and no control character may stand in one.
    let keys = keys.map(trimmed);
    let clean = keys.iter().all(|key| key.iter().all(|byte| (*byte >= b' ' || *byte == b'\t') && *byte != 0x7F));
    let head = [
        b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: h\r\nSec-WebSocket-Key1: ",
        keys[0],
        b"\r\nSec-WebSocket-Key2: ",
        keys[1],
        b"\r\n\r\n",
    ]
    .concat();
    let expected = match keys.map(number) {
        [Some(first), Some(second)] if clean => Some(digest(first, second, key3)),
        _ => None,
    };
    assert_eq!(answered(&head, key3), expected, "{}", head.escape_ascii());

    let mut numbers = bytes.chunks(4).map(|four| four.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)));
    let mut random = || numbers.next().unwrap_or(0x5A5A_5A5A);
    let ask = Ask::new(Dialect::Hixie76, "h", "/", &mut random);
    let request = ask.request();
    let (head, key3) = request.split_last_chunk().expect("it ends in the third key");
    let answer = answered(head, *key3);
    assert!(answer.is_some(), "our own client is refused: {}", request.escape_ascii());
    assert_eq!(ask.terms().proof, Expected::Digest(answer));
}

/// What a server answers to this handshake, if it takes it.
fn answered(head: &[u8], key3: [u8; 8]) -> Option<[u8; 16]> {
    let config = Config::simple(Vec::new(), Upstream::parse("ws://127.0.0.1:1").expect("a URL"));
    match receive(head, &config) {
        Received::Opening { opening, .. } => opening.challenge_answer(key3),
        _ => None,
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let inner = |byte: &u8| *byte != b' ' && *byte != b'\t';
    match (value.iter().position(inner), value.iter().rposition(inner)) {
        (Some(first), Some(last)) => &value[first..=last],
        _ => &[],
    }
}

fn number(key: &[u8]) -> Option<u32> {
    let digits: String = key.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    let spaces = key.iter().filter(|byte| **byte == b' ').count() as u64;
    let number: u64 = match digits.trim_start_matches('0') {
        "" if digits.is_empty() => return None,
        "" => 0,
        // More than ten digits are more than 32 bits.
        digits if digits.len() > 10 => return None,
        digits => digits.parse().expect("a number"),
    };
    (number <= u64::from(u32::MAX) && spaces > 0 && number.is_multiple_of(spaces)).then(|| (number / spaces) as u32)
}

fn digest(first: u32, second: u32, key3: [u8; 8]) -> [u8; 16] {
    let challenge = [&first.to_be_bytes()[..], &second.to_be_bytes(), &key3].concat();
    let digest = md5::compute(challenge).0;
    assert_eq!(answer(first, second, key3), digest);
    digest
}
