//! `ottla group`: list, describe, delete, reset-offsets, delete-offsets.
//!
//! A group is asked for at its coordinator, as a group of the consumer protocol (KIP-848) first and
//! as a classic one when it is none.

mod delete;
mod delete_offsets;
mod describe;
mod inspect;
mod list;
mod reset;
mod scope;
mod table;

use anyhow::Result;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List groups
    #[command(visible_alias = "ls")]
    List(list::Options),
    /// Show how far groups are, who their members are, or what state they are in
    Describe(describe::Options),
    /// Delete groups without members, and their offsets
    #[command(visible_alias = "rm")]
    Delete(delete::Options),
    /// Choose where a group without members goes on reading
    #[command(visible_alias = "seek")]
    ResetOffsets(reset::Options),
    /// Forget the offsets of topics that the group does not read any more
    DeleteOffsets(delete_offsets::Options),
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::List(options) => list::run(options).await,
        Command::Describe(options) => describe::run(options).await,
        Command::Delete(options) => delete::run(options).await,
        Command::ResetOffsets(options) => reset::run(options).await,
        Command::DeleteOffsets(options) => delete_offsets::run(options).await,
    }
}
