//! Who is believed what: a row for each way in which fronts, and those who would like to be one, speak.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::http::Request;

fn networks(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|network| network.parse().unwrap()).collect()
}

fn trusted() -> Vec<IpNet> {
    networks(&["10.0.0.0/8", "2001:db8:f::/48", "127.0.0.1/32"])
}

fn arrival(client: &str) -> Arrival {
    Arrival::new(SocketAddr::new(client.parse().unwrap(), 4711), "192.0.2.80:80".parse().unwrap(), None)
}

fn head(lines: &str) -> Vec<u8> {
    let lines: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    format!("GET / HTTP/1.1\r\nHost: tv.example\r\n{lines}\r\n").into_bytes()
}

fn parse(head: &[u8]) -> Request<'_> {
    Request::parse(head, 200).unwrap_or_else(|bad| panic!("{bad}: {}", head.escape_ascii()))
}

/// Who the client is, its URL's scheme and authority, and the headers whose claims are ignored.
#[track_caller]
fn check(arrival: &Arrival, lines: &str, client: &str, url: &str, ignored: &[&str]) {
    let head = head(lines);
    let (facts, bad) = arrival.facts(&parse(&head).fields, &trusted());
    let heard = format!("{}://{}", facts.scheme(), facts.authority("tv.example"));
    let bad: Vec<&str> = bad.iter().map(|bad| bad.header).collect();
    assert_eq!((facts.client.to_string().as_str(), heard.as_str(), &bad[..]), (client, url, ignored), "{lines}");
}

const FRONT: &str = "10.0.0.1";
const STRANGER: &str = "203.0.113.7";

#[test]
fn strangers_are_believed_nothing() {
    let all = "X-Forwarded-For: 198.51.100.1
        X-Forwarded-Proto: https
        X-Forwarded-Host: bank.example
        X-Forwarded-Port: 8443
        X-Real-IP: 198.51.100.2
        Forwarded: for=198.51.100.3;proto=https;host=bank.example";
    check(&arrival(STRANGER), all, STRANGER, "ws://tv.example", &[]);
    check(&arrival("2001:db8::1"), all, "2001:db8::1", "ws://tv.example", &[]);
    check(&arrival(STRANGER), "X-Forwarded-For: garbage\nForwarded: =\"", STRANGER, "ws://tv.example", &[]);
}

#[test]
fn a_front_names_its_client() {
    let front = arrival(FRONT);
    let row = |lines: &str, client: &str| check(&front, lines, client, "ws://tv.example", &[]);
    row("", FRONT);
    row("X-Forwarded-For: 198.51.100.1", "198.51.100.1");
    row("X-Forwarded-For: 198.51.100.1:4711", "198.51.100.1");
    row("X-Forwarded-For: 2001:db8::1", "2001:db8::1");
    row("X-Forwarded-For: [2001:db8::1]", "2001:db8::1");
    row("X-Forwarded-For: [2001:db8::1]:4711", "2001:db8::1");
    row("X-Forwarded-For: ::ffff:198.51.100.1", "198.51.100.1");
    row("X-Real-IP: 198.51.100.1", "198.51.100.1");
    row("X-Forwarded-For: 198.51.100.1\nX-Real-IP: 198.51.100.2", "198.51.100.1");
    row("Forwarded: for=198.51.100.1", "198.51.100.1");
    row("Forwarded: For=\"[2001:db8::1]:4711\"", "2001:db8::1");
    row("Forwarded: for=198.51.100.1:4711", "198.51.100.1");
    row("Forwarded: for=\"198.51.100.1:_port\";by=_me;secret=\"a,b;c\\\"d\"", "198.51.100.1");
    row("Forwarded: for=unknown", FRONT);
    row("Forwarded: for=_gazonk", FRONT);
    // By a listener on [::] and by a front with an address of IPv6.
    let row =
        |front: &str| check(&arrival(front), "X-Forwarded-For: 198.51.100.1", "198.51.100.1", "ws://tv.example", &[]);
    row("::ffff:10.0.0.1");
    row("2001:db8:f::1");
}

