//! What a recording must hold for every connection and every cut of it: it is a play, it has every byte, and no secret.

use std::time::{Duration, Instant};

use hybridge::conversation::Side;
use hybridge::recording::{Manner, Meeting, Moment, Scribe, Taken};
use hybridge::transcript::{Act, Ending, Transcript};
use proptest::collection::vec;
use proptest::prelude::*;

const CLIENT: Side = Side::Downstream;
const SERVER: Side = Side::Upstream;
const OPEN_HANDED: Manner = Manner { keep_secrets: false, max_bytes: 1 << 24 };

fn at(ms: u64) -> Moment {
    Moment(Duration::from_millis(1_795_327_398_123 + ms))
}

fn scribe(manner: Manner, inside: bool) -> Scribe {
    let meeting = Meeting { began: at(0), client: "192.0.2.7:51234".parse().unwrap(), server: "tv:9000".into() };
    Scribe::new(meeting, manner, inside)
}

/// The play so far, which must be one at any time.
#[derive(Default)]
struct Paper(String);

impl Paper {
    fn read(&mut self, scribe: &mut Scribe) -> Transcript {
        self.0.push_str(&scribe.take());
        let text = format!("{}{}", scribe.heading().0, self.0);
        Transcript::parse(&text, "recording").unwrap_or_else(|fault| panic!("{fault}\n{text}"))
    }
}

fn recorded(manner: Manner, segments: &[(Side, &[u8])]) -> (Transcript, Taken) {
    let (mut scribe, mut paper) = (scribe(manner, false), Paper::default());
    for (side, bytes) in segments {
        scribe.segment(at(0), *side, bytes);
        paper.read(&mut scribe);
    }
    scribe.finish();
    let play = paper.read(&mut scribe);
    (play, scribe.taken().expect("it is settled at the end").clone())
}

fn bytes_of(play: &Transcript, side: Side) -> Vec<u8> {
    let of = |act: &Act| match act {
        Act::Says(Side::Downstream, bytes) if side == CLIENT => bytes.clone(),
        Act::Hears(Side::Downstream, bytes) if side == SERVER => bytes.clone(),
        _ => Vec::new(),
    };
    play.lines().iter().flat_map(|line| of(&line.act)).collect()
}

fn segments_of(play: &Transcript) -> Vec<(Side, usize)> {
    let of = |act: &Act| match act {
        Act::Says(_, bytes) => Some((CLIENT, bytes.len())),
        Act::Hears(_, bytes) => Some((SERVER, bytes.len())),
        _ => None,
    };
    play.lines().iter().filter_map(|line| of(&line.act)).collect()
}

const REQUEST: &str = "GET /chat?set=42&token=TOPsecret1&x=y HTTP/1.1\r\nHost: tv\r\nUpgrade: WebSocket\r\n\
    Connection: Upgrade\r\nOrigin: http://tv\r\nCookie: sid=TOPsecret2; theme=TOPsecret3\r\n\
    Authorization: Basic TOPsecret4==\r\nProxy-Authorization: Bearer TOPsecret5\r\nX-Auth-Token: TOPsecret6\r\n\
    Sec-WebSocket-Protocol: chat, TOPsecret7aB3\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n\
    Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:ds[4U\0Cookie: hello\u{c2}\u{ff}";
const ANSWER: &str = "HTTP/1.1 101 WebSocket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Origin: http://tv\r\nSec-WebSocket-Location: ws://tv/chat?set=42&token=TOPsecret1&x=y\r\n\
    Set-Cookie: sid=TOPsecret2; Path=/\r\nSec-WebSocket-Protocol: TOPsecret7aB3\r\n\r\n8jKS'y:G*Co,Wxa-\0you\u{ff}";

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

fn masked(text: &str) -> Vec<u8> {
    let text = text.replace("TOPsecret7aB3", "XXXxxxxxx0xX0");
    latin1(&(1..7).fold(text, |text, number| text.replace(&format!("TOPsecret{number}"), "XXXxxxxxx0")))
}

