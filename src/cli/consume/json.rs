//! One consumed record as one line of JSON.
//!
//! Keys and values are text when they are UTF-8, else base64 under a name that says so: nothing is
//! lost or replaced.

use std::io::{self, Write};

use serde::Serialize;

use super::format::{Shown, base64};

/// One record as one line of JSON.
pub(crate) fn write_json(record: &Shown<'_>, out: &mut impl Write) -> io::Result<()> {
    let (key, key_base64) = text_or_base64(record.key);
    let (value, value_base64) = text_or_base64(record.value);
    let line = RecordJson {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        leader_epoch: record.leader_epoch,
        timestamp: record.timestamp_ms,
        timestamp_type: if record.is_log_append_time {
            "LogAppendTime"
        } else {
            "CreateTime"
        },
        key,
        key_base64,
        value,
        value_base64,
        headers: record
            .headers
            .iter()
            .map(|&(name, value)| HeaderJson::new(name, value))
            .collect(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct RecordJson<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    timestamp: i64,
    timestamp_type: &'static str,
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    headers: Vec<HeaderJson<'a>>,
}

#[derive(Serialize)]
struct HeaderJson<'a> {
    key: String,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl<'a> HeaderJson<'a> {
    fn new(name: &[u8], value: Option<&'a [u8]>) -> Self {
        let (value, value_base64) = text_or_base64(value);
        Self {
            key: String::from_utf8_lossy(name).into_owned(),
            value,
            value_base64,
        }
    }
}

fn text_or_base64(bytes: Option<&[u8]>) -> (Option<&str>, Option<String>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, None),
        Some((_, Ok(text))) => (Some(text), None),
        Some((bytes, Err(_))) => (None, Some(base64(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::consume::format::tests::record;

    #[test]
    fn json_keeps_bytes_that_are_not_text() {
        let mut out = Vec::new();
        write_json(&record(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"topic":"orders","partition":3,"offset":42,"leader_epoch":7,"#,
                r#""timestamp":1769846400000,"timestamp_type":"CreateTime","key":"k1","#,
                r#""value":null,"value_base64":"dv8x","#,
                r#""headers":[{"key":"a","value":"1"},{"key":"a","value":null}]}"#,
                "\n"
            )
        );
    }
}
