//! A handshake in pasted text: found, unwrapped, and made into heads again.
//!
//! Pasting turns CR LF into LF, indents, quotes, puts prose and fences around, and loses what cannot be printed. None of
//! that may look like a fault, so what it may have changed is not judged.

use super::scene::{Scene, Sight, Step, Who};
use crate::http;

/// As many lines of text are looked at.
const MAX_LINES: usize = 20_000;
const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT"];

/// A head found in text.
#[derive(Debug, Default)]
struct Block {
    start: String,
    fields: Vec<(String, String)>,
    /// Lines that followed its blank line.
    after: Vec<String>,
}

/// A line's part of a head.
enum Start {
    Request(String),
    Response(String),
}

/// The handshake in a text, if there is one.
pub(super) fn scene(text: &str) -> Option<Scene> {
    if let Some(bytes) = unescaped(text) {
        let mut scene = Scene::of_capture(&bytes);
        scene.remark("The text holds \\r\\n in letters: it was read as the bytes it stands for.");
        return Some(scene);
    }
    let lines: Vec<&str> = text.lines().take(MAX_LINES).map(clean).collect();
    let mut panel = Panel::default();
    if lines.iter().any(|line| panel_value(line, "Request URL").is_some()) {
        panel.read(&lines);
        return panel.scene();
    }
    let (mut request, mut response) = find_blocks(&lines);
    let mut remarks = Vec::new();
    if request.is_none() && response.is_none() {
        let block = fields_alone(&lines)?;
        let has = |name: &str| block.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
        let answer =
            ["Sec-WebSocket-Accept", "Sec-WebSocket-Location", "WebSocket-Location"].iter().any(|name| has(name));
        remarks.push("The first line was not pasted: a plain one was assumed.");
        if answer {
            response = Some(Block { start: "HTTP/1.1 101 ".into(), ..block });
        } else {
            request = Some(Block { start: "GET / HTTP/1.1".into(), ..block });
        }
    }
    let mut scene = assemble(request, response);
    remarks.into_iter().for_each(|remark| scene.remark(remark));
    Some(scene)
}

fn assemble(request: Option<Block>, response: Option<Block>) -> Scene {
    let sight = |block: &Option<Block>| if block.is_some() { Sight::Pasted } else { Sight::None };
    let (client, server) = (sight(&request), sight(&response));
    let mut steps = Vec::new();
    if let Some(block) = request {
        steps.push(Step::Says(Who::Client, block.bytes(8)));
    }
    if let Some(block) = response {
        steps.push(Step::Says(Who::Server, block.bytes(16)));
    }
    let mut scene = Scene::new(steps, client, server);
    scene.remark(
        "This was pasted as text: line ends, unprintable bytes and runs of blanks do not survive that, and are not judged.",
    );
    scene
}

impl Block {
    /// The head as it was on the wire, and behind it the `proof` printable bytes that may have survived, or the body.
    fn bytes(&self, proof: usize) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.start);
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        out += "\r\n";
        match self.after.iter().find(|line| !line.is_empty()) {
            Some(line) if line.len() == proof => out += line,
            _ if proof == 16 => out += &self.after.join("\n"),
            _ => {}
        }
        out.into_bytes()
    }
}

/// Without line ends in any form, colours, and blanks behind.
fn clean(line: &str) -> &str {
    let line = line.trim_end();
    line.strip_suffix("^M").or(line.strip_suffix("\\r")).unwrap_or(line).trim_end()
}

/// Finds the first request and the first response behind it, or before it.
fn find_blocks(lines: &[&str]) -> (Option<Block>, Option<Block>) {
    let (mut request, mut response) = (None, None);
    let mut at = 0;
    while at < lines.len() {
        let Some((prefix, start)) = start_line(lines[at]) else {
            at += 1;
            continue;
        };
        // tcpdump's own summary of a packet names the request, too, and then shows it.
        let (block, next) = read_block(lines, at + 1, prefix);
        let again = lines.get(at + 1).is_some_and(|line| start_line(line).is_some());
        at = next;
        if again {
            continue;
        }
        match start {
            Start::Request(start) if request.is_none() => request = Some(Block { start, ..block }),
            Start::Response(start) if response.is_none() => response = Some(Block { start, ..block }),
            _ => {}
        }
    }
    (request, response)
}

/// HTTP/2 as a version of a request line, which it has none of.
const HTTP_2: &str = "HTTP/2.0";

