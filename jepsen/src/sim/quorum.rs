//! The model of the metadata quorum: one linear log that the nodes follow, each at its own pace.
//!
//! - An entry is in the log once, for good, and only a leader that reached a majority put it there (Q1, Q2).
//! - A proposal whose leader is deposed before it is committed is committed by the next leader or never: nobody can tell.
//! - Beside the log runs a machine that applies every entry at once: what every node's image is compared with (M1).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla::controller::MetadataMachine;
use ottla::controller::machine::{Applied, MachineError};
use ottla::metadata::{ImageVersion, MetadataImage, Publisher};
use ottla_raft::{LogIndex, StateMachine as _};

use super::check::Violation;

/// Entries between two snapshots.
const SNAPSHOT_EVERY: usize = 7;

/// An entry that its leader has asked for.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) number: u64,
    pub(super) by: usize,
    pub(super) boot: u64,
    pub(super) bytes: Vec<u8>,
}

/// The log, its leader, and the image that the log makes.
pub(super) struct Quorum {
    entries: Vec<Vec<u8>>,
    snapshots: BTreeMap<usize, Vec<u8>>,
    pub(super) term: u64,
    pub(super) leader: Option<usize>,
    /// The process that was elected: another one on the same machine leads nothing.
    pub(super) leader_boot: u64,
    pub(super) pending: Option<Proposal>,
    /// Since when the leader has had no majority.
    pub(super) alone_since: Option<u64>,
    machine: MetadataMachine,
    publisher: Publisher,
    /// The image's version and digest after each entry, from none on.
    digests: Vec<(ImageVersion, u64)>,
}

/// A state machine and where it publishes.
pub(super) fn machine() -> (MetadataMachine, Publisher) {
    let publisher = Publisher::default();
    // A machine that can't go on keeps its image, and the comparison with the log's shows it.
    let on_fatal = Box::new(|_: &MachineError| ());
    (MetadataMachine::new(publisher.clone(), on_fatal), publisher)
}

impl Quorum {
    pub(super) fn new() -> Self {
        let (machine, publisher) = machine();
        let image = publisher.image();
        Self {
            entries: Vec::new(),
            snapshots: BTreeMap::new(),
            term: 0,
            leader: None,
            leader_boot: 0,
            pending: None,
            alone_since: None,
            machine,
            publisher,
            digests: vec![(ImageVersion::default(), image.digest())],
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the whole log makes.
    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.publisher.image()
    }

    /// Adds an entry: the image before and after it, and what it came to.
    pub(super) fn commit(
        &mut self,
        bytes: Vec<u8>,
    ) -> (Arc<MetadataImage>, Arc<MetadataImage>, Option<Applied>) {
        let before = self.image();
        let answer = self.machine.apply(index(self.entries.len()), &bytes);
        self.entries.push(bytes);
        let after = self.image();
        self.digests.push((after.version(), after.digest()));
        if self.entries.len().is_multiple_of(SNAPSHOT_EVERY) {
            self.snapshots
                .insert(self.entries.len(), self.machine.snapshot());
        }
        (before, after, Applied::decode(&answer))
    }

    /// Brings a machine from `from` to `to` entries; what the last one came to.
    pub(super) fn apply(
        &self,
        machine: &mut MetadataMachine,
        from: usize,
        to: usize,
    ) -> Option<Applied> {
        let mut last = None;
        for (position, entry) in self.entries.iter().enumerate().take(to).skip(from) {
            last = Applied::decode(&machine.apply(index(position), entry));
        }
        last
    }

    /// The latest snapshot that has at most `most` entries, and how many it has.
    pub(super) fn snapshot(&self, most: usize) -> Option<(usize, &[u8])> {
        let (count, bytes) = self.snapshots.range(..=most).next_back()?;
        Some((*count, bytes))
    }

    /// A machine as a process has it that starts with `count` entries on its disk: from a snapshot and the rest of the log.
    pub(super) fn restored(
        &self,
        count: usize,
    ) -> Result<(MetadataMachine, Publisher, usize), Violation> {
        let (mut machine, publisher) = machine();
        let mut at = 0;
        if let Some((covers, bytes)) = self.snapshot(count) {
            restore(&mut machine, covers, bytes)?;
            at = covers;
        }
        self.apply(&mut machine, at, count);
        self.check(&publisher.image(), count)?;
        Ok((machine, publisher, count))
    }

    /// M1, Q1: the image of a node that has applied `count` entries is the one that these made.
    pub(super) fn check(&self, image: &MetadataImage, count: usize) -> Result<(), Violation> {
        if self.digests.get(count) == Some(&(image.version(), image.digest())) {
            return Ok(());
        }
        let text = format!("a node's image after {count} entries is another one");
        Err(Violation::new("M1", text))
    }

    /// M1 and Appendix C 17, 18: a replay of the whole log, and each snapshot with the rest of it, make the same image.
    pub(super) fn check_replays(&self) -> Result<(), Violation> {
        let starts = std::iter::once((0, None)).chain(
            self.snapshots
                .iter()
                .map(|(count, bytes)| (*count, Some(bytes))),
        );
        for (from, snapshot) in starts {
            let (mut machine, publisher) = machine();
            if let Some(bytes) = snapshot {
                restore(&mut machine, from, bytes)?;
            }
            self.apply(&mut machine, from, self.entries.len());
            if publisher.image().digest() != self.image().digest() {
                return Err(Violation::new(
                    "M1",
                    format!("the log replayed from entry {from} makes another image"),
                ));
            }
        }
        Ok(())
    }
}

/// Puts a snapshot in a machine's place.
pub(super) fn restore(
    machine: &mut MetadataMachine,
    covers: usize,
    bytes: &[u8],
) -> Result<(), Violation> {
    let restored = machine.restore(index(covers), bytes);
    restored.map_err(|error| Violation::new("M1", format!("a snapshot can't be loaded: {error}")))
}

fn index(position: usize) -> LogIndex {
    LogIndex(u64::try_from(position).unwrap_or(u64::MAX))
}
