//! Decision 13: a node that can't trust itself ends at once, and leaves what a crash leaves.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ottla::node::Disks;
use ottla_jepsen::disk::SimDisk;

use crate::client::Client;
use crate::records::create_topic;

/// The quorum's log could not be synced: whatever was written since is in doubt, so nothing is flushed or marked clean.
#[test]
fn a_failed_sync_of_the_quorum_log_ends_the_node_without_a_clean_marker() {
    let (data, quorum) = (SimDisk::new(), SimDisk::new());
    let disks = Disks {
        storage: Arc::new(data.mount()),
        raft: Arc::new(quorum.mount()),
    };
    let address = free_address();
    let listen = address.to_string();
    let words = [
        "ottla", "node", "start", "--data", "/data", "--listen", &listen,
    ];
    let words = words.map(OsString::from);
    let node = std::thread::spawn(move || ottla::cli::run(words, &disks));
    while TcpStream::connect(address).is_err() {
        assert!(!node.is_finished(), "the node did not start");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // It listens a moment before the controller lets it in, and has no broker to place a topic on until then.
    while create_topic(&mut Client::connect(address), "t").code() != 0 {
        assert!(!node.is_finished(), "the node ended");
    }
    quorum.fail_next_syncs(1);
    // It makes the quorum write; a node that ends need not answer, so nobody waits for it.
    std::thread::spawn(move || create_topic(&mut Client::connect(address), "u"));
    let code = node.join().unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    assert!(data.read(Path::new("/data/partition-journal")).is_some());
    assert!(data.read(Path::new("/data/.kafka_cleanshutdown")).is_none());
}

/// Taken and given back, on an address of this test's own: no other test is given the port in the meantime.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.77:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
