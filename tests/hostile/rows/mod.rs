//! The rows, by family.

mod answers;
mod control;
mod early;
mod faults;
mod frames;
mod framing;
mod heads;
mod hixie;
mod injection;
mod keys;
mod lengths;
mod ordinary;
mod readers;
mod slow;
mod smuggling;
mod stages;
mod targets;
mod text;
mod versions;

use super::row::Row;

/// All of them.
pub fn all() -> Vec<Row> {
    let families = [
        ordinary::rows(),
        smuggling::rows(),
        heads::rows(),
        framing::rows(),
        targets::rows(),
        injection::rows(),
        answers::rows(),
        early::rows(),
        slow::rows(),
        keys::rows(),
        versions::rows(),
        frames::rows(),
        lengths::rows(),
        control::rows(),
        text::rows(),
        hixie::rows(),
        stages::rows(),
        faults::rows(),
        readers::rows(),
    ];
    families.into_iter().flatten().collect()
}
