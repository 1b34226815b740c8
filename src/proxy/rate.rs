//! How often one address may ask for an opening handshake.
//!
//! A bucket for each address holds `count` tokens and gets one back every `per / count`; a handshake takes one, and finds
//! none is refused. Only handshakes that go on to somebody count, to an auth server or a backend: one that is refused
//! here costs nobody anything, and a device that tries again and again is served as soon as a token is back, not only
//! once it has been silent.
//!
//! Addresses are forgotten when their bucket is full again, for then they are like any other. There are never more than
//! [`MOST`]; when all of those are in use, the one forgotten for a newcomer is the one that would have been full the
//! soonest. So a flood of addresses, each of which has taken little, pushes out its own kind: to have an address forgotten
//! that has taken all it may, a flood must take as much from every bucket there is.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Limits, Rate};
use crate::http::Refusal;

/// How many addresses are remembered at most; about 8 MiB.
const MOST: usize = 1 << 16;
/// How many forgettable addresses are forgotten for each that is asked about: more than one, so that they get fewer.
const FORGET: usize = 2;
/// How often a refusal is worth a line in the log, whatever the address: they come in floods.
const TELL: Duration = Duration::from_secs(1);

/// The opening handshakes of all clients. Clones share it.
#[derive(Clone, Debug)]
pub struct Handshakes(Option<Arc<Mutex<Table>>>);

/// An address has asked for too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// In how long it may ask again.
    pub wait: Duration,
    /// Whether this is worth a line in the log, and how many before it were not.
    pub untold: Option<u64>,
}

impl Handshakes {
    /// As many as the limits allow.
    pub fn new(limits: &Limits) -> Handshakes {
        Handshakes(limits.handshakes_per_address.map(|rate| Arc::new(Mutex::new(Table::new(rate, MOST)))))
    }

    /// Counts a handshake of `address`.
    ///
    /// # Errors
    /// It has asked for too many.
    pub fn count(&self, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        let Some(table) = &self.0 else { return Ok(()) };
        // Nothing that holds the lock can leave the table half changed.
        table.lock().unwrap_or_else(PoisonError::into_inner).count(address, now)
    }
}

