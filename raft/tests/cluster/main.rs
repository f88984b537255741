//! Three nodes in one process, on disks that forget and a network that loses: Q1 to Q4 and M1.
//!
//! A seed is one history on a virtual clock: about six seconds of elections, power cuts, kills,
//! partitions and snapshots under load, then peace, then the checks. A failure prints its seed;
//! `OTTLA_SEED=n` runs that one, `OTTLA_SEEDS=n` the first n.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod history;
mod network;
mod world;

use std::rc::Rc;
use std::time::Duration;

use crate::history::Counts;
use crate::world::{NODES, World};

fn run(seed: u64) -> Counts {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.unwrap();
    let tasks = tokio::task::LocalSet::new();
    let world = World::new(seed);
    tasks.block_on(&runtime, live(Rc::clone(&world)));
    world.history.counts()
}

async fn live(world: Rc<World>) {
    for node in NODES {
        world.start(node).await;
    }
    world.initialize().await;
    let mut tasks: Vec<_> = (0..3)
        .map(|client| tokio::task::spawn_local(Rc::clone(&world).propose_forever(client)))
        .collect();
    tasks.push(tokio::task::spawn_local(Rc::clone(&world).read_forever()));
    for _ in 0..30 {
        let pause = world.rng(|rng| rng.below(400));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.disturb().await;
    }
    world.settle().await;
    for task in tasks {
        task.await.unwrap();
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn histories_with_faults_keep_what_was_acknowledged() {
    if let Some(seed) = number("OTTLA_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let seeds = number("OTTLA_SEEDS").unwrap_or(40);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let workers: Vec<_> = (0..workers)
        .map(|worker| {
            std::thread::spawn(move || {
                let mut sum = Counts::default();
                for seed in (0..seeds).skip(worker).step_by(workers) {
                    let counts = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
                        println!("seed {seed} failed: OTTLA_SEED={seed} repeats it");
                        std::panic::resume_unwind(panic);
                    });
                    sum.add(&counts);
                }
                sum
            })
        })
        .collect();
    let mut sum = Counts::default();
    for worker in workers {
        sum.add(&worker.join().unwrap());
    }
    println!("{seeds} seeds: {:?}", sum.named());
    for (name, count) in sum.named() {
        assert!(count > 0, "no {name} in {seeds} seeds");
    }
}
