#!/usr/bin/env bash
# Runs each function alone under `cargo lambda watch` and `cargo lambda invoke`, against ministack: lambda_test.py has the
# checks.
#
#   infra/lambda-test.sh [folder]     keeps the events that it invokes with in the folder
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
eval "$("$here/tools.sh" build stack)"
export PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d "${TMPDIR:-/tmp}/payrelay-lambda.XXXXXX")
export PAYRELAY_MINISTACK=$work/ministack
watch=
cleanup() {
    local status=$?
    if [[ -n $watch ]]; then
        # It leads a group of its own: it and the functions that it runs.
        kill -- "-$watch" 2>/dev/null || true
        for _ in $(seq 50); do
            kill -0 -- "-$watch" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 -- "-$watch" 2>/dev/null || true
    fi
    [[ $status -eq 0 ]] || tail -n 40 "$work/watch.log" 2>/dev/null || true
    "$here/ministack.sh" stop || true
    rm -rf "$work"
}
trap cleanup EXIT

events=${1:-$work/events}
mkdir -p "$events"

started=$("$here/ministack.sh" start 0)
eval "$started"
created=$("$here/ministack.sh" create)
eval "$created"

# Built beforehand, so that the first call of a function starts it and doesn't wait for the compiler. Like this `cargo run`,
# which is what cargo lambda does, no -p: the choice of packages decides the features of their crates.
cargo build --profile quick --locked --bins

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Its log lies outside of the workspace, where it would count as a change.
setsid cargo lambda watch --invoke-address 127.0.0.1 --invoke-port "$port" --ignore-changes --profile quick \
    > "$work/watch.log" 2>&1 < /dev/null &
watch=$!
for _ in $(seq 120); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 "$watch" 2>/dev/null || exit 1
    sleep 0.5
done

"$PAYRELAY_TOOLS/stack/bin/python" "$here/lambda_test.py" "$port" "$events"
