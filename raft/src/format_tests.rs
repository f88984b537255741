//! The formats: golden files of every one, round trips, and any bytes at all.
//!
//! A golden file is what this version writes. If one of these tests fails, the format has changed:
//! that takes a new version, a new golden file, and the old one stays and must still be read.
//! `OTTLA_BLESS=1` writes the files that are missing.

use std::path::Path;

use proptest::prelude::*;

use crate::archive::{
    self, EntryRecord, LogIdRecord, MemberRecord, MembershipRecord, PayloadRecord, SnapshotRecord,
    VoteRecord,
};
use crate::log::frame::{self, Content, Kind, Link, SegmentRecord};
use crate::rpc::{self, Address, Answer, AppendAnswer, Call, Identity, Refusal, Request, Response};
use crate::snapshot;
use crate::{convert, inspect};

fn check_golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if !path.exists() && std::env::var_os("OTTLA_BLESS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert_eq!(bytes, golden, "the bytes of {name} have changed");
    golden
}

fn id(term: u64, index: u64) -> LogIdRecord {
    LogIdRecord { term, index }
}

fn membership() -> MembershipRecord {
    let member = |node: u64| MemberRecord {
        node,
        directory: [u8::try_from(node).unwrap(); 16],
        address: format!("node-{node}.example:9093"),
    };
    MembershipRecord {
        voters: vec![vec![1, 2, 3], vec![1, 2]],
        members: vec![member(1), member(2), member(3), member(4)],
    }
}

fn entries() -> Vec<EntryRecord> {
    let entry = |index, payload| EntryRecord {
        id: id(5, index),
        payload,
    };
    vec![
        entry(10, PayloadRecord::Blank),
        entry(11, PayloadRecord::Command(b"a command".to_vec())),
        entry(12, PayloadRecord::Command(Vec::new())),
        entry(13, PayloadRecord::Membership(membership())),
    ]
}

fn vote() -> VoteRecord {
    VoteRecord {
        term: 5,
        voted_for: Some(2),
        is_committed: true,
    }
}

#[test]
fn a_segment_keeps_its_bytes() {
    let mut bytes = Vec::new();
    let mut link = Link {
        sequence: 100,
        chain: 0x0102_0304,
    };
    let header = SegmentRecord {
        number: 7,
        vote: Some(vote()),
        committed: Some(id(4, 8)),
        purged: Some(id(3, 5)),
        last: Some(id(4, 9)),
    };
    let mut put = |kind, durable, body: &[u8]| {
        frame::encode(&mut bytes, &mut link, kind, durable, body);
    };
    put(Kind::Segment, 0, &archive::to_bytes(&header));
    for entry in entries() {
        put(Kind::Entry, 0, &archive::to_bytes(&entry));
    }
    put(Kind::Vote, 512, &archive::to_bytes(&vote()));
    put(Kind::Committed, 512, &archive::to_bytes(&id(5, 11)));
    put(Kind::Truncate, 512, &archive::to_bytes(&12_u64));
    put(Kind::Purge, 512, &archive::to_bytes(&id(5, 10)));
    let golden = check_golden("log-segment.v1", &bytes);

    let mut position = 0;
    let mut contents = Vec::new();
    while position < golden.len() {
        let frame = frame::decode(&golden, position).unwrap();
        contents.push(frame.content);
        position = frame.end;
    }
    let mut expected = vec![Content::Segment(header)];
    expected.extend(entries().iter().map(|entry| Content::Entry(entry.id)));
    expected.extend([
        Content::Vote(vote()),
        Content::Committed(id(5, 11)),
        Content::Truncate(12),
        Content::Purge(id(5, 10)),
    ]);
    assert_eq!(contents, expected);
    assert_eq!(inspect::segment(&golden).flatten().count(), expected.len());
}

#[test]
fn a_snapshot_keeps_its_bytes() {
    let meta = SnapshotRecord {
        last: Some(id(5, 13)),
        membership_at: Some(id(5, 13)),
        membership: membership(),
        id: "5-13".to_owned(),
    };
    let golden = check_golden("snapshot.v1", &snapshot::encode(&meta, b"the state"));
    let view = snapshot::decode(&golden).unwrap();
    assert_eq!(view.meta, meta);
    assert_eq!(view.state, b"the state");
}

