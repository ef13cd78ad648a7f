"""What a frontier prints."""

from dataclasses import replace

import numpy as np
import t2fast
from t2fast.plans import frontier, plan
from t2fast.plans.frontiers import ending, frontier_table, knee
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


def test_a_frontier_of_losses_ends_where_budget_buys_nothing() -> None:
    terms = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    law = t2fast.Law("chinchilla", terms)
    budgets = np.geomspace(1e20, 1e24, 9)
    frame = frontier(law, budgets, n_params=(1e8, 1e10), n_tokens=(1e9, 1e12))
    # 6 N D of both maxima.
    spent = 6 * 1e10 * 1e12
    last = knee(frame)
    assert budgets[last - 1] >= spent > budgets[last - 2]
    assert frame["predicted"].head(last).diff().drop_nulls().max() < 0
    assert ending(frame).endswith("N stops at 10B and D at 1T, the maxima")
    assert ending(frame.head(last)) is None


def test_a_frontier_of_a_loss_law_says_what_pass_at_k_its_loss_is() -> None:
    terms = {"E": 0.2, "A": 60.0, "B": 90.0, "G": 1.5, "alpha": 0.3, "beta": 0.26, "gamma": 0.5}
    law = t2fast.Law("loss", terms)
    frame = frontier(law, [1e20, 1e22], 1e11)
    shown = plain(frontier_table(frame, law, 0.9), width=160)
    assert shown.split("\n")[0].split().count("pass@k") == 4  # of two, after -log
    for name in ("predicted", "chinchilla_predicted"):
        for value in frame[name]:
            assert f"{value:.4f}" in shown
            assert f"{np.exp(-value):.4f}" in shown
