#!/usr/bin/env bash
# Owns the installation of the peers: their npm packages, bun's binary among them, and Debian's
# redis-server. Quick where all is there; may be run again at any time.
#
# It never fails because a peer can't be had: it prints a line `SKIPPED: …` on stderr for each of
# them, and the benchmark leaves that peer out. It never starts Redis.
set -euo pipefail
cd "$(dirname "$0")"

skipped() {
    echo "SKIPPED: $*" >&2
}

# npm's own record of what is in node_modules is written last: newer than the lock file means done.
installed=node_modules/.package-lock.json
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    skipped "all peers: no node or npm"
    exit 0
fi
if [[ $(node -p 'process.versions.node.split(".")[0]') -lt 20 ]]; then
    skipped "all peers: Node $(node --version) is older than 20"
    exit 0
fi
if [[ ! $installed -nt package-lock.json || ! $installed -nt package.json ]]; then
    if ! npm ci --no-audit --no-fund --loglevel=error; then
        skipped "all peers: npm ci failed"
        exit 0
    fi
fi

# The binary arrives through an install script of the package, which npm may be set not to run.
if ! node_modules/.bin/bun --version >/dev/null 2>&1; then
    node node_modules/bun/install.js >/dev/null 2>&1 || true
    node_modules/.bin/bun --version >/dev/null 2>&1 || skipped "bun: its binary does not run here"
fi

if ! command -v redis-server >/dev/null; then
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        skipped "node-ws-redis: no redis-server, and only root can install it with apt-get"
    else
        export DEBIAN_FRONTEND=noninteractive
        apt=(apt-get -qq -o DPkg::Lock::Timeout=60)
        { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends redis-server; } \
            >/dev/null || skipped "node-ws-redis: apt-get could not install redis-server"
    fi
fi
