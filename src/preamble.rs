//! The PROXY protocol, versions 1 and 2: what a front says of its client before the client's own first byte.
//!
//! By HAProxy's proxy-protocol.txt, read strictly: this is about who a client is, and whatever two readers could
//! understand differently is refused.

mod text;
mod tlv;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// §2.2: none of it is text, and its NUL and line ends stop a server that takes it for some.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, two bytes of length.
const HEAD: usize = 16;
/// The longest body of version 2 that is read. Addresses take 216 bytes at most, and what the known TLVs carry is a few
/// hundred; nobody has a reason to send more.
pub const LONGEST_BODY: usize = 4096;

/// The versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text: the addresses and no more.
    V1,
    /// Binary, with room for facts about TLS.
    V2,
}

impl Version {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the versions of the PROXY protocol are v1 and v2")
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Version, UnknownVersion> {
        [Version::V1, Version::V2].into_iter().find(|version| version.name() == text).ok_or(UnknownVersion)
    }
}

/// What a front says of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    /// The client, and the address it connected to. `None` where the front speaks for itself (LOCAL), does not know
    /// (UNKNOWN, AF_UNSPEC) or has no client on the network (AF_UNIX): the addresses of the connection hold then.
    pub source: Option<(SocketAddr, SocketAddr)>,
    /// The protocol agreed on by ALPN.
    pub alpn: Option<Vec<u8>>,
    /// The host that the client named, mostly in its ClientHello. It may hold letters beyond ASCII, but nothing that could
    /// end a name.
    pub authority: Option<String>,
    /// The front's own name for the connection.
    pub unique_id: Option<Vec<u8>>,
    /// Whether the client speaks TLS with the front.
    pub tls: Tls,
}

/// Whether the client's connection is encrypted as far as the front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// The front does not say.
    #[default]
    Unsaid,
    /// It is not.
    Plain,
    /// It is.
    Encrypted(TlsFacts),
}

/// What is known of a client's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` and its like.
    pub version: Option<String>,
    /// The cipher suite by OpenSSL's name, or whatever name the front has for it.
    pub cipher: Option<String>,
    /// The common name in the client's certificate.
    pub client_cn: Option<String>,
    /// Whether the client showed a certificate, on this connection or when the session began.
    pub client_cert: bool,
    /// Whether that certificate was verified.
    pub verified: bool,
}

/// What makes bytes no preamble, or one that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPreamble {
    /// They begin neither with `PROXY ` nor with the signature of version 2.
    NoPreamble,
    /// Version 1: no CR LF in the first 107 bytes.
    LongLine,
    /// Version 1: a CR or LF alone, or bytes that are no printable ASCII.
    Line,
    /// Version 1: neither TCP4, TCP6 nor UNKNOWN.
    Protocol,
    /// Version 1: an address that is none of its family.
    Address,
    /// Version 1: a port that is no number from 0 to 65535 without leading zeros.
    Port,
    /// Version 1: more or fewer than two addresses and two ports, or more than one blank between them.
    Parts,
    /// Version 2: a version other than 2.
    Version(u8),
    /// Version 2: neither LOCAL nor PROXY.
    Command(u8),
    /// Version 2: neither TCP over IPv4 or IPv6, a Unix stream, nor unspecified.
    Family(u8),
    /// Version 2: a body longer than anyone needs.
    LongBody(usize),
    /// Version 2: a body shorter than the addresses of its family.
    ShortBody(usize),
    /// Version 2: a TLV, of this type if it has one, is longer than what holds it.
    Overrun(Option<u8>),
    /// Version 2: a TLV of this type stands there twice.
    Repeated(u8),
    /// Version 2: a TLV of this type has a value that cannot be.
    Value(u8),
    /// Version 2: the checksum is another.
    Checksum,
}

impl fmt::Display for BadPreamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPreamble::NoPreamble => f.write_str("there is no PROXY protocol preamble"),
            BadPreamble::LongLine => f.write_str("the PROXY line is longer than 107 bytes"),
            BadPreamble::Line => f.write_str("the PROXY line is not printable text up to a CR LF"),
            BadPreamble::Protocol => f.write_str("the PROXY line names neither TCP4, TCP6 nor UNKNOWN"),
            BadPreamble::Address => f.write_str("the PROXY line has an address that is none of its family"),
            BadPreamble::Port => f.write_str("the PROXY line has a port that is no number from 0 to 65535"),
            BadPreamble::Parts => f.write_str("the PROXY line is not two addresses and two ports, a blank before each"),
            BadPreamble::Version(version) => write!(f, "version {version} of the PROXY protocol is not known"),
            BadPreamble::Command(command) => write!(f, "the PROXY preamble's command {command:#x} is not known"),
            BadPreamble::Family(family) => write!(f, "the PROXY preamble's family {family:#04x} is no stream's"),
            BadPreamble::LongBody(length) => {
                write!(f, "the PROXY preamble announces {length} bytes, more than {LONGEST_BODY}")
            }
            BadPreamble::ShortBody(length) => {
                write!(f, "the PROXY preamble announces {length} bytes, too few for its addresses")
            }
            BadPreamble::Overrun(Some(kind)) => {
                write!(f, "the PROXY preamble's TLV {kind:#04x} is longer than what holds it")
            }
            BadPreamble::Overrun(None) => f.write_str("the PROXY preamble ends within a TLV"),
            BadPreamble::Repeated(kind) => write!(f, "the PROXY preamble has two TLVs {kind:#04x}"),
            BadPreamble::Value(kind) => write!(f, "the PROXY preamble's TLV {kind:#04x} has no valid value"),
            BadPreamble::Checksum => f.write_str("the PROXY preamble's checksum is wrong"),
        }
    }
}

