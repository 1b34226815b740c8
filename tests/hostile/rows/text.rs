//! Text that is not UTF-8 (dialects.md 9.7).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
