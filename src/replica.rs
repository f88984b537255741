//! One partition on this broker: its decisions (`core`, pure), and the glue that carries them out.
//!
//! - Every event of a partition goes through its one queue, and one writer at a time works it off
//!   (`combining`, `driver`).
//! - Readers look at the published view and take no lock.

pub mod combining;
pub(crate) mod core;
mod directories;
mod driver;
pub mod following;
pub mod isr_change;
pub mod placement;
pub mod replicas;
pub mod request;
mod settings;
pub mod view;
pub mod worker;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use ottla_storage::log::PartitionLog;
use ottla_storage::time::MonoMillis;
use ottla_storage::{Clock, DirectoryId, LogEvent, Offset};

use combining::{Combining, Limits};
use core::effect::FollowerFetch;
use core::partition::Partition;
use directories::Directories;
use driver::{Closing, Driver, Event, Part};
use following::FromLeader;
use isr_change::IsrAnswer;
use replicas::Outbound;
use request::Submission;
use settings::PartitionConfig;
use view::{Published, View, Watch};
use worker::WorkQueue;

use crate::metadata::{BrokerId, ImageVersion, PartitionEpoch, PartitionIndex, TopicId};

pub use replicas::{PartitionChange, ReplicaMap, Replicas};

/// Names a partition whatever its topic is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    /// The topic.
    pub topic: TopicId,
    /// Which of its partitions.
    pub partition: PartitionIndex,
}

/// A log that could not be opened is left alone for so long: whoever waits for it would ask again at once.
pub(crate) const OPEN_PAUSE: Duration = Duration::from_secs(1);

/// Why a log is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenFailure {
    /// It waits for its scan; an event tells of its end.
    Unrecovered,
    /// Not now (a full disk, an earlier topic's log in its place); another try may succeed.
    Unavailable,
    /// The log or its directory is lost until the process restarts.
    Offline,
}

/// A log that was opened, and what its journal knows of the high watermark.
#[derive(Debug)]
pub(crate) struct OpenedLog {
    pub(crate) log: PartitionLog,
    pub(crate) high_watermark: Offset,
}

/// One replica of one partition.
#[derive(Debug)]
pub struct Replica {
    key: ReplicaKey,
    topic: Arc<str>,
    published: Arc<Published>,
    lock: Combining<Event, Driver>,
    /// This replica itself, for whoever works on it later.
    me: Weak<Replica>,
    work: WorkQueue,
    clock: Arc<dyn Clock>,
    /// Whether it stands in the line already.
    is_handed_over: AtomicBool,
    is_open_asked: AtomicBool,
    /// The moment, in monotonic milliseconds, before which nobody asks.
    no_open_before: AtomicU64,
    /// The directory that the metadata name.
    assigned_directory: Mutex<DirectoryId>,
    /// Where the log is, or will be made.
    directory: OnceLock<DirectoryId>,
}

impl Replica {
    /// A replica whose log is not open; it refuses everything until it is told who leads.
    pub(crate) fn new(
        (key, topic, me): (ReplicaKey, Arc<str>, BrokerId),
        config: Arc<PartitionConfig>,
        (directories, assigned_directory): (Arc<Directories>, DirectoryId),
        initial: Arc<View>,
        outbound: &Outbound,
    ) -> Arc<Self> {
        Arc::new_cyclic(|replica| {
            let published = Arc::new(Published::new(initial));
            let core = Partition::new(me, config.settings);
            let driver = Driver::new(
                replica.clone(),
                directories,
                published.clone(),
                core,
                config,
                outbound,
            );
            Self {
                key,
                topic,
                published,
                lock: Combining::new(Limits::default(), driver),
                me: replica.clone(),
                work: outbound.work.clone(),
                clock: outbound.clock.clone(),
                is_handed_over: AtomicBool::new(false),
                is_open_asked: AtomicBool::new(false),
                no_open_before: AtomicU64::new(0),
                assigned_directory: Mutex::new(assigned_directory),
                directory: OnceLock::new(),
            }
        })
    }

    /// Which partition this is.
    pub fn key(&self) -> ReplicaKey {
        self.key
    }

