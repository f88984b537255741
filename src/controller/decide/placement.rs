//! Where replicas go: striped over racks, then over the brokers of each rack.
//!
//! - The replicas of a partition are distinct; a fenced broker never comes first.
//! - Racks are used before one is used again; leaders spread evenly over unfenced brokers.
//!
//! semantics: each partition takes its leader from the next rack that has an unfenced broker and goes
//! round the racks from there; the starting points move on by one per partition, and are shuffled
//! after as many partitions as there are unfenced brokers, so that followers spread, too.

use std::collections::BTreeMap;

use crate::controller::command::PlacementError;
use crate::controller::decide::Draw;
use crate::metadata::BrokerId;
use crate::metadata::image::BrokersImage;

/// Brokers of one kind in one rack, taken in turn.
#[derive(Debug, Default)]
struct Ring {
    brokers: Vec<BrokerId>,
    start: usize,
    taken: usize,
}

impl Ring {
    fn take(&mut self) -> Option<BrokerId> {
        if self.taken >= self.brokers.len() {
            return None;
        }
        let at = self
            .start
            .wrapping_add(self.taken)
            .checked_rem(self.brokers.len())?;
        self.taken += 1;
        self.brokers.get(at).copied()
    }

    fn next_partition(&mut self) {
        self.taken = 0;
        self.start = self.start.wrapping_add(1);
    }
}

#[derive(Debug, Default)]
struct Rack {
    unfenced: Ring,
    fenced: Ring,
}

/// Hands out replicas, one partition after the other.
#[derive(Debug)]
pub(super) struct Placer {
    racks: Vec<Rack>,
    start: usize,
    unfenced_count: usize,
    until_shuffle: usize,
}

impl Placer {
    /// A placer over the brokers that are not shutting down.
    pub(super) fn new(brokers: &BrokersImage, draw: &mut Draw) -> Self {
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        for broker in brokers
            .iter()
            .filter(|broker| !broker.in_controlled_shutdown)
        {
            let rack = racks.entry(broker.rack.as_deref()).or_default();
            let ring = if broker.is_fenced {
                &mut rack.fenced
            } else {
                &mut rack.unfenced
            };
            ring.brokers.push(broker.id);
        }
        let mut racks: Vec<Rack> = racks.into_values().collect();
        for rack in &mut racks {
            rack.unfenced.start = draw.position(rack.unfenced.brokers.len());
            rack.fenced.start = draw.position(rack.fenced.brokers.len());
        }
        let unfenced_count = racks.iter().map(|rack| rack.unfenced.brokers.len()).sum();
        let start = draw.position(racks.len());
        Self {
            racks,
            start,
            unfenced_count,
            until_shuffle: unfenced_count,
        }
    }

    /// Brokers that can hold a replica.
    pub(super) fn broker_count(&self) -> usize {
        let of = |rack: &Rack| rack.unfenced.brokers.len() + rack.fenced.brokers.len();
        self.racks.iter().map(of).sum()
    }

    /// Whether `replication_factor` replicas can be placed.
    pub(super) fn check(&self, replication_factor: usize) -> Result<(), PlacementError> {
        if replication_factor == 0 {
            return Err(PlacementError::NotPositive);
        }
        if self.unfenced_count == 0 {
            return Err(PlacementError::NobodyActive);
        }
        let registered = self.broker_count();
        if replication_factor > registered {
            return Err(PlacementError::TooFewBrokers {
                wanted: replication_factor,
                registered,
            });
        }
        Ok(())
    }

    /// The replicas of the next partition, the leader first.
    pub(super) fn place(
        &mut self,
        replication_factor: usize,
        draw: &mut Draw,
    ) -> Result<Vec<BrokerId>, PlacementError> {
        self.check(replication_factor)?;
        if self.until_shuffle == 0 {
            self.shuffle(draw);
        }
        self.until_shuffle -= 1;
        let mut replicas = Vec::with_capacity(replication_factor);
        let mut leader_rack = self.start;
        for step in 0..self.racks.len() {
            let at = self.start.wrapping_add(step) % self.racks.len();
            if let Some(leader) = self.racks.get_mut(at).and_then(|rack| rack.unfenced.take()) {
                replicas.push(leader);
                leader_rack = at;
                break;
            }
        }
        // The leader's rack has had its turn of the first round already.
        let mut at = leader_rack;
        while replicas.len() < replication_factor {
            at = at.wrapping_add(1) % self.racks.len();
            if let Some(rack) = self.racks.get_mut(at) {
                replicas.extend(rack.unfenced.take().or_else(|| rack.fenced.take()));
            }
        }
        self.start = self.start.wrapping_add(1);
        for rack in &mut self.racks {
            rack.unfenced.next_partition();
            rack.fenced.next_partition();
        }
        Ok(replicas)
    }

    fn shuffle(&mut self, draw: &mut Draw) {
        self.until_shuffle = self.unfenced_count;
        if self.unfenced_count > 1 {
            draw.shuffle(&mut self.racks);
            for rack in &mut self.racks {
                draw.shuffle(&mut rack.unfenced.brokers);
                draw.shuffle(&mut rack.fenced.brokers);
            }
        }
    }
}
