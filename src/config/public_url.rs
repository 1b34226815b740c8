//! The URL by which clients know a route, where it differs from what reaches this listener.

use std::fmt;
use std::str::FromStr;

use super::authority::split_authority;
use super::fault::{Refusal, nearest, quoted};
use super::route::check_path;
use crate::arrival::Facts;

/// What hixie clients are told as their location, which they compare with the URL their page used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Whether clients reach the front by `wss`. Default: as far as it can be told.
    secure: Option<bool>,
    /// The host and port in the page's URL. Default: none, as far as they can be told.
    authority: Option<String>,
    /// What a front takes off the path before it asks here, without a slash at its end. Default: nothing.
    prefix: String,
}

impl PublicUrl {
    /// As far as it can be told from the connection and the request.
    pub const AUTO: PublicUrl = PublicUrl { secure: None, authority: None, prefix: String::new() };

    /// Puts what is set here in the place of what can be told.
    pub fn overrule(&self, facts: &mut Facts) {
        facts.secure = self.secure.unwrap_or(facts.secure);
        if let Some(authority) = &self.authority {
            facts.host = Some(authority.clone());
        }
    }

    /// The location of a request with this `Host` and target (hixie-76 §5.2), of whose client these facts are known,
    /// [overruled](Self::overrule) already.
    pub fn location(&self, facts: &Facts, host: &str, target: &str) -> String {
        [facts.scheme(), "://", &facts.authority(host), &self.prefix, target].concat()
    }
}

impl FromStr for PublicUrl {
    type Err = Refusal;

    /// Reads `auto`, `ws`, `wss`, or a URL of either, `wss://HOST:PORT/PREFIX`; `http` and `https` mean the same.
    fn from_str(text: &str) -> Result<PublicUrl, Refusal> {
        const FORM: &str = "write \"wss\" for the client's own host over TLS, or wss://HOST:PORT";
        if text == "auto" {
            return Ok(PublicUrl::AUTO);
        }
        let (scheme, rest) = text.split_once("://").map_or((text, None), |(scheme, rest)| (scheme, Some(rest)));
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            other => {
                let remedy = match nearest(other, &["auto", "ws", "wss"]) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => FORM.to_owned(),
                };
                return Err(Refusal::new(format!("unknown scheme {}", quoted(scheme)), remedy));
            }
        };
        let Some(rest) = rest else { return Ok(PublicUrl { secure: Some(secure), ..PublicUrl::AUTO }) };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains(['?', '#']) {
            return Err(Refusal::new("the URL has a query or a fragment", "leave out the ? or # and what follows it"));
        }
        let (_, port) = split_authority(authority)?;
        if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(Refusal::new(
                "the host has upper-case letters",
                "write it in lower case, as browsers compare it",
            ));
        }
        // hixie-76 §3.2: the port is left out where it is the scheme's own.
        if port == Some(if secure { 443 } else { 80 }) {
            return Err(Refusal::new("the port is the scheme's own", "leave it out, as browsers do when they compare"));
        }
        let path = if path.is_empty() { String::new() } else { check_path(path)? };
        // The text and not what was understood of it: clients compare it letter by letter.
        let (authority, prefix) = (Some(authority.to_owned()), path.trim_end_matches('/').to_owned());
        Ok(PublicUrl { secure: Some(secure), authority, prefix })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.secure.map(scheme), &self.authority) {
            (None, _) => f.write_str("auto"),
            (Some(scheme), Some(authority)) => write!(f, "{scheme}://{authority}{}", self.prefix),
            (Some(scheme), None) => f.write_str(scheme),
        }
    }
}

fn scheme(secure: bool) -> &'static str {
    if secure { "wss" } else { "ws" }
}
