//! Which requests go which way.

use std::borrow::Cow;
use std::time::Duration;

use ipnet::IpNet;

use super::access::{Auth, OriginRule};
use super::authority::split_authority;
use super::balance::{Balance, Health};
use super::events::Events;
use super::fault::{Refusal, quoted};
use super::public_url::PublicUrl;
use super::upstream::{Upstream, UpstreamHost};
use crate::dialect::{BinaryPolicy, DialectSet};
use crate::preamble;

/// One way from clients to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What logs and metrics call the route. Unlike every other route's.
    pub name: String,
    /// The host that clients ask for, in lower case, without a port, an IPv6 address without brackets.
    /// Default: any host.
    pub host: Option<String>,
    /// The beginning of the path that clients ask for, with its leading slash. Default: `/`, every path.
    pub path: String,
    /// The backend.
    pub upstream: Upstream,
    /// Which of the backend's servers a client gets. Default: one after the other.
    pub balance: Balance,
    /// How many of them are tried before a client is refused. Default: 3.
    pub attempts: usize,
    /// How they are asked whether they are well. Default: not at all.
    pub health: Option<Health>,
    /// How often they are. Default: every 5 s.
    pub health_interval: Duration,
    /// After how many failures in a row to connect to a server it is left alone for `eject_for`; none: never. Default: 3.
    pub eject_after: Option<u32>,
    /// How long it is left alone. Default: 10 s.
    pub eject_for: Duration,
    /// The preamble that tells the backend who the client is. Default: none.
    pub send_proxy: Option<preamble::Version>,
    /// The origins that may open connections. Default: all, and the backend decides.
    pub origins: Option<Vec<OriginRule>>,
    /// The addresses of clients that are served. Default: all.
    pub clients: Option<Vec<IpNet>>,
    /// Who is asked whether an opening handshake may pass. Default: nobody.
    pub auth: Option<Auth>,
    /// The `Host` that the backend is told. Default: the client's.
    pub upstream_host: UpstreamHost,
    /// Where hixie clients are told they are. Default: as far as it can be told.
    pub public_url: PublicUrl,
    /// The dialects that clients may speak here. Default: all.
    pub dialects: DialectSet,
    /// What becomes of a binary message on its way to a hixie client. Default: the connection is closed.
    pub binary: BinaryPolicy,
    /// The longest message that is let through, in bytes. Default: no limit, for no message is ever held.
    pub max_message: Option<u64>,
    /// What only an event stream has; nobody looks at it where the upstream speaks WebSocket.
    pub events: Events,
}

impl Route {
    /// A route for every host and path, with every setting at its default.
    pub fn new(name: impl Into<String>, upstream: Upstream) -> Route {
        Route {
            name: name.into(),
            host: None,
            path: "/".to_owned(),
            upstream,
            balance: Balance::default(),
            attempts: 3,
            health: None,
            health_interval: Duration::from_secs(5),
            eject_after: Some(3),
            eject_for: Duration::from_secs(10),
            send_proxy: None,
            origins: None,
            clients: None,
            auth: None,
            upstream_host: UpstreamHost::default(),
            public_url: PublicUrl::AUTO,
            dialects: DialectSet::ALL,
            binary: BinaryPolicy::default(),
            max_message: None,
            events: Events::default(),
        }
    }

    /// Whether a request goes this way, by the value of its `Host` header, with or without a port, and its target.
    ///
    /// The path is compared as it travels, letter by letter, and ends only at a border: `/chat` takes `/chat`,
    /// `/chat/x` and `/chat?x`, not `/chatter`; `/chat/` takes only what lies below it. A target with a `..` segment is
    /// taken only by a route that hides nothing from its clients: `/`, to an upstream without a path.
    pub fn matches(&self, host: &str, target: &str) -> bool {
        let (authority, target) = split_target(target);
        self.serves(authority, host) && self.rest(&target).is_some()
    }

    fn serves(&self, authority: Option<&str>, host: &str) -> bool {
        // RFC 9112 §3.2.2: a target that names a host overrules the Host header.
        let asked = host_of(authority.unwrap_or(host));
        self.host.as_ref().is_none_or(|host| host.eq_ignore_ascii_case(asked))
    }

    /// Whether the backend may take the target for one of another route, because it reads paths less literally, and not
    /// everybody may use that route. `routes` stand in the order in which they are tried.
    ///
    /// Both may lead to the same backend, which would serve `//admin`, `/%61dmin`, `/ADMIN` or `/x/../admin` as `/admin`:
    /// taken by a route for all that is left over, they would go around the rules of the route for `/admin`.
    pub(super) fn evades(&self, routes: &[Route], host: &str, target: &str) -> bool {
        if !routes.iter().any(Route::is_restricted) {
            return false;
        }
        let (authority, target) = split_target(target);
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let served = routes.iter().filter(|route| route.serves(authority, host));
        let served: Vec<(&Route, Vec<String>)> = served.map(|route| (route, segments(&route.path))).collect();
        let is_forbidden = |read: &[String]| {
            let meant = served.iter().find(|(_, path)| read.starts_with(path));
            meant.is_some_and(|(route, _)| route.is_restricted() && route.name != self.name && !self.is_twin(route))
        };
        std::iter::once(path).chain(behind_authority(path)).any(|path| passes(path, is_forbidden))
    }

    /// Whether the two paths are one but for their letter case: whoever writes both means two.
    fn is_twin(&self, other: &Route) -> bool {
        self.path != other.path && self.path.to_lowercase() == other.path.to_lowercase()
    }

    fn is_restricted(&self) -> bool {
        self.origins.is_some() || self.clients.is_some() || self.auth.is_some()
    }

