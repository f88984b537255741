//! The numbers that the metadata gives meaning to, one type each.
//!
//! A value of one of these types is in its legal range; the negatives that the wire uses for "none"
//! are `Option`s inside.

use std::fmt;
use std::str::FromStr;

use ottla_storage::ids::{DirectoryId, LogId, ParseIdError};
use uuid::Uuid;

macro_rules! non_negative {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            /// The lowest value.
            pub const ZERO: Self = Self(0);

            /// `None` for the negatives, which mean "none" or "unknown".
            pub const fn from_wire(raw: $raw) -> Option<Self> {
                if raw >= 0 { Some(Self(raw)) } else { None }
            }

            /// The number as it stands on the wire.
            pub const fn get(self) -> $raw {
                self.0
            }

            /// The wire form of an optional value: -1 is "none".
            pub const fn to_wire(value: Option<Self>) -> $raw {
                match value {
                    Some(value) => value.0,
                    None => -1,
                }
            }

            /// The next value; `None` beyond the largest.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

non_negative! {
    /// A node, chosen by its operator.
    BrokerId(i32)
}

non_negative! {
    /// One registration of a broker: from a counter in the image, never used twice.
    BrokerEpoch(i64)
}

non_negative! {
    /// A partition of a topic, from 0 without gaps.
    PartitionIndex(i32)
}

non_negative! {
    /// How often a partition has changed: +1 with every change (M2).
    PartitionEpoch(i32)
}

impl PartitionIndex {
    /// The index at `position` of a list, `None` beyond the wire's range.
    pub fn from_position(position: usize) -> Option<Self> {
        i32::try_from(position).ok().map(Self)
    }

    /// The position in a list of all partitions.
    pub fn position(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }
}

/// How many entries of commands an image has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageVersion(pub u64);

impl ImageVersion {
    /// The version that one more entry makes.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ImageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic for as long as it exists: a topic of the same name created later has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(Uuid);

impl TopicId {
    /// The highest number of the low ids, which mean things of their own in Kafka.
    const RESERVED_MAX: u128 = 100;

    /// Wraps 16 bytes. All-zero means "no topic" on the wire: see [`TopicId::from_wire`].
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// `None` for the zero id, which means that none was given.
    pub fn from_wire(bytes: [u8; 16]) -> Option<Self> {
        let uuid = Uuid::from_bytes(bytes);
        (!uuid.is_nil()).then_some(Self(uuid))
    }

    /// The id as the wire's codec has it.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The bytes as they stand on the wire.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// A fresh id out of random bits; `None` if these bits would make one that Kafka doesn't use:
    /// a reserved one, or one whose text looks like a flag on a command line.
    pub fn from_random(bits: u128) -> Option<Self> {
        let id = Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid());
        let is_usable = id.0.as_u128() > Self::RESERVED_MAX && !id.to_string().starts_with('-');
        is_usable.then_some(id)
    }

    /// The id under which storage knows the topic's logs.
    pub const fn log_id(self) -> LogId {
        LogId::new(self.0)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log_id().fmt(f)
    }
}

impl FromStr for TopicId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse::<LogId>().map(|id| Self(id.uuid()))
    }
}

/// One run of a broker's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub Uuid);

/// The directory of a replica that no broker has placed yet.
pub const DIRECTORY_UNASSIGNED: DirectoryId = DirectoryId::new(Uuid::from_u128(1));

/// The directory of a replica that its broker can't use, wherever it lies; or that lies nobody knows where.
pub const DIRECTORY_LOST: DirectoryId = DirectoryId::new(Uuid::from_u128(2));

/// Whether an id is in the low range that means things of its own and names no directory.
pub fn is_reserved_directory(id: DirectoryId) -> bool {
    id.uuid().as_u128() <= TopicId::RESERVED_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negatives_are_no_value() {
        assert_eq!(BrokerId::from_wire(-1), None);
        assert_eq!(BrokerId::to_wire(None), -1);
        assert_eq!(PartitionEpoch::from_wire(i32::MAX).unwrap().next(), None);
    }

    #[test]
    fn ids_that_read_as_flags_or_reserved_are_not_given() {
        // The first six bits of a text that begins with '-' are 62.
        let flag_like = 62_u128 << 122;
        assert_eq!(TopicId::from_random(flag_like), None);
        let id = TopicId::from_random(7).unwrap();
        assert_eq!(id.to_string().parse::<TopicId>().unwrap(), id);
        assert_eq!(TopicId::from_wire([0; 16]), None);
        assert_eq!(TopicId::from_wire(id.to_bytes()), Some(id));
    }
}
