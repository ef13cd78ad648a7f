"""Plans for their price, and runs to make next, as pages."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
import t2fast
from pages import Parts
from t2fast.cli.main import main
from t2fast.costs import Machine, accelerator
from t2fast.plans.spending_frontier import spending_frontier
from t2fast.reports.page import Grid, Prose

LAW = t2fast.default_law()
FEW = replace(LAW, draws=LAW.draws[:20])
QUERIES = 1e8, 150.0, 150.0
MACHINE = Machine(accelerator("H100"), usd_per_hour=2.5)


@pytest.fixture(scope="module")
def workload() -> t2fast.Workload:
    return t2fast.Workload.on(MACHINE, *QUERIES)


def data(parts: Parts, name: str) -> pl.DataFrame:
    """What a figure offers to download."""
    link = next(a["href"] for a in parts.all("a") if a.get("download") == f"{name}.csv")
    assert link is not None
    return pl.read_csv(io.StringIO(unquote(link.split(",", 1)[1])))


def test_a_plan_in_dollars_has_what_the_terminal_prints(workload: t2fast.Workload) -> None:
    plan = t2fast.plan_spending(LAW, workload, budget=1e4)
    found = plan.report(title="Ours")
    assert [section.title for section in found.sections] == [
        "The law",
        "The plan beside Chinchilla's",
        "Where it comes from",
    ]
    parts = Parts(found.html())
    assert set(plan.warnings) <= set(found.warnings)
    section = found.sections[1]
    said = " ".join(block.text for block in section.blocks if isinstance(block, Prose))
    shown = " ".join(str(plan).split())
    for words in said.split(". "):
        assert words[1:].rstrip(".") in shown, words
    assert "emory binds at a batch of" in said
    (grid,) = (block for block in section.blocks if isinstance(block, Grid))
    assert grid.caption == plan.title
    for row in grid.rows:
        assert " ".join(cell for cell in row if cell) in shown
    assert {"profile", "frontier"} == {
        block.name for block in section.blocks if isinstance(block, t2fast.charts.Figure)
    }
    frame = data(parts, "frontier")
    assert frame["budget"][[0, -1]].to_list() == pytest.approx([1e3, 1e5])
    for row in frame.iter_rows(named=True):
        other = t2fast.plan_spending(LAW, workload, budget=row["budget"])
        assert other.chinchilla is not None
        for prefix, choice in (("", other.chosen), ("chinchilla_", other.chinchilla)):
            for name in ("n_params", "n_tokens", "k", "predicted"):
                assert row[prefix + name] == pytest.approx(getattr(choice, name), rel=1e-9)
                ends = row[f"{prefix}{name}_low"], row[f"{prefix}{name}_high"]
                assert ends == pytest.approx(choice.intervals[name], rel=1e-9)


def test_a_target_has_what_it_costs_and_what_others_would(workload: t2fast.Workload) -> None:
    plan = t2fast.plan_spending(LAW, workload, target=0.5)
    frame = spending_frontier(plan)
    own = frame.row(by_predicate=pl.col("target") == 0.5, named=True)
    assert own["cost"] == pytest.approx(plan.chosen.cost, rel=1e-9)
    assert (own["cost_low"], own["cost_high"]) == pytest.approx(plan.chosen.intervals["cost"], rel=1e-9)
    assert frame["cost"].is_sorted()
    # The law does not reach this much within its limits: the place is left out.
    with pytest.raises(ValueError, match="nowhere"):
        t2fast.plan_spending(LAW, workload, target=13 / 14)
    assert frame["target"].max() < 13 / 14
    parts = Parts(plan.report().html())
    offered = data(parts, "frontier")
    assert offered.columns == frame.columns
    np.testing.assert_allclose(offered["cost_high"], frame["cost_high"])
    assert not any("No plan was asked for" in words for words in parts.texts["p"])


def test_a_latency_that_is_missed_comes_first(workload: t2fast.Workload) -> None:
    big = t2fast.Workload.on(Machine(accelerator("H100"), usd_per_hour=2.5), *QUERIES, rows=1e5)
    plan = t2fast.plan_spending(LAW, big, budget=1e5, latency=0.5)
    (missed,) = (words for words in plan.findings() if words.startswith("! "))
    found = plan.report()
    assert missed[2:] in found.warnings
    assert not any(missed[2:] in words for words in Parts(found.html()).texts["p"])


def test_answers_of_a_check_that_errs_are_there() -> None:
    work = t2fast.Workload(1e6, 500, 500)
    plan = t2fast.plan_spending(FEW, work, budget=1e21, verifier=t2fast.Verifier(0.9, 0.01))
    parts = Parts(plan.report().html())
    assert plan.chosen.right is not None
    assert f"{plan.chosen.right:.4f}" in parts.texts["td"]
    assert {"right answers", "wrong answers"} <= set(parts.texts["td"])
    assert {a["download"] for a in parts.all("a") if "download" in a} == {"answers.csv"}


def test_a_plan_under_two_budgets_whose_check_errs_is_a_page() -> None:
    plan = t2fast.plan_checked(FEW, t2fast.Verifier(0.9, 0.01), 2.56e19, 2e9)
    found = plan.report()
    assert [section.title for section in found.sections][1:2] == ["The plan beside Chinchilla's"]
    assert set(plan.warnings) <= set(found.warnings)
    parts = Parts(found.html())
    assert {f"{plan.chosen.right:.4f}", f"{plan.chosen.wrong:.4f}"} <= set(parts.texts["td"])
    assert any(words[1:] == f"{plan.finding()[1:]}." for words in parts.texts["p"])
    assert len(data(parts, "answers")) > 10


def test_the_command_reports_plans_for_their_price(
    tmp_path: Path, capsys: Any, workload: t2fast.Workload
) -> None:
    page = tmp_path / "page.html"
    on = ["--gpu", "H100", "--usd-per-hour", "2.5", "--queries", "1e8"]
    line = ["report", *on, "--prompt-tokens", "150", "--output-tokens", "150", "-o", str(page), "--json"]
    assert main([*line, "--usd", "1e4"]) == 0
    assert "The plan beside Chinchilla's" in json.loads(capsys.readouterr().out)["sections"]
    plan = t2fast.plan_spending(LAW, workload, budget=1e4)
    assert plan.title in Parts(page.read_text(encoding="utf-8")).texts["span"]
    assert main([*line, "--target", "0.5"]) == 0
    capsys.readouterr()
    assert main([*line, "--usd", "1e4", "--prices", "prices.csv"]) == 1
    assert "--gpu is of a plan under one budget, --prices of a choice" in capsys.readouterr().err


@pytest.fixture(scope="module")
def losses() -> pl.DataFrame:
    chinchilla = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    n, d = (axis.ravel() for axis in np.meshgrid([1e7, 2e7, 4e7, 8e7], [2e8, 8e8, 3e9]))
    noise = np.exp(0.005 * np.random.default_rng(0).standard_normal(len(n)))
    loss = t2fast.Law("chinchilla", chinchilla).predict(n, d) * noise
    return pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss})


RUNS = {"n_params": [1e7, 4e7, 1.6e8, 6.4e8], "n_tokens": [2e8, 8e8, 3e9, 1.2e10]}


def test_runs_to_make_next_are_a_page(losses: pl.DataFrame, tmp_path: Path, capsys: Any) -> None:
    table, runs, page = (tmp_path / name for name in ("losses.csv", "runs.csv", "page.html"))
    losses.write_csv(table)
    pl.DataFrame(RUNS).write_csv(runs)
    law = t2fast.fit_forecast(t2fast.read_losses(losses), draws=400)
    design = t2fast.design(law, RUNS, at=[(1e9, 2e10)])
    found = design.report()
    assert found.title == "runs to make next"
    assert set(design.warnings) <= set(found.warnings)
    parts = Parts(found.html())
    assert f"Wanted: {design.targets[0]}." in parts.texts["p"]
    assert f"{design.runs['spread'][0]:.1%}" in parts.texts["td"]
    assert data(parts, "design")["n_params"].to_list() == design.runs["n_params"].to_list()
    assert (
        main(["report", str(table), "--runs", str(runs), "--at", "1e9,2e10", "-o", str(page), "--json"]) == 0
    )
    shown = capsys.readouterr()
    assert "What to measure next" in json.loads(shown.out)["sections"]
    assert data(Parts(page.read_text(encoding="utf-8")), "design").equals(data(parts, "design"))
    asked = ["--runs", str(runs), "--at", "1e9,2e10", "--level", "0.5"]
    assert main(["report", str(table), *asked, "-o", str(page)]) == 0
    wanted = next(words for words in Parts(page.read_text("utf-8")).texts["p"] if words.startswith("Wanted"))
    assert wanted.endswith("(50%).")
    assert main(["report", str(table), "--runs", str(runs), "-o", str(page)]) == 1
    assert "nothing is wanted: give --at" in capsys.readouterr().err


def test_a_design_without_runs_says_why(losses: pl.DataFrame) -> None:
    law = t2fast.fit_forecast(t2fast.read_losses(losses), draws=60)
    design = t2fast.design(law, RUNS, at=[(1e9, 2e10)], budget=1.0)
    parts = Parts(design.report().html())
    assert any("is less than the cheapest run costs" in words for words in parts.texts["p"])
    assert not any("download" in a for a in parts.all("a"))
