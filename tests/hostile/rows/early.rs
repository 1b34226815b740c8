//! What is said before it may be said (dialects.md 11.2, 13.3).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
