//! Who may use a route, as far as it can be told without asking anybody: by the client's address, and by the origin of
//! the page that opens a connection. And whom Flash is told that may.

use std::net::IpAddr;

use crate::arrival::is_in;
use crate::config::{FlashDomain, OriginRule, Route};
use crate::http::{self, Refusal};

/// Whether a client at this address may use the route, for whatever it wants.
///
/// # Errors
/// What it is told instead.
pub fn check_client(route: &Route, client: IpAddr) -> Result<(), Refusal> {
    if route.clients.as_ref().is_none_or(|networks| is_in(networks, client)) {
        return Ok(());
    }
    let client = client.to_canonical();
    Err(Refusal::new(403, "this address may not connect here").noting(format!(
        "{client} is in none of the networks of route {:?}; if it may connect, add it to clients there",
        route.name
    )))
}

/// Whether a page of this origin may open a connection.
///
/// # Errors
/// What it is told instead.
pub fn check_origin(route: &Route, origin: Option<&str>) -> Result<(), Refusal> {
    let Some(rules) = &route.origins else { return Ok(()) };
    if rules.iter().any(|rule| permits(rule, origin)) {
        return Ok(());
    }
    let rule = origin.map_or_else(|| "missing".to_owned(), |origin| parse(origin).unwrap_or(origin.to_owned()));
    let whose = match origin {
        Some(origin) => format!("the origin {origin:?} is"),
        None => "a handshake without Origin is".to_owned(),
    };
    Err(Refusal::new(403, "pages of this origin may not connect here").noting(format!(
        "{whose} not among the origins of route {:?}; if it may connect, add {rule:?} to origins there",
        route.name
    )))
}

/// Whether a header of this name speaks for the route's auth server. A client may not say it of itself, in no request
/// and in no spelling that a backend could take for it.
pub fn is_granted(route: &Route, name: &str) -> bool {
    route.auth.as_ref().is_some_and(|auth| auth.headers.iter().any(|granted| http::is_alike(granted, name)))
}

fn permits(rule: &OriginRule, origin: Option<&str>) -> bool {
    let Some(origin) = origin else { return *rule == OriginRule::Missing };
    match rule {
        OriginRule::Missing => false,
        OriginRule::Null => origin == "null",
        // What is no scheme, host and port, `file://` or a list, has no meaning but its text.
        OriginRule::Exact(rule) => {
            let canonical = |text: &str| parse(text).unwrap_or_else(|| text.to_ascii_lowercase());
            canonical(rule) == canonical(origin)
        }
        OriginRule::Below { scheme, domain } => parse(origin).is_some_and(|origin| {
            let below = origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(domain.as_str()));
            below.is_some_and(|labels| labels.split('.').all(is_label))
        }),
    }
}

/// A part of a host name, with the underscores that some have against the rules.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// An origin in lower case, without the scheme's own port; none if it is not a scheme, a host and perhaps a port.
fn parse(origin: &str) -> Option<String> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || !http::is_host(authority) {
        return None;
    }
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    // The colons in brackets are an address's.
    let colon = authority.rfind(':').filter(|colon| authority.rfind(']').is_none_or(|bracket| bracket < *colon));
    let Some(colon) = colon else { return Some(format!("{scheme}://{authority}")) };
    let port: u16 = authority[colon + 1..].parse().ok()?;
    let host = &authority[..colon];
    match (&*scheme, port) {
        ("http" | "ws", 80) | ("https" | "wss", 443) => Some(format!("{scheme}://{host}")),
        _ => Some(format!("{scheme}://{host}:{port}")),
    }
}

