//! Where to dial: a URL taken apart.

use std::str::FromStr;

use hybridge::config::split_authority;

/// A WebSocket URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether it is `wss`.
    pub secure: bool,
    /// A name or an address, in lower case, an IPv6 address without brackets.
    pub host: String,
    /// The port, the scheme's own where the URL has none.
    pub port: u16,
    /// Path and query.
    pub target: String,
}

impl Place {
    /// Host and port as a browser writes them into `Host`: the scheme's own port left out.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == usual_port(self.secure) { host } else { format!("{host}:{}", self.port) }
    }

    /// The origin of a page of the same host.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

fn usual_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(url: &str) -> Result<Place, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("the URL has no scheme; write ws://{url} or wss://{url}"));
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err("the scheme is unknown; write ws://, or wss:// for TLS".to_owned()),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("the URL has a user name in it; write it without, and --header 'Authorization: ...'".to_owned());
        }
        if target.contains('#') {
            return Err("the URL has a fragment, which is never sent; leave out the # and what follows it".to_owned());
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the URL has a blank or a letter outside ASCII; write it as %20 and the like".to_owned());
        }
        let (host, port) = split_authority(authority).map_err(|refusal| refusal.to_string())?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Place { secure, host, port: port.unwrap_or(usual_port(secure)), target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_as_browsers_do() {
        let check = |url: &str, secure, host: &str, port, target: &str, authority: &str| {
            let place: Place = url.parse().expect(url);
            let expected = Place { secure, host: host.into(), port, target: target.into() };
            assert_eq!((&place, &*place.authority()), (&expected, authority), "{url}");
        };
        check("ws://tv.example", false, "tv.example", 80, "/", "tv.example");
        check("WS://TV.example:80/A?b", false, "tv.example", 80, "/A?b", "tv.example");
        check("wss://tv.example:443?x=1", true, "tv.example", 443, "/?x=1", "tv.example");
        check("wss://tv.example:80/", true, "tv.example", 80, "/", "tv.example:80");
        check("http://[::1]:9000/%20", false, "::1", 9000, "/%20", "[::1]:9000");
        check("https://[::1]", true, "::1", 443, "/", "[::1]");
        assert_eq!("wss://tv.example:8443/".parse::<Place>().expect("proper").origin(), "https://tv.example:8443");
    }

    #[test]
    fn what_is_no_url_is_told_what_to_write() {
        for (url, said) in [
            ("tv.example/x", "write ws://tv.example/x"),
            ("ftp://tv.example", "the scheme is unknown"),
            ("ws://a:b@tv.example", "--header 'Authorization"),
            ("ws://tv.example/#x", "fragment"),
            ("ws://tv.example/a b", "%20"),
            ("ws://tv.example/\r\nX:1", "%20"),
            ("ws://tv.example:http", "not a port"),
            ("ws://:80", "no host"),
            ("ws://tv.example:80:80", "more than one colon"),
        ] {
            let error = url.parse::<Place>().expect_err(url);
            assert!(error.contains(said), "{url}: {error}");
        }
    }
}
