"""The core in a browser: it answers there what it answers here, number for number and word for word."""

from __future__ import annotations

import base64
import json
import math
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import t2fast
from grids import ACCURACY, COUNTS, LOSS
from t2fast import text
from t2fast.costs.hardware import Machine, accelerator
from t2fast.laws.data_wall import DataWall
from t2fast.laws.ends import ends
from t2fast.plans import Workload
from t2fast.plans.memory import housed
from t2fast.reports.explorer import _WORK, _asset, _facts
from t2fast.reports.page import inline

pytestmark = pytest.mark.browser

FREE = {"n": [1, None], "d": [1, None], "mostK": None, "wholeK": False, "extrapolate": 2, "ratio": None}
CHINCHILLA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
SEEN = {"n_params": (1e7, 1e10), "n_tokens": (1e9, 1e12), "k": (1.0, 256.0)}
ANSWER = """
async ({ core, law, asked }) => {
  const bytes = Uint8Array.from(atob(core), (letter) => letter.charCodeAt(0));
  const found = await Core.of(await WebAssembly.compile(bytes), law);
  const open = (value) => value ?? Infinity;
  const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => (v === Infinity ? null : v)));
  return plain(asked.map((one) => {
    const [n, d, mostK] = [one.n.map(open), one.d.map(open), open(one.mostK)];
    const whole = { ...one, n, d, mostK, row: one.row ?? 0 };
    try {
      const two = "train" in one;
      const problem = new (two ? TwoBudgets : OneBudget)(found, whole);
      const point = problem.point();
      const drawn = law.draws.length ? problem.drawn(1, found.rows - 1) : null;
      const sizes = () => spaced(...problem.search.n, 7).flatMap((n) => problem.atSize(n) ?? []);
      const profile = two ? problem.profile(7) : sizes();
      const values = drawn && problem.values(profile, 1, found.rows - 1);
      return {
        ...point,
        profile,
        spread: values && profile.map((_, i) => interval(values.map((row) => row[i]), 0.9)),
        warnings: problem.warnings(drawn),
        intervals: drawn && problem.intervals(drawn, 0.9),
      };
    } catch (error) {
      return { refusal: error.message };
    }
  }));
}
"""


def with_draws(law: t2fast.Law, count: int = 25) -> t2fast.Law:
    rng = np.random.default_rng(5)
    held = [name in ("E", "theta2", "sigma") for name in law.params]
    draws = law.vector * np.exp(np.where(held, 0, rng.normal(0, 0.02, (count, len(law.params)))))
    return replace(law, draws=draws, domain=SEEN)


@pytest.fixture(scope="module")
def forecast() -> t2fast.ForecastLaw:
    drawn = t2fast.simulate_counts(
        t2fast.default_law(), [2e8, 8e8, 3e9], [4e9, 3e10, 2e11], problems=100, samples=32, seed=3
    )
    return t2fast.fit_forecast(drawn, draws=40)


@pytest.fixture(scope="module")
def laws(forecast: t2fast.ForecastLaw) -> dict[str, Any]:
    return {
        "default": t2fast.default_law(),
        "accuracy": with_draws(replace(ACCURACY, latent=True)),
        "counts": with_draws(COUNTS),
        "loss": with_draws(LOSS),
        "chinchilla": with_draws(t2fast.Law("chinchilla", CHINCHILLA)),
        "bare": replace(LOSS, domain={}),
        "forecast": forecast,
    }


@pytest.fixture(scope="module")
def answers(browser: Any) -> Any:
    """What the page's worker computes, asked without the page."""
    page = browser.new_page()
    page.add_script_tag(content="\n".join(map(_asset, _WORK)))
    core = base64.b64encode(Path(t2fast.__file__).parent.joinpath("reports/explorer/core.wasm").read_bytes())

    def ask(law: Any, *asked: dict[str, Any]) -> list[dict[str, Any]]:
        explorer = t2fast.explore(law)
        whole = {**law.to_dict(), **json.loads(inline(_facts(explorer)))["law"]["traits"]}
        given = [{**FREE, **one} for one in asked]
        found: list[dict[str, Any]] = page.evaluate(
            ANSWER, {"core": core.decode(), "law": whole, "asked": given}
        )
        return found

    yield ask
    page.close()


