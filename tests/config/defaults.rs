//! What holds where the file says nothing, and the example that says so.

use std::collections::BTreeSet;
use std::time::Duration;

use hybridge::dialect::sse::{Form, Types};
use hybridge::dialect::{BinaryPolicy, DialectSet};

use crate::*;

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
        auth: seconds(5),
    };
    let limits = Limits {
        head_bytes: 16384,
        head_fields: 100,
        connections: 100_000,
        connections_per_address: None,
        handshakes_per_address: None,
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
    let is_setting = |line: &str| {
        line.strip_prefix('#').is_some_and(|line| line.starts_with(|c: char| c.is_alphabetic() || c == '['))
    };
    EXAMPLE.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_has_every_default() {
    for text in [EXAMPLE, &whole_example()] {
        let mut example = config(text);
        let mut least = config(LEAST);
        // What is required has no default, but what stands beside it has.
        for listener in &example.listeners {
            assert_eq!(*listener, Listener::plain(listener.address));
        }
        least.listeners.clone_from(&example.listeners);
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
    for (table, keys) in KEYS.into_iter().filter(|(table, _)| *table != "certificates") {
        let found = match table {
            "" => &example,
            "route" | "listener" => example[table][0].as_table().unwrap(),
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
