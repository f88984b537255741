//! Random members: whatever they do and whatever is lost, no partition is read twice and everybody gets there (C1).

use proptest::prelude::*;

use super::*;
use crate::config::group::MigrationPolicy;

/// What a member says of what it has.
#[derive(Clone, Copy, Debug)]
enum Report {
    /// It has done as it was told.
    Done,
    /// It is at it: nothing.
    Silent,
    /// It has not begun: what it had before.
    Lagging,
}

/// What a member of the classic protocol does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Join,
    Sync,
    Heartbeat,
    Leave,
}

#[derive(Clone, Debug)]
enum Step {
    Heartbeat {
        member: usize,
        report: Report,
        is_full: bool,
        is_lost: bool,
    },
    Resubscribe {
        member: usize,
        wish: usize,
    },
    Leave {
        member: usize,
        for_a_while: bool,
    },
    /// The member is started anew, and does not know what it was.
    Restart {
        member: usize,
    },
    Classic {
        member: usize,
        act: Act,
        is_lost: bool,
    },
    Pass {
        seconds: u64,
    },
    Grow {
        topic: usize,
    },
    Recreate {
        topic: usize,
    },
    Move,
}

const TOPICS: [&str; 3] = ["ta", "tb", "u"];
const MEMBERS: usize = 5;
const CLASSIC_MEMBERS: usize = 2;

/// What members subscribe to: names, and a pattern.
const WISHES: [(&[&str], Option<&str>); 6] = [
    (&["ta"], None),
    (&["ta", "tb", "u"], None),
    (&["u"], None),
    (&[], Some("t.")),
    (&["u"], Some("t.*")),
    (&[], None),
];

/// A member as it sees itself.
#[derive(Clone, Debug)]
struct Reader {
    id: String,
    instance: Option<&'static str>,
    life: u32,
    epoch: i32,
    wish: usize,
    has_new_wish: bool,
    /// What it was last told, as far as it has not said that it has less.
    told: Partitions,
    /// What it has not stopped to read.
    owned: Partitions,
}

impl Reader {
    fn new(number: usize) -> Self {
        Self {
            id: format!("m{number}-0"),
            instance: [Some("i0"), Some("i1")].get(number).copied().flatten(),
            life: 0,
            epoch: JOIN,
            wish: number % 2,
            has_new_wish: false,
            told: Partitions::new(),
            owned: Partitions::new(),
        }
    }

    fn drop_everything(&mut self) {
        self.epoch = JOIN;
        self.told.clear();
        self.owned.clear();
    }

    fn heartbeat(&mut self, report: Report, is_full: bool) -> ConsumerHeartbeat {
        let is_full = is_full || self.epoch == JOIN;
        let owned = match report {
            Report::Done => {
                self.owned = self.told.clone();
                Some(self.owned.clone())
            }
            Report::Silent if !is_full => None,
            Report::Silent | Report::Lagging => {
                // It says what it has; what it did not begin to read it does not have.
                self.told = common(&self.told, &self.owned);
                Some(self.owned.clone())
            }
        };
        let says_wish = is_full || self.has_new_wish;
        let (names, pattern) = WISHES[self.wish];
        ConsumerHeartbeat {
            instance: self.instance.map(Into::into),
            rebalance_timeout: is_full.then_some(Duration::from_mins(1)),
            topics: says_wish.then(|| names.iter().map(|name| (*name).into()).collect()),
            topics_regex: says_wish.then(|| pattern.unwrap_or("").into()),
            owned,
            ..beat(&self.id, self.epoch)
        }
    }
}

/// A cooperative consumer of the classic protocol.
#[derive(Clone, Debug, Default)]
struct ClassicReader {
    number: usize,
    id: String,
    generation: i32,
    must_join: bool,
    must_sync: bool,
    told: Partitions,
    owned: Partitions,
}

impl ClassicReader {
    fn new(number: usize) -> Self {
        Self {
            number,
            id: format!("c{number}"),
            must_join: true,
            ..Self::default()
        }
    }

    fn drop_everything(&mut self) {
        *self = Self::new(self.number);
    }

    /// It was told what to read, and stops reading the rest before it joins again.
    fn take(&mut self, assigned: Partitions) {
        self.must_sync = false;
        self.must_join = common(&self.owned, &assigned) != self.owned;
        self.told = assigned;
    }
}

fn common(a: &Partitions, b: &Partitions) -> Partitions {
    let both = a.iter().map(|(topic, indexes)| {
        let other = b.get(topic).cloned().unwrap_or_default();
        (*topic, indexes & &other)
    });
    both.filter(|(_, indexes)| !indexes.is_empty()).collect()
}

