"""Choices under a check that errs, against every order of the samples, every verdict on them and every
option.
"""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import t2fast
from hypothesis import given, settings
from hypothesis import strategies as st
from markets import SOLVES, TOKENS, counts_of, prices_of
from t2fast.choices import Verifier
from t2fast.choices.market import Market, market_of
from t2fast.choices.options import cascades, together, until_solved
from t2fast.cli.main import main
from t2fast.estimators.verified import verified_sampling

Rates = tuple[Fraction, Fraction]
Outcome = tuple[Fraction, Fraction, Fraction]

rates = st.sampled_from([Fraction(0), Fraction(1, 20), Fraction(1, 3), Fraction(9, 10), Fraction(1)])


def by_every_order(n: int, c: int, k: int, t: Fraction, f: Fraction) -> Outcome:
    """Right, wrong and samples drawn until one is accepted or k were, over every order of n samples."""
    right, wrong, drawn = Fraction(0), Fraction(0), Fraction(0)
    orders = list(itertools.combinations(range(n), c))
    for places in orders:
        rejected = Fraction(1)
        for j in range(k):
            drawn += rejected
            accepted = t if j in places else f
            if j in places:
                right += rejected * accepted
            else:
                wrong += rejected * accepted
            rejected *= 1 - accepted
    return right / len(orders), wrong / len(orders), drawn / len(orders)


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), rates, rates)
@settings(max_examples=40, deadline=None)
def test_sampling_until_accepted_is_the_mean_over_every_order(
    pair: tuple[int, int], t: Fraction, f: Fraction
) -> None:
    n, c = pair
    ks = np.arange(1, n + 1)
    found = verified_sampling(np.array([n, n]), np.array([c, 0]), ks, float(t), float(f))
    for k in ks.tolist():
        for place, right in enumerate((c, 0)):
            expected = by_every_order(n, right, k, t, f)
            assert [one[k - 1, place] for one in found] == pytest.approx(
                [float(x) for x in expected], rel=1e-12
            )


@pytest.mark.parametrize(
    ("n", "c", "t", "f"), [(100, 15, 0.9, 0.05), (3000, 40, 0.97, 0.001), (3000, 0, 1, 0.2)]
)
def test_many_samples_against_one_after_the_other(n: int, c: int, t: float, f: float) -> None:
    # What is left after j samples, by how many of them were right: another way to the same.
    ks = np.array([1, 2, 17, 60, min(n, 400)])
    weight, right, wrong, drawn, at = np.zeros(c + 1), 0.0, 0.0, 0.0, {}
    weight[0] = 1
    among = np.arange(c + 1)
    for j in range(ks[-1]):
        next_right = (c - among) / (n - j)
        next_wrong = np.clip((n - c - (j - among)) / (n - j), 0, 1)
        drawn += weight.sum()
        right += t * (weight * next_right).sum()
        wrong += f * (weight * next_wrong).sum()
        moved = weight * next_right * (1 - t)
        weight = weight * next_wrong * (1 - f)
        weight[1:] += moved[:-1]
        at[j + 1] = right, wrong, drawn
    found = verified_sampling(np.array([n]), np.array([c]), ks, t, f)
    np.testing.assert_allclose(
        np.array(found)[:, :, 0].T, [at[k] for k in ks.tolist()], rtol=1e-11, atol=1e-15
    )


PAIRS = {"cheap": [(4, 1), (4, 0), (3, 3)], "dear": [(3, 2), (4, 1), (3, 0)]}
USD = {"cheap": Fraction(2, 1000), "dear": Fraction(40, 1000)}


def erring(t: Fraction, f: Fraction) -> Market:
    market = market_of(counts_of(PAIRS), prices_of({"cheap": (1, 1), "dear": (10, 30)}), **TOKENS)
    return market.under((float(t), float(f)))


def enumerated(t: Fraction, f: Fraction) -> dict[tuple[str, tuple[tuple[str, int], ...]], list[Outcome]]:
    """Right, wrong and USD of every way to answer, on every problem."""
    ways: dict[tuple[str, tuple[tuple[str, int], ...]], list[Outcome]] = {}
    one = {
        (model, k): [by_every_order(n, c, k, t, f) for n, c in pairs]
        for model, pairs in PAIRS.items()
        for k in range(1, 4)
    }
    for (model, k), problems in one.items():
        ways["together", ((model, k),)] = [(r, w, k * USD[model]) for r, w, _ in problems]
        ways["one by one", ((model, k),)] = [(r, w, d * USD[model]) for r, w, d in problems]
    for k1, k2 in itertools.product(range(1, 4), repeat=2):
        both = zip(one["cheap", k1], one["dear", k2], strict=True)
        ways["cascade", (("cheap", k1), ("dear", k2))] = [
            (
                r1 + (1 - r1 - w1) * r2,
                w1 + (1 - r1 - w1) * w2,
                d1 * USD["cheap"] + (1 - r1 - w1) * d2 * USD["dear"],
            )
            for (r1, w1, d1), (r2, w2, d2) in both
        ]
    return ways


@given(rates, rates)
@settings(max_examples=15, deadline=None)
def test_every_way_to_answer_is_enumerated(t: Fraction, f: Fraction) -> None:
    market, expected = erring(t, f), enumerated(t, f)
    seen = 0
    for name, options in (
        ("together", together(market)),
        ("one by one", until_solved(market)),
        ("cascade", cascades(market, lambda right, wrong, usd: right >= 0)),
    ):
        for i, stages in enumerate(options.stages):
            problems = expected[name, stages]
            seen += 1
            for place, (right, wrong, usd) in enumerate(problems):
                assert options.passes[i, place] == pytest.approx(float(right), rel=1e-12, abs=1e-15)
                assert options.wrong[i, place] == pytest.approx(float(wrong), rel=1e-12, abs=1e-15)
                assert options.usd[i, place if options.stop else 0] == pytest.approx(float(usd), rel=1e-12)
    assert seen == len(expected)


@pytest.mark.parametrize(
    ("asked", "t", "f", "harm"),
    [
        ({}, "9/10", "1/20", 1),
        ({}, "1/2", "1/10", "1/2"),
        ({"per_query": 0.2}, "9/10", "1/20", 2),
        ({"per_query": 0.05}, "9/10", "1/3", "1/10"),
        ({"target": 0.35}, "9/10", "1/20", 1),
        ({"target": 0.35}, "1/2", "1/3", 1),
    ],
)
def test_the_choice_is_the_best_of_all(asked: dict[str, float], t: str, f: str, harm: str | int) -> None:
    rate, other, cost = Fraction(t), Fraction(f), Fraction(harm)
    counts, prices = counts_of(PAIRS), prices_of({"cheap": (1, 1), "dear": (10, 30)})
    verifier = Verifier(float(rate), float(other))
    found = t2fast.choose(
        counts, prices, **TOKENS, **asked, verifier=verifier, harm=float(cost), confidence=0.01, seed=1
    )
    means = {
        way: tuple(sum(column, Fraction(0)) / 3 for column in zip(*problems, strict=True))
        for way, problems in enumerated(rate, other).items()
    }
    picks = {"together": found.measured or found.together}
    if "target" not in asked:
        picks["one by one"] = found.until_solved
    for name, pick in picks.items():
        best = None
        for (way, stages), (right, wrong, usd) in means.items():
            worth = right - cost * wrong
            if way != name or usd > asked.get("per_query", 10) or right < asked.get("target", 0):
                continue
            if "target" in asked:
                key = (usd,)
            elif "per_query" in asked:
                key = (-worth, usd)
            elif worth > 0:
                key = (usd / worth,)
            else:
                continue
            if best is None or key < best[0]:
                best = (key, stages, right, wrong, usd)
        assert best is not None
        assert pick is not None
        option = pick.option
        assert option.stages == best[1]
        assert [option.pass_at_k, option.wrong, option.usd_per_query] == pytest.approx(
            [float(x) for x in best[2:]]
        )
        assert option.usd_per_solved == pytest.approx(float(best[4] / best[2]))


