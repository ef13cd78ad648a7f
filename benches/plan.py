"""10,000 plans in one call, beside SciPy's bounded scalar minimiser called once per plan and beside NumPy.

Run as `python benches/plan.py`. Both sides minimise the same law over ln N under the same budgets; the timed
peer stops at 1e-8 in ln N, the best that a method without slopes can resolve. Refuses to time plans that
disagree with a tight run of the peer, or that the peer beats.

Against NumPy N is one of a list of sizes. NumPy tries every budget, draw and size in vectors that fit the
cache, with powers of N taken once a draw. So does ours with the accuracy law, without those tables; the loss
law is convex along the line, and ours tries the two sizes beside its optimum. It finds Chinchilla's, too.
Refuses to time choices that differ.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from functools import partial

import _bench
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betaln, expit
from t2fast.laws.law import Law
from t2fast.plans import plan_many

Floats = NDArray[np.float64]
Objective = Callable[[float], float]
Values = Callable[[float, float], Floats]

BUDGETS, DRAWS = 100, 100
PLANS = BUDGETS * DRAWS
TOLERANCE = 1e-8
# Exponentials and logarithms of a plan of the loss law: two Halley steps of two, ln N to N and three terms of
# the value, and the last four again for Chinchilla's choice.
TRANSCENDENTAL = 12

TERMS = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
LOSS = Law("loss", {**TERMS, "G": 2.0, "gamma": 0.5})
ACCURACY = Law("accuracy", {**TERMS, "theta0": 3, "theta1": 1.5, "theta2": 0.8, "theta3": 1, "theta4": -0.5})


def loss_objective(params: Floats, train: float, inference: float) -> Objective:
    """L(N, C_train/(6N), C_inf/(2N)) of ln N in plain floats, which SciPy calls fastest."""
    e, a, b, g, alpha, beta, gamma = params.tolist()
    b, g = b * (6 / train) ** beta, g * (2 / inference) ** gamma
    exp = math.exp
    return lambda x: e + a * exp(-alpha * x) + b * exp(beta * x) + g * exp(gamma * x)


def accuracy_objective(params: Floats, train: float, inference: float) -> Objective:
    """-pass@k(N, C_train/(6N), C_inf/(2N)) of ln N."""
    e, a, b, alpha, beta, t0, t1, t2, t3, t4 = params.tolist()
    b = b * (6 / train) ** beta
    exp = math.exp

    def objective(x: float) -> float:
        latent = e + a * exp(-alpha * x) + b * exp(beta * x)
        mu, nu = t2 * expit(-t1 * (latent - t0)), exp(t3 + t4 * latent)
        p, q = mu * nu, (1 - mu) * nu
        return math.expm1(betaln(p, q + inference / 2 * exp(-x)) - betaln(p, q))

    return objective


def scipy_plans(objectives: list[Objective], bounds: list[tuple[float, float]], tolerance: float) -> Floats:
    """ln N and objective of one bounded search per plan, (plans, 2)."""
    options = {"xatol": tolerance, "maxiter": 500}
    found = [
        minimize_scalar(f, bounds=b, method="bounded", options=options)
        for f, b in zip(objectives, bounds, strict=True)
    ]
    return np.array([(result.x, result.fun) for result in found])


def compare(
    law: Law,
    objective: Callable[[Floats, float, float], Objective],
    *,
    contract: tuple[float, float],
    share: int,
    goal: str,
    limit: Callable[[Callable[[], object], float], str],
) -> None:
    """Time one law, SciPy on one plan in `share` of them; `contract` bounds the difference in ln N and,
    relative, in the value where SciPy's is better."""
    rng = np.random.default_rng(0)
    draws = law.vector * np.exp(0.05 * rng.normal(size=(DRAWS, law.vector.size)))
    train, inference = 10 ** rng.uniform(18, 25, BUDGETS), 10 ** rng.uniform(9, 13, BUDGETS)
    mine = plan_many(law, train, inference, draws=draws)

    pairs = list(np.ndindex(BUDGETS, DRAWS))[::share]
    objectives = [objective(draws[j], train[i], inference[i]) for i, j in pairs]
    # SciPy's search is local: it gets the interval that holds every sensible model.
    bounds = [(math.log(1e4), math.log(min(inference[i] / 2, train[i] / 6))) for i, _ in pairs]
    n = mine.n_params.ravel()[::share]
    tight = scipy_plans(objectives, bounds, 1e-12)
    apart = np.abs(np.log(n) - tight[:, 0])
    ours = np.array([f(x) for f, x in zip(objectives, np.log(n), strict=True)])
    worse = np.max((ours - tight[:, 1]) / np.abs(tight[:, 1]))
    if apart.max() > contract[0] or worse > contract[1]:
        raise SystemExit(f"{law.name}: SciPy's N is {apart.max():.1e} apart, its value {worse:.1e} better")

    run = partial(plan_many, law, train, inference, draws=draws)
    pair = _bench.alternate(
        run,
        partial(scipy_plans, objectives, bounds, TOLERANCE),
        repeats=5,
        inner=15,
    )
    pair = _bench.Pair(
        pair.ours / PLANS,
        pair.peer / len(pairs),
        *(share * ratio for ratio in (pair.ratio, pair.low, pair.high)),
    )
    agreement = f"N within {apart.max():.0e}, SciPy's value better by {max(worse, 0):.0e} at most"
    case = f"{law.name} law, a plan"
    print(
        _bench.row(case, "SciPy bounded", pair, goal=goal, agreement=agreement, limit=limit(run, pair.ours)),
        flush=True,
    )


