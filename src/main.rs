//! The `ottla` binary: see `ottla::cli` for what it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    ottla::cli::run()
}
