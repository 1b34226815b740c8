//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// The book of connections. Clones share it.
#[derive(Clone, Debug)]
pub struct Permits {
    all: Arc<Semaphore>,
    /// For connections that are with another program: as many again, for each of them may come back, and must not wait for
    /// its own place.
    elsewhere: Arc<Semaphore>,
    most: u32,
    per_address: Option<Arc<PerAddress>>,
}

#[derive(Debug)]
struct PerAddress {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl PerAddress {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing that holds the lock can leave a count half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one connection, until dropped.
#[derive(Debug)]
pub struct Permit {
    one: OwnedSemaphorePermit,
    counted: Option<(Arc<PerAddress>, IpAddr)>,
}

impl Permits {
    /// As many as the limits allow.
    pub fn new(limits: &Limits) -> Self {
        let most = limits.connections.min(Semaphore::MAX_PERMITS);
        Permits {
            all: Arc::new(Semaphore::new(most)),
            elsewhere: Arc::new(Semaphore::new(most)),
            most: u32::try_from(most).unwrap_or(u32::MAX),
            per_address: limits
                .connections_per_address
                .map(|most| Arc::new(PerAddress { most, open: Mutex::default() })),
        }
    }

    /// Waits until one more connection is allowed.
    pub async fn next(&self) -> Permit {
        let one = Arc::clone(&self.all).acquire_owned().await.expect("the semaphore is never closed");
        Permit { one, counted: None }
    }

    /// Counts the connection to its address; false if that has too many already.
    pub fn admit(&self, permit: &mut Permit, address: IpAddr) -> bool {
        let Some(per_address) = &self.per_address else { return true };
        let mut open = per_address.lock();
        let count = open.entry(address).or_default();
        if *count >= per_address.most {
            return false;
        }
        *count += 1;
        permit.counted = Some((Arc::clone(per_address), address));
        true
    }

    /// Counts the connection as one that is with another program; false if too many are. Whoever comes back from there is
    /// counted to the client's address, and so this no longer is.
    pub fn hand_over(&self, permit: &mut Permit) -> bool {
        let Ok(one) = Arc::clone(&self.elsewhere).try_acquire_owned() else { return false };
        permit.one = one;
        permit.forget_address();
        true
    }

    /// Waits until no connection is left.
    pub async fn all_returned(&self) {
        // Never closed, so the only outcome is that all permits are here.
        let _ = self.all.acquire_many(self.most).await;
        let _ = self.elsewhere.acquire_many(self.most).await;
    }
}

impl Permit {
    fn forget_address(&mut self) {
        if let Some((per_address, address)) = self.counted.take() {
            let mut open = per_address.lock();
            if let Some(count) = open.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&address);
                }
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.forget_address();
    }
}