/// What Flash is answered when it asks who may connect: those, to the port that is named with them or else `own_port`.
pub fn flash_policy(domains: &[FlashDomain], own_port: u16) -> Vec<u8> {
    let mut policy = String::from("<?xml version=\"1.0\"?><cross-domain-policy>");
    for FlashDomain { domain, port } in domains {
        policy.push_str("<allow-access-from domain=\"");
        for c in domain.chars() {
            match c {
                '&' => policy.push_str("&amp;"),
                '<' => policy.push_str("&lt;"),
                '>' => policy.push_str("&gt;"),
                '"' => policy.push_str("&quot;"),
                '\'' => policy.push_str("&apos;"),
                c => policy.push(c),
            }
        }
        policy.push_str(&format!("\" to-ports=\"{}\"/>", port.unwrap_or(own_port)));
    }
    // Flash reads up to the NUL.
    policy.push_str("</cross-domain-policy>\0");
    policy.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, Upstream};

    fn route() -> Route {
        Route::new("tv", Upstream::parse("ws://backend").expect("a URL"))
    }

    fn exact(text: &str) -> OriginRule {
        OriginRule::Exact(text.to_owned())
    }

    fn below(scheme: &str, domain: &str) -> OriginRule {
        OriginRule::Below { scheme: scheme.to_owned(), domain: domain.to_owned() }
    }

    #[test]
    fn an_origin_is_compared_by_scheme_host_and_port() {
        for (rule, origin, expected) in [
            ("http://tv.example", "http://tv.example", true),
            ("http://tv.example", "HTTP://TV.Example", true),
            ("http://tv.example", "http://tv.example:80", true),
            ("http://tv.example:80", "http://tv.example", true),
            ("http://tv.example", "http://tv.example:8080", false),
            ("http://tv.example", "https://tv.example", false),
            ("http://tv.example", "https://tv.example:80", false),
            ("https://tv.example", "https://tv.example:443", true),
            ("https://tv.example", "http://tv.example:443", false),
            ("ws://tv.example", "ws://tv.example:80", true),
            ("wss://tv.example", "wss://tv.example:443", true),
            ("ftp://tv.example", "ftp://tv.example:80", false),
            ("http://tv.example:8080", "http://tv.example:8080", true),
            ("http://tv.example:8080", "http://tv.example", false),
            ("http://tv.example", "http://a.tv.example", false),
            ("http://tv.example", "http://tv.example.", false),
            ("http://tv.example", "http://tv.example.evil", false),
            ("http://tv.example", "http://eviltv.example", false),
            ("http://tv.example", "http://tv.example/", false),
            ("http://tv.example", "http://tv.example@evil", false),
            ("http://tv.example", "http://tv.example http://evil", false),
            ("http://tv.example", "http://evil http://tv.example", false),
            ("http://tv.example", "tv.example", false),
            ("http://tv.example", "null", false),
            ("http://tv.example", "", false),
            ("http://[::1]", "http://[::1]:80", true),
            ("http://[::1]:8080", "http://[::1]:8080", true),
            ("http://[::1]", "http://[::1]:8080", false),
            ("http://tv.example", "http://tv.example:", false),
            ("http://tv.example", "http://tv.example:99999", false),
            // What has no host is a text.
            ("file://", "file://", true),
            ("file://", "FILE://", true),
            ("file://", "file:///", false),
            ("file://", "file://x", false),
            ("http://a http://b", "http://a http://b", true),
            ("http://a http://b", "http://a", false),
            ("widget://2f3a", "widget://2F3A", true),
        ] {
            assert_eq!(permits(&exact(rule), Some(origin)), expected, "{rule} {origin}");
        }
    }

    #[test]
    fn a_wildcard_takes_what_lies_below_and_never_the_domain_itself() {
        for (rule, origin, expected) in [
            (below("https://", ".tv.example"), "https://a.tv.example", true),
            (below("https://", ".tv.example"), "HTTPS://A.TV.example:443", true),
            (below("https://", ".tv.example"), "https://a.b-c.x_y.tv.example", true),
            (below("https://", ".tv.example"), "https://tv.example", false),
            (below("https://", ".tv.example"), "https://.tv.example", false),
            (below("https://", ".tv.example"), "https://a..tv.example", false),
            (below("https://", ".tv.example"), "https://eviltv.example", false),
            (below("https://", ".tv.example"), "https://a.tv.example.evil", false),
            (below("https://", ".tv.example"), "https://a.tv.example:8443", false),
            (below("https://", ".tv.example"), "http://a.tv.example", false),
            (below("https://", ".tv.example"), "xhttps://a.tv.example", false),
            (below("https://", ".tv.example"), "https://evil#.tv.example", false),
            (below("https://", ".tv.example"), "https://evil/.tv.example", false),
            (below("https://", ".tv.example"), "https://evil,.tv.example", false),
            (below("https://", ".tv.example"), "https://*.tv.example", false),
            (below("https://", ".tv.example"), "https://evil https://a.tv.example", false),
            (below("https://", ".tv.example:8443"), "https://a.tv.example:8443", true),
            (below("https://", ".tv.example:8443"), "https://a.tv.example", false),
            (below("https://", ".tv.example:8443"), "https://tv.example:8443", false),
            (below("http://", ".1"), "http://10.0.0.1", true),
        ] {
            assert_eq!(permits(&rule, Some(origin)), expected, "{rule} {origin}");
        }
    }

    #[test]
    fn null_and_none_at_all_are_each_permitted_for_themselves_alone() {
        for (rule, origin, expected) in [
            (OriginRule::Null, Some("null"), true),
            (OriginRule::Null, Some("http://null"), false),
            (OriginRule::Null, None, false),
            (OriginRule::Missing, None, true),
            (OriginRule::Missing, Some("null"), false),
            (OriginRule::Missing, Some("missing"), false),
            (OriginRule::Missing, Some("http://a"), false),
            (exact("http://a"), None, false),
            (below("http://", ".a"), None, false),
        ] {
            assert_eq!(permits(&rule, origin), expected, "{rule} {origin:?}");
        }
    }

    #[test]
    fn without_a_list_every_origin_passes_and_with_an_empty_one_none() {
        let mut route = route();
        for origin in [None, Some("null"), Some("http://evil")] {
            assert_eq!(check_origin(&route, origin), Ok(()));
        }
        route.origins = Some(Vec::new());
        for origin in [None, Some("null"), Some("http://evil")] {
            assert_eq!(check_origin(&route, origin).map_err(|refusal| refusal.status), Err(403));
        }
    }

    #[test]
    fn the_log_names_origin_route_and_remedy_and_the_client_hears_none_of_it() {
        let mut route = route();
        route.origins = Some(vec![exact("http://a")]);
        let check = |origin, expected: &str| {
            let refusal = check_origin(&route, origin).expect_err("it is refused");
            assert_eq!(refusal.logged(), format!("pages of this origin may not connect here: {expected}"));
            assert!(!String::from_utf8_lossy(&refusal.to_bytes()).contains("tv"));
        };
        check(
            Some("HTTP://TV.example:80"),
            "the origin \"HTTP://TV.example:80\" is not among the origins of route \"tv\"; \
             if it may connect, add \"http://tv.example\" to origins there",
        );
        check(
            Some("a\tb\u{1b}"),
            "the origin \"a\\tb\\u{1b}\" is not among the origins of route \"tv\"; \
             if it may connect, add \"a\\tb\\u{1b}\" to origins there",
        );
        check(
            None,
            "a handshake without Origin is not among the origins of route \"tv\"; \
             if it may connect, add \"missing\" to origins there",
        );
    }

    #[test]
    fn a_client_is_known_by_its_network_whatever_the_form_of_its_address() {
        let mut route = route();
        let status = |route: &Route, client: &str| {
            check_client(route, client.parse().expect("an address")).map_err(|refusal| refusal.status)
        };
        assert_eq!(status(&route, "192.0.2.1"), Ok(()));
        route.clients = Some(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"].map(|net| net.parse().unwrap()).to_vec());
        for (client, expected) in [
            ("10.255.0.1", Ok(())),
            ("11.0.0.1", Err(403)),
            ("192.0.2.7", Ok(())),
            ("192.0.2.8", Err(403)),
            ("::ffff:10.0.0.1", Ok(())),
            ("::ffff:11.0.0.1", Err(403)),
            ("2001:db8:1::1", Ok(())),
            ("2001:db9::1", Err(403)),
            ("::1", Err(403)),
        ] {
            assert_eq!(status(&route, client), expected, "{client}");
        }
        let refusal = check_client(&route, "::ffff:11.0.0.1".parse().unwrap()).expect_err("it is refused");
        assert_eq!(
            refusal.logged(),
            "this address may not connect here: 11.0.0.1 is in none of the networks of route \"tv\"; \
             if it may connect, add it to clients there"
        );
        route.clients = Some(Vec::new());
        assert_eq!(status(&route, "127.0.0.1"), Err(403));
    }

    #[test]
    fn what_the_auth_server_says_no_client_says_in_any_spelling() {
        let mut route = route();
        assert!(!is_granted(&route, "X-User"));
        let headers = vec!["X-User".to_owned(), "remote_groups".to_owned()];
        route.auth = Some(Auth { server: Upstream::parse("http://auth/").expect("a URL"), headers });
        for (name, expected) in [
            ("X-User", true),
            ("x-user", true),
            ("X_USER", true),
            ("Remote-Groups", true),
            ("X-Users", false),
            ("X-Use", false),
            ("XUser", false),
        ] {
            assert_eq!(is_granted(&route, name), expected, "{name}");
        }
    }

    #[test]
    fn flash_is_told_who_may_connect_where() {
        let domain = |domain: &str, port| FlashDomain { domain: domain.to_owned(), port };
        for (domains, expected) in [
            (
                vec![domain("*", None)],
                "<?xml version=\"1.0\"?><cross-domain-policy>\
                 <allow-access-from domain=\"*\" to-ports=\"8080\"/></cross-domain-policy>\0",
            ),
            (
                vec![domain("*.tv.example", Some(80)), domain("a\"b'<c>&d", None)],
                "<?xml version=\"1.0\"?><cross-domain-policy>\
                 <allow-access-from domain=\"*.tv.example\" to-ports=\"80\"/>\
                 <allow-access-from domain=\"a&quot;b&apos;&lt;c&gt;&amp;d\" to-ports=\"8080\"/>\
                 </cross-domain-policy>\0",
            ),
        ] {
            assert_eq!(String::from_utf8(flash_policy(&domains, 8080)).expect("text"), expected);
        }
    }
}
