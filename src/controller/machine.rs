//! The state machine of the quorum: entries in, images out. The same on every node.
//!
//! - M1: what it does depends on the entries only.
//! - An entry of an unknown format, or one that is corrupt although the log vouched for it, stops the
//!   node: going on without it would be another history (decision 13).

use std::error::Error;
use std::sync::Arc;

use ottla_raft::{LogIndex, StateMachine};

use crate::metadata::image::{RecordError, Rejection};
use crate::metadata::record::{DecodeError, Entry};
use crate::metadata::snapshot::{self, LoadError};
use crate::metadata::{ImageVersion, MetadataImage, Publisher};

/// Why a node can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// An entry can't be read.
    #[error("entry {index} of the metadata log: {source}")]
    Entry {
        /// Where it stands.
        index: LogIndex,
        /// Why.
        source: DecodeError,
    },
    /// An entry asks for a newer build.
    #[error("entry {index} of the metadata log: {reason}")]
    Upgrade {
        /// Where it stands.
        index: LogIndex,
        /// What it asks for.
        reason: RecordError,
    },
}

/// What an entry came to, as its proposer learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The image is at this version now.
    Done(ImageVersion),
    /// The entry was decided on another version; nothing changed.
    Stale,
    /// A fact didn't fit; nothing changed.
    Invalid,
}

impl Applied {
    fn encode(self) -> Vec<u8> {
        match self {
            Self::Done(version) => {
                let mut bytes = vec![0];
                bytes.extend_from_slice(&version.0.to_le_bytes());
                bytes
            }
            Self::Stale => vec![1],
            Self::Invalid => vec![2],
        }
    }

    /// Reads the state machine's answer.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0, version @ ..] => Some(Self::Done(ImageVersion(u64::from_le_bytes(
                version.try_into().ok()?,
            )))),
            [1] => Some(Self::Stale),
            [2] => Some(Self::Invalid),
            _ => None,
        }
    }
}

/// Called once, when the node can't go on: it must end the process.
pub type OnFatal = Box<dyn Fn(&MachineError) + Send>;

/// The state machine.
pub struct MetadataMachine {
    image: Arc<MetadataImage>,
    publisher: Publisher,
    on_fatal: OnFatal,
    is_stopped: bool,
}

impl std::fmt::Debug for MetadataMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetadataMachine")
            .field("version", &self.image.version())
            .field("is_stopped", &self.is_stopped)
            .finish_non_exhaustive()
    }
}

impl MetadataMachine {
    /// An empty one that publishes what it applies.
    pub fn new(publisher: Publisher, on_fatal: OnFatal) -> Self {
        Self {
            image: Arc::default(),
            publisher,
            on_fatal,
            is_stopped: false,
        }
    }

    fn stop(&mut self, error: &MachineError) -> Vec<u8> {
        tracing::error!(%error, "the metadata can't be applied: stopping");
        self.is_stopped = true;
        (self.on_fatal)(error);
        Applied::Invalid.encode()
    }
}

