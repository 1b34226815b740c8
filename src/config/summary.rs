//! A configuration as an operator reads it.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

use super::access::{Auth, written};
use super::route::place;
use super::{Certificate, Config, ForwardedHeader, Listener, Route, units};
use crate::dialect::Dialect;

impl Config {
    /// What is listened on, where requests go and in which order the routes are tried, and every setting that is not at
    /// its default, for people to read. Ends with a line end.
    pub fn summary(&self) -> String {
        // Plain ones need no line of their own.
        let (plain, others): (Vec<&Listener>, Vec<&Listener>) =
            self.listeners.iter().partition(|listener| **listener == Listener::plain(listener.address));
        let mut lines = Vec::new();
        if !plain.is_empty() {
            lines.push(format!("listen {}", listed(plain.iter().map(|listener| listener.address), "none")));
        }
        for listener in others {
            lines.push(listener.summary());
            let usual = Listener::plain(listener.address);
            lines.extend(changed(listener.settings(), usual.settings()).map(|line| format!("    {line}")));
        }
        for route in &self.routes {
            lines.push(format!(
                "route {}: {} -> {}",
                route.name,
                place(route.host.as_deref(), &route.path),
                route.upstream
            ));
            let dialects = Dialect::ALL.into_iter().filter(|dialect| route.dialects.contains(*dialect));
            lines.push(format!("    dialects = {}", dialects.map(Dialect::name).collect::<Vec<_>>().join(", ")));
            let usual = Route::new("", route.upstream.clone());
            lines.extend(changed(route.settings(), usual.settings()).map(|line| format!("    {line}")));
        }
        lines.extend(changed(self.settings(), Config::bare().settings()));
        lines.push("every other setting is at its default\n".to_owned());
        lines.join("\n")
    }

    /// Every setting outside the routes by its key, as it would be written.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let (timeouts, limits, tls) = (&self.timeouts, &self.limits, &self.upstream_tls);
        let certificate: Option<&Certificate> = tls.certificate.as_ref();
        vec![
            ("threads", self.threads.map_or("auto".to_owned(), |count: NonZeroUsize| count.to_string())),
            ("log_level", self.log_level.to_string()),
            ("forwarded.trusted", networks(&self.forwarded.trusted, "none")),
            ("forwarded.headers", listed(self.forwarded.headers.iter().copied().map(ForwardedHeader::name), "none")),
            ("timeouts.head", units::duration(timeouts.head)),
            ("timeouts.key3", units::duration(timeouts.key3)),
            ("timeouts.connect", units::duration(timeouts.connect)),
            ("timeouts.handshake", units::duration(timeouts.handshake)),
            ("timeouts.close", units::duration(timeouts.close)),
            ("timeouts.idle", or_off(timeouts.idle)),
            ("timeouts.stall", units::duration(timeouts.stall)),
            ("timeouts.response", or_off(timeouts.response)),
            ("timeouts.keep_alive", units::duration(timeouts.keep_alive)),
            ("timeouts.auth", units::duration(timeouts.auth)),
            ("limits.head_bytes", units::size(limits.head_bytes as u64)),
            ("limits.head_fields", limits.head_fields.to_string()),
            ("limits.connections", limits.connections.to_string()),
            ("limits.connections_per_address", or_none(limits.connections_per_address)),
            ("limits.handshakes_per_address", or_none(limits.handshakes_per_address)),
            ("limits.event_bytes", units::size(limits.event_bytes as u64)),
            ("limits.send_queue", units::size(limits.send_queue as u64)),
            ("upstream_tls.ca", tls.ca.as_ref().map_or("system".to_owned(), |file| file.display().to_string())),
            ("upstream_tls.insecure", tls.insecure.to_string()),
            ("upstream_tls.cert", or_none(certificate.map(|certificate| certificate.cert.display()))),
            ("upstream_tls.key", or_none(certificate.map(|certificate| certificate.key.display()))),
        ]
    }
}

impl Route {
    /// Every setting of a route that has a default, but for those that its first lines show.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("balance", self.balance.to_string()),
            ("attempts", self.attempts.to_string()),
            ("health", or_none(self.health.as_ref())),
            ("health_interval", units::duration(self.health_interval)),
            ("eject_after", or_none(self.eject_after)),
            ("eject_for", units::duration(self.eject_for)),
            ("send_proxy", or_none(self.send_proxy)),
            ("upstream_host", self.upstream_host.to_string()),
            ("public_url", self.public_url.to_string()),
            ("origins", self.origins.as_ref().map_or("any".to_owned(), |origins| listed(origins, "any"))),
            ("clients", self.clients.as_ref().map_or("any".to_owned(), |clients| networks(clients, "any"))),
            ("auth", or_none(self.auth.as_ref().map(Auth::url))),
            ("auth_headers", listed(self.auth.iter().flat_map(|auth| &auth.headers), "none")),
            ("binary", self.binary.name().to_owned()),
            ("max_message", self.max_message.map_or("none".to_owned(), units::size)),
        ];
        settings.extend(self.events.settings());
        settings
    }
}

impl Listener {
    /// The line that begins what is said of a listener with settings.
    fn summary(&self) -> String {
        let mut does = Vec::new();
        if let Some(tls) = &self.tls {
            does.push(match tls.certificates.len() {
                1 => "TLS: 1 certificate".to_owned(),
                count => format!("TLS: {count} certificates"),
            });
        }
        if !self.proxy_protocol.is_empty() {
            does.push(format!("PROXY from {}", networks(&self.proxy_protocol, "none")));
        }
        match does.is_empty() {
            true => format!("listen {}", self.address),
            false => format!("listen {} ({})", self.address, does.join(", ")),
        }
    }

    /// Every setting of a listener, but for those that its first line shows.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let tls = self.tls.as_ref();
        let old = tls.and_then(|tls| tls.old.as_ref());
        let certificates = tls.into_iter().flat_map(|tls| &tls.certificates);
        vec![
            ("certificates", listed(certificates.map(|certificate| certificate.cert.display()), "none")),
            ("client_ca", or_none(tls.and_then(|tls| tls.client_ca.as_ref()).map(|file| file.display()))),
            ("client_certificate", tls.map_or_else(Default::default, |tls| tls.client_certificate).name().to_owned()),
            ("old_tls", or_none(old.map(|old| old.address))),
            ("old_tls_proxy", or_none(old.and_then(|old| old.send_proxy))),
            ("flash_policy", listed(&self.flash_policy, "none")),
        ]
    }
}

/// The entries of a list; a word where there are none.
fn listed<T: Display>(entries: impl IntoIterator<Item = T>, word: &str) -> String {
    let entries: Vec<String> = entries.into_iter().map(|entry| entry.to_string()).collect();
    if entries.is_empty() { word.to_owned() } else { entries.join(", ") }
}

fn networks(networks: &[IpNet], word: &str) -> String {
    listed(networks.iter().copied().map(written), word)
}

fn or_none<T: Display>(value: Option<T>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

fn or_off(wait: Option<Duration>) -> String {
    wait.map_or("off".to_owned(), units::duration)
}

/// The settings that differ from the usual ones, a line for each.
fn changed(settings: Vec<(&'static str, String)>, usual: Vec<(&'static str, String)>) -> impl Iterator<Item = String> {
    settings
        .into_iter()
        .zip(usual)
        .filter(|(own, usual)| own != usual)
        .map(|((key, value), (_, usual))| format!("{key} = {value} (default {usual})"))
}
