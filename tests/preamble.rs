//! PROXY preambles: what is written is read again, any bytes are borne, and another reader agrees.
//!
//! The other reader is the crate `ppp`. Where ours is stricter, `stricter_by` says by which rule; where no rule is named,
//! both must say the same of the same bytes.

use std::net::{IpAddr, SocketAddr};

use hybridge::preamble::{BadPreamble, LONGEST_BODY, Preamble, Tls, TlsFacts, Version, read};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<[u8; 4]>().prop_map(|bytes| IpAddr::V6(std::net::Ipv4Addr::from(bytes).to_ipv6_mapped())),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn tls() -> impl Strategy<Value = Tls> {
    let text = || option::of("[ -~äß漢]{0,40}");
    let facts = (text(), text(), text(), any::<bool>(), any::<bool>());
    let facts = facts.prop_map(|(version, cipher, client_cn, client_cert, verified)| TlsFacts {
        version,
        cipher,
        client_cn,
        client_cert,
        verified: verified && client_cert,
    });
    prop_oneof![Just(Tls::Unsaid), Just(Tls::Plain), facts.prop_map(Tls::Encrypted)]
}

fn preamble() -> impl Strategy<Value = Preamble> {
    let source = option::weighted(0.9, (address(), address()));
    let alpn = option::of(vec(any::<u8>(), 1..40));
    let id = option::of(vec(any::<u8>(), 0..=128));
    (source, alpn, option::of("[a-z0-9.-]{1,80}"), id, tls())
        .prop_map(|(source, alpn, authority, unique_id, tls)| Preamble { source, alpn, authority, unique_id, tls })
}

fn version() -> impl Strategy<Value = Version> {
    select(&[Version::V1, Version::V2][..])
}

/// The preamble as its version can say it, addresses in the form in which they are compared.
fn said(preamble: &Preamble, version: Version) -> Preamble {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let source = preamble.source.map(|(client, local)| (canonical(client), canonical(local)));
    match (version, source) {
        (Version::V2, Some(_)) => Preamble { source, ..preamble.clone() },
        _ => Preamble { source, ..Preamble::default() },
    }
}

/// A type, length and value, its length now and then a lie.
fn tlv() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![select(&[1, 2, 3, 4, 5, 0x20, 0x21, 0x30, 0xEA][..]), any::<u8>()];
    let value = prop_oneof![vec(any::<u8>(), 0..12), "[a-z.]{0,12}".prop_map(String::into_bytes)];
    let lie = prop_oneof![9 => Just(0), 1 => any::<u16>()];
    (kind, value, lie).prop_map(|(kind, value, lie)| {
        let length = u16::try_from(value.len()).unwrap().wrapping_add(lie).to_be_bytes();
        [&[kind][..], &length, &value].concat()
    })
}

/// A binary preamble with every command, family and length there could be.
fn any_binary() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![8 => Just(0x21), 3 => Just(0x20), 1 => any::<u8>()];
    let family = prop_oneof![6 => select(&[0x11, 0x21, 0x31, 0x00][..]), 1 => select(&[0x01, 0x10, 0x12, 0x30][..]), 1 => any::<u8>()];
    let wrong = prop_oneof![9 => Just(0), 1 => any::<u16>()];
    (command, family, vec(any::<u8>(), 216), vec(tlv(), 0..5), wrong).prop_map(
        |(command, family, addresses, tlvs, wrong)| {
            let length = match family >> 4 {
                1 => 12,
                2 => 36,
                3 => 216,
                _ => 0,
            };
            let body = [&addresses[..length], &tlvs.concat()].concat();
            let length = u16::try_from(body.len()).unwrap().wrapping_add(wrong).to_be_bytes();
            [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, &body].concat()
        },
    )
}

