"""Single samples into counts: rows a second and peak memory, beside pandas and pyarrow on the same file.

    python benches/tables.py [--rows 1e8] [--peer-rows 1e7] [--problems 10000] [--order random|sorted]

Writes Parquet files of one row a sample (100 checkpoints, text model names, problem ids as text and as
integers) to a temporary folder, and reads each in a process of its own, so that peak memory (ru_maxrss) is
that reader's alone. The peers hold the whole file in memory and so get `--peer-rows`. Ratios are printed only
after all answers agree.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KEYS = ["model", "n_params", "n_tokens", "problem"]
CHECKPOINTS = 100
CHUNK = 1_000_000
PEERS = ["t2fast", "pandas", "pyarrow"]


def write_samples(path: Path, rows: int, problems: int, *, text: bool, order: str = "random") -> None:
    """Write `rows` samples by chunks, in random order or one checkpoint and problem after another."""
    rng = np.random.default_rng(7)
    models = pa.array([f"org/model-{i:03d}-checkpoint" for i in range(CHECKPOINTS)])
    ids = pa.array([f"HumanEval/{i:08d}-a-rather-long-problem-id" for i in range(problems)])
    n_params = np.repeat(np.geomspace(1e7, 1e10, 10).round(), 10)
    n_tokens = np.tile(np.geomspace(1e9, 3e11, 10).round(), 10)
    writer = None
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        if order == "random":
            cell = rng.integers(0, CHECKPOINTS * problems, count)
        else:
            cell = np.arange(start, start + count) * (CHECKPOINTS * problems) // rows
        checkpoint, problem = np.divmod(cell, problems)
        table = pa.table(
            {
                "model": models.take(pa.array(checkpoint)),
                "n_params": n_params[checkpoint],
                "n_tokens": n_tokens[checkpoint],
                "problem": ids.take(pa.array(problem)) if text else problem,
                "correct": rng.random(count) < 0.3,
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def count(peer: str, path: str) -> tuple[int, int, int, int]:
    """Counts of the file by one peer: groups, samples, correct, and a checksum over (n, c) of all groups."""
    if peer == "t2fast":
        from t2fast.tables import read_counts

        counts = read_counts(path)
        n, c = counts.n, counts.c
    elif peer == "pandas":
        import pandas as pd

        grouped = pd.read_parquet(path).groupby(KEYS, sort=False)["correct"].agg(["size", "sum"])
        n, c = grouped["size"].to_numpy(), grouped["sum"].to_numpy()
    else:
        grouped = pq.read_table(path).group_by(KEYS).aggregate([("correct", "count"), ("correct", "sum")])
        n, c = grouped["correct_count"].to_numpy(), grouped["correct_sum"].to_numpy().astype(np.int64)
    checksum = int(np.sum(n.astype(np.int64) ** 2 * 31 + n * c * 17 + c.astype(np.int64) ** 2))
    return len(n), int(n.sum()), int(c.sum()), checksum


def measured(peer: str, path: Path) -> dict[str, Any]:
    """`count` in a process of its own, with its wall and processor seconds and its peak memory in GiB."""
    command = [sys.executable, __file__, "--peer", peer, "--file", str(path)]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def measure(peer: str, path: str) -> dict[str, Any]:
    """What `measured` prints from inside the process."""
    start = time.perf_counter()
    answer = count(peer, path)
    wall = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = usage.ru_maxrss * unit / 2**30
    return {"answer": answer, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": peak}


def compare(label: str, path: Path, rows: int, peers: list[str]) -> None:
    """Print one line a peer. Stops if two answers differ."""
    results = {peer: measured(peer, path) for peer in peers}
    answers = {tuple(result["answer"]) for result in results.values()}
    if len(answers) != 1:
        raise SystemExit(f"{label}: the answers differ: {results}")
    base = results["t2fast"]
    for peer, result in results.items():
        wall, cpu, groups = result["wall"], result["cpu"], result["answer"][0]
        print(
            f"{label:20} {peer:8}{rows:>12,} rows{groups:>10,} groups{wall:7.1f} s wall{cpu:7.1f} s cpu"
            f"{rows / wall / 1e6:7.2f} M rows/s{result['peak']:6.2f} GiB peak"
            f"{wall / base['wall']:6.2f} x our wall{cpu / base['cpu']:6.2f} x our cpu",
            flush=True,
        )


def main() -> None:
    """Write the files, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=1e8)
    parser.add_argument("--peer-rows", type=float, default=1e7)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--order", choices=["random", "sorted"], default="random")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        print(json.dumps(measure(arguments.peer, arguments.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for text in (True, False):
            label = f"{'text' if text else 'integer'} ids, {arguments.order}"
            for rows, peers in ((int(arguments.peer_rows), PEERS), (int(arguments.rows), ["t2fast"])):
                path = Path(folder) / "samples.parquet"
                write_samples(path, rows, arguments.problems, text=text, order=arguments.order)
                compare(label, path, rows, peers)


if __name__ == "__main__":
    main()
