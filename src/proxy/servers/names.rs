//! The addresses of names, looked up again now and then, and kept while nobody answers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

/// How long an answer is used without asking again. The system's resolver does not say how long it holds.
const FRESH: Duration = Duration::from_secs(10);
/// How long an answer is used while the resolver fails.
const STALE: Duration = Duration::from_secs(60 * 60);
/// How long a failure is believed, so that a resolver in trouble is not asked for every client.
const SULK: Duration = Duration::from_secs(1);
/// How long the resolver is waited for where there is an older answer.
const HURRY: Duration = Duration::from_secs(1);

/// The names of all backends, for all threads.
#[derive(Debug, Default)]
pub struct Names {
    known: Mutex<HashMap<Box<str>, Arc<Name>>>,
}

#[derive(Debug, Default)]
struct Name {
    /// Held by who asks the resolver.
    asking: tokio::sync::Mutex<()>,
    record: Mutex<Record>,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Record {
    /// The last answer, and when it came.
    answer: Option<(Vec<IpAddr>, Instant)>,
    /// The failure since then, and when it was.
    failure: Option<(String, Instant)>,
}

impl Record {
    /// What can be said without asking.
    fn at_once(&self, now: Instant) -> Option<Result<Vec<IpAddr>, String>> {
        match (&self.answer, &self.failure) {
            (Some((addresses, at)), None) if now < *at + FRESH => Some(Ok(addresses.clone())),
            (_, Some((why, at))) if now < *at + SULK => Some(self.stale(now).ok_or_else(|| why.clone())),
            _ => None,
        }
    }

    /// The last answer, unless it is too old.
    fn stale(&self, now: Instant) -> Option<Vec<IpAddr>> {
        self.answer.as_ref().filter(|(_, at)| now < *at + STALE).map(|(addresses, _)| addresses.clone())
    }

    /// Notes what the resolver said; true if that is news worth a line in the log.
    fn note(&mut self, said: Result<Vec<IpAddr>, String>, now: Instant) -> bool {
        let failed_before = self.failure.is_some();
        match said {
            Ok(addresses) => {
                (self.answer, self.failure) = (Some((addresses, now)), None);
                failed_before
            }
            Err(why) => {
                self.failure = Some((why, now));
                !failed_before && self.stale(now).is_some()
            }
        }
    }
}

impl Name {
    fn record(&self) -> MutexGuard<'_, Record> {
        // Nothing that holds the lock can leave the record half changed.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the resolver, unless somebody else just has.
    async fn ask(self: Arc<Self>, host: Box<str>) -> Result<Vec<IpAddr>, String> {
        let _one_at_a_time = self.asking.lock().await;
        let at_once = self.record().at_once(Instant::now());
        if let Some(said) = at_once {
            return said;
        }
        let said = match tokio::net::lookup_host((&*host, 0)).await {
            Ok(found) => Ok(found.map(|address| address.ip()).collect::<Vec<IpAddr>>()),
            Err(error) => Err(error.to_string()),
        };
        let said =
            said.and_then(|found| if found.is_empty() { Err("the name has no address".into()) } else { Ok(found) });
        let now = Instant::now();
        let (news, stale) = {
            let mut record = self.record();
            (record.note(said.clone(), now), record.stale(now))
        };
        match &said {
            Ok(_) if news => info!(%host, "the resolver answers again"),
            Err(why) if news => {
                warn!(%host, "the resolver fails, and the addresses it gave last are used, for an hour at most: {why}");
            }
            _ => {}
        }
        said.or_else(|why| stale.ok_or(why))
    }
}

impl Names {
    /// The addresses of a host, in the order in which the system prefers them.
    ///
    /// # Errors
    /// It has none, or nobody knows.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let found = self.look_up(host).await.map_err(io::Error::other)?;
        Ok(found.into_iter().map(|address| (address, port).into()).collect())
    }

    async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let name = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(host) {
                Some(name) => Arc::clone(name),
                None => Arc::clone(known.entry(host.into()).or_default()),
            }
        };
        let (at_once, stale) = {
            let (record, now) = (name.record(), Instant::now());
            (record.at_once(now), record.stale(now))
        };
        if let Some(said) = at_once {
            return said;
        }
        // A task of its own: it goes on when the client who wanted to know has run out of time, for those who follow.
        let mut asking = tokio::spawn(name.ask(host.into()));
        let said = match stale {
            None => asking.await,
            Some(stale) => match timeout(HURRY, &mut asking).await {
                Ok(said) => said,
                Err(_) => return Ok(stale),
            },
        };
        said.unwrap_or_else(|_| Err("the look-up was given up".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_used_for_a_while_and_longer_while_the_resolver_fails() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (one, two) = (vec![IpAddr::from([192, 0, 2, 1])], vec![IpAddr::from([192, 0, 2, 2])]);
        let mut record = Record::default();
        assert_eq!(record.at_once(at(0)), None);
        assert!(!record.note(Err("no".into()), at(0)), "there is no older answer to speak of");
        assert_eq!(record.at_once(at(0)), Some(Err("no".into())));
        assert_eq!(record.at_once(at(1)), None, "asked again");
        record.note(Ok(one.clone()), at(1));
        assert_eq!(record.at_once(at(10)), Some(Ok(one.clone())));
        assert_eq!(record.at_once(at(11)), None, "asked again");
        assert!(record.note(Err("no".into()), at(12)));
        assert!(!record.note(Err("no".into()), at(13)), "said once");
        assert_eq!(record.at_once(at(13)), Some(Ok(one.clone())));
        assert_eq!(record.at_once(at(14)), None, "asked again");
        assert!(record.note(Ok(two.clone()), at(14)));
        assert!(!record.note(Ok(two.clone()), at(14)), "said once");
        assert!(record.note(Err("no".into()), at(3613)));
        assert_eq!(record.at_once(at(3613)), Some(Ok(two)));
        record.note(Err("no".into()), at(3614));
        assert_eq!(record.at_once(at(3614)), Some(Err("no".into())), "too old");
    }

    #[test]
    fn literal_addresses_and_local_names_are_found() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let names = Names::default();
            assert_eq!(names.addresses("::1", 80).await.unwrap(), ["[::1]:80".parse().unwrap()]);
            assert!(names.known.lock().unwrap().is_empty());
            let found = names.addresses("localhost", 80).await.unwrap();
            assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80), "{found:?}");
            assert_eq!(
                names.known.lock().unwrap()["localhost"].record().at_once(Instant::now()).map(|said| said.is_ok()),
                Some(true)
            );
        });
    }
}