/// A request line or status line, wherever in the line it stands, and what stands before it.
fn start_line(line: &str) -> Option<(&str, Start)> {
    let free = |at: usize| !line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '/');
    for method in METHODS {
        for (at, _) in line.match_indices(method).filter(|(at, _)| free(*at)) {
            let mut words = line[at..].trim_end_matches(['"', '\'', ',', '`']).split(' ');
            let (name, target, version, more) = (words.next(), words.next(), words.next(), words.next());
            if let (Some(name), Some(target), Some(version), None) = (name, target, version, more)
                && name == method
                && !target.is_empty()
                && let Some(version) = http_version(version)
            {
                return Some((&line[..at], Start::Request(format!("{method} {target} {version}"))));
            }
        }
    }
    let at = ["HTTP/1.", "HTTP/2 "].iter().find_map(|start| line.find(start)).filter(|at| free(*at))?;
    let rest = &line[at..];
    let (version, rest) = rest.split_once(' ')?;
    // An answer of HTTP/2 says the same; that it came so is told by its request.
    let version = http_version(version).map(|version| if version == HTTP_2 { "HTTP/1.1" } else { version })?;
    let (status, reason) = rest.split_at_checked(3)?;
    let separated = reason.is_empty() || reason.starts_with(' ');
    if !status.bytes().all(|byte| byte.is_ascii_digit()) || !separated {
        return None;
    }
    // A blank at the end of the line did not survive.
    let reason = reason.trim_start_matches(' ').trim_end_matches(['"', '\'', '`']);
    Some((&line[..at], Start::Response(format!("{version} {status} {reason}"))))
}

/// `HTTP/1.1`, perhaps with the dot that an old tcpdump prints for CR; and what curl -v shows of the next one.
fn http_version(word: &str) -> Option<&str> {
    if word == "HTTP/2" {
        return Some(HTTP_2);
    }
    let word = word.strip_suffix('.').filter(|word| word.len() == 8).unwrap_or(word);
    let digits = word.strip_prefix("HTTP/")?.as_bytes();
    matches!(digits, [b'0'..=b'9', b'.', b'0'..=b'9']).then_some(word)
}

/// Reads header lines up to the blank one, and what follows it up to the next head.
fn read_block(lines: &[&str], from: usize, prefix: &str) -> (Block, usize) {
    let mut block = Block::default();
    let doubled = is_doubled(lines, from, prefix);
    let mut at = from;
    while let Some(line) = lines.get(at) {
        if start_line(line).is_some() {
            return (block, at);
        }
        let line = unquoted(line, prefix);
        let blank = line.trim().is_empty();
        let goes_on = doubled && lines.get(at + 1).is_some_and(|next| !next.trim().is_empty());
        if is_fence(line) || blank && !goes_on {
            break;
        }
        // A line that is no header is a wrapped one, or prose: it is left out.
        if let Some(field) = field(line) {
            block.fields.push(field);
        }
        at += 1;
    }
    at += usize::from(at < lines.len());
    while let Some(line) = lines.get(at) {
        if start_line(line).is_some() || is_fence(line) {
            break;
        }
        block.after.push(unquoted(line, prefix).to_owned());
        at += 1;
    }
    (block, at)
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~")
}

/// Whether every line is followed by an empty one, as where each of CR and LF became a line end.
fn is_doubled(lines: &[&str], from: usize, prefix: &str) -> bool {
    let line = |at: usize| lines.get(from + at).map(|line| unquoted(line, prefix)).unwrap_or_default();
    let is_field = |at: usize| field(line(at)).is_some();
    line(0).is_empty() && is_field(1) && line(2).is_empty() && is_field(3)
}

/// The line without what stood before the head's first line: blanks, `> `, a time stamp of the same form.
fn unquoted<'a>(line: &'a str, prefix: &str) -> &'a str {
    if let Some(rest) = line.strip_prefix(prefix).filter(|_| !prefix.is_empty()) {
        return rest;
    }
    let end = prefix.chars().rev().take(2).collect::<String>();
    if let Some((before, rest)) = line.split_at_checked(prefix.len())
        && prefix.len() > 4
        && before.chars().rev().take(2).collect::<String>() == end
        && (rest.is_empty() || field(rest).is_some())
    {
        return rest;
    }
    // An empty quoted line has lost its blank.
    let line = line.trim_start();
    line.trim_start_matches(['>', '<', '|']).trim_start()
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim().trim_end_matches("\\r\\n");
    (http::is_token(name.as_bytes()) && !value.starts_with("//")).then(|| (name.to_owned(), value.to_owned()))
}

/// Header lines without a first line: enough of them that belong to a handshake.
fn fields_alone(lines: &[&str]) -> Option<Block> {
    let fields: Vec<_> = lines.iter().filter_map(|line| field(unquoted(line, ""))).collect();
    let known = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("sec-websocket-") || name.starts_with("websocket-") || name == "upgrade"
    };
    (fields.iter().filter(|(name, _)| known(name)).count() >= 2).then(|| Block { fields, ..Block::default() })
}

/// Text in which line ends are written `\r\n`, as in a program's log: the bytes it stands for.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let end = text.find("\\r\\n")?;
    let line_start = text[..end].rfind('\n').map_or(0, |at| at + 1);
    let (prefix, _) = start_line(&text[line_start..end])?;
    let begin = line_start + prefix.len();
    let quoted = prefix.ends_with(['"', '\'']);
    let mut out = Vec::new();
    let mut rest = text[begin..].chars();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\'' if quoted && prefix.ends_with(c) => break,
            '\n' => break,
            '\\' => match rest.next()? {
                'r' => out.push(b'\r'),
                'n' => out.push(b'\n'),
                't' => out.push(b'\t'),
                '0' => out.push(0),
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&digits, 16).ok()?);
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    http::head_length(&out).ok().flatten().map(|_| out)
}

