//! Reads the notation of `src/wire/schema/*.txt` (docs/formats/wire-schema.md).
//!
//! The notation is ours and the files are in the repository, so a mistake in one is a bug: this
//! reader panics with the file and the line, and never guesses. It knows nothing of the crate, so
//! the interop package can include it by path.

use std::{collections::BTreeMap, fs, path::Path};

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

impl Versions {
    pub(crate) fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    fn parse(text: &str, within: Self) -> Option<Self> {
        let (min, max) = if let Some(min) = text.strip_suffix('+') {
            (min.parse().ok()?, within.max)
        } else if let Some((min, max)) = text.split_once('-') {
            (min.parse().ok()?, max.parse().ok()?)
        } else {
            let only = text.parse().ok()?;
            (only, only)
        };
        let inside = within.min <= min && min <= max && max <= within.max;
        inside.then_some(Self { min, max })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    I8,
    I16,
    U16,
    I32,
    I64,
    F64,
    Uuid,
    /// An `int16` that holds an error code.
    Error,
    Text,
    Bytes,
    Records,
    /// The name of a struct of the same message.
    Struct(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) is_array: bool,
    pub(crate) versions: Versions,
    pub(crate) nullable: Option<Versions>,
    pub(crate) tag: Option<u32>,
    /// `None` is the zero of the kind: 0, false, the empty string, the empty array.
    pub(crate) default: Option<String>,
    /// Text that keeps its two-byte length in flexible versions (the client id of the header).
    pub(crate) is_classic: bool,
}

impl Field {
    /// Whether absence is the default: records always, others where the schema says `= null`.
    pub(crate) fn defaults_to_null(&self) -> bool {
        self.kind == Kind::Records || self.default.as_deref() == Some("null")
    }
}

/// The fields of one message or struct, and the versions in which it can occur.
#[derive(Clone, Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) versions: Versions,
    pub(crate) fields: Vec<Field>,
}

/// A request, a response, a header or data: its own struct first, then those it uses, in order of use.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) valid: Versions,
    pub(crate) flexible_from: i16,
    pub(crate) structs: Vec<Struct>,
}

impl Message {
    pub(crate) fn root(&self) -> &Struct {
        &self.structs[0]
    }

    pub(crate) fn is_ever_flexible(&self) -> bool {
        self.flexible_from <= self.valid.max
    }

    pub(crate) fn find(&self, name: &str) -> &Struct {
        let found = self.structs.iter().find(|s| s.name == name);
        found.unwrap_or_else(|| panic!("no struct {name}"))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// The file's name without `.txt`, and the module's.
    pub(crate) module: String,
    pub(crate) key: i16,
    pub(crate) name: String,
    pub(crate) unstable: Option<i16>,
    /// Whether it is asked of the controller, not of the client listener.
    pub(crate) is_of_controller: bool,
    pub(crate) request: Message,
    pub(crate) response: Message,
}

/// What is stored in records or carried in the bytes of other messages.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) module: String,
    pub(crate) name: String,
    /// The type in front of the key, for a record of `__consumer_offsets`.
    pub(crate) record: Option<i16>,
    /// The key and the value of a record; one message else.
    pub(crate) messages: Vec<Message>,
}

impl Data {
    /// What has its version in front: the value of a record.
    pub(crate) fn versioned(&self) -> &Message {
        self.messages.last().expect("one message or two")
    }
}

/// All data of the directory's `data/`, records by type, then the others by module.
pub(crate) fn read_data(directory: &Path) -> Vec<Data> {
    let files = read_files(&directory.join("data"));
    let mut data: Vec<_> = files.iter().map(|(m, text)| parse_data(m, text)).collect();
    data.sort_by_key(|data| data.record.unwrap_or(i16::MAX));
    data
}

/// Every API of the directory, by key.
pub(crate) fn read_apis(directory: &Path) -> Vec<Api> {
    let mut apis = BTreeMap::new();
    for (module, text) in read_files(directory)
        .into_iter()
        .filter(|(m, _)| m != "header")
    {
        let api = parse_api(&module, &text);
        apis.insert(api.key, api);
    }
    apis.into_values().collect()
}

