"""Counts drawn from a law: what a sampling run would have seen if the law were true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.laws.law import Law
from t2fast.tables import Counts, read_counts

Floats = NDArray[np.float64]


def simulate_counts(
    law: Law,
    n_params: Sequence[float],
    n_tokens: Sequence[float],
    *,
    problems: int = 128,
    samples: int = 256,
    seed: int = 0,
    task: str = "simulated",
) -> Counts:
    """A counts table over the grid ``n_params`` x ``n_tokens``, the same for the same seed.

    Every problem of every checkpoint gets its own success probability p, then c ~ Binomial(samples, p). p
    follows

    - accuracy and counts laws: Beta(μν, (1-μ)ν), for the counts law with one draw of its effect N(0, σ²) a
    checkpoint;
    - the loss law: the Beta distribution whose pass@1 and pass@samples are exp(-L) of the law, since a loss
    law fixes pass@k but no distribution;
    - chinchilla: p = exp(-L), the same for all problems.

    Raises ``ValueError`` for sizes or counts that are not positive, or where the law's value is no
    probability.
    """
    for name, value in (("problems", problems), ("samples", samples)):
        if value < 1:
            raise ValueError(f"{name} = {value} must be at least 1")
    if not len(n_params) or not len(n_tokens):
        raise ValueError("n_params and n_tokens need at least one value each")
    law.predict(n_params, n_tokens[0])  # refuses sizes that are not positive and finite, by name
    law.predict(n_params[0], n_tokens)
    n, d = (
        a.ravel()
        for a in np.meshgrid(np.asarray(n_params, float), np.asarray(n_tokens, float), indexing="ij")
    )
    rng = np.random.default_rng(seed)
    p = _probabilities(law, n, d, samples, rng, problems)
    correct = rng.binomial(samples, p)
    frame = pl.DataFrame(
        {
            "model": [f"N{a:.3g}_D{b:.3g}" for a, b in zip(n, d, strict=True) for _ in range(problems)],
            "n_params": np.repeat(n, problems),
            "n_tokens": np.repeat(d, problems),
            "task": [task] * p.size,
            "problem": [str(i) for i in range(problems)] * len(n),
            "n_samples": np.full(p.size, samples),
            "n_correct": correct.ravel(),
        }
    )
    return read_counts(frame)


def _probabilities(
    law: Law, n: Floats, d: Floats, samples: int, rng: np.random.Generator, problems: int
) -> Floats:
    """Success probabilities, (checkpoints, problems)."""
    shape = (len(n), problems)
    if law.name == "chinchilla":
        return np.broadcast_to(np.exp(-np.asarray(law.predict(n, d)))[:, None], shape)
    if law.name == "loss":
        one = np.exp(-np.asarray(law.predict(n, d, 1)))
        many = np.exp(-np.asarray(law.predict(n, d, samples)))
        pairs = [_beta_through(a, b, samples) for a, b in zip(one, many, strict=True)]
        a, b = (np.array(v)[:, None] for v in zip(*pairs, strict=True))
    else:
        values = law.params
        latent = values["E"] + values["A"] * n ** -values["alpha"] + values["B"] * d ** -values["beta"]
        latent = latent + values.get("sigma", 0.0) * rng.standard_normal(len(n))
        mu = values["theta2"] / (1 + np.exp(values["theta1"] * (latent - values["theta0"])))
        nu = np.exp(values["theta3"] + values["theta4"] * latent)
        a, b = (mu * nu)[:, None], ((1 - mu) * nu)[:, None]
    return rng.beta(np.maximum(a, 1e-300), np.maximum(b, 1e-300), size=shape)


def _beta_through(one: float, many: float, samples: int) -> tuple[float, float]:
    """a and b of the Beta distribution with mean ``one`` and pass@samples ``many``, by bisection on
    ln(a+b)."""
    if not 0 < one < 1 or (samples > 1 and not one < many < 1):
        raise ValueError(
            f"the loss law gives pass@1 = {one:.3g} and pass@{samples} = {many:.3g}: no probabilities"
            " that rise with k"
        )
    low, high = -30.0, 30.0
    for _ in range(80):
        middle = (low + high) / 2
        total = np.exp(middle)
        out = np.empty(1)
        _core.beta_pass_at_k(
            np.array([one * total]), np.array([(1 - one) * total]), np.array([float(samples)]), out
        )
        low, high = (middle, high) if out[0] < many else (low, middle)
    total = float(np.exp((low + high) / 2))
    return one * total, (1 - one) * total
