//! How faults are told, and where they stand.

use crate::*;

#[test]
fn a_fault_names_file_line_key_value_reason_and_remedy() {
    let faults = parse(&least_but("upstream", "upstream = \"htp://x\"")).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "hybridge.toml:5: route \"chat\": upstream = \"htp://x\": unknown scheme \"htp\"; \
         write ws://HOST:PORT or http://HOST:PORT, wss:// or https:// for TLS, sse+http://HOST:PORT for an event stream, \
         ws+unix:///SOCKET for a Unix socket"
    );
    let faults = parse(&least_with("timeouts", "close = \"1m\"")).unwrap_err();
    assert_eq!(faults.to_string(), "hybridge.toml:7: timeouts.close = \"1m\": it is more than 30s; write 1s to 30s");
}

#[test]
fn every_fault_is_reported_with_its_line() {
    let text = r#"
thraeds = 2
log_level = "inof"
listen = [
    "127.0.0.1:8080",
    "localhost:80",
]
[timeouts]
head = "0s"
close = "1m"
[limits]
head_bytes = 12
[[route]]
name = "chat"
upstream = "htp://x"
[[route]]
path = "chat"
upstream = "ws://backend"
dialects = ["v13", "v4"]
"#;
    let faults = parse(text).unwrap_err();
    let found: Vec<(usize, &str)> = faults.as_slice().iter().map(|f| (f.line, f.key.as_str())).collect();
    let expected = [
        (2, "thraeds"),
        (3, "log_level"),
        (6, "listen"),
        (9, "timeouts.head"),
        (10, "timeouts.close"),
        (12, "limits.head_bytes"),
        (15, "route \"chat\": upstream"),
        (16, "route 2: name"),
        (17, "route 2: path"),
        (19, "route 2: dialects"),
    ];
    assert_eq!(found, expected, "\n{faults}");
    assert_eq!(faults.to_string().lines().count(), 10);
    assert!(faults.as_slice().iter().all(|f| f.file == "hybridge.toml" && !f.remedy.is_empty()));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one_named() {
    let rows = [
        ("", "thread = 2", "did you mean threads?"),
        ("", "log-level = \"info\"", "did you mean log_level?"),
        ("timeouts", "keepalive = \"1s\"", "did you mean keep_alive?"),
        ("limits", "max_mesage = 1", "did you mean max_message?"),
        ("route", "hsot = \"x\"", "did you mean host?"),
        ("route", "Path = \"/\"", "did you mean path?"),
        ("route", "retries = 3", "known here are name, host, path,"),
        ("route", "\"\\u001b\\n\" = 3", "known here are name, host, path,"),
    ];
    for (table, line, remedy) in rows {
        refused(table, &[(line, "unknown key", remedy)]);
    }
}

#[test]
fn a_key_in_the_wrong_table_is_told_its_own() {
    refused("limits", &[("threads = 2", "unknown key", "move it to the top of the file")]);
    refused("limits", &[("keep_alive = \"1s\"", "unknown key", "move it below the line [timeouts]")]);
    refused("route", &[("connections = 5", "unknown key", "move it below the line [limits]")]);
    refused(
        "timeouts",
        &[("max_message = 1", "unknown key", "move it below the line [limits], or below a line [[route]]")],
    );
    refused("route", &[("proxy_protocol = 'none'", "unknown key", "move it below a line [[listener]]")]);
    refused("route", &[("cert = 'a'", "unknown key", "move it below the line [upstream_tls]")]);
    refused("listener", &[("cert = 'a'", "unknown key", "write certificates = [{ cert = \"FILE\", key = \"FILE\" }]")]);
    refused("", &[("upstream_host = \"client\"", "unknown key", "move it below a line [[route]]")]);
}

#[test]
fn a_required_key_that_was_misspelt_is_one_fault() {
    for (key, misspelt) in
        [("listen", "listne = [\"127.0.0.1:1\"]"), ("name", "nmae = \"a\""), ("upstream", "upstraem = 1")]
    {
        let text =
            if key == "listen" { format!("{misspelt}\n{}", least_but(key, "")) } else { least_but(key, misspelt) };
        let faults = parse(&text).unwrap_err();
        assert_eq!(faults.as_slice().len(), 1, "{faults}");
        assert_eq!(faults.as_slice()[0].remedy, format!("did you mean {key}?"));
    }
}

#[test]
fn what_is_required_is_asked_for() {
    let rows = [
        (String::new(), vec![(1, "listen"), (1, "route")]),
        ("listen = [\"127.0.0.1:1\"]".to_owned(), vec![(1, "route")]),
        (least_but("listen", ""), vec![(1, "listen")]),
        (least_but("name", ""), vec![(3, "route 1: name")]),
        (least_but("upstream", ""), vec![(3, "route \"chat\": upstream")]),
    ];
    for (text, expected) in rows {
        let faults = parse(&text).unwrap_err();
        let found: Vec<(usize, &str)> = faults.as_slice().iter().map(|f| (f.line, f.key.as_str())).collect();
        assert_eq!(found, expected, "{text}\n{faults}");
        for fault in faults.as_slice() {
            assert_eq!(fault.reason, "it is missing");
            assert!(fault.remedy.starts_with("write "), "{fault}");
        }
    }
}

#[test]
fn text_that_is_no_toml_is_one_fault_with_its_line() {
    let rows = [
        ("a = 1\nb = ws://x\nc = ", 2, "`b = ws://x`", "put the value in quotes"),
        ("\nhead = 10s", 2, "`head = 10s`", "put the value in quotes"),
        ("listen = [127.0.0.1:80]", 1, "`listen = [127.0.0.1:80]`", "in quotes"),
        ("a = 1\r\n\r\na = 2", 3, "duplicate key", "leave one out"),
        ("[limits]\n[limits]", 2, "duplicate key", "leave one out"),
        ("[timeouts\nhead = 1", 1, "`[timeouts`", "close the brackets"),
        ("[[route]\n", 1, "`[[route]`", "close the brackets"),
        ("listen = [\"a\" \"b\"]", 1, "comma", "comma"),
        ("listen = [\"a\",\n", 1, "`listen = [\"a\",`", "bracket at its end"),
        ("a = 1\nb = \"x\nc = 1", 2, "`b = \"x`", "put a quote at the end"),
        ("a = \"\"\" x\nb = 1\n", 2, "multi-line", "put a quote at the end"),
        ("a = \"C:\\quo\"", 1, "escape", "\\\\"),
        ("\u{1b}[2J", 1, "`?[2J`", "KEY = VALUE"),
        ("head: 10s", 1, "`head: 10s`", "KEY = VALUE"),
    ];
    for (text, line, reason, remedy) in rows {
        let faults = parse(text).expect_err(text);
        let [fault] = faults.as_slice() else { panic!("{text:?}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.key.as_str()), (line, ""), "{text:?}\n{fault}");
        assert!(fault.reason.contains(reason), "{text:?}\n{fault}");
        assert!(fault.remedy.contains(remedy), "{text:?}\n{fault}");
    }
}

#[test]
fn routes_that_are_no_list_of_tables_are_refused() {
    let rows = [
        ("route = []", 2, "the list is empty"),
        ("route = 5", 2, "an integer instead of a list of tables"),
        ("[route]\nname = \"a\"", 2, "a table instead of a list of tables"),
        ("route = [\n5]", 3, "an integer instead of a table"),
    ];
    for (text, line, reason) in rows {
        let faults = parse(&format!("listen = [\"127.0.0.1:1\"]\n{text}")).expect_err(text);
        let [fault] = faults.as_slice() else { panic!("{text}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.reason.as_str()), (line, reason), "{text}");
        assert!(fault.remedy.contains("[[route]]"), "{fault}");
    }
}

#[test]
fn a_request_goes_one_way() {
    let second = |rest: &str| format!("{LEAST}[[route]]\nupstream = \"ws://b\"\n{rest}\n");
    let rows = [
        ("name = \"b\"", 6, "route \"b\"", "host and path are those of route \"chat\" on line 3"),
        ("name = \"b\"\npath = \"/\"", 9, "route \"b\"", "host and path are those of route \"chat\" on line 3"),
        ("name = \"b\"\nhost = \"*\"", 9, "route \"b\"", "host and path are those of route \"chat\" on line 3"),
        ("name = \"chat\"\npath = \"/b\"", 8, "route \"chat\": name", "the route on line 4 has this name"),
    ];
    for (rest, line, key, reason) in rows {
        let faults = parse(&second(rest)).expect_err(rest);
        let [fault] = faults.as_slice() else { panic!("{rest}: one fault, not\n{faults}") };
        assert_eq!((fault.line, fault.key.as_str(), fault.reason.as_str()), (line, key, reason), "{rest}");
    }
    let hosts =
        "name = \"b\"\nhost = \"tv.example\"\n[[route]]\nname = \"c\"\nupstream = \"ws://c\"\nhost = \"TV.example.\"";
    let faults = parse(&second(hosts)).unwrap_err();
    assert!(faults.to_string().contains("those of route \"b\" on line 9"), "{faults}");
    assert!(parse(&second("name = \"b\"\npath = \"/chat\"")).is_ok());
    assert!(parse(&second("name = \"b\"\nhost = \"tv.example\"")).is_ok());
}

#[test]
fn a_route_does_not_lead_back_to_the_proxy() {
    let rows = [
        ("127.0.0.1:80", "ws://127.0.0.1", false),
        ("0.0.0.0:80", "ws://127.0.0.2", false),
        ("0.0.0.0:80", "ws://0.0.0.0", false),
        ("[::]:80", "ws://[::1]", false),
        ("10.0.0.1:80", "ws://10.0.0.1:80/x", false),
        ("127.0.0.1:80", "ws://127.0.0.1:81", true),
        ("127.0.0.1:80", "ws://127.0.0.2", true),
        ("0.0.0.0:80", "ws://10.0.0.1", true),
        // A listener on [::] may leave IPv4 to others.
        ("[::]:80", "ws://127.0.0.1", true),
        ("127.0.0.1:80", "ws://localhost", true),
    ];
    for (listen, url, good) in rows {
        let text = format!("listen = [{listen:?}]\n[[route]]\nname = \"a\"\nupstream = {url:?}");
        assert_eq!(parse(&text).is_ok(), good, "{listen} and {url}");
    }
}

#[test]
fn a_fault_is_one_line_whatever_the_file_holds() {
    let text = least_with("", &format!("log_level = \"\"\"a\nb\u{85}{}\"\"\"", "x".repeat(1000)));
    let faults = parse(&text).unwrap_err();
    let shown = faults.to_string();
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.len() < 400 && shown.chars().all(|c| !c.is_control()), "{shown}");
}
