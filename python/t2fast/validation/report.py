"""A validation's result: the error of every forecast of what was held out, and what it comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from t2fast.charts import Drawn, Figure, Reported, errors
from t2fast.laws import ForecastLaw, Law, Validated
from t2fast.text import columns, line, note, percent, plain
from t2fast.validation import verdict
from t2fast.validation.methods import METHODS, NEAREST

AnyLaw = TypeVar("AnyLaw", bound=Law | ForecastLaw)


@dataclass(frozen=True, eq=False)
class Validation(Drawn, Reported):
    """How well laws and baselines forecast the part of a table that they had not seen.

    An error is |forecast - measured| / measured. A split's error is the median over its held-out checkpoints
    and k; a method's is the mean over the splits.

    Attributes:
        source: the table.
        by: what was held out.
        quantity: what was forecast: "pass@k", "accuracy" or "loss".
        level: nominal coverage of the intervals.
        draws: behind the intervals of each split; 0: there are none.
        seed: of these draws, and of random splits.
        points: a row a forecast: `split`, `method`, `model` if known, `n_params`, `n_tokens`, `k`,
            `measured`, `forecast`, `low`, `high`, `inside` (whether they hold what was measured, give or take
            the sampling error of counts), `error` (null where 0 was measured: a relative error against 0 says
            nothing).
        splits: a row a split and method: `split`, `threshold`, `seen` and `held_out` (checkpoints), `method`,
            `error`, `nearest` (the nearest checkpoint's error), `coverage`, `width`, `refusal` (why it has no
            error).
        methods: a row a method: `method`, `splits` (with a forecast), `refused`, `refusal` (the first),
            `mean` and `median` error, `nearest` (its mean on the same splits), `worse` (share of those splits
            with an error above it), `level`, `coverage` (mean over splits of the share inside), `width`
            (median ratio of upper to lower end), and `k=...`, the mean error at that k.
        notes: what else a reader must know.
    """

    source: str
    by: str
    quantity: str
    level: float
    draws: int
    seed: int
    points: pl.DataFrame
    splits: pl.DataFrame
    methods: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def primary(self) -> str:
        """What the verdict is about: the first law that gave forecasts, or else the first method."""
        names = self.methods.filter(pl.col("method") != NEAREST)
        judged = names.filter(pl.col("mean").is_not_null())["method"].to_list()
        laws = [name for name in judged if METHODS[name].fit is not None]
        return str((laws or judged or names["method"].to_list() or [NEAREST])[0])

    @property
    def verdict(self) -> str:
        """What it comes to, in words."""
        return verdict.words(self.methods, self.splits, self.by, self.primary)

    @property
    def forecastable(self) -> bool:
        """Whether the primary method's forecasts are worth having."""
        return verdict.forecastable(self._row(self.primary))

    def of(self, method: str) -> Validated:
        """The figures of one method, as they travel with a law. `ValueError` if it was not validated."""
        row = self._row(method)
        if row.get("mean") is None:
            judged = ", ".join(self.methods.filter(pl.col("mean").is_not_null())["method"])
            raise ValueError(
                f"method {method!r} has no figures in this validation; there are those of {judged}"
            )
        return Validated(
            by=self.by,
            splits=row["splits"],
            error=row["mean"],
            nearest=row["nearest"],
            worse=row["worse"],
            level=self.level,
            coverage=row["coverage"],
            width=row["width"],
            forecastable=verdict.forecastable(row),
            verdict=verdict.words(self.methods, self.splits, self.by, method),
            seed=self.seed,
        )

    def keep(self, law: AnyLaw) -> AnyLaw:
        """The law with its figures, which its file and everything made from it then repeat."""
        return replace(law, validation=self.of(law.name))

    def _row(self, method: str) -> dict[str, Any]:
        return next((row for row in self.methods.iter_rows(named=True) if row["method"] == method), {})

    def __str__(self) -> str:
        return plain(self)

    def __rich__(self) -> RenderableType:
        """The verdict, then every method beside the nearest checkpoint, then the splits."""
        at = [name for name in self.methods.columns if name.startswith("k=")]
        at = at if len(at) > 1 else []
        means = columns("method", "error", "median", *at, "worse", "inside", "width", left=("method",))
        for row in self.methods.iter_rows(named=True):
            shown = [_shown(row[name]) for name in ("mean", "median", *at)]
            means.add_row(
                row["method"],
                *shown,
                "" if row["method"] == NEAREST else _shown(row["worse"]),
                _shown(row["coverage"]),
                "-" if row["width"] is None else f"{row['width']:.2g}",
            )
        allowed = ", its sampling error allowed for" if self.quantity == "pass@k" else ""
        refusals = [
            note(
                f"{row['method']}: {row['refused']} of {row['refused'] + row['splits']} splits without a "
                f"forecast: {row['refusal']}"
            )
            for row in self.methods.iter_rows(named=True)
            if row["refused"]
        ]
        return Group(
            line(f"{self.verdict[0].upper()}{self.verdict[1:]}.", style="bold"),
            Text(),
            means,
            line(
                f"relative error of {self.quantity}: mean and median over {self.splits['split'].n_unique()} "
                f"splits by {self.by} of the median over held-out checkpoints; worse: splits worse than the "
                f"nearest checkpoint; inside: held out within {percent(self.level)} intervals{allowed}; "
                "width: upper over lower end"
            ),
            Text(),
            self._split_table(),
            *refusals,
            *(note(words) for words in self.notes),
        )

    def _split_table(self) -> RenderableType:
        """The primary method and the best of the others beside the nearest checkpoint: 80 columns wide."""
        table = columns(
            "split", "seen", "held out", self.primary, "nearest", "best of the others", left=("split",)
        )
        for rows in self.splits.partition_by("split", maintain_order=True):
            first, errors = rows.row(0, named=True), dict(zip(rows["method"], rows["error"], strict=True))
            own, near = errors.pop(self.primary), errors.pop(NEAREST, None)
            best = (
                min((e, name) for name, e in errors.items() if e is not None)
                if any(errors.values())
                else None
            )
            table.add_row(
                first["split"],
                str(first["seen"]),
                str(first["held_out"]),
                _shown(own),
                _shown(near),
                "-" if best is None else f"{percent(best[0])} {best[1]}",
            )
        return table

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the verdict, the rows of `methods` and `splits`, and under `held_out` the median error
        over splits of every held-out checkpoint and k, a row a method.
        """
        keys = [name for name in ("model", "n_params", "n_tokens", "k") if name in self.points.columns]
        held_out = self.points.group_by("method", *keys, "measured", maintain_order=True).agg(
            pl.len().alias("splits"), pl.col("error").median()
        )
        return {
            "verdict": self.verdict,
            "forecastable": self.forecastable,
            "source": self.source,
            "by": self.by,
            "quantity": self.quantity,
            "level": self.level,
            "draws": self.draws,
            "seed": self.seed,
            "methods": self.methods.to_dicts(),
            "splits": self.splits.to_dicts(),
            "held_out": held_out.to_dicts(),
            "notes": list(self.notes),
        }

    def figure(self) -> Figure:
        """The error of every method over the splits."""
        return errors(self.splits, self.by, NEAREST)


def _shown(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else percent(value)
