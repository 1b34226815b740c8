//! Hellos by hand, at every cut.

use super::*;

fn vector(length: usize, value: &[u8]) -> Vec<u8> {
    [&value.len().to_be_bytes()[size_of::<usize>() - length..], value].concat()
}

fn list(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, data)].concat()
}

fn name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector(2, &[&[0][..], &vector(2, name)].concat()))
}

fn versions(versions: &[u16]) -> Vec<u8> {
    extension(43, &vector(1, &list(versions)))
}

/// x25519, and RSA with SHA-256.
fn keys() -> Vec<u8> {
    [extension(10, &vector(2, &list(&[0x001D]))), extension(13, &vector(2, &list(&[0x0401])))].concat()
}

fn body(legacy: u16, suites: &[u16], extensions: Option<&[u8]>) -> Vec<u8> {
    let extensions = extensions.map_or_else(Vec::new, |extensions| vector(2, extensions));
    let random = [7; 32];
    [&legacy.to_be_bytes()[..], &random, &[0], &vector(2, &list(suites)), &[1, 0], &extensions].concat()
}

fn handshake(body: &[u8]) -> Vec<u8> {
    [&[1][..], &vector(3, body)].concat()
}

/// In records of at most so many bytes.
fn records(message: &[u8], most: usize) -> Vec<u8> {
    message.chunks(most).flat_map(|part| [&[22, 3, 1][..], &vector(2, part)].concat()).collect()
}

