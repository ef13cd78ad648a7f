"""Tables as pandas, polars and pyarrow keep them: lists of verdicts, Arrow files, JSON by columns."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")

VERDICTS = {"problem": ["a", "b", "c"], "correct": [[True, False, True], [False], [True] * 4]}
COUNTED = [("a", 3, 2), ("b", 1, 0), ("c", 4, 4)]


def counted(source: object, **choices: object) -> list[tuple[str, int, int]]:
    table = t2fast.read_results(source, **choices)  # type: ignore[arg-type]
    return table.frame.select("problem", "n_samples", "n_correct").rows()


def arrays(frame: pl.DataFrame, path: Path) -> None:
    """What pandas makes of a list column read from Parquet, written to CSV: NumPy's own words."""
    frame.write_parquet(path.with_suffix(".pq"))
    pd.read_parquet(path.with_suffix(".pq")).to_csv(path, index=False)


WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "polars.parquet": lambda frame, path: frame.write_parquet(path),
    "polars.jsonl": lambda frame, path: frame.write_ndjson(path),
    "polars.json": lambda frame, path: frame.write_json(path),
    "polars.arrow": lambda frame, path: frame.write_ipc(path),
    "polars-zstd.arrow": lambda frame, path: frame.write_ipc(path, compression="zstd"),
    "polars-stream.arrow": lambda frame, path: frame.write_ipc_stream(path),
    "pyarrow.feather": lambda frame, path: feather.write_feather(frame.to_arrow(), str(path)),
    "pandas.parquet": lambda frame, path: pd.DataFrame(frame.to_dict(as_series=False)).to_parquet(path),
    "pandas.feather": lambda frame, path: pd.DataFrame(frame.to_dict(as_series=False)).to_feather(path),
    "pandas.json": lambda frame, path: pd.DataFrame(frame.to_dict(as_series=False)).to_json(path),
    "pandas.csv": lambda frame, path: pd.DataFrame(frame.to_dict(as_series=False)).to_csv(path, index=False),
    "numpy.csv": arrays,
    "unnamed": lambda frame, path: frame.write_ipc(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_cell_of_verdicts_is_as_many_samples(name: str, tmp_path: Path) -> None:
    WRITERS[name](pl.DataFrame(VERDICTS), tmp_path / name)
    assert counted(tmp_path / name) == COUNTED


@pytest.mark.parametrize("kind", [int, float, str])
def test_verdicts_are_whatever_a_single_one_may_be(kind: type, tmp_path: Path) -> None:
    told = [[kind(right) for right in row] for row in VERDICTS["correct"]]
    frame = pl.DataFrame(VERDICTS | {"correct": told})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ndjson(tmp_path / "t.jsonl")
    assert counted(tmp_path / "t.parquet") == counted(tmp_path / "t.jsonl") == counted(frame) == COUNTED


def test_arrays_of_one_length_and_lists_of_scores() -> None:
    frame = pl.DataFrame({"problem": [1, 2], "reward": [[0.5, 0.9, 1.0], [0.0, 0.2, 0.95]]})
    array = frame.with_columns(pl.col("reward").cast(pl.Array(pl.Float64, 3)))
    for table in (frame, array):
        assert counted(table, columns={"correct": "reward"}, correct_at=0.9) == [("1", 3, 2), ("2", 3, 1)]
    with pytest.raises(
        ValueError, match=r"row 1: n_correct \(column 'reward'\) is \[0\.5, 0\.9, 1\.0\], not a"
    ):
        counted(frame, columns={"correct": "reward"})


def test_what_the_samples_of_a_cell_used_is_kept_as_their_sum() -> None:
    table = t2fast.read_counts({**VERDICTS, "output_tokens": [30, 10, 40]})
    assert table.frame["output_tokens"].to_list() == [30, 10, 40]


@pytest.mark.parametrize("cell", [[], [True, None], [True, 2], None, [[True]]])
def test_a_cell_that_is_no_list_of_verdicts_is_named(cell: object, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"problem": "a", "correct": [True]}, {"problem": "b", "correct": cell}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"1 of 2 rows .*\n  row 2: n_correct \(column 'correct'\) is "):
        counted(path)


def test_a_problem_twice_is_refused_or_added_up() -> None:
    twice = {"problem": ["a", "a"], "correct": [[1, 0], [1]]}
    with pytest.raises(ValueError, match="row 2 repeats row 1"):
        counted(twice)
    assert counted(twice, duplicates="sum") == [("a", 3, 2)]


