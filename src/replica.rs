//! One partition on this broker: its decisions (`core`, pure), and the glue that carries them out.

pub mod combining;
pub(crate) mod core;
