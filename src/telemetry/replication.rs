//! Counters of what replication and the logs went through since this process started. A node says them when it is sent SIGUSR1, and when
//! it stops.
//!
//! - Each event is counted by one node: leaders, in-sync sets and fences by the controller that decided them, truncations
//!   by the node whose log was cut. A cluster's counts are the sums over its nodes.
//! - What a controller decided in the moment in which it lost its leadership is not counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ottla_storage::compact::CleanerCounters;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one node.
#[derive(Debug, Default)]
pub struct Replication {
    /// Of in-sync sets.
    pub isr: IsrChanges,
    /// Of leaders.
    pub elections: Elections,
    /// Of brokers.
    pub fences: Fences,
    /// Of logs of this node.
    pub truncations: Truncations,
    /// Of the cleaner of this node's logs.
    pub cleaner: Arc<CleanerCounters>,
}

/// Changes of in-sync sets.
#[derive(Debug, Default)]
pub struct IsrChanges {
    /// A member left.
    pub shrinks: Counter,
    /// A member joined, under the same leader.
    pub expansions: Counter,
}

/// Partitions that another broker leads than before.
#[derive(Debug, Default)]
pub struct Elections {
    /// One that was in sync.
    pub clean: Counter,
    /// One that was not, and has all that was acknowledged (KIP-966).
    pub from_elr: Counter,
    /// One that may lack records.
    pub unclean: Counter,
    /// Nobody leads any more.
    pub leaderless: Counter,
}

/// Brokers that were taken out of service.
#[derive(Debug, Default)]
pub struct Fences {
    /// Silent for a session.
    pub session: Counter,
    /// Nothing answers at the address.
    pub probe: Counter,
    /// The broker asked: it can't vouch for its cores or its disks.
    pub asked: Counter,
    /// The broker asked: it stops.
    pub stop: Counter,
    /// Another process has its place.
    pub restart: Counter,
}

/// Logs that were cut because the leader has another history.
#[derive(Debug, Default)]
pub struct Truncations {
    /// The leader's epochs end elsewhere.
    pub diverged: Counter,
    /// The log went on where the leader's ends.
    pub out_of_range: Counter,
    /// The log ended before the leader's begins: all of it went.
    pub restarted: Counter,
    /// The offsets that went, of all of them.
    pub offsets: Counter,
}

impl Replication {
    /// Says all of them in two lines.
    pub fn say(&self) {
        let Self {
            isr,
            elections,
            fences,
            truncations,
            cleaner,
        } = self;
        tracing::info!(
            isr_shrinks = isr.shrinks.get(),
            isr_expansions = isr.expansions.get(),
            elections_clean = elections.clean.get(),
            elections_from_elr = elections.from_elr.get(),
            elections_unclean = elections.unclean.get(),
            leaderless = elections.leaderless.get(),
            fences_session = fences.session.get(),
            fences_probe = fences.probe.get(),
            fences_asked = fences.asked.get(),
            fences_stop = fences.stop.get(),
            fences_restart = fences.restart.get(),
            truncations_diverged = truncations.diverged.get(),
            truncations_out_of_range = truncations.out_of_range.get(),
            truncations_restarted = truncations.restarted.get(),
            truncated_offsets = truncations.offsets.get(),
            "replication since the start"
        );
        tracing::info!(
            rounds = cleaner.rounds(),
            rounds_given_up = cleaner.failed_rounds(),
            bytes_read = cleaner.bytes_read(),
            bytes_written = cleaner.bytes_written(),
            records_dropped = cleaner.records_dropped(),
            last_round_ms = cleaner.last_round_ms(),
            max_dirty_percent = cleaner.max_dirty_percent(),
            uncleanable_partitions = cleaner.uncleanable(),
            "log cleaner since the start"
        );
    }
}
