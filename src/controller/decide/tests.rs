//! Decisions against the rules: one row per error, and every decision applies to its image.

use ottla_storage::ids::DirectoryId;
use uuid::Uuid;

use super::*;
use crate::config::{NodeConfig, Sources, StaticConfig};
use crate::controller::command::*;
use crate::metadata::image::FeatureRange;
use crate::metadata::record::{EndpointRecord, Entry};
use crate::metadata::{BrokerEpoch, BrokerId, Incarnation, PartitionIndex, TopicId};

mod brokers;
mod configs;
mod directories;
mod elections;
mod heartbeat;
mod isr;
mod topics;

pub(crate) fn broker(id: i32) -> BrokerId {
    BrokerId::from_wire(id).unwrap()
}

/// No test is so slow that a broker is silent for a session without meaning it.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_hours(1);

pub(crate) fn settings() -> Settings {
    Settings {
        partitions_default: 1,
        replication_factor_default: None,
        founder_count: 0,
        delete_topics: true,
        operation_records_max: OPERATION_RECORDS_MAX,
        session_timeout: SESSION_TIMEOUT,
        inter_broker_listener: "PLAINTEXT".to_owned(),
        rebalances_leaders: true,
        balance_interval: SESSION_TIMEOUT,
        fixed: StaticConfig::default(),
    }
}

/// A first registration of a broker with one directory.
pub(crate) fn registration(id: u8) -> RegisterBroker {
    RegisterBroker {
        broker: broker(i32::from(id)),
        incarnation: Incarnation(Uuid::from_bytes([id; 16])),
        previous_epoch: None,
        endpoints: vec![EndpointRecord {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: None,
        directories: vec![DirectoryId::new(Uuid::from_bytes([0x80 | id; 16]))],
        feature: FeatureRange { min: 1, max: 1 },
    }
}

/// An image under test: every decision is applied, as an entry of its own.
struct World {
    settings: Settings,
    image: MetadataImage,
    draw: Draw,
    sessions: Sessions,
}

impl World {
    fn new(settings: Settings) -> Self {
        let mut world = Self {
            settings,
            image: MetadataImage::default(),
            draw: Draw::new(1),
            sessions: Sessions::default(),
        };
        world.apply(first_records(&world.settings, &world.image));
        world
    }

    /// With brokers 1 to `count`, all let in.
    fn with_brokers(settings: Settings, count: u8) -> Self {
        let mut world = Self::new(settings);
        for id in 1..=count {
            world.join(registration(id));
        }
        world
    }

    fn apply(&mut self, records: Vec<Record>) {
        let entry = Entry {
            decided_on: self.image.version().0,
            records,
        };
        let entry = Entry::decode(&entry.encode().unwrap()).unwrap();
        let outcome = self.image.apply(&entry);
        assert_eq!(outcome.rejection, None);
        self.image = outcome.image;
    }

    fn decide(&mut self, command: &Command) -> Decision<Outcome> {
        let Self {
            settings,
            image,
            draw,
            sessions,
        } = self;
        decide(settings, image, command, draw, sessions)
    }

    /// Decides and applies, step by step.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "commands are built in the call"
    )]
    fn run(&mut self, command: Command) -> Outcome {
        loop {
            let decision = self.decide(&command);
            self.apply(decision.records);
            if decision.is_last {
                return decision.outcome;
            }
        }
    }

    fn register(&mut self, command: RegisterBroker) -> Result<BrokerEpoch, RegisterError> {
        match self.run(Command::RegisterBroker(command)) {
            Outcome::RegisterBroker(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, id: u8, to: BrokerState) {
        let broker = broker(i32::from(id));
        let epoch = self.image.brokers().find(broker).unwrap().epoch;
        let outcome = self.run(Command::ChangeBroker(ChangeBroker { broker, epoch, to }));
        assert_eq!(outcome, Outcome::ChangeBroker(Ok(())));
    }

    fn join(&mut self, command: RegisterBroker) {
        let id = u8::try_from(command.broker.get()).unwrap();
        self.register(command).unwrap();
        self.change(id, BrokerState::Unfenced);
    }

    /// One topic "t" of one partition with these replicas.
    fn with_replicas(mut self, replicas: &[i32]) -> Self {
        let assignments = vec![Assignment {
            partition: 0,
            brokers: replicas.to_vec(),
        }];
        self.create_one(NewTopic {
            assignments,
            ..topic("t")
        })
        .unwrap();
        self
    }

    /// A broker says in which directory its replica of partition 0 lies.
    fn place(
        &mut self,
        id: i32,
        directory: DirectoryId,
        topic: &str,
    ) -> Result<(), AssignReplicaError> {
        let topic = self.topic(topic).id();
        let command = AssignReplicas {
            broker: broker(id),
            epoch: self.epoch(id),
            directories: vec![(directory, vec![(topic, vec![0])])],
        };
        match self.run(Command::AssignReplicas(command)) {
            Outcome::AssignReplicas(Ok(assigned)) => assigned[0].1[0].1[0].1,
            other => panic!("{other:?}"),
        }
    }

    fn directory(&self, topic: &str, id: i32) -> Option<DirectoryId> {
        self.partition(topic, 0).directory_of(broker(id))
    }

    fn epoch(&self, id: i32) -> BrokerEpoch {
        self.image.brokers().find(broker(id)).unwrap().epoch
    }

    fn create(&mut self, topics: Vec<NewTopic>) -> Vec<Result<CreatedTopic, CreateTopicError>> {
        match self.run(Command::CreateTopics(CreateTopics {
            topics,
            validate_only: false,
        })) {
            Outcome::CreateTopics(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn create_one(&mut self, topic: NewTopic) -> Result<CreatedTopic, CreateTopicError> {
        self.create(vec![topic]).remove(0)
    }

    fn topic(&self, name: &str) -> &TopicImage {
        self.image.topics().by_name(name).unwrap()
    }

    fn partition(&self, name: &str, index: i32) -> &crate::metadata::PartitionImage {
        self.topic(name)
            .partition(PartitionIndex::from_wire(index).unwrap())
            .unwrap()
    }
}

fn topic(name: &str) -> NewTopic {
    CreateTopics::with_defaults(name).topics.remove(0)
}

fn sized(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        partitions,
        replication_factor,
        ..topic(name)
    }
}

fn ids(raw: &[i32]) -> Vec<BrokerId> {
    raw.iter().map(|id| broker(*id)).collect()
}

#[test]
fn the_feature_level_is_written_once() {
    let world = World::new(settings());
    assert_eq!(world.image.feature_level(), FEATURE_MAX);
    assert!(first_records(&world.settings, &world.image).is_empty());
}

/// As Kafka does where it has eligible leader replicas.
#[test]
fn the_minimum_that_the_first_controller_was_given_becomes_the_clusters() {
    let flags = [("min.insync.replicas".to_owned(), "3".to_owned())];
    let given = NodeConfig::load(&Sources {
        flags: flags.into(),
        ..Sources::default()
    });
    let world = World::new(Settings::new(&given.unwrap()));
    let cluster = world.image.cluster_overrides().unwrap();
    assert_eq!(cluster["min.insync.replicas"], "3");
}
