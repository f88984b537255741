//! Any history of a few clients, some of which share an instance id, with a coordinator that moves now and then.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Two that share an instance id, one that has its own, and three dynamic ones.
const INSTANCES: [Option<&str>; 6] = [None, None, None, Some("i"), Some("j"), Some("j")];

#[derive(Clone, Copy, Debug)]
enum Step {
    Join(usize, JoinStep),
    Sync {
        client: usize,
        is_late: bool,
    },
    Heartbeat {
        client: usize,
        is_late: bool,
    },
    Commit {
        client: usize,
    },
    Leave {
        client: usize,
        by_instance: bool,
    },
    /// All that know their ids do as good clients do.
    Everybody,
    Pass(u64),
    Move,
}

#[derive(Clone, Copy, Debug)]
struct JoinStep {
    must_know_id: bool,
    forgets_its_id: bool,
    protocols: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..INSTANCES.len();
    let is_late = || prop::bool::weighted(0.1);
    let join = (any::<bool>(), prop::bool::weighted(0.2), 0..6_usize).prop_map(
        |(must_know_id, forgets_its_id, protocols)| JoinStep {
            must_know_id,
            forgets_its_id,
            protocols,
        },
    );
    prop_oneof![
        6 => (client.clone(), join).prop_map(|(client, join)| Step::Join(client, join)),
        6 => Just(Step::Everybody),
        2 => (client.clone(), is_late())
            .prop_map(|(client, is_late)| Step::Sync { client, is_late }),
        2 => (client.clone(), is_late())
            .prop_map(|(client, is_late)| Step::Heartbeat { client, is_late }),
        2 => client.clone().prop_map(|client| Step::Commit { client }),
        1 => (client, any::<bool>())
            .prop_map(|(client, by_instance)| Step::Leave { client, by_instance }),
        4 => (0..4_000_u64).prop_map(Step::Pass),
        1 => (0..70_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Move),
    ]
}

/// What a client thinks that it is.
#[derive(Clone, Debug, Default)]
struct Known {
    member: String,
    generation: i32,
}

/// The world, and the clients in it.
struct History {
    world: World,
    clients: Vec<Known>,
    /// Who waits for the answer.
    waiting: BTreeMap<AskId, usize>,
    /// Whose new id each request brings.
    brought: BTreeMap<AskId, String>,
    /// For each generation that was assigned, who has which part of which assignment.
    told: BTreeMap<i32, BTreeMap<Bytes, String>>,
    seen: BTreeMap<&'static str, u64>,
}

