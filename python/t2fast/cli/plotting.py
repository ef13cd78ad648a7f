"""`--plot FILE`: a figure as a file, the same that `plot()` of the result draws."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from t2fast import atomic
from t2fast.charts import Figure
from t2fast.charts.figure import SUFFIXES

PAGE = ".html"


def add_plot(parser: Any, says: str) -> None:
    """Add `--plot`, which draws what `says` says."""
    listed = ", ".join((*SUFFIXES, PAGE))
    parser.add_argument(
        "--plot", type=_file, metavar="FILE", help=f"draw {says}: {listed} (needs t2fast[report])"
    )


def check(arguments: argparse.Namespace) -> None:
    """Refuse a `--plot` that cannot be written, before anything is reckoned."""
    if arguments.plot:
        atomic.check(arguments.plot)


def save(figure: Figure, path: str, warnings: Sequence[str] = ()) -> None:
    """Write the figure, on a page of its own where the name says so, and say where it is.

    It is called when the result is on stdout, so that a disk that is full by now does not take that along.
    """
    if path.lower().endswith(PAGE):
        from t2fast.reports.page import Section, page  # with all rooms, which take a while to import
        from t2fast.reports.provenance import provenance

        where = provenance(["t2fast", *sys.argv[1:]], [], [])
        html = page(figure.title, warnings, [Section("Figure", [figure]), where])
        atomic.write(path, [html.encode("utf-8")])
    else:
        figure.save(path)
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"figure kept in {path}", markup=False)


def _file(path: str) -> str:
    if os.path.splitext(path)[1].lower() not in (*SUFFIXES, PAGE):
        raise argparse.ArgumentTypeError(f"{path!r} must end in {', '.join(SUFFIXES)} or {PAGE}")
    return path
