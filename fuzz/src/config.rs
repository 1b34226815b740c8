//! Configurations: any text is a configuration or has faults, and nothing panics; every fault stands in a line of the file,
//! is told in one line, and says what is wrong and what to do; what is taken can be summed up, routed by and asked for
//! targets, and those are clean.

use hybridge::config::Config;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(text, "fuzz.toml") {
        Ok(config) => {
            assert!(!config.routes.is_empty() && !config.listeners.is_empty());
            assert!(!config.summary().is_empty());
            for route in &config.routes {
                let target = route.upstream_target(&format!("{}?x", route.path));
                let is_clean = |c: char| !c.is_control() && c != ' ' && c != '#';
                assert!(target.starts_with('/') && target.chars().all(is_clean), "{target:?}");
                let host = route.host.as_deref().unwrap_or("h");
                assert!(
                    !route.matches(host, &route.path) || config.routes.iter().any(|r| r.matches(host, &route.path))
                );
                let _found = config.route(host, &route.path);
            }
        }
        Err(faults) => {
            assert!(!faults.as_slice().is_empty());
            assert_eq!(faults.to_string().lines().count(), faults.as_slice().len(), "{faults}");
            assert!(faults.as_slice().is_sorted_by_key(|fault| fault.line));
            for fault in faults.as_slice() {
                assert!((1..=text.lines().count().max(1)).contains(&fault.line), "{fault}");
                assert!(!fault.reason.is_empty() && !fault.remedy.is_empty(), "{fault}");
            }
        }
    }
}
