//! A shard between its clients and its log.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_storage::time::WallMillis;

use super::*;
use crate::config::GroupConfig;
use crate::coordinator::group::request::{
    CommitOffsets, FetchOffsets, FetchedOffsets, Identity, NewOffset,
};
use crate::metadata::MetadataImage;

/// A shard, its log, and what was asked of it.
struct World {
    shard: Shard,
    now: u64,
    settings: GroupConfig,
    image: MetadataImage,
    actions: Vec<Action>,
    /// Batches that the shard wanted to append, in order.
    wanted: Vec<(BatchId, Vec<Record>)>,
    answers: BTreeMap<AskId, Response>,
    asked: u64,
    log: Vec<Record>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            shard: Shard::default(),
            now: 0,
            settings: GroupConfig::default(),
            image: MetadataImage::default(),
            actions: Vec::new(),
            wanted: Vec::new(),
            answers: BTreeMap::new(),
            asked: 0,
            log: Vec::new(),
        };
        world.start();
        world
    }

    fn with(&mut self, then: impl FnOnce(&mut Shard, &Cx<'_>, &mut Vec<Action>)) {
        let cx = Cx {
            now: MonoMillis::from_millis(self.now),
            wall: WallMillis::from_millis(1_000_000 + i64::try_from(self.now).unwrap()),
            image: &self.image,
            settings: &self.settings,
        };
        then(&mut self.shard, &cx, &mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                Action::Append(id, records) => self.wanted.push((id, records)),
                Action::Answer(ask, response) => {
                    assert!(
                        self.answers.insert(ask, response).is_none(),
                        "answered twice"
                    );
                }
            }
        }
    }

    fn start(&mut self) {
        self.with(Shard::start);
    }

    fn event(&mut self, event: Event) {
        self.with(|shard, cx, actions| shard.handle(cx, event, actions));
    }

    fn ask(&mut self, request: Request) -> AskId {
        let ask = AskId(self.asked);
        self.asked += 1;
        self.event(Event::Ask(ask, request));
        ask
    }

    fn flush(&mut self) {
        self.with(|shard, _, actions| shard.flush(actions));
    }

    /// What was wanted is in the log.
    fn append(&mut self) {
        self.flush();
        for (id, records) in std::mem::take(&mut self.wanted) {
            self.log.extend(records);
            let end = self.end();
            self.event(Event::Appended(id, end));
        }
    }

    fn end(&self) -> Offset {
        Offset::ZERO.saturating_add(self.log.len() as u64)
    }

    /// What is in the log is committed.
    fn commit(&mut self) {
        let end = self.end();
        self.event(Event::Committed(end));
    }

    fn tick_after(&mut self, wait: Duration) {
        self.now += u64::try_from(wait.as_millis()).unwrap();
        self.event(Event::Tick);
    }

    /// Another broker takes over with what is in the log.
    fn move_on(&mut self) {
        self.shard = Shard::default();
        for record in self.log.clone() {
            self.shard.replay(record);
        }
        self.start();
    }

    fn committed(&mut self, group: &str, require_stable: bool) -> Option<i64> {
        let ask = self.ask(fetch(group, require_stable));
        match self.answers.get(&ask) {
            Some(Response::FetchOffsets(Ok(FetchedOffsets { offsets }))) => {
                let committed = offsets.first()?.committed.as_ref()?;
                Some(committed.offset)
            }
            Some(other) => panic!("{other:?}"),
            None => panic!("no answer"),
        }
    }
}

fn of() -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition: 0,
    }
}

fn nobody() -> Identity {
    Identity {
        member: "".into(),
        instance: None,
        generation: -1,
    }
}

fn commit(group: &str, offset: i64) -> Request {
    Request::CommitOffsets(CommitOffsets {
        group: group.into(),
        by: nobody(),
        knows_unknown_group: true,
        retention: None,
        offsets: vec![NewOffset {
            of: of(),
            offset,
            leader_epoch: -1,
            metadata: "".into(),
        }],
    })
}

fn fetch(group: &str, require_stable: bool) -> Request {
    Request::FetchOffsets(FetchOffsets {
        group: group.into(),
        by: None,
        of: Some(vec![of()]),
        require_stable,
    })
}

fn is_accepted(response: Option<&Response>) -> bool {
    matches!(response, Some(Response::CommitOffsets(Ok(all))) if all.iter().all(Result::is_ok))
}

/// C2, from both sides: it is acknowledged when nobody can lose it, and told only then.
#[test]
fn a_commit_is_acknowledged_and_told_once_it_is_committed() {
    let mut world = World::new();
    let ask = world.ask(commit("g", 7));
    world.append();
    assert!(!world.answers.contains_key(&ask));
    assert_eq!(world.committed("g", false), None);
    world.commit();
    assert!(is_accepted(world.answers.get(&ask)));
    assert_eq!(world.committed("g", false), Some(7));
}

