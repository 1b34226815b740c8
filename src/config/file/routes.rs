//! The routes of a file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::ANY_DURATION;
use super::listeners::own_listener;
use super::reader::{Reader, Section};
use crate::config::access::{Auth, auth_header, parse_network};
use crate::config::events::{Events, SendTo};
use crate::config::fault::Refusal;
use crate::config::route::{Route, check_host, check_path, place};
use crate::config::upstream::{Place, Protocol, Upstream};
use crate::config::value::{
    all_types, binary, count, dialect, duration, event_type, form, media_type, or_none, or_off, parameter,
    proxy_version, route_name, send_failure, size, text,
};
use crate::config::{Listener, units};
use crate::dialect::BinaryPolicy;
use crate::dialect::sse::Types;

const RETRY: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60 * 60);
const ATTEMPTS: RangeInclusive<usize> = 1..=100;
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60 * 60);
const EJECT_AFTER: RangeInclusive<usize> = 1..=1000;
const EJECT_FOR: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);

/// The name of a header; another only if more than the case differs.
struct Header(String);

impl PartialEq for Header {
    fn eq(&self, other: &Header) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// Which routes have a name or a place already, and on which line.
#[derive(Default)]
struct Taken {
    names: HashMap<String, usize>,
    places: HashMap<String, (String, usize)>,
}

impl Reader<'_> {
    pub(super) fn routes(&mut self, top: &Section<'_>, listeners: &[Listener], max_message: Option<u64>) -> Vec<Route> {
        const REMEDY: &str = "write [[route]], and below it name and upstream";
        self.required(top, "route", REMEDY);
        let mut taken = Taken::default();
        let mut routes = Vec::new();
        for (number, line, table) in self.tables(top, "route", REMEDY) {
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            let label = match name.map(route_name) {
                Some(Ok(name)) => format!("route {name:?}: "),
                _ => format!("route {number}: "),
            };
            let section = self.section(label, "route", line, Some(table));
            routes.push(self.route(&section, listeners, max_message, &mut taken));
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
        let has_upstream = self.upstream(section, &mut route.upstream, listeners);
        self.balance(section, &mut route);
        self.access(section, &mut route, listeners);
        self.set(section, "upstream_host", &mut route.upstream_host, text("client", str::parse));
        self.set(section, "public_url", &mut route.public_url, text("auto", str::parse));
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

    /// Reads the URL of the backend, or the list of those of its servers. False when one is refused.
    fn upstream(&mut self, section: &Section<'_>, place: &mut Upstream, listeners: &[Listener]) -> bool {
        let read = text("ws://10.0.0.5:9000", |url| not_itself(Upstream::parse(url)?, listeners));
        let Some(value) = section.get("upstream") else { return true };
        let DeValue::Array(items) = value.get_ref() else { return self.set(section, "upstream", place, read) };
        if items.is_empty() {
            let refusal = Refusal::new("the list is empty", "write at least one, as in upstream = \"ws://HOST:PORT\"");
            self.refuse(section, "upstream", value, refusal);
        }
        let before = self.faults.len();
        let mut all: Option<Upstream> = None;
        for item in items {
            let joined = match (read(item.get_ref()), &mut all) {
                (Err(refusal), _) => Err(refusal),
                (Ok(first), None) => {
                    all = Some(first);
                    Ok(())
                }
                (Ok(next), Some(all)) => all.join(next),
            };
            if let Err(refusal) = joined {
                self.refuse(section, "upstream", item, refusal);
            }
        }
        let good = self.faults.len() == before;
        all.map(|all| *place = all).is_some() && good
    }

    /// Which server a client gets, and who is well.
    fn balance(&mut self, section: &Section<'_>, route: &mut Route) {
        let usual = Route::new("", route.upstream.clone());
        self.set(section, "balance", &mut route.balance, text("round-robin", str::parse));
        self.set(section, "attempts", &mut route.attempts, count(ATTEMPTS));
        self.set(section, "health", &mut route.health, or_none(text("/healthz", str::parse)));
        self.set(section, "health_interval", &mut route.health_interval, duration(INTERVAL));
        let eject_after = |value: &DeValue<'_>| Ok(u32::try_from(count(EJECT_AFTER)(value)?).unwrap_or(u32::MAX));
        self.set(section, "eject_after", &mut route.eject_after, or_off("none", eject_after));
        self.set(section, "eject_for", &mut route.eject_for, duration(EJECT_FOR));
        self.set(section, "send_proxy", &mut route.send_proxy, or_none(text("v2", proxy_version)));
        if route.health_interval != usual.health_interval && !section.says("health") {
            let remedy = "write health = \"tcp\" or a path as well, or leave this out";
            self.refuse_as_is(section, "health_interval", Refusal::new("nobody asks for the servers' health", remedy));
        }
        let never = section.get("eject_after").is_some() && !section.says("eject_after");
        if route.eject_for != usual.eject_for && never {
            let remedy = "give eject_after a number, or leave this out";
            self.refuse_as_is(
                section,
                "eject_for",
                Refusal::new("with eject_after = \"none\", no server is left alone", remedy),
            );
        }
    }

    /// Who may use the route.
    fn access(&mut self, section: &Section<'_>, route: &mut Route, listeners: &[Listener]) {
        let origin = text("https://tv.example", str::parse);
        route.origins = self.list_or(section, "origins", "any", r#"["https://tv.example"]"#, origin);
        let network = text("10.0.0.0/8", parse_network);
        route.clients = self.list_or(section, "clients", "any", r#"["10.0.0.0/8"]"#, network);
        let auth = |url: &str| {
            let Auth { server, headers } = Auth::parse(url)?;
            Ok(Auth { server: not_itself(server, listeners)?, headers })
        };
        self.set(section, "auth", &mut route.auth, or_none(text("http://127.0.0.1:9001/auth", auth)));
        let empty =
            section.get("auth_headers").is_some_and(|value| value.get_ref().as_array().is_some_and(|a| a.is_empty()));
        if empty {
            return;
        }
        let header = text("X-User", |name| auth_header(name).map(Header));
        let headers = self.list_or(section, "auth_headers", "none", r#"["X-User"]"#, header).unwrap_or_default();
        match &mut route.auth {
            Some(auth) => auth.headers = headers.into_iter().map(|Header(name)| name).collect(),
            None if !headers.is_empty() && !section.says("auth") => {
                let remedy = "write auth = \"http://HOST:PORT/PATH\" as well, or leave this out";
                self.refuse_as_is(
                    section,
                    "auth_headers",
                    Refusal::new("nobody is asked for them on this route", remedy),
                );
            }
            None => {}
        }
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
        if route.upstream.servers.len() == 1 {
            let usual = Route::new("", route.upstream.clone());
            let changed = [("balance", route.balance != usual.balance), ("attempts", route.attempts != usual.attempts)];
            for (key, _) in changed.into_iter().filter(|(_, changed)| *changed) {
                let remedy = "write several, upstream = [\"URL\", \"URL\"], or leave this out";
                self.refuse_as_is(section, key, Refusal::new("there is one server alone", remedy));
            }
        }
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
}

/// A route to one of our own listeners would take a request round and round until no connection is left.
fn not_itself(upstream: Upstream, listeners: &[Listener]) -> Result<Upstream, Refusal> {
    let itself = upstream
        .servers
        .iter()
        .filter_map(Place::address)
        .find_map(|address| own_listener(SocketAddr::from(address), listeners));
    match itself {
        None => Ok(upstream),
        Some(own) => Err(Refusal::new(
            format!("this is the proxy's own listener {own}"),
            "write the address of the backend, or listen on another port",
        )),
    }
}
