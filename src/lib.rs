//! ottla: a log store that speaks the Apache Kafka protocol.
