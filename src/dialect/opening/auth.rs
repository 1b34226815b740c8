//! The question whether an opening handshake may pass, as servers expect it that were made for nginx's `auth_request`,
//! Traefik's `forwardAuth` or Caddy's `forward_auth`, and the judgement of the answer.

use std::net::IpAddr;

use super::{Line, Opening, declined_by, put};
use crate::http::{self, Refusal, Response};

/// A header of the answer that goes on to the backend: name and value.
pub type Granted = (String, Vec<u8>);

/// What is known of a client besides its head.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Its address.
    pub client: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The host and port of its URL.
    pub authority: String,
}

/// The headers in which the question itself stands. What a client says in them it says of its own making.
fn is_about_the_client(name: &str) -> bool {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| http::is_alike(start, prefix));
    starts("x-forwarded-")
        || starts("x-original-")
        || http::is_alike(name, "forwarded")
        || http::is_alike(name, "x-real-ip")
}

impl Opening {
    /// The question, for `target` at the auth server that is known as `host`: the client's own end-to-end headers,
    /// and what it asked for, in the words of each of the three.
    pub fn auth_request(&self, target: &str, host: &str, asker: &Asker) -> Vec<u8> {
        let mut out = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n").into_bytes();
        for line in &self.forwarded {
            match line {
                Line::Host(_) => {}
                Line::Origin => put(&mut out, "Origin", self.origin.as_deref().unwrap_or_default().as_bytes()),
                Line::Other(name, _) if is_about_the_client(name) => {}
                Line::Other(name, value) => put(&mut out, name, value),
            }
        }
        let client = asker.client.to_canonical().to_string();
        // A handshake is a request of HTTP, and these servers know no other schemes.
        let scheme = if asker.secure { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", asker.authority, self.target);
        for (name, value) in [
            ("X-Original-URI", &*self.target),
            ("X-Original-URL", &*url),
            ("X-Original-Method", "GET"),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", scheme),
            ("X-Forwarded-Host", &*asker.authority),
            ("X-Forwarded-Uri", &*self.target),
            ("X-Forwarded-For", &*client),
            ("X-Real-IP", &*client),
        ] {
            put(&mut out, name, value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// Judges the answer. A 2xx lets pass, with those of its headers that are `wanted`; no other reaches anybody, nor does
/// its body.
///
/// # Errors
/// What the client is told instead: the server's own 3xx or 4xx, or 503 where it has not judged.
pub fn judge(response: &Response<'_>, wanted: &[String]) -> Result<Vec<Granted>, Refusal> {
    let fields = &response.fields;
    match response.status {
        200..300 => Ok(fields
            .iter()
            .filter(|field| wanted.iter().any(|name| field.is(name)) && !fields.is_hop_by_hop(field.name))
            .map(|field| (field.name.to_owned(), field.value.to_vec()))
            .collect()),
        // A 304 answers what was not asked, and a 426 would tell the client to speak another version.
        300..500 if !matches!(response.status, 304 | 426) => Err(told(declined_by("the auth server", response))),
        status => Err(unjudged(format!("it answered {status} {}", response.reason).trim_end())),
    }
}

/// Leaves out what the client need not know of a server that it has nothing to do with.
fn told(mut refusal: Refusal) -> Refusal {
    const WANTED: [&str; 5] = ["www-authenticate", "set-cookie", "location", "retry-after", "cache-control"];
    let wanted = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        WANTED.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
    };
    refusal.fields = refusal.fields.split_inclusive("\r\n").filter(wanted).collect();
    refusal
}

/// What the client is told when nobody could judge: no. The reason is for the log alone.
pub fn unjudged(why: impl Into<String>) -> Refusal {
    Refusal::new(503, "the auth server gave no judgement").noting(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::dialect::opening::Proof;
    use crate::http::Request;

    fn asked(lines: &str, asker: &Asker) -> String {
        let head = format!("GET /live?set=42 HTTP/1.1\r\n{lines}\r\n");
        let request = Request::parse(head.as_bytes(), 100).expect("a head");
        let opening = Opening::new(Dialect::Hybi10, &request, "/live?set=42", Some("http://o"), None, Proof::None);
        String::from_utf8(opening.auth_request("/auth", "auth:9001", asker)).expect("text")
    }

    fn asker(client: &str, secure: bool) -> Asker {
        Asker { client: client.parse().expect("an address"), secure, authority: "tv:8080".to_owned() }
    }

    #[test]
    fn the_question_is_the_clients_head_and_what_each_auth_server_looks_for() {
        let asked = asked(
            "Host: tv:8080\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nCookie: a=b\r\n\
             Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Origin: http://o\r\n\
             Sec-WebSocket-Protocol: p\r\nAuthorization: Basic eA==\r\nuser-AGENT: TV\r\nContent-Length: 0\r\n",
            &asker("::ffff:192.0.2.1", false),
        );
        assert_eq!(
            asked,
            "GET /auth HTTP/1.1\r\nHost: auth:9001\r\nConnection: close\r\nCookie: a=b\r\nOrigin: http://o\r\n\
             Authorization: Basic eA==\r\nuser-AGENT: TV\r\n\
             X-Original-URI: /live?set=42\r\nX-Original-URL: http://tv:8080/live?set=42\r\nX-Original-Method: GET\r\n\
             X-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: tv:8080\r\n\
             X-Forwarded-Uri: /live?set=42\r\nX-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n\r\n"
        );
    }

    #[test]
    fn what_a_client_says_in_the_questions_own_words_is_left_out() {
        let forged: String = [
            "X-Forwarded-For",
            "x-forwarded-uri",
            "X_Forwarded_Host",
            "X-Forwarded-User",
            "X-Original-URI",
            "X-ORIGINAL-URL",
            "x_original_method",
            "Forwarded",
            "X-Real-IP",
            "x_real_ip",
        ]
        .map(|name| format!("{name}: forged\r\n"))
        .concat();
        let asked = asked(&format!("Host: tv\r\n{forged}X-Forwarde: kept\r\n"), &asker("2001:db8::1", true));
        assert!(!asked.contains("forged"), "{asked}");
        assert!(asked.contains("\r\nX-Forwarde: kept\r\n"), "{asked}");
        assert!(asked.contains("\r\nX-Forwarded-For: 2001:db8::1\r\n"), "{asked}");
        assert!(asked.contains("\r\nX-Forwarded-Proto: https\r\n"), "{asked}");
        assert!(asked.contains("\r\nX-Original-URL: https://tv:8080/live?set=42\r\n"), "{asked}");
    }

    fn judged(status: &str, lines: &str) -> Result<Vec<Granted>, Refusal> {
        let head = format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        let response = Response::parse(head.as_bytes(), 100).expect("a head");
        judge(&response, &["X-User".to_owned(), "x-group".to_owned(), "X-Hop".to_owned()])
    }

    #[test]
    fn a_2xx_lets_pass_with_the_headers_that_are_wanted() {
        let lines = "X-USER: a\r\nX-Other: 1\r\nSet-Cookie: s=1\r\nX-Group: b\r\nX-Group: c\r\nX_User: d\r\n\
                     Connection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n";
        for status in ["200 OK", "204 No Content", "202", "299 x"] {
            let granted = judged(status, lines).expect("it passes");
            let granted: Vec<(&str, &[u8])> = granted.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(granted, [("X-USER", &b"a"[..]), ("X-Group", b"b"), ("X-Group", b"c")], "{status}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_status_and_what_the_client_needs_of_its_headers() {
        let lines = "WWW-Authenticate: Basic realm=\"tv\"\r\nSet-Cookie: s=1\r\nLocation: http://login/\r\n\
                     Content-Type: text/html\r\nContent-Length: 5\r\nConnection: X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\n";
        let kept = "WWW-Authenticate: Basic realm=\"tv\"\r\nSet-Cookie: s=1\r\nLocation: http://login/\r\n";
        for status in [401, 403, 302, 303, 307, 400, 404, 407, 429, 499] {
            let refusal = judged(&format!("{status} Reason"), lines).expect_err("it is refused");
            assert_eq!((refusal.status, &*refusal.fields), (status, kept));
            assert_eq!(refusal.why, format!("the auth server answered {status} Reason"));
        }
    }

    #[test]
    fn what_is_no_judgement_is_a_no() {
        for (status, note) in [
            ("500 Oops", "it answered 500 Oops"),
            ("503", "it answered 503"),
            ("101 Switching Protocols", "it answered 101 Switching Protocols"),
            ("304 Not Modified", "it answered 304 Not Modified"),
            ("426 Upgrade Required", "it answered 426 Upgrade Required"),
        ] {
            let refusal = judged(status, "X-User: a\r\nSet-Cookie: s=1\r\n").expect_err("it is refused");
            assert_eq!((refusal.status, refusal.note.as_deref(), &*refusal.fields), (503, Some(note), ""));
        }
    }
}