    /// The target to ask the backend for: the client's own, or, when the upstream URL has a path, with that in place of
    /// the route's.
    ///
    /// From `/chat` to `ws://backend/rooms`, `/chat/1?x` becomes `/rooms/1?x`; to `ws://backend/`, it becomes `/1?x`.
    pub fn upstream_target(&self, target: &str) -> String {
        let Some(base) = &self.upstream.path else { return target.to_owned() };
        let (_, origin_form) = split_target(target);
        match self.rest(&origin_form) {
            // RFC 9112 §3.2.4: `*` asks about the server, not about one of its paths.
            None | Some("*") => target.to_owned(),
            Some(rest) if rest.is_empty() || rest.starts_with(['?', '#']) => format!("{base}{rest}"),
            // All slashes at the joint become one, for a path that begins with two reads like a host to some backends.
            Some(rest) => format!("{}/{}", base.trim_end_matches('/'), rest.trim_start_matches('/')),
        }
    }

    /// What follows the route's path in a target; none when the target lies elsewhere.
    fn rest<'t>(&self, target: &'t str) -> Option<&'t str> {
        if target == "*" {
            return (self.path == "/").then_some(target);
        }
        let rest = target.strip_prefix(self.path.as_str())?;
        let at_border = self.path.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?', '#']);
        // `/chat/../admin` begins with `/chat`, yet many backends would serve it as `/admin`. Browsers and devices
        // resolve such paths before they ask.
        let open = self.path == "/" && self.upstream.path.is_none();
        (at_border && (open || !climbs(target))).then_some(rest)
    }
}

/// The host and path of a route as one text; the path alone for any host.
pub(super) fn place(host: Option<&str>, path: &str) -> String {
    match host {
        None => path.to_owned(),
        Some(host) if host.contains(':') => format!("[{host}]{path}"),
        Some(host) => format!("{host}{path}"),
    }
}

/// Checks the host of a route; none for `*`, any host.
pub(super) fn check_host(text: &str) -> Result<Option<String>, Refusal> {
    if text == "*" {
        return Ok(None);
    }
    match split_authority(text)? {
        (host, None) => Ok(Some(host.trim_end_matches('.').to_owned())),
        (_, Some(_)) => {
            Err(Refusal::new("a route's host has no port", "write the name alone: a route serves every listener"))
        }
    }
}

/// Checks a path: of a route, or of an upstream URL.
pub(super) fn check_path(path: &str) -> Result<String, Refusal> {
    const FORM: &str = "write a path as clients send it, as in \"/chat\"";
    if !path.starts_with('/') {
        return Err(Refusal::new(
            "the path does not begin with a slash",
            format!("write {}", quoted(&format!("/{path}"))),
        ));
    }
    if let Some(c) = path.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>')) {
        return Err(Refusal::new(
            format!("the path has the character {c:?} in it"),
            "write it percent-encoded, as clients send it",
        ));
    }
    if path.contains(['?', '#']) {
        return Err(Refusal::new("the path has a query or a fragment", "leave out the ? or # and what follows it"));
    }
    if path.ends_with('*') {
        return Err(Refusal::new(
            "the path ends with a wildcard",
            "leave out the *: a path takes all that lies below it",
        ));
    }
    if climbs(path) {
        return Err(Refusal::new("the path has a segment .. in it", FORM));
    }
    Ok(path.to_owned())
}

/// The authority that a target names, and the path and query.
fn split_target(target: &str) -> (Option<&str>, Cow<'_, str>) {
    if target.starts_with('/') {
        return (None, Cow::Borrowed(target));
    }
    // Old clients that believe to speak to a forward proxy send the whole URL.
    let Some((_, rest)) =
        target.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphabetic()))
    else {
        return (None, Cow::Borrowed(target));
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) };
    (Some(authority), path)
}

/// The host in a `Host` header or an authority: without user, port, brackets, and the dot of a full name.
fn host_of(authority: &str) -> &str {
    let authority = authority.trim();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    host.strip_suffix('.').unwrap_or(host)
}

/// What is left of a path that begins with two slashes where a backend reads it as a URL without its scheme: `/admin` of
/// `//x/admin`. Many do, by handing it to their language's parser of URLs.
fn behind_authority(path: &str) -> Option<&str> {
    const SLASHES: [char; 2] = ['/', '\\'];
    let rest = path.strip_prefix('/').filter(|rest| rest.starts_with(SLASHES))?.trim_start_matches(SLASHES);
    rest.find(SLASHES).map(|end| &rest[end..])
}

/// Whether any place is `forbidden` that a path leads to or through: not every backend resolves the `..` behind it.
fn passes(path: &str, forbidden: impl Fn(&[String]) -> bool) -> bool {
    let mut read = Vec::new();
    for segment in segments(path) {
        if segment != ".." {
            read.push(segment);
        } else if forbidden(&read) {
            return true;
        } else {
            read.pop();
        }
    }
    forbidden(&read)
}

/// The segments of a path as backends read it that decode it, heed no letter case, count slashes in a row as one, and cut
/// segments at a `;`.
fn segments(path: &str) -> Vec<String> {
    let plain = decoded(path).replace('\\', "/").to_lowercase();
    let segments = plain.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.filter(|segment| !segment.is_empty() && *segment != ".").map(str::to_owned).collect()
}

/// With every percent-encoded byte as itself (RFC 3986 §2.1).
fn decoded(path: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut plain, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        match (byte, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high << 4 | low));
                rest = &after[2..];
            }
            _ => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Whether a path has a segment `..`, in any of the spellings that a backend may resolve.
fn climbs(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    // Java servers cut a segment at its `;` before they resolve it.
    plain.split(['/', '\\']).any(|segment| segment.split(';').next() == Some(".."))
}
