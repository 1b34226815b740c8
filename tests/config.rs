//! A configuration says what an operator meant, or everything that is wrong with it.

use std::collections::BTreeSet;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use hybridge::config::*;
use hybridge::dialect::sse::{Form, Types};
use hybridge::dialect::{BinaryPolicy, Dialect, DialectSet};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../config.example.toml");

/// A file of which one line is still to be written.
const LEAST: &str = r#"
listen = ["127.0.0.1:8080"]
[[route]]
name = "chat"
upstream = "ws://10.0.0.5:9000"
"#;

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, "hybridge.toml")
}

#[track_caller]
fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}"))
}

/// The least file with one more line in the table of that name.
fn least_with(table: &str, line: &str) -> String {
    match table {
        "" => format!("{line}\n{LEAST}"),
        "route" => format!("{LEAST}{line}\n"),
        // A route to an event stream.
        "events" => format!("{}{line}\n", LEAST.replace("ws://", "sse+http://")),
        _ => format!("{LEAST}[{table}]\n{line}\n"),
    }
}

/// The least file without the lines that begin like this, and with others at the end.
fn least_but(without: &str, with: &str) -> String {
    let kept: Vec<&str> = LEAST.lines().filter(|line| !line.starts_with(without)).collect();
    format!("{}\n{with}\n", kept.join("\n"))
}

/// That each line, in that table, is refused alone, for that reason and with that remedy (a part of each).
#[track_caller]
fn refused(table: &str, rows: &[(&str, &str, &str)]) {
    for (line, reason, remedy) in rows {
        let required = ["listen", "name", "upstream"].into_iter().find(|key| line.starts_with(&format!("{key} =")));
        let text = match (table, required) {
            ("", Some(key)) => format!("{line}\n{}", least_but(key, "")),
            (_, Some(key)) => least_but(key, line),
            (_, None) => least_with(table, line),
        };
        let faults = parse(&text).expect_err(line);
        let [fault] = faults.as_slice() else { panic!("one fault in {line}, not\n{faults}") };
        assert!(fault.reason.contains(reason), "{line}\nreason: {}\nexpected: {reason}", fault.reason);
        assert!(fault.remedy.contains(remedy), "{line}\nremedy: {}\nexpected: {remedy}", fault.remedy);
        let line_of_fault = text.lines().nth(fault.line - 1);
        assert_eq!(line_of_fault, line.lines().next(), "{fault}");
    }
}

fn upstream(url: &str) -> Upstream {
    Upstream::parse(url).unwrap_or_else(|refusal| panic!("{url}: {refusal}"))
}

fn route(path: &str, url: &str) -> Route {
    Route { path: path.to_owned(), ..Route::new("chat", upstream(url)) }
}

// Defaults

#[test]
fn the_least_file_has_every_default() {
    let mut expected = Config::simple(vec!["127.0.0.1:8080".parse().unwrap()], upstream("ws://10.0.0.5:9000"));
    expected.routes[0].name = "chat".to_owned();
    assert_eq!(config(LEAST), expected);
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = config(LEAST);
    let seconds = Duration::from_secs;
    let timeouts = Timeouts {
        head: seconds(10),
        key3: seconds(10),
        connect: seconds(5),
        handshake: seconds(15),
        close: seconds(3),
        idle: Some(seconds(3600)),
        stall: seconds(60),
        response: Some(seconds(120)),
        keep_alive: seconds(75),
    };
    let limits = Limits {
        head_bytes: 16384,
        head_fields: 100,
        connections: 100_000,
        connections_per_address: None,
        event_bytes: 1 << 20,
        send_queue: 64 << 10,
    };
    assert_eq!((config.threads, config.log_level), (None, LogLevel::Info));
    assert_eq!((config.timeouts, config.limits), (timeouts, limits));
    let route = &config.routes[0];
    assert_eq!((route.host.as_deref(), route.path.as_str()), (None, "/"));
    assert_eq!((&route.upstream_host, route.dialects), (&UpstreamHost::Client, DialectSet::ALL));
    assert_eq!((route.binary, route.max_message), (BinaryPolicy::Close, None));
    let events = Events {
        message: Form::Data,
        types: Types::All,
        send: None,
        send_type: "text/plain; charset=utf-8".into(),
        send_failure: SendFailure::Close,
        resume: vec!["lastEventId".into(), "Last-Event-ID".into()],
        retry: seconds(3),
        reconnect: Some(seconds(120)),
        silence: None,
    };
    assert_eq!(route.events, events);
}