/// Reads the preamble at the front of `bytes` and says how many it takes; `None` asks for more, and is never said of
/// bytes that could not become one.
///
/// # Errors
/// Why it is none, or not one to believe.
pub fn read(bytes: &[u8]) -> Result<Option<(Preamble, usize)>, BadPreamble> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => text::read(bytes),
        Some(_) => read_binary(bytes),
    }
}

/// What the byte for family and transport means (§2.2), and how long the addresses are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Unspecified,
    V4,
    V6,
    Unix,
}

impl Family {
    /// §2.2 wants a receiver to treat datagrams as unspecified. They cannot be what comes over this TCP connection: a
    /// front that says so is set up for something else.
    fn of(byte: u8) -> Option<Family> {
        match byte {
            0x00 => Some(Family::Unspecified),
            0x11 => Some(Family::V4),
            0x21 => Some(Family::V6),
            0x31 => Some(Family::Unix),
            _ => None,
        }
    }

    fn length(self) -> usize {
        match self {
            Family::Unspecified => 0,
            Family::V4 => 2 * 4 + 4,
            Family::V6 => 2 * 16 + 4,
            Family::Unix => 2 * 108,
        }
    }
}

fn read_binary(bytes: &[u8]) -> Result<Option<(Preamble, usize)>, BadPreamble> {
    let here = bytes.len().min(SIGNATURE.len());
    if bytes[..here] != SIGNATURE[..here] {
        return Err(BadPreamble::NoPreamble);
    }
    let rest = &bytes[here..];
    let Some(command) = rest.first() else { return Ok(None) };
    if command >> 4 != 2 {
        return Err(BadPreamble::Version(command >> 4));
    }
    let is_local = match command & 0x0F {
        0 => true,
        1 => false,
        unknown => return Err(BadPreamble::Command(unknown)),
    };
    let Some(family) = rest.get(1) else { return Ok(None) };
    // §2.2: of a LOCAL connection the whole block is to be discarded, its family too.
    let family =
        if is_local { Family::Unspecified } else { Family::of(*family).ok_or(BadPreamble::Family(*family))? };
    let Some([high, low]) = rest.get(2..4) else {
        // The first byte of the length says already that it is too long.
        let high = usize::from(*rest.get(2).unwrap_or(&0)) << 8;
        return if high > LONGEST_BODY { Err(BadPreamble::LongBody(high)) } else { Ok(None) };
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST_BODY {
        return Err(BadPreamble::LongBody(length));
    }
    if length < family.length() {
        return Err(BadPreamble::ShortBody(length));
    }
    let Some(whole) = bytes.get(..HEAD + length) else { return Ok(None) };
    // §2.2: the receiver should ignore address information of AF_UNSPEC. As nobody knows where it ends, TLVs behind it
    // cannot be found either.
    let mut preamble = Preamble::default();
    if family != Family::Unspecified {
        preamble = tlv::read(whole, HEAD + family.length())?;
        preamble.source = addresses(family, &whole[HEAD..]);
    }
    Ok(Some((preamble, whole.len())))
}

fn addresses(family: Family, body: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let address = |at: usize| -> Option<IpAddr> {
        match family {
            Family::V4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?).into()),
            Family::V6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(body.get(at..at + 16)?).ok()?).into()),
            Family::Unspecified | Family::Unix => None,
        }
    };
    let size = if family == Family::V4 { 4 } else { 16 };
    let client = SocketAddr::new(address(0)?, port(2 * size)?);
    Some((client, SocketAddr::new(address(size)?, port(2 * size + 2)?)))
}

/// Two addresses of one family.
enum Pair {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Pair {
    /// IPv4 in the guise of IPv6 is IPv4, as a listener on `[::]` sees it. Where only one of the two is, the other
    /// puts the guise on: neither version of the protocol can mix them.
    fn of(client: IpAddr, local: IpAddr) -> Pair {
        let mapped = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        match (client.to_canonical(), local.to_canonical()) {
            (IpAddr::V4(client), IpAddr::V4(local)) => Pair::V4(client, local),
            (client, local) => Pair::V6(mapped(client), mapped(local)),
        }
    }
}

impl Preamble {
    /// A preamble that says no more than the addresses.
    pub fn of(client: SocketAddr, local: SocketAddr) -> Preamble {
        Preamble { source: Some((client, local)), ..Preamble::default() }
    }

    /// Whether the client's connection is encrypted as far as the front; `None` if it does not say.
    pub fn encrypted(&self) -> Option<bool> {
        match self.tls {
            Tls::Unsaid => None,
            Tls::Plain => Some(false),
            Tls::Encrypted(_) => Some(true),
        }
    }

    /// The preamble as it is sent. Version 1 has no words but for the addresses. Without these it is UNKNOWN or LOCAL,
    /// and says nothing else either, for its reader has to ignore it (§2.1, §2.2). What [`read`] would refuse, or what is
    /// too long to stand beside the rest, is left out.
    pub fn write(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V1 => text::write(self.source),
            Version::V2 => self.write_binary(),
        }
    }

    fn write_binary(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        let Some((client, local)) = self.source else {
            bytes.extend([0x20, 0x00, 0, 0]);
            return bytes;
        };
        bytes.push(0x21);
        let mut body = Vec::new();
        match Pair::of(client.ip(), local.ip()) {
            Pair::V4(client, local) => {
                bytes.push(0x11);
                body.extend([client.octets(), local.octets()].concat());
            }
            Pair::V6(client, local) => {
                bytes.push(0x21);
                body.extend([client.octets(), local.octets()].concat());
            }
        }
        body.extend([client.port().to_be_bytes(), local.port().to_be_bytes()].concat());
        tlv::write(self, LONGEST_BODY, &mut body);
        // `tlv::write` keeps to the limit, which fits in two bytes.
        bytes.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(body);
        bytes
    }
}
