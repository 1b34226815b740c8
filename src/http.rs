//! Request and response heads of HTTP/1: read strictly, looked up, written.
//!
//! Everything that two readers could understand differently is refused here (RFC 9112 §2.2, §5; bare CR or LF, folded
//! lines, blanks before a colon), for what is read here is answered, forwarded, or reflected into old handshakes.

pub mod body;
pub mod chunks;

use std::fmt;

/// A header field. The name keeps its letter case; the value is trimmed at both ends and otherwise as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, a token.
    pub name: &'a str,
    /// The value, without line ends or NUL.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the name is this one, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as text; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }
}

/// The fields of a head, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a>(Vec<Field<'a>>);

/// A field that may stand only once stands there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl<'a> FromIterator<Field<'a>> for Fields<'a> {
    fn from_iter<T: IntoIterator<Item = Field<'a>>>(fields: T) -> Fields<'a> {
        Fields(fields.into_iter().collect())
    }
}

impl<'a> Fields<'a> {
    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter()
    }

    /// The fields of this name, in any case.
    pub fn all(&self, name: &'a str) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter().filter(move |field| field.is(name))
    }

    /// The value of the first field of this name.
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|field| field.is(name)).map(|field| field.value)
    }

    /// Whether a field of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// The value of the only field of this name.
    ///
    /// # Errors
    /// There are several.
    pub fn only(&self, name: &str) -> Result<Option<&'a [u8]>, Repeated> {
        let mut found = self.0.iter().filter(|field| field.is(name));
        let first = found.next();
        if found.next().is_some() { Err(Repeated) } else { Ok(first.map(|field| field.value)) }
    }

    /// Whether the comma lists of all fields of this name hold the token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.0
            .iter()
            .filter(|field| field.is(name))
            .flat_map(|field| list(field.value))
            .any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether the field belongs to one hop alone (RFC 9110 §7.6.1): by its own name, or named in `Connection`.
    pub fn is_hop_by_hop(&self, name: &str) -> bool {
        is_hop_header(name) || self.has_token("connection", name)
    }
}

/// Whether a header of this name belongs to one hop alone, whatever `Connection` says.
pub fn is_hop_header(name: &str) -> bool {
    const HOP: [&str; 11] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        // RFC 7540 §3.2.1: only ever meant for the next hop, and a way to smuggle where nobody lists it.
        "http2-settings",
        // Nobody's field, but HTTP_PROXY at a CGI backend (RFC 3875 §4.1.18), which then calls whom the client names.
        "proxy",
    ];
    HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// The members of a comma list, trimmed, without the empty ones (RFC 9110 §5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|item| !item.is_empty())
}

/// Without blanks and tabs at both ends.
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether the text is a token (RFC 9110 §5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";
    static IN_TOKENS: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut mark = 0;
        while mark < MARKS.len() {
            table[MARKS[mark] as usize] = true;
            mark += 1;
        }
        table
    };
    !text.is_empty() && text.iter().all(|byte| IN_TOKENS[usize::from(*byte)])
}

/// Whether the bytes can be a field's value: no line ends, NUL or other controls but tabs (RFC 9110 §5.5).
pub fn is_value(bytes: &[u8]) -> bool {
    // To the end, whatever comes: so many bytes are looked at together.
    !bytes.iter().fold(false, |bad, byte| bad | (*byte < 0x20) & (*byte != b'\t') | (*byte == 0x7F))
}

/// Whether a backend may take one name of a header for the other: whatever their letter case, and `_` for `-`, which are
/// one to all that name headers as CGI does (RFC 3875 §4.1.18).
pub fn is_alike(name: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.bytes().map(plain).eq(other.bytes().map(plain))
}

