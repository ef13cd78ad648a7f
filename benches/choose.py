"""Whether chosen options meet their targets on problems they were not chosen on: EvalPerf, by random halves.

Run as `python -m benches.choose COUNTS.csv MODELS.csv`. In each of 200 splits a model and k are chosen on
half of the problems and judged on the other: how often the target is met there, and the cost against the
cheapest option that meets it there, known only in hindsight. A refusal is an answer too: it is counted by
itself.

`--resampled` draws both halves from all problems with replacement instead. Halves that share nothing make up
the same whole, so that a lucky one leaves an unlucky one; two draws of a population know nothing of each
other, which is what a confidence speaks of.

`--best` holds the chances of being the best against how often what is chosen on as many problems as there
are, drawn with replacement, is the best on all of them.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from t2fast import choose, read_counts, read_prices
from t2fast.choices.confidence import cheapest_that_reaches
from t2fast.choices.market import Market, market_of
from t2fast.choices.options import Options, together, until_solved
from t2fast.choices.resampling import new_problems
from t2fast.tables import Counts, Prices

TARGETS = (0.8, 0.85, 0.9)
PROMPT, OUTPUT = 500, 400


def judged(stages: tuple[tuple[str, int], ...], market: Market, stop: bool) -> tuple[float, float]:
    """pass@k and USD a query of an option on a market's problems."""
    fail, usd = np.ones(market.problems), np.zeros(market.problems)
    for model, k in stages:
        seller = next(s for s in market.sellers if s.model == model)
        at = int(np.searchsorted(seller.ks, k))
        usd += fail * seller.usd_until_solved[at] if stop else seller.usd[at]
        fail = fail * (1 - seller.passes[at])
    return 1 - float(fail.mean()), float(usd.mean())


def hindsight(options: Options, target: float) -> float:
    """The least cost that meets the target on the problems it is judged on; NaN if none does."""
    meets = options.pass_at_k >= target
    return float(options.usd_per_query[meets].min()) if meets.any() else np.nan


def drawn(counts: Counts, problems: list[str]) -> Counts:
    """Counts of these problems, one that is named twice being two problems."""
    named = pl.DataFrame({"problem": problems, "copy": [f"{i}" for i in range(len(problems))]})
    frame = named.join(counts.frame, on="problem").with_columns(problem=pl.col("copy"))
    return Counts(frame.select(counts.frame.columns))


def halves_of(problems: list[str], rng: np.random.Generator, resampled: bool) -> list[list[str]]:
    """Problems to choose on and problems to judge on."""
    half = len(problems) // 2
    if resampled:
        return [[problems[i] for i in rng.integers(len(problems), size=half)] for _ in range(2)]
    order = rng.permutation(len(problems))
    return [[problems[i] for i in part] for part in (order[:half], order[half:])]


def splits(
    counts: Counts, prices: Prices, confidence: float, new: float | None, number: int, resampled: bool
) -> None:
    """Print one row for every target and way of sampling."""
    problems = counts.frame["problem"].unique().sort().to_list()
    rng = np.random.default_rng(0)
    found: dict[tuple[float, str], list[tuple[bool, float]]] = {}
    refused: dict[tuple[float, str], int] = {}
    for split in range(number):
        mine, others = (drawn(counts, half) for half in halves_of(problems, rng, resampled))
        market = market_of(others, prices, PROMPT, OUTPUT)
        for target in TARGETS:
            best = {"at once": hindsight(together(market), target)}
            best["until solved"] = best["cascade"] = hindsight(until_solved(market), target)
            try:
                choice = choose(
                    mine,
                    prices,
                    prompt_tokens=PROMPT,
                    output_tokens=OUTPUT,
                    target=target,
                    confidence=confidence,
                    new_problems=new,
                    draws=1000,
                    seed=split,
                )
                picks = (choice.together, choice.until_solved, choice.cascade)
            except ValueError:
                picks = (None, None, None)
            for way, pick in zip(best, picks, strict=True):
                key = (target, way)
                if pick is None:
                    refused[key] = refused.get(key, 0) + 1
                    continue
                passes, usd = judged(pick.option.stages, market, way != "at once")
                found.setdefault(key, []).append((passes >= target, usd / best[way]))
    for target in TARGETS:
        for way in ("at once", "until solved", "cascade"):
            rows = found.get((target, way), [])
            met = sum(ok for ok, _ in rows)
            ratios = np.array([ratio for _, ratio in rows])
            middle = f"{np.nanmedian(ratios):.3g}" if len(rows) else "-"
            print(
                f"| {target:g} | {confidence:g} | {way} | {len(rows)} | {refused.get((target, way), 0)} "
                f"| {met} | {(len(rows) - met) / number:.1%} | {middle} |",
                flush=True,
            )


