//! One run from an empty directory to a report: start, work under faults, heal, read everything, judge.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ottla::clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use super::cluster::{Cluster, ClusterOptions, make_dir};
use super::nemesis::Nemesis;
use super::network::NetworkKind;
use super::plan::{self, Fault, Terms};
use super::recorder::Recorder;
use super::report::Report;
use super::shared::Shared;
use super::worker::Worker;
use crate::rng::Rng;
use crate::w1::{self, Rules};

/// How long the cluster may take to serve at first, to become whole after the last fault, and to be read.
const START_WITHIN: Duration = Duration::from_mins(1);
const RECOVER_WITHIN: Duration = Duration::from_mins(1);
const DRAIN_WITHIN: Duration = Duration::from_mins(1);
/// Readers of everything at the end.
const READER_COUNT: u64 = 2;
/// How often it is looked whether the cluster is whole.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The cluster is whole if it seems so for this long: a node that lags behind tells of replicas that were in sync.
const WHOLE_FOR: Duration = Duration::from_secs(1);
/// A silent broker is replaced after this, unless the run's settings say otherwise; the default would take a fifth
/// of a minute's run.
const SESSION: Duration = Duration::from_secs(3);
const CONFIG: [&str; 3] = [
    "broker.session.timeout.ms=3000",
    "broker.heartbeat.interval.ms=500",
    "replica.lag.time.max.ms=3000",
];

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program whose `node start` is run.
    pub program: PathBuf,
    /// `ottla-fault` itself, which is its own guard.
    pub guard: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// How long clients work.
    pub seconds: u64,
    /// Operations a second, all clients together.
    pub rate: u32,
    /// What may happen.
    pub faults: Vec<Fault>,
    /// Repeats the choices.
    pub seed: u64,
    /// Where history, report and logs go; empty or not there yet.
    pub out: PathBuf,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Client threads.
    pub workers: u64,
    /// How links are cut.
    pub network: NetworkKind,
    /// `KEY=VALUE` settings of all nodes.
    pub config: Vec<String>,
}

/// Runs and judges. Everything that was started is gone when this returns; the directory stays.
///
/// # Errors
/// The run could not be carried out: nothing is known of the cluster.
pub fn run(options: &Options) -> Result<Report> {
    make_dir(&options.out)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        tokio::select! {
            report = carry_out(options) => report,
            signal = interrupted() => bail!("the run was ended by {}", signal?),
        }
    })
}

async fn interrupted() -> Result<&'static str> {
    let mut term = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut int = signal(SignalKind::interrupt()).context("listen for signals")?;
    tokio::select! {
        _ = term.recv() => Ok("SIGTERM"),
        _ = int.recv() => Ok("SIGINT"),
    }
}

async fn carry_out(options: &Options) -> Result<Report> {
    let mut rng = Rng::new(options.seed);
    let mut cluster = Cluster::start(cluster_options(options))?;
    let recorder = Recorder::create(&options.out).context("create the history")?;
    let shared = Rc::new(Shared::new(
        cluster.addresses(),
        options.partitions,
        recorder,
    ));
    let replication = options.nodes.min(3);
    let created = shared.create_topic(i16::try_from(replication)?, START_WITHIN);
    if let Err(error) = created.await {
        let ended = cluster.ended_unasked()?;
        bail!(
            "{error}; {} (see node-N.log in {})",
            ended.join("; "),
            options.out.display()
        );
    }
    let mut followers = JoinSet::new();
    for &address in shared.addresses.values() {
        followers.spawn_local(Rc::clone(&shared).follow(address));
    }
    if become_whole(&shared, replication, START_WITHIN)
        .await
        .is_none()
    {
        bail!("the partitions have no leaders or not all replicas in sync");
    }

    let cluster = Rc::new(RefCell::new(cluster));
    shared.view.borrow_mut().forget_changes();
    let began = clock::uptime();
    let until = began + Duration::from_secs(options.seconds);
    let faults = work(options, &shared, &cluster, until, &mut rng).await?;
    let worked = clock::uptime().saturating_sub(began);

    let recovered = become_whole(&shared, replication, RECOVER_WITHIN).await;
    if recovered.is_none() {
        let within = RECOVER_WITHIN.as_secs();
        shared.problem(format!(
            "the cluster was not whole {within} s after the last fault"
        ));
    }
    read_everything(options, &shared, &mut rng).await?;
    for problem in cluster.borrow_mut().ended_unasked()? {
        shared.problem(problem);
    }
    followers.abort_all();

    let edn = shared.recorder.borrow_mut().finish();
    let edn = edn.context("write the history")?;
    let verdict = w1::check_file(&edn, Rules::default()).context("read the history back")?;
    let told = cluster.borrow().read_logs()?;
    for bug in told.bugs {
        shared.problem(bug);
    }
    let view = shared.view.borrow();
    let mut not_covered = Vec::new();
    // A node alone has nobody to follow.
    if options.nodes > 1 && !options.faults.is_empty() {
        if view.leader_changes == 0 {
            not_covered.push("leader change");
        }
        if told.truncations == 0 {
            not_covered.push("truncation");
        }
    }
    let report = Report {
        seed: options.seed,
        worked_ms: millis(worked),
        faults,
        leader_changes: view.leader_changes,
        epoch_rises: view.epoch_rises,
        truncations: told.truncations,
        out_of_range: *shared.out_of_range.borrow(),
        recovered_ms: recovered.map(millis),
        problems: shared.problems.borrow().clone(),
        not_covered,
        verdict,
    };
    drop(view);
    let path = options.out.join("report.json");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    serde_json::to_writer_pretty(file, &report).context("write the report")?;
    fs::write(options.out.join("report.txt"), report.to_string()).context("write the report")?;
    // What is wrong is looked for in the nodes' data; what is right needs no disk.
    if report.is_valid()
        && let Some(cluster) = Rc::into_inner(cluster)
    {
        cluster.into_inner().remove_data()?;
    }
    Ok(report)
}