COUNTS = {"problem": ["x", "y"], "n_samples": [4, 5], "n_correct": [1, 5]}


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("rows", [1, 2])
def test_json_of_pandas_however_it_lies(orient: str, indent: int | None, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    pd.DataFrame(COUNTS).head(rows).to_json(path, orient=orient, indent=indent)
    assert counted(path) == [("x", 4, 1), ("y", 5, 5)][:rows]


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
def test_json_of_pandas_by_other_names(orient: str, tmp_path: Path) -> None:
    """Names of a caller's own tell rows from columns no more: then numbered ones are the rows."""
    path = tmp_path / "t.json"
    own = {"problem": "Frage", "n_samples": "Versuche", "n_correct": "richtig"}
    pd.DataFrame(COUNTS).rename(columns=own).to_json(path, orient=orient)
    assert counted(path, columns=own) == [("x", 4, 1), ("y", 5, 5)]


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
@pytest.mark.parametrize("names", [["x", "y"], [7, 12]])
def test_what_tells_rows_apart_is_a_column(orient: str, names: list[object], tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    pd.DataFrame(COUNTS | {"problem": names}).set_index("problem").to_json(path, orient=orient)
    with pytest.raises(ValueError, match=r"columns=\{'problem': 'index'\}"):
        counted(path)
    assert counted(path, columns={"problem": "index"}) == [(str(names[0]), 4, 1), (str(names[1]), 5, 5)]


@pytest.mark.parametrize("lines", [False, True])
def test_rows_without_names_say_how_to_name_them(lines: bool, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    pd.DataFrame(COUNTS).to_json(path, orient="values")
    if lines:
        path.write_text("".join(json.dumps(row) + "\n" for row in json.loads(path.read_text())))
    with pytest.raises(ValueError, match=r"row 1 of .*t\.json is an array.*names of their columns"):
        counted(path)


def test_json_of_columns_as_arrays(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(COUNTS))
    assert counted(tmp_path / "t.json") == [("x", 4, 1), ("y", 5, 5)]
    assert counted(pl.DataFrame(json.loads((tmp_path / "t.json").read_text()))) == [("x", 4, 1), ("y", 5, 5)]
    (tmp_path / "short.json").write_text(json.dumps(COUNTS | {"n_correct": [1]}))
    with pytest.raises(ValueError, match=r"short\.json"):
        counted(tmp_path / "short.json")


def test_one_row_of_json_stays_one_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"problem": "a", "correct": [true, false]}\n')
    assert counted(tmp_path / "t.jsonl") == [("a", 2, 1)]


def test_arrow_that_is_none_or_old_says_so(tmp_path: Path) -> None:
    for name, content, says in (
        ("a.arrow", b"no arrow", "is no Arrow file"),
        ("a.feather", b"FEA1" + bytes(60), "first version of Feather"),
        ("b.arrow", b"ARROW1\0\0" + bytes(60), "cannot be read"),
        ("c.arrow", b"\xff\xff\xff\xff" + b"\x01" * 60, "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=says):
            counted(tmp_path / name)


def test_damaged_arrow_is_an_error_or_a_table(tmp_path: Path) -> None:
    """In a process of its own, which a wild offset would end."""
    script = """
import random, sys, t2fast
from pathlib import Path
for name in ("file.arrow", "old.arrow", "stream.arrow"):
    good = Path(sys.argv[1], name).read_bytes()
    for seed in range(200):
        draw = random.Random(seed)
        bad = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            bad[draw.randrange(8, len(bad))] = draw.randrange(256)
        if seed % 4 == 0:
            del bad[draw.randrange(8, len(bad)):]
        path = Path(sys.argv[1], "bad.arrow")
        path.write_bytes(bad)
        try:
            t2fast.read_counts(path)
        except ValueError:
            pass
print("whole")
"""
    frame = pl.DataFrame({"problem": [f"p{i}" * 5 for i in range(20)], "correct": [[True, False]] * 20})
    frame.write_ipc(tmp_path / "file.arrow")
    frame.write_ipc(tmp_path / "old.arrow", compat_level=pl.CompatLevel.oldest())
    frame.write_ipc_stream(tmp_path / "stream.arrow")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "whole\n", done.stderr[-2000:]


@pytest.mark.parametrize("column", ["pass", "resolved", "Resolved", "solved"])
def test_the_column_that_is_likely_meant_is_named(column: str) -> None:
    with pytest.raises(ValueError, match=f"columns={{'correct': '{column}'}}"):
        counted({"problem": ["a"], column: [1]})


@pytest.mark.parametrize("column", ["idx", "instance_id", "index", "Instance ID"])
def test_the_problem_that_is_likely_meant_is_named(column: str) -> None:
    with pytest.raises(ValueError, match=f"columns={{'problem': '{column}'}}"):
        counted({column: ["a"], "correct": [1]})


def test_many_random_lists_count_as_their_samples_do() -> None:
    draw = random.Random(0)
    cells = [[draw.random() < 0.3 for _ in range(draw.randint(1, 9))] for _ in range(3000)]
    names = [f"p{i}" for i in range(3000)]
    long = {
        "problem": np.repeat(names, [len(cell) for cell in cells]),
        "correct": np.concatenate(cells),
    }
    assert sorted(counted({"problem": names, "correct": cells})) == sorted(counted(long))
