#!/usr/bin/env bash
# Tests the demo as a visitor sees it: lint, types, the built page, and the page in real Chromium
# against the demo's server. Installs what it needs.
#
#   DRAFTWIRE_DEMO_BIN  the server; without it one is built with cargo
#   CHROMIUM            the browser (/usr/bin/chromium); installed with apt-get where that is allowed
#   CI=true             what can't be installed is an error, and no skip
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/scripts/find-binary.sh"
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

# Debian's Chromium, where this user may install it.
find_chromium() {
    [[ -x $CHROMIUM ]] && return
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null &&
        apt-get update -q && apt-get install -y -q --no-install-recommends chromium &&
        [[ -x $CHROMIUM ]]
}

command -v npm >/dev/null || skip "there is no npm (node 20 or newer brings it)"
find_binary DRAFTWIRE_DEMO_BIN draftwire-demo
"$root/scripts/build-page.sh"
cd "$root/demo"
npm run --silent lint
find_chromium || skip "there is no $CHROMIUM, and it can't be installed"
npm run --silent test
