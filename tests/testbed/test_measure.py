"""What is measured of a checkpoint: the tables of a run that keeps every sample, to the byte."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from t2fast import testbed
from t2fast.decode import load
from t2fast.decode.request import Sampling
from t2fast.runs import evaluate
from t2fast.tasks import load_task
from t2fast.testbed.grid import grid
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")

SETTINGS = testbed.parse_settings(TINY)
ONE = max(grid(SETTINGS), key=lambda one: one.flops)


def test_tables_are_those_of_a_run(done: testbed.Testbed, tmp_path: Path) -> None:
    place = done.folder / "checkpoints" / ONE.name
    task = load_task("synthetic/knowledge", problems=12)
    run = evaluate(
        {ONE.name: place / "model"}, [task], tmp_path / "run", k=8, score=True, dtype="float32", threads=1
    )
    for name in ("counts.csv", "likelihoods.csv"):
        assert (place / name).read_bytes() == (run.folder / name).read_bytes()


def test_texts_are_tallied_as_they_are_drawn(done: testbed.Testbed) -> None:
    engine = load(done.folder / "checkpoints" / ONE.name / "model", dtype="float32")
    prompts = {problem.id: problem.prompt for problem in load_task("synthetic/causal", problems=6).problems}
    sampling = Sampling(max_tokens=3, stop=("e",))
    drawn = engine.sample(prompts, sampling, k=300, progress=False).table
    found = engine.tally(prompts, sampling, k=300)
    assert list(found) == list(prompts)
    for problem, texts in found.items():
        assert texts == Counter(drawn.filter(problem=problem)["text"])
        assert 1 < len(texts) < 300
