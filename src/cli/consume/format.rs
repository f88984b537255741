//! How one consumed record is printed: kcat's and rpk's `%` directives.
//!
//! - A format is parsed once, before anything is read; an unknown directive is refused with the
//!   list of the known ones.
//! - Bytes of keys and values are printed as they are, unless a modifier asks for an encoding.

use std::io::{self, Write};
use std::str::{Chars, FromStr};

use crate::cli::value::{escape, rfc3339};

/// The directives, for the help text and for errors.
pub(crate) const DIRECTIVES: &str = "%t topic, %p partition, %o offset, %k key, %K key size, \
     %v or %s value, %V or %S value size, %T timestamp in ms, %T{rfc3339} as text, %h headers, \
     %H header count, %e leader epoch, %n newline, %% percent; keys and values also %v{hex} and \
     %v{base64}; sizes of absent keys and values are -1";

/// One record, ready to be printed.
#[derive(Clone, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) timestamp_ms: i64,
    pub(crate) is_log_append_time: bool,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Duplicate names are kept, in the record's order.
    pub(crate) headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// A parsed `--format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordFormat(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Raw,
    Hex,
    Base64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    LeaderEpoch,
    Key(Encoding),
    KeySize,
    Value(Encoding),
    ValueSize,
    TimestampMs,
    TimestampText,
    Headers,
    HeaderCount,
}

impl FromStr for RecordFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => literal.push(escape(&mut rest)?),
                '%' => match directive(&mut rest)? {
                    Piece::Literal(bytes) => literal.extend(bytes),
                    piece => {
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                        }
                        pieces.push(piece);
                    }
                },
                _ => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }
}

/// The directive after a `%`, with its `{modifier}` where there is one.
fn directive(rest: &mut Chars<'_>) -> Result<Piece, String> {
    let letter = rest.next().ok_or("a format cannot end in a single %")?;
    let modifier = modifier(rest)?;
    let unknown = || Err(format!("unknown directive %{letter}; known: {DIRECTIVES}"));
    let encoding = match modifier.as_deref() {
        None => Some(Encoding::Raw),
        Some("hex") => Some(Encoding::Hex),
        Some("base64") => Some(Encoding::Base64),
        Some(_) => None,
    };
    Ok(match (letter, modifier.as_deref(), encoding) {
        ('k', _, Some(encoding)) => Piece::Key(encoding),
        ('v' | 's', _, Some(encoding)) => Piece::Value(encoding),
        ('T' | 'd', None | Some("ms"), _) => Piece::TimestampMs,
        ('T' | 'd', Some("rfc3339"), _) => Piece::TimestampText,
        (_, Some(modifier), _) => {
            return Err(format!(
                "%{letter} does not take {{{modifier}}}; known: {DIRECTIVES}"
            ));
        }
        ('t', ..) => Piece::Topic,
        ('p', ..) => Piece::Partition,
        ('o', ..) => Piece::Offset,
        ('e', ..) => Piece::LeaderEpoch,
        ('K', ..) => Piece::KeySize,
        ('V' | 'S', ..) => Piece::ValueSize,
        ('h', ..) => Piece::Headers,
        ('H', ..) => Piece::HeaderCount,
        ('n', ..) => Piece::Literal(b"\n".to_vec()),
        ('%', ..) => Piece::Literal(b"%".to_vec()),
        _ => return unknown(),
    })
}

fn modifier(rest: &mut Chars<'_>) -> Result<Option<String>, String> {
    if !rest.as_str().starts_with('{') {
        return Ok(None);
    }
    let (name, after) = rest
        .as_str()
        .strip_prefix('{')
        .and_then(|inner| inner.split_once('}'))
        .ok_or("a { after a directive needs its }")?;
    let name = name.to_owned();
    *rest = after.chars();
    Ok(Some(name))
}

impl RecordFormat {
    /// The value and a newline: what the console consumers print.
    pub(crate) fn value_per_line() -> Self {
        Self(vec![
            Piece::Value(Encoding::Raw),
            Piece::Literal(b"\n".to_vec()),
        ])
    }