#[test]
fn secrets_are_masked_wherever_the_segments_were_cut() {
    let (request, answer) = (latin1(REQUEST), latin1(ANSWER));
    let check = |segments: &[(Side, &[u8])]| {
        let (play, taken) = recorded(OPEN_HANDED, segments);
        assert_eq!(bytes_of(&play, CLIENT), masked(REQUEST), "{play}");
        assert_eq!(bytes_of(&play, SERVER), masked(ANSWER), "{play}");
        assert_eq!(taken.word(), "hixie-76");
        let cut: Vec<_> = segments.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(s, b)| (*s, b.len())).collect();
        assert_eq!(segments_of(&play), cut);
    };
    for cut in 0..=request.len() {
        let (before, after) = request.split_at(cut);
        check(&[(CLIENT, before), (CLIENT, after), (SERVER, &answer)]);
    }
    for cut in 0..=answer.len() {
        let (before, after) = answer.split_at(cut);
        check(&[(CLIENT, &request), (SERVER, before), (SERVER, after)]);
    }
    let bytes: Vec<(Side, &[u8])> = request.chunks(1).map(|byte| (CLIENT, byte)).collect();
    check(&[bytes, vec![(SERVER, &answer)]].concat());
    let (play, _) = recorded(Manner { keep_secrets: true, ..OPEN_HANDED }, &[(CLIENT, &request), (SERVER, &answer)]);
    assert_eq!((bytes_of(&play, CLIENT), bytes_of(&play, SERVER)), (request, answer));
}

#[test]
fn a_file_that_is_cut_off_at_any_byte_has_no_secret_either() {
    let request = latin1(REQUEST);
    for cut in 0..request.len() {
        let (play, _) = recorded(OPEN_HANDED, &[(CLIENT, &request[..cut])]);
        let text = play.to_string();
        for part in ["TOPs", "OPse", "secret"] {
            assert!(!text.contains(part), "cut at {cut}: {text}");
        }
        assert_eq!(bytes_of(&play, CLIENT).len(), cut);
    }
}

#[test]
fn heads_are_found_behind_bodies_refusals_and_preambles() {
    let secret = "GET /a HTTP/1.1\r\nHost: tv\r\nCookie: a=TOPsecret1\r\n\r\n";
    let check = |client: &str, server: &str| {
        for size in [1, 7, 4096] {
            let (client, server) = (latin1(client), latin1(server));
            let mut segments: Vec<(Side, &[u8])> = client.chunks(size).map(|bytes| (CLIENT, bytes)).collect();
            let half = latin1(secret);
            segments.extend(server.chunks(size).map(|bytes| (SERVER, bytes)));
            segments.extend(half.chunks(size).map(|bytes| (CLIENT, bytes)));
            let (play, _) = recorded(OPEN_HANDED, &segments);
            let text = play.to_string();
            assert!(!String::from_utf8_lossy(&bytes_of(&play, CLIENT)).contains("TOPsecret"), "{text}");
            assert!(!String::from_utf8_lossy(&bytes_of(&play, SERVER)).contains("TOPsecret"), "{text}");
            assert_eq!(bytes_of(&play, CLIENT).len(), client.len() + half.len());
        }
    };
    check("POST /a HTTP/1.1\r\nHost: tv\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\n");
    let chunked = "POST /a HTTP/1.1\r\nHost: tv\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Token: TOPsecret2\r\n\r\n";
    check(chunked, "");
    check(
        "HEAD /a HTTP/1.1\r\nHost: tv\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nHTTP/1.1 200 OK\r\nSet-Cookie: b=TOPsecret3\r\n\r\n",
    );
    // Refused, it asks again.
    check(
        &REQUEST[..REQUEST.len() - 19],
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nSet-Cookie: b=TOPsecret3\r\n\r\n",
    );
    check("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", "");
    check("\r\n\r\n\0\r\nQUIT\n!\u{11}\0\u{c}............", "");
    check("CONNECT tv:80 HTTP/1.1\r\nHost: tv\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n");
    check("GET /a HTTP/1.1\nCookie: a=TOPsecret2\n\n", "");
    check("GET /a HTTP/1.1\rCookie: a=TOPsecret2\r\r\n\r\n", "");
    check(
        "GET /a HTTP/1.1\r\nX: y\r\n Cookie: a=TOPsecret2\r\nCookie:\r\n b=TOPsecret3\r\nAuthorization:\r\n\tTOPsecret4\r\n\r\n",
        "",
    );
    check("nonsense\r\nCookie: a=TOPsecret2\r\n\r\n", "");
    check("Cookie: a=TOPsecret2\r\n\r\n", "");
    // Two readers could see two ends of this body.
    check("POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 80\r\n\r\nhello", "");
    check("POST /a HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhello", "");
}

