"""Rows that cannot be used: the one error that lists them all, and what makes a row one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from t2fast.tables.fields import LISTED, WANTED, Field, shown


@dataclass(frozen=True)
class Relation:
    """What two or more columns of a row must not be together: checked where all of `names` are there.

    `says` completes "row 3: …"; it is formatted with the values by their names and with `label`, what to call
    each column.
    """

    names: tuple[str, ...]
    broken: pl.Expr
    says: str


RELATIONS = (
    Relation(
        ("n_correct", "n_samples"),
        pl.col("n_correct") > pl.col("n_samples"),
        "{label[n_correct]} is {n_correct}, more than {label[n_samples]}, which is {n_samples}",
    ),
    Relation(
        ("n_samples", "max_samples"),
        pl.col("n_samples") > pl.col("max_samples"),
        "{label[n_samples]} is {n_samples}, more than {label[max_samples]}, which is {max_samples}: sampling "
        "had ended by then",
    ),
    Relation(
        ("n_correct", "until_successes"),
        pl.col("n_correct") > pl.col("until_successes"),
        "{label[n_correct]} is {n_correct}, more than {label[until_successes]}, which is {until_successes}: "
        "sampling had ended by then",
    ),
    Relation(
        ("n_samples", "n_correct", "until_successes", "max_samples"),
        (pl.col("n_correct") < pl.col("until_successes")) & (pl.col("n_samples") < pl.col("max_samples")),
        "{label[n_samples]} is {n_samples}, but sampling goes on to {label[max_samples]}, which is "
        "{max_samples}, while {label[n_correct]} ({n_correct}) is below {label[until_successes]} "
        "({until_successes}); if something other than its samples cut it short, max_samples is {n_samples}",
    ),
)


@dataclass
class Faults:
    """Rows that cannot be used, over all batches of one source."""

    source: str
    names: Mapping[str, str]
    skip_blank: bool = False
    rows: int = 0
    bad: int = 0
    blank: int = 0
    elsewhere: int = 0
    parts: tuple[tuple[str, int], ...] = ()
    lines: list[str] = field(default_factory=list)

    def convert(self, batch: pl.DataFrame, fields: Sequence[Field]) -> pl.DataFrame:
        """`batch` with every field in its canonical type, and `row`, counted from 1 over all batches.

        Rows that the caller does not want, as the column `WANTED` has it, are left out and counted in
        `elsewhere`. Rows at fault are noted, and hold null somewhere or break a relation. Rows in which every
        column is null are counted in `blank` and left out if `skip_blank`: so polars reads an empty line of a
        CSV file.
        """
        first = self.rows + 1
        self.rows += batch.height
        out = batch.select(
            *(
                entry.or_empty(pl.col(entry.name), batch.schema[entry.name]).alias(entry.name)
                for entry in fields
            ),
            pl.int_range(first, self.rows + 1, dtype=pl.Int64).alias("row"),
        )
        if WANTED in batch.columns:
            wanted = batch[WANTED].fill_null(False)
            self.elsewhere += int((~wanted).sum())
            batch, out = batch.filter(wanted).drop(WANTED), out.filter(wanted)
        faulty = pl.any_horizontal(pl.all().is_null())
        for relation in RELATIONS:
            if set(relation.names) <= set(out.columns):
                faulty = faulty | relation.broken
        at_fault = out.select(faulty.fill_null(True)).to_series()
        # Not null until here, which is what a cell at fault is.
        filled = pl.col([entry.name for entry in fields if entry.optional]).fill_nan(None)
        if not at_fault.any():
            return out.with_columns(filled)
        if self.skip_blank:
            blank = batch.select(pl.all_horizontal(pl.all().is_null())).to_series()
            self.blank += int(blank.sum())
            batch, out, at_fault = batch.filter(~blank), out.filter(~blank), at_fault.filter(~blank)
        self.bad += int(at_fault.sum())
        for row in at_fault.arg_true().head(LISTED - len(self.lines)).to_list():
            self.lines.append(self._line(batch.row(row, named=True), out.row(row, named=True), fields))
        return out.with_columns(filled)

    def _line(self, given: Mapping[str, object], used: Mapping[str, object], fields: Sequence[Field]) -> str:
        faults = [
            f"{self.label(entry.name)} is missing"
            if given[entry.name] is None or given[entry.name] == ""
            else f"{self.label(entry.name)} is {shown(given[entry.name])}, not {entry.want}"
            for entry in fields
            if used[entry.name] is None
        ]
        if not faults:
            row = pl.DataFrame([used])
            labels = {name: self.label(name) for name in used}
            faults = [
                relation.says.format(label=labels, **used)
                for relation in RELATIONS
                if set(relation.names) <= used.keys() and row.select(relation.broken).item()
            ]
        return f"{self.place(used['row'])}: " + "; ".join(faults)

    def place(self, row: Any) -> str:
        """Words for a row: its number, or its file where the rows of several were joined."""
        for name, rows in self.parts:
            if row <= rows:
                return name
            row -= rows
        return f"row {row}"

    def label(self, name: str) -> str:
        """A field's canonical name, and the source's own where that differs."""
        own = self.names.get(name, name)
        return name if own == name else f"{name} (column {own!r})"

    def raise_if_any(self, advice: str = "Correct these rows, or take them out") -> None:
        """Raise the `ValueError` that lists the rows, if there are any."""
        if not self.bad:
            return
        more = f"\n  … and {self.bad - len(self.lines)} more" if self.bad > len(self.lines) else ""
        raise ValueError(
            f"{self.bad} of {self.rows} rows of {self.source} cannot be used:\n  "
            + "\n  ".join(self.lines)
            + more
            + ("\n" if self.parts else "\nRows are counted from 1, a header not among them. ")
            + f"{advice}."
        )
