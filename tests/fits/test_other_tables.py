"""What a function is not made for is refused by its name, not by an AttributeError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import t2fast
from t2fast.fits.passtable import PassTable

COUNTS = t2fast.simulate_counts(t2fast.default_law(), [1e8, 2e8], [1e9, 2e9], problems=4, samples=4)
LOSSES = t2fast.read_losses({"n_params": [1e8], "n_tokens": [1e9], "loss": [3.0]})
TABLES = {
    "Counts": COUNTS,
    "Likelihoods": t2fast.read_likelihoods(
        {"problem": [1], "p": [0.5], "n_params": [1e8], "n_tokens": [1e9]}
    ),
    "Losses": LOSSES,
    "PassTable": PassTable.of(COUNTS),
    "DataFrame": pl.DataFrame({"n_params": [1e8]}),
    "dict": {},
}
PASSES = ("Counts", "Likelihoods", "PassTable")
TAKES: dict[str, tuple[Callable[[Any], object], tuple[str, ...]]] = {
    "fit_forecast": (t2fast.fit_forecast, ("Counts", "Likelihoods", "Losses")),
    "fit_counts": (t2fast.fit_counts, ("Counts",)),
    "fit_chinchilla": (t2fast.fit_chinchilla, ("Losses",)),
    "fit_loss": (t2fast.fit_loss, PASSES),
    "fit_accuracy": (t2fast.fit_accuracy, PASSES),
    "fit_direct": (t2fast.fit_direct, PASSES),
    "losses": (lambda table: t2fast.fit_accuracy(COUNTS, table), ("Losses",)),
    "validate": (t2fast.validate, ("Counts", "Likelihoods", "Losses")),
    "compare": (lambda table: t2fast.compare({"a": COUNTS, "b": table}), ("Counts",)),
    "choose": (lambda table: t2fast.choose(table, table), ()),
    "report": (t2fast.report, ("Counts", "Likelihoods", "Losses")),
    "estimate": (lambda table: t2fast.estimate(table, k=1), ("Counts", "Likelihoods")),
}


@pytest.mark.parametrize("name", TAKES)
def test_a_table_of_another_kind_is_refused_in_words(name: str) -> None:
    take, kinds = TAKES[name]
    for kind, table in TABLES.items():
        if kind not in kinds:
            with pytest.raises(TypeError, match=r"takes .*, not an? |report is made of|or arrays n, c and k"):
                take(table)


@pytest.mark.parametrize(
    "fit", [t2fast.fit_accuracy, t2fast.fit_counts, t2fast.fit_loss, t2fast.fit_forecast]
)
def test_a_law_says_which_column_may_tell_its_checkpoints_apart(fit: Callable[..., Any]) -> None:
    counts = t2fast.simulate_counts(
        t2fast.default_law(), [1e9, 2e9, 4e9], [1e11, 2e11, 4e11], problems=32, samples=32
    )
    names = pl.concat_str(pl.col("n_params"), pl.col("n_tokens"))
    both = [
        counts.frame.with_columns((names + recipe).alias("model"), recipe=pl.lit(recipe)) for recipe in "ab"
    ]
    with pytest.warns(t2fast.FitWarning, match="18 checkpoints have 9 pairs of N and D.*'recipe'"):
        law = fit(t2fast.read_counts(pl.concat(both)), draws=0)
    assert any("'recipe'" in note for note in law.fit.notes)
    assert any("'recipe'" in caution for caution in law.cautions)
