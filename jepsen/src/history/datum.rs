//! Data of any shape: what EDN can say, as far as histories use it.
//!
//! A [`Datum`] written as EDN or as JSON reads back as itself; a [`Name`] is always one EDN token.

use std::fmt;

/// A name without its colon: of a keyword, a symbol or a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// `None` unless EDN reads it as one token.
    pub fn new(name: &str) -> Option<Self> {
        is_name(name.as_bytes()).then(|| Self(name.to_owned()))
    }

    /// A name that stands in the source.
    ///
    /// # Panics
    /// If it is not one token: a bug of the caller.
    pub fn literal(name: &'static str) -> Self {
        assert!(is_name(name.as_bytes()), "`{name}` is not a keyword's name");
        Self(name.to_owned())
    }

    /// The name without a colon.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(bytes: &[u8]) -> bool {
    let starts_well = bytes
        .first()
        .is_some_and(|&first| is_name_byte(first) && first != b'#' && first != b':');
    starts_well && bytes.iter().copied().all(is_name_byte)
}

/// Whether a byte may stand in a keyword or a symbol.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".*+!-_?$%&=<>/#:'|".contains(&byte)
}

/// A tree of data.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// `12`
    Int(i64),
    /// `1.5`
    Float(f64),
    /// `"text"`
    Text(String),
    /// `:keyword`
    Keyword(Name),
    /// `symbol`
    Symbol(Name),
    /// `(1 2)`
    List(Vec<Datum>),
    /// `[1 2]`
    Vector(Vec<Datum>),
    /// `#{1 2}`
    Set(Vec<Datum>),
    /// `{1 2}`, in the order of the file
    Map(Vec<(Datum, Datum)>),
    /// `#tag datum`
    Tagged(Name, Box<Datum>),
}

impl Datum {
    /// A keyword that stands in the source.
    ///
    /// # Panics
    /// As [`Name::literal`].
    pub fn keyword(name: &'static str) -> Self {
        Self::Keyword(Name::literal(name))
    }
}

/// Writes EDN, on one line.
impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write_float(f, *value),
            Self::Text(text) => write_text(f, text),
            Self::Keyword(name) => write!(f, ":{}", name.0),
            Self::Symbol(name) => f.write_str(&name.0),
            Self::List(items) => write_items(f, "(", items, ")"),
            Self::Vector(items) => write_items(f, "[", items, "]"),
            Self::Set(items) => write_items(f, "#{", items, "}"),
            Self::Map(entries) => write_map(f, entries),
            Self::Tagged(tag, datum) => write!(f, "#{} {datum}", tag.0),
        }
    }
}

fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        f.write_str("##NaN")
    } else if value.is_infinite() {
        f.write_str(if value > 0.0 { "##Inf" } else { "##-Inf" })
    } else {
        // The debug form always has a point or an exponent, so it never reads back as an integer.
        write!(f, "{value:?}")
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

fn write_items(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: &[Datum],
    close: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (position, item) in items.iter().enumerate() {
        let space = if position == 0 { "" } else { " " };
        write!(f, "{space}{item}")?;
    }
    f.write_str(close)
}

fn write_map(f: &mut fmt::Formatter<'_>, entries: &[(Datum, Datum)]) -> fmt::Result {
    f.write_str("{")?;
    for (position, (key, value)) in entries.iter().enumerate() {
        let comma = if position == 0 { "" } else { ", " };
        write!(f, "{comma}{key} {value}")?;
    }
    f.write_str("}")
}
