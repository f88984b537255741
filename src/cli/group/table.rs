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
        let mut table = Table::new(&[
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
            table.row([
                &group.name,
                &group.kind,
                &group.state,
                &group.assignor,
                &group.members.len(),
                &optional(one.lag),
                &coordinator.id,
                &coordinator.address,
                &optional(group.epoch),
                &optional(group.assignment_epoch),
            ]);
        }
        self.shown(table, &["ADDRESS", "GROUP-EPOCH", "ASSIGNMENT-EPOCH"])
    }

    fn members(&self) -> Table {
        let mut table = Table::new(&[
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
                let count = member.assignment.as_deref().map(partition_count);
                table.row([
                    &one.group.name,
                    &member.id,
                    &optional(member.instance_id.as_ref()),
                    &member.client_id,
                    &member.host,
                    &optional(count),
                    &optional(member.epoch),
                    &partitions(member.assignment.as_deref().unwrap_or_default()),
                    &partitions(member.target_assignment.as_deref().unwrap_or_default()),
                    &subscription(member),
                ]);
            }
        }
        let verbose = ["EPOCH", "ASSIGNMENT", "TARGET-ASSIGNMENT", "SUBSCRIPTION"];
        self.shown(table, &verbose)
    }

    fn offsets(&self) -> Table {
        let mut table = Table::new(&[
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
                table.row([
                    &one.group.name,
                    &row.topic,
                    &row.partition,
                    &optional(row.leader_epoch),
                    &current(row),
                    &end(row),
                    &optional(row.lag),
                    &optional(row.member_id.as_ref()),
                    &optional(row.host.as_ref()),
                    &optional(row.client_id.as_ref()),
                    &optional(row.metadata.as_ref()),
                ]);
            }
        }
        self.shown(table, &["LEADER-EPOCH", "METADATA"])
    }

    /// Some columns are for `--verbose` only.
    fn shown(&self, table: Table, verbose: &[&str]) -> Table {
        if self.sections.verbose {
            table
        } else {
            table.without(verbose)
        }
    }
}

/// What is committed. With the end of the log known, an error says why this is not.
fn current(row: &Progress) -> String {
    match (row.committed_offset, row.error) {
        (None, Some(error)) if row.log_end_offset.is_some() => error.to_owned(),
        (offset, _) => optional(offset),
    }
}

/// The end of the log, or why it is not known.
fn end(row: &Progress) -> String {
    match (row.log_end_offset, row.error) {
        (None, Some(error)) => error.to_owned(),
        (end, _) => optional(end),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(committed_offset: Option<i64>, log_end_offset: Option<i64>) -> Progress {
        Progress {
            topic: "t".to_owned(),
            partition: 0,
            committed_offset,
            leader_epoch: None,
            metadata: None,
            log_end_offset,
            lag: None,
            member_id: None,
            client_id: None,
            host: None,
            error: Some("WHY"),
        }
    }

    /// An error about the committed offset stood in the place of the end, which was known.
    #[test]
    fn an_error_stands_in_the_place_of_what_it_is_about() {
        let cells = |row: Progress| (current(&row), end(&row));
        let cell = |text: &str| text.to_owned();
        assert_eq!(cells(row(None, Some(9))), (cell("WHY"), cell("9")));
        assert_eq!(cells(row(Some(7), None)), (cell("7"), cell("WHY")));
        assert_eq!(cells(row(None, None)), (cell(""), cell("WHY")));
    }
}