#[test]
fn what_is_asked_meanwhile_shares_the_next_batch() {
    let mut world = World::new();
    world.ask(commit("a", 1));
    world.flush();
    world.ask(commit("b", 2));
    world.ask(commit("c", 3));
    world.flush();
    let sizes: Vec<_> = world
        .wanted
        .iter()
        .map(|(_, records)| records.len())
        .collect();
    assert_eq!(sizes, [1, 2]);
}

/// A high watermark that is heard of before the end of the append counts as soon as that is known.
#[test]
fn the_order_of_append_and_high_watermark_does_not_matter() {
    let mut world = World::new();
    let ask = world.ask(commit("g", 7));
    world.flush();
    let (id, records) = world.wanted.pop().unwrap();
    world.log.extend(records);
    world.commit();
    assert!(!world.answers.contains_key(&ask));
    let end = world.end();
    world.event(Event::Appended(id, end));
    world.commit();
    assert!(is_accepted(world.answers.get(&ask)));
}

#[test]
fn an_answer_waits_for_what_it_rests_on_and_no_longer_than_it_may() {
    let mut world = World::new();
    let ask = world.ask(commit("g", 7));
    world.append();
    let timeout = world.settings.commit_timeout;
    assert_eq!(
        world.shard.next_deadline(),
        Some(MonoMillis::ZERO.saturating_add(timeout))
    );
    world.tick_after(timeout);
    assert!(matches!(
        world.answers.get(&ask),
        Some(Response::CommitOffsets(Err(GroupError::NotAvailable)))
    ));
    // It may be committed all the same, and then counts.
    world.commit();
    assert_eq!(world.committed("g", false), Some(7));
}

/// KIP-447: who asks for what is stable gets everything that was decided before.
#[test]
fn a_stable_fetch_waits_for_the_commits_before_it() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    let ask = world.ask(fetch("g", true));
    world.append();
    assert!(!world.answers.contains_key(&ask));
    world.commit();
    assert!(world.answers.contains_key(&ask));
    assert_eq!(world.committed("g", true), Some(7));
}

#[test]
fn the_next_coordinator_tells_what_this_one_acknowledged() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    world.append();
    world.commit();
    world.move_on();
    assert_eq!(world.committed("g", false), Some(7));
    let ask = world.ask(Request::DeleteGroup("g".into()));
    world.append();
    world.commit();
    assert!(matches!(
        world.answers.get(&ask),
        Some(Response::DeleteGroup(Ok(())))
    ));
    assert_eq!(world.shard.group_count(), 0);
    world.move_on();
    assert_eq!(world.committed("g", false), None);
}

/// A commit that is on its way when its group is deleted goes with it.
#[test]
fn a_deletion_takes_what_is_on_its_way() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    world.ask(Request::DeleteGroup("g".into()));
    world.append();
    world.commit();
    assert_eq!(world.committed("g", false), None);
    world.move_on();
    assert_eq!(world.committed("g", false), None);
    assert_eq!(world.shard.group_count(), 0);
}

#[test]
fn offsets_that_nobody_renews_expire_and_the_group_with_them() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    world.append();
    world.commit();
    let (retention, interval) = (
        world.settings.offsets_retention,
        world.settings.offsets_retention_check_interval,
    );
    world.tick_after(retention.saturating_sub(interval));
    world.append();
    world.commit();
    assert_eq!(world.committed("g", false), Some(7));
    world.tick_after(interval * 2);
    world.append();
    world.commit();
    assert_eq!(world.committed("g", false), None);
    assert_eq!(world.shard.group_count(), 0);
}

/// KAFKA-8069: offsets that were old when the coordinator moved are as old as they are, and those of a new group are new.
#[test]
fn age_survives_a_move() {
    let mut world = World::new();
    world.ask(commit("old", 7));
    world.append();
    world.commit();
    let half = world.settings.offsets_retention / 2;
    world.tick_after(half + Duration::from_secs(1));
    world.ask(commit("new", 8));
    world.append();
    world.commit();
    world.move_on();
    world.tick_after(half);
    world.append();
    world.commit();
    assert_eq!(world.committed("old", false), None);
    assert_eq!(world.committed("new", false), Some(8));
}

#[test]
fn the_offsets_of_a_deleted_topic_go() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    world.append();
    world.commit();
    world.event(Event::Metadata(vec!["other".into()]));
    assert_eq!(world.committed("g", false), Some(7));
    world.event(Event::Metadata(vec!["t".into()]));
    world.append();
    world.commit();
    assert_eq!(world.committed("g", false), None);
}

#[test]
fn a_log_that_commits_nothing_is_not_filled() {
    let mut world = World::new();
    let mut last = AskId(0);
    for offset in 0..=i64::try_from(RECORDS_MAX).unwrap() {
        last = world.ask(commit("g", offset));
    }
    assert!(matches!(
        world.answers.get(&last),
        Some(Response::CommitOffsets(Err(GroupError::NotAvailable)))
    ));
    world.append();
    world.commit();
    assert_eq!(
        world.committed("g", false),
        Some(i64::try_from(RECORDS_MAX).unwrap() - 1)
    );
    let ask = world.ask(commit("g", 5));
    world.append();
    world.commit();
    assert!(is_accepted(world.answers.get(&ask)));
}
