"""The least cost of a target with a limit on a query, beside grids over N and k."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from t2fast.laws import Law
from t2fast.plans.spending import Limit, Workload, cheapest_spending

Floats = NDArray[np.float64]
PLACES = 150  # a side of a grid
ZOOMS = 14


def grids(
    law: Law, target: float, work: Workload, n_range: tuple[float, float], most_k: float, limit: Limit
) -> float:
    """The least cost over ln N and the share of ln k that the limit leaves; tokens by the law's formula."""
    p = law.params
    train, prompt, sample = 6.0, *(2 * work.queries * np.array([work.prompt_tokens, work.output_tokens]))

    def cost(n: Floats, k: Floats) -> Floats:
        left = target - p["E"] - p["A"] * n ** -p["alpha"] - p["G"] * k ** -p["gamma"]
        with np.errstate(invalid="ignore", divide="ignore"):
            d = (left / p["B"]) ** (-1 / p["beta"])
        return np.where(left > 0, train * n * np.maximum(d, 1e6) + n * (prompt + sample * k), np.inf)

    ends = np.array([np.log(n_range), (0.0, 1.0)])
    box, best = ends, math.inf
    for _ in range(ZOOMS):
        n = np.exp(np.linspace(*box[0], PLACES))[:, None]
        allowed = np.minimum((limit.most / n - limit.prompt) / limit.sample, most_k)
        share = np.linspace(*box[1], PLACES)[None, :]
        costs = np.where(allowed >= 1, cost(n, np.maximum(allowed, 1) ** share), np.inf)
        at = np.array(np.unravel_index(np.argmin(costs), costs.shape))
        best = min(best, float(costs.min()))
        sides = box[:, 1] - box[:, 0]
        centre, reach = box[:, 0] + sides * at / (PLACES - 1), 0.15 * sides
        box = np.clip(np.stack([centre - reach, centre + reach], axis=1), ends[:, :1], ends[:, 1:])
    return best


@pytest.mark.parametrize("seed", range(40))
def test_no_grid_finds_a_cheaper_plan(seed: int) -> None:
    rng = np.random.default_rng(seed)
    terms = {"E": rng.uniform(0, 3)} | {name: math.exp(rng.uniform(2, 9)) for name in "AB"}
    exponents = {name: rng.uniform(0.1, 0.8) for name in ("alpha", "beta")}
    g, gamma = math.exp(rng.uniform(-2, 3)), rng.uniform(0.1, 1.5)
    law = Law("loss", {**terms, "G": g, **exponents, "gamma": gamma})
    work = Workload(*10 ** rng.uniform([0, 0, 0], [10, 4, 4]))
    n_range, most_k = (1e6, 10 ** rng.uniform(9, 12)), 10 ** rng.uniform(0.5, 5)
    # A target that a place within reach has, and a query's limit that this place keeps.
    n, d, k = np.exp(rng.uniform(np.log([1e6, 1e7, 1]), np.log([n_range[1], 1e14, most_k])))
    target = float(law.predict(n, d, k))
    per_query = 2 * n * (work.prompt_tokens + work.output_tokens * k) * 10 ** rng.uniform(0, 1)
    limit = Limit.of_cost(work, per_query)
    found = cheapest_spending(
        law, target, work, n_params=n_range, n_tokens=(1e6, 1e17), k=(1, most_k), limits=[limit]
    )
    assert found.predicted <= target * (1 + 1e-9)
    assert limit.used(found.n_params, found.k) <= 1 + 1e-9
    assert found.cost <= grids(law, target, work, n_range, most_k, limit) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_tokens_and_samples_held_leave_the_least_size_that_reaches_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    law = Law("loss", {"E": 0.5, "A": 300.0, "B": 400.0, "G": 2.0, "alpha": 0.33, "beta": 0.29, "gamma": 0.5})
    n, d, k = np.exp(rng.uniform(np.log([1e7, 1e9, 1]), np.log([1e10, 1e12, 1e3])))
    work = Workload(*10 ** rng.uniform([3, 1, 1], [8, 3, 3]))
    target = float(law.predict(n, d, k))
    for listed in ((d, d), [d]):
        found = cheapest_spending(
            law, target, work, n_params=(1e6, 1e12), n_tokens=listed, k=(k, k), level=None
        )
        assert found.n_params == pytest.approx(n, rel=1e-9)
        assert found.cost == pytest.approx(work.training(n, d) + work.serving(n, k), rel=1e-9)
        assert float(law.predict(found.n_params, d, k)) <= target * (1 + 1e-11)
