"""Everything that only a GPU can say about the kernels, in one command of some minutes.

    python -m benches.gpu_check.pack                   # here: what has to travel, and the command for there
    python -m benches.gpu_check --out OUT              # there: every stage, most telling first
    python -m benches.gpu_check --out OUT --stages tune
    python -m benches.gpu_check --rehearse --out OUT   # the logic of all stages, on a CPU, in small

Stages run in processes of their own: a CUDA error ends one, not all. Each result is one JSON line in
OUT/results.jsonl, written at once; a second run with the same OUT skips what is there. OUT/log.txt has what
the stages print, and the last lines of the output are a summary. `kernels/README.md` says how to read it.
"""
