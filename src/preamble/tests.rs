//! Preambles by hand, at every cut.

use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn source(client: &str, local: &str) -> Option<(SocketAddr, SocketAddr)> {
    Some((address(client), address(local)))
}

/// What is read of `bytes`, with something behind them; no shorter part may say anything but "more".
#[track_caller]
fn check(bytes: &[u8], expected: &Preamble) {
    for cut in 0..bytes.len() {
        assert_eq!(read(&bytes[..cut]), Ok(None), "cut at {cut}: {}", bytes.escape_ascii());
    }
    for behind in [&b""[..], b"GET / HTTP/1.1\r\n", bytes] {
        assert_eq!(read(&[bytes, behind].concat()), Ok(Some((expected.clone(), bytes.len()))));
    }
}

/// The bytes are refused for this, and are so from byte `at` on, not before.
#[track_caller]
fn refused(bytes: &[u8], at: usize, expected: BadPreamble) {
    for cut in 0..at {
        assert_eq!(read(&bytes[..cut]), Ok(None), "cut at {cut}: {}", bytes.escape_ascii());
    }
    for cut in at..=bytes.len() {
        assert_eq!(read(&bytes[..cut]), Err(expected), "cut at {cut}: {}", bytes.escape_ascii());
    }
}

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, body].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 203, 0, 113, 9, 0xC8, 0x22, 0x01, 0xBB];

fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    binary(0x21, 0x11, &[&V4, tlvs].concat())
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn v4() -> Preamble {
    Preamble { source: source("192.0.2.1:51234", "203.0.113.9:443"), ..Preamble::default() }
}

#[test]
fn lines_of_text_are_read() {
    let of = |client, local| Preamble { source: source(client, local), ..Preamble::default() };
    check(b"PROXY TCP4 192.0.2.1 203.0.113.9 51234 443\r\n", &v4());
    check(b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", &of("255.255.255.255:65535", "0.0.0.0:0"));
    check(b"PROXY TCP6 2001:db8::1 ::1 5 443\r\n", &of("[2001:db8::1]:5", "[::1]:443"));
    check(b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5 443\r\n", &of("[::ffff:192.0.2.1]:5", "[2001:db8::2]:443"));
    check(b"PROXY UNKNOWN\r\n", &Preamble::default());
    check(b"PROXY UNKNOWN  whatever 1 2 3 4 5\r\n", &Preamble::default());
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY UNKNOWN {full} {full} 65535 65535\r\n");
    assert_eq!(longest.len(), LONGEST_LINE);
    check(longest.as_bytes(), &Preamble::default());
}

const LONGEST_LINE: usize = 107;

#[test]
fn lines_that_are_none_are_refused_as_soon_as_they_say_so() {
    use BadPreamble::{Address, Line, LongLine, NoPreamble, Parts, Port, Protocol};
    refused(b"POST / HTTP/1.1\r\n", 2, NoPreamble);
    refused(b"PROXY\t", 6, NoPreamble);
    refused(b"PROXY  TCP4", 7, Protocol);
    refused(b"PROXY TCP5 ", 10, Protocol);
    refused(b"PROXY TCP\r\n", 11, Protocol);
    refused(b"PROXY tcp4", 7, Protocol);
    refused(b"PROXY UDP4", 8, Protocol);
    refused(b"PROXY UNKNOWNS", 14, Protocol);
    refused(b"PROXY \r\n", 8, Protocol);
    refused(b"PROXY TCP4\r\n", 12, Parts);
    refused(b"PROXY TCP4  192.0.2.1 ", 12, Parts);
    refused(b"PROXY TCP4 192.0.2.1  203.0.113.9 ", 22, Parts);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 1\r\n", 36, Parts);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 1 2 ", 37, Parts);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 1 \r\n", 37, Parts);
    refused(b"PROXY TCP4 2001:db8::1 ", 23, Address);
    refused(b"PROXY TCP6 192.0.2.1 ", 21, Address);
    refused(b"PROXY TCP4 192.0.2.01 ", 22, Address);
    refused(b"PROXY TCP4 192.0.2.256 ", 23, Address);
    refused(b"PROXY TCP6 fe80::1%eth0 ", 24, Address);
    refused(b"PROXY TCP6 [::1] ", 17, Address);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 065 ", 37, Port);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 +65 ", 37, Port);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 -65 ", 37, Port);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 65536 ", 39, Port);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 1 00\r\n", 39, Port);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 1 2\n", 37, Line);
    refused(b"PROXY TCP4 192.0.2.1 203.0.113.9 1 2\r\r", 38, Line);
    refused(b"PROXY UNKNOWN a\tb", 16, Line);
    refused(b"PROXY TCP4 192.0.2.1\xC3", 21, Line);
    refused(&[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), LONGEST_LINE - 1, LongLine);
    let late = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 92], b"\r\n".to_vec()].concat();
    assert_eq!(late.len(), LONGEST_LINE + 1);
    refused(&late, LONGEST_LINE - 1, LongLine);
}

