//! Moments at which something must be looked at, one per thing.

use std::collections::{BTreeMap, BTreeSet};

use ottla_storage::time::MonoMillis;

/// The next moment of each `K`, in the order of the moments.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    at: BTreeMap<K, MonoMillis>,
    order: BTreeSet<(MonoMillis, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            at: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Ord> Deadlines<K> {
    /// `key` is looked at then, and at no other moment.
    pub fn set(&mut self, key: K, at: MonoMillis) {
        match self.at.insert(key.clone(), at) {
            Some(before) if before == at => {}
            Some(before) => {
                self.order.remove(&(before, key.clone()));
                self.order.insert((at, key));
            }
            None => {
                self.order.insert((at, key));
            }
        }
    }

    /// `key` need not be looked at.
    pub fn cancel(&mut self, key: &K) {
        if let Some(at) = self.at.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }

    /// Sets the moment of `key`, or cancels it.
    pub fn put(&mut self, key: K, at: Option<MonoMillis>) {
        match at {
            Some(at) => self.set(key, at),
            None => self.cancel(&key),
        }
    }

    /// The moment of `key`.
    pub fn get(&self, key: &K) -> Option<MonoMillis> {
        self.at.get(key).copied()
    }

    /// The first moment.
    pub fn next(&self) -> Option<MonoMillis> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the first key whose moment has come.
    pub fn pop_due(&mut self, now: MonoMillis) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoMillis {
        MonoMillis::from_millis(millis)
    }

    #[test]
    fn each_key_is_due_once_at_its_last_moment() {
        let mut deadlines = Deadlines::default();
        deadlines.set("a", at(5));
        deadlines.set("b", at(3));
        deadlines.set("a", at(2));
        deadlines.set("c", at(1));
        deadlines.cancel(&"c");
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.pop_due(at(1)), None);
        assert_eq!(deadlines.pop_due(at(9)), Some("a"));
        assert_eq!(deadlines.pop_due(at(9)), Some("b"));
        assert_eq!(deadlines.pop_due(at(9)), None);
    }
}
