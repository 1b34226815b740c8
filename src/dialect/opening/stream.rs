//! What an opening handshake becomes where the upstream sends Server-Sent Events: a request for its events (WHATWG HTML
//! §9.2.3), the judgement of its answer, and requests for what the client sends.

use super::{Agreed, Line, Opening, declined, put};
use crate::http::body::{Ambiguous, Framing};
use crate::http::{self, Refusal, Repeated, Response};

/// The header that tells the connections of clients apart, the same in every request of one.
pub const CONNECTION_ID: &str = "Hybridge-Connection";
/// The header that says behind which event a stream goes on.
const LAST_ID: &str = "Last-Event-ID";

/// Where a client wants its events to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The client's target without what it says of that.
    pub target: String,
    /// The id of the event behind which it goes on, empty for none.
    pub last_id: String,
}

/// What an upstream answers to a request for its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// They follow.
    Open(Box<Open>),
    /// They are there, at this target on the same host.
    Elsewhere(String),
    /// There are no more.
    Done(Refusal),
    /// Not now.
    Later(Refusal),
    /// No.
    Refused(Refusal),
}

/// An event stream that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What the client is answered.
    pub agreed: Agreed,
    /// How the stream is framed.
    pub framing: Framing,
}

/// Whether an id can stand in a header, so that the upstream can be asked for what follows it.
pub fn is_sendable(id: &str) -> bool {
    // RFC 9110 §5.5. Browsers would send other controls too; hardly a server would read them.
    !id.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7F)
}

/// Where a request for events went.
#[derive(Clone, Copy, Debug)]
pub struct Addressed<'a> {
    /// Path and query.
    pub target: &'a str,
    /// The hosts that the upstream is known by: the one it was told, and its own.
    pub hosts: [&'a str; 2],
    /// Whether it went over TLS.
    pub secure: bool,
}

