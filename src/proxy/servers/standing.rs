//! What is known of a server: how connects to it went, and how its health checks did. It reads no clock.

use std::time::Duration;

use tokio::time::Instant;

/// Checks in a row that must go well before a server that was down is up again.
pub const UP_AFTER: u32 = 2;
/// Checks in a row that must fail before a server is down: one lost packet is not yet an illness.
pub const DOWN_AFTER: u32 = 3;

/// One server's record. Nothing is known against a new one.
#[derive(Debug, Default)]
pub struct Standing {
    /// Connects in a row that failed.
    failures: u32,
    /// Left alone for them until then.
    ejected: Option<Instant>,
    /// Down, as its health checks say.
    down: bool,
    /// Checks in a row that said the opposite.
    against: u32,
}

impl Standing {
    /// Whether clients may come.
    pub fn is_well(&self, now: Instant) -> bool {
        !self.down && !self.is_ejected(now)
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.ejected.is_some_and(|until| now < until)
    }

    /// A connect has failed; true if the server is left alone from now on. One that comes back with no success to its
    /// name is ejected again by its first failure.
    pub fn failed(&mut self, now: Instant, after: u32, time: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        let ejects = self.failures >= after && !self.is_ejected(now);
        if ejects {
            self.ejected = Some(now + time);
        }
        ejects
    }

    /// A connect went well; true if that ends what was held against the server.
    pub fn reached(&mut self) -> bool {
        self.failures = 0;
        self.ejected.take().is_some()
    }

    /// A health check was made; true if it has turned the server up or down.
    pub fn checked(&mut self, good: bool) -> bool {
        if good != self.down {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let turns = self.against >= if good { UP_AFTER } else { DOWN_AFTER };
        if turns {
            (self.down, self.against) = (!good, 0);
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    #[test]
    fn failures_in_a_row_eject_for_a_while() {
        let now = Instant::now();
        let mut server = Standing::default();
        assert!(server.is_well(now));
        assert!(!server.failed(now, 3, TIME) && !server.failed(now, 3, TIME) && server.is_well(now));
        // A success in between begins the row anew.
        assert!(!server.reached());
        assert!(!server.failed(now, 3, TIME) && !server.failed(now, 3, TIME) && server.failed(now, 3, TIME));
        assert!(!server.is_well(now) && !server.is_well(now + TIME - Duration::from_millis(1)));
        // Tried all the same, because there was no other: no second ejection, and no longer one.
        assert!(!server.failed(now + TIME / 2, 3, TIME));
        assert!(server.is_well(now + TIME));
        // Back, and one failure is enough; one success also.
        assert!(server.failed(now + TIME, 3, TIME) && !server.is_well(now + TIME));
        assert!(server.reached() && server.is_well(now + TIME));
        assert!(!server.failed(now + TIME, 3, TIME) && server.is_well(now + TIME));
    }

    #[test]
    fn a_few_checks_in_a_row_turn_a_server() {
        let mut server = Standing::default();
        // Each check, and whether the server is well behind it.
        let rows = [
            (true, true),
            (false, true),
            (false, true),
            (true, true),
            (false, true),
            (false, true),
            (false, false),
            (false, false),
            (true, false),
            (false, false),
            (true, false),
            (true, true),
            (false, true),
        ];
        let mut before = true;
        for (at, (good, well)) in rows.into_iter().enumerate() {
            assert_eq!(server.checked(good), well != before, "check {at}");
            assert_eq!(server.is_well(Instant::now()), well, "check {at}");
            before = well;
        }
    }

    #[test]
    fn a_success_does_not_argue_with_the_checks() {
        let mut server = Standing::default();
        (0..DOWN_AFTER).for_each(|_| _ = server.checked(false));
        assert!(!server.reached() && !server.is_well(Instant::now()));
    }
}