fn cluster_options(options: &Options) -> ClusterOptions {
    let config = CONFIG.iter().map(ToString::to_string);
    ClusterOptions {
        program: options.program.clone(),
        guard: options.guard.clone(),
        nodes: options.nodes,
        network: options.network,
        config: config.chain(options.config.iter().cloned()).collect(),
        dir: options.out.clone(),
    }
}

/// Clients and the nemesis, until the time is over and the last operation has ended.
async fn work(
    options: &Options,
    shared: &Rc<Shared>,
    cluster: &Rc<RefCell<Cluster>>,
    until: Duration,
    rng: &mut Rng,
) -> Result<BTreeMap<String, u64>> {
    let terms = Terms {
        total: Duration::from_secs(options.seconds),
        faults: options.faults.clone(),
        nodes: options.nodes,
        keys: u64::from(options.partitions),
        session: SESSION,
    };
    let nemesis = Nemesis {
        shared: Rc::clone(shared),
        cluster: Rc::clone(cluster),
        rng: rng.fork(),
        until,
        done: BTreeMap::new(),
    };
    let nemesis = nemesis.run(plan::draw(&terms, rng));
    let pace = Rc::new(Pace::new(options.rate, until));
    let mut workers = JoinSet::new();
    for number in 0..options.workers {
        let threads = options.workers + READER_COUNT;
        let mut worker = Worker::new(Rc::clone(shared), number, threads, rng.fork());
        let pace = Rc::clone(&pace);
        workers.spawn_local(async move {
            while pace.turn().await {
                worker.step().await;
            }
        });
    }
    let done = nemesis.await?;
    while let Some(worker) = workers.join_next().await {
        worker.context("a client ended early")?;
    }
    Ok(done)
}

/// After the faults: every key takes a value and gives everything.
async fn read_everything(options: &Options, shared: &Rc<Shared>, rng: &mut Rng) -> Result<()> {
    let until = clock::uptime() + DRAIN_WITHIN;
    let threads = options.workers + READER_COUNT;
    let mut readers: Vec<_> = (options.workers..threads)
        .map(|number| Worker::new(Rc::clone(shared), number, threads, rng.fork()))
        .collect();
    if let Some(writer) = readers.first_mut() {
        for &key in &shared.keys {
            while !writer.send_one(key).await {
                if clock::uptime() >= until {
                    shared.problem(format!("key {} takes no values after the faults", key.0));
                    break;
                }
                sleep(LOOK_EVERY).await;
            }
        }
    }
    let mut draining = JoinSet::new();
    for mut reader in readers {
        draining.spawn_local(async move { reader.drain(until).await });
    }
    while let Some(drained) = draining.join_next().await {
        if !drained.context("a reader ended early")? {
            shared.problem("not everything could be read after the faults".to_owned());
        }
    }
    Ok(())
}

/// How long it took until every partition had a leader and all replicas in sync.
async fn become_whole(shared: &Shared, replication: usize, within: Duration) -> Option<Duration> {
    let began = clock::uptime();
    let mut since = None;
    loop {
        let now = clock::uptime();
        if shared.view.borrow().is_whole(replication) {
            let since = *since.get_or_insert(now);
            if now.saturating_sub(since) >= WHOLE_FOR {
                return Some(since.saturating_sub(began));
            }
        } else {
            since = None;
        }
        if now.saturating_sub(began) > within {
            return None;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Gives turns at a steady rate. Turns that nobody took in time are not made up for.
#[derive(Debug)]
struct Pace {
    between: Duration,
    next: RefCell<Duration>,
    until: Duration,
}

impl Pace {
    fn new(rate: u32, until: Duration) -> Self {
        Self {
            between: Duration::from_secs(1) / rate.max(1),
            next: RefCell::new(clock::uptime()),
            until,
        }
    }

    /// Waits for a turn; false when the time is over.
    async fn turn(&self) -> bool {
        let now = clock::uptime();
        let due = {
            let mut next = self.next.borrow_mut();
            let due = (*next).max(now);
            *next = due + self.between;
            due
        };
        sleep(due.saturating_sub(now)).await;
        clock::uptime() < self.until
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
