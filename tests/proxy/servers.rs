//! Which of several servers a client gets, and what becomes of it when one is away.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hybridge::config::{Balance, Health, Place};
use socket2::Socket;

use crate::hall::*;
use crate::support::*;

const LONG: Duration = Duration::from_secs(600);
const GET: &str = "GET / HTTP/1.1\r\nHost: tv\r\n\r\n";

/// A server that refuses connections for as long as the socket is kept.
fn away() -> (Socket, Place) {
    let (socket, address) = refusing();
    (socket, Place::Tcp { host: address.ip().to_string(), port: address.port() })
}

#[test]
fn turns_go_round_over_all_threads() {
    let hall = Hall::new(3, |config| config.threads = std::num::NonZeroUsize::new(3));
    let mut clients = Vec::new();
    let mut counts = [0; 3];
    for _ in 0..12 {
        let (client, number) = opened(from(&hall.proxy, 1), Dialect::Hixie76, "/", &[]);
        counts[number] += 1;
        clients.push(client);
    }
    assert_eq!(counts, [4; 3]);
    // Each ordinary request takes its turn, too, also on one connection.
    let mut client = from(&hall.proxy, 1);
    let bodies: Vec<String> = (0..6).map(|_| asked(&mut client, GET)).collect();
    assert_eq!(bodies, ["0", "1", "2", "0", "1", "2"]);
    // They use the connections again.
    assert_eq!(hall.hosts.iter().flatten().map(|host| host.book.met()).collect::<Vec<_>>(), [5; 3]);
}

#[test]
fn the_server_with_the_fewest_connections_is_next() {
    let hall = Hall::new(3, |config| config.routes[0].balance = Balance::LeastConnections);
    let open = || opened(from(&hall.proxy, 1), Dialect::Rfc6455, "/", &[]);
    let mut clients: BTreeMap<usize, Vec<Wire>> = BTreeMap::new();
    for _ in 0..6 {
        let (client, number) = open();
        clients.entry(number).or_default().push(client);
    }
    assert_eq!(clients.values().map(Vec::len).collect::<Vec<_>>(), [2; 3]);
    clients.remove(&1);
    // When the server has seen the last of them is nothing that a socket tells.
    eventually("the server is free again", || open().1 == 1);
    let next: Vec<(Wire, usize)> = (0..2).map(|_| open()).collect();
    assert!(next.iter().all(|(_, number)| *number == 1), "both go where two have left");
    // A response that goes on is a connection, too.
    let again = open();
    assert!((0..20).all(|_| page_of(&hall.proxy, 1, "/", "") != again.1), "it has three, the others two");
}

#[test]
fn a_client_keeps_its_server() {
    let hall = Hall::new(3, |config| config.routes[0].balance = Balance::Client);
    let before: Vec<usize> = (1..=24).map(|last| host_of(&hall.proxy, last, "/", &[])).collect();
    assert!((0..3).all(|number| before.contains(&number)), "{before:?}");
    for last in 1..=24 {
        let own = before[usize::from(last) - 1];
        assert_eq!(host_of(&hall.proxy, last, "/other", &["Cookie: a=b"]), own);
        assert_eq!(page_of(&hall.proxy, last, "/other", ""), own);
    }
    // Another proxy, which lists the servers in another order, decides the same.
    let places = [2, 0, 1].map(|number| hall.host(number).place());
    let other = proxy(places.into(), |config| config.routes[0].balance = Balance::Client);
    let after: Vec<usize> = (1..=24).map(|last| host_of(&other, last, "/", &[])).collect();
    assert_eq!(after, before);
}

#[test]
fn a_path_or_a_cookie_keeps_its_server_whoever_asks() {
    let hall = Hall::new(3, |config| config.routes[0].balance = Balance::Path);
    let targets: Vec<String> = (0..16).map(|number| format!("/room?{number}")).collect();
    let hosts: Vec<usize> = targets.iter().map(|target| host_of(&hall.proxy, 1, target, &[])).collect();
    assert!((0..3).all(|number| hosts.contains(&number)), "{hosts:?}");
    for (target, host) in targets.iter().zip(&hosts) {
        assert_eq!(host_of(&hall.proxy, 2, target, &[]), *host);
        assert_eq!(page_of(&hall.proxy, 3, target, ""), *host);
        assert_eq!(page_of(&hall.proxy, 3, &format!("http://tv{target}"), ""), *host);
        let mut old = from(&hall.proxy, 4);
        old.say(opening(Dialect::Rfc6455, &format!("http://tv.example:8080{target}"), &[]));
        assert!(old.head().starts_with("HTTP/1.1 101 "));
        assert_eq!(old.hear(3)[2], b'0' + u8::try_from(*host).expect("a digit"));
    }
    let hall = Hall::new(3, |config| config.routes[0].balance = Balance::Cookie("id".into()));
    let mut seen = Vec::new();
    for number in 0..16 {
        let cookie = format!("Cookie: lang=de; id={number}");
        let host = host_of(&hall.proxy, 1, "/", &[&cookie]);
        assert_eq!(host_of(&hall.proxy, 9, "/x", &["Cookie: id=", &cookie]), host);
        assert_eq!(page_of(&hall.proxy, 7, "/y", &format!("{cookie}\r\n")), host);
        seen.push(host);
        // Without it, the address decides.
        assert_eq!(host_of(&hall.proxy, number, "/", &[]), host_of(&hall.proxy, number, "/", &["Cookie: lang=de"]));
    }
    assert!((0..3).all(|number| seen.contains(&number)), "{seen:?}");
}

