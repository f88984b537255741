//! A durable replicated log of opaque commands. It knows nothing of Kafka.

pub mod fs;
