//! Who a client is and what backends are told of it: a stranger's claims change nothing; whatever is claimed, what goes out
//! is one clean value for each header, with the peer at the end of every list; and a second proxy that trusts the first
//! one, and those whom that trusts, learns of the same client.

use std::net::{IpAddr, SocketAddr};

use hybridge::arrival::{Arrival, ForwardedHeader, is_claim, is_in};
use hybridge::http::{Fields, Request, head_length, is_host, is_value};
use ipnet::IpNet;

use crate::input::Input;

const PEERS: [&str; 4] = ["192.0.2.1:5000", "192.0.2.9:5001", "[2001:db8::1]:5002", "[::ffff:192.0.2.1]:5003"];
const OWN: &str = "192.0.2.2:80";

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let peer: SocketAddr = input.one_of(&PEERS).parse().expect("an address");
    let own: SocketAddr = OWN.parse().expect("an address");
    let head = [b"GET / HTTP/1.1\r\n", input.rest(), b"\r\n\r\n"].concat();
    if head_length(&head) != Ok(Some(head.len())) {
        return;
    }
    let Ok(Request { fields, .. }) = Request::parse(&head, 100) else { return };
    let trusted: Vec<IpNet> =
        ["192.0.2.1/32", "10.0.0.0/8", "2001:db8::/64"].map(|net| net.parse().expect("a network")).to_vec();
    let arrival = Arrival::new(peer, own, None);
    let (facts, bad) = arrival.facts(&fields, &trusted);
    let told = arrival.outgoing(&facts, &fields, &ForwardedHeader::ALL);
    let is_stranger = !is_in(&trusted, peer.ip());
    if is_stranger {
        assert_eq!(
            (facts.client, facts.client_port, facts.secure, &bad[..]),
            (peer.ip(), Some(peer.port()), false, &[][..])
        );
        assert_eq!((&facts.host, facts.host_port), (&None, None));
    }
    check_told(&told, arrival.client.ip(), facts.client, is_stranger);
    bad.iter().for_each(|bad| assert!(bad.to_string().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')));

    // What the next one hears. Whom nobody walks past, nobody finds.
    let mut lines: Vec<u8> = b"GET / HTTP/1.1\r\n".to_vec();
    let host = fields.only("host").ok().flatten().unwrap_or_default();
    lines.extend([b"Host: ", host, b"\r\n"].concat());
    for (name, value) in told.iter().filter(|(name, _)| *name != "Forwarded") {
        lines.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    lines.extend(b"\r\n");
    let Request { fields: heard, .. } = Request::parse(&lines, 100).expect("what goes out is well formed");
    let hops = |fields: &Fields<'_>| fields.iter().map(|f| f.value.split(|b| *b == b',').count()).sum::<usize>();
    if hops(&fields) < 50 {
        let next = Arrival::new(own, "192.0.2.3:80".parse().expect("an address"), None);
        let all = [&trusted[..], &["192.0.2.2/32".parse().expect("a network")]].concat();
        let (there, _bad) = next.facts(&heard, &all);
        assert_eq!((there.client, there.secure), (facts.client, facts.secure), "{}", lines.escape_ascii());
    }
}

fn check_told(told: &[(&'static str, Vec<u8>)], peer: IpAddr, client: IpAddr, is_stranger: bool) {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    for (name, value) in told {
        assert!(is_claim(name) && is_value(value), "{name}: {}", value.escape_ascii());
        let last = text(value).rsplit(", ").next().unwrap_or_default().to_owned();
        match *name {
            "X-Forwarded-For" => {
                assert_eq!(last, peer.to_string(), "the peer stands last");
                assert!(!is_stranger || last.as_bytes() == value);
            }
            "X-Forwarded-Proto" => assert!(matches!(&value[..], b"http" | b"https")),
            "X-Forwarded-Host" => assert!(is_host(&text(value)), "{}", text(value)),
            "X-Forwarded-Port" => assert!(text(value).parse::<u32>().is_ok(), "{}", text(value)),
            "X-Real-IP" => assert_eq!(text(value), client.to_string()),
            "Forwarded" => {
                let elements = elements(value);
                assert!(elements.last().is_some_and(|last| last.starts_with(b"for=")), "{}", text(value));
                assert!(!is_stranger || elements.len() == 1, "{}", text(value));
            }
            other => panic!("{other}"),
        }
    }
}

/// The elements of `Forwarded` (RFC 7239 §4), whose quotes all end.
fn elements(value: &[u8]) -> Vec<Vec<u8>> {
    let (mut elements, mut quoted, mut escaped) = (vec![Vec::new()], false, false);
    for byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                elements.push(Vec::new());
                continue;
            }
            _ => {}
        }
        elements.last_mut().expect("there is one").push(*byte);
    }
    assert!(!quoted && !escaped, "a quote has no end: {}", value.escape_ascii());
    elements.iter().map(|element| element.trim_ascii().to_vec()).collect()
}