impl StateMachine for MetadataMachine {
    fn apply(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8> {
        if self.is_stopped {
            return Applied::Invalid.encode();
        }
        let entry = match Entry::decode(command) {
            Ok(entry) => entry,
            Err(source) => return self.stop(&MachineError::Entry { index, source }),
        };
        let outcome = self.image.apply(&entry);
        if let Some(Rejection::Invalid {
            reason: reason @ RecordError::Upgrade(_),
            ..
        }) = outcome.rejection
        {
            return self.stop(&MachineError::Upgrade { index, reason });
        }
        self.image = Arc::new(outcome.image);
        self.publisher.publish(self.image.clone());
        let applied = match outcome.rejection {
            None => Applied::Done(self.image.version()),
            Some(Rejection::Stale { .. }) => Applied::Stale,
            Some(rejection @ Rejection::Invalid { .. }) => {
                tracing::error!(%index, %rejection, "an entry of the metadata log was rejected");
                Applied::Invalid
            }
        };
        applied.encode()
    }

    fn snapshot(&self) -> Vec<u8> {
        // This image lacks entries that the log counts as applied: saving it would lose them for good.
        assert!(!self.is_stopped, "a stopped state machine has no snapshot");
        // Beyond 4 GiB there is no image, and an empty snapshot is refused by whoever restores it.
        snapshot::encode(&self.image).unwrap_or_default()
    }

    fn restore(
        &mut self,
        index: LogIndex,
        snapshot: &[u8],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let image = snapshot::decode(snapshot).inspect_err(|error: &LoadError| {
            tracing::error!(%index, %error, "the metadata snapshot can't be loaded");
        })?;
        self.image = Arc::new(image);
        self.publisher.publish(self.image.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::metadata::record::{FEATURE, Record};

    fn machine() -> (MetadataMachine, Publisher, Arc<Mutex<Vec<MachineError>>>) {
        let publisher = Publisher::default();
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let seen = fatal.clone();
        let on_fatal =
            Box::new(move |error: &MachineError| seen.lock().unwrap().push(error.clone()));
        (
            MetadataMachine::new(publisher.clone(), on_fatal),
            publisher,
            fatal,
        )
    }

    fn feature(level: u16) -> Record {
        Record::FeatureLevel {
            name: FEATURE.to_owned(),
            level,
        }
    }

    fn entry(decided_on: u64, records: Vec<Record>) -> Vec<u8> {
        Entry {
            decided_on,
            records,
        }
        .encode()
        .unwrap()
    }

    /// Q1 and M1: a machine restored from another's snapshot goes on as that one does.
    #[test]
    fn a_snapshot_carries_the_whole_state() {
        let (mut first, publisher, _) = machine();
        let answer = first.apply(LogIndex(1), &entry(0, vec![feature(1)]));
        assert_eq!(
            Applied::decode(&answer),
            Some(Applied::Done(ImageVersion(1)))
        );
        let answer = first.apply(LogIndex(2), &entry(0, vec![feature(1)]));
        assert_eq!(Applied::decode(&answer), Some(Applied::Stale));
        let (mut second, other, _) = machine();
        second.restore(LogIndex(2), &first.snapshot()).unwrap();
        assert_eq!(publisher.image().digest(), other.image().digest());
        let next = entry(
            1,
            vec![Record::Topic {
                id: [1; 16],
                name: "t".to_owned(),
            }],
        );
        assert_eq!(
            first.apply(LogIndex(3), &next),
            second.apply(LogIndex(3), &next)
        );
        assert_eq!(publisher.image().digest(), other.image().digest());
        assert_eq!(first.snapshot(), second.snapshot());
    }

    #[test]
    fn a_fact_that_does_not_fit_is_rejected_and_counted() {
        let (mut machine, publisher, fatal) = machine();
        let answer = machine.apply(
            LogIndex(1),
            &entry(0, vec![Record::TopicRemoval { id: [1; 16] }]),
        );
        assert_eq!(Applied::decode(&answer), Some(Applied::Invalid));
        assert_eq!(publisher.image().rejected(), 1);
        assert!(fatal.lock().unwrap().is_empty());
    }

    #[test]
    fn what_only_a_newer_build_understands_stops_the_node() {
        for bytes in [
            {
                let mut bytes = entry(0, vec![]);
                bytes[4] = 9;
                bytes
            },
            entry(0, vec![feature(9)]),
        ] {
            let (mut machine, publisher, fatal) = machine();
            machine.apply(LogIndex(7), &bytes);
            assert_eq!(fatal.lock().unwrap().len(), 1);
            assert!(fatal.lock().unwrap()[0].to_string().contains("upgrade me"));
            machine.apply(LogIndex(8), &entry(0, vec![feature(1)]));
            assert_eq!(
                publisher.image().version(),
                ImageVersion(0),
                "nothing is applied any more"
            );
        }
    }
}
