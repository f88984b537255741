//! Record batches (magic 2), viewed in the bytes they arrived in.
//!
//! - A batch is never decoded into objects to be stored: its header is viewed in place, its records
//!   are walked only where somebody must look at them.
//! - Parsing checks what framing needs (length, magic, completeness). What a header *claims* about
//!   its records is a claim until [`crate::validate`] or [`LogOrder`] has looked at it.
//! - Nothing in here panics or allocates by the word of the bytes it reads.
//!
//! The layout is in docs/formats/record-batch.md.

#![deny(clippy::indexing_slicing)]

mod builder;
mod check;
mod compression;
mod filter;
mod header;
mod patch;
mod record;
mod snappy;
mod varint;
mod view;

pub(crate) use builder::assemble;
pub use builder::{BatchBuilder, BuildError, EndTxnMarker, NewRecord, ProducerStamp};
pub use check::{CheckError, LogOrder};
pub use compression::{
    CompressError, Compression, CompressionLevels, DecompressError, UnknownCompression,
};
pub(crate) use filter::{emptied, retained};
pub use header::{Attributes, BatchHeader, HEADER_SIZE, LENGTH_PREFIX_SIZE, TimestampType};
pub use patch::BatchMut;
pub(crate) use record::RawRecord;
pub use record::{
    Header, HeaderIter, Headers, Record, RecordError, RecordSet, Records, RecordsError,
};
pub use view::{BatchError, BatchView, Batches};

#[cfg(test)]
mod tests;
