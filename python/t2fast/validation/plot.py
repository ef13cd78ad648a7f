"""A validation as a picture, with matplotlib, which is optional: `pip install 't2fast[plot]'`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from t2fast.validation.methods import NEAREST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXES = {"compute": "held out from 6ND =", "ratio": "held out from D/N =", "size": "held out from N ="}


def plot_errors(splits: pl.DataFrame, by: str, title: str, ax: Axes | None = None) -> Axes:
    """The error of every method over the splits, the nearest checkpoint's in black.

    Args:
        splits: a row a split and method, as `Validation.splits` has them.
        by: what was held out.
        title: a line above the axes.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 't2fast[plot]'") from error
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    places = {name: i for i, name in enumerate(splits["split"].unique(maintain_order=True))}
    for rows in splits.filter(pl.col("error").is_not_null()).partition_by("method", maintain_order=True):
        method, values = rows["method"][0], 100 * rows["error"]
        at = rows["threshold"] if by in _AXES else rows["split"].replace_strict(places)
        style = {"color": "black", "lw": 2.0} if method == NEAREST else {"lw": 1.5}
        ax.plot(at.to_numpy(), values.to_numpy(), "o-", ms=3, label=method, **style)
    if by in _AXES:
        ax.set_xscale("log")
        ax.set_xlabel(_AXES[by])
    else:
        ax.set_xticks(list(places.values()), list(places), rotation=90, fontsize="x-small")
    ax.set_yscale("log")
    ax.set_ylabel("median relative error, %")
    ax.set_title(title, fontsize="medium", loc="left", wrap=True)
    ax.legend(frameon=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax
