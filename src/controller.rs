//! The controller: turns commands into facts on the quorum's leader.
//!
//! - [`decide`] is pure: an image, a command and drawn randomness go in, facts and an outcome come
//!   out. Nothing is decided twice from different knowledge: a group of commands is decided over the
//!   applied image plus the group's own facts, and the entry names that image's version.
//! - [`driver`] has one group in flight. An outcome leaves after its facts were applied, or never:
//!   when the leadership ends first, the answer is "unknown", which is retriable and no success.
//! - [`machine`] applies entries on every node, in the order of the log, and publishes the image.

pub mod command;
pub mod decide;
pub mod driver;
pub mod handle;
pub mod machine;
mod probe;
mod sessions;

pub use command::{Command, Outcome};
pub use decide::Settings;
pub use driver::{Driver, Quorum, QuorumError, QuorumView, RaftQuorum, RaftView};
pub use handle::{ControllerError, ControllerHandle, queues};
pub use machine::MetadataMachine;
pub use probe::Prober;
pub use sessions::Sessions;
