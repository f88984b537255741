//! A node that can't start says why in one line, names the way out, and exits with 1.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::{Lab, OTTLA};

fn start(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(OTTLA);
    command.args(["node", "start", "--data"]).arg(data);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(arguments).output().unwrap()
}

/// Exit code 1 and one line on standard error that holds every one of `words`.
fn assert_refused(output: &Output, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_port_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = start(directory.path(), &["--listen", &address]);
    assert_refused(&output, &[&address, "in use"]);
}

#[test]
fn a_directory_that_another_process_has() {
    let lab = Lab::start();
    let output = start(&lab.data().join("data"), &[]);
    assert_refused(&output, &["data", "another process"]);
}

#[test]
fn a_directory_of_another_node() {
    let mut lab = Lab::start();
    lab.stop_and_restart();
    let data = lab.data().join("data");
    lab.node.take().unwrap().stop().unwrap();
    let output = start(&data, &["--id", "7"]);
    assert_refused(&output, &["node", "7"]);
}

#[test]
fn a_directory_of_a_newer_format() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("meta.properties"),
        "version=99\nnode.id=1\n",
    )
    .unwrap();
    let output = start(directory.path(), &[]);
    assert_refused(&output, &["99", "newer ottla"]);
}

/// A node alone whose quorum's log was gone began a second history under the old cluster's name, and set every
/// partition aside as a stray.
#[test]
fn a_directory_whose_quorum_log_is_gone() {
    let mut lab = Lab::start();
    let data = lab.data().join("data");
    lab.node.take().unwrap().stop().unwrap();
    fs::remove_dir_all(data.join("raft")).unwrap();
    assert_refused(&start(&data, &[]), &["raft", "which is gone"]);
}

/// The first directory holds the quorum's log: with another one there, the log seems never to have been.
#[test]
fn directories_in_another_order() {
    let mut lab = Lab::start();
    let data = lab.data().join("data");
    lab.node.take().unwrap().stop().unwrap();
    let new = tempfile::tempdir().unwrap();
    let new = new.path().to_str().unwrap();
    let data_flag = ["--data", data.to_str().unwrap()];
    assert_refused(
        &start(Path::new(new), &data_flag),
        &[new, "metadata.log.dir"],
    );
}

#[test]
fn a_directory_that_is_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    assert_refused(&start(&file, &[]), &["file"]);
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.properties");
    let output = start(
        directory.path(),
        &["--config-file", missing.to_str().unwrap()],
    );
    assert_refused(&output, &["missing.properties"]);
    let output = start(directory.path(), &["--config", "log.segment.bytes=many"]);
    assert_refused(&output, &["log.segment.bytes", "many"]);
}

#[test]
fn a_typo_in_a_key_with_the_key_that_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let output = start(directory.path(), &["--config", "log.retention.mss=5"]);
    assert_refused(&output, &["log.retention.mss", "log.retention.ms"]);
}

#[test]
fn a_known_key_that_is_not_used_is_no_reason() {
    let lab = Lab::start_with(["num.io.threads=8"]);
    lab.connect();
}
