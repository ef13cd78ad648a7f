"""Tables: what goes in by any door comes out the same."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from t2fast.tables import Counts, LeftOut, read_counts, read_likelihoods, read_losses, sources
from t2fast.tables import reading as rows

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no measurements at {DATA}")

GOOD: dict[str, list[Any]] = {
    "model": ["a", "a", "b"],
    "n_params": [1e6, 1e6, 2e6],
    "n_tokens": [1e9, 1e9, 2e9],
    "task": ["t", "t", "t"],
    "problem": ["x", "y", "x"],
    "n_samples": [8, 8, 16],
    "n_correct": [0, 8, 3],
}
ORDER = list(GOOD)


def good(**changes: list[Any]) -> dict[str, list[Any]]:
    return {**GOOD, **changes}


def without(*names: str) -> dict[str, list[Any]]:
    return {name: values for name, values in GOOD.items() if name not in names}


def refused(source: Any, read: Any = read_counts, **options: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each caller looks into the message
        read(source, **options)
    return str(caught.value)


# -- round trips ------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
sizes = st.one_of(st.integers(1, 10**14).map(float), st.floats(1e-300, 1e300))


@st.composite
def tables(draw: Any) -> dict[str, list[Any]]:
    keys = draw(st.lists(st.tuples(names, sizes, sizes, names, names), min_size=1, max_size=12, unique=True))
    n = [draw(st.integers(1, 2**58)) for _ in keys]
    columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)]
    return dict(zip(ORDER, [*columns, n, [draw(st.integers(0, most)) for most in n]], strict=True))


def write_with_csv(table: dict[str, list[Any]], path: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def write_with_json(table: dict[str, list[Any]], path: str) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="\n") as file:
        for row in zip(*table.values(), strict=True):
            file.write(json.dumps(dict(zip(table, row, strict=True))) + "\n")


WRITERS = {
    "module.csv": write_with_csv,
    "module.jsonl.gz": write_with_json,
    "pandas.csv": lambda table, path: pd.DataFrame(table).to_csv(path, index=False),
    "pandas.csv.gz": lambda table, path: pd.DataFrame(table).to_csv(path, index=False),
    "pandas.tsv": lambda table, path: pd.DataFrame(table).to_csv(path, index=False, sep="\t"),
    "pandas.parquet": lambda table, path: pd.DataFrame(table).to_parquet(path),
    "pandas.jsonl": lambda table, path: pd.DataFrame(table).to_json(
        path, orient="records", lines=True, double_precision=15
    ),
    "polars.csv": lambda table, path: pl.DataFrame(table).write_csv(path),
    "polars.parquet": lambda table, path: pl.DataFrame(table).write_parquet(path),
    "polars.ndjson": lambda table, path: pl.DataFrame(table).write_ndjson(path),
    "pyarrow.csv": lambda table, path: pyarrow.csv.write_csv(pa.table(table), path),
    "pyarrow.parquet": lambda table, path: pyarrow.parquet.write_table(pa.table(table), path),
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_files_of_every_writer_read_back(name: str, table: dict[str, list[Any]], tmp_path: Path) -> None:
    if name == "pandas.jsonl":  # pandas writes no more than 15 decimals of a float
        table = {**table, "n_params": [1e6] * len(table["model"]), "n_tokens": [1e9] * len(table["model"])}
    if name.startswith(
        "pandas."
    ):  # pandas leaves a lone carriage return unquoted, and cannot read it back either
        for column in ("model", "task"):
            table[column] = [value.replace("\r", "R") for value in table[column]]
        table["problem"] = [f"{row} {value}".replace("\r", "R") for row, value in enumerate(table["problem"])]
    path = tmp_path / name
    WRITERS[name](table, str(path))
    assert_frame_equal(read_counts(path).frame, pl.DataFrame(table), check_exact=True)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl", ".ndjson"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_written_counts_read_back(suffix: str, table: dict[str, list[Any]], tmp_path: Path) -> None:
    counts = read_counts(table)
    counts.write(tmp_path / f"counts{suffix}")
    assert_frame_equal(read_counts(tmp_path / f"counts{suffix}").frame, counts.frame, check_exact=True)
    assert os.listdir(tmp_path) == [f"counts{suffix}"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    counts = read_counts(GOOD)
    counts.write(tmp_path / "c.csv")
    before = (tmp_path / "c.csv").read_bytes()
    nested = Counts(counts.frame.with_columns(nested=pl.concat_list("n_samples")))
    with pytest.raises(pl.exceptions.ComputeError):
        nested.write(tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_bytes() == before
    assert os.listdir(tmp_path) == ["c.csv"]
    with pytest.raises(ValueError, match=r"cannot write .*c\.xlsx: name it \.csv"):
        counts.write(tmp_path / "c.xlsx")


# -- dataframes ------------------------------------------------------------


class ColumnsAlone:
    """A dataframe of a library without Arrow: named columns and nothing else."""

    def __init__(self, table: dict[str, list[Any]]) -> None:
        self.columns = list(table)
        self._table = table

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._table[name], dtype=object)


class PandasWithoutPyarrow(pd.DataFrame):
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise ImportError("pyarrow is not installed")


FRAMES = {
    "mapping": lambda table: table,
    "mapping of arrays": lambda table: {name: np.array(values) for name, values in table.items()},
    "polars": pl.DataFrame,
    "polars lazy": pl.LazyFrame,
    "polars categories": lambda table: pl.DataFrame(table).cast(
        {"model": pl.Categorical, "task": pl.Enum(["t"])}
    ),
    "pandas": pd.DataFrame,
    "pandas indexed": lambda table: pd.DataFrame(table).set_index(["model", "problem"]),
    "pandas categories": lambda table: pd.DataFrame(table).astype(
        {"model": "category", "n_samples": "Int64"}
    ),
    "pandas objects": lambda table: pd.DataFrame(table).astype(object),
    "pandas without pyarrow": PandasWithoutPyarrow,
    "pyarrow": pa.table,
    "pyarrow chunks": lambda table: pa.concat_tables([pa.table(table).slice(0, 1), pa.table(table).slice(1)]),
    "pyarrow reader": lambda table: pa.table(table).to_reader(),
    "pyarrow decimals": lambda table: pa.table(table).set_column(
        5, "n_samples", pa.array(table["n_samples"], pa.decimal128(38, 0))
    ),
    "float counts": lambda table: pl.DataFrame(table).with_columns(
        pl.col("n_samples", "n_correct").cast(pl.Float32)
    ),
    "text numbers": lambda table: {
        **table,
        "n_params": ["1e6", " 1000000.0 ", "2000000"],
        "n_samples": ["8", "8.0", "16"],
    },
    "columns alone": ColumnsAlone,
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_dataframe_gives_the_same_counts(name: str) -> None:
    assert_frame_equal(read_counts(FRAMES[name](GOOD)).frame, pl.DataFrame(GOOD), check_exact=True)


@needs_data
def test_pythia_by_every_door() -> None:
    path = DATA / "pythia_gsm8k_counts.csv"
    counts = read_counts(path)
    raw = list(csv.DictReader(path.open()))
    assert len(counts) == len(raw) == 10_273
    assert counts.n.tolist() == [int(row["n_samples"]) for row in raw]
    assert counts.c.tolist() == [int(row["n_correct"]) for row in raw]
    assert counts.n_params.tolist() == [float(row["n_params"]) for row in raw]
    assert counts.frame["problem"].to_list() == [row["problem"] for row in raw]
    assert (counts.n.dtype, counts.n_tokens.dtype) == (np.int64, np.float64)

    samples = Counter[str]()
    for row in raw:
        samples[row["model"]] += int(row["n_samples"])
    points = counts.checkpoints
    assert points.height == len(samples) == 81
    assert dict(zip(points["model"], points["n_samples"], strict=True)) == samples
    assert points["problems"].sum() == 10_273
    assert points["problems_solved"].sum() == sum(row["n_correct"] != "0" for row in raw)
    assert points.rows() == sorted(points.rows(), key=lambda row: (row[1], row[2], row[0]))
    assert points["model"].gather(counts.checkpoint_index).to_list() == counts.frame["model"].to_list()

    for other in (pd.read_csv(path), pl.read_csv(path), pl.scan_csv(path), pyarrow.csv.read_csv(path)):
        assert_frame_equal(read_counts(other).frame, counts.frame, check_exact=True)


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


# -- samples ------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 4), st.booleans()), min_size=1, max_size=60
    ),
    batch=st.integers(1, 7),
    pending=st.integers(1, 20),
)
def test_samples_are_counted(samples: list[tuple[str, int, bool]], batch: int, pending: int) -> None:
    models, problems, correct = (list(column) for column in zip(*samples, strict=True))
    drawn = Counter((model, str(problem)) for model, problem, _ in samples)
    solved = Counter((model, str(problem)) for model, problem, right in samples if right)
    expected = [(*key, drawn[key], solved[key]) for key in sorted(drawn)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_BATCH_ROWS", batch)
        patch.setattr(rows, "_PENDING_ROWS", pending)
        for values in (
            correct,
            [int(value) for value in correct],
            [float(value) for value in correct],
            [str(value) for value in correct],
        ):
            counts = read_counts({"model": models, "problem": problems, "correct": values})
            assert counts.frame.columns == ["model", "problem", "n_samples", "n_correct"]
            assert counts.frame.rows() == expected
        assert (
            read_counts(
                {"model": models, "problem": [f"{p}" for p in problems], "correct": correct}
            ).frame.rows()
            == expected
        )


def test_samples_of_a_file_with_sizes_and_tasks(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "completion,task_id,passed,N,D\nx,p1,True,1e6,1e9\ny,p1,false,1000000,1e9\nz,p0,1,2e6,1e9\n"
    )
    counts = read_counts(
        tmp_path / "s.csv", columns={"problem": "task_id", "n_params": "N", "n_tokens": "D"}, task="HumanEval"
    )
    assert counts.frame.rows() == [(1e6, 1e9, "HumanEval", "p1", 2, 1), (2e6, 1e9, "HumanEval", "p0", 1, 1)]
    assert counts.ignored_columns == ("completion",)


def test_bad_samples_are_listed_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_BATCH_ROWS", 4)
    table = {"problem": ["p"] * 30, "correct": ["1"] * 5 + ["passed"] * 20 + [None] * 5}
    message = refused(table)
    assert message.startswith("25 of 30 rows of the table cannot be used:")
    assert "row 6: correct is 'passed', not 0, 1, true or false" in message
    assert "row 15: " in message
    assert "row 16: " not in message
    assert "… and 15 more" in message


# -- models, tasks, duplicates, filters ------------------------------------------------------------


def test_models_table_gives_sizes(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text(
        "model,n_params,n_tokens,licence\nb,2e6,2e9,x\na,1e6,1e9,y\nunused,1,1,z\n"
    )
    bare = without("n_params", "n_tokens")
    assert_frame_equal(read_counts(bare, models=tmp_path / "models.csv").frame, pl.DataFrame(GOOD))
    half = read_counts(
        without("n_tokens"), models={"model": ["a", "b"], "n_tokens": [1e9, 2e9], "n_params": [7, 7]}
    )
    assert_frame_equal(half.frame, pl.DataFrame(GOOD))
    losses = read_losses({"model": ["b"], "loss": [2.5]}, models=tmp_path / "models.csv")
    assert losses.frame.rows() == [("b", 2e6, 2e9, 2.5)]


@pytest.mark.parametrize(
    ("table", "models", "words"),
    [
        (
            without("n_params", "n_tokens"),
            {"model": ["A"], "n_params": [1], "n_tokens": [1]},
            ["lacks 2 of the models", "'a', 'b'"],
        ),
        (
            without("n_params", "n_tokens"),
            {"model": ["a", "b"], "size": [1, 1]},
            ["the models table has no column n_params and no column n_tokens"],
        ),
        (
            without("n_params", "n_tokens"),
            {"model": ["a", "b", "a"], "n_params": [1, 1, 2], "n_tokens": [1, 1, 1]},
            ["1 of 3 rows of the models table", "row 3 repeats row 1 (model 'a')"],
        ),
        (
            without("n_params", "n_tokens"),
            {"model": ["a", "b"], "n_params": [1, -1], "n_tokens": [1, 1]},
            ["row 2: n_params is -1, not a finite number above 0"],
        ),
        (
            without("model", "n_tokens"),
            {"model": ["a"], "n_tokens": [1]},
            ["has no column 'model' by which to look up n_tokens"],
        ),
        (GOOD, {"model": ["a"], "n_params": [1], "n_tokens": [1]}, ["has n_params and n_tokens of its own"]),
    ],
)
def test_models_table_faults(table: Any, models: Any, words: list[str]) -> None:
    message = refused(table, models=models)
    assert all(word in message for word in words), message


def test_sizes_are_optional_until_required() -> None:
    counts = read_counts({"problem": ["x", "y"], "n_samples": [4, 4], "n_correct": [1, 0]})
    assert not counts.has_sizes
    assert counts.checkpoints.rows() == [(2, 1, 8, 1)]
    assert counts.checkpoint_index.tolist() == [0, 0]
    for use in (counts.require_sizes, lambda: counts.n_params, lambda: counts.filter(min_tokens=1)):
        with pytest.raises(
            ValueError, match=r"no n_params and no n_tokens, which a law needs\. Give .* models="
        ):
            use()
    assert read_counts(GOOD).require_sizes().has_sizes


def test_checkpoints_without_model_are_sizes() -> None:
    counts = read_counts(good(n_params=[3.0, 1.0, 1.0], n_tokens=[1.0, 5.0, 2.0]) | {"model": ["a"] * 3})
    assert counts.checkpoint_index.tolist() == [2, 1, 0]
    nameless = read_counts(counts.frame.drop("model"))
    assert nameless.checkpoints.columns[:2] == ["n_params", "n_tokens"]
    assert nameless.checkpoint_index.tolist() == [2, 1, 0]


def test_task_selects_or_names() -> None:
    two = good(task=["t", "u", "t"])
    chosen = read_counts(two, task="t")
    assert chosen.frame["problem"].to_list() == ["x", "x"]
    assert chosen.left_out == (LeftOut(1, "task other than 't'"),)
    assert "has no task 'v'; it has 't', 'u'" in refused(two, task="v")
    assert read_counts(without("task"), task="v").frame["task"].unique().to_list() == ["v"]


def test_duplicates() -> None:
    twice = good(model=["a"] * 3, n_params=[1e6] * 3, n_tokens=[1e9] * 3)
    message = refused(twice)
    assert "1 of 3 rows" in message
    assert (
        "row 3 repeats row 1 (model 'a', n_params 1000000.0, n_tokens 1000000000.0, task 't', problem 'x')"
        in message
    )
    assert "duplicates='sum'" in message
    added = read_counts(twice, duplicates="sum")
    assert added.frame.select("problem", "n_samples", "n_correct").rows() == [("x", 24, 3), ("y", 8, 8)]
    assert "duplicates is 'first'" in refused(GOOD, duplicates="first")
    huge = {"problem": ["x", "x"], "n_samples": [2**62, 2**62], "n_correct": [0, 0]}
    assert "add up to more than a 64-bit integer holds" in refused(huge, duplicates="sum")
    many = {"problem": ["x"] * 50, "n_samples": [1] * 50, "n_correct": [0] * 50}
    assert "49 of 50 rows" in refused(many)
    assert "… and 39 more" in refused(many)


def test_filter_notes_what_goes() -> None:
    counts = read_counts(GOOD)
    small = counts.filter(max_params=1e6, min_tokens=1e9)
    assert (len(small), small.left_out) == (2, (LeftOut(1, "n_params above 1e+06"),))
    assert (
        len(
            counts.filter(
                min_params=1e6, max_tokens=2e9, min_train_flops=6e15, max_train_flops=2.4e16, task="t"
            )
        )
        == 3
    )
    both = counts.filter(min_train_flops=6.1e15).filter(max_tokens=2e9)
    assert (both.frame["model"].to_list(), both.left_out) == (
        ["b"],
        (LeftOut(2, "train_flops below 6.1e+15"),),
    )
    assert small.checkpoints.height == 1
    with pytest.raises(ValueError, match="no row of the table is left: all 3 have n_params below 1e\\+07"):
        counts.filter(min_params=1e7)
    with pytest.raises(ValueError, match="no column 'task'"):
        read_counts(without("task")).filter(task="t")


# -- likelihoods and losses ------------------------------------------------------------


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
