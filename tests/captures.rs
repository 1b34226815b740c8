//! Connections out of captures: real ones of tcpdump, and hand-made packets in every disorder a network can make.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::Path;

use etherparse::PacketBuilder;
use hybridge::recording::capture::{BadCapture, Tally, read};
use hybridge::recording::{Manner, Scribe};
use hybridge::transcript::Transcript;

const MANNER: Manner = Manner { keep_secrets: true, max_bytes: 1 << 20 };
const ETHERNET: u32 = 1;
const CLIENT: &str = "192.0.2.7:51234";
const SERVER: &str = "192.0.2.8:9000";

fn play(scribe: &mut Scribe) -> String {
    let text = format!("{}{}", scribe.heading().0, scribe.take());
    Transcript::parse(&text, "recording").unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    text
}

/// The plays in a capture.
fn plays(capture: &[u8], port: Option<u16>, manner: Manner) -> (Vec<String>, Tally) {
    let mut plays = Vec::new();
    let tally = read(Cursor::new(capture.to_vec()), port, manner, |mut scribe| plays.push(play(&mut scribe)));
    (plays, tally.expect("it is a capture"))
}

/// A pcap file of these packets: its link, and of each its time in milliseconds, its bytes, and its length on the wire.
fn pcap(link: u32, packets: &[(u64, Vec<u8>, usize)]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xA1B2_C3D4, 0x0004_0002, 0, 0, 262_144, link] {
        file.extend(u32::to_le_bytes(number));
    }
    for (ms, bytes, original) in packets {
        let header = [ms / 1000, ms % 1000 * 1000, bytes.len() as u64, *original as u64];
        file.extend(header.into_iter().flat_map(|number| (number as u32).to_le_bytes()));
        file.extend(bytes);
    }
    file
}

