//! Takes the pieces of a snapshot.

use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::InstallSnapshotRequest;

use super::pieces::Misplaced;
use crate::engine::Types;
use crate::node::Inner;
use crate::rpc::{Answer, Refusal};

impl Inner {
    /// Hands a piece on if it continues what was received.
    pub(super) async fn take_piece(
        &self,
        piece: InstallSnapshotRequest<Types>,
    ) -> Result<Answer, Refusal> {
        // The last piece would have openraft wait for the disk, and the whole node with it.
        if self.is_disk_full() {
            self.log.nudge();
            return Err(Refusal::DiskFull);
        }
        // Held while openraft has the piece: what it received and what is noted here stay the same.
        let mut pieces = self.pieces.lock().await;
        let id = piece.meta.snapshot_id.clone();
        let size = match pieces.place(&id, piece.offset, piece.data.len()) {
            Ok(size) => size,
            // The sender begins again.
            Err(Misplaced::Gap { received }) => {
                return Ok(Answer::SnapshotMismatch {
                    expected: (id.clone(), received),
                    found: (id, piece.offset),
                });
            }
            Err(Misplaced::TooLarge) => return Err(Refusal::Malformed),
        };
        let (vote, is_last) = (piece.vote, piece.done);
        // Should this call be dropped on the way, nobody knows what openraft did with the piece. To
        // have forgotten all of the snapshot is then right: it is sent from its beginning.
        let before = pieces.take();
        let answer = match self.engine.install_snapshot(piece).await {
            Ok(answer) => answer,
            Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(error))) => {
                return Ok(Answer::SnapshotMismatch {
                    expected: (error.expect.id, error.expect.offset),
                    found: (error.got.id, error.got.offset),
                });
            }
            Err(RaftError::Fatal(_)) => return Err(Refusal::Stopped),
        };
        if vote < answer.vote {
            // openraft doesn't look at what a former leader sends.
            *pieces = before;
        } else if !is_last {
            pieces.note(id, size);
        }
        Ok(Answer::Snapshot {
            vote: (&answer.vote).into(),
        })
    }
}
