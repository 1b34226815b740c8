//! Who may use a route.

use std::time::Duration;

use crate::*;

#[test]
fn networks_are_read() {
    let rows = [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.5", "10.0.0.5/32"),
        ("10.0.0.5/32", "10.0.0.5/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::1", "::1/128"),
        ("FD00:0::/8", "fd00::/8"),
        ("::/0", "::/0"),
    ];
    for (text, network) in rows {
        assert_eq!(parse_network(text).expect(text).to_string(), network);
    }
}

#[test]
fn what_is_no_network_is_refused() {
    let rows = [
        ("", "not an address", "\"10.0.0.0/8\""),
        ("tv.example", "not an address", "\"10.0.0.0/8\""),
        ("10/8", "not an address", "\"10.0.0.0/8\""),
        ("10.0.0.*", "not an address", "\"10.0.0.0/8\""),
        ("10.0.0.0-10.0.0.9", "not an address", "\"10.0.0.0/8\""),
        ("localhost", "a name is not an address", "write \"127.0.0.1\" and \"::1\""),
        ("10.0.0.5:80", "no port", "leave out the colon"),
        ("[::1]", "no brackets", "\"fd00::/8\""),
        ("fe80::1%eth0", "zone", "leave out the %"),
        ("10.0.0.0/33", "\"33\" is not the length", "0 to 32"),
        ("10.0.0.0/", "\"\" is not the length", "0 to 32"),
        ("10.0.0.0/+8", "\"+8\" is not the length", "0 to 32"),
        ("fd00::/129", "\"129\" is not the length", "0 to 128"),
        ("10.0.0.0/255.0.0.0", "is not the length", "write \"10.0.0.0/8\""),
        ("10.0.0.0/255.0.255.0", "is not the length", "0 to 32"),
        (
            "10.0.0.5/8",
            "bits behind the network's",
            "write \"10.0.0.0/8\" for the network, or \"10.0.0.5\" for the one",
        ),
        ("fd00::1/8", "bits behind the network's", "write \"fd00::/8\" for the network"),
        ("::ffff:10.0.0.5", "IPv4 in the form of IPv6", "write \"10.0.0.5\""),
        ("::ffff:10.0.0.0/104", "IPv4 in the form of IPv6", "write \"10.0.0.0/8\""),
    ];
    for (text, reason, remedy) in rows {
        let refusal = parse_network(text).expect_err(text);
        assert!(refusal.reason.contains(reason), "{text}: {refusal}");
        assert!(refusal.remedy.contains(remedy), "{text}: {refusal}");
    }
}

#[test]
fn origins_are_read_and_written() {
    let exact = |origin: &str| OriginRule::Exact(origin.into());
    let below = |scheme: &str, domain: &str| OriginRule::Below { scheme: scheme.into(), domain: domain.into() };
    let rows = [
        ("https://tv.example", exact("https://tv.example"), "https://tv.example"),
        ("HTTPS://TV.example:443", exact("https://tv.example"), "https://tv.example"),
        ("http://tv.example:80", exact("http://tv.example"), "http://tv.example"),
        ("http://tv.example:443", exact("http://tv.example:443"), "http://tv.example:443"),
        ("http://[::1]:8080", exact("http://[::1]:8080"), "http://[::1]:8080"),
        ("http://[0:0::1]", exact("http://[::1]"), "http://[::1]"),
        ("file://", exact("file://"), "file://"),
        ("capacitor://localhost", exact("capacitor://localhost"), "capacitor://localhost"),
        ("app://x:80", exact("app://x:80"), "app://x:80"),
        ("https://*.TV.example", below("https://", ".tv.example"), "https://*.tv.example"),
        ("https://*.tv.example:443", below("https://", ".tv.example"), "https://*.tv.example"),
        ("http://*.tv.example:8080", below("http://", ".tv.example:8080"), "http://*.tv.example:8080"),
        ("null", OriginRule::Null, "null"),
        ("missing", OriginRule::Missing, "missing"),
    ];
    for (text, expected, written) in rows {
        let read: OriginRule = text.parse().expect(text);
        assert_eq!(read, expected, "{text}");
        assert_eq!(read.to_string(), written);
        assert_eq!(written.parse(), Ok(read));
    }
}

