"""The log-probability that one sample is correct, per checkpoint and problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from t2fast.tables import fields as v
from t2fast.tables.models import of_source, with_sizes
from t2fast.tables.reading import KEYS, Reading, in_order
from t2fast.tables.sources import TableSource, open_source
from t2fast.tables.table import KEY_FIELDS, Floats, Table, described


@dataclass(frozen=True, eq=False)
class Likelihoods(Table):
    """Log-probability that one sample is correct, per checkpoint and problem: log p <= 0, natural logarithm.

    `frame` is that of `Counts` with log_likelihood (Float64) in place of the counts.
    """

    @property
    def log_likelihood(self) -> Floats:
        """log p, shape (rows,)."""
        return self.frame["log_likelihood"].to_numpy()

    @property
    def p(self) -> Floats:
        """p, shape (rows,); zero where log p is below about -745."""
        return np.exp(self.log_likelihood)

    def _summaries(self) -> list[pl.Expr]:
        return [pl.len().cast(pl.Int64).alias("problems"), pl.col("log_likelihood").mean()]


def read_likelihoods(
    source: TableSource,
    *,
    columns: Mapping[str, str] | None = None,
    models: TableSource | None = None,
    task: str | None = None,
    stage: str | None = None,
    where: Mapping[str, str] | None = None,
) -> Likelihoods:
    """Read the probability that one sample is correct, per checkpoint and problem.

    The source has `problem` and either `p`, in (0, 1], or `log_likelihood`, a natural logarithm of at most
    0; and if it has them `model`, `n_params`, `n_tokens`, `train_set`, `dataset`, `stage` and `task`.
    Where it holds both, `columns` says which to take.

    Args:
        source: as for `read_counts`.
        columns: as for `read_counts`.
        models: as for `read_counts`.
        task: as for `read_counts`.
        stage: as for `read_counts`.
        where: as for `read_counts`.

    Returns:
        The likelihoods, a row a problem of a checkpoint.

    Raises:
        ValueError: as for `read_counts`; two rows for one problem of one checkpoint are always an error.
    """
    asked, columns = columns, of_source(columns)
    opened = open_source(source)
    fields = (*KEY_FIELDS, v.P, v.LOG_LIKELIHOOD)
    names = v.find_columns(opened.name, opened.columns, fields, columns)
    opened = opened.wanted(where or {}, names)
    given = [name for name in ("p", "log_likelihood") if name in names]
    chosen = [name for name in given if name in columns] or given
    if len(chosen) > 1:
        raise ValueError(
            f"{opened.name} has both {names['p']!r} and {names['log_likelihood']!r}: "
            f"choose by columns={{'log_likelihood': {names['log_likelihood']!r}}}"
        )
    value = chosen[0] if chosen else "log_likelihood"
    reading = Reading(opened, names, fields).of((value,), "Or give p, a probability in (0, 1]")
    table = described(
        Likelihoods(with_sizes(reading.rows(), opened.name, models, asked)), reading, task, stage
    )
    frame = reading.without_duplicates(table.frame)
    if value == "p":
        frame = frame.with_columns(pl.col("p").log().alias("log_likelihood"))
    return replace(table, frame=frame.select(*in_order(frame, KEYS), "log_likelihood"))
