//! Promises of the log.
