"""inspect-ai: logs that it wrote itself, in both formats: finished, with errors, and of a killed process."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import by_problem
from t2fast.cli.main import main
from t2fast.readers import read_results

EVALUATE = """
import json, os, signal, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, match, mean, scorer
from inspect_ai.solver import generate, solver

plan = {}

@solver
def faults():
    async def solve(state, generate):
        epoch = [str(state.sample_id), state.epoch]
        if epoch in plan.get("errors", []):
            raise RuntimeError("out of order")
        if epoch in plan.get("kills", []):
            os.kill(os.getpid(), signal.SIGKILL)
        return state
    return solve

@scorer(metrics=[mean()])
def graded():
    async def score(state, target):
        return Score(value=plan["values"][state.epoch - 1])
    return score

@scorer(metrics={"*": [mean()]})
def keyed():
    async def score(state, target):
        return Score(value={"right": state.epoch == 1, "short": 1})
    return score

known = {"match": match, "graded": graded, "keyed": keyed}

def outputs():
    for answer in plan["answers"]:
        choices = ModelOutput.from_content("mockllm/model", answer).choices
        usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        yield ModelOutput(model="mockllm/model", choices=choices, usage=usage)

for folder, log_format, run in json.loads(sys.argv[1]):
    plan.clear()
    plan.update(run)
    targets = {7: "4", "b": "5", "c": "6", "d": "7"}
    task = Task(
        dataset=MemoryDataset([Sample(id=id, input="?", target=target) for id, target in targets.items()]),
        solver=[faults(), generate()],
        scorer=[known[name]() for name in plan.get("scorers", ["match"])],
        name="tiny_sums",
        epochs=plan["epochs"],
    )
    eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs(), memoize=False),
        log_format=log_format,
        log_dir=folder,
        log_buffer=1,
        limit=3,
        max_samples=1,
        fail_on_error=plan.get("fail_on_error", False),
        score_on_error=plan.get("score_on_error", False),
        display="none",
    )
"""

# One answer a sample: problem 7 in epochs 1 and 2, then b, then c; 4, 5 and 6 are right.
ANSWERS = {"epochs": 2, "answers": ["4", "5", "6", "4", "9", "6"]}
VALUES = ["C", "I", "N", "P", True, False, 1, 0.25, "yes", "no", "0.5", math.nan]
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "finished zip": ("eval", {**ANSWERS, "errors": [["b", 2]]}),
    "finished json": ("json", {**ANSWERS, "errors": [["b", 2]]}),
    "two scorers": ("eval", {**ANSWERS, "scorers": ["match", "keyed"]}),
    "values": ("json", {"epochs": 12, "answers": ["4"] * 36, "scorers": ["graded"], "values": VALUES}),
    "failed": ("json", {**ANSWERS, "errors": [["b", 2]], "fail_on_error": True}),
    "scored errors": ("eval", {**ANSWERS, "errors": [["b", 1], ["b", 2]], "score_on_error": True}),
    "killed": ("eval", {**ANSWERS, "kills": [["c", 2]]}),
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The log of every run, all of one process, which the last one kills."""
    pytest.importorskip("inspect_ai", reason="inspect-ai is not installed (t2fast[readers-test])")
    root = tmp_path_factory.mktemp("inspect_ai")
    runs = [(str(root / name), log_format, plan) for name, (log_format, plan) in RUNS.items()]
    # Its state (a store of running samples) goes to the test's folder, too.
    environment = {**os.environ, "XDG_DATA_HOME": str(root / "state"), "HOME": str(root / "home")}
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, json.dumps(runs)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = {}
    for folder, log_format, _ in runs:
        (found[Path(folder).name],) = Path(folder).glob(f"*.{log_format}")
    return found


@pytest.fixture(scope="module", params=["finished zip", "finished json"])
def log(request: pytest.FixtureRequest, logs: dict[str, Path]) -> Path:
    """Two epochs, the second of b in error, by one scorer; in either format."""
    return logs[request.param]


@pytest.fixture(scope="module")
def zipped(logs: dict[str, Path]) -> Path:
    """A finished log of two scorers, one with entries."""
    return logs["two scorers"]


def correct_by_hand(log: Path) -> dict[str, tuple[int, int]]:
    """(n, c) by problem as inspect-ai's own reader sees the log."""
    from inspect_ai.log import read_eval_log_sample_summaries

    counts: dict[str, tuple[int, int]] = {}
    for summary in read_eval_log_sample_summaries(str(log)):
        if summary.scores:
            n, c = counts.get(str(summary.id), (0, 0))
            counts[str(summary.id)] = n + 1, c + (summary.scores["match"].value == "C")
    return counts


