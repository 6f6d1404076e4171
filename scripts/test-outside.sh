#!/usr/bin/env bash
# Tests a draftwire server with the clients that other people use: Node (ws, jose, and Node's own
# WebSocket) and Python (websockets). Installs what it needs into its own places.
#
#   DRAFTWIRE_BIN    the binary to test; without it one is built with cargo
#   DRAFTWIRE_CACHE  where the Python environment is kept (~/.cache/draftwire)
#   CI=true          what can't be installed is an error, and no skip
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/scripts/find-binary.sh"
tests=$root/tests/outside
cache=${DRAFTWIRE_CACHE:-$HOME/.cache/draftwire}
skipped=0
failed=0
counts=()

# Says loudly that a part was not run.
skip() {
    echo "!!! SKIPPED: $1 tests: $2" >&2
    counts+=("$1: SKIPPED ($2)")
    skipped=1
}

node_tests() {
    local major log options=${NODE_OPTIONS:-}
    major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || {
        skip Node "there is no node"
        return
    }
    if ((major < 20)); then
        skip Node "node $major is too old, 20 is needed"
        return
    fi
    # Node's own WebSocket stands behind a flag in these versions.
    if ((major < 22)); then
        options+=" --experimental-websocket"
    fi
    (cd "$tests" && npm ci --no-audit --no-fund) || {
        skip Node "npm ci has failed"
        return
    }
    log=$(mktemp)
    (cd "$tests" && NODE_OPTIONS=$options node --test --test-reporter=spec --test-concurrency=1) |
        tee "$log" || failed=1
    counts+=("Node $(node --version): $(summary "$log")")
    rm -f "$log"
}

# "20 passed, 0 failed, 0 skipped" of a node --test report.
summary() {
    awk '$2 == "pass" { p = $3 } $2 == "fail" { f = $3 } $2 == "skipped" { s = $3 }
        END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped" }' "$1"
}

has_python() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Debian's packages, where this user may install them.
install() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null &&
        apt-get update -q && apt-get install -y -q "$@"
}

# A virtual environment with what requirements.txt pins.
python_environment() {
    local venv=$1
    if [[ ! -x $venv/bin/pip ]] && ! python3 -m venv "$venv"; then
        rm -rf "$venv"
        install python3-venv || return 1
        python3 -m venv "$venv" || return 1
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$tests/requirements.txt"
}

python_tests() {
    local venv=$cache/outside-venv log
    if ! has_python && ! { install python3 python3-venv && has_python; }; then
        skip Python "python3 3.11 or newer is needed"
        return
    fi
    mkdir -p "$cache"
    python_environment "$venv" || {
        skip Python "its packages can't be installed"
        return
    }
    log=$(mktemp)
    (cd "$tests" && PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m unittest -v) 2>&1 |
        tee "$log" || failed=1
    counts+=("$(python3 --version): $(grep -E '^Ran ' "$log" || echo 'nothing was run'), $(tail -n 1 "$log")")
    rm -f "$log"
}

find_binary DRAFTWIRE_BIN draftwire
node_tests
python_tests
echo
printf '%s\n' "${counts[@]}"
if ((failed)); then
    exit 1
fi
if ((skipped)) && [[ ${CI:-} == true ]]; then
    echo "a part was skipped, and CI=true" >&2
    exit 1
fi
