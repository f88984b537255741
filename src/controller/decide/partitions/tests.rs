//! One partition's change against its rules, and random changes against M2 and M3.

use proptest::prelude::*;

use super::*;
use crate::metadata::record::{BrokerRegistration, Entry, FEATURE, PartitionState, Record};

const TOPIC: [u8; 16] = [1; 16];

fn broker(id: i32) -> BrokerId {
    BrokerId::from_wire(id).unwrap()
}

/// Brokers 1 to 4, those in `active` unfenced, and one partition.
fn image(state: PartitionState, active: &[i32]) -> MetadataImage {
    let mut records = vec![Record::FeatureLevel {
        name: FEATURE.to_owned(),
        level: 1,
    }];
    records.extend((1..=4).map(|id| {
        Record::BrokerRegistration(BrokerRegistration {
            broker: id,
            epoch: i64::from(id),
            incarnation: [1; 16],
            registered_at: 1,
            endpoints: vec![],
            rack: None,
            directories: vec![[0x90; 16]],
            feature_min: 1,
            feature_max: 1,
            fenced: !active.contains(&id),
            in_controlled_shutdown: false,
        })
    }));
    records.push(Record::Topic {
        id: TOPIC,
        name: "t".to_owned(),
    });
    records.push(Record::Partition {
        topic: TOPIC,
        partition: 0,
        state,
    });
    let outcome = MetadataImage::default().apply(&Entry {
        decided_on: 0,
        records,
    });
    assert_eq!(outcome.rejection, None);
    outcome.image
}

fn state(replicas: &[i32], isr: &[i32], leader: i32) -> PartitionState {
    PartitionState {
        replicas: replicas.to_vec(),
        directories: vec![],
        isr: isr.to_vec(),
        elr: vec![],
        last_known_elr: vec![],
        adding: vec![],
        removing: vec![],
        leader,
        leader_epoch: 5,
        partition_epoch: 7,
        recovering: false,
    }
}

struct Rules {
    min_isr: u32,
    is_unclean_election_allowed: bool,
}

const CLEAN: Rules = Rules {
    min_isr: 1,
    is_unclean_election_allowed: false,
};

