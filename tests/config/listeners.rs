//! Listeners with settings of their own.

use std::path::PathBuf;

use hybridge::preamble::Version;

use crate::*;

const ROUTE: &str = "[[route]]\nname = \"a\"\nupstream = \"ws://b\"\n";

#[test]
fn listeners_mean_what_they_say() {
    let text = format!(
        r#"
        listen = ["127.0.0.1:8080"]
        {ROUTE}
        [[listener]]
        address = "[::]:443"
        certificates = [{{ cert = "tv.pem", key = "/etc/tv.key" }}, {{ cert = "radio.pem", key = "radio.key" }}]
        client_ca = "clients.pem"
        client_certificate = "optional"
        old_tls = "127.0.0.1:8443"
        old_tls_proxy = "v2"
        proxy_protocol = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]
        [[listener]]
        address = "0.0.0.0:843"
        flash_policy = ["*", "*:80", "TV.example", "*.tv.example:8080"]
        [[listener]]
        address = "0.0.0.0:0"
        certificates = "none"
        [[listener]]
        address = "0.0.0.0:0"
        "#
    );
    let config = config(&text);
    let certificate = |cert: &str, key: &str| Certificate { cert: cert.into(), key: key.into() };
    let [plain, tls, flash, one, other] = config.listeners.as_slice() else { panic!("five listeners") };
    assert_eq!(*plain, Listener::plain("127.0.0.1:8080".parse().unwrap()));
    let expected = ListenerTls {
        certificates: vec![certificate("tv.pem", "/etc/tv.key"), certificate("radio.pem", "radio.key")],
        client_ca: Some(PathBuf::from("clients.pem")),
        client_certificate: ClientCertificate::Optional,
        old: Some(OldTls { address: "127.0.0.1:8443".parse().unwrap(), send_proxy: Some(Version::V2) }),
    };
    assert_eq!((tls.address.to_string().as_str(), &tls.tls), ("[::]:443", &Some(expected)));
    let peers: Vec<String> = tls.proxy_protocol.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]);
    let domain = |domain: &str, port| FlashDomain { domain: domain.into(), port };
    let domains =
        [domain("*", None), domain("*", Some(80)), domain("tv.example", None), domain("*.tv.example", Some(8080))];
    assert_eq!(flash.flash_policy, domains);
    assert_eq!((one, other), (&Listener::plain("0.0.0.0:0".parse().unwrap()), one));
}

#[test]
fn certificates_are_tables_wherever_they_stand() {
    let inline = "certificates = [{ cert = \"a.pem\", key = \"a.key\" }, { cert = \"b.pem\", key = \"b.key\" }]";
    let tables = "[[listener.certificates]]\ncert = \"a.pem\"\nkey = \"a.key\"\n\
                  [[listener.certificates]]\ncert = \"b.pem\"\nkey = \"b.key\"";
    assert_eq!(config(&least_with("listener", inline)), config(&least_with("listener", tables)));
}

#[test]
fn a_listener_table_is_enough() {
    let config = config(&format!("[[listener]]\naddress = \"0.0.0.0:80\"\n{ROUTE}"));
    assert_eq!(config.listeners, [Listener::plain("0.0.0.0:80".parse().unwrap())]);
}

