# Sourced by the scripts of this directory. Each of them shows one promise and exits 0 or 1.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
show=$(basename "$0")
work=$(mktemp -d "${TMPDIR:-/tmp}/ottla-$show.XXXXXX")
pids=()
# shellcheck source=/dev/null
. "$root/tests/interop/lib/need.sh"

# Ends what this script started, by process id, and removes its files.
cleanup() {
    local pid
    for pid in "${pids[@]}"; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT

say() { printf '%s: %s\n' "$show" "$*"; }
fail() { printf '%s: FAILED: %s\n' "$show" "$*" >&2; exit 1; }
passed() { say "passed: $*"; exit 0; }

# Builds the release binary and names it.
release_binary() {
    (cd "$root" && cargo build --release --quiet --bin ottla)
    printf '%s\n' "$root/target/release/ottla"
}

# Waits until the node that writes to FILE says where it listens, and prints that.
listening_on() {
    local file=$1 pid=$2 line
    for _ in $(seq 1 1200); do
        line=$(grep -o 'listening on [^, ]*' "$file" || true)
        if [ -n "$line" ]; then printf '%s\n' "${line#listening on }"; return; fi
        kill -0 "$pid" 2>/dev/null || { cat "$file" >&2; fail "the node ended before it was ready"; }
        sleep 0.05
    done
    fail "the node was not ready within a minute"
}
