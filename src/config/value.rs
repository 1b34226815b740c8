//! From one value of a TOML file to what it means.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::events::SendFailure;
use super::fault::{Refusal, nearest, plain, quoted};
use super::units;
use crate::arrival::ForwardedHeader;
use crate::dialect::sse::{Form, Types};
use crate::dialect::{BinaryPolicy, Dialect};
use crate::preamble::Version;

/// Reads a string.
pub(super) fn text<T>(
    example: &str,
    read: impl Fn(&str) -> Result<T, Refusal>,
) -> impl Fn(&DeValue<'_>) -> Result<T, Refusal> {
    move |value| match value {
        DeValue::String(text) => read(text),
        DeValue::Array(_) | DeValue::Table(_) => {
            Err(not_a("a string", value, &format!("write one string, as in {example:?}")))
        }
        scalar => {
            let word = shown(scalar).unwrap_or_default();
            let remedy = match read(&word) {
                Ok(_) => format!("put it in quotes: {}", quoted(&word)),
                Err(refusal) => refusal.remedy,
            };
            Err(not_a("a string", value, &remedy))
        }
    }
}

/// Reads a size: an integer of bytes, or a string with a unit.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, Refusal> {
    match value {
        // Written out and read again, an integer meets the same refusals as a string.
        DeValue::Integer(number) => units::parse_size(&decimal(number)),
        DeValue::String(text) => units::parse_size(text),
        other => Err(not_a("a size", other, units::SIZE_FORM)),
    }
}

/// Reads a size of what is held in memory.
pub(super) fn buffer(range: RangeInclusive<usize>) -> impl Fn(&DeValue<'_>) -> Result<usize, Refusal> {
    move |value| {
        let bytes = usize::try_from(size(value)?).unwrap_or(usize::MAX);
        within(bytes, &range, |bytes| units::size(*bytes as u64))
    }
}

/// Reads a duration: a string with a unit.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Result<Duration, Refusal> {
    move |value| {
        let wait = match value {
            // It has no unit, and hears so.
            DeValue::Integer(number) => units::parse_duration(&decimal(number))?,
            DeValue::String(text) => units::parse_duration(text)?,
            other => return Err(not_a("a duration", other, "write a string with a unit, as in \"10s\"")),
        };
        within(wait, &range, |wait| units::duration(*wait))
    }
}

/// Reads an integer.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&DeValue<'_>) -> Result<usize, Refusal> {
    move |value| match value {
        DeValue::Integer(number) if number.as_str().starts_with('-') => within(0, &range, usize::to_string),
        DeValue::Integer(number) => {
            let number = usize::from_str_radix(number.as_str(), number.radix()).unwrap_or(usize::MAX);
            within(number, &range, usize::to_string)
        }
        other => {
            let remedy = format!("write an integer from {} to {}, without quotes", range.start(), range.end());
            Err(not_a("an integer", other, &remedy))
        }
    }
}

/// Reads true or false.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| not_a("true or false", value, "write true or false, without quotes"))
}

/// Reads what may have no limit. Either of "off" and "none" is taken for that; `usual` is the one to tell.
pub(super) fn or_off<T>(
    usual: &str,
    read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
) -> impl Fn(&DeValue<'_>) -> Result<Option<T>, Refusal> {
    move |value| match value.as_str() {
        Some(text) if units::is_off(text) => Ok(None),
        _ => read(value).map(Some).map_err(|refusal| refusal.or(&format!("{usual:?} for no limit"))),
    }
}

/// Reads what may be absent.
pub(super) fn or_none<T>(
    read: impl Fn(&DeValue<'_>) -> Result<T, Refusal>,
) -> impl Fn(&DeValue<'_>) -> Result<Option<T>, Refusal> {
    move |value| match value.as_str() {
        Some(text) if units::is_off(text) => Ok(None),
        _ => read(value).map(Some).map_err(|refusal| refusal.or("\"none\"")),
    }
}

/// Reads the name of a file.
pub(super) fn file(name: &str) -> Result<PathBuf, Refusal> {
    if name.is_empty() || name.contains('\0') {
        return Err(Refusal::new("it is not the name of a file", "write the path of a PEM file"));
    }
    Ok(name.into())
}

/// Reads a version of the PROXY protocol.
pub(super) fn proxy_version(word: &str) -> Result<Version, Refusal> {
    let known = [Version::V1, Version::V2].map(Version::name);
    word.parse().map_err(|_| {
        // A bare number is one letter away from both.
        let meant = known.into_iter().find(|name| name.trim_start_matches('v') == word).or(nearest(word, &known));
        Refusal::unknown("version", word, meant, &known)
    })
}

/// Reads the name of a header that tells backends how a client got here.
pub(super) fn forwarded_header(word: &str) -> Result<ForwardedHeader, Refusal> {
    let known = ForwardedHeader::ALL.map(ForwardedHeader::name);
    let same = ForwardedHeader::ALL.into_iter().find(|header| header.name().eq_ignore_ascii_case(word));
    same.ok_or_else(|| Refusal::unknown("header", word, nearest(word, &known), &known))
}

/// Reads an address of another program on this machine.
pub(super) fn terminator(text: &str) -> Result<SocketAddr, Refusal> {
    match listener(text)? {
        address if address.port() == 0 => {
            Err(Refusal::new("port 0 is no port to connect to", "write a port from 1 to 65535"))
        }
        address => Ok(address),
    }
}

const THREADS: RangeInclusive<usize> = 1..=1024;

/// Reads a number of threads; none for one on each core.
pub(super) fn threads(value: &DeValue<'_>) -> Result<Option<NonZeroUsize>, Refusal> {
    match value.as_str() {
        Some("auto") => Ok(None),
        _ => {
            count(THREADS)(value).map(NonZeroUsize::new).map_err(|refusal| refusal.or("\"auto\" for one on each core"))
        }
    }
}

/// Reads an address to listen on.
pub(super) fn listener(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = match port.parse::<u16>() {
            Ok(port) => port.to_string(),
            Err(_) => "8080".to_owned(),
        };
        let remedy = if text.contains("://") {
            format!("leave out the scheme, as in \"127.0.0.1:{port}\"")
        } else if host.is_empty() {
            format!("write \"0.0.0.0:{port}\" for every IPv4 address, \"[::]:{port}\" for IPv6")
        } else if host == "localhost" {
            format!("write \"127.0.0.1:{port}\" or \"[::1]:{port}\"")
        } else {
            format!("write an address of this machine and a port, as in \"127.0.0.1:{port}\" or \"[::1]:{port}\"")
        };
        Refusal::new("it is not an address with a port", remedy)
    })
}

