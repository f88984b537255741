//! The kafka-clients jar as the reference of the codec: the schema that it ships and its classes.
//!
//! Tests only; `run` finds the jar and sets the two variables that they read.
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
