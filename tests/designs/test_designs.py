"""Which runs to make next: against Gaussian conditioning written out, and on published losses."""

from __future__ import annotations

import json
import math
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast import Law, design, fit_forecast, read_losses, simulate_counts
from t2fast.cli.main import main
from t2fast.designs.choosing import choose_runs

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))  # where a bench finds its peers
from benches.design import TABLES, Grid

CHINCHILLA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def table(sizes: list[float], ratios: list[float], noise: float = 0.005) -> pl.DataFrame:
    chance = np.random.default_rng(0)
    law = Law("chinchilla", CHINCHILLA)
    n, r = (x.ravel() for x in np.meshgrid(sizes, ratios))
    loss = law.predict(n, n * r) * np.exp(noise * chance.standard_normal(len(n)))
    return pl.DataFrame({"n_params": n, "n_tokens": n * r, "loss": loss})


SEEN = table([1e7, 2e7, 4e7, 8e7], [5, 20, 80])
RUNS = table([1e7, 4e7, 1.6e8, 6.4e8], [2, 20, 200]).drop("loss")


@pytest.fixture(scope="module")
def law():
    return fit_forecast(read_losses(SEEN), draws=400, progress=False)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_each_step_is_the_best_by_gaussian_conditioning(seed: int) -> None:
    """Conditioning written out with a matrix inverse, on all that was taken, for every run."""
    chance = np.random.default_rng(seed)
    draws, runs, wanted = 300, 6, 2
    joint = chance.standard_normal((draws, 4)) @ chance.standard_normal((4, runs + wanted))
    noise, cost = chance.uniform(0.1, 2, runs), chance.uniform(1, 10, runs)
    covariance = np.cov(joint, rowvar=False)
    t, x = slice(0, wanted), np.arange(wanted, wanted + runs)

    def left(taken: list[int]) -> float:
        place = x[taken]
        inner = covariance[np.ix_(place, place)] + np.diag(noise[taken])
        cross = covariance[t, place]
        return float(np.trace(covariance[t, t] - cross @ np.linalg.inv(inner) @ cross.T))

    taken: list[int] = []
    own = left([]) if taken else float(np.trace(covariance[t, t]))
    for step in choose_runs(joint[:, t], joint[:, wanted:], noise, cost, math.inf, 4):
        worth = {
            i: (own - left([*taken, i]) - 2 * own / draws) / cost[i] for i in range(runs) if i not in taken
        }
        assert worth[step.place] == pytest.approx(max(worth.values()), rel=1e-6)
        assert worth[step.place] > 0
        taken.append(step.place)
        own = left(taken)
        assert step.variance == pytest.approx(own, rel=1e-8)


def test_a_run_that_is_the_target_itself_is_taken_and_what_is_apart_never() -> None:
    chance = np.random.default_rng(1)
    target = chance.standard_normal((2_000, 1))
    values = np.hstack([chance.standard_normal((2_000, 3)), target])
    steps = list(choose_runs(target, values, np.full(4, 1e-9), np.array([1.0, 1.0, 1.0, 50.0]), 1e9, 4))
    assert next(step.place for step in steps if step.variance < 1e-6) == 3
    assert len(steps) <= 2


def test_what_a_design_promises_is_what_measuring_brings(law) -> None:
    """Measure a design's runs from the truth and fit anew: the target's interval shrinks, about as said."""
    at = [(1.28e9, 2.56e10)]
    found = design(law, RUNS, at=at, count=3)
    assert found.runs.height == 3
    spread = found.runs["spread"].to_list()
    assert spread == sorted(spread, reverse=True)
    truth = Law("chinchilla", CHINCHILLA)
    loss = truth.predict(found.runs["n_params"].to_numpy(), found.runs["n_tokens"].to_numpy())
    more = pl.concat([SEEN, found.runs.select("n_params", "n_tokens", loss=pl.Series(loss))])
    again = fit_forecast(read_losses(more), draws=400, progress=False)
    before, after = (np.log(one.draw_values(*at[0], 1.0, "mean")).std() for one in (law, again))
    assert after < before
    assert 0.3 * spread[-1] < after / before < 1.0


def test_cost_and_budget_are_kept(law) -> None:
    runs = RUNS.with_columns(cost=pl.Series(np.arange(1.0, 13.0)))
    found = design(law, runs, at=[(1e9, 1e11)], budget=15.0, count=12)
    assert found.runs["cost"].sum() <= 15.0
    assert found.runs["spent"].to_list() == np.cumsum(found.runs["cost"].to_numpy()).tolist()
    dear = design(law, RUNS, at=[(1e9, 1e11)], count=2)
    assert dear.runs["cost"].to_list() == [
        6 * n * d for n, d in dear.runs.select("n_params", "n_tokens").rows()
    ]
    none = design(law, RUNS, at=[(1e9, 1e11)], budget=1.0)
    assert none.runs.height == 0
    assert none.stopped.startswith("a budget of 1 is less than the cheapest run costs, ")


def test_the_plans_size_can_be_the_target(law) -> None:
    found = design(law, RUNS, plan_for=(1e21, None), count=4)
    assert found.runs.height
    assert found.runs["spread"].min() < 1
    assert found.targets[0].startswith("the N of the plan for 1e+21 training FLOPs: ")


