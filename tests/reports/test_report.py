"""Pages of results: what stands on them, in which order, and that nothing on them is more than text."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
import t2fast
from pages import Parts
from t2fast.charts import Figure
from t2fast.cli.main import main
from t2fast.decode.request import Sampling
from t2fast.readers import read_results
from t2fast.reports.fitted import points_of
from t2fast.reports.page import Grid, Prose
from t2fast.reports.provenance import provenance
from t2fast.runs.manifest import Manifest, ModelEntry, TaskEntry
from t2fast.tables.counts import joined_counts
from t2fast.text import amount

HOSTILE = "</td><script>alert(1)</script>&amp;'\"\x1b[2J"


@pytest.fixture(scope="module")
def plan() -> t2fast.Plan:
    return t2fast.plan(t2fast.default_law(), 2.56e19, 2e9)


@pytest.fixture(scope="module")
def html(counts: t2fast.Counts, plan: t2fast.Plan) -> str:
    return t2fast.report(counts, plan).html()


def test_the_page_says_what_its_parts_say(counts: t2fast.Counts, plan: t2fast.Plan, html: str) -> None:
    parts = Parts(html)
    assert parts.texts["h2"] == [
        "Before you believe it",
        "What was measured",
        "The law",
        "What to train",
        "The plan beside Chinchilla's",
        "Where it comes from",
    ]
    cells = parts.texts["td"]
    curve = t2fast.estimate(
        *(counts.frame.head(40)[name].to_numpy() for name in ("n_samples", "n_correct")), k=1
    )
    assert f"{curve.mean[0]:.4f}" in cells
    assert f"{plan.predicted:.4f}" in cells
    warned = [words for words in parts.texts["li"] if words]
    assert all(any(words in line for line in warned) for words in plan.warnings)
    assert any(f"{plan.ratio:.2f} times Chinchilla's" in words for words in parts.texts["p"])


def test_scripts_run_by_their_hashes_alone_and_nothing_may_be_fetched(html: str) -> None:
    parts = Parts(html)
    policy = next(m["content"] for m in parts.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    run = [
        text
        for text, has in zip(parts.texts["script"], parts.all("script"), strict=True)
        if not has.get("type")
    ]
    hashed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert rules["script-src"].split() == [f"'sha256-{one}'" for one in hashed]
    links = [
        has.get("href") or has.get("src") or "" for tag, has in parts.elements if tag in ("a", "link", "img")
    ]
    assert all(link.startswith(("data:", "#")) for link in links)


def test_names_cannot_become_elements() -> None:
    frame = pl.DataFrame(
        {
            "model": [HOSTILE] * 3,
            "task": HOSTILE,
            "problem": ["a", "b", "c"],
            "n_samples": 4,
            "n_correct": [0, 2, 4],
        }
    )
    found = t2fast.report(t2fast.read_counts(frame), title=HOSTILE, command=["t2fast", HOSTILE])
    parts = Parts(found.html())
    assert len(parts.all("script")) == 3
    assert len(parts.all("img")) == 2
    shown = HOSTILE.replace("\x1b", "\\x1b")
    assert parts.texts["h1"] == parts.texts["title"] == [shown]
    assert shown in parts.texts["td"]
    data = json.loads(parts.texts["script"][0])
    drawn = next(iter(data["charts"].values()))["datasets"]
    assert {row["checkpoint"] for rows in drawn.values() for row in rows} == {shown}


def test_the_data_of_every_figure_is_there_to_download(counts: t2fast.Counts, html: str) -> None:
    links = {a["download"]: a["href"] for a in Parts(html).all("a") if "download" in a}
    assert set(links) == {
        f"{name}.csv"
        for name in ("pass_at_k", "difficulty", "fit", "residuals", "isoflop", "frontier", "profile")
    }
    text = unquote((links["pass_at_k.csv"] or "").split(",", 1)[1])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 12 * 7  # k = 1, 2, 4, ... 32 and 40
    groups = counts.frame.partition_by("model", maintain_order=True)
    for group in groups:
        curve = t2fast.estimate(
            group["n_samples"].to_numpy(), group["n_correct"].to_numpy(), [1, 2, 4, 8, 16, 32, 40]
        )
        mine = [row for row in rows if row["checkpoint"] == group["model"][0]]
        np.testing.assert_array_equal([float(row["pass_at_k"]) for row in mine], curve.mean)
        np.testing.assert_array_equal([float(row["low"]) for row in mine], curve.low)
    text = unquote((links["difficulty.csv"] or "").split(",", 1)[1])
    rows = list(csv.DictReader(io.StringIO(text)))
    never = {row["checkpoint"]: int(row["problems"]) for row in rows if row["solved"] == "never"}
    assert never == {group["model"][0]: group.filter(pl.col("n_correct") == 0).height for group in groups}


def test_the_same_parts_make_the_same_page(counts: t2fast.Counts, plan: t2fast.Plan, html: str) -> None:
    assert t2fast.report(counts, plan).html() == html


def test_a_law_is_held_against_the_table_where_it_knows_no_measurements(counts: t2fast.Counts) -> None:
    law = t2fast.default_law()
    points = points_of(law, counts)
    assert points is not None
    one = points.filter((pl.col("n_params") == 1e9) & (pl.col("n_tokens") == 3e10) & (pl.col("k") == 8))
    group = counts.frame.filter((pl.col("n_params") == 1e9) & (pl.col("n_tokens") == 3e10))
    mean = t2fast.pass_at_k(group["n_samples"].to_numpy(), group["n_correct"].to_numpy(), 8).mean()
    assert one["observed"].item() == pytest.approx(mean, rel=1e-12)
    assert one["predicted"].item() == law.predict(1e9, 3e10, 8)
    losses = t2fast.read_losses({"n_params": [1e8, 1e9], "n_tokens": [1e9, 1e10], "loss": [3.0, 2.5]})
    assert points_of(law, losses) is None
    with pytest.raises(ValueError, match="does not know the measurements that it was fitted to"):
        law.plot()


def test_what_cannot_be_drawn_is_said_and_every_plan_is_there(counts: t2fast.Counts) -> None:
    twice = pl.concat([counts.frame, counts.frame.with_columns(task=pl.lit("another"))])
    law = t2fast.default_law()
    plans = [t2fast.plan(law, flops, 2e9) for flops in (2e19, 4e19)]
    found = t2fast.report(t2fast.read_counts(twice), *plans)
    said = [block.text for section in found.sections for block in section.blocks if isinstance(block, Prose)]
    assert any("There is no picture of the fit: " in words and "2 tasks" in words for words in said)
    assert [section.title for section in found.sections].count("The plan beside Chinchilla's") == 2
    assert all(words in found.warnings for plan in plans for words in plan.warnings)


def test_wrong_answers_are_shown_where_the_check_errs() -> None:
    counts = t2fast.read_counts(
        {"model": ["a", "a"], "problem": ["1", "2"], "n_samples": [8, 8], "n_correct": [4, 4]}
    )
    prices = {"usd_per_million_prompt_tokens": [1.0], "usd_per_million_output_tokens": [1.0]}
    chosen = t2fast.choose(
        counts,
        t2fast.read_prices({"model": ["a"], **prices}),
        prompt_tokens=100,
        output_tokens=100,
        max_k=1,
        verifier=t2fast.choices.Verifier(0.75, 0.25),
    )
    parts = Parts(t2fast.report(chosen).html())
    assert "answered wrongly" in parts.texts["th"]
    # Half of the samples are right: 1/2 x 3/4 and 1/2 x 1/4.
    assert {"0.3750", "0.1250"} <= set(parts.texts["td"])


def test_validations_and_choices_have_their_sections(counts: t2fast.Counts) -> None:
    found = t2fast.validate(counts, methods=["log-linear"], splits=2, draws=0, progress=False)
    models = counts.frame["model"].unique(maintain_order=True).to_list()
    prices = t2fast.read_prices(
        {
            "model": models,
            "usd_per_million_prompt_tokens": [0.1 * (i + 1) for i in range(len(models))],
            "usd_per_million_output_tokens": [0.3 * (i + 1) for i in range(len(models))],
        }
    )
    bare = t2fast.read_counts(counts.frame.drop("n_params", "n_tokens"))
    chosen = t2fast.choose(bare, prices, prompt_tokens=100, output_tokens=100, draws=500, seed=5)
    parts = Parts(t2fast.report(found, chosen).html())
    assert any(found.verdict[1:] in words for words in parts.texts["p"])
    assert any(chosen.request in words for words in parts.texts["p"])
    assert "Intervals and chances are from 500 draws of the problems, seed 5." in parts.texts["p"]
    assert (chosen.to_dict()["draws"], chosen.to_dict()["seed"]) == (500, 5)
    names = {a["download"] for a in parts.all("a") if "download" in a}
    assert names == {"errors.csv", "forecasts.csv", "market.csv"}
    assert found.report().sections[0].title == "How good its forecasts are"
    nearest = next(row for row in found.report().sections[0].blocks[1].rows if row[0] == "nearest")
    assert nearest[4] == "-"  # worse than itself it cannot be


def test_a_cascade_shows_the_samples_of_each_model() -> None:
    counts = t2fast.read_counts(
        {"model": ["a", "b"], "problem": ["1", "1"], "n_samples": [64, 64], "n_correct": [20, 40]}
    )
    prices = {"usd_per_million_prompt_tokens": [0.1, 2.0], "usd_per_million_output_tokens": [0.1, 2.0]}
    chosen = t2fast.choose(
        counts, t2fast.read_prices({"model": ["a", "b"], **prices}), prompt_tokens=100, output_tokens=100
    )
    assert chosen.together is not None
    option = replace(chosen.together.option, stages=(("a", 37), ("b", 72)))
    both = replace(chosen, cascade=replace(chosen.together, option=option))
    assert {"a then b", "37 then 72"} <= set(Parts(t2fast.report(both).html()).texts["td"])


def test_models_without_sizes_are_not_said_to_be_sorted(counts: t2fast.Counts) -> None:
    bare = t2fast.read_counts(counts.frame.drop("n_params", "n_tokens"))
    assert "Checkpoints, smallest first" in t2fast.report(counts).html()
    assert "smallest first" not in t2fast.report(bare).html()


def test_the_middle_of_residuals_smooths_values_that_are_all_different() -> None:
    x = np.arange(1.0, 201.0)
    sign = np.where(np.arange(200) % 2, 1.0, -1.0)
    frame = pl.DataFrame(
        {"n_params": x, "n_tokens": np.full(200, 1e9), "k": np.ones(200), "predicted": np.ones(200)}
    ).with_columns(pl.Series("observed", np.exp(sign * 0.1)))
    (panel,) = t2fast.charts.residuals(frame, "loss").panels
    spec = panel.to_dict()
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    middle = spec["datasets"][line["data"]["name"]]
    assert len(middle) == 10
    # A tenth has ten of each sign: their median is nought.
    assert all(abs(row["residual"]) < 1e-12 for row in middle)
    assert [row["n_params"] for row in middle] == [10.5 + 20 * i for i in range(10)]


def test_losses_need_no_k(tmp_path: Path) -> None:
    n, d = (a.ravel() for a in np.meshgrid(1e7 * 3.0 ** np.arange(5), 1e9 * 3.0 ** np.arange(4)))
    losses = t2fast.read_losses({"n_params": n, "n_tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28})
    law = t2fast.fit_chinchilla(losses, draws=0)
    parts = Parts(t2fast.report(losses, law).html())
    assert "Read from the table: 20 measurements of loss, 20 checkpoints." in parts.texts["p"]
    assert {"values.csv", "isoflop.csv"} <= {a.get("download") for a in parts.all("a")}


def test_an_interval_from_next_to_nothing_begins_at_nought() -> None:
    problems = [str(i) for i in range(64)]
    table = t2fast.read_counts({"problem": problems, "n_samples": [128] * 64, "n_correct": [2] + [0] * 63})
    page = t2fast.report(table).html()
    assert re.search(r"<td[^>]*>0\.0000 to 0\.0\d+</td>", page)
    assert not re.search(r"<td[^>]*>[\d.]+e-\d+ to ", page)


def test_likelihoods_become_curves() -> None:
    p = [0.5, 0.25, 1.0]
    table = t2fast.read_likelihoods({"problem": ["a", "b", "c"], "p": p})
    (figure, *_) = [block for block in table.report().sections[0].blocks if isinstance(block, Figure)]
    curve = dict(figure.frame.select("k", "pass_at_k").iter_rows())
    assert curve == pytest.approx({k: np.mean([1 - (1 - q) ** k for q in p]) for k in 2 ** np.arange(8)})


def test_nothing_and_what_is_no_result_are_refused() -> None:
    with pytest.raises(ValueError, match="there is nothing to report"):
        t2fast.report()
    with pytest.raises(TypeError, match="not of a str"):
        t2fast.report("counts.csv")  # type: ignore[arg-type]


def test_the_command_plans_by_the_law_that_ships_as_plan_does(
    tmp_path: Path, capsys: Any, counts: t2fast.Counts
) -> None:
    table, page = tmp_path / "counts.csv", tmp_path / "page.html"
    counts.write(table)
    line = ["report", str(table), "-o", str(page)]
    assert main([*line, "--train-flops", "1e20", "--inference-flops", "1e10", "--json"]) == 0
    assert "What to train" in json.loads(capsys.readouterr().out)["sections"]
    best = t2fast.plan(t2fast.default_law(), 1e20, 1e10)
    html = page.read_text(encoding="utf-8")
    assert amount(best.n_params) in html
    assert t2fast.default_law().source[:30] in html


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--inference-flops", "--inference-flops is half of a plan: give --train-flops too"),
        ("--target", "--target is of a choice among models that exist, or of a plan: give --prices, or"),
        (
            "--per-query",
            "--per-query is of a plan under one budget: give --usd, --total-flops or --target, or",
        ),
        ("--prompt-tokens", "or --target, or --prices to choose among models that exist, or leave it out"),
        ("--batch", "--batch is of a plan under one budget: give --usd, --total-flops or --target, or leave"),
        ("--budget", "--budget is of runs to make next: give --runs, or leave it out"),
        ("--chance", "--chance goes with accuracies, and "),
        ("--level", "--level is of a law's intervals: give --law, a budget or --runs, or leave it out"),
    ],
)
def test_an_option_that_nothing_heeds_is_refused(
    option: str, why: str, tmp_path: Path, capsys: Any, counts: t2fast.Counts
) -> None:
    table, page = tmp_path / "counts.csv", tmp_path / "page.html"
    counts.write(table)
    assert main(["report", str(table), "-o", str(page), option, "0.8"]) == 1
    assert why in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--validate", "2"),
        ("--min-params", "1e9"),
        ("--errors", "drop"),
        ("--chance", "0.2"),
        ("--task", "x"),
    ],
)
def test_an_option_of_a_table_needs_one(option: str, value: str, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "page.html"
    assert main(["report", "--law", "pythia-gsm8k", option, value, "-o", str(page)]) == 1
    assert f"{option} is of a table of what was measured: give its file, or" in capsys.readouterr().err
    assert not page.exists()


def test_the_command_validates_chooses_and_knows_runs(
    tmp_path: Path, capsys: Any, counts: t2fast.Counts
) -> None:
    table, prices, page = tmp_path / "counts.csv", tmp_path / "prices.csv", tmp_path / "page.html"
    counts.write(table)
    models = counts.frame["model"].unique(maintain_order=True)
    cost = pl.Series(range(1, len(models) + 1), dtype=pl.Float64)
    pl.DataFrame(
        {"model": models, "usd_per_million_prompt_tokens": cost, "usd_per_million_output_tokens": 3 * cost}
    ).write_csv(prices)
    tokens = ["--prompt-tokens", "100", "--output-tokens", "50"]
    line = ["report", str(table), "--prices", str(prices), *tokens, "--validate", "1", "-o", str(page)]
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"] == [
        "What was measured",
        "How good its forecasts are",
        "What to buy",
        "Where it comes from",
    ]
    manifest = Manifest(
        (ModelEntry("tiny", "ab12", 1e6, None, "base", "float32", "avx2"),),
        (TaskEntry("sums", "cd34", 3, "exact", Sampling(seed=11), True),),
        k=4,
        until_successes=None,
        score=False,
        chat=False,
    )
    folder = tmp_path / "run"
    folder.mkdir()
    manifest.save(folder)
    section = provenance(None, [folder], [])
    shown = [
        cell for block in section.blocks if isinstance(block, Grid) for row in block.rows for cell in row
    ]
    assert {"4", "ab12, float32", "cd34, seed 11, temperature 1"} <= set(shown)


def test_samples_that_ended_in_an_error_are_on_the_page() -> None:
    path = Path(__file__).parents[1] / "readers" / "written" / "verifiers-0.4.0_traces.jsonl"
    for errors, what in (("count", "left out"), ("fail", "counted as wrong")):
        counts = read_results(path, errors=errors)  # type: ignore[arg-type]
        other = replace(counts, frame=counts.frame.with_columns(model=pl.lit("another")))
        words = Parts(t2fast.report(counts).html()).texts["p"]
        assert any(f"In all that was read, 1 sample ended in an error ({what}: 1)." in one for one in words)
        assert joined_counts([counts, other]).errored == {what: 2}
    assert "ended in an error" not in t2fast.report(replace(counts, errored={}, notes=())).html()


def test_tasks_of_one_model_are_not_checkpoints(counts: t2fast.Counts) -> None:
    one = counts.frame.filter(pl.col("model") == pl.col("model").first())
    tasks = t2fast.read_counts(pl.concat([one, one.with_columns(task=pl.lit("another"))]))
    figures = [block for block in t2fast.report(tasks).sections[0].blocks if isinstance(block, Figure)]
    for figure in figures:
        assert "1 checkpoint, each by task, stage and data (2 in all)," in figure.says
    curves, classes = (figure.says for figure in t2fast.report(counts).sections[0].blocks[2:4])  # type: ignore[union-attr]
    assert "pass@k of 12 checkpoints over" in curves
    assert "for 12 checkpoints: " in classes


def test_the_page_says_why_a_method_has_no_forecast(counts: t2fast.Counts) -> None:
    """The loss law takes no checkpoint at which nothing was solved."""
    none = counts.frame.with_columns(
        n_correct=pl.when(pl.col("n_tokens") < 1e10).then(0).otherwise(pl.col("n_correct"))
    )
    found = t2fast.validate(
        t2fast.read_counts(none), splits=2, methods=["log-linear", "loss"], draws=0, progress=False
    )
    said = Parts(found.report().html()).texts["p"]
    assert any(words.startswith("loss: 2 of 2 splits without a forecast: ") for words in said)