#[test]
fn a_lost_server_moves_its_own_clients_alone() {
    let mut hall = Hall::new(3, |config| config.routes[0].balance = Balance::Client);
    let before: Vec<usize> = (1..=24).map(|last| host_of(&hall.proxy, last, "/", &[])).collect();
    hall.close(1);
    for last in 1..=24 {
        let (own, now) = (before[usize::from(last) - 1], host_of(&hall.proxy, last, "/", &[]));
        assert_ne!(now, 1);
        assert!(now == own || own == 1, "client {last} moved from {own} to {now}");
    }
}

#[test]
fn a_client_notices_nothing_of_a_server_that_is_away() {
    let (_held, away) = away();
    let here = Host::new(7);
    let upload = "x".repeat(100_000);
    for _ in 0..2 {
        let proxy = proxy(vec![away.clone(), here.place()], |config| config.routes[0].eject_after = None);
        for dialect in ALL {
            assert_eq!(opened(from(&proxy, 1), dialect, "/", &[]).1, 7, "{dialect}");
        }
        assert_eq!((0..4).map(|_| page_of(&proxy, 1, "/", "")).collect::<Vec<_>>(), [7; 4]);
        // A body is sent on as it came, whether its first server was there or not.
        let mut client = from(&proxy, 1);
        for _ in 0..4 {
            let head = format!("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: {}\r\n\r\n", upload.len());
            assert_eq!(asked(&mut client, &(head + &upload)), format!("{upload}7"));
        }
        assert_eq!(asked(&mut client, "POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 5\r\n\r\nHello"), "Hello7");
    }
}

#[test]
fn what_may_have_reached_a_server_is_sent_to_no_other() {
    let (one, other) = (Backend::listen(), Backend::listen());
    let places = [&one, &other].map(|backend| Place::Tcp { host: "127.0.0.1".into(), port: backend.address().port() });
    let proxy = proxy(places.into(), |_| {});
    let mut client = from(&proxy, 1);
    client.say("POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 5\r\n\r\nHello");
    drop(one.accept());
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    other.saw_nobody();
}