/// Lines that are nearly right.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let protocol = select(&["TCP4", "TCP6", "UNKNOWN", "TCP", "UDP4", "tcp4", ""][..]);
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|bytes| IpAddr::from(bytes).to_string()),
        any::<[u8; 16]>().prop_map(|bytes| IpAddr::from(bytes).to_string()),
        "[0-9a-f:.]{0,10}",
    ];
    let port = prop_oneof![4 => any::<u16>().prop_map(|port| port.to_string()), 1 => "[+0-9]{0,6}"];
    let blank = prop_oneof![20 => Just(" "), 1 => Just("  "), 1 => Just("\t"), 1 => Just("")];
    let end = prop_oneof![9 => Just("\r\n"), 1 => select(&["\n", "\r", "", " \r\n", "\r\r\n"][..])];
    (protocol, vec(ip, 2), vec(port, 2), vec(blank, 5), end).prop_map(|(protocol, ips, ports, blanks, end)| {
        let parts = [protocol, &ips[0], &ips[1], &ports[0], &ports[1]];
        let rest: String = blanks.iter().zip(parts).map(|(blank, part)| format!("{blank}{part}")).collect();
        format!("PROXY{rest}{end}").into_bytes()
    })
}

/// Right lines but for one thing: how a port is written.
fn any_port() -> impl Strategy<Value = Vec<u8>> {
    let port = || ("[+0-]?", any::<u16>()).prop_map(|(sign, port)| format!("{sign}{port}"));
    (any::<[u8; 16]>(), port(), port()).prop_map(|(ip, from, to)| {
        let ip = std::net::Ipv6Addr::from(ip);
        format!("PROXY TCP6 {ip} {ip} {from} {to}\r\n").into_bytes()
    })
}

