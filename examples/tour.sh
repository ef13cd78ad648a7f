#!/bin/sh
# The README's tour: draw counts from a law, estimate pass@k, fit a law to them, plan with it.
set -eu

t2fast simulate --problems 128 --samples 256 --seed 0 -o counts.csv
t2fast passk counts.csv -k 1,8,64 --min-params 1e10 --min-tokens 5e10
t2fast fit counts.csv -o law.json
t2fast plan --law law.json --train-flops 2.56e19 --inference-flops 2e9