#[test]
fn a_listener_has_an_address_of_its_own() {
    let rows = [
        ("[[listener]]\nproxy_protocol = 'none'", 5, "listener 1: address", "it is missing"),
        ("[[listener]]\naddress = 'a'", 6, "listener 1: address", "it is not an address with a port"),
        (
            "[[listener]]\naddress = '127.0.0.1:8080'",
            6,
            "listener \"127.0.0.1:8080\": address",
            "listen has this address",
        ),
        (
            "[[listener]]\naddress = '[::1]:1'\n[[listener]]\naddress = '[0::1]:1'",
            8,
            "listener \"[::1]:1\": address",
            "the listener on line 5 has this address",
        ),
        (
            "[[listener]]\naddress = '0.0.0.0:8080'",
            6,
            "listener \"0.0.0.0:8080\": address",
            "it includes 127.0.0.1:8080, which listen has",
        ),
        (
            "[[listener]]\naddress = '[::]:1'\n[[listener]]\naddress = '[::1]:1'",
            8,
            "listener \"[::1]:1\": address",
            "[::]:1, which the listener on line 5 has, includes it",
        ),
        ("[listener]\naddress = '[::1]:1'", 5, "listener", "a table instead of a list of tables"),
        ("[[listner]]\naddress = '[::1]:1'", 5, "listner", "unknown key"),
    ];
    for (text, line, key, reason) in rows {
        let faults = parse(&format!("listen = ['127.0.0.1:8080']\n{ROUTE}{text}")).expect_err(text);
        let [fault] = faults.as_slice() else { panic!("{text}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.key.as_str(), fault.reason.as_str()), (line, key, reason), "{text}");
    }
    let faults = parse(&format!("listen = ['127.0.0.1:1', '[::]:1', '0.0.0.0:1']\n{ROUTE}")).unwrap_err();
    let [fault] = faults.as_slice() else { panic!("one fault, not\n{faults}") };
    assert_eq!((fault.line, &*fault.reason), (1, "it includes 127.0.0.1:1, which listen has"));
    let faults = parse(&format!("[[listen]]\naddress = '[::1]:1'\n{ROUTE}")).unwrap_err();
    assert!(faults.to_string().contains("write [[listener]] above a listener's settings"), "{faults}");
    let faults = parse(&format!("[[listner]]\naddress = '[::1]:1'\n{ROUTE}")).unwrap_err();
    assert_eq!(faults.as_slice().len(), 1, "{faults}");
    assert_eq!(faults.as_slice()[0].remedy, "did you mean listener?");
}

#[test]
fn faulty_settings_of_listeners_are_refused() {
    let tls = "write certificates = [{ cert = \"FILE\", key = \"FILE\" }]";
    refused(
        "listener",
        &[
            ("certificates = []", "the list is empty", tls),
            ("certificates = 'tv.pem'", "a string instead of a list of tables", tls),
            ("certificates = ['tv.pem']", "a string instead of a table", tls),
            ("certificates = { cert = 'a', key = 'b' }", "a table instead of a list of tables", tls),
            ("certificates = [{ cert = 'a' }]", "it is missing", "write key = \"FILE\""),
            ("certificates = [{ key = 'a' }]", "it is missing", "write cert = \"FILE\""),
            ("certificates = [{ cert = 'a', kye = 'b' }]", "unknown key", "did you mean key?"),
            ("certificates = [{ cert = '', key = 'b' }]", "not the name of a file", "a PEM file"),
            (
                "certificates = [{ cert = 'a', key = 'b' }, { cert = 'a', key = 'b' }]",
                "in the list already",
                "leave one out",
            ),
            ("client_ca = 'ca.pem'", "this listener speaks no TLS", tls),
            ("client_certificate = 'optional'", "this listener speaks no TLS", tls),
            ("old_tls = '127.0.0.1:8443'", "this listener speaks no TLS", tls),
            ("old_tls_proxy = 'v1'", "this listener speaks no TLS", tls),
            ("proxy_protocol = []", "the list is empty", "proxy_protocol = [\"10.0.0.0/8\"], or \"none\""),
            ("proxy_protocol = '10.0.0.0/8'", "a string instead of a list", "[\"10.0.0.0/8\"], or \"none\""),
            ("proxy_protocol = 'v1'", "a string instead of a list", "[\"10.0.0.0/8\"], or \"none\""),
            ("proxy_protocol = true", "true or false instead of a list", "[\"10.0.0.0/8\"], or \"none\""),
            ("proxy_protocol = ['0.0.0.0/0', '10.0.0.0/8']", "believes everybody", "the proxies in front"),
            ("flash_policy = ['http://tv.example']", "a domain has no scheme", "\"*.tv.example:80\""),
            ("flash_policy = ['tv.*']", "a * stands for whole names", "\"*.tv.example\""),
            ("flash_policy = ['**']", "a * stands for whole names", "\"*.tv.example\""),
            ("flash_policy = ['*:*']", "\"*\" is not a port", "from 1 to 65535"),
            ("flash_policy = ['tv.example:*']", "\"*\" is not a port", "from 1 to 65535"),
            ("flash_policy = ['tv.example/x']", "no path", "leave out the /"),
        ],
    );
    refused(
        "tls",
        &[
            ("client_certificate = 'optional'", "no client is asked", "write client_ca = \"FILE\" as well"),
            ("client_certificate = 'maybe'", "unknown choice", "write one of required, optional"),
            ("client_ca = ''", "not the name of a file", "or \"none\""),
            ("old_tls = 'localhost:8443'", "not an address with a port", "\"127.0.0.1:8443\""),
            ("old_tls = '127.0.0.1:0'", "port 0", "from 1 to 65535"),
            ("old_tls = '127.0.0.1:443'", "own listener 0.0.0.0:443", "speaks the TLS of old"),
            ("old_tls = '127.0.0.1:8080'", "own listener 127.0.0.1:8080", "speaks the TLS of old"),
            ("old_tls_proxy = 'v1'", "no old_tls", "write old_tls = \"ADDRESS:PORT\" as well"),
            ("flash_policy = ['*']", "never over TLS", "a [[listener]] without certificates"),
        ],
    );
    // At its default a setting says what is so anyway.
    config(&least_with("listener", "client_ca = 'none'\nclient_certificate = 'required'\nold_tls = 'none'"));
    // A terminator may come back to a plain listener, and a place that is not known is not judged.
    config(&least_with("tls", "old_tls = '127.0.0.1:444'"));
    let faults = parse(&least_with("tls", "client_ca = 5\nclient_certificate = 'optional'")).unwrap_err();
    assert_eq!(faults.as_slice().len(), 1, "{faults}");
}

#[test]
fn faulty_facts_about_fronts_are_refused() {
    let everybody = "this believes everybody";
    refused(
        "forwarded",
        &[
            ("trusted = []", "the list is empty", "or \"none\""),
            ("trusted = 'all'", "a string instead of a list", "write trusted = [\"10.0.0.0/8\"], or \"none\""),
            ("trusted = ['0.0.0.0/0']", everybody, "the proxies in front"),
            ("trusted = ['::/0']", everybody, "the proxies in front"),
            ("trusted = ['localhost']", "a name is not an address", "write \"127.0.0.1\" and \"::1\""),
            ("trusted = ['10.0.0.5', '10.0.0.5/32']", "in the list already", "leave one out"),
            ("headers = []", "the list is empty", "or \"none\""),
            ("headers = ['X-Forwarded-Fro']", "unknown header", "did you mean \"X-Forwarded-For\"?"),
            ("headers = ['Via']", "unknown header", "write one of X-Forwarded-For, X-Forwarded-Proto"),
            ("headers = ['Forwarded', 'forwarded']", "in the list already", "leave one out"),
        ],
    );
    use ForwardedHeader as H;
    let text = least_with("forwarded", "headers = ['x-real-ip', 'X-FORWARDED-FOR']");
    assert_eq!(config(&text).forwarded.headers, [H::RealIp, H::For]);
    assert_eq!(config(&least_with("forwarded", "headers = 'none'")).forwarded.headers, []);
    refused(
        "upstream_tls",
        &[
            ("cert = 'c.pem'", "there is no key with it", "write key = \"FILE\" as well"),
            ("key = 'c.key'", "there is no cert with it", "write cert = \"FILE\" as well"),
            ("ca = ''", "not the name of a file", "a PEM file"),
        ],
    );
}
