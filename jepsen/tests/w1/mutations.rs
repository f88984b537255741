//! What breaks: each mutation edits the clean history and says what a checker must find, all of it and nothing else.
//!
//! The edits are of the stage of `clean.rs`, whose comments say which value is where. The final readers poll key 10 as
//! 1 2 3, 4 5 7, 8 9 10, 13 14 15, 17 and key 11 as 1 3 4, 5.

use crate::story::Story;

mod cycles;
mod polls;
mod sends;
mod values;

/// A name, which the files bear, and the edit.
pub(crate) type Mutation = (&'static str, fn(&mut Story));

/// All of them, the clean history not among them.
pub(crate) fn all() -> Vec<Mutation> {
    let groups = [values::ALL, polls::ALL, sends::ALL, cycles::ALL];
    groups
        .iter()
        .flat_map(|group| group.iter().copied())
        .collect()
}
