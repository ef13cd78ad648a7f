"""Where a page comes from: seeds, hashes and the command."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import t2fast
from pages import Parts
from t2fast.cli.main import main
from t2fast.decode.request import Sampling
from t2fast.reports.page import Grid
from t2fast.reports.provenance import provenance
from t2fast.runs import Run
from t2fast.runs.manifest import Manifest, ModelEntry, TaskEntry


def test_the_command_names_its_files_and_hashes(tmp_path: Path, capsys: Any, counts: t2fast.Counts) -> None:
    table, law, page = tmp_path / "counts.csv", tmp_path / "law.json", tmp_path / "page.html"
    counts.write(table)
    t2fast.default_law().save(law)
    arguments = ["report", str(table), "--law", str(law), "-o", str(page), "--json"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    data = json.loads(shown.out)
    assert data["bytes"] == page.stat().st_size
    assert "report kept in" in shown.err
    html = page.read_text(encoding="utf-8")
    for file in (table, law):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in html
    assert "No plan was asked for" in html
    assert re.search(r"<title>counts.csv</title>", html)


def test_the_page_names_the_seeds_of_a_fit_and_of_a_validation(tmp_path: Path, counts: t2fast.Counts) -> None:
    """After a way through a file, too: whoever is given the law makes the same intervals again."""
    with pytest.warns(t2fast.FitWarning):
        law = t2fast.fit_accuracy(counts, draws=20, seed=7, progress=False)
    law.save(tmp_path / "law.json")
    found = t2fast.validate(counts, splits=2, methods=["accuracy"], draws=40, seed=11, progress=False)
    kept = found.keep(t2fast.Law.load(tmp_path / "law.json"))
    assert kept.fit is not None
    assert kept.validation is not None
    assert (kept.fit.seed, kept.validation.seed) == (7, 11)
    said = Parts(t2fast.report(kept, found).html()).texts["p"]
    assert law.draws is not None
    assert f"Intervals come from {len(law.draws)} draws of the law, made with seed 7." in said
    assert "2 splits; intervals: from 40 draws a split; seed 11." in said
    assert (found.to_dict()["draws"], found.to_dict()["seed"]) == (40, 11)


def test_the_page_names_the_seed_of_a_comparison(counts: t2fast.Counts) -> None:
    models = counts.frame["model"].unique(maintain_order=True).head(2).to_list()
    sides = {name: t2fast.read_counts(counts.frame.filter(pl.col("model") == name)) for name in models}
    found = t2fast.compare(sides, draws=300, seed=9)
    said = Parts(t2fast.report(found).html()).texts["p"]
    assert "Bands and chances are from 300 draws of the problems, seed 9." in said
    assert (found.to_dict()["draws"], found.to_dict()["seed"]) == (300, 9)


def test_every_fit_keeps_its_seed(counts: t2fast.Counts) -> None:
    n, d = (a.ravel() for a in np.meshgrid(1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(4)))
    losses = t2fast.read_losses({"n_params": n, "n_tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28})
    grown = t2fast.read_counts(counts.frame.with_columns(pl.col("n_correct").clip(1, 39)))
    fits = (t2fast.fit_forecast, t2fast.fit_loss, t2fast.fit_direct, t2fast.fit_counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        laws = [fit(grown, draws=0, seed=3) for fit in fits]
        laws.append(t2fast.fit_chinchilla(losses, draws=0, seed=3))
    assert [law.fit.seed for law in laws if law.fit is not None] == [3] * 5


def test_a_page_of_a_run_names_the_hashes_of_its_samples(tmp_path: Path) -> None:
    """The manifest says how they were drawn, not what came out."""
    sampled = tmp_path / "samples" / "tiny" / "sums.jsonl"
    sampled.parent.mkdir(parents=True)
    task = TaskEntry("sums", "cd34", 3, "exact", Sampling(seed=11), True)
    model = ModelEntry("tiny", "ab12", 1e6, None, "base", "float32", "avx2")
    Manifest((model,), (task,), k=4, until_successes=None, score=False, chat=False).save(tmp_path)
    shown = []
    for text in ("{}\n", "{}\n{}\n"):
        sampled.write_text(text)
        folder, opened = provenance(None, [tmp_path], []), provenance(None, [], [Run.open(tmp_path)])
        assert folder == opened == provenance(None, [tmp_path], [Run.open(tmp_path)])
        (grid, *_) = [block for block in folder.blocks if isinstance(block, Grid)]
        assert [row[0] for row in grid.rows] == [str(tmp_path / "manifest.json"), str(sampled)]
        assert grid.rows[1][1] == hashlib.sha256(text.encode()).hexdigest()
        shown.append(grid.rows)
    assert shown[0][0] == shown[1][0]
