//! Whether a process is gone: nobody listens where its broker says that it does. The controller asks; the way there is
//! the network's.
//!
//! - Only a refusal proves something, and only the second one in a row: a listener's queue may be full for a moment.
//! - A process that is ending closes its sockets one after the other, so the probe that one of them caused may still
//!   find the listener open. Such a connection is closed at once; it says nothing, and the probe goes on.
//! - Silence, a failed look-up and an open port prove nothing: the broker's session decides.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::controller::Prober;
use crate::metadata::record::EndpointRecord;
use crate::net::dial;

/// Both tries together take no longer.
const TIMEOUT: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);
/// A connection that lasts this long was taken by a process that lives.
const OPEN_AFTER: Duration = Duration::from_millis(50);

/// Knocks over TCP.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpProber;

impl Prober for TcpProber {
    fn is_gone(&self, endpoint: &EndpointRecord) -> impl Future<Output = bool> + Send + 'static {
        let address = (endpoint.host.clone(), endpoint.port);
        async move {
            let tries = async {
                let mut refusals = 0;
                loop {
                    match knock(&address).await {
                        Door::Open => return false,
                        Door::Closing => refusals = 0,
                        Door::Shut if refusals == 1 => return true,
                        Door::Shut => refusals += 1,
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            };
            tokio::time::timeout(TIMEOUT, tries).await.unwrap_or(false)
        }
    }
}

/// What a knock has found.
enum Door {
    Open,
    /// Open, and closed right after.
    Closing,
    Shut,
}

async fn knock((host, port): &(String, u16)) -> Door {
    let mut stream = match dial::connect((host.as_str(), *port)).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Door::Shut,
        // Taken, and given up before we could look at it: as below, only sooner.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::BrokenPipe
            ) =>
        {
            return Door::Closing;
        }
        // The address can't be found or reached: that says nothing of the process.
        Err(_) => return Door::Open,
    };
    let closed = stream.read_u8();
    match tokio::time::timeout(OPEN_AFTER, closed).await {
        Ok(Err(_)) => Door::Closing,
        Ok(Ok(_)) | Err(_) => Door::Open,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Knocks at a port while something else happens.
    fn is_gone(port: u16, meanwhile: impl Future<Output = ()>) -> bool {
        let endpoint = EndpointRecord {
            listener: "PLAINTEXT".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            security_protocol: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (is_gone, ()) = tokio::join!(TcpProber.is_gone(&endpoint), meanwhile);
            is_gone
        })
    }

    #[test]
    fn who_listens_is_there_and_whose_port_is_closed_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_gone(port, async {}));
        drop(listener);
        assert!(is_gone(port, async {}));
    }

    /// A killed process closed its connection to the controller before its listener, and was held for alive until its
    /// session ended.
    #[test]
    fn who_is_ending_while_we_knock_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ending = async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(listener);
        };
        assert!(is_gone(port, ending));
    }
}
