//! What a TLS client offers in its ClientHello, read off the first bytes of a connection.
//!
//! Nothing is negotiated here. It is asked whether the library that ends TLS on this side could serve the client, before
//! it gets a byte: devices of these dialects' years often stop at TLS 1.0, or know only suites that it has given up.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::http;

/// The longest ClientHello that is read. Browsers send 2 KiB at most, keys of post-quantum exchanges included.
pub const LONGEST: usize = 16 * 1024;
/// The most records it may come in. OpenSSL and those who hide names from middleboxes cut it in a few.
const MOST_RECORDS: usize = 64;
/// RFC 8446 §5.1: the most bytes in a record.
const LONGEST_RECORD: usize = 1 << 14;

/// A version of SSL or TLS, as it stands on the wire. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// SSL 2.0.
    pub const SSL2: Version = Version(0x0002);
    /// SSL 3.0.
    pub const SSL3: Version = Version(0x0300);
    /// TLS 1.0.
    pub const TLS10: Version = Version(0x0301);
    /// TLS 1.1.
    pub const TLS11: Version = Version(0x0302);
    /// TLS 1.2.
    pub const TLS12: Version = Version(0x0303);
    /// TLS 1.3.
    pub const TLS13: Version = Version(0x0304);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Version::SSL2 => f.write_str("SSL 2.0"),
            Version::SSL3 => f.write_str("SSL 3.0"),
            Version(tls @ 0x0301..=0x0304) => write!(f, "TLS 1.{}", tls - 0x0301),
            Version(other) => write!(f, "version {other:#06x}"),
        }
    }
}

/// What a client offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The highest version that it speaks.
    pub version: Version,
    /// The host that it asks for (RFC 6066 §3), if it names one that could be.
    pub server_name: Option<String>,
    /// Whether rustls with `ring` can serve it: TLS 1.2 or 1.3, and of that version's suites, groups and signatures at
    /// least one that it has. A server whose only key is of the other kind than the client's suites want, RSA or ECDSA,
    /// cannot for all that.
    pub modern: bool,
}

/// The bytes are no ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHello {
    /// Not the beginning of a TLS or SSLv2 handshake.
    Foreign,
    /// One that is longer, or in more records, than anyone's.
    Long,
    /// One whose lengths do not fit into each other.
    Malformed,
}

impl fmt::Display for NotHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotHello::Foreign => "not a TLS ClientHello",
            NotHello::Long => "a TLS ClientHello longer than 16 KiB, or in more than 64 records",
            NotHello::Malformed => "a malformed TLS ClientHello",
        })
    }
}

/// What the ClientHello at the front of `bytes` offers; `None` asks for more. At most [`LONGEST`] bytes and the heads of
/// their records are ever asked for.
///
/// # Errors
/// There is none, as soon as that is certain.
pub fn offered(bytes: &[u8]) -> Result<Option<Offer>, NotHello> {
    match bytes {
        [] => Ok(None),
        [0x80..=0xFF, ..] => ssl2(bytes),
        _ => match message(bytes)? {
            Some(hello) => read(&hello).ok_or(NotHello::Malformed).map(Some),
            None => Ok(None),
        },
    }
}

/// SSLv2 §1.2, RFC 5246 §E.2: two bytes of length with the top bit set, and a hello whose three parts fill it.
fn ssl2(bytes: &[u8]) -> Result<Option<Offer>, NotHello> {
    const HEAD: usize = 9;
    match bytes.get(2..bytes.len().min(5)).unwrap_or_default() {
        [] | [1] | [1, 0 | 3] => return Ok(None),
        [1, 0, 2] | [1, 3, _] => {}
        _ => return Err(NotHello::Foreign),
    }
    let number = |at: usize| bytes.get(at..at + 2).map(|two| usize::from(u16::from_be_bytes([two[0], two[1]])));
    let (Some(length), Some(version)) = (number(0), number(3)) else { return Ok(None) };
    let length = length & 0x7FFF;
    if length > LONGEST {
        return Err(NotHello::Long);
    }
    let (Some(suites), Some(session), Some(challenge)) = (number(5), number(7), number(9)) else { return Ok(None) };
    if !suites.is_multiple_of(3) || suites == 0 || HEAD + suites + session + challenge != length {
        return Err(NotHello::Malformed);
    }
    if bytes.len() < 2 + length {
        return Ok(None);
    }
    // It may offer any version, but rustls reads no such hello.
    let version = Version(u16::try_from(version).unwrap_or_default()).min(Version::TLS12);
    Ok(Some(Offer { version, server_name: None, modern: false }))
}

/// The ClientHello's body, put together from the records it came in (RFC 8446 §4, §5.1).
fn message(bytes: &[u8]) -> Result<Option<Vec<u8>>, NotHello> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let mut hello: Vec<u8> = Vec::new();
    let mut rest = bytes;
    for _ in 0..MOST_RECORDS {
        // The second byte of a record's version is to be ignored.
        match rest {
            [] | [HANDSHAKE] | [HANDSHAKE, 3] => return Ok(None),
            [HANDSHAKE, 3, ..] => {}
            _ => return Err(NotHello::Foreign),
        }
        let Some([high, low]) = rest.get(3..5) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > LONGEST_RECORD {
            return Err(NotHello::Malformed);
        }
        let here = &rest[5..rest.len().min(5 + length)];
        hello.extend(here);
        if hello.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(NotHello::Foreign);
        }
        if let [_, a, b, c, ..] = hello[..] {
            let whole = 4 + usize::from(a) * 0x1_0000 + usize::from(b) * 0x100 + usize::from(c);
            if whole > LONGEST {
                return Err(NotHello::Long);
            }
            if hello.len() >= whole {
                return Ok(Some(hello[4..whole].to_vec()));
            }
        }
        if here.len() < length {
            return Ok(None);
        }
        rest = &rest[5 + length..];
    }
    Err(NotHello::Long)
}

