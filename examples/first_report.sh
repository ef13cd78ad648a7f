#!/usr/bin/env bash
# A newcomer's first ten minutes, timed: a clone, the installation, the README's plan, every command of the tutorial in its
# order, and a page to explore, in a folder of its own. Needs git, Python 3.10 or later and a Rust toolchain.
#
#   examples/first_report.sh [REPOSITORY [FOLDER]]
set -euo pipefail
repository=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
folder=${2:-$(mktemp -d)}
began=$SECONDS

step() {
    local start=$SECONDS
    echo "\$ $*"
    "$@"
    printf '  %d s, %d s since the clone began\n\n' $((SECONDS - start)) $((SECONDS - began))
}

mkdir -p "$folder" && cd "$folder"
step git clone --quiet "$repository" t2fast
step "${PYTHON:-python3}" -m venv venv
step venv/bin/python -m pip install --quiet './t2fast[report]'
PATH=$PWD/venv/bin:$PATH
step t2fast plan --train-flops 2.56e19 --inference-flops 2e9
while read -ra words <&3; do
    step "${words[@]}"
done 3< <(sed -n 's/^\$ //p' t2fast/docs/tutorial.md)
step t2fast explore law.json -o explorer.html
ls -l "$folder"/*.html