impl Opening {
    /// Takes what the client says of where to go on from its header, or else from the first of these query parameters
    /// that is there.
    ///
    /// # Errors
    /// It is an id that no header can hold.
    pub fn start(&self, parameters: &[String]) -> Result<Start, Refusal> {
        let (path, query) = self.target.split_once('?').map_or((&*self.target, None), |(path, q)| (path, Some(q)));
        let mut rest = Vec::new();
        let mut asked: Vec<Option<&str>> = vec![None; parameters.len()];
        for pair in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match parameters.iter().position(|known| known == name) {
                // It goes on as a header: as a parameter it would contradict that when the stream is resumed.
                Some(place) => asked[place] = asked[place].or(Some(value)),
                None => rest.push(pair),
            }
        }
        let target = match (query, rest.is_empty()) {
            (None, _) | (_, true) => path.to_owned(),
            _ => format!("{path}?{}", rest.join("&")),
        };
        let header = self.forwarded.iter().find_map(|line| match line {
            Line::Other(name, value) if name.eq_ignore_ascii_case(LAST_ID) => Some(value.clone()),
            _ => None,
        });
        let id = header.or_else(|| asked.into_iter().flatten().next().map(decoded)).unwrap_or_default();
        match String::from_utf8(id) {
            Ok(last_id) if is_sendable(&last_id) => Ok(Start { target, last_id }),
            _ => Err(Refusal::new(400, "the id of the last event is none that a header can hold (WHATWG HTML 9.2.4)")),
        }
    }

    /// The request for the events at `target`, behind the event `last_id`. `host` replaces the client's `Host` where the
    /// route says so; `connection` tells this client from others.
    pub fn events_request(&self, target: &str, host: Option<&str>, connection: &str, last_id: &str) -> Vec<u8> {
        let mut out = format!("GET {target} HTTP/1.1\r\n").into_bytes();
        put(&mut out, "Accept", b"text/event-stream");
        put(&mut out, "Cache-Control", b"no-cache");
        if !last_id.is_empty() {
            put(&mut out, LAST_ID, last_id.as_bytes());
        }
        for (name, value) in self.travelling(host, connection) {
            put(&mut out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The header fields of a request that takes one of the client's messages to the upstream, but for those that
    /// describe the message.
    pub fn send_fields<'a>(
        &'a self,
        host: Option<&'a str>,
        connection: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.travelling(host, connection)
    }

    /// The client's field lines that travel on, and the connection's id.
    fn travelling<'a>(
        &'a self,
        host: Option<&'a str>,
        connection: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let lines = self.forwarded.iter().filter_map(move |line| match line {
            Line::Host(name) => Some((&**name, host.unwrap_or(&self.host).as_bytes())),
            Line::Origin => Some(("Origin", self.origin.as_deref().unwrap_or_default().as_bytes())),
            Line::Other(name, _) if is_about_the_request(name) => None,
            Line::Other(name, value) => Some((&**name, &**value)),
        });
        std::iter::once((CONNECTION_ID, connection.as_bytes())).chain(lines)
    }

    /// Judges the upstream's answer to a request for events (WHATWG HTML §9.2.3).
    pub fn events_answer(&self, response: &Response<'_>, addressed: &Addressed<'_>) -> Answer {
        let refused = |status, what: &str| Refusal::new(status, format!("the upstream answered {what}"));
        match response.status {
            200 => {}
            204 | 205 => {
                return Answer::Done(refused(503, &format!("{}: it has no events", response.status)));
            }
            301 | 302 | 303 | 307 | 308 => {
                return match redirected(response, addressed) {
                    Some(target) => Answer::Elsewhere(target),
                    None => Answer::Refused(declined(response)),
                };
            }
            502..=504 => return Answer::Later(declined(response)),
            _ => return Answer::Refused(declined(response)),
        }
        let bad = |what: &str| Answer::Refused(refused(502, what));
        let fields = &response.fields;
        let content_type = match fields.only("content-type") {
            Ok(value) => value.unwrap_or_default(),
            Err(Repeated) => return bad("200 with two content types"),
        };
        let essence = content_type.split(|byte| *byte == b';').next().map(http::trim).unwrap_or_default();
        if !essence.eq_ignore_ascii_case(b"text/event-stream") {
            return bad(&format!("200 with {:?}, which is no event stream", String::from_utf8_lossy(content_type)));
        }
        if fields.iter().any(|field| field.is("content-encoding") && !field.value.eq_ignore_ascii_case(b"identity")) {
            return bad("200 with an encoding that was not asked for");
        }
        let Ok::<_, Ambiguous>(framing) = Framing::of(response) else {
            return bad("200 with a body whose end is ambiguous (RFC 9112 6.3)");
        };
        Answer::Open(Box::new(Open { agreed: self.agreed_to_events(response), framing }))
    }

    /// What the client is answered: an event stream knows no subprotocols, but a hixie client that asked for one insists
    /// on it, as in [`Opening::agree`].
    fn agreed_to_events(&self, response: &Response<'_>) -> Agreed {
        let mut agreed = Agreed::default();
        if let Some(asked) = self.asked.as_ref().filter(|_| self.dialect.facts().version.is_none()) {
            agreed.subprotocol = Some(asked.value.clone());
            agreed.subprotocol_assumed = true;
        }
        // Of the response to a request for events, the client's own answer takes no more than its cookies.
        for field in response.fields.iter().filter(|field| field.is("set-cookie")) {
            if self.travels_back(field, response) {
                put(&mut agreed.fields, field.name, field.value);
            }
        }
        agreed
    }
}

/// Whether a field describes the request or its answer, and is ours to write.
fn is_about_the_request(name: &str) -> bool {
    // In any spelling that a backend could take for them, or a client could speak in the name of another.
    const OURS: [&str; 4] = ["cache-control", "range", LAST_ID, CONNECTION_ID];
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
    begins("accept") && !name.eq_ignore_ascii_case("accept-language")
        || begins("content-")
        || begins("if-")
        || OURS.iter().any(|ours| http::is_alike(ours, name))
}

