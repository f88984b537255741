//! Data as JSON, without loss.
//!
//! What JSON has no word for is a string: `:name` is a keyword, and a backslash stands before EDN text (a set, a
//! symbol, a string that would read as something else). In an object's keys an integer is its digits. Everything
//! else is what JSON makes of it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use super::datum::{Datum, Name};
use super::edn;

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            Self::Vector(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    sequence.serialize_element(item)?;
                }
                sequence.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key_text(key), value)?;
                }
                map.end()
            }
            Self::Text(_)
            | Self::Keyword(_)
            | Self::Float(_)
            | Self::Symbol(_)
            | Self::List(_)
            | Self::Set(_)
            | Self::Tagged(..) => serializer.serialize_str(&value_text(self)),
        }
    }
}

/// The string that stands for a datum.
fn value_text(datum: &Datum) -> String {
    match datum {
        Datum::Keyword(_) => datum.to_string(),
        Datum::Text(text) if from_value_text(text) == Ok(datum.clone()) => text.clone(),
        _ => format!("\\{datum}"),
    }
}

fn from_value_text(text: &str) -> Result<Datum, edn::SyntaxError> {
    if let Some(edn) = text.strip_prefix('\\') {
        return edn::read(edn);
    }
    let keyword = text.strip_prefix(':').and_then(Name::new);
    Ok(keyword.map_or_else(|| Datum::Text(text.to_owned()), Datum::Keyword))
}

/// The string that stands for a datum as the key of an object.
fn key_text(datum: &Datum) -> String {
    match datum {
        Datum::Int(value) => value.to_string(),
        Datum::Text(text) if from_key_text(text) == Ok(datum.clone()) => text.clone(),
        Datum::Text(_) => format!("\\{datum}"),
        other => value_text(other),
    }
}

fn from_key_text(text: &str) -> Result<Datum, edn::SyntaxError> {
    text.parse()
        .map(Datum::Int)
        .or_else(|_| from_value_text(text))
}

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DatumVisitor)
    }
}

struct DatumVisitor;

impl<'de> Visitor<'de> for DatumVisitor {
    type Value = Datum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Datum, E> {
        Ok(Datum::Nil)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Datum, E> {
        Ok(Datum::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Datum, E> {
        Ok(Datum::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Datum, E> {
        let value = i64::try_from(value).map_err(|_| E::custom("a number beyond 64 bits"))?;
        Ok(Datum::Int(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Datum, E> {
        Ok(Datum::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Datum, E> {
        from_value_text(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Datum, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Datum::Vector(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Datum, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            let key = from_key_text(&key).map_err(de::Error::custom)?;
            entries.push((key, access.next_value()?));
        }
        Ok(Datum::Map(entries))
    }
}
