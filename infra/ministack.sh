#!/usr/bin/env bash
# Runs ministack, an emulator of AWS, on this machine only:
#
#   infra/ministack.sh start [port]   starts it (default port 4566, 0 takes a free one)
#   infra/ministack.sh create         makes the template's table and queues in it
#   infra/ministack.sh stop           ends it; what it held is gone
#
# `start` and `create` print export lines, so: eval "$(infra/ministack.sh start)"; eval "$(infra/ministack.sh create)".
# MINISTACK_AUTH=true makes it check each request against the policies of the role that sent it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# One folder for each emulator: its pid, its log, the keys that `create` made. PAYRELAY_MINISTACK names another one.
state=${PAYRELAY_MINISTACK:-${TMPDIR:-/tmp}/payrelay-ministack}

running() {
    [[ -f $state/pid ]] && kill -0 "$(cat "$state/pid")" 2>/dev/null
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

answers() {
    python3 - "$1" <<'PY' 2>/dev/null
import sys, urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/_ministack/ready", timeout=2)
PY
}

print_env() {
    echo "export AWS_ENDPOINT_URL=http://localhost:$(cat "$state/port")"
    echo 'export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1'
    echo 'export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test'
    # Otherwise a profile of the caller could win over the keys above.
    echo 'unset AWS_PROFILE AWS_SESSION_TOKEN'
}

start() {
    local port=${1:-4566}
    if running; then
        echo "ministack runs already, on port $(cat "$state/port")" >&2
        print_env
        return
    fi
    eval "$("$here/tools.sh" stack)"
    [[ $port != 0 ]] || port=$(free_port)
    rm -rf "$state"
    mkdir -p "$state/tmp"
    # The functions that it runs inherit its environment: a clean one, so that they see what the template gives them and
    # nothing of the caller's. It would listen on all addresses, for IoT and SFTP too, if it weren't told.
    env -i PATH="$PATH" HOME="$HOME" TMPDIR="$state/tmp" \
        BIND_HOST=127.0.0.1 MINISTACK_HOST=localhost GATEWAY_PORT="$port" AUTH="${MINISTACK_AUTH:-false}" \
        IOT_MTLS_ENABLED=0 SFTP_ENABLED=0 AWS_ENDPOINT_URL="http://localhost:$port" \
        AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
        setsid ministack > "$state/log" 2>&1 < /dev/null &
    echo $! > "$state/pid"
    echo "$port" > "$state/port"
    for _ in $(seq 120); do
        if answers "$port"; then
            echo "ministack runs on port $port, log in $state/log" >&2
            print_env
            return
        fi
        running || break
        sleep 0.5
    done
    echo "ministack did not start:" >&2
    tail -n 20 "$state/log" >&2
    stop
    return 1
}

create() {
    running || { echo "ministack does not run: infra/ministack.sh start" >&2; return 1; }
    eval "$("$here/tools.sh" stack)"
    eval "$(print_env)"
    # The keys stay the same as long as the emulator runs: another seal key could not open what is in the table.
    if [[ ! -f $state/keys ]]; then
        local operator
        operator=$(python3 -c 'import secrets; print("operator-" + secrets.token_hex(16))')
        {
            echo "export PAYRELAY_SEAL_KEYS=dev:$(python3 -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())')"
            echo "export PAYRELAY_OPERATOR_KEY=$operator"
            echo "export PAYRELAY_OPERATOR_KEY_SHA256=$(printf %s "$operator" | sha256sum | cut -d' ' -f1)"
        } > "$state/keys"
    fi
    PYTHONDONTWRITEBYTECODE=1 "$PAYRELAY_TOOLS/stack/bin/python" "$here/storage.py"
    cat "$state/keys"
    # Receivers of a developer are on this machine.
    echo 'export PAYRELAY_ALLOW_TARGETS=127.0.0.0/8 PAYRELAY_RETENTION_DAYS=30'
}

stop() {
    local pid
    [[ -f $state/pid ]] || return 0
    pid=$(cat "$state/pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    # setsid made it the leader of its own group, so the group is it and the functions that it runs, and nothing else.
    kill -9 -- "-$pid" 2>/dev/null || true
    rm -f "$state/pid"
}

case ${1:-} in
    start)  start "${2:-}" ;;
    create) create ;;
    stop)   stop ;;
    *)      echo "usage: infra/ministack.sh start [port] | create | stop" >&2; exit 2 ;;
esac
