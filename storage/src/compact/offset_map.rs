//! Which offset is the last one of each key: hashes of keys in a table of a fixed size.
//!
//! - Memory is bounded: 24 bytes an entry, and no more entries than the load factor allows. A full map refuses new keys
//!   and goes on to take later offsets of the ones it has.
//! - Keys come from clients, and two keys of one hash would cost a record. The hash is SipHash-1-3 with 128 bits under a
//!   secret key that is drawn for each round, so nobody can look for such keys.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::ids::Offset;

/// The secret of one round's hashes.
pub type HashKey = [u8; 16];

/// Two words of hash, and the offset plus one: zero is an empty slot, so that fresh memory is an empty table.
type Slot = [u64; 3];

const SLOT_BYTES: u64 = size_of::<Slot>() as u64;

/// The last offset of each key, by the key's hash.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    len: usize,
    len_max: usize,
    key: HashKey,
}

impl OffsetMap {
    /// A table of at most `memory` bytes, and not much larger than `keys` keys need. `load` is the part of it that may
    /// be filled, in percent.
    pub(crate) fn new(memory: u64, load: u32, keys: u64, key: HashKey) -> Self {
        let load = u64::from(load.clamp(1, 99));
        let needed = keys.saturating_mul(100).div_ceil(load).saturating_add(1);
        let count = needed.min(memory / SLOT_BYTES);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let len_max = u64::try_from(count).unwrap_or(u64::MAX);
        let len_max = len_max.saturating_mul(load) / 100;
        Self {
            slots: vec![[0; 3]; count],
            len: 0,
            len_max: usize::try_from(len_max).unwrap_or(usize::MAX),
            key,
        }
    }

    /// Notes that `key` is at `offset`, behind all offsets noted before. False, and nothing is noted, if it is full.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let Some(at) = self.find(hash) else {
            return false;
        };
        let is_full = self.len >= self.len_max;
        let Some(slot) = self.slots.get_mut(at) else {
            return false;
        };
        let [_, _, stored] = *slot;
        if stored == 0 {
            if is_full {
                return false;
            }
            self.len += 1;
        }
        let [high, low] = hash;
        *slot = [high, low, offset.get().unsigned_abs() + 1];
        true
    }

    /// The last offset that was noted of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let [_, _, stored] = *self.slots.get(self.find(self.hash(key))?)?;
        Offset::from_wire(i64::try_from(stored.checked_sub(1)?).ok()?)
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(key);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }

    /// The slot that holds the hash, or the empty one where it belongs; `None` in a table without slots.
    ///
    /// There is always an empty slot: a table is never filled whole.
    fn find(&self, hash: [u64; 2]) -> Option<usize> {
        let [high, low] = hash;
        let count = self.slots.len();
        // The high word's place on a line as long as the table: a modulo without a division.
        let scaled = (u128::from(high) * u128::try_from(count).ok()?) >> 64;
        let mut at = usize::try_from(scaled).ok()?;
        for _ in 0..count {
            let slot = self.slots.get(at)?;
            let [stored_high, stored_low, stored] = *slot;
            if stored == 0 || (stored_high == high && stored_low == low) {
                return Some(at);
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_full_map_refuses_new_keys_and_keeps_the_old_ones_current() {
        let mut map = OffsetMap::new(24 * 10, 90, u64::MAX, [7; 16]);
        for key in 0..9_u8 {
            assert!(map.put(&[key], Offset::from(u32::from(key))));
        }
        assert_eq!((map.len, map.len_max), (9, 9));
        assert!(!map.put(b"another", Offset::from(100_u32)));
        assert!(map.put(&[3], Offset::from(101_u32)));
        assert_eq!(map.get(&[3]), Some(Offset::from(101_u32)));
        assert_eq!(map.get(b"another"), None);
    }

    #[test]
    fn it_takes_no_more_memory_than_its_keys_or_its_bound() {
        assert_eq!(OffsetMap::new(1 << 30, 90, 9, [0; 16]).slots.len(), 11);
        assert_eq!(OffsetMap::new(240, 90, u64::MAX, [0; 16]).slots.len(), 10);
        let mut none = OffsetMap::new(10, 90, 5, [0; 16]);
        assert!(!none.put(b"k", Offset::ZERO));
        assert_eq!(none.get(b"k"), None);
    }

    proptest! {
        #[test]
        fn it_answers_as_a_map_of_the_keys_does(puts in vec(vec(0..4_u8, 0..4), 0..300), key: HashKey) {
            let mut map = OffsetMap::new(1 << 20, 90, 400, key);
            let mut model = BTreeMap::new();
            for (offset, key) in (0_u32..).zip(&puts) {
                prop_assert!(map.put(key, Offset::from(offset)));
                model.insert(key.clone(), Offset::from(offset));
            }
            prop_assert_eq!(map.len, model.len());
            for (key, offset) in &model {
                prop_assert_eq!(map.get(key), Some(*offset));
            }
            prop_assert_eq!(map.get(b"a key that nobody put"), None);
        }
    }
}
