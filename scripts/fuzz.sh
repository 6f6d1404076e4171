#!/usr/bin/env bash
# Runs every fuzz target for a while and prints how many inputs each has tried.
#
#   TIME=60 TARGET=frames scripts/fuzz.sh     TIME in seconds for each target; all targets without TARGET
#
# Works with the stable toolchain: coverage comes from LLVM's own pass, without a sanitizer (the code
# under test has no unsafe of its own to sanitize). Fails, and names the input, when a target crashes,
# takes longer than ten seconds over one input, or more than two gigabytes.
set -euo pipefail
cd "$(dirname "$0")/.."

TIME="${TIME:-60}"
CARGO="${CARGO:-cargo}"
TARGETS="${TARGET:-$(sed -n 's/^name = "\([a-z]*\)"$/\1/p' fuzz/Cargo.toml)}"
CARGO_FUZZ_VERSION=0.13.1
export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-$PWD/fuzz/target}"

if ! command -v c++ >/dev/null; then
    echo "fuzz: a C++ compiler is needed for libFuzzer; installing g++" >&2
    as_root=""; [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq && $as_root apt-get install -y -qq g++
fi
export PATH="$CARGO_TARGET_DIR/tools/bin:$PATH"
if ! cargo-fuzz --version 2>/dev/null | grep -qF "$CARGO_FUZZ_VERSION"; then
    echo "fuzz: installing cargo-fuzz $CARGO_FUZZ_VERSION into fuzz/target/tools" >&2
    CARGO_TARGET_DIR="$CARGO_TARGET_DIR/tools/build" \
        "$CARGO" install --quiet --locked --root "$CARGO_TARGET_DIR/tools" \
        --version "$CARGO_FUZZ_VERSION" cargo-fuzz
fi

failed=0
rows=()
for target in $TARGETS; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    log="$CARGO_TARGET_DIR/$target.log"
    cargo-fuzz fuzz build --sanitizer none --release "$target"
    echo "fuzz: $target for $TIME s" >&2
    status=0
    # What is found is kept in fuzz/corpus; the seeds are only read.
    cargo-fuzz fuzz run --sanitizer none --release "$target" \
        "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$TIME" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
        -print_final_stats=1 -dict="fuzz/$target.dict" >"$log" 2>&1 || status=$?
    count="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)"
    speed="$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -1)"
    verdict="no crash"
    if [ "$status" != 0 ]; then
        failed=1
        input="$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)"
        verdict="FAILED: ${input:-see $log}"
        grep -aE "panicked at|ERROR: libFuzzer|^error" "$log" | head -3 >&2 || tail -20 "$log" >&2
    fi
    rows+=("$(printf '%-10s %14s %12s  %s' "$target" "${count:-?}" "${speed:-?}" "$verdict")")
done

printf '\n%-10s %14s %12s\n' target executions "per second"
printf '%s\n' "${rows[@]}"
exit "$failed"
