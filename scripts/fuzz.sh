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
ALL="$(sed -n 's/^name = "\([a-z]*\)"$/\1/p' fuzz/Cargo.toml)"
TARGETS="${TARGET:-$ALL}"
CARGO_FUZZ_VERSION=0.13.1
export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-$PWD/fuzz/target}"

for target in $TARGETS; do
    if ! grep -qx "$target" <<<"$ALL"; then
        echo "fuzz: there is no target '$target'; there are:" $ALL >&2
        exit 2
    fi
done
if ! command -v c++ >/dev/null; then
    echo "fuzz: libFuzzer needs a C++ compiler: install one (Debian: apt-get install g++)" >&2
    exit 2
fi
export PATH="$CARGO_TARGET_DIR/tools/bin:$PATH"
if ! cargo-fuzz --version 2>/dev/null | grep -qF "$CARGO_FUZZ_VERSION"; then
    echo "fuzz: installing cargo-fuzz $CARGO_FUZZ_VERSION into $CARGO_TARGET_DIR/tools" >&2
    CARGO_TARGET_DIR="$CARGO_TARGET_DIR/tools/build" \
        "$CARGO" install --quiet --locked --root "$CARGO_TARGET_DIR/tools" \
        --version "$CARGO_FUZZ_VERSION" cargo-fuzz
fi

failed=0
rows=()
for target in $TARGETS; do
    corpus="fuzz/corpus/$target"
    mkdir -p "$corpus" "fuzz/artifacts/$target"
    log="$CARGO_TARGET_DIR/$target.log"
    cargo-fuzz fuzz build --sanitizer none --release "$target"
    # What is short is tried more often.
    case "$target" in
        frames) length_bytes_max=600 ;;
        deflate) length_bytes_max=1000 ;;
        *) length_bytes_max=4096 ;;
    esac
    echo "fuzz: $target for $TIME s, from $(find "$corpus" -type f | wc -l) inputs found before and" \
        "$(find "crates/fuzzing/seeds/$target" -type f | wc -l) seeds" >&2
    status=0
    # What is found is kept in the first folder; the seeds are only read.
    cargo-fuzz fuzz run --sanitizer none --release "$target" \
        "$corpus" "crates/fuzzing/seeds/$target" -- \
        -max_total_time="$TIME" -timeout=10 -rss_limit_mb=2048 -max_len="$length_bytes_max" \
        -print_final_stats=1 -dict="fuzz/$target.dict" >"$log" 2>&1 || status=$?
    count="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)"
    speed="$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -1)"
    verdict="nothing found"
    if [ "$status" != 0 ]; then
        failed=1
        input="$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)"
        verdict="FAILED, see $log"
        grep -aE -A2 "panicked at|ERROR: libFuzzer|^error" "$log" | head -6 >&2 || tail -20 "$log" >&2
        if [ -n "$input" ]; then
            verdict="FAILED: $input"
            echo "fuzz: $target fails on $input" >&2
            echo "fuzz: again: copy it to crates/fuzzing/seeds/$target/ under a name that says what it" \
                "is, and run 'cargo test -p draftwire-fuzzing $target'; leave it there, so that it is" \
                "tested ever after" >&2
        fi
    fi
    rows+=("$(printf '%-10s %14s %12s  %s' "$target" "${count:-?}" "${speed:-?}" "$verdict")")
done

printf '\n%-10s %14s %12s\n' target executions "per second"
printf '%s\n' "${rows[@]}"
exit "$failed"
