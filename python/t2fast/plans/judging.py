"""What samples are worth where the check errs, by a law that says how problems differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from t2fast import charts
from t2fast.arguments import require_kind
from t2fast.charts import Figure
from t2fast.estimators.verifier import Verifier
from t2fast.laws import AnyLaw
from t2fast.laws.ends import ends
from t2fast.plans.planned import Floats
from t2fast.plans.request import positive
from t2fast.text import Columns, columns, samples

_DRAWN = 80
"""Points of a curve."""
_SCAN = 65
_ROUNDS = 6
"""Points of a scan of ln k, and how often it closes in."""


@dataclass(frozen=True)
class Answers:
    """What k samples bring at one N and D.

    Attributes:
        k: samples a problem.
        right: share of problems answered rightly.
        wrong: share answered wrongly.
        worth: `right` less the harm of `wrong`.
        perfect: pass@k, what a check without errors would bring.
    """

    k: float
    right: float
    wrong: float
    worth: float
    perfect: float

    def to_dict(self) -> dict[str, float]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in ("k", "right", "wrong", "worth", "perfect")}


@dataclass(frozen=True)
class Judging:
    """A check that errs, and what its wrong answers cost.

    Attributes:
        verifier: the check.
        harm: what a wrong answer costs, in right ones.
    """

    verifier: Verifier
    harm: float

    @classmethod
    def of(cls, law: AnyLaw, verifier: object, harm: object) -> Judging:
        """Checked; `ValueError` for a law that does not say how problems differ, and for a harm that is
        negative or infinite, `TypeError` for what is no check.
        """
        if law.metric != "pass@k" or law.name == "direct":
            raise ValueError(
                f"the {law.name} law of {law.metric} does not say how problems differ, on which a check that "
                "errs depends: plan with an accuracy, counts or forecast law of pass@k"
            )
        require_kind("a check that errs", verifier, (Verifier,), "such as t2fast.Verifier(0.9, 0.05)")
        assert isinstance(verifier, Verifier)
        return cls(verifier, 0.0 if harm == 0 else positive("harm", harm))

    @property
    def metric(self) -> str:
        """What is maximised, in words."""
        if self.harm == 0:
            return "right answers"
        return "right less wrong" if self.harm == 1 else f"right less {self.harm:g} x wrong"

    @property
    def rates(self) -> Floats:
        """Of the check itself, (1, 2)."""
        return np.array([self.verifier.rates], float)

    def drawn(self, law: AnyLaw) -> tuple[str, Floats] | None:
        """The law's draws with as many of the check's rates, or the law with these; None without any."""
        rates = np.array(self.verifier.others or [self.verifier.rates], float)
        if law.draws is None or not len(law.draws):
            return ("point", rates) if self.verifier.others else None
        return "draws", np.ascontiguousarray(np.resize(rates, (len(law.draws), 2)))

    def at(
        self, law: AnyLaw, which: str, rates: Floats, n: float, d: npt.ArrayLike, k: npt.ArrayLike
    ) -> tuple[Floats, Floats]:
        """Right and wrong answers, (rows, points) each."""
        n_, d_, k_ = (np.ascontiguousarray(x, float) for x in np.broadcast_arrays(n, np.atleast_1d(d), k))
        values = law.solver(which).outcomes(which, n_, d_, k_, rates)
        return values[..., 0], values[..., 1]

    def by_k(
        self, law: AnyLaw, n: float, d: float, marked: tuple[float, ...], most: float
    ) -> tuple[Answers, ...]:
        """Right and wrong answers at about ten k up to the most, and at those that are marked."""
        step = 2 ** max(1, math.ceil(math.log2(most) / 10)) if most > 1 else 2
        powers = [float(step**i) for i in range(64) if step**i < most]
        return self.answers(law, n, d, sorted({*powers, *marked, most}))

    def answers(self, law: AnyLaw, n: float, d: float, samples: Sequence[float]) -> tuple[Answers, ...]:
        """Right and wrong answers at these k."""
        ks = np.asarray(samples, float)
        right, wrong = (side[0] for side in self.at(law, "point", self.rates, n, d, ks))
        perfect = np.broadcast_to(law.predict(n, d, ks), ks.shape)
        rows = zip(ks, right, wrong, right - self.harm * wrong, perfect, strict=True)
        return tuple(Answers(*map(float, row)) for row in rows)

    def free_k(self, law: AnyLaw, n: float, d: float, most: float) -> float:
        """The best k up to the most at N and D, did samples cost nothing; what they are worth rises to it and
        then falls.
        """
        low, high = 0.0, math.log(most)
        best = most
        for _ in range(_ROUNDS):
            scan = np.linspace(low, high, _SCAN)
            right, wrong = (side[0] for side in self.at(law, "point", self.rates, n, d, np.exp(scan)))
            top = int((right - self.harm * wrong).argmax())
            best = most if scan[top] >= math.log(most) else math.exp(float(scan[top]))
            low, high = float(scan[max(top - 1, 0)]), float(scan[min(top + 1, _SCAN - 1)])
        return best

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        labelled = self.verifier.labelled
        return {
            "true_positive": self.verifier.true_positive,
            "false_positive": self.verifier.false_positive,
            "labelled": None if labelled is None else list(labelled),
            "harm": self.harm,
        }


def by_samples(answers: Sequence[Answers], judging: Judging, chosen: float) -> Columns:
    """A row a k, the chosen one marked."""
    worth = (judging.metric,) if judging.harm else ()
    table = columns("k", "right", "wrong", *worth, "perfect check")
    for row in answers:
        values = (row.right, row.wrong, *([row.worth] if judging.harm else []), row.perfect)
        mark = "*" if row.k == chosen else " "
        table.add_row(f"{samples(row.k)}{mark}", *(f"{value:.4f}" for value in values))
    return table


def drawn_answers(
    judging: Judging, law: AnyLaw, place: tuple[float, float, float], most: float, title: str, level: float
) -> Figure:
    """Answers by k at a place (N, D and the k chosen), up to some k; with intervals where there are draws."""
    n, d, k = place
    most = max(most, k)
    ks = sorted({*np.geomspace(1.0, most, _DRAWN).clip(1.0, most).tolist(), k})
    rows = [answers.to_dict() for answers in judging.answers(law, n, d, ks)]
    frame, drawn = pl.DataFrame(rows), judging.drawn(law)
    if drawn is None:
        return charts.answers(frame, k, judging.metric, title)
    right, wrong = judging.at(law, *drawn, n, d, np.array(ks))
    for name, values in {"right": right, "wrong": wrong, "worth": right - judging.harm * wrong}.items():
        low, high = ends(values, level)
        frame = frame.with_columns(pl.Series(f"{name}_low", low), pl.Series(f"{name}_high", high))
    return charts.answers(frame, k, judging.metric, title, level)
