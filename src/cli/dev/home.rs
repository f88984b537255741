//! Where a local cluster keeps its data, and the ports at which its nodes find each other.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Holds a port per node, a line each. The quorum knows its members by these ports, so they stay.
const PORTS: &str = "quorum-ports";

/// A directory; one of our own making is removed at the end.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    is_temporary: bool,
}

impl Home {
    pub(super) fn open(dir: Option<PathBuf>) -> Result<Self> {
        let is_temporary = dir.is_none();
        let of_our_own = || std::env::temp_dir().join(format!("ottla-dev-{}", std::process::id()));
        let path = dir.unwrap_or_else(of_our_own);
        // What lies where the temporary one is to be is not ours to remove.
        let made = if is_temporary {
            fs::create_dir(&path)
        } else {
            fs::create_dir_all(&path)
        };
        made.with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path, is_temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The `--peers` of `count` nodes: the ports of an earlier start, and free ones for nodes that are new.
    pub(super) fn peers(&self, count: u16) -> Result<String> {
        let file = self.path.join(PORTS);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("read {}", file.display()))?,
        };
        let Ok(mut ports) = text
            .lines()
            .map(str::parse)
            .collect::<Result<Vec<u16>, _>>()
        else {
            bail!(
                "{} does not hold a port in each line: was it changed?",
                file.display()
            );
        };
        let count = usize::from(count);
        if count < ports.len() {
            // The others would wait for a majority of more nodes than there are.
            bail!(
                "{} holds {} nodes: start as many",
                self.path.display(),
                ports.len()
            );
        }
        ports.extend(free_ports(count - ports.len()).context("find free ports")?);
        // A node alone has no quorum listener, and can be joined by others later.
        if count > 1 {
            let lines: Vec<_> = ports.iter().map(|port| format!("{port}\n")).collect();
            fs::write(&file, lines.concat())
                .with_context(|| format!("write {}", file.display()))?;
        }
        let peers = (1..)
            .zip(&ports)
            .map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
        Ok(peers.collect::<Vec<_>>().join(","))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nothing to be done about a file that stays.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// All are held until the last is found, so that no two are the same.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<io::Result<_>>()?;
    let ports = listeners.iter();
    ports
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_keep_their_ports_and_new_ones_get_others() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(Some(dir.path().to_owned())).unwrap();
        let three = home.peers(3).unwrap();
        assert_eq!(home.peers(3).unwrap(), three);
        assert!(home.peers(5).unwrap().starts_with(&three));
        assert!(home.peers(3).is_err(), "five nodes can't go on as three");
    }

    #[test]
    fn only_a_directory_of_our_own_making_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(Home::open(Some(dir.path().join("kept"))).unwrap());
        assert!(dir.path().join("kept").is_dir());
        let home = Home::open(None).unwrap();
        let path = home.path().to_owned();
        assert!(Home::open(None).is_err(), "there is one already");
        assert!(path.is_dir());
        drop(home);
        assert!(!path.exists());
    }
}
