//! A partition's decisions against a simulated log: any history of events keeps R1, R2, R3, R5 and R7,
//! and answers each request exactly once, with success only for what the log holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::effect::Acks;
use super::super::isr::Isr;
use super::*;
use crate::metadata::PartitionEpoch;

const ME: BrokerId = BrokerId::from_wire(1).unwrap();

fn epoch(raw: u16) -> LeaderEpoch {
    LeaderEpoch::from(raw)
}

fn offset(raw: u32) -> Offset {
    Offset::from(raw)
}

fn leadership(leader_epoch: u16, partition_epoch: i32, others: &[i32]) -> Leadership {
    let members: BTreeSet<_> = others
        .iter()
        .map(|id| BrokerId::from_wire(*id).unwrap())
        .chain([ME])
        .collect();
    Leadership {
        leader_epoch: epoch(leader_epoch),
        partition_epoch: PartitionEpoch::from_wire(partition_epoch).unwrap(),
        isr: Isr::new(members, 3),
    }
}

fn settings(min_insync_replicas: u32, flush_on_ack: bool) -> Settings {
    Settings {
        min_insync_replicas,
        flush_on_ack,
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
        let before = self.partition.reign();
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
                assert_eq!(
                    Ok(leader_epoch),
                    self.partition.reign().map(|r| r.leader_epoch),
                    "R5"
                );
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
                assert_eq!(self.flushing_to, None, "one flush at a time");
                self.flushing_to = Some(self.bounds.end);
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
            let reign = self.partition.reign().expect("success only from a leader");
            assert!(*acks != Acks::All || *end <= reign.high_watermark, "R4");
        }
    }

    fn check(&self, before: Result<Reign, Refusal>) {
        let Ok(after) = self.partition.reign() else {
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
            self.bounds.flushed_end = end;
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

    fn high_watermark(&self) -> Offset {
        self.partition.reign().unwrap().high_watermark
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
        Step::Wait { millis } => {
            world.now += millis;
            world.handle(Event::Tick);
        }
        Step::Offline => world.handle(Event::Offline),
        Step::Stop => world.handle(Event::Stop),
    }
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

/// R3: below the minimum nothing new is promised, and what waits is not confirmed either.
#[test]
fn the_high_watermark_stands_still_below_the_minimum() {
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
