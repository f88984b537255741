//! The key that a typo probably meant.

use crate::config::{broker_keys, topic_keys};

/// The nearest broker key, when one is near enough to be meant.
pub(super) fn broker_key(typo: &str) -> Option<String> {
    // A topic's name for the setting: the broker's name for its default is what was meant.
    if let Some(synonym) = topic_keys::find(typo).and_then(|key| key.synonyms.first()) {
        return Some(synonym.broker.to_owned());
    }
    nearest(typo, broker_keys::all().into_iter().map(|key| key.name))
}

/// The nearest topic key.
pub(super) fn topic_key(typo: &str) -> Option<String> {
    nearest(
        typo,
        topic_keys::TOPIC_KEYS.iter().map(|entry| entry.key.name),
    )
}

fn nearest(typo: &str, names: impl Iterator<Item = &'static str>) -> Option<String> {
    // Longer input can't be a typo of a key, and the distance costs its square.
    if typo.len() > 128 {
        return None;
    }
    let typo = typo.to_ascii_lowercase().replace(['_', '-'], ".");
    let limit = 1 + typo.len() / 6;
    names
        .map(|name| (distance(&typo, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name.to_owned())
}

/// Levenshtein's distance between two ASCII-ish texts, by bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, cell) in b.bytes().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = substituted.min(*cell + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn only_near_keys_are_suggested() {
        assert_eq!(topic_key("retention.mss").as_deref(), Some("retention.ms"));
        assert_eq!(broker_key("log_dirs").as_deref(), Some("log.dirs"));
        assert_eq!(broker_key("nothing.like.this.exists.anywhere"), None);
    }
}
