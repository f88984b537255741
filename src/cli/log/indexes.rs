//! The indexes of a segment.

use anyhow::Result;
use ottla_storage::Offset;
use ottla_storage::index::{OffsetIndexBytes, TimeIndexBytes};
use serde::Serialize;

use super::sink::{Line, Sink};
use crate::cli::value::rfc3339;

#[derive(Serialize)]
struct OffsetLine {
    offset: i64,
    position: u32,
}

impl Line for OffsetLine {
    const KIND: &'static str = "offset index";
    const COLUMNS: &'static [(&'static str, usize)] = &[("OFFSET", 12), ("POSITION", 10)];

    fn cells(&self) -> Vec<String> {
        vec![self.offset.to_string(), self.position.to_string()]
    }
}

#[derive(Serialize)]
struct TimeLine {
    timestamp: i64,
    offset: i64,
}

impl Line for TimeLine {
    const KIND: &'static str = "time index";
    const COLUMNS: &'static [(&'static str, usize)] = &[("TIMESTAMP", 24), ("OFFSET", 12)];

    fn cells(&self) -> Vec<String> {
        vec![rfc3339(self.timestamp), self.offset.to_string()]
    }
}

pub(super) fn offsets(base: Offset, bytes: &[u8], sink: &mut Sink) -> Result<()> {
    let index = OffsetIndexBytes::new(base, written(bytes, OffsetIndexBytes::ENTRY_SIZE));
    for entry in (0..index.len()).map_while(|position| index.get(position)) {
        sink.line(&OffsetLine {
            offset: entry.offset.get(),
            position: entry.position,
        })?;
    }
    Ok(index.verify()?)
}

pub(super) fn times(base: Offset, bytes: &[u8], sink: &mut Sink) -> Result<()> {
    let index = TimeIndexBytes::new(base, written(bytes, TimeIndexBytes::ENTRY_SIZE));
    for entry in (0..index.len()).map_while(|position| index.get(position)) {
        sink.line(&TimeLine {
            timestamp: entry.timestamp.as_millis(),
            offset: entry.offset.get(),
        })?;
    }
    Ok(index.verify()?)
}

/// Kafka keeps an index in use at its full size: zeros after the last entry were never written.
fn written(bytes: &[u8], entry_size: usize) -> &[u8] {
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let used = used.next_multiple_of(entry_size);
    bytes.get(..used).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_after_the_last_entry_are_not_entries() {
        assert_eq!(
            written(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8).len(),
            8
        );
        assert_eq!(written(&[0; 32], 8).len(), 0);
        assert_eq!(written(&[1; 9], 8).len(), 9);
    }
}
