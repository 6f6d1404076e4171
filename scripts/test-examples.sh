#!/usr/bin/env bash
# Tests the app before, in between and after (examples/), and that docs/from-polling.md shows the
# lines as they are counted. Installs what it needs.
#
#   DRAFTWIRE_BIN    the server to test with; without it one is built with cargo
#   CI=true          what can't be installed is an error, and no skip
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/scripts/find-binary.sh"

# Says loudly that nothing was run, and ends here.
give_up() {
    echo "!!! SKIPPED: the examples: $1" >&2
    [[ ${CI:-} == true ]] && exit 1
    exit 0
}

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || give_up "there is no node"
((major >= 20)) || give_up "node $major is too old, 20 is needed"
find_binary DRAFTWIRE_BIN draftwire
cd "$root/sdk"
npm ci --no-audit --no-fund || give_up "npm ci in sdk has failed"
npm run --silent build
cd "$root/examples"
npm ci --no-audit --no-fund || give_up "npm ci in examples has failed"
# The formatter decides where lines break, so that no side is counted short.
"$root/sdk/node_modules/.bin/biome" check --error-on-warnings .
node --test --test-reporter=spec --test-concurrency=1 test/*.test.js
node count.mjs
