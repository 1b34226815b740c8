//! Closes, pings and pongs that break a rule (dialects.md 6.4, 6.5).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
