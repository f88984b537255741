//! A shard between its clients and its log.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::time::WallMillis;

use super::*;
use crate::config::GroupConfig;
use crate::coordinator::group::request::{
    Client, CommitOffsets, DeleteOffsets, FetchOffsets, FetchedOffsets, Heartbeat, Identity, Join,
    NewOffset, Protocol,
};
use crate::metadata::MetadataImage;

mod conversion;

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
    notes: Vec<String>,
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
            notes: Vec::new(),
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
                Action::Note(_, note) => self.notes.push(note),
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

/// A member without an id that need not know one.
fn join(group: &str) -> Join {
    Join {
        group: group.into(),
        member: "".into(),
        new_member: "m".into(),
        must_know_id: false,
        knows_skipped_assignment: true,
        instance: None,
        client: Client {
            id: "client".into(),
            host: "/127.0.0.1".into(),
        },
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_mins(1),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"says"),
        }],
        reason: None,
    }
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

/// A member's heartbeats cost nothing, and without them its session ends.
#[test]
fn a_member_is_heard_when_the_log_commits_nothing() {
    let mut world = World::new();
    let joined = world.ask(Request::Join(join("members")));
    world.tick_after(world.settings.initial_rebalance_delay);
    world.append();
    world.commit();
    assert!(matches!(
        world.answers.get(&joined),
        Some(Response::Join(Ok(_)))
    ));
    for offset in 0..=i64::try_from(RECORDS_MAX).unwrap() {
        world.ask(commit("g", offset));
    }
    let ask = world.ask(Request::Heartbeat(Heartbeat {
        group: "members".into(),
        by: Identity {
            member: "m".into(),
            instance: None,
            generation: 1,
        },
    }));
    assert!(matches!(
        world.answers.get(&ask),
        Some(Response::Heartbeat(Ok(())))
    ));
}

/// What it waits for is what was decided before it, not what others commit while it waits.
#[test]
fn a_stable_fetch_does_not_wait_for_the_commits_after_it() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    let ask = world.ask(fetch("g", true));
    world.append();
    world.ask(commit("g", 8));
    world.flush();
    world.commit();
    let Some(Response::FetchOffsets(Ok(fetched))) = world.answers.get(&ask) else {
        panic!("{:?}", world.answers.get(&ask));
    };
    let committed = fetched.offsets[0].committed.as_ref();
    assert_eq!(committed.map(|it| it.offset), Some(7));
}

/// Were it decided, the batch would be refused by the log, and every group of the shard forgotten for it.
#[test]
fn who_asks_for_more_than_a_batch_is_refused_alone() {
    let mut world = World::new();
    let long = "g".repeat(30_000);
    let Request::CommitOffsets(mut large) = commit(&long, 7) else {
        unreachable!()
    };
    let times = world.settings.event_bytes_max() / long.len() + 1;
    large.offsets = vec![large.offsets[0].clone(); times];
    let too_large = world.ask(Request::CommitOffsets(large));
    assert!(matches!(
        world.answers.get(&too_large),
        Some(Response::CommitOffsets(Err(GroupError::TooLarge)))
    ));
    let too_large = world.ask(Request::DeleteOffsets(DeleteOffsets {
        group: long.as_str().into(),
        of: vec![of(); times],
    }));
    assert!(matches!(
        world.answers.get(&too_large),
        Some(Response::DeleteOffsets(Err(GroupError::TooLarge)))
    ));
    let mut large = join("j");
    large.protocols[0].metadata = Bytes::from(vec![0; world.settings.event_bytes_max()]);
    let too_large = world.ask(Request::Join(large));
    assert!(matches!(
        world.answers.get(&too_large),
        Some(Response::Join(Err(GroupError::TooLarge)))
    ));
    world.flush();
    assert!(world.wanted.is_empty());
    assert_eq!(world.shard.group_count(), 0);
}

#[test]
fn what_is_asked_together_is_more_than_one_batch_if_it_is_large() {
    let mut world = World::new();
    let long = "g".repeat(30_000);
    for offset in 0..100 {
        world.ask(commit(&long, offset));
    }
    world.flush();
    assert!(world.wanted.len() > 1);
    let bytes = |records: &[Record]| records.iter().map(Record::bytes).sum::<usize>();
    for (_, records) in &world.wanted {
        assert!(bytes(records) <= BATCH_BYTES_MAX);
    }
}

#[test]
fn an_offset_that_is_named_twice_is_deleted_once() {
    let mut world = World::new();
    world.ask(commit("g", 7));
    world.append();
    world.commit();
    let ask = world.ask(Request::DeleteOffsets(DeleteOffsets {
        group: "g".into(),
        of: vec![of(); 3],
    }));
    world.flush();
    assert_eq!(world.wanted[0].1.len(), 1);
    world.append();
    world.commit();
    let answer = world.answers.get(&ask);
    assert!(matches!(answer, Some(Response::DeleteOffsets(Ok(all))) if all.len() == 3));
    assert_eq!(world.shard.group_count(), 0);
}

/// Kafka counts the units of UTF-16.
#[test]
fn the_metadata_of_an_offset_are_as_long_as_in_kafka() {
    let mut world = World::new();
    let max = world.settings.offset_metadata_bytes_max;
    for (text, is_short) in [("\u{4e2d}", true), ("\u{1f600}", false)] {
        let Request::CommitOffsets(mut one) = commit("g", 7) else {
            unreachable!()
        };
        one.offsets[0].metadata = text.repeat(max).into();
        let ask = world.ask(Request::CommitOffsets(one));
        world.append();
        world.commit();
        assert_eq!(is_accepted(world.answers.get(&ask)), is_short);
    }
}

#[test]
fn a_session_timeout_out_of_bounds_is_refused() {
    for millis in [5_999, 1_800_001] {
        let mut world = World::new();
        let ask = world.ask(Request::Join(Join {
            session_timeout: Duration::from_millis(millis),
            ..join("g")
        }));
        assert!(matches!(
            world.answers.get(&ask),
            Some(Response::Join(Err(GroupError::InvalidSessionTimeout)))
        ));
        assert_eq!(world.shard.group_count(), 0);
    }
}

/// Other groups have their turn between the shares.
#[test]
fn old_offsets_are_looked_for_a_share_at_a_time() {
    let mut world = World::new();
    for n in 0..600 {
        world.ask(commit(&format!("g{n:03}"), 7));
    }
    world.append();
    world.commit();
    let mut left = vec![];
    world.tick_after(world.settings.offsets_retention * 2);
    while world.shard.group_count() > 0 {
        world.append();
        world.commit();
        left.push(world.shard.group_count());
        world.event(Event::Tick);
    }
    assert_eq!(left, [344, 88, 0]);
}

#[test]
fn the_operator_hears_why_members_go_and_come() {
    let mut world = World::new();
    world.ask(Request::Join(Join {
        reason: Some("it started".repeat(100)),
        ..join("g")
    }));
    let settings = world.settings.clone();
    world.tick_after(settings.initial_rebalance_delay);
    world.tick_after(Duration::from_mins(5));
    let notes: Vec<&str> = world.notes.iter().map(String::as_str).collect();
    let [first, second, out, ..] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    assert!(first.starts_with("rebalance after generation 0: m joins: it startedit"));
    assert!(first.len() < 300);
    assert_eq!(*second, "generation 1 of 1 members");
    assert_eq!(*out, "m is out: its session ended");
}