#[test]
fn what_comes_where_no_head_was_awaited_is_masked_all_the_same() {
    let upgrade = "GET /a HTTP/1.1\r\nHost: tv\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
    let next = "GET /b HTTP/1.1\r\nHost: tv\r\nCookie: a=TOPsecret\r\n\r\n";
    let asks = "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n";
    let long = format!("GET /a HTTP/1.1\r\nX: y\r\nCookie: {}", "a".repeat(70_000));
    let check = |segments: &[(Side, &str)]| {
        let segments: Vec<(Side, &[u8])> = segments.iter().map(|(side, text)| (*side, text.as_bytes())).collect();
        let (play, _) = recorded(OPEN_HANDED, &segments);
        let told = [bytes_of(&play, CLIENT), bytes_of(&play, SERVER)].concat();
        assert!(!String::from_utf8_lossy(&told).contains("secret"), "{play}");
    };
    // Nobody waited for the answer to the upgrade.
    for cut in 0..20 {
        check(&[(CLIENT, &format!("{upgrade}{}", &next[..cut])), (CLIENT, &next[cut..])]);
    }
    // What was announced is not sent when the answer says so.
    check(&[(CLIENT, asks), (SERVER, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"), (CLIENT, next)]);
    // A line that goes on after one that was too long.
    check(&[(CLIENT, &long), (CLIENT, "\r\n TOPsecret=1\r\n\r\n")]);
    // A user whose `@` never came.
    check(&[(CLIENT, "GET http://me:TOPsecret")]);
    // A 101 that nobody asked for, while a head is on its way.
    check(&[(CLIENT, "GET /b"), (SERVER, "HTTP/1.1 101 X\r\n\r\n"), (CLIENT, &next[6..])]);
}

#[test]
fn a_line_without_end_is_not_held_for_good_and_not_told() {
    let mut request = b"GET /a HTTP/1.1\r\nCookie: sid=".to_vec();
    request.extend(b"TOPsecret ".iter().cycle().take(200_000));
    for size in [1000, 1 << 20] {
        let segments: Vec<_> = request.chunks(size).map(|bytes| (CLIENT, bytes)).collect();
        let (play, _) = recorded(OPEN_HANDED, &segments);
        let bytes = bytes_of(&play, CLIENT);
        assert_eq!(bytes.len(), request.len());
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    }
}

#[test]
fn four_times_as_many_short_lines_take_not_sixteen_times_as_long() {
    let takes = |unit: &str, bytes: usize| {
        let start = if unit.starts_with('1') { "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" } else { "" };
        let lines = [start.as_bytes(), &unit.as_bytes().repeat(bytes / unit.len())].concat();
        let (mut scribe, started) = (scribe(OPEN_HANDED, false), Instant::now());
        lines.chunks(64 << 10).for_each(|segment| scribe.segment(at(0), CLIENT, segment));
        scribe.finish();
        started.elapsed()
    };
    for unit in ["\n", "\r\n", "a:\n", "1\r\na\r\n"] {
        // The best of three: others use the machine, too. Recording was quadratic once, and took minutes of everybody.
        let best = |bytes: usize| (0..3).map(|_| takes(unit, bytes)).min().expect("three runs");
        let (few, many) = (best(16 << 10), best(64 << 10));
        assert!(many < few.max(Duration::from_millis(2)) * 10, "{unit:?}: {few:?}, four times as many {many:?}");
    }
}

#[test]
fn frames_are_written_at_once_and_as_they_are() {
    let (mut scribe, mut paper) = (scribe(OPEN_HANDED, false), Paper::default());
    scribe.segment(at(0), CLIENT, &latin1(REQUEST)[..REQUEST.chars().count() - 17]);
    scribe.segment(at(5), SERVER, &latin1(ANSWER));
    let frame = b"\0GET /?token=abc HTTP/1.1\r\nCookie: a=b\r\n\r\n\xFF";
    scribe.segment(at(5), CLIENT, frame);
    scribe.segment(at(5), CLIENT, b"GET / HTTP/1.1\r\nCookie: a=b");
    let play = paper.read(&mut scribe).to_string();
    assert!(
        play.ends_with(
            "client says     \"\\x00GET /?token=abc HTTP/1.1\\r\\n\"\nclient says     \"Cookie: a=b\\r\\n\"\n\
         client says     \"\\r\\n\"\nclient says     \"\\xff\"\npause           0ms\n\
         client says     \"GET / HTTP/1.1\\r\\n\"\nclient says     \"Cookie: a=b\"\n"
        ),
        "{play}"
    );
}

#[test]
fn times_ends_and_words_are_written() {
    let (mut scribe, mut paper) = (scribe(OPEN_HANDED, false), Paper::default());
    scribe.segment(at(3), CLIENT, b"\x16\x03\x01");
    scribe.segment(at(3), CLIENT, b"a");
    scribe.segment(at(3), SERVER, b"b");
    scribe.note(at(4), "so\nfar");
    scribe.ended(at(90_000_000), CLIENT, Ending::Fin);
    scribe.ended(at(90_000_000), SERVER, Ending::Reset);
    scribe.finish();
    assert_eq!(scribe.heading().1, "20261122T060318.123Z-tls-192.0.2.7-51234");
    assert_eq!(
        paper.read(&mut scribe).to_string(),
        "# 2026-11-22T06:03:18.123Z: 192.0.2.7:51234 to tv:9000, taken for no client: a TLS handshake\n\
         pause           3ms\nclient says     \"\\x16\\x03\\x01\"\npause           0ms\nclient says     \"a\"\n\
         client hears    \"b\"\npause           1ms\n# so\\nfar\npause           86400000ms\npause           3599996ms\n\
         client ends\n# the server broke the connection off\nclient hears    end\n"
    );
}

#[test]
fn a_clock_that_leaps_does_not_fill_the_file() {
    let (mut scribe, mut paper) = (scribe(OPEN_HANDED, false), Paper::default());
    scribe.segment(Moment(Duration::from_secs(u64::MAX)), CLIENT, b"\0");
    scribe.segment(at(0), CLIENT, b"\0");
    let text = paper.read(&mut scribe).to_string();
    assert!(text.contains("days passed") && text.lines().count() < 9, "{text}");
}

#[test]
fn a_client_is_named_for_what_it_was_taken_for() {
    let check = |bytes: &[u8], word: &str| assert_eq!(recorded(OPEN_HANDED, &[(CLIENT, bytes)]).1.word(), word);
    check(b"", "silent");
    check(b"GET / HT", "unfinished");
    check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http");
    check(b"GET / HTTP/1.1\r\n\r\n", "refused");
    check(b"\0\0\0", "garbage");
    check(b"<policy-file-request/>\0", "flash-policy");
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2");
}

#[test]
fn what_is_too_much_ends_the_recording_with_a_word() {
    let manner = Manner { keep_secrets: false, max_bytes: 10 };
    let (play, _) = recorded(manner, &[(CLIENT, b"\0\0\0\0\0\0"), (SERVER, b"\0\0\0\0\0\0"), (CLIENT, b"\0")]);
    assert_eq!(bytes_of(&play, CLIENT).len() + bytes_of(&play, SERVER).len(), 10);
    assert!(play.to_string().ends_with("# 10 bytes are recorded, as many as --max-bytes allows\n"), "{play}");
}

#[test]
fn what_is_lost_inside_a_head_costs_no_secret() {
    let request = latin1(REQUEST);
    for from in 0..request.len() {
        for length in [1, 40, 200] {
            let to = (from + length).min(request.len());
            let (mut scribe, mut paper) = (scribe(OPEN_HANDED, false), Paper::default());
            scribe.segment(at(0), CLIENT, &request[..from]);
            scribe.lost(at(1), CLIENT, (to - from) as u64, "it was lost");
            scribe.segment(at(2), CLIENT, &request[to..]);
            scribe.finish();
            let play = paper.read(&mut scribe);
            let told = String::from_utf8_lossy(&bytes_of(&play, CLIENT)).into_owned();
            for number in 1..8 {
                assert!(!told.contains(&format!("TOPsecret{number}")), "{from}: {play}");
            }
            assert!(play.to_string().contains(&format!("# {} bytes from the client are missing", to - from)));
        }
    }
}

#[test]
fn a_connection_seen_from_its_inside_is_masked_up_to_the_end_of_the_line() {
    let (mut scribe, mut paper) = (scribe(OPEN_HANDED, true), Paper::default());
    scribe.segment(at(0), CLIENT, b"=TOPsecret\r\nCookie: a=TOPsecret\r\n\r\n\0hi\xFF");
    scribe.segment(at(0), SERVER, b"\0hello\xFF");
    let text = paper.read(&mut scribe).to_string();
    assert!(!text.contains("TOPsecret") && text.contains("\\x00hi\\xff") && text.contains("\\x00hello\\xff"), "{text}");
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(CLIENT), Just(SERVER)]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just("GET / HTTP/1.1\r\n"),
        Just("HTTP/1.1 101 X\r\n"),
        Just("HTTP/1.1 200 OK\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just("Upgrade: websocket\r\n"),
        Just("Content-Length: 3\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("Host: a\r\n"),
        Just(" folded\r\n"),
        Just("3\r\nabc\r\n"),
        Just("\"\\'"),
        Just("PROXY "),
    ];
    prop_oneof![vec(any::<u8>(), 0..300), text.prop_map(|text| text.as_bytes().to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any bytes, cut anyhow, at any times: a play at any moment, and with secrets kept every byte of both sides.
    #[test]
    fn every_recording_is_a_play_with_every_byte(
        segments in vec((side(), bytes(), 0u64..3), 0..40),
        keep_secrets in any::<bool>(),
    ) {
        let manner = Manner { keep_secrets, ..OPEN_HANDED };
        let (mut scribe, mut paper) = (scribe(manner, false), Paper::default());
        let (mut now, mut sent) = (0, [Vec::new(), Vec::new()]);
        for (side, bytes, ms) in &segments {
            now += ms;
            scribe.segment(at(now), *side, bytes);
            sent[usize::from(*side == SERVER)].extend_from_slice(bytes);
            paper.read(&mut scribe);
        }
        scribe.finish();
        let play = paper.read(&mut scribe);
        for (side, sent) in [CLIENT, SERVER].into_iter().zip(&sent) {
            let kept = bytes_of(&play, side);
            prop_assert_eq!(kept.len(), sent.len());
            if keep_secrets {
                prop_assert_eq!(&kept, sent);
            }
        }
        let cut: Vec<_> = segments.iter().filter(|(_, b, _)| !b.is_empty()).map(|(side, b, _)| (*side, b.len())).collect();
        prop_assert_eq!(segments_of(&play), cut);
    }

    /// What has no head passes as it is, however it is cut.
    #[test]
    fn nothing_is_masked_where_nothing_is_secret(bytes in vec(any::<u8>(), 0..2000), cuts in vec(1usize..200, 1..9)) {
        let whole = [&b"\x16\x03\x01"[..], &bytes].concat();
        let (mut rest, mut segments): (&[u8], Vec<(Side, &[u8])>) = (&whole, Vec::new());
        for size in cuts.iter().cycle() {
            let (first, after) = rest.split_at((*size).min(rest.len()));
            segments.push((CLIENT, first));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let (play, _) = recorded(OPEN_HANDED, &segments);
        prop_assert_eq!(bytes_of(&play, CLIENT), whole);
    }
}
