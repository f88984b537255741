//! Many consumer groups at a time: each member a connection of its own, all of them on one thread.
//!
//! - Orders come in as lines, and each is answered by one line of JSON: whoever gives them owns the nodes, and looks at
//!   them or kills them in between.
//! - Nothing is judged by its duration. What breaks a promise is a problem, and the answer to `check` tells all of them.

mod board;
mod check;
mod classic;
mod consumer;
mod finder;
mod member;
mod spread;

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use ottla::clock;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use self::board::Board;
use self::member::{Member, Shared};

/// Orders that may wait; nobody gives a second one before the first is answered.
const ORDERS_MAX: usize = 4;
/// How long anything that was ordered may take.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often it is looked whether it has come about; when it did is noted by the members.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Which protocol the members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// `JoinGroup`, `SyncGroup`, `Heartbeat`.
    Classic,
    /// `ConsumerGroupHeartbeat`.
    Consumer,
}

/// Which groups, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes to ask first.
    pub bootstrap: Vec<SocketAddr>,
    /// What the groups read; it is there.
    pub topic: String,
    /// How many groups.
    pub groups: usize,
    /// Members of each.
    pub members: usize,
    /// What they speak.
    pub protocol: Protocol,
    /// Between two heartbeats of a member, where it is the member that decides.
    pub heartbeat: Duration,
    /// Between two commits of a member.
    pub commit: Duration,
    /// Repeats when each member begins its intervals.
    pub seed: u64,
}

/// Carries out orders until there are no more.
///
/// # Errors
/// The topic is not there, nobody tells of it, or an order makes no sense.
pub fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    LocalSet::new().block_on(&runtime, serve(options))
}

async fn serve(options: Options) -> Result<()> {
    let mut orders = orders().context("start a thread")?;
    let (groups, members) = (options.groups, options.members);
    let shared = Rc::new(Shared::new(options).await?);
    for group in 0..groups {
        for place in 0..members {
            let member = Member::new(shared.clone(), group, place);
            tokio::task::spawn_local(member.run());
        }
    }
    while let Some(order) = orders.recv().await {
        let answer = carry_out(&shared, &order).await?;
        writeln!(io::stdout().lock(), "{answer}").context("answer")?;
    }
    Ok(())
}

/// The lines that come in.
fn orders() -> io::Result<mpsc::Receiver<String>> {
    let (to, orders) = mpsc::channel(ORDERS_MAX);
    let read = move || {
        for line in io::stdin().lock().lines().map_while(io::Result::ok) {
            if to.blocking_send(line).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new()
        .name("orders".to_owned())
        .spawn(read)?;
    Ok(orders)
}

async fn carry_out(shared: &Rc<Shared>, order: &str) -> Result<Value> {
    let words: Vec<_> = order.split_whitespace().collect();
    Ok(match words.as_slice() {
        ["find"] => {
            let came = until(shared, Board::is_connected).await;
            json!({"came": came, "nodes": shared.board.borrow().nodes()})
        }
        ["join"] => {
            shared.board.borrow_mut().begin(clock::uptime());
            shared.open();
            let came = until(shared, Board::is_stable).await;
            let board = shared.board.borrow();
            json!({"came": came, "groups": spread::told(board.to_stable()), "rejoined": board.rejoined})
        }
        ["hold", seconds] => {
            let seconds = seconds.parse().context("how long")?;
            hold(shared, Duration::from_secs(seconds)).await
        }
        ["lose", node] => {
            let node = node.parse().context("which node")?;
            json!({"groups": shared.board.borrow_mut().lose(node, clock::uptime())})
        }
        ["back"] => {
            // Said when the node is dead: only what was acknowledged before, or was on its way, is there to be found.
            shared.is_committing.set(false);
            let before = shared.board.borrow().rejoined;
            let came = until(shared, Board::is_back).await;
            let board = shared.board.borrow();
            json!({"came": came, "groups": spread::told(board.to_back()), "rejoined": board.rejoined - before})
        }
        ["check"] => check::all(shared, Instant::now() + PATIENCE).await,
        _ => bail!("an order that is none: {order:?}"),
    })
}

async fn hold(shared: &Rc<Shared>, wait: Duration) -> Value {
    shared.board.borrow_mut().window = Some(board::Window::default());
    sleep(wait).await;
    let mut board = shared.board.borrow_mut();
    let window = board.window.take().unwrap_or_default();
    json!({
        "came": board.is_stable(),
        "heartbeats": spread::told(window.heartbeats),
        "commits": spread::told(window.commits),
        "offsets": window.offset_count,
    })
}

/// Whether it came about in time.
async fn until(shared: &Rc<Shared>, is_so: impl Fn(&Board) -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(&shared.board.borrow()) {
        if Instant::now() > deadline {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}
