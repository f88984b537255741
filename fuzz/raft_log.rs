//! The frames of `raft/src/log`.

#[path = "../raft/src/log/frame.rs"]
#[allow(dead_code, reason = "the side that writes is not fuzzed")]
pub mod frame;
