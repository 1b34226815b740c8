//! Asking servers whether they are well, so that clients do not have to find out.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{info, warn};

use super::{Group, Server, Servers};
use crate::config::Health;
use crate::proxy::drain::Watch;
use crate::proxy::random;
use crate::proxy::stream::Stream;

/// Asks every server of the routes that say so, each in its own time, until the shutdown.
pub async fn watch(servers: Arc<Servers>, mut drain: Watch) {
    let mut watching = JoinSet::new();
    for group in &servers.groups {
        let Some(health) = &group.route.health else { continue };
        for server in &group.servers {
            let (servers, group, server, health) =
                (Arc::clone(&servers), Arc::clone(group), Arc::clone(server), health.clone());
            watching.spawn(async move { servers.keep_asking(&group, &server, &health).await });
        }
    }
    drain.started().await;
    watching.shutdown().await;
}

impl Servers {
    async fn keep_asking(&self, group: &Group, server: &Server, health: &Health) {
        let interval = group.route.health_interval;
        // Servers are not asked all at once, nor by all proxies that were started together.
        sleep(random::part(interval)).await;
        loop {
            let next = Instant::now() + interval;
            let said = self.ask(group, server, health, interval.min(self.patience)).await;
            let turned = server.standing().checked(said.is_ok());
            let route = &group.route.name;
            match said {
                Ok(()) if turned => {
                    info!(route, server = server.label, "the server is up: its health checks are good again")
                }
                Err(why) if turned => {
                    warn!(route, server = server.label, "the server is down: its health checks fail: {why}")
                }
                _ => {}
            }
            sleep_until(next).await;
        }
    }

    /// One check.
    async fn ask(&self, group: &Group, server: &Server, health: &Health, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        let stream = self.dial(group, server, None, time).await.map_err(|unreached| unreached.why)?;
        match health {
            Health::Tcp => Ok(()),
            Health::Http(path) => match timeout_at(until, get(stream, path, group, server)).await {
                Ok(answered) => answered,
                Err(_) => Err(format!("GET {path} was not answered within {time:?}")),
            },
        }
    }
}

/// Asks for a page, on a connection that serves nothing else.
async fn get(stream: Stream, path: &str, group: &Group, server: &Server) -> Result<(), String> {
    let failed = |error: hyper::Error| format!("GET {path}: {error}");
    // No client has named a host, so the server's own stands in for it.
    let host = match &group.route.upstream_host {
        crate::config::UpstreamHost::Fixed(host) => host,
        _ => &server.authority,
    };
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("hybridge/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("GET {path}: {error}"))?;
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) =
        builder.title_case_headers(true).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut asking = std::pin::pin!(sender.send_request(request));
    let response = tokio::select! {
        response = &mut asking => response,
        // A short answer and the end of the connection may come as one.
        _ = connection => asking.await,
    };
    let response = response.map_err(failed)?;
    match response.status() {
        status if status.is_success() || status.is_redirection() => Ok(()),
        StatusCode::SWITCHING_PROTOCOLS => Err(format!("GET {path} was answered with another protocol")),
        status => Err(format!("GET {path} was answered {status}")),
    }
}
