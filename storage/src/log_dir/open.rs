//! Making and opening logs, on the I/O thread.

use std::sync::Arc;

use super::{Catalog, Config, LogDir, LogStatus, OpenDone, names, refuse};
use crate::directory::{Directory, Fault, replace_file};
use crate::ids::Offset;
use crate::journal::{LogKey, LogState};
use crate::log::{LogShared, Opened, PartitionLog};
use crate::partition_metadata;
use crate::planted::is_planted;
use crate::recovery::{self, OpenError, Site};

impl LogDir {
    /// Opens a log; `done` is called on the I/O thread.
    pub fn open(&self, key: LogKey, config: Config, done: OpenDone) {
        let catalog = Arc::clone(&self.catalog);
        self.submit(done, move |directory| {
            open(directory, &catalog, key, &config)
        });
    }

    /// Opens a log, making it first if there is none. The topic's id is on stable storage before this is done.
    pub fn create(&self, key: LogKey, topic: &str, config: Config, done: OpenDone) {
        let catalog = Arc::clone(&self.catalog);
        let topic: Arc<str> = Arc::from(topic);
        self.submit(done, move |directory| {
            if directory.journal.state(key).is_none() {
                make(directory, key, &topic)?;
            }
            open(directory, &catalog, key, &config)
        });
    }

    fn submit(
        &self,
        done: OpenDone,
        work: impl FnOnce(&Arc<Directory>) -> Result<PartitionLog, OpenError> + Send + 'static,
    ) {
        // The caller gets its answer whether or not the queue takes the job.
        let done = Arc::new(std::sync::Mutex::new(Some(done)));
        let take = |done: &std::sync::Mutex<Option<OpenDone>>| {
            done.lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take()
        };
        let on_thread = Arc::clone(&done);
        let job = Box::new(move |directory: &Arc<Directory>| {
            let result = match directory.failure() {
                Some(failure) => Err(OpenError::Offline(failure)),
                None => work(directory),
            };
            if let Err(error) = &result {
                draw_consequence(directory, error);
            }
            if let Some(done) = take(&on_thread) {
                done(result);
            }
        });
        if let Err(full) = self.offer(job)
            && let Some(done) = take(&done)
        {
            refuse(done, full);
        }
    }
}

/// A failed call takes the directory offline, a full disk is a state; a damaged log concerns only itself.
pub(super) fn draw_consequence(directory: &Directory, error: &OpenError) {
    match error {
        OpenError::DiskFull => directory.met_full_disk(),
        OpenError::Io { source } => directory.fail(source.kind().into()),
        _ => {}
    }
}

/// Makes the directory of a new log. In the journal last: what the journal knows of, the disk has.
fn make(directory: &Arc<Directory>, key: LogKey, topic: &Arc<str>) -> Result<(), OpenError> {
    let name = names::log_dir_name(topic, key.partition);
    let dir = directory.path.join(&name);
    directory.fs.create_dir(&dir).map_err(Fault::of_call)?;
    match recovery::read_metadata(&*directory.fs, &dir)? {
        Some(log) if log != key.log => {
            // A topic that was deleted and made again before the old one's files were renamed.
            let owner = LogKey {
                log,
                partition: key.partition,
            };
            return Err(OpenError::DirectoryTaken { name, owner });
        }
        _ => {}
    }
    let text = partition_metadata::encode(key.log);
    replace_file(
        &*directory.fs,
        &dir.join(partition_metadata::FILE),
        text.as_bytes(),
    )?;
    directory.fs.sync_dir(&dir).map_err(Fault::Sync)?;
    let state = LogState {
        topic: Arc::clone(topic),
        recovery_point: Offset::ZERO,
        log_end: Offset::ZERO,
        log_start: Offset::ZERO,
        high_watermark: Offset::ZERO,
        last_epoch: None,
        active_base: Offset::ZERO,
        active_size: 0,
        is_dirty: false,
    };
    directory.journal.put(key, state).map_err(Fault::of_call)?;
    Ok(())
}

fn open(
    directory: &Arc<Directory>,
    catalog: &Catalog,
    key: LogKey,
    config: &Config,
) -> Result<PartitionLog, OpenError> {
    let state = directory.journal.state(key).ok_or(OpenError::Unknown)?;
    match catalog.status(key) {
        LogStatus::Closed => {}
        LogStatus::Open => return Err(OpenError::AlreadyOpen),
        LogStatus::Unrecovered => return Err(OpenError::Unrecovered),
        LogStatus::Offline(source) => return Err(OpenError::LogOffline { source }),
    }
    let log = open_closed(directory, key, state, config).inspect_err(|error| {
        if is_about_the_log(error) {
            tracing::error!(%key, %error, "the log is offline");
        }
    })?;
    catalog.set(key, LogStatus::Open);
    Ok(log)
}

/// Whether another try can not help.
pub(super) fn is_about_the_log(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::MissingDirectory { .. }
            | OpenError::WrongTopic { .. }
            | OpenError::NoMetadata
            | OpenError::DamagedMetadata(_)
            | OpenError::LostSynced { .. }
            | OpenError::Read(_)
    )
}

fn open_closed(
    directory: &Arc<Directory>,
    key: LogKey,
    mut state: LogState,
    config: &Config,
) -> Result<PartitionLog, OpenError> {
    let name = names::log_dir_name(&state.topic, key.partition);
    let site = Site::new(directory, key, &name, Arc::clone(config));
    let mut found = recovery::load(&site, &state)?;
    if found.is_none() {
        // There are bytes that the journal had not heard of when the power went.
        tracing::warn!(%key, "not as it was closed: scanned");
        state = recovery::recover(&site, &state)?;
        directory
            .journal
            .put(key, state.clone())
            .map_err(Fault::of_call)?;
        found = recovery::load(&site, &state)?;
    }
    let Some(found) = found else {
        // Recovery has just made the files what the journal says.
        return Err(OpenError::Io {
            source: std::io::ErrorKind::InvalidData.into(),
        });
    };
    // A crash may have come between a truncation and the file. Once the log has grown, nobody could tell.
    directory.cleaned.lower(key, found.log_end);
    directory.cleaned.write(directory)?;
    let opened = Opened {
        view: found.view(),
        written_epochs: Arc::new(found.written_epochs.clone()),
        flushed: state.recovery_point.min(found.log_end),
        high_watermark: if is_planted("a-log-without-a-leader-keeps-its-high-watermark") {
            Offset::ZERO
        } else {
            state.high_watermark
        },
        is_dirty: false,
        config: Arc::clone(config),
    };
    let shared = LogShared::new(
        key,
        state.topic,
        Arc::clone(&site.home),
        Arc::clone(directory),
        opened,
    );
    Ok(PartitionLog::new(
        Arc::new(shared),
        Arc::clone(config),
        found,
    ))
}
