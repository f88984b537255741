//! The codec, tested from outside: the generator, and every message against independent readings
//! of the same schema.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed expectation is a failed test"
)]

mod emit;
mod generated;
#[allow(
    dead_code,
    reason = "shared with the interop package, which reads all of it"
)]
mod schema;