def at_once(
    counts: Counts, prices: Prices, confidence: float, new: float | None, number: int, resampled: bool
) -> None:
    """As `splits`, of k samples at once alone: a tenth of the time."""
    problems = counts.frame["problem"].unique().sort().to_list()
    rng = np.random.default_rng(0)
    found: dict[float, list[tuple[bool, float]]] = {target: [] for target in TARGETS}
    for split in range(number):
        mine, others = (drawn(counts, half) for half in halves_of(problems, rng, resampled))
        market, judges = (market_of(half, prices, PROMPT, OUTPUT) for half in (mine, others))
        options, truth = together(market), together(judges)
        means = new_problems(market.problems, new or market.problems, 2000, split).means(options.passes)
        for target in TARGETS:
            share = (means >= target * (1 - 1e-12)).mean(axis=1)
            pick = cheapest_that_reaches(
                share, options.usd_per_query, options.family, confidence, means.__getitem__
            )
            if pick is not None:
                passes, usd = judged(options.stages[pick], judges, stop=False)
                found[target].append((passes >= target, usd / hindsight(truth, target)))
    for target, rows in found.items():
        met, middle = sum(ok for ok, _ in rows), np.nanmedian([ratio for _, ratio in rows] or [np.nan])
        print(
            f"| {target:g} | {confidence:g} | at once | {len(rows)} | {number - len(rows)} | {met} "
            f"| {(len(rows) - met) / number:.1%} | {middle:.3g} |",
            flush=True,
        )


def chances(counts: Counts, prices: Prices, number: int) -> None:
    """Print, for every request, the mean chance that the choice is the best, and how often it is."""
    problems = counts.frame["problem"].unique().sort().to_list()
    options = together(market_of(counts, prices, PROMPT, OUTPUT))
    passes, usd = options.pass_at_k, options.usd_per_query
    rng = np.random.default_rng(1)
    samples = [
        drawn(counts, [problems[i] for i in rng.integers(len(problems), size=len(problems))])
        for _ in range(number)
    ]
    print("| USD a query at most | said | so | said of the model | so |\n| --- | --- | --- | --- | --- |")
    for budget in (None, 0.001, 0.01, 0.1):
        if budget is None:
            best = int((usd / passes).argmin())
        else:
            best = int(np.lexsort((usd, -np.where(usd <= budget, passes, -1)))[0])
        ((model, k),) = options.stages[best]
        rows = []
        for seed, mine in enumerate(samples):
            pick = choose(
                mine,
                prices,
                prompt_tokens=PROMPT,
                output_tokens=OUTPUT,
                per_query=budget,
                draws=1000,
                seed=seed,
            ).together
            same = pick.option.model == model
            rows.append(
                (pick.option.probability_best, same and pick.option.k == k, pick.probability_model, same)
            )
        print(
            f"| {budget} | " + " | ".join(f"{value:.0%}" for value in np.mean(rows, axis=0)) + " |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.choose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("counts")
    parser.add_argument("prices")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--confidence", type=float, nargs="+", default=[0.95, 0.8, 0.5])
    parser.add_argument("--new-problems", type=float)
    parser.add_argument("--at-once", action="store_true", help="k samples at once alone")
    parser.add_argument("--resampled", action="store_true", help="draw both halves with replacement")
    parser.add_argument(
        "--best", action="store_true", help="hold the chances of being the best against the truth"
    )
    arguments = parser.parse_args()
    counts, prices = read_counts(arguments.counts), read_prices(arguments.prices)
    if arguments.best:
        chances(counts, prices, arguments.splits)
        return
    print("| target | confidence | sampling | chosen | refused | met | chosen and missed | cost/hindsight |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for confidence in arguments.confidence:
        judge = at_once if arguments.at_once else splits
        judge(counts, prices, confidence, arguments.new_problems, arguments.splits, arguments.resampled)


if __name__ == "__main__":
    main()
