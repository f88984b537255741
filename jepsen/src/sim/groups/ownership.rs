//! C1 as the members see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla::coordinator::group::names::GroupId;

use super::assignment::Named;
use super::client::Client;
use super::mirror::{Kind, Mirror};
use crate::sim::check::Violation;

/// Who was told what in a classic generation. A static member that comes back is who it was.
#[derive(Debug, Default)]
pub(super) struct Generations {
    told: BTreeMap<(GroupId, u64, i32), BTreeMap<String, Named>>,
}

impl Generations {
    /// A member is told its part of a generation; whether the generation is new.
    pub(super) fn told(
        &mut self,
        group: &GroupId,
        incarnation: u64,
        generation: i32,
        who: &str,
        part: &Named,
    ) -> Result<bool, Violation> {
        let key = (group.clone(), incarnation, generation);
        let told = self.told.entry(key).or_default();
        let is_new = told.is_empty();
        let broken =
            |text: String| Violation::new("C1", format!("{group} generation {generation}: {text}"));
        for (other, theirs) in &*told {
            if other == who && theirs != part {
                return Err(broken(format!(
                    "{who} was told {theirs:?} and now {part:?}"
                )));
            }
            let shared: Vec<&(Arc<str>, i32)> = theirs.intersection(part).collect();
            if other != who && !shared.is_empty() {
                return Err(broken(format!(
                    "{shared:?} is told to {other} and to {who}"
                )));
            }
        }
        told.insert(who.to_owned(), part.clone());
        Ok(is_new)
    }
}

/// No partition of a consumer group is two members', among those that the committed log still has.
pub(super) fn check(clients: &[Client], mirror: &Mirror) -> Result<(), Violation> {
    let mut owners = BTreeMap::new();
    for client in clients.iter().filter(|client| client.is_up) {
        let Some(group) = mirror.group(&client.group) else {
            continue;
        };
        if group.kind != Some(Kind::Consumer) || !group.members.contains(&client.member) {
            continue;
        }
        for partition in &client.certified {
            let key = (client.group.clone(), *partition);
            if let Some(other) = owners.insert(key, &client.member) {
                let text = format!(
                    "{}: {partition:?} is {other}'s, and {}'s as well",
                    client.group, client.member
                );
                return Err(Violation::new("C1", text));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use ottla::coordinator::group::record::{ConsumerMemberValue, Fact, Record};
    use ottla::coordinator::group::request::Client as Asker;
    use ottla::metadata::{PartitionIndex, TopicId};

    use super::*;

    fn part(indexes: &[i32]) -> Named {
        let one = |index: &i32| (Arc::from("a"), *index);
        indexes.iter().map(one).collect()
    }

    /// What members, each in an incarnation and a generation, are told in turn.
    fn told(all: &[(&str, u64, i32, &[i32])]) -> Result<(), Violation> {
        let mut generations = Generations::default();
        for (who, incarnation, generation, indexes) in all {
            let part = part(indexes);
            generations.told(&"g".into(), *incarnation, *generation, who, &part)?;
        }
        Ok(())
    }

    #[test]
    fn a_generation_has_one_assignment_without_overlaps() {
        told(&[("m", 1, 4, &[0, 1]), ("n", 1, 4, &[2])]).unwrap();
        told(&[("m", 1, 4, &[0]), ("m", 1, 4, &[0])]).unwrap();
        told(&[("m", 1, 4, &[0]), ("n", 1, 5, &[0]), ("n", 2, 4, &[0])]).unwrap();
        told(&[("m", 1, 4, &[0, 1]), ("n", 1, 4, &[1, 2])]).unwrap_err();
        told(&[("m", 1, 4, &[0, 1]), ("m", 1, 4, &[0])]).unwrap_err();
    }

    /// Members that have partitions, of which some are in the consumer group.
    fn checked(owned: &[(&str, &[i32])], are_in: &[&str]) -> Result<(), Violation> {
        let mut mirror = Mirror::default();
        for member in are_in {
            let value = ConsumerMemberValue {
                instance: None,
                rack: None,
                client: Asker {
                    id: "c".into(),
                    host: "/127.0.0.1".into(),
                },
                topics: BTreeSet::new(),
                topics_regex: None,
                rebalance_timeout: Duration::ZERO,
                assignor: None,
                classic: None,
            };
            let fact = Fact::ConsumerMember((*member).into(), Some(value));
            let group = "g".into();
            mirror.apply(0, &Record { group, fact }).unwrap();
        }
        let topic = TopicId::from_wire([1; 16]).unwrap();
        let clients = owned.iter().enumerate().map(|(number, (member, indexes))| {
            let mut client = Client::new(number, "g".into(), None, true);
            client.is_up = true;
            client.member = (*member).into();
            let indexes = indexes
                .iter()
                .filter_map(|it| PartitionIndex::from_wire(*it));
            client.certified = indexes.map(|index| (topic, index)).collect();
            client
        });
        check(&clients.collect::<Vec<_>>(), &mirror)
    }

    #[test]
    fn no_partition_is_two_members() {
        checked(&[("m", &[0, 1]), ("n", &[2])], &["m", "n"]).unwrap();
        checked(&[("m", &[0, 1]), ("n", &[1])], &["m"]).unwrap();
        checked(&[("m", &[0, 1]), ("n", &[1])], &["m", "n"]).unwrap_err();
    }
}
