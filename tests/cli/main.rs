//! The `ottla` command as people and scripts meet it: a real process, its output, its exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod alone;
mod away;
mod bad_broker;
mod cluster;
mod dev;
mod fake;
mod group;
mod member;
mod old_broker;
mod raw;
mod run;
mod scripted;
mod trouble;
mod whole;