#[test]
fn calls_and_answers_keep_their_bytes() {
    let address = Address {
        cluster: [0xc; 16],
        from: Identity {
            node: 1,
            directory: [1; 16],
        },
        to: Identity {
            node: 2,
            directory: [2; 16],
        },
    };
    let meta = SnapshotRecord {
        last: Some(id(5, 13)),
        membership_at: None,
        membership: membership(),
        id: "5-13".to_owned(),
    };
    let (previous, committed) = (Some(id(4, 9)), Some(id(4, 8)));
    let data = b"a piece".to_vec();
    let calls = [
        (
            "append",
            Call::Append {
                vote: vote(),
                previous,
                entries: entries(),
                committed,
            },
        ),
        (
            "vote",
            Call::Vote {
                vote: vote(),
                last: None,
            },
        ),
        (
            "snapshot",
            Call::Snapshot {
                vote: vote(),
                meta,
                offset: 7,
                data,
                is_last: true,
            },
        ),
    ];
    for (name, call) in calls {
        let request = Request { address, call };
        let golden = check_golden(
            &format!("rpc-{name}-request.v1"),
            &rpc::encode_request(&request),
        );
        assert_eq!(rpc::decode_request(&golden), Ok(request));
        assert_eq!(rpc::decode_response(&golden), Err(Refusal::Malformed));
    }
    let (expected, found) = (("5-13".to_owned(), 7), ("4-9".to_owned(), 0));
    let answers = [
        ("refused", Answer::Refused(Refusal::NotAddressed)),
        ("append", Answer::Append(AppendAnswer::Success)),
        (
            "append-part",
            Answer::Append(AppendAnswer::PartialSuccess(Some(id(5, 11)))),
        ),
        ("append-conflict", Answer::Append(AppendAnswer::Conflict)),
        (
            "append-vote",
            Answer::Append(AppendAnswer::HigherVote(vote())),
        ),
        (
            "vote",
            Answer::Vote {
                vote: vote(),
                is_granted: true,
                last: Some(id(4, 9)),
            },
        ),
        ("snapshot", Answer::Snapshot { vote: vote() }),
        (
            "snapshot-mismatch",
            Answer::SnapshotMismatch { expected, found },
        ),
    ];
    for (name, answer) in answers {
        let response = Response { address, answer };
        let golden = check_golden(
            &format!("rpc-{name}-response.v1"),
            &rpc::encode_response(&response),
        );
        assert_eq!(rpc::decode_response(&golden), Ok(response));
    }
}

fn any_id() -> impl Strategy<Value = LogIdRecord> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| LogIdRecord { term, index })
}

fn any_membership() -> impl Strategy<Value = MembershipRecord> {
    let member =
        (any::<u64>(), any::<[u8; 16]>(), ".{0,20}").prop_map(|(node, directory, address)| {
            MemberRecord {
                node,
                directory,
                address,
            }
        });
    let voters = prop::collection::vec(prop::collection::vec(any::<u64>(), 0..4), 0..3);
    (voters, prop::collection::vec(member, 0..4))
        .prop_map(|(voters, members)| MembershipRecord { voters, members })
}

fn any_entry() -> impl Strategy<Value = EntryRecord> {
    let payload = prop_oneof![
        Just(PayloadRecord::Blank),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(PayloadRecord::Command),
        any_membership().prop_map(PayloadRecord::Membership),
    ];
    (any_id(), payload).prop_map(|(id, payload)| EntryRecord { id, payload })
}

proptest! {
    #[test]
    fn entries_survive_their_frames(
        entries in prop::collection::vec(any_entry(), 1..6),
        sequence in 0..u64::MAX - 10,
        chain: u32,
        durable: u32,
    ) {
        let mut bytes = Vec::new();
        let begun = Link { sequence, chain };
        let mut link = begun;
        for entry in &entries {
            let archive = archive::to_bytes(entry);
            frame::encode(&mut bytes, &mut link, Kind::Entry, durable, &archive);
        }
        let mut link = begun;
        let mut position = 0;
        for entry in &entries {
            let frame = frame::decode_next(&bytes, position, &mut link).unwrap();
            prop_assert_eq!(frame.durable, durable);
            prop_assert_eq!(&frame.content, &Content::Entry(entry.id));
            let body = bytes::Bytes::copy_from_slice(&bytes[frame.body.clone()]);
            let in_place = convert::entry_in_place(&body).unwrap();
            prop_assert_eq!(in_place.log_id, openraft::LogId::from(entry.id));
            let owned = archive::from_bytes::<EntryRecord>(&body);
            prop_assert_eq!(owned.as_ref(), Some(entry));
            position = frame.end;
        }
        prop_assert_eq!(position, bytes.len());
    }

    /// A frame in another place, or after another one, is not part of this history.
    #[test]
    fn a_frame_of_another_history_does_not_continue_this_one(
        entry in any_entry(), sequence in 0..u64::MAX - 10, chain: u32, other: u32,
    ) {
        prop_assume!(chain != other);
        let mut bytes = Vec::new();
        let archive = archive::to_bytes(&entry);
        let mut link = Link { sequence, chain };
        frame::encode(&mut bytes, &mut link, Kind::Entry, 0, &archive);
        let mut elsewhere = Link { sequence: sequence + 1, chain };
        prop_assert!(frame::decode_next(&bytes, 0, &mut elsewhere).is_err());
        let mut otherwise = Link { sequence, chain: other };
        prop_assert!(frame::decode_next(&bytes, 0, &mut otherwise).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    /// Bytes behind a right checksum, which random ones never have.
    #[test]
    fn any_archive_is_read_without_a_panic(
        body in prop::collection::vec(any::<u8>(), 0..300), kind in 0..8_u8,
    ) {
        let mut bytes = Vec::new();
        let kinds = [Kind::Segment, Kind::Entry, Kind::Vote, Kind::Committed, Kind::Truncate];
        let kind = kinds.get(usize::from(kind)).copied().unwrap_or(Kind::Purge);
        frame::encode(&mut bytes, &mut Link { sequence: 1, chain: 0 }, kind, 0, &body);
        read_all(&bytes);
        let _ = archive::from_bytes::<Request>(&body);
        let _ = archive::from_bytes::<Response>(&body);
        let _ = archive::from_bytes::<SnapshotRecord>(&body);
        let _ = convert::entry_in_place(&body.into());
    }
}

fn read_all(bytes: &[u8]) {
    for position in 0..bytes.len().min(64) {
        let _ = frame::decode(bytes, position);
    }
    let _ = inspect::segment(bytes).count();
    let _ = inspect::snapshot(bytes);
    let _ = rpc::decode_request(bytes);
    let _ = rpc::decode_response(bytes);
}
