#!/usr/bin/env bash
# Runs the contract tests of the queue and the store against ministack, which speaks the real protocols.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/payrelay-contract.XXXXXX")
export PAYRELAY_MINISTACK=$work/ministack
trap '"$here/ministack.sh" stop || true; rm -rf "$work"' EXIT

started=$("$here/ministack.sh" start 0)
eval "$started"
export PAYRELAY_CONTRACT_ENDPOINT=$AWS_ENDPOINT_URL

# The whole workspace is chosen, so that its crates have the features that `cargo test` gave them, and are compiled already.
cargo test --locked --features tests/ministack --test contract --test store
