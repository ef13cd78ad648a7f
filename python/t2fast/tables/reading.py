"""The rows of a source as one checked frame: converted, counted up, no key twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.faults import Faults
from t2fast.tables.rows import Source

SIZES = ("n_params", "n_tokens")
CHECKPOINT = ("model", *SIZES)
GROUP = (*CHECKPOINT, "train_set", "dataset", "stage", "task")  # what a mean over problems is of
KEYS = (*GROUP, "problem")
USAGE = tuple(field.name for field in v.USAGE)
_TEXT_KEYS = ("model", "train_set", "dataset", "stage", "task", "problem")
# Partial counts to hold before they are merged into the total: some 50 bytes each.
_PENDING_ROWS = 2_000_000


@dataclass(frozen=True)
class LeftOut:
    """Rows that a table does not hold, and why."""

    rows: int
    reason: str


class Reading:
    """One pass over the columns of a source that hold `fields`, collecting its faults.

    `names` maps the fields that are there to the source's columns. Frames are returned in canonical types.
    """

    def __init__(self, source: Source, names: Mapping[str, str], fields: Sequence[v.Field]) -> None:
        self.source = source
        self.names = names
        self.fields = [field for field in fields if field.name in names]
        self.faults = Faults(source.name, names, skip_blank=source.blank_rows, parts=source.parts)

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns of the source that hold no field."""
        used = set(self.names.values())
        return tuple(name for name in self.source.columns if name not in used)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What reading itself left out."""
        parts = []
        if self.faults.blank:
            parts.append(LeftOut(self.faults.blank, "blank line"))
        if self.faults.elsewhere:
            wanted = ", ".join(f"{name} {value!r}" for name, value in self.source.where.items())
            parts.append(LeftOut(self.faults.elsewhere, f"other than {wanted}"))
        return tuple(parts)

    def require(self, required: Sequence[str], how: str = "", prefix: str = "") -> None:
        """`ValueError` naming those of `required` that the source has no column for; `how` ends it.

        `prefix` as for `t2fast.tables.fields.missing_columns`.
        """
        missing = [name for name in required if name not in self.names]
        if missing:
            raise v.missing_columns(self.source.name, self.source.columns, missing, how, prefix)

    def of(self, values: Sequence[str], how: str) -> Reading:
        """A reading of a problem and `values`, which have to be there, and of the other keys alone."""
        self.require(["problem", *values], how)
        fields = [field for field in self.fields if field.name in (*KEYS, *values)]
        kept = {field.name for field in fields}
        return Reading(self.source, {name: own for name, own in self.names.items() if name in kept}, fields)

    def rows(self) -> pl.DataFrame:
        """Every row, with its number in `row`."""
        frames = [self.faults.convert(batch, self.fields) for batch in self.source.batches(self.names)]
        return self._checked(pl.concat(frames))

    def counted_samples(self) -> pl.DataFrame:
        """Rows of one sample each as n_samples and n_correct of their keys, batch by batch.

        polars' own streaming group_by keeps the rows of unsettled groups, 6 GiB for 1e8 shuffled rows of 1e6
        groups. Merging each batch's counts into a total needs memory for the groups alone.
        """
        keys = [name for name in KEYS if name in self.names]
        used = [sum_if_known(name) for name in USAGE if name in self.names]
        parts: list[pl.DataFrame] = []
        pending = 0
        for batch in self.source.batches(self.names):
            samples = self.faults.convert(batch, self.fields)
            # Categories make a group's keys 4 bytes each, and are numbered alike in every batch.
            texts = [name for name in keys if samples.schema[name] == pl.String]
            counts = (
                samples.with_columns(pl.col(texts).cast(pl.Categorical))
                .group_by(keys)
                .agg(
                    *used,
                    n_samples=pl.len().cast(pl.Int64),
                    n_correct=pl.col("correct").cast(pl.Int64).sum(),
                )
            )
            parts.append(counts)
            pending += counts.height
            if pending > max(_PENDING_ROWS, parts[0].height):
                parts, pending = [_added_up(pl.concat(parts), keys)], 0
        return self._checked(_added_up(pl.concat(parts), keys))

    def without_duplicates(
        self, frame: pl.DataFrame, *, keys: Sequence[str] = KEYS, add_up: bool = False
    ) -> pl.DataFrame:
        """`frame` with every combination of `keys` once: counts added up, or a `ValueError` for repeats."""
        keys = in_order(frame, keys)
        repeated = frame.select(keys).is_duplicated()
        if not repeated.any():
            return frame
        if add_up:
            return _added_up(frame, keys, maintain_order=True)
        repeats = (
            frame.filter(repeated)
            .with_columns(pl.col("row").first().over(keys).alias("first"))
            .filter(pl.col("row") != pl.col("first"))
        )
        self.faults.bad += repeats.height
        for row in repeats.head(v.LISTED).to_dicts():
            what = ", ".join(f"{name} {v.shown(row[name])}" for name in keys)
            this, first = self.faults.place(row["row"]), self.faults.place(row["first"])
            same = f"{this} has twice: {what}"
            self.faults.lines.append(same if this == first else f"{this} repeats {first} ({what})")
        advice = f"Rows are told apart by {', '.join(keys)}: take the repeated ones out"
        if "until_successes" in frame.columns:
            advice += (
                ". Their counts cannot be added up: two runs that ended at a success are not one that did"
            )
        elif "n_samples" in frame.columns:
            advice += ", or add their counts up by duplicates='sum'"
        self.faults.raise_if_any(advice)
        return frame

    def _checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        self.faults.raise_if_any()
        if not frame.height:
            if self.faults.elsewhere:
                wanted = " and ".join(f"{name} {value!r}" for name, value in self.source.where.items())
                raise ValueError(f"{self.source.name} has no row with {wanted}")
            raise ValueError(f"{self.source.name} has columns but no rows")
        return frame.with_columns(pl.col(in_order(frame, _TEXT_KEYS)).cast(pl.String))


def in_order(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of `names` that `frame` has."""
    return [name for name in names if name in frame.columns]


def _added_up(counts: pl.DataFrame, keys: Sequence[str], maintain_order: bool = False) -> pl.DataFrame:
    return counts.group_by(keys, maintain_order=maintain_order).agg(
        pl.col("n_samples", "n_correct").sum(), *(sum_if_known(name) for name in in_order(counts, USAGE))
    )


def sum_if_known(name: str) -> pl.Expr:
    """The sum of a column; null where a part of it is."""
    column = pl.col(name)
    return pl.when(column.null_count() == 0).then(column.sum())
