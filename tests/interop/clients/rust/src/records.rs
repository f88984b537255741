//! The record files that every client of the harness reads and writes: one JSON object per line, with `k` (key) and
//! `v` (value) in base64 or null, `h` (headers as pairs) and `t` (timestamp in ms or null); what was read also has
//! `p` (partition) and `o` (offset).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use serde_json::{Value, json};

pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
}

impl Record {
    pub fn rdkafka_headers(&self) -> Option<OwnedHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let empty = OwnedHeaders::new_with_capacity(self.headers.len());
        Some(self.headers.iter().fold(empty, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: value.as_ref(),
            })
        }))
    }
}

pub fn load(path: &str) -> Result<Vec<Record>> {
    BufReader::new(File::open(path)?)
        .lines()
        .map(|line| {
            let json: Value = serde_json::from_str(&line?)?;
            let headers = json["h"].as_array().map(Vec::as_slice).unwrap_or_default();
            Ok(Record {
                key: bytes(&json["k"])?,
                value: bytes(&json["v"])?,
                headers: headers
                    .iter()
                    .map(|pair| {
                        Ok((
                            pair[0].as_str().unwrap_or_default().to_owned(),
                            bytes(&pair[1])?,
                        ))
                    })
                    .collect::<Result<_>>()?,
                timestamp: json["t"].as_i64(),
            })
        })
        .collect()
}

pub fn store(out: &mut impl Write, message: &BorrowedMessage<'_>) -> Result<()> {
    writeln!(out, "{}", described(message))?;
    Ok(())
}

pub fn described(message: &BorrowedMessage<'_>) -> Value {
    let headers: Vec<Value> = message
        .headers()
        .map(|headers| {
            headers
                .iter()
                .map(|header| json!([header.key, text(header.value)]))
                .collect()
        })
        .unwrap_or_default();
    json!({
        "p": message.partition(), "o": message.offset(), "t": message.timestamp().to_millis(),
        "k": text(message.key()), "v": text(message.payload()), "h": headers,
    })
}

fn bytes(json: &Value) -> Result<Option<Vec<u8>>> {
    json.as_str()
        .map(|text| Ok(STANDARD.decode(text)?))
        .transpose()
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| STANDARD.encode(bytes))
}