/// The bytes of a query's value (WHATWG URL §5.1).
fn decoded(value: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (byte, taken) = match (first, after) {
            (b'+', _) => (b' ', 1),
            (b'%', [high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[taken..];
    }
    bytes
}

/// Where a redirection leads, if that is on one of these hosts and no more or less secure.
fn redirected(response: &Response<'_>, addressed: &Addressed<'_>) -> Option<String> {
    let Addressed { target, hosts, secure } = *addressed;
    let location = response.fields.only("location").ok().flatten()?;
    let location = std::str::from_utf8(location).ok()?.split('#').next()?;
    if location.is_empty() || !location.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (scheme, usual_port) = if secure { ("https:", ":443") } else { ("http:", ":80") };
    let begins = location.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    let absolute = begins.then(|| &location[scheme.len()..]);
    if let Some(rest) = absolute.unwrap_or(location).strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let plain = |host: &str| host.strip_suffix(usual_port).unwrap_or(host).to_ascii_lowercase();
        let same = hosts.iter().any(|host| plain(host) == plain(authority));
        let slash = if path.starts_with('/') { "" } else { "/" };
        return same.then(|| format!("{slash}{path}"));
    }
    let before_path = location.split(['/', '?']).next().unwrap_or_default();
    if before_path.contains(':') {
        return None;
    }
    let path = target.split('?').next().unwrap_or_default();
    match location.as_bytes()[0] {
        b'/' => Some(location.to_owned()),
        b'?' => Some(format!("{path}{location}")),
        _ => {
            let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
            let (relative, query) = location.split_at(location.find('?').unwrap_or(location.len()));
            Some(without_dots(&format!("{folder}{relative}")) + query)
        }
    }
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let folder = path.ends_with("/.") || path.ends_with("/..");
    format!("/{}{}", segments.join("/"), if folder && !segments.is_empty() { "/" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::dialect::opening::{Asked, Proof};
    use crate::http::Request;

    fn opening(dialect: Dialect, target: &str, lines: &str) -> Opening {
        let head = format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
        let request = Request::parse(head.as_bytes(), 100).expect("a head");
        let asked = Some(Asked {
            header: "Sec-WebSocket-Protocol",
            value: "a b".into(),
            names: vec!["a".into(), "b".into()],
            answer_name: dialect == Dialect::Rfc6455,
        });
        Opening::new(dialect, &request, target, Some("http://o"), asked, Proof::None)
    }

    #[test]
    fn a_client_says_where_to_go_on_by_header_or_parameter() {
        let names = ["lastEventId".to_owned(), "Last-Event-ID".to_owned()];
        let check = |target: &str, lines: &str, expected: Result<(&str, &str), u16>| {
            let start = opening(Dialect::Rfc6455, target, lines).start(&names);
            let got = start.as_ref().map(|start| (&*start.target, &*start.last_id)).map_err(|refusal| refusal.status);
            assert_eq!(got, expected, "{target} {lines}");
        };
        check("/a?b=c&d", "", Ok(("/a?b=c&d", "")));
        check("/a", "", Ok(("/a", "")));
        check("/a?", "", Ok(("/a?", "")));
        check("/a?lastEventId=7", "", Ok(("/a", "7")));
        check("/a?x&lastEventId=7&y=1", "", Ok(("/a?x&y=1", "7")));
        check("/a?Last-Event-ID=7&x", "", Ok(("/a?x", "7")));
        // The first name counts before the second, and of one name what stands first.
        check("/a?Last-Event-ID=8&lastEventId=7&lastEventId=9", "", Ok(("/a", "7")));
        check("/a?lasteventid=7", "", Ok(("/a?lasteventid=7", "")));
        check("/a?lastEventId", "", Ok(("/a", "")));
        check("/a?lastEventId=a%20b+c%C3%A9%2", "", Ok(("/a", "a b c\u{E9}%2")));
        check("/a?lastEventId=%0A", "", Err(400));
        check("/a?lastEventId=%00", "", Err(400));
        check("/a?lastEventId=%FF", "", Err(400));
        check("/a?lastEventId=7", "last-event-id: 6\r\n", Ok(("/a", "6")));
        check("/a?lastEventId=7", "Last-Event-ID: \r\n", Ok(("/a", "")));
    }

    #[test]
    fn the_request_for_events_has_what_a_browsers_has_and_what_the_client_sent() {
        let lines = "Host: tv:8080\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nOrigin: http://o\r\nX-Hop: 1\r\n\
            Sec-WebSocket-Key: k\r\nCookie: a=b\r\nCOOKIE: c=d\r\nAccept: */*\r\naccept-encoding: gzip\r\n\
            Accept-Language: de\r\nX-Forwarded-For: 1.2.3.4\r\nLast-Event-ID: 3\r\nhybridge-connection: forged\r\n\
            Hybridge_Connection: forged\r\nlast_event_id: 4\r\n\
            Cache-Control: max-age=0\r\nIf-None-Match: x\r\nContent-Type: a/b\r\nAuthorization: Basic eA==\r\n";
        let opening = opening(Dialect::Rfc6455, "/x", lines);
        let request = |host, last_id| opening.events_request("/n?x", host, "17", last_id).escape_ascii().to_string();
        let expected = "GET /n?x HTTP/1.1\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\
            Hybridge-Connection: 17\r\nHost: tv:8080\r\nOrigin: http://o\r\nCookie: a=b\r\nCOOKIE: c=d\r\n\
            Accept-Language: de\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: Basic eA==\r\n\r\n";
        assert_eq!(request(None, ""), expected.escape_default().to_string());
        let resumed =
            expected.replace("no-cache\r\n", "no-cache\r\nLast-Event-ID: \u{E9} 1\r\n").replace("tv:8080", "backend");
        assert_eq!(request(Some("backend"), "\u{E9} 1"), resumed.as_bytes().escape_ascii().to_string());
        let fields: Vec<&str> = opening.send_fields(None, "17").map(|(name, _)| name).collect();
        let names = ["Host", "Origin", "Cookie", "COOKIE", "Accept-Language", "X-Forwarded-For", "Authorization"];
        assert_eq!(fields, [&["Hybridge-Connection"][..], &names].concat());
    }

    fn answer(status: &str, lines: &str) -> Answer {
        answer_over(false, status, lines)
    }

    fn answer_over(secure: bool, status: &str, lines: &str) -> Answer {
        let head = format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        let response = Response::parse(head.as_bytes(), 100).expect("a head");
        opening(Dialect::Rfc6455, "/a/b?c", "")
            .events_answer(&response, &Addressed { target: "/a/b?c", hosts: ["backend:9000", "tv"], secure })
    }

    #[test]
    fn an_answer_opens_the_stream_only_if_it_is_one() {
        let stream = "Content-Type: text/event-stream\r\n";
        for lines in [
            stream,
            "content-type: TEXT/Event-Stream ; charset=latin-1\r\n",
            "Content-Type: text/event-stream\r\nContent-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert!(matches!(answer("200 OK", lines), Answer::Open(_)), "{lines}");
        }
        let twice = stream.repeat(2);
        for (status, lines, expected) in [
            ("200 OK", "", 502),
            ("200 OK", "Content-Type: text/html\r\n", 502),
            ("200 OK", "Content-Type: text/event-streams\r\n", 502),
            ("200 OK", &*twice, 502),
            ("200 OK", "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n", 502),
            ("200 OK", "Content-Type: text/event-stream\r\nContent-Length: x\r\n", 502),
            ("201 Created", stream, 502),
            ("206 Partial Content", stream, 502),
            ("101 Switching Protocols", stream, 502),
            ("300 Multiple Choices", stream, 300),
            ("304 Not Modified", "", 502),
            ("401 Unauthorized", "WWW-Authenticate: Basic\r\n", 401),
            ("404 Not Found", stream, 404),
            ("426 Upgrade Required", "", 502),
            ("500 Oops", "", 500),
        ] {
            match answer(status, lines) {
                Answer::Refused(refusal) => assert_eq!(refusal.status, expected, "{status} {lines}"),
                other => panic!("{status} {lines}: {other:?}"),
            }
        }
        for (status, expected) in [("204 No Content", 503), ("205 Reset Content", 503)] {
            assert!(matches!(answer(status, stream), Answer::Done(refusal) if refusal.status == expected), "{status}");
        }
        for (status, expected) in [("502 Bad", 502), ("503 Busy", 503), ("504 Slow", 504)] {
            assert!(matches!(answer(status, ""), Answer::Later(refusal) if refusal.status == expected), "{status}");
        }
    }

    #[test]
    fn a_redirection_is_followed_on_the_same_host_alone() {
        let rows = [
            ("/x?y", Some("/x?y")),
            ("/x#y", Some("/x")),
            ("http://backend:9000/x", Some("/x")),
            ("HTTP://Backend:9000", Some("/")),
            ("http://backend:9000?q", Some("/?q")),
            ("http://tv:80/x", Some("/x")),
            ("//tv/x", Some("/x")),
            ("http://backend/x", None),
            ("http://evil/x", None),
            ("//evil/x", None),
            ("http://tv@evil/x", None),
            ("https://tv/x", None),
            ("mailto:x", None),
            ("", None),
            ("/x y", None),
            ("?q", Some("/a/b?q")),
            ("x", Some("/a/x")),
            ("x?a:b", Some("/a/x?a:b")),
            ("../x", Some("/x")),
            ("../../x", Some("/x")),
            ("./x/./y/..?z", Some("/a/x/?z")),
            (".", Some("/a/")),
        ];
        for (location, expected) in rows {
            for status in [301, 302, 303, 307, 308] {
                match (answer(&format!("{status} There"), &format!("Location: {location}\r\n")), expected) {
                    (Answer::Elsewhere(target), Some(expected)) => assert_eq!(target, expected, "{location}"),
                    (Answer::Refused(refusal), None) => assert_eq!(refusal.status, status),
                    (other, _) => panic!("{location}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_redirection_neither_leaves_tls_nor_begins_it() {
        for (location, secure, expected) in [
            ("https://tv/x", true, Some("/x")),
            ("HTTPS://tv:443/x", true, Some("/x")),
            ("//tv/x", true, Some("/x")),
            ("http://tv/x", true, None),
            ("https://tv:80/x", true, None),
            ("https://tv/x", false, None),
        ] {
            match (answer_over(secure, "302 There", &format!("Location: {location}\r\n")), expected) {
                (Answer::Elsewhere(target), Some(expected)) => assert_eq!(target, expected, "{location}"),
                (Answer::Refused(_), None) => {}
                (other, _) => panic!("{location} {secure}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_hixie_client_is_answered_the_subprotocol_it_insists_on() {
        for (dialect, expected) in [(Dialect::Hixie76, Some("a b")), (Dialect::Rfc6455, None)] {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: a=b\r\nX: y\r\n\r\n";
            let response = Response::parse(head, 100).expect("a head");
            let Answer::Open(open) = opening(dialect, "/", "")
                .events_answer(&response, &Addressed { target: "/", hosts: ["", ""], secure: false })
            else {
                panic!("it is a stream");
            };
            assert_eq!(open.agreed.subprotocol.as_deref(), expected);
            assert_eq!(open.agreed.fields, b"Set-Cookie: a=b\r\n");
        }
    }
}
