//! Our schema is Kafka's: every message, field, version range, nullability, default and tag.

use std::{env, fs::File, io::Read, path::Path};

use serde_json::Value;
use zip::ZipArchive;

use crate::schema::{Field, Kind, Message, Struct, Versions, read_apis, read_data, read_headers};

/// APIs of the reference that ottla does not serve yet; transactions will leave this list. Whatever a new
/// Kafka adds has to be put here or into `src/wire/schema`.
const NOT_SERVED: &[&str] = &[
    "AddOffsetsToTxn",
    "AddPartitionsToTxn",
    "AddRaftVoter",
    "AlterClientQuotas",
    "AlterPartitionReassignments",
    "AlterReplicaLogDirs",
    "AlterShareGroupOffsets",
    "AlterUserScramCredentials",
    "BeginQuorumEpoch",
    "ControlledShutdown",
    "ControllerRegistration",
    "CreateAcls",
    "CreateDelegationToken",
    "DeleteAcls",
    "DeleteShareGroupOffsets",
    "DeleteShareGroupState",
    "DescribeAcls",
    "DescribeClientQuotas",
    "DescribeDelegationToken",
    "DescribeProducers",
    "DescribeShareGroupOffsets",
    "DescribeTransactions",
    "DescribeUserScramCredentials",
    "EndQuorumEpoch",
    "EndTxn",
    "Envelope",
    "ExpireDelegationToken",
    "FetchSnapshot",
    "GetTelemetrySubscriptions",
    "InitializeShareGroupState",
    "LeaderAndIsr",
    "ListConfigResources",
    "ListPartitionReassignments",
    "ListTransactions",
    "PushTelemetry",
    "ReadShareGroupState",
    "ReadShareGroupStateSummary",
    "RemoveRaftVoter",
    "RenewDelegationToken",
    "SaslAuthenticate",
    "SaslHandshake",
    "ShareAcknowledge",
    "ShareFetch",
    "ShareGroupDescribe",
    "ShareGroupHeartbeat",
    "StopReplica",
    "StreamsGroupDescribe",
    "StreamsGroupHeartbeat",
    "StreamsGroupTopologyDescriptionUpdate",
    "TxnOffsetCommit",
    "UnregisterBroker",
    "UnregisterController",
    "UpdateFeatures",
    "UpdateMetadata",
    "UpdateRaftVoter",
    "Vote",
    "WriteShareGroupState",
    "WriteTxnMarkers",
];

/// Records of the reference's coordinator that ottla does not write: those of share groups and of streams groups.
const NOT_WRITTEN: &[&str] = &["ShareGroup", "StreamsGroup"];

/// The oldest version of Produce that we describe; Kafka removed 0-2 and answers them by closing the connection.
const PRODUCE_DESCRIBED_FROM: i16 = 0;

struct Jar(ZipArchive<File>);

impl Jar {
    fn open() -> Self {
        Self::of_variable("OTTLA_KAFKA_CLIENTS_JAR")
    }

    fn of_coordinator() -> Self {
        Self::of_variable("OTTLA_KAFKA_GROUP_COORDINATOR_JAR")
    }

    fn of_variable(variable: &str) -> Self {
        let path = env::var_os(variable).unwrap_or_else(|| panic!("{variable}, as `run` sets it"));
        Self(ZipArchive::new(File::open(path).unwrap()).unwrap())
    }

    /// The names of all requests without the suffix.
    fn apis(&self) -> Vec<String> {
        self.names("Request")
    }

