//! Routes to several servers.

use std::time::Duration;

use hybridge::preamble::Version;

use crate::*;

#[test]
fn several_servers_are_one_upstream() {
    let line = "upstream = [\"ws://10.0.0.5:9000/x\", \"http://b/x\", \"ws+unix:///run/a.sock:/x\"]";
    let read = &config(&least_but("upstream", line)).routes[0].upstream;
    let place = |host: &str, port| Place::Tcp { host: host.into(), port };
    let servers = vec![place("10.0.0.5", 9000), place("b", 80), Place::Unix("/run/a.sock".into())];
    let expected = Upstream { protocol: Protocol::WebSocket, secure: false, servers, path: Some("/x".into()) };
    assert_eq!(*read, expected);
    assert_eq!(read.to_string(), "ws://10.0.0.5:9000/x, ws://b/x, ws+unix:///run/a.sock:/x");
    // One in a list is as good as one alone.
    assert_eq!(config(&least_but("upstream", "upstream = [\"ws://10.0.0.5:9000\"]")), config(LEAST));
}

#[test]
fn servers_that_do_not_fit_together_are_refused() {
    refused(
        "route",
        &[
            ("upstream = []", "the list is empty", "upstream = \"ws://HOST:PORT\""),
            ("upstream = ['ws://a', 5]", "an integer instead of a string", "write ws://HOST:PORT"),
            ("upstream = ['ws://a', 'htp://b']", "unknown scheme", "write ws://HOST:PORT"),
            ("upstream = ['ws://a', 'wss://b']", "over TLS and another is not", "a route for each"),
            ("upstream = ['ws://a', 'sse+http://b']", "WebSocket and another sends events", "a route for each"),
            ("upstream = ['ws://a', 'ws://b/x']", "path is not that of the others", "a route for each"),
            ("upstream = ['ws://a', 'ws://a/']", "path is not that of the others", "a route for each"),
            ("upstream = ['ws://a', 'http://A:80']", "in the list already", "leave one out"),
            ("upstream = ['ws://a', 'ws://127.0.0.1:8080']", "own listener", "the address of the backend"),
        ],
    );
}

#[test]
fn balance_and_health_mean_what_they_say() {
    let route = |line: &str| config(&least_with("servers", line)).routes.remove(0);
    let rows = [
        ("round-robin", Balance::RoundRobin),
        ("least-connections", Balance::LeastConnections),
        ("client", Balance::Client),
        ("path", Balance::Path),
        ("cookie JSESSIONID", Balance::Cookie("JSESSIONID".into())),
    ];
    for (text, expected) in rows {
        assert_eq!(route(&format!("balance = {text:?}")).balance, expected);
        assert_eq!(expected.to_string(), text);
    }
    for (text, expected) in [
        ("none", None),
        ("tcp", Some(Health::Tcp)),
        ("/v1/health?standby=ok", Some(Health::Http("/v1/health?standby=ok".into()))),
    ] {
        assert_eq!(route(&format!("health = {text:?}")).health, expected);
    }
    let read = route("eject_after = 1\neject_for = \"24h\"\nsend_proxy = \"v1\"\nattempts = 100");
    assert_eq!((read.eject_after, read.eject_for), (Some(1), Duration::from_secs(24 * 60 * 60)));
    assert_eq!((read.send_proxy, read.attempts), (Some(Version::V1), 100));
}

#[test]
fn faulty_settings_of_servers_are_refused() {
    refused(
        "servers",
        &[
            ("balance = 'roundrobin'", "unknown choice", "did you mean \"round-robin\"?"),
            ("balance = 'random'", "unknown choice", "least-connections, client, path, cookie NAME"),
            ("balance = 'cookies'", "unknown choice", "cookie NAME"),
            ("balance = 'cookie'", "no name of a cookie", "\"cookie session\""),
            ("balance = 'cookie a=b'", "no name of a cookie", "\"cookie session\""),
            ("balance = 'cookie a b'", "no name of a cookie", "\"cookie session\""),
            ("attempts = 0", "less than 1", "1 to 100"),
            ("attempts = 101", "more than 100", "1 to 100"),
            ("health = 'http'", "neither \"tcp\" nor a path", "\"/healthz\", or \"none\""),
            ("health = '/a b'", "character ' '", "percent-encoded"),
            ("health = '/a?b c'", "characters that none has", "percent-encoded"),
            ("health_interval = '1s'", "nobody asks", "write health = \"tcp\""),
            ("health_interval = '99ms'", "less than 100ms", "100ms to 1h"),
            ("eject_after = 0", "less than 1", "or \"none\" for no limit"),
            ("eject_for = '25h'", "more than 24h", "100ms to 24h"),
            ("send_proxy = 'v3'", "unknown version", "write one of v1, v2, or \"none\""),
            ("send_proxy = '2'", "unknown version", "did you mean \"v2\"?"),
            ("send_proxy = 2", "an integer instead of a string", "did you mean \"v2\"?"),
        ],
    );
    let one = ("there is one server alone", "upstream = [\"URL\", \"URL\"]");
    refused("route", &[("balance = 'client'", one.0, one.1), ("attempts = 5", one.0, one.1)]);
    let faults = parse(&least_with("servers", "eject_after = 'none'\neject_for = '1m'")).unwrap_err();
    assert!(faults.to_string().contains("no server is left alone; give eject_after a number"), "{faults}");
    // One server alone may be well or not.
    config(&least_with("route", "balance = 'round-robin'\nattempts = 3\nhealth = 'tcp'\neject_for = '1m'"));
}
