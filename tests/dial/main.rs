//! `hybridge dial` as a stranger runs it, against servers that speak raw bytes.

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;
#[path = "../support/tls.rs"]
#[allow(dead_code)]
mod tls_support;

mod endings;
mod messages;
mod openings;
mod program;
mod tls;
