//! Promises of the log and its directory, over disks that forget and fail.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(
    unreachable_pub,
    reason = "the helpers are shared by the modules of this binary"
)]

mod append;
mod crash;
#[allow(
    dead_code,
    reason = "some helpers are ahead of the tests that need them"
)]
mod support;
