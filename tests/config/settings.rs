//! Each key, and what it means.

use std::num::NonZeroUsize;
use std::time::Duration;

use hybridge::dialect::{BinaryPolicy, Dialect};

use crate::*;

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
        ("servers", "balance = \"least-connections\""),
        ("servers", "attempts = 1"),
        ("route", "health = \"tcp\""),
        ("route", "health = \"/healthz\"\nhealth_interval = \"1s\""),
        ("route", "eject_after = \"none\""),
        ("route", "eject_for = \"1m\""),
        ("route", "send_proxy = \"v2\""),
        ("route", "origins = [\"https://tv.example\"]"),
        ("route", "clients = [\"10.0.0.0/8\"]"),
        ("route", "auth = \"http://127.0.0.1:9001/auth\""),
        ("route", "auth = \"http://127.0.0.1:9001/auth\"\nauth_headers = [\"X-User\"]"),
        ("listener", "certificates = [{ cert = \"a.pem\", key = \"a.key\" }]"),
        ("tls", "client_ca = \"ca.pem\""),
        ("tls", "client_ca = \"ca.pem\"\nclient_certificate = \"optional\""),
        ("tls", "old_tls = \"127.0.0.1:8443\""),
        ("tls", "old_tls = \"127.0.0.1:8443\"\nold_tls_proxy = \"v1\""),
        ("listener", "proxy_protocol = [\"10.0.0.5\"]"),
        ("listener", "flash_policy = [\"*.tv.example\"]"),
        ("forwarded", "trusted = [\"10.0.0.5\"]"),
        ("forwarded", "headers = [\"X-Real-IP\"]"),
        ("timeouts", "auth = \"1s\""),
        ("limits", "handshakes_per_address = \"30/1m\""),
        ("upstream_tls", "cert = \"c.pem\"\nkey = \"c.key\""),
        ("upstream_tls", "key = \"d.key\"\ncert = \"c.pem\""),
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
        assert_ne!(config, crate::config(&least_with(table, "")), "{line} is not read");
        seen.push(config);
    }
    // `listen`, `name`, `upstream`, `address`, `cert` and `key` are in the files that these are put into, and six are
    // tables.
    let keys: usize = KEYS.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(rows.len() + 12, keys, "a key is not tried here");
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
    let plain = ["0.0.0.0:80", "[::1]:0"].map(|address| Listener::plain(address.parse().unwrap()));
    assert_eq!(config.listeners, plain);
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
