//! The books: what both ends of each connection saw, side by side.

use std::collections::{BTreeMap, HashMap};

use crate::outcome::{Outcome, Tally};
use crate::plan::{End, Kind, Plan, Side};
use crate::support::{ALL, Dialect};

/// Faults that are told in full.
const TOLD: usize = 20;

/// What was seen of all connections.
#[derive(Default)]
pub struct Ledger {
    seed: u64,
    /// Of which one end has not yet reported.
    halves: [HashMap<u64, Outcome>; 2],
    pub faults: Vec<String>,
    pub faulty: u64,
    /// Connections of each kind, dialect and end.
    pub kinds: BTreeMap<String, u64>,
    pub connections: u64,
    /// What was said and heard by each side.
    pub said: [Tally; 2],
    pub heard: [Tally; 2],
}

impl Ledger {
    pub fn new(seed: u64) -> Ledger {
        Ledger { seed, ..Ledger::default() }
    }

    pub fn fault(&mut self, fault: String) {
        self.faulty += 1;
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }

    /// Connections of which one end has not yet told what became of it.
    pub fn open(&self) -> usize {
        self.halves[0].len() + self.halves[1].len()
    }

    /// What one end saw; compared as soon as the other's is there.
    pub fn enter(&mut self, side: Side, outcome: Outcome) {
        let plan = Plan::new(self.seed, outcome.id);
        if side == Side::Client {
            self.connections += 1;
            for kind in [format!("{:?}", plan.kind), plan.dialect.to_string(), ending(&plan)] {
                *self.kinds.entry(kind).or_default() += 1;
            }
            if plan.kind == Kind::Cut || outcome.fault.is_some() {
                // The backend may never have heard of it.
                return self.judge(&plan, side, &outcome);
            }
        } else if plan.kind == Kind::Cut {
            return self.judge(&plan, side, &outcome);
        }
        match self.halves[side.other() as usize].remove(&outcome.id) {
            None => drop(self.halves[side as usize].insert(outcome.id, outcome)),
            Some(other) => {
                let [client, backend] = if side == Side::Client { [outcome, other] } else { [other, outcome] };
                self.judge(&plan, Side::Client, &client);
                self.judge(&plan, Side::Backend, &backend);
                self.compare(&plan, &client, &backend);
            }
        }
    }

    /// Those of which one end never reported.
    pub fn close(&mut self) {
        for side in [Side::Client, Side::Backend] {
            let halves = std::mem::take(&mut self.halves[side as usize]);
            for (id, outcome) in halves {
                let plan = Plan::new(self.seed, id);
                self.fault(format!("{}: only the {side:?} knows of it, and saw {outcome:?}", told(&plan)));
            }
        }
    }

    fn judge(&mut self, plan: &Plan, side: Side, outcome: &Outcome) {
        self.said[side as usize].add(&outcome.sent);
        self.heard[side as usize].add(&outcome.heard);
        if let Some(fault) = &outcome.fault {
            self.fault(format!("{}: the {side:?} says: {fault}", told(plan)));
        }
        if let (Some(due), close) = (due_close(plan, side), outcome.close)
            && due != close
        {
            self.fault(format!("{}: the {side:?} heard the close {close:?}, not {due:?}", told(plan)));
        }
    }

    fn compare(&mut self, plan: &Plan, client: &Outcome, backend: &Outcome) {
        for (from, sent, heard) in
            [(Side::Client, &client.sent, &backend.heard), (Side::Backend, &backend.sent, &client.heard)]
        {
            let same = sent.texts == heard.texts && sent.binaries == heard.binaries && sent.bytes == heard.bytes;
            // Where some of it may be lost, the hearer has compared every byte with the plan, and that is all there is.
            if plan.must_arrive(from) && !same {
                self.fault(format!("{}: the {from:?} sent {sent}, and heard was {heard}", told(plan)));
            }
        }
    }
}

fn ending(plan: &Plan) -> String {
    let place = if plan.mid { ", in the midst of a message" } else { "" };
    match plan.kind {
        Kind::WebSocket => format!("{:?} by {:?}{place}", plan.end, plan.ender),
        Kind::Events => format!("{:?} of an event stream's client", plan.end),
        Kind::Cut => format!("{:?} in the opening handshake", plan.end),
    }
}

fn told(plan: &Plan) -> String {
    format!("connection {} ({:?}, {}, {})", plan.id, plan.kind, plan.dialect, ending(plan))
}

/// The close that `hearer` must hear, if that is certain; 0 is one without a code.
fn due_close(plan: &Plan, hearer: Side) -> Option<Option<u16>> {
    if plan.kind != Kind::WebSocket || hearer == plan.ender || plan.mid {
        return None;
    }
    match (plan.end, hearer) {
        (End::Close, Side::Backend) => Some(Some(match plan.dialect {
            // The end of the stream, for want of a closing handshake.
            Dialect::Hixie75 => 1001,
            Dialect::Hixie76 => 1000,
            _ => plan.code,
        })),
        (End::Close, Side::Client) => Some(match plan.dialect {
            Dialect::Hixie75 => None,
            Dialect::Hixie76 => Some(0),
            _ => Some(plan.code),
        }),
        (End::Fin, Side::Backend) => Some(Some(1001)),
        // A backend that only ends its stream has not closed.
        (End::Fin, Side::Client) => Some(None),
        (End::Reset, _) => None,
    }
}

/// How many kinds, dialects and endings there are to be counted.
pub fn all_kinds() -> usize {
    // Of WebSocket, either side closes, or ends in two ways in two places; of the two others, three ends each.
    3 + ALL.len() + 2 * (1 + 2 * 2) + 2 * 3
}
