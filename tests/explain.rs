//! `hybridge explain`, as a stranger would use it: captured bytes and pasted text, and the plays of what is refused.

#[path = "support/explained.rs"]
mod explained;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hybridge::explain::{Scene, explain};
use hybridge::transcript::{Act, Transcript};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use self::explained::check_form;

/// What each play of fixtures/refused/ is explained by.
#[rustfmt::skip]
const REFUSED: &[(&str, &[&str])] = &[
    ("no-bytes", &["nothing-but-its-end"]),
    ("tls-on-plain-port", &["foreign-sslv2", "foreign-tls"]),
    ("proxy-preamble-unexpected", &["foreign-proxy-protocol-1", "foreign-proxy-protocol-2"]),
    ("http2-preface", &["foreign-http2"]),
    ("flash-policy-request", &["foreign-flash-policy"]),
    ("frame-before-handshake", &["foreign-frame"]),
    ("not-http", &["foreign-control-byte", "foreign-ff", "foreign-three-line-ends"]),
    ("head-unfinished", &["half-a-head"]),
    ("head-too-large", &["head-too-large"]),
    ("too-many-headers", &["head-with-too-many-fields"]),
    ("bare-line-end", &["head-with-a-bare-line-feed"]),
    ("control-character", &["head-with-a-bare-carriage-return", "head-with-nul"]),
    ("folded-header", &["head-with-a-folded-line"]),
    ("malformed-header", &["head-with-a-blank-before-the-colon"]),
    ("malformed-request-line", &["head-without-a-version-of-http", "target-with-a-fragment"]),
    ("http-version", &["http-2.0"]),
    ("host-missing", &["host-missing"]),
    ("host-twice", &["host-twice"]),
    ("host-malformed", &["host-malformed"]),
    ("target-of-another-host", &["target-of-another-host"]),
    ("upgrade-stripped", &["upgrade-stripped"]),
    ("not-a-get", &["method-head", "method-options", "method-post"]),
    ("http-1.0-downgrade", &["http-1.0"]),
    ("connection-stripped", &["connection-missing"]),
    ("connection-without-upgrade", &["connection-without-upgrade"]),
    ("body-announced", &["body-chunked", "body-of-5-bytes", "body-of-8-bytes-twice", "body-of-8-bytes-without-keys"]),
    ("body-ambiguous", &["http-length-and-chunked", "http-other-coding", "http-two-lengths"]),
    ("version-twice", &["version-twice"]),
    ("version-malformed", &["version-256", "version-empty", "version-leading-zero", "version-list", "version-negative", "version-word"]),
    ("version-of-a-draft", &["recorded-version-4", "recorded-version-6", "version-5"]),
    ("version-unknown", &["version-1", "version-10", "version-11", "version-12", "version-14", "version-2", "version-255", "version-3", "version-9"]),
    ("version-missing", &["key-without-version-beside-old-keys", "key-without-version"]),
    ("draft-1-to-3", &["draft-1", "draft-2", "draft-3", "recorded-hybi-02"]),
    ("key-missing", &["key-missing-beside-old-keys", "key-missing"]),
    ("key-twice", &["key-twice"]),
    ("key-not-base64", &["key-empty", "key-not-base64"]),
    ("key-length", &["key-of-15-bytes", "key-of-17-bytes", "key-too-long-in-version-8"]),
    ("hixie-key-alone", &["key1-alone", "key2-alone"]),
    ("hixie-key-twice", &["key1-twice"]),
    ("hixie-key-tab", &["key1-with-a-tab-for-a-space"]),
    ("hixie-key-without-spaces", &["key1-without-spaces", "key2-without-spaces"]),
    ("hixie-key-spaces-collapsed", &["key1-not-divisible-by-3", "key1-not-divisible-by-4"]),
    ("hixie-key-without-digits", &["key1-without-digits", "key2-without-digits"]),
    ("hixie-key-too-large", &["key1-with-a-number-above-32-bits", "key1-with-a-part-above-32-bits"]),
    ("origin-twice", &["origin-twice"]),
    ("origin-malformed", &["hixie-origin-with-a-blank"]),
    ("subprotocol-malformed", &["hixie-subprotocol-with-a-control", "subprotocol-not-a-list-of-tokens"]),
    ("hixie-keys-stripped", &["hixie-76-whose-keys-were-stripped"]),
    ("answer-unreadable", &["upstream-that-is-not-http"]),
    ("answered-200", &["upstream-200"]),
    ("redirected", &["upstream-302"]),
    ("answered-401", &["upstream-401"]),
    ("answered-403", &["upstream-403-for-a-hixie-76-client"]),
    ("answered-404", &["target-of-no-route"]),
    ("answered-426", &["hixie-75-not-enabled", "hixie-75-where-nothing-has-a-version", "hixie-76-not-enabled", "upstream-426", "version-8-not-enabled"]),
    ("answered-503", &["upstream-503"]),
    ("answered-another-status", &["upstream-304"]),
    ("answer-upgrade-missing", &["upstream-101-without-upgrade"]),
    ("answer-connection-missing", &["upstream-101-without-connection"]),
    ("subprotocol-unasked", &["upstream-101-with-an-unasked-subprotocol"]),
    ("accept-missing", &["upstream-101-without-accept"]),
    ("accept-of-another-key", &["upstream-101-with-a-wrong-accept"]),
    ("extension-unasked", &["upstream-101-with-an-unasked-extension"]),
];

