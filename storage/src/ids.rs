//! The numbers that a partition's log gives meaning to, one type each.
//!
//! - A value of one of these types is in its legal range: the negatives that the wire uses for
//!   "none", "earliest" or "unknown" are `Option`s or enums at the edge, never values in here.
//! - Arithmetic states what happens at the upper end: it is checked, it saturates, or (sequences
//!   only, because the protocol says so) it wraps from `i32::MAX` to 0.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Declares a newtype over a signed wire integer whose legal values are `0..=MAX`.
macro_rules! non_negative {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            /// The lowest value.
            pub const ZERO: Self = Self(0);
            /// The highest value.
            pub const MAX: Self = Self(<$raw>::MAX);

            /// `None` for the negatives, which mean "none", "unknown" or a special request.
            pub const fn from_wire(raw: $raw) -> Option<Self> {
                if raw >= 0 { Some(Self(raw)) } else { None }
            }

            /// The number as it stands on the wire and on disk.
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
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for $raw {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

non_negative! {
    /// The position of a record in one partition: ascending from 0; a big-endian `i64` on the wire.
    Offset(i64)
}

non_negative! {
    /// The reign of one leader of one partition: an `i32` from 0, rising with every election.
    LeaderEpoch(i32)
}

non_negative! {
    /// The identity of an idempotent or transactional producer: an `i64` from 0.
    ProducerId(i64)
}

non_negative! {
    /// The incarnation of a producer: an `i16` from 0; a higher one fences the lower ones.
    ProducerEpoch(i16)
}

non_negative! {
    /// The number a producer gives a record of one partition: an `i32` from 0 that wraps.
    Sequence(i32)
}

impl Offset {
    /// The offset `count` records later, or `None` beyond [`Offset::MAX`].
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add_unsigned(count) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// The offset `count` records later, at most [`Offset::MAX`].
    #[must_use]
    pub const fn saturating_add(self, count: u64) -> Self {
        Self(self.0.saturating_add_unsigned(count))
    }

    /// The offset `count` records earlier, at least 0.
    #[must_use]
    pub const fn saturating_sub(self, count: u64) -> Self {
        let raw = self.0.saturating_sub_unsigned(count);
        if raw < 0 { Self::ZERO } else { Self(raw) }
    }

    /// The offset of the record after this one, at most [`Offset::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        self.saturating_add(1)
    }

    /// How many offsets lie in `earlier..self`; `None` if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Option<u64> {
        if self.0 >= earlier.0 {
            Some(self.0.abs_diff(earlier.0))
        } else {
            None
        }
    }
}

impl From<u32> for Offset {
    fn from(raw: u32) -> Self {
        Self(i64::from(raw))
    }
}

impl LeaderEpoch {
    /// The next epoch, or `None` beyond [`LeaderEpoch::MAX`].
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }
}

impl From<u16> for LeaderEpoch {
    fn from(raw: u16) -> Self {
        Self(i32::from(raw))
    }
}

impl Sequence {
    /// The sequence `count` records later, wrapping from `i32::MAX` to 0 as the protocol does.
    #[must_use]
    pub const fn wrapping_add(self, count: u32) -> Self {
        // The sum of 31 and 32 bits fits 33; the mask brings it back to the 31 of a sequence.
        #[expect(clippy::cast_possible_wrap, reason = "the mask clears the sign bit")]
        Self((self.0.unsigned_abs().wrapping_add(count) & 0x7fff_ffff) as i32)
    }

    /// The sequence `count` records earlier, wrapping from 0 to `i32::MAX`.
    #[must_use]
    pub const fn wrapping_sub(self, count: u32) -> Self {
        #[expect(clippy::cast_possible_wrap, reason = "the mask clears the sign bit")]
        Self((self.0.unsigned_abs().wrapping_sub(count) & 0x7fff_ffff) as i32)
    }

    /// The sequence that must follow this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.wrapping_add(1)
    }
}

/// The text was not 22 characters of URL-safe base64 for 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a base64url uuid of 22 characters")]
pub struct ParseIdError;

