#!/usr/bin/env bash
# Tests the demo as a visitor sees it: lint, types, the built page, and the page in real Chromium
# against the demo's server. Installs what it needs.
#
#   DRAFTWIRE_DEMO_BIN  the server; without it one is built with cargo
#   CHROMIUM            the browser (/usr/bin/chromium); installed with apt-get where that is allowed
#   CI=true             what can't be installed is an error, and no skip
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}

# Says loudly that nothing more was run, and ends.
skip() {
    echo "!!! SKIPPED: demo tests: $1" >&2
    if [[ ${CI:-} == true ]]; then
        echo "a part was skipped, and CI=true" >&2
        exit 1
    fi
    exit 0
}

find_binary() {
    if [[ -n ${DRAFTWIRE_DEMO_BIN:-} ]]; then
        DRAFTWIRE_DEMO_BIN=$(realpath "$DRAFTWIRE_DEMO_BIN")
    else
        cargo build --release --locked --manifest-path "$root/Cargo.toml" -p draftwire-demo
        local target
        target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$root/Cargo.toml" |
            sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
        DRAFTWIRE_DEMO_BIN=$target/release/draftwire-demo
    fi
    [[ -x $DRAFTWIRE_DEMO_BIN ]] || {
        echo "$DRAFTWIRE_DEMO_BIN is no program: set DRAFTWIRE_DEMO_BIN" >&2
        exit 1
    }
    export DRAFTWIRE_DEMO_BIN
}

# Debian's Chromium, where this user may install it.
find_chromium() {
    [[ -x $CHROMIUM ]] && return
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null &&
        apt-get update -q && apt-get install -y -q --no-install-recommends chromium &&
        [[ -x $CHROMIUM ]]
}

command -v npm >/dev/null || skip "there is no npm (node 20 or newer brings it)"
find_binary
"$root/scripts/build-page.sh"
cd "$root/demo"
npm run --silent lint
find_chromium || skip "there is no $CHROMIUM, and it can't be installed"
npm run --silent test
