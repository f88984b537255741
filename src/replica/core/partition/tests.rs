//! A partition's decisions against a simulated log: any history of events keeps R1, R2, R3, R5 and R7,
//! and answers each request exactly once, with success only for what the log holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::effect::{Acks, FollowerFetch, LeaderState};
use super::*;
use crate::metadata::{ImageVersion, PartitionEpoch};
use crate::replica::isr_change::IsrAnswer;

const LAG_MAX: std::time::Duration = std::time::Duration::from_millis(40);
const ME: BrokerId = BrokerId::from_wire(1).unwrap();

fn epoch(raw: u16) -> LeaderEpoch {
    LeaderEpoch::from(raw)
}

fn offset(raw: u32) -> Offset {
    Offset::from(raw)
}

fn leadership(leader_epoch: u16, partition_epoch: i32, others: &[i32]) -> Leadership {
    let set = |others: &[i32]| -> BTreeSet<BrokerId> {
        let others = others.iter().map(|id| BrokerId::from_wire(*id).unwrap());
        others.chain([ME]).collect()
    };
    Leadership {
        leader_epoch: epoch(leader_epoch),
        partition_epoch: PartitionEpoch::from_wire(partition_epoch).unwrap(),
        replicas: set(&[2, 3]),
        isr: set(others),
    }
}

fn settings(min_insync_replicas: u32, flush_on_ack: bool) -> Settings {
    Settings {
        min_insync_replicas,
        flush_on_ack,
        lag_max: LAG_MAX,
    }
}