def test_counts_have_designs_too(capsys, tmp_path: Path) -> None:
    truth = Law(
        "accuracy",
        {"E": 0, "A": 400, "B": 400, "alpha": 0.34, "beta": 0.28, "theta0": 2, "theta1": 1, "theta2": 0.8}
        | {"theta3": 2, "theta4": 0},
        latent=True,
    )
    counts = simulate_counts(truth, [1e8, 1e9, 4e9], [1e9, 1e10, 1e11], problems=50, samples=32)
    (tmp_path / "counts.csv").write_bytes(counts.frame.write_csv().encode())
    runs = RUNS.with_columns(pl.col("n_params", "n_tokens") * 10)
    (tmp_path / "runs.csv").write_text(runs.write_csv())
    names = [str(tmp_path / "counts.csv"), "--runs", str(tmp_path / "runs.csv")]
    targets = ["--at", "1e10,2e11,16", "--train-flops", "1e22", "--inference-flops", "2e11"]
    assert main(["design", *names, *targets, "--count", "3", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["targets"]) == 2
    assert ", 16 samples: " in data["targets"][0]
    assert 1 <= len(data["runs"]) <= 3
    plot = ["--plot", str(tmp_path / "runs.svg")]
    assert main(["design", *names, *targets, "--count", "3", *plot]) == 0
    assert "spread left" in capsys.readouterr().out
    assert "Runs to make next" in "".join(ET.parse(tmp_path / "runs.svg").getroot().itertext())
    assert main(["design", *names, "--at", "1e10,2e11", "--count", "1", "--json"]) == 0
    assert ", 1 sample: " in json.loads(capsys.readouterr().out)["targets"][0]
    (tmp_path / "runs.csv").write_text(runs.with_columns(cost=pl.lit(5.0)).write_csv())
    assert main(["design", *names, *targets, "--count", "2", *plot]) == 0
    written = [text.strip() for text in ET.parse(tmp_path / "runs.svg").getroot().itertext()]
    assert {"0", "5"} <= set(written)
    assert not any("e+" in text for text in written)


def test_columns_of_the_runs_may_go_by_other_names(tmp_path: Path, capsys) -> None:
    (tmp_path / "losses.csv").write_text(SEEN.rename({"n_params": "size"}).write_csv())
    renamed = RUNS.rename({"n_params": "size", "n_tokens": "read"})
    (tmp_path / "runs.csv").write_text(renamed.write_csv())
    names = [str(tmp_path / "losses.csv"), "--runs", str(tmp_path / "runs.csv"), "--at", "1e9,1e10"]
    assert main(["design", *names, "--columns", "n_params=size"]) == 1
    said = capsys.readouterr().err
    assert "say --columns runs.n_params=" in " ".join(said.split())
    both = "n_params=size,runs.n_params=size,runs.n_tokens=read"
    assert main(["design", *names, "--columns", both, "--count", "2", "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out)["runs"]
    assert {row["n_params"] for row in chosen} <= set(RUNS["n_params"])


def test_a_design_is_drawn_as_it_was_chosen(law) -> None:
    found = design(law, RUNS, at=[(1e9, 1e11)], count=3)
    left, place = found.plot().to_dict(), found.figure().panels[1].to_dict()
    (rows,) = (data for name, data in left["datasets"].items() if name == left["hconcat"][0]["data"]["name"])
    assert [row["spread"] for row in rows] == [1.0, *found.runs["spread"]]
    assert [row["spent"] for row in rows] == [0.0, *found.runs["spent"]]
    (rows,) = place["datasets"].values()
    assert [(row["run"], row["n_params"]) for row in rows] == list(enumerate(found.runs["n_params"], 1))


def test_a_design_without_runs_is_drawn_too(law, tmp_path: Path) -> None:
    design(law, RUNS, at=[(1e9, 1e11)], budget=1.0).figure().save(tmp_path / "none.svg")
    assert "0 runs" in design(law, RUNS, at=[(1e9, 1e11)], budget=1.0).figure().says


def test_what_cannot_be_designed_is_refused(law, tmp_path: Path, capsys) -> None:
    with pytest.raises(ValueError, match="nothing is wanted"):
        design(law, RUNS)
    with pytest.raises(TypeError, match="a design takes ForecastLaw, not a Law"):
        design(Law("chinchilla", CHINCHILLA), RUNS, at=[(1e9, 1e10)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the law has 0 draws"):
        design(fit_forecast(read_losses(SEEN), draws=0, progress=False), RUNS, at=[(1e9, 1e10)])
    with pytest.raises(ValueError, match="row 2: n_params is -1"):
        design(law, pl.DataFrame({"n_params": [1.0, -1.0], "n_tokens": [1.0, 1.0]}), at=[(1e9, 1e10)])
    (tmp_path / "losses.csv").write_text(SEEN.write_csv())
    (tmp_path / "runs.csv").write_text(RUNS.write_csv())
    names = [str(tmp_path / "losses.csv"), "--runs", str(tmp_path / "runs.csv")]
    assert main(["design", *names, "--at", "1e9"]) == 1
    assert "--at takes N,D or N,D,k, not 1 numbers" in capsys.readouterr().err
    assert main(["design", *names]) == 1
    assert "give --at N,D (or N,D,k), or --train-flops" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_designs_beat_the_cheapest_runs_on_published_losses(table: str, shared_data: Path) -> None:
    """The 20 dearest runs forecast after a tenth of the cost. Runs at random are as good on Farseer's."""
    grid = Grid.read(shared_data / f"{table}_losses.csv")
    chosen = [grid.designed(seed) for seed in range(3)]
    assert all(grid.frame["cost"][taken].sum() <= grid.budget for taken in chosen)
    assert np.median([grid.error(taken) for taken in chosen]) < 0.5 * grid.error(grid.cheapest())