#[test]
fn fronts_behind_fronts_are_walked_past() {
    let front = arrival(FRONT);
    let row = |lines: &str, client: &str| check(&front, lines, client, "ws://tv.example", &[]);
    row("X-Forwarded-For: 198.51.100.1, 10.0.0.9, 2001:db8:f::2", "198.51.100.1");
    row("X-Forwarded-For: 198.51.100.1\nX-Forwarded-For: 10.0.0.9,10.0.0.8", "198.51.100.1");
    row("X-Forwarded-For: 198.51.100.1, , 10.0.0.9,", "198.51.100.1");
    // What a client sent itself stands left of what its front says.
    row("X-Forwarded-For: 10.9.9.9, 198.51.100.1", "198.51.100.1");
    row("X-Forwarded-For: 127.0.0.1, 198.51.100.1, 10.0.0.9", "198.51.100.1");
    row("X-Forwarded-For: 10.0.0.5\nX-Forwarded-For: 198.51.100.1", "198.51.100.1");
    row("Forwarded: for=127.0.0.1, for=198.51.100.1, for=10.0.0.9", "198.51.100.1");
    row("Forwarded: for=127.0.0.1\nForwarded: for=198.51.100.1", "198.51.100.1");
    // A client within the networks of fronts.
    row("X-Forwarded-For: 10.7.7.7, 10.0.0.9", "10.7.7.7");
    row("Forwarded: for=unknown, for=10.0.0.9", "10.0.0.9");
    let row = |lines: &str, client: &str, header: &str| check(&front, lines, client, "ws://tv.example", &[header]);
    row("X-Forwarded-For: 198.51.100.1, garbage, 10.0.0.9", "10.0.0.9", "X-Forwarded-For");
    row("X-Forwarded-For: 198.51.100.256", FRONT, "X-Forwarded-For");
    row("X-Forwarded-For: 198.51.100.1:0", FRONT, "X-Forwarded-For");
    row("X-Forwarded-For: 198.51.100.1:port", FRONT, "X-Forwarded-For");
    row("X-Forwarded-For: fe80::1%eth0", FRONT, "X-Forwarded-For");
    row("X-Real-IP: tv.example", FRONT, "X-Real-IP");
    row("Forwarded: for=tv.example", FRONT, "Forwarded");
}

#[test]
fn the_clients_own_front_says_how_it_was_reached() {
    let front = arrival(FRONT);
    let row = |lines: &str, url: &str| check(&front, lines, FRONT, url, &[]);
    for (proto, url) in [
        ("http", "ws://tv.example"),
        ("ws", "ws://tv.example"),
        ("HTTPS", "wss://tv.example"),
        ("wss", "wss://tv.example"),
    ] {
        row(&format!("X-Forwarded-Proto: {proto}"), url);
        row(&format!("Forwarded: proto={proto}"), url);
    }
    row("X-Forwarded-Host: WWW.tv.example", "ws://www.tv.example");
    row("X-Forwarded-Host: www.tv.example:80", "ws://www.tv.example");
    row("X-Forwarded-Host: www.tv.example:443", "ws://www.tv.example:443");
    row("X-Forwarded-Proto: https\nX-Forwarded-Host: www.tv.example:443", "wss://www.tv.example");
    row("X-Forwarded-Host: [2001:DB8::1]:8080", "ws://[2001:db8::1]:8080");
    row("X-Forwarded-Host: www.tv.example:81\nX-Forwarded-Port: 8080", "ws://www.tv.example:81");
    row("X-Forwarded-Host: www.tv.example\nX-Forwarded-Port: 8080", "ws://www.tv.example:8080");
    row("X-Forwarded-Port: 8080", "ws://tv.example:8080");
    row("X-Forwarded-Port: 80", "ws://tv.example");
    row("X-Forwarded-Port: 443\nX-Forwarded-Proto: https", "wss://tv.example");
    row("Forwarded: proto=https;host=\"www.tv.example:8443\"", "wss://www.tv.example:8443");
    row("forwarded: HOST=www.tv.example ; Proto=https", "wss://www.tv.example");
    // Host's own port is never touched.
    let (facts, _) = front.facts(&parse(&head("X-Forwarded-Port: 8080")).fields, &trusted());
    assert_eq!(facts.authority("tv.example:80"), "tv.example:80");
    assert_eq!(facts.authority("[::1]"), "[::1]:8080");
    assert_eq!(facts.authority("[::1]:9"), "[::1]:9");
    assert_eq!(facts.authority(""), "");
}