    fn names(&self, suffix: &str) -> Vec<String> {
        let end = format!("{suffix}.json");
        let names = self.0.file_names().filter_map(|path| {
            let path = path.unwrap();
            let name = path
                .strip_prefix("common/message/")?
                .strip_suffix(end.as_str())?;
            Some(name.to_owned())
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn message(&mut self, name: &str) -> Value {
        let mut text = String::new();
        let mut entry = self
            .0
            .by_name(&format!("common/message/{name}.json"))
            .unwrap();
        entry.read_to_string(&mut text).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        serde_json::from_str(&lines.collect::<String>()).unwrap()
    }
}

fn schema_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../src/wire/schema")
}

#[test]
fn every_api_of_the_jar_is_described_or_listed_as_not_served() {
    let mut ours: Vec<_> = read_apis(&schema_directory())
        .into_iter()
        .map(|api| api.name)
        .collect();
    ours.extend(NOT_SERVED.iter().map(|name| (*name).to_owned()));
    ours.sort();
    assert_eq!(ours, Jar::open().apis());
}

#[test]
fn every_message_is_the_jars() {
    let mut jar = Jar::open();
    for api in read_apis(&schema_directory()) {
        for (message, suffix) in [(&api.request, "Request"), (&api.response, "Response")] {
            let theirs = jar.message(&format!("{}{suffix}", api.name));
            assert_eq!(theirs["apiKey"], api.key, "{}", api.name);
            assert_eq!(message.root().name, theirs["name"]);
            let mut valid = message.valid;
            if api.name == "Produce" {
                assert_eq!(valid.min, PRODUCE_DESCRIBED_FROM);
                valid.min = 3;
            }
            assert_eq!(
                Some(valid),
                versions(&theirs["validVersions"]),
                "{}",
                api.name
            );
            let is_unstable = suffix == "Request" && theirs["latestVersionUnstable"] == true;
            let unstable = is_unstable.then_some(valid.max);
            assert!(
                suffix == "Response" || api.unstable == unstable,
                "{}",
                api.name
            );
            compare_message(message, &theirs);
        }
        let listeners = &jar.message(&format!("{}Request", api.name))["listeners"];
        let listeners = listeners.as_array().unwrap();
        let is_of_brokers = listeners.iter().any(|listener| listener == "broker");
        assert_eq!(api.is_of_controller, !is_of_brokers, "{}", api.name);
    }
}

#[test]
fn both_headers_are_the_jars() {
    let mut jar = Jar::open();
    let (request, response) = read_headers(&schema_directory());
    for message in [request, response] {
        let theirs = jar.message(&message.root().name);
        assert_eq!(Some(message.valid), versions(&theirs["validVersions"]));
        compare_message(&message, &theirs);
    }
}

#[test]
fn every_record_is_the_coordinators() {
    let mut jar = Jar::of_coordinator();
    let mut ours = Vec::new();
    for data in read_data(&schema_directory()) {
        let Some(record) = data.record else { continue };
        for (message, kind) in data.messages.iter().zip(["key", "value"]) {
            let theirs = jar.message(&message.root().name);
            assert_eq!(theirs["apiKey"], record, "{}", data.name);
            assert_eq!(
                theirs["type"],
                format!("coordinator-{kind}"),
                "{}",
                data.name
            );
            compare_data(message, &theirs);
        }
        ours.push(data.name);
    }
    ours.sort();
    let mut theirs = jar.names("Key");
    theirs.retain(|name| !NOT_WRITTEN.iter().any(|other| name.starts_with(other)));
    assert_eq!(ours, theirs);
}

#[test]
fn what_consumers_tell_each_other_is_the_jars() {
    let mut jar = Jar::open();
    for data in read_data(&schema_directory()) {
        if data.record.is_none() {
            let message = data.versioned();
            let theirs = jar.message(&message.root().name);
            assert_eq!(theirs["type"], "data");
            compare_data(message, &theirs);
        }
    }
}

fn compare_data(ours: &Message, theirs: &Value) {
    assert_eq!(ours.root().name, theirs["name"]);
    assert_eq!(
        Some(ours.valid),
        versions(&theirs["validVersions"]),
        "{}",
        ours.root().name
    );
    compare_message(ours, theirs);
}

fn compare_message(ours: &Message, theirs: &Value) {
    let flexible = versions(&theirs["flexibleVersions"]);
    assert_eq!(
        ours.flexible_from,
        flexible.map_or(i16::MAX, |flexible| flexible.min.max(ours.valid.min)),
        "{}",
        ours.root().name
    );
    let comparison = Comparison { ours, theirs };
    comparison.fields(ours.root(), &theirs["fields"]);
}

struct Comparison<'c> {
    ours: &'c Message,
    theirs: &'c Value,
}

impl Comparison<'_> {
    fn fields(&self, own: &Struct, theirs: &Value) {
        let within = own.versions;
        let theirs = theirs.as_array().unwrap().iter();
        // Fields of versions that are gone are of no interest.
        let theirs: Vec<_> = theirs
            .filter(|field| clipped(&field["versions"], within).is_some())
            .collect();
        let names: Vec<_> = theirs
            .iter()
            .map(|field| snake_case(field["name"].as_str().unwrap()))
            .collect();
        let own_names: Vec<_> = own.fields.iter().map(|field| field.name.clone()).collect();
        assert_eq!(own_names, names, "{} {}", self.ours.root().name, own.name);
        for (field, theirs) in own.fields.iter().zip(theirs) {
            let at = format!("{} {} {}", self.ours.root().name, own.name, field.name);
            self.field(field, theirs, within, &at);
        }
    }

