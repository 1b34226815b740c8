//! Nothing is held back, and nothing piles up: first bytes before last ones, slow readers, both sides talking at once.

use std::fs;
use std::thread;

use crate::command::Binary;
use crate::support::*;

#[test]
fn the_first_bytes_of_a_message_arrive_before_its_last_is_sent() {
    let stage = Stage::new();
    for dialect in ALL {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);

        let whole = said(dialect, "Hello, world");
        let (begun, rest) = whole.split_at(whole.len() - 4);
        client.say(begun);
        match dialect {
            // No length is announced, so each read is a fragment.
            Dialect::Hixie75 | Dialect::Hixie76 => {
                upstream.gets(FIRST, "Hello, wo");
                client.say(rest);
                upstream.gets(LAST, "rld");
            }
            // Text that may have to be mended promises no length either.
            Dialect::Hybi07 => {
                upstream.gets(FIRST, "Hello, w");
                client.say(rest);
                upstream.gets(LAST, "orld");
            }
            Dialect::Hybi10 | Dialect::Rfc6455 => {
                upstream.hears(begun);
                client.say(rest);
                upstream.hears(rest);
            }
        }

        let whole = plain(TEXT, "Hello, world");
        upstream.say(&whole[..9]);
        if HIXIE.contains(&dialect) {
            client.hears(b"\0Hello, ");
            upstream.say(&whole[9..]);
            client.hears(b"world\xff");
        } else {
            client.hears(&whole[..9]);
            upstream.say(&whole[9..]);
            client.hears(&whole[9..]);
        }
    }
}

#[test]
fn a_character_cut_in_two_waits_for_its_rest_alone() {
    let stage = Stage::new();
    for dialect in HIXIE {
        let (mut client, mut upstream) = stage.open(dialect);
        client.say(b"\0a\xe2\x82");
        upstream.gets(FIRST, "a");
        client.say(b"\xac!\xff");
        upstream.gets(LAST, "\u{20ac}!");
    }
}

#[test]
fn a_slow_reader_slows_the_sender_and_loses_nothing() {
    // More than all buffers on the way can hold, the system's included.
    let text = "0123456789abcdef".repeat(1 << 20);
    let stage = Stage::new();
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        let whole = plain(TEXT, &text);
        let taken = upstream.say_until_stuck(&whole, ms(300));
        assert!(taken < whole.len(), "all of it was taken while nobody read");
        thread::scope(|scope| {
            scope.spawn(|| upstream.say(&whole[taken..]));
            client.hears(heard(dialect, &text));
        });

        let whole = said(dialect, &text);
        let taken = client.say_until_stuck(&whole, ms(300));
        assert!(taken < whole.len(), "all of it was taken while nobody read");
        thread::scope(|scope| {
            scope.spawn(|| client.say(&whole[taken..]));
            upstream.gets_message(TEXT, &text);
        });
    }
}

#[test]
fn two_sides_that_talk_before_they_listen_do_not_stop_each_other() {
    let text = "0123456789abcdef".repeat(1 << 18);
    let stage = Stage::new();
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let (mut client, mut upstream) = stage.open(dialect);
        let (from_client, from_upstream) = (said(dialect, &text), plain(TEXT, &text));
        let of_client = client.say_until_stuck(&from_client, ms(100));
        let of_upstream = upstream.say_until_stuck(&from_upstream, ms(100));
        let (mut clients_mouth, mut upstreams_mouth) = (client.twin(), upstream.twin());
        thread::scope(|scope| {
            scope.spawn(|| clients_mouth.say(&from_client[of_client..]));
            scope.spawn(|| upstreams_mouth.say(&from_upstream[of_upstream..]));
            scope.spawn(|| client.hears(heard(dialect, &text)));
            upstream.gets_message(TEXT, &text);
        });
    }
}

#[test]
fn a_reader_that_takes_nothing_is_given_up_after_the_stall_time() {
    let stage = Stage::with(|config| {
        config.timeouts.stall = ms(300);
        config.timeouts.close = ms(300);
    });
    let blob = vec![b'x'; 64 << 20];
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        eprintln!("{dialect}");
        let (mut client, mut upstream) = stage.open(dialect);
        // Ends in an error once the proxy has given the client up and the connection with it.
        let mut mouth = upstream.twin();
        thread::scope(|scope| {
            scope.spawn(|| mouth.try_say(&plain(TEXT, &blob)));
            upstream.gets(CLOSE, status(1001, ""));
            upstream.rest_or_reset();
        });
        // What the system still had for it is forgotten, not offered for minutes.
        assert!(client.is_reset());

        let (mut client, upstream) = stage.open(dialect);
        let mut mouth = client.twin();
        thread::scope(|scope| {
            scope.spawn(|| mouth.try_say(&said(dialect, &blob)));
            // Of a client's message that it cannot pass on the proxy makes no close of the backend's.
            assert_eq!(client.rest_or_reset(), b"");
        });
        drop(upstream);
    }
}

