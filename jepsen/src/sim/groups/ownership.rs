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
