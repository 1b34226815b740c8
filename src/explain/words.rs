//! Small help with words: values shown without their secrets, counts, times.

use std::time::Duration;

/// How many characters of a value are shown.
const LONGEST: usize = 72;

/// A value for people: printable, bounded, with the values of a query left out, for they often are credentials.
pub(super) fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let (before, query) = match text.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (&*text, None),
    };
    let mut shown = before.to_owned();
    if let Some(query) = query {
        shown.push('?');
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((name, value)) if !value.is_empty() => format!("{name}=…"),
            _ => part.to_owned(),
        });
        shown += &parts.collect::<Vec<_>>().join("&");
    }
    let shown: String =
        shown.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    match shown.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// Bytes in hexadecimal, as many as help.
pub(super) fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > 16 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// A time in seconds, or below one in milliseconds.
pub(super) fn time(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms % 1000 < 100 => format!("{} s", ms / 1000),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// A number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_keeps_no_secret_of_a_query() {
        assert_eq!(shown(b"ws://h/p?sid=abc&x&y="), "ws://h/p?sid=…&x&y=");
        assert_eq!(shown(b"a\x00\xffb"), "a\\u{0}\u{fffd}b");
        assert_eq!(shown(&[b'a'; 100]).chars().count(), LONGEST + 1);
    }
}
