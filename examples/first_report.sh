#!/usr/bin/env bash
# A newcomer's first ten minutes, timed: from a clone to a page of results and one to explore, in a folder of its own.
# Needs git, Python 3.10 or later and a Rust toolchain.
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
step t2fast simulate --problems 128 --samples 256 --seed 0 -o counts.csv
step t2fast passk counts.csv -k 1,8,64 --min-params 1e10 --min-tokens 5e10
step t2fast fit counts.csv -o law.json
step t2fast plan --law law.json --train-flops 2.56e19 --inference-flops 2e9
step t2fast report counts.csv --law law.json --train-flops 2.56e19 --inference-flops 2e9 -o report.html
step t2fast explore law.json -o explorer.html
ls -l "$folder"/*.html
