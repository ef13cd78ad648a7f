"""Hold out part of a table, forecast it from the rest, and compare: the only test of a forecast there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from t2fast.laws import AnyLaw
from t2fast.laws.ends import draws_needed
from t2fast.progress import track
from t2fast.text import nominal
from t2fast.validation import scores
from t2fast.validation.measured import Measured, Table
from t2fast.validation.methods import METHODS, NEAREST, Forecast, Places, Request
from t2fast.validation.report import Validation
from t2fast.validation.sampling import inside
from t2fast.validation.splits import Split, hold_out


def validate(
    table: Table,
    *,
    by: str = "compute",
    splits: int = 20,
    methods: Sequence[str] | None = None,
    ks: Sequence[float] | None = None,
    level: float = 0.9,
    draws: int = 100,
    all_intervals: bool = False,
    regularise: bool = False,
    seed: int = 0,
    progress: bool | None = None,
) -> Validation:
    """Forecast what a table's other checkpoints measured, many times over, by every law and baseline.

    Args:
        table: counts, likelihoods, losses or accuracies, with N and D.
        by: what to hold out: "compute" (N D above a threshold), "ratio" (D/N, the paper's second question:
            forecasts of overtrained models), "size" (N), "run" (a model's checkpoints) or "checkpoint"
            (random ones).
        splits: at most how many; see `t2fast.validation.splits`.
        methods: names among `t2fast.validation.METHODS`; by default all that can forecast the table. The
            nearest checkpoint is always among them. The verdict is about the first law.
        ks: the k to fit and to judge by; by default the laws see the powers of two up to 128 that all
            problems have samples for, and are judged by 1, 8, 64, 128 and the largest.
        level: coverage of the intervals. Whether one holds what is held out is judged with the sampling error
            of that measurement allowed for.
        draws: draws of the first law behind its intervals; 0 for none.
        all_intervals: whether to ask the other laws for intervals, too, which takes several times as long.
        regularise: whether to fit the paper's laws under the forecast law's priors, Chinchilla's then by
            least squares; the forecast law has them anyway, and the direct law none.
        seed: of the draws and of random checkpoints.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        Forecasts and their errors, coverage and width, by method, with a verdict in words.

    Raises:
        ValueError: for unknown methods, or a table with too few checkpoints.
        TypeError: for a table of another kind.
    """
    measured = Measured.of(table, ks)
    names = _chosen(methods, measured)
    if not 0 < level < 1:
        raise ValueError(f"level = {level} must lie between 0 and 1")
    least = draws_needed(level)
    if draws < 0 or 0 < draws < least:
        raise ValueError(f"draws = {draws} must be 0, or at least {least} for {nominal(level)} intervals")
    held_out = hold_out(measured, by, splits, seed)
    judged = measured.judged() if ks is None else list(range(len(measured.ks)))
    first = next((name for name in names if METHODS[name].fit is not None), None)
    points, rows = [], []
    work = [(split, name) for split in held_out for name in names]
    fitted: dict[str, dict[str, AnyLaw]] = {split.name: {} for split in held_out}
    for split, name in track(work, "forecasts", len(work), progress):
        seen, ahead = measured.only(split.seen), measured.only(~split.seen)
        refusal = None
        drawn = draws if all_intervals or name == first else 0
        how = Request(level, drawn, seed, regularise, fitted[split.name])
        try:
            forecast = METHODS[name].forecast(seen, Places(ahead.n_params, ahead.n_tokens, ahead.ks), how)
        except ValueError as error:
            refusal = str(error)
        else:
            points.append(_points(split, name, ahead, forecast, level, judged))
        rows.append((split.name, split.threshold, len(seen), len(ahead), name, refusal))
    forecasts = scores.with_errors(pl.concat(points))
    by_split = scores.by_split(rows, forecasts)
    return Validation(
        source=table.source,
        by=by,
        quantity=measured.quantity,
        level=level,
        draws=draws,
        seed=seed,
        points=forecasts,
        splits=by_split,
        methods=scores.by_method(by_split, forecasts, level),
        notes=(
            *table.notes,
            *measured.notes,
            *_notes(forecasts),
            *(["the paper's laws were fitted under the forecast law's priors"] if regularise else []),
        ),
    )


def _chosen(methods: Sequence[str] | None, measured: Measured) -> list[str]:
    """Names in the order asked for, the nearest checkpoint last."""
    able = [name for name, method in METHODS.items() if measured.quantity in method.quantities]
    for name in methods or ():
        if name not in able:
            raise ValueError(
                f"method {name!r} does not forecast {measured.quantity}; those that do are {', '.join(able)}"
            )
    return [name for name in dict.fromkeys(methods or able) if name != NEAREST] + [NEAREST]


def _points(
    split: Split, method: str, ahead: Measured, forecast: Forecast, level: float, judged: list[int]
) -> pl.DataFrame:
    """A row a held-out checkpoint and judged k."""

    def column(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[:, judged].ravel()

    width = len(judged)
    models = {} if ahead.models is None else {"model": np.repeat(ahead.models, width)}
    frame = pl.DataFrame(
        {
            **models,
            "n_params": np.repeat(ahead.n_params, width),
            "n_tokens": np.repeat(ahead.n_tokens, width),
            "k": np.tile(ahead.ks[judged], len(ahead)),
            "measured": column(ahead.values),
            "forecast": column(forecast.values),
            "low": column(forecast.low),
            "high": column(forecast.high),
            "inside": column(inside(forecast, ahead, level)),
        },
        schema_overrides={"low": pl.Float64, "high": pl.Float64, "inside": pl.Boolean},
    )
    return frame.select(pl.lit(split.name).alias("split"), pl.lit(method).alias("method"), pl.all()).filter(
        pl.col("measured").is_not_nan()
    )


def _notes(points: pl.DataFrame) -> list[str]:
    where = ["n_params", "n_tokens", "k"]
    unsolved = points.filter(pl.col("measured") == 0).select(where).n_unique()
    if not unsolved:
        return []
    return [
        f"{unsolved} held-out points (checkpoint and k) were never right and are not judged: a relative "
        "error against 0 says nothing"
    ]