def test_the_best_k_is_finite_where_samples_are_free() -> None:
    counts, free = counts_of({"a": [(100, 20)] * 5 + [(100, 0)] * 5}), prices_of({"a": (0, 0)})
    verifier = Verifier(0.9, 0.05)
    for harm in (0.5, 1, 50):
        found = t2fast.choose(counts, free, per_query=1, **TOKENS, verifier=verifier, harm=harm)
        # By the closed form's terms, of 20 right in 100 and of none, one sample after the other.
        values, right, wrong = [], Fraction(0), Fraction(0)
        left = {(0, c): Fraction(1, 2) for c in (20, 0)}
        for j in range(100):
            after: dict[tuple[int, int], Fraction] = {}
            for (seen, c), weight in left.items():
                good = weight * Fraction(c - seen, 100 - j)
                bad = weight - good
                right += good * Fraction(9, 10)
                wrong += bad * Fraction(1, 20)
                for key, kept in (((seen + 1, c), good / 10), ((seen, c), bad * Fraction(19, 20))):
                    after[key] = after.get(key, Fraction(0)) + kept
            left = {key: weight for key, weight in after.items() if weight}
            values.append(right - Fraction(harm) * wrong)
        best = 1 + max(range(100), key=lambda j: values[j])
        assert found.together.option.k == best
        assert found.verified is not None
        assert found.verified.best == best
        assert found.together.option.worth(harm) == pytest.approx(float(values[best - 1]))
    assert "no answer at all is worth more than any of these" in " ".join(str(found).split())
    assert "* best at 1 sample, where a wrong answer costs 50 times" in " ".join(str(found).split())
    perfect = t2fast.choose(counts, free, per_query=1, **TOKENS, verifier=Verifier(1, 0), harm=1)
    plain = t2fast.choose(counts, free, per_query=1, **TOKENS)
    assert perfect.together.option.to_dict() == plain.together.option.to_dict()


def test_another_model_is_chosen_where_the_check_errs() -> None:
    # The cheap model makes up for its errors by many samples, of which a check that errs passes wrong ones.
    counts, prices = counts_of(SOLVES), prices_of({"cheap": (1, 1), "dear": (30, 30)})
    assert t2fast.choose(counts, prices, **TOKENS).together.option.model == "cheap"
    erring = t2fast.choose(counts, prices, **TOKENS, verifier=Verifier(0.9, 0.2))
    assert erring.together.option.model == "dear"
    with pytest.raises(ValueError, match=r"harm: nothing is worth its cost.* at a harm below 0\.\d+"):
        t2fast.choose(counts, prices, only=["cheap"], **TOKENS, verifier=Verifier(0.9, 0.2))
    with pytest.raises(
        ValueError, match=r"target: nothing measured reaches right answers 0\.97.* short, by dear"
    ):
        t2fast.choose(counts, prices, target=0.97, **TOKENS, verifier=Verifier(0.9, 0.5))
    with pytest.raises(ValueError, match=r"the check accepts no right sample.*: a solved query has no cost"):
        t2fast.choose(counts, prices, **TOKENS, verifier=Verifier(0, 0.1))
    with pytest.raises(ValueError, match="harm is -1"):
        t2fast.choose(counts, prices, **TOKENS, verifier=Verifier(0.9, 0.5), harm=-1)


def test_rates_of_few_labels_widen_what_follows() -> None:
    counts, prices = counts_of(SOLVES), prices_of({"cheap": (1, 1), "dear": (30, 30)})
    asked = {"target": 0.8, "confidence": 0.9}
    many, few = Verifier.estimated(900, 1000, 20, 1000), Verifier.estimated(9, 10, 1, 50)
    sure, unsure = (t2fast.choose(counts, prices, **TOKENS, **asked, verifier=one) for one in (many, few))
    assert sure.together.option.stages == unsure.together.option.stages == (("dear", 2),)
    assert sure.together.probability_met is not None
    assert unsure.together.probability_met is not None
    assert sure.together.probability_met > unsure.together.probability_met
    (narrow,), (wide,) = (
        [o for o in one.frontier if (o.model, o.k) == ("dear", 1)] for one in (sure, unsure)
    )
    assert narrow.low > wide.low
    assert narrow.high < wide.high
    # Problems are all alike, so that a share of right answers in one sample is 0.9 t: its posterior's.
    (rate,) = {float(c) / float(n) for n, c in SOLVES["dear"]}
    certain = t2fast.choose(counts, prices, **TOKENS, **asked, verifier=Verifier(0.9, 0.02))
    (point,) = [o for o in certain.frontier if (o.model, o.k) == ("dear", 1)]
    assert point.pass_at_k == pytest.approx(rate * 0.9)
    error = rate * np.std([t for t, _ in few.draws]) if few.draws is not None else 0
    assert wide.high - wide.low >= 2 * 1.9 * error


