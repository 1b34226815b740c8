//! Values that are refused, each alone.

use crate::*;

#[test]
fn settings_of_the_wrong_kind_are_refused() {
    refused(
        "",
        &[
            ("threads = '2'", "a string instead of an integer", "without quotes"),
            ("threads = 0", "less than 1", "\"auto\""),
            ("threads = 1025", "more than 1024", "1 to 1024"),
            ("threads = -1", "less than 1", "1 to 1024"),
            ("threads = 99999999999999999999999", "more than 1024", "1 to 1024"),
            ("log_level = 'inof'", "unknown log level \"inof\"", "did you mean \"info\"? write one of error, warn"),
            ("log_level = 'INFO'", "unknown log level", "did you mean \"info\"?"),
            ("log_level = 3", "an integer instead of a string", "write one of"),
            ("log_level = ['info']", "a list instead of a string", "write one string"),
            ("timeouts = 5", "an integer instead of a table", "write a line [timeouts]"),
            ("limits = [1]", "a list instead of a table", "write a line [limits]"),
        ],
    );
    refused(
        "timeouts",
        &[
            ("head = 10", "no unit", "write \"10s\""),
            ("head = 0", "must not be zero", "10s"),
            ("head = -1", "not a duration", "10s"),
            ("head = 1.5", "a number with a fraction", "10s"),
            ("head = true", "true or false instead of a duration", "10s"),
            ("head = 00:00:10", "a date or time instead of a duration", "10s"),
            ("head = '0s'", "must not be zero", "10s"),
            ("head = 'off'", "cannot be turned off", "10s"),
            ("stall = 'none'", "cannot be turned off", "10s"),
            ("close = '999ms'", "less than 1s", "1s to 30s"),
            ("close = '31s'", "more than 30s", "1s to 30s"),
            ("idle = false", "true or false", "or \"off\" for no limit"),
            ("response = '0s'", "must not be zero", "or \"off\" for no limit"),
        ],
    );
    refused(
        "limits",
        &[
            ("head_bytes = 1023", "less than 1KiB", "1KiB to 1MiB"),
            ("head_bytes = '2MiB'", "more than 1MiB", "1KiB to 1MiB"),
            ("head_bytes = 'none'", "not a size", "16KiB"),
            ("head_bytes = 16.5", "a number with a fraction instead of a size", "16KiB"),
            ("head_fields = 9", "less than 10", "10 to 1000"),
            ("head_fields = 1001", "more than 1000", "10 to 1000"),
            ("connections = 0", "less than 1", "1 to 10000000"),
            ("connections = 'none'", "a string instead of an integer", "from 1 to 10000000"),
            ("connections_per_address = 0", "less than 1", "or \"none\" for no limit"),
            ("max_message = 0", "must not be zero", "or \"none\" for no limit"),
            ("max_message = -5", "\"-5\" is not a size", "or \"none\" for no limit"),
            ("max_message = 99999999999999999999", "too large", "or \"none\" for no limit"),
            ("max_message = '16KB'", "unknown unit", "or \"none\" for no limit"),
        ],
    );
}

#[test]
fn faulty_listeners_are_refused() {
    refused(
        "",
        &[
            ("listen = []", "the list is empty", "write at least one"),
            ("listen = '10.0.0.1:80'", "a string instead of a list", "write listen = [\"10.0.0.1:80\"]"),
            ("listen = 80", "an integer instead of a list", "write listen = [\"127.0.0.1:8080\"]"),
            ("listen = [80]", "an integer instead of a string", "0.0.0.0:80"),
            ("listen = [':80']", "not an address with a port", "\"0.0.0.0:80\" for every IPv4 address"),
            ("listen = ['80']", "not an address with a port", "\"[::]:80\" for IPv6"),
            ("listen = ['localhost:80']", "not an address with a port", "\"127.0.0.1:80\" or \"[::1]:80\""),
            ("listen = ['http://1.2.3.4:80']", "not an address with a port", "leave out the scheme"),
            ("listen = ['tv.example:80']", "not an address with a port", "an address of this machine"),
            ("listen = ['::1:80000']", "not an address with a port", "\"[::1]:8080\""),
            ("listen = ['1.2.3.4:80', '1.2.3.4:80']", "in the list already", "leave one out"),
            ("listen = ['[::1]:80', '[0::1]:80']", "in the list already", "leave one out"),
        ],
    );
}