/// The value of a line `Name: value` or `Name:value` of a network panel.
fn panel_value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(name)?;
    // The newest panels put name and value on lines of their own.
    if rest.trim().is_empty() { Some("") } else { rest.strip_prefix(':').map(str::trim) }
}

/// What a browser's network panel shows of one request.
#[derive(Debug, Default)]
struct Panel {
    url: String,
    method: String,
    status: String,
    request: Vec<(String, String)>,
    response: Vec<(String, String)>,
    /// WebKit's inspector shows both secrets of hixie-76 in hexadecimal.
    key3: Vec<u8>,
    digest: Vec<u8>,
}

impl Panel {
    fn read(&mut self, lines: &[&str]) {
        let mut section = None;
        let mut lines = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            if line.starts_with("Request Headers") {
                section = Some(Who::Client);
                continue;
            }
            if line.starts_with("Response Headers") {
                section = Some(Who::Server);
                continue;
            }
            let hex =
                |text: &str| text.split([':', ' ']).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
            if let Some(key3) = panel_value(line, "(Key3)") {
                self.key3 = hex(key3);
                continue;
            }
            if let Some(digest) = panel_value(line, "(Challenge Response)") {
                self.digest = hex(digest);
                continue;
            }
            let with_colon = line.split_once(':').map(|(name, value)| (name, value.trim()));
            let (name, mut value) = with_colon.unwrap_or((line, ""));
            if section.is_none() && !["Request URL", "Request Method", "Status Code"].contains(&name) {
                continue;
            }
            // Newer panels put the value on a line of its own, the newest leave out the colon, too.
            let is_value = |next: &&str| !next.ends_with("Headers") && (with_colon.is_none() || field(next).is_none());
            if value.is_empty()
                && let Some(next) = lines.next_if(is_value)
            {
                value = next;
            }
            match (name, section) {
                ("Request URL", _) => self.url = value.to_owned(),
                ("Request Method", _) => self.method = value.to_owned(),
                ("Status Code", _) => self.status = value.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned(),
                (name, Some(who)) if http::is_token(name.as_bytes()) => {
                    let fields = if who == Who::Client { &mut self.request } else { &mut self.response };
                    fields.push((name.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
    }

    fn scene(self) -> Option<Scene> {
        let (scheme, rest) = self.url.split_once("://")?;
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let target = if target.is_empty() { "/" } else { target };
        let method = if self.method.is_empty() { "GET" } else { &self.method };
        let mut request = self.request;
        if !request.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.insert(0, ("Host".into(), host.to_owned()));
        }
        let request = Block { start: format!("{method} {target} HTTP/1.1"), fields: request, after: Vec::new() };
        let has_answer = !self.status.is_empty();
        let status = if self.status.contains(' ') { self.status } else { format!("{} ", self.status) };
        let response = Block { start: format!("HTTP/1.1 {status}"), fields: self.response, after: Vec::new() };
        let mut scene = assemble(Some(request), has_answer.then_some(response));
        let has_proof = self.key3.len() == 8 && self.digest.len() == 16;
        for (step, bytes) in scene.steps.iter_mut().zip([self.key3, self.digest]) {
            if let Step::Says(_, said) = step {
                said.extend(bytes);
            }
        }
        scene.proof_survived = has_proof;
        scene.secure = Some(matches!(scheme, "wss" | "https"));
        scene.sorted = true;
        scene.remark("A network panel sorts headers: their order is not judged.");
        Some(scene)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let scene = scene(text).expect(text);
        [scene.said_by(Who::Client), scene.said_by(Who::Server)].concat().escape_ascii().to_string()
    }

    #[test]
    fn whatever_a_paste_wraps_around_a_head_is_taken_off() {
        let expected = "GET /a HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: WebSocket\\r\\n\\r\\n";
        for text in [
            "GET /a HTTP/1.1\nHost: h\nUpgrade: WebSocket\n",
            "It says:\n\n    GET /a HTTP/1.1  \n    Host: h\n    Upgrade: WebSocket\n\nWhat now: nobody knows",
            "* Connected\n> GET /a HTTP/1.1\n> Host: h\n> Upgrade: WebSocket\n>\n* waiting: yes",
            "```\nGET /a HTTP/1.1\nHost:h\nUpgrade:WebSocket\n```\nX: y",
            "GET /a HTTP/1.1\n\nHost: h\n\nUpgrade: WebSocket\n\n",
            "GET /a HTTP/1.1^M\nHost: h^M\nUpgrade: WebSocket^M\n^M\n",
            "12:00:01.1 > GET /a HTTP/1.1\n12:00:01.2 > Host: h\n12:00:01.3 > Upgrade: WebSocket\n",
            "10:00:00 IP a > b: HTTP: GET /a HTTP/1.1\nE..4..@.P....GET /a HTTP/1.1\nHost: h\nUpgrade: WebSocket\n\n",
            "request: \"GET /a HTTP/1.1\\r\\nHost: h\\r\\nUpgrade: WebSocket\\r\\n\\r\\n\"",
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        assert!(scene("nothing: of the kind\nat all").is_none());
    }
}