def test_samples_in_error_are_left_out(log: Path) -> None:
    counts = read_results(log)
    assert counts.frame["model"].unique().to_list() == ["mockllm/model"]
    assert counts.frame["task"].unique().to_list() == ["tiny_sums"]
    found = {
        problem: (n, c) for problem, n, c in counts.frame.select("problem", "n_samples", "n_correct").rows()
    }
    assert found == correct_by_hand(log)
    assert [n for n, _ in found.values()] == [2, 1, 2]
    assert 0 < sum(c for _, c in found.values()) < 5
    assert [(part.rows, part.reason) for part in counts.left_out] == [(1, "sample that ended in an error")]


def test_samples_in_error_that_were_scored_count_as_the_tool_counts_them(logs: dict[str, Path]) -> None:
    from inspect_ai.log import read_eval_log

    path = logs["scored errors"]
    results = read_eval_log(str(path)).results
    assert results is not None
    accuracy = results.scores[0].metrics["accuracy"].value
    counts = read_results(path)
    assert counts.n.sum() == 6
    assert counts.c.sum() / 6 == pytest.approx(accuracy)
    assert "samples that ended in an error, counted as they were scored: 2" in counts.notes
    dropped = read_results(path, errors="drop")
    assert (dropped.n.sum(), dropped.c.sum()) == (4, counts.c.sum())
    assert by_problem(read_results(path, errors="fail"))["b"] == (2, 0)


def test_tokens_and_time_are_read(zipped: Path) -> None:
    counts = read_results(zipped, scorer="match")
    assert counts.frame["prompt_tokens"].to_list() == [2.0] * 3
    assert counts.frame["output_tokens"].to_list() == [2.0] * 3
    assert (counts.frame["wall_seconds"] > 0).all()


def test_members_are_zstandard(log: Path) -> None:
    if log.suffix == ".eval":
        with zipfile.ZipFile(log) as archive:
            assert archive.getinfo("summaries.json").compress_type == 93


def test_commands_say_what_was_left_out(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["passk", str(log), "--model", "small"]) == 0
    shown = capsys.readouterr()
    assert "left out: 1 x sample that ended in an error" in shown.err
    models = tmp_path / "models.csv"
    models.write_text("model,n_params,n_tokens\nsmall,1e8,1e9\n")
    assert main(["fit", str(log), "--law", "counts", "--models", str(models)]) == 1
    assert "lacks 1 of the models" in capsys.readouterr().err


def test_several_scorers_are_a_choice(zipped: Path) -> None:
    with pytest.raises(ValueError, match=r"has 2 scorers, 'keyed', 'match': choose one by scorer="):
        read_results(zipped)
    by_match = read_results(zipped, scorer="match")
    assert {
        problem: (n, c) for problem, n, c in by_match.frame.select("problem", "n_samples", "n_correct").rows()
    } == correct_by_hand(zipped)
    with pytest.raises(ValueError, match=r"keyed of sample 1 .* has 2 metrics, 'right', 'short'"):
        read_results(zipped, scorer="keyed")
    assert read_results(zipped, scorer="keyed", metric="right").c.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="is one value: leave metric= out"):
        read_results(zipped, scorer="match", metric="right")


def test_values_of_every_kind(logs: dict[str, Path]) -> None:
    log = logs["values"]
    assert ": NaN" in log.read_text()
    with pytest.raises(ValueError, match=r"graded of sample \d+ of .* is 0.5, neither 0 nor 1"):
        read_results(log)
    counts = read_results(log, correct_at=1.0)
    assert counts.n.tolist() == [11, 11, 11]  # NaN is no measurement
    assert counts.c.tolist() == [4, 4, 4]
    assert [(part.rows, part.reason) for part in counts.left_out] == [(3, "score is NaN")]
    assert read_results(log, correct_at=0.5).c.tolist() == [6, 6, 6]


def test_a_killed_run_is_read_from_its_journal(logs: dict[str, Path]) -> None:
    log = logs["killed"]
    with zipfile.ZipFile(log) as archive:
        assert "summaries.json" not in archive.namelist()
        assert "_journal/summaries/1.json" in archive.namelist()
    counts = read_results(log)
    assert {
        problem: (n, c) for problem, n, c in counts.frame.select("problem", "n_samples", "n_correct").rows()
    } == correct_by_hand(log)
    (part,) = counts.left_out
    assert counts.n.sum() + part.rows == 6
    assert part.reason == "sample not run (the log's status is 'started')"


