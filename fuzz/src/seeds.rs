//! What the fuzzer begins with: the bytes of the plays in `fixtures/`, by the project's own reader of plays, of the
//! captures and hellos in `tests/data/`, and a few by hand where there is none.

use std::fs;
use std::path::{Path, PathBuf};

use hybridge::config::{Config, Upstream};
use hybridge::conversation::Side;
use hybridge::dialect::Dialect;
use hybridge::dialect::opening::Proof;
use hybridge::handshake::{Received, receive};
use hybridge::http::{Request, head_length};
use hybridge::preamble::{Preamble, Tls, TlsFacts, Version};
use hybridge::transcript::{Act, Ending, Table, Transcript};

/// A seed: its name, and the fuzzer's bytes.
pub type Seed = (String, Vec<u8>);

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Seed> {
    match target {
        "answer" => plays().iter().flat_map(answers).collect(),
        "body" => by_hand(BODIES),
        "capture" => {
            files("tests/data/captures", "pcap").into_iter().chain(files("tests/data/captures", "pcapng")).collect()
        }
        "challenge" => plays().iter().filter_map(challenge).collect(),
        "claims" => by_hand(CLAIMS),
        "config" => [".", "examples"].iter().flat_map(|folder| files(folder, "toml")).collect(),
        "conversation" => plays().iter().filter_map(conversation).collect(),
        "explain" => plays()
            .iter()
            .flat_map(|play| [seed(play, &[], play.text.as_bytes()), seed(play, &[], &spoken(play))])
            .collect(),
        "hello" => files("tests/data/hello", "bin")
            .into_iter()
            .map(|(name, bytes)| (name, [&[1], &bytes[..]].concat()))
            .collect(),
        "hixie" => plays().iter().filter_map(|play| frames(play, true)).collect(),
        "hybi" => plays().iter().flat_map(|play| [frames(play, false), upstream_frames(play)]).flatten().collect(),
        "play" => plays().iter().map(|play| seed(play, &[2], play.text.as_bytes())).collect(),
        "preamble" => preambles(),
        "sniff" => plays().iter().filter_map(greeting).collect(),
        "sse" => plays().iter().filter(|play| play.name.starts_with("sse-")).filter_map(events).collect(),
        _ => Vec::new(),
    }
}

