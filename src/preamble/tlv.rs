//! What version 2 of the PROXY protocol says beyond addresses: types, lengths and values (§2.2.1 to §2.2.7).

use super::{BadPreamble, Preamble, Tls, TlsFacts};

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

/// The client speaks TLS with the front.
const CLIENT_SSL: u8 = 0x01;
/// It showed a certificate on this connection.
const CLIENT_CERT_CONN: u8 = 0x02;
/// It showed one when the session began.
const CLIENT_CERT_SESS: u8 = 0x04;

/// RFC 7301 §3.1: the name of a protocol has a byte for its length.
const LONGEST_ALPN: usize = 255;
/// A host name is no longer than this (RFC 1035 §2.3.4).
const LONGEST_AUTHORITY: usize = 255;
/// §2.2.5.
const LONGEST_ID: usize = 128;

/// A TLV, and where its value stands in the whole.
struct Tlv<'a> {
    kind: u8,
    value: &'a [u8],
    at: usize,
}

/// Takes the TLV off `bytes` at `at`; `None` at their end.
fn next<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<Tlv<'a>>, BadPreamble> {
    match bytes.get(*at..) {
        None | Some([]) => Ok(None),
        Some([kind, high, low, rest @ ..]) => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let value = rest.get(..length).ok_or(BadPreamble::Overrun(Some(*kind)))?;
            let tlv = Tlv { kind: *kind, value, at: *at + 3 };
            *at += 3 + length;
            Ok(Some(tlv))
        }
        Some(_) => Err(BadPreamble::Overrun(None)),
    }
}

/// Sets what may be said once. Which of two values holds, no two readers need agree on.
fn once<T>(kind: u8, slot: &mut Option<T>, value: Option<T>) -> Result<(), BadPreamble> {
    if slot.is_some() {
        return Err(BadPreamble::Repeated(kind));
    }
    *slot = Some(value.ok_or(BadPreamble::Value(kind))?);
    Ok(())
}

/// Reads the TLVs of a whole preamble, which begin at `start`. NOOP, namespaces and what nobody knows are passed over.
pub(super) fn read(whole: &[u8], start: usize) -> Result<Preamble, BadPreamble> {
    let mut preamble = Preamble::default();
    let (mut tls, mut checked) = (None, None);
    let mut at = start;
    while let Some(Tlv { kind, value, at }) = next(whole, &mut at)? {
        match kind {
            ALPN => {
                let alpn = (1..=LONGEST_ALPN).contains(&value.len()).then(|| value.to_vec());
                once(kind, &mut preamble.alpn, alpn)?;
            }
            AUTHORITY => once(kind, &mut preamble.authority, authority(value))?,
            UNIQUE_ID => {
                let id = (value.len() <= LONGEST_ID).then(|| value.to_vec());
                once(kind, &mut preamble.unique_id, id)?;
            }
            CRC32C => {
                let sum = <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes);
                once(kind, &mut checked, sum)?;
                if checked != Some(checksum(whole, at)) {
                    return Err(BadPreamble::Checksum);
                }
            }
            SSL => once(kind, &mut tls, Some(ssl(value)?))?,
            _ => {}
        }
    }
    preamble.tls = tls.unwrap_or_default();
    Ok(preamble)
}

/// What could be a host's name, or an address. It is the client's word, which the front passes on as it came; what holds
/// a blank or a slash would be something else in a log or in a URL.
fn authority(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let fits = |c: char| c.is_alphanumeric() || (!c.is_ascii() && !c.is_control() && !c.is_whitespace());
    let plain = text.chars().all(|c| fits(c) || "-._~:[]%".contains(c));
    (plain && !text.is_empty() && text.len() <= LONGEST_AUTHORITY).then(|| text.to_owned())
}

