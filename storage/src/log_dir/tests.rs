//! Promises of a log directory.
