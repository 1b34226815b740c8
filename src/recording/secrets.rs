//! What a recording must not tell: which parts of a line of a head are secret, and what stands in their place.
//!
//! What is masked keeps its length, and each byte of it its kind, so that offsets, segment borders and what the line is
//! taken for stay as they were. Whether a value is masked depends on the value and its name alone, except for the
//! subprotocols that follow a name such as `access_token`: those are remembered, for the answer repeats them.

use crate::http;

/// The subprotocols of a connection that are remembered as secret. Nobody asks for more.
const MOST_NAMES: usize = 32;
/// The shortest part of a subprotocol that can look like a credential.
const SHORTEST_OPAQUE: usize = 12;

/// Parts of a name that say its value is secret.
const TELLING: [&str; 13] = [
    "token",
    "cookie",
    "key",
    "auth",
    "session",
    "sessid",
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "jwt",
    "credential",
    "signature",
];
/// Names that say so only when they stand alone.
const TELLING_ALONE: [&str; 6] = ["sid", "sig", "pass", "ticket", "otp", "bearer"];

/// What is remembered of a connection's secrets.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Subprotocols that were masked for what stood before them.
    names: Vec<Vec<u8>>,
}

impl Secrets {
    /// Masks what is secret in a line of a head: a start line, or a field. `folded` is the name of the field that a line
    /// beginning with a blank goes on with.
    pub fn mask_line(&mut self, line: &mut [u8], folded: Option<&[u8]>) {
        let mut before = folded.map(<[u8]>::to_vec);
        // Some servers end a line at a bare CR, and others read on.
        for line in line.split_mut(|byte| *byte == b'\r') {
            let name = field_name(line).map(<[u8]>::to_ascii_lowercase);
            if let Some(name) = &before {
                self.mask_value(name, line, true);
            }
            match name {
                Some(name) => {
                    self.mask_value(http::trim(&name), &mut line[name.len() + 1..], false);
                    before = Some(http::trim(&name).to_vec());
                }
                None => mask_urls(line),
            }
        }
    }

    fn mask_value(&mut self, name: &[u8], value: &mut [u8], folded: bool) {
        match name {
            b"cookie" | b"cookie2" => mask_pairs(value),
            b"set-cookie" | b"set-cookie2" => mask_new_cookies(value),
            b"sec-websocket-protocol" | b"websocket-protocol" => self.mask_names(value),
            // The answer is computed from the keys; and challenges ask for credentials without having any.
            name if name.starts_with(b"sec-websocket-key") || name.ends_with(b"-authenticate") => {}
            b"authorization" | b"proxy-authorization" if !folded => mask_after_scheme(value),
            name if tells(name) => mask(value),
            _ => mask_urls(value),
        }
    }

    /// As [`Secrets::mask_line`], for a line whose end is not known: of a subprotocol that might go on, nothing tells
    /// whether it is a credential.
    pub fn mask_cut_line(&mut self, line: &mut [u8], folded: Option<&[u8]>) {
        // The `@` that would show them to be a user and a password may be missing.
        let authority = memchr::memmem::rfind(line, b"://").map_or(line.len(), |at| at + 3);
        if !line[authority..].iter().any(|byte| ends_authority(*byte) || *byte == b'@') {
            mask(&mut line[authority..]);
        }
        let name = folded.or(field_name(line)).unwrap_or_default();
        if http::trim(name).to_ascii_lowercase().ends_with(b"websocket-protocol") {
            let last = line.rsplit_mut(|byte| matches!(byte, b',' | b' ' | b'\t' | b':')).next();
            mask(last.unwrap_or_default());
        }
        self.mask_line(line, folded);
    }

    /// A list of subprotocols, or for hixie one string that is often meant as a list.
    fn mask_names(&mut self, value: &mut [u8]) {
        let mut announced = false;
        for name in value.split_mut(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\r' | b'\n')) {
            if name.is_empty() {
                continue;
            }
            let announces = tells(name);
            let known = self.names.iter().any(|known| known == name);
            if announced && !announces && !known && self.names.len() < MOST_NAMES {
                self.names.push(name.to_vec());
            }
            if known || (announced && !announces) {
                mask(name);
            } else {
                name.split_mut(|byte| *byte == b'.').filter(|part| is_opaque(part)).for_each(mask);
            }
            announced = announces;
        }
    }
}

/// The name in front of the colon, if the line is a field. Blanks around it are no reason to tell its value, nor is it
/// that a name which says that its value is secret is not well formed.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let name = &line[..memchr::memchr(b':', line)?];
    let is_start_line = || memchr::memmem::find(line, b"HTTP/").is_some();
    (http::is_token(http::trim(name)) || tells(name) && !is_start_line()).then_some(name)
}

/// Puts something else in place of every letter and digit, and of all punctuation that a token may have but for `.`, `-`
/// and `_`. Blanks and delimiters stay.
pub(super) fn mask(text: &mut [u8]) {
    for byte in text {
        *byte = match *byte {
            b'a'..=b'z' | 0x80.. => b'x',
            b'A'..=b'Z' => b'X',
            b'0'..=b'9' => b'0',
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~' => b'-',
            other => other,
        };
    }
}

