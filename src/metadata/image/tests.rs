//! The image against its promises: total apply, M1, M2, M3, snapshots and deltas.

use proptest::prelude::*;

use super::*;
use crate::metadata::delta::MetadataDelta;
use crate::metadata::record::{
    BrokerChange, BrokerRegistration, Entry, PartitionChange, PartitionState, Resource,
};
use crate::metadata::{PartitionIndex, snapshot};

/// Facts over few names, so that most of them fit and many don't.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    let id = || (1_u8..6).prop_map(|n| [n; 16]);
    let brokers = || prop::collection::vec(0_i32..4, 0..4);
    let some_brokers = move || prop::option::of(brokers());
    let state =
        (brokers(), brokers(), brokers(), -1_i32..4).prop_map(|(replicas, isr, elr, leader)| {
            PartitionState {
                replicas,
                directories: vec![],
                isr,
                elr,
                last_known_elr: vec![],
                adding: vec![],
                removing: vec![],
                leader,
                leader_epoch: 0,
                partition_epoch: 0,
                recovering: false,
            }
        });
    let good_state = (0_i32..4).prop_map(|leader| PartitionState {
        replicas: vec![0, 1, 2, 3],
        directories: vec![],
        isr: vec![0, 1, 2, 3],
        elr: vec![],
        last_known_elr: vec![],
        adding: vec![],
        removing: vec![],
        leader,
        leader_epoch: 0,
        partition_epoch: 0,
        recovering: false,
    });
    let change = (
        id(),
        0_i32..3,
        some_brokers(),
        some_brokers(),
        prop::option::of(-1_i32..4),
        (0_i32..3, 0_i32..4),
    );
    let change = change.prop_map(
        |(topic, partition, isr, elr, leader, (leader_epoch, partition_epoch))| {
            Record::PartitionChange(PartitionChange {
                topic,
                partition,
                replicas: None,
                directories: None,
                isr,
                elr,
                last_known_elr: None,
                adding: None,
                removing: None,
                leader,
                leader_epoch,
                partition_epoch,
                recovering: None,
            })
        },
    );
    let registration = (0_i32..4, 0_i64..8, any::<bool>()).prop_map(|(broker, epoch, fenced)| {
        Record::BrokerRegistration(BrokerRegistration {
            broker,
            epoch,
            incarnation: [u8::try_from(epoch).unwrap() + 1; 16],
            registered_at: 1,
            endpoints: vec![],
            rack: None,
            directories: vec![[7; 16]],
            feature_min: 1,
            feature_max: 1,
            fenced,
            in_controlled_shutdown: false,
        })
    });
    let broker_change = (0_i32..4, 0_i64..8, any::<bool>()).prop_map(|(broker, epoch, fenced)| {
        Record::BrokerChange(BrokerChange {
            broker,
            epoch,
            fenced: Some(fenced),
            in_controlled_shutdown: None,
            directories: None,
        })
    });
    let resource = prop_oneof![
        3 => id().prop_map(Resource::Topic),
        1 => (0_i32..3).prop_map(Resource::Broker),
        1 => Just(Resource::Cluster),
    ];
    let config =
        (resource, "[a-c]", prop::option::of("[xy]")).prop_map(|(resource, key, value)| {
            Record::Config {
                resource,
                key,
                value,
            }
        });
    prop_oneof![
        4 => (id(), "[a-d._]{1,3}").prop_map(|(id, name)| Record::Topic { id, name }),
        1 => (id(), 0_i32..3, state).prop_map(|(topic, partition, state)| Record::Partition { topic, partition, state }),
        6 => (id(), 0_i32..3, good_state).prop_map(|(topic, partition, state)| Record::Partition { topic, partition, state }),
        6 => change,
        2 => id().prop_map(|id| Record::TopicRemoval { id }),
        3 => registration,
        2 => broker_change,
        1 => (0_i32..4, 0_i64..8).prop_map(|(broker, epoch)| Record::BrokerRemoval { broker, epoch }),
        4 => config,
        1 => (0_i64..5000).prop_map(|next| Record::ProducerIds { broker: 1, broker_epoch: 0, next }),
        1 => (0_u16..3).prop_map(|level| Record::FeatureLevel { name: FEATURE.to_owned(), level }),
    ]
}

fn log() -> impl Strategy<Value = Vec<(bool, Vec<Record>)>> {
    let entry = (
        prop::bool::weighted(0.9),
        prop::collection::vec(record(), 1..4),
    );
    prop::collection::vec(entry, 0..60).prop_map(without_reused_ids)
}

/// Topic ids are random and never used twice.
fn without_reused_ids(mut log: Vec<(bool, Vec<Record>)>) -> Vec<(bool, Vec<Record>)> {
    let mut used = std::collections::BTreeSet::new();
    for (_, records) in &mut log {
        records.retain(|record| match record {
            Record::Topic { id, .. } => !used.contains(id),
            Record::TopicRemoval { id } => {
                used.insert(*id);
                true
            }
            _ => true,
        });
    }
    log
}

