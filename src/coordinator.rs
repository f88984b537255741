//! The group coordinator: who is in a consumer group, what each member reads, and how far a group has come.
//!
//! - A group belongs to one partition of `__consumer_offsets`, and whoever leads that partition coordinates it. What it
//!   decides is in that partition's log, in Kafka's formats; its memory is a function of the log and of who was heard of.
//! - `group` decides (pure). One thread of the node carries it out for all partitions (decision 0017): requests come to it
//!   over a bounded inbox, and it never waits for a disk or a socket.

pub mod batch;
pub mod codec;
pub mod group;
mod inbox;
mod load;
mod partition;
mod thread;

use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ottla_storage::Offset;
use ottla_storage::planted::is_planted;
use tokio::sync::oneshot;

use crate::config::GroupConfig;
use crate::metadata::{BrokerId, MetadataDelta, MetadataImage, PartitionIndex};
use crate::replica::Replicas;
use group::error::GroupError;
use group::request::{Question, Response};
use inbox::{Asked, Inbox, News};

/// The topic that holds what coordinators know of groups.
pub const GROUP_TOPIC: &str = "__consumer_offsets";

/// The coordinators of this broker.
#[derive(Debug)]
pub struct Coordinators {
    me: BrokerId,
    settings: GroupConfig,
    replicas: Arc<Replicas>,
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Coordinators {
    /// The coordinators for the partitions that `replicas` will lead; [`Coordinators::start`] makes them work.
    pub fn new(me: BrokerId, settings: GroupConfig, replicas: Arc<Replicas>) -> Self {
        Self {
            me,
            settings,
            replicas,
            inbox: Arc::default(),
            thread: Mutex::new(None),
        }
    }

    /// What groups are asked to keep to.
    pub fn config(&self) -> &GroupConfig {
        &self.settings
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(&self) -> io::Result<()> {
        let worker = thread::Worker::new(
            self.me,
            self.settings.clone(),
            self.replicas.clone(),
            self.inbox.clone(),
        );
        let thread = std::thread::Builder::new()
            .name("coordinator".to_owned())
            .spawn(move || worker.run())?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Refuses whoever waits, and everybody from now on.
    pub fn stop(&self) {
        self.inbox.stop();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the group coordinators panicked");
        }
    }

    /// The metadata have changed, and the replicas know.
    pub fn metadata_changed(&self, delta: &MetadataDelta, image: &Arc<MetadataImage>) {
        let is_new = |old: &Option<_>| old.is_none();
        let has_grown = delta.partitions.values().any(|change| is_new(&change.old));
        let deleted = delta.topics_deleted.iter();
        let deleted: Vec<_> = deleted.map(|(_, topic)| topic.name().clone()).collect();
        self.inbox.news(News {
            image: image.clone(),
            is_about_topics: has_grown || !deleted.is_empty(),
            deleted,
        });
    }

    /// Asks the coordinator of a partition, which begins at once.
    pub fn ask<Q: Question>(&self, partition: PartitionIndex, question: Q) -> Pending<Q> {
        let (to, answered) = oneshot::channel();
        let asked = Asked {
            partition,
            request: question.into_request(),
            to,
        };
        Pending {
            answered: self.inbox.ask(asked).map(|()| answered),
            question: PhantomData,
        }
    }
}

/// An answer that is to come.
#[derive(Debug)]
pub struct Pending<Q> {
    answered: Result<oneshot::Receiver<Response>, GroupError>,
    question: PhantomData<fn(Q)>,
}

impl<Q: Question> Pending<Q> {
    /// Of a question that nobody was asked.
    pub fn refused(error: GroupError) -> Self {
        Self {
            answered: Err(error),
            question: PhantomData,
        }
    }

    /// Waits for it.
    ///
    /// # Errors
    /// The coordinator's refusal; who asks the wrong broker, or too early, is refused as well.
    pub async fn answer(self) -> Result<Q::Answer, GroupError> {
        // The thread drops nobody, unless it ends.
        let answer = self.answered?.await;
        Q::answer(answer.map_err(|_| GroupError::NotCoordinator)?)
    }
}

impl Drop for Coordinators {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a coordinator that has read its log up to `end` may serve: what it then tells nobody can take back.
pub fn may_serve(end: Offset, high_watermark: Offset) -> bool {
    end <= high_watermark || is_planted("a-coordinator-serves-what-is-committed")
}

/// Which of `partition_count` partitions a group belongs to: Kafka's hash of its id, without its sign.
pub fn partition_of(group: &str, partition_count: usize) -> Option<PartitionIndex> {
    let count = i32::try_from(partition_count).ok().filter(|n| *n > 0)?;
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // The one number without a positive counterpart is 0 in Kafka.
    PartitionIndex::from_wire(hash.checked_abs().unwrap_or(0) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of Kafka's `Utils.abs(groupId.hashCode()) % 50`, of hashes of either sign.
    #[test]
    fn a_group_is_where_kafka_has_it() {
        let at = |group| partition_of(group, 50).unwrap().get();
        assert_eq!(at(""), 0);
        assert_eq!(at("a"), 47);
        assert_eq!(at("console-consumer"), 40);
        assert_eq!(at("my-group"), 12);
        assert_eq!(at("group1"), 40);
        assert_eq!(at("\u{1f600}"), 49);
        // Its hash is -2147483648.
        assert_eq!(at("polygenelubricants"), 0);
        assert_eq!(partition_of("a", 0), None);
    }
}
