#!/usr/bin/env bash
# Does by hand what README.md tells a newcomer to do: runs its `curl` blocks to the letter against `cargo local`, the signed
# ones also with a changed body, and looks whether what was accepted is delivered, and how soon; and whether a wallet hears
# what an anchor's calls were answered.
#
# Uses the ports that README.md names, 3000 and 3001.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$(dirname "$here")"
work=$(mktemp -d "${TMPDIR:-/tmp}/payrelay-readme.XXXXXX")
local=
cleanup() {
    [[ -z $local ]] || kill "$local" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# README.md asks for jq only to sort keys; where there is none, this does the same.
if ! command -v jq > /dev/null; then
    mkdir "$work/bin"
    cat > "$work/bin/jq" <<'JQ'
#!/usr/bin/env python3
import json, sys
print(json.dumps(json.load(sys.stdin), sort_keys=True, separators=(",", ":"), ensure_ascii=False))
JQ
    chmod +x "$work/bin/jq"
    PATH=$work/bin:$PATH
fi

cargo build --profile quick --locked --bins
"${CARGO_TARGET_DIR:-target}/quick/local" > "$work/lines" 2>&1 &
local=$!
for _ in $(seq 100); do
    ! curl -fs -o "$work/document" http://127.0.0.1:3000/v1/openapi.json || break
    sleep 0.2
done
[[ -s $work/document ]] || { cat "$work/lines"; echo "cargo local does not answer" >&2; exit 1; }

# Each block of commands that ask the local API, in a file of its own.
awk -v out="$work/block" '
    /^```sh$/ { inside = 1; text = ""; next }
    /^```$/   { if (inside && text ~ /curl .*127\.0\.0\.1:3000/) printf "%s", text > (out "-" ++n); inside = 0; next }
    inside    { text = text $0 "\n" }
' README.md

failed=0
expect() { # what, want, got
    if [[ $3 == "$2" ]]; then echo "ok     $1: $3"; else echo "FAIL   $1: $3, not $2"; failed=1; fi
}
status() { sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p'; }

signed=0
for block in "$work"/block-*; do
    if grep -q 'openssl dgst' "$block"; then
        signed=$((signed + 1))
        name=$(grep -o '127.0.0.1:3000[^ ]*' "$block")
        posted=$(date +%s%3N)
        expect "signed with openssl, $name" 200 "$(bash "$block" 2>> "$work/curl" | status)"
        # shellcheck disable=SC2016 # it is the block that expands it
        sed 's/--data-raw "$\([A-Z]*\)"/--data-raw "${\1\/mine\/yours}"/; s/"${EVENT\/mine\/yours}"/"${EVENT\/carla\/karla}"/' \
            "$block" > "$work/changed"
        expect "the same with a changed body" 401 "$(bash "$work/changed" 2>> "$work/curl" | status)"
    elif grep -q 'curl -i' "$block"; then
        expect "ten at most, with a key" 207 "$(bash "$block" 2>> "$work/curl" | status)"
    elif grep -q '/anchor/rpc' "$block"; then
        bash "$block" > "$work/calls" 2>> "$work/curl"
    fi
done
expect "blocks of README.md that are signed" 2 "$signed"

api() { curl -fsS -H 'authorization: Bearer prk_demo_tenant' "http://127.0.0.1:3000/v1/tenants/demo/$1"; }
delivered() { api "events?type=$1" | grep -o '"state":"delivered"' | wc -l; }
arrive() { # type, how many
    for _ in $(seq 50); do
        [[ $(delivered "$1") -lt $2 ]] || break
        sleep 0.2
    done
    expect "delivered of $1" "$2" "$(delivered "$1")"
}
arrive recovery.payment_failed 1
arrive wallet_address.not_found 1
arrive customer.status_changed 3
arrive transaction.status_changed 3

moved='pending_customer_info_update pending_anchor pending_user_transfer_start'
statuses() { grep -o "\"status\":\"$1[a-zA-Z_]*" | cut -d'"' -f4 | xargs; }
expect "answers to the anchor's calls" "$moved" "$(statuses pending < "$work/calls")"
# What the wallet says, in the order in which it heard it.
heard() { grep '"callback heard"' "$work/lines" | grep "\"/$1\"" | statuses ''; }
expect "the wallet heard of the customer" "NEEDS_INFO PROCESSING ACCEPTED" "$(heard sep12)"
expect "the wallet heard of the deposit" "$moved" "$(heard sep6)"

# Whoever looks for a wallet address waits for 1.5 s in all.
took=$(api events/my-first-event | python3 -c '
import datetime, json, sys
tried = json.load(sys.stdin)["deliveries"][0]["tries"][0]
at = datetime.datetime.fromisoformat(tried["at"].replace("Z", "+00:00")).timestamp() * 1000
print(round(at + tried["took_ms"] - float(sys.argv[1])))' "$posted")
echo "       wallet_address.not_found was with its receiver $took ms after it was posted"
[[ $took -lt 1500 ]] || { echo "FAIL   that is too late"; failed=1; }
[[ $failed -eq 0 ]]