/// The partition and the part of the driver that a decision depends on.
struct World {
    partition: Partition,
    bounds: LogBounds,
    now: u64,
    next_ticket: u64,
    flushing_to: Option<Offset>,
    failing: bool,
    /// Retention would drop everything below, if the high watermark allowed it.
    retention: Offset,
    /// What was asked and, once decided, how it ended.
    answers: BTreeMap<Ticket, Option<Outcome>>,
    ends: BTreeMap<Ticket, (Acks, Offset)>,
    started_epochs: Vec<LeaderEpoch>,
    /// In-sync sets that were asked for: the partition epoch, and the members.
    proposals: Vec<(PartitionEpoch, Vec<BrokerId>)>,
    truncations: Vec<Offset>,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self {
            partition: Partition::new(ME, settings),
            bounds: LogBounds::default(),
            now: 0,
            next_ticket: 0,
            flushing_to: None,
            failing: false,
            retention: Offset::ZERO,
            answers: BTreeMap::new(),
            ends: BTreeMap::new(),
            started_epochs: Vec::new(),
            proposals: Vec::new(),
            truncations: Vec::new(),
        }
    }

    fn reign(&self) -> Result<Reign, Refusal> {
        match self.partition.standing() {
            Standing::Leads(reign) => Ok(reign),
            Standing::Follows { .. } => Err(Refusal::NotLeader),
            Standing::Refuses(refusal) => Err(refusal),
        }
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.answers.insert(ticket, None);
        ticket
    }

    fn produce(&mut self, acks: Acks, wait: u64) -> Ticket {
        let ticket = self.ticket();
        let deadline = MonoMillis::from_millis(self.now + wait);
        self.handle(Event::Produce {
            ticket,
            acks,
            deadline,
        });
        ticket
    }

    fn handle(&mut self, event: Event) {
        let before = self.reign();
        let mut effects = Effects::new();
        let now = MonoMillis::from_millis(self.now);
        self.partition.handle(now, event, &mut effects);
        self.check(before);
        for effect in effects {
            self.execute(effect);
        }
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Append {
                ticket,
                acks,
                deadline,
                leader_epoch,
            } => {
                assert_eq!(Ok(leader_epoch), self.reign().map(|r| r.leader_epoch), "R5");
                if self.failing {
                    self.answer(ticket, Outcome::Refused(Refusal::Offline));
                    return;
                }
                self.bounds.end = self.bounds.end.saturating_add(10);
                let end = self.bounds.end;
                self.ends.insert(ticket, (acks, end));
                self.handle(Event::Moved(self.bounds));
                self.handle(Event::Appended {
                    ticket,
                    acks,
                    deadline,
                    end,
                });
            }
            Effect::StartEpoch {
                leader_epoch,
                start,
            } => {
                assert!(
                    self.started_epochs
                        .last()
                        .is_none_or(|last| *last < leader_epoch),
                    "R5"
                );
                assert_eq!(start, self.bounds.end);
                self.started_epochs.push(leader_epoch);
            }
            Effect::AdvanceLogStart { to } => {
                self.bounds.start = self.bounds.start.max(to);
                self.handle(Event::Moved(self.bounds));
            }
            Effect::Retain { high_watermark } => {
                let to = self.retention.min(high_watermark);
                self.bounds.start = self.bounds.start.max(to);
                self.handle(Event::Moved(self.bounds));
            }
            Effect::Flush => {
                self.flushing_to = Some(self.bounds.end);
            }
            Effect::ProposeIsr {
                partition_epoch,
                isr,
                ..
            } => {
                let members = isr.into_iter().map(|(id, _)| id).collect();
                self.proposals.push((partition_epoch, members));
            }
            Effect::Truncate { to, .. } => {
                self.bounds.end = to;
                self.bounds.flushed_end = self.bounds.flushed_end.min(to);
                self.truncations.push(to);
                self.handle(Event::Moved(self.bounds));
            }
            Effect::Restart { at } => {
                self.bounds = LogBounds {
                    start: at,
                    end: at,
                    flushed_end: at,
                };
                self.handle(Event::Restarted(self.bounds));
            }
            Effect::Answer { ticket, outcome } => self.answer(ticket, outcome),
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        let decided = self
            .answers
            .get_mut(&ticket)
            .expect("an answer to a request");
        assert_eq!(*decided, None, "W2: one answer each");
        *decided = Some(outcome);
        if outcome == Outcome::Done {
            let (acks, end) = self
                .ends
                .get(&ticket)
                .expect("success only for what was appended");
            let reign = self.reign().expect("success only from a leader");
            assert!(*acks != Acks::All || *end <= reign.high_watermark, "R4");
        }
    }

    fn check(&self, before: Result<Reign, Refusal>) {
        let Ok(after) = self.reign() else {
            return;
        };
        assert!(self.bounds.start <= after.high_watermark, "R1");
        assert!(after.high_watermark <= self.bounds.end, "R1");
        if let Ok(before) = before {
            assert!(before.leader_epoch <= after.leader_epoch, "R5");
            assert!(before.high_watermark <= after.high_watermark, "R2");
        }
    }

    fn finish_flush(&mut self) {
        if let Some(end) = self.flushing_to.take() {
            self.bounds.flushed_end = end.min(self.bounds.end).max(self.bounds.flushed_end);
            self.handle(Event::Moved(self.bounds));
        }
    }

    fn lead(&mut self, leadership: Leadership) {
        let high_watermark = Offset::ZERO;
        self.handle(Event::Lead {
            leadership,
            bounds: self.bounds,
            high_watermark,
        });
    }

    fn follow(&mut self, leader_epoch: u16) {
        let following = Following {
            leader: BrokerId::from_wire(2),
            leader_epoch: epoch(leader_epoch),
            partition_epoch: PartitionEpoch::from_wire(i32::from(leader_epoch)).unwrap(),
        };
        self.handle(Event::Follow {
            following,
            bounds: self.bounds,
            high_watermark: Offset::ZERO,
        });
    }

    /// A follower fetches from `at`.
    fn fetch(&mut self, follower: i32, at: Offset, is_eligible: bool) {
        self.fetch_as(follower, (Offset::ZERO, at), is_eligible);
    }

    /// A follower whose log starts and ends there fetches.
    fn fetch_as(&mut self, follower: i32, (start, at): (Offset, Offset), is_eligible: bool) {
        let leader_epoch = self.reign().map_or(LeaderEpoch::ZERO, |r| r.leader_epoch);
        self.handle(Event::FollowerFetch(FollowerFetch {
            follower: BrokerId::from_wire(follower).unwrap(),
            broker_epoch: None,
            is_eligible,
            judged_by: ImageVersion(1),
            leader_epoch,
            offset: at.min(self.bounds.end),
            log_start: start,
            leader_end: self.bounds.end,
        }));
    }

    fn answer_isr(&mut self, answer: IsrAnswer) {
        let partition_epoch = self.proposals.last().unwrap().0;
        self.handle(Event::IsrAnswered {
            partition_epoch,
            answer,
        });
    }

    /// The leader has sent `count` records, and says where it is.
    fn replicated(&mut self, leader_epoch: u16, count: u32, high_watermark: u32) {
        self.bounds.end = self.bounds.end.saturating_add(u64::from(count));
        self.handle(Event::Replicated {
            leader_epoch: epoch(leader_epoch),
            state: LeaderState {
                high_watermark: offset(high_watermark),
                log_start: Offset::ZERO,
            },
            bounds: self.bounds,
        });
    }

    fn high_watermark(&self) -> Offset {
        self.partition.high_watermark().unwrap()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Lead {
        leader_epoch: u16,
        partition_epoch: i32,
        others: usize,
    },
    Configure(Settings),
    Produce {
        acks: Acks,
        wait: u64,
    },
    FailWrites(bool),
    Delete {
        before: Option<u32>,
    },
    Retain {
        drop: u32,
    },
    FinishFlush,
    Follow {
        leader_epoch: u16,
    },
    Fetch {
        follower: i32,
        back: u32,
        is_eligible: bool,
    },
    CheckIsr,
    AnswerIsr(u8),
    Replicate {
        leader_epoch: u16,
        count: u32,
        high_watermark: u32,
    },
    Diverge {
        leader_epoch: u16,
        end: u32,
    },
    Wait {
        millis: u64,
    },
    Offline,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let acks = prop_oneof![Just(Acks::None), Just(Acks::Leader), Just(Acks::All)];
    prop_oneof![
        3 => (0_u16..5, 0_i32..5, 0_usize..3).prop_map(|(leader_epoch, partition_epoch, others)| {
            Step::Lead { leader_epoch, partition_epoch, others }
        }),
        1 => (1_u32..4, any::<bool>()).prop_map(|(min, flush)| Step::Configure(settings(min, flush))),
        8 => (acks, 0_u64..100).prop_map(|(acks, wait)| Step::Produce { acks, wait }),
        1 => any::<bool>().prop_map(Step::FailWrites),
        2 => proptest::option::of(0_u32..100).prop_map(|before| Step::Delete { before }),
        2 => (0_u32..100).prop_map(|drop| Step::Retain { drop }),
        4 => Just(Step::FinishFlush),
        1 => (0_u16..5).prop_map(|leader_epoch| Step::Follow { leader_epoch }),
        6 => (2..4, 0_u32..15, any::<bool>()).prop_map(|(follower, back, is_eligible)| {
            Step::Fetch { follower, back, is_eligible }
        }),
        2 => Just(Step::CheckIsr),
        3 => (0_u8..3).prop_map(Step::AnswerIsr),
        3 => (0_u16..5, 0_u32..20, 0_u32..200).prop_map(|(leader_epoch, count, high_watermark)| {
            Step::Replicate { leader_epoch, count, high_watermark }
        }),
        1 => (0_u16..5, 0_u32..100).prop_map(|(leader_epoch, end)| Step::Diverge { leader_epoch, end }),
        2 => (0_u64..80).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Offline),
        1 => Just(Step::Stop),
    ]
}

fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Lead {
            leader_epoch,
            partition_epoch,
            others,
        } => {
            world.lead(leadership(leader_epoch, partition_epoch, &[2, 3][..others]));
        }
        Step::Configure(settings) => world.handle(Event::Configure(settings)),
        Step::Produce { acks, wait } => {
            world.produce(acks, wait);
        }
        Step::FailWrites(failing) => world.failing = failing,
        Step::Delete { before } => {
            let ticket = world.ticket();
            let deadline = MonoMillis::from_millis(world.now + 50);
            let before = before.map(offset);
            world.handle(Event::DeleteRecords {
                ticket,
                before,
                deadline,
            });
        }
        Step::Retain { drop } => {
            world.retention = offset(drop);
            world.handle(Event::Retain);
        }
        Step::FinishFlush => world.finish_flush(),
        Step::Follow { leader_epoch } => world.follow(leader_epoch),
        Step::Fetch {
            follower,
            back,
            is_eligible,
        } => {
            let at = world.bounds.end.get() - i64::from(back);
            let at = Offset::from_wire(at).unwrap_or_default();
            world.fetch(follower, at, is_eligible);
        }
        Step::CheckIsr => world.handle(Event::CheckIsr),
        Step::AnswerIsr(kind) => answer_isr(world, kind),
        Step::Replicate {
            leader_epoch,
            count,
            high_watermark,
        } => {
            if matches!(world.partition.standing(), Standing::Follows { following, .. }
                if following.leader_epoch == epoch(leader_epoch))
            {
                world.replicated(leader_epoch, count, high_watermark);
            }
        }
        Step::Diverge { leader_epoch, end } => world.handle(Event::Diverged {
            leader_epoch: epoch(leader_epoch),
            epoch: epoch(leader_epoch),
            end: offset(end).max(world.bounds.start),
            own: None,
        }),
        Step::Wait { millis } => {
            world.now += millis;
            world.handle(Event::Tick);
        }
        Step::Offline => world.handle(Event::Offline),
        Step::Stop => world.handle(Event::Stop),
    }
}

