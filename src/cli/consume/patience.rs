//! Since when something fails: trouble that passes is lived through, for as long as the timeout.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use ottla_storage::time::MonoMillis;

use crate::clock;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Patience(Option<MonoMillis>);

impl Patience {
    /// It failed again: an error once that has gone on for the limit.
    pub(super) fn failed(&mut self, limit: Duration, why: &dyn fmt::Display) -> Result<()> {
        let now = clock::mono();
        let since = *self.0.get_or_insert(now);
        if now.since(since) >= limit {
            bail!("gave up after {} s: {why}", limit.as_secs());
        }
        Ok(())
    }

    /// It went well, or there is nothing left that could.
    pub(super) fn over(&mut self) {
        self.0 = None;
    }
}