#[test]
fn binary_preambles_are_read() {
    check(&with_tlvs(b""), &v4());
    let v6 = Preamble { source: source("[2001:db8::1]:5", "[::2]:443"), ..Preamble::default() };
    let mut body = [0; 36];
    body[..4].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    (body[15], body[31], body[33]) = (1, 2, 5);
    body[34..].copy_from_slice(&443u16.to_be_bytes());
    check(&binary(0x21, 0x21, &body), &v6);
    // No client on the network, but what is said of it stands.
    let unix = [&[0; 216][..], &tlv(AUTHORITY, b"tv.example")].concat();
    check(&binary(0x21, 0x31, &unix), &Preamble { authority: Some("tv.example".into()), ..Preamble::default() });
    // The proxy's own connections, and those of which it knows nothing: all that follows is passed over.
    check(&binary(0x20, 0x00, b""), &Preamble::default());
    check(&binary(0x20, 0x11, &[&V4[..], &tlv(AUTHORITY, b"tv.example")].concat()), &Preamble::default());
    check(&binary(0x20, 0xEE, b"\x02\xFF\xFFno TLV"), &Preamble::default());
    check(&binary(0x21, 0x00, b"\x02\xFF\xFFno TLV"), &Preamble::default());
    check(&binary(0x20, 0x00, &[0; LONGEST_BODY]), &Preamble::default());
}

const AUTHORITY: u8 = 0x02;

#[test]
fn binary_preambles_that_are_none_are_refused_as_soon_as_they_say_so() {
    use BadPreamble::{Command, Family, LongBody, NoPreamble, Overrun, ShortBody, Version};
    refused(b"\r\n\r\n\0\r\nQUIT\r", 12, NoPreamble);
    refused(b"\r\n\r\nGET", 5, NoPreamble);
    refused(b"GET /", 1, NoPreamble);
    refused(&binary(0x11, 0x11, &V4), 13, Version(1));
    refused(&binary(0x31, 0x11, &V4), 13, Version(3));
    refused(&binary(0x22, 0x11, &V4), 13, Command(2));
    // Datagrams, families nobody knows, and halves of a pair.
    for family in [0x12, 0x22, 0x32, 0x13, 0x41, 0xFF, 0x01, 0x02, 0x10, 0x20, 0x30] {
        refused(&binary(0x21, family, &[0; 216]), 14, Family(family));
    }
    refused(&binary(0x21, 0x11, &V4[..11]), 16, ShortBody(11));
    refused(&binary(0x21, 0x21, &[0; 35]), 16, ShortBody(35));
    refused(&binary(0x21, 0x31, &[0; 215]), 16, ShortBody(215));
    refused(&binary(0x20, 0x00, &[0; LONGEST_BODY + 1]), 16, LongBody(LONGEST_BODY + 1));
    assert_eq!(read(&binary(0x20, 0x00, &[0xFF; 0x2000])[..15]), Err(LongBody(0x2000)));
    for tlvs in [&b"\x04"[..], b"\x04\x00", b"\x04\x00\x00\x02"] {
        let bytes = with_tlvs(tlvs);
        refused(&bytes, bytes.len(), Overrun(None));
    }
    for tlvs in [&b"\x04\x00\x01"[..], b"\x04\xFF\xFFxx"] {
        let bytes = with_tlvs(tlvs);
        refused(&bytes, bytes.len(), Overrun(Some(4)));
    }
}

