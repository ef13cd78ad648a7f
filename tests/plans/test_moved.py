"""What moving bytes costs, and how long it takes, in plans: beside a roofline and grids written here."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from t2fast.costs import Accelerator, Architecture, Machine
from t2fast.laws import Law
from t2fast.plans import plan_spending
from t2fast.plans.spending import best_spending, cheapest_spending
from t2fast.plans.workload import Limit, Workload

Floats = NDArray[np.float64]
PLACES, ZOOMS = 120, 30


@dataclass
class Case:
    """A law, a machine and what is asked of it, drawn by a seed."""

    seed: int

    def __post_init__(self) -> None:
        rng = self.rng = np.random.default_rng(self.seed)
        terms = {"E": rng.uniform(0, 3)} | {name: math.exp(rng.uniform(2, 9)) for name in "AB"}
        terms |= {name: rng.uniform(0.1, 0.8) for name in ("alpha", "beta")}
        self.law = Law("loss", {**terms, "G": math.exp(rng.uniform(-2, 3)), "gamma": rng.uniform(0.1, 1.5)})
        self.flops, self.bandwidth, self.usd = 10 ** rng.uniform([13, 11, -1], [15.5, 13, 1])
        self.queries, self.p, self.t, self.rows = 10 ** rng.uniform([2, 0, 0, 0], [9, 4, 4, 3])
        self.of_token = None if rng.random() < 0.7 else 10 ** rng.uniform(2, 7)
        self.n_range, self.most_k = (1e6, 10 ** rng.uniform(9, 12)), 10 ** rng.uniform(0.5, 5)
        machine = Machine(Accelerator("chip", self.flops, self.bandwidth, 1e18), 1, self.usd, 1.0, 1.0)
        self.work = Workload.on(
            machine, self.queries, self.p, self.t, rows=self.rows, cache_bytes=self.of_token
        )
        self.machine = machine

    def cache(self, n: Floats) -> Floats:
        """12 layers width^2 weights and a width of 128 layers: two values of two bytes a layer and width."""
        layers = (n / (12 * 128**2)) ** (1 / 3)
        return 4 * layers * (128 * layers) if self.of_token is None else np.full_like(n, self.of_token)

    def prompt(self, n: Floats) -> Floats:
        return 2 * n * self.p / self.flops * self.usd / 3600

    def sample(self, n: Floats) -> Floats:
        """Of a step in which so many samples are in flight, this one's share."""
        moved = 2 * n + self.rows * (self.p + self.t / 2) * self.cache(n)
        step = np.maximum(2 * n * self.rows / self.flops, moved / self.bandwidth)
        return self.t * step / self.rows * self.usd / 3600

    def cost(self, n: Floats, d: Floats, k: Floats) -> Floats:
        training = 6 * n * d / self.flops * self.usd / 3600
        return training + self.queries * (self.prompt(n) + k * self.sample(n))

    def seconds(self, n: Floats, k: Floats) -> Floats:
        step = np.maximum(
            2 * n * k / self.flops, (2 * n + k * (self.p + self.t / 2) * self.cache(n)) / self.bandwidth
        )
        return np.maximum(2 * n * self.p / self.flops, 2 * n / self.bandwidth) + self.t * step

    def most_samples(self, n: Floats, usd: float, seconds: float) -> Floats:
        """What both limits leave of `most_k`."""
        left = seconds - np.maximum(2 * n * self.p / self.flops, 2 * n / self.bandwidth)
        by_bytes = (left / self.t * self.bandwidth - 2 * n) / ((self.p + self.t / 2) * self.cache(n))
        allowed = np.minimum((usd - self.prompt(n)) / self.sample(n), self.most_k)
        return np.minimum(allowed, np.minimum(left / (self.t * 2 * n / self.flops), by_bytes))

    def zoomed(self, height, usd: float, seconds: float) -> float:
        """The highest of grids over ln N and the share of ln k that limits leave, closing in on the best."""
        ends = np.array([np.log(self.n_range), (0.0, 1.0)])
        box, best = ends, -math.inf
        for _ in range(ZOOMS):
            n = np.exp(np.linspace(*box[0], PLACES))[:, None]
            allowed = self.most_samples(n, usd, seconds)
            share = np.linspace(*box[1], PLACES)[None, :]
            heights = np.where(allowed >= 1, height(n, np.maximum(allowed, 1) ** share), -np.inf)
            at = np.array(np.unravel_index(np.argmax(heights), heights.shape))
            best = max(best, float(heights.max()))
            sides = box[:, 1] - box[:, 0]
            centre, reach = box[:, 0] + sides * at / (PLACES - 1), 0.25 * sides
            box = np.clip(np.stack([centre - reach, centre + reach], axis=1), ends[:, :1], ends[:, 1:])
        return best

    def asked(self) -> tuple[float, float, float, tuple[float, float]]:
        """A place within reach, its value and its cost, and limits that it keeps."""
        n, d, k = np.exp(
            self.rng.uniform(np.log([1e6, 1e7, 1]), np.log([self.n_range[1], 1e14, self.most_k]))
        )
        here = np.array(n), np.array(k)
        slack = 10 ** self.rng.uniform(0, 1, 2)
        usd = float(self.prompt(here[0]) + k * self.sample(here[0])) * slack[0]
        seconds = float(self.seconds(*here)) * slack[1]
        return float(self.law.predict(n, d, k)), float(self.cost(n, d, k)), n, (usd, seconds)

    def within(self, usd: float, seconds: float) -> dict[str, Any]:
        """Where plans are looked for."""
        limits = [Limit.of_cost(self.work, usd), Limit.of_latency(self.machine, self.work, seconds)]
        return {
            "n_params": self.n_range,
            "n_tokens": (1e6, 1e17),
            "k": (1, self.most_k),
            "limits": limits,
        }

    def kept(self, found, usd: float, seconds: float) -> str:
        """What binds a sample of a plan whose cost and limits are as told."""
        n, k = np.array(found.n_params), np.array(found.k)
        assert found.cost == pytest.approx(float(self.cost(n, np.array(found.n_tokens), k)), rel=1e-12)
        assert self.seconds(n, k) <= seconds * (1 + 1e-9)
        assert self.prompt(n) + k * self.sample(n) <= usd * (1 + 1e-9)
        arithmetic = self.t * 2 * n / self.flops * self.usd / 3600
        return "arithmetic" if self.sample(n) <= arithmetic * (1 + 1e-9) else "bytes"


