"""The libraries that draw, imported where they are used, and the looks that all charts share."""

from __future__ import annotations

import importlib
from typing import Any

BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#56B4E9",
)
SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
"""Colours of series, told apart by colour-blind readers (Okabe and Ito 2008), on white and on black."""

GREY = "#7A7A7A"
"""Of what is there for orientation."""

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3])
"""Of series, so that colour is not all that tells them apart."""

WIDTH, HEIGHT = 460, 280

LOOKS: dict[str, Any] = {
    "font": "Helvetica, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridOpacity": 0.4,
        "labelSeparation": 8,
        "labelOverlap": "greedy",
    },
    "axisY": {"labelLimit": 240},  # names as `SHORTENED` has them
    "legend": {
        "orient": "bottom",
        "columns": 4,
        "columnPadding": 24,  # for fonts wider than the one that labels were measured in
        "labelLimit": 300,
        "titleFontWeight": "normal",
        "layout": {"bottom": {"direction": "vertical", "anchor": "start"}},
    },
}
"""Vega-Lite's `config`."""

SIZE = "replace(format(datum.value, '~s'), 'G', 'B')"
"""A label of parameters or tokens: 160M, 1.2B."""

SHORT = SIZE.replace("~s", ".3~s")
"""The same with three digits."""

SHORTENED = "truncate(datum.label, 34, 'center')"
"""A name, with its middle left out where it is longer."""

ROUND = "indexof('125', substring(format(datum.value, 'e'), 0, 1)) < 0 ? '' : "
"""Before a label of a logarithmic axis: none but those of 1, 2 and 5, which have room."""

TENTH = "substring(format(datum.value, 'e'), 0, 2) != '1.' ? '' : "
"""The same: none but those of powers of ten."""


def altair() -> Any:
    """Altair. `ImportError` that says what to install."""
    return _imported("altair")


def converter() -> Any:
    """vl-convert, which draws without a browser. `ImportError` that says what to install."""
    return _imported("vl_convert")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError("charts need altair and vl-convert: pip install 't2fast[report]'") from error
