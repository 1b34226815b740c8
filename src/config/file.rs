//! From the tables of a TOML file to a [`Config`]. Every fault on the way is kept, and reading goes on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::events::{Events, SendTo};
use super::fault::{Fault, Faults, LONGEST_SHOWN, Refusal, nearest, quoted};
use super::route::{Route, check_host, check_path, place};
use super::upstream::{Place, Protocol, Upstream};
use super::value::{
    all_types, binary, buffer, count, dialect, duration, event_type, form, listener, media_type, not_a, or_off,
    parameter, route_name, send_failure, shown, size, text, threads, truth,
};
use super::{Config, Limits, Listener, Timeouts, UpstreamTls, units};
use crate::dialect::BinaryPolicy;
use crate::dialect::sse::Types;

/// Every key that a file may have, by the table it stands in; the top of the file is `""`.
pub const KEYS: [(&str, &[&str]); 5] = [
    ("", &["threads", "log_level", "listen", "timeouts", "limits", "upstream_tls", "route"]),
    ("timeouts", &["head", "key3", "connect", "handshake", "close", "idle", "stall", "response", "keep_alive"]),
    (
        "limits",
        &[
            "head_bytes",
            "head_fields",
            "connections",
            "connections_per_address",
            "max_message",
            "event_bytes",
            "send_queue",
        ],
    ),
    ("upstream_tls", &["ca", "insecure"]),
    (
        "route",
        &[
            "name",
            "host",
            "path",
            "upstream",
            "upstream_host",
            "public_url",
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
const RETRY: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60 * 60);
const EVENT_BYTES: RangeInclusive<usize> = 1 << 10..=64 << 20;
const HEAD_FIELDS: RangeInclusive<usize> = 10..=1000;
const CONNECTIONS: RangeInclusive<usize> = 1..=10_000_000;

/// Reads the text of a file.
pub(super) fn parse(text: &str, file: &str) -> Result<Config, Faults> {
    let mut reader = Reader::new(text, file);
    let config = match DeTable::parse(text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => {
            let line = reader.line(error.span().map_or(0, |span| span.start));
            let found = text.lines().nth(line - 1).unwrap_or_default();
            return Err(reader.fault(line, String::new(), None, not_toml(error.message(), found)).into());
        }
    };
    match Faults::new(reader.faults) {
        None => Ok(config),
        Some(faults) => Err(faults),
    }
}

/// Collects the faults of one file. Where a value is refused, its default stands in, so that the rest can be read.
struct Reader<'f> {
    file: &'f str,
    line_ends: Vec<usize>,
    faults: Vec<Fault>,
}

/// A table of the file, while its keys are read.
struct Section<'t> {
    /// What stands before a key in a fault: nothing, `timeouts.`, `route "chat": `.
    label: String,
    line: usize,
    /// None where the file leaves the table out.
    table: Option<&'t DeTable<'t>>,
    /// What unknown keys were probably meant to be; nobody needs to hear that these are missing, too.
    meant: Vec<&'static str>,
}

impl<'t> Section<'t> {
    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table?.get(key)
    }
}

/// Which routes have a name or a place already, and on which line.
#[derive(Default)]
struct Taken {
    names: HashMap<String, usize>,
    places: HashMap<String, (String, usize)>,
}