#[test]
fn other_facts_are_taken_from_where_the_client_was() {
    let front = arrival(FRONT);
    let row = |lines: &str, client: &str, url: &str| check(&front, lines, client, url, &[]);
    // The client says https, its front says http; both are in the list.
    row(
        "X-Forwarded-For: 10.9.9.9, 198.51.100.1\nX-Forwarded-Proto: https, http\nX-Forwarded-Host: bank.example, tv.example",
        "198.51.100.1",
        "ws://tv.example",
    );
    // Two fronts, each of which added its word, or the nearer passed on what the other said.
    row(
        "X-Forwarded-For: 198.51.100.1, 10.0.0.9\nX-Forwarded-Proto: https, http\nX-Forwarded-Host: www.example, inner.example",
        "198.51.100.1",
        "wss://www.example",
    );
    row(
        "X-Forwarded-For: 198.51.100.1, 10.0.0.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.example",
        "198.51.100.1",
        "wss://www.example",
    );
    row(
        "X-Forwarded-For: 198.51.100.1, 10.0.0.9\nX-Forwarded-Proto: http, https, http",
        "198.51.100.1",
        "wss://tv.example",
    );
    row(
        "X-Forwarded-For: 198.51.100.1, 10.0.0.9\nX-Forwarded-Port: 1, 8443, 80",
        "198.51.100.1",
        "ws://tv.example:8443",
    );
    // All of them are trusted: the first.
    row("X-Forwarded-For: 10.7.7.7, 10.0.0.9\nX-Forwarded-Proto: https, http", "10.7.7.7", "wss://tv.example");
    // Nothing tells how many fronts there are: the peer's own word.
    row("X-Forwarded-Proto: https, http", FRONT, "ws://tv.example");
    row("X-Forwarded-Proto: http\nX-Forwarded-Proto: https", FRONT, "wss://tv.example");
    row(
        "Forwarded: for=10.9.9.9;proto=http;host=bank.example, for=198.51.100.1;proto=https;host=a.example, for=10.0.0.9;proto=http;host=b.example",
        "198.51.100.1",
        "wss://a.example",
    );
    row("Forwarded: for=198.51.100.1, for=10.0.0.9;proto=https;host=b.example", "198.51.100.1", "wss://b.example");
    // A front that hides its client is a front all the same.
    row("Forwarded: for=_hidden;proto=https, for=10.0.0.9;proto=http", "10.0.0.9", "wss://tv.example");
}

#[test]
fn of_two_kinds_of_headers_the_former_are_believed() {
    let front = arrival(FRONT);
    let both = "X-Forwarded-For: 198.51.100.1\nForwarded: for=198.51.100.1;proto=https;host=bank.example";
    check(&front, both, "198.51.100.1", "ws://tv.example", &[]);
    let other = "X-Forwarded-For: 198.51.100.1\nForwarded: for=198.51.100.9;proto=https";
    check(&front, other, "198.51.100.1", "ws://tv.example", &["Forwarded"]);
    // A front that writes only this does not vouch for what its client says besides.
    let part = "X-Forwarded-Proto: https\nForwarded: for=198.51.100.9;host=bank.example";
    check(&front, part, FRONT, "wss://tv.example", &["Forwarded"]);
}

