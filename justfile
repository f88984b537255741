# Every habit of this repository has a name here; CI calls the same recipes.

# List the recipes.
default:
    @just --list

# Everything a change must pass; never writes.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
    cargo test --workspace

# The writing half of `check`.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Run the tests whose name contains FILTER.
test filter="":
    cargo test --workspace {{filter}}

# Clusters over simulated disks, links and time, SEEDS histories.
simulate seeds="1000":
    cargo run --release -p ottla-jepsen --features node --bin ottla-fault -- sim --seeds {{seeds}}

# Consumer groups with their members, log and metadata, SEEDS histories.
simulate-groups seeds="1000":
    cargo run --release -p ottla-jepsen --features node --bin ottla-fault -- groups --seeds {{seeds}}

# Three Raft nodes over a disk that loses what was not synced, SEEDS histories.
sim seeds="1000":
    OTTLA_SEEDS={{seeds}} cargo test --release -p ottla-raft --test cluster

# The lock-free parts under every interleaving that loom finds.
loom:
    tests/loom/run

# Fuzz one decoder for SECS seconds (needs a nightly toolchain and cargo-fuzz).
fuzz target secs="60":
    fuzz/run {{target}} {{secs}}

# Licences, bans and sources of every dependency (needs cargo-deny).
deny:
    cargo deny check licenses bans sources

# Known vulnerabilities of every dependency (needs cargo-deny and the advisory database on GitHub).
advisories:
    cargo deny check advisories

# Foreign clients against a fresh node: one table, client by operation.
interop:
    tests/interop/run

# One line of an issue's "Must show".
show name:
    tests/show/{{name}}
