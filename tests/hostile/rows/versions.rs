//! Versions, drafts and what else decides about the dialect (dialects.md 13.2).

use crate::row::*;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
