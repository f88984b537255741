//! The kafka-clients and kafka-group-coordinator jars as the reference of the codec: the schemas that they ship and their
//! classes.
//!
//! Tests only; `run` finds the jars and sets the variables that they read.
#![cfg(test)]

#[path = "../../wire/dispatch.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod dispatch;
mod java;
mod kafka_schema;
#[path = "../../wire/random.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod random;
#[path = "../../wire/schema.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod schema;