/// Bytes changed, taken away and put in.
fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (bytes, vec((any::<Index>(), 0..3, any::<u8>()), 0..4)).prop_map(|(mut bytes, changes)| {
        for (at, how, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

fn any_preamble() -> impl Strategy<Value = Vec<u8>> {
    let written = (preamble(), version()).prop_map(|(preamble, version)| preamble.write(version));
    prop_oneof![mutated(written), any_binary(), mutated(any_binary()), any_line(), any_port(), mutated(any_line())]
}

/// What both readers can be asked: the addresses, and each TLV's type and value, and how many bytes it took.
#[derive(Debug, PartialEq)]
struct Heard {
    source: Option<(SocketAddr, SocketAddr)>,
    alpn: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    unique_id: Option<Vec<u8>>,
    /// Whether there is TLS; version, common name, cipher.
    tls: Option<(bool, [Option<Vec<u8>>; 3])>,
    taken: usize,
}

fn ours(preamble: Preamble, taken: usize) -> Heard {
    let bytes = |text: Option<String>| text.map(String::into_bytes);
    let tls = match preamble.tls {
        Tls::Unsaid => None,
        Tls::Plain => Some((false, [None, None, None])),
        Tls::Encrypted(facts) => Some((true, [facts.version, facts.client_cn, facts.cipher].map(bytes))),
    };
    let Preamble { source, alpn, authority, unique_id, .. } = preamble;
    Heard { source, alpn, authority: bytes(authority), unique_id, tls, taken }
}

/// The first TLV of a type among those `ppp` finds.
fn value(tlvs: &ppp::v2::TypeLengthValues<'_>, kind: u8) -> Option<Vec<u8>> {
    tlvs.filter_map(Result::ok).find(|tlv| tlv.kind == kind).map(|tlv| tlv.value.to_vec())
}

fn theirs_v2(header: ppp::v2::Header<'_>) -> Heard {
    use ppp::v2::Addresses;
    let tlvs = header.tlvs();
    let taken = header.len();
    // `ppp` leaves it to its user to discard what a LOCAL preamble says.
    if header.command == ppp::v2::Command::Local {
        return Heard { source: None, alpn: None, authority: None, unique_id: None, tls: None, taken };
    }
    let source = match header.addresses {
        Addresses::IPv4(pair) => Some((
            SocketAddr::from((pair.source_address, pair.source_port)),
            SocketAddr::from((pair.destination_address, pair.destination_port)),
        )),
        Addresses::IPv6(pair) => Some((
            SocketAddr::from((pair.source_address, pair.source_port)),
            SocketAddr::from((pair.destination_address, pair.destination_port)),
        )),
        Addresses::Unix(_) | Addresses::Unspecified => None,
    };
    let tls = value(&tlvs, 0x20).map(|ssl| {
        if ssl[0] & 1 == 0 {
            return (false, [None, None, None]);
        }
        let inner = ppp::v2::TypeLengthValues::from(&ssl[5..]);
        (true, [0x21, 0x22, 0x23].map(|kind| value(&inner, kind)))
    });
    Heard { source, alpn: value(&tlvs, 1), authority: value(&tlvs, 2), unique_id: value(&tlvs, 5), tls, taken }
}

fn theirs_v1(header: ppp::v1::Header<'_>) -> Heard {
    use ppp::v1::Addresses;
    let source = match header.addresses {
        Addresses::Tcp4(pair) => Some((
            SocketAddr::from((pair.source_address, pair.source_port)),
            SocketAddr::from((pair.destination_address, pair.destination_port)),
        )),
        Addresses::Tcp6(pair) => Some((
            SocketAddr::from((pair.source_address, pair.source_port)),
            SocketAddr::from((pair.destination_address, pair.destination_port)),
        )),
        Addresses::Unknown => None,
    };
    Heard { source, alpn: None, authority: None, unique_id: None, tls: None, taken: header.header.len() }
}

/// The rule by which ours refuses what `ppp` takes, if there is one for these bytes, and the refusal it must be.
fn stricter_by(bytes: &[u8], refusal: BadPreamble) -> Option<&'static str> {
    use BadPreamble::{Checksum, Family, Line, LongBody, Overrun, Port, Repeated, Value};
    let text = |bytes: &[u8]| bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    let line = || bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    match refusal {
        // A `+`, which Rust's parser of numbers takes and the specification does not.
        Port => line().contains(&b'+').then_some("ports have no sign"),
        Line => (!text(line())).then_some("a line is printable ASCII, after UNKNOWN too"),
        Family(family) => (![0x00, 0x11, 0x21, 0x31].contains(&family)).then_some("streams, and whole pairs only"),
        LongBody(length) => (length > LONGEST_BODY).then_some("nobody sends so much"),
        // `ppp` reads TLVs only when asked, and their values never.
        Overrun(_) => Some("TLVs end where their holder ends"),
        Repeated(_) => Some("what is said once is said once"),
        Value(_) => Some("values are what they claim to be"),
        Checksum => Some("a checksum is checked"),
        _ => None,
    }
}

/// Whether the TLVs `ppp` found are what the rules of `stricter_by` on TLVs say of them.
fn tlvs_break(refusal: BadPreamble, header: &ppp::v2::Header<'_>) -> bool {
    let tlvs: Vec<_> = header.tlvs().collect();
    // Of every TLV of TLS: what is wrong in a second one may be said before that it is a second one.
    let of_tls = tlvs.iter().flatten().filter(|tlv| tlv.kind == 0x20 && tlv.value.len() >= 5);
    let inner: Vec<_> = of_tls
        .flat_map(|tlv| ppp::v2::TypeLengthValues::from(&tlv.value[5..]).map(|tlv| tlv.map(|tlv| tlv.to_owned())))
        .collect();
    let all = || tlvs.iter().chain(&inner);
    let count = |kind: u8| all().flatten().filter(|tlv| tlv.kind == kind).count();
    match refusal {
        BadPreamble::Overrun(_) => all().any(Result::is_err),
        BadPreamble::Repeated(kind) => count(kind) > 1,
        BadPreamble::Value(kind) => {
            all().flatten().filter(|tlv| tlv.kind == kind).any(|tlv| is_wrong(kind, &tlv.value))
        }
        BadPreamble::Checksum => count(0x03) > 0,
        _ => true,
    }
}

/// Whether a value is one that its type cannot have.
fn is_wrong(kind: u8, value: &[u8]) -> bool {
    let text = std::str::from_utf8(value);
    let is_text = text.is_ok_and(|text| !text.chars().any(|c| c.is_control()));
    // What no host's name or address has; beyond ASCII, only blanks.
    let odd = |c: char| c.is_whitespace() || (c.is_ascii_punctuation() && !"-._~:[]%".contains(c));
    match kind {
        0x01 => value.is_empty() || value.len() > 255,
        0x02 => value.is_empty() || value.len() > 255 || !is_text || text.is_ok_and(|text| text.contains(odd)),
        0x03 => value.len() != 4,
        0x05 => value.len() > 128,
        0x20 => value.len() < 5,
        _ => !is_text,
    }
}

fn both_agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    if bytes.starts_with(b"P") {
        let theirs = ppp::v1::Header::try_from(bytes).ok();
        return agree(bytes, theirs, theirs_v1);
    }
    let theirs = ppp::v2::Header::try_from(bytes).ok();
    if let (Err(refusal), Some(header)) = (read(bytes), &theirs) {
        prop_assert!(tlvs_break(refusal, header), "{refusal}: not so: {}", bytes.escape_ascii());
    }
    agree(bytes, theirs, theirs_v2)
}

fn agree<H>(bytes: &[u8], theirs: Option<H>, heard: fn(H) -> Heard) -> Result<(), TestCaseError> {
    match (read(bytes), theirs) {
        (Ok(Some((preamble, taken))), Some(theirs)) => prop_assert_eq!(ours(preamble, taken), heard(theirs)),
        (Ok(None) | Err(_), None) => {}
        (Err(refusal), Some(_)) => {
            prop_assert!(stricter_by(bytes, refusal).is_some(), "{refusal}, by no rule: {}", bytes.escape_ascii());
        }
        (found, theirs) => {
            let theirs = if theirs.is_some() { "takes it" } else { "does not" };
            prop_assert!(looser_by(bytes).is_some(), "{found:?}, ppp {theirs}: {}", bytes.escape_ascii());
        }
    }
    Ok(())
}

/// The rule by which ours takes what `ppp` refuses.
fn looser_by(bytes: &[u8]) -> Option<&'static str> {
    let is_local = bytes.get(12) == Some(&0x20);
    // §2.2: of a LOCAL connection the whole block is to be discarded, its family too.
    let local = is_local.then_some("the family of a LOCAL preamble is ignored");
    // §2.1: so is all that follows UNKNOWN; `ppp` wants no more than five parts there.
    local.or(bytes.starts_with(b"PROXY UNKNOWN ").then_some("whatever follows UNKNOWN is ignored"))
}

