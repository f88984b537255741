//! A segment of the quorum's log, or a call between its nodes, with the checksums put right: a fuzzer
//! does not find those, and a disk or a peer that lies can.
//!
//! Frames cover the segment without a gap, and only the last thing found can be damage.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla::inspect;

const HEADER: usize = 32;

fuzz_target!(|input: &[u8]| {
    let mut bytes = input.to_vec();
    if bytes.starts_with(b"OTRP") {
        seal_message(&mut bytes);
        ottla::is_raft_message(&bytes);
        return;
    }
    seal_frames(&mut bytes);
    let mut end = 0;
    let mut is_over = false;
    for frame in inspect::segment(&bytes) {
        assert!(!is_over);
        match frame {
            Ok(frame) => {
                assert_eq!(frame.position, end);
                end += frame.size;
            }
            Err(damage) => {
                assert_eq!(damage.position, end);
                is_over = true;
            }
        }
    }
});

/// Writes sequences, chains and checksums as a writer would have.
fn seal_frames(bytes: &mut [u8]) {
    let (mut at, mut sequence, mut chain) = (0, 1_u64, 0_u32);
    while let Some(header) = bytes.get(at..at + HEADER) {
        let size = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let Some(end) = at
            .checked_add(HEADER + size)
            .filter(|end| *end <= bytes.len())
        else {
            return;
        };
        bytes[at..at + 4].copy_from_slice(b"OTRL");
        bytes[at + 16..at + 24].copy_from_slice(&sequence.to_le_bytes());
        bytes[at + 24..at + 28].copy_from_slice(&chain.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[at..at + 28]);
        hasher.update(&bytes[at + HEADER..end]);
        chain = hasher.finalize();
        bytes[at + 28..at + HEADER].copy_from_slice(&chain.to_le_bytes());
        sequence += 1;
        at = end.next_multiple_of(16);
    }
}

fn seal_message(bytes: &mut [u8]) {
    let Some(size) = bytes.len().checked_sub(16) else {
        return;
    };
    bytes[8..12].copy_from_slice(&(size as u32).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..12]);
    hasher.update(&bytes[16..]);
    let checksum = hasher.finalize().to_le_bytes();
    bytes[12..16].copy_from_slice(&checksum);
}