#[test]
fn what_may_not_be_allowed_is_refused() {
    refused(
        "route",
        &[
            ("origins = []", "the list is empty", "origins = [\"https://tv.example\"], or \"any\""),
            ("origins = 'https://a'", "a string instead of a list", "write origins = [\"https://a\"], or \"any\""),
            ("origins = 'none'", "a string instead of a list", "or \"any\""),
            ("origins = ['*', 'null']", "one of a list cannot be any", "write origins = \"any\""),
            ("origins = ['any', 'null']", "one of a list cannot be any", "write origins = \"any\""),
            ("origins = ['tv.example', 'null']", "it has no scheme", "\"https://tv.example\""),
            ("origins = ['mising', 'null']", "it has no scheme", "did you mean \"missing\"?"),
            ("origins = ['https://tv.example/']", "nor a slash at its end", "write \"https://tv.example\""),
            ("origins = ['https://tv.example/x?y']", "no path", "write \"https://tv.example\""),
            ("origins = ['file:///']", "no path", "write \"file://\""),
            ("origins = ['https://']", "no host", "write a name"),
            ("origins = ['https://*']", "every host", "origins = \"any\""),
            ("origins = ['https://tv.*']", "a * stands for whole names", "\"*.tv.example\""),
            ("origins = ['https://*.*.tv.example']", "a * stands for whole names", "\"*.tv.example\""),
            ("origins = ['https://*tv.example']", "a * stands for whole names", "\"*.tv.example\""),
            ("origins = ['https://*.10.0.0.1']", "nothing below an address", "without *."),
            ("origins = ['*://tv.example']", "\"*\" is not a scheme", "\"https://tv.example\""),
            ("origins = ['https://a:443', 'HTTPS://A']", "in the list already", "leave one out"),
            ("origins = ['https://user@a']", "not a host", "write a name"),
            ("clients = []", "the list is empty", "clients = [\"10.0.0.0/8\"], or \"any\""),
            ("clients = ['10.0.0.5/8']", "bits behind", "write \"10.0.0.0/8\""),
            ("clients = [10]", "an integer instead of a string", "\"10.0.0.0/8\""),
        ],
    );
    // Everybody is nothing to be afraid of here.
    config(&least_with("route", "clients = ['0.0.0.0/0', '::/0']"));
    config(&least_with("route", "clients = 'any'\norigins = 'any'\nauth = 'none'\nauth_headers = 'none'"));
}

#[test]
fn an_auth_server_is_read() {
    let auth = |line: &str| config(&least_with("route", line)).routes.remove(0).auth.expect(line);
    let rows = [
        ("http://127.0.0.1:9001/auth", "ws://127.0.0.1:9001/auth"),
        ("https://login.example", "wss://login.example/"),
        ("http+unix:///run/auth.sock:/ask", "ws+unix:///run/auth.sock:/ask"),
    ];
    for (url, expected) in rows {
        let headers = vec!["X-User".to_owned(), "Authorization".to_owned()];
        let read = auth(&format!("auth = {url:?}\nauth_headers = [\"X-User\", \"Authorization\"]"));
        assert_eq!(read, Auth { server: upstream(expected), headers });
    }
    assert_eq!(auth("auth = \"http://a\"\nauth_headers = []").headers, [""; 0]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    refused(
        "route",
        &[
            ("auth = '/auth'", "no scheme", "write http://HOST:PORT/PATH"),
            ("auth = 'ws://a/auth'", "not asked with this scheme", "write http://HOST:PORT/PATH"),
            ("auth = 'http://a/b?c'", "query", "leave out the ?"),
            ("auth = 'https+unix:///run/a.sock'", "no TLS is spoken there", "+unix:///SOCKET"),
            ("auth = 'http://127.0.0.1:8080/auth'", "own listener", "the address of the backend"),
            ("auth_headers = ['X-User']", "nobody is asked", "write auth = \"http://HOST:PORT/PATH\""),
            ("auth_headers = 'X-User'", "a string instead of a list", "write auth_headers = [\"X-User\"], or \"none\""),
        ],
    );
    let own = "leave it out; name headers of your own";
    for (name, reason) in [
        ("Connection", "about the connection"),
        ("upgrade", "about the connection"),
        ("Content-Length", "about the connection"),
        ("HOST", "about the connection"),
        ("HTTP2-Settings", "about the connection"),
        ("Origin", "hybridge's own"),
        ("WebSocket-Protocol", "hybridge's own"),
        ("X_Forwarded_For", "hybridge's own"),
        ("Sec-WebSocket-Key", "hybridge's own"),
        ("sec-websocket-protocol", "hybridge's own"),
        ("X-Forwarded-For", "hybridge's own"),
        ("Hybridge-Connection", "hybridge's own"),
    ] {
        refused("route", &[(&format!("auth_headers = ['{name}']"), reason, own)]);
    }
    refused("route", &[("auth_headers = ['X User']", "not the name of a header", "\"X-User\"")]);
    let faults = parse(&least_with("route", "auth = 'http://a'\nauth_headers = ['X-User', 'x-user']")).unwrap_err();
    assert!(faults.to_string().contains("in the list already"), "{faults}");
}

#[test]
fn rates_are_read_and_written() {
    for (text, count, seconds) in [("30/1m", 30, 60), ("1/1s", 1, 1), ("1000000/24h", 1_000_000, 86_400)] {
        let rate = Rate { count, per: Duration::from_secs(seconds) };
        assert_eq!(text.parse(), Ok(rate));
        assert_eq!(rate.to_string(), text);
    }
    refused(
        "limits",
        &[
            ("handshakes_per_address = 30", "an integer instead of a string", "\"30/1m\""),
            ("handshakes_per_address = '30'", "does not say in how long", "\"30/1m\", or \"none\" for no limit"),
            ("handshakes_per_address = '30/m'", "has no number", "write \"30/1m\""),
            ("handshakes_per_address = '0/1m'", "not a count from 1 to 1000000", "\"30/1m\""),
            ("handshakes_per_address = '+5/1m'", "not a count", "\"30/1m\""),
            ("handshakes_per_address = '1000001/1m'", "not a count", "\"30/1m\""),
            ("handshakes_per_address = '30/500ms'", "not from 1s to 24h", "\"30/1m\""),
            ("handshakes_per_address = '30/25h'", "not from 1s to 24h", "\"30/1m\""),
            ("handshakes_per_address = '30/60'", "no unit", "write \"60s\""),
        ],
    );
}
