//! The group coordinator: who is in a consumer group, what each member reads, and how far a group has come.
//!
//! - A group belongs to one partition of `__consumer_offsets`, and whoever leads that partition coordinates it. What it
//!   decides is in that partition's log, in Kafka's formats; its memory is a function of the log and of who was heard of.
//! - `group` decides (pure); the rest carries it out.

pub mod group;
