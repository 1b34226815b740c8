//! Asking a route's auth server whether an opening handshake may pass.
//!
//! A connection for each question: handshakes are rare beside what they open, and a connection that was kept could end
//! under a question that must not be asked twice. Whatever is not a judgement is a no.

use std::borrow::Cow;
use std::io;

use tokio::time::timeout;

use super::servers::{Seeker, Servers};
use crate::access;
use crate::config::{Auth, Config, Route, Upstream};
use crate::dialect::opening::Opening;
use crate::dialect::opening::auth::{Asker, Granted, unjudged};
use crate::handshake::auth_answer;
use crate::http::Refusal;

/// The opening handshake as it may go on to the backend: as it came where the route asks nobody, otherwise with what the
/// auth server says of the client.
///
/// # Errors
/// What the client is told instead.
pub async fn pass<'o>(
    opening: &'o Opening,
    route: &Route,
    asker: &Asker,
    config: &Config,
    servers: &Servers,
) -> Result<Cow<'o, Opening>, Refusal> {
    let Some(auth) = &route.auth else { return Ok(Cow::Borrowed(opening)) };
    let silent = || unjudged("it did not answer within timeouts.auth");
    let asked = timeout(config.timeouts.auth, ask(opening, route, auth, asker, config, servers)).await;
    let granted = asked.unwrap_or_else(|_| Err(silent())).map_err(|refusal| named(refusal, &auth.server))?;
    let mut opening = opening.clone();
    // Its answer was read, so its headers can be written.
    opening.replace(&|name| access::is_granted(route, name), granted).map_err(|bad| unjudged(bad.to_string()))?;
    Ok(Cow::Owned(opening))
}

async fn ask(
    opening: &Opening,
    route: &Route,
    auth: &Auth,
    asker: &Asker,
    config: &Config,
    servers: &Servers,
) -> Result<Vec<Granted>, Refusal> {
    let broken = |error: io::Error| unjudged(format!("it broke off: {error}"));
    let group = servers.of_auth(route).ok_or_else(|| unjudged("the route has none"))?;
    let connecting = servers.connect(group, &Seeker::ourselves(), None).await;
    // To whoever connects, every server is an upstream.
    let reached = connecting.map_err(|refusal| unjudged(refusal.logged().replacen("the upstream", "it", 1)))?;
    let (mut stream, _lease) = (reached.stream, reached.lease);
    let target = auth.server.path.as_deref().unwrap_or("/");
    let request = opening.auth_request(target, group.authority(reached.server), asker);
    let judge = |answer: &[u8]| auth_answer(answer, &auth.headers, &config.limits);
    Ok(stream.ask(&request, broken, judge).await?.0)
}

/// Adds which server it was, where the log has a note.
fn named(mut refusal: Refusal, server: &Upstream) -> Refusal {
    let path = server.path.as_deref().unwrap_or("/");
    let url = format!("{}://{}{path}", server.http_scheme(), server.authority());
    refusal.note = Some(refusal.note.map_or_else(|| url.clone(), |note| format!("asked {url}, {note}")));
    refusal
}
