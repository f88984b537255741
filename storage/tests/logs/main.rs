//! Promises of the log and its directory, over disks that forget and fail.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::cast_possible_wrap, reason = "counts of a test are small")]
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the names are ours"
)]
#![allow(
    unreachable_pub,
    reason = "the helpers are shared by the modules of this binary"
)]

mod append;
mod compaction;
mod crash;
mod directory;
mod model;
mod recovery;
mod support;