    pub(crate) fn write(&self, record: &Shown<'_>, out: &mut impl Write) -> io::Result<()> {
        for piece in &self.0 {
            match piece {
                Piece::Literal(bytes) => out.write_all(bytes)?,
                Piece::Topic => out.write_all(record.topic.as_bytes())?,
                Piece::Partition => write!(out, "{}", record.partition)?,
                Piece::Offset => write!(out, "{}", record.offset)?,
                Piece::LeaderEpoch => write!(out, "{}", record.leader_epoch)?,
                Piece::Key(encoding) => write_bytes(out, record.key, *encoding)?,
                Piece::KeySize => write_size(out, record.key)?,
                Piece::Value(encoding) => write_bytes(out, record.value, *encoding)?,
                Piece::ValueSize => write_size(out, record.value)?,
                Piece::TimestampMs => write!(out, "{}", record.timestamp_ms)?,
                Piece::TimestampText => out.write_all(rfc3339(record.timestamp_ms).as_bytes())?,
                Piece::Headers => write_headers(out, &record.headers)?,
                Piece::HeaderCount => write!(out, "{}", record.headers.len())?,
            }
        }
        Ok(())
    }
}

fn write_bytes(out: &mut impl Write, bytes: Option<&[u8]>, encoding: Encoding) -> io::Result<()> {
    let bytes = bytes.unwrap_or_default();
    match encoding {
        Encoding::Raw => out.write_all(bytes),
        Encoding::Hex => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
        Encoding::Base64 => out.write_all(base64(bytes).as_bytes()),
    }
}

fn write_size(out: &mut impl Write, bytes: Option<&[u8]>) -> io::Result<()> {
    match bytes {
        Some(bytes) => write!(out, "{}", bytes.len()),
        None => out.write_all(b"-1"),
    }
}

/// `a=1,b=2` as kcat prints them; a header without a value is its name alone.
fn write_headers(out: &mut impl Write, headers: &[(&[u8], Option<&[u8]>)]) -> io::Result<()> {
    for (position, (name, value)) in headers.iter().enumerate() {
        if position > 0 {
            out.write_all(b",")?;
        }
        out.write_all(name)?;
        if let Some(value) = value {
            out.write_all(b"=")?;
            out.write_all(value)?;
        }
    }
    Ok(())
}

/// Standard base64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 4];
        for (slot, byte) in group.iter_mut().skip(1).zip(chunk) {
            *slot = *byte;
        }
        let group = u32::from_be_bytes(group);
        for position in 0..4 {
            if position <= chunk.len() {
                let index = (group >> (18 - 6 * position)) & 0x3f;
                let letter = usize::try_from(index)
                    .ok()
                    .and_then(|index| ALPHABET.get(index));
                text.push(char::from(*letter.unwrap_or(&b'=')));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::consume) fn record() -> Shown<'static> {
        Shown {
            topic: "orders",
            partition: 3,
            offset: 42,
            leader_epoch: 7,
            timestamp_ms: 1_769_846_400_000,
            is_log_append_time: false,
            key: Some(b"k1"),
            value: Some(b"v\xff1"),
            headers: vec![(b"a", Some(b"1")), (b"a", None)],
        }
    }

    fn print(format: &str) -> Vec<u8> {
        let mut out = Vec::new();
        format
            .parse::<RecordFormat>()
            .unwrap()
            .write(&record(), &mut out)
            .unwrap();
        out
    }

    #[test]
    fn directives_print_every_part_of_a_record() {
        assert_eq!(print("%t[%p]@%o %k=%s\\n"), b"orders[3]@42 k1=v\xff1\n");
        assert_eq!(
            print("%T %K %S %h %H %e%%%n"),
            b"1769846400000 2 3 a=1,a 2 7%\n"
        );
        assert_eq!(print("%T{rfc3339}"), b"2026-01-31T08:00:00.000Z");
        assert_eq!(print("%v{hex} %k{base64}"), b"76ff31 azE=");
    }

    #[test]
    fn an_absent_key_is_nothing_with_size_minus_one() {
        let record = Shown {
            key: None,
            ..record()
        };
        let mut out = Vec::new();
        "[%k]%K"
            .parse::<RecordFormat>()
            .unwrap()
            .write(&record, &mut out)
            .unwrap();
        assert_eq!(out, b"[]-1");
    }

    #[test]
    fn wrong_formats_are_refused_before_anything_is_read() {
        for bad in ["%", "%q", "%v{rot13}", "%v{hex", "\\q", "%o{hex}"] {
            assert!(bad.parse::<RecordFormat>().is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_is_padded() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
