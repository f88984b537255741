//! What the codec promises for every message: it gives back what it read, and survives the rest.

use ottla::wire::{
    api::{ApiKey, ControllerApi},
    consumer_offsets::Key as RecordKey,
    header::{RequestHeader, decode_response_header, encode_response_header},
    messages::{metadata::MetadataRequest, produce::ProduceRequest},
    reader::{DecodeError, Reader},
    writer::Writer,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    dispatch::{Key, Subject, decode, defaults, recode},
    every::{APIS, DATA, cases},
    random::{self, Choices},
    schema,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The bytes come from a second reading of the schema, so this is also `decode(encode(x)) = x`
    /// for every `x` that can be read.
    #[test]
    fn every_version_of_every_message_reads_back_to_its_bytes(choices in vec(any::<u8>(), 0..600)) {
        for case in cases() {
            let bytes = case.random(&choices);
            let again = recode(case.subject, case.version, &bytes);
            prop_assert_eq!(again, Ok(bytes), "{}", case);
        }
    }

    /// W1.
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        for case in cases() {
            let _ = decode(case.subject, case.version, &bytes);
        }
    }

    /// W1, close to the truth: cut, or with one byte changed.
    #[test]
    fn no_damaged_message_panics(
        choices in vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for case in cases() {
            let mut bytes = case.random(&choices);
            let at = at.index(bytes.len().max(1));
            let _ = decode(case.subject, case.version, bytes.get(..at).unwrap_or(&[]));
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            let _ = recode(case.subject, case.version, &bytes);
        }
    }

    /// The type in front of the bytes says what they are.
    #[test]
    fn keys_of_every_type_read_back_to_their_bytes(choices in vec(any::<u8>(), 0..200)) {
        for record in DATA.iter().filter(|data| data.record.is_some()) {
            let record_type = record.record.unwrap();
            let mut bytes = record_type.to_be_bytes().to_vec();
            bytes.extend(random::message(&record.messages[0], 0, &mut Choices(&choices)));
            let key = RecordKey::decode(&bytes).unwrap();
            prop_assert!(!matches!(key, RecordKey::Unknown(_)), "{}", record.name);
            prop_assert_eq!(key.record_type(), record_type);
            prop_assert_eq!(key.encode().unwrap(), bytes, "{}", record.name);
        }
    }

    #[test]
    fn headers_are_those_of_the_schema(choices in vec(any::<u8>(), 0..200)) {
        let wire = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/schema");
        let (request, response) = schema::read_headers(&wire);
        for case in cases() {
            // A message for the controller has an envelope instead of a header.
            let Some(Key::Client(api)) = case.subject.api() else {
                continue;
            };
            let is_flexible = api.is_flexible(case.version);
            if case.subject == Subject::request(api) {
                let version = if is_flexible { 2 } else { 1 };
                let mut bytes = random::message(&request, version, &mut Choices(&choices));
                bytes[..2].copy_from_slice(&api.code().to_be_bytes());
                bytes[2..4].copy_from_slice(&case.version.to_be_bytes());
                if api.advertised().contains(case.version) {
                    let header = RequestHeader::decode(&mut Reader::new(&bytes)).unwrap();
                    prop_assert_eq!(written(|w| header.encode(w)), bytes, "{}", case);
                }
            } else {
                let is_flexible = is_flexible && api != ApiKey::ApiVersions;
                let version = i16::from(is_flexible);
                let bytes = random::message(&response, version, &mut Choices(&choices));
                let mut reader = Reader::new(&bytes);
                let id = decode_response_header(&mut reader, api, case.version).unwrap();
                let again = written(|w| encode_response_header(w, api, case.version, id));
                prop_assert_eq!(again, bytes, "{}", case);
            }
        }
    }
}

/// The generated defaults are the schema's, which tests/interop compares with Kafka's.
#[test]
fn a_message_of_defaults_is_the_schemas() {
    for case in cases() {
        let ours = defaults(case.subject, case.version).unwrap();
        assert_eq!(ours, random::defaults(case.message, case.version), "{case}");
    }
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish().unwrap().into_bytes().unwrap().to_vec()
}

/// W3, as far as the codec goes: a version that is advertised can be read and written.
#[test]
fn the_table_serves_what_the_schema_has_but_nothing_unstable() {
    assert_eq!(APIS.len(), ApiKey::ALL.len() + ControllerApi::ALL.len());
    for api in APIS.iter().filter(|api| !api.is_of_controller) {
        let key = ApiKey::from_code(api.key).unwrap();
        assert_eq!(key.name(), api.name);
        let max = api
            .unstable
            .map_or(api.request.valid.max, |unstable| unstable - 1);
        // Produce 0-2 can be read and are answered with an error.
        assert_eq!(key.advertised().min, api.request.valid.min, "{key}");
        assert_eq!(key.advertised().max, max, "{key}");
        for version in api.request.valid.min..=api.request.valid.max {
            let is_flexible = version >= api.request.flexible_from;
            assert_eq!(key.is_flexible(version), is_flexible, "{key} v{version}");
        }
    }
}

