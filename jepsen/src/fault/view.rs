//! What clients know of the cluster: who leads which partition, as far as metadata told.
//!
//! - Pure. A node that lags behind tells old news: a partition's state is replaced only by one of the same or a
//!   later leader epoch.
//! - A change of leader counts once, when a later epoch has another leader than the last one known.

use ottla::wire::Uuid;
use ottla::wire::messages::metadata::MetadataResponseTopic;

use crate::history::Key;

/// The topic's partitions and the controller.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) topic_id: Uuid,
    pub(super) partitions: Vec<Partition>,
    pub(super) controller: Option<i32>,
    /// How often another node became the leader of a partition.
    pub(super) leader_changes: u64,
    /// By how much leader epochs rose, all partitions together.
    pub(super) epoch_rises: u64,
}

/// One partition as it was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: i32,
    pub(super) isr: Vec<i32>,
    last_leader: Option<i32>,
}

impl View {
    /// A topic with so many partitions, of which nothing is known.
    pub(super) fn new(partition_count: usize) -> Self {
        let unknown = Partition {
            leader_epoch: -1,
            ..Partition::default()
        };
        Self {
            partitions: vec![unknown; partition_count],
            ..Self::default()
        }
    }

    /// Takes in what a node says.
    pub(super) fn learn(&mut self, topic: &MetadataResponseTopic<'_>) {
        self.topic_id = topic.topic_id;
        for told in &topic.partitions {
            let position = usize::try_from(told.partition_index).ok();
            let known = position.and_then(|position| self.partitions.get_mut(position));
            let Some(known) = known.filter(|known| known.leader_epoch <= told.leader_epoch) else {
                continue;
            };
            let leader = Some(told.leader_id).filter(|leader| *leader >= 0);
            if known.leader_epoch >= 0 {
                let rise = told.leader_epoch - known.leader_epoch;
                self.epoch_rises += u64::try_from(rise).unwrap_or_default();
            }
            if let (Some(before), Some(now)) = (known.last_leader, leader)
                && before != now
            {
                self.leader_changes += 1;
            }
            *known = Partition {
                leader,
                leader_epoch: told.leader_epoch,
                isr: told.isr_nodes.clone(),
                last_leader: leader.or(known.last_leader),
            };
        }
    }

    /// Counts changes from now on.
    pub(super) fn forget_changes(&mut self) {
        self.leader_changes = 0;
        self.epoch_rises = 0;
    }

    /// A key's partition.
    pub(super) fn partition(&self, key: Key) -> Option<&Partition> {
        self.partitions.get(usize::try_from(key.0).ok()?)
    }

    /// Who leads a key.
    pub(super) fn leader(&self, key: Key) -> Option<i32> {
        self.partition(key)?.leader
    }

    /// Whether every partition has a leader and all its replicas in sync.
    pub(super) fn is_whole(&self, replication: usize) -> bool {
        let is_whole = |partition: &Partition| {
            partition.leader.is_some() && partition.isr.len() == replication
        };
        self.partitions.iter().all(is_whole)
    }
}

#[cfg(test)]
mod tests {
    use ottla::wire::messages::metadata::MetadataResponsePartition;

    use super::*;

    fn told(leader_id: i32, leader_epoch: i32) -> MetadataResponseTopic<'static> {
        let partition = MetadataResponsePartition {
            leader_id,
            leader_epoch,
            isr_nodes: vec![1, 2],
            ..MetadataResponsePartition::default()
        };
        MetadataResponseTopic {
            partitions: vec![partition],
            ..MetadataResponseTopic::default()
        }
    }

    fn after(news: &[(i32, i32)]) -> View {
        let mut view = View::new(1);
        for (leader, epoch) in news {
            view.learn(&told(*leader, *epoch));
        }
        view
    }

    #[test]
    fn old_news_changes_nothing() {
        let view = after(&[(1, 3), (2, 5), (1, 3)]);
        assert_eq!(view.leader(Key(0)), Some(2));
        assert_eq!((view.leader_changes, view.epoch_rises), (1, 2));
    }

    #[test]
    fn a_leader_that_comes_back_is_no_change() {
        let view = after(&[(1, 0), (-1, 1), (1, 2)]);
        assert_eq!((view.leader_changes, view.epoch_rises), (0, 2));
        let view = after(&[(1, 0), (-1, 1), (2, 2)]);
        assert_eq!(view.leader_changes, 1);
    }

    #[test]
    fn a_partition_without_a_leader_is_not_whole() {
        assert!(after(&[(1, 0)]).is_whole(2));
        assert!(!after(&[(1, 0), (-1, 1)]).is_whole(2));
        assert!(!after(&[(1, 0)]).is_whole(3));
        assert!(!after(&[]).is_whole(0));
    }
}
