#!/usr/bin/env bash
# Changes the code of `shared`, one small defect after the other, and sees whether the unit tests of the module notice:
#
#   infra/mutants.sh                      # customer, delivery, queue, recovery and signature
#   infra/mutants.sh delivery queue       # some of them
#
# It works on a copy of the tree and can be stopped at any time: what was found is kept in target/mutants and not tried
# again. Delete that folder to begin anew. At the end it prints a line for each module, and names what was missed, which
# fails. The laws are tried with the same numbers in every run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=27.1.0
modules=("$@")
[[ $# -gt 0 ]] || modules=(customer delivery queue recovery signature)

tools=${PAYRELAY_TOOLS:-${HOME}/.cache/payrelay-tools}/mutants
place=${CARGO_TARGET_DIR:-$root/target}/mutants
mkdir -p "$tools" "$place"
exec 9> "$place/.lock"
flock --nonblock 9 || { echo "infra/mutants.sh: another run works in $place" >&2; exit 2; }

if [[ $("$tools/bin/cargo-mutants" mutants --version 2>/dev/null) != "cargo-mutants $version" ]]; then
    CARGO_TARGET_DIR=$place/tool cargo install --quiet --locked --root "$tools" --version "$version" cargo-mutants
    rm -rf "$place/tool"
fi

# Every file is new to cargo, so that it never takes a build of a defect for one of the copy.
rm -rf "$place/tree"
mkdir "$place/tree"
tar -C "$root" --exclude ./.git --exclude ./target -c . | tar -C "$place/tree" -xm

export CARGO_TARGET_DIR=$place/build CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_DEBUG=0
export PROPTEST_CASES=64 PROPTEST_RNG_SEED=1 PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1
# A defect that allocates for ever fails, and takes nobody else's memory.
ulimit -v 12000000

mutants() {
    (cd "$place/tree" && "$tools/bin/cargo-mutants" mutants --package shared --file "shared/src/$1/**" "${@:2}")
}
# Adds what the last run found to what was found before.
keep() {
    local kind
    for kind in caught unviable timeout; do
        touch "$1/$kind"
        [[ ! -f $1/mutants.out/$kind.txt ]] || sort -u -o "$1/$kind" "$1/$kind" "$1/mutants.out/$kind.txt"
    done
}
# How many of the mutants that there are now are in a list.
count() {
    comm -12 "$1/all" "$1/$2" | wc -l
}

export LC_ALL=C
status=0
for module in "${modules[@]}"; do
    out=$place/$module
    mkdir -p "$out"
    keep "$out"
    mutants "$module" --list | sort > "$out/all"
    code=0
    mutants "$module" --in-place --iterate --no-times --colors never --output "$out" -- "$module::" || code=$?
    # 2 says that some were missed, 3 that some hung; anything else is no result.
    [[ $code -eq 0 || $code -eq 2 || $code -eq 3 ]] || exit "$code"
    keep "$out"
done

printf '\n%-12s%10s%10s%10s%10s%10s\n' module mutants caught unviable hung missed
for module in "${modules[@]}"; do
    out=$place/$module
    sort -u "$out/caught" "$out/unviable" "$out/timeout" | comm -23 "$out/all" - > "$out/missed"
    missed=$(wc -l < "$out/missed")
    [[ $missed -eq 0 ]] || status=1
    printf '%-12s%10d%10d%10d%10d%10d\n' "$module" "$(wc -l < "$out/all")" "$(count "$out" caught)" \
        "$(count "$out" unviable)" "$(count "$out" timeout)" "$missed"
done
for module in "${modules[@]}"; do
    sed 's/^/missed: /' "$place/$module/missed"
done
exit $status