/// What makes a head unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// CR or LF alone: not a line end here, but one for others.
    BareLineEnd,
    /// The first line has not the form `METHOD SP target SP HTTP/x.y`, or `HTTP/1.y SP status SP reason`.
    StartLine,
    /// A field line begins with a blank.
    Folded,
    /// A field has no name, or no colon, or something other than a token in front of it.
    FieldName,
    /// A field's value holds a control character.
    FieldValue,
    /// More fields than allowed.
    TooManyFields,
}

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadHead::BareLineEnd => "a CR or LF stands alone (RFC 9112 2.2)",
            BadHead::StartLine => "the first line is not well formed (RFC 9112 3, 4)",
            BadHead::Folded => "a header line is folded (RFC 9112 5.2)",
            BadHead::FieldName => "a header has no proper name (RFC 9112 5.1)",
            BadHead::FieldValue => "a header's value holds a control character (RFC 9110 5.5)",
            BadHead::TooManyFields => "there are more headers than limits.head_fields allows",
        })
    }
}

/// The length of the head at the front of `bytes`, its blank line included; `None` if it has not ended yet.
///
/// # Errors
/// A line end that is not CR LF, as soon as it is there: a head so written would never end.
pub fn head_length(bytes: &[u8]) -> Result<Option<usize>, BadHead> {
    let mut line = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        if end == line || bytes[end - 1] != b'\r' {
            return Err(BadHead::BareLineEnd);
        }
        if end - 1 == line && line > 0 {
            return Ok(Some(end + 1));
        }
        line = end + 1;
    }
    Ok(None)
}

/// The lines of a head, without their ends, up to the blank one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', head).chain([head.len()]);
    ends.map(move |end| &head[std::mem::replace(&mut start, end + 1)..end])
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
}

/// Room for the fields of a head, which mostly has no more.
const USUAL_FIELDS: usize = 16;

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>, most: usize) -> Result<Fields<'a>, BadHead> {
    let mut fields = Vec::with_capacity(USUAL_FIELDS.min(most));
    for line in lines {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(BadHead::Folded);
        }
        let colon = memchr::memchr(b':', line).ok_or(BadHead::FieldName)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if !is_token(name) {
            return Err(BadHead::FieldName);
        }
        if !is_value(value) {
            return Err(BadHead::FieldValue);
        }
        if fields.len() == most {
            return Err(BadHead::TooManyFields);
        }
        fields.push(Field { name: std::str::from_utf8(name).map_err(|_| BadHead::FieldName)?, value });
    }
    Ok(Fields(fields))
}

/// A request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, a token.
    pub method: &'a str,
    /// The target as it came: no blanks or controls, but not necessarily a path.
    pub target: &'a str,
    /// Major and minor version of HTTP.
    pub version: (u8, u8),
    /// The header fields.
    pub fields: Fields<'a>,
}

impl<'a> Request<'a> {
    /// Reads a whole head, as [`head_length`] measured it.
    ///
    /// # Errors
    /// What makes it unreadable.
    pub fn parse(head: &'a [u8], max_fields: usize) -> Result<Self, BadHead> {
        let mut lines = lines(head);
        let line = lines.next().and_then(|line| std::str::from_utf8(line).ok()).ok_or(BadHead::StartLine)?;
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadHead::StartLine);
        };
        let version = http_version(version).ok_or(BadHead::StartLine)?;
        if !is_token(method.as_bytes()) || target.is_empty() || target.chars().any(|c| c.is_control() || c == '#') {
            return Err(BadHead::StartLine);
        }
        Ok(Request { method, target, version, fields: fields(lines, max_fields)? })
    }

    /// The path and query: the target itself, or what an absolute one has after its authority (RFC 9112 §3.2.2).
    ///
    /// # Errors
    /// It is neither, or names another host than `Host` does.
    pub fn path(&self) -> Result<&'a str, ForeignTarget> {
        if self.target.starts_with('/') {
            return Ok(self.target);
        }
        let (scheme, rest) = self.target.split_once("://").ok_or(ForeignTarget)?;
        let known = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = self.fields.first("host").unwrap_or(authority.as_bytes());
        if !known || !host.eq_ignore_ascii_case(authority.as_bytes()) || path.starts_with('?') {
            return Err(ForeignTarget);
        }
        Ok(if path.is_empty() { "/" } else { path })
    }
}

