//! Operations as data and back; the two file formats differ only in how they spell names.

use super::Kind;
use super::datum::{Datum, Name};

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;

/// Why data is not an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line is not a map.
    #[error("an operation is a map")]
    NotAMap,
    /// A field that every operation has is missing.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field stands twice.
    #[error("the field `{0}` stands twice")]
    Twice(String),
    /// A field holds something else than it may.
    #[error("the field `{field}` must be {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// A client did what clients do not do.
    #[error("`{0}` is not what a client does")]
    UnknownFunction(String),
}

/// How names are spelt where the format knows that a name must stand: `:ok` in EDN, `"ok"` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Keywords,
    Strings,
}

impl Spelling {
    fn name(self, name: &str) -> Datum {
        match (self, Name::new(name)) {
            (Self::Keywords, Some(name)) => Datum::Keyword(name),
            _ => Datum::Text(name.to_owned()),
        }
    }
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Invoke, "invoke"),
    (Kind::Ok, "ok"),
    (Kind::Fail, "fail"),
    (Kind::Info, "info"),
];

/// What clients do that is kept and not judged.
const UNJUDGED: &str = "debug-topic-partitions";
