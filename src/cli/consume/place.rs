//! Where a group goes on in the partitions that it gives to this member.
//!
//! - A committed offset that is outside of the log counts as none.
//! - Each partition has its own answer: one without a leader holds no other up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::client::{
    At, Client, ClientError, GroupPartition, Isolation, Link, Speaker, fetch_request, read_fetched,
};
use crate::wire::error_code::ErrorCode;

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What the group has committed, if that is in the log, else where the command line says.
    pub(super) position: i64,
    pub(super) committed: Option<i64>,
    pub(super) until: Option<i64>,
}

/// A place, or what the coordinator or the partition's leader said instead.
pub(super) type Places = BTreeMap<GroupPartition, Result<Place, ErrorCode>>;

/// What a log spans.
#[derive(Clone, Copy, Debug)]
struct Log {
    start: i64,
    end: i64,
    /// Up to where this isolation level reads.
    stable_end: i64,
}

/// What places are asked with.
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) link: Arc<Link>,
    pub(super) speaker: Speaker,
    /// Where to start without a committed offset.
    pub(super) reset: At,
    pub(super) isolation: Isolation,
    pub(super) is_bounded: bool,
}

type Key = (String, i32);
type Offsets = BTreeMap<Key, Result<i64, ErrorCode>>;

impl Asking {
    pub(super) async fn places(
        mut self,
        partitions: &[GroupPartition],
    ) -> Result<Places, ClientError> {
        let request = fetch_request(&self.speaker, Some(partitions));
        let answer = self.link.call(&request).await?;
        let committed = read_fetched(&answer, partitions)?;
        // Asked later than what was committed: no log ends before that because it grew in between.
        let keys: Vec<Key> = partitions.iter().map(key).collect();
        let starts = self.ask(&keys, At::Earliest, Isolation::ReadUncommitted);
        let starts = starts.await?;
        let ends = self.ask(&keys, At::Latest, Isolation::ReadUncommitted);
        let ends = ends.await?;
        let stable_ends = match self.isolation {
            Isolation::ReadUncommitted => ends.clone(),
            Isolation::ReadCommitted => self.ask(&keys, At::Latest, self.isolation).await?,
        };
        let place = |key: &Key| {
            let of = |offsets: &Offsets| offsets.get(key).copied().unwrap_or(UNSAID);
            let log = Log {
                start: of(&starts)?,
                end: of(&ends)?,
                stable_end: of(&stable_ends)?,
            };
            let committed = match committed.get(key) {
                Some(Ok(committed)) => committed.as_ref().map(|committed| committed.offset),
                Some(Err(code)) => return Err(*code),
                None => None,
            };
            Ok(Place {
                position: position(committed, log, self.reset),
                committed,
                until: self.is_bounded.then_some(log.stable_end),
            })
        };
        let places = partitions.iter();
        let places = places.map(|partition| (partition.clone(), place(&key(partition))));
        Ok(places.collect())
    }

    /// Without a second try: the partitions that have an answer do not wait for those whose leader gives none now.
    async fn ask(
        &mut self,
        keys: &[Key],
        at: At,
        isolation: Isolation,
    ) -> Result<Offsets, ClientError> {
        let asked = self.client.offsets_now(keys, at, isolation).await;
        if let Some(error) = asked.failure.filter(|error| !error.is_transient()) {
            return Err(error);
        }
        let offset_of = |key: &Key| match asked.answers.get(key) {
            Some(Ok(found)) => found.offset.map_or(UNSAID, Ok),
            Some(Err(code)) => Err(*code),
            None => Err(ErrorCode::LeaderNotAvailable),
        };
        let offsets = keys.iter().map(|key| (key.clone(), offset_of(key)));
        Ok(offsets.collect())
    }
}

/// Every log has a start and an end.
const UNSAID: Result<i64, ErrorCode> = Err(ErrorCode::UnknownServerError);

fn key((topic, index): &GroupPartition) -> Key {
    (topic.name.clone(), *index)
}

fn position(committed: Option<i64>, log: Log, reset: At) -> i64 {
    match committed {
        Some(offset) if (log.start..=log.end).contains(&offset) => offset,
        _ if reset == At::Earliest => log.start,
        _ => log.stable_end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Retention may remove what was committed, and a truncated or new log may end before it.
    #[test]
    fn only_what_is_in_the_log_counts_as_committed() {
        let log = Log {
            start: 10,
            end: 20,
            stable_end: 18,
        };
        for (committed, earliest, latest) in [
            (None, 10, 18),
            (Some(9), 10, 18),
            (Some(10), 10, 10),
            // By a reader of the other isolation level.
            (Some(19), 19, 19),
            (Some(20), 20, 20),
            (Some(21), 10, 18),
        ] {
            assert_eq!(position(committed, log, At::Earliest), earliest);
            assert_eq!(position(committed, log, At::Latest), latest);
        }
    }
}
