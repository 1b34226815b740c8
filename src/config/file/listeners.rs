//! The listeners of a file.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use super::reader::{Reader, Section};
use crate::config::access::parse_trusted;
use crate::config::fault::Refusal;
use crate::config::value::{file, listener, not_a, or_none, proxy_version, terminator, text};
use crate::config::{Certificate, ClientCertificate, Listener, ListenerTls, OldTls};

impl Reader<'_> {
    /// Those of `listen` first, then the tables.
    pub(super) fn listeners(&mut self, top: &Section<'_>) -> Vec<Listener> {
        const REMEDY: &str = "write [[listener]], and below it address";
        if top.get("listener").is_none() && !top.meant.contains(&"listener") {
            self.required(top, "listen", r#"write listen = ["127.0.0.1:8080"], the addresses that clients connect to"#);
        }
        let plain = |value: &DeValue<'_>| match value {
            DeValue::Table(_) => {
                let remedy = "write [[listener]] above a listener's settings, the first of which is address";
                Err(not_a("a string", value, remedy))
            }
            value => text("127.0.0.1:8080", listener)(value),
        };
        let listen = self.list(top, "listen", r#"["127.0.0.1:8080"]"#, plain).unwrap_or_default();
        let mut listeners: Vec<Listener> = listen.into_iter().map(Listener::plain).collect();
        let mut taken = Vec::new();
        for item in top.get("listen").and_then(|value| value.get_ref().as_array()).into_iter().flatten() {
            let Some(address) = item.get_ref().as_str().and_then(|text| listener(text).ok()) else { continue };
            match taken_already(address, &taken) {
                // The same again was refused just now.
                Some(refusal) if !taken.iter().any(|(other, _)| *other == address) => {
                    self.refuse(top, "listen", item, refusal);
                }
                _ => taken.push((address, "listen has".to_owned())),
            }
        }
        let mut sections = Vec::new();
        for (number, line, table) in self.tables(top, "listener", REMEDY) {
            let address = table.get("address").and_then(|address| address.get_ref().as_str());
            let label = match address.map(listener) {
                Some(Ok(address)) => format!("listener \"{address}\": "),
                _ => format!("listener {number}: "),
            };
            let section = self.section(label, "listener", line, Some(table));
            listeners.extend(self.listener(&section, &mut taken));
            sections.push(section);
        }
        for section in &sections {
            self.old_tls_elsewhere(section, &listeners);
        }
        listeners
    }

    /// None where it has no address.
    fn listener(&mut self, section: &Section<'_>, taken: &mut Vec<(SocketAddr, String)>) -> Option<Listener> {
        let mut address = None;
        self.required(section, "address", "write address = \"0.0.0.0:443\", where clients connect to");
        self.set(section, "address", &mut address, |value| text("0.0.0.0:443", listener)(value).map(Some));
        if let Some(address) = address {
            match taken_already(address, taken) {
                None => taken.push((address, format!("the listener on line {} has", section.line))),
                Some(refusal) => self.refuse_as_is(section, "address", refusal),
            }
        }
        let tls = self.listener_tls(section);
        let network = text("10.0.0.0/8", parse_trusted);
        let proxy_protocol = self.list_or(section, "proxy_protocol", "none", r#"["10.0.0.0/8"]"#, network);
        let domain = text("*.tv.example", str::parse);
        let flash_policy = self.list_or(section, "flash_policy", "none", r#"["*.tv.example"]"#, domain);
        if flash_policy.is_some() && section.says("certificates") {
            let remedy = "leave it out here, and write it below a [[listener]] without certificates";
            self.refuse_as_is(
                section,
                "flash_policy",
                Refusal::new("Flash asks for it in plain text, never over TLS", remedy),
            );
        }
        let (proxy_protocol, flash_policy) = (proxy_protocol.unwrap_or_default(), flash_policy.unwrap_or_default());
        address.map(|address| Listener { address, tls, proxy_protocol, flash_policy })
    }

    fn listener_tls(&mut self, section: &Section<'_>) -> Option<ListenerTls> {
        let certificates = self.certificates(section);
        let (mut client_ca, mut client_certificate) = (None, ClientCertificate::default());
        let (mut old, mut send_proxy) = (None, None);
        self.set(section, "client_ca", &mut client_ca, or_none(text("clients.pem", file)));
        self.set(section, "client_certificate", &mut client_certificate, text("required", str::parse));
        self.set(section, "old_tls", &mut old, or_none(text("127.0.0.1:8443", terminator)));
        self.set(section, "old_tls_proxy", &mut send_proxy, or_none(text("v2", proxy_version)));
        let asks = section.says("client_ca");
        let has_old = section.says("old_tls");
        let optional = client_certificate != ClientCertificate::default();
        if !section.says("certificates") {
            let settings = [
                ("client_ca", asks),
                ("client_certificate", optional),
                ("old_tls", has_old),
                ("old_tls_proxy", section.says("old_tls_proxy")),
            ];
            for (key, _) in settings.into_iter().filter(|(_, changed)| *changed) {
                let remedy = "write certificates = [{ cert = \"FILE\", key = \"FILE\" }] as well, or leave this out";
                let reason = "without certificates, this listener speaks no TLS";
                self.refuse_as_is(section, key, Refusal::new(reason, remedy));
            }
            return None;
        }
        if optional && !asks {
            let remedy = "write client_ca = \"FILE\" as well, or leave this out";
            let refusal = Refusal::new("without client_ca, no client is asked for a certificate", remedy);
            self.refuse_as_is(section, "client_certificate", refusal);
        }
        if send_proxy.is_some() && !has_old {
            let remedy = "write old_tls = \"ADDRESS:PORT\" as well, or leave this out";
            self.refuse_as_is(section, "old_tls_proxy", Refusal::new("there is no old_tls to send it to", remedy));
        }
        let old = old.map(|address| OldTls { address, send_proxy });
        Some(ListenerTls { certificates, client_ca, client_certificate, old })
    }

    fn certificates(&mut self, section: &Section<'_>) -> Vec<Certificate> {
        const REMEDY: &str = "write certificates = [{ cert = \"FILE\", key = \"FILE\" }]";
        let mut certificates = Vec::new();
        if !section.says("certificates") {
            return certificates;
        }
        for (_, line, table) in self.tables(section, "certificates", REMEDY) {
            let own = self.section(format!("{}certificates.", section.label), "certificates", line, Some(table));
            let [mut cert, mut key]: [PathBuf; 2] = Default::default();
            self.required(&own, "cert", "write cert = \"FILE\", a PEM file with the certificate and its chain");
            self.set(&own, "cert", &mut cert, text("tv.pem", file));
            self.required(&own, "key", "write key = \"FILE\", a PEM file with the private key");
            self.set(&own, "key", &mut key, text("tv.key", file));
            let certificate = Certificate { cert, key };
            if certificates.contains(&certificate) && own.get("cert").is_some() && own.get("key").is_some() {
                self.refuse_as_is(&own, "cert", Refusal::new("it is in the list already", "leave one out"));
            }
            certificates.push(certificate);
        }
        certificates
    }

    /// What a listener cannot read, none of the others can.
    fn old_tls_elsewhere(&mut self, section: &Section<'_>, listeners: &[Listener]) {
        let address = section.get("old_tls").and_then(|value| terminator(value.get_ref().as_str()?).ok());
        if let Some(own) = address.and_then(|address| own_listener(address, listeners)) {
            let remedy = "write the address of a program that speaks the TLS of old, and may come back to a listener \
                          without certificates";
            let reason = format!("this is the proxy's own listener {own}");
            self.refuse_as_is(section, "old_tls", Refusal::new(reason, remedy));
        }
    }
}

/// Why an address cannot be listened on beside those that are taken; with each stands who has it.
fn taken_already(address: SocketAddr, taken: &[(SocketAddr, String)]) -> Option<Refusal> {
    let reason = taken.iter().find_map(|(other, who)| match (address, other) {
        // The operating system gives each port 0 another one.
        _ if address.port() == 0 || other.port() != address.port() || other.is_ipv4() != address.is_ipv4() => None,
        _ if *other == address => Some(format!("{who} this address")),
        _ if address.ip().is_unspecified() => Some(format!("it includes {other}, which {who}")),
        _ if other.ip().is_unspecified() => Some(format!("{other}, which {who}, includes it")),
        _ => None,
    });
    reason.map(|reason| Refusal::new(reason, "give each listener an address of its own, or leave one out"))
}

/// The listener that who connects to an address comes to, as far as it can be told.
pub(super) fn own_listener(address: SocketAddr, listeners: &[Listener]) -> Option<SocketAddr> {
    let local = address.ip().is_loopback() || address.ip().is_unspecified();
    listeners.iter().map(|listener| listener.address).find(|own| {
        own.port() == address.port()
            && own.is_ipv4() == address.is_ipv4()
            && (own.ip() == address.ip() || own.ip().is_unspecified() && local)
    })
}