/// The request header and the response header.
pub(crate) fn read_headers(directory: &Path) -> (Message, Message) {
    let text = fs::read_to_string(directory.join("header.txt")).expect("header.txt");
    let lines = Lines::of("header", &text);
    let message = |keyword: &str, name: &str| {
        let at = lines.section(keyword);
        let words: Vec<_> = lines.0[at].2.split(' ').collect();
        let [_, valid, "flexible", flexible] = words[..] else {
            lines.fail(at, "header line")
        };
        lines.message(at, name, range(valid), flexible_from(flexible))
    };
    (
        message("request", "RequestHeader"),
        message("response", "ResponseHeader"),
    )
}

fn read_files(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).expect("the schema directory");
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    let schemas = paths.filter(|path| path.extension().is_some_and(|e| e == "txt"));
    schemas
        .map(|path| {
            let module = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (
                module,
                fs::read_to_string(&path).expect("a readable schema"),
            )
        })
        .collect()
}

fn parse_api(module: &str, text: &str) -> Api {
    let lines = Lines::of(module, text);
    let words: Vec<_> = lines
        .0
        .first()
        .map(|(_, _, l)| l.split(' ').collect())
        .unwrap_or_default();
    let (words, is_of_controller) = match &words[..] {
        [head @ .., "controller"] => (head, true),
        words => (words, false),
    };
    let (head, unstable) = match words {
        [head @ .., "unstable", version] => (head, version.parse().ok()),
        _ => (words, None),
    };
    let ["api", key, name, valid, "flexible", flexible] = head else {
        lines.fail(0, "api line")
    };
    let (valid, flexible_from) = (range(valid), flexible_from(flexible));
    let body = |keyword: &str, suffix: &str| {
        lines.message(
            lines.section(keyword),
            &format!("{name}{suffix}"),
            valid,
            flexible_from,
        )
    };
    Api {
        module: module.to_owned(),
        key: key.parse().expect("an api key"),
        name: (*name).to_owned(),
        unstable,
        is_of_controller,
        request: body("request", "Request"),
        response: body("response", "Response"),
    }
}

fn parse_data(module: &str, text: &str) -> Data {
    let lines = Lines::of(module, text);
    let words: Vec<_> = lines
        .0
        .first()
        .map(|(_, _, line)| line.split(' ').collect())
        .unwrap_or_default();
    let (record, name, valid, flexible) = match words[..] {
        ["record", key, name, valid, "flexible", flexible] => {
            (key.parse().ok(), name, valid, flexible)
        }
        ["data", name, valid, "flexible", flexible] => (None, name, valid, flexible),
        _ => lines.fail(0, "line of data"),
    };
    let body = |keyword: &str, suffix: &str, valid: &str, flexible: &str| {
        lines.message(
            lines.section(keyword),
            &format!("{name}{suffix}"),
            range(valid),
            flexible_from(flexible),
        )
    };
    let messages = if record.is_some() {
        // A key has its type where others have their version, so it has one version.
        vec![
            body("key", "Key", "0", "none"),
            body("value", "Value", valid, flexible),
        ]
    } else {
        vec![body("fields", "", valid, flexible)]
    };
    Data {
        module: module.to_owned(),
        name: name.to_owned(),
        record,
        messages,
    }
}

fn range(text: &str) -> Versions {
    let all = Versions {
        min: 0,
        max: i16::MAX,
    };
    Versions::parse(text, all).unwrap_or_else(|| panic!("versions {text}"))
}

/// `none` is a version that no message has.
fn flexible_from(text: &str) -> i16 {
    if text == "none" {
        i16::MAX
    } else {
        range(text).min
    }
}

/// The lines that are neither blank nor comments: (number, indent, text).
struct Lines<'t>(Vec<(usize, usize, &'t str)>, &'t str);