#[test]
fn when_all_are_away_each_dialect_is_refused_in_its_form() {
    let held: Vec<_> = (0..2).map(|_| away()).collect();
    let proxy = proxy(held.iter().map(|(_, place)| place.clone()).collect(), |_| {});
    // More often than it takes to leave them alone, which changes nothing.
    for dialect in ALL.into_iter().chain(ALL) {
        let mut client = from(&proxy, 1);
        client.say(opening(dialect, "/", &[]));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{dialect}: {head}");
        assert_eq!(client.rest(), b"the upstream cannot be reached\n", "who is where is not the clients' business");
    }
    let mut client = from(&proxy, 1);
    client.say(GET);
    assert!(client.head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}

#[test]
fn no_more_servers_are_tried_than_attempts_says() {
    let held: Vec<_> = (0..2).map(|_| away()).collect();
    let here = Host::new(0);
    let places: Vec<Place> = held.iter().map(|(_, place)| place.clone()).chain([here.place()]).collect();
    for (attempts, expected) in [(1, "HTTP/1.1 502 "), (2, "HTTP/1.1 502 "), (3, "HTTP/1.1 101 ")] {
        let proxy = proxy(places.clone(), |config| {
            (config.routes[0].attempts, config.routes[0].eject_after) = (attempts, None);
        });
        let mut client = from(&proxy, 1);
        client.say(opening(Dialect::Rfc6455, "/", &[]));
        let head = client.head();
        assert!(head.starts_with(expected), "{attempts}: {head}");
    }
}

#[test]
fn a_server_that_fails_again_and_again_is_left_alone_and_comes_back() {
    let mut hall = Hall::new(2, |config| {
        (config.routes[0].eject_after, config.routes[0].eject_for) = (Some(2), ms(1500));
    });
    let address = hall.close(0);
    // Two of these find it away, on their way to the other one.
    (0..4).for_each(|_| assert_eq!(host_of(&hall.proxy, 1, "/", &[]), 1));
    hall.reopen(0, address);
    // It would take them, but nobody asks.
    (0..4).for_each(|_| assert_eq!(host_of(&hall.proxy, 1, "/", &[]), 1));
    assert_eq!(hall.host(0).book.met(), 0);
    eventually("it gets clients again", || host_of(&hall.proxy, 1, "/", &[]) == 0);
    let turns: Vec<usize> = (0..4).map(|_| host_of(&hall.proxy, 1, "/", &[])).collect();
    assert!(turns == [0, 1, 0, 1] || turns == [1, 0, 1, 0], "{turns:?}");
}

#[test]
fn when_nobody_is_well_everybody_is_tried() {
    let mut hall = Hall::new(2, |config| {
        (config.routes[0].eject_after, config.routes[0].eject_for) = (Some(1), LONG);
    });
    let addresses = [hall.close(0), hall.close(1)];
    let mut client = from(&hall.proxy, 1);
    client.say(opening(Dialect::Rfc6455, "/", &[]));
    assert!(client.head().starts_with("HTTP/1.1 502 "));
    hall.reopen(1, addresses[1]);
    assert_eq!(host_of(&hall.proxy, 1, "/", &[]), 1);
    // One success clears it, and the other one is still left alone.
    hall.reopen(0, addresses[0]);
    (0..4).for_each(|_| assert_eq!(host_of(&hall.proxy, 1, "/", &[]), 1));
    assert_eq!(hall.host(0).book.met(), 0);
}

#[test]
fn a_server_whose_page_says_so_gets_nobody() {
    let hall = Hall::new(2, |config| {
        let route = &mut config.routes[0];
        (route.health, route.health_interval) = (Some(Health::Http("/healthz".into())), ms(60));
        route.upstream_host = hybridge::config::UpstreamHost::Fixed("portal.example".into());
    });
    eventually("the servers are asked", || !hall.host(0).book.heads_with("/healthz").is_empty());
    let question = &hall.host(0).book.heads_with("/healthz")[0];
    assert!(
        question.starts_with("GET /healthz HTTP/1.1\r\nHost: portal.example\r\nUser-Agent: hybridge/"),
        "{question}"
    );
    for status in [503, 404, 100] {
        eprintln!("{status}");
        hall.host(0).book.health.store(status, Ordering::SeqCst);
        let all_at_the_other = || (0..6).all(|_| host_of(&hall.proxy, 1, "/", &[]) == 1);
        eventually("the server gets nobody", all_at_the_other);
        hall.host(0).book.health.store(302, Ordering::SeqCst);
        eventually("the server gets clients again", || host_of(&hall.proxy, 1, "/", &[]) == 0);
    }
}

#[test]
fn a_server_that_takes_no_connections_is_found_out_before_clients_do() {
    let mut hall = Hall::new(2, |config| {
        let route = &mut config.routes[0];
        (route.health, route.health_interval) = (Some(Health::Tcp), ms(30));
        // Clients find out nothing, and nobody else tries for them.
        (route.eject_after, route.attempts) = (None, 1);
    });
    let address = hall.close(0);
    let served = || {
        let mut client = from(&hall.proxy, 1);
        client.say(opening(Dialect::Rfc6455, "/", &[]));
        client.head().starts_with("HTTP/1.1 101 ")
    };
    eventually("clients are sent where somebody is", || (0..6).all(|_| served()));
    hall.reopen(0, address);
    eventually("the server gets clients again", || host_of(&hall.proxy, 1, "/", &[]) == 0);
}

#[test]
fn nobody_is_asked_once_a_shutdown_has_begun() {
    let hall = Hall::new(1, |config| {
        config.timeouts.close = Duration::from_secs(20);
        (config.routes[0].health, config.routes[0].health_interval) = (Some(Health::Tcp), ms(20));
    });
    let met = || hall.host(0).book.met();
    let (mut client, _) = opened(from(&hall.proxy, 1), Dialect::Rfc6455, "/", &[]);
    eventually("the server is asked", || met() > 5);
    hall.proxy.drain.start();
    client.hears(farewell(Dialect::Rfc6455, 1001));
    // The client does not answer, so the shutdown goes on.
    std::thread::sleep(ms(50));
    let before = met();
    client.hears_nothing_for(ms(200));
    assert_eq!(met(), before);
}