/// Declares a 16-byte identity whose text is Kafka's: URL-safe base64 without padding.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps 16 bytes; all-zero is a legal value here and "none" only at the edge.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The identity as 16 big-endian bytes.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                base64url(self.0.as_u128()).try_for_each(|c| fmt::Write::write_char(f, c))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_base64url(text).map(|raw| Self(Uuid::from_u128(raw))).ok_or(ParseIdError)
            }
        }
    };
}

uuid_id! {
    /// One data directory, named in its `meta.properties`.
    DirectoryId
}

uuid_id! {
    /// What one log belongs to: the topic id that stands in its `partition.metadata`.
    LogId
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 128 bits are 21 sextets and two bits: the last character holds those two and four zeros.
fn base64url(raw: u128) -> impl Iterator<Item = char> {
    let sextet = move |i: u32| {
        if i < 21 {
            (raw >> (122 - 6 * i)) & 0x3f
        } else {
            (raw << 4) & 0x3f
        }
    };
    (0..22).map(move |i| {
        let index = usize::try_from(sextet(i)).unwrap_or_default();
        BASE64URL.get(index).map_or('A', |c| char::from(*c))
    })
}

fn parse_base64url(text: &str) -> Option<u128> {
    let (head, last) = text.as_bytes().split_at_checked(21)?;
    let sextet = |c: &u8| {
        BASE64URL
            .iter()
            .position(|known| known == c)
            .map(|i| i as u128)
    };
    let high = head
        .iter()
        .try_fold(0_u128, |raw, c| Some((raw << 6) | sextet(c)?))?;
    let [last] = last else { return None };
    let low = sextet(last)?;
    // The four spare bits must be zero, or two texts would name one id.
    (low.trailing_zeros() >= 4).then_some((high << 2) | (low >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn negatives_are_no_value() {
        assert_eq!(Offset::from_wire(-1), None);
        assert_eq!(LeaderEpoch::from_wire(i32::MIN), None);
        assert_eq!(Offset::to_wire(None), -1);
        assert_eq!(ProducerEpoch::to_wire(Some(ProducerEpoch::MAX)), i16::MAX);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(Sequence::MAX.next(), Sequence::ZERO);
        assert_eq!(Sequence::ZERO.wrapping_sub(1), Sequence::MAX);
        let last = Sequence::from_wire(i32::MAX - 1).unwrap().wrapping_add(4);
        assert_eq!(last.get(), 2);
    }

    #[test]
    fn offsets_stop_at_both_ends() {
        assert_eq!(Offset::MAX.checked_add(1), None);
        assert_eq!(Offset::MAX.next(), Offset::MAX);
        assert_eq!(Offset::from(3_u32).saturating_sub(9), Offset::ZERO);
        assert_eq!(Offset::from(9_u32).since(Offset::from(3_u32)), Some(6));
        assert_eq!(Offset::from(3_u32).since(Offset::from(9_u32)), None);
        assert_eq!(Offset::ZERO.checked_add(u64::MAX), None);
    }

    /// The text of Kafka's `Uuid.METADATA_TOPIC_ID` (a one) and of an all-ones id.
    #[test]
    fn ids_read_as_kafka_writes_them() {
        assert_eq!(
            LogId::new(Uuid::from_u128(1)).to_string(),
            "AAAAAAAAAAAAAAAAAAAAAQ"
        );
        assert_eq!(
            LogId::new(Uuid::from_u128(u128::MAX)).to_string(),
            "_____________________w"
        );
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAR".parse::<LogId>(), Err(ParseIdError));
        assert_eq!("AAAAAAAAAAAAAAAAAAAAA".parse::<LogId>(), Err(ParseIdError));
    }

    proptest! {
        #[test]
        fn ids_survive_their_text(raw in any::<u128>()) {
            let id = DirectoryId::new(Uuid::from_u128(raw));
            prop_assert_eq!(id.to_string().parse::<DirectoryId>(), Ok(id));
        }

        #[test]
        fn sequence_subtraction_undoes_addition(start in 0..=i32::MAX, count in any::<u32>()) {
            let start = Sequence::from_wire(start).unwrap();
            prop_assert!(start.wrapping_add(count).get() >= 0);
            prop_assert_eq!(start.wrapping_add(count).wrapping_sub(count), start);
        }
    }
}
