#!/usr/bin/env bash
# Looks for input that breaks a law of `fuzz/laws`, each target for so many seconds, beginning with its corpus:
#
#   infra/fuzz.sh 5                       # every target for 5 s
#   infra/fuzz.sh 600 events platforms    # these for 10 minutes each, optimised
#
# What breaks one is kept in `fuzz/artifacts`: put it into `fuzz/corpus` once it is mended, and the tests look at it ever after.
# What is new and breaks nothing is thrown away, unless PAYRELAY_FUZZ_CORPUS names a folder to keep it in.
#
# Needs a C++ compiler and the Rust that builds the rest. Nothing is sanitized: no code of ours is unsafe. With
# PAYRELAY_FUZZ_SANITIZER=address and RUSTC_BOOTSTRAP=1 (or a nightly toolchain), the libraries' unsafe code is watched too.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
path=$(infra/tools.sh fuzz)
eval "$path"

seconds=${1:?say for how many seconds each target is to run}
shift
targets=("$@")
[[ $# -gt 0 ]] || mapfile -t targets < <(cargo fuzz list)

kept=${PAYRELAY_FUZZ_CORPUS:-}
new=$(mktemp --directory)
trap 'rm -rf "$new"' EXIT
profile=(--dev)
[[ $seconds -lt 60 ]] || profile=(--release --debug-assertions)
build=("${profile[@]}" --sanitizer "${PAYRELAY_FUZZ_SANITIZER:-none}")
build+=(--target-dir "${CARGO_TARGET_DIR:-$PWD/target}/fuzz")

cargo fuzz build "${build[@]}"
for target in "${targets[@]}"; do
    found=${kept:-$new}/$target
    mkdir -p "$found"
    # The limits of a function: what takes longer, or more, would take the door down.
    cargo fuzz run "${build[@]}" "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=512 -max_len=8192 -print_final_stats=1 2> "$new/log" || {
        tail -n 60 "$new/log" >&2
        exit 1
    }
    printf '%-12s %s\n' "$target" "$(grep --only-matching 'executed_units: *[0-9]*' "$new/log")"
done