impl<'f> Reader<'f> {
    fn new(text: &str, file: &'f str) -> Reader<'f> {
        Reader { file, line_ends: text.match_indices('\n').map(|(offset, _)| offset).collect(), faults: Vec::new() }
    }

    fn document<'t>(&mut self, table: &'t DeTable<'t>) -> Config {
        let top = &self.section(String::new(), "", 1, Some(table));
        let mut config = Config::bare();
        self.required(top, "listen", r#"write listen = ["127.0.0.1:8080"], the addresses that clients connect to"#);
        if let Some(listen) = self.list(top, "listen", r#"["127.0.0.1:8080"]"#, text("127.0.0.1:8080", listener)) {
            config.listeners = listen.into_iter().map(Listener::plain).collect();
        }
        self.set(top, "threads", &mut config.threads, threads);
        self.set(top, "log_level", &mut config.log_level, text("info", str::parse));

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
    }

    fn limits(&mut self, table: &Section<'_>, limits: &mut Limits) {
        self.set(table, "head_bytes", &mut limits.head_bytes, buffer(HEAD_BYTES));
        self.set(table, "head_fields", &mut limits.head_fields, count(HEAD_FIELDS));
        self.set(table, "connections", &mut limits.connections, count(CONNECTIONS));
        let per_address = &mut limits.connections_per_address;
        self.set(table, "connections_per_address", per_address, or_off("none", count(CONNECTIONS)));
        self.set(table, "event_bytes", &mut limits.event_bytes, buffer(EVENT_BYTES));
        self.set(table, "send_queue", &mut limits.send_queue, buffer(EVENT_BYTES));
    }

    fn upstream_tls(&mut self, table: &Section<'_>, tls: &mut UpstreamTls) {
        self.set(table, "ca", &mut tls.ca, text("system", |file| Ok((file != "system").then(|| file.into()))));
        self.set(table, "insecure", &mut tls.insecure, truth);
        if let (true, true, Some(value)) = (tls.insecure, tls.ca.is_some(), table.get("insecure")) {
            let remedy = "leave out insecure, or leave out ca";
            self.refuse(table, "insecure", value, Refusal::new("with insecure, nobody looks at ca", remedy));
        }
    }

    fn routes(&mut self, top: &Section<'_>, listeners: &[Listener], max_message: Option<u64>) -> Vec<Route> {
        const REMEDY: &str = "write [[route]], and below it name and upstream";
        self.required(top, "route", REMEDY);
        let Some(value) = top.get("route") else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.refuse(top, "route", value, not_a("a list of tables", value.get_ref(), REMEDY));
            return Vec::new();
        };
        if items.is_empty() {
            self.refuse(top, "route", value, Refusal::new("the list is empty", REMEDY));
        }
        let mut taken = Taken::default();
        let mut routes = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let line = self.line(item.span().start);
            if let DeValue::Table(table) = item.get_ref() {
                let name = table.get("name").and_then(|name| name.get_ref().as_str());
                let label = match name.map(route_name) {
                    Some(Ok(name)) => format!("route {name:?}: "),
                    _ => format!("route {}: ", index + 1),
                };
                let section = self.section(label, "route", line, Some(table));
                routes.push(self.route(&section, listeners, max_message, &mut taken));
            } else {
                self.refuse(top, "route", item, not_a("a table", item.get_ref(), REMEDY));
            }
        }
        routes
    }

    fn route(
        &mut self,
        section: &Section<'_>,
        listeners: &[Listener],
        max_message: Option<u64>,
        taken: &mut Taken,
    ) -> Route {
        let nowhere = Upstream { protocol: Protocol::default(), secure: false, servers: Vec::new(), path: None };
        let mut route = Route { max_message, ..Route::new("", nowhere) };
        self.required(section, "name", "write name = \"chat\", or whatever logs and metrics shall call it");
        if self.set(section, "name", &mut route.name, text("chat", route_name)) {
            self.only_name(section, &route.name, taken);
        }
        let has_host = self.set(section, "host", &mut route.host, text("tv.example", check_host));
        let has_path = self.set(section, "path", &mut route.path, text("/chat", check_path));
        if has_host && has_path {
            self.only_place(section, place(route.host.as_deref(), &route.path), taken);
        }
        self.required(section, "upstream", "write upstream = \"ws://HOST:PORT\", the backend");
        let upstream = |url: &str| not_itself(Upstream::parse(url)?, listeners);
        let has_upstream = self.set(section, "upstream", &mut route.upstream, text("ws://10.0.0.5:9000", upstream));
        self.set(section, "upstream_host", &mut route.upstream_host, text("client", str::parse));
        self.set(section, "public_url", &mut route.public_url, text("ws", str::parse));
        if let Some(dialects) = self.list(section, "dialects", r#"["hixie-76", "v13"]"#, text("hixie-76", dialect)) {
            route.dialects = dialects.into_iter().collect();
        }
        self.set(section, "binary", &mut route.binary, text("close", binary));
        self.set(section, "max_message", &mut route.max_message, or_off("none", size));
        self.events(section, &mut route.events, listeners);
        if has_upstream && section.get("upstream").is_some() {
            self.fit_together(section, &route);
        }
        route
    }

    /// What only an event stream has.
    fn events(&mut self, section: &Section<'_>, events: &mut Events, listeners: &[Listener]) {
        self.set(section, "message", &mut events.message, text("data", form));
        match section.get("events").and_then(|value| all_types(value.get_ref())) {
            Some(all) => events.types = all,
            None => {
                let types = self.list(section, "events", r#"["update"]"#, text("update", event_type));
                events.types = types.map_or(Types::All, Types::Only);
            }
        }
        let send = |text: &str| {
            let mut send: SendTo = text.parse()?;
            send.backend = send.backend.map(|backend| not_itself(backend, listeners)).transpose()?;
            Ok(send)
        };
        self.set(section, "send", &mut events.send, or_off("none", text("/messages", send)));
        self.set(section, "send_type", &mut events.send_type, text("application/json", media_type));
        self.set(section, "send_failure", &mut events.send_failure, text("close", send_failure));
        let off = section.get("resume").is_some_and(|value| value.get_ref().as_str().is_some_and(units::is_off));
        if off {
            events.resume.clear();
        } else if let Some(names) = self.list(section, "resume", r#"["lastEventId"]"#, text("lastEventId", parameter)) {
            events.resume = names;
        }
        self.set(section, "retry", &mut events.retry, duration(RETRY));
        self.set(section, "reconnect", &mut events.reconnect, or_off("off", duration(ANY_DURATION)));
        self.set(section, "silence", &mut events.silence, or_off("off", duration(ANY_DURATION)));
    }

    /// Refuses settings that would have no effect beside the others; at their default they say what is so anyway.
    fn fit_together(&mut self, section: &Section<'_>, route: &Route) {
        let usual = Events::default().settings();
        let changed = route.events.settings().into_iter().zip(usual).filter(|(own, usual)| own != usual);
        let changed: Vec<&str> = changed.map(|((key, _), _)| key).collect();
        if route.upstream.protocol == Protocol::WebSocket {
            for key in &changed {
                let remedy = "leave it out, or write upstream = \"sse+http://HOST:PORT\"";
                self.refuse_as_is(section, key, Refusal::new("only an event stream has this setting", remedy));
            }
            return;
        }
        if route.events.send.is_none() {
            for key in changed.iter().filter(|key| key.starts_with("send_")) {
                let remedy = "write send = \"/PATH\" as well, or leave this out";
                self.refuse_as_is(section, key, Refusal::new("nothing is sent on this route", remedy));
            }
        }
        if route.binary != BinaryPolicy::default() {
            let refusal = Refusal::new("an event stream has no binary messages", "leave this out");
            self.refuse_as_is(section, "binary", refusal);
        }
    }

    /// Refuses a value that was read already.
    fn refuse_as_is(&mut self, section: &Section<'_>, key: &str, refusal: Refusal) {
        if let Some(value) = section.get(key) {
            self.refuse(section, key, value, refusal);
        }
    }

    fn only_name(&mut self, section: &Section<'_>, name: &str, taken: &mut Taken) {
        let Some(value) = section.get("name") else { return };
        match taken.names.entry(name.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(self.line(value.span().start));
            }
            Entry::Occupied(first) => {
                let reason = format!("the route on line {} has this name", first.get());
                self.refuse(section, "name", value, Refusal::new(reason, "give each route a name of its own"));
            }
        }
    }

    fn only_place(&mut self, section: &Section<'_>, place: String, taken: &mut Taken) {
        let value = section.get("path").or(section.get("host"));
        let line = value.map_or(section.line, |value| self.line(value.span().start));
        let label = section.label.trim_end_matches(": ").to_owned();
        match taken.places.entry(place) {
            Entry::Vacant(free) => {
                free.insert((label, line));
            }
            Entry::Occupied(first) => {
                let (other, other_line) = first.get();
                let reason = format!("host and path are those of {other} on line {other_line}");
                let remedy = "change one of them, or leave out one route: a request goes one way";
                let fault = self.fault(line, label, None, Refusal::new(reason, remedy));
                self.faults.push(fault);
            }
        }
    }

    /// Opens a table, and reports the keys in it that nobody knows.
    fn section<'t>(&mut self, label: String, name: &str, line: usize, table: Option<&'t DeTable<'t>>) -> Section<'t> {
        let mut section = Section { label, line, table, meant: Vec::new() };
        let known = KEYS.iter().find(|(table, _)| *table == name).map_or([].as_slice(), |(_, keys)| *keys);
        for key in table.into_iter().flatten().map(|(key, _)| key) {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let remedy = if let Some((home, _)) = KEYS.iter().find(|(_, keys)| keys.contains(&word)) {
                match *home {
                    "" => "move it to the top of the file, above the first line in brackets".to_owned(),
                    "route" => "move it below a line [[route]]".to_owned(),
                    home => format!("move it below the line [{home}]"),
                }
            } else if let Some(near) = nearest(word, known) {
                section.meant.push(near);
                format!("did you mean {near}?")
            } else {
                format!("known here are {}", known.join(", "))
            };
            // A key may hold any text when it stands in quotes; bare it is shown as it stands.
            let bare = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            let shown = if bare && word.len() <= LONGEST_SHOWN { word.to_owned() } else { quoted(word) };
            let refusal = Refusal::new("unknown key", remedy);
            let fault = self.fault(self.line(key.span().start), format!("{}{shown}", section.label), None, refusal);
            self.faults.push(fault);
        }
        section
    }

    /// Opens a table that may be left out.
    fn table<'t>(&mut self, top: &Section<'t>, key: &str) -> Section<'t> {
        let mut table = None;
        let mut line = 1;
        if let Some(value) = top.get(key) {
            line = self.line(value.span().start);
            match value.get_ref() {
                DeValue::Table(found) => table = Some(found),
                other => {
                    let refusal = not_a("a table", other, &format!("write a line [{key}], and its settings below it"));
                    self.refuse(top, key, value, refusal);
                }
            }
        }
        self.section(format!("{key}."), key, line, table)
    }

    /// Puts the value of a key into its place, if the file has one. False when the value is refused.
    fn set<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        place: &mut T,
        read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> bool {
        let Some(value) = section.get(key) else { return true };
        match read(value.get_ref()) {
            Ok(read) => *place = read,
            Err(refusal) => {
                self.refuse(section, key, value, refusal);
                return false;
            }
        }
        true
    }

    /// The values of a list without those that are wrong; none where there is no list.
    fn list<T: PartialEq>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        example: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let value = section.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let list = value.get_ref().as_str().map_or(example.to_owned(), |item| format!("[{}]", quoted(item)));
            self.refuse(section, key, value, not_a("a list", value.get_ref(), &format!("write {key} = {list}")));
            return None;
        };
        if items.is_empty() {
            let remedy = format!("write at least one, as in {key} = {example}");
            self.refuse(section, key, value, Refusal::new("the list is empty", remedy));
        }
        let mut list = Vec::new();
        for item in items {
            match read(item.get_ref()) {
                Ok(entry) if list.contains(&entry) => {
                    self.refuse(section, key, item, Refusal::new("it is in the list already", "leave one out"));
                }
                Ok(entry) => list.push(entry),
                Err(refusal) => self.refuse(section, key, item, refusal),
            }
        }
        Some(list)
    }

    fn required(&mut self, section: &Section<'_>, key: &'static str, remedy: &str) {
        if section.get(key).is_none() && !section.meant.contains(&key) {
            let key = format!("{}{key}", section.label);
            let fault = self.fault(section.line, key, None, Refusal::new("it is missing", remedy));
            self.faults.push(fault);
        }
    }

    fn refuse(&mut self, section: &Section<'_>, key: &str, value: &Spanned<DeValue<'_>>, refusal: Refusal) {
        let line = self.line(value.span().start);
        let fault = self.fault(line, format!("{}{key}", section.label), shown(value.get_ref()), refusal);
        self.faults.push(fault);
    }

    fn fault(&self, line: usize, key: String, value: Option<String>, refusal: Refusal) -> Fault {
        Fault { file: self.file.to_owned(), line, key, value, reason: refusal.reason, remedy: refusal.remedy }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }
}