impl<'t> Lines<'t> {
    fn of(module: &'t str, text: &'t str) -> Self {
        let numbered = text.lines().enumerate().map(|(n, line)| {
            let rest = line.trim_start();
            (n + 1, line.len() - rest.len(), rest.trim_end())
        });
        Self(
            numbered
                .filter(|(_, _, l)| !l.is_empty() && !l.starts_with('#'))
                .collect(),
            module,
        )
    }

    fn fail(&self, at: usize, what: &str) -> ! {
        let (number, _, text) = self.0.get(at).copied().unwrap_or_default();
        panic!("{}.txt line {number}: not a {what}: {text}", self.1)
    }

    fn section(&self, keyword: &str) -> usize {
        let found = self
            .0
            .iter()
            .position(|(_, indent, line)| *indent == 0 && line.split(' ').next() == Some(keyword));
        found.unwrap_or_else(|| panic!("{}.txt: no section {keyword}", self.1))
    }

    fn message(&self, at: usize, name: &str, valid: Versions, flexible_from: i16) -> Message {
        let mut structs = Vec::new();
        self.fields_under(at, name, valid, &mut structs);
        Message {
            valid,
            flexible_from,
            structs,
        }
    }

    /// Reads the lines deeper than line `at`; returns the index of the first that is not.
    fn fields_under(
        &self,
        at: usize,
        name: &str,
        versions: Versions,
        structs: &mut Vec<Struct>,
    ) -> usize {
        let (_, parent, _) = self.0[at];
        let slot = structs.len();
        structs.push(Struct {
            name: name.to_owned(),
            versions,
            fields: Vec::new(),
        });
        let mut next = at + 1;
        while let Some(&(_, indent, line)) = self.0.get(next) {
            if indent <= parent {
                break;
            }
            let field =
                parse_field(line, versions).unwrap_or_else(|| self.fail(next, "field line"));
            let has_children = self
                .0
                .get(next + 1)
                .is_some_and(|(_, deeper, _)| *deeper > indent);
            next = match &field.kind {
                Kind::Struct(kind) if has_children => {
                    self.fields_under(next, kind, field.versions, structs)
                }
                Kind::Struct(kind) if structs.iter().all(|s| s.name != *kind) => {
                    self.fail(next, "struct with fields")
                }
                _ => next + 1,
            };
            structs[slot].fields.push(field);
        }
        next
    }
}

/// `name type[?[versions]] [versions] [tag N] [classic] [= default]`
fn parse_field(line: &str, within: Versions) -> Option<Field> {
    let (line, default) = match line.split_once(" = ") {
        Some((head, default)) => (head, Some(default.to_owned())),
        None => (line, None),
    };
    let mut words = line.split(' ').peekable();
    let name = words.next()?.to_owned();
    let (kind, null) = match words.next()?.split_once('?') {
        Some((kind, null)) => (kind, Some(null)),
        None => (line.split(' ').nth(1)?, None),
    };
    let versions = match words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        Some(text) => Versions::parse(text, within)?,
        None => within,
    };
    let nullable = match null {
        None => None,
        Some("") => Some(versions),
        Some(text) => Some(Versions::parse(text, versions)?),
    };
    let tag = match words.next_if_eq(&"tag") {
        Some(_) => Some(words.next()?.parse().ok()?),
        None => None,
    };
    let is_classic = words.next_if_eq(&"classic").is_some();
    let is_array = kind.starts_with('[');
    let kind = parse_kind(kind.trim_matches(['[', ']']))?;
    let field = Field {
        name,
        kind,
        is_array,
        versions,
        nullable,
        tag,
        default,
        is_classic,
    };
    words.next().is_none().then_some(field)
}

fn parse_kind(text: &str) -> Option<Kind> {
    Some(match text {
        "bool" => Kind::Bool,
        "i8" => Kind::I8,
        "i16" => Kind::I16,
        "u16" => Kind::U16,
        "i32" => Kind::I32,
        "i64" => Kind::I64,
        "f64" => Kind::F64,
        "uuid" => Kind::Uuid,
        "error" => Kind::Error,
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Kind::Struct(name.to_owned()),
        _ => return None,
    })
}
