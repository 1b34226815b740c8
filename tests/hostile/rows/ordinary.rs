//! What every proxy must let through: without these rows one that refuses everything would be the safest.

use crate::judge::*;
use crate::row::*;
use crate::support::{ALL, CLOSE, HYBI, said, status};

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for dialect in ALL {
        let close = if HYBI.contains(&dialect) { say_masked(CLOSE, status(1000, "")) } else { say(b"\xff\0") };
        rows.push(
            row(format!("ordinary/a-message-and-a-close/{dialect}"), "9.3, 9.4: what a good client says passes")
                .opens(dialect)
                .client([Step::Say(said(dialect, "hello"))])
                .client((dialect != crate::support::Dialect::Hixie75).then_some(close))
                .safe([answered(101), gets_messages(&[b"hello"])])
                .safe((dialect != crate::support::Dialect::Hixie75).then(|| all([told(&[]), backend_told(&[1000])]))),
        );
    }
    rows
}
