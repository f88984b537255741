//! The tables of `ottla group describe`.

use std::io::{self, Write};

use super::describe::{Description, GroupDescription, Progress};
use super::inspect::{Assigned, Member};
use crate::cli::output::{Report, Table, joined, optional};

impl Report for Description {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let sections = self.sections;
        let tables = [
            (sections.state, "STATE", self.states()),
            (sections.members, "MEMBERS", self.members()),
            (sections.offsets, "OFFSETS", self.offsets()),
        ];
        let wanted: Vec<_> = tables.iter().filter(|(is_wanted, ..)| *is_wanted).collect();
        for (position, (_, title, table)) in wanted.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            if wanted.len() > 1 {
                writeln!(out, "{title}")?;
            }
            table.write(out)?;
        }
        Ok(())
    }
}

impl Description {
    fn states(&self) -> Table {
        let mut short = Table::new(&[
            "GROUP",
            "TYPE",
            "STATE",
            "ASSIGNOR",
            "MEMBERS",
            "LAG",
            "COORDINATOR",
        ]);
        let mut long = Table::new(&[
            "GROUP",
            "TYPE",
            "STATE",
            "ASSIGNOR",
            "MEMBERS",
            "LAG",
            "COORDINATOR",
            "ADDRESS",
            "GROUP-EPOCH",
            "ASSIGNMENT-EPOCH",
        ]);
        for one in &self.groups {
            let GroupDescription {
                group, coordinator, ..
            } = one;
            let (name, kind, state) = (&group.name, &group.kind, &group.state);
            let (assignor, count) = (&group.assignor, group.members.len());
            let (id, address) = (&coordinator.id, &coordinator.address);
            short.row([name, kind, state, assignor, &count, &one.lag, id]);
            long.row([
                name,
                kind,
                state,
                assignor,
                &count,
                &one.lag,
                id,
                address,
                &optional(group.epoch),
                &optional(group.assignment_epoch),
            ]);
        }
        if self.sections.verbose { long } else { short }
    }

    fn members(&self) -> Table {
        let mut short = Table::new(&[
            "GROUP",
            "MEMBER-ID",
            "INSTANCE-ID",
            "CLIENT-ID",
            "HOST",
            "PARTITIONS",
        ]);
        let mut long = Table::new(&[
            "GROUP",
            "MEMBER-ID",
            "INSTANCE-ID",
            "CLIENT-ID",
            "HOST",
            "PARTITIONS",
            "EPOCH",
            "ASSIGNMENT",
            "TARGET-ASSIGNMENT",
            "SUBSCRIPTION",
        ]);
        for one in &self.groups {
            for member in &one.group.members {
                let name = &one.group.name;
                let instance = optional(member.instance_id.as_ref());
                let count = member.assignment.as_deref().map(partition_count);
                let (id, client, host) = (&member.id, &member.client_id, &member.host);
                short.row([name, id, &instance, client, host, &optional(count)]);
                long.row([
                    name,
                    id,
                    &instance,
                    client,
                    host,
                    &optional(count),
                    &optional(member.epoch),
                    &partitions(member.assignment.as_deref().unwrap_or_default()),
                    &partitions(member.target_assignment.as_deref().unwrap_or_default()),
                    &subscription(member),
                ]);
            }
        }
        if self.sections.verbose { long } else { short }
    }

    fn offsets(&self) -> Table {
        let mut short = Table::new(&[
            "GROUP",
            "TOPIC",
            "PARTITION",
            "CURRENT-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "MEMBER-ID",
            "HOST",
            "CLIENT-ID",
        ]);
        let mut long = Table::new(&[
            "GROUP",
            "TOPIC",
            "PARTITION",
            "LEADER-EPOCH",
            "CURRENT-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "MEMBER-ID",
            "HOST",
            "CLIENT-ID",
            "METADATA",
        ]);
        for one in &self.groups {
            for row in &one.partitions {
                let (name, topic) = (&one.group.name, &row.topic);
                let current = optional(row.committed_offset);
                let (end, lag) = (end(row), optional(row.lag));
                let member = optional(row.member_id.as_ref());
                let host = optional(row.host.as_ref());
                let client = optional(row.client_id.as_ref());
                let partition = &row.partition;
                short.row([
                    name, topic, partition, &current, &end, &lag, &member, &host, &client,
                ]);
                long.row([
                    name,
                    topic,
                    partition,
                    &optional(row.leader_epoch),
                    &current,
                    &end,
                    &lag,
                    &member,
                    &host,
                    &client,
                    &optional(row.metadata.as_ref()),
                ]);
            }
        }
        if self.sections.verbose { long } else { short }
    }
}

/// The end of the log, or why it is not known.
fn end(row: &Progress) -> String {
    row.error
        .map_or_else(|| optional(row.log_end_offset), str::to_owned)
}

fn partition_count(assigned: &[Assigned]) -> usize {
    assigned.iter().map(|topic| topic.partitions.len()).sum()
}

/// `a:0,1;b:2`
fn partitions(assigned: &[Assigned]) -> String {
    let topics = assigned.iter();
    let topics = topics.map(|one| format!("{}:{}", one.topic, joined(&one.partitions)));
    topics.collect::<Vec<_>>().join(";")
}

fn subscription(member: &Member) -> String {
    let regex = member
        .subscribed_regex
        .iter()
        .map(|regex| format!("/{regex}/"));
    let names = member.subscribed_topics.iter().cloned();
    names.chain(regex).collect::<Vec<_>>().join(",")
}
