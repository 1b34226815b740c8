//! Frames of the hixie drafts that break a rule or never end (dialects.md 3.4, 4.6).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
