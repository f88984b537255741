//! Kafka's own classes read our bytes and write the same ones.

use std::{
    env,
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use ottla::wire::{
    api::{ApiKey, ControllerApi},
    error_code::ErrorCode,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    dispatch::{self, Data, Key, Subject},
    random::{self, Choices},
    schema::{self, Message},
};

impl Key {
    fn code(self) -> i16 {
        match self {
            Self::Client(api) => api.code(),
            Self::Controller(api) => api.code(),
        }
    }
}

/// Random messages of each version of each message.
const ROUNDS: usize = 40;

/// A running `java/Recode.java`.
struct Kafka {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Kafka {
    fn start() -> Self {
        let jars =
            env::var_os("OTTLA_KAFKA_CLASSPATH").expect("OTTLA_KAFKA_CLASSPATH, as `run` sets it");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/Recode.java");
        let mut java = Command::new("java");
        java.arg("-cp")
            .arg(jars)
            .arg(source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = java.spawn().expect("java");
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            questions,
            answers,
        }
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.questions, "{question}").unwrap();
        self.questions.flush().unwrap();
        self.line()
    }

    /// The lines of an answer that ends with an empty one.
    fn table(&mut self, question: &str) -> Vec<String> {
        let mut lines = vec![self.ask(question)];
        while let Some(line) = Some(self.line()).filter(|line| !line.is_empty()) {
            lines.push(line);
        }
        lines
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(
            self.answers.read_line(&mut line).unwrap() > 0,
            "java has ended"
        );
        line.trim_end().to_owned()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

fn schema_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../src/wire/schema")
}

/// How `Recode` is told which message it is.
fn words(subject: Subject) -> String {
    match subject {
        Subject::Request(api) => format!("{} request", api.code()),
        Subject::Response(api) => format!("{} response", api.code()),
        Subject::Data(data) => format!("data {}", data.name()),
    }
}

/// Every message of every version that Kafka still reads.
fn each(mut visit: impl FnMut(Subject, &Message, i16)) {
    for api in schema::read_apis(&schema_directory()) {
        let key = Key::from_code(api.key).unwrap();
        let min = if key == Key::Client(ApiKey::Produce) {
            3
        } else {
            api.request.valid.min
        };
        for version in min..=api.request.valid.max {
            visit(Subject::Request(key), &api.request, version);
            visit(Subject::Response(key), &api.response, version);
        }
    }
    for data in schema::read_data(&schema_directory()) {
        for message in &data.messages {
            let subject = Subject::Data(Data::from_name(&message.root().name).unwrap());
            for version in message.valid.min..=message.valid.max {
                visit(subject, message, version);
            }
        }
    }
}

/// A seed of its own for each run, printed where it fails; `OTTLA_SEED` repeats one.
fn seed() -> u64 {
    let given = env::var("OTTLA_SEED")
        .ok()
        .map(|seed| seed.parse().expect("a number"));
    given.unwrap_or_else(|| rand::rng().next_u64())
}

#[test]
fn kafka_writes_the_bytes_that_we_write() {
    let seed = seed();
    println!("OTTLA_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut kafka = Kafka::start();
    let mut compared = 0;
    each(|subject, message, version| {
        for round in 0..ROUNDS {
            let mut choices = vec![0; round * 20];
            random.fill_bytes(&mut choices);
            let bytes = random::message(message, version, &mut Choices(&choices));
            let ours = dispatch::recode(subject, version, &bytes).unwrap();
            let asked = format!("{} {version} {}", words(subject), hex(&ours));
            assert_eq!(kafka.ask(&asked), hex(&ours), "{subject} v{version}");
            compared += 1;
        }
    });
    println!("{compared} messages equal");
}

#[test]
fn a_message_of_defaults_is_kafkas() {
    let mut kafka = Kafka::start();
    each(|subject, _, version| {
        let answer = kafka.ask(&format!("{} {version} -", words(subject)));
        let ours = dispatch::defaults(subject, version).unwrap();
        assert_eq!(answer, hex(&ours), "{subject} v{version}");
    });
}

#[test]
fn kafka_reads_our_headers() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut kafka = Kafka::start();
    let (request, response) = schema::read_headers(&schema_directory());
    for (message, direction) in [(request, "request"), (response, "response")] {
        for version in message.valid.min..=message.valid.max {
            let mut choices = [0; 100];
            random.fill_bytes(&mut choices);
            let bytes = hex(&random::message(&message, version, &mut Choices(&choices)));
            let asked = format!("header {direction} {version} {bytes}");
            assert_eq!(kafka.ask(&asked), bytes, "{direction} header v{version}");
        }
    }
}

#[test]
fn error_codes_are_kafkas() {
    let ours = ErrorCode::ALL
        .iter()
        .map(|e| format!("{} {} {}", e.code(), e.name(), e.is_retriable()));
    assert_eq!(ours.collect::<Vec<_>>(), Kafka::start().table("errors"));
}

#[test]
fn served_versions_are_kafkas() {
    let theirs = Kafka::start().table("apis");
    let of_clients = ApiKey::ALL
        .iter()
        .map(|api| (Key::Client(*api), api.served()));
    let of_controller = ControllerApi::ALL
        .iter()
        .map(|api| (Key::Controller(*api), api.served()));
    for (api, served) in of_clients.chain(of_controller) {
        let row = format!("{} {api} {} {}", api.code(), served.min, served.max);
        assert!(theirs.contains(&row), "{row}");
    }
}

#[test]
fn record_types_are_kafkas() {
    let theirs = Kafka::start().table("records");
    for data in schema::read_data(&schema_directory()) {
        let valid = data.versioned().valid;
        let row = data.record.map(|record| {
            let (key, value) = (&data.messages[0].root().name, &data.messages[1].root().name);
            format!("{record} {key} {value} {} {}", valid.min, valid.max)
        });
        assert!(row.iter().all(|row| theirs.contains(row)), "{row:?}");
    }
}