#[test]
fn faulty_routes_are_refused() {
    refused(
        "route",
        &[
            ("name = ''", "1 to 64 letters", "\"chat\""),
            ("name = 'a b'", "1 to 64 letters", "\"chat\""),
            ("name = \"a\\nb\"", "1 to 64 letters", "\"chat\""),
            ("name = 5", "an integer instead of a string", "put it in quotes: \"5\""),
            ("host = ''", "no host", "write a name"),
            ("host = 'tv.example:80'", "no port", "serves every listener"),
            ("host = 'http://tv.example'", "no scheme", "the host alone"),
            ("host = 'tv.example/x'", "no path", "leave out the /"),
            ("host = '*.example'", "wildcards", "one route for each host"),
            ("host = '::1'", "more than one colon", "\"[::1]\""),
            ("path = ''", "does not begin with a slash", "write \"/\""),
            ("path = 'chat'", "does not begin with a slash", "write \"/chat\""),
            ("path = '/chat*'", "wildcard", "leave out the *"),
            ("path = '/chat?x'", "query", "leave out the ?"),
            ("path = '/a b'", "character ' '", "percent-encoded"),
            ("path = '/a/../b'", "segment ..", "write a path"),
            ("path = 5", "an integer instead of a string", "\"/5\""),
            ("upstream = 'ws://127.0.0.1:8080'", "own listener 127.0.0.1:8080", "the address of the backend"),
            ("public_url = 'wsss'", "unknown scheme \"wsss\"", "did you mean \"wss\"?"),
            ("public_url = 'tv.example'", "unknown scheme", "wss://HOST:PORT"),
            ("public_url = 'wss://tv.example/?x'", "a query or a fragment", "leave out the ?"),
            ("public_url = 'wss://a b'", "not a host", "write a name"),
            ("public_url = 'wss://'", "no host", "write a name"),
            ("public_url = 'wss://Tv.example'", "upper-case", "in lower case"),
            ("public_url = 'wss://tv.example:443'", "the scheme's own", "leave it out"),
            ("public_url = 'ws://tv.example:80/a'", "the scheme's own", "leave it out"),
            ("upstream_host = 'upsteam'", "unknown choice", "did you mean \"upstream\"?"),
            ("upstream_host = 'Client'", "unknown choice", "did you mean \"client\"?"),
            ("upstream_host = 'a:0'", "port 0", "from 1 to 65535"),
            ("upstream_host = \"a\\r\\nX: y\"", "not a host", "write a name"),
            ("upstream_host = 'http://a'", "no scheme", "the host alone"),
            ("dialects = []", "the list is empty", "write at least one"),
            ("dialects = 'v13'", "a string instead of a list", "write dialects = [\"v13\"]"),
            ("dialects = ['v4']", "unknown dialect \"v4\"", "write one of hixie-75, hixie-76, v7, v8, v13"),
            ("dialects = ['Hixie_76']", "unknown dialect", "did you mean \"hixie-76\"?"),
            ("dialects = [13]", "an integer instead of a string", "put it in quotes: \"13\""),
            ("dialects = ['v13', 'rfc6455']", "in the list already", "leave one out"),
            ("binary = 'bas64'", "unknown policy", "did you mean \"base64\"? write one of close, base64, latin1, drop"),
            ("binary = 'Latin-1'", "unknown policy", "did you mean \"latin1\"?"),
            ("max_message = '1 MB'", "unknown unit", "MiB"),
        ],
    );
}

#[test]
fn faulty_settings_of_tls_are_refused() {
    refused(
        "upstream_tls",
        &[
            ("ca = []", "a list instead of a string", "\"system\""),
            ("insecure = 'yes'", "a string instead of true or false", "without quotes"),
            ("insecure = true\nca = 'own.pem'", "nobody looks at ca", "leave out insecure, or leave out ca"),
        ],
    );
}