struct Run {
    world: World,
    readers: Vec<Reader>,
    classics: Vec<ClassicReader>,
    epochs: BTreeMap<String, i32>,
    group_epoch: i32,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new(&[("ta", 3), ("tb", 2), ("u", 4)]);
        // Whoever is left, it stays a consumer group.
        world.settings.consumer.migration = MigrationPolicy::Upgrade;
        Self {
            world,
            readers: (0..MEMBERS).map(Reader::new).collect(),
            classics: (0..CLASSIC_MEMBERS).map(ClassicReader::new).collect(),
            epochs: BTreeMap::new(),
            group_epoch: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Heartbeat {
                member,
                report,
                is_full,
                is_lost,
            } => {
                self.heartbeat(member, report, is_full, is_lost);
            }
            Step::Resubscribe { member, wish } => {
                self.readers[member].wish = wish;
                self.readers[member].has_new_wish = true;
            }
            Step::Leave {
                member,
                for_a_while,
            } => self.leave(member, for_a_while),
            Step::Restart { member } => {
                let reader = &mut self.readers[member];
                reader.drop_everything();
                reader.life += 1;
                reader.id = format!("m{member}-{}", reader.life);
            }
            Step::Classic {
                member,
                act,
                is_lost,
            } => self.classic(member, act, is_lost),
            Step::Pass { seconds } => self.world.pass(seconds),
            Step::Grow { topic } => {
                let topic = TOPICS[topic];
                let now = self.world.image.topics().by_name(topic).unwrap();
                let count = i32::try_from(now.partition_count()).unwrap();
                self.world.grow(topic, (count + 1).min(8));
            }
            Step::Recreate { topic } => {
                if self.world.topics_made < 250 {
                    let gone = self.world.topic(TOPICS[topic]);
                    self.world.delete(TOPICS[topic]);
                    self.world.create(TOPICS[topic], 2);
                    // They know topics by name: what is gone they cannot read, nor say that they have it.
                    for reader in &mut self.classics {
                        reader.told.remove(&gone);
                        reader.owned.remove(&gone);
                    }
                }
            }
            Step::Move => self.world.move_coordinator(),
        }
        self.check();
    }

    fn heartbeat(&mut self, member: usize, report: Report, is_full: bool, is_lost: bool) {
        let reader = &mut self.readers[member];
        let heartbeat = reader.heartbeat(report, is_full);
        let heard = self.world.ask(&heartbeat);
        if is_lost {
            return;
        }
        let reader = &mut self.readers[member];
        match heard {
            Ok(heard) => {
                reader.epoch = heard.epoch;
                reader.has_new_wish = false;
                if let Some(assignment) = heard.assignment {
                    reader.told = assignment;
                }
            }
            Err(GroupError::UnreleasedInstanceId) => {}
            Err(
                GroupError::UnknownMemberId
                | GroupError::FencedMemberEpoch(_)
                | GroupError::FencedInstanceId,
            ) => {
                reader.drop_everything();
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn classic(&mut self, member: usize, act: Act, is_lost: bool) {
        // A group without members is not a consumer group for them.
        if self.world.group.is_empty() {
            self.classics[member].drop_everything();
            return;
        }
        let reader = &mut self.classics[member];
        let who = by(&reader.id, reader.generation);
        let outcome = match act {
            Act::Join => {
                reader.owned = reader.told.clone();
                let topics: &[&str] = if member == 0 { &["ta", "u"] } else { &["u"] };
                let join = self.world.classic_join(&reader.id, topics, &reader.owned);
                let joined = self.world.join_classic(&join);
                if let (Ok(joined), false) = (&joined, is_lost) {
                    reader.generation = joined.generation;
                    reader.must_join = false;
                    reader.must_sync = true;
                }
                joined.map(|_| ())
            }
            Act::Sync if reader.must_sync => {
                let synced = self.world.sync_classic(&who);
                if let (Ok(assigned), false) = (&synced, is_lost) {
                    reader.take(assigned.clone());
                }
                synced.map(|_| ())
            }
            Act::Heartbeat if reader.generation > 0 => self.world.beat_classic(&who),
            Act::Leave => {
                let leaving = Leaving {
                    member: who.member,
                    instance: None,
                    reason: None,
                };
                let _ = self.world.leave_classic(vec![leaving]);
                reader.drop_everything();
                return;
            }
            Act::Sync | Act::Heartbeat => return,
        };
        match outcome {
            _ if is_lost => {}
            Ok(()) => {}
            Err(GroupError::RebalanceInProgress) => reader.must_join = true,
            Err(GroupError::UnknownMemberId | GroupError::IllegalGeneration) => {
                reader.drop_everything();
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn leave(&mut self, member: usize, for_a_while: bool) {
        let reader = &mut self.readers[member];
        reader.drop_everything();
        let epoch = if for_a_while && reader.instance.is_some() {
            LEAVE_FOR_A_WHILE
        } else {
            LEAVE
        };
        let goodbye = ConsumerHeartbeat {
            instance: reader.instance.map(Into::into),
            ..beat(&reader.id, epoch)
        };
        let _ = self.world.ask(&goodbye);
    }

    fn check(&mut self) {
        let facts = &self.world.group.facts;
        assert!(facts.epoch() >= self.group_epoch, "epochs never go back");
        self.group_epoch = facts.epoch();
        assert!(facts.target_epoch() <= facts.epoch());
        for id in facts.members().keys() {
            let epoch = facts.current(id).epoch;
            if epoch > 0 {
                let before = self.epochs.insert(id.to_string(), epoch);
                assert!(
                    before.is_none_or(|before| before <= epoch),
                    "epochs never go back"
                );
            }
        }
        self.check_readers();
    }

    /// C1 as the members see it: who is in the group reads what it was told, and what it did not stop to read.
    fn check_readers(&self) {
        let mut seen = BTreeMap::new();
        let readers = self.readers.iter();
        let readers = readers.map(|reader| (&reader.id, &reader.told, &reader.owned));
        let classics = self.classics.iter();
        let classics = classics.map(|reader| (&reader.id, &reader.told, &reader.owned));
        for (id, told, owned) in readers.chain(classics) {
            let member = self.world.group.facts.member(&id.as_str().into());
            if member.is_none() {
                continue;
            }
            let all = told.iter().chain(owned);
            let all = all.flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)));
            for partition in all.collect::<BTreeSet<_>>() {
                let other = seen.insert(partition, id);
                assert_eq!(other, None, "C1: {partition:?} of {id} too");
            }
        }
    }

    /// Everybody behaves from now on.
    fn settle(&mut self) {
        self.world.pass(11);
        for round in 0..16 {
            for member in 0..MEMBERS {
                // Who said that it has less than it was told is told again when it asks for all.
                self.heartbeat(member, Report::Done, round == 0, false);
                self.check();
            }
            for member in 0..CLASSIC_MEMBERS {
                self.classic(member, Act::Heartbeat, false);
                if self.classics[member].must_join {
                    self.classic(member, Act::Join, false);
                }
                self.classic(member, Act::Sync, false);
                self.check();
            }
            self.world.pass(5);
        }
        assert_eq!(self.world.state(), "Stable");
        let mut read = BTreeSet::new();
        let readers = self.readers.iter().map(|reader| (&reader.id, &reader.told));
        let classics = self
            .classics
            .iter()
            .map(|reader| (&reader.id, &reader.told));
        for (id, told) in readers.chain(classics) {
            assert_eq!(told, &self.world.target(id), "{id}");
            let partitions = told.iter();
            read.extend(
                partitions
                    .flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index))),
            );
        }
        let topics = self.world.group.subscribed_topics().into_iter();
        let topics = topics.filter_map(|name| self.world.image.topics().by_name(name));
        let wanted =
            topics.flat_map(|topic| topic.partitions().map(|(index, _)| (topic.id(), index)));
        assert_eq!(read, wanted.collect::<BTreeSet<_>>(), "everything is read");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let report = prop_oneof![
        4 => Just(Report::Done),
        1 => Just(Report::Silent),
        1 => Just(Report::Lagging),
    ];
    let heartbeat = (0..MEMBERS, report, any::<bool>(), prop::bool::weighted(0.2));
    let heartbeat = heartbeat.prop_map(|(member, report, is_full, is_lost)| Step::Heartbeat {
        member,
        report,
        is_full,
        is_lost,
    });
    let leave = (0..MEMBERS, any::<bool>());
    let leave = leave.prop_map(|(member, for_a_while)| Step::Leave {
        member,
        for_a_while,
    });
    let act = prop_oneof![
        3 => Just(Act::Join),
        4 => Just(Act::Sync),
        3 => Just(Act::Heartbeat),
        1 => Just(Act::Leave),
    ];
    let classic = (0..CLASSIC_MEMBERS, act, prop::bool::weighted(0.2));
    let classic = classic.prop_map(|(member, act, is_lost)| Step::Classic {
        member,
        act,
        is_lost,
    });
    prop_oneof![
        24 => heartbeat,
        2 => (0..MEMBERS, 0..WISHES.len())
            .prop_map(|(member, wish)| Step::Resubscribe { member, wish }),
        2 => leave,
        1 => (0..MEMBERS).prop_map(|member| Step::Restart { member }),
        8 => classic,
        3 => (1_u64..25).prop_map(|seconds| Step::Pass { seconds }),
        1 => (0..TOPICS.len()).prop_map(|topic| Step::Grow { topic }),
        1 => (0..TOPICS.len()).prop_map(|topic| Step::Recreate { topic }),
        1 => Just(Step::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// C1, C4; epochs never go back; what is loaded is what was live; and all get there in the end.
    #[test]
    fn no_partition_is_read_twice_and_everybody_gets_there(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
        run.settle();
    }
}
