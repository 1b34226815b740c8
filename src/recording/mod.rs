//! What passed between a client and a server, written down as a play: who said what, in which segments, and when.
//!
//! [`Scribe`] is told of segments, ends and losses as they are seen, by whatever sees them: `hybridge record` between two
//! sockets, or [`capture`] in a file of tcpdump. It takes secrets out of the heads and says what the client was taken for.
//! What it has written at any time is a valid play.

pub mod capture;
mod heads;
mod scribe;
mod secrets;
mod taken;

pub use self::scribe::{Manner, Scribe};
pub use self::taken::{Meeting, Moment, Taken};
