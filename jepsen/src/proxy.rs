//! Where namespaces are not allowed: each node behind proxies of its own on the loopback interface, that know from
//! which process a connection comes.
//!
//! - A cut link delays bytes in one direction until it is healed, as retransmission would; it never drops any. So a
//!   connection still opens across a cut, and nothing comes through it.
//! - Who opened a connection is read from `/proc`; one that no node opened belongs to a client and is never cut. The
//!   kernel takes 10 ms to list its sockets, so connections that come meanwhile are looked up together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener as BlockingListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

/// A link by its ends: what the first sends to the second.
type Link = (i32, i32);
/// Process ids by node.
type Processes = Arc<Mutex<BTreeMap<i32, u32>>>;
/// A connection, and who wants to know whose the other end is.
type Question = (Ends, oneshot::Sender<Owner>);

/// Questions that wait; a connection beyond them waits for its turn to ask.
const QUESTION_COUNT_MAX: usize = 256;
/// A socket that is not listed in so many looks is gone.
const LOOK_COUNT_MAX: usize = 5;

/// A listener that stands for a node's.
#[derive(Debug)]
pub struct Door {
    /// The node that it stands for.
    pub node: i32,
    /// Where others reach it.
    pub listener: BlockingListener,
    /// Where the node itself listens.
    pub behind: SocketAddr,
}

/// The two ends of a connection that has come. Sockets to different places may be bound to one port, so neither end
/// alone names it.
#[derive(Clone, Copy, Debug)]
struct Ends {
    opener: SocketAddr,
    door: SocketAddr,
}

/// All proxies of a run; they end with it.
#[derive(Debug)]
pub struct Proxies {
    cut: watch::Sender<BTreeSet<Link>>,
    processes: Processes,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxies {
    /// Opens the doors.
    ///
    /// # Errors
    /// Too few files or threads.
    pub fn start(doors: Vec<Door>) -> Result<Self> {
        let (cut, cuts) = watch::channel(BTreeSet::new());
        let (stop, stopped) = oneshot::channel();
        let processes = Processes::default();
        let known = Arc::clone(&processes);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime of the proxies")?;
        for door in &doors {
            let unblocked = door.listener.set_nonblocking(true);
            unblocked.context("listen without blocking")?;
        }
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let (ask, questions) = mpsc::channel(QUESTION_COUNT_MAX);
                tokio::spawn(answer(questions, known));
                for door in doors {
                    tokio::spawn(serve(door, cuts.clone(), ask.clone()));
                }
                let _ = stopped.await;
            });
        });
        Ok(Self {
            cut,
            processes,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Must be called before a node's process starts. What it opens until it is known would pass for a client's, so
    /// connections wait meanwhile.
    pub fn starting(&self) -> Starting<'_> {
        Starting(known(&self.processes))
    }

    /// What `from` sends does not reach `to` any more.
    pub fn cut(&self, from: i32, to: i32) {
        self.cut.send_modify(|cut| {
            cut.insert((from, to));
        });
    }

    /// Ends all cuts.
    pub fn heal(&self) {
        self.cut.send_modify(BTreeSet::clear);
    }
}

/// A node is about to start.
#[derive(Debug)]
pub struct Starting<'a>(MutexGuard<'a, BTreeMap<i32, u32>>);

impl Starting<'_> {
    /// The node runs as this process now.
    pub fn runs(mut self, node: i32, process: u32) {
        self.0.insert(node, process);
    }
}

fn known(processes: &Processes) -> MutexGuard<'_, BTreeMap<i32, u32>> {
    processes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(door: Door, cuts: watch::Receiver<BTreeSet<Link>>, ask: mpsc::Sender<Question>) {
    let Ok(listener) = TcpListener::from_std(door.listener) else {
        return;
    };
    while let Ok((stream, opener)) = listener.accept().await {
        let Ok(own) = stream.local_addr() else {
            continue;
        };
        let ends = Ends { opener, door: own };
        let (cuts, ask) = (cuts.clone(), ask.clone());
        let (node, behind) = (door.node, door.behind);
        tokio::spawn(async move {
            let (answer, answered) = oneshot::channel();
            let asked = ask.send((ends, answer)).await;
            let (Ok(()), Ok(owner)) = (asked, answered.await) else {
                return;
            };
            let link = match owner {
                Owner::Node(opener) => Some((opener, node)),
                Owner::Client => None,
                // What a node said before it hung up must not slip through a cut.
                Owner::Nobody => return,
            };
            // A node that is down refuses; the other side sees its connection end.
            if let Ok(inner) = TcpStream::connect(behind).await {
                join(stream, inner, link, cuts).await;
            }
        });
    }
}

/// Looks up all questions that came while the last ones were looked up.
async fn answer(mut questions: mpsc::Receiver<Question>, processes: Processes) {
    let mut waiting = Vec::new();
    while questions.recv_many(&mut waiting, QUESTION_COUNT_MAX).await > 0 {
        for looks_left in (0..LOOK_COUNT_MAX).rev() {
            let processes = Arc::clone(&processes);
            let Ok(owners) = spawn_blocking(move || Owners::read(&known(&processes))).await else {
                return;
            };
            for (ends, answer) in std::mem::take(&mut waiting) {
                match owners.of(ends) {
                    Owner::Nobody if looks_left > 0 => waiting.push((ends, answer)),
                    // Who asked may be gone.
                    owner => drop(answer.send(owner)),
                }
            }
            if waiting.is_empty() {
                break;
            }
        }
    }
}

