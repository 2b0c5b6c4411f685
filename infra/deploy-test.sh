#!/usr/bin/env bash
# Deploys the template with real x86-64 binaries onto ministack, and checks it from outside: deploy_test.py has the checks.
#
#   infra/deploy-test.sh [folder]     a folder with <function>/bootstrap skips the build
#
# The emulator checks each request of a function against the policies of its role, so the template's statements are tested
# too. What it can't do is left out of a copy of the template by package.py, which names each.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
functions=(ingest publish decide anchor recover fanout deliver sweep console)
eval "$("$here/tools.sh" stack template)"
export SAM_CLI_TELEMETRY=0 PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d "${TMPDIR:-/tmp}/payrelay-deploy.XXXXXX")
export PAYRELAY_MINISTACK=$work/ministack
cleanup() {
    local status=$?
    "$here/ministack.sh" stop || true
    [[ $status -eq 0 ]] || cp "$PAYRELAY_MINISTACK/log" "${TMPDIR:-/tmp}/payrelay-deploy-test.log" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# Built as a user builds, with `sam build`, but lightly optimised: it always takes the release profile, whose link-time
# optimisation costs minutes for each function.
if [[ $# -eq 0 ]]; then
    eval "$("$here/tools.sh" build)"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        sam build --template-file "$here/template.yaml" --build-dir "$work/built" --region us-east-1 \
        --parameter-overrides Architecture=x86_64
    for function in "${functions[@]}"; do
        install -D "$work/built/${function^}Function/bootstrap" "$work/$function/bootstrap"
    done
else
    for function in "${functions[@]}"; do
        install -D "$1/$function/bootstrap" "$work/$function/bootstrap"
    done
fi

# Lambda's Amazon Linux 2023 has glibc 2.34. A binary built on a newer system may start here and not there.
for function in "${functions[@]}"; do
    needs=$(objdump -T "$work/$function/bootstrap" | grep -o 'GLIBC_2[.0-9]*' | sort -Vu | tail -n 1)
    if [[ $(printf '%s\n' "$needs" GLIBC_2.34 | sort -V | tail -n 1) != GLIBC_2.34 ]]; then
        echo "$function needs $needs, provided.al2023 has GLIBC_2.34: build with cargo lambda, which links for an older one" >&2
        exit 1
    fi
    echo "$function needs $needs"
done

python=$PAYRELAY_TOOLS/stack/bin/python
"$python" "$here/package.py" "$work"

started=$(MINISTACK_AUTH=true "$here/ministack.sh" start 0)
eval "$started"
operator_key=operator-$(python3 -c 'import secrets; print(secrets.token_hex(16))')

deploy() {
    local log=$work/deploy.log
    if ! sam deploy --template-file "$work/template.json" --stack-name payrelay --resolve-s3 --region us-east-1 \
        --capabilities CAPABILITY_IAM --no-confirm-changeset --no-progressbar --parameter-overrides \
        "FrontDoor=$1" Architecture=x86_64 DeletionProtection=false AllowTargets=127.0.0.0/8 \
        "SealKeys=test:$(printf 'deploy test: the key that seals.' | base64)" \
        "OperatorKeySha256=$(printf %s "$operator_key" | sha256sum | cut -d' ' -f1)" > "$log" 2>&1 < /dev/null; then
        tail -n 60 "$log"
        return 1
    fi
    grep -a 'Successfully' "$log"
}

echo "--- behind an HTTP API"
deploy http-api
"$python" "$here/deploy_test.py" payrelay "$operator_key" 1
echo "--- behind function URLs"
deploy function-url
"$python" "$here/deploy_test.py" payrelay "$operator_key" 2
