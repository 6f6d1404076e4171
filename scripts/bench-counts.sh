#!/usr/bin/env bash
# Counts instructions with valgrind and compares them with bench/counts.txt. Where there is no valgrind
# it says so. Environment: UPDATE=1 writes the file.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
    echo "!!! SKIPPED: bench-counts: there is no valgrind (apt-get install valgrind)" >&2
    exit 0
fi
"${CARGO:-cargo}" build --release --locked --quiet --manifest-path bench/Cargo.toml --bin bench-counts
exec bench/target/release/bench-counts ${UPDATE:+--update}