/// The controller's answer to the last proposal, if there is one.
fn answer_isr(world: &mut World, kind: u8) {
    let Some((at, members)) = world.proposals.last().cloned() else {
        return;
    };
    let leader_epoch = world.reign().map_or(LeaderEpoch::ZERO, |r| r.leader_epoch);
    world.answer_isr(match kind {
        0 => IsrAnswer::Accepted {
            leader_epoch,
            partition_epoch: at.next().unwrap(),
            isr: members,
        },
        1 => IsrAnswer::NotApplied,
        _ => IsrAnswer::Ambiguous,
    });
}

proptest! {
    /// R1, R2, R4, R5 and one answer each hold in any history; after `Stop` nobody waits any more.
    #[test]
    fn any_history_keeps_the_invariants(
        min in 1_u32..4,
        flush in any::<bool>(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new(settings(min, flush));
        world.lead(leadership(0, 0, &[]));
        for step in steps {
            take(&mut world, &step);
        }
        world.handle(Event::Stop);
        prop_assert!(world.answers.values().all(Option::is_some));
    }
}

#[test]
fn alone_in_the_isr_an_append_is_committed_at_once() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    let ticket = world.produce(Acks::All, 10);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
    assert_eq!(world.high_watermark(), offset(10));
}

/// R7 and decision 9: under `flush.on.ack` nothing is visible or acknowledged before its flush.
#[test]
fn with_flush_on_ack_the_answer_waits_for_the_flush() {
    let mut world = World::new(settings(1, true));
    world.lead(leadership(1, 1, &[]));
    let first = world.produce(Acks::All, 10);
    let second = world.produce(Acks::Leader, 10);
    assert_eq!(world.answers[&first], None);
    assert_eq!(world.high_watermark(), Offset::ZERO);
    world.finish_flush();
    assert_eq!(world.answers[&first], Some(Outcome::Done));
    assert_eq!(
        world.answers[&second], None,
        "appended after the flush began"
    );
    world.finish_flush();
    assert_eq!(world.answers[&second], Some(Outcome::Done));
    assert_eq!(world.flushing_to, None);
}

/// R3, KIP-966: below the minimum nothing new is promised, and what waits is not confirmed either.
#[test]
fn gotcha_11_the_high_watermark_stands_still_below_the_minimum() {
    let mut world = World::new(settings(2, false));
    world.lead(leadership(1, 1, &[]));
    let refused = world.produce(Acks::All, 10);
    assert_eq!(
        world.answers[&refused],
        Some(Outcome::Refused(Refusal::NotEnoughReplicas))
    );
    let appended = world.produce(Acks::Leader, 10);
    assert_eq!(world.answers[&appended], Some(Outcome::Done));
    assert_eq!(world.high_watermark(), Offset::ZERO);
}

#[test]
fn what_waits_ends_with_the_reign_and_not_in_the_next() {
    let mut world = World::new(settings(1, true));
    world.lead(leadership(1, 1, &[]));
    let ticket = world.produce(Acks::All, 10);
    world.lead(leadership(2, 2, &[]));
    assert_eq!(
        world.answers[&ticket],
        Some(Outcome::Refused(Refusal::NotLeader))
    );
}

#[test]
fn a_deadline_ends_the_wait() {
    let mut world = World::new(settings(1, true));
    world.lead(leadership(1, 1, &[]));
    let ticket = world.produce(Acks::All, 10);
    world.now = 10;
    world.handle(Event::Tick);
    assert_eq!(
        world.answers[&ticket],
        Some(Outcome::Refused(Refusal::TimedOut))
    );
}

/// A failed write is never a success, and nothing of it becomes visible.
#[test]
fn a_failed_write_is_refused() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.failing = true;
    let ticket = world.produce(Acks::Leader, 10);
    assert_eq!(
        world.answers[&ticket],
        Some(Outcome::Refused(Refusal::Offline))
    );
    assert_eq!(world.high_watermark(), Offset::ZERO);
}

