//! Which requests go which way.

use crate::*;

#[test]
fn a_path_ends_at_a_border() {
    let rows = [
        ("/", "/", true),
        ("/", "/chat", true),
        ("/", "/?x", true),
        ("/", "*", true),
        ("/chat", "/chat", true),
        ("/chat", "/chat/", true),
        ("/chat", "/chat/x", true),
        ("/chat", "/chat?x", true),
        ("/chat", "/chatter", false),
        ("/chat", "/Chat", false),
        ("/chat", "/cha", false),
        ("/chat", "/x/chat", false),
        ("/chat", "/", false),
        ("/chat", "*", false),
        ("/chat", "", false),
        ("/chat", "chat", false),
        ("/chat/", "/chat/", true),
        ("/chat/", "/chat/x", true),
        ("/chat/", "/chat", false),
        ("/chat/", "/chat?x", false),
        ("/chat", "/?u=/chat", false),
        ("/chat", "http://tv.example/chat?x", true),
        ("/chat", "ws://tv.example:80/chatter", false),
        ("/", "http://tv.example", true),
        ("/", "http://tv.example?x", true),
    ];
    for (path, target, expected) in rows {
        assert_eq!(route(path, "ws://b").matches("tv.example", target), expected, "{path} and {target}");
    }
}

#[test]
fn a_path_that_climbs_stays_out_of_routes_that_hide_something() {
    let climbing = [
        "/chat/../admin",
        "/chat/..",
        "/chat/..?x",
        "/chat/%2e%2E/admin",
        "/chat/.%2e/admin",
        "/chat/..%2fadmin",
        "/chat/..%5Cadmin",
        "/chat/..\\admin",
        "/chat/..;x/admin",
        "http://tv.example/chat/../admin",
    ];
    for target in climbing {
        assert!(!route("/chat", "ws://b").matches("", target), "{target}");
        assert!(!route("/chat/", "ws://b").matches("", target), "{target}");
        assert!(!route("/", "ws://b/app").matches("", target), "{target}");
        assert!(route("/", "ws://b").matches("", target), "{target}");
    }
    for target in ["/chat/a..b", "/chat/...", "/chat/.", "/chat/?x=/../y", "/chat/%20"] {
        assert!(route("/chat", "ws://b").matches("", target), "{target}");
    }
}

#[test]
fn a_host_is_compared_without_port_and_case() {
    let rows = [
        (None, "", "/", true),
        (None, "tv.example", "/", true),
        (Some("tv.example"), "tv.example", "/", true),
        (Some("tv.example"), "TV.Example", "/", true),
        (Some("tv.example"), "tv.example:8080", "/", true),
        (Some("tv.example"), "tv.example.", "/", true),
        (Some("tv.example"), "tv.example.:80", "/", true),
        (Some("tv.example"), "a.tv.example", "/", false),
        (Some("tv.example"), "tv.example.org", "/", false),
        (Some("tv.example"), "", "/", false),
        (Some("::1"), "[::1]", "/", true),
        (Some("::1"), "[::1]:8080", "/", true),
        (Some("::1"), "[::2]:8080", "/", false),
        // RFC 9112 §3.2.2: the host in the target counts.
        (Some("tv.example"), "other.example", "http://tv.example:80/", true),
        (Some("tv.example"), "other.example", "ws://user@tv.example/", true),
        (Some("tv.example"), "tv.example", "http://other.example/", false),
        (Some("tv.example"), "tv.example", "/?http://other.example/", true),
    ];
    for (host, header, target, expected) in rows {
        let route = Route { host: host.map(Into::into), ..route("/", "ws://b") };
        assert_eq!(route.matches(header, target), expected, "{host:?} and {header:?} {target:?}");
    }
}

