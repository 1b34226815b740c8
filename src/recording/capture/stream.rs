//! One connection, from the pieces of its two streams, in whatever order they were captured.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::packet::Piece;
use crate::conversation::Side;
use crate::recording::{Manner, Meeting, Moment, Scribe};
use crate::transcript::Ending;

/// Bytes of a connection that are kept beyond those that are recorded, for what comes out of order.
const SLACK: u64 = 1 << 20;

/// What happened to one side's stream, and when.
#[derive(Debug)]
enum Event {
    Segment(Vec<u8>),
    Lost(u64),
    Ended(Ending),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub began: Moment,
    /// When it was over, as far as was seen.
    pub over: Option<Moment>,
    client: SocketAddr,
    server: SocketAddr,
    /// It was not seen from its beginning.
    inside: bool,
    /// The sequence number of the SYN that opened it.
    opened: Option<u32>,
    from_client: Half,
    from_server: Half,
    events: Vec<(Moment, Side, Event)>,
    kept: u64,
    most: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// The sequence number of the byte that comes next, once it is known.
    next: Option<u32>,
    /// How many bytes came before it.
    at: u64,
    /// What came too early, by its place.
    early: BTreeMap<u64, (Moment, Vec<u8>)>,
    /// Where pieces were not captured whole, and when.
    cut: BTreeMap<u64, Moment>,
    /// The end of the farthest byte that is known to have been sent.
    farthest: u64,
    /// Where the stream ends.
    fin: Option<(Moment, u64)>,
    ended: bool,
    /// The time of the last piece.
    last: Moment,
}

impl Connection {
    /// A connection whose first piece to be seen is this. Where it does not show who called whom, the server is the one
    /// with this port, else with the lower.
    pub fn new(at: Moment, first: &Piece<'_>, port: Option<u16>, manner: Manner) -> Connection {
        let is_server = |address: SocketAddr, other: SocketAddr| match port {
            Some(port) if (address.port() == port) != (other.port() == port) => address.port() == port,
            _ => address.port() < other.port(),
        };
        let by_client = if first.syn { first.ack.is_none() } else { !is_server(first.from, first.to) };
        let (client, server) = if by_client { (first.from, first.to) } else { (first.to, first.from) };
        Connection {
            began: at,
            over: None,
            client,
            server,
            inside: !first.syn,
            opened: (first.syn && first.ack.is_none()).then_some(first.seq),
            from_client: Half::default(),
            from_server: Half::default(),
            events: Vec::new(),
            kept: 0,
            most: manner.max_bytes.saturating_add(SLACK),
        }
    }

    /// Whether this piece opens another connection between the same two addresses.
    pub fn is_followed_by(&self, piece: &Piece<'_>) -> bool {
        piece.syn && piece.ack.is_none() && self.opened != Some(piece.seq)
    }

    /// Takes a piece.
    pub fn take(&mut self, at: Moment, piece: &Piece<'_>) {
        if self.over.is_some() {
            return;
        }
        let side = if piece.from == self.client { Side::Downstream } else { Side::Upstream };
        let (half, other) = match side {
            Side::Downstream => (&mut self.from_client, &mut self.from_server),
            Side::Upstream => (&mut self.from_server, &mut self.from_client),
        };
        if let (None, Some(ack)) = (other.next, piece.ack) {
            other.next = Some(ack);
        }
        half.last = at;
        let seq = piece.seq.wrapping_add(u32::from(piece.syn));
        let next = *half.next.get_or_insert(seq);
        // The distance is signed: numbers wrap around, and old bytes come again.
        let place = half.at as i64 + i64::from(seq.wrapping_sub(next) as i32);
        if piece.rst {
            self.over = Some(at);
            self.events.push((at, side, Event::Ended(Ending::Reset)));
            return;
        }
        let end = place + piece.length as i64;
        half.farthest = half.farthest.max(end.max(0) as u64);
        if piece.bytes.len() < piece.length {
            half.cut.insert((place + piece.bytes.len() as i64).max(0) as u64, at);
        }
        if self.kept < self.most {
            self.kept += half.put(at, place, piece.bytes, side, &mut self.events);
        }
        if piece.fin && half.fin.is_none() && end >= 0 {
            half.fin = Some((at, end as u64));
        }
        half.end_if_reached(at, side, &mut self.events);
        if self.from_client.ended && self.from_server.ended {
            self.over = Some(at);
        }
    }

    /// Whether any byte of it was seen.
    pub fn is_empty(&self) -> bool {
        self.events.iter().all(|(_, _, event)| matches!(event, Event::Ended(_)))
            && self.from_client.early.is_empty()
            && self.from_server.early.is_empty()
    }

