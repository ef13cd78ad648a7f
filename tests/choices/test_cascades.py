"""Cascades within a latency, against every pair of sample numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import t2fast
from markets import counts_of, prices_of

N, PROBLEMS = 12, 20


@pytest.mark.parametrize("seed", range(8))
def test_of_few_samples_every_cascade_is_tried(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = {name: rng.binomial(N, rng.beta(0.5, 1, PROBLEMS)).tolist() for name in ("cheap", "dear")}
    counts = counts_of({name: [(N, c) for c in cs] for name, cs in right.items()})
    usd = {"cheap": (0.5, 2.0), "dear": (2.0, 9.0)}
    first, speed = rng.uniform(0.1, 1, 2), rng.uniform(20, 200, 2)
    prices = prices_of(usd, first_token_seconds=first.tolist(), output_tokens_per_second=speed.tolist())
    each = dict(zip(usd, first + 400 / speed, strict=True))
    latency = float(rng.uniform(4, 9) * sum(each.values()))
    found = t2fast.choose(
        counts, prices, latency=latency, prompt_tokens=500, output_tokens=400, draws=100
    ).cascade

    def fails(name: str, k: int) -> np.ndarray:
        return np.array([math.comb(N - c, k) / math.comb(N, k) for c in right[name]])

    pairs = [
        (i, j)
        for i in range(1, N + 1)
        for j in range(1, N + 1)
        if i * each["cheap"] + j * each["dear"] <= latency
    ]
    best = max(1 - float((fails("cheap", i) * fails("dear", j)).mean()) for i, j in pairs)
    alone = max(
        1 - float(fails(name, k).mean()) for name in usd for k in range(1, N + 1) if k * each[name] <= latency
    )
    if found is None:
        assert best < alone + 1e-12
    else:
        assert found.option.pass_at_k == pytest.approx(best, abs=1e-12)
