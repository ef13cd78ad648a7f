"""How many samples to draw where the check errs: more of them find more right answers, and more wrong ones
pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType

from t2fast.estimators.passk import majority_at_k, pass_at_k
from t2fast.estimators.verified import verified_from_counts
from t2fast.estimators.verifier import Verifier, weighing
from t2fast.tables.counts import Counts
from t2fast.text import columns, counted, line, plain

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class VerifiedCurve:
    """What repeated sampling brings under a check, by the number of samples k = 1, 2, ….

    Attributes:
        right: share of problems answered rightly, (K,).
        wrong: share answered wrongly, (K,).
        perfect: pass@k, what a check without errors would bring.
        majority: right by majority vote without a check.
        value: right less `harm` times wrong, less `sample_cost` times the samples drawn.
        best: the k of the greatest value.
        best_low: 5% and `best_high` 95% quantile of the best k over the verifier's draws; `best` if it has
            none.
        best_high: see there.
        harm: what a wrong answer costs, in right ones.
        verifier: the check.
    """

    right: Floats
    wrong: Floats
    perfect: Floats
    majority: Floats
    value: Floats
    best: int
    best_low: int
    best_high: int
    harm: float
    verifier: Verifier

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The curve at powers of two and at the best k."""
        table = columns("k", "right", "wrong", "value", "perfect check", "majority")
        last = len(self.right)
        ks = sorted({self.best, last, *(2**i for i in range(last.bit_length()))})
        for k in ks:
            row = (self.right, self.wrong, self.value, self.perfect, self.majority)
            table.add_row(f"{k}*" if k == self.best else f"{k} ", *(f"{values[k - 1]:.4f}" for values in row))
        spread = "" if self.best_low == self.best_high else f" ({self.best_low} to {self.best_high})"
        says = f"* best at {counted(self.best, 'sample')}{spread}, where {weighing(self.harm)}"
        return Group(table, line(says))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        arrays = ("right", "wrong", "perfect", "majority", "value")
        best = {
            "best_k": self.best,
            "best_k_low": self.best_low,
            "best_k_high": self.best_high,
            "harm": self.harm,
            "true_positive": self.verifier.true_positive,
            "false_positive": self.verifier.false_positive,
        }
        return {**best, **{name: getattr(self, name).tolist() for name in arrays}}


def verified_curve(
    counts: Counts,
    verifier: Verifier,
    *,
    harm: float = 1.0,
    sample_cost: float = 0.0,
    max_k: int | None = None,
) -> VerifiedCurve:
    """Right and wrong answers by the number of samples, and the number worth drawing.

    The first sample that the check accepts is the answer; if it accepts none there is none. As k grows the
    share of right answers tends to what precision allows, while problems without a right sample go on to pass
    a wrong one: with a cost to wrong answers the best k is finite even where samples are free (Stroebl et al.
    2024, arXiv 2411.17501).

    Args:
        counts: of one model.
        verifier: the check.
        harm: what a wrong answer costs, in right ones; no answer costs nothing.
        sample_cost: what a sample costs, in right answers.
        max_k: samples at most; the fewest of a problem in any case.

    Returns:
        Shares of right and wrong answers at every k up to the most, and the best k.

    Raises:
        ValueError: for a negative harm or cost, and for counts of sequential sampling.
    """
    if counts.sequential is not None:
        raise ValueError(
            "counts of sequential sampling do not say what a check that errs would have accepted"
        )
    for name, value in (("harm", harm), ("sample_cost", sample_cost)):
        if not value >= 0:
            raise ValueError(f"{name} is {value!r}: it cannot be negative")
    last = int(counts.n.min())
    return curve_of(
        counts.n, counts.c, last if max_k is None else min(last, max_k), verifier, harm, sample_cost
    )


def curve_of(
    n: Integers, c: Integers, last: int, verifier: Verifier, harm: float, sample_cost: float = 0.0
) -> VerifiedCurve:
    """`verified_curve` up to k = `last` of n samples of each problem, of which c are right."""

    def values(t: float, f: float) -> tuple[Floats, Floats, Floats]:
        right, wrong = (side.mean(axis=1) for side in verified_from_counts(n, c, last, t, f))
        # A sample is drawn while nothing is accepted.
        drawn = np.cumsum(np.concatenate([[1.0], 1 - (right + wrong)[:-1]]))
        return right, wrong, right - harm * wrong - sample_cost * drawn

    right, wrong, worth = values(verifier.true_positive, verifier.false_positive)
    best = [int(worth.argmax()) + 1]
    if verifier.draws is not None:
        best += [int(values(t, f)[2].argmax()) + 1 for t, f in verifier.others]
    low, high = np.quantile(best, [0.05, 0.95], method="inverted_cdf")
    ks = np.arange(1, last + 1)[:, None]
    perfect, majority = (np.asarray(f(n, c, ks)).mean(axis=1) for f in (pass_at_k, majority_at_k))
    return VerifiedCurve(right, wrong, perfect, majority, worth, best[0], int(low), int(high), harm, verifier)