/// A segment of TCP, without what stands before its IP header.
fn segment(from: &str, to: &str, seq: u32, flags: &str, bytes: &[u8]) -> Vec<u8> {
    let (from, to): (std::net::SocketAddr, std::net::SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let builder = match (from.ip(), to.ip()) {
        (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("one family"),
    };
    let mut tcp = builder.tcp(from.port(), to.port(), seq, 1000);
    for flag in flags.chars() {
        tcp = match flag {
            'S' => tcp.syn(),
            'F' => tcp.fin(),
            'R' => tcp.rst(),
            ack => panic!("no flag: {ack}"),
        };
    }
    let mut packet = Vec::new();
    tcp.write(&mut packet, bytes).unwrap();
    packet
}

/// A connection by raw IP packets: who (`c` or `s`), sequence number, flags, bytes; a millisecond after another.
fn session(packets: &[(char, u32, &str, &[u8])]) -> Vec<u8> {
    let packet = |(index, (who, seq, flags, bytes)): (usize, &(char, u32, &str, &[u8]))| {
        let (from, to) = if *who == 'c' { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let packet = segment(from, to, *seq, flags, bytes);
        let length = packet.len();
        (1000 + index as u64, packet, length)
    };
    pcap(101, &packets.iter().enumerate().map(packet).collect::<Vec<_>>())
}

/// What a session's only play says below its title.
#[track_caller]
fn check(packets: &[(char, u32, &str, &[u8])], expected: &str) {
    let (plays, _) = plays(&session(packets), None, MANNER);
    assert_eq!(plays.len(), 1, "{plays:?}");
    let (_, body) = plays[0].split_once('\n').unwrap();
    let body: String = body.lines().filter(|line| !line.starts_with("pause")).flat_map(|line| [line, "\n"]).collect();
    assert_eq!(body, expected);
}

const SAYS_ALL: &str = "client says     \"\\x00ab\"\nclient says     \"cd\"\nclient says     \"ef\"\n";

#[test]
fn what_came_out_of_order_behind_a_gap_keeps_its_order() {
    // The first two bytes were never captured, and of the rest the end came first.
    check(
        &[('c', 99, "S", b""), ('c', 105, "", b"ef"), ('c', 102, "", b"bcd")],
        "# 2 bytes from the client are missing: the capture does not have them\nclient says     \"bcd\"\n\
         client says     \"ef\"\n",
    );
}

#[test]
fn segments_are_put_in_order_and_heard_once() {
    check(&[('c', 99, "S", b""), ('c', 100, "", b"\0ab"), ('c', 103, "", b"cd"), ('c', 105, "", b"ef")], SAYS_ALL);
    // Out of order; twice; over each other; a keep-alive probe.
    check(&[('c', 99, "S", b""), ('c', 105, "", b"ef"), ('c', 103, "", b"cd"), ('c', 100, "", b"\0ab")], SAYS_ALL);
    check(
        &[
            ('c', 99, "S", b""),
            ('c', 100, "", b"\0ab"),
            ('c', 100, "", b"\0ab"),
            ('c', 103, "", b"cd"),
            ('c', 100, "", b"\0abcdef"),
        ],
        SAYS_ALL,
    );
    check(
        &[
            ('c', 99, "S", b""),
            ('c', 100, "", b"\0ab"),
            ('c', 102, "", b"Xcd"),
            ('c', 105, "", b"ef"),
            ('c', 106, "", b"f"),
        ],
        SAYS_ALL,
    );
    check(&[('c', 99, "S", b""), ('c', 102, "", b"bcd"), ('c', 105, "", b"ef"), ('c', 100, "", b"\0ab")], SAYS_ALL);
    // Numbers wrap around.
    let last = u32::MAX - 1;
    check(&[('c', last - 1, "S", b""), ('c', last, "", b"\0ab"), ('c', 1, "", b"cd"), ('c', 3, "", b"ef")], SAYS_ALL);
    check(&[('c', last - 1, "S", b""), ('c', 3, "", b"ef"), ('c', 1, "", b"cd"), ('c', last, "", b"\0ab")], SAYS_ALL);
}

#[test]
fn ends_are_heard_in_their_place() {
    let syn = ('c', 99, "S", &b""[..]);
    check(
        &[syn, ('c', 103, "F", b""), ('c', 100, "", b"\0ab"), ('s', 7, "F", b"\x80")],
        "client says     \"\\x00ab\"\nclient ends\nclient hears    \"\\x80\"\nclient hears    end\n",
    );
    check(
        &[syn, ('c', 100, "F", b"\0ab"), ('c', 104, "R", b"")],
        "client says     \"\\x00ab\"\nclient ends\nclient breaks off\n",
    );
    check(
        &[syn, ('c', 100, "", b"\0ab"), ('s', 7, "R", b"")],
        "client says     \"\\x00ab\"\n# the server broke the connection off\nclient hears    end\n",
    );
}

#[test]
fn what_is_missing_is_said_and_what_follows_is_heard() {
    let missing = "# 2 bytes from the client are missing: the capture does not have them\n";
    check(
        &[('c', 99, "S", b""), ('c', 100, "", b"\0ab"), ('s', 7, "", b"\x80"), ('c', 105, "F", b"ef")],
        &format!(
            "client says     \"\\x00ab\"\nclient hears    \"\\x80\"\n{missing}client says     \"ef\"\nclient ends\n"
        ),
    );
    check(
        &[('c', 99, "S", b""), ('c', 100, "", b"\0ab"), ('c', 105, "F", b"")],
        &format!("client says     \"\\x00ab\"\n{missing}client ends\n"),
    );
    // Captured in part: what is missing is said where it was, and not where it was missed.
    let whole = segment(CLIENT, SERVER, 100, "", b"\0abcd");
    let length = whole.len();
    let packets = [
        (1000, segment(CLIENT, SERVER, 99, "S", b""), 40),
        (1001, whole[..length - 2].to_vec(), length),
        (1002, segment(SERVER, CLIENT, 7, "", b"\x80"), 41),
        (1003, segment(CLIENT, SERVER, 105, "", b"ef"), 42),
    ];
    let (plays, _) = plays(&pcap(101, &packets), None, MANNER);
    let lines: Vec<&str> = plays[0].lines().skip(1).filter(|line| !line.starts_with("pause")).collect();
    assert_eq!(
        lines,
        ["client says     \"\\x00ab\"", missing.trim_end(), "client hears    \"\\x80\"", "client says     \"ef\""]
    );
}

#[test]
fn a_capture_that_begins_inside_says_so_and_guesses_the_server() {
    let inside = session(&[('s', 500, "", b"\x80"), ('c', 100, "", b"\0ab")]);
    let (found, _) = plays(&inside, None, MANNER);
    assert!(
        found[0].contains("192.0.2.7:51234 to 192.0.2.8:9000, taken for a client whose first bytes"),
        "{}",
        found[0]
    );
    assert!(found[0].contains("# the capture begins inside this connection\n"), "{}", found[0]);
    let (found, _) = plays(&inside, Some(51234), MANNER);
    assert!(found[0].contains("192.0.2.8:9000 to 192.0.2.7:51234"), "{}", found[0]);
    let (found, _) = plays(&session(&[('c', 100, "", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")]), None, MANNER);
    assert!(found[0].contains("taken for an HTTP client"), "{}", found[0]);
    // Seen from its beginning, it is known who called whom whatever the ports are.
    let (found, _) = plays(&session(&[('s', 99, "S", b""), ('s', 100, "", b"\0")]), None, MANNER);
    assert!(found[0].contains("192.0.2.8:9000 to 192.0.2.7:51234"), "{}", found[0]);
}

#[test]
fn connections_are_kept_apart() {
    let mut packets = Vec::new();
    for (index, client) in ["192.0.2.7:51234", "192.0.2.7:51235", "[2001:db8::1]:51234"].into_iter().enumerate() {
        let server = if client.starts_with('[') { "[2001:db8::2]:9000" } else { SERVER };
        packets.push((1000, segment(client, server, 99, "S", b""), 40));
        packets.push((1001, segment(client, server, 100, "", &[0, b'0' + index as u8]), 42));
    }
    // The same ports again; and one in which nothing is said.
    packets.push((1002, segment(CLIENT, SERVER, 5000, "S", b""), 40));
    packets.push((1003, segment(CLIENT, SERVER, 5001, "", b"\x003"), 42));
    packets.push((1004, segment("192.0.2.9:1", SERVER, 99, "S", b""), 40));
    let (plays, tally) = plays(&pcap(101, &packets), None, MANNER);
    let mut said: Vec<String> = plays.iter().map(|play| play.lines().last().unwrap().to_owned()).collect();
    said.sort();
    let expected: Vec<String> = (0..4).map(|number| format!("client says     \"\\x00{number}\"")).collect();
    assert_eq!(said, expected);
    assert_eq!((tally.recorded, tally.empty, tally.packets, tally.pieces), (4, 1, 9, 9));
}

#[test]
fn every_link_and_both_formats_are_read() {
    let bare = |link: u32, before: &[u8]| {
        let packets: Vec<_> = [("S", 99, &b""[..]), ("", 100, b"\0hi")]
            .into_iter()
            .map(|(flags, seq, bytes)| {
                let packet = [before, &segment(CLIENT, SERVER, seq, flags, bytes)].concat();
                let length = packet.len();
                (1000, packet, length)
            })
            .collect();
        let (plays, _) = plays(&pcap(link, &packets), None, MANNER);
        assert!(plays[0].ends_with("client says     \"\\x00hi\"\n"), "link {link}: {}", plays[0]);
    };
    bare(ETHERNET, b"aaaaaabbbbbb\x08\x00");
    bare(ETHERNET, b"aaaaaabbbbbb\x81\x00\x00\x05\x08\x00");
    bare(101, b"");
    bare(12, b"");
    bare(0, &[2, 0, 0, 0]);
    bare(108, &[0, 0, 0, 2]);
    bare(113, b"\0\0\0\x01\0\x06aaaaaaaa\x08\x00");
    bare(276, b"\x08\x00\0\0\0\0\0\x01\0\x01\0\x06aaaaaaaa");
}

#[test]
fn a_packet_that_is_longer_than_others_is_passed_over() {
    let hello = segment(CLIENT, SERVER, 100, "", b"\0hi");
    let packets = [(1000, vec![0x60; 900_000], 900_000), (1001, hello.clone(), hello.len())];
    let (plays, tally) = plays(&pcap(101, &packets), None, MANNER);
    assert_eq!((plays.len(), tally.packets, tally.cut_short), (1, 2, false));
}

#[test]
fn a_length_that_is_only_announced_takes_no_memory() {
    /// A file that remembers how much was asked of it at once.
    struct File<'a>(&'a [u8], &'a mut usize);
    impl Read for File<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            *self.1 = buffer.len().max(*self.1);
            self.0.read(buffer)
        }
    }
    let hello = segment(CLIENT, SERVER, 100, "", b"\0hi");
    let mut file = pcap(101, &[(1000, hello.clone(), hello.len())]);
    file.extend([[0; 4], [0; 4], 60_000_000_u32.to_le_bytes(), 60_000_000_u32.to_le_bytes(), *b"\0hi\xff"].concat());
    let mut most = 0;
    let tally =
        read(File(&file, &mut most), None, MANNER, |mut scribe| drop(play(&mut scribe))).expect("it is a capture");
    assert!(tally.cut_short && tally.recorded == 1, "{tally:?}");
    assert!(most < 1 << 20, "a buffer of {most} bytes for a file of {}", file.len());
}

#[test]
fn what_is_no_capture_is_refused() {
    let refused = |bytes: &[u8]| read(Cursor::new(bytes.to_vec()), None, MANNER, |_| ()).expect_err("no capture");
    assert_eq!(refused(b""), BadCapture::NotOne);
    assert_eq!(refused(b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), BadCapture::NotOne);
    assert_eq!(refused(&pcap(105, &[])), BadCapture::UnknownLink(105));
    let whole = session(&[('c', 99, "S", b""), ('c', 100, "", b"\0ab"), ('c', 103, "", b"cd")]);
    for cut in 0..whole.len() {
        // Cut anywhere, what came before is there, and nothing panics.
        let mut found = 0;
        let tally = read(Cursor::new(whole[..cut].to_vec()), None, MANNER, |mut scribe| {
            play(&mut scribe);
            found += 1;
        });
        assert!(found == 1 || tally.is_err() || tally.is_ok_and(|tally| tally.recorded == 0), "cut at {cut}");
    }
    let (plays, tally) = plays(&whole[..whole.len() - 1], None, MANNER);
    assert!(tally.cut_short && plays[0].ends_with("client says     \"\\x00ab\"\n"), "{tally:?} {plays:?}");
}

#[test]
fn a_spoilt_capture_is_read_or_refused_and_nothing_more() {
    let whole = fs::read(captures().join("phantomjs-ethernet.pcapng")).unwrap();
    for place in (0..whole.len()).step_by(7) {
        for wrong in [0x00, 0xFF] {
            let mut spoilt = whole.clone();
            spoilt[place] = wrong;
            let _ = read(Cursor::new(spoilt), None, MANNER, |mut scribe| {
                play(&mut scribe);
            });
        }
    }
}

fn captures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures")
}

fn real(name: &str, keep_secrets: bool) -> Vec<String> {
    let mut plays = Vec::new();
    let file = File::open(captures().join(name)).unwrap();
    read(file, None, Manner { keep_secrets, ..MANNER }, |mut scribe| plays.push(play(&mut scribe))).unwrap();
    plays
}

const PHANTOMJS: &str = r#"# 2026-11-22T06:49:01.842Z: 127.0.0.1:47216 to 127.0.0.1:8181, taken for a hixie-76 client
client says     "GET /chat?set=42&token=xX0xX0 HTTP/1.1\r\n"
client says     "Upgrade: WebSocket\r\n"
client says     "Connection: Upgrade\r\n"
client says     "Host: 127.0.0.1:8180\r\n"
client says     "Origin: http://tv.example\r\n"
client says     "Sec-WebSocket-Protocol: chat\r\n"
client says     "Sec-WebSocket-Key1: 1 29668 183b0\r\n"
client says     "Sec-WebSocket-Key2: 3L   } RK 29Z9 3j\\  1 8190\r\n"
client says     "\r\n"
client says     "\xd5\xb4\x9a#\xdf\xe9\xebz"
pause           9ms
client hears    "HTTP/1.1 101 WebSocket Protocol Handshake\r\n"
client hears    "Upgrade: WebSocket\r\n"
client hears    "Connection: Upgrade\r\n"
client hears    "Sec-WebSocket-Origin: http://tv.example\r\n"
client hears    "Sec-WebSocket-Location: ws://127.0.0.1:8180/chat?set=42&token=xX0xX0\r\n"
client hears    "Sec-WebSocket-Protocol: chat\r\n"
client hears    "\r\n"
client hears    "\x7f\x018\xb7\xad\xcfH\"g\xc1h\"\xc8\xdc\x00k"
pause           1ms
client says     "\x00hello from 2010\xff"
pause           3ms
client hears    "\x00you said hello from 2010\xff"
pause           1ms
client ends
pause           1ms
client hears    "\xff\x00"
client breaks off
"#;

#[test]
fn a_real_session_of_a_hixie_76_browser_is_read_from_every_capture_of_it() {
    assert_eq!(real("phantomjs-ethernet.pcap", false), [PHANTOMJS]);
    assert_eq!(real("phantomjs-ethernet.pcapng", false), [PHANTOMJS]);
    let both = real("phantomjs-and-backend-cooked2.pcap", false);
    assert_eq!((both.len(), both[0].as_str()), (2, PHANTOMJS));
    assert!(both[1].contains("127.0.0.1:9100, taken for a v13 client\n"), "{}", both[1]);
    let kept = real("phantomjs-ethernet.pcap", true).concat();
    assert_eq!(kept, PHANTOMJS.replace("token=xX0xX0", "token=aB3dE5"));
}

#[test]
fn a_real_capture_that_cut_its_packets_has_what_it_has() {
    let play = real("phantomjs-cut-at-120-bytes-cooked.pcap", false).concat();
    for part in [
        "taken for a client whose head is not whole\n",
        "# 201 bytes from the client are missing",
        "# 191 bytes from the server are missing",
        "client says     \"\\x00hello from 2010\\xff\"\n",
    ] {
        assert!(play.contains(part), "{part}\n{play}");
    }
}
