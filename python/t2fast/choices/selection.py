"""The best buy among models that exist: which to call and how many samples to draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.arguments import require_kind
from t2fast.choices.choice import Choice, Option, Pick
from t2fast.choices.confidence import cheapest_that_reaches
from t2fast.choices.market import Host, Market, market_of
from t2fast.choices.options import Keep, Options, cascades, together, until_solved
from t2fast.choices.request import (
    Request,
    beyond_budget,
    beyond_confidence,
    beyond_harm,
    beyond_target,
    one_by_one,
)
from t2fast.choices.resampling import Weights, measured_again, new_problems, population
from t2fast.choices.verifier import VerifiedCurve, curve_of
from t2fast.estimators.curve import clustered_interval
from t2fast.estimators.verifier import Verifier, weighing
from t2fast.tables.counts import Counts
from t2fast.tables.prices import Prices

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_BLOCK = 4096
"""Options whose draws are held at once."""


def choose(
    counts: Counts,
    prices: Prices,
    *,
    target: float | None = None,
    per_query: float | None = None,
    latency: float | None = None,
    confidence: float = 0.95,
    new_problems: float | None = None,
    prompt_tokens: float | None = None,
    output_tokens: float | None = None,
    prompt_once: bool = False,
    only: Sequence[str] | None = None,
    max_k: int | None = None,
    host: Host | None = None,
    verifier: Verifier | None = None,
    harm: float = 1.0,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Choice:
    """The best model and number of samples k, by what was measured.

    With a `target` the cheapest (model, k) whose pass@k reaches it; otherwise the one of most pass@k within
    the limits given; without any of both, the one of least cost a solved query.

    pass@k takes for granted that a right sample is recognised. With a `verifier` that errs the first sample
    that it accepts is the answer, right or wrong, and all of this is of right answers: a target is a share of
    them; within limits they count less `harm` times the wrong ones, so that the best k is finite whatever
    samples cost; the least cost is that of so much. Sampling one by one stops at the first sample accepted,
    and a cascade's second model is asked where none of the first's was. Rates that were estimated are drawn
    anew with the problems.

    A target is reached if `new_problems` more problems of the same kind would reach it with `confidence`, for
    every model at once that may seem to: the cheapest of several that do is too often the luckiest. So each
    is asked to be surer than that; a choice that misses is made with a chance of at most 1 - confidence. By
    default as many new problems as were measured, so that the claim can be checked by measuring
    again; infinity asks for the mean of the population.

    Args:
        counts: samples of several models on the same problems; compared are the problems that all priced ones
            have.
        prices: of these models.
        target: pass@k to reach at least cost, in (0, 1].
        per_query: US dollars a query at most, expected where sampling stops early.
        latency: seconds a query at most, at worst; samples drawn together take as long as one, but for those
            beyond what a host draws at once, which wait.
        confidence: of reaching the target.
        new_problems: on which to reach it, a whole number or infinity.
        prompt_tokens: tokens of a query's prompt, where `prices` has none for the model.
        output_tokens: tokens of a sample, likewise.
        prompt_once: whether samples drawn together pay for their prompt once (one request for k samples) and
            not k times (k requests, the default: most sellers have no other). One by one, each sample pays
            for it.
        only: these models alone.
        max_k: no more samples than this; the fewest samples of a problem in any case.
        host: hardware to serve those on that have no price but n_params, and what it costs.
        verifier: a check that errs, by its rates; without one a right sample is always recognised.
        harm: what a wrong answer costs, in right ones; no answer costs nothing.
        level: of the intervals, simultaneous over all models and k.
        draws: of the problems' weights, for intervals and chances.
        seed: of these draws.

    Returns:
        The choice, the best ways to draw one by one until solved and in a cascade, and the frontier.

    Raises:
        ValueError: if nothing meets the request, naming the limit that fails and by how much; for arguments
            out of range; for tables that do not fit each other.
        TypeError: for a table of another kind.
    """
    require_kind("choose", counts, (Counts,))
    require_kind("choose", prices, (Prices,))
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}: it has to lie between 0 and 1")
    for name, value in (("prompt_tokens", prompt_tokens), ("output_tokens", output_tokens)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}: it has to be finite and not negative")
    if max_k is not None and max_k < 1:
        raise ValueError(f"max_k is {max_k!r}: at least one sample has to be drawn")
    if not (math.isfinite(harm) and harm >= 0):
        raise ValueError(f"harm is {harm!r}: it has to be finite and not negative")
    if draws < 100:
        raise ValueError(f"draws is {draws!r}: chances need at least 100")
    if seed < 0:
        raise ValueError(f"seed is {seed!r}: it cannot be negative")
    market = market_of(
        counts,
        prices,
        prompt_tokens,
        output_tokens,
        prompt_once=prompt_once,
        only=only,
        max_k=max_k,
        host=host,
    )
    request = Request.of(
        market.problems, target, per_query, latency, confidence, new_problems, verifier, harm
    )
    if math.isfinite(request.seconds):
        market = market.within(request.seconds)
    if verifier is not None:
        market = market.under(verifier.rates, verifier.others)
    return _Search(market, request, level, draws, seed).choice()


class _Search:
    """One request to one market, with the draws that all its parts share."""

    def __init__(self, market: Market, request: Request, level: float, draws: int, seed: int) -> None:
        self.market, self.request, self.level, self.seed = market, request, level, seed
        self.population: Weights = population(market.problems, draws, seed)
        self.again: Weights = measured_again(self.population, seed)
        self.new: Weights = new_problems(market.problems, request.new, draws, seed)
        self.plain = together(market)
        self.width = self.interval_level()

    def choice(self) -> Choice:
        """The choice."""
        notes = list(self.market.notes)
        if self.request.verifier is not None and self.request.verifier.remark is not None:
            notes.append(self.request.verifier.remark)
        if not self.plain.passes.any():
            unsolved = not any(s.counts.c.any() for s in self.market.sellers)
            why = "no model solved a problem" if unsolved else "the check accepts no right sample"
            if self.request.target is None and not self.request.limited:
                raise ValueError(f"{why}: a solved query has no cost")
            notes.append(f"{why}: there is nothing to choose by but the price")
        plain = self.pick(self.plain)
        single = self.pick(until_solved(self.market))
        cascade = self.pick(cascades(self.market, self.beats(single)))
        if plain is None:
            others = "".join(
                f". {label} does: {pick.option.model}, k = {pick.option.k}, {pick.option.pass_at_k:.4f} for "
                f"{pick.option.usd_per_query:.3g} USD a query"
                for label, pick in (
                    (f"Sampling {one_by_one(self.market.errs)}", single),
                    ("A cascade", cascade),
                )
                if pick is not None
            )
            raise ValueError(self.why_not() + others)
        curve = self.verified(plain.option)
        if curve is not None and plain.option.k > curve.best:
            notes.append(
                f"beyond k = {curve.best} further samples of {plain.option.model} are not worth their wrong "
                f"answers, where {weighing(self.request.harm)}"
            )
        if plain.option.worth(self.request.harm) < 0:
            notes.append(
                f"no answer at all is worth more than any of these, where {weighing(self.request.harm)}"
            )
        return Choice(
            plain,
            self.measured(),
            single,
            cascade,
            *self.laid_out(),
            self.market.problems,
            str(self.request),
            self.level,
            self.population.draws,
            self.seed,
            tuple(notes),
            curve,
            self.market.rooms,
        )

    def verified(self, option: Option) -> VerifiedCurve | None:
        """The chosen model by the number of its samples, where the check errs."""
        if self.request.verifier is None:
            return None
        seller = next(s for s in self.market.sellers if s.model == option.model)
        counts = seller.counts
        return curve_of(counts.n, counts.c, int(seller.ks[-1]), self.request.verifier, self.request.harm)

    def beats(self, single: Pick | None) -> Keep:
        """Whether a cascade is worth a look: within the limits, and no worse than one model alone."""
        request = self.request
        least = request.floor
        if single is None:
            return lambda passes, wrong, usd: (usd <= request.ceiling) & (passes >= least)
        alone = single.option
        if request.target is not None:
            dearest = min(request.ceiling, alone.usd_per_query)
            return lambda passes, wrong, usd: (usd <= dearest) & (passes >= least)
        worth = alone.worth(request.harm)
        if request.limited:
            return lambda passes, wrong, usd: (
                (usd <= request.ceiling) & (passes - request.harm * wrong >= worth)
            )
        return lambda passes, wrong, usd: usd * worth <= alone.usd_per_query * (passes - request.harm * wrong)

    def pick(self, options: Options) -> Pick | None:
        """The best of these options, or None if none meets the request."""
        request = self.request
        fits = (options.usd_per_query <= request.ceiling) & ~(options.seconds > request.seconds)
        options = options.where(fits)
        if not len(options):
            return None
        met = None
        if request.target is not None:
            share = self.reach(options)
            found = cheapest_that_reaches(
                share,
                options.usd_per_query,
                options.family,
                request.confidence,
                lambda places: options.where_at(places).means(self.new, "passes"),
            )
            if found is None:
                return None
            best, met = found, float(share[found])
        else:
            found = self.best_measured(options)
            if found is None:
                return None
            best = found
        chosen, family = self.chances(options, best)
        return Pick(self.option(options, best, chosen), family, met)

    def reach(self, options: Options) -> Floats:
        """The chance that new problems meet the target, (options,)."""
        means = (part.means(self.new, "passes") for part in _blocks(options))
        return np.concatenate([(mean >= self.request.floor).mean(axis=1) for mean in means])

    def chances(self, options: Options, best: int) -> tuple[float, float]:
        """The chance that an option is the best again on new problems, and that one of its family is."""
        request = self.request
        # Of equals the first wins: the cheaper, and of what costs the same what solves more.
        order = np.lexsort((-self.worth(options), options.usd_per_query))
        options = options.where_at(order)
        winners = np.full(self.again.draws, -1)
        top = np.full(self.again.draws, -np.inf)
        start = 0
        for part in _blocks(options):
            passes, usd = part.means(self.again, "passes"), part.means(self.again, "usd")
            if request.target is not None:
                score = np.where(passes >= request.floor, -usd, -np.inf)
            else:
                worth = passes - request.harm * part.means(self.again, "wrong")
                score = worth if request.limited else -_per_solved(usd, worth)
            score = np.where(usd <= request.ceiling, score, -np.inf)
            first = score.argmax(axis=0)
            value = score[first, np.arange(len(first))]
            winners = np.where(value > top, first + start, winners)
            top = np.maximum(top, value)
            start += len(part)
        place = int(np.flatnonzero(order == best)[0])
        same = np.append(options.family == options.family[place], False)[winners]
        return float((winners == place).mean()), float(same.mean())

    def measured(self) -> Pick | None:
        """The cheapest that reaches the target on the problems measured, if a target is asked for."""
        request, options = self.request, self.plain
        if request.target is None:
            return None
        reaches = (options.pass_at_k >= request.floor) & (options.usd_per_query <= request.ceiling)
        i = int(np.where(reaches, options.usd_per_query, np.inf).argmin())
        chosen, family = self.chances(options, i)
        met = float(self.reach(options.where_at(np.array([i])))[0])
        return Pick(self.option(options, i, chosen), family, met)

    def worth(self, options: Options) -> Floats:
        """Right answers less what the wrong ones cost, on the problems measured."""
        return options.pass_at_k - self.request.harm * options.wrong_answers

    def best_measured(self, options: Options) -> int | None:
        """The most worth within the budget, the cheapest of equals; without one, the least cost of so much
        worth, and the most worth where that is the same: None if nothing is worth anything.
        """
        worth, usd = self.worth(options), options.usd_per_query
        if self.request.limited:
            return int(np.lexsort((usd, -worth))[0])
        if self.request.verifier is not None and not (worth > 0).any():
            return None
        return int(np.lexsort((-worth, usd, _per_solved(usd, worth)))[0])

    def option(self, options: Options, i: int, probability_best: float) -> Option:
        """An option with its interval."""
        return self.described(options.where_at(np.array([i])), np.array([probability_best]))[0]

    def described(self, options: Options, probability_best: Floats) -> tuple[Option, ...]:
        """Options with their intervals."""
        away = np.zeros(len(options))
        if others := self.market.drawn:
            # The rates of the check are as uncertain whatever the problems: both errors add up in squares.
            error = np.std([options.pass_at_k_under(market) for market in others], axis=0)
            away = NormalDist().inv_cdf((1 + self.width) / 2) * error
        numbers = np.column_stack([options.usd_per_query, options.seconds, options.wrong_answers])
        clusters = np.arange(options.passes.shape[1])
        found = []
        for i, (usd, seconds, wrong) in enumerate(numbers.tolist()):
            mean, low, high, _ = clustered_interval(options.passes[i], clusters, self.width)
            if away[i] > 0:
                low = max(0.0, mean - math.hypot(mean - low, away[i]))
                high = min(1.0, mean + math.hypot(high - mean, away[i]))
            known = None if math.isnan(seconds) else seconds
            chance = float(probability_best[i])
            found.append(Option(options.stages[i], mean, low, high, usd, known, chance, wrong))
        return tuple(found)

    def laid_out(self) -> tuple[tuple[Option, ...], tuple[Option, ...]]:
        """Options of samples drawn together: by cost those that nothing at their cost or below equals, and
        all of them model by model.
        """
        order = np.lexsort((-self.worth(self.plain), self.plain.usd_per_query))
        options = self.plain.where_at(order)
        worth = self.worth(options)
        rises = np.append(True, worth[1:] > np.maximum.accumulate(worth)[:-1])
        means = options.means(self.again, "passes") - self.request.harm * options.means(self.again, "wrong")
        before = np.maximum.accumulate(means, axis=0)
        better = np.vstack([np.ones((1, means.shape[1]), bool), means[1:] > before[:-1]])
        # A draw's first of equals wins; what no draw can tell apart from a cheaper option is not best.
        every = self.described(options, better.mean(axis=1))
        frontier = tuple(every[i] for i in np.flatnonzero(rises))
        return frontier, tuple(every[i] for i in np.argsort(order))

    def interval_level(self) -> float:
        """The level of an interval alone at which all of them hold at once: that of the largest deviation of
        a mean, in standard errors, over the options and the draws of the population.
        """
        means = self.plain.means(self.population, "passes")
        away = np.abs(means - self.plain.pass_at_k[:, None])
        error = np.sqrt(np.mean(away**2, axis=1))
        varying = error > 1e-12
        if not varying.any():
            return self.level
        largest = (away[varying] / error[varying, None]).max(axis=0)
        quantile = float(np.quantile(largest, self.level))
        return max(self.level, 1 - 2 * NormalDist().cdf(-quantile))

    def why_not(self) -> str:
        """Which limit nothing meets, and by how much it is missed."""
        request, options = self.request, self.plain
        affordable = options.where(options.usd_per_query <= request.ceiling)
        if not len(affordable):
            return beyond_budget(options, request.budget)
        if affordable.pass_at_k.max() < request.floor:
            return beyond_target(options, affordable, request)
        if request.target is None:
            return beyond_harm(affordable, request)
        return beyond_confidence(affordable, self.reach(affordable), request)


def _blocks(options: Options) -> Iterator[Options]:
    """All of them, so many at a time."""
    for start in range(0, len(options), _BLOCK):
        yield options.where_at(np.arange(start, min(start + _BLOCK, len(options))))


def _per_solved(usd: Floats, passes: Floats) -> Floats:
    """USD a solved query; infinite where none is."""
    return np.asarray(np.where(passes > 0, usd / np.maximum(passes, 1e-300), np.inf))