#[test]
fn the_path_of_the_upstream_replaces_that_of_the_route() {
    let rows = [
        // Without a path, nothing is changed.
        ("/", "ws://b", "/chat/x?y", "/chat/x?y"),
        ("/chat", "ws://b", "/chat/x?y", "/chat/x?y"),
        ("/chat", "ws://b", "http://tv.example/chat", "http://tv.example/chat"),
        // With one, there is exactly one slash at the joint.
        ("/chat", "ws://b/rooms", "/chat", "/rooms"),
        ("/chat", "ws://b/rooms", "/chat/", "/rooms/"),
        ("/chat", "ws://b/rooms", "/chat/x", "/rooms/x"),
        ("/chat", "ws://b/rooms", "/chat//x", "/rooms/x"),
        ("/chat", "ws://b/rooms", "/chat?y=/", "/rooms?y=/"),
        ("/chat", "ws://b/rooms", "/chat/x?y", "/rooms/x?y"),
        ("/chat", "ws://b/rooms/", "/chat", "/rooms/"),
        ("/chat", "ws://b/rooms/", "/chat/x", "/rooms/x"),
        ("/chat/", "ws://b/rooms", "/chat/", "/rooms"),
        ("/chat/", "ws://b/rooms", "/chat/x", "/rooms/x"),
        ("/chat/", "ws://b/rooms/", "/chat/x", "/rooms/x"),
        ("/", "ws://b/rooms", "/", "/rooms"),
        ("/", "ws://b/rooms", "/?y", "/rooms?y"),
        ("/", "ws://b/rooms", "/x", "/rooms/x"),
        ("/", "ws://b/", "/x", "/x"),
        ("/chat", "ws://b/", "/chat", "/"),
        ("/chat", "ws://b/", "/chat?y", "/?y"),
        ("/chat", "ws://b/", "/chat/x", "/x"),
        ("/chat", "ws://b/", "/chat//evil.example/x", "/evil.example/x"),
        ("/chat", "ws://b/rooms", "http://tv.example/chat/x", "/rooms/x"),
        ("/", "ws://b/rooms", "http://tv.example?y", "/rooms?y"),
        ("/", "ws://b/rooms", "*", "*"),
        // What is not this route's is left alone.
        ("/chat", "ws://b/rooms", "/chatter", "/chatter"),
    ];
    for (path, url, target, expected) in rows {
        assert_eq!(route(path, url).upstream_target(target), expected, "{path} to {url}: {target}");
    }
}

#[test]
fn routes_with_a_host_come_first_then_the_longest_path() {
    let route = |name: &str, host: &str, path: &str| {
        format!("[[route]]\nname = {name:?}\nhost = {host:?}\npath = {path:?}\nupstream = \"ws://b\"\n")
    };
    let text = [
        "listen = [\"127.0.0.1:8080\"]\n".to_owned(),
        route("any", "*", "/"),
        route("any-chat-room", "*", "/chat/room"),
        route("tv", "tv.example", "/"),
        route("any-chat", "*", "/chat"),
        route("tv-chat", "tv.example", "/chat"),
        route("radio", "radio.example", "/"),
    ]
    .concat();
    let config = config(&text);
    let names: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["tv-chat", "tv", "radio", "any-chat-room", "any-chat", "any"]);
    let rows = [
        ("tv.example:80", "/chat/room", "tv-chat"),
        ("tv.example", "/chatter", "tv"),
        ("radio.example", "/chat", "radio"),
        ("", "/chat/room/1", "any-chat-room"),
        ("other.example", "/chat?x", "any-chat"),
        ("other.example", "/x", "any"),
    ];
    for (host, target, expected) in rows {
        assert_eq!(config.route(host, target).map(|route| route.name.as_str()), Some(expected), "{host} {target}");
    }
    assert_eq!(crate::config(&least_with("route", "path = \"/chat\"")).route("tv.example", "/"), None);
}

