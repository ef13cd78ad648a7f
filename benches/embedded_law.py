"""Makes python/t2fast/data/pythia_gsm8k.json, the law that `t2fast plan` uses without data.

Run as `python benches/embedded_law.py COUNTS.csv` on the published table of Pythia's GSM8K counts. It prints
how the laws forecast the largest training runs from the smaller ones, and embeds the best of them, fitted to
all.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path

from t2fast import compare_forecasts, fit_accuracy, fit_counts, fit_loss, read_counts
from t2fast.text import frame_columns, plain

SPLIT = 6e20
SOURCE = (
    "Pythia on GSM8K, samples published with Schaeffer et al. 2025, 'How Do Large Language Monkeys Get"
    " Their Power (Laws)?'; checkpoints with N >= 1.6e8 and D >= 2e9"
)


def main(path: str) -> None:
    """Compares, fits and writes."""
    counts = read_counts(path).filter(min_params=1.6e8, min_tokens=2e9)
    # A checkpoint of exactly 1e20 = ND belongs to those to be forecast.
    seen, unseen = counts.filter(max_train_flops=SPLIT * (1 - 1e-9)), counts.filter(min_train_flops=SPLIT)
    table = compare_forecasts(seen, unseen)
    print(plain(frame_columns(table)))
    laws = table.filter(table["method"] != "nearest").sort("all")
    best, error = laws["method"][0], laws["all"][0]
    nearest = table.filter(table["method"] == "nearest")["all"][0]
    warnings.simplefilter("ignore")
    law = {"accuracy": fit_accuracy, "counts": fit_counts, "loss": fit_loss}[best](counts)
    assert law.fit is not None
    note = (
        f"fitted to the {len(seen.checkpoints)} checkpoints with ND < 1e20 it forecasts the"
        f" {len(unseen.checkpoints)} above with a median relative error of {error:.0%}"
        f" (nearest checkpoint: {nearest:.0%})"
    )
    law = replace(law, source=SOURCE, fit=replace(law.fit, notes=(*law.fit.notes, note)))
    target = Path(__file__).parent.parent / "python/t2fast/data/pythia_gsm8k.json"
    law.save(target)
    print(law)
    print(f"written to {target}")


if __name__ == "__main__":
    main(sys.argv[1])
