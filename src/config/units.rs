//! Sizes and durations as people write them: `16KiB`, `10s`.

use std::time::Duration;

use super::fault::{Refusal, quoted};

/// The longest duration that can be written. Nothing waits for a year; "off" is there for what never ends.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What to write for a size.
pub(super) const SIZE_FORM: &str = "write bytes, or a whole number with KiB, MiB or GiB, as in \"16KiB\"";

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a size in bytes: a whole number alone, or with the unit `B`, `KiB`, `MiB` or `GiB`.
///
/// Zero is refused, for no size here means anything when it is zero.
///
/// # Errors
///
/// When the text is no size; the refusal says what to write.
pub fn parse_size(text: &str) -> Result<u64, Refusal> {
    let (number, unit) = number_and_unit(text);
    if number.is_empty() {
        return Err(Refusal::new(format!("{} is not a size", quoted(text)), SIZE_FORM));
    }
    let unit = if unit.is_empty() { "B" } else { unit };
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(Refusal::new(format!("unknown unit of size {}", quoted(unit)), SIZE_FORM));
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*bytes)) {
        Some(0) => Err(Refusal::new("the size must not be zero", SIZE_FORM)),
        Some(size) => Ok(size),
        None => Err(Refusal::new("the size is too large to count", SIZE_FORM)),
    }
}

/// Reads a duration: a whole number with the unit `ms`, `s`, `m` or `h`, from `1ms` to `8760h`, which is a year.
///
/// Zero is refused, for a wait of no time would give up before it began.
///
/// # Errors
///
/// When the text is no duration; the refusal says what to write.
pub fn parse_duration(text: &str) -> Result<Duration, Refusal> {
    const REMEDY: &str = "write a whole number with one unit, ms, s, m or h, as in \"10s\"";
    if is_off(text) {
        return Err(Refusal::new("this wait cannot be turned off", "write a duration, as in \"10s\""));
    }
    let (number, unit) = number_and_unit(text);
    if number.is_empty() {
        return Err(Refusal::new(format!("{} is not a duration", quoted(text)), REMEDY));
    }
    if number.bytes().all(|digit| digit == b'0') {
        return Err(Refusal::new("the duration must not be zero", REMEDY));
    }
    if unit.is_empty() {
        return Err(Refusal::new("the duration has no unit", format!("write \"{number}s\" for seconds")));
    }
    let Some((_, milliseconds)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
        return Err(Refusal::new(format!("unknown unit of time {}", quoted(unit)), REMEDY));
    };
    let duration = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*milliseconds));
    match duration.map(Duration::from_millis) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(Refusal::new("the duration is longer than a year", "write at most \"8760h\"")),
    }
}

/// Whether the text is one of the two words for "no limit".
pub(super) fn is_off(text: &str) -> bool {
    matches!(text, "off" | "none")
}

/// The size in the largest unit that divides it, as [`parse_size`] reads it.
pub(super) fn size(bytes: u64) -> String {
    with_unit(bytes, &SIZES)
}

/// The duration in the largest unit that divides it, as [`parse_duration`] reads it; what is below 1 ms is cut off.
pub(super) fn duration(duration: Duration) -> String {
    with_unit(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

fn with_unit(number: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, per)| number != 0 && number.is_multiple_of(*per));
    unit.or(units.last()).map_or(String::new(), |(name, per)| format!("{}{name}", number / per))
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [1, 1023, 1024, 1536, 16 << 10, 1 << 20, 3 << 30, u64::MAX] {
            assert_eq!(parse_size(&size(bytes)), Ok(bytes));
        }
        for milliseconds in [1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000, 31_536_000_000] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(&duration(expected)), Ok(expected));
        }
    }
}