#[test]
fn another_spelling_of_a_path_does_not_go_around_the_rules_of_its_route() {
    let text = "listen = [\"127.0.0.1:8080\"]\n\
        [[route]]\nname = \"rest\"\nupstream = \"ws://b\"\n\
        [[route]]\nname = \"admin\"\npath = \"/admin\"\nupstream = \"ws://b\"\nclients = [\"10.0.0.0/8\"]\n\
        [[route]]\nname = \"help\"\npath = \"/admin/help\"\nupstream = \"ws://b\"\n\
        [[route]]\nname = \"chat\"\npath = \"/caf%C3%A9\"\nupstream = \"ws://b\"\norigins = [\"null\"]\n\
        [[route]]\nname = \"twin\"\npath = \"/Twin\"\nupstream = \"ws://b\"\n\
        [[route]]\nname = \"kept\"\npath = \"/twin\"\nupstream = \"ws://b\"\norigins = [\"null\"]\n\
        [[route]]\nname = \"open\"\npath = \"/open\"\nupstream = \"ws://b\"\n";
    let config = config(text);
    let rows = [
        ("/admin/x", Some("admin")),
        ("/admin/X", Some("admin")),
        ("/Twin/x", Some("twin")),
        ("/twin/x", Some("kept")),
        ("/admin/a%20b;c", Some("admin")),
        ("/admin/help", Some("help")),
        ("/admin/help//x", Some("help")),
        ("/administration", Some("rest")),
        ("/x?u=//admin/../%61", Some("rest")),
        ("//x/./y;z/%41", Some("rest")),
        ("/%", Some("rest")),
        ("/%6", Some("rest")),
        ("/caf%C3%A9/x", Some("chat")),
        // What lies on a route that everybody may go anyway is nobody's loss.
        ("//open", Some("rest")),
        ("/admin/../open", None),
        ("//admin", None),
        ("/./admin/x", None),
        ("/admin;x", None),
        ("/admin%3bx", None),
        ("/%61dmin?x", None),
        ("/%2fadmin", None),
        ("/\\admin", None),
        ("/x/../admin", None),
        ("/x/%2E./admin/y", None),
        ("/admin/..", None),
        ("/admin/help/..", None),
        ("/admin/help/%2e%2e/x", None),
        // For Express and ASP.NET these are the same path; for whoever parses them as URLs the first name is a host.
        ("/ADMIN", None),
        ("/Admin/Help", Some("rest")),
        ("//x/admin", None),
        ("///x//Admin/y", None),
        ("/\\x\\admin", None),
        ("//x/y/../admin?z", None),
        ("//admin.example/x", Some("rest")),
        ("//x/open", Some("rest")),
        ("//x", Some("rest")),
        ("/caf%c3%a9", None),
        ("/caf\u{e9}", None),
        ("/caf\u{e9}/%20", None),
        ("http://tv.example//admin", None),
    ];
    for (target, expected) in rows {
        assert_eq!(config.route("tv.example", target).map(|route| route.name.as_str()), expected, "{target}");
    }
    // However long it climbs, this is no work.
    let long = ["/a".repeat(100_000), "/..".repeat(100_000)].concat();
    assert_eq!(config.route("tv.example", &long).map(|route| route.name.as_str()), Some("rest"));
}

#[test]
fn a_location_is_what_the_client_knows_letter_by_letter() {
    // The setting, and what a client is told that came in plain text, and over TLS.
    let rows = [
        ("auto", "ws://TV.example:8080/live?x=1", "wss://TV.example:8080/live?x=1"),
        ("ws", "ws://TV.example:8080/live?x=1", "ws://TV.example:8080/live?x=1"),
        ("wss", "wss://TV.example:8080/live?x=1", "wss://TV.example:8080/live?x=1"),
        ("https", "wss://TV.example:8080/live?x=1", "wss://TV.example:8080/live?x=1"),
        ("wss://portal.example", "wss://portal.example/live?x=1", "wss://portal.example/live?x=1"),
        ("wss://portal.example:80", "wss://portal.example:80/live?x=1", "wss://portal.example:80/live?x=1"),
        ("ws://portal.example:81/", "ws://portal.example:81/live?x=1", "ws://portal.example:81/live?x=1"),
        ("wss://[::1]:9/front/", "wss://[::1]:9/front/live?x=1", "wss://[::1]:9/front/live?x=1"),
    ];
    for (setting, plain, encrypted) in rows {
        let url: PublicUrl = setting.parse().expect(setting);
        let location = |secure| {
            let mut facts = hybridge::arrival::Facts::default();
            facts.secure = secure;
            url.overrule(&mut facts);
            url.location(&facts, "TV.example:8080", "/live?x=1")
        };
        assert_eq!(location(false), plain, "{setting}");
        assert_eq!(location(true), encrypted, "{setting}");
        assert_eq!(url.to_string().parse(), Ok(url), "what is shown can be written");
    }
}
