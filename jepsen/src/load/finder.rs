//! Where coordinators are: one `FindCoordinator` for everybody who asks at about the same time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::find_coordinator::FindCoordinatorRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::fault::client::{CallError, Connection};

/// Who asks within this asks together.
const GATHER: Duration = Duration::from_millis(5);
/// Before those are asked for again who have no coordinator yet.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a node may take to connect and to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The type of a key that is a group's id.
const GROUP_KEY: i8 = 0;

/// A group's coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Home {
    pub(super) node: i32,
    pub(super) address: SocketAddr,
}

/// Who wants to know of which group.
pub(super) type Ask = (String, oneshot::Sender<Home>);

/// Answers until nobody can ask any more.
pub(super) async fn serve(bootstrap: Vec<SocketAddr>, mut asks: mpsc::Receiver<Ask>) {
    let mut waiting: BTreeMap<String, Vec<oneshot::Sender<Home>>> = BTreeMap::new();
    let (mut turn, mut link) = (0, None);
    loop {
        if waiting.is_empty() {
            let Some((group, to)) = asks.recv().await else {
                return;
            };
            waiting.entry(group).or_default().push(to);
            sleep(GATHER).await;
        }
        while let Ok((group, to)) = asks.try_recv() {
            waiting.entry(group).or_default().push(to);
        }
        if let Ok(found) = find(&bootstrap, turn, &mut link, waiting.keys()).await {
            for (group, home) in found {
                for to in waiting.remove(&group).into_iter().flatten() {
                    // Who does not wait any more needs no answer.
                    let _ = to.send(home);
                }
            }
        } else {
            link = None;
            turn += 1;
        }
        if !waiting.is_empty() {
            sleep(PAUSE).await;
        }
    }
}

/// The coordinators that a node knows.
async fn find(
    bootstrap: &[SocketAddr],
    turn: usize,
    link: &mut Option<Connection>,
    groups: impl Iterator<Item = &String>,
) -> Result<Vec<(String, Home)>, CallError> {
    let mut connection = match link.take() {
        Some(connection) => connection,
        None => Connection::open(address(bootstrap, turn)?, WITHIN).await?,
    };
    let request = FindCoordinatorRequest {
        key_type: GROUP_KEY,
        coordinator_keys: groups.map(|group| Cow::Borrowed(group.as_str())).collect(),
        ..FindCoordinatorRequest::default()
    };
    let answer = connection.call(&request, WITHIN).await?;
    let response = answer.decode()?;
    let known = response.coordinators.into_iter();
    let known = known.filter(|one| one.error_code == ErrorCode::None);
    let found = known.filter_map(|one| {
        let address = format!("{}:{}", one.host, one.port).parse().ok()?;
        let node = one.node_id;
        Some((one.key.into_owned(), Home { node, address }))
    });
    let found = found.collect();
    *link = Some(connection);
    Ok(found)
}

fn address(bootstrap: &[SocketAddr], turn: usize) -> Result<SocketAddr, CallError> {
    let next = turn.checked_rem(bootstrap.len());
    let address = next.and_then(|next| bootstrap.get(next));
    address
        .copied()
        .ok_or_else(|| CallError::Connect(std::io::ErrorKind::AddrNotAvailable.into()))
}
