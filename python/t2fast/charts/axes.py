"""Axes that charts share: what is measured along them, in which unit, and how it is written."""

from __future__ import annotations

from typing import Any

import polars as pl

from t2fast.charts.library import DASHES, ROUND, SERIES, SHORT, SHORTENED, SIZE, TENTH, altair
from t2fast.text import counted

METRICS = {
    "loss": "loss (nats)",
    "-log pass@k": "-log pass@k (nats)",
    "pass@k": "pass@k",
    "accuracy": "accuracy",
}
"""What a law predicts, as an axis has it."""

NAMES = {
    "n_params": "parameters N",
    "n_tokens": "training tokens D",
    "k": "samples per problem k",
    "train_flops": "training FLOPs (6ND)",
}

_DECADES = 100.0
"""Greatest over least from which on an axis has two powers of ten at least."""

_WHOLE = "datum.value % 1 ? '' : datum.value"
"""A label of k: of 1 to 4 an axis would have 1.2 and 1.4, too."""

_LABELLED = 6.5
"""Greatest over least of an axis that surely has two labels: 1, 2 and 5 lie a factor of 2.5 apart at most."""

WIDE = 30.0
"""Greatest over least value from which on an axis is logarithmic."""


def size(name: str, values: pl.Series | None = None) -> dict[str, Any]:
    """Title, scale and labels of a logarithmic axis of N, D, k or FLOPs.

    Of `values` that lie close together the axis is wide enough to have labels, which are at 1, 2 and 5.
    """
    alt = altair()
    of_size = name in ("n_params", "n_tokens")
    label = ROUND + SIZE if of_size else "format(datum.value, '~e')" if name == "train_flops" else _WHOLE
    axis = alt.Axis(labelExpr=label, grid=False)
    scale = alt.Scale(type="log", base=2 if name == "k" else 10, nice=False, padding=8)
    if values is not None:
        least, most = ends(values.to_frame("at"), "at")
        if most / least < _LABELLED:
            middle, reach = (least * most) ** 0.5, _LABELLED**0.5
            scale["domain"] = [middle / reach, middle * reach]
    return {"title": NAMES[name], "scale": scale, "axis": axis}


def shades(name: str, values: pl.Series) -> Any:
    """Colours from light to dark along N, D, k or FLOPs; the legend shows up to eight of the values."""
    alt = altair()
    found = values.drop_nulls().unique().sort()
    shown = found.gather_every(max(1, -(-len(found) // 8))).to_list()
    of_size = name in ("n_params", "n_tokens")
    label = SHORT if of_size else "format(datum.value, '.2~e')" if name == "train_flops" else "datum.value"
    legend = alt.Legend(type="symbol", values=shown, labelExpr=label, symbolOpacity=1)
    # The middle of the scheme, which shows on white and on black.
    scheme = alt.SchemeParams("viridis", extent=[0.35, 0.8])
    scale = alt.Scale(type="log", scheme=scheme, reverse=True)
    return alt.Color(f"{name}:Q", scale=scale, title=NAMES[name], legend=legend)


def series(column: str, names: list[str], title: str | None = None) -> tuple[Any, Any]:
    """Colour and dashes that tell series apart."""
    alt = altair()
    count = len(names)
    colours = (list(SERIES) * (1 + count // len(SERIES)))[:count]
    # The colours of more than six repeat, each time with other dashes.
    dashes = [DASHES[(i if count <= len(SERIES) else i // len(SERIES)) % len(DASHES)] for i in range(count)]
    legend = strokes()
    return (
        alt.Color(f"{column}:N", scale=alt.Scale(domain=names, range=colours), title=title, legend=legend),
        alt.StrokeDash(
            f"{column}:N", scale=alt.Scale(domain=names, range=dashes), title=title, legend=legend
        ),
    )


def strokes() -> Any:
    """A legend of lines, opaque whatever else is drawn in their colours."""
    return altair().Legend(symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=2)


def x(name: str, values: pl.Series | None = None) -> Any:
    """A horizontal axis of N, D, k or FLOPs, as `size` has it."""
    return altair().X(f"{name}:Q", **size(name, values))


def names(**options: Any) -> Any:
    """An axis of names: of a long one the middle is left out, since names differ at their ends."""
    return altair().Axis(labelExpr=SHORTENED, **options)


def flops(values: pl.Series) -> Any:
    """A horizontal axis of training FLOPs, labelled at powers of ten where it holds some."""
    found = size("train_flops")
    least, most = ends(values.to_frame("at"), "at")
    if most / least >= _DECADES:
        found["axis"]["labelExpr"] = TENTH + found["axis"]["labelExpr"]
    return altair().X("train_flops:Q", **found)


def value(title: str, least: float, most: float, domain: tuple[float, float] | None = None) -> dict[str, Any]:
    """Title, scale and labels of an axis of values between two positive ends: logarithmic where they lie far
    apart.
    """
    alt = altair()
    log = least > 0 and most / least > WIDE
    scale: dict[str, Any] = {"type": "log"} if log else {"type": "linear", "zero": False}
    if domain is not None:
        scale |= {"domain": list(domain), "nice": False}
    # With the one digit that tells ticks apart, g writes 90 as 9e+1.
    form = "~r" if least >= 1 else "~g"
    return {"title": title, "scale": alt.Scale(**scale), "axis": alt.Axis(format=form)}


def sides(frame: pl.DataFrame) -> str:
    """How many checkpoints the rows of a frame are of; and how many names they have, where tasks or training
    sets make several of one.
    """
    keys = [name for name in ("model", "n_params", "n_tokens") if name in frame.columns]
    named = frame["checkpoint"].n_unique()
    found = frame.select(keys).n_unique() if keys else named
    if found == named:
        return counted(named, "checkpoint")
    return f"{counted(found, 'checkpoint')}, each by task, stage and data ({named} in all),"


def shortened(name: str, most: int = 34) -> str:
    """A name as `SHORTENED` has it: of a long one the middle is left out."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def ends(frame: pl.DataFrame, *columns: str) -> tuple[float, float]:
    """The least and the greatest positive finite value of some columns; (1, 1) where there is none."""
    values = pl.concat([frame[name].cast(pl.Float64) for name in columns])
    positive = values.filter(values.is_finite() & (values > 0))
    if not len(positive):
        return 1.0, 1.0
    least, most = positive.to_frame("at").select(least=pl.min("at"), most=pl.max("at")).row(0)
    return float(least), float(most)
