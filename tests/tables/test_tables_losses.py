"""Tables of losses and of likelihoods."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from counts_table import refused
from polars.testing import assert_frame_equal
from t2fast.tables import read_likelihoods, read_losses

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no measurements at {DATA}")


@needs_data
def test_loss_tables() -> None:
    chinchilla = read_losses(DATA / "chinchilla_figure4_losses.csv")
    raw = list(csv.DictReader((DATA / "chinchilla_figure4_losses.csv").open()))
    assert chinchilla.loss.tolist() == [float(row["loss"]) for row in raw]
    assert chinchilla.n_params.tolist() == [float(row["n_params"]) for row in raw]
    assert chinchilla.ignored_columns == ("train_flops",)
    assert chinchilla.weight.tolist() == [1.0] * 245
    porian = read_losses(DATA / "porian_refinedweb_losses.csv")
    assert (len(porian), porian.has_sizes) == (88, True)
    overtrained = read_losses(
        DATA / "overtrained_testbed_losses.csv", columns={"loss": "hellaswag", "weight": "piqa"}
    )
    assert len(overtrained) == 104
    assert (overtrained.frame.columns, overtrained.loss[0], overtrained.weight[0]) == (
        ["n_params", "n_tokens", "train_set", "loss", "weight"],
        0.24367656,
        0.51577801,
    )
    assert "loss" in overtrained.ignored_columns


def test_likelihoods() -> None:
    base = {"model": ["a", "a"], "problem": [1, 2]}
    by_p = read_likelihoods({**base, "p": [1.0, 0.25]})
    by_log = read_likelihoods({**base, "log_likelihood": [0.0, math.log(0.25)]})
    assert_frame_equal(by_p.frame, by_log.frame, check_exact=True)
    assert by_p.p.tolist() == [1.0, 0.25]
    assert by_p.frame.columns == ["model", "problem", "log_likelihood"]
    assert read_likelihoods({**base, "log_likelihood": [-2000, -1]}).p[0] == 0.0
    assert by_p.checkpoints.rows() == [("a", 2, math.log(0.25) / 2)]
    both = {**base, "p": [1.0, 0.5], "log_likelihood": [-1.0, -2.0]}
    assert "has both 'p' and 'log_likelihood': choose by columns=" in refused(both, read_likelihoods)
    assert read_likelihoods(both, columns={"log_likelihood": "log_likelihood"}).ignored_columns == ("p",)
    assert "row 2 repeats row 1" in refused({"problem": [1, 1], "p": [1, 1]}, read_likelihoods)
    assert "Or give p, a probability in (0, 1]" in refused(base, read_likelihoods)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("p", 0.0),
        ("p", 1.0000001),
        ("p", -0.1),
        ("p", math.nan),
        ("log_likelihood", 0.1),
        ("log_likelihood", -math.inf),
    ],
)
def test_likelihoods_out_of_range(column: str, value: float) -> None:
    assert f"row 2: {column} is {value!r}, not a " in refused(
        {"problem": [1, 2], column: [-0.0 or 1.0 if column == "p" else -1.0, value]}, read_likelihoods
    )


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, None])
@pytest.mark.parametrize("column", ["n_params", "n_tokens", "loss", "weight"])
def test_losses_out_of_range(column: str, value: float | None) -> None:
    table: dict[str, list[Any]] = {
        "n_params": [1e6, 1e6],
        "n_tokens": [1e9, 1e9],
        "loss": [2.5, 2.5],
        "weight": [1.0, 2.0],
    }
    assert read_losses(table).weight.tolist() == [1.0, 2.0]
    message = refused({**table, column: [1.0, value]}, read_losses)
    assert (
        f"row 2: {column} is missing" in message
        or f"row 2: {column} is {value!r}, not a finite number above 0" in message
    )


def test_losses_need_sizes() -> None:
    message = refused({"loss": [1.0], "params": [1e6]}, read_losses)
    assert "has no column n_params and no column n_tokens; it has loss, params" in message
    assert "columns={'n_params': 'params', " in message
    assert "models=" in message
