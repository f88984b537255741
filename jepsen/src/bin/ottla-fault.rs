//! `ottla-fault`: runs nodes under faults.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ottla::node::Disks;
use ottla_jepsen::fault::{self, Fault, NetworkKind};
use ottla_jepsen::load;
use ottla_jepsen::lossy::LossyDisk;
use ottla_jepsen::sim;
use ottla_jepsen::w1::{self, Rules, Word};

/// Nothing is wrong.
const VALID: u8 = 0;
/// Something is wrong, or too little happened to tell.
const INVALID: u8 = 1;
/// The run could not be carried out, or the file could not be read.
const NOT_RUN: u8 = 2;

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
    /// Run the log workload under faults and judge it. Exit code 0: valid, 1: not, 2: it could not be run.
    W1(W1Arguments),
    /// Run histories of a simulated cluster and judge each. Exit code 0: all valid, 1: not.
    Sim(SimArguments),
    /// Run histories of simulated consumer groups and judge each. Exit code 0: all valid, 1: not.
    Groups(SimArguments),
    /// Drive many consumer groups as the orders on stdin say: find, join, hold SECONDS, lose NODE, back, check.
    GroupsLoad(GroupsLoadArguments),
    /// Judge a history of the log workload: `*.edn` or `*.jsonl`.
    Check {
        /// The file.
        history: PathBuf,
    },
    /// Remove what a run made when its end of the pipe closes.
    #[command(name = fault::guard::SUBCOMMAND, hide = true)]
    Guard,
}

#[derive(clap::Args)]
struct W1Arguments {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// How long clients work
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Operations a second, all clients together
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// What may happen: kill, pause, cut
    #[arg(long, value_delimiter = ',', default_value = "kill,pause,cut")]
    faults: Vec<Fault>,
    /// Repeats the choices of a run [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Where history, report and logs go [default: ottla-fault-SEED]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Partitions of the topic
    #[arg(long, default_value_t = 8)]
    partitions: u32,
    /// Client threads
    #[arg(long, default_value_t = 100)]
    workers: u64,
    /// How links are cut: namespaces (root), proxies, or plain for no cuts [default: what is needed and allowed]
    #[arg(long)]
    network: Option<NetworkKind>,
    /// A setting of all nodes (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// The program to run [default: `ottla` beside this one]
    #[arg(long, env = "OTTLA_BIN")]
    ottla: Option<PathBuf>,
}

#[derive(clap::Args)]
struct SimArguments {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults and client operations in a history, about
    #[arg(long, default_value_t = 300)]
    events: usize,
    /// Histories at a time [default: one for each processor]
    #[arg(long)]
    threads: Option<usize>,
    /// Run each seed twice and compare
    #[arg(long)]
    twice: bool,
    /// Where to write what happened in the shortest failing histories, step by step
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
struct GroupsLoadArguments {
    /// Nodes to ask first
    #[arg(long, value_delimiter = ',', required = true)]
    bootstrap: Vec<SocketAddr>,
    /// What the groups read; it is there
    #[arg(long)]
    topic: String,
    /// How many groups
    #[arg(long, default_value_t = 1000)]
    groups: usize,
    /// Members of each group
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// What they speak
    #[arg(long, default_value = "classic")]
    protocol: load::Protocol,
    /// Between two heartbeats of a classic member
    #[arg(long, default_value_t = 3000)]
    heartbeat_ms: u64,
    /// Between two commits of a member
    #[arg(long, default_value_t = 5000)]
    commit_ms: u64,
    /// Repeats when each member begins its intervals
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl GroupsLoadArguments {
    fn options(self) -> load::Options {
        load::Options {
            bootstrap: self.bootstrap,
            topic: self.topic,
            groups: self.groups,
            members: self.members,
            protocol: self.protocol,
            heartbeat: Duration::from_millis(self.heartbeat_ms),
            commit: Duration::from_millis(self.commit_ms),
            seed: self.seed,
        }
    }
}

impl SimArguments {
    fn options(&self) -> sim::Options {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        sim::Options {
            seed: self.seed,
            seeds: self.seeds,
            events: self.events,
            threads: self.threads.unwrap_or_else(all),
            twice: self.twice,
        }
    }
}

impl W1Arguments {
    fn options(self) -> anyhow::Result<fault::Options> {
        let guard = std::env::current_exe().context("find this program")?;
        let seed = self.seed.unwrap_or_else(a_seed);
        let needs_cuts = self.nodes > 1 && self.faults.contains(&Fault::Cut);
        let network = if needs_cuts {
            NetworkKind::that_can_be_cut()
        } else {
            NetworkKind::Plain
        };
        Ok(fault::Options {
            program: self.ottla.unwrap_or_else(|| guard.with_file_name("ottla")),
            guard,
            nodes: self.nodes.into(),
            seconds: self.seconds,
            rate: self.rate,
            faults: self.faults,
            seed,
            out: self
                .out
                .unwrap_or_else(|| format!("ottla-fault-{seed}").into()),
            partitions: self.partitions,
            workers: self.workers,
            network: self.network.unwrap_or(network),
            config: self.config,
        })
    }
}

fn a_seed() -> u64 {
    let now = ottla::clock::wall().as_millis();
    // The milliseconds of some weeks: short enough to type.
    u64::try_from(now).unwrap_or_default() % 10_000_000_000
}

/// Prints a judgement; whether it is good is the exit code.
fn tell(text: &impl std::fmt::Display, is_valid: bool) -> anyhow::Result<ExitCode> {
    write!(io::stdout().lock(), "{text}").context("print the verdict")?;
    Ok(ExitCode::from(if is_valid { VALID } else { INVALID }))
}

fn w1(arguments: W1Arguments) -> anyhow::Result<ExitCode> {
    let report = fault::run(&arguments.options()?)?;
    tell(&report, report.is_valid())
}

fn simulate(
    arguments: &SimArguments,
    run: fn(&sim::Options) -> sim::Report,
) -> anyhow::Result<ExitCode> {
    let report = run(&arguments.options());
    if let Some(out) = &arguments.out {
        write_stories(&report, out)?;
    }
    tell(&report, report.is_valid())
}

fn write_stories(report: &sim::Report, out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
    for (seed, story) in report.stories() {
        let path = out.join(format!("sim-{seed}.txt"));
        std::fs::write(&path, story.join("\n"))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn check(history: &Path) -> anyhow::Result<ExitCode> {
    let verdict = w1::check_file(history, Rules::default())?;
    tell(&verdict, verdict.verdict == Word::Valid)
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

fn main() -> ExitCode {
    run(Arguments::parse().command).unwrap_or_else(|error| {
        // There is nobody to tell that nobody can be told.
        let _ = writeln!(io::stderr().lock(), "ottla-fault: {error:#}");
        ExitCode::from(NOT_RUN)
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
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
        Command::W1(arguments) => w1(arguments),
        Command::Sim(arguments) => simulate(&arguments, sim::run),
        Command::Groups(arguments) => simulate(&arguments, sim::groups::run),
        Command::GroupsLoad(arguments) => {
            load::run(arguments.options())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { history } => check(&history),
        Command::Guard => {
            fault::guard::serve(io::stdin().lock()).context("remove what a run made")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
