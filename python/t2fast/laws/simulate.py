"""Counts drawn from a law: what a sampling run would have seen if the law were true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast import _core
from t2fast.arguments import require_kind
from t2fast.laws.law import Law
from t2fast.tables import Counts, read_counts

Floats = NDArray[np.float64]

_LARGEST_ERROR = 0.01
"""Of a simulated loss law's pass@k, relative."""


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
    - the loss law: exp(-L) is a share exp(-E - A/N^alpha - B/D^beta) of problems that can be solved at all,
      and among those a mixture of probabilities whose pass@k is exp(-G/k^gamma) for every k up to samples, by
      non-negative least squares, at most 1% off;
    - chinchilla: p = exp(-L), the same for all problems.

    Args:
        law: of the paper, or the counts law.
        n_params: N, (sizes,).
        n_tokens: D, (lengths,).
        problems: how many for each checkpoint.
        samples: of each problem.
        seed: of p and c.
        task: its name in the table.

    Returns:
        The table, sizes x lengths x problems rows.

    Raises:
        ValueError: for sizes or counts that are not positive, for the direct law, and for a loss law whose
            pass@k no distribution of success probabilities has.
    """
    require_kind("simulate_counts", law, (Law,), "of the paper or for counts; t2fast.default_law() is one")
    for name, value in (("problems", problems), ("samples", samples)):
        if value < 1:
            raise ValueError(f"{name} = {value} must be at least 1")
    if not len(n_params) or not len(n_tokens):
        raise ValueError("n_params and n_tokens need at least one value each")
    for name, sizes in (("n_params", n_params), ("n_tokens", n_tokens)):
        if len(set(sizes)) < len(sizes):
            raise ValueError(f"{name} = {list(sizes)} repeats a size: ask for more problems in its place")
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
        values, weights, error, at = _core.loss_mixture(law.params["G"], law.params["gamma"], samples)
        if error > _LARGEST_ERROR:
            raise ValueError(
                "no distribution of success probabilities has this loss law's pass@k: the nearest is"
                f" {error:.1%} off at k = {at:g}."
                " Simulate from an accuracy or counts law, or with another G and gamma"
            )
        terms = np.array([[law.params[name] for name in _core.law_parameters("chinchilla")]])
        share = np.exp(-_core.law_values("chinchilla", terms, n, d, np.ones(len(n)))[0])
        place = np.searchsorted(np.cumsum(weights), rng.random(shape) / share[:, None])
        found: Floats = np.append(values, 0.0)[place]
        return found
    if law.name == "direct":
        raise ValueError(
            "the direct law says pass@k alone, and no distribution behind it: simulate from another law"
        )
    effect = law.params.get("sigma", 0.0) * rng.standard_normal(len(n))
    a, b = _core.beta_parameters(law.name, law.vector, n, d, effect).T
    return rng.beta(np.maximum(a, 1e-300)[:, None], np.maximum(b, 1e-300)[:, None], size=shape)
