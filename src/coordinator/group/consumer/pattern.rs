//! Subscriptions by regular expression: which topics a pattern means.
//!
//! - A pattern matches whole names. The syntax is RE2's as far as the `regex` crate has it: no look-around and no
//!   back-references, so that matching takes time linear in the name.
//! - A hostile pattern costs bounded memory: what would compile to more than a limit is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::coordinator::group::error::GroupError;
use crate::metadata::MetadataImage;

/// The most that a compiled pattern takes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
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
        // Alone first: a pattern that closes a group it did not open must not become one by what is put around it.
        compile(text)?;
        compile(&format!(r"\A(?:{text})\z")).map(Self)
    }

    /// The names of all topics that it matches. Internal topics are among them, as in Kafka.
    pub(super) fn topics(&self, image: &MetadataImage) -> BTreeSet<Arc<str>> {
        let names = image.topics().iter_by_name().map(|topic| topic.name());
        names
            .filter(|name| self.0.is_match(name))
            .cloned()
            .collect()
    }
}

fn compile(text: &str) -> Result<Regex, GroupError> {
    let built = RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(CACHE_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build();
    built.map_err(|error| GroupError::InvalidRegularExpression(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().0.is_match(name)
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
        for text in ["[", "a)|(b", "(?=a)", r"(a)\1", "a{1000}{1000}{1000}"] {
            let refused = Pattern::new(text);
            assert!(matches!(
                refused,
                Err(GroupError::InvalidRegularExpression(_))
            ));
        }
        let deep = format!("{}a{}", "(".repeat(500), ")".repeat(500));
        assert!(Pattern::new(&deep).is_err());
    }
}