/// How preambles begin, and how they do not.
const LEADS: [&[u8]; 3] = [b"", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_written_is_read_again(preamble in preamble(), version in version(), behind in vec(any::<u8>(), 0..20)) {
        let bytes = preamble.write(version);
        let (found, taken) = read(&[&bytes[..], &behind].concat()).unwrap().unwrap();
        prop_assert_eq!(taken, bytes.len());
        prop_assert_eq!(said(&found, version), said(&preamble, version));
        prop_assert_eq!(found.write(version), bytes);
    }

    #[test]
    fn a_verdict_never_changes(bytes in any_preamble(), cut in any::<Index>()) {
        let cut = cut.index(bytes.len() + 1);
        // What makes bytes no preamble may be said in other words once there are more of them.
        match read(&bytes[..cut]) {
            Ok(None) => {}
            Ok(Some(found)) => prop_assert_eq!(read(&bytes), Ok(Some(found))),
            Err(_) => prop_assert!(read(&bytes).is_err()),
        }
    }

    #[test]
    fn any_bytes_are_borne(bytes in vec(any::<u8>(), 0..300), lead in select(&LEADS[..])) {
        let bytes = [lead, &bytes].concat();
        if let Ok(Some((_, taken))) = read(&bytes) {
            prop_assert!(taken <= bytes.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn another_reader_agrees(bytes in any_preamble()) {
        both_agree(&bytes)?;
    }
}
