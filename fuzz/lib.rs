//! The codec and the quorum's formats alone, under the names of the crates that they are part of: the
//! dependencies of the rest would take minutes to build with instrumentation and are not fuzzed.

#[path = "../src/wire/mod.rs"]
pub mod wire;

// `raft/`, of which only these modules read bytes.
#[path = "../raft/src/archive.rs"]
mod archive;
#[path = "../raft/src/cursor.rs"]
mod cursor;
#[path = "../raft/src/inspect.rs"]
pub mod inspect;
#[path = "raft_log.rs"]
mod log;
#[path = "../raft/src/rpc.rs"]
#[allow(dead_code, reason = "the side that writes is not fuzzed")]
mod rpc;
#[path = "raft_snapshot.rs"]
mod snapshot;
#[path = "../raft/src/types.rs"]
#[allow(dead_code, reason = "formats use a part of them")]
mod types;

/// Whether the bytes are a call or an answer between quorum nodes.
pub fn is_raft_message(bytes: &[u8]) -> bool {
    rpc::decode_request(bytes).is_ok() || rpc::decode_response(bytes).is_ok()
}