impl TooMany {
    /// What the client is told.
    pub fn refusal(self) -> Refusal {
        let seconds = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        let refusal = Refusal::new(429, "more opening handshakes than limits.handshakes_per_address allows")
            .with("Retry-After", &seconds.to_string());
        match self.untold {
            Some(1..) => refusal.noting(format!("and {} others since the last such line", self.untold.unwrap_or(0))),
            _ => refusal,
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, for a client chooses the others as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    V4(u32),
    V6(u64),
}

impl Key {
    fn of(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key::V4(address.to_bits()),
            IpAddr::V6(address) => Key::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[derive(Debug)]
struct Table {
    /// A full bucket lasts so long.
    per: Duration,
    /// What one token costs of it.
    each: Duration,
    most: usize,
    /// When each bucket will be full again: all that there is to know of it.
    full_at: HashMap<Key, Instant>,
    /// The same, the soonest first.
    soonest: BTreeSet<(Instant, Key)>,
    told: Option<Instant>,
    untold: u64,
}

impl Table {
    fn new(rate: Rate, most: usize) -> Table {
        // At least a nanosecond, or a rate too high to measure would fill no bucket and keep no order.
        let each = (rate.per / rate.count.max(1)).max(Duration::from_nanos(1));
        Table { per: rate.per, each, most, full_at: HashMap::new(), soonest: BTreeSet::new(), told: None, untold: 0 }
    }

    fn count(&mut self, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        let key = Key::of(address);
        self.forget(now);
        let known = self.full_at.get(&key).copied();
        let full_at = known.map_or(now, |at| at.max(now)) + self.each;
        // The bucket would have to be fuller than full by then.
        let wait = full_at.saturating_duration_since(now + self.per);
        if wait > Duration::ZERO {
            return Err(TooMany { wait, untold: self.tell(now) });
        }
        match known {
            Some(before) => _ = self.soonest.remove(&(before, key)),
            None if self.full_at.len() >= self.most => {
                if let Some((_, other)) = self.soonest.pop_first() {
                    self.full_at.remove(&other);
                }
            }
            None => {}
        }
        self.full_at.insert(key, full_at);
        self.soonest.insert((full_at, key));
        Ok(())
    }

    /// Forgets some of those that are full again.
    fn forget(&mut self, now: Instant) {
        for _ in 0..FORGET {
            match self.soonest.first() {
                Some((at, key)) if *at <= now => {
                    self.full_at.remove(key);
                    self.soonest.pop_first();
                }
                _ => return,
            }
        }
    }

    fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(count: u32, per: u64, most: usize) -> (Table, Instant) {
        (Table::new(Rate { count, per: Duration::from_secs(per) }, most), Instant::now())
    }

    fn seconds(number: f64) -> Duration {
        Duration::from_secs_f64(number)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How long the address would have to wait.
    fn wait(table: &mut Table, address: &str, now: Instant) -> Option<Duration> {
        table.count(ip(address), now).err().map(|too_many| too_many.wait)
    }

    #[test]
    fn a_bucket_is_drained_and_fills_again_one_token_at_a_time() {
        let (mut table, start) = table(3, 6, 10);
        for _ in 0..3 {
            assert_eq!(wait(&mut table, "192.0.2.1", start), None);
        }
        assert_eq!(wait(&mut table, "192.0.2.1", start), Some(seconds(2.0)));
        assert_eq!(wait(&mut table, "192.0.2.1", start + seconds(1.5)), Some(seconds(0.5)));
        assert_eq!(wait(&mut table, "192.0.2.1", start + seconds(2.0)), None);
        assert_eq!(wait(&mut table, "192.0.2.1", start + seconds(2.0)), Some(seconds(2.0)));
        // After a long silence it is full, and no fuller.
        for _ in 0..3 {
            assert_eq!(wait(&mut table, "192.0.2.1", start + seconds(100.0)), None);
        }
        assert_eq!(wait(&mut table, "192.0.2.1", start + seconds(100.0)), Some(seconds(2.0)));
    }

    #[test]
    fn who_tries_again_and_again_is_served_as_often_as_who_waits() {
        let (mut table, start) = table(3, 6, 10);
        let served = (0..6000).filter(|tick| {
            let now = start + Duration::from_millis(*tick) * 10;
            wait(&mut table, "192.0.2.1", now).is_none()
        });
        // Three at once, and one every two seconds of the minute after that.
        assert_eq!(served.count(), 3 + 29);
    }

    #[test]
    fn each_address_has_a_bucket_and_of_ipv6_each_network() {
        let (mut table, now) = table(1, 60, 10);
        for (address, admitted) in [
            ("192.0.2.1", true),
            ("192.0.2.2", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:1:ffff::2", false),
            ("2001:db8:0:2::1", true),
            // The bits of an address of IPv4 are no network's.
            ("0:0:c000:202::", true),
        ] {
            assert_eq!(wait(&mut table, address, now).is_none(), admitted, "{address}");
        }
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let (mut table, start) = table(2, 2, 100);
        for number in 0..10_000u32 {
            let now = start + Duration::from_micros(number.into());
            assert_eq!(table.count(IpAddr::V4(number.into()), now), Ok(()));
            assert!(table.full_at.len() <= 100);
            assert_eq!(table.full_at.len(), table.soonest.len());
        }
        // What is full again is forgotten sooner than new addresses come.
        for number in 0..100u32 {
            table.count(ip("192.0.2.1"), start + seconds(10.0 + f64::from(number))).expect("it is served");
        }
        assert_eq!(table.full_at.len(), 1);
    }

    #[test]
    fn a_flood_of_addresses_does_not_have_a_punished_one_forgotten() {
        let (mut table, start) = table(10, 60, 100);
        for _ in 0..10 {
            assert_eq!(wait(&mut table, "192.0.2.1", start), None);
        }
        for number in 0..10_000u32 {
            // Up to half of what they may take.
            let address = IpAddr::V4((number / 5).into());
            assert_eq!(table.count(address, start + Duration::from_micros(number.into())), Ok(()));
        }
        assert!(wait(&mut table, "192.0.2.1", start + seconds(1.0)).is_some());
    }

    #[test]
    fn rates_beyond_measure_are_no_limit_and_no_panic() {
        let (mut table, now) = table(u32::MAX, 1, 10);
        for _ in 0..1000 {
            assert_eq!(wait(&mut table, "192.0.2.1", now), None);
        }
        let mut slow = Table::new(Rate { count: 1, per: Duration::from_secs(86_400 * 365) }, 10);
        assert_eq!(wait(&mut slow, "192.0.2.1", now), None);
        assert_eq!(wait(&mut slow, "192.0.2.1", now), Some(seconds(86_400.0 * 365.0)));
    }

    #[test]
    fn a_second_has_one_line_in_the_log_that_counts_the_others() {
        let (mut table, start) = table(1, 60, 10);
        let mut untold = |at: f64| {
            let counted = table.count(ip("192.0.2.1"), start + seconds(at));
            counted.err().map(|too_many| too_many.untold)
        };
        assert_eq!(untold(0.0), None);
        assert_eq!(untold(0.1), Some(Some(0)));
        assert_eq!(untold(0.2), Some(None));
        assert_eq!(untold(1.0), Some(None));
        assert_eq!(untold(1.1), Some(Some(2)));
        assert_eq!(untold(1.2), Some(None));
    }

    #[test]
    fn the_client_is_told_whole_seconds_that_suffice() {
        for (wait, expected) in [(0.001, "1"), (1.0, "1"), (1.001, "2"), (59.5, "60")] {
            let refusal = TooMany { wait: seconds(wait), untold: Some(0) }.refusal();
            assert_eq!((refusal.status, &*refusal.fields), (429, &*format!("Retry-After: {expected}\r\n")));
            assert_eq!(refusal.note, None);
        }
        let refusal = TooMany { wait: seconds(1.0), untold: Some(7) }.refusal();
        assert!(refusal.logged().ends_with(": and 7 others since the last such line"), "{}", refusal.logged());
    }
}
