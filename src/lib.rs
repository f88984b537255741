//! ottla: a log store that speaks the Apache Kafka protocol. One binary, no JVM, nothing to format.
//!
//! The binary is `cli`; `ottla node start` builds a `node` out of the components below. ARCHITECTURE.md is the map.

pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod fetcher;
pub mod metadata;
pub mod net;
pub mod node;
pub mod quorum;
pub mod replica;
pub mod telemetry;
pub mod wire;
