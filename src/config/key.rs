//! What is known of one configuration key: name, type, default, legal values, meaning.
//!
//! - A value is kept as text in its canonical form: what [`ConfigKey::normalise`] returned. Text
//!   that came through it parses, lies in the legal range and reads the same on every node.
//! - Names, types, defaults and ranges are Kafka's (4.4.0) unless the key's table says otherwise.

use crate::config::units;

/// The type of a value, with the number that `DescribeConfigs` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// A 32-bit integer.
    Int,
    /// A 16-bit integer.
    Short,
    /// A 64-bit integer.
    Long,
    /// A decimal fraction.
    Double,
    /// Comma-separated texts.
    List,
    /// The name of a Java class: stored for tools, never loaded.
    Class,
    /// A secret: never shown.
    Password,
}

impl Kind {
    /// The number of the type in `DescribeConfigs` responses.
    pub const fn wire_code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    const fn expectation(self) -> &'static str {
        match self {
            Self::Boolean => "Expected value to be either true or false",
            Self::Int => "Not a number of type INT",
            Self::Short => "Not a number of type SHORT",
            Self::Long => "Not a number of type LONG",
            Self::Double => "Not a number of type DOUBLE",
            Self::String | Self::List | Self::Class | Self::Password => "Not a text",
        }
    }
}

/// Which values of the type are legal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    /// Every value.
    Any,
    /// Integers from a minimum.
    AtLeast(i64),
    /// Integers between two bounds, both legal.
    Between(i64, i64),
    /// Integers between two bounds, or one special value outside of them.
    BetweenOr(i64, i64, i64),
    /// Fractions from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of these words, none twice.
    ListOf(&'static [&'static str]),
    /// The same, with at least one of them.
    SomeOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// Text that is not empty.
    NonEmpty,
}

/// How a broker key may change while the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only at start.
    ReadOnly,
    /// Per broker and as the cluster's default.
    Dynamic,
}

/// Whether ottla acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The value changes what ottla does.
    Used,
    /// The value is stored, shown and reported as unused.
    Unused,
}

/// One key of the registry.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The name, as in Kafka's documentation.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// The default in canonical text; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// The legal values.
    pub valid: Valid,
    /// How it may change at run time (broker keys).
    pub update: Update,
    /// Whether ottla acts on it.
    pub effect: Effect,
    /// One or two sentences for people.
    pub doc: &'static str,
}

/// Why a value is refused. The texts follow Kafka's, because operators search for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text isn't a value of the key's type.
    #[error("Invalid value {value} for configuration {key}: {}", kind.expectation())]
    Type {
        /// The key.
        key: String,
        /// The text.
        value: String,
        /// The type it should have.
        kind: Kind,
    },
    /// The value is outside of the legal range.
    #[error("Invalid value {value} for configuration {key}: {rule}")]
    Range {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would be legal.
        rule: String,
    },
}

impl ConfigKey {
    /// The canonical text of `value`.
    ///
    /// # Errors
    /// The text isn't of the key's type, or its value isn't legal.
    pub fn normalise(&self, value: &str) -> Result<String, ValueError> {
        let trimmed = value.trim();
        match self.kind {
            Kind::Boolean => self.boolean(trimmed),
            Kind::Int => self.integer(trimmed, i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Short => self.integer(trimmed, i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Long => self.integer(trimmed, i64::MIN, i64::MAX),
            Kind::Double => self.double(trimmed),
            Kind::List => self.list(trimmed),
            // A secret may begin or end with a blank.
            Kind::Password => Ok(value.to_owned()),
            Kind::String | Kind::Class => self.text(trimmed),
        }
    }

    /// Whether a value must never be shown.
    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    fn boolean(&self, value: &str) -> Result<String, ValueError> {
        match value.to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err(self.wrong_type(value)),
        }
    }

    fn integer(&self, value: &str, min: i64, max: i64) -> Result<String, ValueError> {
        let number = match value.parse::<i64>() {
            Ok(number) => Some(number),
            Err(_) => units::parse(self.name, value),
        };
        let number = number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.wrong_type(value))?;
        let rule = match self.valid {
            Valid::AtLeast(low) | Valid::Between(low, _) if number < low => {
                format!("Value must be at least {low}")
            }
            Valid::Between(_, high) if number > high => {
                format!("Value must be no more than {high}")
            }
            Valid::BetweenOr(low, high, special)
                if !(low..=high).contains(&number) && number != special =>
            {
                format!("Value must be between {low} and {high} or equal to {special}")
            }
            _ => return Ok(number.to_string()),
        };
        Err(self.out_of_range(&number.to_string(), rule))
    }

    fn double(&self, value: &str) -> Result<String, ValueError> {
        let number: f64 = value.parse().map_err(|_| self.wrong_type(value))?;
        if self.valid == Valid::Ratio && !(0.0..=1.0).contains(&number) {
            let rule = if number < 0.0 {
                "Value must be at least 0"
            } else {
                "Value must be no more than 1"
            };
            return Err(self.out_of_range(value, rule.to_owned()));
        }
        Ok(value.to_owned())
    }

    fn text(&self, value: &str) -> Result<String, ValueError> {
        match self.valid {
            Valid::OneOf(words) if !words.contains(&value) => {
                let rule = format!("String must be one of: {}", words.join(", "));
                Err(self.out_of_range(value, rule))
            }
            Valid::OneOfAnyCase(words) => {
                let found = words.iter().find(|word| word.eq_ignore_ascii_case(value));
                found.map(|word| (*word).to_owned()).ok_or_else(|| {
                    let words = words.join(", ");
                    let rule = format!("String must be one of (case insensitive): {words}");
                    self.out_of_range(value, rule)
                })
            }
            Valid::NonEmpty if value.is_empty() => {
                Err(self.out_of_range(value, "String must be non-empty".to_owned()))
            }
            _ => Ok(value.to_owned()),
        }
    }

