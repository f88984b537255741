//! Which neighbouring segments become one.
//!
//! - A group's offsets have 31 bits at most, and its copy has no more of them. Its bytes may be a few more than its originals',
//!   where a batch was compressed anew: a compacted log's segments are kept small enough for that.
//! - A single segment is a group, whatever its size.

use std::ops::Range;

use crate::ids::Offset;

/// A segment that is to be copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) size: u64,
}

/// The groups of `members`, front to back, each of at most `bytes_max` bytes if it has more than one member.
pub(crate) fn groups(members: &[Member], bytes_max: u64) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open: Option<(Offset, u64)> = None;
    for (at, member) in members.iter().enumerate() {
        let joined = open.filter(|(base, bytes)| {
            let span = member.end.since(*base).unwrap_or(u64::MAX);
            let is_narrow = span <= i32::MAX.unsigned_abs().into();
            is_narrow && bytes.saturating_add(member.size) <= bytes_max
        });
        if let (Some((base, bytes)), Some(last)) = (joined, found.last_mut()) {
            last.end = at + 1;
            open = Some((base, bytes + member.size));
        } else {
            found.push(at..at + 1);
            open = Some((member.base, member.size));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        /// S2: nothing is left out or taken twice, and every copy can be expressed in one segment.
        #[test]
        fn groups_cover_all_and_fit(parts in vec((1..3_000_000_000_u64, 0..2000_u64), 0..20)) {
            let mut base = Offset::ZERO;
            let mut members = Vec::new();
            for (span, size) in parts {
                let end = base.saturating_add(span.min(i32::MAX.unsigned_abs().into()));
                members.push(Member { base, end, size });
                base = end;
            }
            let groups = groups(&members, 3000);
            let covered: Vec<usize> = groups.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..members.len()).collect::<Vec<_>>());
            for group in groups.iter().filter(|group| group.len() > 1) {
                let members = &members[group.clone()];
                prop_assert!(members.iter().map(|member| member.size).sum::<u64>() <= 3000);
                let (first, last) = (members[0], members[members.len() - 1]);
                prop_assert!(last.end.since(first.base).unwrap() <= i32::MAX.unsigned_abs().into());
            }
            for pair in groups.windows(2) {
                let [a, b] = pair else { unreachable!() };
                let next = members[b.start];
                let size: u64 = members[a.clone()].iter().map(|member| member.size).sum();
                let span = next.end.since(members[a.start].base).unwrap();
                let would_fit = size + next.size <= 3000 && span <= i32::MAX.unsigned_abs().into();
                prop_assert!(!would_fit, "a group is as large as it can be");
            }
        }
    }
}