#[test]
fn records_are_deleted_up_to_the_high_watermark_and_no_further() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.produce(Acks::Leader, 10);
    let ask = |world: &mut World, before| {
        let ticket = world.ticket();
        let deadline = MonoMillis::from_millis(100);
        world.handle(Event::DeleteRecords {
            ticket,
            before,
            deadline,
        });
        world.answers[&ticket]
    };
    let deleted = |raw| {
        Some(Outcome::Deleted {
            log_start: offset(raw),
        })
    };
    assert_eq!(ask(&mut world, Some(offset(4))), deleted(4));
    assert_eq!(ask(&mut world, Some(offset(2))), deleted(4));
    let outside = Some(Outcome::Refused(Refusal::OffsetOutOfRange));
    assert_eq!(ask(&mut world, Some(offset(11))), outside);
    assert_eq!(ask(&mut world, None), deleted(10));
}

fn members(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter()
        .filter_map(|id| BrokerId::from_wire(*id))
        .collect()
}

/// R4: what is acknowledged with `acks=all` is in every member of the in-sync set.
#[test]
fn a_record_is_committed_when_every_member_has_fetched_beyond_it() {
    let mut world = World::new(settings(2, false));
    world.lead(leadership(1, 1, &[2, 3]));
    let ticket = world.produce(Acks::All, 100);
    world.fetch(2, offset(10), true);
    assert_eq!(world.answers[&ticket], None);
    world.fetch(3, offset(9), true);
    assert_eq!(world.high_watermark(), offset(9));
    world.fetch(3, offset(10), true);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
}

/// Semantics 3.6: both bounds, one member a change, and only those that the metadata lets in.
#[test]
fn a_follower_is_let_in_with_all_that_is_committed_and_all_of_the_reign() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.produce(Acks::All, 100);
    // The next reign begins at 10, where the high watermark stands, too.
    world.lead(leadership(2, 2, &[]));
    world.fetch(2, offset(9), true);
    assert_eq!(world.proposals, []);
    world.fetch(2, offset(10), false);
    assert_eq!(world.proposals, [], "fenced");
    world.fetch(2, offset(10), true);
    let expected = (PartitionEpoch::from_wire(2).unwrap(), members(&[1, 2]));
    assert_eq!(world.proposals, [expected]);
    world.fetch(3, offset(10), true);
    assert_eq!(world.proposals.len(), 1, "one change at a time");
    // From the moment it is asked for, the second counts.
    let ticket = world.produce(Acks::All, 100);
    world.fetch(3, offset(20), true);
    assert_eq!(world.answers[&ticket], None);
    world.fetch(2, offset(20), true);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
}

/// KIP-497: a shrink that may have been made is no reason to commit without the member.
#[test]
fn gotcha_17_a_shrink_counts_only_once_it_is_committed() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[2]));
    let ticket = world.produce(Acks::All, 1_000);
    world.now = 41;
    world.handle(Event::CheckIsr);
    assert_eq!(world.proposals.len(), 1);
    world.answer_isr(IsrAnswer::Ambiguous);
    assert_eq!(world.answers[&ticket], None);
    world.handle(Event::CheckIsr);
    assert_eq!(world.proposals.len(), 1, "still pending");
    world.answer_isr(IsrAnswer::Accepted {
        leader_epoch: epoch(1),
        partition_epoch: PartitionEpoch::from_wire(2).unwrap(),
        isr: members(&[1]),
    });
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
}

/// The metadata decides what an ambiguous answer left open; a late answer changes nothing more.
#[test]
fn the_metadata_decides_a_pending_change() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[2]));
    world.produce(Acks::Leader, 10);
    world.now = 41;
    world.handle(Event::CheckIsr);
    world.lead(leadership(1, 3, &[2]));
    world.answer_isr(IsrAnswer::Accepted {
        leader_epoch: epoch(1),
        partition_epoch: PartitionEpoch::from_wire(2).unwrap(),
        isr: members(&[1]),
    });
    assert_eq!(
        world.high_watermark(),
        Offset::ZERO,
        "the second is a member still"
    );
    world.handle(Event::CheckIsr);
    assert_eq!(world.proposals.len(), 2, "asked again, of what is so now");
}

