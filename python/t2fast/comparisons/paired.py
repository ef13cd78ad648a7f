"""Models, checkpoints or settings compared on the same problems: pass@k less pass@k, at every k at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Group, RenderableType

from t2fast import _core
from t2fast.arguments import Floats, Integers, cells, check_draws, refuse, require_kind, whole
from t2fast.charts import Drawn, Figure, Reported, differences
from t2fast.estimators.sequential import problem_pass_at_k
from t2fast.tables import Counts
from t2fast.tables.fields import listed
from t2fast.text import columns, line, nominal, note, plain

_PROBLEM = ("task", "problem")
_KS = 1024
# By simulation: with fewer problems behind a difference its mean is too skew for the bootstrap's band.
_FEW = 10
# Sides up to which what is to be said of each is said by itself.
_NAMED = 6


@dataclass(frozen=True, eq=False)
class Comparison(Drawn, Reported):
    """Several sides on the same problems; arrays of means run along k, then along the sides."""

    names: tuple[str, ...]
    """What is compared; differences are from the first."""
    k: Integers
    pass_at_k: Floats
    """Means over the problems, shape (K, sides)."""
    difference: Floats
    """pass@k of each side less that of the first, shape (K, sides)."""
    low: Floats
    """Lower end of the band, shape (K, sides): a side's holds at every k with the probability `level`."""
    high: Floats
    """Its upper end."""
    best: Floats
    """Probability that a side has the highest pass@k over the population of problems, shape (K, sides)."""
    level: float
    problems: int
    """Problems that all sides have, with at least the largest k of samples."""
    draws: int
    """Of the bootstrap."""
    seed: int
    """Of the draws."""
    notes: tuple[str, ...] = ()

    def settled(self, side: int = 1) -> NDArray[np.int64]:
        """The sign of the difference at each k, shape (K,): 1 or -1 where the band excludes 0, else 0."""
        return (self.low[:, side] > 0).astype(np.int64) - (self.high[:, side] < 0)

    def first_loss(self, side: int = 1) -> tuple[Integers, bool]:
        """The k at which a side may fall below the first for the first time, and whether it may never do so.

        With the probability `level` the first k with a negative difference, if there is one among those asked
        for, is in the set: the band leaves room for it there, and none of the smaller k is settled as below.
        """
        below = self.high[:, side] < 0
        earlier = np.concatenate([[False], np.logical_or.accumulate(below)[:-1]])
        return self.k[(self.low[:, side] < 0) & ~earlier], not below.any()

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row a side and k: `name`, `k`, `pass_at_k`, `difference`, `low`, `high`, `settled`, `best`."""
        parts = []
        for side, name in enumerate(self.names):
            parts.append(
                pl.DataFrame(
                    {
                        "name": [name] * self.k.size,
                        "k": self.k,
                        "pass_at_k": self.pass_at_k[:, side],
                        "difference": self.difference[:, side],
                        "low": self.low[:, side],
                        "high": self.high[:, side],
                        "settled": self.settled(side),
                        "best": self.best[:, side],
                    }
                )
            )
        return pl.concat(parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        losses = []
        for side, name in enumerate(self.names[1:], 1):
            ks, never = self.first_loss(side)
            losses.append({"name": name, "first_loss": ks.tolist(), "may_never_lose": never})
        return {
            "names": list(self.names),
            "level": self.level,
            "problems": self.problems,
            "draws": self.draws,
            "seed": self.seed,
            "rows": self.frame.to_dicts(),
            "losses": losses,
            "notes": list(self.notes),
        }

    def figure(self) -> Figure:
        """Differences from the first side over k, with their bands."""
        others = self.frame.filter(pl.col("name") != self.names[0])
        return differences(others, self.names[0], self.level)

    def __rich__(self) -> RenderableType:
        """Powers of two, the last k, and in words where the sign is settled."""
        shown = [j for j, k in enumerate(self.k) if k & (k - 1) == 0 or j == self.k.size - 1]
        table = columns(
            "k", "side", "pass@k", "difference", f"{nominal(self.level)} band", "best", left=("side",)
        )
        for j in shown:
            for side, name in enumerate(self.names):
                band = "" if side == 0 else f"{self.low[j, side]:+.4f} to {self.high[j, side]:+.4f}"
                table.add_row(
                    str(self.k[j]) if side == 0 else "",
                    name,
                    f"{self.pass_at_k[j, side]:.4f}",
                    "" if side == 0 else f"{self.difference[j, side]:+.4f}",
                    band,
                    f"{self.best[j, side]:.0%}",
                )
        words = [f"differences from {self.names[0]} over {self.problems} problems; a band holds at every k"]
        words += [self.words(side) for side in range(1, len(self.names))]
        return Group(table, *map(line, words), *map(note, self.notes))

    def words(self, side: int) -> str:
        """A side's name and its `finding`."""
        return f"{self.names[side]}: {self.finding(side)}"

    def finding(self, side: int) -> str:
        """At which k the sign of a side's difference is settled, and where it may first fall below."""
        signs = self.settled(side)
        parts = [
            f"{label} at k = {_ranges(self.k[signs == sign])}"
            for sign, label in ((1, "above"), (-1, "below"))
            if (signs == sign).any()
        ]
        ks, never = self.first_loss(side)
        if not ks.size:
            loss = "it loses at no k"
        else:
            loss = f"its first loss{', if there is one,' if never else ''} lies at k = {_ranges(ks)}"
        return f"{', '.join(parts) or 'no sign is settled'}; {loss}"

    def __str__(self) -> str:
        return plain(self.__rich__())


