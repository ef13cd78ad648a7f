"""What a frontier prints."""

from dataclasses import replace

import numpy as np
import t2fast
from t2fast.plans import frontier, plan
from t2fast.plans.frontiers import frontier_table
from t2fast.text import plain


def test_a_frontier_shows_the_interval_of_what_it_promises() -> None:
    law = t2fast.default_law()
    law = replace(law, draws=law.draws[:40])
    frame = frontier(law, [1e20, 1e21], 2e10, level=0.8)
    for width in (100, 80, 60):
        shown = " ".join(plain(frontier_table(frame, law, 0.8), width=width).split())
        assert "80% interval" in shown
        for budget in (1e20, 1e21):
            # Each draw planned by itself: the law of its parameters alone.
            alone = [
                replace(law, params=dict(zip(law.params, row, strict=True)), draws=None) for row in law.draws
            ]
            values = [plan(one, budget, 2e10).predicted for one in alone]
            low, high = np.quantile(values, (0.1, 0.9), method="weibull")
            assert f"{low:.4f} to {high:.4f}" in shown
    bare = frontier_table(frontier(replace(law, draws=None), [1e20], 2e10), law, 0.9)
    assert "interval" not in plain(bare)