/// The TLV of HAProxy's `send-proxy-v2-ssl-cn`, as it writes it.
fn ssl(flags: u8, verify: u8) -> Vec<u8> {
    let inner = [tlv(0x21, b"TLSv1.2"), tlv(0x22, "Müller TV".as_bytes()), tlv(0x25, b"RSA2048")].concat();
    let cipher = tlv(0x23, b"ECDHE-RSA-AES128-GCM-SHA256");
    tlv(0x20, &[&[flags, 0, 0, 0, verify][..], &inner, &cipher].concat())
}

fn facts(client_cert: bool, verified: bool) -> TlsFacts {
    TlsFacts {
        version: Some("TLSv1.2".into()),
        cipher: Some("ECDHE-RSA-AES128-GCM-SHA256".into()),
        client_cn: Some("Müller TV".into()),
        client_cert,
        verified,
    }
}

#[test]
fn facts_are_read() {
    check(&with_tlvs(&tlv(0x01, b"http/1.1")), &Preamble { alpn: Some(b"http/1.1".into()), ..v4() });
    check(&with_tlvs(&tlv(AUTHORITY, b"tv.example")), &Preamble { authority: Some("tv.example".into()), ..v4() });
    let name = "m\u{fc}ller.example";
    check(&with_tlvs(&tlv(AUTHORITY, name.as_bytes())), &Preamble { authority: Some(name.into()), ..v4() });
    check(&with_tlvs(&tlv(0x05, &[0xFF; 128])), &Preamble { unique_id: Some(vec![0xFF; 128]), ..v4() });
    // NOOP, a namespace, and what nobody knows, as often as it likes.
    check(
        &with_tlvs(&[tlv(4, b"xyz"), tlv(4, b""), tlv(0x30, b"blue"), tlv(0xEA, b"\0"), tlv(0xEA, b"\0")].concat()),
        &v4(),
    );
    let tls = |tls| Preamble { tls, ..v4() };
    for (flags, verify, client_cert, verified) in
        [(1, 0, false, false), (3, 0, true, true), (5, 0, true, true), (7, 1, true, false), (0xF9, 1, false, false)]
    {
        check(&with_tlvs(&ssl(flags, verify)), &tls(Tls::Encrypted(facts(client_cert, verified))));
    }
    check(&with_tlvs(&ssl(0, 0)), &tls(Tls::Plain));
    check(&with_tlvs(&ssl(6, 0)), &tls(Tls::Plain));
    check(&with_tlvs(&tlv(0x20, &[1, 0, 0, 0, 0])), &tls(Tls::Encrypted(TlsFacts::default())));
}

#[test]
fn facts_that_cannot_be_are_refused() {
    use BadPreamble::{Checksum, Overrun, Repeated, Value};
    let check = |tlvs: &[u8], expected| {
        let bytes = with_tlvs(tlvs);
        refused(&bytes, bytes.len(), expected);
    };
    let longest = [b'a'; 256];
    let names: [&[u8]; 8] = [b"", b"tv.example/x", b"a b", b"a\r\nb", b"\xFF\xFE", b"user@tv", b"a\0", &longest];
    for name in names {
        check(&tlv(AUTHORITY, name), Value(AUTHORITY));
    }
    check(&tlv(0x01, b""), Value(1));
    check(&tlv(0x01, &longest), Value(1));
    check(&tlv(0x05, &longest[..129]), Value(5));
    check(&tlv(0x03, b"abc"), Value(3));
    check(&tlv(0x03, b"abcd"), Checksum);
    check(&tlv(0x20, &[1, 0, 0, 0]), Value(0x20));
    check(&tlv(0x20, b"\x01\0\0\0\0\x21\0"), Overrun(None));
    check(&tlv(0x20, b"\x01\0\0\0\0\x21\0\x09TLSv1.2"), Overrun(Some(0x21)));
    check(&tlv(0x20, &[&[1, 0, 0, 0, 0][..], &tlv(0x22, b"a\nb")].concat()), Value(0x22));
    check(&[ssl(1, 0), ssl(1, 0)].concat(), Repeated(0x20));
    check(&[tlv(AUTHORITY, b"a"), tlv(AUTHORITY, b"a")].concat(), Repeated(AUTHORITY));
    let twice = [&[1, 0, 0, 0, 0][..], &tlv(0x21, b"TLSv1"), &tlv(0x21, b"TLSv1.2")].concat();
    check(&tlv(0x20, &twice), Repeated(0x21));
}