#[test]
fn a_slow_reader_hears_the_end_of_a_message_and_the_close_behind_it() {
    // A television that plays a video reads nothing for a while. Until `timeouts.stall` that is its right, also while
    // the backend has closed already.
    let stage = Stage::with(|config| config.timeouts.close = ms(200));
    let blob = "0123456789abcdef".repeat(1 << 19);
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let begin = |size: usize| {
            let (client, mut upstream) = stage.open(dialect);
            let whole = [plain(TEXT, &blob[..size]), plain(CLOSE, status(1000, ""))].concat();
            let taken = upstream.say_until_stuck(&whole, ms(200));
            (size, client, upstream, whole, taken)
        };
        // The backend's close is answered once the proxy has read it: while nobody reads at the other end, only up to
        // a certain size. Just below it the proxy is left with the message's last bytes and the close.
        let is_read = |size| !begin(size).2.said_so_far(ms(100)).is_empty();
        let (mut fits, mut stuck) = (0, blob.len());
        while stuck - fits > 128 << 10 {
            let size = usize::midpoint(fits, stuck);
            if is_read(size) { fits = size } else { stuck = size }
        }
        let waiting: Vec<_> = (0..12).map(|step| begin(stuck.saturating_sub(step * (40 << 10)))).collect();
        thread::sleep(ms(1300));
        for (size, mut client, mut upstream, whole, taken) in waiting {
            eprintln!("{dialect}, {size} bytes, where {fits} fit");
            thread::scope(|scope| {
                scope.spawn(|| upstream.say(&whole[taken..]));
                client.hears([heard(dialect, &blob[..size]), farewell(dialect, 1000)].concat());
            });
        }
    }
}

/// The resident memory of a process, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    // Not VmRSS: that counts the pages of the program itself, which come in as they are needed first.
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line of /proc/PID/status");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends one message of so many bytes each way through a process of its own, and measures how it grew.
fn carries_in_flat_memory(size: usize) {
    let backend = Backend::listen();
    let binary = Binary::serve(&["--listen", "127.0.0.1:0", "--upstream", &backend.url(), "--threads", "1"]);
    let stage_open = |dialect| {
        let mut client = Wire::connect(binary.address());
        client.say(opening(dialect, "/", &[]));
        let mut upstream = backend.accept();
        upstream.agrees(&[]);
        client.hears(answer(dialect, "/", &[]));
        (client, upstream)
    };
    let block = "0123456789abcdef".repeat(4096);
    let blocks = size / block.len();
    let header = |mask: u8| [&[TEXT, mask | 127][..], &(size as u64).to_be_bytes()].concat();
    let carry = |dialect: Dialect, blocks: usize, size: usize| {
        let (mut client, mut upstream) = stage_open(dialect);
        // Under a key of zeroes the bytes are what they seem.
        let head = if HIXIE.contains(&dialect) { b"\0".to_vec() } else { [header(0x80), vec![0; 4]].concat() };
        thread::scope(|scope| {
            scope.spawn(|| {
                client.say(&head);
                (0..blocks).for_each(|_| client.say(&block));
                client.say(if HIXIE.contains(&dialect) { &b"\xff"[..] } else { b"" });
            });
            upstream.discard(size);
        });
        drop((client, upstream));
        let (mut client, mut upstream) = stage_open(dialect);
        thread::scope(|scope| {
            scope.spawn(|| {
                upstream.say(header(0));
                (0..blocks).for_each(|_| upstream.say(&block));
            });
            client.discard(size);
        });
    };
    for dialect in [Dialect::Hixie76, Dialect::Rfc6455] {
        let before = resident(binary.id());
        carry(dialect, blocks, size);
        let grown = resident(binary.id()).saturating_sub(before);
        // The first message makes the thread's buffers, and there it stays.
        eprintln!("{dialect}: {before} KiB, and {grown} KiB more after {size} bytes each way");
        assert!(grown < 2 << 10, "{dialect}: {grown} KiB more after {size} bytes each way");
    }
}

#[test]
fn a_large_message_does_not_make_the_process_grow() {
    carries_in_flat_memory(64 << 20);
}

#[test]
#[ignore = "takes a minute without optimisation"]
fn a_very_large_message_does_not_make_the_process_grow() {
    carries_in_flat_memory(1 << 30);
}