impl History {
    fn new() -> Self {
        let mut world = World::new();
        world.settings.size_max = 4;
        Self {
            world,
            clients: vec![Known::default(); INSTANCES.len()],
            waiting: BTreeMap::new(),
            brought: BTreeMap::new(),
            told: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    fn identity(&self, client: usize, is_late: bool) -> Identity {
        let known = &self.clients[client];
        Identity {
            member: known.member.as_str().into(),
            instance: INSTANCES[client].map(Into::into),
            generation: known.generation - i32::from(is_late),
        }
    }

    fn step(&mut self, step: Step) {
        if let Step::Everybody = step {
            return self.everybody();
        }
        let before = format!("{:?}", self.world.group);
        let refused = match step {
            Step::Join(client, join) => self.join(client, join),
            Step::Sync { client, is_late } => self.sync(client, is_late),
            Step::Heartbeat { client, is_late } => {
                let by = self.identity(client, is_late);
                self.world.heartbeat(by).err()
            }
            Step::Commit { client } => {
                let by = self.identity(client, false);
                self.world.commit(&by).err()
            }
            Step::Leave {
                client,
                by_instance,
            } => {
                let by = self.identity(client, false);
                let member = if by_instance { "".into() } else { by.member };
                let mut left = self.world.leave(vec![Leaving {
                    member,
                    instance: by.instance,
                    reason: None,
                }]);
                left.remove(0).err()
            }
            Step::Pass(millis) => {
                self.world.after(millis);
                None
            }
            Step::Move => {
                self.change_coordinator();
                None
            }
            Step::Everybody => None,
        };
        if let Some(error) = refused {
            self.check_that_nothing_changed(&error, &before);
        }
        self.hear();
        self.check_group();
    }

    /// Everybody that waits for nothing shows itself, and joins or syncs as it is told to.
    fn everybody(&mut self) {
        for client in 0..INSTANCES.len() {
            let is_free = !self.waiting.values().any(|waits| *waits == client);
            if self.clients[client].member.is_empty() || !is_free {
                continue;
            }
            let by = self.identity(client, false);
            let step = match self.world.heartbeat(by) {
                Ok(()) => Step::Sync {
                    client,
                    is_late: false,
                },
                Err(_) => Step::Join(
                    client,
                    JoinStep {
                        must_know_id: true,
                        forgets_its_id: false,
                        protocols: 3,
                    },
                ),
            };
            self.step(step);
        }
    }

    fn join(&mut self, client: usize, join: JoinStep) -> Option<GroupError> {
        let JoinStep {
            must_know_id,
            forgets_its_id,
            protocols,
        } = join;
        if forgets_its_id {
            self.clients[client].member.clear();
        }
        let new = format!("client-{client}-{}", self.world.asked);
        let both = [protocol("range", b"says"), protocol("sticky", b"says")];
        let protocols = match protocols {
            0 => vec![protocol("range", b"says")],
            1 => vec![both[1].clone(), both[0].clone()],
            2 => vec![protocol("range", b"says"), protocol("sticky", b"new")],
            _ => both.to_vec(),
        };
        let ask = self.world.join(Join {
            member: self.clients[client].member.as_str().into(),
            must_know_id,
            instance: INSTANCES[client].map(Into::into),
            protocols,
            ..join_as(&new)
        });
        self.waiting.insert(ask, client);
        self.brought.insert(ask, new);
        match self.world.answers.get(&ask) {
            Some(Response::Join(outcome)) => outcome.clone().err(),
            _ => None,
        }
    }

    /// What each member is to read is named by who assigned it, so that two assignments can be told apart.
    fn sync(&mut self, client: usize, is_late: bool) -> Option<GroupError> {
        let by = self.identity(client, is_late);
        let assigner = self.world.asked;
        let members = self.world.member_ids();
        let part = |member: &String| Bytes::from(format!("{assigner} for {member}"));
        let parts = members.iter().map(|it| (it.as_str().into(), part(it)));
        let ask = self.world.sync(Sync {
            by,
            assignments: parts.collect(),
            ..sync_as("", 0)
        });
        self.waiting.insert(ask, client);
        match self.world.answers.get(&ask) {
            Some(Response::Sync(outcome)) => outcome.clone().err(),
            _ => None,
        }
    }

    /// What waits is lost with the old coordinator, and the new one has what the log has.
    fn change_coordinator(&mut self) {
        *self.seen.entry("move").or_default() += 1;
        let group = match self.world.written.last() {
            Some(value) => ClassicGroup::restored("g".into(), value.clone()),
            None => ClassicGroup::new("g".into()),
        };
        self.world.group = group;
        self.waiting.clear();
        self.world.with(ClassicGroup::start);
    }

    /// C4.
    fn check_that_nothing_changed(&mut self, error: &GroupError, before: &str) {
        let name = match error {
            GroupError::UnknownMemberId => "unknown",
            GroupError::FencedInstanceId => "fenced",
            GroupError::IllegalGeneration => "generation",
            GroupError::InconsistentGroupProtocol => "protocol",
            GroupError::GroupMaxSizeReached => return self.count("full"),
            GroupError::MemberIdRequired => return self.count("id"),
            GroupError::RebalanceInProgress => return self.count("rebalance"),
            other => panic!("{other:?}"),
        };
        self.count(name);
        assert_eq!(format!("{:?}", self.world.group), before, "{error:?}");
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The clients take the answers that have come.
    fn hear(&mut self) {
        let (answered, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(ask, _)| self.world.answers.contains_key(ask));
        self.waiting = waiting;
        let answered: BTreeMap<AskId, usize> = answered;
        for (ask, client) in answered {
            match self.world.answers[&ask].clone() {
                Response::Join(Ok(joined)) => {
                    let count = if joined.skip_assignment {
                        "skip"
                    } else {
                        "joined"
                    };
                    self.count(count);
                    self.clients[client] = Known {
                        member: joined.member.to_string(),
                        generation: joined.generation,
                    };
                }
                Response::Join(Err(GroupError::MemberIdRequired)) => {
                    self.clients[client].member = self.brought[&ask].clone();
                }
                Response::Join(Err(GroupError::UnknownMemberId | GroupError::FencedInstanceId)) => {
                    self.clients[client].member.clear();
                }
                Response::Sync(Ok(synced)) => self.told(client, &synced.assignment),
                _ => {}
            }
        }
    }

    /// C1: all parts of a generation are one assignment's, and each is one member's.
    fn told(&mut self, client: usize, part: &Bytes) {
        self.count("synced");
        if part.is_empty() {
            return;
        }
        let known = &self.clients[client];
        let owner = INSTANCES[client].map_or_else(|| known.member.clone(), ToOwned::to_owned);
        let told = self.told.entry(known.generation).or_default();
        let other = told.insert(part.clone(), owner.clone());
        assert!(other.is_none_or(|other| other == owner), "{part:?}");
        let assigner = |part: &Bytes| part.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
        let assigners: BTreeSet<_> = told.keys().map(assigner).collect();
        assert_eq!(assigners.len(), 1, "{told:?}");
    }

    fn check_group(&self) {
        let group = &self.world.group;
        let mut parked = BTreeSet::new();
        for member in group.members.iter() {
            let waits = [member.joining, member.syncing];
            let waits: Vec<_> = waits.into_iter().flatten().collect();
            let session = Timer::Session(member.known.member.clone());
            assert!(
                !waits.is_empty() || group.timers.get(&session).is_some(),
                "nobody would notice if {member:?} went"
            );
            for ask in waits {
                assert!(parked.insert(ask), "{ask:?} waits twice");
            }
        }
        let waiting: BTreeSet<_> = self.waiting.keys().copied().collect();
        assert_eq!(parked, waiting, "who waits is known to the group");
        let leader = group.members.leader();
        assert_eq!(leader.is_some(), !group.members.is_empty());
        let joining = group.members.ids_of(|it| it.joining.is_some()).len();
        assert_eq!(group.members.joining(), joining);
        assert_eq!(group.members.choose_protocol().is_some(), leader.is_some());
        assert!(!group.is_empty() || leader.is_none());
        let generations: Vec<_> = self.world.written.iter().map(|it| it.generation).collect();
        assert!(generations.is_sorted(), "{generations:?}");
    }
}

#[test]
fn any_history_answers_each_request_once_and_tells_one_assignment_per_generation() {
    let seen = RefCell::new(BTreeMap::new());
    let mut runner = TestRunner::new(Config {
        cases: 300,
        ..Config::with_source_file(file!())
    });
    let histories = prop::collection::vec(step(), 1..200);
    let outcome = runner.run(&histories, |steps| {
        let mut history = History::new();
        for step in steps {
            history.step(step);
        }
        // Everybody falls silent.
        history.world.after(3_600_000);
        history.hear();
        history.check_group();
        assert_eq!(history.waiting, BTreeMap::new());
        assert_eq!(history.world.state(), "Empty");
        assert_eq!(history.world.group.next_deadline(), None);
        for (what, times) in history.seen {
            *seen.borrow_mut().entry(what).or_insert(0) += times;
        }
        Ok(())
    });
    outcome.unwrap();
    let seen = seen.into_inner();
    println!("{seen:?}");
    for what in [
        "full",
        "fenced",
        "generation",
        "id",
        "joined",
        "move",
        "rebalance",
        "skip",
        "synced",
        "unknown",
    ] {
        assert!(seen.contains_key(what), "no history had {what}: {seen:?}");
    }
}
