//! The codec, tested from outside: the generator, and every message against independent readings
//! of the same schema.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed expectation fails the test"
)]

mod codec;
mod dispatch;
mod emit;
mod every;
mod generated;
mod random;
mod schema;
