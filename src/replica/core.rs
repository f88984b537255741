//! What one replica decides (pure): plain events in, plain effects out.

pub(crate) mod effect;
pub(crate) mod follower;
pub(crate) mod high_watermark;
pub(crate) mod isr;
pub(crate) mod leader;
pub(crate) mod partition;
pub(crate) mod progress;
