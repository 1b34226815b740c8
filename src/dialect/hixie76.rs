//! The eight-byte challenge of hixie-76. Its frames are hixie-75's, with a closing frame.

use md5::{Digest as _, Md5};

/// Length of the third key, which follows the head unannounced, in bytes.
pub const KEY3: usize = 8;

/// Why a `Sec-WebSocket-Key1` or `-Key2` is refused (hixie-76 §5.2). Never relaxed: counting the spaces is what keeps
/// other protocols' clients from forging this handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    /// It holds no digit.
    NoDigit,
    /// It holds no space.
    NoSpace,
    /// Its number is not a multiple of its spaces.
    NotDivisible,
    /// Its number exceeds 2^32-1, which no client sends.
    TooLarge,
}

impl std::fmt::Display for BadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BadKey::NoDigit => "has no digit",
            BadKey::NoSpace => "has no space",
            BadKey::NotDivisible => "has a number that is not a multiple of its spaces",
            BadKey::TooLarge => "has a number above 4294967295",
        })
    }
}

/// The number hidden in a key: its digits, divided by its spaces (0x20 alone counts).
///
/// # Errors
/// The rule it breaks.
pub fn key_number(key: &[u8]) -> Result<u32, BadKey> {
    let mut number: Option<u32> = None;
    for digit in key.iter().filter(|byte| byte.is_ascii_digit()) {
        let longer = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u32::from(digit - b'0')));
        number = Some(longer.ok_or(BadKey::TooLarge)?);
    }
    let number = number.ok_or(BadKey::NoDigit)?;
    let spaces = key.iter().filter(|byte| **byte == b' ').count();
    let spaces = u32::try_from(spaces).ok().filter(|spaces| *spaces > 0).ok_or(BadKey::NoSpace)?;
    if number % spaces == 0 { Ok(number / spaces) } else { Err(BadKey::NotDivisible) }
}

/// The 16 bytes that answer the challenge (hixie-76 §5.2).
pub fn answer(number1: u32, number2: u32, key3: [u8; KEY3]) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(number1.to_be_bytes());
    md5.update(number2.to_be_bytes());
    md5.update(key3);
    md5.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_challenge_is_answered() {
        let check = |key1: &str, key2: &str, key3: &[u8; 8], expected: &[u8; 16]| {
            let numbers = [key1, key2].map(|key| key_number(key.as_bytes()).expect(key));
            assert_eq!(&answer(numbers[0], numbers[1], *key3), expected, "{key1}");
        };
        check("4 @1  46546xW%0l 1 5", "12998 5 Y3 1  .P00", b"^n:ds[4U", b"8jKS'y:G*Co,Wxa-");
        check(
            "18x 6]8vM;54 *(5:  {   U1]8  z [  8",
            "1_ tx7X d  <  nw  334J702) 7]o}` 0",
            b"Tm[K T2u",
            b"fQJ,fN/4F4!~K~MH",
        );
        check(
            "P388 O503D&ul7 {K%gX( %7  15",
            "1 N ?|k UT0or 3o  4 I97N 5-S3O 31",
            b"\x47\x30\x22\x2d\x5a\x3f\x47\x58",
            b"0st3Rl&q-2ZU^weu",
        );
        check("3e6b263  4 17 80", "17  9 G`ZD9   2 2b 7X 3 /r90", b"WjN}|M(6", b"n`9eBk9z$R8pOtVb");
        check(
            "1   38 wZ3f9 23O0 3l 0r",
            "27   0E 6 2  1665:< ;U 1H",
            b"\x91\x25\x3e\xd3\xa9\xe7\x6a\x88",
            b"\xb4\x9c\x6e\x40\x53\x04\x04\x26\xe5\x1b\xbf\x6c\xb7\x9f\x1d\xf9",
        );
        check(
            "4 @1  46546xW%0l 1 5",
            "12998 5 Y3 1  .P00",
            b"aaaaaaaa",
            b"\xca\x34\x00\xd8\xa5\x08\x47\x97\x2c\xd5\x71\x5a\xba\xbf\x43\x7b",
        );
        check(
            "134  8|4 8 RM E* Z29* 4 4",
            "2   9 ,  14 826  ]4 ~ 4 8",
            b"\x87\x90\xdc\x28\x9c\x61\x4f\xbb",
            b"\x9b\x72\xbc\x61\x4e\x35\x4b\xad\xc5\xe4\x0a\x2e\x70\x7f\xce\x9f",
        );
        check(
            "5#6u}35MJ)ubI7C41~5 3",
            "h421 2271_71 G 0",
            b"\x00\xff\r\n\r\n\xff\x00",
            b"\xaa\xb0\x90\x48\x4c\x9f\xd4\x4a\xa2\x52\x36\x25\x02\x2c\x65\x8c",
        );
        check(
            "a 0b",
            "x 4294967295y",
            b"\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff",
            b"\xf5\x68\x64\x62\xda\xb4\x30\xbe\x86\x80\x91\xaa\x4f\x27\x30\x11",
        );
    }

    #[test]
    fn every_forged_key_is_refused() {
        let check = |key: &str, expected| assert_eq!(key_number(key.as_bytes()), Err(expected), "{key}");
        check("nospaces123", BadKey::NoSpace);
        check("1\t2", BadKey::NoSpace);
        check("12998 5 Y3 1.P00", BadKey::NotDivisible);
        check("2 L785 8o% s9Sy9@V. 4<1P5", BadKey::NotDivisible);
        check("x4294967296 y", BadKey::TooLarge);
        check("8589934590  z", BadKey::TooLarge);
        check("1 99999999999999999999999999999999999999999999", BadKey::TooLarge);
        check("a b", BadKey::NoDigit);
        check("", BadKey::NoDigit);
    }
}
