//! The marker of a directory that was closed in order: `.kafka_cleanshutdown`.
//!
//! Its presence is what counts. It is read and *deleted* at start, before anything is served: a
//! marker left in place would make the next crash look clean. The broker epoch in it proves to the
//! controller that the incarnation before this one lost nothing.

use serde_json::{Value, json};

/// The file's name in the data directory.
pub const FILE: &str = ".kafka_cleanshutdown";

/// The file's text.
pub fn encode(broker_epoch: i64) -> String {
    json!({ "version": 0, "brokerEpoch": broker_epoch }).to_string()
}

/// The broker epoch in a marker. `None` if it names none: earlier brokers wrote empty markers, and
/// an unreadable one proves nothing to the controller.
pub fn decode(bytes: &[u8]) -> Option<i64> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let is_known = value.get("version").and_then(Value::as_i64) == Some(0);
    value
        .get("brokerEpoch")
        .and_then(Value::as_i64)
        .filter(|epoch| is_known && *epoch >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Kafka 4.4.0's `CleanShutdownFileHandler`.
    #[test]
    fn the_text_is_kafkas() {
        let kafka = r#"{"version":0,"brokerEpoch":42}"#;
        assert_eq!(encode(42), kafka);
        assert_eq!(decode(kafka.as_bytes()), Some(42));
    }

    #[test]
    fn an_unreadable_marker_proves_nothing() {
        for marker in [
            "",
            "{",
            "{}",
            r#"{"version":1,"brokerEpoch":42}"#,
            r#"{"version":0}"#,
        ] {
            assert_eq!(decode(marker.as_bytes()), None, "{marker}");
        }
        assert_eq!(decode(br#"{"version":0,"brokerEpoch":-1}"#), None);
    }
}