#[test]
fn what_hybridge_refuses_is_explained_by_the_right_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/refused");
    let mut unseen: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for (fault, plays) in REFUSED {
        for play in *plays {
            let file = format!("{play}.txt");
            let text = fs::read_to_string(folder.join(&file)).unwrap();
            let explanation = explain(&Scene::of_play(&Transcript::parse(&text, &file).unwrap()));
            let found = explanation.finding.map(|finding| finding.fault.name());
            assert_eq!(found, Some(*fault), "{play}");
            unseen.remove(&file);
        }
    }
    assert_eq!(unseen, BTreeSet::new(), "plays that are not in the list");
}

fn hybridge(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybridge"));
    command.arg("explain").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    // It may end before it has read everything, and that is for the assertions to see.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn printed(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("it prints UTF-8")
}

/// The fault's name, for bytes on stdin; empty where none is found.
fn name(input: &[u8]) -> String {
    let output = hybridge(&["--name", "-"], input);
    let name = printed(&output).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(i32::from(!name.is_empty())), "{name}");
    name
}

/// A hixie-76 handshake of PhantomJS 1.9, and its answer, without the bytes that a paste loses.
const REQUEST: &str = "GET /live?token=sekrit HTTP/1.1
Upgrade: WebSocket
Connection: Upgrade
Host: tv.example
Origin: https://tv.example
Cookie: sid=topsecret
Sec-WebSocket-Key1: 1  A 05 5298 08 4
Sec-WebSocket-Key2: 3>t. 8@732XP?2&5S6,Ag91
";
const ANSWER: &str = "HTTP/1.1 101 WebSocket Protocol Handshake
Upgrade: WebSocket
Connection: Upgrade
Sec-WebSocket-Origin: https://tv.example
Sec-WebSocket-Location: wss://tv.example/live?token=sekrit
";

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}

#[test]
fn a_paste_is_not_blamed_for_what_pasting_does() {
    let collapsed = REQUEST.replace("  ", " ");
    let no_reason = ANSWER.replace(" WebSocket Protocol Handshake", "");
    for text in [
        format!("{REQUEST}\n{ANSWER}"),
        format!("{REQUEST}\n{{...o4\n{ANSWER}\n.B.1.YW.....5...\n"),
        format!("{REQUEST}\n^n:ds[4U\n{ANSWER}\n8jKS'y:G*Co,Wxa-\n"),
        format!("{collapsed}\n{ANSWER}"),
        format!("{}\n{}", REQUEST.replace("1  A", "1\u{a0} A"), ANSWER),
        format!("{REQUEST}\n{no_reason}"),
        format!("Our log says:\n\n{}\nand then\n\n{}\nWhy?", indented(REQUEST, "    "), indented(ANSWER, "    ")),
        format!("```\n{REQUEST}```\n\n```\n{ANSWER}```\n"),
        format!("{}>\n{}<\n", indented(REQUEST, "> "), indented(ANSWER, "< ")),
        indented(&format!("{REQUEST}\n{ANSWER}"), "| "),
        format!("{REQUEST}\n{ANSWER}").replace('\n', "\r\n").trim_end().to_owned(),
        format!("{REQUEST}\n{ANSWER}").replace('\n', "\r\n"),
        format!("{REQUEST}\n{ANSWER}\n").replace('\n', "\r\n"),
        format!("{REQUEST}\n{{...o4\n{ANSWER}\n.B.1.YW.....5...\n").replace('\n', "\r\n"),
        format!("{REQUEST}\n{ANSWER}").replace('\n', "^M\n"),
        format!("{REQUEST}\n\n{ANSWER}").replace('\n', "\n\n"),
        REQUEST.to_owned(),
        ANSWER.to_owned(),
    ] {
        assert_eq!(name(text.as_bytes()), "", "{text}");
    }
}