#[test]
fn what_a_broker_asks_the_controller_is_in_a_table_of_its_own() {
    for api in APIS.iter().filter(|api| api.is_of_controller) {
        assert_eq!(ApiKey::from_code(api.key), None, "{}", api.name);
        let key = ControllerApi::from_code(api.key).unwrap();
        assert_eq!(key.name(), api.name);
        let served = key.served();
        let valid = api.request.valid;
        assert_eq!((served.min, served.max), (valid.min, valid.max), "{key}");
        for version in valid.min..=valid.max {
            let is_flexible = version >= api.request.flexible_from;
            assert_eq!(key.is_flexible(version), is_flexible, "{key} v{version}");
        }
    }
}

/// These twelve bytes, as the body of Produce v9, make the crate kafka-protocol 0.18 reserve
/// 200 GB for topics and so end the process. The count is compared with the bytes that remain.
#[test]
fn an_array_larger_than_its_frame_is_refused() {
    let body = [0, 0xff, 0xff, 0, 0, 3, 0xe8, 0xff, 0xff, 0xff, 0xff, 7];
    let refused = ProduceRequest::decode(&mut Reader::new(&body), 9);
    let (at, needed) = (7, 0x7fff_fffe);
    assert_eq!(
        refused,
        Err(DecodeError::Truncated {
            at,
            needed,
            remaining: 0
        })
    );
}

/// A frame of one-byte elements asks for forty bytes of memory a byte.
#[test]
fn an_array_that_fits_its_frame_but_not_the_budget_is_refused() {
    let count = 1_000_000_u32;
    let mut body = count.to_be_bytes().to_vec();
    body.resize(4 + 1_000_000, 0);
    let refused = MetadataRequest::decode(&mut Reader::new(&body), 1);
    assert_eq!(
        refused,
        Err(DecodeError::OverBudget {
            at: 0,
            count: 1_000_000
        })
    );
}

#[test]
fn topics_with_names_of_three_letters_fit_the_budget() {
    let mut body = 500_000_i32.to_be_bytes().to_vec();
    (0..500_000).for_each(|_| body.extend([0, 3, b'a', b'b', b'c']));
    let read = MetadataRequest::decode(&mut Reader::new(&body), 1).unwrap();
    assert_eq!(read.topics.map(|topics| topics.len()), Some(500_000));
}

/// An `ApiVersions` v3 request: two empty names, then the tags.
fn with_tags(tags: &[u8]) -> Result<Vec<u8>, DecodeError> {
    recode(
        Subject::request(ApiKey::ApiVersions),
        3,
        &[&[1, 1], tags].concat(),
    )
}

#[test]
fn unknown_tags_are_skipped() {
    assert_eq!(
        with_tags(&[2, 5, 1, 0xaa, 9, 2, 0xbb, 0xcc]),
        Ok(vec![1, 1, 0])
    );
}

#[test]
fn tags_that_do_not_ascend_are_refused() {
    for second in [4, 5] {
        let refused = with_tags(&[2, 5, 1, 0xaa, second, 1, 0xaa]);
        assert_eq!(
            refused,
            Err(DecodeError::TagOrder {
                at: 6,
                tag: u32::from(second)
            })
        );
    }
}

#[test]
fn a_known_tag_that_is_longer_or_shorter_than_its_value_is_refused() {
    // Tag 1 of the response is the epoch of the finalized features, an int64.
    let response = |size: u8| {
        let mut bytes = vec![0, 0, 1, 0, 0, 0, 0, 1, 1, size];
        bytes.extend([7; 9]);
        recode(Subject::response(ApiKey::ApiVersions), 3, &bytes)
    };
    let longer = Err(DecodeError::TagSize {
        at: 18,
        tag: 1,
        left: 1,
    });
    assert_eq!(response(9), longer);
    let shorter = Err(DecodeError::Truncated {
        at: 10,
        needed: 8,
        remaining: 7,
    });
    assert_eq!(response(7), shorter);
}

#[test]
fn nulls_are_refused_where_the_version_has_none() {
    let null_array = [0xff; 4];
    let refused = recode(Subject::request(ApiKey::Metadata), 0, &null_array);
    assert_eq!(refused, Err(DecodeError::NullNotAllowed { at: 0 }));
    let allowed = recode(Subject::request(ApiKey::Metadata), 1, &null_array);
    assert_eq!(allowed, Ok(null_array.to_vec()));
    let negative = recode(
        Subject::request(ApiKey::Metadata),
        1,
        &(-2_i32).to_be_bytes(),
    );
    assert_eq!(
        negative,
        Err(DecodeError::NegativeLength { at: 0, length: -2 })
    );
}