#[test]
fn a_follower_takes_the_high_watermark_of_its_leader_within_its_own_log() {
    let mut world = World::new(settings(1, false));
    world.follow(1);
    world.replicated(1, 10, 20);
    assert_eq!(world.high_watermark(), offset(10));
    world.replicated(1, 0, 5);
    assert_eq!(world.high_watermark(), offset(5), "it may move back");
    world.replicated(2, 0, 9);
    assert_eq!(
        world.high_watermark(),
        offset(5),
        "R5: not of another reign"
    );
}

/// KIP-101: the high watermark arrives a round late, so what lies above it may be committed.
#[test]
fn gotcha_04_a_follower_truncates_by_epoch_and_not_to_its_high_watermark() {
    let mut world = World::new(settings(1, false));
    world.follow(3);
    world.replicated(3, 30, 4);
    world.follow(4);
    assert_eq!(
        (world.bounds.end, &*world.truncations),
        (offset(30), &[][..])
    );
}

/// KIP-279: the leader's epoch is not in this log, so its end there is no place where the logs meet. After fast elections
/// followers kept records of a third leader below it.
#[test]
fn gotcha_03_a_follower_that_lacks_the_leaders_epoch_cuts_to_its_own_and_asks_again() {
    let mut world = World::new(settings(1, false));
    world.follow(4);
    world.replicated(4, 30, 0);
    // This log: epoch 1 to 20, then 3. The leader's: epoch 2 to 25.
    let diverge = |world: &mut World, at: u16, end: u32, own: (u16, u32)| {
        world.handle(Event::Diverged {
            leader_epoch: epoch(4),
            epoch: epoch(at),
            end: offset(end),
            own: Some((epoch(own.0), offset(own.1))),
        });
        world.bounds.end
    };
    assert_eq!(diverge(&mut world, 2, 25, (1, 20)), offset(20));
    // It asks with epoch 1 then, which ends at 15 in the leader's log.
    assert_eq!(diverge(&mut world, 1, 15, (1, 20)), offset(15));
}

/// KAFKA-9491: a log that is begun anew where the leader's starts had its high watermark below its own start.
#[test]
fn gotcha_06_the_high_watermark_goes_with_a_log_that_is_begun_anew() {
    let mut world = World::new(settings(1, false));
    world.follow(1);
    world.replicated(1, 10, 4);
    world.handle(Event::OutOfRange {
        leader_epoch: epoch(1),
        start: offset(50),
        end: offset(90),
    });
    assert_eq!(world.bounds.start, offset(50));
    assert_eq!(world.high_watermark(), offset(50), "R1");
}

/// KIP-841, the leader's half: a fenced or stopping follower is not asked for, however far it is.
#[test]
fn gotcha_10_a_leader_asks_only_for_members_that_the_metadata_lets_in() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.produce(Acks::Leader, 100);
    world.fetch(2, offset(10), false);
    assert_eq!(world.proposals, []);
    world.fetch(2, offset(10), true);
    assert_eq!(world.proposals.len(), 1);
}

/// KIP-497: a change may have been made although the answer does not say so. Taken for refused, it let the high watermark
/// move on without a member of the committed set.
#[test]
fn gotcha_17_an_unclear_answer_leaves_a_change_pending() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.fetch(2, offset(0), true);
    assert_eq!(world.proposals.len(), 1);
    world.answer_isr(IsrAnswer::Ambiguous);
    let ticket = world.produce(Acks::All, 1_000);
    assert_eq!(world.answers[&ticket], None, "the second may be a member");
    // The metadata say that it was made.
    world.lead(leadership(1, 2, &[2]));
    assert_eq!(world.answers[&ticket], None);
    world.fetch(2, offset(10), true);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
}