def compare(
    sides: Mapping[str, Counts],
    ks: Sequence[int] | None = None,
    *,
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> Comparison:
    """Compare pass@k of two or more sides on the problems that all of them have.

    The difference of two sides is taken problem by problem, so that what makes a problem hard for both falls
    out of it. Its band is that of a multiplier bootstrap over problems with a studentised maximum over k:
    with the probability `level` the true differences, over the population of problems, lie in it at every k.

    The probability that a side is best is the share of draws of all means, normal about those measured, in
    which it is. For each side a problem is added at which it leads the others by the widest margin that any
    problem has: without, few problems make too sure (`python -m benches best`).

    Where fewer than 10 problems carry a difference, by (sum d^2)^2 / sum d^4 of the differences d of
    problems, its mean is too skew for that: there the band is widened to bounds of the means of what a side
    gains and of what it loses, each in [0, 1], by Clopper and Pearson's for fractions of problems.

    Args:
        sides: name -> its counts, of one checkpoint each; differences are from the first.
        ks: numbers of samples, by default every one up to the least n of any problem, at most 1,024.
        level: confidence of each side's band.
        draws: of the bootstrap.
        seed: of the draws.

    Returns:
        pass@k of each side and the differences from the first, with their bands, at every k.

    Raises:
        ValueError: for fewer than two sides or two common problems, for a side of several checkpoints, for
            several tasks, and for k beyond the samples of a problem.
        TypeError: for a table of another kind.
    """
    require_kind("compare", sides, (Mapping,), "give names with their counts, such as {'a': …, 'b': …}")
    for name, table in sides.items():
        require_kind(f"compare, as {name!r},", table, (Counts,))
    if len(sides) < 2:
        raise ValueError(f"there is nothing to compare: {len(sides)} side given, two are needed")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    check_draws(draws, seed, 100, "for a band")
    tables, notes = _aligned(sides)
    least = min(int(table.most_samples.min()) for table in tables)
    at = np.arange(1, min(least, _KS) + 1) if ks is None else np.unique(whole("k", list(ks)))
    refuse("k", at, at < 1, "must be at least 1")
    if at[-1] > least:
        raise ValueError(f"k = {at[-1]} is beyond the {least} samples of the problem with the fewest")
    # problems, k, sides
    values = np.stack([problem_pass_at_k(t.n, t.c, at, t.sequential) for t in tables], axis=2)
    shape = (at.size, len(tables))
    low, high = np.zeros(shape), np.zeros(shape)
    thin: dict[str, str] = {}
    for side in range(1, len(tables)):
        rows = np.ascontiguousarray(values[:, :, side] - values[:, :, 0])
        mean, stderr, critical = _core.simultaneous_band(rows, draws, level, seed)
        reach = critical * stderr
        few = _carrying(rows) < _FEW
        least_low, most_high = _exact_bounds(rows, level)
        # Where all problems agree nothing is known of the spread.
        wide = few | (stderr == 0)
        low[:, side] = np.maximum(np.where(wide, np.minimum(mean - reach, least_low), mean - reach), -1.0)
        high[:, side] = np.minimum(np.where(wide, np.maximum(mean + reach, most_high), mean + reach), 1.0)
        if few.any():
            thin[list(sides)[side]] = _ranges(at[few])
    if len(thin) > _NAMED:
        carried = f"fewer than {_FEW} problems carry the difference at some k"
        notes += (f"{carried} for {len(thin)} sides: {listed([*thin])}",)
    else:
        carried = f"fewer than {_FEW} problems carry the difference at k ="
        notes += tuple(f"{name}: {carried} {ks}" for name, ks in thin.items())
    best = _core.probability_best(_doubted(values), draws, seed)
    mean = values.mean(axis=0)
    return Comparison(
        tuple(sides), at, mean, mean - mean[:, :1], low, high, best, level, len(tables[0]), draws, seed, notes
    )


def _doubted(values: Floats) -> Floats:
    """The values, (problems, K, sides), and of each side one more problem at which it alone leads.

    It leads by as much as any side leads another at a problem. Without these, the share of draws in which a
    side is best says too much where problems are few: see `python -m benches best`.
    """
    _, ks, sides = values.shape
    widest = (values.max(axis=2) - values.min(axis=2)).max(axis=0)
    leads = np.eye(sides)[:, None, :] * widest[None, :, None]
    return np.concatenate([values, np.broadcast_to(leads, (sides, ks, sides))])


def _carrying(rows: Floats) -> Floats:
    """How many problems, in effect, carry the mean difference at each k: (sum d^2)^2 / sum d^4."""
    squares = rows**2
    fourth = (squares**2).sum(axis=0)
    return np.where(fourth > 0, squares.sum(axis=0) ** 2 / np.where(fourth > 0, fourth, 1.0), 0.0)


def _exact_bounds(rows: Floats, level: float) -> tuple[Floats, Floats]:
    """Bounds on the mean difference at each k by those on the means of its gains and of its losses."""
    tail = (1 - level) / 4
    gains, losses = np.maximum(rows, 0.0).sum(axis=0), np.maximum(-rows, 0.0).sum(axis=0)
    (low_gain, high_gain), (low_loss, high_loss) = (_share(x, len(rows), tail) for x in (gains, losses))
    return low_gain - high_loss, high_gain - low_loss


def _share(total: Floats, count: int, tail: float) -> tuple[Floats, Floats]:
    """Clopper and Pearson's bounds on a mean of `count` numbers in [0, 1], each missed by a share `tail`."""
    ones = np.ones_like(total)
    some, others = np.maximum(total, 1e-300), np.maximum(count - total, 1e-300)
    low = cells(_core.beta_quantile, tail * ones, some, others + 1)
    high = cells(_core.beta_quantile, (1 - tail) * ones, some + 1, others)
    assert low is not None
    assert high is not None
    return np.where(total > 0, low, 0.0), np.where(total < count, high, 1.0)


def _aligned(sides: Mapping[str, Counts]) -> tuple[list[Counts], tuple[str, ...]]:
    """The tables cut down to their common problems, in one order, and what was left out."""
    keys = [name for name in _PROBLEM if all(name in table.frame.columns for table in sides.values())]
    common: pl.DataFrame | None = None
    for name, table in sides.items():
        if table.frame.select(keys).is_duplicated().any():
            raise ValueError(
                f"{name} has several rows for one problem: choose one checkpoint or stage of it by where="
            )
        here = table.frame.select(keys)
        common = here if common is None else common.join(here, on=keys, how="semi", maintain_order="left")
    assert common is not None
    if common.height < 2:
        raise ValueError(f"{', '.join(sides)} have {common.height} problems in common: two are needed")
    if "task" in keys and common["task"].n_unique() > 1:
        tasks = common["task"].unique().sort().to_list()
        raise ValueError(
            f"{', '.join(sides)} have {len(tasks)} tasks in common, which are not pooled: {listed(tasks)}. "
            "Choose one by task="
        )
    notes = tuple(
        f"{len(table) - common.height} of {len(table)} problems of {name} are left out: others lack them"
        for name, table in sides.items()
        if len(table) > common.height
    )
    joined = [
        common.join(table.frame, on=keys, how="left", maintain_order="left") for table in sides.values()
    ]
    return [Counts(frame) for frame in joined], notes


def _ranges(ks: Integers) -> str:
    """1 to 4, 9, 12 to 20: runs of neighbouring k."""
    breaks = np.flatnonzero(np.diff(ks) > 1)
    firsts, lasts = ks[np.r_[0, breaks + 1]], ks[np.r_[breaks, ks.size - 1]]
    return ", ".join(
        f"{first}" if first == last else f"{first} to {last}"
        for first, last in zip(firsts, lasts, strict=True)
    )
