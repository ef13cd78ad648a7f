"""Choosing among models that exist, against hand-made markets, enumeration and real counts."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from hypothesis import given, settings
from hypothesis import strategies as st
from markets import SOLVES, TOKENS, counts_of, prices_of
from scipy.stats import beta
from t2fast.choices.confidence import cheapest_that_reaches, sure_level
from t2fast.choices.market import Host, market_of
from t2fast.choices.options import cascades, together, until_solved
from t2fast.choices.resampling import new_problems, population
from t2fast.choices.sellers import sample_numbers
from t2fast.costs import Machine, QueryPrice, accelerator


def drawn_exactly(n: int, c: int, k: int) -> tuple[Fraction, Fraction]:
    """pass@k and expected samples until the first success or k, over every order of n samples."""
    solved, drawn, orders = Fraction(0), Fraction(0), 0
    for places in itertools.combinations(range(n), c):
        first = min(places, default=n) + 1
        solved += first <= k
        drawn += min(first, k)
        orders += 1
    return solved / orders, drawn / orders


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
@settings(max_examples=25, deadline=None)
def test_expected_samples_are_those_of_every_order(pair: tuple[int, int]) -> None:
    n, c = pair
    market = market_of(counts_of({"m": [pair]}), prices_of({"m": (0, 1e3)}), **TOKENS)
    (seller,) = market.sellers
    for k in range(1, n + 1):
        solved, drawn = drawn_exactly(n, c, k)
        assert seller.passes[k - 1, 0] == pytest.approx(float(solved), rel=1e-13)
        assert seller.usd_until_solved[k - 1, 0] == pytest.approx(float(drawn), rel=1e-13)


def test_a_cascade_is_paid_for_by_enumeration() -> None:
    pairs = {"cheap": (4, 1), "dear": (3, 2)}
    counts = counts_of({name: [pair, (pair[0], 0)] for name, pair in pairs.items()})
    market = market_of(counts, prices_of({"cheap": (1, 1), "dear": (10, 30)}), **TOKENS)
    options = cascades(market, lambda passes, wrong, usd: passes >= 0)
    place = options.stages.index((("cheap", 2), ("dear", 3)))
    solved, drawn = drawn_exactly(4, 1, 2)
    then, more = drawn_exactly(3, 2, 3)
    assert options.passes[place] == pytest.approx([float(1 - (1 - solved) * (1 - then)), 0])
    first = drawn * Fraction(2, 1000)
    expected = [float(first + (1 - solved) * more * Fraction(40, 1000)), 2 * 0.002 + 3 * 0.04]
    assert options.usd[place] == pytest.approx(expected, rel=1e-13)


def test_prompts_are_paid_for_as_sold() -> None:
    each, once = QueryPrice.of_tokens(2, 8, 500, 250), QueryPrice.of_tokens(2, 8, 500, 250, prompt_once=True)
    assert each.together([1, 10]).tolist() == pytest.approx([0.003, 0.03])
    assert once.together([1, 10]).tolist() == pytest.approx([0.003, 0.021])
    assert each.one_by_one(4) == once.one_by_one(4) == pytest.approx(0.012)


def test_intervals_of_a_chance_are_clopper_and_pearsons_where_problems_are_all_or_nothing() -> None:
    solved, problems, draws = 27, 30, 100_000
    values = np.array([[1.0] * solved + [0.0] * (problems - solved)])
    means = new_problems(problems, math.inf, draws, seed=1).means(values)[0]
    for tail in (0.05, 0.5):
        exact = beta.ppf(tail, solved, problems - solved + 1)
        assert np.quantile(means, tail) == pytest.approx(exact, abs=0.002)
    finite = new_problems(problems, 20, draws, seed=2).means(values)[0]
    assert finite.mean() == pytest.approx(means.mean(), abs=0.002)
    assert finite.std() > means.std()


def test_weights_are_alike_for_every_option_and_number_of_threads() -> None:
    code = (
        "import numpy as np; from t2fast.choices.resampling import population;"
        "v = np.random.default_rng(0).random((500, 37)); m = population(37, 300, 5).means(v);"
        "print(hash(m.tobytes()), (m[:1] == population(37, 300, 5).means(v[:1])).all())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "3")
    }
    assert len(seen) == 1
    assert seen.pop().endswith("True\n")
    rows = population(37, 300, 5).rows
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)


def test_as_sure_of_each_as_keeps_all_sure() -> None:
    rng = np.random.default_rng(0)
    # Of independent models each has to be as sure as Sidak says, of equal ones no surer than one alone.
    means = rng.random((20, 50_000))
    assert sure_level(means, 0.95) == pytest.approx(0.95 ** (1 / 20), abs=3e-4)
    assert sure_level(np.repeat(means[:1], 20, axis=0), 0.95) == pytest.approx(0.95, abs=1e-4)
    assert sure_level(np.ones((20, 100)), 0.95) == 0.95


def test_one_problem_proves_nothing_of_the_next() -> None:
    counts, prices = counts_of({"m": [(10, 10)]}), prices_of({"m": (1, 1)})
    with pytest.raises(ValueError, match=r"nothing does on 1 new ones with 95% confidence"):
        t2fast.choose(counts, prices, target=0.5, **TOKENS)
    found = t2fast.choose(counts, prices, target=0.5, confidence=0.4, **TOKENS).together
    # Beside the one that is solved, one problem that is not stands for what was not seen.
    assert found.probability_met == pytest.approx(0.5, abs=0.04)


def test_the_luckiest_of_many_models_misses_no_more_often_than_is_allowed() -> None:
    # Twenty models that solve nine in ten of all problems: half of the time they miss 0.9 on 60 new ones.
    rng, missed, alone = np.random.default_rng(0), 0, 0
    usd, none = np.arange(20.0), np.zeros(20, int)
    for seed in range(200):
        passes = (rng.random((20, 60)) < 0.9).astype(float)
        means = new_problems(60, 60, 500, seed).means(passes)
        again = rng.binomial(60, 0.9, 20) / 60 >= 0.9
        share = (means >= 0.9).mean(axis=1)
        for family, count in ((np.arange(20), 1), (none, 0)):
            found = cheapest_that_reaches(share, usd, family, 0.95, lambda places, of=means: of[places])
            wrong = found is not None and not again[found]
            missed, alone = missed + wrong * count, alone + wrong * (1 - count)
    assert missed <= 0.05 * 200
    # As if no others had been looked at: luck.
    assert alone >= 0.1 * 200


def test_what_hardly_any_draw_lets_reach_the_target_is_no_rival() -> None:
    share, usd = np.array([0.96, 0.01]), np.array([1.0, 2.0])
    means = np.random.default_rng(0).random((2, 1000))
    found = cheapest_that_reaches(share, usd, np.arange(2), 0.95, lambda places: means[places])
    assert found == 0
    assert cheapest_that_reaches(share - 0.95, usd, np.arange(2), 0.95, lambda places: means[places]) is None


def test_the_cheapest_that_reaches_the_target_is_chosen() -> None:
    # All problems are alike: 0.9 needs 18 samples of the cheap model, by exact pass@k, or 1 of the dear one.
    counts = counts_of(SOLVES)
    needed = next(k for k in range(1, 51) if t2fast.pass_at_k(50, 5, k) >= 0.9)
    for dear, expected in ((10, ("dear", 1)), (300, ("cheap", needed))):
        prices = prices_of({"cheap": (1, 1), "dear": (dear, dear)})
        # One problem in 41 is held to be unsolved, so that a target met exactly needs a little more.
        found = t2fast.choose(counts, prices, target=0.9, confidence=0.01, **TOKENS)
        assert (found.together.option.model, found.together.option.k) == expected
        measured = found.measured
        assert measured is not None
        assert (measured.option.model, measured.option.k) == expected
        assert measured.option.probability_best == 1
    sure = t2fast.choose(counts, prices, target=0.9, **TOKENS).together
    assert sure.option.k > needed
    assert sure.probability_met is not None
    assert sure.probability_met >= 0.95


def test_a_budget_buys_the_most_and_nothing_asked_the_cheapest_solution() -> None:
    counts, prices = counts_of(SOLVES), prices_of({"cheap": (1, 1), "dear": (30, 30)})
    found = t2fast.choose(counts, prices, per_query=0.0599, **TOKENS).together.option
    assert (found.model, found.k) == ("cheap", 29)
    assert found.usd_per_query == pytest.approx(0.058)
    assert found.pass_at_k == pytest.approx(t2fast.pass_at_k(50, 5, 29))
    least = t2fast.choose(counts, prices, **TOKENS).together.option
    assert (least.model, least.k) == ("cheap", 1)
    assert least.usd_per_solved == pytest.approx(0.02)


def test_ties_go_to_the_cheaper_and_the_frontier_rises() -> None:
    counts = counts_of({"a": [(10, 10)] * 5, "b": [(10, 10)] * 5, "c": [(10, 0)] * 5})
    found = t2fast.choose(counts, prices_of({"a": (2, 2), "b": (1, 1), "c": (3, 3)}), per_query=1, **TOKENS)
    assert (found.together.option.model, found.together.option.k) == ("b", 1)
    assert found.together.option.probability_best == 1
    assert [(o.model, o.k) for o in found.frontier] == [("b", 1)]


def test_what_is_left_out_is_named() -> None:
    counts = counts_of({"a": [(10, 5)] * 6, "b": [(10, 6)] * 4, "free": [(10, 3)] * 6})
    found = t2fast.choose(counts, prices_of({"a": (1, 1), "b": (1, 2), "free": (None, 1)}), **TOKENS)
    assert found.problems == 4
    assert any("without a price" in note and "free" in note for note in found.notes)
    assert any("4 of 6 problems" in note and "b has 4" in note for note in found.notes)
    assert "free" not in {option.model for option in found.frontier}


def test_samples_end_where_they_were_drawn_and_nothing_may_be_free() -> None:
    counts = counts_of({"a": [(10, 5), (6, 0)], "b": [(9, 3), (20, 0)]})
    found = t2fast.choose(counts, prices_of({"a": (0, 0), "b": (1, 1)}), per_query=1, max_k=9, **TOKENS)
    assert max(option.k for option in found.frontier) <= 9
    assert any("beyond the fewest samples of a problem: a (6)" in note for note in found.notes)
    free = t2fast.choose(
        counts_of({"a": [(4, 0)], "b": [(4, 4)]}), prices_of({"a": (0, 0), "b": (0, 0)}), **TOKENS
    )
    assert free.together.option.model == "b"
    assert free.together.option.usd_per_solved == 0
    assert free.together.option.probability_best == 1


def test_one_model_and_no_success() -> None:
    counts, prices = counts_of({"a": [(8, 0)] * 5}), prices_of({"a": (1, 1)})
    found = t2fast.choose(counts, prices, per_query=1, **TOKENS)
    assert found.together.option.pass_at_k == 0
    assert found.together.option.k == 1
    assert found.to_dict()["usd_per_solved"] is None
    assert found.together.option.low == 0
    assert found.together.option.high > 0.3
    json.dumps(found.to_dict(), allow_nan=False)
    assert "no model solved a problem: there is nothing to choose by but the price" in found.notes
    assert ", on 5 problems" in str(found)
    with pytest.raises(ValueError, match="no model solved a problem: a solved query has no cost"):
        t2fast.choose(counts, prices, **TOKENS)
    with pytest.raises(ValueError, match=r"target: nothing measured reaches pass@k 0.5.*0.5 short"):
        t2fast.choose(counts, prices, target=0.5, **TOKENS)


def test_a_budget_spent_to_the_last_cent_is_kept() -> None:
    # Three times 0.1 is more than 0.3 in floating point.
    counts, prices = counts_of({"a": [(8, 4)] * 5}), prices_of({"a": (100, 0)})
    found = t2fast.choose(counts, prices, per_query=0.3, **TOKENS)
    assert found.together.option.k == 3
    assert found.together.option.probability_best > 0


def test_of_what_costs_nothing_the_most_is_best() -> None:
    counts = counts_of({"a": [(10, c) for c in (9, 2, 0, 1)], "b": [(10, c) for c in (10, 7, 1, 5)]})
    found = t2fast.choose(counts, prices_of({"a": (0, 0), "b": (0, 0)}), **TOKENS)
    assert (found.together.option.model, found.together.option.k) == ("b", 10)
    assert found.together.option.pass_at_k == max(option.pass_at_k for option in found.frontier)
    assert found.cascade is None or found.cascade.option.pass_at_k >= found.together.option.pass_at_k
    assert found.together.option.probability_best > 0.5


def test_a_price_by_another_name_is_named() -> None:
    rows = pl.DataFrame(
        {"model": ["a"], "usd_per_million_prompt_token": [1.0], "usd_per_million_output_tokens": [1.0]}
    )
    with pytest.raises(
        ValueError,
        match=r"there is no usd_per_million_prompt_tokens: if usd_per_million_prompt_token is that, .*"
        r"read_prices\(…, columns=\{'usd_per_million_prompt_tokens': 'usd_per_million_prompt_token'\}\)",
    ):
        t2fast.choose(counts_of({"a": [(8, 1)] * 5}), t2fast.read_prices(rows), **TOKENS)


def test_impossible_requests_say_what_fails_and_by_how_much() -> None:
    counts, prices = counts_of(SOLVES), prices_of({"cheap": (1, 1), "dear": (30, 30)})
    with pytest.raises(ValueError, match=r"budget: .* cheap, costs 0.002 USD a query, 2 times the 0.001"):
        t2fast.choose(counts, prices, per_query=0.001, **TOKENS)
    with pytest.raises(
        ValueError, match=r"target: .*within 0.004 USD.*0.7.* short, by cheap at k = 2.* \d times"
    ):
        t2fast.choose(counts, prices, target=0.9, per_query=0.004, **TOKENS)
    few = counts_of({"a": [(9, 9)] * 5})
    with pytest.raises(ValueError, match=r"confidence: a at k = 1 reaches pass@k 0.99 .*5 problems.*5 new"):
        t2fast.choose(few, prices_of({"a": (1, 1)}), target=0.99, **TOKENS)
    with pytest.raises(ValueError, match="no model's speed is known"):
        t2fast.choose(counts, prices, latency=1, **TOKENS)
    fast = prices_of({"cheap": (1, 1), "dear": (30, 30)}, output_tokens_per_second=[100.0, 200.0])
    with pytest.raises(ValueError, match=r"latency: .*The fastest, dear, takes 5 s for one sample, 5 times"):
        t2fast.choose(counts, fast, latency=1, **TOKENS)
    found = t2fast.choose(counts, fast, latency=6, **TOKENS)
    assert found.together.option.model == "dear"
    assert found.together.option.seconds == pytest.approx(5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 1.5}, "target is 1.5"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"per_query": math.nan}, "per_query is nan"),
        ({"prompt_tokens": -1}, "prompt_tokens is -1"),
        ({"prompt_tokens": None}, "prompt tokens cheap takes is unknown"),
        ({"only": ["chaep"]}, "has no model chaep .cheap..; it has cheap, dear"),
        ({"max_k": 0}, "max_k is 0"),
        ({"new_problems": 2.5}, "new_problems is 2.5"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, object], message: str) -> None:
    counts, prices = counts_of(SOLVES), prices_of({"cheap": (1, 1), "dear": (30, 30)})
    with pytest.raises(ValueError, match=message):
        t2fast.choose(counts, prices, **{**TOKENS, **change})  # type: ignore[arg-type]


def test_prices_are_checked_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    head = "model,usd_per_million_prompt_tokens,usd_per_million_output_tokens\n"
    path.write_text(head + "a,1,2\nb,,\nc,-1,many\n")
    with pytest.raises(ValueError, match=r"(?s)2 values.*row 3: usd_per_million_prompt_.* is '-1'.*'many'"):
        t2fast.read_prices(path)
    path.write_text(head + "a,1,2\na,1,2\n")
    with pytest.raises(ValueError, match="more than one row for 'a'"):
        t2fast.read_prices(path)
    path.write_text(head + "a,1,2\nb,,\n")
    assert t2fast.read_prices(path).of("b")["usd_per_million_output_tokens"] is None


def test_options_are_whole_numbers_of_samples() -> None:
    assert sample_numbers(1).tolist() == [1]
    assert sample_numbers(100).tolist() == list(range(1, 101))
    many = sample_numbers(3_000_000)
    assert many[-1] == 3_000_000
    assert np.all(np.diff(many) >= 1)
    assert np.all(many[1:] / many[:-1] <= 2)
    assert len(many) < 400


def test_targets_are_met_on_the_other_half(shared_data: Path) -> None:
    counts = t2fast.read_counts(shared_data / "evalperf_counts.csv")
    prices = t2fast.read_prices(shared_data / "evalperf_models.csv")
    problems = np.array(counts.frame["problem"].unique().sort().to_list())
    rng, missed, chosen = np.random.default_rng(1), 0, 0
    for split in range(10):
        order = rng.permutation(len(problems))
        halves = problems[order[:59]], problems[order[59:]]
        mine, others = (
            t2fast.Counts(counts.frame.filter(pl.col("problem").is_in(h.tolist()))) for h in halves
        )
        found = t2fast.choose(
            mine, prices, prompt_tokens=500, output_tokens=400, target=0.8, draws=500, seed=split
        )
        option = found.together.option
        rows = others.frame.filter(pl.col("model") == option.model)
        value = np.mean(
            t2fast.pass_at_k(rows["n_samples"].to_numpy(), rows["n_correct"].to_numpy(), option.k)
        )
        missed += value < 0.8
        chosen += 1
    assert chosen == 10
    assert missed <= 1


def test_samples_beyond_what_is_drawn_at_once_wait() -> None:
    counts = counts_of({"own": [(80, 40)] * 6})
    prices = prices_of({"own": (None, None)}, n_params=[8e9])
    host = Host(Machine(accelerator("H100"), usd_per_hour=2.5), rows=32)
    market = market_of(counts, prices, **TOKENS, host=host)
    first, rest = market.sellers[0].seconds or (0.0, 0.0)
    options = together(market)
    for k, rounds in ((1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (80, 3)):
        place = options.stages.index((("own", k),))
        assert options.seconds[place] == pytest.approx(first + rounds * rest)
        assert until_solved(market).seconds[place] == pytest.approx(k * (first + rest))
    found = t2fast.choose(counts, prices, host=host, latency=first + 1.5 * rest, **TOKENS)
    assert found.together.option.k == 32


def test_models_without_a_price_are_served() -> None:
    counts = counts_of({"sold": [(10, 5)] * 6, "own": [(10, 6)] * 6, "vast": [(10, 9)] * 6})
    prices = prices_of(
        {"sold": (1, 1), "own": (None, None), "vast": (None, None)}, n_params=[None, 8e9, 4e11]
    )
    machine = Machine(accelerator("H100"), usd_per_hour=2.5)
    for cache in (0.0, 131072.0):
        market = market_of(counts, prices, **TOKENS, host=Host(machine, 32, cache))
        own, vast = (next(s for s in market.sellers if s.model == name) for name in ("own", "vast"))
        # By hand: 16 GB of weights, and 32 rows' caches half written, over 60% of 3.35 TB/s bound a step;
        # reading is bound by arithmetic.
        step = (16e9 + 32 * 1500 * cache) / (0.6 * 3.35e12)
        read = 2 * 8e9 / (0.4 * 989e12) * 2.5 / 3600
        assert own.price.sample == pytest.approx(1000 * step / 32 * 2.5 / 3600)
        assert own.usd[2] == pytest.approx(1000 * read + 3 * 1000 * step / 32 * 2.5 / 3600)
        assert own.seconds is not None
        assert own.seconds[1] == pytest.approx(1000 * step)
        # 800 GB need 16 chips: ten would do, but chips come in powers of two.
        step = (800e9 + 32 * 1500 * cache) / (16 * 0.6 * 3.35e12)
        assert vast.price.sample == pytest.approx(1000 * step / 32 * 16 * 2.5 / 3600)
        assert (market.rooms["own"].chips, market.rooms["vast"].chips) == (1, 16)
    assert market.rooms["own"].largest_batch == int((80e9 - 16e9) // (131072 * 2000))
    # A model's own cache, of its row of the prices, comes first; without any it goes by its size.
    own_cache = prices_of({"own": (None, None)}, n_params=[8e9], cache_bytes=[65536.0])
    held = market_of(counts, own_cache, **TOKENS, host=Host(machine, 32, 131072.0)).rooms["own"]
    assert held.caches == 32 * 2000 * 65536
    by_size = market_of(counts, prices, **TOKENS, host=Host(machine, 32)).rooms["own"]
    assert by_size.model.cache_bytes == pytest.approx(512 * (8e9 / (12 * 128**2)) ** (2 / 3))
    assert any("priced by H100 at 2.5 USD an hour" in note and "own, vast" in note for note in market.notes)
    without = market_of(counts, prices, **TOKENS)
    assert [s.model for s in without.sellers] == ["sold"]


def test_sequential_counts_are_read_as_such() -> None:
    frame = counts_of({"a": [(3, 1), (8, 0), (1, 1)]}).frame.with_columns(until_successes=1, max_samples=8)
    market = market_of(t2fast.read_counts(frame), prices_of({"a": (0, 1e3)}), **TOKENS)
    (seller,) = market.sellers
    assert seller.ks.tolist() == list(range(1, 9))
    assert seller.passes[:, 0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    # The first success came third: so many samples were drawn, whatever the limit beyond.
    assert seller.drawn[:, 0].tolist() == [1, 2, 3, 3, 3, 3, 3, 3]
    assert seller.drawn[:, 1].tolist() == list(range(1, 9))
    assert len(together(market)) == len(until_solved(market)) == 8


def test_one_model_has_no_cascade_and_says_so() -> None:
    counts, prices = counts_of({"a": [(8, 4)] * 5}), prices_of({"a": (1, 1)})
    shown = str(t2fast.choose(counts, prices, per_query=1, **TOKENS))
    assert "none meets the request and beats one model alone" in shown
