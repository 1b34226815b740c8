//! The proxy over real sockets: what backends receive and what old clients hear, byte for byte.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/tls.rs"]
#[allow(dead_code)]
mod certificates;

mod access;
mod auth;
mod backends;
mod closing;
mod command;
mod events;
mod faults;
mod floods;
mod forwarded;
mod hall;
mod handshake;
mod limits;
mod matrix;
mod passthrough;
mod preambles;
mod refusals;
mod replay;
mod servers;
mod streaming;
mod tls;
mod tls_ends;
mod tls_flush;
mod upstream_tls;
