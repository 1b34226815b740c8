//! Frames that break a rule (dialects.md 6.4).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
