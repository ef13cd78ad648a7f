"""The options there are: every model that has a price, and every number of samples that was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from t2fast.choices.sellers import Rates, Seller, checked
from t2fast.choices.used import Given, Usage
from t2fast.costs.hardware import MOST_CHIPS, Machine, Served
from t2fast.costs.memory import Room, cache_bytes
from t2fast.costs.tokens import QueryPrice
from t2fast.tables.counts import Counts
from t2fast.tables.fields import likely, listed
from t2fast.tables.prices import PRICES, Prices
from t2fast.text import nearest


@dataclass(frozen=True)
class Host:
    """Hardware that models are served on, `rows` samples at a time and always busy.

    Attributes:
        machine: its chip and price an hour; a model gets as many chips, doubled until they hold its weights
            and the caches of all samples.
        rows: samples in flight.
        cache_bytes: of a token's keys and values where the prices have no such column, 0 to leave them out;
            None: by active parameters, as `t2fast.costs.cache_bytes` says.
        seconds: what a sample may take: a model gets the fewest chips, doubled on, on which it takes no
            longer; None: those that hold it.
        max_chips: and at most so many for that.
    """

    machine: Machine
    rows: float = 64.0
    cache_bytes: float | None = None
    seconds: float | None = None
    max_chips: int = MOST_CHIPS

    def __str__(self) -> str:
        price = f"{self.machine.chip.name} at {self.machine.usd_per_hour:g} USD an hour"
        return f"{price}, {self.rows:g} samples in flight"

    def room(self, row: Mapping[str, float | None], prompt_tokens: float, output_tokens: float) -> Room:
        """A model by its row of the prices, in the memory of the chips that hold it."""
        n_params = row["n_params"] or 0.0
        active = row["active_params"] or n_params
        of_token = row["cache_bytes"]
        if of_token is None:
            of_token = cache_bytes(active) if self.cache_bytes is None else self.cache_bytes
        model = Served(active, n_params, of_token)
        room = Room.of(self.machine, model, self.rows, prompt_tokens, output_tokens)
        while self.seconds is not None and sum(self._seconds(room)) > self.seconds:
            if 2 * room.chips > self.max_chips:
                break
            more = replace(self.machine, chips=2 * room.chips)
            room = replace(Room.of(more, model, self.rows, prompt_tokens, output_tokens), asked=room.asked)
        return room

    def _seconds(self, room: Room) -> tuple[float, float]:
        """To read a prompt, and to write a sample."""
        model, context = room.model, room.prompt_tokens + room.output_tokens / 2
        step = room.machine.step_seconds(model, self.rows, context)
        return room.machine.prefill_seconds(model, room.prompt_tokens), room.output_tokens * step

    def price(self, room: Room) -> tuple[QueryPrice, tuple[float, float]]:
        """What a query costs, its prompt read once for all of its samples; and seconds to read and to
        write.
        """
        model, prompt, output = room.model, room.prompt_tokens, room.output_tokens
        read, written = room.machine.usd_per_token(model, prompt, output, self.rows)
        return QueryPrice(read * prompt, written * output, prompt_once=True), self._seconds(room)


@dataclass(frozen=True, eq=False)
class Market:
    """Sellers that were measured on the same problems.

    Attributes:
        sellers: ordered by the price of one sample.
        problems: how many they share.
        notes: what was left out, and why.
        rooms: of every model that is served on hardware, the chips that hold it.
        drawn: the same under other rates of a check that errs, if these are not certain.
        errs: whether a check that errs stands between samples and answers.
    """

    sellers: tuple[Seller, ...]
    problems: int
    notes: tuple[str, ...]
    rooms: Mapping[str, Room] = field(default_factory=dict)
    drawn: tuple[Market, ...] = ()
    errs: bool = False

    def under(self, rates: Rates, drawn: Sequence[Rates] = ()) -> Market:
        """What is bought if a check errs: the first sample that it accepts is the answer.

        Args:
            rates: the share of right samples that it accepts, and of wrong ones.
            drawn: other rates that it may have.

        Raises:
            ValueError: for counts of sequential sampling.
        """
        if any(s.counts.sequential is not None for s in self.sellers):
            raise ValueError(
                "counts of sequential sampling do not say what a check that errs would have accepted"
            )
        others = tuple(replace(self, sellers=checked(self.sellers, one), errs=True) for one in drawn)
        return replace(self, sellers=checked(self.sellers, rates), drawn=others, errs=True)

    def within(self, seconds: float) -> Market:
        """Those whose samples, drawn together, take at most so long; the others are named."""
        fast = [s for s in self.sellers if s.seconds is not None and sum(s.seconds) <= seconds]
        slow = [s for s in self.sellers if s.seconds is not None and sum(s.seconds) > seconds]
        silent = [s.model for s in self.sellers if s.seconds is None]
        notes = list(self.notes)
        if silent:
            notes.append(f"left out, of unknown speed: {listed(silent)}")
        if not fast and not slow:
            raise ValueError(
                f"latency is {seconds:g} s and no model's speed is known: give first_token_seconds and "
                "output_tokens_per_second in the prices"
            )
        if not fast:
            best = min(slow, key=lambda s: sum(s.seconds or ()))
            least = sum(best.seconds or ())
            raise ValueError(
                f"latency: no model answers within {seconds:g} s. The fastest, {best.model}, takes "
                f"{least:.3g} s for one sample, {least / seconds:.3g} times that"
            )
        if slow:
            notes.append(f"left out, slower than {seconds:g} s: {listed([s.model for s in slow])}")
        return replace(self, sellers=tuple(fast), notes=tuple(notes))


def market_of(
    counts: Counts,
    prices: Prices,
    prompt_tokens: float | None,
    output_tokens: float | None,
    *,
    prompt_once: bool = False,
    only: Sequence[str] | None = None,
    max_k: int | None = None,
    host: Host | None = None,
) -> Market:
    """Join counts and prices on the problems that all priced models share.

    Args:
        counts: with a column model, one checkpoint a model.
        prices: of these models; one that lacks a price is left out and named.
        prompt_tokens: of a query; a model's own in `prices` comes first, what the counts say comes last.
        output_tokens: of a sample, likewise.
        prompt_once: see `QueryPrice`.
        only: these models alone.
        max_k: no more samples than this.
        host: hardware to serve those on that have no price but n_params.

    Raises:
        ValueError: if no model is left, if the models share no problem, if tokens are not known.
    """
    if "model" not in counts.frame.columns:
        raise ValueError(f"{counts.source} has no column 'model' to look up prices by")
    repeated = counts.checkpoints.filter(pl.col("model").is_duplicated())["model"].unique().sort().to_list()
    if repeated:
        raise ValueError(
            f"{counts.source} has several checkpoints of {listed(repeated)}: keep one of each by its sizes"
        )
    present = counts.frame["model"].unique(maintain_order=True).to_list()
    wanted = list(present) if only is None else list(dict.fromkeys(only))
    unknown = [name for name in wanted if name not in present]
    if unknown:
        meant = nearest(unknown[0], present)
        hint = f" ({meant}?)" if meant else ""
        raise ValueError(f"{counts.source} has no model {listed(unknown)}{hint}; it has {listed(present)}")
    sold, hosted, notes = _sold(counts, prices, wanted, host)
    frame, note = _shared(counts, sold)
    notes += note
    usage = Usage(Given(prompt_tokens, output_tokens), prices)
    sellers, rooms = [], {}
    for name in sold:
        rows = frame.filter(pl.col("model") == name)
        by = host if name in hosted else None
        price, seconds, room = _price(usage, rows, prices.of(name), by, prompt_once)
        at_once = math.inf if by is None else by.rows
        sellers.append(Seller.of(name, price, Counts(rows), seconds, max_k, at_once))
        if room is not None:
            rooms[name] = room
    notes += usage.notes()
    most = max(s.ks[-1] for s in sellers) if max_k is None else max_k
    short = [f"{s.model} ({s.ks[-1]})" for s in sellers if s.ks[-1] < most]
    if short:
        notes.append(f"nothing is known beyond the fewest samples of a problem: {listed(short)}")
    sellers.sort(key=lambda s: s.usd_of_one)
    return Market(tuple(sellers), len(sellers[0].kind), tuple(notes), rooms)


def _sold(
    counts: Counts, prices: Prices, wanted: Sequence[str], host: Host | None
) -> tuple[list[str], list[str], list[str]]:
    """Models that have a price, those of them that are served, and what there is to say."""
    notes = []
    terms = {name: prices.of(name) for name in wanted}
    priced = {name: _has_prices(terms[name]) for name in wanted}
    hosted = [name for name in wanted if not priced[name] and host is not None and terms[name]["n_params"]]
    paid = [name for name in _paid(counts) if name in wanted and not priced[name] and name not in hosted]
    silent = [name for name in wanted if not priced[name] and name not in (*hosted, *paid)]
    if silent:
        notes.append(f"left out, without a price in {prices.source}: {listed(silent)}{_misnamed(prices)}")
    if len(silent) == len(wanted):
        raise ValueError(
            f"none of the models of {counts.source} has both prices in {prices.source}: {listed(wanted)}"
            f"{_misnamed(prices)}"
        )
    if hosted:
        notes.append(f"priced by {host}: {listed(hosted)}")
    if paid:
        notes.append(f"without a price, and so at what the counts say was paid for a sample: {listed(paid)}")
    return [name for name in wanted if name not in silent], hosted, notes


def _price(
    usage: Usage, rows: pl.DataFrame, terms: Mapping[str, float | None], host: Host | None, prompt_once: bool
) -> tuple[QueryPrice, tuple[float, float] | None, Room | None]:
    """What a model costs that is served by `host`, or sold, or else as it was paid for; its speed; and the
    chips that hold it.
    """
    if host is None and not _has_prices(terms):
        return QueryPrice(0.0, (rows["usd"] / rows["n_samples"]).to_numpy()), None, None
    prompt, output = usage.tokens(str(rows["model"][0]), terms, rows)
    mean_prompt, mean_output = float(np.mean(prompt)), float(np.mean(output))
    speed = terms["output_tokens_per_second"]
    seconds = None if speed is None else (terms["first_token_seconds"] or 0.0, mean_output / speed)
    if host is not None:
        room = host.room(terms, mean_prompt, mean_output)
        price, served_in = host.price(room)
        return price, seconds or served_in, room
    usd_in, usd_out = (terms[side] or 0.0 for side in PRICES)
    return QueryPrice.of_tokens(usd_in, usd_out, prompt, output, prompt_once), seconds, None


def _has_prices(terms: Mapping[str, float | None]) -> bool:
    return all(terms[side] is not None for side in PRICES)


def _paid(counts: Counts) -> list[str]:
    """Models of which the counts say in every row what was paid."""
    if "usd" not in counts.frame.columns:
        return []
    known = counts.frame.group_by("model", maintain_order=True).agg(pl.col("usd").null_count() == 0)
    return known.filter("usd")["model"].to_list()


def _misnamed(prices: Prices) -> str:
    """Which column of prices is missing altogether, and which column may be meant for it."""
    absent = [name for name in PRICES if prices.frame[name].is_null().all()]
    meant = {name: column for name in absent if (column := likely(name, prices.ignored_columns))}
    says = f"; there is no {' and no '.join(absent)}" if absent else ""
    if not meant:
        return says
    these = f"{listed(list(meant.values()))} {'is that' if len(meant) == 1 else 'are these'}"
    return f"{says}: if {these}, in US dollars a million tokens, say read_prices(…, columns={meant!r})"


def _shared(counts: Counts, models: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """Rows of the problems that all models have, each model's in one order; and what was left out."""
    keys = [name for name in ("task", "problem") if name in counts.frame.columns]
    frame = counts.frame.filter(pl.col("model").is_in(models))
    twice = frame.filter(frame.select("model", *keys).is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise ValueError(
            f"{counts.source} has several rows of {row['model']} for problem {row['problem']!r}: choose one "
            "checkpoint, stage or training set of it by where="
        )
    having = frame.group_by(keys).agg(pl.col("model").n_unique().alias("models"))
    common = having.filter(pl.col("models") == len(models)).select(keys)
    if not common.height:
        fewest = frame.group_by("model").len().sort("len", "model").row(0)
        raise ValueError(
            f"{counts.source}: no problem was measured for all of {listed(list(models))}; {fewest[0]} has "
            f"the fewest, {fewest[1]}. Choose among models that share problems"
        )
    shared = frame.join(common, on=keys, how="semi").sort("model", *keys)
    if common.height == having.height:
        return shared, []
    per_model = frame.group_by("model").len().sort("len", "model").row(0)
    note = (
        f"compared on the {common.height} of {having.height} problems that all models have "
        f"({per_model[0]} has {per_model[1]})"
    )
    return shared, [note]
