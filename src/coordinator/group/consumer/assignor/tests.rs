//! The assignors against their promises, by examples and by chance.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// A question that owns its parts: (member, instance, topics, old target), and partitions of topics 0, 1, ...
#[derive(Clone, Debug)]
struct Question {
    members: Vec<(String, Option<InstanceId>, BTreeSet<u8>)>,
    counts: Vec<usize>,
}

fn topic(number: u8) -> TopicId {
    TopicId::new(Uuid::from_u128(u128::from(number) + 1000))
}

fn at(indexes: impl IntoIterator<Item = usize>) -> BTreeSet<PartitionIndex> {
    let indexes = indexes.into_iter();
    indexes
        .map(|index| PartitionIndex::from_position(index).unwrap())
        .collect()
}

impl Question {
    fn new(counts: &[usize], members: &[(&str, &[u8])]) -> Self {
        let members = members.iter();
        Self {
            members: members
                .map(|(id, topics)| ((*id).to_owned(), None, topics.iter().copied().collect()))
                .collect(),
            counts: counts.to_vec(),
        }
    }

    fn ask(&self, assignor: Assignor, targets: &Assignment) -> Assignment {
        let mut subscribers = Subscribers::default();
        for (id, instance, topics) in &self.members {
            let topics = topics
                .iter()
                .filter(|topic| usize::from(**topic) < self.counts.len());
            let topics: BTreeSet<TopicId> = topics.map(|number| topic(*number)).collect();
            let id = MemberId::from(id.as_str());
            for number in 0..self.counts.len() {
                let number = u8::try_from(number).unwrap();
                if topics.contains(&topic(number)) {
                    subscribers
                        .partition_counts
                        .insert(topic(number), self.counts[usize::from(number)]);
                }
            }
            subscribers.members.insert(
                id.clone(),
                Subscriber {
                    instance: instance.as_ref(),
                    topics: Arc::new(topics),
                    target: targets.get(&id),
                },
            );
        }
        assign(assignor, &subscribers)
    }

    fn check(&self, assignment: &Assignment) -> Result<(), TestCaseError> {
        let mut seen = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for (id, _, topics) in &self.members {
            let partitions = &assignment[id.as_str()];
            for (of, index) in each(partitions.iter()) {
                prop_assert!(topics.iter().any(|number| topic(*number) == of));
                prop_assert!(seen.insert((of, index)), "a partition of two members");
            }
            prop_assert!(partitions.values().all(|indexes| !indexes.is_empty()));
            for number in topics {
                let count = self.counts.get(usize::from(*number)).copied();
                let count = count.unwrap_or(0);
                wanted.extend(indexes(count).map(|index| (topic(*number), index)));
            }
        }
        prop_assert_eq!(seen, wanted);
        Ok(())
    }
}

fn moved(before: &Assignment, after: &Assignment) -> usize {
    let owner = |assignment: &Assignment| -> BTreeMap<(TopicId, PartitionIndex), MemberId> {
        let all = assignment.iter();
        all.flat_map(|(id, partitions)| each(partitions.iter()).map(|of| (of, id.clone())))
            .collect()
    };
    let after = owner(after);
    owner(before)
        .into_iter()
        .filter(|(of, id)| after.get(of).is_some_and(|now| now != id))
        .count()
}

#[test]
fn uniform_gives_each_member_its_share() {
    let question = Question::new(&[3, 2], &[("a", &[0, 1]), ("b", &[0, 1])]);
    let assignment = question.ask(Assignor::Uniform, &Assignment::new());
    assert_eq!(count(&assignment["a"]), 3);
    assert_eq!(count(&assignment["b"]), 2);
}

#[test]
fn uniform_moves_only_what_a_new_member_needs() {
    let two = Question::new(&[6], &[("a", &[0]), ("b", &[0])]);
    let before = two.ask(Assignor::Uniform, &Assignment::new());
    let three = Question::new(&[6], &[("a", &[0]), ("b", &[0]), ("c", &[0])]);
    let after = three.ask(Assignor::Uniform, &before);
    assert_eq!(moved(&before, &after), 2);
    assert_eq!(count(&after["c"]), 2);
}

#[test]
fn uniform_leaves_the_larger_share_where_it_is() {
    let before: Assignment = [
        ("a".into(), [(topic(0), at([0]))].into()),
        ("b".into(), [(topic(0), at([1, 2]))].into()),
    ]
    .into();
    let question = Question::new(&[3], &[("a", &[0]), ("b", &[0])]);
    assert_eq!(question.ask(Assignor::Uniform, &before), before);
}

#[test]
fn uniform_evens_out_members_that_read_different_topics() {
    let question = Question::new(&[4, 2], &[("a", &[0]), ("b", &[0, 1]), ("c", &[1])]);
    let assignment = question.ask(Assignor::Uniform, &Assignment::new());
    let counts: Vec<usize> = assignment.values().map(count).collect();
    assert_eq!(counts, [2, 2, 2]);
}