/// What is offered, once all is there and never before, in one record and in many, whatever follows.
#[track_caller]
fn check(body: &[u8], version: Version, server_name: Option<&str>, modern: bool) {
    let expected = Offer { version, server_name: server_name.map(str::to_owned), modern };
    for most in [LONGEST, 40, 7, 4] {
        let bytes = records(&handshake(body), most);
        for cut in 0..bytes.len() {
            assert_eq!(offered(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(offered(&bytes), Ok(Some(expected.clone())), "in records of {most}");
        assert_eq!(offered(&[&bytes[..], b"\x16\x03\x01more"].concat()), Ok(Some(expected.clone())));
    }
}

/// Refused from byte `at` on, not before.
#[track_caller]
fn refused(bytes: &[u8], at: usize, expected: NotHello) {
    for cut in 0..at {
        assert_eq!(offered(&bytes[..cut]), Ok(None), "cut at {cut}");
    }
    for cut in at..=bytes.len() {
        assert_eq!(offered(&bytes[..cut]), Err(expected), "cut at {cut}");
    }
}

const GCM: u16 = 0xC02F;
const CBC: u16 = 0x002F;

#[test]
fn the_highest_version_is_told() {
    check(&body(0x0300, &[CBC], None), Version::SSL3, None, false);
    check(&body(0x0301, &[CBC], None), Version::TLS10, None, false);
    check(&body(0x0302, &[CBC], Some(b"")), Version::TLS11, None, false);
    check(&body(0x0303, &[CBC], None), Version::TLS12, None, false);
    // Without a list of versions nobody means more than TLS 1.2.
    check(&body(0x0304, &[GCM], Some(&keys())), Version::TLS12, None, true);
    check(&body(0x03FF, &[CBC], None), Version::TLS12, None, false);
    check(
        &body(0x0303, &[GCM, 0x1301], Some(&[versions(&[0x0304, 0x0303]), keys()].concat())),
        Version::TLS13,
        None,
        true,
    );
    // The list alone counts.
    check(&body(0x0303, &[CBC], Some(&versions(&[0x0302, 0x0301]))), Version::TLS11, None, false);
    check(&body(0x0301, &[0x1301], Some(&[versions(&[0x0304]), keys()].concat())), Version::TLS13, None, true);
    // Values that are to be ignored, and drafts.
    let grease = versions(&[0xFAFA, 0x0A0A, 0x7F1C, 0x0303]);
    check(&body(0x0303, &[GCM], Some(&[grease, keys()].concat())), Version::TLS12, None, true);
    let nothing = versions(&[0x1A1A, 0x7F1C]);
    check(&body(0x0303, &[GCM], Some(&[nothing, keys()].concat())), Version::TLS12, None, false);
}

#[test]
fn modern_is_what_rustls_can_serve() {
    let modern = |suites: &[u16], extensions: &[Vec<u8>], expected: bool| {
        let extensions = extensions.concat();
        let body = body(0x0303, suites, Some(&extensions));
        assert_eq!(read(&body).unwrap().modern, expected, "{suites:04x?} {extensions:02x?}");
    };
    for suite in [0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9] {
        modern(&[CBC, suite], &[keys()], true);
        modern(&[suite], &[keys(), versions(&[0x0304, 0x0303])], false);
    }
    for suite in [0x1301, 0x1302, 0x1303] {
        modern(&[suite], &[keys(), versions(&[0x0304, 0x0303])], true);
        modern(&[suite], &[keys()], false);
    }
    // RSA without an exchange of keys, CBC, DHE, and the signals that are no suites.
    modern(&[0x002F, 0x0035, 0x009C, 0x009E, 0xC013, 0xC014, 0x00FF, 0x5600, 0x0A0A], &[keys()], false);
    let (group, signature) = (extension(10, &vector(2, &list(&[0x0017]))), extension(13, &vector(2, &list(&[0x0804]))));
    modern(&[GCM], &[group.clone(), signature.clone()], true);
    modern(&[GCM], std::slice::from_ref(&group), false);
    modern(&[GCM], std::slice::from_ref(&signature), false);
    modern(&[GCM], &[], false);
    modern(&[GCM], &[extension(10, &vector(2, &list(&[0x0019, 0x0009]))), signature], false);
    modern(&[GCM], &[group, extension(13, &vector(2, &list(&[0x0201, 0x0203])))], false);
}

#[test]
fn the_host_asked_for_is_told() {
    let told =
        |extensions: &[u8], expected| check(&body(0x0301, &[CBC], Some(extensions)), Version::TLS10, expected, false);
    told(&name(b"tv.example"), Some("tv.example"));
    told(&[extension(16, b"\0\x03\x02h2"), name(b"TV.Example"), extension(23, b"")].concat(), Some("tv.example"));
    told(&extension(0, b""), None);
    // Nobody's host.
    for odd in [&b""[..], b"a b", b"a\r\nb", b"tv.example:443", b"\xFF", b"a/b"] {
        told(&name(odd), None);
    }
    // RFC 6066 knows one type of name; others are passed over.
    told(&extension(0, &vector(2, b"\x07\0\x01x\0\0\x01y")), Some("y"));
}

#[test]
fn what_does_not_fit_together_is_malformed() {
    let check = |body: &[u8]| {
        let bytes = records(&handshake(body), LONGEST);
        refused(&bytes, bytes.len(), NotHello::Malformed);
    };
    let good = body(0x0303, &[GCM], Some(&name(b"tv.example")));
    for cut in 0..good.len() {
        // A hello may end before its extensions.
        if cut != 2 + 32 + 1 + 4 + 2 {
            check(&good[..cut]);
        }
    }
    check(&[&good[..], b"x"].concat());
    check(&body(0x0002, &[GCM], None));
    check(&body(0x0303, &[], None));
    check(&body(0x0303, &[GCM], Some(&[name(b"a"), name(b"a")].concat())));
    check(&body(0x0303, &[GCM], Some(&extension(43, b"\x03\x03\x03\x03"))));
    check(&body(0x0303, &[GCM], Some(&extension(43, b"\x02\x03\x03\x03"))));
    check(&body(0x0303, &[GCM], Some(&extension(43, b"\0"))));
    check(&body(0x0303, &[GCM], Some(&extension(0, b"\0\x04\0\0\x05a"))));
    let long_session = [&[3, 3][..], &[0; 32], &vector(1, &[0; 33]), &[0, 2, 0, 1, 1, 0]].concat();
    check(&long_session);
    refused(b"\x16\x03\x01\0\0", 5, NotHello::Malformed);
    refused(b"\x16\x03\x01\x40\x01", 5, NotHello::Malformed);
    // An empty record between two pieces.
    let mut pieces = records(&handshake(&good), 20);
    pieces.splice(25..25, [22, 3, 1, 0, 0]);
    refused(&pieces, 30, NotHello::Malformed);
}

#[test]
fn what_is_no_hello_is_foreign() {
    refused(b"GET / HTTP/1.1", 1, NotHello::Foreign);
    refused(b"\x15\x03\x01\0\x02\x02\x28", 1, NotHello::Foreign);
    refused(b"\x16\x04", 2, NotHello::Foreign);
    refused(b"\x16\x03\x01\0\x04\x02\0\0\0", 6, NotHello::Foreign);
    // An alert between two pieces.
    refused(b"\x16\x03\x01\0\x02\x01\0\x15\x03\x01", 8, NotHello::Foreign);
    refused(b"\x80\x2E\x02", 3, NotHello::Foreign);
    refused(b"\x80\x2E\x01\x02\0", 4, NotHello::Foreign);
    refused(b"\x80\x2E\x01\0\x03", 5, NotHello::Foreign);
}

#[test]
fn lengths_are_bounded() {
    // What is announced, before it comes.
    refused(b"\x16\x03\x01\x40\0\x01\0\x3F\xFD", 9, NotHello::Long);
    refused(b"\x16\x03\x01\x40\0\x01\xFF\xFF\xFF", 9, NotHello::Long);
    assert_eq!(offered(b"\x16\x03\x01\x40\0\x01\0\x3F\xFC"), Ok(None));
    refused(b"\xC0\x01\x01\x03\x01", 5, NotHello::Long);
    let longest = body(0x0303, &[GCM], Some(&extension(21, &vec![0; LONGEST - 4 - 41 - 2 - 4])));
    assert_eq!(handshake(&longest).len(), LONGEST);
    assert_eq!(offered(&records(&handshake(&longest), LONGEST)).unwrap().unwrap().version, Version::TLS12);
    assert_eq!(
        offered(&records(&handshake(&longest), LONGEST / MOST_RECORDS)).unwrap().unwrap().version,
        Version::TLS12
    );
    let crumbs = records(&handshake(&longest), 1);
    refused(&crumbs[..6 * MOST_RECORDS + 20], 6 * MOST_RECORDS, NotHello::Long);
}

#[test]
fn hellos_of_ssl2_are_told() {
    // SSL 2.0 itself, and TLS 1.0 in its clothes: length, kind, version, lengths of suites, session and challenge.
    for (version, expected) in
        [([0, 2], Version::SSL2), ([3, 0], Version::SSL3), ([3, 1], Version::TLS10), ([3, 3], Version::TLS12)]
    {
        let hello =
            [&[0x80, 0x1F, 1][..], &version, &[0, 6, 0, 0, 0, 16], &[1, 0, 0x80, 0, 0, 0x2F], &[9; 16]].concat();
        for cut in 0..hello.len() {
            assert_eq!(offered(&hello[..cut]), Ok(None), "cut at {cut}");
        }
        for behind in [&b""[..], b"more"] {
            let offer = offered(&[&hello[..], behind].concat());
            assert_eq!(offer, Ok(Some(Offer { version: expected, server_name: None, modern: false })));
        }
    }
    refused(b"\x80\x1F\x01\x03\x01\0\x05\0\0\0\x10", 11, NotHello::Malformed);
    refused(b"\x80\x1F\x01\x03\x01\0\x06\0\0\0\x11", 11, NotHello::Malformed);
    refused(b"\x80\x09\x01\x03\x01\0\0\0\0\0\0", 11, NotHello::Malformed);
}

#[test]
fn versions_have_names() {
    let named = [Version::SSL2, Version::SSL3, Version::TLS10, Version::TLS13, Version(0x7F1C)].map(|v| v.to_string());
    assert_eq!(named, ["SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.3", "version 0x7f1c"]);
    assert!(Version::SSL2 < Version::SSL3 && Version::TLS11 < Version::TLS12);
}
