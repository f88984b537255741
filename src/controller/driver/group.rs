//! A group of commands under decision: pure, the driver around it waits and proposes.

use std::collections::BTreeSet;

use crate::controller::decide::{Draw, Settings, decide};
use crate::controller::driver::GROUP_SIZE_MAX;
use crate::controller::driver::consequences::Consequences;
use crate::controller::handle::ControllerError;
use crate::controller::{Command, Outcome, Sessions};
use crate::metadata::record::{PartitionChange, PartitionState, Record};
use crate::metadata::{BrokerId, MetadataImage};

/// What was decided about one command.
#[derive(Debug)]
pub enum Decided {
    /// Its answer, once the group's facts are applied.
    Last(Result<Outcome, ControllerError>),
    /// Its first facts: it is decided again once they are applied.
    Step,
}

/// A group that takes no more commands.
#[derive(Debug)]
pub struct DecidedGroup {
    /// The facts of all commands.
    pub records: Vec<Record>,
    /// One per command, in order.
    pub decisions: Vec<Decided>,
    /// Likewise.
    pub(super) consequences: Vec<Consequences>,
}

/// A group that grows.
#[derive(Debug)]
pub struct Group<'a> {
    settings: &'a Settings,
    draw: &'a mut Draw,
    sessions: &'a Sessions,
    /// The applied image plus the facts so far.
    so_far: MetadataImage,
    records: Vec<Record>,
    decisions: Vec<Decided>,
    consequences: Vec<Consequences>,
    size: usize,
    registered: BTreeSet<BrokerId>,
}

impl<'a> Group<'a> {
    /// An empty one over the applied image.
    pub fn new(
        settings: &'a Settings,
        image: &MetadataImage,
        draw: &'a mut Draw,
        sessions: &'a Sessions,
    ) -> Self {
        Self {
            settings,
            draw,
            sessions,
            so_far: image.clone(),
            records: Vec::new(),
            decisions: Vec::new(),
            consequences: Vec::new(),
            size: 0,
            registered: BTreeSet::new(),
        }
    }

    /// Decides one more command, or says that it belongs to the next group.
    pub fn add(&mut self, command: &Command) -> bool {
        if matches!(self.decisions.last(), Some(Decided::Step)) {
            return false;
        }
        // Two registrations of one broker in a group would have one "registered at" between them.
        if let Command::RegisterBroker(register) = command
            && !self.registered.insert(register.broker)
        {
            return false;
        }
        let decision = decide(
            self.settings,
            &self.so_far,
            command,
            self.draw,
            self.sessions,
        );
        let size = decision.records.iter().map(estimated_size).sum::<usize>();
        if !self.decisions.is_empty() && self.size.saturating_add(size) > GROUP_SIZE_MAX {
            return false;
        }
        let mut next = self.so_far.clone();
        if let Err(rejection) = next.apply_records(&decision.records) {
            tracing::error!(%rejection, ?command, "a decision does not apply");
            self.decisions
                .push(Decided::Last(Err(ControllerError::Internal)));
            self.consequences.push(Consequences::default());
            return true;
        }
        let consequences = Consequences::of(&self.so_far, &next, &decision.records);
        self.consequences.push(consequences);
        self.so_far = next;
        self.size += size;
        self.records.extend(decision.records);
        self.decisions.push(if decision.is_last {
            Decided::Last(Ok(decision.outcome))
        } else {
            Decided::Step
        });
        true
    }

    /// Closes it.
    pub fn decided(self) -> DecidedGroup {
        DecidedGroup {
            records: self.records,
            decisions: self.decisions,
            consequences: self.consequences,
        }
    }
}

/// About how many bytes a fact makes in an entry.
fn estimated_size(record: &Record) -> usize {
    // Every fact takes the room of the largest one; texts and lists come on top.
    const FIXED: usize = 112;
    let variable = match record {
        Record::FeatureLevel { name, .. } | Record::Topic { name, .. } => name.len(),
        Record::BrokerRegistration(registration) => {
            let endpoints = registration.endpoints.iter();
            let endpoints = endpoints.map(|each| 24 + each.listener.len() + each.host.len());
            endpoints.sum::<usize>()
                + registration.directories.len() * 16
                + registration.rack.as_ref().map_or(0, String::len)
        }
        Record::BrokerChange(change) => change
            .directories
            .as_ref()
            .map_or(0, |dirs| dirs.len() * 16),
        Record::Partition { state, .. } => state_size(state),
        Record::PartitionChange(change) => change_size(change),
        Record::Config { key, value, .. } => key.len() + value.as_ref().map_or(0, String::len),
        Record::BrokerRemoval { .. } | Record::TopicRemoval { .. } | Record::ProducerIds { .. } => {
            0
        }
    };
    FIXED + variable
}

fn state_size(state: &PartitionState) -> usize {
    let lists = [
        &state.replicas,
        &state.isr,
        &state.elr,
        &state.last_known_elr,
        &state.adding,
        &state.removing,
    ];
    lists.iter().map(|list| list.len() * 4).sum::<usize>() + state.directories.len() * 16
}

fn change_size(change: &PartitionChange) -> usize {
    let lists = [
        &change.replicas,
        &change.isr,
        &change.elr,
        &change.last_known_elr,
        &change.adding,
        &change.removing,
    ];
    lists
        .iter()
        .map(|list| list.as_ref().map_or(0, |list| list.len() * 4))
        .sum::<usize>()
        + change
            .directories
            .as_ref()
            .map_or(0, |dirs| dirs.len() * 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::decide::STEP_RECORDS_MAX;
    use crate::metadata::record::Entry;
    use crate::metadata::record::tests::every_record;

    /// What `Raft::propose` takes beyond a group: room for the frame and for what estimates miss.
    const SLACK: usize = 64 << 10;

    fn encoded(record: &Record, count: usize) -> usize {
        let records = vec![record.clone(); count];
        Entry {
            decided_on: 0,
            records,
        }
        .encode()
        .unwrap()
        .len()
    }

    #[test]
    fn an_estimate_is_never_below_the_truth() {
        for record in every_record() {
            let (estimated, truth) = (estimated_size(&record) * 100, encoded(&record, 100));
            assert!(
                estimated + 100 >= truth,
                "{record:?}: {estimated} for {truth}"
            );
        }
    }

    /// A step can't be split any further, so it must fit.
    #[test]
    fn a_step_of_partition_changes_fits_an_entry() {
        let change = PartitionChange {
            topic: [1; 16],
            partition: 1,
            replicas: None,
            directories: None,
            isr: Some(vec![1, 2, 3]),
            elr: Some(vec![4, 5]),
            last_known_elr: Some(vec![1]),
            adding: None,
            removing: None,
            leader: Some(1),
            leader_epoch: 1,
            partition_epoch: 1,
            recovering: Some(true),
        };
        let size = encoded(&Record::PartitionChange(change), STEP_RECORDS_MAX + 1);
        assert!(size <= GROUP_SIZE_MAX + SLACK, "{size}");
    }
}
