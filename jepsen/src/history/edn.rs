//! Reads the part of EDN that a history uses.
//!
//! - Any bytes give a datum or an error with its column; nesting is limited, so that no input overflows the stack.
//! - Left out, because no history holds them: characters (`\a`), ratios, and numbers beyond 64 bits.

use super::datum::{Datum, Name, is_name_byte};

/// How deep data may nest. A history's own shape needs six; the rest is room for what a fault says of itself.
const DEPTH_MAX: u32 = 128;

/// What the reader wanted to see, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}")]
pub struct SyntaxError {
    /// Bytes from the start of the line, from 1.
    pub column: usize,
    /// What would have been right.
    pub expected: &'static str,
}

/// Reads one datum that fills the whole text.
pub(super) fn read(text: &str) -> Result<Datum, SyntaxError> {
    let mut cursor = Cursor { text, position: 0 };
    let datum = cursor.datum(DEPTH_MAX)?;
    cursor.skip_blanks();
    match cursor.peek() {
        None => Ok(datum),
        Some(_) => Err(cursor.expected("the end of the line")),
    }
}

struct Cursor<'a> {
    text: &'a str,
    position: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.position += usize::from(is_next);
        is_next
    }

    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError {
            column: self.position + 1,
            expected,
        }
    }

    /// Commas are blanks in EDN; a comment goes on to the end of the line.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b',' => self.position += 1,
                b';' => self.position = self.text.len(),
                byte if byte.is_ascii_whitespace() => self.position += 1,
                _ => break,
            }
        }
    }

    fn datum(&mut self, depth: u32) -> Result<Datum, SyntaxError> {
        self.skip_blanks();
        let Some(inner) = depth.checked_sub(1) else {
            return Err(self.expected("data that nests less deeply"));
        };
        match self.peek() {
            Some(b'(') => Ok(Datum::List(self.items(b')', inner)?)),
            Some(b'[') => Ok(Datum::Vector(self.items(b']', inner)?)),
            Some(b'{') => self.map(inner),
            Some(b'"') => self.text(),
            Some(b'#') => self.dispatch(inner),
            Some(b':') => {
                self.position += 1;
                let name = Name::new(self.token()).ok_or_else(|| self.expected("a keyword"))?;
                Ok(Datum::Keyword(name))
            }
            Some(_) => self.atom(),
            None => Err(self.expected("data")),
        }
    }

    /// The data up to `close`; the cursor is on the opening bracket.
    fn items(&mut self, close: u8, depth: u32) -> Result<Vec<Datum>, SyntaxError> {
        self.position += 1;
        let mut items = Vec::new();
        loop {
            self.skip_blanks();
            if self.take(close) {
                return Ok(items);
            }
            if self.peek().is_none() {
                return Err(self.expected("a closing bracket"));
            }
            items.push(self.datum(depth)?);
        }
    }

    fn map(&mut self, depth: u32) -> Result<Datum, SyntaxError> {
        let mut entries = Vec::new();
        self.position += 1;
        loop {
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Datum::Map(entries));
            }
            if self.peek().is_none() {
                return Err(self.expected("a closing bracket"));
            }
            let key = self.datum(depth)?;
            self.skip_blanks();
            if self.peek() == Some(b'}') {
                return Err(self.expected("a value for the last key"));
            }
            entries.push((key, self.datum(depth)?));
        }
    }

    /// What follows a `#`: a set, a number without digits, or a tag.
    fn dispatch(&mut self, depth: u32) -> Result<Datum, SyntaxError> {
        self.position += 1;
        match self.peek() {
            Some(b'{') => Ok(Datum::Set(self.items(b'}', depth)?)),
            Some(b'#') => {
                self.position += 1;
                match self.token() {
                    "NaN" => Ok(Datum::Float(f64::NAN)),
                    "Inf" => Ok(Datum::Float(f64::INFINITY)),
                    "-Inf" => Ok(Datum::Float(f64::NEG_INFINITY)),
                    _ => Err(self.expected("##NaN, ##Inf or ##-Inf")),
                }
            }
            _ => {
                let tag = Name::new(self.token()).ok_or_else(|| self.expected("a tag"))?;
                Ok(Datum::Tagged(tag, Box::new(self.datum(depth)?)))
            }
        }
    }

    /// The longest run of name bytes from here.
    fn token(&mut self) -> &str {
        let rest = self.text.get(self.position..).unwrap_or_default();
        let length = rest
            .bytes()
            .position(|byte| !is_name_byte(byte))
            .unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    fn atom(&mut self) -> Result<Datum, SyntaxError> {
        let start = self.position;
        let datum = match self.token() {
            "" => None,
            "nil" => Some(Datum::Nil),
            "true" => Some(Datum::Bool(true)),
            "false" => Some(Datum::Bool(false)),
            token if is_number(token) => number(token),
            token => Name::new(token).map(Datum::Symbol),
        };
        datum.ok_or(SyntaxError {
            column: start + 1,
            expected: "data: nil, a number of 64 bits, text, a name or a collection",
        })
    }

    fn text(&mut self) -> Result<Datum, SyntaxError> {
        self.position += 1;
        let mut text = String::new();
        loop {
            let rest = self.text.get(self.position..).unwrap_or_default();
            let plain = rest
                .find(['"', '\\'])
                .ok_or_else(|| self.expected("a closing quote"))?;
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.position += plain;
            if self.take(b'"') {
                return Ok(Datum::Text(text));
            }
            self.position += 1;
            text.push(self.escape()?);
        }
    }

    /// The character of an escape, behind its backslash.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let escape = self.peek();
        let character = match escape {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                let digits = self.text.get(self.position + 1..self.position + 5);
                let character = digits
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                    .and_then(char::from_u32)
                    .ok_or_else(|| self.expected("four hexadecimal digits"))?;
                self.position += 4;
                character
            }
            _ => return Err(self.expected("an escape that EDN knows")),
        };
        self.position += 1;
        Ok(character)
    }
}

fn is_number(token: &str) -> bool {
    token
        .trim_start_matches(['-', '+'])
        .starts_with(|first: char| first.is_ascii_digit())
}

/// Integers may end in `N`, floats in `M`; both fit 64 bits or are refused.
fn number(token: &str) -> Option<Datum> {
    let integer = token.strip_suffix('N').unwrap_or(token);
    if let Ok(value) = integer.parse() {
        return Some(Datum::Int(value));
    }
    let float = token.strip_suffix('M').unwrap_or(token);
    if !float.contains(['.', 'e', 'E']) {
        return None;
    }
    float.parse().ok().map(Datum::Float)
}
