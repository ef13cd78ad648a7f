"""A testbed that is asked for more: only what is new is done, and what is there stays."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from t2fast import testbed
from t2fast.testbed.grid import grid
from tiny_bed import TINY

pytest.importorskip("torch", reason="training needs torch")

SETTINGS = testbed.parse_settings(TINY)


def trained(folder: Path) -> dict[str, int]:
    """When each model was written."""
    models = (folder / "checkpoints").glob("*/model/model.safetensors")
    return {path.parent.parent.name: path.stat().st_mtime_ns for path in models}


def test_more_samples_and_seeds_of_the_loop_are_added(done: testbed.Testbed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "bed"))
    before = trained(folder)
    grown = testbed.run_testbed(replace(SETTINGS, samples=12, loop_seeds=2), folder, workers=1)
    assert grown.counts.frame["n_samples"].min() == 12
    assert {len(one.by_likelihood) for one in grown.kept} == {2}
    after = trained(folder)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    # The first seed's promise, and what it did, are those of before: likelihoods ask for no samples.
    for one, was in zip(grown.kept, done.kept, strict=True):
        assert one.promise == was.promise
        assert one.by_likelihood[0] == was.by_likelihood[0]
    # What training took is remembered where only the measurement was made anew.
    for name in before:
        record = Path("checkpoints", name, "work.json")
        new, old = (json.loads((place / record).read_text()) for place in (folder, done.folder))
        assert new["timed_flops"] == old["timed_flops"] > 0
        assert new["train_cpu_seconds"] == old["train_cpu_seconds"]
    with pytest.raises(ValueError, match="samples was 12 and is 8"):
        testbed.run_testbed(SETTINGS, folder, workers=1)


def test_more_sizes_and_budgets_are_added(done: testbed.Testbed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done.folder, tmp_path / "bed"))
    before = trained(folder)
    wider = replace(SETTINGS, sizes=(*SETTINGS.sizes, (28, 1, 2)), budgets=(*SETTINGS.budgets, 3.2e9))
    grown = testbed.run_testbed(wider, folder, workers=1)
    after = trained(folder)
    assert before.items() <= after.items()
    new = set(after) - set(before)
    asked = {one.name for one in grid(wider)} - {one.name for one in grid(SETTINGS)}
    assert asked <= new  # the loop may train a size that it did not have
    # Its laws see budgets up to C/8 alone, and these lie above: they are what they were.
    assert grown.fitted == done.fitted
    assert [law.to_dict() for law in grown.laws.values()] == [law.to_dict() for law in done.laws.values()]
    assert new <= set(grown.losses.frame["model"])
    with pytest.raises(ValueError, match=r"budgets was .*3200000000.* and is"):
        testbed.run_testbed(SETTINGS, folder, workers=1)