/// Whether a name says that what it names is secret, in whatever case, and perhaps percent-encoded.
fn tells(name: &[u8]) -> bool {
    let name = percent_decoded(http::trim(name)).to_ascii_lowercase();
    let name = String::from_utf8_lossy(&name);
    TELLING.iter().any(|part| name.contains(part)) || TELLING_ALONE.contains(&&*name)
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        match after {
            [high, low, behind @ ..] if *first == b'%' && digit(*high).is_some() && digit(*low).is_some() => {
                decoded.push((digit(*high).unwrap_or_default() << 4 | digit(*low).unwrap_or_default()) as u8);
                rest = behind;
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// `name=value; name=value`: the values, or the whole where there is no name.
fn mask_pairs(value: &mut [u8]) {
    value.split_mut(|byte| *byte == b';').for_each(mask_pair);
}

fn mask_pair(pair: &mut [u8]) {
    let at = memchr::memchr(b'=', pair).unwrap_or(0);
    mask(&mut pair[at..]);
}

/// `name=value; Path=/`: the value, and that of further cookies, which some servers put behind a comma.
fn mask_new_cookies(value: &mut [u8]) {
    let mut parts = value.split_mut(|byte| *byte == b';');
    parts.next().into_iter().for_each(mask_pair);
    for part in parts {
        let further = part.split_mut(|byte| *byte == b',').skip(1);
        // A date has a comma, too.
        further.filter(|part| part.contains(&b'=')).for_each(mask_pair);
    }
}

/// `Basic …`, `Bearer …`: the scheme stays.
fn mask_after_scheme(value: &mut [u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
    let from = value.iter().take_while(|byte| blank(byte)).count();
    let length = value[from..].iter().position(blank).unwrap_or(0);
    let (scheme, rest) = value.split_at_mut(from + length);
    let is_scheme = length <= 20 && scheme[from..].split(|byte| *byte == b'-').all(is_word);
    if length == 0 || !is_scheme || rest.iter().all(blank) {
        return mask(value);
    }
    mask(rest);
}

/// Values of parameters whose name tells, and what stands between `://` and `@`, in a start line or a field's value.
fn mask_urls(text: &mut [u8]) {
    let ends =
        |byte: &u8| matches!(byte, b'&' | b';' | b'#' | b'?' | b' ' | b'"' | b'>' | b'<' | b'\t' | b'\r' | b'\n');
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(|byte| matches!(byte, b'?' | b'&' | b';' | b'#')) {
        let name_at = at + start + 1;
        let length = text[name_at..].iter().position(ends).unwrap_or(text.len() - name_at);
        let parameter = &text[name_at..name_at + length];
        at = name_at + length;
        if let Some(equals) = memchr::memchr(b'=', parameter).filter(|equals| tells(&parameter[..*equals])) {
            // In a query, unlike a path, what else may end a parameter can be a part of its value.
            if text[name_at - 1] != b';' {
                let ends = |byte: &u8| matches!(byte, b'&' | b'#' | b' ' | b'\t' | b'\r' | b'\n');
                at += text[at..].iter().position(ends).unwrap_or(text.len() - at);
            }
            mask(&mut text[name_at + equals + 1..at]);
        }
    }
    mask_users(text);
}

fn mask_users(text: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&text[at..], b"://") {
        let from = at + found + 3;
        let authority = text[from..].iter().position(|byte| ends_authority(*byte)).unwrap_or(text.len() - from);
        if let Some(user) = memchr::memrchr(b'@', &text[from..from + authority]) {
            mask(&mut text[from..from + user]);
        }
        at = from;
    }
}

fn ends_authority(byte: u8) -> bool {
    matches!(byte, b'/' | b'?' | b'#' | b' ' | b'\t' | b'"' | b'\r' | b'\n')
}

/// Whether a part of a subprotocol's name looks like a credential and not like words: at least twelve characters, of
/// which some run of letters and digits is neither a word (in one case, or with few capitals, of at most twenty letters)
/// with perhaps a short number after it, nor a short number.
fn is_opaque(part: &[u8]) -> bool {
    part.len() >= SHORTEST_OPAQUE && !part.split(|byte| !byte.is_ascii_alphanumeric()).all(is_word)
}

fn is_word(run: &[u8]) -> bool {
    let letters = run.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, number) = run.split_at(letters);
    let capitals = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let of_words = capitals == letters || capitals <= letters.div_ceil(4);
    letters <= 20 && of_words && number.len() <= 4 && number.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str) -> String {
        let mut bytes = line.as_bytes().to_vec();
        Secrets::default().mask_line(&mut bytes, None);
        assert_eq!(bytes.len(), line.len());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_secret_in_a_line_is_masked_and_the_rest_is_not() {
        let check = |line: &str, expected: &str| assert_eq!(masked(line), expected, "{line}");
        check("Cookie: sid=aB3+/=; theme=dark", "Cookie: sid=xX0-/=; theme=xxxx");
        check("cookie:justavalue", "cookie:xxxxxxxxxx");
        check("Cookie : a=b", "Cookie : a=x");
        check("Set-Cookie: s=Secret1; Path=/; HttpOnly", "Set-Cookie: s=Xxxxxx0; Path=/; HttpOnly");
        check("Authorization: Basic dXNlcjpw", "Authorization: Basic xXXxxxxx");
        check("Authorization: opaque", "Authorization: xxxxxx");
        check("Authorization: opaque \n", "Authorization: xxxxxx \n");
        check("Authorization: aB3dE5 more", "Authorization: xX0xX0 xxxx");
        check("GET / HTTP/1.1\rCookie: a=b\r\n", "GET / HTTP/1.1\rCookie: a=x\r\n");
        check("Proxy-Authorization:Bearer a.b-c", "Proxy-Authorization:Bearer x.x-x");
        check("X-Auth-Token: abc123", "X-Auth-Token: xxx000");
        check("WWW-Authenticate: Basic realm=\"tv\"", "WWW-Authenticate: Basic realm=\"tv\"");
        check("Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5");
        check("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
        check("Host: tv.example:8080", "Host: tv.example:8080");
        // What goes on after a bare CR; several cookies in one line; names that are none.
        check("Cookie: a=b\rc=d; e\r\n", "Cookie: a=x\rc=x; x\r\n");
        check(
            "Set-Cookie: a=b; Expires=Wed, 21 Oct 2026; Path=/, c=d; Path=/",
            "Set-Cookie: a=x; Expires=Wed, 21 Oct 2026; Path=/, c=x; Path=/",
        );
        check("X-Original-Cookie: sid=abc", "X-Original-Cookie: xxx=xxx");
        check("My Auth Token: abc", "My Auth Token: xxx");
        check("\"Cookie\": a=b", "\"Cookie\": x=x");
        check("CONNECT key.example:443 HTTP/1.1", "CONNECT key.example:443 HTTP/1.1");
    }

    #[test]
    fn urls_lose_what_their_parameters_name() {
        let check = |line: &str, expected: &str| assert_eq!(masked(line), expected, "{line}");
        check("GET /a?set=42&token=aB3&x=1 HTTP/1.1", "GET /a?set=42&token=xX0&x=1 HTTP/1.1");
        check("GET /a;jsessionid=0F?Api_Key=k HTTP/1.1", "GET /a;jsessionid=0X?Api_Key=x HTTP/1.1");
        check("GET /a?%74oken=abc HTTP/1.1", "GET /a?%74oken=xxx HTTP/1.1");
        check("GET /a?token=a;b?c\"d&x=1 HTTP/1.1", "GET /a?token=x;x?x\"x&x=1 HTTP/1.1");
        check("Link: <http://tv/?token=abc>; rel=next", "Link: <http://tv/?token=xxx>; rel=next");
        check("GET /a?token= HTTP/1.1", "GET /a?token= HTTP/1.1");
        check("GET /a?tok=abc&side=left HTTP/1.1", "GET /a?tok=abc&side=left HTTP/1.1");
        check("GET ws://me:pw1@tv/a HTTP/1.1", "GET ws://xx:xx0@tv/a HTTP/1.1");
        check("Sec-WebSocket-Location: ws://tv/a?auth=Q7&b=c", "Sec-WebSocket-Location: ws://tv/a?auth=X0&b=c");
        check("Referer: http://tv/?password=p%21", "Referer: http://tv/?password=x-00");
    }

    #[test]
    fn a_subprotocol_is_masked_where_it_looks_like_a_credential() {
        let asked = |value: &str| masked(&format!("Sec-WebSocket-Protocol: {value}")).split_off(24);
        for plain in [
            "chat, superchat",
            "graphql-transport-ws",
            "v12.stomp",
            "com.microsoft.minecraft.wsencrypt",
            "wamp.2.msgpack.batched",
            "ocpp2.0.1",
            "aws-appsync-event-ws",
            "base64url.bearer.authorization.k8s.io",
            "minecraftWsEncrypt",
            "MQTT",
        ] {
            assert_eq!(asked(plain), plain);
        }
        let check = |value: &str, expected: &str| assert_eq!(asked(value), expected);
        check("chat, 550e8400-e29b-41d4-a716-446655440000", "chat, 000x0000-x00x-00x0-x000-000000000000");
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "xxXxxXxxXxXXXxX0XxX0.xxXxxXXxXxXxXx0.c2ln");
        check("deadbeef00112233", "xxxxxxxx00000000");
        check("access_token, hunter2", "access_token, xxxxxx0");
        check(
            "base64url.bearer.authorization.k8s.io.QWxhZGRpbjpvcGVu",
            "base64url.bearer.authorization.k8s.io.XXxxXXXxxxxxxXXx",
        );
    }

    #[test]
    fn a_subprotocol_that_was_masked_is_masked_in_the_answer() {
        let mut secrets = Secrets::default();
        let mut line = b"Sec-WebSocket-Protocol: token, hunter2".to_vec();
        secrets.mask_line(&mut line, None);
        let mut answer = b"Sec-WebSocket-Protocol: hunter2".to_vec();
        secrets.mask_line(&mut answer, None);
        assert_eq!(answer, b"Sec-WebSocket-Protocol: xxxxxx0");
    }
}
