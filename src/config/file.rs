//! From the tables of a TOML file to a [`Config`]. Every fault on the way is kept, and reading goes on.

mod listeners;
mod reader;
mod routes;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use self::reader::{Reader, Section, not_toml};
use super::access::parse_trusted;
use super::fault::{Faults, Refusal};
use super::value::{buffer, count, duration, file, forwarded_header, or_none, or_off, size, text, threads, truth};
use super::{Certificate, Config, Forwarded, Limits, Timeouts, UpstreamTls, units};

/// Every key that a file may have, by the table it stands in; the top of the file is `""`.
pub const KEYS: [(&str, &[&str]); 8] = [
    ("", &["threads", "log_level", "listen", "listener", "forwarded", "timeouts", "limits", "upstream_tls", "route"]),
    (
        "listener",
        &[
            "address",
            "certificates",
            "client_ca",
            "client_certificate",
            "old_tls",
            "old_tls_proxy",
            "proxy_protocol",
            "flash_policy",
        ],
    ),
    ("certificates", &["cert", "key"]),
    ("forwarded", &["trusted", "headers"]),
    ("timeouts", &["head", "key3", "connect", "handshake", "close", "idle", "stall", "response", "keep_alive", "auth"]),
    (
        "limits",
        &[
            "head_bytes",
            "head_fields",
            "connections",
            "connections_per_address",
            "handshakes_per_address",
            "max_message",
            "event_bytes",
            "send_queue",
        ],
    ),
    ("upstream_tls", &["ca", "insecure", "cert", "key"]),
    (
        "route",
        &[
            "name",
            "host",
            "path",
            "upstream",
            "balance",
            "attempts",
            "health",
            "health_interval",
            "eject_after",
            "eject_for",
            "send_proxy",
            "upstream_host",
            "public_url",
            "origins",
            "clients",
            "auth",
            "auth_headers",
            "dialects",
            "binary",
            "max_message",
            "message",
            "events",
            "send",
            "send_type",
            "send_failure",
            "resume",
            "retry",
            "reconnect",
            "silence",
        ],
    ),
];

const ANY_DURATION: RangeInclusive<Duration> = Duration::from_millis(1)..=units::LONGEST;
const CLOSE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);
const HEAD_BYTES: RangeInclusive<usize> = 1 << 10..=1 << 20;
const EVENT_BYTES: RangeInclusive<usize> = 1 << 10..=64 << 20;
const HEAD_FIELDS: RangeInclusive<usize> = 10..=1000;
const CONNECTIONS: RangeInclusive<usize> = 1..=10_000_000;

/// Reads the text of a file.
pub(super) fn parse(text: &str, file: &str) -> Result<Config, Faults> {
    let mut reader = Reader::new(text, file);
    let config = match DeTable::parse(text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => {
            // What the end of the file cuts short is told of behind it, where nobody finds a line to look at.
            let last = text.lines().count().max(1);
            let line = reader.line(error.span().map_or(0, |span| span.start)).min(last);
            let found = text.lines().nth(line - 1).unwrap_or_default();
            return Err(reader.fault(line, String::new(), None, not_toml(error.message(), found)).into());
        }
    };
    match Faults::new(reader.faults) {
        None => Ok(config),
        Some(faults) => Err(faults),
    }
}