def loss_values(draws: Floats, sizes: Floats) -> Values:
    """L(N, C_train/(6N), C_inf/(2N)), (draws, sizes); infinite where k < 1. Powers of N are taken once."""
    e, a, b, g, alpha, beta, gamma = draws.T[..., None]
    of_n, of_d, of_k = e + a * sizes**-alpha, b * (6 * sizes) ** beta, g * (2 * sizes) ** gamma

    def values(train: float, inference: float) -> Floats:
        values = of_n + of_d * train**-beta + of_k * inference**-gamma
        return np.where(2 * sizes <= inference, values, np.inf)

    return values


def accuracy_values(draws: Floats, sizes: Floats) -> Values:
    """ln of the share unsolved at (N, C_train/(6N), C_inf/(2N)), likewise."""
    e, a, b, alpha, beta, t0, t1, t2, t3, t4 = draws.T[..., None]
    of_n, of_d = e + a * sizes**-alpha, b * (6 * sizes) ** beta

    def values(train: float, inference: float) -> Floats:
        latent = of_n + of_d * train**-beta
        mu, nu = t2 * expit(-t1 * (latent - t0)), np.exp(t3 + t4 * latent)
        values = betaln(mu * nu, (1 - mu) * nu + inference / (2 * sizes)) - betaln(mu * nu, (1 - mu) * nu)
        return np.where(2 * sizes <= inference, values, np.inf)

    return values


def compare_lists(
    law: Law, peer_values: Callable[[Floats, Floats], Values], *, sizes: int, transcendental: float, goal: str
) -> None:
    """Time one law choosing from a list of sizes beside NumPy, which tries a budget at a time. Of each size
    so many exponentials and logarithms are to be taken: with NumPy's vectors on all cores these alone bound
    the ratio."""
    rng = np.random.default_rng(0)
    draws = law.vector * np.exp(0.05 * rng.normal(size=(DRAWS, law.vector.size)))
    train, inference = 10 ** rng.uniform(18, 25, BUDGETS), 10 ** rng.uniform(9, 13, BUDGETS)
    listed = np.geomspace(1e7, 1e12, sizes)

    def peer() -> Floats:
        values = peer_values(draws, listed)
        best = (np.argmin(values(*pair), axis=1) for pair in zip(train, inference, strict=True))
        return listed[np.array(list(best))]

    run = partial(plan_many, law, train, inference, draws=draws, n_params=list(listed), extrapolate=math.inf)
    found, sought = run().n_params, peer()
    differ = ~np.isclose(found, sought, rtol=1e-12)
    # Where two sizes are equally good to the last digits, rounding decides.
    for i, j in np.argwhere(differ):
        pair = peer_values(draws[j][None], np.array([found[i, j], sought[i, j]]))(train[i], inference[i])[0]
        if abs(pair[0] - pair[1]) > 1e-12 * abs(pair[1]):
            raise SystemExit(f"{law.name}: N = {found[i, j]:g} here, {sought[i, j]:g} there")
    tried = PLANS * sizes
    pair = _bench.alternate(run, peer, repeats=5, inner=3)
    floor = transcendental * exponential() / (os.cpu_count() or 1)
    ours, theirs = spent(run, 5), spent(peer, 3)
    print(
        _bench.row(
            f"{law.name} law, {tried:.0e} sizes tried",
            "NumPy vectors",
            pair,
            goal=goal,
            agreement="the same sizes",
            limit=f"{tried / pair.ours:.2g} a second, NumPy {tried / pair.peer:.2g}; of processor time "
            f"{_bench.duration(ours)} and {_bench.duration(theirs)}; {transcendental:g} exp and ln a size "
            f"alone, on all cores, {theirs / (floor * tried):.0f}x",
        ),
        flush=True,
    )


def exponential() -> float:
    """Seconds of an exponential with NumPy's vectors on one core."""
    x = np.random.default_rng(0).uniform(-20, 20, 1 << 16)
    return spent(lambda: np.exp(x), 200) / x.size


def spent(run: Callable[[], object], times: int) -> float:
    """Processor time of one run over all cores, which other work on the machine does not stretch."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def exponentials(run: Callable[[], object], seconds: float) -> str:
    """A plan's time beside that of its exponentials and logarithms alone, with NumPy's vectors on one
    core."""
    floor = TRANSCENDENTAL * exponential()
    return (
        f"{TRANSCENDENTAL} exp and ln alone take {_bench.duration(floor)}: {seconds / floor:.2g}x that; "
        f"{processor(run, seconds)}"
    )


def processor(run: Callable[[], object], seconds: float) -> str:
    """A plan's processor time."""
    return f"{_bench.duration(spent(run, 50) / PLANS)} of processor time"


def main() -> None:
    print(f"{PLANS:,} plans; {_bench.machine()}\n\n{_bench.HEADER}")
    compare(LOSS, loss_objective, contract=(1e-6, 1e-12), share=1, goal="500x", limit=exponentials)
    # SciPy's log-betas leave its objective rough, and so its N.
    compare(
        ACCURACY,
        accuracy_objective,
        contract=(1e-4, 1e-9),
        share=10,
        goal="",
        limit=processor,
    )
    # A plan of the loss law takes `TRANSCENDENTAL` however many sizes are listed; a value of the accuracy law
    # five exponentials and four logarithms.
    compare_lists(LOSS, loss_values, sizes=100, transcendental=TRANSCENDENTAL / 100, goal="50x, 1e6 a second")
    compare_lists(ACCURACY, accuracy_values, sizes=20, transcendental=9, goal="50x, 2e5 a second")


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python benches/plan.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    main()
