//! The configuration of a node and of topics.
//!
//! - Every value has one origin: flag, then environment, then file, then default; the first that
//!   names a key wins, and the origin is kept for `DescribeConfigs` and for error messages.
//! - A component gets its own small struct ([`NetworkConfig`], [`StorageConfig`], ...), checked
//!   once in [`NodeConfig::load`]; nothing behind it parses text.
//! - A key that Kafka knows and ottla does not use is kept and reported; any other unknown key is
//!   refused, because a typo in a durability setting must not pass.
//! - Values that change at run time are in the metadata image; [`TopicConfig::resolve`] puts the
//!   layers together.

pub mod broker_keys;
pub mod describe;
mod file;
pub mod group;
pub mod key;
pub mod layers;
mod listener;
mod node;
mod source;
mod suggest;
mod topic;
pub mod topic_keys;
mod units;
mod unused_keys;

pub use group::GroupConfig;
pub use layers::{ConfigSource, Layers, Overrides};
pub(crate) use listener::Bracketed;
pub use listener::{Endpoint, Listener, Peer, SecurityProtocol};
pub use node::{
    BrokerConfig, ControllerConfig, NetworkConfig, NodeConfig, ReplicaConfig, StorageConfig,
};
pub use source::{ConfigError, Origin, Sources, StaticConfig, StaticValue};
pub use topic::{
    Cleanup, Compression, TimestampType, TopicConfig, TopicConfigError, ValidateRecords,
};
