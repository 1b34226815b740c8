//! No descriptors left.

use std::time::{Duration, Instant};

use crate::attack::Siege;
use crate::program::Limits;
use crate::support::{Dialect, Wire, answer, eventually, heard, ms, opening, said};

const FILES: u64 = 64;
/// How long the program is watched while it has none.
const WATCHED: Duration = Duration::from_secs(4);
/// How many clients come in all. Those who find no room wait in the kernel.
const CLIENTS: usize = 80;
/// How long a client waits for an answer before it counts as waiting.
const ANSWER: Duration = Duration::from_millis(300);

fn echoes(client: &mut Wire) {
    client.say(said(Dialect::Rfc6455, "still there?"));
    client.hears(heard(Dialect::Rfc6455, "still there?"));
}

#[test]
fn without_descriptors_it_waits_quietly_serves_on_and_recovers() {
    let mut siege = Siege::under("head = \"60s\"", Limits { files: FILES, address_space: 1 << 20 });
    let expected = answer(Dialect::Rfc6455, "/echo", &[]);
    let (mut open, mut waiting, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..CLIENTS {
        let mut client = Wire::connect(siege.program.address);
        client.say(opening(Dialect::Rfc6455, "/echo", &[]));
        let patience = if waiting.is_empty() { ANSWER } else { ms(10) };
        match client.said_so_far(patience) {
            said if said == expected => open.push(client),
            said if said.is_empty() => waiting.push(client),
            said => {
                assert!(said.starts_with(b"HTTP/1.1 50"), "{}", said.escape_ascii());
                refused += 1;
            }
        }
    }
    println!("{} are open, {refused} were refused, {} wait", open.len(), waiting.len());
    assert!(open.len() > 10 && waiting.len() > 10, "that is no want of descriptors");

    let (said, used, begun) = (siege.program.log().cannot_accept, siege.program.processor_time(), Instant::now());
    let mut worst = Duration::ZERO;
    while begun.elapsed() < WATCHED {
        for client in &mut open {
            let asked = Instant::now();
            echoes(client);
            worst = worst.max(asked.elapsed());
        }
        std::thread::sleep(ms(200));
    }
    let (told, used) = (siege.program.log().cannot_accept - said, siege.program.processor_time() - used);
    println!("in {WATCHED:?} it said so {told} times and worked for {used:?}; the slowest echo took {worst:?}");
    assert!(siege.program.runs(), "it has ended");
    assert!((1..=WATCHED.as_secs() + 1).contains(&told), "it said {told} times that it cannot accept connections");
    assert!(used < WATCHED / 10, "it was busy for {used:?} with nothing to do");
    assert!(worst < Duration::from_secs(2), "an open connection waited {worst:?}");

    // Half of them go, and so do all who waited: new ones get in.
    open.truncate(open.len() / 2);
    drop(waiting);
    let begun = Instant::now();
    eventually("a new client gets in", || {
        let mut client = Wire::connect(siege.program.address);
        client.say(opening(Dialect::Rfc6455, "/echo", &[]));
        let served = client.said_so_far(ms(1500)) == expected;
        if served {
            echoes(&mut client);
        }
        served
    });
    println!("a new client got in after {:?}", begun.elapsed());
    open.iter_mut().for_each(echoes);
}
