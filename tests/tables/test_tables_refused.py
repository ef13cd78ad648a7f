"""Tables: whatever cannot be used is refused by one error that names it."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from counts_table import GOOD, ORDER, good, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from t2fast.readers import read_results
from t2fast.tables import LeftOut, read_counts, rows


def write_with_csv(table: dict[str, list[Any]], path: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


# -- bad values ------------------------------------------------------------

BAD_VALUES = [
    ("model", None, "model is missing"),
    ("model", "", "model is missing"),
    ("problem", None, "problem is missing"),
    ("task", None, "task is missing"),
    ("n_params", 0, "n_params is 0.0, not a finite number above 0"),
    ("n_params", -1e6, "n_params is -1000000.0, not a finite number above 0"),
    ("n_params", math.nan, "n_params is nan, not a finite number above 0"),
    ("n_tokens", math.inf, "n_tokens is inf, not a finite number above 0"),
    ("n_tokens", None, "n_tokens is missing"),
    ("n_tokens", "160X", "n_tokens is '160X', not a finite number above 0"),
    ("n_tokens", "1e400", "n_tokens is '1e400', not a finite number above 0"),
    ("n_samples", 0, "n_samples is 0, not a whole number of at least 1"),
    ("n_samples", -8, "n_samples is -8, not a whole number of at least 1"),
    ("n_samples", 7.5, "n_samples is 7.5, not a whole number of at least 1"),
    ("n_samples", 2.0**63, "n_samples is 9.223372036854776e+18, not a whole number"),
    ("n_samples", "99999999999999999999", "n_samples is '99999999999999999999', not a whole number"),
    ("n_samples", "many", "n_samples is 'many', not a whole number of at least 1"),
    ("n_samples", None, "n_samples is missing"),
    ("n_correct", -1, "n_correct is -1, not a whole number of at least 0"),
    ("n_correct", 17, "n_correct is 17, more than n_samples, which is 16"),
    ("n_correct", math.nan, "n_correct is nan, not a whole number of at least 0"),
    ("n_correct", "x" * 5000, "(5002 characters), not a whole number of at least 0"),
]


@pytest.mark.parametrize(("column", "value", "words"), BAD_VALUES)
def test_bad_values_are_named(column: str, value: Any, words: str) -> None:
    values = GOOD[column][:2]
    if isinstance(value, str) and column.startswith("n_"):
        values = [str(entry) for entry in values]
    elif isinstance(value, float):
        values = [float(entry) for entry in values]
    message = refused(good(**{column: [*values, value]}))
    assert "1 of 3 rows of the table cannot be used" in message
    assert "\n  row 3: " in message
    assert words in message
    assert len(message) < 400


@pytest.mark.parametrize(("column", "value", "words"), BAD_VALUES)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_bad_values_in_files_are_named(
    column: str, value: Any, words: str, suffix: str, tmp_path: Path
) -> None:
    table = good(**{column: [*GOOD[column][:2], value]})
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        write_with_csv(table, str(path))
    else:
        path.write_text(
            "\n".join(
                json.dumps(dict(zip(table, row, strict=True))) for row in zip(*table.values(), strict=True)
            )
        )
    message = refused(path)
    assert f"1 of 3 rows of {path} cannot be used" in message
    assert f"\n  row 3: {column} is " in message


@pytest.mark.parametrize(
    ("dtype", "values"),
    [(pl.UInt64, [8, 8, 2**64 - 1]), (pl.Boolean, [True, True, True]), (pl.List(pl.Int64), [[8], [8], [8]])],
)
def test_columns_of_no_use_are_named(dtype: Any, values: list[Any]) -> None:
    frame = pl.DataFrame(GOOD).with_columns(pl.Series("n_samples", values, dtype=dtype))
    assert f"n_samples is {values[2]!r}, not a whole number" in refused(frame)


def test_a_row_with_several_faults_is_one_line() -> None:
    message = refused(good(n_samples=[8, 0, 16], n_correct=[0, -1, 3]), columns={"n_correct": "n_correct"})
    assert "row 2: n_samples is 0, not a whole number of at least 1; n_correct is -1, not a whole" in message
    renamed = {("hits" if name == "n_correct" else name): values for name, values in GOOD.items()} | {
        "hits": [9, 8, 3]
    }
    assert "row 1: n_correct (column 'hits') is 9, more than n_samples, which is 8" in refused(
        renamed, columns={"n_correct": "hits"}
    )


def test_large_whole_numbers_are_exact(tmp_path: Path) -> None:
    exact = 2**60 + 1
    for values in (
        [exact],
        [str(exact)],
        pa.array([exact], pa.decimal128(38, 0)),
        np.array([exact], np.uint64),
    ):
        assert read_counts(
            pa.table({"problem": ["x"], "n_samples": values, "n_correct": values})
        ).n.tolist() == [exact]
    for name, text in (
        ("a.csv", f"problem,n_samples,n_correct\n007,{exact},0\n"),
        ("a.jsonl", f'{{"problem":"007","n_samples":{exact},"n_correct":0}}'),
    ):
        (tmp_path / name).write_text(text)
        assert read_counts(tmp_path / name).frame.rows() == [("007", exact, 0)]


# -- columns ------------------------------------------------------------


def test_columns_mapping_and_aliases() -> None:
    renamed = pl.DataFrame(GOOD).rename(
        {"n_tokens": "train_tokens", "problem": "question_id", "n_correct": "hits"}
    )
    assert_frame_equal(read_counts(renamed, columns={"n_correct": "hits"}).frame, pl.DataFrame(GOOD))
    shadowed = pl.DataFrame(GOOD).with_columns(question_id=pl.lit("q"))
    assert read_counts(shadowed).ignored_columns == ("question_id",)
    assert "has more than one column for problem: problem_id, question_id" in refused(
        renamed.with_columns(problem_id=pl.lit("q")), columns={"n_correct": "hits"}
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"n_corect": "n_correct"},
            "'n_corect' is no column of such a table; those are correct, dataset, max_samples, model",
        ),
        ({"n_corect": "n_correct"}, "did you mean 'n_correct'?"),
        ({"n_correct": "hit"}, "has no column 'hit' (for n_correct); it has model, "),
    ],
)
def test_mapping_faults(columns: dict[str, str], words: str) -> None:
    assert words in refused(GOOD, columns=columns)


def test_missing_columns_suggest_the_nearest() -> None:
    message = refused(pl.DataFrame(GOOD).rename({"n_correct": "ncorrect"}))
    assert (
        "has no column n_correct; it has model, n_params, n_tokens, task, problem, n_samples, ncorrect"
        in message
    )
    assert "columns={'n_correct': 'ncorrect'}" in message
    assert "one row a sample" in message


def test_a_column_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("problem,n_samples,n_correct,n_correct\nx,8,1,2\n")
    assert "has more than one column for n_correct" in refused(tmp_path / "t.csv")
    frame = pd.DataFrame([["x", 8, 1, 2]], columns=["problem", "n_samples", "n_correct", "n_correct"])
    assert "n_correct" in refused(frame)


# -- bad sources ------------------------------------------------------------

HEADER = "problem,n_samples,n_correct\n"


def parquet_bytes() -> bytes:
    file = io.BytesIO()
    pl.DataFrame(GOOD).write_parquet(file)
    return file.getvalue()


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("t.csv", b"", "is empty"),
    ("t.csv", b"\n\n \n", "is empty"),
    ("t.csv", HEADER.encode(), "has columns but no rows"),
    ("t.csv", HEADER.encode() + b"x,8,1,9\n", "row 1 has 4 fields where the header has 3"),
    ("t.csv", HEADER.encode() + b"x,8\n", "row 1: n_correct is missing"),
    (
        "t.csv",
        HEADER.encode() + b"x,8,1\n\xff\xfe,8,1\n",
        "line 3 is not UTF-8, at b'\\xff': save",
    ),
    (
        "t.jsonl",
        b'{"problem": "caf\xe9"}\n',
        "is not UTF-8 (byte 17 of it): save it as",
    ),
    (
        "t.csv",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "is a pointer of Git LFS",
    ),
    ("t.json", b"<!DOCTYPE html>\n<html></html>", "is a page of HTML and not the file"),
    ("t.json", b"[]", "t.json has no rows"),
    ("t.csv", HEADER.encode() + b'"x,8,1\n', "cannot be read"),
    (
        "t.csv",
        HEADER.encode() + b"x,8," + b"1" * 2_000_000 + b"\n",
        "(2000002 characters), not a whole number",
    ),
    (
        "t.csv",
        HEADER.replace(",", ";").encode() + b"x;8;1\n",
        "separated by ';'. Separate them by ','",
    ),
    ("t.csv", HEADER.replace(",", "\t").encode() + b"x\t8\t1\n", r"seem to be separated by '\t'"),
    ("t.csv", np.random.default_rng(0).bytes(3000), "n_samples"),
    ("t.csv.gz", gzip.compress(HEADER.encode() + b"x,8,1\n" * 9999)[:-9], "cannot be read: "),
    ("t.csv.gz", gzip.compress(b""), "is empty"),
    ("t.csv.gz", b"\x1f\x8b\x08garbage", "cannot be read"),
    ("t.jsonl", b"", "is empty"),
    ("t.jsonl", b'[{"problem": 1}]', "has no column n_samples"),
    ("t.jsonl", b'[{"problem": 1}, 3]', "t.jsonl is 3, not an object"),
    (
        "t.jsonl",
        b'{"problem": "x", "n_samples": 8, "n_correct": 1}\n{"problem": "y", "n_sam',
        "row 2 of ",
    ),
    ("t.jsonl", b'{"problem": "x", "n_samples": 8, "n_correct": 1}\nhello\n', "is no JSON: "),
    (
        "t.jsonl",
        b'{"problem": "x", "n_samples": 8, "n_correct": NaN}\n',
        "row 1: n_correct is 'NaN', not a whole",
    ),
    (
        "t.jsonl",
        b'{"problem": "x", "n_samples": 8, "n_correct": 1, "n_correct": 2}\n',
        "has the key 'n_correct' twice",
    ),
    ("t.jsonl", b'{"problem": "x", "n_samples": 8, "n_correct": 1}\n'.replace(b"\n", b"\r") * 2, "row 1 of "),
    ("t.jsonl", '{"problem": "x"}'.encode("utf-16"), "is UTF-16: save it as UTF-8"),
    ("t.csv", (HEADER + "x,8,1\n").encode("utf-16-be", "strict").join([b"\xfe\xff", b""]), "is UTF-16: save"),
    (
        "t.csv",
        (HEADER + "x,8,1\n").replace("\n", "\r").encode(),
        "ends its lines with a bare carriage return",
    ),
    ("t.csv.bz2", b"BZh91AY", "is packed by bzip2: unpack it first"),
    ("t.csv", b"problem,correct,Total\nx,1,16\ny,0,16\n", "if they are counts, say columns={'n_correct': "),
    ("t.csv", b"problem,passed,num_attempts\nx,1,16\n", "'n_samples': 'num_attempts'}"),
    ("t.jsonl", b'{"problem": "x", "n_samples": 8}\n', "has no column n_correct"),
    (
        "t.jsonl",
        b'{"problem": "x", "n_samples": 8, "n_correct": 1}\n{"problem": "y"}\n',
        "row 2: n_samples is missing; n_correct is missing",
    ),
    ("t.jsonl", b"1\n2\n", "is 1, not an object"),
    ("t.jsonl.gz", gzip.compress(b"\x28\xb5\x2f\xfd"), "row 1 of "),
    ("t.parquet", b"", "is empty"),
    ("t.parquet", b"not parquet at all", "does not begin with the bytes PAR1"),
    ("t.parquet", parquet_bytes()[:-20], "cannot be read"),
    ("t.parquet", parquet_bytes()[:400], "cannot be read"),
    ("t.parquet", gzip.compress(parquet_bytes()), "is Parquet inside gzip"),
    ("t.xlsx", b"PK\x03\x04 and so on", "cannot tell what kind of file"),
    ("t", HEADER.encode() + b"x,8,1\n", "cannot tell what kind of file"),
]


@pytest.mark.parametrize(("name", "content", "words"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_bad_files_are_refused(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(path)
    assert words in message
    assert str(path) in message
    assert len(message) < 1500


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "jsonl.gz"])
def test_damage_after_many_batches_is_not_an_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_BATCH_ROWS", 1000)
    path = tmp_path / f"t.{kind}"
    table = pl.DataFrame({"problem": range(400_000), "n_samples": 8, "n_correct": 1})
    text = table.write_csv() + "x,1,1,1\n" if "csv" in kind else table.write_ndjson() + "{oops\n"
    path.write_bytes(gzip.compress(text.encode(), 1) if kind.endswith("gz") else text.encode())
    assert ("cannot be read" if "csv" in kind else "row 400001 of ") in refused(path)
    sound = text[: text.rindex("\n", 0, -1) + 1].encode()
    path.write_bytes(gzip.compress(sound, 1)[:-20] if kind.endswith("gz") else sound)
    if kind.endswith("gz"):
        assert "cannot be read" in refused(path)
    else:
        assert len(read_counts(path)) == 400_000


def test_late_json_types_and_names(tmp_path: Path) -> None:
    rows = [{"problem": i, "n_samples": 8, "n_correct": 1} for i in range(300)]
    rows += [{"problem": "late", "n_samples": 8.0, "n_correct": True}]
    (tmp_path / "t.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    assert "row 301: n_correct is 'true', not a whole number" in refused(tmp_path / "t.jsonl")


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "a [1] *.csv").write_bytes(
        b"\xef\xbb\xbf" + HEADER.replace("\n", "\r\n").encode() + b"x,8,1\r\n"
    )
    (tmp_path / "b.bin").write_bytes(parquet_bytes())
    (tmp_path / "c[ab]*?.jsonl").write_bytes(b'{"problem": "x", "n_samples": 8, "n_correct": 1}')
    (tmp_path / "ca.jsonl").write_bytes(b'{"problem": "other", "n_samples": 9, "n_correct": 1}')
    (tmp_path / "d").write_bytes(gzip.compress(b' {"problem": "x", "n_samples": 8, "n_correct": 1}'))
    (tmp_path / "e.TSV.GZ").write_bytes(gzip.compress(b"problem\tn_samples\tn_correct\nx\t8\t1\n"))
    for name in ("a [1] *.csv", "c[ab]*?.jsonl", "d", "e.TSV.GZ"):
        assert read_counts(str(tmp_path / name)).frame.rows() == [("x", 8, 1)], name
    assert len(read_counts(tmp_path / "b.bin")) == 3
    with pytest.raises(FileNotFoundError):
        read_counts(tmp_path / "absent.csv")


def test_blank_lines_are_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "x,8,1\n\ny,8,2\n\n")
    counts = read_counts(tmp_path / "t.csv")
    assert counts.frame["problem"].to_list() == ["x", "y"]
    assert counts.left_out == (LeftOut(2, "blank line"),)
    (tmp_path / "t.csv").write_text(HEADER + "x,8,1\n\ny,8,9\n\n")
    assert "1 of 4 rows" in refused(tmp_path / "t.csv")
    assert "row 3: n_correct is 9" in refused(tmp_path / "t.csv")
    assert "row 2: problem is missing" in refused(
        {"problem": ["x", None], "n_samples": [1, None], "n_correct": [0, None]}
    )


@pytest.mark.parametrize("source", [3, None, [1, 2], np.ones((3, 3)), object()])
def test_objects_that_are_no_table(source: Any) -> None:
    with pytest.raises(TypeError, match="a table is a path, a dataframe"):
        read_counts(source)


@pytest.mark.parametrize(
    "source",
    [
        {},
        {name: [] for name in ORDER},
        {"problem": ["x", "y"], "n_samples": [1], "n_correct": [0, 0]},
        {"problem": ["x"], "n_samples": np.ones((1, 2)), "n_correct": [0]},
        {"problem": ["x", "y"], "n_samples": [1, object()], "n_correct": [0, 0]},
        {"problem": ["x", "y"], "n_samples": [1, 10**30], "n_correct": [0, 0]},
        pd.DataFrame({"problem": ["x", "y"], "n_samples": [1, "many"], "n_correct": [0, 0]}),
        pd.DataFrame({"problem": ["x", pd.NA], "n_samples": [1, 2], "n_correct": [0, 0]}),
        pd.DataFrame({"problem": ["x", "y"], "n_samples": [1, None], "n_correct": [0, 0]}),
        pl.LazyFrame({"problem": ["x"], "n_samples": [1], "n_correct": [0]}).with_columns(pl.col("absent")),
    ],
)
def test_bad_frames_are_refused(source: Any) -> None:
    refused(source)


# -- fuzz ------------------------------------------------------------

EXTENSIONS = [".csv", ".tsv", ".csv.gz", ".jsonl", ".jsonl.gz", ".json", ".parquet", ".unknown", ""]
LINES = st.lists(
    st.sampled_from(
        ["problem", "n_samples", "n_correct", ",", "\n", '"', "1", "x", "{", "}", ":", "\t", " ", "[", "\r"]
    )
)


@pytest.mark.parametrize("extension", EXTENSIONS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), LINES.map("".join).map(str.encode)), zipped=st.booleans())
def test_random_files_are_read_or_refused(
    extension: str, content: bytes, zipped: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"t{extension}"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with contextlib.suppress(ValueError):
        assert len(read_counts(path)) > 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_or_hollow_parquet_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    # Single bytes are left alone: on some damaged page headers polars asks for 2^61 bytes and aborts.
    content = parquet_bytes()
    cut = content[: data.draw(st.integers(4, len(content) - 1))]
    hollow = b"PAR1" + data.draw(st.binary(max_size=200)) + b"PAR1"
    (tmp_path / "t.parquet").write_bytes(data.draw(st.sampled_from([cut, hollow, cut + b"PAR1"])))
    assert "t.parquet cannot be read: " in refused(tmp_path / "t.parquet")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_refused_at_once_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for read in (read_counts, read_results):
        with pytest.raises(ValueError, match=r"pipe\.csv is no file, but a pipe or a device"):
            read(pipe)
