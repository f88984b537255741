//! Asks before something is destroyed.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};

/// Asks on the terminal whether to delete `what`; a script has to say `--yes`.
pub(super) fn deletion_of(what: &str) -> Result<()> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("deleting needs a confirmation and there is no terminal to ask on: add --yes");
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "Delete {what}? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was deleted");
    }
    Ok(())
}
