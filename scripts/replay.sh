#!/usr/bin/env bash
# Owns the replay: builds the server, starts it on a fresh folder, replays real orders against it,
# and leaves it running with two lines to try. Environment: ONCE=1 ends after the verdict, LIMIT
# replays only so many orders, BIN takes a binary that is built already, ORDERS another file.
set -euo pipefail
cd "$(dirname "$0")/.."

orders=${ORDERS:-data/orders.csv.gz}
bin=${BIN:-target/release/draftwire}
if [[ -z "${BIN:-}" ]]; then
    echo "building draftwire (the first time takes some minutes) …"
    "${CARGO:-cargo}" build --release --locked --quiet -p draftwire
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/draftwire-replay.XXXXXX")
server=
stop() {
    if [[ -n "$server" ]] && kill -TERM "$server" 2>/dev/null; then
        wait "$server" || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$folder/jwt.secret"

# The system picks a free port when the usual one is taken.
port=3000
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    port=0
fi
"$bin" serve --listen "127.0.0.1:$port" --data "$folder/data" \
    --jwt-secret-file "$folder/jwt.secret" 2>"$folder/log" &
server=$!

address=
for _ in $(seq 100); do
    address=$(sed -n 's/.*listening on http:\/\/\([0-9.:]*\).*/\1/p' "$folder/log")
    [[ -n "$address" ]] && break
    if ! kill -0 "$server" 2>/dev/null; then
        cat "$folder/log" >&2
        exit 1
    fi
    sleep 0.1
done
if [[ -z "$address" ]]; then
    echo "the server did not start within 10 s:" >&2
    cat "$folder/log" >&2
    exit 1
fi
echo "draftwire serves http://$address from $folder/data"

status=0
"$bin" replay --url "ws://$address" --jwt-secret-file "$folder/jwt.secret" --orders "$orders" \
    ${LIMIT:+--limit "$LIMIT"} || status=$?
if [[ -n "${ONCE:-}" || $status -ne 0 ]]; then
    exit "$status"
fi

token=$("$bin" token --jwt-secret-file "$folder/jwt.secret" --user ann)
cat <<TEXT

The server goes on at http://$address (Ctrl-C ends it). See an edit arrive: paste the first line
into a second terminal, the second into a third.

$PWD/$bin watch --url ws://$address --token $token

curl -X POST http://$address/api/drafts -H 'Authorization: Bearer $token' -d '{"data":{"note":"hello"}}'

TEXT
wait "$server"