def test_no_grid_finds_more_for_the_money() -> None:
    bound: Counter[str] = Counter()
    for seed in range(40):
        case = Case(seed)
        _, budget, _, ends = case.asked()
        found = best_spending(case.law, budget, case.work, **case.within(*ends))
        bound[case.kept(found, *ends)] += 1

        def height(n: Floats, k: Floats, case: Case = case, budget: float = budget) -> Floats:
            left = budget - case.queries * (case.prompt(n) + k * case.sample(n))
            d = left / (6 * n / case.flops * case.usd / 3600)
            p = case.law.params
            with np.errstate(invalid="ignore", divide="ignore"):
                terms = p["A"] * n ** -p["alpha"] + p["B"] * np.minimum(d, 1e17) ** -p["beta"]
            return np.where(d >= 1e6, -(p["E"] + terms + p["G"] * k ** -p["gamma"]), -np.inf)

        best = -case.zoomed(height, *ends)
        assert found.cost <= budget * (1 + 1e-9)
        assert found.predicted == pytest.approx(best, rel=1e-9), seed
    assert len(bound) == 2


def test_no_grid_reaches_a_target_for_less() -> None:
    bound: Counter[str] = Counter()
    for seed in range(100, 140):
        case = Case(seed)
        target, _, _, ends = case.asked()
        found = cheapest_spending(case.law, target, case.work, **case.within(*ends))
        bound[case.kept(found, *ends)] += 1

        def height(n: Floats, k: Floats, case: Case = case, target: float = target) -> Floats:
            p = case.law.params
            left = target - p["E"] - p["A"] * n ** -p["alpha"] - p["G"] * k ** -p["gamma"]
            with np.errstate(invalid="ignore", divide="ignore"):
                d = np.maximum((left / p["B"]) ** (-1 / p["beta"]), 1e6)
            return np.where((left > 0) & (d <= 1e17), -case.cost(n, d, k), -np.inf)

        least = -case.zoomed(height, *ends)
        assert found.predicted <= target * (1 + 1e-9)
        assert found.cost <= least * (1 + 1e-9), seed
    assert len(bound) == 2


def asked(**changes) -> Workload:
    chip = Accelerator("chip", 1e15, 2e12, 1e12)
    return Workload.on(Machine(chip, usd_per_hour=2.0), **{"queries": 1e6, "prompt_tokens": 400, **changes})


LAW = Law("loss", {"E": 0.2, "A": 60.0, "B": 90.0, "G": 1.5, "alpha": 0.3, "beta": 0.26, "gamma": 0.5})


def test_a_plan_costs_what_its_room_does() -> None:
    models = [Architecture(n, 64 * n, 256 * n, 32_000, n, 64, kv_heads=kv) for n in (12, 24) for kv in (1, n)]
    for of_token in (None, 0.0, 3e5):
        work = asked(output_tokens=300, cache_bytes=of_token)
        for sizes in ((1e7, 1e11), [3e8, 9e8]):
            plan = plan_spending(LAW, work, budget=3e3, n_params=sizes, extrapolate=math.inf)
            assert plan.room is not None
            alone = plan.room.usd_per_query(plan.chosen.k) * work.queries
            assert plan.chosen.serving == pytest.approx(alone, rel=1e-12)
    # Heads that share keys and values read less: layers, heads, their width, two values of two bytes.
    work = asked(output_tokens=300)
    second = 1e6 * 300 * 2.0 / 3600 / (0.6 * 2e12)
    for model, (layers, kv) in zip(models, ((12, 1), (12, 12), (24, 1), (24, 24)), strict=True):
        moved = 2 * model.n_params() / 64 + (400 + 150) * layers * kv * 64 * 4
        assert work.prices(model)[2] == pytest.approx(second * moved, rel=1e-12)


def test_a_latency_is_held_with_the_keys_and_values_of_an_architecture() -> None:
    work = asked(output_tokens=300)
    shared, own = (Architecture(24, 1536, 6144, 32_000, 24, 64, kv_heads=kv) for kv in (1, 24))
    plans = [
        plan_spending(LAW, work, budget=3e3, n_params=[model], latency=0.6, extrapolate=math.inf)
        for model in (shared, own)
    ]
    for plan in plans:
        assert plan.room is not None
        assert plan.room.seconds(plan.chosen.k) == pytest.approx(0.6, rel=1e-9)
    assert plans[0].chosen.k > 4 * plans[1].chosen.k
    both = plan_spending(LAW, work, budget=3e3, n_params=[own, shared], latency=0.6, extrapolate=math.inf)
    assert both.chosen.architecture == shared
