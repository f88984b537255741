//! The file forms of a history: the documented example, round trips, and bad input.

use proptest::prelude::*;

use super::codec::{self, Spelling};
use super::{Action, Datum, DisorderError, Format, History, HistoryBuilder, Index, Kind, MicroOp};
use super::{Name, Note, Operation, Outcome, Process, ReadError, Reader, Writer, edn};

/// What Jepsen's own suite writes, every shape once.
const EXAMPLE: &str = "\
{:index 0, :time 104000, :type :invoke, :process 2, :f :assign, :value [6 7]}
{:index 1, :time 181000, :type :ok, :process 2, :f :assign, :value [6 7]}
{:index 2, :time 220000, :type :invoke, :process 0, :f :send, :value [[:send 6 41]]}
{:index 3, :time 902000, :type :ok, :process 0, :f :send, :value [[:send 6 [12 41]]]}
{:index 4, :time 950000, :type :invoke, :process 1, :f :send, :value [[:send 7 9]]}
{:index 5, :time 3950000, :type :info, :process 1, :f :send, :value [[:send 7 9]], :error :timeout}
{:index 6, :time 4000000, :type :invoke, :process 2, :f :poll, :value [[:poll]]}
{:index 7, :time 4100000, :type :ok, :process 2, :f :poll, :value [[:poll {6 [[11 40] [12 41]], 7 [[3 9]]}]]}
{:index 8, :time 4200000, :type :invoke, :process 3, :f :txn, :value [[:poll] [:send 6 42] [:send 7 10]]}
{:index 9, :time 4300000, :type :ok, :process 3, :f :txn, :value [[:poll {6 [[12 41]]}] [:send 6 [14 42]] [:send 7 [4 10]]], :rebalance-log [{:keys [6]}]}
{:index 10, :time 4400000, :type :invoke, :process 0, :f :txn, :value [[:send 6 43]]}
{:index 11, :time 4500000, :type :fail, :process 0, :f :txn, :value [[:send 6 [16 43]]], :error [:aborted], :end-process? true}
{:index 12, :time 4600000, :type :invoke, :process 2, :f :crash, :value nil}
{:index 13, :time 4600100, :type :info, :process 2, :f :crash, :value nil}
{:index 14, :time 4700000, :type :info, :process :nemesis, :f :start-partition, :value :isolate-controller}
{:index 15, :time 4800000, :type :info, :process :nemesis, :f :start-partition, :value {\"n1\" [\"n2\" \"n3\"]}}
{:index 16, :time 9000000, :type :invoke, :process 6, :f :assign, :value [6 7], :seek-to-beginning? true}
{:index 17, :time 9000100, :type :ok, :process 6, :f :assign, :value [6 7], :seek-to-beginning? true}
";

fn read(text: &str, format: Format) -> Result<Vec<Operation>, ReadError> {
    Reader::new(text.as_bytes(), format).collect()
}

fn write(operations: &[Operation], format: Format) -> String {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, format);
    for operation in operations {
        writer.write(operation).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

fn join(text: &str) -> Result<History, DisorderError> {
    let mut builder = HistoryBuilder::default();
    for operation in read(text, Format::Edn).unwrap() {
        builder.push(operation)?;
    }
    Ok(builder.finish())
}

#[test]
fn the_example_is_written_as_it_was_read() {
    let operations = read(EXAMPLE, Format::Edn).unwrap();
    assert_eq!(write(&operations, Format::Edn), EXAMPLE);
}

#[test]
fn json_lines_hold_the_same_operations() {
    let operations = read(EXAMPLE, Format::Edn).unwrap();
    let json = write(&operations, Format::JsonLines);
    assert_eq!(read(&json, Format::JsonLines).unwrap(), operations);
    let line = r#"{"index":9,"time":4300000,"type":"ok","process":3,"f":"txn","value":[["poll",{"6":[[12,41]]}],["send",6,[14,42]],["send",7,[4,10]]],"rebalance-log":[{"keys":[6]}]}"#;
    assert_eq!(json.lines().nth(9), Some(line));
    let error = r#""error":":timeout"}"#;
    assert!(
        json.lines()
            .nth(5)
            .is_some_and(|line| line.ends_with(error))
    );
}

#[test]
fn ends_are_joined_with_their_beginnings() {
    use Outcome::{Fail, Info, Ok};

    let history = join(EXAMPLE).unwrap();
    let outcomes: Vec<_> = history.attempts().iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, [Ok, Ok, Info, Ok, Ok, Fail, Info, Ok]);
    assert_eq!(history.attempts()[4].rebalanced, [super::Key(6)]);
    assert_eq!(history.attempts()[4].index(), Index(9));
}

#[test]
fn an_acknowledged_send_without_an_offset_keeps_its_pair() {
    let line = "{:index 0, :time 0, :type :ok, :process 0, :f :send, :value [[:send 6 [nil 4]]]}\n";
    assert_eq!(write(&read(line, Format::Edn).unwrap(), Format::Edn), line);
}

#[test]
fn comments_and_empty_lines_are_passed_over() {
    let operations = read(&format!("; a run\n\n{EXAMPLE}"), Format::Edn).unwrap();
    assert_eq!(operations.len(), 18);
}

/// Each bad line with a part of what is said about it.
#[test]
fn bad_lines_are_named_with_what_is_wrong() {
    let good = EXAMPLE.lines().next().unwrap();
    let cases = [
        ("[1 2]", "an operation is a map"),
        ("{:index 0", "expected a closing bracket"),
        ("{:index}", "expected a value"),
        ("{:index 0} 1", "expected the end of the line"),
        ("{:index 99999999999999999999}", "column 9: expected data"),
        ("{:index \"\\q\"}", "expected an escape"),
        ("{:index 0, :index 1}", "`index` stands twice"),
        ("{:index 1}", "`process` is missing"),
        (
            "{:index 1, :time 1, :type :maybe, :process 1, :f :crash, :value nil}",
            "`type` must be",
        ),
        (
            "{:index -1, :time 1, :type :ok, :process 1, :f :crash, :value nil}",
            "`index` must be",
        ),
        (
            "{:index 1, :time 1, :type :ok, :process 1.5, :f :crash, :value nil}",
            "`process` must",
        ),
        (
            "{:index 1, :time 1, :type :ok, :process 1, :f :fly, :value nil}",
            "`fly` is not",
        ),
        (
            "{:index 1, :time 1, :type :ok, :process 1, :f :assign, :value 6}",
            "a vector of keys",
        ),
        (
            "{:index 1, :time 1, :type :ok, :process 1, :f :send, :value [[:poll]]}",
            "sends such as",
        ),
        (
            "{:index 1, :time 1, :type :ok, :process 1, :f :poll, :value [[:poll {1 [[1 1]], 1 []}]]}",
            "polls such as",
        ),
        (
            "{:index 1, :time 1, :type :ok, :process 1, :f :crash, :value nil, :rebalance-log 4}",
            "a vector of maps",
        ),
    ];
    for (line, wrong) in cases {
        let text = format!("{good}\n{line}\n{good}\n");
        let error = read(&text, Format::Edn).unwrap_err().to_string();
        assert!(error.starts_with("line 2: "), "{line}: {error}");
        assert!(error.contains(wrong), "{line}: {error}");
    }
    let error = read("{\"index\": 18446744073709551615}", Format::JsonLines);
    assert!(error.unwrap_err().to_string().contains("beyond 64 bits"));
}

#[test]
fn data_that_nests_too_deeply_is_an_error() {
    let deep = "[".repeat(100_000);
    let error = read(&deep, Format::Edn).unwrap_err().to_string();
    assert!(error.contains("nests less deeply"), "{error}");
    assert!(read(&deep, Format::JsonLines).is_err());
}

#[test]
fn contradictions_are_refused() {
    let begin = |index: u64, process: u64| {
        format!(
            "{{:index {index}, :time {index}, :type :invoke, :process {process}, :f :send, \
             :value [[:send 1 {index}]]}}\n"
        )
    };
    let end = |index: u64, process: u64, kind: &str, value: u64| {
        format!(
            "{{:index {index}, :time {index}, :type :{kind}, :process {process}, :f :send, \
             :value [[:send 1 {value}]]}}\n"
        )
    };
    let gap = join(&begin(1, 0));
    assert!(matches!(gap, Err(DisorderError::Index { .. })));
    let twice = join(&(begin(0, 5) + &begin(1, 5)));
    assert_eq!(twice, Err(DisorderError::AlreadyOpen { process: 5 }));
    let unbegun = join(&end(0, 5, "ok", 0));
    assert_eq!(unbegun, Err(DisorderError::NotOpen { process: 5 }));
    let back = join(&(begin(0, 5) + &end(1, 5, "info", 0) + &begin(2, 5)));
    assert_eq!(back, Err(DisorderError::Ended { process: 5 }));
    let other = join(&(begin(0, 5) + &end(1, 5, "ok", 7)));
    assert_eq!(other, Err(DisorderError::Different { process: 5 }));
    let time = join(&(begin(0, 5).replace(":time 0", ":time 9") + &end(1, 5, "ok", 0)));
    assert_eq!(
        time,
        Err(DisorderError::Time {
            before: 9,
            found: 1
        })
    );
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z][a-z0-9?-]{0,6}".prop_map(|name| Name::new(&name).unwrap())
}

fn datum() -> impl Strategy<Value = Datum> {
    let leaf = prop_oneof![
        Just(Datum::Nil),
        any::<bool>().prop_map(Datum::Bool),
        any::<i64>().prop_map(Datum::Int),
        // Eighths are exact in every notation.
        any::<i32>().prop_map(|eighths| Datum::Float(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Datum::Text),
        "[:\\\\]?[-+]?[a-z0-9]{0,3}".prop_map(Datum::Text),
        name().prop_map(Datum::Keyword),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4);
        let entries = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            items.clone().prop_map(Datum::Vector),
            items.clone().prop_map(Datum::List),
            items.prop_map(Datum::Set),
            entries.prop_map(Datum::Map),
            (name(), inner).prop_map(|(tag, datum)| Datum::Tagged(tag, Box::new(datum))),
        ]
    })
}

