//! A configuration as an operator reads it.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::route::place;
use super::{Config, Route, units};
use crate::dialect::Dialect;

impl Config {
    /// What is listened on, where requests go and in which order the routes are tried, and every setting that is not at
    /// its default, for people to read. Ends with a line end.
    pub fn summary(&self) -> String {
        let listen: Vec<String> = self.listeners.iter().map(|listener| listener.address.to_string()).collect();
        let mut lines = vec![format!("listen {}", listen.join(", "))];
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
        vec![
            ("threads", self.threads.map_or("auto".to_owned(), |count: NonZeroUsize| count.to_string())),
            ("log_level", self.log_level.to_string()),
            ("timeouts.head", units::duration(timeouts.head)),
            ("timeouts.key3", units::duration(timeouts.key3)),
            ("timeouts.connect", units::duration(timeouts.connect)),
            ("timeouts.handshake", units::duration(timeouts.handshake)),
            ("timeouts.close", units::duration(timeouts.close)),
            ("timeouts.idle", or_off(timeouts.idle)),
            ("timeouts.stall", units::duration(timeouts.stall)),
            ("timeouts.response", or_off(timeouts.response)),
            ("timeouts.keep_alive", units::duration(timeouts.keep_alive)),
            ("limits.head_bytes", units::size(limits.head_bytes as u64)),
            ("limits.head_fields", limits.head_fields.to_string()),
            ("limits.connections", limits.connections.to_string()),
            (
                "limits.connections_per_address",
                limits.connections_per_address.map_or("none".to_owned(), |count| count.to_string()),
            ),
            ("limits.event_bytes", units::size(limits.event_bytes as u64)),
            ("limits.send_queue", units::size(limits.send_queue as u64)),
            ("upstream_tls.ca", tls.ca.as_ref().map_or("system".to_owned(), |file| file.display().to_string())),
            ("upstream_tls.insecure", tls.insecure.to_string()),
        ]
    }
}

impl Route {
    /// Every setting of a route that has a default, but for those that its first lines show.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("upstream_host", self.upstream_host.to_string()),
            ("public_url", self.public_url.to_string()),
            ("binary", self.binary.name().to_owned()),
            ("max_message", self.max_message.map_or("none".to_owned(), units::size)),
        ];
        settings.extend(self.events.settings());
        settings
    }
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