/// The client's part of a hello (RFC 8446 §4.1.2), as far as it is asked about.
#[derive(Default)]
struct Hello<'a> {
    legacy: u16,
    suites: &'a [u8],
    server_name: Option<String>,
    versions: Option<&'a [u8]>,
    groups: &'a [u8],
    signatures: &'a [u8],
}

fn read(body: &[u8]) -> Option<Offer> {
    let mut input = body;
    let mut hello = Hello { legacy: number(take(&mut input, 2)?), ..Hello::default() };
    if hello.legacy < Version::SSL3.0 {
        return None;
    }
    let _random = take(&mut input, 32)?;
    let session = vector(&mut input, 1)?;
    hello.suites = pairs(vector(&mut input, 2)?)?;
    let compressions = vector(&mut input, 1)?;
    if session.len() > 32 || compressions.is_empty() {
        return None;
    }
    // Before TLS 1.2 a hello may end here.
    if !input.is_empty() {
        let extensions = vector(&mut input, 2)?;
        extend(&mut hello, extensions).filter(|()| input.is_empty())?;
    }
    let version = hello.version();
    Some(Offer { version, modern: hello.is_modern(version), server_name: hello.server_name })
}

/// Reads the extensions that matter here.
fn extend<'a>(hello: &mut Hello<'a>, mut extensions: &'a [u8]) -> Option<()> {
    const SERVER_NAME: u16 = 0;
    const SUPPORTED_GROUPS: u16 = 10;
    const SIGNATURE_ALGORITHMS: u16 = 13;
    const SUPPORTED_VERSIONS: u16 = 43;
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let kind = number(take(&mut extensions, 2)?);
        let mut data = vector(&mut extensions, 2)?;
        // RFC 8446 §4.2: not two of a type. Two readers could heed different ones.
        if seen.contains(&kind) {
            return None;
        }
        match kind {
            SERVER_NAME => hello.server_name = server_name(data)?,
            SUPPORTED_GROUPS => hello.groups = pairs(vector(&mut data, 2)?).filter(|_| data.is_empty())?,
            SIGNATURE_ALGORITHMS => hello.signatures = pairs(vector(&mut data, 2)?).filter(|_| data.is_empty())?,
            SUPPORTED_VERSIONS => hello.versions = Some(pairs(vector(&mut data, 1)?).filter(|_| data.is_empty())?),
            _ => continue,
        }
        seen.push(kind);
    }
    Some(())
}

/// RFC 6066 §3: the name of type `host_name`, if it is one. An empty extension names nobody.
fn server_name(mut data: &[u8]) -> Option<Option<String>> {
    if data.is_empty() {
        return Some(None);
    }
    let mut list = vector(&mut data, 2).filter(|_| data.is_empty())?;
    let mut found = None;
    while !list.is_empty() {
        let is_host = take(&mut list, 1)? == [0];
        let Some(name) = vector(&mut list, 2) else {
            // Names of other types should begin with their length as well; rustls passes over those that do not.
            if is_host {
                return None;
            }
            break;
        };
        if is_host && found.is_none() {
            let text = std::str::from_utf8(name).ok();
            found = text.filter(|name| name.len() <= 255 && !name.contains(':') && http::is_host(name));
        }
    }
    Some(found.map(str::to_ascii_lowercase))
}

impl Hello<'_> {
    /// RFC 8446 §4.2.1: where there is a list of versions it alone counts, but for the values that are there only to be
    /// ignored (RFC 8701) and those nobody knows. Without one, no more than TLS 1.2 is meant.
    fn version(&self) -> Version {
        let legacy = Version(self.legacy).min(Version::TLS12);
        let known = numbers(self.versions.unwrap_or_default()).filter(|version| (0x0300..=0x0304).contains(version));
        known.max().map_or(legacy, Version)
    }

    fn is_modern(&self, version: Version) -> bool {
        // rustls takes TLS 1.3 if that is offered, and then nothing less will do.
        let suites: &[u16] = match version {
            Version::TLS13 => &[0x1301, 0x1302, 0x1303],
            Version::TLS12 if self.versions.is_none_or(|list| numbers(list).any(|offered| offered == version.0)) => {
                &[0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9]
            }
            _ => return false,
        };
        // secp256r1, secp384r1, x25519. Without the list rustls does not guess.
        const GROUPS: [u16; 3] = [0x0017, 0x0018, 0x001D];
        // RSA (PKCS #1 and PSS) and ECDSA with SHA-256 and longer, Ed25519; none with SHA-1.
        const SIGNATURES: [u16; 9] = [0x0401, 0x0501, 0x0601, 0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0807];
        let any = |list: &[u8], known: &[u16]| numbers(list).any(|offered| known.contains(&offered));
        any(self.suites, suites) && any(self.groups, &GROUPS) && any(self.signatures, &SIGNATURES)
    }
}

/// Takes so many bytes off the front.
fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

/// Takes a vector whose length stands in so many bytes before it (RFC 8446 §3.4).
fn vector<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let length = take(input, length)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    take(input, length)
}

/// A list of two-byte values, not an empty one.
fn pairs(list: &[u8]) -> Option<&[u8]> {
    (!list.is_empty() && list.len().is_multiple_of(2)).then_some(list)
}

fn number(two: &[u8]) -> u16 {
    two.iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
}

fn numbers(list: &[u8]) -> impl Iterator<Item = u16> {
    list.chunks_exact(2).map(number)
}