#[test]
fn a_checksum_covers_every_byte() {
    // Made by a table-driven CRC-32C of its own, with the checksum's own four bytes zero.
    let mut bytes = with_tlvs(&[tlv(0x03, &[0; 4]), tlv(AUTHORITY, b"tv.example")].concat());
    bytes[31..35].copy_from_slice(&CHECKSUM);
    check(&bytes, &Preamble { authority: Some("tv.example".into()), ..v4() });
    for at in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        assert_ne!(read(&spoilt).map(|read| read.map(|(preamble, _)| preamble.source)), Ok(Some(v4().source)), "{at}");
    }
}

const CHECKSUM: [u8; 4] = [0xBA, 0xFC, 0xD3, 0x3F];

#[test]
fn what_is_written_is_what_the_specification_shows() {
    assert_eq!(v4().write(Version::V1), b"PROXY TCP4 192.0.2.1 203.0.113.9 51234 443\r\n");
    assert_eq!(Preamble::default().write(Version::V1), b"PROXY UNKNOWN\r\n");
    assert_eq!(v4().write(Version::V2), with_tlvs(b""));
    assert_eq!(Preamble::default().write(Version::V2), binary(0x20, 0x00, b""));
    let full = Preamble {
        alpn: Some(b"http/1.1".into()),
        authority: Some("tv.example".into()),
        unique_id: Some(b"id".into()),
        tls: Tls::Encrypted(TlsFacts { version: Some("TLSv1.2".into()), ..TlsFacts::default() }),
        ..v4()
    };
    let tls = [&[1, 0, 0, 0, 1][..], &tlv(0x21, b"TLSv1.2")].concat();
    let tlvs = [tlv(1, b"http/1.1"), tlv(2, b"tv.example"), tlv(5, b"id"), tlv(0x20, &tls)].concat();
    assert_eq!(full.write(Version::V2), with_tlvs(&tlvs));
    assert_eq!(full.write(Version::V1), v4().write(Version::V1));
    // Who is unknown has no facts.
    assert_eq!(Preamble { source: None, ..full }.write(Version::V2), binary(0x20, 0x00, b""));
}

#[test]
fn families_that_differ_meet_in_ipv6() {
    let line = |client, local| {
        let preamble = Preamble { source: source(client, local), ..Preamble::default() };
        let (read, _) = read(&preamble.write(Version::V2)).unwrap().unwrap();
        assert_eq!(read.write(Version::V1), preamble.write(Version::V1));
        String::from_utf8(preamble.write(Version::V1)).unwrap()
    };
    assert_eq!(line("192.0.2.1:5", "[::1]:6"), "PROXY TCP6 ::ffff:192.0.2.1 ::1 5 6\r\n");
    assert_eq!(line("[2001:db8::1]:5", "192.0.2.1:6"), "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 5 6\r\n");
    assert_eq!(line("[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.2]:6"), "PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n");
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let preamble = Preamble {
        alpn: Some(vec![b'a'; 256]),
        authority: Some("a b".into()),
        unique_id: Some(vec![0; 129]),
        tls: Tls::Encrypted(TlsFacts {
            version: Some("T\n".into()),
            client_cn: Some("c".repeat(5000)),
            cipher: Some("x".into()),
            ..TlsFacts::default()
        }),
        ..v4()
    };
    let facts = TlsFacts { cipher: Some("x".into()), ..TlsFacts::default() };
    check(&preamble.write(Version::V2), &Preamble { tls: Tls::Encrypted(facts), ..v4() });
}

#[test]
fn versions_are_named() {
    for version in [Version::V1, Version::V2] {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    assert_eq!("v3".parse::<Version>(), Err(UnknownVersion));
    assert_eq!("V1".parse::<Version>(), Err(UnknownVersion));
}
