#!/usr/bin/env bash
# Builds the benchmark, installs its peers, raises what may be raised, and runs it with the arguments
# given. It measures nothing itself.
set -euo pipefail
cd "$(dirname "$0")/.."

bench/peers/install.sh
"${CARGO:-cargo}" build --release --locked --quiet --manifest-path bench/Cargo.toml
# A process may open as many files as the system lets it, and the kernel queue as many newcomers.
ulimit -n "$(ulimit -Hn)"
if [[ $(id -u) == 0 ]]; then
    ulimit -n 1100000 2>/dev/null || true
fi
exec bench/target/release/bench "$@"
