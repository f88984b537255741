//! Golden bytes and round trips of every fact; any bytes never panic.

use proptest::prelude::*;

use super::*;

/// One of each fact, every field set.
pub(crate) fn every_record() -> Vec<Record> {
    let state = PartitionState {
        replicas: vec![1, 2, 3],
        directories: vec![[1; 16], [2; 16], [3; 16]],
        isr: vec![1, 2],
        elr: vec![3],
        last_known_elr: vec![3],
        adding: vec![3],
        removing: vec![2],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 9,
        recovering: true,
    };
    let registration = BrokerRegistration {
        broker: 1,
        epoch: 7,
        incarnation: [8; 16],
        registered_at: 5,
        endpoints: vec![EndpointRecord {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: Some("r1".to_owned()),
        directories: vec![[9; 16]],
        feature_min: 1,
        feature_max: 1,
        fenced: true,
        in_controlled_shutdown: false,
    };
    vec![
        Record::FeatureLevel {
            name: FEATURE.to_owned(),
            level: 1,
        },
        Record::BrokerRegistration(registration),
        Record::BrokerChange(BrokerChange {
            broker: 1,
            epoch: 7,
            fenced: Some(false),
            in_controlled_shutdown: Some(true),
            directories: Some(vec![[9; 16]]),
        }),
        Record::BrokerRemoval {
            broker: 1,
            epoch: 7,
        },
        Record::Topic {
            id: [5; 16],
            name: "orders".to_owned(),
        },
        Record::Partition {
            topic: [5; 16],
            partition: 0,
            state,
        },
        Record::PartitionChange(PartitionChange {
            topic: [5; 16],
            partition: 0,
            replicas: Some(vec![1, 3]),
            directories: Some(vec![[1; 16], [3; 16]]),
            isr: Some(vec![1]),
            elr: Some(vec![]),
            last_known_elr: Some(vec![]),
            adding: Some(vec![]),
            removing: Some(vec![]),
            leader: Some(-1),
            leader_epoch: 5,
            partition_epoch: 10,
            recovering: Some(false),
        }),
        Record::TopicRemoval { id: [5; 16] },
        Record::Config {
            resource: Resource::Topic([5; 16]),
            key: "retention.ms".to_owned(),
            value: Some("1000".to_owned()),
        },
        Record::Config {
            resource: Resource::Broker(1),
            key: "k".to_owned(),
            value: None,
        },
        Record::Config {
            resource: Resource::Cluster,
            key: "k".to_owned(),
            value: None,
        },
        Record::ProducerIds {
            broker: 1,
            broker_epoch: 7,
            next: 1000,
        },
    ]
}

/// The bytes that version 1 wrote on the day it was made. They never change; a new version gets a
/// file of its own.
const GOLDEN_V1: &[u8] = include_bytes!("golden-v1.bin");

#[test]
fn version_1_reads_and_writes_its_golden_bytes() {
    let entry = Entry {
        decided_on: 3,
        records: every_record(),
    };
    assert_eq!(Entry::decode(GOLDEN_V1).unwrap(), entry);
    assert_eq!(entry.encode().unwrap(), GOLDEN_V1);
}

#[test]
fn a_newer_version_says_upgrade_me() {
    let mut bytes = Entry {
        decided_on: 0,
        records: vec![],
    }
    .encode()
    .unwrap();
    bytes[4] = 2;
    let error = Entry::decode(&bytes).unwrap_err();
    assert_eq!(
        error,
        DecodeError::Newer {
            found: 2,
            supported: 1
        }
    );
    assert!(error.to_string().contains("upgrade me"));
}

#[test]
fn every_changed_bit_is_noticed() {
    for at in 0..GOLDEN_V1.len() * 8 {
        let mut bytes = GOLDEN_V1.to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(Entry::decode(&bytes).is_err(), "bit {at}");
    }
    for cut in 0..GOLDEN_V1.len() {
        assert!(Entry::decode(&GOLDEN_V1[..cut]).is_err(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::decode(&bytes);
    }

    /// Behind a valid frame, so that the archive itself is what is hostile.
    #[test]
    fn any_payload_never_panics(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let _ = Entry::decode(&frame(MAGIC, &payload).unwrap());
        let mut near = GOLDEN_V1[FRAME_SIZE..].to_vec();
        for (at, byte) in flips {
            let at = at.index(near.len());
            near[at] = byte;
        }
        if let Ok(entry) = Entry::decode(&frame(MAGIC, &near).unwrap()) {
            let _ = crate::metadata::MetadataImage::default().apply(&entry);
        }
    }
}