/// KAFKA-13790: what the controller answered may reach the leader before the metadata that say so, and before older
/// ones. Those must not undo it; from the equal ones on all are taken, or the leader would be stuck with what it has.
#[test]
fn gotcha_18_metadata_older_than_an_answer_change_nothing_and_later_ones_do() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.fetch(2, offset(0), true);
    let accept = |world: &mut World, at| {
        world.answer_isr(IsrAnswer::Accepted {
            leader_epoch: epoch(1),
            partition_epoch: PartitionEpoch::from_wire(at).unwrap(),
            isr: members(&[1, 2]),
        });
    };
    accept(&mut world, 2);
    // Longer than a follower outside of the set would hold up commits.
    world.now = 41;
    world.lead(leadership(1, 1, &[]));
    let ticket = world.produce(Acks::All, 1_000);
    assert_eq!(world.answers[&ticket], None, "the second is a member");
    world.lead(leadership(1, 2, &[2]));
    assert_eq!(world.answers[&ticket], None);
    world.fetch(3, offset(10), true);
    let (at, asked_for) = world.proposals.last().unwrap();
    assert_eq!((at.get(), asked_for), (2, &members(&[1, 2, 3])));
    // The equal ones again: they decide nothing about what was asked for since.
    world.lead(leadership(1, 2, &[2]));
    world.fetch(2, offset(10), true);
    assert_eq!(world.proposals.len(), 2);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
    world.lead(leadership(1, 3, &[]));
    let ticket = world.produce(Acks::All, 1_000);
    world.handle(Event::FollowerGone(
        BrokerId::from_wire(2).unwrap(),
        ImageVersion(2),
    ));
    world.handle(Event::FollowerGone(
        BrokerId::from_wire(3).unwrap(),
        ImageVersion(2),
    ));
    assert_eq!(world.answers[&ticket], Some(Outcome::Done), "alone again");
}

/// The high watermark of a new leader may lie below what the last one had committed; all of that lies below the start of
/// its reign. A member with less could be elected next.
#[test]
fn gotcha_19_a_member_has_all_that_was_there_when_the_reign_began() {
    let mut world = World::new(settings(2, false));
    world.follow(1);
    world.replicated(1, 10, 4);
    world.lead(leadership(2, 2, &[2]));
    assert_eq!(world.high_watermark(), offset(4));
    world.fetch(3, offset(9), true);
    assert_eq!(world.proposals, []);
    world.fetch(3, offset(10), true);
    assert_eq!(world.proposals.len(), 1);
}

/// KIP-279 and KAFKA-14704.
#[test]
fn a_follower_truncates_to_where_the_logs_part() {
    let mut world = World::new(settings(1, false));
    world.follow(3);
    world.replicated(3, 30, 30);
    let diverge = |world: &mut World, at: u16, end: u32, own: Option<(u16, u32)>| {
        world.handle(Event::Diverged {
            leader_epoch: epoch(3),
            epoch: epoch(at),
            end: offset(end),
            own: own.map(|(at, end)| (epoch(at), offset(end))),
        });
        world.bounds.end
    };
    assert_eq!(diverge(&mut world, 2, 25, Some((2, 28))), offset(25));
    assert_eq!(
        diverge(&mut world, 2, 24, Some((1, 20))),
        offset(20),
        "and asks again"
    );
    assert_eq!(diverge(&mut world, 1, 7, None), offset(7));
    assert_eq!(world.high_watermark(), offset(7), "R1");
    assert_eq!(world.truncations, [offset(25), offset(20), offset(7)]);
}

/// R5: what was led under an older epoch is over, and the log ends where the next leader says.
#[test]
fn a_deposed_leader_follows_and_refuses_what_waited() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[2]));
    let ticket = world.produce(Acks::All, 10);
    world.follow(1);
    assert!(world.reign().is_ok(), "the same epoch has one leader");
    world.follow(2);
    assert_eq!(
        world.answers[&ticket],
        Some(Outcome::Refused(Refusal::NotLeader))
    );
    world.lead(leadership(2, 9, &[]));
    assert!(world.reign().is_err(), "nor the other way round");
    world.lead(leadership(3, 9, &[]));
    assert!(world.reign().is_ok());
}

/// Decision 9: what a follower has not flushed it does not acknowledge, so it flushes, one flush after the other.
#[test]
fn with_flush_on_ack_a_follower_flushes_what_it_got() {
    let mut world = World::new(settings(1, true));
    world.bounds.end = offset(5);
    world.follow(1);
    assert_eq!(world.flushing_to, Some(offset(5)), "what a crash left");
    world.replicated(1, 10, 0);
    assert_eq!(
        world.flushing_to,
        Some(offset(5)),
        "the next one takes it along"
    );
    world.finish_flush();
    assert_eq!(world.flushing_to, Some(offset(15)));
    world.finish_flush();
    assert_eq!(world.flushing_to, None);
}

/// One that keeps up without being in sync holds commits back, so that it can join under load; a fenced one does not.
#[test]
fn a_follower_that_is_gone_holds_up_nobody() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.produce(Acks::All, 100);
    world.fetch(2, offset(0), true);
    world.fetch(2, offset(10), true);
    world.lead(leadership(1, 2, &[]));
    let ticket = world.produce(Acks::All, 100);
    assert_eq!(world.answers[&ticket], None, "it is about to be let in");
    world.handle(Event::FollowerGone(
        BrokerId::from_wire(2).unwrap(),
        ImageVersion(2),
    ));
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
}