def close(mine: float | None, found: float | None, within: float) -> bool:
    if mine is None or found is None:
        return mine is found
    return math.isclose(mine, found, rel_tol=within, abs_tol=0)


NAMES = {"n": "n_params", "d": "n_tokens", "k": "k", "perParam": "tokens_per_param", "value": "predicted"}
TWO: dict[str, dict[str, Any]] = {
    "plain": {"train": 2.56e19, "inference": 2e9},
    "rich": {"train": 3e22, "inference": 1e11},
    "walled": {"train": 1e21, "inference": 1e10, "d": [1, 2e10], "ratio": 30.0},
    "whole": {"train": 1e20, "inference": 2e10, "wholeK": True, "mostK": 50},
    "wide": {"train": 1e21, "inference": 1e10, "extrapolate": 8, "n": [1e9, None]},
    "poor": {"train": 1e14, "inference": 1e10},
    "mute": {"train": 1e20, "inference": 1e6},
    "beyond": {"train": 1e20, "inference": 1e10, "n": [1e13, None]},
}
# How near two searches for one optimum come: by a law's slope, or by its height alone, which is flat there.
NEAR = {"forecast": 3e-6}


@pytest.mark.parametrize("name", ["default", "accuracy", "counts", "loss", "chinchilla", "bare", "forecast"])
def test_two_budgets_are_spent_as_they_are_here(name: str, laws: Any, answers: Any) -> None:
    law = laws[name]
    asked = TWO if name != "forecast" else {key: TWO[key] for key in ("plain", "whole", "poor")}
    for one, found in zip(asked.values(), answers(law, *asked.values()), strict=True):
        whole = {**FREE, **one}
        try:
            plan = t2fast.plan(
                law,
                one["train"],
                one["inference"] if law.has_k else None,
                n_params=tuple(whole["n"]),
                n_tokens=tuple(whole["d"]),
                max_k=whole["mostK"],
                integer_k=whole["wholeK"],
                extrapolate=whole["extrapolate"],
                chinchilla=whole["ratio"],
            )
        except ValueError as error:
            refused = str(error)
        else:
            refused = None
        assert found.get("refusal") == refused
        if refused is not None:
            continue
        near = NEAR.get(name, 1e-9)
        for side, choice in (("best", plan), ("chinchilla", plan.chinchilla)):
            for short, long in (("n", "n_params"), ("d", "n_tokens"), ("k", "k")):
                assert close(getattr(choice, long), found[side][short], near), (one, side, short)
            assert close(choice.predicted, found[side]["value"], 1e-12), (one, side)
        assert close(plan.ratio, found["ratio"], 1e-11)
        assert found["noRatio"] == plan.no_ratio
        assert found["warnings"] == list(plan.warnings)
        # Of whole k the profile has steps, on which a size may stand.
        profile, stepped = plan.profile(7), whole["wholeK"]
        for value, point in zip(profile.predicted.tolist(), found["profile"], strict=True):
            assert stepped or close(value, point["value"], near), (one, value, point)
        if law.draws is None:
            assert found["intervals"] is None
            continue
        k = profile.k if law.has_k else np.ones(7)
        ends_agree(law.draw_values(profile.n_params, profile.n_tokens, k), found, 10 * near, stepped)
        for side, choice in (("best", plan), ("chinchilla", plan.chinchilla)):
            spans = found["intervals"][side]
            assert set(spans) == {k for k in (*NAMES, "here") if k != "k" or law.has_k}
            for short, long in {**NAMES, "here": "predicted_here"}.items():
                if short in spans:
                    pairs = zip(choice.intervals[long], spans[short], strict=True)
                    assert all(close(a, b, 10 * near) for a, b in pairs), (one, side, short)
        if plan.ratio_interval is not None:
            pairs = zip(plan.ratio_interval, found["intervals"]["ratio"], strict=True)
            assert all(close(a, b, 10 * near) for a, b in pairs)


