//! How far a long run is, on a terminal only.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on the standard error that vanishes at the end.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Hidden unless somebody watches, and while that somebody types the input.
    pub(super) fn of(files: &[PathBuf]) -> Self {
        let stdin = files.is_empty() || files.iter().any(|file| file == Path::new("-"));
        let is_typed = stdin && std::io::stdin().is_terminal();
        let is_hidden = is_typed || !std::io::stderr().is_terminal();
        let sizes = files
            .iter()
            .map(|file| std::fs::metadata(file).ok().map(|meta| meta.len()));
        let total: Option<u64> = if stdin { None } else { sizes.sum() };
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{bytes} of {total_bytes}  {bytes_per_sec}  {msg} acknowledged  {eta} left",
            ),
            None => (
                ProgressBar::no_length(),
                "{bytes}  {bytes_per_sec}  {msg} acknowledged  {elapsed}",
            ),
        };
        if is_hidden {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
            bar.set_message("0");
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    pub(super) fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    pub(super) fn acknowledged(&self, records: usize) {
        if !self.0.is_hidden() {
            self.0.set_message(records.to_string());
        }
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
