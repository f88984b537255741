//! The repository checks itself: what a reader may rely on and no compiler guards.
//!
//! - Only the dependency arrows of ARCHITECTURE.md exist, and pure files stay pure.
//! - Every source file says what it is for, and the code map names every module.
//! - Every invariant of ARCHITECTURE.md is cited by a test.
//! - What docs/operations.md promises is shown by tests that exist.
//! - No left-over markers, no bytes outside ASCII in sources.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the root crate a module may name with `crate::`.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("clock", &[]),
    ("telemetry", &[]),
    ("metadata", &[]),
    ("config", &["metadata"]),
    ("controller", &["metadata", "config", "clock", "telemetry"]),
    ("replica", &["metadata", "config", "clock", "telemetry"]),
    (
        "coordinator",
        &[
            "wire",
            "replica",
            "metadata",
            "config",
            "clock",
            "telemetry",
        ],
    ),
    (
        "broker",
        &[
            "wire",
            "coordinator",
            "replica",
            "metadata",
            "controller",
            "config",
            "clock",
        ],
    ),
    ("net", &["wire", "broker", "config", "clock"]),
    (
        "fetcher",
        &["wire", "net", "replica", "metadata", "config", "clock"],
    ),
    ("quorum", &["wire", "net", "broker", "metadata", "config"]),
    (
        "node",
        &[
            "quorum",
            "fetcher",
            "wire",
            "net",
            "broker",
            "coordinator",
            "replica",
            "controller",
            "metadata",
            "config",
            "clock",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "wire",
            "net",
            "config",
            "node",
            "clock",
            "metadata",
            "telemetry",
        ],
    ),
];

/// Files that decide and never act: no runtime, no I/O, no clock, no randomness.
const PURE: &[&str] = &[
    "src/wire/",
    "src/metadata/ids.rs",
    "src/metadata/record.rs",
    "src/metadata/image",
    "src/metadata/delta.rs",
    "src/metadata/snapshot.rs",
    "src/controller/command",
    "src/controller/decide",
    "src/controller/sessions",
    "src/broker/lifecycle.rs",
    "src/replica/core",
    "src/coordinator/group",
    "src/fetcher/session.rs",
    "src/quorum/bootstrap.rs",
    "src/quorum/hello.rs",
    "src/quorum/members.rs",
    "storage/src/batch",
    "storage/src/producer_state",
    "storage/src/epoch_cache.rs",
    "storage/src/validate",
    "storage/src/index",
    "storage/src/compact/group.rs",
    "storage/src/compact/offset_map.rs",
    "storage/src/compact/range.rs",
    "storage/src/compact/rules.rs",
    "storage/src/compact/throttle.rs",
    "storage/src/compact/transactions.rs",
];

const IMPURE_WORDS: &[&str] = &[
    "async fn",
    "tokio::",
    "std::fs",
    "std::net",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "rand::",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust sources below `dirs`, as (path relative to the root, text), in path order.
fn sources(dirs: &[&str]) -> BTreeMap<String, String> {
    fn walk(dir: &Path, out: &mut BTreeMap<String, String>) {
        let entries = fs::read_dir(dir).into_iter().flatten();
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with(".work") {
                    walk(&path, out);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                out.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    for dir in dirs {
        walk(&root().join(dir), &mut out);
    }
    out
}

/// The text before the first test module: what the arrows and purity rules speak of.
fn production_part(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_test.rs") || path.contains("/tests/")
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// The module of the root crate that a file belongs to: `src/wire/api.rs` and `src/wire.rs` are `wire`.
fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    Some(rest.split('/').next()?.trim_end_matches(".rs"))
}

fn crate_modules_named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn only_the_allowed_dependency_arrows_exist() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut found = Vec::new();
    for (path, text) in sources(&["src"]) {
        let Some(module) = module_of(&path) else {
            continue;
        };
        if module == "main" || module == "lib" || is_test_file(&path) {
            continue;
        }
        let Some(targets) = allowed.get(module) else {
            found.push(format!("{path}: module `{module}` has no row in ARROWS"));
            continue;
        };
        for (line_number, line) in code_lines(production_part(&text)) {
            for target in crate_modules_named(line) {
                if target != module && allowed.contains_key(target) && !targets.contains(&target) {
                    found.push(format!("{path}:{line_number}: {module} -> {target}"));
                }
            }
        }
    }
    assert_none("arrows that architecture does not allow", &found);
}

#[test]
fn storage_and_raft_never_meet() {
    let mut found = Vec::new();
    for (dir, stranger) in [("storage/src", "ottla_raft"), ("raft/src", "ottla_storage")] {
        for (path, text) in sources(&[dir]) {
            if text.contains(stranger) {
                found.push(format!("{path} names {stranger}"));
            }
        }
    }
    assert_none("storage/ and raft/ meet", &found);
}

#[test]
fn pure_files_do_no_io_and_read_no_clock() {
    let mut found = Vec::new();
    for (path, text) in sources(&["src", "storage/src", "raft/src"]) {
        if !PURE.iter().any(|prefix| path.starts_with(prefix)) || is_test_file(&path) {
            continue;
        }
        for (line_number, line) in code_lines(production_part(&text)) {
            for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{path}:{line_number}: {word}"));
            }
        }
    }
    assert_none("impure words in pure files", &found);
}

#[test]
fn every_source_file_opens_with_its_purpose() {
    let found: Vec<_> = sources(&["src", "storage", "raft", "jepsen", "tests"])
        .into_iter()
        .filter(|(_, text)| {
            let first = text.lines().find(|line| !line.starts_with("// @generated"));
            !first.is_some_and(|line| line.starts_with("//!"))
        })
        .map(|(path, _)| path)
        .collect();
    assert_none("files that do not open with `//!`", &found);
}

#[test]
fn the_code_map_names_every_file() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut missing = Vec::new();
    for path in sources(&["src", "storage/src", "raft/src", "jepsen/src"]).into_keys() {
        // A directory that the map names with a star speaks for the files in it.
        let named_by_its_directory = Path::new(&path)
            .ancestors()
            .skip(1)
            .any(|dir| map.contains(&format!("`{}/*`", dir.display())));
        if !is_test_file(&path) && !named_by_its_directory && !map.contains(&format!("`{path}`")) {
            missing.push(path);
        }
    }
    assert_none("files that ARCHITECTURE.md does not name", &missing);
}