WORK = {
    "queries": 1e6,
    "promptTokens": 500,
    "outputTokens": 400,
    "chip": None,
    "unique": None,
    "target": None,
}
CHIP = {"usdPerHour": 2.5, "batch": 64, "mfu": 0.4, "mbu": 0.6}
ONE: dict[str, dict[str, Any]] = {
    "flops": {"budget": 1e21},
    "dollars": {"budget": 1e4, "chip": "H100", "unique": 2e10},
    "shared": {"budget": 1e6, "chip": "H100", "batch": 4096, "n": [1e10, None]},
    "little": {"budget": 1e20, "unique": 5e7},
    "free": {"budget": 1e20, "d": [1, 3e10], "mostK": 20, "wholeK": True, "ratio": 40.0},
    "target": {"target": 0.3},
    "far": {"target": 0.999},
    "poor": {"budget": 1e10},
}


@pytest.mark.parametrize("name", ["default", "loss", "chinchilla", "forecast"])
def test_one_budget_and_a_target_are_as_they_are_here(name: str, laws: Any, answers: Any) -> None:
    law = replace(
        laws[name], draws=None if name == "forecast" else laws[name].draws[:25]
    )  # half a second a draw
    asked = {key: {**WORK, **one} for key, one in ONE.items()}
    if name == "chinchilla":
        asked["target"]["target"], asked["far"]["target"] = 2.6, 1.5
    if name == "forecast":
        asked = {key: asked[key] for key in ("dollars", "target", "far")}
    given = [{**CHIP, **one, "chip": chip_of(one["chip"]) if one["chip"] else None} for one in asked.values()]
    for one, found in zip(asked.values(), answers(law, *given), strict=True):
        whole = {**FREE, **one}
        sizes = one["queries"], one["promptTokens"], one["outputTokens"]
        machine = Machine(accelerator("H100"), usd_per_hour=2.5) if one["chip"] else None
        try:
            plan = t2fast.plan_spending(
                law,
                Workload(*sizes)
                if machine is None
                else Workload.on(machine, *sizes, rows=one.get("batch", 64)),
                budget=one.get("budget"),
                target=one["target"],
                n_params=tuple(whole["n"]),
                n_tokens=tuple(whole["d"]),
                max_k=whole["mostK"],
                integer_k=whole["wholeK"],
                unique_tokens=one["unique"],
                chinchilla=whole["ratio"] or 20.0,
            )
        except ValueError as error:
            refused = str(error)
        else:
            refused = None
        assert found.get("refusal") == refused
        if refused is not None:
            continue
        for side, choice in (("best", plan.chosen), ("chinchilla", plan.chinchilla)):
            if choice is None:
                assert found[side] is None
                continue
            for short, long in (("n", "n_params"), ("d", "n_tokens"), ("k", "k")):
                assert close(getattr(choice, long), found[side][short], 1e-4), (one, side, short)
            assert close(choice.predicted, found[side]["value"], 1e-9), (one, side)
            assert close(choice.cost, found[side]["cost"], 1e-9), (one, side)
        beside = plan.compared
        assert close(None if beside is None else beside.ratio, found["ratio"], 1e-8)
        assert found["noRatio"] == (None if beside is None else beside.withheld)
        assert found["warnings"] == list(plan.warnings)
        told = [] if plan.room is None else list(housed(plan.room, plan.chosen, []))
        assert found["room"] == told
        if law.draws is None:
            continue
        curve = plan.profile(7)
        n, d, k = (curve[name].to_numpy() for name in ("n_params", "n_tokens", "k"))
        read = d if one["unique"] is None else DataWall().effective_tokens(d, one["unique"])
        ends_agree(
            law.draw_values(n, read, k if law.has_k else np.ones_like(k)), found, 1e-3, whole["wholeK"]
        )
        spans = found["intervals"]["best"]
        for short, long in {**NAMES, "here": "predicted_here", "cost": "cost"}.items():
            pairs = zip(plan.chosen.intervals[long], spans[short], strict=True)
            assert all(close(a, b, 1e-3) for a, b in pairs), (one, short)
        if beside is not None and beside.interval is not None:
            pairs = zip(beside.interval, found["intervals"]["ratio"], strict=True)
            assert all(close(a, b, 1e-4) for a, b in pairs)


