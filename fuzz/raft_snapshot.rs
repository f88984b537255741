//! The bytes of `raft/src/snapshot`.

#[path = "../raft/src/snapshot/format.rs"]
#[allow(dead_code, reason = "the side that writes is not fuzzed")]
mod format;

pub(crate) use format::{DecodeError, decode};