/// Plays a log; entries whose flag is off name the wrong version.
fn play(log: &[(bool, Vec<Record>)]) -> Vec<MetadataImage> {
    let mut images = vec![MetadataImage::default()];
    for (is_current, records) in log {
        let image = images.last().unwrap();
        let decided_on = image.version().0 + u64::from(!is_current);
        let outcome = image.apply(&Entry {
            decided_on,
            records: records.clone(),
        });
        if !is_current {
            assert!(matches!(outcome.rejection, Some(Rejection::Stale { .. })));
        }
        images.push(outcome.image);
    }
    images
}

fn digest_from_scratch(image: &MetadataImage) -> u64 {
    let mut rebuilt = MetadataImage::default();
    rebuilt.apply_records(&image.to_records()).unwrap();
    rebuilt
        .with_counters(
            image.version(),
            image.rejected(),
            image.next_broker_epoch(),
            image.next_producer_id(),
        )
        .digest()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// M1: equal logs give equal digests, the digest kept along the way is that of the content, and
    /// images of different versions have different digests.
    #[test]
    fn the_digest_is_a_function_of_the_content(log in log()) {
        let images = play(&log);
        let again = play(&log);
        for (image, other) in images.iter().zip(&again) {
            prop_assert_eq!(image.digest(), other.digest());
            prop_assert_eq!(image, other);
            prop_assert_eq!(image.digest(), digest_from_scratch(image));
        }
        for pair in images.windows(2) {
            // Two nodes of one version agree, whichever rejections they have seen.
            let is_same_version = pair[0].version() == pair[1].version();
            prop_assert_eq!(pair[0].digest() == pair[1].digest(), is_same_version);
        }
    }

    /// M1 through snapshots: equal bytes for equal images, and the image comes back.
    #[test]
    fn an_image_survives_its_snapshot(log in log()) {
        let images = play(&log);
        let image = images.last().unwrap();
        let bytes = snapshot::encode(image).unwrap();
        let loaded = snapshot::decode(&bytes).unwrap();
        prop_assert_eq!(&loaded, image);
        prop_assert_eq!(loaded.digest(), image.digest());
        prop_assert_eq!(snapshot::encode(&loaded).unwrap(), bytes);
    }

    /// M2 and M3 hold in every image, and a rejection changes nothing but its count.
    #[test]
    fn every_image_keeps_the_invariants(log in log()) {
        let images = play(&log);
        for pair in images.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            if after.rejected() > before.rejected() {
                prop_assert_eq!(before.version(), after.version());
                prop_assert!(MetadataDelta::between(before, after).is_empty());
            }
            for topic in after.topics().iter() {
                for (index, partition) in topic.partitions() {
                    let replicas = &partition.replicas;
                    prop_assert!(partition.isr.iter().all(|id| replicas.contains(id)));
                    prop_assert!(partition.elr.iter().all(|id| replicas.contains(id)));
                    prop_assert!(partition.elr.iter().all(|id| !partition.isr.contains(id)));
                    prop_assert!(partition.leader.is_none_or(|id| partition.isr.contains(&id)));
                    prop_assert_eq!(replicas.len(), partition.directories.len());
                    let old = before.topics().by_id(topic.id()).and_then(|t| t.partition(index));
                    if let Some(old) = old.filter(|old| *old != partition) {
                        prop_assert!(partition.partition_epoch > old.partition_epoch);
                        prop_assert!(partition.leader_epoch >= old.leader_epoch);
                    }
                }
            }
        }
    }

    /// The delta from any image to any later one names exactly what is different.
    #[test]
    fn deltas_fold_into_the_image(log in log(), from in any::<prop::sample::Index>()) {
        let images = play(&log);
        let old = &images[from.index(images.len())];
        let new = images.last().unwrap();
        let delta = MetadataDelta::between(old, new);
        let mut partitions = BTreeMap::new();
        for topic in old.topics().iter() {
            for (index, partition) in topic.partitions() {
                partitions.insert((topic.id(), index), partition.clone());
            }
        }
        partitions.retain(|(id, _), _| !delta.topics_deleted.contains_key(id));
        for (key, change) in &delta.partitions {
            prop_assert_eq!(partitions.insert(*key, change.new.clone()), change.old.clone());
        }
        let expected: BTreeMap<(TopicId, PartitionIndex), _> = new
            .topics()
            .iter()
            .flat_map(|t| t.partitions().map(|(i, p)| ((t.id(), i), p.clone())))
            .collect();
        prop_assert_eq!(partitions, expected);
        for topic in new.topics().iter() {
            let was_there = old.topics().by_id(topic.id()).is_some_and(|t| t.name() == topic.name())
                && !delta.topics_deleted.contains_key(&topic.id());
            prop_assert!(was_there || delta.topics_created.contains_key(&topic.id()));
            let resource = ConfigResource::Topic(topic.id());
            let is_same = old.configs().find(resource) == new.configs().find(resource);
            prop_assert_eq!(!is_same, delta.configs.contains(&resource));
        }
        for broker in new.brokers().iter() {
            let is_same = old.brokers().find(broker.id) == Some(broker);
            prop_assert_eq!(!is_same, delta.brokers.contains_key(&broker.id));
        }
    }

    #[test]
    fn a_damaged_snapshot_is_refused(log in log(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let images = play(&log);
        let mut bytes = snapshot::encode(images.last().unwrap()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(snapshot::decode(&bytes).is_err());
        bytes.truncate(at);
        prop_assert!(snapshot::decode(&bytes).is_err());
    }
}

#[test]
fn a_topic_is_found_by_id_by_name_and_by_its_collisions() {
    let mut image = MetadataImage::default();
    let names = ["a.b", "plain", "z_z"];
    let records: Vec<Record> = names
        .iter()
        .zip(1_u8..)
        .map(|(name, n)| Record::Topic {
            id: [n; 16],
            name: (*name).to_owned(),
        })
        .collect();
    image.apply_records(&records).unwrap();
    let topics = image.topics();
    assert_eq!(
        topics.by_name("plain").unwrap().id(),
        TopicId::from_wire([2; 16]).unwrap()
    );
    assert_eq!(
        topics.colliding_name("a_b").map(|name| &**name),
        Some("a.b")
    );
    assert_eq!(topics.colliding_name("a.b"), None);
    assert_eq!(topics.colliding_name("plai"), None);
    let from: Vec<&str> = topics
        .iter_from_name("b")
        .map(|topic| &**topic.name())
        .collect();
    assert_eq!(from, ["plain", "z_z"]);
    image
        .apply_records(&[Record::TopicRemoval { id: [1; 16] }])
        .unwrap();
    assert_eq!(image.topics().colliding_name("a_b"), None);
}

#[test]
fn removing_a_topic_removes_its_configs() {
    let id = [1; 16];
    let config = Record::Config {
        resource: Resource::Topic(id),
        key: "retention.ms".to_owned(),
        value: Some("1".to_owned()),
    };
    let mut image = MetadataImage::default();
    let empty = image.digest();
    image
        .apply_records(&[
            Record::Topic {
                id,
                name: "t".to_owned(),
            },
            config.clone(),
        ])
        .unwrap();
    assert!(
        image
            .topic_overrides(TopicId::from_wire(id).unwrap())
            .is_some()
    );
    image.apply_records(&[Record::TopicRemoval { id }]).unwrap();
    assert_eq!(image.digest(), empty);
    assert!(image.apply_records(&[config]).is_err());
}

#[test]
fn a_feature_level_beyond_this_build_is_told_apart() {
    let image = MetadataImage::default();
    let record = Record::FeatureLevel {
        name: FEATURE.to_owned(),
        level: 2,
    };
    let outcome = image.apply(&Entry {
        decided_on: 0,
        records: vec![record],
    });
    let upgrade = Rejection::Invalid {
        position: 0,
        reason: RecordError::Upgrade(2),
    };
    assert_eq!(outcome.rejection, Some(upgrade));
    assert!(upgrade.to_string().contains("upgrade me"));
}

/// M1: a replay of the log comes to the same image as the first time, down to the order of what it holds; else nodes
/// part, and nobody notices.
#[test]
fn gotcha_50_every_replay_of_a_log_comes_to_the_same_image() {
    let registration = |broker: u8| BrokerRegistration {
        broker: i32::from(broker),
        epoch: i64::from(broker),
        incarnation: [broker; 16],
        registered_at: 1,
        endpoints: vec![],
        rack: None,
        directories: (1..=8).rev().map(|n| [broker * 16 + n; 16]).collect(),
        feature_min: 1,
        feature_max: 1,
        fenced: false,
        in_controlled_shutdown: false,
    };
    let mut records: Vec<_> = (1..=3)
        .map(|broker| Record::BrokerRegistration(registration(broker)))
        .collect();
    for id in (1..=8_u8).rev() {
        records.push(Record::Topic {
            id: [id; 16],
            name: format!("topic-{id}"),
        });
        for key in ["b", "a", "c"] {
            records.push(Record::Config {
                resource: Resource::Topic([id; 16]),
                key: key.to_owned(),
                value: Some("x".to_owned()),
            });
        }
    }
    let replay = || {
        let mut image = MetadataImage::default();
        image.apply_records(&records).unwrap();
        (image.digest(), snapshot::encode(&image).unwrap())
    };
    let first = replay();
    for _ in 0..10 {
        assert!(replay() == first, "two replays of one log differ");
    }
}
