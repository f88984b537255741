//! How many connections each address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of all addresses. An address without one has no entry.
#[derive(Debug)]
pub(super) struct ByIp {
    counts: Mutex<HashMap<IpAddr, usize>>,
    count_max: usize,
}

/// One connection, counted until this is dropped.
#[derive(Debug)]
pub(super) struct OfIp {
    table: Arc<ByIp>,
    ip: IpAddr,
}

impl ByIp {
    pub(super) fn new(count_max: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            count_max,
        })
    }

    /// Counts another connection of `ip`, if it may have one.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<OfIp> {
        let mut counts = self.counts();
        let count = counts.get(&ip).copied().unwrap_or(0);
        if count >= self.count_max {
            return None;
        }
        counts.insert(ip, count + 1);
        Some(OfIp {
            table: Arc::clone(self),
            ip,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfIp {
    fn drop(&mut self) {
        let mut counts = self.table.counts();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_place_back_and_is_forgotten() {
        let table = ByIp::new(2);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let first = table.admit(one).unwrap();
        let second = table.admit(one).unwrap();
        assert!(table.admit(one).is_none());
        let elsewhere = table.admit(other);
        assert!(elsewhere.is_some());
        drop(first);
        let third = table.admit(one);
        assert!(third.is_some());
        drop((second, third, elsewhere));
        assert!(table.counts().is_empty());
    }
}