#[test]
fn what_is_not_understood_is_ignored_and_told() {
    let front = arrival(FRONT);
    let row = |line: &str| {
        let (header, _) = line.split_once(':').unwrap();
        check(&front, line, FRONT, "ws://tv.example", &[header]);
    };
    for proto in ["ftp", "https://", "\"https\"", "https;", "https http", "\u{e9}"] {
        row(&format!("X-Forwarded-Proto: {proto}"));
    }
    for host in ["a b", "a/b", "user@a", "a:0", "a:65536", "a:", "a:x", "[::1", "::1", "a\"b", "\u{e9}", ":80", "a\\b"]
    {
        row(&format!("X-Forwarded-Host: {host}"));
    }
    for port in
        ["0", "65536", "-1", "+80", "80 ", "8O", "000080"].map(str::trim).into_iter().filter(|port| *port != "80")
    {
        row(&format!("X-Forwarded-Port: {port}"));
    }
    for line in
        ["for", "for=", "=x", "for=\"a", "for=a b", "for=a\"b\"", "for=a;for=a", "f\u{f6}r=a", "for=a=b", "for=\"\\"]
    {
        row(&format!("Forwarded: {line}"));
    }
    row("Forwarded: proto=gopher");
    row("Forwarded: host=\"a b\"");
    row("Forwarded: host=\"a,b\"");
    // A client's open quote cannot swallow what its front adds, whether in a line or in the next.
    check(&front, "Forwarded: for=\"x, for=198.51.100.1;proto=https", FRONT, "ws://tv.example", &["Forwarded"]);
    check(&front, "Forwarded: for=10.9.9.9;x=\", for=\"[2001:db8::1]\"", FRONT, "ws://tv.example", &["Forwarded"]);
    check(
        &front,
        "Forwarded: for=\"x\nForwarded: for=198.51.100.1;proto=https",
        "198.51.100.1",
        "wss://tv.example",
        &["Forwarded"],
    );
    // The log is told in a line.
    let long = head(&format!("X-Forwarded-Proto: \u{e9}{}", "x".repeat(500)));
    let (_, bad) = front.facts(&parse(&long).fields, &trusted());
    let expected = format!("X-Forwarded-Proto \"\\xc3\\xa9{}\" is neither http, https, ws nor wss", "x".repeat(98));
    assert_eq!(bad[0].to_string(), expected);
    // And in no more, however many lines of a client a front lets through.
    let many = head(&["Forwarded: for=\"x"; 50].join("\n"));
    assert_eq!(front.facts(&parse(&many).fields, &trusted()).1.len(), 1);
}

fn preamble(tls: Tls) -> Preamble {
    let mut preamble = Preamble::of("198.51.100.1:5".parse().unwrap(), "192.0.2.9:443".parse().unwrap());
    preamble.tls = tls;
    preamble
}

#[test]
fn a_preamble_names_the_client() {
    let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
    let local: SocketAddr = "[::ffff:192.0.2.80]:80".parse().unwrap();
    let of = |preamble| Arrival::new(peer, local, preamble);
    assert_eq!((of(None).client, of(None).local.to_string().as_str()), (peer, "192.0.2.80:80"));
    assert_eq!(of(Some(Preamble::default())).client, peer);
    let named = of(Some(preamble(Tls::Unsaid)));
    assert_eq!((named.client, named.local), preamble(Tls::Unsaid).source.unwrap());
    // The client is not the front that sent it: that one's headers would be the client's.
    check(&named, "X-Forwarded-For: 203.0.113.7", "198.51.100.1", "ws://tv.example", &[]);
    let encrypted = Tls::Encrypted(TlsFacts::default());
    check(&of(Some(preamble(encrypted.clone()))), "", "198.51.100.1", "wss://tv.example", &[]);
    // What the sender knows outdoes TLS here, which it spoke itself.
    let own = |tls| Arrival { own_tls: Some(OwnTls::default()), ..of(Some(preamble(tls))) };
    check(&own(Tls::Unsaid), "", "198.51.100.1", "wss://tv.example", &[]);
    check(&own(Tls::Plain), "", "198.51.100.1", "ws://tv.example", &[]);
    check(&Arrival { own_tls: Some(OwnTls::default()), ..of(None) }, "", FRONT, "wss://tv.example", &[]);
    // A trusted front further out knows the client; of its TLS it is believed what nobody has seen.
    let outer = |tls| {
        let source = Some(("10.0.0.5:5".parse().unwrap(), local));
        of(Some(Preamble { source, ..preamble(tls) }))
    };
    let said = |proto| format!("X-Forwarded-For: 203.0.113.7\nX-Forwarded-Proto: {proto}");
    check(&outer(encrypted), &said("http"), "203.0.113.7", "wss://tv.example", &[]);
    check(&outer(Tls::Plain), &said("https"), "203.0.113.7", "wss://tv.example", &[]);
}

