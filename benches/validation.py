"""How far forecasts are off on published measurements: every method, many splits.

Run as `python benches/validation.py FOLDER` on a folder with

- `pythia_gsm8k_counts.csv`: GSM8K counts of Pythia checkpoints (Schaeffer et al. 2025, arXiv 2502.17578);
- `pythia_zero_shot.csv`: zero-shot accuracies of Pythia checkpoints (Biderman et al. 2023, arXiv 2304.01373);
- `overtrained_testbed_losses.csv`: losses and accuracies of overtrained models (Gadre et al. 2024, arXiv
  2403.08540);
- `chinchilla_figure4_losses.csv` (Hoffmann et al. 2022 as read off by Besiroglu et al. 2024, arXiv
  2404.10102), `porian_refinedweb_losses.csv` (Porian et al. 2024, arXiv 2406.19146) and `farseer_losses.csv`
  (Li et al. 2025, arXiv 2506.10972).

It prints a row a set, direction and method: mean and median over all splits of the median relative error of
the held-out checkpoints; how many of them the 90% intervals held, and their width (upper over lower end); and
in which share of the splits the method was worse than the nearest checkpoint.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from t2fast import read_accuracies, read_counts, read_losses, validate
from t2fast.text import percent
from t2fast.validation.methods import NEAREST

CHANCE = {"lambada_openai": 0.0, "arc_easy": 0.25, "openbook_qa": 0.25, "hellaswag": 0.25, "sciq": 0.25}
CHANCE |= {"piqa": 0.5, "copa": 0.5}


def sets(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """Name -> tables whose splits are pooled."""
    counts = read_counts(folder / "pythia_gsm8k_counts.csv").filter(min_params=1.6e8, min_tokens=2e9)
    yield "Pythia, GSM8K pass@k", [counts]
    zero_shot = pl.read_csv(folder / "pythia_zero_shot.csv")
    tasks = zero_shot["task"].unique().sort().to_list()
    yield (
        "Pythia, zero-shot accuracy",
        [read_accuracies(zero_shot, task=task, chance=CHANCE[task]) for task in tasks],
    )
    gadre = pl.read_csv(folder / "overtrained_testbed_losses.csv").partition_by(
        "train_set", maintain_order=True
    )
    accuracies = [
        read_accuracies(part, columns={"accuracy": task}, chance=chance)
        for part in gadre
        for task, chance in CHANCE.items()
        if task in part.columns
    ]
    yield "Gadre, accuracy", accuracies
    yield "Gadre, loss", [read_losses(part) for part in gadre]
    for name in ("chinchilla_figure4", "porian_refinedweb", "farseer"):
        frame = pl.read_csv(folder / f"{name}_losses.csv").sort("loss")
        # Besiroglu et al. leave out the five highest losses, which are no converged runs.
        frame = frame.head(len(frame) - 5) if name == "chinchilla_figure4" else frame
        yield f"{name.split('_')[0].capitalize()}, loss", [read_losses(frame)]


def rows(name: str, by: str, splits: pl.DataFrame) -> Iterator[str]:
    """Rows of the table, the splits of all tables of a set pooled."""
    for part in splits.partition_by("method", maintain_order=True):
        judged = part.filter(pl.col("error").is_not_null())
        method, width = part["method"][0], judged["width"].median()
        refused = len(part) - len(judged)
        worse = judged.select((pl.col("error") > pl.col("nearest")).mean()).item()
        cells = [
            f"{name} ({len(part)} splits)" if method == splits["method"][0] else "",
            {"compute": "6ND", "ratio": "D/N"}[by],
            method + (f" (refused {refused})" if refused else ""),
            *(_percent(value) for value in (judged["error"].mean(), judged["error"].median())),
            _percent(judged["coverage"].mean()),
            "-" if width is None else f"{width:.3g}",
            "" if method == NEAREST else _percent(worse),
        ]
        yield f"| {' | '.join(cells)} |"


def _percent(value: Any) -> str:
    return "-" if value is None else percent(value)


def main() -> None:
    """Validate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=int, default=20, help="of each table and direction (default: 20)")
    parser.add_argument("--draws", type=int, default=100, help="behind the intervals (default: 100)")
    parser.add_argument("--only", default="", help="sets whose name holds this")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| measured | by | method | mean error | median | in 90% intervals | width | worse than nearest |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, tables in sets(arguments.folder):
        if arguments.only not in name:
            continue
        for by in ("compute", "ratio"):
            start = time.perf_counter()
            found = [
                validate(
                    table,
                    by=by,
                    splits=arguments.splits,
                    draws=arguments.draws,
                    all_intervals=True,
                    progress=False,
                )
                for table in tables
            ]
            for row in rows(name, by, pl.concat([one.splits for one in found])):
                print(row, flush=True)
            print(f"{name} by {by}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