proptest! {
    #[test]
    fn data_reads_back_from_edn(datum in datum()) {
        prop_assert_eq!(edn::read(&datum.to_string()), Ok(datum));
    }

    #[test]
    fn data_reads_back_from_json(datum in datum()) {
        let json = serde_json::to_string(&datum).unwrap();
        prop_assert_eq!(serde_json::from_str::<Datum>(&json).unwrap(), datum);
    }

    #[test]
    fn any_text_is_data_or_an_error(text in any::<String>()) {
        let _ = edn::read(&text);
        let _ = read(&text, Format::JsonLines);
    }

    /// Text that is nearly right reaches further into the reader than noise does.
    #[test]
    fn a_damaged_history_is_read_or_refused(at in 0..EXAMPLE.len(), byte in 32_u8..127) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = read(&String::from_utf8(bytes).unwrap(), Format::Edn);
    }

    #[test]
    fn notes_survive_both_spellings(error in datum(), name in name(), value in datum()) {
        prop_assume!(!["error", "f"].contains(&name.as_str()));
        let operation = Operation {
            index: Index(3),
            time: 4,
            kind: Kind::Info,
            process: Process::Other(Name::literal("nemesis")),
            action: Action::Other(name, value),
            notes: vec![Note::Error(error)],
        };
        for spelling in [Spelling::Keywords, Spelling::Strings] {
            let datum = codec::encode(&operation, spelling);
            prop_assert_eq!(codec::decode(datum), Ok(operation.clone()));
        }
    }
}

/// Clojure prints lazy sequences as lists; the pair of a send is a vector in any case.
#[test]
fn lists_are_read_as_vectors_except_for_pairs() {
    let with = |value: &str| {
        let line = format!("{{:index 0, :time 0, :type :ok, :process 0, :f :txn, :value {value}}}");
        read(&line, Format::Edn)
    };
    let vectors = with("[[:poll {6 [[1 2]]}] [:send 6 [3 4]]]").unwrap();
    let lists = with("((:poll {6 ([1 2])}) (:send 6 [3 4]))").unwrap();
    assert_eq!(lists, vectors);
    assert!(with("[[:send 6 (3 4)]]").is_err());
}

#[test]
fn a_poll_that_never_ran_stays_apart_from_an_empty_one() {
    let line = "{:index 0, :time 0, :type :ok, :process 0, :f :poll, :value [[:poll] [:poll {}]]}";
    let operations = read(line, Format::Edn).unwrap();
    let expected = Action::MicroOps(
        super::Verb::Poll,
        vec![MicroOp::Poll(None), MicroOp::Poll(Some(Vec::new()))],
    );
    assert_eq!(operations[0].action, expected);
}