/// A route to one of our own listeners would take a request round and round until no connection is left.
fn not_itself(upstream: Upstream, listeners: &[Listener]) -> Result<Upstream, Refusal> {
    let itself = upstream.servers.iter().filter_map(Place::address).find_map(|(address, port)| {
        let local = address.is_loopback() || address.is_unspecified();
        listeners.iter().map(|listener| listener.address).find(|own| {
            own.port() == port
                && own.is_ipv4() == address.is_ipv4()
                && (own.ip() == address || own.ip().is_unspecified() && local)
        })
    });
    match itself {
        None => Ok(upstream),
        Some(own) => Err(Refusal::new(
            format!("this is the proxy's own listener {own}"),
            "write the address of the backend, or listen on another port",
        )),
    }
}

/// For text that is no TOML, by what the parser says of it and the line that it points at.
fn not_toml(message: &str, line: &str) -> Refusal {
    const REMEDIES: [(&str, &str); 7] = [
        ("must be quoted", "put the value in quotes, as in head = \"10s\""),
        ("invalid float", "put text, addresses and durations in quotes, as in head = \"10s\""),
        (
            "duplicate key",
            "leave one out: a key stands once in its table, a table once in the file, only [[route]] more often",
        ),
        ("table", "close the brackets, as in [timeouts] or [[route]]"),
        ("array", "put a comma between the entries of a list, and a bracket at its end"),
        ("string", "put a quote at the end of the text, and write \\\\ for a backslash"),
        ("escape", "write \\\\ for a backslash"),
    ];
    let (what, _) = message.split_once(", expected").unwrap_or((message, ""));
    let remedy = REMEDIES.iter().find(|(part, _)| what.contains(part)).map(|(_, remedy)| *remedy);
    // As it stands in the file, for a line of TOML is full of quotes; but nothing in it moves the cursor.
    let line: String = line.trim().chars().map(|c| if c.is_control() { '?' } else { c }).take(LONGEST_SHOWN).collect();
    Refusal::new(
        if line.is_empty() { what.to_owned() } else { format!("{what} in `{line}`") },
        remedy.unwrap_or("write KEY = VALUE, [TABLE] or [[route]] on each line, as config.example.toml does"),
    )
}
