//! `--topic T` and `--topic T:0,2`: a topic, or some of its partitions.

use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicScope {
    pub(super) topic: String,
    /// None is all.
    pub(super) partitions: Option<Vec<i32>>,
}

impl FromStr for TopicScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || "expected TOPIC or TOPIC:PARTITION,...".to_owned();
        // No name of a topic has a colon.
        let (topic, list) = match text.split_once(':') {
            Some((topic, list)) => (topic, Some(list)),
            None => (text, None),
        };
        let parse = |list: &str| {
            let numbers = list.split(',').map(|number| number.trim().parse::<i32>());
            numbers.collect::<Result<Vec<_>, _>>().ok()
        };
        let partitions = match list {
            Some(list) => Some(parse(list).ok_or_else(expected)?),
            None => None,
        };
        if topic.is_empty() || partitions.iter().flatten().any(|number| *number < 0) {
            return Err(expected());
        }
        Ok(Self {
            topic: topic.to_owned(),
            partitions,
        })
    }
}

impl TopicScope {
    pub(super) fn wants(&self, topic: &str, partition: i32) -> bool {
        let partitions = self.partitions.as_ref();
        self.topic == topic && partitions.is_none_or(|wanted| wanted.contains(&partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_name_partitions() {
        let all: TopicScope = "t".parse().unwrap();
        assert_eq!((all.topic.as_str(), &all.partitions), ("t", &None));
        let some: TopicScope = "t:0,2".parse().unwrap();
        assert!(some.wants("t", 2) && !some.wants("t", 1) && !some.wants("u", 2));
        for bad in ["", ":1", "t:", "t:a", "t:-1", "t:1,", "t:1:2"] {
            assert!(bad.parse::<TopicScope>().is_err(), "{bad}");
        }
    }
}
