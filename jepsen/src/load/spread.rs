//! Durations, told by their median, their 99th percentile and the longest. Pure.

use std::time::Duration;

use serde_json::{Value, json};

/// In milliseconds; without any of them only how many: none.
pub(super) fn told(mut all: Vec<Duration>) -> Value {
    all.sort_unstable();
    let at = |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
    let millis = |percent| at(percent).map(|took| took.as_secs_f64() * 1e3);
    json!({
        "count": all.len(),
        "p50_ms": millis(50),
        "p99_ms": millis(99),
        "max_ms": millis(100),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_a_hundred_is_the_maximum_and_not_the_median() {
        let told = told((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(told["count"], 100);
        assert_eq!(told["p50_ms"], 51.0);
        assert_eq!(told["p99_ms"], 100.0);
        assert_eq!(told["max_ms"], 100.0);
    }

    #[test]
    fn of_none_nothing_is_told() {
        assert_eq!(told(Vec::new())["p99_ms"], Value::Null);
    }
}