impl Reader<'_> {
    fn document<'t>(&mut self, table: &'t DeTable<'t>) -> Config {
        let top = &self.section(String::new(), "", 1, Some(table));
        let mut config = Config::bare();
        config.listeners = self.listeners(top);
        self.set(top, "threads", &mut config.threads, threads);
        self.set(top, "log_level", &mut config.log_level, text("info", str::parse));

        let forwarded = &self.table(top, "forwarded");
        self.forwarded(forwarded, &mut config.forwarded);
        let timeouts = &self.table(top, "timeouts");
        self.timeouts(timeouts, &mut config.timeouts);
        let limits = &self.table(top, "limits");
        self.limits(limits, &mut config.limits);
        let upstream_tls = &self.table(top, "upstream_tls");
        self.upstream_tls(upstream_tls, &mut config.upstream_tls);
        let mut max_message = None;
        self.set(limits, "max_message", &mut max_message, or_off("none", size));
        config.routes = self.routes(top, &config.listeners, max_message);
        config
    }

    fn forwarded(&mut self, table: &Section<'_>, forwarded: &mut Forwarded) {
        let trusted = self.list_or(table, "trusted", "none", r#"["10.0.0.0/8"]"#, text("10.0.0.0/8", parse_trusted));
        forwarded.trusted = trusted.unwrap_or_default();
        let header = text("X-Forwarded-For", forwarded_header);
        match self.list_or(table, "headers", "none", r#"["X-Forwarded-For"]"#, header) {
            Some(headers) => forwarded.headers = headers,
            None if table.get("headers").is_some() => forwarded.headers.clear(),
            None => {}
        }
    }

    fn timeouts(&mut self, table: &Section<'_>, timeouts: &mut Timeouts) {
        self.set(table, "head", &mut timeouts.head, duration(ANY_DURATION));
        self.set(table, "key3", &mut timeouts.key3, duration(ANY_DURATION));
        self.set(table, "connect", &mut timeouts.connect, duration(ANY_DURATION));
        self.set(table, "handshake", &mut timeouts.handshake, duration(ANY_DURATION));
        self.set(table, "close", &mut timeouts.close, duration(CLOSE));
        self.set(table, "idle", &mut timeouts.idle, or_off("off", duration(ANY_DURATION)));
        self.set(table, "stall", &mut timeouts.stall, duration(ANY_DURATION));
        self.set(table, "response", &mut timeouts.response, or_off("off", duration(ANY_DURATION)));
        self.set(table, "keep_alive", &mut timeouts.keep_alive, duration(ANY_DURATION));
        self.set(table, "auth", &mut timeouts.auth, duration(ANY_DURATION));
    }

    fn limits(&mut self, table: &Section<'_>, limits: &mut Limits) {
        self.set(table, "head_bytes", &mut limits.head_bytes, buffer(HEAD_BYTES));
        self.set(table, "head_fields", &mut limits.head_fields, count(HEAD_FIELDS));
        self.set(table, "connections", &mut limits.connections, count(CONNECTIONS));
        let per_address = &mut limits.connections_per_address;
        self.set(table, "connections_per_address", per_address, or_off("none", count(CONNECTIONS)));
        let handshakes = &mut limits.handshakes_per_address;
        self.set(table, "handshakes_per_address", handshakes, or_off("none", text("30/1m", str::parse)));
        self.set(table, "event_bytes", &mut limits.event_bytes, buffer(EVENT_BYTES));
        self.set(table, "send_queue", &mut limits.send_queue, buffer(EVENT_BYTES));
    }

    fn upstream_tls(&mut self, table: &Section<'_>, tls: &mut UpstreamTls) {
        let system = |name: &str| if name == "system" { Ok(None) } else { file(name).map(Some) };
        self.set(table, "ca", &mut tls.ca, text("system", system));
        self.set(table, "insecure", &mut tls.insecure, truth);
        if tls.insecure && tls.ca.is_some() {
            let remedy = "leave out insecure, or leave out ca";
            self.refuse_as_is(table, "insecure", Refusal::new("with insecure, nobody looks at ca", remedy));
        }
        let [mut cert, mut key]: [Option<PathBuf>; 2] = [None, None];
        self.set(table, "cert", &mut cert, or_none(text("client.pem", file)));
        self.set(table, "key", &mut key, or_none(text("client.key", file)));
        for (one, other) in [("cert", "key"), ("key", "cert")] {
            if table.says(one) && !table.says(other) {
                let remedy = format!("write {other} = \"FILE\" as well, or leave this out");
                self.refuse_as_is(table, one, Refusal::new(format!("there is no {other} with it"), remedy));
            }
        }
        tls.certificate = cert.zip(key).map(|(cert, key)| Certificate { cert, key });
    }
}
