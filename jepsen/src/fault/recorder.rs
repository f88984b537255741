//! Writes the history while it happens, in both file forms.
//!
//! An event's time is taken when it is recorded, so time and index have one order. A failed write is kept and told at
//! the end: a run is not judged by half a history.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ottla::clock;

use crate::history::{Action, Datum, Format, Index, Kind, Name, Note, Operation, Process, Writer};

/// The file names.
const EDN: &str = "history.edn";
const JSON_LINES: &str = "history.jsonl";

/// A history that is being written.
#[derive(Debug)]
pub(super) struct Recorder {
    started: Duration,
    next_index: u64,
    writers: [Writer<BufWriter<File>>; 2],
    open: BTreeMap<u64, Action>,
    failed: Option<io::Error>,
    edn: PathBuf,
}

impl Recorder {
    /// Begins an empty history in `dir`; its time begins now.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let edn = dir.join(EDN);
        let file = |path: &Path| File::create(path).map(BufWriter::new);
        let writers = [
            Writer::new(file(&edn)?, Format::Edn),
            Writer::new(file(&dir.join(JSON_LINES))?, Format::JsonLines),
        ];
        Ok(Self {
            started: clock::uptime(),
            next_index: 0,
            writers,
            open: BTreeMap::new(),
            failed: None,
            edn,
        })
    }

    /// Records a client's event.
    pub(super) fn client(&mut self, process: u64, kind: Kind, action: Action, notes: Vec<Note>) {
        match kind {
            Kind::Invoke => drop(self.open.insert(process, action.clone())),
            Kind::Ok | Kind::Fail | Kind::Info => drop(self.open.remove(&process)),
        }
        self.push(Process::Client(process), kind, action, notes);
    }

    /// Records what the nemesis does.
    pub(super) fn nemesis(&mut self, name: &'static str, what: Datum) {
        let action = Action::Other(Name::literal(name), what);
        let process = Process::Other(Name::literal("nemesis"));
        self.push(process, Kind::Info, action, Vec::new());
    }

    /// Ends what is open, and the files; returns where the EDN form is.
    pub(super) fn finish(&mut self) -> io::Result<PathBuf> {
        for (process, action) in std::mem::take(&mut self.open) {
            self.push(Process::Client(process), Kind::Info, action, Vec::new());
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        for writer in &mut self.writers {
            writer.sink().flush()?;
            writer.sink().get_ref().sync_all()?;
        }
        Ok(self.edn.clone())
    }

    fn push(&mut self, process: Process, kind: Kind, action: Action, notes: Vec<Note>) {
        let since = clock::uptime().saturating_sub(self.started);
        let operation = Operation {
            index: Index(self.next_index),
            time: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            kind,
            process,
            action,
            notes,
        };
        self.next_index += 1;
        for writer in &mut self.writers {
            if let Err(error) = writer.write(&operation) {
                self.failed.get_or_insert(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, Key, MicroOp, Outcome, Value, Verb};

    #[test]
    fn what_is_open_at_the_end_is_closed_as_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path()).unwrap();
        let send = MicroOp::Send {
            key: Key(3),
            offset: None,
            value: Value(7),
        };
        let action = Action::MicroOps(Verb::Send, vec![send]);
        recorder.client(0, Kind::Invoke, action, Vec::new());
        recorder.nemesis("kill", Datum::Int(1));
        let edn = recorder.finish().unwrap();
        let history = History::read(&edn).unwrap();
        let [attempt] = history.attempts() else {
            panic!("one operation: {history:?}");
        };
        assert_eq!(attempt.outcome, Outcome::Info);
        assert!(attempt.completed.is_some());
        let lines = History::read(&dir.path().join(JSON_LINES)).unwrap();
        assert_eq!(lines, history);
    }
}