/// A fetch that was judged before the fence is told of after it.
#[test]
fn a_follower_that_was_fenced_does_not_come_back_by_an_older_fetch() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[2]));
    world.produce(Acks::All, 100);
    world.fetch(2, offset(10), true);
    world.lead(leadership(1, 2, &[]));
    world.handle(Event::FollowerGone(
        BrokerId::from_wire(2).unwrap(),
        ImageVersion(2),
    ));
    world.fetch(2, offset(10), true);
    let ticket = world.produce(Acks::All, 100);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
    assert!(world.proposals.is_empty(), "nor is it let in");
}

/// The controller knows better who may be in sync.
#[test]
fn a_follower_that_is_not_let_in_holds_up_nobody() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.fetch(2, offset(0), true);
    assert_eq!(world.proposals.len(), 1);
    let ticket = world.produce(Acks::All, 100);
    assert_eq!(world.answers[&ticket], None);
    world.answer_isr(IsrAnswer::NotApplied);
    assert_eq!(world.answers[&ticket], Some(Outcome::Done));
}

/// Nobody else moves the clock of a partition that is idle: whoever had given up waiting was remembered until something
/// else happened.
#[test]
fn a_look_at_the_set_ends_what_is_over() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[]));
    world.produce(Acks::Leader, 10);
    world.lead(leadership(1, 2, &[3]));
    let late = world.produce(Acks::All, 10);
    world.now = 20;
    world.handle(Event::CheckIsr);
    let timed_out = Outcome::Refused(Refusal::TimedOut);
    assert_eq!(world.answers[&late], Some(timed_out));
}

/// Another leader reigned in between, and nobody told of it: the follower may have truncated since.
#[test]
fn what_a_follower_had_counts_only_for_the_very_next_reign() {
    for (next, committed) in [(2, 10), (3, 0)] {
        let mut world = World::new(settings(2, false));
        world.lead(leadership(1, 1, &[]));
        world.produce(Acks::Leader, 100);
        world.fetch(2, offset(10), true);
        assert_eq!(world.high_watermark(), offset(0), "one is not enough");
        world.lead(leadership(next, 2, &[2]));
        world.handle(Event::Moved(world.bounds));
        assert_eq!(world.high_watermark(), offset(committed));
    }
}

/// Who may lead next has deleted them too, or they would come back.
#[test]
fn records_are_deleted_once_every_member_has_said_so() {
    let mut world = World::new(settings(1, false));
    world.lead(leadership(1, 1, &[2]));
    world.produce(Acks::Leader, 100);
    world.fetch(2, offset(10), true);
    // Another reign, in which the follower has not shown itself.
    world.lead(leadership(3, 2, &[2]));
    let ticket = world.ticket();
    let deadline = MonoMillis::from_millis(1_000);
    world.handle(Event::DeleteRecords {
        ticket,
        before: None,
        deadline,
    });
    assert_eq!(world.answers[&ticket], None);
    world.fetch_as(2, (offset(10), offset(10)), true);
    let log_start = offset(10);
    assert_eq!(world.answers[&ticket], Some(Outcome::Deleted { log_start }));
}

/// `NOT_ENOUGH_REPLICAS` says "not written", and a client that believes it sends the batch again: what is in the log
/// already is only ever called undecided, however small the in-sync set has become.
#[test]
fn gotcha_42_what_is_appended_is_never_called_unwritten() {
    let mut world = World::new(settings(2, false));
    world.lead(leadership(1, 1, &[2]));
    let ticket = world.produce(Acks::All, 10);
    assert_eq!(world.bounds.end, offset(10));
    world.lead(leadership(1, 2, &[]));
    assert_eq!(world.answers[&ticket], None, "it may be committed yet");
    let next = world.produce(Acks::All, 10);
    let unwritten = Outcome::Refused(Refusal::NotEnoughReplicas);
    assert_eq!(world.answers[&next], Some(unwritten));
    assert_eq!(world.bounds.end, offset(10), "and nothing was written");
    world.now = 10;
    world.handle(Event::Tick);
    let undecided = Outcome::Refused(Refusal::TimedOut);
    assert_eq!(world.answers[&ticket], Some(undecided));
}
