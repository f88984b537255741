//! What the coordinator's thread has to see to.
//!
//! - Requests are bounded: one that finds no room is refused at once. Everything else is the end of work that the thread
//!   began, or is kept once however often it is said.
//! - Whoever tells never waits: a partition's writer tells under its lock.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_storage::Offset;
use tokio::sync::oneshot;

use super::group::error::GroupError;
use super::group::request::{Request, Response};
use super::group::shard::BatchId;
use crate::metadata::{MetadataImage, PartitionIndex};
use crate::replica::request::RequestError;

/// Requests that may wait for the thread.
const ASKS_MAX: usize = 10_000;

/// Which life of a shard: what was begun in an earlier one means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life(pub(super) u64);

/// A client's request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) partition: PartitionIndex,
    pub(super) request: Request,
    pub(super) to: oneshot::Sender<Response>,
}

/// A batch is appended, or was refused.
#[derive(Debug)]
pub(super) struct Appended {
    pub(super) partition: PartitionIndex,
    pub(super) life: Life,
    pub(super) batch: BatchId,
    /// Where it ends in the log.
    pub(super) end: Result<Offset, RequestError>,
}

/// The cluster's metadata, and which topics are no more since the last time.
#[derive(Debug)]
pub(super) struct News {
    pub(super) image: Arc<MetadataImage>,
    pub(super) deleted: Vec<Arc<str>>,
    /// Whether topics came, went or grew.
    pub(super) is_about_topics: bool,
}

/// Everything there was to see to.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) asked: VecDeque<Asked>,
    pub(super) appended: Vec<Appended>,
    /// Partitions to look at.
    pub(super) changed: BTreeSet<PartitionIndex>,
    pub(super) news: Option<News>,
    pub(super) is_stopping: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.asked.is_empty()
            && self.appended.is_empty()
            && self.changed.is_empty()
            && self.news.is_none()
            && !self.is_stopping
    }
}

/// Where the thread's work comes in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    came: Condvar,
}

impl Inbox {
    fn put(&self, put: impl FnOnce(&mut Mail)) {
        put(&mut self.mail());
        self.came.notify_one();
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// There is no room for it, or the thread stops.
    pub(super) fn ask(&self, asked: Asked) -> Result<(), GroupError> {
        let mut mail = self.mail();
        if mail.is_stopping {
            return Err(GroupError::NotCoordinator);
        }
        if mail.asked.len() >= ASKS_MAX {
            return Err(GroupError::NotAvailable);
        }
        mail.asked.push_back(asked);
        drop(mail);
        self.came.notify_one();
        Ok(())
    }

    pub(super) fn appended(&self, appended: Appended) {
        self.put(|mail| mail.appended.push(appended));
    }

    pub(super) fn changed(&self, partition: PartitionIndex) {
        self.put(|mail| {
            mail.changed.insert(partition);
        });
    }

    pub(super) fn news(&self, news: News) {
        self.put(|mail| match &mut mail.news {
            Some(waiting) => {
                waiting.image = news.image;
                waiting.deleted.extend(news.deleted);
                waiting.is_about_topics |= news.is_about_topics;
            }
            None => mail.news = Some(news),
        });
    }

    pub(super) fn stop(&self) {
        self.put(|mail| mail.is_stopping = true);
    }

    /// Everything that came, as soon as something has or after `wait`.
    pub(super) fn take(&self, wait: Duration) -> Mail {
        let mail = self.mail();
        let waited = self
            .came
            .wait_timeout_while(mail, wait, |mail| mail.is_empty());
        let (mut mail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_stopping = mail.is_stopping;
        let taken = std::mem::take(&mut *mail);
        mail.is_stopping = is_stopping;
        taken
    }
}