#[test]
fn a_fault_is_found_in_text_as_people_paste_it() {
    let tcpdump = "10:21:33.001 IP 10.0.0.5.51234 > 10.0.0.9.80: Flags [P.], length 199: HTTP: GET /live HTTP/1.1
E..;..@.@.L.........P......GET /live HTTP/1.1
Upgrade: WebSocket
Connection: Upgrade
Host: tv.example
Origin: http://tv.example


10:21:33.003 IP 10.0.0.9.80 > 10.0.0.5.51234: Flags [P.], length 199: HTTP: HTTP/1.1 101 Web Socket Protocol Handshake
E..;..@.@.L.........P......HTTP/1.1 101 Web Socket Protocol Handshake
Server: nginx/1.22.1
Connection: upgrade
Upgrade: WebSocket
WebSocket-Origin: http://tv.example
WebSocket-Location: ws://tv.example/live
";
    let curl = "*   Trying 192.0.2.9:80...
> GET /chat HTTP/1.1
> Host: tv.example
> User-Agent: curl/7.88.1
> Connection: Upgrade
> Upgrade: websocket
> Sec-WebSocket-Version: 13
> Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
>
< HTTP/1.1 301 Moved Permanently
< Location: https://tv.example/chat
<
* Closing connection 0
";
    let panel = "Request URL:ws://tv.example/live\nRequest Method:GET\nStatus Code:101 WebSocket Protocol Handshake
Request Headers\nConnection:Upgrade\nHost:tv.example\nOrigin:http://tv.example
Sec-WebSocket-Key1:1  A 05 5298 08 4\nSec-WebSocket-Key2:3>t. 8@732XP?2&5S6,Ag91\nUpgrade:WebSocket
(Key3):7B:F8:B6:7B:F4:B8:6F:34
Response Headers\nConnection:Upgrade\nSec-WebSocket-Location:ws://tv.example/live
Sec-WebSocket-Origin:http://tv.example\nUpgrade:WebSocket
(Challenge Response):00:42:0F:31:C5:59:57:A5:00:8E:A6:35:A5:C0:1E:82
";
    let lines = "General\nRequest URL\nwss://tv.example/live\nRequest Method\nGET\nStatus Code\n101 Switching Protocols
Response Headers\nconnection\nUpgrade\nsec-websocket-accept\ns3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nupgrade\nwebsocket
Request Headers\nconnection\nUpgrade\nhost\ntv.example\nsec-websocket-key\nvpDck4LQioZ623BzuzaMTw==
sec-websocket-version\n13\nupgrade\nwebsocket\n";
    let log = r"DEBUG recv: 'GET /live HTTP/1.1\r\nHost: tv.example\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n{\xf8\xb6{\xf4\xb8o4'";
    let right = "8C:42:0F:31";
    for (text, fault) in [
        (format!("{REQUEST}\n{}", ANSWER.replace("wss:", "ws:")), "location-scheme"),
        (format!("{REQUEST}\n{}", ANSWER.replace("?token=sekrit", "")), "location-query-lost"),
        (tcpdump.to_owned(), "hixie-75-lines-reordered"),
        (curl.to_owned(), "redirect-to-https"),
        (curl.replace("HTTP/1.1", "HTTP/2"), "http-version"),
        (curl.replace("HTTP/1.1 301 Moved Permanently", "HTTP/2 404 "), "answered-404"),
        (panel.to_owned(), "digest-wrong"),
        (panel.replace("00:42:0F:31", right), ""),
        (panel.replace("Location:ws:", "Location:wss:"), "location-scheme"),
        (lines.to_owned(), "accept-of-another-key"),
        (log.to_owned(), "hixie-keys-stripped"),
        ("Upgrade: websocket\nConnection: Upgrade\nHost: h\nSec-WebSocket-Key: x\nSec-WebSocket-Version: 6".into(), "version-of-a-draft"),
        ("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Accept: x".into(), "answer-connection-list"),
        ("GET /chat HTTP/1.0\nHost: h\nConnection: close\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".into(), "upgrade-stripped"),
        ("our televisions do not connect any more".into(), "not-understood"),
        (String::new(), "not-understood"),
    ] {
        assert_eq!(name(text.as_bytes()), fault, "{text}");
    }
}