    fn list(&self, value: &str) -> Result<String, ValueError> {
        let items = list_items(value);
        if items.is_empty() && matches!(self.valid, Valid::SomeOf(_)) {
            return Err(self.out_of_range(value, "must not be empty".to_owned()));
        }
        let mut kept: Vec<&str> = Vec::with_capacity(items.len());
        for item in &items {
            let rule = match self.valid {
                _ if item.is_empty() => "values must not be empty".to_owned(),
                Valid::ListOf(words) | Valid::SomeOf(words) if !words.contains(item) => {
                    format!("String must be one of: {}", words.join(", "))
                }
                Valid::ThrottledReplicas if items != ["*"] && !is_partition_broker(item) => {
                    "must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                        .to_owned()
                }
                // Kafka accepts a repeated word and forgets the repetition.
                Valid::ListOf(_) | Valid::SomeOf(_) if kept.contains(item) => continue,
                _ => {
                    kept.push(item);
                    continue;
                }
            };
            return Err(self.out_of_range(value, rule));
        }
        Ok(kept.join(","))
    }

    fn wrong_type(&self, value: &str) -> ValueError {
        ValueError::Type {
            key: self.name.to_owned(),
            value: value.to_owned(),
            kind: self.kind,
        }
    }

    fn out_of_range(&self, value: &str, rule: String) -> ValueError {
        ValueError::Range {
            key: self.name.to_owned(),
            value: value.to_owned(),
            rule,
        }
    }
}

/// The items of a list value; the empty text is the empty list.
pub fn list_items(value: &str) -> Vec<&str> {
    if value.trim().is_empty() {
        return Vec::new();
    }
    value.split(',').map(str::trim).collect()
}

fn is_partition_broker(item: &str) -> bool {
    item.split_once(':').is_some_and(|(partition, broker)| {
        partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(name: &'static str, kind: Kind, valid: Valid) -> ConfigKey {
        ConfigKey {
            name,
            kind,
            default: None,
            valid,
            update: Update::ReadOnly,
            effect: Effect::Used,
            doc: "",
        }
    }

    #[test]
    fn integers_are_bounded_by_type_and_range() {
        let level = key(
            "compression.gzip.level",
            Kind::Int,
            Valid::BetweenOr(1, 9, -1),
        );
        assert_eq!(level.normalise(" 9 "), Ok("9".to_owned()));
        assert_eq!(level.normalise("-1"), Ok("-1".to_owned()));
        assert!(matches!(
            level.normalise("0"),
            Err(ValueError::Range { .. })
        ));
        assert!(matches!(
            level.normalise("10"),
            Err(ValueError::Range { .. })
        ));
        assert!(matches!(
            level.normalise("3000000000"),
            Err(ValueError::Type { .. })
        ));
        assert!(matches!(level.normalise("x"), Err(ValueError::Type { .. })));
    }

    #[test]
    fn units_become_plain_numbers() {
        let retention = key("retention.ms", Kind::Long, Valid::AtLeast(-1));
        assert_eq!(retention.normalise("7d"), Ok("604800000".to_owned()));
        let segment = key("segment.bytes", Kind::Int, Valid::AtLeast(1_048_576));
        assert_eq!(segment.normalise("64MiB"), Ok("67108864".to_owned()));
        assert!(matches!(
            segment.normalise("64d"),
            Err(ValueError::Type { .. })
        ));
        assert!(matches!(
            segment.normalise("8GiB"),
            Err(ValueError::Type { .. })
        ));
    }

    #[test]
    fn lists_refuse_strangers_and_gaps_and_forget_repeats() {
        let policy = key(
            "cleanup.policy",
            Kind::List,
            Valid::ListOf(&["compact", "delete"]),
        );
        assert_eq!(
            policy.normalise("compact , delete"),
            Ok("compact,delete".to_owned())
        );
        assert_eq!(policy.normalise("delete,delete"), Ok("delete".to_owned()));
        assert_eq!(policy.normalise(""), Ok(String::new()));
        for wrong in ["gone", "Delete", "delete,", ",delete"] {
            assert!(policy.normalise(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn throttled_replicas_are_a_star_or_pairs() {
        let key = key(
            "leader.replication.throttled.replicas",
            Kind::List,
            Valid::ThrottledReplicas,
        );
        for right in ["", "*", "0:1,1:2"] {
            assert_eq!(key.normalise(right), Ok(right.to_owned()));
        }
        for wrong in ["0", "*,0:1", "a:b"] {
            assert!(key.normalise(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_matched_exactly() {
        let kind = key(
            "t",
            Kind::String,
            Valid::OneOf(&["CreateTime", "LogAppendTime"]),
        );
        assert_eq!(kind.normalise("CreateTime"), Ok("CreateTime".to_owned()));
        assert!(kind.normalise("createtime").is_err());
    }

    #[test]
    fn words_in_any_case_become_the_word() {
        let policy = key("p", Kind::String, Valid::OneOfAnyCase(&["upgrade"]));
        assert_eq!(policy.normalise("UPGRADE"), Ok("upgrade".to_owned()));
        assert!(policy.normalise("up").is_err());
    }

    #[test]
    fn a_list_may_have_to_have_a_word() {
        let some = key("s", Kind::List, Valid::SomeOf(&["a", "b"]));
        assert_eq!(some.normalise("b,a,b"), Ok("b,a".to_owned()));
        for wrong in ["", " ", "a,", "c"] {
            assert!(some.normalise(wrong).is_err(), "{wrong}");
        }
    }
}
