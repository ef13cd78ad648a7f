"""Runs that grow, or go on later: to the bytes of a run that was asked for that at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from t2fast.decode import load
from t2fast.runs import evaluate
from t2fast.runs.folder import Run
from t2fast.tasks import Problem, Task
from tiny_model import OPTIONS, contents, write_model


@pytest.mark.parametrize("wanted", [None, 2])
def test_a_run_grows_to_what_it_would_have_been(
    model: Path, sums: Task, tmp_path: Path, wanted: int | None
) -> None:
    """In samples, problems, tasks, models and scores, one after the other and with a kill between."""
    more = write_model(tmp_path / "more", seed=1, n_tokens=6e9)
    other = replace(sums.first(9), name="other")
    folder, options = tmp_path / "grown", {**OPTIONS, "until_successes": wanted}
    stages: list[tuple[list[Path], list[Task], int | None, bool]] = [
        ([model], [sums.first(20)], 8, False),
        ([model], [sums.first(20)], 40, False),
        ([model], [sums.first(31)], 40, False),
        ([model], [other, sums.first(31)], 40, False),
        ([more, model], [other, sums], 50, True),
    ]
    for models, tasks, k, score in stages:
        evaluate(models, tasks, folder, k=k, score=score, **options)
    models, tasks, k, score = stages[-1]
    fresh = evaluate(models, tasks, tmp_path / "fresh", k=k, score=score, **options)
    assert contents(folder) == contents(fresh.folder)
    assert Run.open(folder).manifest.differences(fresh.manifest) == []


def test_scores_come_first_and_samples_later(model: Path, sums: Task, whole: Run, tmp_path: Path) -> None:
    evaluate([model], [sums], tmp_path, k=None, score=True, **OPTIONS)
    evaluate([model], [sums], tmp_path, k=40, score=True, **OPTIONS)
    assert contents(tmp_path) == contents(whole.folder)


def test_a_reader_sees_a_run_that_is_growing(model: Path, sums: Task, tmp_path: Path) -> None:
    evaluate([model], [sums.first(3)], tmp_path, k=4, **OPTIONS)
    before = list(Run.open(tmp_path).samples())
    seen: list[Run] = []

    def check(problem: Problem, text: str) -> bool:
        if not seen:
            seen.append(Run.open(tmp_path))
            assert list(seen[0].samples()) == before
            assert seen[0].missing == 60 * 8 - 3 * 4
            assert seen[0].counts(partial=True).n.tolist() == [4, 4, 4]
        return sums.verify(problem, text)

    evaluate([model], [replace(sums, check=check)], tmp_path, k=8, **OPTIONS)
    assert seen


def test_a_run_continued_after_midnight_asks_what_it_asked(sums: Task, tmp_path: Path) -> None:
    model = write_model(tmp_path / "dated")
    (model / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": "{{ strftime_now('%d%m%Y') }}{{ messages[0]['content'] }}"})
    )
    begun = evaluate([model], [sums.first(3)], tmp_path / "run", k=4, chat=True, score=True, **OPTIONS)
    before = contents(begun.folder)
    # As if begun on another day and killed before its first block.
    manifest = begun.folder / "manifest.json"
    text = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**text, "created": "2001-02-03T23:59:59.000000+00:00"}))
    for path in begun.folder.iterdir():
        if path != manifest and path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    continued = evaluate([model], [sums.first(3)], tmp_path / "run", k=4, chat=True, score=True, **OPTIONS)
    assert Run.open(continued.folder).manifest.date == datetime(2001, 2, 3, 23, 59, 59, tzinfo=timezone.utc)
    assert contents(continued.folder) != before
    engine = load(model, dtype="float32")
    prompts = {problem.id: f"03022001{problem.prompt}" for problem in sums.first(3).problems}
    drawn = engine.sample(prompts, k=4, temperature=0.7, max_tokens=4, stop="\n", progress=False).table
    assert [row["text"] for row in continued.samples()] == drawn["text"].to_list()
    scored = engine.score(prompts, {problem.id: list(problem.answers) for problem in sums.first(3).problems})
    np.testing.assert_array_equal(continued.likelihoods().log_likelihood, scored["logprob"].to_numpy())


def test_a_run_that_was_refused_before_its_first_sample_leaves_its_folder_free(
    model: Path, sums: Task, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match="are to follow"):
        evaluate([model], [sums], folder, k=2, **{**OPTIONS, "max_tokens": 100_000})
    few = evaluate([model], [sums.first(3)], folder, k=2, **OPTIONS)
    assert contents(folder) == contents(
        evaluate([model], [sums.first(3)], tmp_path / "fresh", k=2, **OPTIONS).folder
    )
    assert few.missing == 0
    with pytest.raises(ValueError, match="holds another run"):
        evaluate([model], [sums.first(3)], folder, k=2, **{**OPTIONS, "max_tokens": 2})
