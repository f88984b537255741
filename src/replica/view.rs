//! What readers see of a partition: one moment of it, whole, without a lock (decision 10).
//!
//! - A view never changes. Its high watermark, last stable offset and log belong together, and
//!   R1 `log_start <= high_watermark <= log_end` holds in it.
//! - A watcher that registers and then looks at the view misses nothing: either the view shows the
//!   change, or the change finds the watcher.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ottla_storage::planted::is_planted;
use ottla_storage::{LeaderEpoch, LogView, Offset};

use super::core::effect::Refusal;
pub use super::core::partition::Reign;
use crate::metadata::BrokerId;

/// One moment of a partition.
#[derive(Clone, Debug)]
pub enum View {
    /// Its log is not open; asking for it opens it.
    Closed,
    /// It answers every request with this.
    Refused(Refusal),
    /// This broker leads it.
    Led(Led),
    /// This broker follows another one, or nobody for now.
    Followed(Followed),
}

/// One moment of a partition that this broker follows.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Whom, if anybody leads.
    pub leader: Option<BrokerId>,
    /// Under which epoch.
    pub leader_epoch: LeaderEpoch,
    /// How far the partition is known to be committed.
    pub high_watermark: Offset,
    /// Whether this log's end may be told to the leader: it is not being truncated, and it is flushed where it must be.
    pub is_fetchable: bool,
    /// The log.
    pub log: Arc<LogView>,
}

/// One moment of a partition that this broker leads.
#[derive(Clone, Debug)]
pub struct Led {
    /// Under which epoch, and how far it is committed.
    pub reign: Reign,
    /// The log.
    pub log: Arc<LogView>,
}

impl Followed {
    /// Where the next fetch goes on, and the last epoch that the log knows: of the log itself, whatever the last answer
    /// brought. One without records says nothing of an epoch (KAFKA-15510).
    ///
    /// There is an epoch as soon as there are records, because every batch carries its leader's and a log that lost its
    /// epochs finds them there. So no follower has to begin at its high watermark for want of an epoch, as Kafka's does.
    pub fn goes_on_at(&self) -> (Offset, Option<LeaderEpoch>) {
        let last_epoch = self.log.last_epoch();
        let is_kept = !is_planted("an-empty-answer-keeps-the-last-epoch");
        (self.log.log_end(), last_epoch.filter(|_| is_kept))
    }
}

impl Led {
    /// R7: consumers see what is below.
    pub fn high_watermark(&self) -> Offset {
        self.reign.high_watermark
    }

    /// R7: `read_committed` consumers see what is below. No transaction is ever open until there
    /// are transactions.
    pub fn last_stable_offset(&self) -> Offset {
        self.reign.high_watermark
    }
}

/// What changed between two views, for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Bytes that consumers may now read and could not before.
    pub visible_bytes: u64,
    /// Bytes that were appended: followers may read them at once.
    pub appended_bytes: u64,
    /// Something else changed, or the bytes are not known: look again.
    pub is_other: bool,
}

/// Someone who waits for a partition to change.
pub trait Watch: fmt::Debug + Send + Sync {
    /// Called by the writer after each change; must not block, and must not submit to a partition.
    fn changed(&self, change: Change);
}

/// The latest view of a partition, and who waits for the next.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<View>,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    next: u64,
    waiting: BTreeMap<u64, Arc<dyn Watch>>,
}

impl Published {
    /// Begins with a view that many partitions may share.
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self {
            view: ArcSwap::new(view),
            watchers: Mutex::default(),
        }
    }

    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Shows the view to readers, then tells who waits.
    pub(crate) fn publish(&self, view: View, change: Change) {
        self.view.store(Arc::new(view));
        for watcher in self.watchers().waiting.values() {
            watcher.changed(change);
        }
    }

    /// Registers a watcher; it is forgotten by [`Published::forget`].
    pub(crate) fn watch(&self, watcher: Arc<dyn Watch>) -> u64 {
        let mut watchers = self.watchers();
        let id = watchers.next;
        watchers.next += 1;
        watchers.waiting.insert(id, watcher);
        id
    }

    pub(crate) fn forget(&self, id: u64) {
        self.watchers().waiting.remove(&id);
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