def ends_agree(drawn: Any, found: dict[str, Any], within: float, stepped: bool) -> None:
    """Intervals over draws of what every size brings; of whole k a size may stand on a step."""
    pairs = zip(np.transpose(ends(drawn, 0.9)).tolist(), found["spread"], strict=True)
    assert stepped or all(
        close(a, b, within) for mine, other in pairs for a, b in zip(mine, other, strict=True)
    )


def chip_of(name: str) -> dict[str, Any]:
    chip = accelerator(name)
    # Of 12 layers width^2 weights, 128 times as wide as deep: 4 layers width bytes a token.
    cache = 4 * 128 / (12 * 128**2) ** (2 / 3)
    rates = {"flops": chip.flops, "bandwidth": chip.bandwidth, "memory": chip.memory}
    return {"name": name, **rates, "cache": cache, "cachePower": 2 / 3}


def test_a_draw_is_planned_by_itself(laws: Any, answers: Any) -> None:
    law = laws["loss"]
    (found,) = answers(law, {"train": 1e21, "inference": 1e10, "row": 7})
    alone = replace(law, params=dict(zip(law.params, law.draws[6].tolist(), strict=True)), draws=None)
    plan = t2fast.plan(alone, 1e21, 1e10)
    assert close(plan.n_params, found["best"]["n"], 1e-9)
    assert close(plan.predicted, found["best"]["value"], 1e-12)


WORDS = """
(values) => values.map((v) => [
  ...[2, 3, 4, 6].map((digits) => general(v, digits)),
  ...[0, 1, 4].map((places) => (v < 1e12 ? fixed(v, places) : "")),
  ...[amount, samples, ratio, chance, share].map((words) => words(v)),
  money(v, "USD"),
])
"""


def test_numbers_read_as_they_do_here(browser: Any) -> None:
    rng = np.random.default_rng(1)
    values = [
        0.265,
        26.5,
        1.125,
        0.25,
        12250.0,
        12350.0,
        9995.0,
        0.99949e9,
        0.9995e9,
        1e15,
        1e12,
        999.5,
        1e-5,
    ]
    values += [9.5e-4, 9.4e-4, 256.0, 0.5, 2.5, 1e16, 1 / 3, 9.995, 9.5, 1234567.5]
    values += (10 ** rng.uniform(-8, 16, 300)).tolist() + (rng.integers(1, 4000, 300) / 16).tolist()
    page = browser.new_page()
    page.add_script_tag(content=_asset("words.js"))
    found = page.evaluate(WORDS, values)
    page.close()
    for value, words in zip(values, found, strict=True):
        mine = [
            *(f"{value:.{digits}g}" for digits in (2, 3, 4, 6)),
            *(f"{value:.{places}f}" if value < 1e12 else "" for places in (0, 1, 4)),
        ]
        mine += [
            text.amount(value),
            text.samples(value),
            text.ratio(value),
            text.chance(value),
            f"{value:.0%}",
        ]
        mine.append(Workload.on(Machine(accelerator("H100"), usd_per_hour=1), 1, 1, 1).money(value))
        assert words == mine, value


def test_the_core_is_made_of_the_sources_beside_it() -> None:
    keep = runpy.run_path(str(Path(__file__).parents[2] / "rust/explorer/keep.py"))
    module = Path(t2fast.__file__).parent.joinpath("reports/explorer/core.wasm").read_bytes()
    made_of = module[-64:].decode()
    assert made_of == keep["sources"](), "the Rust core has changed since: run `make explorer` and commit"
