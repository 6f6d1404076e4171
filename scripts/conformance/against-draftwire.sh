#!/usr/bin/env bash
# Owns one conformance run against draftwire's own echo: starts the server with
# --conformance-echo and --compression, runs the suite, stops the server. ECHO is the address to echo on,
# OUT a folder for the suite's report.
set -euo pipefail
cd "$(dirname "$0")/../.."

echo_address=${ECHO:-127.0.0.1:9001}
bin=${BIN:-target/release/draftwire}
folder=$(mktemp -d "${TMPDIR:-/tmp}/draftwire-conformance.XXXXXX")
"$bin" serve --dev --listen 127.0.0.1:0 --data "$folder/data" \
    --compression --conformance-echo "$echo_address" >"$folder/out" 2>"$folder/log" &
server=$!
stop() {
    kill -TERM "$server" 2>/dev/null && wait "$server" || true
    rm -rf "$folder"
}
trap stop EXIT
for _ in $(seq 100); do
    grep -q "conformance echo listens" "$folder/log" && break
    if ! kill -0 "$server" 2>/dev/null; then
        cat "$folder/log" >&2
        exit 1
    fi
    sleep 0.1
done

status=0
scripts/conformance.sh ${OUT:+--out "$OUT"} "ws://$echo_address" "$@" || status=$?
# 77 says that there is no Python 2.7: no failure, unless CI relies on it.
if [[ $status -eq 77 && "${CI:-}" != true ]]; then
    status=0
fi
exit "$status"
