//! The command line: `ottla NOUN VERB`.
//!
//! - Exit codes: 0 done, 1 it failed (one message on the standard error says what and the way out),
//!   2 the command line is wrong, 10 the cluster is not healthy.
//! - The standard output carries results only; messages and progress go to the standard error.
//! - `anyhow` ends here: no other part of the program uses it.

mod broker;
mod client;
mod cluster;
mod completions;
mod confirm;
mod consume;
mod dev;
mod group;
mod log;
mod node;
mod output;
mod produce;
mod quorum;
mod topic;
mod value;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::client::{Client, HostPort};
use self::cluster::Unhealthy;
use self::output::{OutputFormat, PipeClosed};
use crate::node::Disks;

/// The exit code that says that the cluster is not healthy, as rpk's.
const UNHEALTHY: u8 = 10;

/// A log store that speaks the Apache Kafka protocol
#[derive(Debug, Parser)]
#[command(
    name = "ottla",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    #[command(subcommand)]
    Node(node::Command),
    /// Run a cluster on this machine, to try things with
    Dev(dev::Options),
    /// Create, list, describe, change and delete topics
    #[command(subcommand)]
    Topic(topic::Command),
    /// Write lines of the standard input, or of files, as records
    Produce(produce::Options),
    /// Read records
    Consume(consume::Options),
    /// Consumer groups: who reads what, how far, and from where on
    #[command(subcommand)]
    Group(group::Command),
    /// The brokers
    #[command(subcommand)]
    Broker(broker::Command),
    /// The cluster as a whole
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// The metadata quorum
    #[command(subcommand)]
    Quorum(quorum::Command),
    /// Look into files of a data directory, without a node
    #[command(subcommand)]
    Log(log::Command),
    /// Print a completion script for a shell
    Completions(completions::Options),
}

/// How to reach the cluster: every client command takes these.
#[derive(Args, Clone, Debug)]
struct Connect {
    /// Brokers to ask first; one that answers is enough
    #[arg(
        short = 'b',
        long,
        visible_alias = "bootstrap-server",
        alias = "brokers",
        value_name = "HOST:PORT,...",
        env = "OTTLA_BOOTSTRAP",
        value_delimiter = ',',
        default_value = "127.0.0.1:9092"
    )]
    bootstrap: Vec<HostPort>,
    /// Give up on an answer after this time
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::duration)]
    timeout: std::time::Duration,
}

impl Connect {
    fn client(&self) -> Client {
        Client::new(self.bootstrap.clone(), self.timeout)
    }
}

/// What every command with a report takes.
#[derive(Args, Clone, Debug)]
struct Reporting {
    #[command(flatten)]
    connect: Connect,
    /// Print a table or JSON
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl Reporting {
    fn format(&self) -> OutputFormat {
        if self.json {
            OutputFormat::Json
        } else {
            self.output
        }
    }
}

/// Runs a command line; a node that it starts works on `disks`.
pub fn run(arguments: impl IntoIterator<Item = OsString>, disks: &Disks) -> ExitCode {
    let outcome = match Cli::parse_from(arguments).command {
        Command::Node(command) => node::run(command, disks),
        Command::Dev(options) => block_on(dev::run(options)),
        Command::Topic(command) => block_on(topic::run(command)),
        Command::Produce(options) => block_on(produce::run(options)),
        Command::Consume(options) => block_on(consume::run(options)),
        Command::Group(command) => block_on(group::run(command)),
        Command::Broker(command) => block_on(broker::run(command)),
        Command::Cluster(command) => block_on(cluster::run(command)),
        Command::Quorum(command) => block_on(quorum::run(command)),
        Command::Log(command) => log::run(&command),
        Command::Completions(options) => completions::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref::<PipeClosed>().is_some() => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref::<Unhealthy>().is_some() => ExitCode::from(UNHEALTHY),
        Err(error) => {
            say(&format!("error: {}", message(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes. A cause that the text before names already is not said twice.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

/// Client commands run on one thread: they wait for the network and for the terminal.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// A message for people. A closed standard error is no reason to fail.
fn say(message: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no such file").context("read a.toml");
        assert_eq!(message(&error), "read a.toml: no such file");
        let error = anyhow::anyhow!("no such file").context("read a.toml: no such file");
        assert_eq!(message(&error), "read a.toml: no such file");
    }

    #[test]
    fn every_client_command_takes_the_bootstrap_flag_and_its_aliases() {
        for command in [
            "topic create t",
            "topic list",
            "topic describe t",
            "topic delete t",
            "topic alter t --set a=b",
            "topic offsets t",
            "produce t",
            "consume t",
            "group list",
            "group describe g",
            "group delete g",
            "group reset-offsets g --all-topics --to-latest",
            "group delete-offsets g --topic t",
            "broker list",
            "cluster status",
            "cluster health",
            "quorum status",
        ] {
            for flag in ["-b", "--bootstrap", "--bootstrap-server"] {
                let words = ["ottla"].into_iter().chain(command.split(' '));
                let parsed = Cli::try_parse_from(words.chain([flag, "h1:9092,h2:9093"]));
                assert!(parsed.is_ok(), "{command} {flag}: {:?}", parsed.err());
            }
        }
    }
}