/// §2.2.6: a byte of flags, four that are zero if the client's certificate is good, and TLVs of its own.
fn ssl(value: &[u8]) -> Result<Tls, BadPreamble> {
    let [flags, verify @ ..] = value.get(..5).ok_or(BadPreamble::Value(SSL))? else {
        return Err(BadPreamble::Value(SSL));
    };
    let mut facts = TlsFacts { client_cert: flags & (CLIENT_CERT_CONN | CLIENT_CERT_SESS) != 0, ..TlsFacts::default() };
    // HAProxy writes zero also where there was no certificate to verify.
    facts.verified = facts.client_cert && verify == [0; 4];
    let mut at = 5;
    while let Some(Tlv { kind, value, .. }) = next(value, &mut at)? {
        match kind {
            SSL_VERSION => once(kind, &mut facts.version, text(value))?,
            SSL_CN => once(kind, &mut facts.client_cn, text(value))?,
            SSL_CIPHER => once(kind, &mut facts.cipher, text(value))?,
            _ => {}
        }
    }
    Ok(if flags & CLIENT_SSL == 0 { Tls::Plain } else { Tls::Encrypted(facts) })
}

/// Text that can stand in a log line.
fn text(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control)).map(str::to_owned)
}

/// CRC-32C (Castagnoli) of the preamble, with the four bytes at `hole` taken for zero (§2.2.3).
fn checksum(whole: &[u8], hole: usize) -> u32 {
    let mut crc = u32::MAX;
    for (at, byte) in whole.iter().enumerate() {
        let byte = if (hole..hole + 4).contains(&at) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Appends a TLV if the whole stays within `most` bytes.
fn push(kind: u8, value: &[u8], most: usize, body: &mut Vec<u8>) {
    let Ok(length) = u16::try_from(value.len()) else { return };
    if body.len() + 3 + value.len() <= most {
        body.push(kind);
        body.extend(length.to_be_bytes());
        body.extend(value);
    }
}

/// Appends what the preamble says beyond addresses, as long as the body stays within `most` bytes.
pub(super) fn write(preamble: &Preamble, most: usize, body: &mut Vec<u8>) {
    if let Some(alpn) = preamble.alpn.as_deref().filter(|alpn| (1..=LONGEST_ALPN).contains(&alpn.len())) {
        push(ALPN, alpn, most, body);
    }
    if let Some(authority) = preamble.authority.as_deref().and_then(|name| authority(name.as_bytes())) {
        push(AUTHORITY, authority.as_bytes(), most, body);
    }
    if let Some(id) = preamble.unique_id.as_deref().filter(|id| id.len() <= LONGEST_ID) {
        push(UNIQUE_ID, id, most, body);
    }
    let facts = match &preamble.tls {
        Tls::Unsaid => return,
        // §2.2.6: not zero, for no certificate was verified.
        Tls::Plain => return push(SSL, &[0, 0, 0, 0, 1], most, body),
        Tls::Encrypted(facts) => facts,
    };
    // Which connection of its session the certificate came over is not known here; the first is the usual one.
    let certificate = if facts.client_cert { CLIENT_CERT_CONN | CLIENT_CERT_SESS } else { 0 };
    let mut value = vec![CLIENT_SSL | certificate, 0, 0, 0, u8::from(!(facts.client_cert && facts.verified))];
    // That there is TLS matters more than its particulars: they are what is left out if all is too long.
    let room = most.saturating_sub(body.len() + 3);
    for (kind, fact) in [(SSL_VERSION, &facts.version), (SSL_CN, &facts.client_cn), (SSL_CIPHER, &facts.cipher)] {
        if let Some(fact) = fact.as_deref().and_then(|fact| text(fact.as_bytes())) {
            push(kind, fact.as_bytes(), room, &mut value);
        }
    }
    push(SSL, &value, most, body);
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720 §B.4, and the check value of every catalogue.
        let outside = usize::MAX - 4;
        assert_eq!(checksum(b"123456789", outside), 0xE306_9283);
        assert_eq!(checksum(&[0; 32], outside), 0x8A91_36AA);
        assert_eq!(checksum(&[0xFF; 32], 28), checksum(&[&[0xFF; 28][..], &[0; 4]].concat(), outside));
    }
}
