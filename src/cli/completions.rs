//! `ottla completions SHELL`: a completion script on the standard output.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;

use super::output::{Stdout, classify};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The shell to complete for
    shell: clap_complete::Shell,
}

pub(super) fn run(options: &Options) -> Result<()> {
    // Generated into memory first: the generator panics when its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut super::Cli::command(),
        "ottla",
        &mut script,
    );
    let mut out = Stdout::lock();
    out.write_all(&script)
        .and_then(|()| out.flush())
        .map_err(classify)
}
