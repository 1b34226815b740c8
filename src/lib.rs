//! hybridge lets old WebSocket clients talk to modern backends, unchanged.
//!
//! ```text
//! client ──bytes──▶ sniff ──opening──▶ dialect ◀──events──▶ conversation ◀──events──▶ dialect ◀──bytes──▶ upstream
//! hixie-75, -76,                       a Codec               two codecs,              a Codec             RFC 6455
//! hybi-07, -10,                           ▲                  face to face                                 or SSE
//! RFC 6455  └────bytes, once it is open───┘
//! ```
//!
//! Modules in floor order: each uses only those above it. ARCHITECTURE.md has the map.

#![forbid(unsafe_code)]

pub mod event;
pub mod http;
pub mod utf8;

pub mod hello;
pub mod preamble;

pub mod arrival;
pub mod dialect;

pub mod config;
pub mod conversation;
pub mod sniff;

pub mod access;
pub mod handshake;

pub mod transcript;

pub mod explain;
pub mod recording;

pub mod proxy;
