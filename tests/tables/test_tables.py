"""Tables: what goes in by any door comes out the same."""

from __future__ import annotations

import csv
import gzip
import json
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
from counts_table import GOOD, ORDER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from t2fast.tables import Counts, read_counts

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no measurements at {DATA}")


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
