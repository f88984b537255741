//! A bound on how many indexes of sealed segments are mapped at a time.
//!
//! Not one map per index of every partition: that meets `vm.max_map_count` at 30 000 partitions. The mapped indexes
//! stand in a ring; one that was used since its last turn gets another, the others are unmapped.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};

use super::Segment;

/// The segments of a directory whose index is mapped.
#[derive(Debug)]
pub(crate) struct IndexCache {
    ring: Mutex<VecDeque<Weak<Segment>>>,
    capacity: usize,
}

impl IndexCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: Mutex::default(),
            capacity,
        }
    }

    /// Takes note of a newly mapped index and unmaps others if there are too many.
    pub(crate) fn admit(&self, segment: Weak<Segment>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push_back(segment);
        // One turn of the ring takes every second chance away, so two always find a victim.
        for _ in 0..2 * ring.len() {
            if ring.len() <= self.capacity {
                return;
            }
            let Some(candidate) = ring.pop_front() else {
                return;
            };
            match candidate.upgrade() {
                Some(segment) if segment.take_second_chance() => ring.push_back(candidate),
                Some(segment) => segment.unmap_index(),
                None => {}
            }
        }
    }
}
