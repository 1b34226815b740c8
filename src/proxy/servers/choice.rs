//! Which servers are tried for a client, and in which order. Nothing here waits, draws lots or keeps anything.

use std::cmp::Reverse;
use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use crate::config::Balance;

/// A server as it looks when one is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'s> {
    /// What tells it from the others, whatever its place in the list.
    pub identity: &'s str,
    /// How many connections it has from us.
    pub open: usize,
    /// Whether nothing is known against it.
    pub well: bool,
}

/// What decides.
#[derive(Clone, Copy, Debug)]
pub enum By<'k> {
    /// Whose turn it is.
    Turn(usize),
    /// The fewest connections, and among equals whose turn it is.
    Fewest(usize),
    /// What the client brings: the same key, the same server.
    Key(&'k [u8]),
}

/// The order in which the servers are tried, by their places in the list. Those that something is known against come
/// last, but they come: a client that might be served is better off than one that is refused.
pub fn choose(servers: &[Seen<'_>], by: By<'_>) -> Vec<usize> {
    let (mut order, mut rest): (Vec<usize>, Vec<usize>) = (0..servers.len()).partition(|&at| servers[at].well);
    for part in [&mut order, &mut rest] {
        arrange(part, servers, by);
    }
    order.append(&mut rest);
    order
}

fn arrange(part: &mut [usize], servers: &[Seen<'_>], by: By<'_>) {
    match by {
        // Turns are taken among those that are left, so that a server that is away does not double its neighbour's load.
        By::Turn(turn) | By::Fewest(turn) if !part.is_empty() => part.rotate_left(turn % part.len()),
        By::Turn(_) | By::Fewest(_) => {}
        By::Key(key) => part.sort_by_cached_key(|&at| Reverse(weight(servers[at].identity, key))),
    }
    if let By::Fewest(_) = by {
        // The sort keeps the order of equals.
        part.sort_by_key(|&at| servers[at].open);
    }
}

/// How much a key is drawn to a server (rendezvous hashing): each key ranks all servers, so that one which goes moves
/// its own keys alone. SHA-1 for being the same in every thread, process and version, not as a secret.
fn weight(identity: &str, key: &[u8]) -> u64 {
    let digest = Sha1::new().chain_update(identity).chain_update([0xFF]).chain_update(key).finalize();
    digest.iter().take(8).fold(0, |weight, byte| weight << 8 | u64::from(*byte))
}

/// What a client brings that decides which server it gets; empty where its turn does. `cookies` are the values of its
/// `Cookie` lines.
pub fn key<'c>(
    balance: &Balance,
    client: IpAddr,
    target: &str,
    mut cookies: impl Iterator<Item = &'c [u8]>,
) -> Vec<u8> {
    match balance {
        Balance::RoundRobin | Balance::LeastConnections => Vec::new(),
        Balance::Client => address(client),
        Balance::Path => target.as_bytes().to_vec(),
        Balance::Cookie(name) => {
            cookies.find_map(|line| cookie(line, name)).map_or_else(|| address(client), <[u8]>::to_vec)
        }
    }
}

fn address(client: IpAddr) -> Vec<u8> {
    match client.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The value of the cookie in a line of them. One without a value tells nobody from anybody.
fn cookie<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    line.split(|byte| *byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        (!value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];

    /// Servers with so many connections; below zero: something is known against it.
    fn seen(open: &[isize]) -> Vec<Seen<'static>> {
        let server =
            |(at, open): (usize, &isize)| Seen { identity: NAMES[at], open: open.unsigned_abs(), well: *open >= 0 };
        open.iter().enumerate().map(server).collect()
    }

    fn keys() -> impl Iterator<Item = Vec<u8>> {
        (0..4000u32).map(|number| number.to_be_bytes().to_vec())
    }

    #[test]
    fn turns_go_round_among_those_that_are_well() {
        let three = seen(&[0, 0, 0]);
        let order = |servers: &[Seen<'_>], turn| choose(servers, By::Turn(turn));
        assert_eq!([0, 1, 2, 3].map(|turn| order(&three, turn)[0]), [0, 1, 2, 0]);
        assert_eq!(order(&three, 1), [1, 2, 0]);
        let one_away = seen(&[0, -1, 0, 0]);
        assert_eq!([0, 1, 2, 3].map(|turn| order(&one_away, turn)[0]), [0, 2, 3, 0]);
        assert_eq!(order(&one_away, 1), [2, 3, 0, 1]);
        assert_eq!(order(&seen(&[-1, -1, -1]), 4), [1, 2, 0]);
        assert_eq!(order(&seen(&[]), 4), [0; 0]);
    }

    #[test]
    fn the_fewest_connections_win_and_equals_take_turns() {
        for (open, turn, expected) in [
            (&[3, 1, 2][..], 0, &[1, 2, 0][..]),
            (&[3, 1, 2], 1, &[1, 2, 0]),
            (&[1, 1, 0], 0, &[2, 0, 1]),
            (&[1, 1, 1], 1, &[1, 2, 0]),
            (&[1, 1, 1], 2, &[2, 0, 1]),
            // Those that are away stand behind the busiest.
            (&[5, -1, 7], 0, &[0, 2, 1]),
            (&[-5, -1, -7], 0, &[1, 0, 2]),
        ] {
            assert_eq!(choose(&seen(open), By::Fewest(turn)), expected, "{open:?} {turn}");
        }
    }

    #[test]
    fn a_key_has_its_server_wherever_that_stands_in_the_list() {
        let mut servers = seen(&[0, 0, 0, 0]);
        let before: Vec<&str> = keys().map(|key| servers[choose(&servers, By::Key(&key))[0]].identity).collect();
        servers.rotate_left(1);
        servers.swap(0, 1);
        let after: Vec<&str> = keys().map(|key| servers[choose(&servers, By::Key(&key))[0]].identity).collect();
        assert_eq!(before, after);
        // Neither threads nor restarts nor versions may change it: clients would lose their sessions.
        assert_eq!(weight("10.0.0.5:9000", &[192, 0, 2, 1]), 0x1a87_0d2c_c8d1_ca0d);
        for name in NAMES {
            let share = before.iter().filter(|own| **own == name).count();
            assert!((900..1100).contains(&share), "{name} has {share} of 4000");
        }
    }

    #[test]
    fn a_server_that_goes_moves_its_own_keys_alone() {
        let (all, lost) = (seen(&[0, 0, 0, 0]), seen(&[0, 0, -1, 0]));
        let mut heirs = [0; 4];
        for key in keys() {
            let (before, after) = (choose(&all, By::Key(&key)), choose(&lost, By::Key(&key)));
            if before[0] == 2 {
                assert_eq!(after[0], before[1]);
                heirs[after[0]] += 1;
            } else {
                assert_eq!(after[0], before[0]);
            }
            assert_eq!(after[3], 2);
        }
        // They are spread, too: no neighbour gets them all.
        assert!(heirs[2] == 0 && [0, 1, 3].iter().all(|&at| heirs[at] > 250), "{heirs:?}");
    }

    #[test]
    fn a_client_brings_its_key() {
        let cookie = Balance::Cookie("id".into());
        let v4 = IpAddr::from([192, 0, 2, 1]);
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        for (balance, client, cookies, expected) in [
            (&Balance::RoundRobin, v4, &[][..], &b""[..]),
            (&Balance::LeastConnections, v4, &[], b""),
            (&Balance::Client, v4, &[], &[192, 0, 2, 1]),
            (&Balance::Client, mapped, &[], &[192, 0, 2, 1]),
            (&Balance::Path, v4, &[], b"/a?b"),
            (&cookie, v4, &["id=7"], b"7"),
            (&cookie, v4, &["a=1; id=7;b=2"], b"7"),
            (&cookie, v4, &["a=1", "b=id=3; id = 7 "], b"7"),
            (&cookie, v4, &["id=a=b"], b"a=b"),
            (&cookie, v4, &["ID=7; xid=8; idx=9; id=; id"], &[192, 0, 2, 1]),
            (&cookie, v4, &[], &[192, 0, 2, 1]),
        ] {
            let lines = cookies.iter().map(|line: &&str| line.as_bytes());
            assert_eq!(key(balance, client, "/a?b", lines), expected, "{balance} {cookies:?}");
        }
    }
}