    /// Puts both sides' events together by their times. What a side said stays in its order, though a part of it was
    /// captured before what it follows, or a clock was set back.
    fn keep_order(&mut self) {
        let mut latest = [self.began; 2];
        for (at, side, event) in &mut self.events {
            let latest = &mut latest[usize::from(*side == Side::Upstream)];
            if !matches!(event, Event::Ended(Ending::Reset)) {
                *latest = (*latest).max(*at);
                *at = *latest;
            }
        }
        let resets = |event: &Event| matches!(event, Event::Ended(Ending::Reset));
        self.events.sort_by_key(|(at, _, event)| (*at, resets(event)));
    }

    /// Its recording.
    pub fn record(mut self, manner: Manner) -> Scribe {
        self.from_client.flush(Side::Downstream, &mut self.events);
        self.from_server.flush(Side::Upstream, &mut self.events);
        self.keep_order();
        let meeting = Meeting { began: self.began, client: self.client, server: self.server.to_string() };
        let mut scribe = Scribe::new(meeting, manner, self.inside);
        if self.inside {
            scribe.note(self.began, "the capture begins inside this connection");
        }
        for (at, side, event) in self.events {
            match event {
                Event::Segment(bytes) => scribe.segment(at, side, &bytes),
                Event::Lost(bytes) => scribe.lost(at, side, bytes, "the capture does not have them"),
                Event::Ended(ending) => scribe.ended(at, side, ending),
            }
        }
        scribe.finish();
        scribe
    }
}

impl Half {
    /// Puts bytes in their place, and returns how many of them are new.
    fn put(
        &mut self,
        at: Moment,
        place: i64,
        bytes: &[u8],
        side: Side,
        events: &mut Vec<(Moment, Side, Event)>,
    ) -> u64 {
        // What was there before stays: a retransmission, or the probe of a connection that is only kept alive.
        let old = usize::try_from(self.at as i64 - place).unwrap_or(0);
        let Some(bytes) = bytes.get(old..).filter(|bytes| !bytes.is_empty()) else { return 0 };
        let place = place.max(self.at as i64) as u64;
        if place > self.at {
            let known = self.early.get(&place).map_or(0, |(_, known)| known.len());
            if bytes.len() > known {
                self.early.insert(place, (at, bytes.to_vec()));
            }
            return bytes.len().saturating_sub(known) as u64;
        }
        self.pass(at, bytes.to_vec(), side, events);
        while let Some(entry) = self.early.first_entry().filter(|entry| *entry.key() <= self.at) {
            let (place, (_, mut bytes)) = entry.remove_entry();
            let old = usize::try_from(self.at - place).unwrap_or(usize::MAX);
            if old < bytes.len() {
                self.pass(at, bytes.split_off(old), side, events);
            }
        }
        bytes.len() as u64
    }

    fn pass(&mut self, at: Moment, bytes: Vec<u8>, side: Side, events: &mut Vec<(Moment, Side, Event)>) {
        self.advance(bytes.len() as u64);
        events.push((at, side, Event::Segment(bytes)));
    }

    fn advance(&mut self, bytes: u64) {
        self.at += bytes;
        self.next = self.next.map(|next| next.wrapping_add(bytes as u32));
    }

    fn end_if_reached(&mut self, at: Moment, side: Side, events: &mut Vec<(Moment, Side, Event)>) {
        if !self.ended && self.fin.is_some_and(|(_, end)| end <= self.at) {
            self.ended = true;
            events.push((at, side, Event::Ended(Ending::Fin)));
        }
    }

    /// Nothing more is coming: what is missing stays so, and what came after it is heard all the same.
    fn flush(&mut self, side: Side, events: &mut Vec<(Moment, Side, Event)>) {
        for (place, (at, mut bytes)) in std::mem::take(&mut self.early) {
            if place > self.at {
                self.miss(place, at, side, events);
            }
            let old = usize::try_from(self.at - place).unwrap_or(usize::MAX);
            if old < bytes.len() {
                self.pass(at, bytes.split_off(old), side, events);
            }
        }
        if self.farthest > self.at {
            let at = self.fin.map_or(self.last, |(at, _)| at);
            self.miss(self.farthest, at, side, events);
        }
        if let Some((at, _)) = self.fin {
            self.end_if_reached(at, side, events);
        }
    }

    /// What comes before this place is not in the capture; that was seen at `at`, or where a piece was cut.
    fn miss(&mut self, place: u64, at: Moment, side: Side, events: &mut Vec<(Moment, Side, Event)>) {
        let at = self.cut.get(&self.at).copied().unwrap_or(at);
        let missing = place - self.at;
        events.push((at, side, Event::Lost(missing)));
        self.advance(missing);
    }
}