    fn field(&self, field: &Field, theirs: &Value, within: Versions, at: &str) {
        assert_eq!(
            Some(field.versions),
            clipped(&theirs["versions"], within),
            "{at}: versions"
        );
        let nullable = clipped(&theirs["nullableVersions"], field.versions);
        assert_eq!(field.nullable, nullable, "{at}: nullable");
        let tag = theirs["tag"]
            .as_u64()
            .map(|tag| u32::try_from(tag).unwrap());
        assert_eq!(field.tag, tag, "{at}: tag");
        if tag.is_some() {
            let tagged = clipped(&theirs["taggedVersions"], within);
            assert_eq!(Some(field.versions), tagged, "{at}: tagged versions");
        }
        assert_eq!(
            field.is_classic,
            theirs["flexibleVersions"] == "none",
            "{at}: classic"
        );
        let kind = theirs["type"].as_str().unwrap();
        assert_eq!(field.is_array, kind.starts_with("[]"), "{at}: array");
        self.kind(field, kind.trim_start_matches("[]"), theirs, at);
        assert_eq!(
            default(field),
            their_default(field, &theirs["default"]),
            "{at}: default"
        );
    }

    fn kind(&self, field: &Field, kind: &str, theirs: &Value, at: &str) {
        let expected = match kind {
            "bool" => Kind::Bool,
            "int8" => Kind::I8,
            "int16" if field.name.ends_with("error_code") => Kind::Error,
            "int16" => Kind::I16,
            "uint16" => Kind::U16,
            "int32" => Kind::I32,
            "int64" => Kind::I64,
            "float64" => Kind::F64,
            "uuid" => Kind::Uuid,
            "string" => Kind::Text,
            "bytes" => Kind::Bytes,
            "records" => Kind::Records,
            name => {
                let Kind::Struct(own_name) = &field.kind else {
                    panic!("{at}: {name}")
                };
                // A struct that both messages of an API have by one name has another one here.
                assert_eq!(own_name.trim_start_matches("Requested"), name, "{at}");
                return self.fields(self.ours.find(own_name), self.fields_of(name, theirs));
            }
        };
        assert_eq!(field.kind, expected, "{at}: type");
    }

    fn fields_of<'v>(&'v self, name: &str, field: &'v Value) -> &'v Value {
        if field["fields"].is_array() {
            return &field["fields"];
        }
        let common = self.theirs["commonStructs"].as_array().unwrap();
        &common.iter().find(|common| common["name"] == name).unwrap()["fields"]
    }
}

/// "3+", "0-4", "7"; nothing for "none" and where the key is missing.
fn versions(value: &Value) -> Option<Versions> {
    clipped(
        value,
        Versions {
            min: 0,
            max: i16::MAX,
        },
    )
}

fn clipped(value: &Value, within: Versions) -> Option<Versions> {
    let text = value.as_str().filter(|text| *text != "none")?;
    let (min, max) = match text.split_once('-') {
        Some((min, max)) => (min.parse().unwrap(), max.parse().unwrap()),
        None => match text.strip_suffix('+') {
            Some(min) => (min.parse().unwrap(), i16::MAX),
            None => (text.parse().unwrap(), text.parse().unwrap()),
        },
    };
    let (min, max) = (within.min.max(min), within.max.min(max));
    (min <= max).then_some(Versions { min, max })
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let mut previous_is_small = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && previous_is_small {
            out.push('_');
        }
        previous_is_small = !letter.is_ascii_uppercase();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The default as the jar would spell it out.
fn default(field: &Field) -> String {
    field.default.clone().unwrap_or_else(|| zero(field))
}

fn their_default(field: &Field, value: &Value) -> String {
    let text = match value {
        Value::Null => return zero(field),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).unwrap().to_string(),
        None => text,
    }
}

fn zero(field: &Field) -> String {
    let zero = match field.kind {
        _ if field.is_array => "",
        Kind::Bool => "false",
        Kind::I8 | Kind::I16 | Kind::U16 | Kind::I32 | Kind::I64 | Kind::Error => "0",
        _ => "",
    };
    zero.to_owned()
}
