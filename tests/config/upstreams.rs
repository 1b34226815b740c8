//! Backends as they are written.

use crate::*;

#[test]
fn upstreams_are_read_and_written() {
    let rows = [
        ("ws://backend:9000", "backend", 9000, None, "ws://backend:9000"),
        ("http://backend:9000", "backend", 9000, None, "ws://backend:9000"),
        ("WS://Backend", "backend", 80, None, "ws://backend"),
        ("ws://backend:80/", "backend", 80, Some("/"), "ws://backend/"),
        ("ws://10.0.0.5/rooms/a%20b", "10.0.0.5", 80, Some("/rooms/a%20b"), "ws://10.0.0.5/rooms/a%20b"),
        ("ws://[::1]:9000", "::1", 9000, None, "ws://[::1]:9000"),
        ("ws://[2001:DB8:0:0::1]", "2001:db8::1", 80, None, "ws://[2001:db8::1]"),
        ("ws://my_container.:65535", "my_container.", 65535, None, "ws://my_container.:65535"),
        ("sse+http://backend:9000", "backend", 9000, None, "sse+http://backend:9000"),
        ("SSE+HTTP://[::1]/news", "::1", 80, Some("/news"), "sse+http://[::1]/news"),
    ];
    for (url, host, port, path, written) in rows {
        let read = upstream(url);
        let protocol = if written.starts_with("ws") { Protocol::WebSocket } else { Protocol::Events };
        assert_eq!(
            read,
            Upstream {
                protocol,
                secure: false,
                servers: vec![Place::Tcp { host: host.into(), port }],
                path: path.map(Into::into)
            },
            "{url}"
        );
        assert_eq!(read.to_string(), written, "{url}");
        assert_eq!(upstream(written), read, "{url}");
        assert_eq!(url.parse(), Ok(read), "{url}");
    }
}

#[test]
fn unix_sockets_are_read_and_written() {
    let rows = [
        ("ws+unix:///run/a.sock", Protocol::WebSocket, "/run/a.sock", None, "ws+unix:///run/a.sock"),
        ("HTTP+unix:///run/a.sock", Protocol::WebSocket, "/run/a.sock", None, "ws+unix:///run/a.sock"),
        (
            "ws+unix:///r/a:1.sock:/x:/y",
            Protocol::WebSocket,
            "/r/a:1.sock",
            Some("/x:/y"),
            "ws+unix:///r/a:1.sock:/x:/y",
        ),
        ("sse+http+unix:///r/ä b:/", Protocol::Events, "/r/ä b", Some("/"), "sse+http+unix:///r/ä b:/"),
    ];
    for (url, protocol, socket, path, written) in rows {
        let read = upstream(url);
        let servers = vec![Place::Unix(socket.into())];
        assert_eq!(read, Upstream { protocol, secure: false, servers, path: path.map(Into::into) }, "{url}");
        assert_eq!(read.to_string(), written);
        assert_eq!(upstream(written), read);
        assert_eq!(read.authority(), "localhost");
    }
    let socket = |length: usize| format!("ws+unix:///{}", "a".repeat(length - 1));
    assert!(Upstream::parse(&socket(107)).is_ok());
    let refusal = Upstream::parse(&socket(108)).expect_err("too long");
    assert!(refusal.to_string().contains("108 bytes, and systems take 107; have the backend"), "{refusal}");
}

#[test]
fn an_authority_leaves_out_port_80_and_has_brackets_around_ipv6() {
    let rows = [
        ("ws://backend", "backend"),
        ("ws://backend:80/x", "backend"),
        ("ws://backend:8080", "backend:8080"),
        ("ws://[::1]", "[::1]"),
        ("ws://[::1]:8080", "[::1]:8080"),
    ];
    for (url, authority) in rows {
        assert_eq!(upstream(url).authority(), authority, "{url}");
    }
    let secure = upstream("sse+https://x:443/y");
    assert_eq!((secure.secure, secure.authority().as_str()), (true, "x"));
    assert_eq!(secure.servers, [Place::Tcp { host: "x".into(), port: 443 }]);
    assert_eq!(secure.to_string(), "sse+https://x/y");
    assert_eq!(upstream("sse+https://x:80").authority(), "x:80");
}