/// What a backend is told, a header in a line.
fn told(arrival: &Arrival, lines: &str) -> String {
    let head = head(lines);
    let fields = &parse(&head).fields;
    let (facts, _) = arrival.facts(fields, &trusted());
    let told = arrival.outgoing(&facts, fields, &ForwardedHeader::ALL);
    told.into_iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8(value).unwrap())).collect()
}

#[test]
fn backends_are_told_of_the_client_and_not_by_it() {
    let spoof = "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: bank.example
        X-Forwarded-Port: 1\nX-Real-IP: 127.0.0.1\nForwarded: for=127.0.0.1";
    assert_eq!(
        told(&arrival(STRANGER), spoof),
        "X-Forwarded-For: 203.0.113.7\nX-Forwarded-Proto: http\nX-Forwarded-Host: tv.example\nX-Forwarded-Port: 80\n\
         X-Real-IP: 203.0.113.7\nForwarded: for=203.0.113.7;host=tv.example;proto=http\n"
    );
    let v6 = Arrival { own_tls: Some(OwnTls::default()), ..arrival("2001:db8::1") };
    assert_eq!(
        told(&v6, ""),
        "X-Forwarded-For: 2001:db8::1\nX-Forwarded-Proto: https\nX-Forwarded-Host: tv.example\nX-Forwarded-Port: 443\n\
         X-Real-IP: 2001:db8::1\nForwarded: for=\"[2001:db8::1]\";host=tv.example;proto=https\n"
    );
}

#[test]
fn what_fronts_say_goes_on_with_their_own_address() {
    let former = "X-Forwarded-For: 10.9.9.9, 198.51.100.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.example:8443
        Forwarded: for=127.0.0.1;proto=https;host=bank.example";
    assert_eq!(
        told(&arrival(FRONT), former),
        "X-Forwarded-For: 10.9.9.9, 198.51.100.1, 10.0.0.1\nX-Forwarded-Proto: https\n\
         X-Forwarded-Host: www.example:8443\nX-Forwarded-Port: 8443\nX-Real-IP: 198.51.100.1\n\
         Forwarded: for=198.51.100.1;host=\"www.example:8443\";proto=https, for=10.0.0.1;host=tv.example;proto=http\n"
    );
    let standard =
        "Forwarded: for=\"x\nForwarded: for=127.0.0.1\nForwarded: for=198.51.100.1;proto=https;host=www.example";
    assert_eq!(
        told(&arrival(FRONT), standard),
        "X-Forwarded-For: 198.51.100.1, 10.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.example\n\
         X-Forwarded-Port: 443\nX-Real-IP: 198.51.100.1\nForwarded: for=127.0.0.1, \
         for=198.51.100.1;proto=https;host=www.example, for=10.0.0.1;host=tv.example;proto=http\n"
    );
    assert_eq!(
        told(&arrival(FRONT), "X-Forwarded-Proto: https"),
        "X-Forwarded-For: 10.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: tv.example\nX-Forwarded-Port: 443\n\
         X-Real-IP: 10.0.0.1\nForwarded: for=unknown;host=tv.example;proto=https, \
         for=10.0.0.1;host=tv.example;proto=http\n"
    );
}

#[test]
fn a_host_that_would_be_two_in_a_list_is_not_told() {
    for host in ["bank.example,tv.example", "a b", ""] {
        let head = format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").into_bytes();
        let arrival = arrival(STRANGER);
        let request = parse(&head);
        let (facts, _) = arrival.facts(&request.fields, &trusted());
        let told = arrival.outgoing(&facts, &request.fields, &[ForwardedHeader::Host, ForwardedHeader::Forwarded]);
        assert_eq!(told, [("Forwarded", b"for=203.0.113.7;proto=http".to_vec())]);
    }
}

