"""One budget under a check that errs, against SciPy's quadrature over grids of N and k."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from t2fast import Verifier, plan_spending
from t2fast.cli.main import main
from t2fast.laws import Law, default_law
from t2fast.laws.data_wall import DataWall
from t2fast.plans import Workload, plan_checked
from test_checked_plans import LAW, NAMES, answers

WORK = Workload(1e8, 200.0, 300.0)
CHECK = Verifier(0.9, 0.01)


def left_to_train(budget: float, n: float, k: np.ndarray) -> np.ndarray:
    return (budget - 1e8 * 2 * n * (200 + 300 * k)) / (6 * n)


def worths(n: float, d: np.ndarray, k: np.ndarray, t: float, f: float, harm: float) -> np.ndarray:
    """Right less harm x wrong at points (d[i], k[i])."""
    sides = np.array([answers(LAW, n, d[i], k[i : i + 1], t, f)[:, 0] for i in range(len(k))])
    return sides[:, 0] - harm * sides[:, 1]


@given(
    st.floats(0.4, 1),
    st.floats(-3.5, -1.3).map(lambda x: 10**x),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.floats(20.5, 22.5),
)
@settings(max_examples=4)
def test_no_n_and_k_of_a_grid_are_better(t: float, f: float, harm: float, budget: float) -> None:
    budget = 10**budget
    found = plan_spending(LAW, WORK, budget=budget, verifier=Verifier(t, f), harm=harm, level=0.9)
    chosen = found.chosen
    n, d, k = chosen.n_params, chosen.n_tokens, chosen.k
    assert chosen.cost == pytest.approx(budget, rel=1e-9)
    assert chosen.training == pytest.approx(6 * n * d, rel=1e-9)
    assert chosen.serving == pytest.approx(1e8 * 2 * n * (200 + 300 * k), rel=1e-9)
    here = answers(LAW, n, d, np.array([k]), t, f)[:, 0]
    assert [chosen.right, chosen.wrong] == pytest.approx(here, rel=1e-8, abs=1e-12)
    assert chosen.predicted == pytest.approx(here[0] - harm * here[1], abs=1e-9)
    for size in np.geomspace(n / 10, 10 * n, 13):
        ks = np.geomspace(1, max(1.0, (budget / (2e8 * size) - 200) / 300), 12)
        tokens = left_to_train(budget, size, ks)
        there = tokens >= 1e3
        if there.any():
            best = worths(size, tokens[there], ks[there], t, f, harm).max()
            assert chosen.predicted >= best - 1e-9


def test_chinchillas_k_is_the_best_for_its_size() -> None:
    sizes = (1e8, 1e9)
    found = plan_spending(LAW, WORK, budget=1e22, n_params=sizes, verifier=Verifier(0.9, 0.03), harm=3)
    other = found.chinchilla
    assert other is not None
    assert other.n_tokens == pytest.approx(20 * other.n_params)
    most = -math.inf
    for n in np.geomspace(*sizes, 13):
        k = ((1e22 - 120 * n * n) / (2e8 * n) - 200) / 300
        if k < 1:
            continue
        ks = np.geomspace(1, k, 20)
        most = max(most, worths(n, np.full(20, 20 * n), ks, 0.9, 0.03, 3).max())
    assert other.predicted >= most - 1e-9
    assert other.cost < 1e22 * (1 - 1e-3)  # a further sample would do harm, even for nothing
    assert found.compared is None


def test_a_check_without_errors_changes_nothing() -> None:
    plain = plan_spending(LAW, WORK, budget=1e21).chosen
    under = plan_spending(LAW, WORK, budget=1e21, verifier=Verifier(1, 0), harm=5)
    assert under.chosen.predicted == pytest.approx(plain.predicted, rel=1e-9)
    assert under.chosen.n_params == pytest.approx(plain.n_params, rel=1e-4)
    assert under.chosen.wrong == 0
    assert under.answers is not None
    assert under.answers.perfect.predicted == pytest.approx(plain.predicted, rel=1e-12)


def test_the_least_cost_of_a_share_of_right_answers() -> None:
    found = plan_spending(LAW, WORK, target=0.6, verifier=Verifier(0.8, 0.01), harm=2)
    chosen = found.chosen
    assert chosen.right == pytest.approx(0.6, abs=1e-9)
    assert chosen.metric == "right answers"
    here = answers(LAW, chosen.n_params, chosen.n_tokens, np.array([chosen.k]), 0.8, 0.01)[:, 0]
    assert here[0] == pytest.approx(0.6, abs=1e-8)
    assert chosen.wrong == pytest.approx(here[1])
    for factor_n in (0.7, 0.9, 1.1, 1.4):
        for factor_k in (0.7, 0.9, 1.1, 1.4):
            n, k = chosen.n_params * factor_n, max(1.0, chosen.k * factor_k)
            d = left_to_train(chosen.cost * (1 - 1e-6), n, np.array([k]))
            if d[0] > 0:
                assert worths(n, d, np.array([k]), 0.8, 0.01, 0)[0] < 0.6
    assert found.asked == "right answers 0.6 at least cost"


def test_k_is_finite_where_money_is_left_and_the_plan_shows_it() -> None:
    ranges = {"n_params": (1e8, 1e10), "n_tokens": (None, 1e12)}
    found = plan_spending(LAW, WORK, budget=1e26, **ranges, verifier=CHECK, harm=2)
    chosen, by = found.chosen, found.answers
    assert by is not None
    n, d = chosen.n_params, chosen.n_tokens
    assert chosen.k == pytest.approx(by.free_k, rel=1e-3)
    assert chosen.k < by.most_k / 100
    assert found.answers is not None
    assert "even for free" in by.finding(chosen.k)
    assert "unspent" in " ".join(found.warnings)
    for row in by.by_k[:12]:
        right, wrong = answers(LAW, n, d, np.array([row.k]), 0.9, 0.01)[:, 0]
        assert (row.right, row.wrong) == pytest.approx((right, wrong), rel=1e-7)
        assert row.worth <= chosen.predicted + 1e-12


def test_text_that_ends_is_worth_less_under_a_check_too() -> None:
    found = plan_spending(LAW, WORK, budget=1e22, unique_tokens=1e9, verifier=CHECK)
    chosen = found.chosen
    worth = float(DataWall().effective_tokens(chosen.n_tokens, 1e9))
    assert worth < chosen.n_tokens / 2
    here = answers(LAW, chosen.n_params, worth, np.array([chosen.k]), 0.9, 0.01)[:, 0]
    assert [chosen.right, chosen.wrong] == pytest.approx(here, rel=1e-8)
    assert any("another trillion would bring right less wrong" in words for words in found.warnings)


def test_intervals_are_of_the_law_and_of_the_rates() -> None:
    law = default_law()
    assert law.draws is not None
    law = replace(law, draws=law.draws[:8])
    work = Workload(1e6, 150.0, 150.0)
    sure = plan_spending(law, work, budget=1e21, verifier=Verifier(0.9, 1e-3)).chosen.intervals
    doubted = Verifier.estimated(9, 10, 1, 1000)
    wide = plan_spending(law, work, budget=1e21, verifier=doubted).chosen
    assert {"right_here", "wrong_here", "predicted_here", "n_params", "k"} <= sure.keys()
    low, high = wide.intervals["wrong_here"]
    assert low < (wide.wrong or 0) < high
    assert high - low > 2 * (sure["wrong_here"][1] - sure["wrong_here"][0])


def test_under_two_budgets_and_one_the_same_place_brings_the_same() -> None:
    two = plan_checked(LAW, CHECK, 1e21, 1e10)
    one = plan_spending(
        LAW,
        WORK,
        budget=1e30,
        n_params=(two.chosen.n_params, two.chosen.n_params),
        n_tokens=(two.chosen.n_tokens, two.chosen.n_tokens),
        verifier=CHECK,
    )
    assert one.chosen.k == pytest.approx(two.chosen.free_k, rel=1e-4)


def test_laws_that_do_not_know_problems_are_refused() -> None:
    law = Law("loss", {"E": 0.2, "A": 60.0, "B": 90.0, "G": 1.5, "alpha": 0.3, "beta": 0.26, "gamma": 0.5})
    with pytest.raises(ValueError, match=r"the loss law of -log pass@k does not say how problems differ"):
        plan_spending(law, WORK, budget=1e22, verifier=CHECK)
    with pytest.raises(ValueError, match=r"harm is -1.0"):
        plan_spending(LAW, WORK, budget=1e22, verifier=CHECK, harm=-1)
    assert len(NAMES) == 10


def test_the_command_plans_in_dollars_under_a_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LAW.save(tmp_path / "law.json")
    line = ["plan", "--usd", "10000", "--gpu", "H100", "--usd-per-hour", "2.5", "--queries", "1e8"]
    line += ["--prompt-tokens", "150", "--output-tokens", "150"]
    line += ["--true-positive", "0.9", "--false-positive", "0.01", "--law", str(tmp_path / "law.json")]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "by a check that accepts 0.9 of right and 0.01 of wrong samples" in " ".join(out.split())
    assert "right less wrong" in out
    assert "perfect check" in out
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["right"] - found["wrong"] == pytest.approx(found["predicted"])
    assert found["perfect"]["predicted"] > found["right"]
    assert found["k"] < found["perfect"]["k"]
    assert [row["k"] for row in found["by_k"]] == sorted({row["k"] for row in found["by_k"]})
    assert found["cost"] == pytest.approx(10_000)
    assert found["ratio"] is None
    wanted = ["plan", "--target", "0.3", *line[3:]]
    assert main([*wanted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == pytest.approx(0.3, abs=1e-9)
