//! The names of things in a data directory.

use crate::journal::LogKey;

pub(super) const LOCK: &str = ".lock";
/// A directory that is being removed ends with this.
pub(super) const DELETE: &str = "-delete";
/// A directory that belongs to no log we know ends with this; it is kept for people to look at.
pub(super) const STRAY: &str = "-stray";

/// No file system we know takes more.
const NAME_BYTES_MAX: usize = 255;

/// The directory of a log: the topic's name and the partition's number.
pub(super) fn log_dir_name(topic: &str, partition: u32) -> String {
    format!("{topic}-{partition}")
}

/// Takes the name of a log's directory apart.
pub(super) fn parse_log_dir_name(name: &str) -> Option<(&str, u32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let is_number = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    let partition = is_number.then(|| partition.parse().ok()).flatten()?;
    (!topic.is_empty()).then_some((topic, partition))
}

/// The name under which a log's directory waits for its removal, or for a person; unique by the topic's id.
pub(super) fn renamed(topic: &str, key: LogKey, suffix: &str) -> String {
    let tail = format!("-{}.{}{suffix}", key.partition, key.log.uuid().simple());
    let room = NAME_BYTES_MAX.saturating_sub(tail.len());
    let mut end = topic.len().min(room);
    while !topic.is_char_boundary(end) {
        end -= 1;
    }
    let (topic, _) = topic.split_at(end);
    format!("{topic}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LogId;
    use uuid::Uuid;

    #[test]
    fn a_name_is_taken_apart_at_its_last_dash() {
        assert_eq!(parse_log_dir_name("a-b-12"), Some(("a-b", 12)));
        assert_eq!(parse_log_dir_name("a-b"), None);
        assert_eq!(parse_log_dir_name("-3"), None);
        assert_eq!(parse_log_dir_name("a-3.0f-delete"), None);
    }

    #[test]
    fn the_longest_topic_still_gets_a_legal_name_for_its_removal() {
        let key = LogKey {
            log: LogId::new(Uuid::from_u128(7)),
            partition: 99_999,
        };
        let name = renamed(&"t".repeat(249), key, DELETE);
        assert_eq!(name.len(), 255);
        assert!(name.ends_with("00000000000000000000000000000007-delete"));
    }
}
