//! Rules that a test can switch off: a test that still passes without its rule guards nothing.
//!
//! - One rule at a time, named by the environment variable `OTTLA_PLANTED_BUG` and read once: the whole process lacks it.
//! - Only with the feature `planted-bugs`, which no release has; without it every question is answered "no" when the
//!   code is compiled.
//! - Every name stands once in `tests/planted/rules`, with the test that must notice its absence.

/// Names the rule that is switched off.
#[cfg(feature = "planted-bugs")]
pub const VARIABLE: &str = "OTTLA_PLANTED_BUG";

/// Whether the rule is switched off.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(rule: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| std::env::var(VARIABLE).ok());
    planted.as_deref() == Some(rule)
}

/// Whether the rule is switched off: it never is.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
pub const fn is_planted(_rule: &str) -> bool {
    false
}