#[test]
fn every_invariant_is_cited_by_a_test() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let stated: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- **"))
        .filter_map(|line| line.split_once("**").map(|(name, _)| name.to_owned()))
        .filter(|name| is_invariant(name))
        .collect();
    assert!(
        stated.len() >= 10,
        "ARCHITECTURE.md states its invariants as `- **S1** ...`"
    );
    let mut cited = BTreeSet::new();
    for (path, text) in sources(&["src", "storage", "raft", "jepsen", "tests"]) {
        let tests = if is_test_file(&path) || path.contains("tests/") {
            text.as_str()
        } else {
            text.split_once("#[cfg(test)]")
                .map_or("", |(_, tests)| tests)
        };
        cited.extend(
            tests
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| is_invariant(word))
                .map(str::to_owned),
        );
    }
    let missing: Vec<_> = stated.difference(&cited).cloned().collect();
    assert_none("invariants that no test cites", &missing);
}

fn is_invariant(word: &str) -> bool {
    let mut characters = word.chars();
    let letter = characters.next().is_some_and(|c| "SRQMWC".contains(c));
    let digits = characters.as_str();
    letter && !digits.is_empty() && digits.len() <= 2 && digits.chars().all(|c| c.is_ascii_digit())
}

/// Each promise of docs/operations.md names what shows it: a script of tests/show, or a test by its file and its name.
#[test]
fn what_operations_promises_is_shown_by_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (mut named, mut missing) = (0, Vec::new());
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let shown_by = row.trim_end_matches(['|', ' ']).rsplit('|').next();
        let mut tokens = shown_by.unwrap_or_default().split('`').skip(1).step_by(2);
        while let Some(token) = tokens.next() {
            let is_script = token.split_once('-').is_some_and(|(area, number)| {
                ["node", "cluster", "replication", "groups"].contains(&area)
                    && number.parse::<u8>().is_ok()
            });
            if is_script {
                named += 1;
                if !root().join("tests/show").join(token).exists() {
                    missing.push(format!("tests/show/{token}"));
                }
            } else if Path::new(token)
                .extension()
                .is_some_and(|kind| kind == "rs")
            {
                named += 1;
                let name = tokens.next().unwrap_or_default();
                let text = fs::read_to_string(root().join(token)).unwrap_or_default();
                if name.is_empty() || !text.contains(&format!("fn {name}(")) {
                    missing.push(format!("{token}: {name}"));
                }
            }
        }
    }
    assert!(
        named >= 20,
        "promises are rows that end with what shows them"
    );
    assert_none(
        "tests that docs/operations.md names and nobody wrote",
        &missing,
    );
}

#[test]
fn sources_hold_no_markers_and_only_ascii() {
    // Spelt in two halves, so that this file does not find itself.
    let markers = [
        concat!("FIX", "ME"),
        concat!("dbg", "!("),
        concat!("todo", "!("),
    ];
    let mut found = Vec::new();
    for (path, text) in sources(&["src", "storage", "raft", "jepsen", "tests"]) {
        for (index, line) in text.lines().enumerate() {
            if markers.iter().any(|marker| line.contains(marker)) {
                found.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
            if !line.is_ascii() {
                found.push(format!("{path}:{}: not ASCII", index + 1));
            }
        }
    }
    assert_none("markers or bytes outside ASCII", &found);
}
