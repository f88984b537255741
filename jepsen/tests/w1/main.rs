//! The checker of the log workload against a corpus: one clean history, and what breaks in it, each by its name.
//!
//! `corpus/NAME.edn` is a history, `corpus/NAME.json` the verdict that it deserves: both come from the program here,
//! none of it from the checker. `OTTLA_REGENERATE=1 cargo test -p ottla-jepsen --test w1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{env, fs};

use ottla_jepsen::history::{Format, HistoryBuilder, Key, Kind, Note, Operation, Reader, Writer};
use ottla_jepsen::w1::{self, Class, Rules, Verdict, Word};

mod clean;
mod mutations;
mod story;

use mutations::Mutation;
use story::Story;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/w1/corpus")
}

/// Each history with its name.
fn stories() -> Vec<(&'static str, Story)> {
    let mut stories = vec![("clean", Story::clean())];
    for (name, edit) in mutations::all() {
        let mut story = Story::clean();
        edit(&mut story);
        stories.push((name, story));
    }
    stories
}

fn write(operations: &[Operation], format: Format) -> String {
    let mut text = Vec::new();
    let mut writer = Writer::new(&mut text, format);
    for operation in operations {
        writer.write(operation).unwrap();
    }
    String::from_utf8(text).unwrap()
}

fn json(verdict: &Verdict) -> String {
    let mut text = Vec::new();
    verdict.write_json(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The corpus as it should stand, by file name.
fn files() -> Vec<(String, String)> {
    let both = |(name, story): (&str, Story)| {
        [
            (format!("{name}.edn"), write(&story.operations, Format::Edn)),
            (format!("{name}.json"), json(&story.verdict())),
        ]
    };
    stories().into_iter().flat_map(both).collect()
}

/// Before any test reads the corpus, it is written if that was asked for.
fn regenerate_if_asked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if env::var_os("OTTLA_REGENERATE").is_some() {
            fs::create_dir_all(corpus()).unwrap();
            for (name, text) in files() {
                fs::write(corpus().join(name), text).unwrap();
            }
        }
    });
}

#[test]
fn committed_corpus_is_what_the_program_makes() {
    regenerate_if_asked();
    let files = files();
    for (name, expected) in &files {
        let committed = fs::read_to_string(corpus().join(name)).unwrap_or_default();
        assert!(
            committed == *expected,
            "{name} differs; run OTTLA_REGENERATE=1 cargo test -p ottla-jepsen --test w1"
        );
    }
    let entries = fs::read_dir(corpus()).unwrap();
    let committed: BTreeSet<_> = entries.map(|e| e.unwrap().file_name()).collect();
    let made = files.iter().map(|(name, _)| name.into()).collect();
    assert_eq!(committed, made, "the corpus holds what nothing makes");
}

#[test]
fn the_checker_finds_exactly_what_breaks() {
    regenerate_if_asked();
    let mut wrong = Vec::new();
    for (name, story) in stories() {
        let path = corpus().join(name);
        let verdict = w1::check_file(&path.with_extension("edn"), Rules::default()).unwrap();
        let expected = fs::read_to_string(path.with_extension("json")).unwrap();
        if json(&verdict) != expected {
            let due = story.verdict();
            wrong.push(format!("== {name}: found\n{verdict}\nexpected\n{due}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Both file forms hold the same history.
#[test]
fn the_corpus_reads_the_same_as_json_lines() {
    for (name, story) in stories() {
        for format in [Format::Edn, Format::JsonLines] {
            let text = write(&story.operations, format);
            let read: Result<Vec<_>, _> = Reader::new(text.as_bytes(), format).collect();
            assert_eq!(read.unwrap(), story.operations, "{name}");
        }
    }
}

#[test]
fn the_corpus_shows_each_anomaly_and_one_clean_history() {
    let stories = stories();
    assert_eq!(stories.len(), 41);
    let shown = |class: Class| {
        let shows = |story: &Story| story.verdict().anomalies.iter().any(|a| a.class == class);
        stories.iter().any(|(_, story)| shows(story))
    };
    let missing: Vec<_> = Class::ALL.iter().filter(|class| !shown(**class)).collect();
    assert!(missing.is_empty(), "no history shows {missing:?}");
    assert_eq!(stories[0].1.verdict().verdict, Word::Valid);
    assert!(stories[0].1.verdict().anomalies.is_empty());
}

/// Edits that look bad and are not: what they would be called stands beside them.
#[test]
fn the_checker_does_not_accuse_the_innocent() {
    let edits: [Mutation; 4] = [
        ("an operation that never ends is no phantom's", |story| {
            let end = story.sent(10, 11);
            story.remove(end);
        }),
        ("a skip of a key that moved meanwhile", |story| {
            let process = story.finals[1];
            let end = story.set_records(process, 10, 14, &[(14, 13), (16, 15)]);
            let moved = Note::RebalanceLog(vec![vec![Key(10)]]);
            story.operations[end].notes.push(moved);
        }),
        (
            "an acknowledgement that does not tell the offset",
            |story| {
                let end = story.sent(10, 7);
                let begin = story.begin_of(end);
                story.operations[end].action = story.operations[begin].action.clone();
            },
        ),
        ("a lost value that nobody promised", |story| {
            let end = story.sent(10, 1);
            story.operations[end].kind = Kind::Fail;
            story.drop_reads(10, &[1], &[Kind::Ok]);
        }),
    ];
    for (name, edit) in edits {
        let mut story = Story::clean();
        edit(&mut story);
        let mut history = HistoryBuilder::default();
        for operation in story.operations {
            history.push(operation).unwrap();
        }
        let verdict = w1::check(&history.finish(), Rules::default());
        assert!(verdict.anomalies.is_empty(), "{name}: {verdict}");
        assert_eq!(verdict.verdict, Word::Valid, "{name}");
    }
}
