//! What ends a conversation, in words for the log.

use super::Side;
use crate::event::{ProtocolError, code};

/// What ended the conversation first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A side closed, with this code if it gave one.
    Closed(Side, Option<u16>),
    /// A side's stream ended without a close.
    Ended(Side),
    /// A side broke a rule.
    Broke(Side, ProtocolError),
    /// A side sent binary data, for which the other has no words.
    Binary(Side),
    /// A side sent a message, and the other only speaks.
    OneWay(Side),
    /// A stream that was to be resumed could not be.
    GaveUp(Lost),
    /// The proxy is shutting down.
    GoingAway,
    /// Neither side said anything for too long.
    Idle,
    /// A side took nothing for too long.
    Stalled(Side),
    /// A side did not answer a close in time.
    Unanswered(Side),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::Closed(side, Some(code)) => write!(f, "{side} closed with {code}"),
            Cause::Closed(side, None) => write!(f, "{side} closed"),
            Cause::Ended(side) => write!(f, "{side} ended its stream"),
            Cause::Broke(side, rule) => write!(f, "{side} {rule}"),
            Cause::Binary(side) => write!(f, "{side} sent binary data, which the other side's dialect cannot carry"),
            Cause::OneWay(side) => write!(f, "{side} sent a message, and the route has no send"),
            Cause::GaveUp(lost) => lost.fmt(f),
            Cause::GoingAway => f.write_str("hybridge is shutting down"),
            Cause::Idle => f.write_str("idle for timeouts.idle"),
            Cause::Stalled(side) => write!(f, "{side} took no bytes for timeouts.stall"),
            Cause::Unanswered(side) => write!(f, "{side} did not answer the close within timeouts.close"),
        }
    }
}

/// Why an upstream is given up that speaks an event stream, or hears messages one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It was away for too long.
    Away,
    /// It has nothing more to say.
    Done,
    /// It does not take up where it left off.
    Refused,
    /// It did not take a message.
    Unsent,
}

impl Lost {
    /// The close code that tells the client so.
    pub fn close_code(self) -> u16 {
        match self {
            Lost::Away => code::TRY_AGAIN,
            // Not to be asked again is what the upstream wants.
            Lost::Done => code::NORMAL,
            Lost::Refused | Lost::Unsent => code::INTERNAL_ERROR,
        }
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Lost::Away => "upstream stayed away for longer than reconnect allows",
            Lost::Done => "upstream has no more events",
            Lost::Refused => "upstream refused to resume its events",
            Lost::Unsent => "upstream did not take a message",
        })
    }
}
