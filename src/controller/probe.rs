//! What the controller asks of whoever knocks at brokers.
//!
//! Only a proof counts: silence, a failed look-up and an open port prove nothing, and the broker's session decides.

use crate::metadata::record::EndpointRecord;

/// Knocks at addresses.
pub trait Prober {
    /// Whether the address refuses connections, as that of a dead process does.
    fn is_gone(&self, endpoint: &EndpointRecord) -> impl Future<Output = bool> + Send + 'static;
}
