#!/usr/bin/env bash
# Holds the Node and the Python of shared/docs/receivers.md to deliveries as our sender signs them. `cargo test` holds the
# Rust to the same list, keeps the list what the sender makes, and keeps the guide's text what is run here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
eval "$("$here/tools.sh" snippets)"
export PYTHONDONTWRITEBYTECODE=1

vectors=$root/tests/golden/signatures/vectors.json
examples=$root/functions/receiver/examples
python3 "$here/snippets_test.py" "$vectors" "$examples/verify.py"
node "$here/snippets_test.mjs" "$vectors" "$examples/verify.mjs"
