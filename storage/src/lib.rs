//! The log of one partition. It knows nothing of topics, brokers or the quorum.