struct Play {
    name: String,
    text: String,
    acts: Vec<Act>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files with this extension, in the folder or in one of its folders.
fn files(folder: &str, extension: &str) -> Vec<Seed> {
    let mut found = Vec::new();
    let read =
        |folder: &Path| fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let top: Vec<PathBuf> = read(&root().join(folder)).collect();
    let below = top.iter().filter(|path| path.is_dir() && folder != ".").flat_map(|folder| read(folder));
    for path in top.iter().cloned().chain(below).filter(|path| path.extension().is_some_and(|own| own == extension)) {
        let parts: Vec<String> = path.iter().rev().take(2).map(|part| part.display().to_string()).collect();
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        found.push((format!("{}-{}", parts[1], parts[0]), bytes));
    }
    found.sort();
    found
}

fn plays() -> Vec<Play> {
    let play = |(name, text): Seed| {
        let text = String::from_utf8(text).expect("plays are text");
        let play = Transcript::parse(&text, &name).unwrap_or_else(|fault| panic!("{fault}"));
        Play { name, text, acts: play.lines().iter().map(|line| line.act.clone()).collect() }
    };
    let plays: Vec<Play> = files("fixtures", "txt").into_iter().map(play).collect();
    assert!(plays.len() > 500, "only {} plays were found", plays.len());
    plays
}

fn seed(play: &Play, choices: &[u8], bytes: &[u8]) -> Seed {
    let kind = if bytes == play.text.as_bytes() { "play" } else { "said" };
    (format!("{}-{kind}", play.name), [choices, bytes].concat())
}

fn said(play: &Play, side: Side) -> Vec<u8> {
    let of = |act: &Act| match act {
        Act::Says(own, bytes) if *own == side => bytes.clone(),
        _ => Vec::new(),
    };
    play.acts.iter().flat_map(of).collect()
}

/// What passed between the client and whoever answered it, as captured.
fn spoken(play: &Play) -> Vec<u8> {
    let of = |act: &Act| match act {
        Act::Says(Side::Downstream, bytes) | Act::Hears(Side::Downstream, bytes) => bytes.clone(),
        _ => Vec::new(),
    };
    play.acts.iter().flat_map(of).collect()
}

/// The client's dialect, and how many bytes of each side are the handshake.
fn opened(play: &Play) -> Option<(Dialect, [usize; 2])> {
    if let Some(dialect) =
        play.acts.iter().find_map(|act| if let Act::Opens(dialect) = act { Some(*dialect) } else { None })
    {
        return Some((dialect, [0, 0]));
    }
    let config = Config::simple(Vec::new(), Upstream::parse("ws://127.0.0.1:1").expect("a URL"));
    let client = said(play, Side::Downstream);
    match receive(&client, &config) {
        Received::Opening { opening, taken, .. } => {
            let key3 = if let Proof::Numbers(..) = opening.proof { 8 } else { 0 };
            let answer = head_length(&said(play, Side::Upstream)).ok().flatten().unwrap_or_default();
            Some((opening.dialect, [(taken + key3).min(client.len()), answer]))
        }
        _ => None,
    }
}

fn greeting(play: &Play) -> Option<Seed> {
    let bytes = said(play, Side::Downstream);
    (!bytes.is_empty() && bytes.len() < 20_000).then(|| seed(play, &[0, 3], &bytes))
}

fn frames(play: &Play, hixie: bool) -> Option<Seed> {
    let (dialect, [begin, _]) = opened(play)?;
    let choice = match dialect {
        Dialect::Hixie75 | Dialect::Hybi07 => 0,
        Dialect::Hixie76 => 1,
        Dialect::Hybi10 => 4,
        Dialect::Rfc6455 => 8,
    };
    let bytes = said(play, Side::Downstream).split_off(begin);
    (dialect.facts().version.is_none() == hixie && !bytes.is_empty()).then(|| seed(play, &[choice, 3], &bytes))
}

fn upstream_frames(play: &Play) -> Option<Seed> {
    let (_, [_, begin]) = opened(play)?;
    let bytes = said(play, Side::Upstream).split_off(begin);
    (!bytes.is_empty()).then(|| (format!("{}-upstream", play.name), [&[9, 3], &bytes[..]].concat()))
}

fn events(play: &Play) -> Option<Seed> {
    let bytes = said(play, Side::Upstream);
    let begin = if bytes.starts_with(b"HTTP/") { head_length(&bytes).ok()?? } else { 0 };
    Some(seed(play, &[1, 3], &bytes[begin..]))
}

fn answers(play: &Play) -> Vec<Seed> {
    let bytes = said(play, Side::Upstream);
    let heard = if bytes.starts_with(b"HTTP/") { bytes } else { spoken(play) };
    let Some(begin) = heard.windows(9).position(|nine| nine == b"HTTP/1.1 " && heard[0] == b'H') else {
        return Vec::new();
    };
    let kinds: &[u8] = if play.name.starts_with("sse-") { &[0, 5, 10] } else { &[0, 1, 4] };
    kinds.iter().map(|kind| (format!("{}-{kind}", play.name), [&[*kind, 3], &heard[begin..]].concat())).collect()
}

fn challenge(play: &Play) -> Option<Seed> {
    let bytes = said(play, Side::Downstream);
    let length = head_length(&bytes).ok()??;
    let request = Request::parse(&bytes[..length], 100).ok()?;
    let (key1, key2) = (request.fields.first("sec-websocket-key1")?, request.fields.first("sec-websocket-key2")?);
    let mut key3 = bytes[length..].to_vec();
    key3.resize(8, 0);
    Some(seed(play, &key3, &[key1, b"\n", key2].concat()))
}

/// The acts behind the handshake, as the target reads them.
fn conversation(play: &Play) -> Option<Seed> {
    let (dialect, mut skip) = opened(play)?;
    let policy = |text: &str| {
        ["close", "base64", "latin1", "drop"].iter().position(|name| text.contains(&format!("\"{name}\"")))
    };
    let (mut binary, mut limit) = (0, 0);
    for act in &play.acts {
        match act {
            Act::Setting(Table::Route, text) if text.starts_with("binary") => binary = policy(text)? as u8,
            Act::Setting(Table::Route, text) if text.starts_with("max_message") => limit = 2 | 20 << 2,
            _ => {}
        }
    }
    let mut bytes = vec![dialect as u8, binary, limit, 3];
    for act in &play.acts {
        let mut put = |kind: u8, side: Side| bytes.push(kind << 1 | side as u8);
        match act {
            Act::Says(side, said) => {
                let left = skip[*side as usize].min(said.len());
                skip[*side as usize] -= left;
                for piece in said[left..].chunks(255) {
                    bytes.extend([*side as u8, piece.len() as u8]);
                    bytes.extend(piece);
                }
            }
            Act::Ends(side, Ending::Fin) => put(4, *side),
            Act::Ends(side, Ending::Reset) => put(4 | 8, *side),
            Act::TimesOut(side) => put(5, *side),
            Act::ShutsDown => put(7, Side::Downstream),
            _ => {}
        }
    }
    (bytes.len() > 4 && bytes.len() < 8192).then(|| seed(play, &[], &bytes))
}

fn preambles() -> Vec<Seed> {
    let addresses = |one: &str, other: &str| (one.parse().expect("an address"), other.parse().expect("an address"));
    let facts = TlsFacts {
        version: Some("TLSv1.2".to_owned()),
        cipher: Some("ECDHE-RSA-AES128-GCM-SHA256".to_owned()),
        client_cn: Some("tv".to_owned()),
        client_cert: true,
        verified: true,
    };
    let (v4, v6) = (addresses("192.0.2.1:5", "192.0.2.2:80"), addresses("[2001:db8::1]:5", "[::1]:65535"));
    let full = Preamble {
        source: Some(v6),
        alpn: Some(b"http/1.1".to_vec()),
        authority: Some("tv.example".to_owned()),
        unique_id: Some(b"id".to_vec()),
        tls: Tls::Encrypted(facts),
    };
    let all = [full, Preamble::of(v4.0, v4.1), Preamble::of(v6.0, v6.1), Preamble::of(v4.0, v6.1), Preamble::default()];
    let mut seeds = Vec::new();
    for (number, preamble) in all.iter().enumerate() {
        for version in [Version::V1, Version::V2] {
            seeds.push((format!("{version}-{number}"), [&[3], &preamble.write(version)[..], b"GET"].concat()));
        }
    }
    seeds
}

fn by_hand(all: &[&str]) -> Vec<Seed> {
    all.iter().enumerate().map(|(number, text)| (format!("{number:02}"), text.as_bytes().to_vec())).collect()
}

/// The first two bytes say how the body is framed and how it is cut.
const BODIES: &[&str] = &[
    "\0\x035\r\nHello\r\n0\r\n\r\nHTTP",
    "\0\x0300a;x=\"y\"\r\n0123456789\r\n00\r\nX: 1\r\nY: 2\r\n\r\n",
    "\x01\x03Hello",
    "\x02\x03Hello",
    "\x06\x03Hello, World",
    "\x03\x03HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "\x03\x03HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello",
    "\x03\x03HTTP/1.1 200 OK\r\n\r\nHello",
];

/// The first byte says who sent them.
const CLAIMS: &[&str] = &[
    "\0Host: tv:8080\r\nX-Forwarded-For: 203.0.113.7, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\nX-Forwarded-Port: 443",
    "\0Host: tv\r\nForwarded: for=203.0.113.7;proto=https;host=a.example, for=\"[2001:db8::9]:47\";by=_x",
    "\0Host: tv\r\nX-Real-IP: 203.0.113.7",
    "\0Host: tv\r\nForwarded: for=\"_hidden\", for=unknown;proto=\"https\"",
    "\0Host: tv\r\nForwarded: for=\"\\\"203.0.113.7\r\nForwarded: for=10.0.0.1",
    "\x01Host: tv\r\nX-Forwarded-For: 203.0.113.7\r\nX_Forwarded_Proto: https",
    "\x02Host: [::1]:81\r\nX-Forwarded-For: 203.0.113.7:1, \"[2001:db8::1]:5\", unknown\r\nX-Forwarded-Proto: http, https, https",
    "\x03Host: tv\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-Host: a, b\r\nX-Forwarded-Port: 80, 443",
];
