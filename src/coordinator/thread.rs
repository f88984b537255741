//! The thread of the coordinators: takes what came, has each partition decide, and sleeps until something is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::GROUP_TOPIC;
use super::group::deadlines::Deadlines;
use super::group::effects::Cx;
use super::group::error::GroupError;
use super::inbox::{Asked, Inbox, Mail, News};
use super::partition::Partition;
use crate::clock;
use crate::config::GroupConfig;
use crate::metadata::{BrokerId, MetadataImage, PartitionIndex};
use crate::replica::Replicas;

/// Without a deadline the thread still looks up from time to time: that costs nothing.
const NAP_MAX: Duration = Duration::from_mins(1);

pub(super) struct Worker {
    me: BrokerId,
    settings: GroupConfig,
    replicas: Arc<Replicas>,
    inbox: Arc<Inbox>,
    image: Arc<MetadataImage>,
    partitions: BTreeMap<PartitionIndex, Partition>,
    deadlines: Deadlines<PartitionIndex>,
}

impl Worker {
    pub(super) fn new(
        me: BrokerId,
        settings: GroupConfig,
        replicas: Arc<Replicas>,
        inbox: Arc<Inbox>,
    ) -> Self {
        Self {
            me,
            settings,
            replicas,
            inbox,
            image: Arc::default(),
            partitions: BTreeMap::new(),
            deadlines: Deadlines::default(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let next = self.deadlines.next();
            let nap = next.map_or(NAP_MAX, |next| next.since(clock::mono()));
            let mail = self.inbox.take(nap.min(NAP_MAX));
            if mail.is_stopping {
                return self.stop(mail.asked);
            }
            self.see_to(mail);
        }
    }

    fn see_to(&mut self, mail: Mail) {
        let mut touched = mail.changed;
        if let Some(news) = mail.news {
            self.news(&news, &mut touched);
        }
        let image = self.image.clone();
        let cx = Cx {
            now: clock::mono(),
            wall: clock::wall(),
            image: &image,
            settings: &self.settings,
        };
        // What was appended comes before what was asked since: a fetch sees what was acknowledged.
        for appended in mail.appended {
            touched.insert(appended.partition);
            if let Some(partition) = self.partitions.get_mut(&appended.partition) {
                partition.appended(&cx, appended);
            }
        }
        for asked in mail.asked {
            match self.partitions.get_mut(&asked.partition) {
                Some(partition) => {
                    touched.insert(asked.partition);
                    partition.ask(&cx, asked);
                }
                None => refuse(asked),
            }
        }
        while let Some(due) = self.deadlines.pop_due(cx.now) {
            touched.insert(due);
        }
        for index in touched {
            if let Some(partition) = self.partitions.get_mut(&index) {
                let next = partition.work(&cx);
                self.deadlines.put(index, next);
            }
        }
    }

    /// Takes up the partitions that this broker leads now, and gives up the others.
    fn news(&mut self, news: &News, touched: &mut BTreeSet<PartitionIndex>) {
        self.image = news.image.clone();
        let topic = self.image.topics().by_name(GROUP_TOPIC);
        let all = topic.into_iter().flat_map(|topic| {
            let led = topic
                .partitions()
                .filter(|(_, p)| p.leader == Some(self.me));
            led.filter_map(|(index, _)| Some((index, self.replicas.find(topic.id(), index)?)))
        });
        let led: BTreeMap<_, _> = all.collect();
        self.partitions.retain(|index, partition| {
            let stays = led
                .get(index)
                .is_some_and(|replica| partition.is_of(replica));
            if !stays {
                partition.end();
                self.deadlines.cancel(index);
            }
            stays
        });
        let cx = Cx {
            now: clock::mono(),
            wall: clock::wall(),
            image: &news.image,
            settings: &self.settings,
        };
        for (index, replica) in led {
            let partition = self.partitions.entry(index);
            let partition =
                partition.or_insert_with(|| Partition::new(index, replica, &self.inbox));
            partition.news(&cx, news);
            touched.insert(index);
        }
    }

    fn stop(mut self, asked: impl IntoIterator<Item = Asked>) {
        asked.into_iter().for_each(refuse);
        self.partitions.values_mut().for_each(Partition::end);
    }
}

/// Nobody here coordinates that partition.
fn refuse(asked: Asked) {
    let refused = asked.request.refused(GroupError::NotCoordinator);
    // Who does not wait any more needs no answer.
    let _ = asked.to.send(refused);
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}
