"""Whether chosen options meet their targets on problems they were not chosen on: EvalPerf, by random halves.

Run as `python -m benches.choose COUNTS.csv MODELS.csv`. In each of 200 splits a model and k are chosen on
half of the problems and judged on the other: how often the target is met there, and the cost against the
cheapest option that meets it there, known only in hindsight. A refusal is an answer too: it is counted by
itself.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl
from t2fast import choose, read_counts, read_prices
from t2fast.choices.market import Market, market_of
from t2fast.choices.options import Options, together, until_solved
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


def splits(counts: Counts, prices: Prices, confidence: float, new: float | None, number: int) -> None:
    """Print one row for every target and way of sampling."""
    problems = np.array(counts.frame["problem"].unique().sort().to_list())
    rng = np.random.default_rng(0)
    found: dict[tuple[float, str], list[tuple[bool, float]]] = {}
    refused: dict[tuple[float, str], int] = {}
    for split in range(number):
        order = rng.permutation(len(problems))
        halves = [problems[order[: len(order) // 2]], problems[order[len(order) // 2 :]]]
        mine, others = (
            Counts(counts.frame.filter(pl.col("problem").is_in(half.tolist()))) for half in halves
        )
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts")
    parser.add_argument("prices")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--confidence", type=float, nargs="+", default=[0.95, 0.8, 0.5])
    parser.add_argument("--new-problems", type=float)
    arguments = parser.parse_args()
    counts, prices = read_counts(arguments.counts), read_prices(arguments.prices)
    print("| target | confidence | sampling | chosen | refused | met | chosen and missed | cost/hindsight |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for confidence in arguments.confidence:
        splits(counts, prices, confidence, arguments.new_problems, arguments.splits)


if __name__ == "__main__":
    main()
