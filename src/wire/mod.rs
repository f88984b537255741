//! Kafka's protocol as bytes and typed messages.
//!
//! Pure: no I/O, no clock, no threads. W1: no bytes from the network panic or allocate beyond a
//! small multiple of their frame. A request's journey: `frame::cut`, `header::RequestHeader::decode`,
//! the `decode` of a message, its answer through `frame::encode_response`.
#![warn(clippy::indexing_slicing)]

pub mod api;
pub mod consumer_offsets;
pub mod envelope;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod messages;
pub mod private;
pub mod reader;
pub mod records;
pub mod versioned;
pub mod writer;

pub use uuid::Uuid;