/// The target is no path here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignTarget;

fn http_version(text: &str) -> Option<(u8, u8)> {
    match text.strip_prefix("HTTP/")?.as_bytes() {
        [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => Some((major - b'0', minor - b'0')),
        _ => None,
    }
}

/// Whether this is a host and perhaps a port, and nothing else (RFC 9110 §7.2): letters, digits, `-._~%!$&'()*+,;=`,
/// or an address in brackets.
pub fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, after)) if address.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.') => {
                (address, after)
            }
            _ => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(&byte);
    !name.is_empty() && name.bytes().all(plain) && port_fits
}

/// A response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status, 100 to 599.
    pub status: u16,
    /// The reason phrase, perhaps empty.
    pub reason: &'a str,
    /// The header fields.
    pub fields: Fields<'a>,
}

impl<'a> Response<'a> {
    /// Reads a whole head, as [`head_length`] measured it.
    ///
    /// # Errors
    /// What makes it unreadable.
    pub fn parse(head: &'a [u8], max_fields: usize) -> Result<Self, BadHead> {
        let mut lines = lines(head);
        let line = lines.next().and_then(|line| std::str::from_utf8(line).ok()).ok_or(BadHead::StartLine)?;
        let (version, rest) = line.split_once(' ').ok_or(BadHead::StartLine)?;
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let well_formed = matches!(http_version(version), Some((1, _)))
            && status.len() == 3
            && status.bytes().all(|byte| byte.is_ascii_digit())
            && !reason.chars().any(char::is_control);
        let status = status.parse().ok().filter(|status| well_formed && (100..600).contains(status));
        Ok(Response { status: status.ok_or(BadHead::StartLine)?, reason, fields: fields(lines, max_fields)? })
    }
}

/// A response that this proxy writes itself instead of serving the request. Every one closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The reason phrase where it is not the usual one.
    pub phrase: Option<String>,
    /// Further field lines, each with its CR LF.
    pub fields: String,
    /// The rule that was broken, as one sentence: the body for people, and the log.
    pub why: String,
    /// What the log says besides and the client has no business to know.
    pub note: Option<String>,
}

impl Refusal {
    /// A refusal with the usual reason phrase.
    pub fn new(status: u16, why: impl Into<String>) -> Self {
        Refusal { status, phrase: None, fields: String::new(), why: why.into(), note: None }
    }

    /// Adds what only the log says.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// What the log says.
    pub fn logged(&self) -> String {
        match &self.note {
            Some(note) => format!("{}: {note}", self.why),
            None => self.why.clone(),
        }
    }

    /// Adds a field line.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.fields.push_str(part);
        }
        self
    }

    /// Adds the list of versions that may be asked for (RFC 6455 §4.4), if any may.
    #[must_use]
    pub fn with_versions(self, versions: impl Iterator<Item = u8>) -> Self {
        let versions: Vec<String> = versions.map(|version| version.to_string()).collect();
        if versions.is_empty() { self } else { self.with("Sec-WebSocket-Version", &versions.join(", ")) }
    }

    /// The whole response.
    pub fn to_bytes(&self) -> Vec<u8> {
        let phrase = self.phrase.as_deref().unwrap_or(phrase(self.status));
        let body = format!("{}\n", self.why);
        // RFC 9110 §15.5.22: a 426 names the protocol to upgrade to, and so has Upgrade in Connection.
        let connection =
            if self.status == 426 { "Upgrade: websocket\r\nConnection: Upgrade, close" } else { "Connection: close" };
        format!(
            "HTTP/1.1 {} {phrase}\r\n{connection}\r\n{}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
            self.status,
            self.fields,
            body.len(),
        )
        .into_bytes()
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        // A phrase must be there: an old WebKit looks for the blank before it.
        _ => "Refused",
    }
}