#[test]
fn captured_bytes_are_judged_as_they_are() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let request = [crlf(REQUEST).as_bytes(), b"\r\n{\xf8\xb6{\xf4\xb8o4"].concat();
    let answer =
        [crlf(ANSWER).as_bytes(), b"\r\n\x8c\x42\x0f\x31\xc5\x59\x57\xa5\x00\x8e\xa6\x35\xa5\xc0\x1e\x82"].concat();
    let collapsed = crlf(&format!("{}\n", REQUEST.replace("  ", " ")));
    let bare = crlf(&format!("{REQUEST}\n")).replacen("\r\n", "\n", 2).replacen('\n', "\r\n", 1);
    for (bytes, fault) in [
        (request.clone(), ""),
        (answer.clone(), ""),
        ([&request[..], &answer].concat(), ""),
        ([&request[..], &answer[..answer.len() - 2]].concat(), "digest-short"),
        ([&request[..], b"\0hello\xff\xff\0"].concat(), ""),
        ([&request[..], b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"].concat(), "hybi-frame-from-hixie"),
        ([&answer[..], b"\x80\x03abc"].concat(), "binary-frame-to-hixie"),
        (collapsed.into_bytes(), "hixie-key-spaces-collapsed"),
        (bare.into_bytes(), "bare-line-end"),
        (b"GET /live HT".to_vec(), "head-unfinished"),
        (b"\x16\x03\x01\x00\x5a\x01\x00\x00\x56".to_vec(), "tls-on-plain-port"),
        (b"\x12\x34\x56\x78\x9a\xbc".to_vec(), "not-http"),
    ] {
        assert_eq!(name(&bytes), fault, "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_page_is_readable_and_keeps_secrets() {
    let output = hybridge(&["-"], format!("{REQUEST}\n{}", ANSWER.replace("wss:", "ws:")).as_bytes());
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for part in ["location-scheme", "Sec-WebSocket-Location", "public_url", "hixie-76", "iOS 4.2", "lost by the paste"]
    {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    for secret in ["sekrit", "topsecret"] {
        assert!(!printed.contains(secret), "{secret}\n{printed}");
    }
    assert_eq!(printed.lines().filter(|line| line.starts_with("BROKEN")).count(), 1, "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 100), "{printed}");
    assert!(!printed.contains('\x1b'), "colours are for terminals\n{printed}");
}

#[test]
fn every_fault_is_listed_and_misuse_is_told_apart() {
    let output = hybridge(&["--list"], b"");
    let listed = printed(&output);
    let names = listed.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).count();
    // The last line counts them.
    assert_eq!(names, hybridge::explain::Fault::ALL.len() + 1);
    assert!(listed.lines().all(|line| line.chars().count() <= 100));
    assert_eq!(output.status.code(), Some(0));
    for arguments in [&[][..], &["--list", "--name"], &["/no/such/file"], &["--nonsense", "-"]] {
        assert_eq!(hybridge(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
}

/// All the explained plays, as texts.
fn plays() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/explained");
    let plays: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    assert!(plays.len() > 100, "only {} plays were found", plays.len());
    plays
}

/// What plays, captures and pastes are made of, broken at some places.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = plays().iter().map(|play| play.clone().into_bytes()).collect();
    for play in plays() {
        let said = Transcript::parse(&play, "").unwrap().lines().iter().fold(Vec::new(), |mut said, line| {
            if let Act::Says(_, bytes) | Act::Hears(_, bytes) = &line.act {
                said.extend_from_slice(bytes);
            }
            said
        });
        texts.push(String::from_utf8_lossy(&said).replace("\r\n", "\n").into_bytes());
        texts.push(said.escape_ascii().to_string().into_bytes());
        texts.push(said);
    }
    texts.push(format!("{REQUEST}\n{ANSWER}").into_bytes());
    texts.push(
        b"Request URL\nws://h\nStatus Code:\n\nRequest Headers\n:\nHost\n(Key3):1:2\nResponse Headers\nx".to_vec(),
    );
    texts.retain(|text| !text.is_empty());
    (select(texts), vec((any::<Index>(), any::<u8>()), 0..4), any::<Index>()).prop_map(|(mut bytes, changes, end)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Mostly whole: an end in the front half keeps it so.
        let end = end.index(2 * bytes.len());
        bytes.truncate(if end < bytes.len() { bytes.len() } else { end - bytes.len() });
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic_or_find_two_faults(bytes in prop_oneof![4 => nearly(), 1 => vec(any::<u8>(), 0..200)]) {
        if let Ok(scene) = Scene::of_bytes(&bytes) {
            check_form(&explain(&scene));
        }
    }

    #[test]
    fn no_part_of_a_play_makes_it_panic_or_find_two_faults(play in select(plays()), parts in vec(any::<bool>(), 12)) {
        let play = Transcript::parse(&play, "").unwrap();
        let acts = play.lines().iter().map(|line| line.act.clone());
        let part = Transcript::of(acts.zip(parts.iter().cycle()).filter(|(_, stays)| **stays).map(|(act, _)| act));
        check_form(&explain(&Scene::of_play(&part)));
    }
}
