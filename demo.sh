#!/usr/bin/env bash
# From a fresh clone to a running connector: builds everything, starts the users API and the `users`
# connector in local mode, creates a user once, and shows what it did. Ctrl-C ends it.
#
#   ./demo.sh            stay, and look at the page
#   ./demo.sh --once     end after the call
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
# The first line of a file that holds an address, as soon as it is there.
address_in() {
    for _ in $(seq 150); do
        address=$(grep -oE "$2" "$1" | head -n 1) && [ -n "$address" ] && echo "$address" && return
        sleep 0.1
    done
    echo "nothing listens; this was said: $(cat "$1")" >&2
    return 1
}

for tool in cargo curl; do
    command -v "$tool" >/dev/null || { echo "this needs $tool; see https://rustup.rs for cargo" >&2; exit 1; }
done
if command -v rustup >/dev/null; then
    run rustup target add wasm32-wasip1 wasm32-wasip2
fi

say "Building the runtime and the users API (about ten minutes the first time)"
run cargo build --package aloma-wasm --package users-api
say "Building the connector"
run cargo build --package users --target wasm32-wasip2 --release

target=${CARGO_TARGET_DIR:-target}
users=$target/wasm32-wasip2/release/users.wasm
aloma_wasm=$target/debug/aloma-wasm
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$folder"' EXIT
trap 'exit 0' INT TERM

say "What the connector is"
run "$aloma_wasm" inspect "$users"

say "Starting the users API, and the connector beside it"
"$target/debug/users-api" --listen 127.0.0.1:0 --key demo-key >"$folder/api" 2>&1 &
api=$(address_in "$folder/api" 'http://127\.0\.0\.1:[0-9]+')
echo "\$ users-api --key demo-key    # at $api"
"$aloma_wasm" run "$users" --allow-private "$api" --listen 127.0.0.1:0 --data "$folder/workspace" \
    >"$folder/page" 2>"$folder/log" &
page=$(address_in "$folder/page" 'http://127\.0\.0\.1:[0-9]+/[^ ]*')
workspace=${page%%/\?*}
echo "\$ aloma-wasm run users.wasm --allow-private $api    # at $workspace"

# What the page does, done by curl.
ask() {
    curl --silent --show-error --fail-with-body --header "Authorization: Bearer $(cat "$folder/workspace/token")" \
        --header 'Content-Type: application/json' "$@"
}
until ask "$workspace/api/connectors/users" 2>/dev/null | grep -q '"connected":true'; do sleep 0.1; done

say "Configuring it; the API key is sealed for the connector and never stored in plain text"
ask --request PUT "$workspace/api/connectors/users/config" \
    --data "{\"API_KEY\":\"demo-key\",\"BASE_URL\":\"$api\"}" >/dev/null
echo "API_KEY and BASE_URL are set"

say "Calling createUser"
ask "$workspace/api/connectors/users/call" --data \
    '{"action":"createUser","arguments":{"email":"ann@example.com","firstName":"Ann","lastName":"Lee"}}'
echo

say "The workspace's page: $page"
[ "${1:-}" = "--once" ] && exit 0
echo "Ctrl-C ends the demo."
wait