    /// The topic's name.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition as it is now. Cheap; do not hold it for long.
    pub fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.published.load()
    }

    /// The partition as it is now, to be kept.
    pub fn view_owned(&self) -> Arc<View> {
        arc_swap::Guard::into_inner(self.published.load())
    }

    /// Watches the partition until the registration is dropped. Look at the view afterwards.
    pub fn watch(self: &Arc<Self>, watcher: Arc<dyn Watch>) -> Watching {
        let id = self.published.watch(watcher);
        Watching {
            published: self.published.clone(),
            id,
        }
    }

    /// Submits a request and works the queue off; pending if there is no room, and then `waker` is
    /// woken when there may be.
    pub fn poll_submit(&self, submission: &mut Submission, waker: &Waker) -> Poll<()> {
        let size = match &submission.0 {
            Some(Event::Request(request)) => request.size(),
            _ => 0,
        };
        let submitted = self.lock.poll_submit(size, &mut submission.0, waker);
        self.ask_open();
        self.lock.run();
        submitted
    }

    /// Sees that the log gets opened, if it is not. The view tells when it is, and of no failure: whoever waits asks
    /// again from time to time.
    pub fn ask_open(&self) {
        if self.is_open_asked.load(Ordering::Acquire)
            || self.clock.mono().as_millis() < self.no_open_before.load(Ordering::Relaxed)
        {
            return;
        }
        if !self.is_open_asked.swap(true, Ordering::AcqRel) {
            self.post(Event::Open);
        }
    }

    /// The next request from `then` on asks again.
    pub(crate) fn may_ask_open_again(&self, then: MonoMillis) {
        self.no_open_before
            .store(then.as_millis(), Ordering::Relaxed);
        self.is_open_asked.store(false, Ordering::Release);
    }

    /// Asks for another turn; whoever is at it, or what comes after, goes on with what waits.
    fn resume_later(&self) {
        self.lock.complete(Event::Resume);
    }

    /// Where the metadata say that the log is, or shall be made.
    pub fn assigned_directory(&self) -> DirectoryId {
        let assigned = self.assigned_directory.lock();
        *assigned.unwrap_or_else(PoisonError::into_inner)
    }

    fn assign_directory(&self, directory: DirectoryId) {
        let assigned = self.assigned_directory.lock();
        *assigned.unwrap_or_else(PoisonError::into_inner) = directory;
    }

    pub(crate) fn set_directory(&self, directory: DirectoryId) {
        self.directory.get_or_init(|| directory);
    }

    /// Where its log is, or will be made; `None` as long as that is open.
    pub fn directory(&self) -> Option<DirectoryId> {
        self.directory.get().copied()
    }

    /// The log was opened, or could not be.
    pub(crate) fn opened(&self, result: Result<OpenedLog, OpenFailure>) {
        self.post(Event::Opened(Box::new(result)));
    }

    /// The metadata says which part this broker plays.
    pub(crate) fn play(&self, part: Part) {
        self.post(Event::Play(part));
    }

    /// A follower has asked this leader for records, in a way that shows how far it is. For the cores.
    pub fn follower_fetched(&self, fetch: FollowerFetch) {
        self.lock.complete(Event::FollowerFetch(fetch));
        self.lock.run();
    }

    /// The leader has answered a fetch for this follower.
    pub fn leader_said(&self, answer: FromLeader) {
        self.post(Event::FromLeader(Box::new(answer)));
    }

    /// The controller has answered. The quorum's thread says so, and has no time for the consequences.
    pub(crate) fn isr_answered(&self, proposed_at: PartitionEpoch, answer: IsrAnswer) {
        self.lock.complete(Event::IsrAnswered(proposed_at, answer));
        self.hand_over();
    }

    /// The metadata lets this follower be in sync no more: it was fenced, or stops.
    pub(crate) fn follower_gone(&self, follower: BrokerId, since: ImageVersion) {
        if matches!(**self.view(), View::Led(_)) {
            self.post(Event::FollowerGone(follower, since));
        }
    }

    /// It is time to look for followers that lag. Whoever leads nothing has none.
    pub fn check_isr(&self) {
        if matches!(**self.view(), View::Led(_)) {
            self.post(Event::CheckIsr);
        }
    }

    /// Settings changed.
    pub(crate) fn configure(&self, config: Arc<PartitionConfig>) {
        self.post(Event::Configure(config));
    }

    /// The log's I/O came further.
    pub(crate) fn log_event(&self, event: LogEvent) {
        self.post(Event::Log(event));
    }

    /// A deadline of a request has passed. For the cores.
    pub fn tick(&self) {
        self.lock.complete(Event::Tick);
        self.lock.run();
    }

    /// It is time for retention. A log that is not open is opened if it has more than its active segment.
    pub fn retain(&self) {
        if matches!(
            **self.view(),
            View::Led(_) | View::Followed(_) | View::Closed
        ) {
            self.post(Event::Retain);
        }
    }

    /// It is time to forget producers that are gone. A log that is not open remembers none.
    pub fn expire_producers(&self) {
        if matches!(**self.view(), View::Led(_) | View::Followed(_)) {
            self.post(Event::ExpireProducers);
        }
    }

    /// The directory is lost.
    pub(crate) fn offline(&self) {
        self.post(Event::Offline);
    }

    /// The partition is not this broker's any more: its log is removed.
    pub(crate) fn delete(&self) {
        self.post(Event::Delete);
    }

    /// The node stops: the log is closed in order, and then `closing` is dropped.
    pub(crate) fn close(&self, closing: Closing) {
        self.post(Event::Close(closing));
    }

    /// Tells of an event, and leaves the requests that wait to others: this thread is none of the cores'.
    fn post(&self, event: Event) {
        self.lock.complete(event);
        if self.lock.run_completions() {
            self.hand_over();
        }
    }

    fn hand_over(&self) {
        let is_in_line = self.is_handed_over.swap(true, Ordering::AcqRel);
        if let Some(me) = self.me.upgrade().filter(|_| !is_in_line)
            && self.work.send(me).is_err()
        {
            // It does not end before the replicas do.
            tracing::error!("the thread that works for partitions has ended");
        }
    }

    /// Works for a few turns, and stands in line again for the rest.
    pub fn work_for(&self, turn_count: usize) {
        // Before the first look: who finds work left after this hands it over again.
        self.is_handed_over.store(false, Ordering::Release);
        if self.lock.run_for(turn_count) {
            self.hand_over();
        }
    }
}

/// A registration of a watcher.
#[derive(Debug)]
pub struct Watching {
    published: Arc<Published>,
    id: u64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.published.forget(self.id);
    }
}

#[cfg(test)]
mod tests;