def test_the_command_says_what_the_check_costs(
    shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = [
        *(
            "choose",
            str(shared_data / "evalperf_counts.csv"),
            "--prompt-tokens",
            "500",
            "--output-tokens",
            "400",
        ),
        *("--prices", str(shared_data / "evalperf_models.csv"), "--per-query", "0.01"),
        *("--true-positive", "0.95", "--false-positive", "0.05", "--json"),
    ]
    assert main(line) == 0
    found = json.loads(capsys.readouterr().out)
    check = found["verifier"]
    k = found["k"]
    assert check["best_k"] < 100
    assert found["pass_at_k"] == pytest.approx(check["right"][k - 1])
    assert found["wrong"] == pytest.approx(check["wrong"][k - 1])
    assert found["pass_at_k"] < check["perfect"][k - 1]
    assert (check["true_positive"], check["false_positive"], check["harm"]) == (0.95, 0.05, 1)
    for row in [*found["frontier"], found["until_solved"], found["cascade"]]:
        assert row["low"] <= row["pass_at_k"] <= row["high"]
        assert 0 <= row["wrong"] <= 1 - row["pass_at_k"]
        assert row["usd_per_solved"] == pytest.approx(row["usd_per_query"] / row["pass_at_k"])
    worth = [row["pass_at_k"] - row["wrong"] for row in found["frontier"]]
    assert worth == sorted(worth)
    # Every model and k by the closed form on c/n, which 100 samples come near.
    assert main(line[:-1]) == 0
    shown = capsys.readouterr().out
    assert "one by one until accepted" in shown
    assert "by a check that accepts 0.95 of right and 0.05 of wrong samples" in " ".join(shown.split())
    assert main([*line[:-5], "--harm", "2"]) == 1
    assert "--harm is of wrong answers" in capsys.readouterr().err
    sequential = tmp_path / "sequential.csv"
    pl.DataFrame(
        {
            **{"model": ["gpt-4o-2024-08-06"], "problem": ["1"], "n_samples": [3], "n_correct": [1]},
            **{"until_successes": [1], "max_samples": [8]},
        }
    ).write_csv(sequential)
    assert main([line[0], str(sequential), *line[2:]]) == 1
    assert "sequential sampling do not say what a check" in capsys.readouterr().err


def test_the_command_says_how_many_were_labelled_and_what_is_odd(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    counts, labelled = tmp_path / "counts.csv", tmp_path / "labelled.csv"
    rows = [(m, f"q{i}", n, c) for m, pairs in SOLVES.items() for i, (n, c) in enumerate(pairs)]
    pl.DataFrame(rows, ["model", "problem", "n_samples", "n_correct"], orient="row").write_csv(counts)
    prices = tmp_path / "prices.csv"
    prices_of({"cheap": (1, 1), "dear": (10, 10)}).frame.write_csv(prices)
    line = ["choose", str(counts), "--prices", str(prices), "--prompt-tokens", "9", "--output-tokens", "9"]

    def said(*options: str, code: int = 0) -> str:
        assert main([*line, *options]) == code
        found = capsys.readouterr()
        return " ".join((found.out or found.err).split())

    pl.DataFrame({"correct": [1, 1, 0, 0, 0], "accepted": [1, 0, 1, 0, 0]}).write_csv(labelled)
    assert "(2 right and 3 wrong ones labelled)" in said("--labelled", str(labelled), "--per-query", "1")
    swapped = ("--true-positive", "0.1", "--false-positive", "0.9")
    assert "the wrong way round?" in said(*swapped, "--harm", "9", code=1)
    assert "the wrong way round?" in said(*swapped, "--per-query", "1")
    alike = said("--true-positive", "0.5", "--false-positive", "0.5", "--per-query", "1")
    assert "its verdict says nothing" in alike
    harmful = ("--true-positive", "0.9", "--false-positive", "0.1", "--harm", "100", "--per-query", "1")
    assert said(*harmful).startswith("Nothing is worth buying; the least bad for 1 USD a query at most")
    assert json.loads(said(*harmful, "--json"))["worth"] < 0
    assert "Best buy" not in said(*harmful)
    assert said("--seed", "-1", code=1) == "t2fast choose: --seed is -1: it cannot be negative"
    # A sum of money that nobody has does not fill the screen.
    assert "9e+" in said("--prompt-tokens", "1e30")
