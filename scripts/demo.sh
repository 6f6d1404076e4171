#!/usr/bin/env bash
# Owns the demo: builds the page and its server, and serves them until Ctrl-C. Environment: LISTEN
# takes another address (0.0.0.0:3000 lets phones in the same network in), BIN a server that is
# built already.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build-page.sh
bin=${BIN:-}
if [[ -z $bin ]]; then
    echo "building the demo's server (the first time takes some minutes) …"
    "${CARGO:-cargo}" build --release --locked --quiet -p draftwire-demo
    target=$("${CARGO:-cargo}" metadata --format-version 1 --no-deps |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    bin=$target/release/draftwire-demo
fi
exec "$bin" --page demo/dist ${LISTEN:+--listen "$LISTEN"}