/// Reads the name of a route.
pub(super) fn route_name(name: &str) -> Result<String, Refusal> {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if (1..=64).contains(&name.len()) && is_plain {
        return Ok(name.to_owned());
    }
    Err(Refusal::new(
        "a name is 1 to 64 letters, digits, hyphens, underscores and dots",
        "write a short name, as in \"chat\": logs and metrics show it",
    ))
}

/// Reads a dialect by one of its names.
pub(super) fn dialect(word: &str) -> Result<Dialect, Refusal> {
    // Dialects differ in their digits, so the nearest in letters would often be another one.
    let same = |dialect: &Dialect| {
        let facts = dialect.facts();
        [facts.name].iter().chain(facts.aliases).any(|name| plain(name) == plain(word))
    };
    word.parse().map_err(|_| {
        let meant = Dialect::ALL.into_iter().find(same).map(Dialect::name);
        Refusal::unknown("dialect", word, meant, &Dialect::ALL.map(Dialect::name))
    })
}

/// Reads what becomes of binary messages.
pub(super) fn binary(word: &str) -> Result<BinaryPolicy, Refusal> {
    use BinaryPolicy as P;
    let known = [P::Close, P::Base64, P::Latin1, P::Drop].map(P::name);
    word.parse().map_err(|()| Refusal::unknown("policy", word, nearest(word, &known), &known))
}

/// Reads what a message tells of its event.
pub(super) fn form(word: &str) -> Result<Form, Refusal> {
    let known = Form::ALL.map(Form::name);
    word.parse().map_err(|()| Refusal::unknown("form", word, nearest(word, &known), &known))
}

/// Reads the type of an event.
pub(super) fn event_type(name: &str) -> Result<String, Refusal> {
    // WHATWG HTML 9.2.6: a line of the stream holds it.
    if name.is_empty() || name.contains(['\r', '\n']) {
        let remedy = "write the event's type, as in \"update\"; \"message\" is that of events without one";
        return Err(Refusal::new("no event has this type", remedy));
    }
    Ok(name.to_owned())
}

/// Reads "all", for which there is no list.
pub(super) fn all_types(value: &DeValue<'_>) -> Option<Types> {
    (value.as_str() == Some("all")).then_some(Types::All)
}

/// Reads the name of a query parameter.
pub(super) fn parameter(name: &str) -> Result<String, Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if name.is_empty() || !name.bytes().all(fits) {
        let remedy = "write letters, digits, hyphens, underscores and dots, as in \"lastEventId\"";
        return Err(Refusal::new("it is not the name of a query parameter", remedy));
    }
    Ok(name.to_owned())
}

/// Reads a media type, with or without parameters.
pub(super) fn media_type(text: &str) -> Result<String, Refusal> {
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let is_token = |part: &str| crate::http::is_token(part.trim_end().as_bytes());
    let named = essence.split_once('/').is_some_and(|(kind, sort)| is_token(kind) && is_token(sort));
    if named && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("it is not a media type", "write one, as in \"application/json\""))
}

/// Reads what becomes of a message that the backend does not take.
pub(super) fn send_failure(word: &str) -> Result<SendFailure, Refusal> {
    let known = SendFailure::ALL.map(SendFailure::name);
    word.parse().map_err(|()| Refusal::unknown("policy", word, nearest(word, &known), &known))
}

/// An integer in decimal digits; what is too large even for that as it stands in the file.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix()).map_or(number.to_string(), |number| number.to_string())
}

fn within<T: PartialOrd>(value: T, range: &RangeInclusive<T>, show: impl Fn(&T) -> String) -> Result<T, Refusal> {
    let (least, most) = (show(range.start()), show(range.end()));
    let remedy = format!("write {least} to {most}");
    if value < *range.start() {
        return Err(Refusal::new(format!("it is less than {least}"), remedy));
    }
    if value > *range.end() {
        return Err(Refusal::new(format!("it is more than {most}"), remedy));
    }
    Ok(value)
}

/// Refuses a value of another type.
pub(super) fn not_a(wanted: &str, found: &DeValue<'_>, remedy: &str) -> Refusal {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Refusal::new(format!("{found} instead of {wanted}"), remedy)
}

/// A value as it stands in the file; none for those that may take many lines.
pub(super) fn shown(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(quoted(text)),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