#[test]
fn range_gives_the_same_partitions_of_each_topic() {
    let question = Question::new(&[3, 3], &[("a", &[0, 1]), ("b", &[0, 1])]);
    let assignment = question.ask(Assignor::Range, &Assignment::new());
    let a = [(topic(0), at([0, 1])), (topic(1), at([0, 1]))];
    let b = [(topic(0), at([2])), (topic(1), at([2]))];
    assert_eq!(assignment["a"], a.into());
    assert_eq!(assignment["b"], b.into());
}

#[test]
fn range_keeps_the_partitions_of_an_instance_whose_member_id_changes() {
    let mut question = Question::new(&[3], &[("x", &[0]), ("y", &[0])]);
    question.members[0].1 = Some("i2".into());
    question.members[1].1 = Some("i1".into());
    let before = question.ask(Assignor::Range, &Assignment::new());
    assert_eq!(before["y"], [(topic(0), at([0, 1]))].into());
    question.members[1].0 = "z".to_owned();
    let after = question.ask(Assignor::Range, &Assignment::new());
    assert_eq!(after["z"], before["y"]);
}

#[test]
fn nobody_reads_nothing() {
    let question = Question::new(&[], &[("a", &[])]);
    for assignor in [Assignor::Uniform, Assignor::Range] {
        let assignment = question.ask(assignor, &Assignment::new());
        assert_eq!(assignment, [("a".into(), Partitions::new())].into());
        let nobody = assign(assignor, &Subscribers::default());
        assert_eq!(nobody, Assignment::new());
    }
}

fn question(same: bool) -> impl Strategy<Value = Question> {
    let topics = || prop::collection::btree_set(0_u8..4, 0..4);
    let member = (0_u8..12, topics());
    let members = prop::collection::btree_map(0_u8..12, topics(), 1..8);
    (
        prop::collection::vec(1_usize..12, 1..5),
        members,
        member,
        topics(),
    )
        .prop_map(move |(counts, members, _, all)| Question {
            members: members
                .into_iter()
                .map(|(id, topics)| {
                    let topics = if same { all.clone() } else { topics };
                    (format!("m{id}"), None, topics)
                })
                .collect(),
            counts,
        })
}

proptest! {
    /// C1; and shares differ by one at most, whatever the targets were before.
    #[test]
    fn uniform_is_complete_balanced_and_sticky(
        before in question(true),
        after in question(true),
    ) {
        let old = before.ask(Assignor::Uniform, &Assignment::new());
        let new = after.ask(Assignor::Uniform, &old);
        after.check(&new)?;
        let counts: Vec<usize> = new.values().map(count).collect();
        let most = counts.iter().max().copied().unwrap_or(0);
        let least = counts.iter().min().copied().unwrap_or(0);
        prop_assert!(most - least <= 1);
        prop_assert_eq!(&after.ask(Assignor::Uniform, &new), &new, "asked again, nothing moves");
        // Only what a member has above its share can have moved away from a member that is still there.
        for (id, partitions) in &new {
            let Some(had) = old.get(id) else { continue };
            let valid = each(had.iter()).filter(|(of, index)| {
                after.members.iter().any(|(other, _, topics)| {
                    other == id.as_str()
                        && topics.iter().any(|number| {
                            topic(*number) == *of
                                && index.position()
                                    < after.counts.get(usize::from(*number)).copied().unwrap_or(0)
                        })
                })
            });
            let valid: BTreeSet<_> = valid.collect();
            let stays: BTreeSet<_> = each(partitions.iter()).filter(|of| valid.contains(of)).collect();
            prop_assert!(stays.len() == valid.len() || stays.len() == count(partitions));
        }
    }

    /// C1; and no partition could go to a subscriber that has two fewer.
    #[test]
    fn mixed_is_complete_even_and_stable(before in question(false), after in question(false)) {
        let old = before.ask(Assignor::Uniform, &Assignment::new());
        let new = after.ask(Assignor::Uniform, &old);
        after.check(&new)?;
        for (id, partitions) in &new {
            for of in partitions.keys() {
                for (other, _, topics) in &after.members {
                    let may = topics.iter().any(|number| topic(*number) == *of);
                    let theirs = count(&new[other.as_str()]);
                    prop_assert!(!may || count(partitions) < theirs + 2, "{id} has too much");
                }
            }
        }
        prop_assert_eq!(&after.ask(Assignor::Uniform, &new), &new, "asked again, nothing moves");
    }

    /// C1; and each member's part of a topic is a range.
    #[test]
    fn range_is_complete_and_contiguous(question in question(false)) {
        let assignment = question.ask(Assignor::Range, &Assignment::new());
        question.check(&assignment)?;
        for indexes in assignment.values().flat_map(BTreeMap::values) {
            let (first, last) = (indexes.first().unwrap(), indexes.last().unwrap());
            prop_assert_eq!(last.position() - first.position() + 1, indexes.len());
        }
    }
}
