//! Subscriptions by regular expression: which topics a pattern means.
//!
//! - A pattern matches whole names. The syntax is RE2's as far as the `regex` crate has it: no look-around and no
//!   back-references, so that matching takes time linear in the name.
//! - `\w`, `\d` and their like mean ASCII, as in RE2. Names of topics are ASCII too, so that nothing else is missed.
//! - A hostile pattern costs bounded memory: what is too long, or would compile to more than a limit, is refused.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::coordinator::group::error::GroupError;
use crate::metadata::MetadataImage;

/// The longest text of a pattern. It is read before it is known what it compiles to.
const TEXT_BYTES_MAX: usize = 1 << 15;
/// The most that a compiled pattern takes: a list of a hundred names, or several times `[\w.-]{1,249}`.
const COMPILED_BYTES_MAX: usize = 1 << 18;
/// The most that the matcher keeps of the states that it has seen.
const CACHE_BYTES_MAX: usize = 1 << 20;
/// How deep groups may nest.
const NEST_MAX: u32 = 64;

/// A pattern that compiles.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// [`GroupError::InvalidRegularExpression`] with the reason, for whoever wrote it.
    pub(super) fn new(text: &str) -> Result<Self, GroupError> {
        if text.len() > TEXT_BYTES_MAX {
            let reason = format!("it is longer than {TEXT_BYTES_MAX} bytes");
            return Err(GroupError::InvalidRegularExpression(reason));
        }
        let text = without_quotes(text);
        // Alone first: a pattern that closes a group it did not open must not become one by what is put around it.
        compile(&text)?;
        compile(&format!(r"\A(?:{text})\z")).map(Self)
    }

    /// The names of all topics that it matches. Internal topics are among them, as in Kafka.
    pub(super) fn topics(&self, image: &MetadataImage) -> BTreeSet<Arc<str>> {
        let names = image.topics().iter_by_name().map(|topic| topic.name());
        names
            .filter(|name| self.0.is_match(name.as_bytes()))
            .cloned()
            .collect()
    }
}

fn compile(text: &str) -> Result<Regex, GroupError> {
    let build = |is_unicode| {
        RegexBuilder::new(text)
            .unicode(is_unicode)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .nest_limit(NEST_MAX)
            .build()
    };
    let built = build(false).or_else(|error| match error {
        // RE2 has classes beyond ASCII too, `\pL` and the like.
        regex::Error::Syntax(_) => build(true).map_err(|_| error),
        _ => Err(error),
    });
    built.map_err(|error| GroupError::InvalidRegularExpression(error.to_string()))
}

/// The pattern with what stands between `\Q` and `\E`, or after `\Q`, as the text that it is: the `regex` crate does not
/// know them.
fn without_quotes(text: &str) -> Cow<'_, str> {
    if !text.contains(r"\Q") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        rest = if let Some(quoted) = after.strip_prefix('Q') {
            let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(quoted));
            after
        } else {
            // Whatever follows is escaped: a backslash begins nothing then.
            let mut after = after.chars();
            plain.push('\\');
            plain.extend(after.next());
            after.as_str()
        };
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().0.is_match(name.as_bytes())
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        assert!(matches("a.*", "abc"));
        assert!(!matches("b", "abc"));
        assert!(matches("a|abc", "abc"));
        assert!(!matches("a|b", "ab"));
    }

    #[test]
    fn what_is_no_pattern_alone_is_refused() {
        for text in [
            "[",
            "a)|(b",
            "(?=a)",
            r"(a)\1",
            "a{1000}{1000}{1000}",
            r"\Qa\E)",
        ] {
            let refused = Pattern::new(text);
            assert!(matches!(
                refused,
                Err(GroupError::InvalidRegularExpression(_))
            ));
        }
        let deep = format!("{}a{}", "(".repeat(500), ")".repeat(500));
        assert!(Pattern::new(&deep).is_err());
        assert!(Pattern::new(&"[a]".repeat(TEXT_BYTES_MAX)).is_err());
    }

    /// With Unicode's classes the first two took 3 MiB and more, and were refused.
    #[test]
    fn classes_are_those_of_re2() {
        assert!(matches(r"[\w.-]{1,64}", "orders.v1-eu"));
        assert!(matches(r"(?:[\w.-]{1,64}\.){1,4}\d+", "orders.eu.1"));
        assert!(!matches(r"\w", "\u{e9}") && !matches(r"\d", "\u{0661}"));
        assert!(matches(r"(?i)ORDERS\b.*", "orders-1"));
    }

    #[test]
    fn a_pattern_may_say_more_than_ascii() {
        assert!(matches(r"\pL+", "orders"));
        assert!(matches("[a\u{e9}]+|caf\u{e9}", "aa"));
    }

    #[test]
    fn a_list_of_names_is_a_pattern() {
        let names: Vec<String> = (0..100)
            .map(|n| format!("orders.region-{n}.payments.events.v1"))
            .collect();
        assert!(matches(&names.join("|"), &names[99]));
    }

    #[test]
    fn what_is_quoted_is_text() {
        assert!(matches(r"\Qa.b\E.*", "a.bc") && !matches(r"\Qa.b\E.*", "axbc"));
        assert!(matches(r"x\Q(a", "x(a"), "to the end");
        assert!(matches(r"\Qab\E*\Q.\E", "abb."));
        assert!(
            matches(r"\\Qa.", r"\Qab"),
            "an escaped backslash quotes nothing"
        );
        assert!(matches(r"\Qa\\E", r"a\"));
    }
}
