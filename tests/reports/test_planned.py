"""What a law advises, as a report shows it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import t2fast
from t2fast.charts import Figure
from t2fast.compute import train_flops
from t2fast.reports.planned import budgets_of, planned
from t2fast.tables.counts import joined_counts


def test_curves_of_a_profile_end_where_the_law_knows_no_more_tokens() -> None:
    """Smaller models leave budget unspent there, and the curves of all greater budgets would be one."""
    law = t2fast.default_law()
    (section,) = planned(law, budgets_of(law, None), [], 0.9)
    figures = [block for block in section.blocks if isinstance(block, Figure)]
    frame = next(figure.frame for figure in figures if figure.name == "isoflop")
    curves = frame.filter(~frame["best"])
    used = train_flops(curves["n_params"], curves["n_tokens"])
    assert ((used / curves["train_flops"] - 1).abs() < 1e-6).all()
    assert frame.filter("best").height == frame["train_flops"].n_unique()
    # The wall is there: the greatest budget buys the smallest models no more tokens than the law reaches.
    spent = curves.group_by("train_flops").len().sort("train_flops")["len"].to_list()
    assert spent[-1] < spent[0]


def test_the_title_of_several_files_names_each(tmp_path: Path) -> None:
    rows = {"problem": ["a", "b"], "n_samples": [4, 4], "n_correct": [1, 2]}
    for name in ("one", "two"):
        pl.DataFrame({"model": [name] * 2, **rows}).write_csv(tmp_path / f"{name}.csv")
    both = joined_counts([t2fast.read_counts(tmp_path / f"{name}.csv") for name in ("one", "two")])
    assert t2fast.report(both).title == "one.csv and two.csv"
    sides = {name: t2fast.read_counts(tmp_path / f"{name}.csv") for name in ("one", "two")}
    assert t2fast.compare(sides).report().title == "one beside two"
