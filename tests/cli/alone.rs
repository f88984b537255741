//! What needs no node: the command line itself, errors that say what to do, files.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use ottla_storage::Offset;
use ottla_storage::batch::{BatchBuilder, BatchView, Compression, CompressionLevels, NewRecord};

use crate::run::{OTTLA, ottla, ottla_with};

#[test]
fn the_version_is_that_of_the_package() {
    let done = ottla(&["--version"]);
    assert_eq!(done.code(), 0);
    assert_eq!(
        done.stdout(),
        concat!("ottla ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_two() {
    for line in [
        &["no-such-noun"][..],
        &["topic", "create"],
        &["topic", "create", "t", "-p", "0"],
        &["consume", "t", "-f", "%q"],
        &["consume", "t", "-o", "yesterday"],
        &["consume", "t", "--from-beginning", "-o", "end"],
        &["produce", "t", "--acks", "2"],
        &["group", "describe"],
        &["group", "list", "--state", "asleep"],
        &["group", "reset-offsets", "g", "--to-latest"],
        &["group", "reset-offsets", "g", "--all-topics"],
        &[
            "group",
            "reset-offsets",
            "g",
            "--all-topics",
            "--to-latest",
            "--to-earliest",
        ],
        &[
            "group",
            "reset-offsets",
            "g",
            "--all-topics",
            "--by-duration",
            "P1M",
        ],
        &["topic", "list", "-b", "host:port"],
    ] {
        let done = ottla(line);
        assert_eq!(done.code(), 2, "{line:?}: {}", done.stderr());
        assert_eq!(done.stdout(), "");
    }
}

#[test]
fn a_node_that_is_not_there_is_said_with_the_way_out() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    for line in [
        &["topic", "list"][..],
        &["cluster", "status"],
        &["quorum", "status"],
        &["consume", "t"],
        &["produce", "t"],
    ] {
        let line: Vec<&str> = line.iter().copied().chain(["-b", &gone]).collect();
        let done = ottla_with(&line, b"text\n");
        done.assert_failed(&[&gone, "refused", "ottla node start"]);
        assert_eq!(done.stderr().lines().count(), 1, "{}", done.stderr());
    }
}

#[test]
fn deleting_without_a_terminal_needs_a_yes() {
    let done = ottla(&["topic", "delete", "t"]);
    done.assert_failed(&["--yes"]);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let done = ottla(&["completions", shell]);
        assert_eq!(done.code(), 0);
        assert!(done.stdout().contains("bootstrap"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut child = Command::new(OTTLA)
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut error = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut error)
        .unwrap();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));
}

fn batch(base: i64, codec: Compression, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new()
        .base_offset(Offset::from_wire(base).unwrap())
        .compression(codec, CompressionLevels::default());
    let record = NewRecord {
        key: Some(b"key"),
        value: Some(value),
        headers: &[(b"name", Some(b"text"))],
        ..NewRecord::default()
    };
    builder.append(&record).unwrap();
    builder.build().unwrap()
}

#[test]
fn a_segment_is_dumped_with_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("00000000000000000000.log");
    let batches = [
        batch(0, Compression::None, b"one"),
        batch(1, Compression::Zstd, b"two"),
    ];
    fs::write(&file, batches.concat()).unwrap();

    let done = ottla(&["log", "dump", "--records", file.to_str().unwrap()]);
    assert_eq!(done.code(), 0, "{}", done.stderr());
    let table = done.stdout();
    for words in ["zstd", "\"key\"", "\"one\"", "\"two\"", "name=\"text\""] {
        assert!(table.contains(words), "{words} is not in: {table}");
    }

    let done = ottla(&["log", "dump", "--output", "json", file.to_str().unwrap()]);
    let lines: Vec<serde_json::Value> = done
        .stdout()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["base_offset"], 1);
    assert_eq!(lines[1]["crc_valid"], true);
}

#[test]
fn a_damaged_segment_is_dumped_up_to_the_damage() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("00000000000000000000.log");
    let mut bytes = batch(0, Compression::None, b"one");
    let whole = bytes.len();
    bytes.extend(batch(1, Compression::None, b"two"));
    bytes.pop();
    fs::write(&file, &bytes).unwrap();
    let done = ottla(&["log", "dump", file.to_str().unwrap()]);
    done.assert_failed(&["position", &whole.to_string(), "cut"]);
    let shown = BatchView::parse(&bytes).unwrap().header().crc();
    assert_eq!(done.stdout().matches(&format!("{shown:08x}")).count(), 1);
    assert!(!done.stdout().contains("BAD"));
}

#[test]
fn every_cut_and_every_bit_of_a_segment_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("00000000000000000000.log");
    let bytes = batch(0, Compression::Lz4, b"one");
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x80;
        for bytes in [&damaged[..], &bytes[..position]] {
            fs::write(&file, bytes).unwrap();
            let done = ottla(&["log", "dump", "--records", file.to_str().unwrap()]);
            assert!(done.code() <= 1, "byte {position}: {}", done.stderr());
            assert!(!done.stderr().contains("panicked"), "{}", done.stderr());
        }
    }
}

#[test]
fn a_file_of_an_unknown_kind_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.txt");
    fs::write(&file, "text").unwrap();
    ottla(&["log", "dump", file.to_str().unwrap()]).assert_failed(&["notes.txt", "--help"]);
}