#[test]
fn faulty_settings_of_event_streams_are_refused() {
    refused(
        "events",
        &[
            ("message = 'text'", "unknown form \"text\"", "write one of data, json"),
            ("message = 'Json'", "unknown form", "did you mean \"json\"?"),
            ("events = []", "the list is empty", "write at least one"),
            ("events = 'update'", "a string instead of a list", "write events = [\"update\"]"),
            ("events = ['']", "no event has this type", "\"message\""),
            ("events = [\"a\\nb\"]", "no event has this type", "\"message\""),
            ("events = ['a', 'a']", "in the list already", "leave one out"),
            ("send = 'messages'", "neither a path nor a URL", "\"/messages\""),
            ("send = '/a?b'", "query", "leave out the ?"),
            ("send = 'http://x/a?b'", "query", "leave out the ?"),
            ("send = 'ws://x/a'", "the scheme \"ws\"", "http://HOST:PORT/PATH"),
            ("send = 'https://x/a?b'", "query", "leave out the ?"),
            ("send = 'http://127.0.0.1:8080/a'", "own listener", "the address of the backend"),
            ("send_type = 'json'", "not a media type", "application/json"),
            ("send_type = \"text/plain\\r\\nX: y\"", "not a media type", "application/json"),
            ("send_failure = 'retry'", "unknown policy", "write one of close, drop"),
            ("resume = 'lastEventId'", "a string instead of a list", "write resume = [\"lastEventId\"]"),
            ("resume = ['a=b']", "not the name of a query parameter", "letters, digits"),
            ("retry = '2h'", "more than 1h", "write 10ms to 1h"),
            ("retry = 'off'", "cannot be turned off", "write a duration"),
            ("reconnect = 0", "not be zero", "\"off\" for no limit"),
            ("silence = '5'", "no unit", "write \"5s\""),
        ],
    );
    refused("limits", &[("event_bytes = 1023", "less than 1KiB", "1KiB to 64MiB")]);
    refused("limits", &[("send_queue = '65MiB'", "more than 64MiB", "1KiB to 64MiB")]);
}

#[test]
fn settings_without_effect_are_refused() {
    let stream_alone = ("only an event stream has this setting", "sse+http://HOST:PORT");
    for line in [
        "message = 'json'",
        "events = ['a']",
        "send = '/a'",
        "send_type = 'application/json'",
        "send_failure = 'drop'",
        "resume = 'none'",
        "retry = '1s'",
        "reconnect = 'off'",
        "silence = '1m'",
    ] {
        refused("route", &[(line, stream_alone.0, stream_alone.1)]);
    }
    // The default says what is so anyway.
    config(&least_with("route", "message = 'data'\nsend = 'none'\nsilence = 'off'"));
    let unsent = ("nothing is sent on this route", "write send = \"/PATH\" as well");
    refused("events", &[("send_type = 'application/json'", unsent.0, unsent.1)]);
    refused("events", &[("send_failure = 'drop'", unsent.0, unsent.1)]);
    refused("events", &[("binary = 'base64'", "no binary messages", "leave this out")]);
    // Each is named, also where several are wrong, and none where it is not known what the upstream is.
    let faults = parse(&least_with("route", "message = 'json'\nsend = '/a'")).expect_err("two");
    assert_eq!(faults.as_slice().len(), 2, "{faults}");
    let faults = parse(&least_but("upstream", "upstream = 'x'\nmessage = 'json'")).expect_err("one");
    assert_eq!(faults.as_slice().len(), 1, "{faults}");
}

#[test]
fn a_dialect_is_not_mistaken_for_another() {
    // The nearest in letters would be hybi-00, which is hixie-76.
    refused("route", &[("dialects = [\"hybi-08\"]", "unknown dialect", "write one of")]);
    let faults = parse(&least_with("route", "dialects = [\"hybi-08\"]")).unwrap_err();
    assert!(!faults.to_string().contains("did you mean"), "{faults}");
}
