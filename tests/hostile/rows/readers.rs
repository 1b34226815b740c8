//! Ends that do not read (dialects.md 9.6, 11.8).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
