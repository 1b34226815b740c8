//! The built program besieged: thousands who take their time, or all descriptors, beside ordinary clients who must not
//! notice. What is measured is printed (`cargo test --test siege -- --nocapture`).

#![cfg(target_os = "linux")]

#[path = "../soak/ears.rs"]
#[allow(dead_code)]
mod ears;
#[path = "../support/program.rs"]
#[allow(dead_code)]
mod program;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

mod attack;
mod backend;
mod citizens;
mod descriptors;
mod slow;
