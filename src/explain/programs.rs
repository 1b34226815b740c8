//! Which programs are known to send such a request (dialects 8, field notes). Never more than likely: headers prove nothing.

use super::request::Seen;
use super::words::shown;
use crate::dialect::Dialect;
use crate::http::Request;

/// The programs, most likely first.
pub(super) fn known(seen: &Seen, sorted: bool) -> Vec<String> {
    let (Some(request), Some((dialect, _))) = (seen.request(), seen.dialect()) else { return Vec::new() };
    let mut known: Vec<String> = match dialect {
        // Their headers' order tells most, and is lost.
        Dialect::Hixie75 if sorted => vec!["Chrome 4-5, Safari 5.0.0, Qt 4.7 WebKit, the Flash shim to mid 2010"],
        Dialect::Hixie76 if sorted => vec!["Chrome 6-13, Safari 5.0.1-5.1, iOS 4.2-5.1, Qt 4.8 WebKit, HbbTV 1.x sets"],
        Dialect::Hixie75 => hixie75(&request),
        Dialect::Hixie76 => hixie76(&request),
        Dialect::Hybi07 => vec!["Firefox 6 (MozWebSocket)", "libraries of spring 2011"],
        Dialect::Hybi10 => hybi10(&request),
        Dialect::Rfc6455 => rfc6455(&request),
    }
    .into_iter()
    .map(str::to_owned)
    .collect();
    if let Some(agent) = request.fields.first("user-agent") {
        known.push(format!("by its own word: {}", shown(agent)));
    }
    known
}

/// Where a header stands, counted from 0.
fn place(request: &Request<'_>, name: &str) -> Option<usize> {
    request.fields.iter().position(|field| field.is(name))
}

/// Whether the first headers are these, in this order.
fn begins(request: &Request<'_>, names: &[&str]) -> bool {
    names.iter().enumerate().all(|(at, name)| request.fields.iter().nth(at).is_some_and(|field| field.is(name)))
}

fn hixie75(request: &Request<'_>) -> Vec<&'static str> {
    if !begins(request, &["upgrade", "connection", "host"]) {
        return vec!["a library, or a browser of 2010 whose headers a hop has put in another order"];
    }
    vec![
        "Chrome 4-5, Safari 5.0.0",
        "Qt 4.7 WebKit, from which many kiosks and set-top boxes derive",
        "the Flash shim (web-socket-js) to mid 2010",
    ]
}

fn hixie76(request: &Request<'_>) -> Vec<&'static str> {
    let webkit = begins(request, &["upgrade", "connection", "host", "origin"]);
    let (cookie, key1) = (place(request, "cookie"), place(request, "sec-websocket-key1"));
    let protocol = place(request, "sec-websocket-protocol").or(place(request, "websocket-protocol"));
    if request.fields.has("content-length") {
        return vec!["a library that announces key3 by Content-Length: 8, as Protocol::WebSocket (Perl) does"];
    }
    if !webkit {
        return vec![
            "a library, a browser that strews its headers as the draft asks, or Opera 11-12.0 (switched on by hand)",
        ];
    }
    if cookie.is_some() && cookie < key1 && key1 < protocol {
        return vec!["the Flash shim (web-socket-js), mid 2010 to September 2011"];
    }
    if cookie > key1 && cookie.is_some() {
        return vec!["Chrome 6-13"];
    }
    vec![
        "Safari 5.0.1-5.1, iOS 4.2-5.1, Chrome 6-13",
        "Qt 4.8 WebKit and PhantomJS 1.x; HbbTV 1.x sets with WebKit 534; an LG TV of 2012 (with a subprotocol)",
        "BlackBerry OS 6-7, PlayBook",
    ]
}

fn hybi10(request: &Request<'_>) -> Vec<&'static str> {
    let fields = &request.fields;
    if fields.first("upgrade") == Some(b"Websocket") {
        return vec!["a preview of Internet Explorer 10"];
    }
    if fields.has_token("connection", "keep-alive") {
        return vec!["Firefox 7-10"];
    }
    if fields.first("cookie") == Some(b"") {
        return vec!["the Flash shim (web-socket-js), autumn 2011"];
    }
    if fields.has("sec-websocket-origin") && fields.has("origin") {
        return vec!["npm ws 0.4 and its like"];
    }
    vec!["Chrome 14-15", "libraries of 2011: node, Netty, Jetty"]
}

fn rfc6455(request: &Request<'_>) -> Vec<&'static str> {
    let fields = &request.fields;
    let offers = fields.first("sec-websocket-extensions").unwrap_or_default();
    if offers.windows(22).any(|part| part == b"x-webkit-deflate-frame") {
        return vec!["Safari 6 to 14, iOS 6 to 14, PhantomJS 2.1, Chrome about 19-31"];
    }
    if fields.first("upgrade") == Some(b"Websocket") {
        return vec!["Internet Explorer 10 or 11"];
    }
    if fields.has_token("connection", "keep-alive") {
        return vec!["Firefox 11 or later"];
    }
    vec!["anything since 2012"]
}
