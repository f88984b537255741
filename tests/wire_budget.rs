//! W1: decoding reserves no more than the budget of its input, counted by the allocator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed expectation fails the test"
)]
#![allow(
    unsafe_code,
    reason = "an allocator that counts has to be an allocator"
)]

#[path = "wire/dispatch.rs"]
#[allow(dead_code, reason = "only `decode` allocates nothing of its own")]
mod dispatch;
#[path = "wire/every.rs"]
mod every;
#[path = "wire/random.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod random;
#[path = "wire/schema.rs"]
#[allow(dead_code, reason = "shared with the generator")]
mod schema;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use dispatch::decode;
use every::cases;
use ottla::wire::{api::ApiKey, reader::Reader};
use proptest::{collection::vec, prelude::*};

thread_local! {
    /// Bytes that this thread has asked for; what it gives back is not subtracted.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.with(|asked| asked.set(asked.get().saturating_add(layout.size())));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.with(|asked| asked.set(asked.get().saturating_add(size)));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What `decode` asks the allocator for.
fn asked_by(case: &every::Case, bytes: &[u8]) -> usize {
    let before = ASKED.get();
    let _ = decode(case.subject, case.version, bytes);
    ASKED.get() - before
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn decoding_stays_within_its_budget(
        choices in vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        lie in prop::sample::select(vec![
            &[0xff, 0xff, 0xff, 0x7f][..], &[0, 0, 0x10, 0], &[0x7f, 0xff, 0xff, 0xff], &[0x7f],
        ]),
        padding in 0_usize..20_000,
    ) {
        for case in cases() {
            let mut bytes = case.random(&choices);
            // A lie about some length, in front of enough bytes to make it credible.
            let at = at.index(bytes.len().max(1));
            for (slot, byte) in bytes.iter_mut().skip(at).zip(lie) {
                *slot = *byte;
            }
            bytes.resize(bytes.len() + padding, 0);
            let budget = Reader::budget_of(bytes.len());
            let asked = asked_by(&case, &bytes);
            prop_assert!(asked <= budget, "{case}: {asked} of {budget}");
        }
    }

    #[test]
    fn bytes_without_sense_stay_within_the_budget(byte in any::<u8>(), length in 0_usize..100_000) {
        let bytes = vec![byte; length];
        for case in cases() {
            let budget = Reader::budget_of(bytes.len());
            let asked = asked_by(&case, &bytes);
            prop_assert!(asked <= budget, "{case}: {asked} of {budget}");
        }
    }
}

/// The allocator counts: this request's two topics are one array.
#[test]
fn an_honest_array_is_counted() {
    let metadata = |case: &every::Case| {
        case.subject == dispatch::Subject::request(ApiKey::Metadata) && case.version == 0
    };
    let case = cases().find(metadata).unwrap();
    let asked = asked_by(&case, &[0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b']);
    assert!((2 * 40..=128).contains(&asked), "{asked}");
}