/// Carries bytes both ways until both have ended.
async fn join(
    outer: TcpStream,
    inner: TcpStream,
    link: Option<Link>,
    cuts: watch::Receiver<BTreeSet<Link>>,
) {
    let _ = (outer.set_nodelay(true), inner.set_nodelay(true));
    let (from_outer, to_outer) = outer.into_split();
    let (from_inner, to_inner) = inner.into_split();
    let back = link.map(|(from, to)| (to, from));
    let there = carry(from_outer, to_inner, link, cuts.clone());
    let and_back = carry(from_inner, to_outer, back, cuts);
    // An error in one direction ends both, as a reset does.
    let _ = tokio::try_join!(there, and_back);
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    link: Option<Link>,
    mut cuts: watch::Receiver<BTreeSet<Link>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await;
        if let Some(link) = link {
            let healed = cuts.wait_for(|cut| !cut.contains(&link)).await;
            healed.map_err(io::Error::other)?;
        }
        match read? {
            0 => return to.shutdown().await,
            size => to.write_all(buffer.get(..size).unwrap_or_default()).await?,
        }
    }
}

/// Which node holds which socket, at one moment.
#[derive(Debug)]
struct Owners {
    /// The kernel's table of sockets.
    table: String,
    by_inode: BTreeMap<String, i32>,
}

/// Who holds a socket.
#[derive(Debug)]
enum Owner {
    Node(i32),
    Client,
    /// It is closed; or the kernel, which lists sockets while they come and go, has passed over it.
    Nobody,
}

impl Owners {
    fn read(processes: &BTreeMap<i32, u32>) -> Self {
        let mut by_inode = BTreeMap::new();
        for (node, process) in processes {
            // A process that is gone holds nothing.
            let files = fs::read_dir(format!("/proc/{process}/fd"));
            for file in files.into_iter().flatten().flatten() {
                let name = fs::read_link(file.path()).unwrap_or_default();
                let name = name.to_string_lossy();
                let inode = name.strip_prefix("socket:[");
                if let Some(inode) = inode.and_then(|inode| inode.strip_suffix(']')) {
                    by_inode.insert(inode.to_owned(), *node);
                }
            }
        }
        Self {
            table: fs::read_to_string("/proc/net/tcp").unwrap_or_default(),
            by_inode,
        }
    }

    /// Who opened a connection.
    fn of(&self, ends: Ends) -> Owner {
        let (SocketAddr::V4(opener), SocketAddr::V4(door)) = (ends.opener, ends.door) else {
            return Owner::Client;
        };
        let inode = |line| inode_of(line, opener, door);
        let inode = self.table.lines().find_map(inode);
        match inode {
            // A socket whose process has closed it, with bytes that may still be on their way.
            None | Some("0") => Owner::Nobody,
            Some(inode) => {
                let node = self.by_inode.get(inode);
                node.map_or(Owner::Client, |node| Owner::Node(*node))
            }
        }
    }
}

/// The inode of the socket of a line of `/proc/net/tcp`, if it is bound to `local` and connected to `remote`.
fn inode_of(line: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<&str> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? != listed(local) || words.next()? != listed(remote) {
        return None;
    }
    words.nth(6)
}

/// An address as that table shows it: the host as the kernel holds it, the port as people write it.
fn listed(address: SocketAddrV4) -> String {
    let host = u32::from_ne_bytes(address.ip().octets());
    format!("{host:08X}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Ipv4Addr;
    use std::net::TcpStream as BlockingStream;
    use std::process;
    use std::time::Duration;

    use super::*;
    use crate::port;

    #[test]
    fn a_socket_is_found_by_its_address() {
        let line = "   4: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     \
                    0        0 4711 1 0000000000000000 20 4 30 10 -1";
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        if cfg!(target_endian = "little") {
            assert_eq!(inode_of(line, at(0x1f90), at(0xc001)), Some("4711"));
        }
        assert_eq!(inode_of(line, at(0x1f90), at(0xc002)), None);
        assert_eq!(inode_of(line, at(0xc001), at(0x1f90)), None);
        assert_eq!(inode_of("  sl  local_address", at(1), at(2)), None);
    }

    /// Two ends of a connection from node 1 to node 2; this process is node 1.
    fn connected(process_of_one: u32) -> (Proxies, BlockingStream, BlockingStream) {
        let node = port::listen().unwrap();
        let listener = port::listen().unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door {
            node: 2,
            behind: node.local_addr().unwrap(),
            listener,
        };
        let proxies = Proxies::start(vec![door]).unwrap();
        proxies.starting().runs(1, process_of_one);
        let one = BlockingStream::connect(address).unwrap();
        let (two, _) = node.accept().unwrap();
        (proxies, one, two)
    }

    fn arrives(from: &mut BlockingStream, to: &mut BlockingStream, within: Duration) -> bool {
        from.write_all(b"x").unwrap();
        received(to, within)
    }

    fn received(at: &mut BlockingStream, within: Duration) -> bool {
        at.set_read_timeout(Some(within)).unwrap();
        at.read(&mut [0]).is_ok_and(|size| size == 1)
    }

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_cut_link_delays_one_direction_until_it_is_healed() {
        let (proxies, mut one, mut two) = connected(process::id());
        assert!(arrives(&mut one, &mut two, LONG));
        proxies.cut(1, 2);
        assert!(!arrives(&mut one, &mut two, SHORT));
        assert!(arrives(&mut two, &mut one, LONG));
        proxies.heal();
        assert!(received(&mut two, LONG));
    }

    #[test]
    fn clients_are_never_cut_off() {
        let (proxies, mut one, mut two) = connected(u32::MAX);
        proxies.cut(1, 2);
        proxies.cut(2, 1);
        assert!(arrives(&mut one, &mut two, LONG));
        assert!(arrives(&mut two, &mut one, LONG));
    }
}