/// The partition after a change; `None` if nothing changed.
fn change(
    image: &MetadataImage,
    rules: &Rules,
    update: impl FnOnce(&mut PartitionUpdate<'_>),
) -> Option<PartitionImage> {
    let topic = TopicId::from_wire(TOPIC).unwrap();
    let index = PartitionIndex::ZERO;
    let old = image
        .topics()
        .by_id(topic)
        .unwrap()
        .partition(index)
        .unwrap();
    let (min_isr, unclean) = (rules.min_isr, rules.is_unclean_election_allowed);
    let mut begun = PartitionUpdate::new(old, Candidates::new(image), min_isr, unclean);
    update(&mut begun);
    let record = Record::PartitionChange(begun.build(topic, index)?);
    let entry = Entry {
        decided_on: image.version().0,
        records: vec![record],
    };
    let outcome = image.apply(&entry);
    assert_eq!(outcome.rejection, None);
    let partition = outcome
        .image
        .topics()
        .by_id(topic)
        .unwrap()
        .partition(index)
        .unwrap()
        .clone();
    Some(PartitionImage::clone(&partition))
}

#[test]
fn nothing_different_is_no_record() {
    let image = image(state(&[1, 2], &[1, 2], 1), &[1, 2]);
    assert_eq!(change(&image, &CLEAN, |_| ()), None);
}

#[test]
fn the_current_leader_stays_although_another_is_preferred() {
    let image = image(state(&[1, 2], &[2, 1], 2), &[1, 2]);
    assert_eq!(change(&image, &CLEAN, |_| ()), None);
}

#[test]
fn the_first_in_sync_replica_in_assignment_order_follows() {
    let image = image(state(&[3, 2, 1], &[1, 2, 3], 3), &[1, 2]);
    let after = change(&image, &CLEAN, |update| update.leave_isr(broker(3))).unwrap();
    assert_eq!(after.leader, Some(broker(2)));
    assert_eq!(
        (after.leader_epoch.get(), after.partition_epoch.get()),
        (6, 8)
    );
}

#[test]
fn a_replica_on_an_offline_directory_is_not_elected() {
    let online = [0x90; 16];
    let offline = [0x91; 16];
    let directories = vec![online, offline, online];
    let with = PartitionState {
        directories,
        ..state(&[1, 2, 3], &[1, 2, 3], 1)
    };
    let image = image(with, &[2, 3]);
    let after = change(&image, &CLEAN, |update| update.leave_isr(broker(1))).unwrap();
    assert_eq!(after.leader, Some(broker(3)));
}

#[test]
fn an_unclean_election_only_where_it_is_allowed() {
    let image = image(state(&[1, 2], &[1], 1), &[2]);
    let after = change(&image, &CLEAN, |update| update.leave_isr(broker(1))).unwrap();
    assert_eq!((after.leader, after.isr.as_slice()), (None, [].as_slice()));
    assert_eq!(after.elr, [broker(1)]);
    let allowed = Rules {
        is_unclean_election_allowed: true,
        ..CLEAN
    };
    let after = change(&image, &allowed, |update| update.leave_isr(broker(1))).unwrap();
    assert_eq!(
        (after.leader, after.isr.as_slice()),
        (Some(broker(2)), [broker(2)].as_slice())
    );
    assert!(after.elr.is_empty() && after.last_known_elr.is_empty());
    assert_eq!(after.recovery_state, RecoveryState::Recovering);
}

#[test]
fn the_last_leader_is_elected_only_if_it_is_acceptable() {
    let last = PartitionState {
        last_known_elr: vec![1],
        ..state(&[1, 2], &[], -1)
    };
    let gone = image(last.clone(), &[2]);
    assert_eq!(change(&gone, &CLEAN, |_| ()), None);
    let back = image(last, &[1, 2]);
    let after = change(&back, &CLEAN, |_| ()).unwrap();
    assert_eq!(after.leader, Some(broker(1)));
    assert_eq!(after.recovery_state, RecoveryState::Recovering);
}

#[test]
fn a_leader_out_of_the_elr_leaves_it_and_keeps_the_others_below_the_minimum() {
    let eligible = PartitionState {
        elr: vec![2, 3],
        ..state(&[1, 2, 3], &[], -1)
    };
    let image = image(eligible, &[3]);
    let two = Rules {
        min_isr: 2,
        ..CLEAN
    };
    let after = change(&image, &two, |_| ()).unwrap();
    assert_eq!(after.leader, Some(broker(3)));
    assert_eq!((after.isr, after.elr), (vec![broker(3)], vec![broker(2)]));
    // At the minimum the high watermark moves on without the others.
    let after = change(&image, &CLEAN, |_| ()).unwrap();
    assert!(after.elr.is_empty());
}

/// KAFKA-15665: all target replicas must be in sync, and removing one bumps the reign.
#[test]
fn gotcha_15_a_reassignment_completes_when_all_targets_are_in_sync() {
    let going = |isr: &[i32]| PartitionState {
        adding: vec![3],
        removing: vec![1],
        ..state(&[3, 2, 1], isr, 1)
    };
    let waiting = image(going(&[1, 3]), &[1, 2, 3]);
    assert_eq!(change(&waiting, &CLEAN, |_| ()), None);
    let ready = image(going(&[1, 2, 3]), &[1, 2, 3]);
    let after = change(&ready, &CLEAN, |_| ()).unwrap();
    assert_eq!(after.replicas, [broker(3), broker(2)]);
    assert_eq!(after.isr, [broker(2), broker(3)]);
    assert!(!after.is_reassigning());
    assert_eq!(after.leader, Some(broker(3)));
    assert_eq!(after.leader_epoch.get(), 6);
}

proptest! {
    /// M2 and M3 through any departures; a leader is active when it is elected.
    #[test]
    fn any_change_keeps_the_invariants(
        isr in prop::sample::subsequence(vec![1, 2, 3], 0..=3),
        is_led in any::<bool>(),
        active in prop::sample::subsequence(vec![1, 2, 3, 4], 0..=4),
        leaving in 1..=3_i32,
        is_lost in any::<bool>(),
        min_isr in 1..=3_u32,
        is_unclean_election_allowed in any::<bool>(),
    ) {
        let leader = if is_led { isr.first().copied().unwrap_or(-1) } else { -1 };
        let image = image(state(&[1, 2, 3], &isr, leader), &active);
        let rules = Rules { min_isr, is_unclean_election_allowed };
        let after = change(&image, &rules, |update| {
            if is_lost { update.lose(broker(leaving)) } else { update.leave_isr(broker(leaving)) }
        });
        // Applying checked M2 and M3 already.
        let Some(after) = after else { return Ok(()) };
        if let Some(elected) = after.leader {
            prop_assert!(active.contains(&elected.get()));
        }
        let is_new = BrokerId::to_wire(after.leader) != leader;
        prop_assert_eq!(after.leader_epoch.get() == 6, is_new);
        prop_assert_eq!(after.partition_epoch.get(), 8);
        if after.recovery_state == RecoveryState::Recovered {
            let was = [isr.as_slice()].concat();
            prop_assert!(after.leader.is_none_or(|id| was.contains(&id.get())), "unclean, unsaid");
        }
        if is_lost && after.recovery_state == RecoveryState::Recovered {
            prop_assert!(!after.isr.contains(&broker(leaving)));
            prop_assert!(!after.elr.contains(&broker(leaving)));
        }
    }
}
