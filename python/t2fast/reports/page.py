"""One page of HTML that needs nothing else: no network, no file beside it, and no trust in any text on it.

What is put on the page is text, escaped, whatever it holds. Scripts run by their hashes alone, and may
neither evaluate code nor fetch anything (Content-Security-Policy). Every figure stands there twice: as a
drawing with tooltips, and as a picture: for printers, for browsers without scripts, and until it is drawn.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any, TypeAlias
from urllib.parse import quote

import polars as pl

from t2fast.charts import Figure
from t2fast.charts.figure import specification, themed
from t2fast.charts.library import LOOKS, converter
from t2fast.text import clean, counted

_TAG = re.compile(r"<[^<>]*>")
_LABEL = re.compile(r' (?:aria-label|aria-roledescription|role)="[^"]*"')
_CLIP = re.compile(r"\bclip\d+")
_DIGITS = re.compile(r"(\.\d\d)\d+")

_PRINTED = 60
"""Rows of a table that paper has; `page.css` counts them too. The file and the screen have all."""

_ROWS = 100
"""Rows of a figure's data that the page shows as a table; the file to download has all."""


@dataclass(frozen=True)
class Prose:
    """A paragraph, a figure of speech apart: plain text."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A table: text in the first `left` columns, numbers in the others."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    caption: str = ""


Block: TypeAlias = Prose | Grid | Figure


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading."""

    title: str
    blocks: Sequence[Block]


def page(title: str, warnings: Sequence[str], sections: Sequence[Section]) -> str:
    """The page.

    Args:
        title: its heading.
        warnings: what must not be overlooked; they come first.
        sections: what follows.

    Returns:
        An HTML document.
    """
    library = script(converter().javascript_bundle())
    own = script(asset("page.js"))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {digest(library)} {digest(own)}",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    numbered = list(enumerate(sections, 1))
    specs: dict[str, Any] = {}
    body = "".join(_section(f"s{number}", section, specs) for number, section in numbered)
    links = "".join(
        f'<li><a href="#s{number}">{_text(section.title)}</a></li>' for number, section in numbered
    )
    data = inline({"looks": LOOKS, "charts": specs})
    return (
        f"{head(title, policy, asset('page.css'))}"
        '<a class="skip" href="#main">Skip to the report</a>\n'
        f"<header><h1>{_text(title)}</h1></header>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main id="main">\n'
        f"{_warnings(warnings)}{body}</main>\n"
        f'<script type="application/json" id="data">{data}</script>\n'
        f"<script>{library}</script>\n<script>{own}</script>\n</body>\n</html>\n"
    )


def head(title: str, policy: str, style: str) -> str:
    """What a page begins with, up to its body: what it may load, its title and its looks."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
    )


def inline(data: Any) -> str:
    """JSON for a script element, which nothing in `data` ends."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_text(words)}</li>" for words in warnings)
    heading = "<h2>Before you believe it</h2>"
    return f'<section class="warnings" aria-label="Warnings">{heading}<ul>{items}</ul></section>\n'


def _section(name: str, section: Section, specs: dict[str, Any]) -> str:
    blocks = "".join(_block(block, specs) for block in section.blocks)
    return f'<section id="{name}"><h2>{_text(section.title)}</h2>\n{blocks}</section>\n'


def _block(block: Block, specs: dict[str, Any]) -> str:
    if isinstance(block, Prose):
        return f"<p>{_text(block.text)}</p>\n"
    if isinstance(block, Grid):
        return _grid(block)
    return _figure(block, specs)


def _grid(grid: Grid) -> str:
    caption = f"<caption><span>{_text(grid.caption)}</span></caption>" if grid.caption else ""
    head = "".join(_cells(grid.headers, grid.left, 'th scope="col"'))
    rows = "".join("<tr>" + "".join(_cells(row, grid.left)) + "</tr>" for row in grid.rows)
    label = escape(clean(grid.caption or ", ".join(grid.headers)))
    more = len(grid.rows) - _PRINTED
    words = f"and {counted(more, 'more row')} on the page itself"
    left_out = f'<p class="unprinted">{words}</p>' if more > 0 else ""
    kind = "scroll long" if more > 0 else "scroll"
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{label}"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{left_out}</div>\n"
    )


def _cells(row: Sequence[str], left: int, tag: str = "td") -> Iterator[str]:
    for place, cell in enumerate(row):
        kind = "" if place < left else ' class="number"'
        yield f"<{tag}{kind}>{_text(cell)}</{tag[:2]}>"


def _figure(figure: Figure, specs: dict[str, Any]) -> str:
    parts = []
    for place, panel in enumerate(figure.panels):
        name = f"{figure.name}-{len(specs)}"
        specs[name] = specification(panel)
        svg = _thinned(converter().vegalite_to_svg(themed(specs[name], "white")))
        picture = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
        says = escape(clean(figure.says if place == 0 else f"{figure.title}, continued"))
        parts.append(
            f'<div class="panel"><div class="live" id="{name}" role="img" aria-label="{says}"></div>'
            f'<img class="still" alt="{says}" src="{picture}"></div>'
        )
    csv = quote(figure.frame.write_csv(), safe=",.-_ ~:+()")
    shown = figure.frame.head(_ROWS)
    rows = [[_cell(value) for value in row] for row in shown.iter_rows()]
    words = [i for i, kind in enumerate(shown.dtypes) if kind == pl.String]
    table = _grid(Grid(shown.columns, rows, left=max(words, default=-1) + 1))
    more = (
        "" if shown.height == figure.frame.height else f", the first {_ROWS} of {figure.frame.height:,} rows"
    )
    caption = f"<p>{_text(figure.caption)}</p>" if figure.caption else ""
    return (
        f'<figure aria-label="{escape(clean(figure.title))}"><h3>{_text(figure.title)}</h3>'
        f'<div class="panels{" many" if len(parts) > 3 else ""}">{"".join(parts)}</div>'
        f"<figcaption><p>{_text(figure.says)}</p>{caption}"
        f'<p class="data"><a download="{escape(figure.name)}.csv" href="data:text/csv;charset=utf-8,{csv}">'
        f"Download the data (CSV)</a></p><details><summary>Data as a table{more}</summary>{table}</details>"
        "</figcaption></figure>\n"
    )


def _thinned(svg: str) -> str:
    """The same picture in a third of the bytes: places to a hundredth, no words for each mark, which an image
    cannot tell.
    """
    clips: dict[str, str] = {}  # numbered through the life of the converter

    def short(tag: re.Match[str]) -> str:
        named = _CLIP.sub(lambda clip: clips.setdefault(clip[0], f"clip{len(clips)}"), tag[0])
        return _DIGITS.sub(r"\1", _LABEL.sub("", named))

    return _TAG.sub(short, svg)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _text(words: str) -> str:
    return escape(clean(words))


def script(code: str) -> str:
    """Code as an element may hold it: it must not seem to end the element or to begin a comment."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def digest(code: str) -> str:
    """The source that a Content-Security-Policy may name: this code alone."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() + "'"


def asset(name: str) -> str:
    """A file beside this one."""
    return resources.files("t2fast.reports").joinpath(name).read_text(encoding="utf-8")
