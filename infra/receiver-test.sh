#!/usr/bin/env bash
# Deploys receiver.yaml with a real x86-64 binary onto ministack, and checks it from outside: receiver_test.py has the checks.
#
#   infra/receiver-test.sh [binary]     a binary skips the build
#
# As in deploy-test.sh the emulator checks each request of a function against its role, and package.py names what it can't do.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
eval "$("$here/tools.sh" stack template)"
export SAM_CLI_TELEMETRY=0 PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d "${TMPDIR:-/tmp}/payrelay-receiver.XXXXXX")
export PAYRELAY_MINISTACK=$work/ministack
cleanup() {
    local status=$?
    "$here/ministack.sh" stop || true
    [[ $status -eq 0 ]] || cp "$PAYRELAY_MINISTACK/log" "${TMPDIR:-/tmp}/payrelay-receiver-test.log" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# No -p: the choice of packages decides the features of their crates, and .ci/run has built these already.
if [[ $# -eq 0 ]]; then
    (cd "$root" && cargo build --profile quick --locked --bins)
    set -- "${CARGO_TARGET_DIR:-$root/target}/quick/receiver"
fi
install -D "$1" "$work/receiver/bootstrap"

python=$PAYRELAY_TOOLS/stack/bin/python
"$python" "$here/package.py" "$work" receiver.yaml

started=$(MINISTACK_AUTH=true "$here/ministack.sh" start 0)
eval "$started"
secret=receiver-test-$(python3 -c 'import secrets; print(secrets.token_hex(16))')
log=$work/deploy.log
if ! sam deploy --template-file "$work/template.json" --stack-name ase --resolve-s3 --region us-east-1 \
    --capabilities CAPABILITY_IAM --no-confirm-changeset --no-progressbar --parameter-overrides \
    Architecture=x86_64 "RafikiSecrets=$secret" > "$log" 2>&1 < /dev/null; then
    tail -n 60 "$log"
    exit 1
fi
grep -a 'Successfully' "$log"
"$python" "$here/receiver_test.py" ase "$secret"