#[test]
fn what_is_no_upstream_is_refused() {
    let rows = [
        ("", "no scheme", "write ws://HOST:PORT"),
        ("backend:9000", "no scheme", "write ws://HOST:PORT"),
        ("htp://x", "unknown scheme \"htp\"", "write ws://HOST:PORT or http://HOST:PORT"),
        ("sse+wss://x", "unknown scheme \"sse+wss\"", "write sse+https://HOST:PORT"),
        ("unix:///run/x.sock", "unknown scheme \"unix\"", "write ws+unix:///SOCKET"),
        ("sse+unix:///run/x.sock", "unknown scheme \"sse+unix\"", "write sse+http+unix:///SOCKET"),
        ("wss+unix:///run/x.sock", "no TLS is spoken there", "write ws+unix:///SOCKET"),
        ("sse+https+unix:///run/x.sock", "no TLS is spoken there", "write sse+http+unix:///SOCKET"),
        ("ws+unix://run/x.sock", "not absolute", "ws+unix:///run/app.sock"),
        ("ws+unix://%2Frun%2Fx.sock", "not absolute", "ws+unix:///run/app.sock"),
        ("ws+unix://", "not absolute", "ws+unix:///run/app.sock"),
        ("ws+unix:///run/", "not the path of a socket", "ws+unix:///run/app.sock"),
        ("ws+unix:///run/x.sock:", "not the path of a socket", "ws+unix:///run/app.sock:/rooms"),
        ("ws+unix:///run/x.sock?y", "not the path of a socket", "ws+unix:///run/app.sock"),
        ("ws+unix:///run/x\0.sock", "not the path of a socket", "ws+unix:///run/app.sock"),
        ("ws+unix:///run/x.sock:/a?b", "query", "leave out the ?"),
        ("sse+https://x?y", "query", "leave out the ?"),
        ("sse://x", "unknown scheme \"sse\"", "write sse+http://HOST:PORT"),
        ("ws://", "no host", "write a name"),
        ("ws://:9000", "no host", "write a name"),
        ("ws:///chat", "no host", "write a name"),
        ("ws://user@x", "user name", "without"),
        ("ws://user:secret@x", "user name", "without"),
        ("ws://x?y", "query", "leave out the ?"),
        ("ws://x/z?y", "query", "leave out the ?"),
        ("ws://x#y", "fragment", "leave out the #"),
        ("ws://x/z?a#y", "fragment", "leave out the #"),
        ("ws://x:", "no port", "from 1 to 65535"),
        ("ws://x:0", "port 0", "from 1 to 65535"),
        ("ws://x:65536", "\"65536\" is not a port", "from 1 to 65535"),
        ("ws://x:+80", "\"+80\" is not a port", "from 1 to 65535"),
        ("ws://x:http", "\"http\" is not a port", "from 1 to 65535"),
        ("ws://::1", "more than one colon", "\"[::1]\""),
        ("ws://fe80:0::2", "more than one colon", "\"[fe80::2]\""),
        ("ws://a:1:2", "more than one colon", "brackets"),
        ("ws://[::1", "not closed", "[::1]:9000"),
        ("ws://[::g]", "not an IPv6 address", "[::1]:9000"),
        ("ws://[backend]", "not an IPv6 address", "leave out the brackets"),
        ("ws://[::1]9000", "\"9000\" follows the bracket", "[::1]:9000"),
        ("ws://[fe80::1%eth0]", "zone", "global address"),
        ("ws://256.0.0.1", "not an IPv4 address", "from 0 to 255"),
        ("ws://10.1", "not an IPv4 address", "four numbers"),
        ("ws://a..b", "not a host", "write a name"),
        ("ws://.", "not a host", "write a name"),
        ("ws://a b", "not a host", "write a name"),
        ("ws:// backend", "not a host", "write a name"),
        ("ws://büro.example", "outside ASCII", "xn--"),
        ("ws://*.example", "wildcards", "one route for each host"),
        ("ws://x/a b", "character ' '", "percent-encoded"),
        ("ws://x/ä", "character 'ä'", "percent-encoded"),
        ("ws://x/\u{1b}[2J", "character '\\u{1b}'", "percent-encoded"),
        ("ws://x/a/../b", "segment ..", "/chat"),
    ];
    for (url, reason, remedy) in rows {
        let refusal = Upstream::parse(url).expect_err(url);
        assert!(refusal.reason.contains(reason), "{url}: {refusal}");
        assert!(refusal.remedy.contains(remedy), "{url}: {refusal}");
    }
    let long = format!("ws://{}", "a.".repeat(127));
    assert!(Upstream::parse(&long).is_err(), "a name of 254 letters");
    assert!(Upstream::parse(&format!("ws://{}", "a".repeat(64))).is_err(), "a label of 64 letters");
}

#[test]
fn a_place_to_send_to_is_a_path_or_a_url() {
    let rows = [
        ("/in", None, "/in", "/in"),
        ("http://b:9000/in", Some("ws://b:9000"), "/in", "http://b:9000/in"),
        ("http://b", Some("ws://b"), "/", "http://b/"),
        ("https://b:80/in", Some("wss://b:80"), "/in", "https://b:80/in"),
        ("http+unix:///run/b:/in", Some("ws+unix:///run/b"), "/in", "http+unix:///run/b:/in"),
    ];
    for (text, backend, path, written) in rows {
        let send: SendTo = text.parse().unwrap();
        assert_eq!((send.backend.clone(), send.path.as_str()), (backend.map(upstream), path), "{text}");
        assert_eq!(send.to_string(), written);
        assert_eq!(written.parse(), Ok(send));
    }
}
