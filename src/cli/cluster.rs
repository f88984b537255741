//! `ottla cluster`: the state of the whole, once or as it changes, and whether it is well.

mod health;
mod status;
mod view;

use anyhow::Result;

use self::health::Options as HealthOptions;
pub(super) use self::health::Unhealthy;
use self::status::Options as StatusOptions;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show brokers, the quorum, and what is wrong with partitions
    Status(StatusOptions),
    /// Say whether everything is well: exit code 0, or 10 when something is missing
    Health(HealthOptions),
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Status(options) => status::run(options).await,
        Command::Health(options) => health::run(options).await,
    }
}
