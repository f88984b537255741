//! The codec alone, under the name of the crate that it is part of: the rest of that crate and the
//! dependencies of the rest would take minutes to build with instrumentation and are not fuzzed.

#[path = "../src/wire/mod.rs"]
pub mod wire;
