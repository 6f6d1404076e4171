#!/usr/bin/env bash
# Builds the demo's page into demo/dist: the TypeScript client first, then the page on top of it.
# Says what is missing where it can't.
set -euo pipefail
cd "$(dirname "$0")/.."

missing() {
    echo "the demo's page can't be built: $1" >&2
    exit 1
}

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) ||
    missing "there is no node (20 or newer, from https://nodejs.org or your system's packages)"
((major >= 20)) || missing "node $major is too old, 20 is needed"
command -v npm >/dev/null || missing "there is no npm (it comes with node; on Debian: apt-get install npm)"

# What package-lock.json asks for, unless that is there already.
install() {
    [[ $1/node_modules/.package-lock.json -nt $1/package-lock.json ]] && return
    (cd "$1" && npm ci --no-audit --no-fund --loglevel=error) || missing "npm ci has failed in $1"
}

install sdk
install demo
(cd sdk && npm run --silent build)
(cd demo && npm run --silent build)
