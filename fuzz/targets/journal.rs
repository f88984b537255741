//! The partition journal: any bytes are a prefix of records, and what was read is written back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_storage::journal::{Entry, Records, decode_header};

fuzz_target!(|input: &[u8]| {
    // Behind a checksum hides what a fuzzer can not guess, so each record is also read with its checksum made right.
    if let Ok(body) = decode_header(input) {
        read(body);
    }
    read(&made_right(input));
});

fn read(body: &[u8]) {
    let mut records = Records::new(body);
    let entries: Vec<Entry> = records.by_ref().collect();
    assert!(records.position() <= body.len() as u64);
    let again: Vec<u8> =
        entries.iter().flat_map(|entry| entry.encode().expect("an entry that was read")).collect();
    assert_eq!(Records::new(&again).collect::<Vec<_>>(), entries);
}

/// The input as one payload, with the length and the checksum that it has to have.
fn made_right(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut crc = 0xffff_ffff_u32;
    for byte in length.iter().chain(payload) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    [&length[..], &(!crc).to_le_bytes(), payload].concat()
}
