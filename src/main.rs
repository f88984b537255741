//! The `ottla` binary: see `ottla::cli` for what it can do.

use std::process::ExitCode;

use ottla::node::Disks;

fn main() -> ExitCode {
    ottla::cli::run(std::env::args_os(), &Disks::default())
}
