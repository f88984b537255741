//! The APIs and versions of the client listener: the one table for advertising and dispatch; and those
//! that a broker asks the controller.
//!
//! W3: what is advertised works in full. The only exception is Produce 0-2: librdkafka before 2.11
//! switches compression off unless they are advertised (KAFKA-18659), so they are advertised,
//! read, and answered with `UnsupportedVersion`.
//! The versions are those of Kafka 4.4.0 without the unstable ones; docs/protocol.md is this table.

use std::fmt;

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

/// One row per API, ascending by key. An API without flexible versions names one that it lacks.
macro_rules! apis {
    (
        $(#[$doc:meta])*
        $table:ident {
            $($name:ident $key:literal $min:literal..=$max:literal flexible $flexible:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum $table {
            $($name = $key,)*
        }

        impl $table {
            /// Every API, ascending by key.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name of the API.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The versions that handlers answer.
            pub fn served(self) -> Versions {
                match self {
                    $(Self::$name => Versions { min: $min, max: $max },)*
                }
            }

            /// Whether messages of the version have compact lengths and tagged fields.
            pub fn is_flexible(self, version: i16) -> bool {
                version >= match self {
                    $(Self::$name => $flexible,)*
                }
            }

            pub fn code(self) -> i16 {
                self as i16
            }
        }

        impl fmt::Display for $table {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

apis! {
    /// An API of the client listener.
    ApiKey {
        Produce 0 3..=13 flexible 9,
        Fetch 1 4..=18 flexible 12,
        ListOffsets 2 1..=11 flexible 6,
        Metadata 3 0..=13 flexible 9,
        OffsetCommit 8 2..=10 flexible 8,
        OffsetFetch 9 1..=10 flexible 6,
        FindCoordinator 10 0..=6 flexible 3,
        JoinGroup 11 0..=9 flexible 6,
        Heartbeat 12 0..=4 flexible 4,
        LeaveGroup 13 0..=5 flexible 4,
        SyncGroup 14 0..=5 flexible 4,
        DescribeGroups 15 0..=6 flexible 5,
        ListGroups 16 0..=5 flexible 3,
        ApiVersions 18 0..=5 flexible 3,
        CreateTopics 19 2..=7 flexible 5,
        DeleteTopics 20 1..=6 flexible 4,
        DeleteRecords 21 0..=2 flexible 2,
        InitProducerId 22 0..=5 flexible 2,
        OffsetForLeaderEpoch 23 2..=4 flexible 4,
        DescribeConfigs 32 1..=4 flexible 4,
        AlterConfigs 33 0..=2 flexible 2,
        DescribeLogDirs 35 1..=5 flexible 2,
        CreatePartitions 37 0..=3 flexible 2,
        DeleteGroups 42 0..=3 flexible 2,
        ElectLeaders 43 0..=2 flexible 2,
        IncrementalAlterConfigs 44 0..=1 flexible 1,
        OffsetDelete 47 0..=0 flexible 1,
        DescribeQuorum 55 0..=2 flexible 0,
        DescribeCluster 60 0..=2 flexible 0,
        ConsumerGroupHeartbeat 68 0..=1 flexible 0,
        ConsumerGroupDescribe 69 0..=1 flexible 0,
        DescribeTopicPartitions 75 0..=0 flexible 0,
    }
}

apis! {
    /// What a broker asks the controller: Kafka's messages, on the quorum listener only and inside
    /// an envelope of ours, so `ApiVersions` does not name them.
    ControllerApi {
        AlterPartition 56 2..=3 flexible 2,
        BrokerRegistration 62 0..=4 flexible 0,
        BrokerHeartbeat 63 0..=2 flexible 0,
        AllocateProducerIds 67 0..=0 flexible 0,
        AssignReplicasToDirs 73 0..=0 flexible 0,
    }
}

impl ApiKey {
    /// The versions that `ApiVersions` names.
    pub fn advertised(self) -> Versions {
        let served = self.served();
        match self {
            Self::Produce => Versions { min: 0, ..served },
            _ => served,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of docs/protocol.md.
    fn documented() -> Vec<[String; 4]> {
        let page = include_str!("../../docs/protocol.md");
        let rows = page
            .lines()
            .filter(|line| line.starts_with("| ") && !line.contains("---"));
        let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim));
        let numbered = cells.map(|row| row.map(str::to_owned).collect::<Vec<_>>());
        numbered
            .filter(|row| row.first().is_some_and(|key| key.parse::<i16>().is_ok()))
            .map(|row| row.try_into().unwrap())
            .collect()
    }

    #[test]
    fn the_protocol_page_is_this_table() {
        let table: Vec<_> = ApiKey::ALL
            .iter()
            .map(|api| {
                let (served, advertised) = (api.served(), api.advertised());
                [
                    api.code().to_string(),
                    api.to_string(),
                    advertised.to_string(),
                    served.to_string(),
                ]
            })
            .collect();
        assert_eq!(documented(), table);
    }

    #[test]
    fn keys_ascend_and_read_back() {
        assert!(ApiKey::ALL.is_sorted());
        for api in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(api.code()), Some(*api));
        }
        assert!(ControllerApi::ALL.is_sorted());
        for api in ControllerApi::ALL {
            assert_eq!(ControllerApi::from_code(api.code()), Some(*api));
            assert_eq!(ApiKey::from_code(api.code()), None, "{api}");
        }
        // The transaction APIs wait for transactions.
        assert_eq!(ApiKey::from_code(24), None);
    }
}
