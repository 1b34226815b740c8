//! Any text at all.

use proptest::prelude::*;

use crate::*;

/// Lines as an operator in a hurry writes them: right in most places.
fn line() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = KEYS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    let value = prop_oneof![
        any::<String>().prop_map(|text| format!("{text:?}")),
        "[0-9]{1,25}(ms|s|m|h|d|B|KiB|MiB|GiB)?".prop_map(|text| format!("{text:?}")),
        "(ws|http|wss|ws[+]unix|file)://[a-z0-9.:@\\[\\]/?#%*]{0,20}".prop_map(|text| format!("{text:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        "[0-9a-f:.]{0,12}(/[0-9.]{0,3})?".prop_map(|text| format!("[{text:?}]")),
        Just("[{ cert = \"a\", key = 5 }, { cert = \"a\" }]".to_owned()),
        Just("\"none\"".to_owned()),
        Just("[]".to_owned()),
        Just("[\"127.0.0.1:80\", 7, [\"v13\"]]".to_owned()),
        Just("{ head = 1, route = [{ name = 5 }] }".to_owned()),
    ];
    prop_oneof![
        8 => (proptest::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => proptest::sample::select(vec!["[timeouts]", "[limits]", "[[route]]", "[route]", "[[listener]]", "[forwarded]", "[[listener.certificates]]"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
        let _ = parse_size(&text);
        let _ = parse_duration(&text);
        let _ = Upstream::parse(&text);
        let _ = parse_network(&text);
        let _ = text.parse::<OriginRule>();
        let _ = text.parse::<FlashDomain>();
        let _ = text.parse::<Balance>();
        let _ = text.parse::<Rate>();
    }

    #[test]
    fn no_lines_panic_and_each_fault_is_a_line_of_the_file(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        match parse(&text) {
            Ok(config) => prop_assert!(!config.routes.is_empty() && !config.listeners.is_empty()),
            Err(faults) => {
                prop_assert!(!faults.as_slice().is_empty());
                prop_assert_eq!(faults.to_string().lines().count(), faults.as_slice().len());
                for fault in faults.as_slice() {
                    prop_assert!((1..=text.lines().count().max(1)).contains(&fault.line), "{}", fault);
                    prop_assert!(!fault.reason.is_empty() && !fault.remedy.is_empty(), "{}", fault);
                }
            }
        }
    }

    #[test]
    fn no_request_panics(
        host in any::<String>(),
        target in any::<String>(),
        path in "/[a-z/]{0,5}",
        base in "/[a-z/]{0,5}",
    ) {
        let route = route(&path, &format!("ws://b{base}"));
        let _ = route.matches(&host, &target);
        let _ = route.upstream_target(&target);
    }

    #[test]
    fn what_a_route_takes_stays_below_the_upstreams_path(
        target in "/[a-c./%]{0,8}(\\?[a-c/?]{0,4})?",
        path in "/[a-c]?/?",
        base in "/[a-c]{1,3}/?",
    ) {
        let route = route(&path.replace("//", "/"), &format!("ws://b{base}"));
        if route.matches("", &target) {
            let asked = route.upstream_target(&target);
            let base = base.trim_end_matches('/');
            let rest = asked.strip_prefix(base).expect("it begins with the upstream's path");
            prop_assert!(rest.is_empty() || rest.starts_with(['/', '?']), "{}", asked);
            prop_assert!(!rest.starts_with("//"), "{}", asked);
            let query = |target: &str| target.split_once('?').map(|(_, query)| query.to_owned());
            prop_assert_eq!(query(&asked), query(&target));
        }
    }
}
