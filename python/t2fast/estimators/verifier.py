"""A check that errs: by its rates, given or estimated from samples that were labelled by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from t2fast.tables.sources import TableSource, open_source

Floats: TypeAlias = npt.NDArray[np.float64]

_LABELS = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}


@dataclass(frozen=True)
class Verifier:
    """A check by its rates: `true_positive` of right samples and `false_positive` of wrong ones are accepted.

    `draws` holds (true_positive, false_positive) rows, the uncertainty of rates that were estimated, from
    `labelled` right and wrong samples.
    """

    true_positive: float
    false_positive: float
    draws: Floats | None = None
    labelled: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("true_positive", "false_positive"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}: a rate lies between 0 and 1")

    @property
    def rates(self) -> tuple[float, float]:
        """Of right samples and of wrong ones."""
        return self.true_positive, self.false_positive

    @property
    def others(self) -> list[tuple[float, float]]:
        """Rates that it may have."""
        return [] if self.draws is None else [(float(t), float(f)) for t, f in self.draws]

    @property
    def remark(self) -> str | None:
        """What is odd about the rates, if anything."""
        if self.true_positive > self.false_positive:
            return None
        seen = f"accepts {self.true_positive:.3g} of right and {self.false_positive:.3g} of wrong samples"
        if self.true_positive == self.false_positive:
            return f"the check {seen}: its verdict says nothing about them"
        return f"the check {seen}, worse than none: are the two rates, or its verdicts, the wrong way round?"

    def __str__(self) -> str:
        rates = f"{self.true_positive:.3g} of right and {self.false_positive:.3g} of wrong samples"
        if self.labelled is None:
            return f"a check that accepts {rates}"
        right, wrong = self.labelled
        return f"a check that accepts {rates} ({right:,} right and {wrong:,} wrong ones labelled)"

    @classmethod
    def estimated(
        cls, accepted_right: int, right: int, accepted_wrong: int, wrong: int, draws: int = 100, seed: int = 0
    ) -> Verifier:
        """From samples that were labelled by hand: of `right` ones so many were accepted, of `wrong` ones so
        many.

        Jeffreys' posterior, Beta(accepted + 1/2, rejected + 1/2) for each rate.
        """
        for name, some, of in (("right", accepted_right, right), ("wrong", accepted_wrong, wrong)):
            if not 0 <= some <= of or of < 1:
                raise ValueError(
                    f"{some} of {of} {name} samples accepted: label at least one of each, right and wrong"
                )
        rng = np.random.default_rng(seed)
        t = rng.beta(accepted_right + 0.5, right - accepted_right + 0.5, draws)
        f = rng.beta(accepted_wrong + 0.5, wrong - accepted_wrong + 0.5, draws)
        rates = accepted_right / right, accepted_wrong / wrong
        return cls(*rates, np.column_stack([t, f]), (right, wrong))

    @classmethod
    def from_labels(cls, table: TableSource, draws: int = 100, seed: int = 0) -> Verifier:
        """From a table of samples labelled by hand, one a row.

        Args:
            table: columns correct, whether the sample is right, and accepted, whether the check took it for
                right: 0 or 1, true or false.
            draws: of the rates' posterior, see `estimated`.
            seed: of these.

        Returns:
            The check, its rates uncertain by how many samples were labelled.

        Raises:
            ValueError: without these columns, for other values, naming the row, and without a right and a
                wrong sample.
        """
        source = open_source(table, "the labelled samples")
        for column in ("correct", "accepted"):
            if column not in source.columns:
                raise ValueError(f"{source.name} has no column {column!r}; it needs correct and accepted")
        rows = source.frame.select("correct", "accepted").collect().iter_rows(named=True)
        seen = np.zeros((2, 2), int)
        for number, row in enumerate(rows, 1):
            values = []
            for column, value in row.items():
                text = str(value).strip().lower()
                if text not in _LABELS:
                    raise ValueError(
                        f"{source.name}, row {number}: {column} is {value!r}: give 0 or 1, true or false"
                    )
                values.append(_LABELS[text])
            seen[values[0], values[1]] += 1
        (_, false), (_, true) = seen.tolist()
        return cls.estimated(true, int(seen[1].sum()), false, int(seen[0].sum()), draws, seed)


def weighing(harm: float) -> str:
    """What a wrong answer costs, in words."""
    times = "" if harm == 1 else f"{harm:g} times "
    return f"a wrong answer costs {times}as much as a right one brings"
