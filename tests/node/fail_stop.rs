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
use crate::records::{batch, create_topic, produce};

/// The quorum's log could not be synced: whatever was written since is in doubt, so nothing is flushed or marked clean.
#[test]
fn a_failed_sync_of_the_quorum_log_ends_the_node_without_a_clean_marker() {
    let (data, quorum) = (SimDisk::new(), SimDisk::new());
    assert_ends(&data, &quorum, &quorum);
    assert!(data.read(Path::new("/data/partition-journal")).is_some());
    assert!(data.read(Path::new("/data/.kafka_cleanshutdown")).is_none());
}

/// A broker without a directory stayed live, and was given leaderships that it could not take up.
#[test]
fn a_failed_sync_of_the_only_directory_ends_the_node_without_a_clean_marker() {
    let (data, quorum) = (SimDisk::new(), SimDisk::new());
    assert_ends(&data, &quorum, &data);
    assert!(data.read(Path::new("/data/.kafka_cleanshutdown")).is_none());
}

/// Starts a node, has the next sync of one disk fail, and waits for the node's end.
fn assert_ends(data: &SimDisk, quorum: &SimDisk, failing: &SimDisk) {
    let disks = Disks {
        storage: Arc::new(data.mount()),
        raft: Arc::new(quorum.mount()),
    };
    let address = free_address();
    let listen = address.to_string();
    let words = [
        "ottla",
        "node",
        "start",
        "--data",
        "/data",
        "--listen",
        &listen,
        "--config",
        "flush.on.ack=true",
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
    failing.fail_next_syncs(1);
    // They make both disks sync; a node that ends need not answer, so nobody waits for it.
    std::thread::spawn(move || {
        let mut client = Client::connect(address);
        for _ in 0..100 {
            produce(&mut client, "t", -1, &batch(&["value"]));
        }
        create_topic(&mut client, "u");
    });
    let code = node.join().unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
}

/// Taken and given back, on an address of this test's own: no other test is given the port in the meantime.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.77:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
