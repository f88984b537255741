//! `ottla dev`: a cluster that comes and goes with one command.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::run::{Done, OTTLA, ottla_with};
use crate::whole::signal;

/// A cluster that runs, and what it printed.
struct Dev {
    process: Child,
    bootstrap: String,
}

impl Dev {
    fn start(temporary: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(OTTLA)
            .arg("dev")
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut bootstrap = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut bootstrap).unwrap();
        let bootstrap = bootstrap.trim_end().to_owned();
        Self { process, bootstrap }
    }

    fn run(&self, line: &str, input: &str) -> Done {
        let words = line.split(' ').chain(["-b", &self.bootstrap]);
        ottla_with(&words.collect::<Vec<_>>(), input.as_bytes())
    }

    /// Waits for the end; the exit code and the messages.
    fn end(mut self) -> (Option<i32>, String) {
        let mut messages = String::new();
        let stderr = self.process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut messages).unwrap();
        (self.process.wait().unwrap().code(), messages)
    }
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

#[test]
fn one_node_comes_and_goes_without_a_trace() {
    let temporary = tempfile::tempdir().unwrap();
    let dev = Dev::start(temporary.path(), &["-c", "num.partitions=3"]);
    assert_eq!(dev.run("cluster health --wait --brokers 1", "").code(), 0);
    assert_eq!(dev.run("produce t", "line\n").code(), 0);
    assert_eq!(dev.run("consume t -o start -n 1", "").stdout(), "line\n");
    let topics = dev.run("topic list", "").stdout();
    assert_eq!(topics, "NAME  PARTITIONS  REPLICAS\nt     3           1\n");
    assert!(!is_empty(temporary.path()));
    signal(&dev.process, Signal::INT);
    let (code, messages) = dev.end();
    assert_eq!(code, Some(0), "{messages}");
    assert!(messages.contains("1 node serves"), "{messages}");
    assert!(is_empty(temporary.path()), "nothing stays");
}

#[test]
fn a_directory_that_was_named_keeps_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_str().unwrap();
    let dev = Dev::start(directory.path(), &["--dir", home]);
    assert_eq!(dev.run("produce t", "kept\n").code(), 0);
    signal(&dev.process, Signal::TERM);
    assert_eq!(dev.end().0, Some(0));
    let dev = Dev::start(directory.path(), &["--dir", home]);
    assert_eq!(dev.run("consume t -o start -n 1", "").stdout(), "kept\n");
    signal(&dev.process, Signal::TERM);
    assert_eq!(dev.end().0, Some(0));
}

#[test]
fn a_node_that_ends_unasked_ends_the_cluster() {
    let temporary = tempfile::tempdir().unwrap();
    let dev = Dev::start(temporary.path(), &["-c", "no.such.setting.of.kafka=1"]);
    assert_eq!(dev.bootstrap, "");
    let (code, messages) = dev.end();
    assert_eq!(code, Some(1), "{messages}");
    for words in ["node 1 ended unasked", "no.such.setting.of.kafka"] {
        assert!(messages.contains(words), "{words} is not in: {messages}");
    }
    assert!(is_empty(temporary.path()), "nothing stays");
}