#[test]
fn a_preamble_for_a_backend_tells_what_is_known() {
    let facts = TlsFacts { version: Some("TLSv1.2".into()), ..TlsFacts::default() };
    let own = OwnTls { server_name: Some("tv.example".into()), alpn: None, facts: facts.clone() };
    let client = Arrival { own_tls: Some(own), ..arrival(STRANGER) };
    let fields = |lines: &str| head(lines);
    let told = |arrival: &Arrival, lines: &str| {
        let head = fields(lines);
        arrival.preamble(&arrival.facts(&parse(&head).fields, &trusted()).0)
    };
    let expected = Preamble {
        authority: Some("tv.example".into()),
        tls: Tls::Encrypted(facts),
        ..Preamble::of(client.client, client.local)
    };
    assert_eq!(told(&client, ""), expected);
    assert_eq!(told(&arrival(STRANGER), ""), Preamble::of(client.client, client.local));
    // Of the client behind a front no more is known than the front says, and not by which suite.
    let front = Arrival { client: "10.0.0.1:9".parse().unwrap(), ..client };
    let behind = told(&front, "X-Forwarded-For: 198.51.100.1:77\nX-Forwarded-Proto: https");
    let expected = Preamble::of("198.51.100.1:77".parse().unwrap(), front.local);
    assert_eq!(behind, Preamble { tls: Tls::Encrypted(TlsFacts::default()), ..expected.clone() });
    let plain = told(&front, "X-Forwarded-For: 198.51.100.1:77\nX-Forwarded-Proto: http");
    assert_eq!(plain, Preamble { tls: Tls::Plain, ..expected });
    // A preamble is passed on.
    let heard = Preamble { unique_id: Some(b"id".to_vec()), alpn: Some(b"h".to_vec()), ..preamble(Tls::Plain) };
    let arrival = Arrival::new(front.client, front.local, Some(heard.clone()));
    assert_eq!(told(&arrival, ""), heard);
}

#[test]
fn claims_are_known_however_they_are_spelt() {
    for name in
        ["X-Forwarded-For", "x-forwarded-proto", "X_Forwarded_Host", "x-forwarded_port", "X-REAL-IP", "forwarded"]
    {
        assert!(is_claim(name), "{name}");
    }
    for name in ["X-Forwarded", "X-Forwarded-Fo", "X-Forwarded-Forx", "X.Forwarded.For", "Host", "Via", ""] {
        assert!(!is_claim(name), "{name}");
    }
}

/// Lines that fronts and others could send.
fn any_lines() -> impl Strategy<Value = String> {
    let word = select(
        &[
            "10.0.0.9",
            "198.51.100.1",
            "[2001:db8::1]:5",
            "unknown",
            "_x",
            "https",
            "http",
            "a.example",
            "b:81",
            ",",
            ";",
            "=",
            "\"",
            "\\",
            " ",
            "for=",
            "proto=",
            "host=",
            "for=10.0.0.8",
            "for=\"[2001:db8::2]\"",
            ", ",
            ", 10.0.0.7",
            "443",
            "\u{e9}",
        ][..],
    );
    let line = (select(&ForwardedHeader::ALL[..]), vec(word, 0..8));
    vec(line, 0..5)
        .prop_map(|lines| lines.iter().map(|(header, words)| format!("{header}: {}\n", words.concat())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// A proxy behind this one, which trusts it, knows the same of the client by either kind of headers, and nothing
    /// that is told could end a line.
    #[test]
    fn the_next_proxy_knows_the_same(lines in any_lines(), peer in select(&[FRONT, STRANGER, "2001:db8:f::1", "2001:db8::9"][..])) {
        use ForwardedHeader::{For, Forwarded, Host, Proto};
        let head = head(&lines);
        let arrival = arrival(peer);
        let request = parse(&head);
        let (facts, _) = arrival.facts(&request.fields, &trusted());
        for wanted in [&[For, Proto, Host][..], &[Forwarded]] {
            let told = arrival.outgoing(&facts, &request.fields, wanted);
            prop_assert_eq!(told.len(), wanted.len());
            let mut next = b"GET / HTTP/1.1\r\nHost: tv.example\r\n".to_vec();
            for (name, value) in &told {
                prop_assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
                next.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
            next.extend(b"\r\n");
            let (known, bad) = super::tests::arrival("127.0.0.1").facts(&parse(&next).fields, &trusted());
            let url = |facts: &Facts| (facts.client, facts.scheme(), facts.authority("tv.example").into_owned());
            prop_assert_eq!(url(&known), url(&facts), "{}: {:?}", next.escape_ascii(), bad);
        }
    }
}