def test_a_log_that_failed_accounts_for_all_samples(logs: dict[str, Path]) -> None:
    counts = read_results(logs["failed"])
    reasons = {part.reason: part.rows for part in counts.left_out}
    assert json.loads(logs["failed"].read_text())["status"] == "error"
    assert reasons["sample that ended in an error"] >= 1
    assert counts.n.sum() + sum(reasons.values()) == 6


def test_later_entries_of_a_journal_replace_earlier_ones(logs: dict[str, Path], tmp_path: Path) -> None:
    """A killed log whose last entry is repeated with another score, as that of a sample done again is."""
    from inspect_ai._util.zipfile import zipfile_compress_kwargs

    log = tmp_path / "killed.eval"
    log.write_bytes(logs["killed"].read_bytes())
    before = read_results(log)
    with zipfile.ZipFile(log, "a", **zipfile_compress_kwargs) as archive:
        last = max(name for name in archive.namelist() if name.startswith("_journal/summaries/"))
        summaries = json.loads(archive.read(last))
        value = summaries[0]["scores"]["match"]["value"]
        summaries[0]["scores"]["match"]["value"] = "I" if value == "C" else "C"
        # In the order of their names 10 would come before 2.
        assert last > "_journal/summaries/10.json"
        archive.writestr("_journal/summaries/10.json", json.dumps(summaries))
    after = read_results(log)
    assert after.n.tolist() == before.n.tolist()
    assert after.c.sum() == before.c.sum() + (1 if value == "I" else -1)


