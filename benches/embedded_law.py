"""Makes the laws and tables that ship with the package.

    python benches/embedded_law.py pythia COUNTS.csv
    python benches/embedded_law.py testbed [FOLDER]

The first makes `pythia-gsm8k`, the law that `t2fast plan` uses without data, of the published table of
Pythia's GSM8K counts: it prints how the laws forecast the largest training runs from the smaller ones, and
embeds the best of them, fitted to all. The second puts the tables of a testbed (`t2fast testbed full -o bed`,
then `t2fast testbed pack -o bed --to FOLDER`) into the package, and makes a law of each of its tasks,
`testbed-TASK`: the accuracy law of the likelihoods of all but the dearest checkpoints, fitted in two
stages as in the paper. Without FOLDER it makes the laws of the tables that are there. `python
tests/test_docs.py` then writes anew what the pages of documentation show of them.
"""

from __future__ import annotations

import argparse
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from t2fast import compare_forecasts, data, fit_accuracy, fit_counts, fit_loss, read_counts
from t2fast.fits.passtable import PassTable
from t2fast.laws import Law
from t2fast.tables import Likelihoods
from t2fast.text import frame_columns, plain

DATA = Path(__file__).parent.parent / "python/t2fast/data"
SPLIT = 6e20
SOURCE = (
    "Pythia on GSM8K, samples published with Schaeffer et al. 2025, 'How Do Large Language Monkeys Get"
    " Their Power (Laws)?'; checkpoints with N >= 1.6e8 and D >= 2e9"
)
DEAREST = 6.6e11
"""FLOPs of the dearest checkpoints that a testbed's laws are fitted to; they are held against those above,
up to sixteen times as dear. No accuracy law follows all: fitted to all it names 1.6 tokens a parameter as
Chinchilla's for 1e11 FLOPs in arithmetic, where sizes measured there lose least at 19 to 39.
"""


def pythia(path: Path) -> None:
    """The law of the published counts."""
    counts = read_counts(path).filter(min_params=1.6e8, min_tokens=2e9)
    # A checkpoint of exactly 1e20 = ND belongs to those to be forecast.
    seen, unseen = counts.filter(max_train_flops=SPLIT * (1 - 1e-9)), counts.filter(min_train_flops=SPLIT)
    table = compare_forecasts(seen, unseen)
    print(plain(frame_columns(table)))
    laws = table.filter(table["method"] != "nearest").sort("all")
    best, error = laws["method"][0], laws["all"][0]
    nearest = table.filter(table["method"] == "nearest")["all"][0]
    law = {"accuracy": fit_accuracy, "counts": fit_counts, "loss": fit_loss}[best](counts)
    note = (
        f"fitted to the {len(seen.checkpoints)} checkpoints with ND < 1e20 it forecasts the"
        f" {len(unseen.checkpoints)} above with a median relative error of {error:.0%}"
        f" (nearest checkpoint: {nearest:.0%})"
    )
    keep(law, "pythia-gsm8k", SOURCE, note)


def testbed(folder: Path | None) -> None:
    """The tables of a testbed, and a law of each of its tasks."""
    if folder is not None:
        for path in data.testbed(folder).write(DATA / "testbed"):
            print(f"written to {path}: {path.stat().st_size:,} bytes")
    for old in (DATA / "laws").glob("testbed-*.json"):
        old.unlink()
    likelihoods = data.testbed().likelihoods
    for task in likelihoods.frame["task"].unique(maintain_order=True):
        own = likelihoods.filter(task=task)
        name = "testbed-" + re.sub("[^a-z0-9]+", "-", task.partition(":")[0].rpartition("/")[2].lower())
        seen = len(own.filter(max_train_flops=DEAREST).checkpoints)
        source = f"t2fast's own testbed, likelihoods of {seen} checkpoints on {task}"
        law = fit_accuracy(own.filter(max_train_flops=DEAREST))
        keep(law, name, source, forecast(law, own))


def forecast(law: Law, table: Likelihoods) -> str:
    """How far off a law of the cheaper checkpoints is at the dearer ones."""
    seen, ahead = table.filter(max_train_flops=DEAREST), table.filter(min_train_flops=DEAREST)
    measured, near = (PassTable.of(one, (1, 8, 64)) for one in (ahead, seen))
    truth, most = measured.mean(), 6 * float((measured.n_params * measured.n_tokens).max())
    found = law.predict(measured.n_params[:, None], measured.n_tokens[:, None], measured.ks)
    apart = [
        np.log(there)[:, None] - np.log(here)
        for there, here in ((measured.n_params, near.n_params), (measured.n_tokens, near.n_tokens))
    ]
    by_nearest = near.mean()[np.hypot(*apart).argmin(axis=1)]
    off, humble = (float(np.median(np.abs(values / truth - 1))) for values in (found, by_nearest))
    return (
        f"it forecasts the {measured.checkpoints} dearer checkpoints, up to {most / DEAREST:.0f} times as"
        f" dear, with a median relative error of {off:.0%}"
        f" (nearest checkpoint: {humble:.0%})"
    )


def keep(law: Law, name: str, source: str, note: str) -> None:
    """Write a law into the package, with where it is from and how it forecasts."""
    assert law.fit is not None
    law = replace(law, source=source, fit=replace(law.fit, notes=(*law.fit.notes, note)))
    path = DATA / "laws" / f"{name}.json"
    law.save(path)
    print(law)
    print(f"written to {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_subparsers(dest="which", required=True)
    which.add_parser("pythia").add_argument("path", type=Path)
    which.add_parser("testbed").add_argument("path", type=Path, nargs="?")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    {"pythia": pythia, "testbed": testbed}[arguments.which](arguments.path)


if __name__ == "__main__":
    main()
