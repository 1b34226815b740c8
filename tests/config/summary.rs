//! What operators read.

use crate::*;

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
    for (table, keys) in
        KEYS.into_iter().filter(|(table, _)| ["forwarded", "timeouts", "limits", "upstream_tls"].contains(table))
    {
        // On a route, where it has its effect.
        for key in keys.iter().filter(|key| **key != "max_message") {
            let value = if table == "timeouts" { "\"29s\"" } else { "1024" };
            let value = match *key {
                "head_fields" => "999",
                "ca" => "\"own.pem\"",
                "insecure" => "true",
                "cert" => "\"c.pem\"\nkey = \"c.key\"",
                "key" => "\"c.key\"\ncert = \"c.pem\"",
                "handshakes_per_address" => "\"30/1m\"",
                "trusted" => "[\"10.0.0.5\"]",
                "headers" => "\"none\"",
                _ => value,
            };
            let summary = config(&least_with(table, &format!("{key} = {value}"))).summary();
            assert!(summary.contains(&format!("\n{table}.{key} = ")), "{table}.{key}\n{summary}");
            shown += 1;
        }
    }
    assert_eq!(shown, 23);
}

#[test]
fn a_summary_shows_what_each_listener_does() {
    let text = r#"
        listen = ["127.0.0.1:8080"]
        [[listener]]
        address = "[::1]:8080"
        [[listener]]
        address = "0.0.0.0:443"
        certificates = [{ cert = "tv.pem", key = "tv.key" }, { cert = "radio.pem", key = "radio.key" }]
        proxy_protocol = ["10.0.0.0/8", "127.0.0.1"]
        [[listener]]
        address = "0.0.0.0:444"
        certificates = [{ cert = "tv.pem", key = "tv.key" }]
        client_ca = "clients.pem"
        client_certificate = "optional"
        old_tls = "127.0.0.1:8443"
        old_tls_proxy = "v2"
        [[listener]]
        address = "0.0.0.0:843"
        flash_policy = ["*.tv.example", "*:80"]
        [[route]]
        name = "tv"
        upstream = ["wss://10.0.0.5/x", "wss://10.0.0.6/x"]
        balance = "cookie session"
        attempts = 2
        health = "/healthz?full"
        health_interval = "1s"
        eject_after = "none"
        send_proxy = "v1"
        origins = ["HTTPS://TV.example:443", "https://*.tv.example:8443", "missing"]
        clients = ["10.0.0.0/8", "fd00::1"]
        auth = "http+unix:///run/auth.sock:/ask"
        auth_headers = ["X-User", "X-Group"]
    "#;
    let expected = "\
listen 127.0.0.1:8080, [::1]:8080
listen 0.0.0.0:443 (TLS: 2 certificates, PROXY from 10.0.0.0/8, 127.0.0.1)
    certificates = tv.pem, radio.pem (default none)
listen 0.0.0.0:444 (TLS: 1 certificate)
    certificates = tv.pem (default none)
    client_ca = clients.pem (default none)
    client_certificate = optional (default required)
    old_tls = 127.0.0.1:8443 (default none)
    old_tls_proxy = v2 (default none)
listen 0.0.0.0:843
    flash_policy = *.tv.example, *:80 (default none)
route tv: / -> wss://10.0.0.5/x, wss://10.0.0.6/x
    dialects = hixie-75, hixie-76, v7, v8, v13
    balance = cookie session (default round-robin)
    attempts = 2 (default 3)
    health = /healthz?full (default none)
    health_interval = 1s (default 5s)
    eject_after = none (default 3)
    send_proxy = v1 (default none)
    origins = https://tv.example, https://*.tv.example:8443, missing (default any)
    clients = 10.0.0.0/8, fd00::1 (default any)
    auth = http+unix:///run/auth.sock:/ask (default none)
    auth_headers = X-User, X-Group (default none)
every other setting is at its default
";
    assert_eq!(config(text).summary(), expected);
}

#[test]
fn log_levels_are_read_as_they_are_written() {
    for level in LogLevel::ALL {
        assert_eq!(level.as_str().parse(), Ok(level));
        assert_eq!(level.to_string(), level.as_str());
    }
    assert!(LogLevel::Error < LogLevel::Trace);
}