/// The example with every setting made to count.
fn whole_example() -> String {
    let is_setting = |line: &str| line.strip_prefix('#').is_some_and(|line| line.starts_with(char::is_alphabetic));
    EXAMPLE.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_has_every_default() {
    for text in [EXAMPLE, &whole_example()] {
        let mut example = config(text);
        let mut least = config(LEAST);
        // What is required has no default.
        least.listen.clone_from(&example.listen);
        for (example, least) in example.routes.iter_mut().zip(&least.routes) {
            example.name.clone_from(&least.name);
            example.upstream.clone_from(&least.upstream);
        }
        assert_eq!(example, least);
    }
}

#[test]
fn the_example_has_every_key_and_no_other() {
    let example: toml::Table = whole_example().parse().unwrap();
    for (table, keys) in KEYS {
        let found = match table {
            "" => &example,
            "route" => example["route"][0].as_table().unwrap(),
            _ => example[table].as_table().unwrap(),
        };
        let found: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(found, keys.iter().copied().collect(), "[{table}]");
    }
}

#[test]
fn every_setting_of_the_example_has_a_comment_above_it() {
    let example = whole_example();
    let lines: Vec<&str> = example.lines().collect();
    let settings = lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#'));
    assert!(settings.clone().count() > 20, "the settings are looked for in the wrong way");
    for pair in settings {
        assert!(pair[0].starts_with("# "), "{}", pair[1]);
    }
}

// Settings

#[test]
fn each_key_has_an_effect() {
    let rows = [
        ("", "threads = 2"),
        ("", "log_level = \"debug\""),
        ("timeouts", "head = \"1500ms\""),
        ("timeouts", "key3 = \"9s\""),
        ("timeouts", "connect = \"1s\""),
        ("timeouts", "handshake = \"1m\""),
        ("timeouts", "close = \"30s\""),
        ("timeouts", "idle = \"off\""),
        ("timeouts", "stall = \"2m\""),
        ("timeouts", "response = \"none\""),
        ("timeouts", "keep_alive = \"8760h\""),
        ("limits", "head_bytes = 1024"),
        ("limits", "head_fields = 10"),
        ("limits", "connections = 1_000"),
        ("limits", "connections_per_address = 0x10"),
        ("limits", "max_message = \"1MiB\""),
        ("route", "host = \"tv.example\""),
        ("route", "path = \"/chat\""),
        ("route", "upstream_host = \"upstream\""),
        ("route", "public_url = \"wss\""),
        ("route", "dialects = [\"v13\"]"),
        ("route", "binary = \"drop\""),
        ("route", "max_message = 1"),
        ("limits", "event_bytes = 1024"),
        ("limits", "send_queue = 1024"),
        ("upstream_tls", "ca = \"own.pem\""),
        ("upstream_tls", "insecure = true"),
        ("events", "message = \"json\""),
        ("events", "events = [\"message\"]"),
        ("events", "send = \"/messages\""),
        ("events", "send = \"/\"\nsend_type = \"application/json\""),
        ("events", "send = \"/\"\nsend_failure = \"drop\""),
        ("events", "resume = \"none\""),
        ("events", "retry = \"1h\""),
        ("events", "reconnect = \"off\""),
        ("events", "silence = \"1m\""),
    ];
    let mut seen = Vec::new();
    for (table, line) in rows {
        let config = config(&least_with(table, line));
        assert!(!seen.contains(&config), "{line} is read as another key");
        assert_ne!(config, self::config(&least_with(table, "")), "{line} is not read");
        seen.push(config);
    }
    // `listen`, `name` and `upstream` are in the least file, `timeouts`, `limits`, `upstream_tls` and `route` are tables.
    let keys: usize = KEYS.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(rows.len() + 7, keys, "a key is not tried here");
}

#[test]
fn a_setting_means_what_it_says() {
    let text = r#"
        threads = 2
        log_level = "warn"
        listen = ["0.0.0.0:80", "[::1]:0"]
        timeouts = { close = "1s", idle = "off", response = "500ms" }
        [limits]
        head_bytes = "1MiB"
        connections_per_address = 20
        max_message = "2GiB"
        [[route]]
        name = "tv.1_a-b"
        host = "TV.Example."
        path = "/chat"
        upstream = "http://Backend_1:80/rooms"
        upstream_host = "portal.example:8080"
        dialects = ["76", "rfc6455"]
        binary = "latin1"
        [[route]]
        name = "rest"
        upstream = "ws://[::1]:9000"
        max_message = "none"
    "#;
    let config = config(text);
    assert_eq!(config.threads.map(NonZeroUsize::get), Some(2));
    assert_eq!(config.log_level, LogLevel::Warn);
    assert_eq!(config.listen, ["0.0.0.0:80".parse().unwrap(), "[::1]:0".parse().unwrap()]);
    assert_eq!(config.timeouts.close, Duration::from_secs(1));
    assert_eq!((config.timeouts.idle, config.timeouts.response), (None, Some(Duration::from_millis(500))));
    assert_eq!((config.limits.head_bytes, config.limits.connections_per_address), (1 << 20, Some(20)));
    let [tv, rest] = config.routes.as_slice() else { panic!("two routes") };
    assert_eq!((tv.name.as_str(), tv.host.as_deref(), tv.path.as_str()), ("tv.1_a-b", Some("tv.example"), "/chat"));
    let protocol = Protocol::WebSocket;
    assert_eq!(
        tv.upstream,
        Upstream {
            protocol,
            secure: false,
            servers: vec![Place::Tcp { host: "backend_1".into(), port: 80 }],
            path: Some("/rooms".into())
        }
    );
    assert_eq!(tv.upstream_host, UpstreamHost::Fixed("portal.example:8080".into()));
    assert_eq!(tv.dialects, [Dialect::Hixie76, Dialect::Rfc6455].into_iter().collect());
    assert_eq!((tv.binary, tv.max_message), (BinaryPolicy::Latin1, Some(2 << 30)));
    assert_eq!(
        rest.upstream,
        Upstream { protocol, secure: false, servers: vec![Place::Tcp { host: "::1".into(), port: 9000 }], path: None }
    );
    assert_eq!(rest.max_message, None, "none on a route overrules the limit for all");
}

#[test]
fn sizes_are_read() {
    let rows = [
        ("1", 1),
        ("512B", 512),
        ("16KiB", 16_384),
        ("16 kib", 16_384),
        ("1MiB", 1 << 20),
        ("2GiB", 2 << 30),
        ("18446744073709551615", u64::MAX),
    ];
    for (text, bytes) in rows {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_no_size_is_refused() {
    let rows = [
        ("", "not a size"),
        ("0", "zero"),
        ("0MiB", "zero"),
        ("-1", "not a size"),
        ("+1", "not a size"),
        ("1.5MiB", "unknown unit"),
        ("16KB", "unknown unit of size \"KB\""),
        ("16K", "unknown unit"),
        ("KiB", "not a size"),
        ("none", "not a size"),
        ("18446744073709551616", "too large"),
        ("99999999999GiB", "too large"),
        ("٣KiB", "not a size"),
    ];
    for (text, reason) in rows {
        let refusal = parse_size(text).expect_err(text);
        assert!(refusal.reason.contains(reason), "{text}: {refusal}");
        assert!(refusal.remedy.contains("KiB"), "{text}: {refusal}");
    }
}

#[test]
fn durations_are_read() {
    let rows = [("1ms", 1), ("500ms", 500), ("10s", 10_000), ("10 s", 10_000), ("2m", 120_000), ("1h", 3_600_000)];
    for (text, milliseconds) in rows {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    let rows = [
        ("", "not a duration", "10s"),
        ("soon", "not a duration", "10s"),
        ("-5s", "not a duration", "10s"),
        ("0s", "zero", "10s"),
        ("0", "zero", "10s"),
        ("10", "no unit", "write \"10s\""),
        ("1d", "unknown unit of time \"d\"", "h"),
        ("1.5s", "unknown unit", "ms"),
        ("1m30s", "unknown unit", "one unit"),
        ("10S", "unknown unit", "s"),
        ("off", "cannot be turned off", "10s"),
        ("8761h", "longer than a year", "8760h"),
        ("99999999999999999999h", "longer than a year", "8760h"),
        ("18446744073709551615h", "longer than a year", "8760h"),
    ];
    for (text, reason, remedy) in rows {
        let refusal = parse_duration(text).expect_err(text);
        assert!(refusal.reason.contains(reason), "{text}: {refusal}");
        assert!(refusal.remedy.contains(remedy), "{text}: {refusal}");
    }
}

// Upstreams

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
    assert_eq!((secure.secure, secure.port, secure.authority().as_str()), (true, 443, "x"));
    assert_eq!(secure.to_string(), "sse+https://x/y");
    assert_eq!(upstream("sse+https://x:80").authority(), "x:80");
}

#[test]
fn what_is_no_upstream_is_refused() {
    let rows = [
        ("", "no scheme", "write ws://HOST:PORT"),
        ("backend:9000", "no scheme", "write ws://HOST:PORT"),
        ("htp://x", "unknown scheme \"htp\"", "write ws://HOST:PORT or http://HOST:PORT"),
        ("wss://x", "event streams alone", "a hop on this machine that speaks TLS"),
        ("HTTPS://x", "event streams alone", "a hop on this machine that speaks TLS"),
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

// Requests and their ways

#[test]
fn a_path_ends_at_a_border() {
    let rows = [
        ("/", "/", true),
        ("/", "/chat", true),
        ("/", "/?x", true),
        ("/", "*", true),
        ("/chat", "/chat", true),
        ("/chat", "/chat/", true),
        ("/chat", "/chat/x", true),
        ("/chat", "/chat?x", true),
        ("/chat", "/chatter", false),
        ("/chat", "/Chat", false),
        ("/chat", "/cha", false),
        ("/chat", "/x/chat", false),
        ("/chat", "/", false),
        ("/chat", "*", false),
        ("/chat", "", false),
        ("/chat", "chat", false),
        ("/chat/", "/chat/", true),
        ("/chat/", "/chat/x", true),
        ("/chat/", "/chat", false),
        ("/chat/", "/chat?x", false),
        ("/chat", "/?u=/chat", false),
        ("/chat", "http://tv.example/chat?x", true),
        ("/chat", "ws://tv.example:80/chatter", false),
        ("/", "http://tv.example", true),
        ("/", "http://tv.example?x", true),
    ];
    for (path, target, expected) in rows {
        assert_eq!(route(path, "ws://b").matches("tv.example", target), expected, "{path} and {target}");
    }
}

#[test]
fn a_path_that_climbs_stays_out_of_routes_that_hide_something() {
    let climbing = [
        "/chat/../admin",
        "/chat/..",
        "/chat/..?x",
        "/chat/%2e%2E/admin",
        "/chat/.%2e/admin",
        "/chat/..%2fadmin",
        "/chat/..%5Cadmin",
        "/chat/..\\admin",
        "/chat/..;x/admin",
        "http://tv.example/chat/../admin",
    ];
    for target in climbing {
        assert!(!route("/chat", "ws://b").matches("", target), "{target}");
        assert!(!route("/chat/", "ws://b").matches("", target), "{target}");
        assert!(!route("/", "ws://b/app").matches("", target), "{target}");
        assert!(route("/", "ws://b").matches("", target), "{target}");
    }
    for target in ["/chat/a..b", "/chat/...", "/chat/.", "/chat/?x=/../y", "/chat/%20"] {
        assert!(route("/chat", "ws://b").matches("", target), "{target}");
    }
}

#[test]
fn a_host_is_compared_without_port_and_case() {
    let rows = [
        (None, "", "/", true),
        (None, "tv.example", "/", true),
        (Some("tv.example"), "tv.example", "/", true),
        (Some("tv.example"), "TV.Example", "/", true),
        (Some("tv.example"), "tv.example:8080", "/", true),
        (Some("tv.example"), "tv.example.", "/", true),
        (Some("tv.example"), "tv.example.:80", "/", true),
        (Some("tv.example"), "a.tv.example", "/", false),
        (Some("tv.example"), "tv.example.org", "/", false),
        (Some("tv.example"), "", "/", false),
        (Some("::1"), "[::1]", "/", true),
        (Some("::1"), "[::1]:8080", "/", true),
        (Some("::1"), "[::2]:8080", "/", false),
        // RFC 9112 §3.2.2: the host in the target counts.
        (Some("tv.example"), "other.example", "http://tv.example:80/", true),
        (Some("tv.example"), "other.example", "ws://user@tv.example/", true),
        (Some("tv.example"), "tv.example", "http://other.example/", false),
        (Some("tv.example"), "tv.example", "/?http://other.example/", true),
    ];
    for (host, header, target, expected) in rows {
        let route = Route { host: host.map(Into::into), ..route("/", "ws://b") };
        assert_eq!(route.matches(header, target), expected, "{host:?} and {header:?} {target:?}");
    }
}

#[test]
fn the_path_of_the_upstream_replaces_that_of_the_route() {
    let rows = [
        // Without a path, nothing is changed.
        ("/", "ws://b", "/chat/x?y", "/chat/x?y"),
        ("/chat", "ws://b", "/chat/x?y", "/chat/x?y"),
        ("/chat", "ws://b", "http://tv.example/chat", "http://tv.example/chat"),
        // With one, there is exactly one slash at the joint.
        ("/chat", "ws://b/rooms", "/chat", "/rooms"),
        ("/chat", "ws://b/rooms", "/chat/", "/rooms/"),
        ("/chat", "ws://b/rooms", "/chat/x", "/rooms/x"),
        ("/chat", "ws://b/rooms", "/chat//x", "/rooms/x"),
        ("/chat", "ws://b/rooms", "/chat?y=/", "/rooms?y=/"),
        ("/chat", "ws://b/rooms", "/chat/x?y", "/rooms/x?y"),
        ("/chat", "ws://b/rooms/", "/chat", "/rooms/"),
        ("/chat", "ws://b/rooms/", "/chat/x", "/rooms/x"),
        ("/chat/", "ws://b/rooms", "/chat/", "/rooms"),
        ("/chat/", "ws://b/rooms", "/chat/x", "/rooms/x"),
        ("/chat/", "ws://b/rooms/", "/chat/x", "/rooms/x"),
        ("/", "ws://b/rooms", "/", "/rooms"),
        ("/", "ws://b/rooms", "/?y", "/rooms?y"),
        ("/", "ws://b/rooms", "/x", "/rooms/x"),
        ("/", "ws://b/", "/x", "/x"),
        ("/chat", "ws://b/", "/chat", "/"),
        ("/chat", "ws://b/", "/chat?y", "/?y"),
        ("/chat", "ws://b/", "/chat/x", "/x"),
        ("/chat", "ws://b/", "/chat//evil.example/x", "/evil.example/x"),
        ("/chat", "ws://b/rooms", "http://tv.example/chat/x", "/rooms/x"),
        ("/", "ws://b/rooms", "http://tv.example?y", "/rooms?y"),
        ("/", "ws://b/rooms", "*", "*"),
        // What is not this route's is left alone.
        ("/chat", "ws://b/rooms", "/chatter", "/chatter"),
    ];
    for (path, url, target, expected) in rows {
        assert_eq!(route(path, url).upstream_target(target), expected, "{path} to {url}: {target}");
    }
}

#[test]
fn routes_with_a_host_come_first_then_the_longest_path() {
    let route = |name: &str, host: &str, path: &str| {
        format!("[[route]]\nname = {name:?}\nhost = {host:?}\npath = {path:?}\nupstream = \"ws://b\"\n")
    };
    let text = [
        "listen = [\"127.0.0.1:8080\"]\n".to_owned(),
        route("any", "*", "/"),
        route("any-chat-room", "*", "/chat/room"),
        route("tv", "tv.example", "/"),
        route("any-chat", "*", "/chat"),
        route("tv-chat", "tv.example", "/chat"),
        route("radio", "radio.example", "/"),
    ]
    .concat();
    let config = config(&text);
    let names: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["tv-chat", "tv", "radio", "any-chat-room", "any-chat", "any"]);
    let rows = [
        ("tv.example:80", "/chat/room", "tv-chat"),
        ("tv.example", "/chatter", "tv"),
        ("radio.example", "/chat", "radio"),
        ("", "/chat/room/1", "any-chat-room"),
        ("other.example", "/chat?x", "any-chat"),
        ("other.example", "/x", "any"),
    ];
    for (host, target, expected) in rows {
        assert_eq!(config.route(host, target).map(|route| route.name.as_str()), Some(expected), "{host} {target}");
    }
    assert_eq!(self::config(&least_with("route", "path = \"/chat\"")).route("tv.example", "/"), None);
}

// Faults

#[test]
fn a_fault_names_file_line_key_value_reason_and_remedy() {
    let faults = parse(&least_but("upstream", "upstream = \"htp://x\"")).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "hybridge.toml:5: route \"chat\": upstream = \"htp://x\": unknown scheme \"htp\"; \
         write ws://HOST:PORT or http://HOST:PORT, or sse+http://HOST:PORT for an event stream"
    );
    let faults = parse(&least_with("timeouts", "close = \"1m\"")).unwrap_err();
    assert_eq!(faults.to_string(), "hybridge.toml:7: timeouts.close = \"1m\": it is more than 30s; write 1s to 30s");
}

#[test]
fn every_fault_is_reported_with_its_line() {
    let text = r#"
thraeds = 2
log_level = "inof"
listen = [
    "127.0.0.1:8080",
    "localhost:80",
]
[timeouts]
head = "0s"
close = "1m"
[limits]
head_bytes = 12
[[route]]
name = "chat"
upstream = "htp://x"
[[route]]
path = "chat"
upstream = "ws://backend"
dialects = ["v13", "v4"]
"#;
    let faults = parse(text).unwrap_err();
    let found: Vec<(usize, &str)> = faults.as_slice().iter().map(|f| (f.line, f.key.as_str())).collect();
    let expected = [
        (2, "thraeds"),
        (3, "log_level"),
        (6, "listen"),
        (9, "timeouts.head"),
        (10, "timeouts.close"),
        (12, "limits.head_bytes"),
        (15, "route \"chat\": upstream"),
        (16, "route 2: name"),
        (17, "route 2: path"),
        (19, "route 2: dialects"),
    ];
    assert_eq!(found, expected, "\n{faults}");
    assert_eq!(faults.to_string().lines().count(), 10);
    assert!(faults.as_slice().iter().all(|f| f.file == "hybridge.toml" && !f.remedy.is_empty()));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one_named() {
    let rows = [
        ("", "thread = 2", "did you mean threads?"),
        ("", "log-level = \"info\"", "did you mean log_level?"),
        ("timeouts", "keepalive = \"1s\"", "did you mean keep_alive?"),
        ("limits", "max_mesage = 1", "did you mean max_message?"),
        ("route", "hsot = \"x\"", "did you mean host?"),
        ("route", "Path = \"/\"", "did you mean path?"),
        ("route", "retries = 3", "known here are name, host, path,"),
        ("route", "\"\\u001b\\n\" = 3", "known here are name, host, path,"),
    ];
    for (table, line, remedy) in rows {
        refused(table, &[(line, "unknown key", remedy)]);
    }
}

#[test]
fn a_key_in_the_wrong_table_is_told_its_own() {
    refused("limits", &[("threads = 2", "unknown key", "move it to the top of the file")]);
    refused("limits", &[("keep_alive = \"1s\"", "unknown key", "move it below the line [timeouts]")]);
    refused("route", &[("connections = 5", "unknown key", "move it below the line [limits]")]);
    refused("", &[("upstream_host = \"client\"", "unknown key", "move it below a line [[route]]")]);
}

#[test]
fn a_required_key_that_was_misspelt_is_one_fault() {
    for (key, misspelt) in
        [("listen", "listne = [\"127.0.0.1:1\"]"), ("name", "nmae = \"a\""), ("upstream", "upstraem = 1")]
    {
        let text =
            if key == "listen" { format!("{misspelt}\n{}", least_but(key, "")) } else { least_but(key, misspelt) };
        let faults = parse(&text).unwrap_err();
        assert_eq!(faults.as_slice().len(), 1, "{faults}");
        assert_eq!(faults.as_slice()[0].remedy, format!("did you mean {key}?"));
    }
}

#[test]
fn what_is_required_is_asked_for() {
    let rows = [
        (String::new(), vec![(1, "listen"), (1, "route")]),
        ("listen = [\"127.0.0.1:1\"]".to_owned(), vec![(1, "route")]),
        (least_but("listen", ""), vec![(1, "listen")]),
        (least_but("name", ""), vec![(3, "route 1: name")]),
        (least_but("upstream", ""), vec![(3, "route \"chat\": upstream")]),
    ];
    for (text, expected) in rows {
        let faults = parse(&text).unwrap_err();
        let found: Vec<(usize, &str)> = faults.as_slice().iter().map(|f| (f.line, f.key.as_str())).collect();
        assert_eq!(found, expected, "{text}\n{faults}");
        for fault in faults.as_slice() {
            assert_eq!(fault.reason, "it is missing");
            assert!(fault.remedy.starts_with("write "), "{fault}");
        }
    }
}

#[test]
fn text_that_is_no_toml_is_one_fault_with_its_line() {
    let rows = [
        ("a = 1\nb = ws://x\nc = ", 2, "`b = ws://x`", "put the value in quotes"),
        ("\nhead = 10s", 2, "`head = 10s`", "put the value in quotes"),
        ("listen = [127.0.0.1:80]", 1, "`listen = [127.0.0.1:80]`", "in quotes"),
        ("a = 1\r\n\r\na = 2", 3, "duplicate key", "leave one out"),
        ("[limits]\n[limits]", 2, "duplicate key", "leave one out"),
        ("[timeouts\nhead = 1", 1, "`[timeouts`", "close the brackets"),
        ("[[route]\n", 1, "`[[route]`", "close the brackets"),
        ("listen = [\"a\" \"b\"]", 1, "comma", "comma"),
        ("listen = [\"a\",\n", 1, "`listen = [\"a\",`", "bracket at its end"),
        ("a = 1\nb = \"x\nc = 1", 2, "`b = \"x`", "put a quote at the end"),
        ("a = \"C:\\quo\"", 1, "escape", "\\\\"),
        ("\u{1b}[2J", 1, "`?[2J`", "KEY = VALUE"),
        ("head: 10s", 1, "`head: 10s`", "KEY = VALUE"),
    ];
    for (text, line, reason, remedy) in rows {
        let faults = parse(text).expect_err(text);
        let [fault] = faults.as_slice() else { panic!("{text:?}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.key.as_str()), (line, ""), "{text:?}\n{fault}");
        assert!(fault.reason.contains(reason), "{text:?}\n{fault}");
        assert!(fault.remedy.contains(remedy), "{text:?}\n{fault}");
    }
}

#[test]
fn settings_of_the_wrong_kind_are_refused() {
    refused(
        "",
        &[
            ("threads = '2'", "a string instead of an integer", "without quotes"),
            ("threads = 0", "less than 1", "\"auto\""),
            ("threads = 1025", "more than 1024", "1 to 1024"),
            ("threads = -1", "less than 1", "1 to 1024"),
            ("threads = 99999999999999999999999", "more than 1024", "1 to 1024"),
            ("log_level = 'inof'", "unknown log level \"inof\"", "did you mean \"info\"? write one of error, warn"),
            ("log_level = 'INFO'", "unknown log level", "did you mean \"info\"?"),
            ("log_level = 3", "an integer instead of a string", "write one of"),
            ("log_level = ['info']", "a list instead of a string", "write one string"),
            ("timeouts = 5", "an integer instead of a table", "write a line [timeouts]"),
            ("limits = [1]", "a list instead of a table", "write a line [limits]"),
        ],
    );
    refused(
        "timeouts",
        &[
            ("head = 10", "no unit", "write \"10s\""),
            ("head = 0", "must not be zero", "10s"),
            ("head = -1", "not a duration", "10s"),
            ("head = 1.5", "a number with a fraction", "10s"),
            ("head = true", "true or false instead of a duration", "10s"),
            ("head = 00:00:10", "a date or time instead of a duration", "10s"),
            ("head = '0s'", "must not be zero", "10s"),
            ("head = 'off'", "cannot be turned off", "10s"),
            ("stall = 'none'", "cannot be turned off", "10s"),
            ("close = '999ms'", "less than 1s", "1s to 30s"),
            ("close = '31s'", "more than 30s", "1s to 30s"),
            ("idle = false", "true or false", "or \"off\" for no limit"),
            ("response = '0s'", "must not be zero", "or \"off\" for no limit"),
        ],
    );
    refused(
        "limits",
        &[
            ("head_bytes = 1023", "less than 1KiB", "1KiB to 1MiB"),
            ("head_bytes = '2MiB'", "more than 1MiB", "1KiB to 1MiB"),
            ("head_bytes = 'none'", "not a size", "16KiB"),
            ("head_bytes = 16.5", "a number with a fraction instead of a size", "16KiB"),
            ("head_fields = 9", "less than 10", "10 to 1000"),
            ("head_fields = 1001", "more than 1000", "10 to 1000"),
            ("connections = 0", "less than 1", "1 to 10000000"),
            ("connections = 'none'", "a string instead of an integer", "from 1 to 10000000"),
            ("connections_per_address = 0", "less than 1", "or \"none\" for no limit"),
            ("max_message = 0", "must not be zero", "or \"none\" for no limit"),
            ("max_message = -5", "\"-5\" is not a size", "or \"none\" for no limit"),
            ("max_message = 99999999999999999999", "too large", "or \"none\" for no limit"),
            ("max_message = '16KB'", "unknown unit", "or \"none\" for no limit"),
        ],
    );
}

#[test]
fn faulty_listeners_are_refused() {
    refused(
        "",
        &[
            ("listen = []", "the list is empty", "write at least one"),
            ("listen = '10.0.0.1:80'", "a string instead of a list", "write listen = [\"10.0.0.1:80\"]"),
            ("listen = 80", "an integer instead of a list", "write listen = [\"127.0.0.1:8080\"]"),
            ("listen = [80]", "an integer instead of a string", "0.0.0.0:80"),
            ("listen = [':80']", "not an address with a port", "\"0.0.0.0:80\" for every IPv4 address"),
            ("listen = ['80']", "not an address with a port", "\"[::]:80\" for IPv6"),
            ("listen = ['localhost:80']", "not an address with a port", "\"127.0.0.1:80\" or \"[::1]:80\""),
            ("listen = ['http://1.2.3.4:80']", "not an address with a port", "leave out the scheme"),
            ("listen = ['tv.example:80']", "not an address with a port", "an address of this machine"),
            ("listen = ['::1:80000']", "not an address with a port", "\"[::1]:8080\""),
            ("listen = ['1.2.3.4:80', '1.2.3.4:80']", "in the list already", "leave one out"),
            ("listen = ['[::1]:80', '[0::1]:80']", "in the list already", "leave one out"),
        ],
    );
}

#[test]
fn faulty_routes_are_refused() {
    refused(
        "route",
        &[
            ("name = ''", "1 to 64 letters", "\"chat\""),
            ("name = 'a b'", "1 to 64 letters", "\"chat\""),
            ("name = \"a\\nb\"", "1 to 64 letters", "\"chat\""),
            ("name = 5", "an integer instead of a string", "put it in quotes: \"5\""),
            ("host = ''", "no host", "write a name"),
            ("host = 'tv.example:80'", "no port", "serves every listener"),
            ("host = 'http://tv.example'", "no scheme", "the host alone"),
            ("host = 'tv.example/x'", "no path", "leave out the /"),
            ("host = '*.example'", "wildcards", "one route for each host"),
            ("host = '::1'", "more than one colon", "\"[::1]\""),
            ("path = ''", "does not begin with a slash", "write \"/\""),
            ("path = 'chat'", "does not begin with a slash", "write \"/chat\""),
            ("path = '/chat*'", "wildcard", "leave out the *"),
            ("path = '/chat?x'", "query", "leave out the ?"),
            ("path = '/a b'", "character ' '", "percent-encoded"),
            ("path = '/a/../b'", "segment ..", "write a path"),
            ("path = 5", "an integer instead of a string", "\"/5\""),
            ("upstream = 'ws://127.0.0.1:8080'", "own listener 127.0.0.1:8080", "the address of the backend"),
            ("upstream = ['ws://a', 'ws://b']", "a list instead of a string", "write one string"),
            ("public_url = 'wsss'", "unknown scheme \"wsss\"", "did you mean \"wss\"?"),
            ("public_url = 'tv.example'", "unknown scheme", "wss://HOST:PORT"),
            ("public_url = 'wss://tv.example/?x'", "a query or a fragment", "leave out the ?"),
            ("public_url = 'wss://a b'", "not a host", "write a name"),
            ("public_url = 'wss://'", "no host", "write a name"),
            ("public_url = 'wss://Tv.example'", "upper-case", "in lower case"),
            ("public_url = 'wss://tv.example:443'", "the scheme's own", "leave it out"),
            ("public_url = 'ws://tv.example:80/a'", "the scheme's own", "leave it out"),
            ("upstream_host = 'upsteam'", "unknown choice", "did you mean \"upstream\"?"),
            ("upstream_host = 'Client'", "unknown choice", "did you mean \"client\"?"),
            ("upstream_host = 'a:0'", "port 0", "from 1 to 65535"),
            ("upstream_host = \"a\\r\\nX: y\"", "not a host", "write a name"),
            ("upstream_host = 'http://a'", "no scheme", "the host alone"),
            ("dialects = []", "the list is empty", "write at least one"),
            ("dialects = 'v13'", "a string instead of a list", "write dialects = [\"v13\"]"),
            ("dialects = ['v4']", "unknown dialect \"v4\"", "write one of hixie-75, hixie-76, v7, v8, v13"),
            ("dialects = ['Hixie_76']", "unknown dialect", "did you mean \"hixie-76\"?"),
            ("dialects = [13]", "an integer instead of a string", "put it in quotes: \"13\""),
            ("dialects = ['v13', 'rfc6455']", "in the list already", "leave one out"),
            ("binary = 'bas64'", "unknown policy", "did you mean \"base64\"? write one of close, base64, latin1, drop"),
            ("binary = 'Latin-1'", "unknown policy", "did you mean \"latin1\"?"),
            ("max_message = '1 MB'", "unknown unit", "MiB"),
        ],
    );
}

#[test]
fn faulty_settings_of_tls_are_refused() {
    refused(
        "upstream_tls",
        &[
            ("ca = []", "a list instead of a string", "\"system\""),
            ("insecure = 'yes'", "a string instead of true or false", "without quotes"),
            ("insecure = true\nca = 'own.pem'", "nobody looks at ca", "leave out insecure, or leave out ca"),
        ],
    );
}

#[test]
fn faulty_settings_of_event_streams_are_refused() {
    refused(
        "events",
        &[
            ("message = 'text'", "unknown form \"text\"", "write one of data, json"),
            ("message = 'Json'", "unknown form", "did you mean \"json\"?"),
            ("events = []", "the list is empty", "write at least one"),
            ("events = 'update'", "a string instead of a list", "write events = [\"update\"]"),
            ("events = ['']", "no event has this type", "\"message\""),
            ("events = [\"a\\nb\"]", "no event has this type", "\"message\""),
            ("events = ['a', 'a']", "in the list already", "leave one out"),
            ("send = 'messages'", "neither a path nor a URL", "\"/messages\""),
            ("send = '/a?b'", "query", "leave out the ?"),
            ("send = 'http://x/a?b'", "query", "leave out the ?"),
            ("send = 'ws://x/a'", "the scheme \"ws\"", "http://HOST:PORT/PATH"),
            ("send = 'https://x/a?b'", "query", "leave out the ?"),
            ("send = 'http://127.0.0.1:8080/a'", "own listener", "the address of the backend"),
            ("send_type = 'json'", "not a media type", "application/json"),
            ("send_type = \"text/plain\\r\\nX: y\"", "not a media type", "application/json"),
            ("send_failure = 'retry'", "unknown policy", "write one of close, drop"),
            ("resume = 'lastEventId'", "a string instead of a list", "write resume = [\"lastEventId\"]"),
            ("resume = ['a=b']", "not the name of a query parameter", "letters, digits"),
            ("retry = '2h'", "more than 1h", "write 10ms to 1h"),
            ("retry = 'off'", "cannot be turned off", "write a duration"),
            ("reconnect = 0", "not be zero", "\"off\" for no limit"),
            ("silence = '5'", "no unit", "write \"5s\""),
        ],
    );
    refused("limits", &[("event_bytes = 1023", "less than 1KiB", "1KiB to 64MiB")]);
    refused("limits", &[("send_queue = '65MiB'", "more than 64MiB", "1KiB to 64MiB")]);
}

#[test]
fn settings_without_effect_are_refused() {
    let stream_alone = ("only an event stream has this setting", "sse+http://HOST:PORT");
    for line in [
        "message = 'json'",
        "events = ['a']",
        "send = '/a'",
        "send_type = 'application/json'",
        "send_failure = 'drop'",
        "resume = 'none'",
        "retry = '1s'",
        "reconnect = 'off'",
        "silence = '1m'",
    ] {
        refused("route", &[(line, stream_alone.0, stream_alone.1)]);
    }
    // The default says what is so anyway.
    config(&least_with("route", "message = 'data'\nsend = 'none'\nsilence = 'off'"));
    let unsent = ("nothing is sent on this route", "write send = \"/PATH\" as well");
    refused("events", &[("send_type = 'application/json'", unsent.0, unsent.1)]);
    refused("events", &[("send_failure = 'drop'", unsent.0, unsent.1)]);
    refused("events", &[("binary = 'base64'", "no binary messages", "leave this out")]);
    // Each is named, also where several are wrong, and none where it is not known what the upstream is.
    let faults = parse(&least_with("route", "message = 'json'\nsend = '/a'")).expect_err("two");
    assert_eq!(faults.as_slice().len(), 2, "{faults}");
    let faults = parse(&least_but("upstream", "upstream = 'x'\nmessage = 'json'")).expect_err("one");
    assert_eq!(faults.as_slice().len(), 1, "{faults}");
}

#[test]
fn a_place_to_send_to_is_a_path_or_a_url() {
    let rows = [
        ("/in", None, "/in", "/in"),
        ("http://b:9000/in", Some("ws://b:9000"), "/in", "http://b:9000/in"),
        ("http://b", Some("ws://b"), "/", "http://b/"),
    ];
    for (text, backend, path, written) in rows {
        let send: SendTo = text.parse().unwrap();
        assert_eq!((send.backend.clone(), send.path.as_str()), (backend.map(upstream), path), "{text}");
        assert_eq!(send.to_string(), written);
        assert_eq!(written.parse(), Ok(send));
    }
}

#[test]
fn a_dialect_is_not_mistaken_for_another() {
    // The nearest in letters would be hybi-00, which is hixie-76.
    refused("route", &[("dialects = [\"hybi-08\"]", "unknown dialect", "write one of")]);
    let faults = parse(&least_with("route", "dialects = [\"hybi-08\"]")).unwrap_err();
    assert!(!faults.to_string().contains("did you mean"), "{faults}");
}

#[test]
fn routes_that_are_no_list_of_tables_are_refused() {
    let rows = [
        ("route = []", 2, "the list is empty"),
        ("route = 5", 2, "an integer instead of a list of tables"),
        ("[route]\nname = \"a\"", 2, "a table instead of a list of tables"),
        ("route = [\n5]", 3, "an integer instead of a table"),
    ];
    for (text, line, reason) in rows {
        let faults = parse(&format!("listen = [\"127.0.0.1:1\"]\n{text}")).expect_err(text);
        let [fault] = faults.as_slice() else { panic!("{text}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.reason.as_str()), (line, reason), "{text}");
        assert!(fault.remedy.contains("[[route]]"), "{fault}");
    }
}

#[test]
fn a_request_goes_one_way() {
    let second = |rest: &str| format!("{LEAST}[[route]]\nupstream = \"ws://b\"\n{rest}\n");
    let rows = [
        ("name = \"b\"", 6, "route \"b\"", "host and path are those of route \"chat\" on line 3"),
        ("name = \"b\"\npath = \"/\"", 9, "route \"b\"", "host and path are those of route \"chat\" on line 3"),
        ("name = \"b\"\nhost = \"*\"", 9, "route \"b\"", "host and path are those of route \"chat\" on line 3"),
        ("name = \"chat\"\npath = \"/b\"", 8, "route \"chat\": name", "the route on line 4 has this name"),
    ];
    for (rest, line, key, reason) in rows {
        let faults = parse(&second(rest)).expect_err(rest);
        let [fault] = faults.as_slice() else { panic!("{rest}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.key.as_str(), fault.reason.as_str()), (line, key, reason), "{rest}");
    }
    let hosts =
        "name = \"b\"\nhost = \"tv.example\"\n[[route]]\nname = \"c\"\nupstream = \"ws://c\"\nhost = \"TV.example.\"";
    let faults = parse(&second(hosts)).unwrap_err();
    assert!(faults.to_string().contains("those of route \"b\" on line 9"), "{faults}");
    assert!(parse(&second("name = \"b\"\npath = \"/chat\"")).is_ok());
    assert!(parse(&second("name = \"b\"\nhost = \"tv.example\"")).is_ok());
}

#[test]
fn a_route_does_not_lead_back_to_the_proxy() {
    let rows = [
        ("127.0.0.1:80", "ws://127.0.0.1", false),
        ("0.0.0.0:80", "ws://127.0.0.2", false),
        ("0.0.0.0:80", "ws://0.0.0.0", false),
        ("[::]:80", "ws://[::1]", false),
        ("10.0.0.1:80", "ws://10.0.0.1:80/x", false),
        ("127.0.0.1:80", "ws://127.0.0.1:81", true),
        ("127.0.0.1:80", "ws://127.0.0.2", true),
        ("0.0.0.0:80", "ws://10.0.0.1", true),
        // A listener on [::] may leave IPv4 to others.
        ("[::]:80", "ws://127.0.0.1", true),
        ("127.0.0.1:80", "ws://localhost", true),
    ];
    for (listen, url, good) in rows {
        let text = format!("listen = [{listen:?}]\n[[route]]\nname = \"a\"\nupstream = {url:?}");
        assert_eq!(parse(&text).is_ok(), good, "{listen} and {url}");
    }
}

#[test]
fn a_fault_is_one_line_whatever_the_file_holds() {
    let text = least_with("", &format!("log_level = \"\"\"a\nb\u{85}{}\"\"\"", "x".repeat(1000)));
    let faults = parse(&text).unwrap_err();
    let shown = faults.to_string();
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.len() < 400 && shown.chars().all(|c| !c.is_control()), "{shown}");
}

// Files

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = Config::read(&directory.join("no/such.toml")).unwrap_err();
    assert!(error.to_string().contains("such.toml: the configuration cannot be read; check the path"), "{error}");
    assert!(error.source().is_some(), "the operating system has a say");
    let error = Config::read(directory).unwrap_err();
    assert!(error.to_string().ends_with("name a file in that directory"), "{error}");
}

#[test]
fn a_file_is_read_and_named_in_its_faults() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join("config-good.toml");
    std::fs::write(&path, LEAST).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config(LEAST));

    let path = directory.join("config-faulty.toml");
    std::fs::write(&path, least_with("", "threads = 0")).unwrap();
    let error = Config::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:1: threads = 0: ", path.display())), "{error}");

    let path = directory.join("config-latin1.toml");
    std::fs::write(&path, b"threads = 2\n# B\xfcro\n").unwrap();
    let error = Config::read(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}:2: this is not UTF-8; save the file as UTF-8", path.display()));
}

#[test]
fn a_file_from_another_system_is_read() {
    let windows = format!("\u{feff}{}", LEAST.replace('\n', "\r\n"));
    assert_eq!(config(&windows), config(LEAST));
    let faults = parse(&windows.replace("10.0.0.5", "10.0.0.500")).unwrap_err();
    assert_eq!(faults.as_slice()[0].line, 5);
}

// What operators read

#[test]
fn a_summary_shows_ways_in_their_order_and_what_is_not_usual() {
    let text = r#"
        listen = ["127.0.0.1:8080", "[::1]:8080"]
        threads = 8
        [timeouts]
        idle = "off"
        close = "1500ms"
        [limits]
        head_bytes = 65536
        [[route]]
        name = "rest"
        upstream = "http://10.0.0.5"
        [[route]]
        name = "news"
        path = "/news"
        upstream = "sse+http://10.0.0.6"
        message = "json"
        events = ["message", "update"]
        send = "/in"
        resume = "none"
        [[route]]
        name = "tv"
        host = "tv.example"
        path = "/chat"
        upstream = "ws://[::1]:9000/rooms"
        upstream_host = "upstream"
        dialects = ["v13", "hixie-76"]
        binary = "base64"
        max_message = "16MiB"
    "#;
    let expected = "\
listen 127.0.0.1:8080, [::1]:8080
route tv: tv.example/chat -> ws://[::1]:9000/rooms
    dialects = hixie-76, v13
    upstream_host = upstream (default client)
    binary = base64 (default close)
    max_message = 16MiB (default none)
route news: /news -> sse+http://10.0.0.6
    dialects = hixie-75, hixie-76, v7, v8, v13
    message = json (default data)
    events = message, update (default all)
    send = /in (default none)
    resume = none (default lastEventId, Last-Event-ID)
route rest: / -> ws://10.0.0.5
    dialects = hixie-75, hixie-76, v7, v8, v13
threads = 8 (default auto)
timeouts.close = 1500ms (default 3s)
timeouts.idle = off (default 1h)
limits.head_bytes = 64KiB (default 16KiB)
every other setting is at its default
";
    assert_eq!(config(text).summary(), expected);
}

#[test]
fn a_summary_shows_each_setting_that_is_not_usual() {
    let mut shown = 0;
    for (table, keys) in KEYS.into_iter().filter(|(table, _)| ["timeouts", "limits", "upstream_tls"].contains(table)) {
        // On a route, where it has its effect.
        for key in keys.iter().filter(|key| **key != "max_message") {
            let value = if table == "timeouts" { "\"29s\"" } else { "1024" };
            let value = match *key {
                "head_fields" => "999",
                "ca" => "\"own.pem\"",
                "insecure" => "true",
                _ => value,
            };
            let summary = config(&least_with(table, &format!("{key} = {value}"))).summary();
            assert!(summary.contains(&format!("\n{table}.{key} = ")), "{table}.{key}\n{summary}");
            shown += 1;
        }
    }
    assert_eq!(shown, 17);
}

#[test]
fn log_levels_are_read_as_they_are_written() {
    for level in LogLevel::ALL {
        assert_eq!(level.as_str().parse(), Ok(level));
        assert_eq!(level.to_string(), level.as_str());
    }
    assert!(LogLevel::Error < LogLevel::Trace);
}

// Anything at all

/// Lines as an operator in a hurry writes them: right in most places.
fn line() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = KEYS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let value = prop_oneof![
        any::<String>().prop_map(|text| format!("{text:?}")),
        "[0-9]{1,25}(ms|s|m|h|d|B|KiB|MiB|GiB)?".prop_map(|text| format!("{text:?}")),
        "(ws|http|wss)://[a-z0-9.:@\\[\\]/?#%]{0,20}".prop_map(|text| format!("{text:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("[]".to_owned()),
        Just("[\"127.0.0.1:80\", 7, [\"v13\"]]".to_owned()),
        Just("{ head = 1, route = [{ name = 5 }] }".to_owned()),
    ];
    prop_oneof![
        8 => (proptest::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => proptest::sample::select(vec!["[timeouts]", "[limits]", "[[route]]", "[route]"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
        let _ = parse_size(&text);
        let _ = parse_duration(&text);
        let _ = Upstream::parse(&text);
    }

    #[test]
    fn no_lines_panic_and_each_fault_is_a_line_of_the_file(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        match parse(&text) {
            Ok(config) => prop_assert!(!config.routes.is_empty() && !config.listen.is_empty()),
            Err(faults) => {
                prop_assert!(!faults.as_slice().is_empty());
                prop_assert_eq!(faults.to_string().lines().count(), faults.as_slice().len());
                for fault in faults.as_slice() {
                    prop_assert!((1..=text.lines().count().max(1)).contains(&fault.line), "{}", fault);
                    prop_assert!(!fault.reason.is_empty() && !fault.remedy.is_empty(), "{}", fault);
                }
            }
        }
    }

    #[test]
    fn no_request_panics(
        host in any::<String>(),
        target in any::<String>(),
        path in "/[a-z/]{0,5}",
        base in "/[a-z/]{0,5}",
    ) {
        let route = route(&path, &format!("ws://b{base}"));
        let _ = route.matches(&host, &target);
        let _ = route.upstream_target(&target);
    }

    #[test]
    fn what_a_route_takes_stays_below_the_upstreams_path(
        target in "/[a-c./%]{0,8}(\\?[a-c/?]{0,4})?",
        path in "/[a-c]?/?",
        base in "/[a-c]{1,3}/?",
    ) {
        let route = route(&path.replace("//", "/"), &format!("ws://b{base}"));
        if route.matches("", &target) {
            let asked = route.upstream_target(&target);
            let base = base.trim_end_matches('/');
            let rest = asked.strip_prefix(base).expect("it begins with the upstream's path");
            prop_assert!(rest.is_empty() || rest.starts_with(['/', '?']), "{}", asked);
            prop_assert!(!rest.starts_with("//"), "{}", asked);
            let query = |target: &str| target.split_once('?').map(|(_, query)| query.to_owned());
            prop_assert_eq!(query(&asked), query(&target));
        }
    }
}

#[test]
fn a_location_is_what_the_client_knows_letter_by_letter() {
    let check = |setting: &str, expected: &str| {
        let url: PublicUrl = setting.parse().expect(setting);
        assert_eq!(url.location("TV.example:8080", "/live?x=1"), expected, "{setting}");
        assert_eq!(url.to_string().parse(), Ok(url), "what is shown can be written");
    };
    check("ws", "ws://TV.example:8080/live?x=1");
    check("wss", "wss://TV.example:8080/live?x=1");
    check("https", "wss://TV.example:8080/live?x=1");
    check("wss://portal.example", "wss://portal.example/live?x=1");
    check("wss://portal.example:80", "wss://portal.example:80/live?x=1");
    check("ws://portal.example:81/", "ws://portal.example:81/live?x=1");
    check("wss://[::1]:9/front/", "wss://[::1]:9/front/live?x=1");
}
