//! Carries out the timetable: fills roles with nodes, strikes, waits, mends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use ottla::clock;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::plan::{Direction, Fault, Step, Target};
use super::shared::Shared;
use crate::history::{Datum, Key};
use crate::rng::Rng;

/// How often it is looked whether all nodes still run.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Nemesis {
    pub(super) shared: Rc<Shared>,
    pub(super) cluster: Rc<RefCell<Cluster>>,
    pub(super) rng: Rng,
    /// When everything is mended, in the time of the process.
    pub(super) until: Duration,
    /// What was done how often.
    pub(super) done: BTreeMap<String, u64>,
}

impl Nemesis {
    /// Does what the timetable says until the time is over, and mends everything.
    pub(super) async fn run(mut self, steps: Vec<Step>) -> Result<BTreeMap<String, u64>> {
        for step in steps {
            self.wait(step.quiet).await?;
            if clock::uptime() >= self.until {
                break;
            }
            let victims = self.victims(step.target);
            self.strike(&step, &victims)?;
            *self.done.entry(step.to_string()).or_default() += 1;
            self.wait(step.lasts).await?;
            self.mend("heal")?;
        }
        self.wait(Duration::MAX).await?;
        self.mend("heal-all")?;
        Ok(self.done)
    }

    /// Waits, but not longer than the run lasts, and looks after the nodes meanwhile.
    async fn wait(&mut self, duration: Duration) -> Result<()> {
        let until = clock::uptime().saturating_add(duration).min(self.until);
        loop {
            for problem in self.cluster.borrow_mut().ended_unasked()? {
                self.shared.problem(problem);
            }
            let left = until.saturating_sub(clock::uptime());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK_EVERY)).await;
        }
    }

    fn victims(&mut self, target: Target) -> Vec<i32> {
        let ids = self.cluster.borrow().ids();
        let view = self.shared.view.borrow();
        let filled = match target {
            Target::Leader(key) => view.leader(Key(key)),
            Target::Controller => view.controller,
            Target::Node(position) => ids.get(position).copied(),
            Target::All => return ids,
        };
        // Nobody has the role, or nobody knows who: anybody will do.
        let anybody = ids.get(self.rng.index(ids.len())).copied();
        filled.or(anybody).into_iter().collect()
    }

    fn strike(&mut self, step: &Step, victims: &[i32]) -> Result<()> {
        let name = match step.fault {
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::Cut => "start-partition",
        };
        let target = Datum::Text(step.to_string());
        let ids = victims.iter().map(|id| Datum::Int(i64::from(*id)));
        let what = Datum::Vector(std::iter::once(target).chain(ids).collect());
        self.shared
            .recorder
            .borrow_mut()
            .nemesis(name, what.clone());
        for &victim in victims {
            let mut cluster = self.cluster.borrow_mut();
            match step.fault {
                Fault::Kill => cluster.kill(victim)?,
                Fault::Pause => cluster.pause(victim)?,
                Fault::Cut => {
                    for other in cluster.ids().into_iter().filter(|id| *id != victim) {
                        if step.direction != Direction::In {
                            cluster.cut(victim, other)?;
                        }
                        if step.direction != Direction::Out {
                            cluster.cut(other, victim)?;
                        }
                    }
                }
            }
        }
        self.shared.recorder.borrow_mut().nemesis(name, what);
        Ok(())
    }

    fn mend(&mut self, name: &'static str) -> Result<()> {
        let record = |what| self.shared.recorder.borrow_mut().nemesis(name, what);
        record(Datum::Nil);
        self.cluster.borrow_mut().heal()?;
        record(Datum::Keyword(crate::history::Name::literal("done")));
        Ok(())
    }
}
