//! Whether a process is gone: nobody listens where its broker says that it does.
//!
//! - Only a refusal proves something, and only the second one in a row: a listener's queue may be full for a moment.
//! - Silence, a failed look-up and an open port prove nothing: the broker's session decides.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::metadata::record::EndpointRecord;

/// Both tries together take no longer.
const TIMEOUT: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);

/// Knocks at addresses.
pub trait Prober {
    /// Whether the address refuses connections, as that of a dead process does.
    fn is_gone(&self, endpoint: &EndpointRecord) -> impl Future<Output = bool> + Send + 'static;
}

/// Knocks over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpProber;

impl Prober for TcpProber {
    fn is_gone(&self, endpoint: &EndpointRecord) -> impl Future<Output = bool> + Send + 'static {
        let address = (endpoint.host.clone(), endpoint.port);
        async move {
            let tries = async {
                if !is_refused(&address).await {
                    return false;
                }
                tokio::time::sleep(PAUSE).await;
                is_refused(&address).await
            };
            tokio::time::timeout(TIMEOUT, tries).await.unwrap_or(false)
        }
    }
}

async fn is_refused((host, port): &(String, u16)) -> bool {
    let connected = TcpStream::connect((host.as_str(), *port)).await;
    matches!(connected, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn is_gone(port: u16) -> bool {
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
        runtime.block_on(TcpProber.is_gone(&endpoint))
    }

    #[test]
    fn who_listens_is_there_and_whose_port_is_closed_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_gone(port));
        drop(listener);
        assert!(is_gone(port));
    }
}
