//! A broker that may be connected to, or not yet, or not any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::address::HostPort;
use super::call::{Answer, Call};
use super::connection::Connection;
use super::error::ClientError;

/// Connecting takes at most this long, however patient the command is: a broker that is there
/// accepts within milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Opens its one connection at the first call, and again after it broke. Calls can run side by
/// side.
#[derive(Debug)]
pub(crate) struct Link {
    address: HostPort,
    timeout: Duration,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    pub(super) fn new(address: HostPort, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            connection: Mutex::new(None),
        }
    }

    pub(crate) fn address(&self) -> &HostPort {
        &self.address
    }

    /// Sends a request in the highest version that both sides know and waits for its answer.
    pub(crate) async fn call<R: Call>(&self, request: &R) -> Result<Answer<R>, ClientError> {
        self.call_waiting(request, Duration::ZERO).await
    }

    /// As `call`, for a request that the broker holds back for up to `held` on purpose.
    pub(crate) async fn call_waiting<R: Call>(
        &self,
        request: &R,
        held: Duration,
    ) -> Result<Answer<R>, ClientError> {
        let connection = self.connected().await?;
        let version = connection.version_of(request)?;
        connection.call(request, version, self.timeout + held).await
    }

    /// Sends a request that gets no answer.
    pub(crate) async fn tell<R: Call>(&self, request: &R) -> Result<(), ClientError> {
        let connection = self.connected().await?;
        let version = connection.version_of(request)?;
        connection.tell(request, version, self.timeout).await
    }

    async fn connected(&self) -> Result<Arc<Connection>, ClientError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_broken()) {
            return Ok(Arc::clone(connection));
        }
        *slot = None;
        let within = CONNECT_WITHIN.min(self.timeout);
        let connection = Arc::new(Connection::open(&self.address, within).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}