def test_folders_join_runs_only_if_told(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        header = json.loads(archive.read("header.json"))
    for name in ("first", "second"):
        header["eval"]["task_id"] = name
        rewritten(zipped, tmp_path / f"{name}.eval", "header.json", json.dumps(header).encode())
    (tmp_path / "notes.json").write_text('{"by": "hand"}')
    with pytest.raises(ValueError, match=r"(?s)second\.eval repeats \S+first\.eval \(.*duplicates='sum'"):
        read_results(tmp_path, scorer="match")
    joined = read_results(tmp_path, scorer="match", duplicates="sum")
    assert joined.n.tolist() == [4, 4, 4]
    assert joined.left_out[0].reason == "files of no known kind: notes.json"


@pytest.fixture
def tries(logs: dict[str, Path], tmp_path: Path) -> list[Path]:
    """A failed log and a later one with the same task_id, as `inspect eval-retry` leaves them."""
    found = []
    for number, name in enumerate(("failed", "finished json")):
        log = json.loads(logs[name].read_text())
        log["eval"] |= {"task_id": "one", "created": f"2026-01-01T00:00:0{number}+00:00"}
        found.append(tmp_path / f"{number}.json")
        found[-1].write_text(json.dumps(log))
    return found


def test_what_was_tried_again_counts_once(
    tries: list[Path], logs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    once = read_results(logs["finished json"])
    assert read_results(tries[0]).n.sum() > 0
    for source in (tries[0].parent, tries, tries[::-1]):
        for duplicates in ("error", "sum"):
            again = read_results(source, duplicates=duplicates)  # type: ignore[arg-type]
            assert again.frame.equals(once.frame)
            assert any("tried again" in note for note in again.notes)
    assert main(["passk", *map(str, tries), "--duplicates", "sum", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["rows"]
    assert main(["passk", str(logs["finished json"]), "--json"]) == 0
    assert again == json.loads(capsys.readouterr().out)["rows"]


def test_a_sample_twice_in_a_log_is_refused(logs: dict[str, Path], tmp_path: Path) -> None:
    log = json.loads(logs["finished json"].read_text())
    log["samples"].append(log["samples"][0])
    (tmp_path / "x.json").write_text(json.dumps(log))
    with pytest.raises(ValueError, match=r"sample 7 of .* repeats sample 1 of .*: both are epoch 1 of"):
        read_results(tmp_path / "x.json")


def test_samples_that_a_limit_ended_count_and_are_told(logs: dict[str, Path], tmp_path: Path) -> None:
    log = json.loads(logs["finished json"].read_text())
    log["samples"][0]["limit"] = {"type": "token", "limit": 1}
    (tmp_path / "x.json").write_text(json.dumps(log))
    counts = read_results(tmp_path / "x.json")
    assert counts.frame.equals(read_results(logs["finished json"]).frame)
    assert "samples that a limit ended, counted as they were scored: 1" in counts.notes


def rewritten(log: Path, path: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(log) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, content if name == member else old.read(name))
    return path


def test_deflated_members_and_bombs(zipped: Path, tmp_path: Path) -> None:
    deflated = rewritten(zipped, tmp_path / "a.eval", "", b"")
    assert read_results(deflated, scorer="match").frame.equals(read_results(zipped, scorer="match").frame)
    bomb = rewritten(zipped, tmp_path / "b.eval", "summaries.json", b"[" + b" " * (100 << 20) + b"]")
    with pytest.raises(ValueError, match="unzips to more than a hundred times its size"):
        read_results(bomb, scorer="match")


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("summaries.json", b"{}", "summaries.json in .* is an object, not an array"),
        ("summaries.json", b"[1]", "sample 1 of .* is 1, not an object"),
        (
            "summaries.json",
            b'[{"id": true, "epoch": 1}]',
            "id of sample 1 of .* is True, not text or a whole",
        ),
        (
            "summaries.json",
            b'[{"id": 1, "epoch": 1.5}]',
            "epoch of sample 1 of .* is 1.5, not a whole number",
        ),
        (
            "summaries.json",
            b'[{"id": 1, "epoch": 1, "scores": 3}]',
            "scores of sample 1 .* is 3, not an object",
        ),
        (
            "summaries.json",
            b'[{"id": 1, "epoch": 1, "scores": {"m": {"value": [1, 0]}}}]',
            "m of sample 1 .* is an array, not a number",
        ),
        (
            "summaries.json",
            b'[{"id": 1, "epoch": 1, "scores": {"m": {"value": "maybe"}}}]',
            "m of sample 1 .* is 'maybe', not C, I, P, N",
        ),
        ("summaries.json", b'[{"id": 1', "summaries.json in .* is no JSON"),
        ("summaries.json", b"[" * 200_000, "nested too deeply"),
        ("header.json", b'{"version": 2}', "eval in .* is missing, not an object"),
        ("header.json", b'{"invalidated": true}', "were invalidated"),
    ],
)
def test_faults_are_named(zipped: Path, tmp_path: Path, member: str, content: bytes, message: str) -> None:
    path = rewritten(zipped, tmp_path / "x.eval", member, content)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_names_of_members_are_never_paths(tmp_path: Path, zipped: Path) -> None:
    """Members that climb out of the archive are not read, let alone written."""
    path = rewritten(zipped, tmp_path / "x.eval", "", b"")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../_journal/summaries/1.json", "[")
    before = sorted(tmp_path.rglob("*"))
    assert read_results(path, scorer="match").n.sum() == 6
    assert sorted(tmp_path.rglob("*")) == before


def test_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match=r"is a ZIP without .*, so no log of inspect-ai"):
        read_results(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_archives_are_errors_or_unharmed(
    tmp_path_factory: pytest.TempPathFactory, zipped: Path, data: st.DataObject
) -> None:
    content = bytearray(zipped.read_bytes())
    # The end of the file holds the table of members and the header: most damage elsewhere is never read.
    at = len(content) - data.draw(st.integers(1, min(len(content), 6000)))
    content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.mktemp("damaged") / "x.eval"
    path.write_bytes(content)
    total, message = 0, ""
    try:
        total = read_results(path, scorer="match").n.sum()
    except ValueError as error:
        message = str(error)
    assert total <= 6
    assert not message or "x.eval" in message


def test_a_wrong_checksum_is_noticed(zipped: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        info = archive.getinfo("summaries.json")
    content = zipped.read_bytes()
    wrong = (info.CRC ^ 1).to_bytes(4, "little")
    path = tmp_path / "x.eval"
    path.write_bytes(content.replace(info.CRC.to_bytes(4, "little"), wrong))
    assert zlib.crc32(path.read_bytes()) != zlib.crc32(content)
    with pytest.raises(ValueError, match=r"summaries\.json in .* cannot be unzipped: its checksum is wrong"):
        read_results(path, scorer="match")


def test_a_workbook_is_a_zip_that_says_what_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as made:
        for member in ("[Content_Types].xml", "xl/workbook.xml"):
            made.writestr(member, "<x/>")
    with pytest.raises(ValueError, match=r"x\.xlsx is a workbook of Excel: save the sheet .* as \.csv"):
        read_results(tmp_path / "x.xlsx")
