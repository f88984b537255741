//! `ottla-fault`: runs nodes under faults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ottla::node::Disks;
use ottla_jepsen::lossy::LossyDisk;

#[derive(Parser)]
#[command(name = "ottla-fault", version, about = "Runs ottla nodes under faults")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run `ottla` on a disk that loses what was not synced when the process dies.
    LossyNode {
        #[command(flatten)]
        disk: DiskArguments,
        /// What `ottla` is told, for example `node start --data LIVE/data`.
        #[arg(last = true, required = true)]
        arguments: Vec<OsString>,
    },
    /// Make the live directory what a power cut would leave now; the node must be down.
    PowerCut {
        #[command(flatten)]
        disk: DiskArguments,
    },
}

#[derive(clap::Args)]
struct DiskArguments {
    /// Where the process works; rebuilt from the durable directory at every start.
    #[arg(long)]
    live: PathBuf,
    /// Where synced bytes and names are kept.
    #[arg(long)]
    durable: PathBuf,
}

impl DiskArguments {
    fn open(&self) -> anyhow::Result<Arc<LossyDisk>> {
        let disk = LossyDisk::open(&self.live, &self.durable);
        let at = |path: &Path| path.display().to_string();
        let disk =
            disk.with_context(|| format!("rebuild {} from {}", at(&self.live), at(&self.durable)))?;
        Ok(Arc::new(disk))
    }
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::LossyNode { disk, arguments } => {
            let disk = disk.open()?;
            let disks = Disks {
                storage: disk.clone(),
                raft: disk,
            };
            let arguments = std::iter::once(OsString::from("ottla")).chain(arguments);
            Ok(ottla::cli::run(arguments, &disks))
        }
        Command::PowerCut { disk } => {
            disk.open()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
