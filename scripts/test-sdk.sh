#!/usr/bin/env bash
# Tests the TypeScript client: lint, types, build, the core with a clock that stands still, a real
# server, the package from its tarball, and real Chromium. Installs what it needs.
#
#   DRAFTWIRE_BIN    the server to test against; without it one is built with cargo
#   CHROMIUM         the browser (/usr/bin/chromium); installed with apt-get where that is allowed
#   CI=true          what can't be installed is an error, and no skip
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/scripts/find-binary.sh"
sdk=$root/sdk
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
projects=(core package server browser)
skipped=0

# Says loudly that a part was not run.
skip() {
    echo "!!! SKIPPED: $1: $2" >&2
    skipped=1
}

# Ends here where nothing can be tested at all.
give_up() {
    skip "the TypeScript client" "$1"
    [[ ${CI:-} == true ]] && exit 1
    exit 0
}

# Debian's Chromium, where this user may install it.
find_chromium() {
    [[ -x $CHROMIUM ]] && return
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null &&
        apt-get update -q && apt-get install -y -q --no-install-recommends chromium &&
        [[ -x $CHROMIUM ]]
}

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || give_up "there is no node"
((major >= 20)) || give_up "node $major is too old, 20 is needed"
find_binary DRAFTWIRE_BIN draftwire
cd "$sdk"
npm ci --no-audit --no-fund || give_up "npm ci has failed"
find_chromium || {
    skip "Chromium tests" "there is no $CHROMIUM, and it can't be installed"
    projects=(core package server)
}
npm run --silent lint
npm run --silent typecheck
npm run --silent build
npx vitest run "${projects[@]/#/--project=}"
if ((skipped)) && [[ ${CI:-} == true ]]; then
    echo "a part was skipped, and CI=true" >&2
    exit 1
fi
