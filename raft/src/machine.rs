//! The user's state machine as openraft sees it: fed in order, restored from the newest snapshot.
//!
//! The state itself is never written except as a snapshot; a start replays the log behind it.

use std::io::{self, Cursor};
use std::sync::{Mutex, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use tokio::sync::watch;

use crate::engine::{
    self, Entry, LogId, Response, SnapshotMeta, StorageError, StoredMembership, Types,
};
use crate::error::StartError;
use crate::ports::StateMachine;
use crate::snapshot::Snapshots;
use crate::types::LogIndex;

pub(crate) struct Machine {
    /// Locked by one task only: the lock is for types that are `Send` and not `Sync`.
    user: Mutex<Box<dyn StateMachine>>,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Snapshots,
    applied: watch::Sender<Option<LogIndex>>,
}

impl Machine {
    /// Restores the newest snapshot, if there is one.
    pub(crate) fn open(
        mut user: Box<dyn StateMachine>,
        snapshots: Snapshots,
    ) -> Result<Self, StartError> {
        let mut last_applied = None;
        let mut membership = StoredMembership::default();
        if let Some(current) = snapshots.current() {
            last_applied = current.meta.last_log_id;
            membership = current.meta.last_membership.clone();
            let index = LogIndex(last_applied.map_or(0, |id| id.index));
            let restored = user.restore(index, current.state());
            restored.map_err(|source| StartError::Restore {
                path: current.path,
                source,
            })?;
        }
        let applied = watch::Sender::new(last_applied.map(|id| LogIndex(id.index)));
        let user = Mutex::new(user);
        Ok(Self {
            user,
            last_applied,
            membership,
            snapshots,
            applied,
        })
    }

    pub(crate) fn applied(&self) -> watch::Receiver<Option<LogIndex>> {
        self.applied.subscribe()
    }

    /// How far the state goes; at the start, how far the snapshot does.
    pub(crate) fn last_applied(&self) -> Option<LogId> {
        self.last_applied
    }

    fn with_user<R>(&self, f: impl FnOnce(&mut dyn StateMachine) -> R) -> R {
        f(&mut **self.user.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Response>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut responses = Vec::new();
        for entry in entries {
            let mut response = Response::default();
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(command) => {
                    let index = LogIndex(entry.log_id.index);
                    response.0 = self.with_user(|user| user.apply(index, &command.bytes));
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            self.last_applied = Some(entry.log_id);
            responses.push(response);
        }
        self.applied
            .send_replace(self.last_applied.map(|id| LogIndex(id.index)));
        Ok(responses)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let term = self.last_applied.map_or(0, |id| id.leader_id.term);
        let index = self.last_applied.map_or(0, |id| id.index);
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            // Equal on every node for an equal state, so that a transfer can go on from another.
            snapshot_id: format!("{term}-{index}"),
        };
        let state = self.with_user(|user| user.snapshot());
        Builder {
            meta,
            state,
            snapshots: self.snapshots.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let state = snapshot.into_inner();
        let index = LogIndex(meta.last_log_id.map_or(0, |id| id.index));
        // Durable first: openraft purges the log up to it once this returns.
        let saved = self.snapshots.save(meta.clone(), state.clone()).await;
        saved.map_err(|error| engine::snapshot_error(&error))?;
        let restored = self.with_user(|user| user.restore(index, &state));
        restored.map_err(|error| engine::snapshot_error(&io::Error::other(error)))?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.applied
            .send_replace(self.last_applied.map(|id| LogIndex(id.index)));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let current = self.snapshots.current();
        Ok(current.map(|current| Snapshot {
            snapshot: Box::new(Cursor::new(current.state().to_vec())),
            meta: current.meta,
        }))
    }
}

/// A state on its way to disk.
pub(crate) struct Builder {
    meta: SnapshotMeta,
    state: Vec<u8>,
    snapshots: Snapshots,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let state = std::mem::take(&mut self.state);
        let saved = self.snapshots.save(self.meta.clone(), state.clone()).await;
        saved.map_err(|error| engine::snapshot_error(&error))?;
        Ok(Snapshot {
            meta: self.meta.clone(),
            snapshot: Box::new(Cursor::new(state)),
        })
    }
}
