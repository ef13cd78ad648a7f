"""Results as a person wants to read them: tables for the terminal, and their plain text."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from t2fast.laws import Law
from t2fast.plans import Choice, Plan

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_FORMULA = {
    "chinchilla": "L = E + A/N^alpha + B/D^beta",
    "loss": "-log pass@k = E + A/N^alpha + B/D^beta + G/k^gamma",
    "accuracy": "pass@k of p ~ Beta(mu nu, (1-mu) nu), mu and nu functions of L = E + A/N^alpha + B/D^beta",
    "counts": "as the accuracy law, with a checkpoint effect N(0, sigma^2) on L",
}


def text(renderable: RenderableType, width: int = 100) -> str:
    """A renderable as plain text."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(renderable)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


def amount(value: float | None) -> str:
    """A size or number of tokens, such as 51.9M."""
    if value is None or not math.isfinite(value):
        return "-"
    for unit, letter in _UNITS:
        if value >= 0.9995 * unit and value < 1e15:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def pass_report(rows: Sequence[Mapping[str, Any]], level: float) -> RenderableType:
    """pass@k by checkpoint, task and k, as ``t2fast passk`` prints it."""
    keys = [key for key in ("model", "n_params", "n_tokens", "task") if any(row.get(key) for row in rows)]
    table = _table(*keys, "k", "pass@k", f"{level:.0%} interval", "problems", left=("model", "task"))
    for row in rows:
        named = [amount(row[key]) if key.startswith("n_") else str(row[key]) for key in keys]
        value, low, high = row["pass_at_k"], row["low"], row["high"]
        shown = "NaN" if value is None else f"{value:.4f}"
        interval = "" if low is None else f"{low:.4f} to {high:.4f}"
        table.add_row(*named, str(row["k"]), shown, interval, str(row["problems"]))
    notes = dict.fromkeys(row["note"] for row in rows if row["note"])
    return Group(table, *(_note(note) for note in notes))


def law_report(law: Law, level: float = 0.9) -> RenderableType:
    """Parameters with bootstrap intervals, the quality of the fit and what is wrong with it."""
    table = _table("parameter", "value", f"{level:.0%} interval", "", left=("parameter", ""))
    fit = law.fit
    for i, (name, value) in enumerate(law.params.items()):
        interval = ""
        if law.draws is not None and len(law.draws):
            low, high = np.quantile(law.draws[:, i], [0.5 - level / 2, 0.5 + level / 2])
            interval = f"{low:.4g} to {high:.4g}" if low != high else "held"
        remark = []
        if fit is not None and name in fit.on_bound:
            remark.append("on its bound")
        if fit is not None and name in fit.unidentified:
            remark.append("not identified")
        table.add_row(name, f"{value:.6g}", interval, ", ".join(remark))
    parts: list[RenderableType] = [Text(f"{law.name} law: {_FORMULA[law.name]}"), table]
    if fit is not None:
        facts = [
            f"{fit.points} points of {fit.checkpoints} checkpoints, {fit.method}",
            f"{fit.objective_name} {fit.objective:.6g}; {fit.reason} after {fit.evaluations} evaluations",
        ]
        if fit.median_relative_error is not None:
            facts.append(f"median relative error on these points {fit.median_relative_error:.1%}")
        if fit.lack_of_fit is not None:
            facts.append(f"residuals {fit.lack_of_fit:.2g} times their sampling error (1: only noise)")
        parts += [Text(fact) for fact in facts]
        parts += [_note(note) for note in fit.notes]
    if law.domain:
        seen = ", ".join(
            f"{symbol} {amount(law.domain[name][0])} to {amount(law.domain[name][1])}"
            for symbol, name in (("N", "n_params"), ("D", "n_tokens"), ("k", "k"))
            if name in law.domain
        )
        parts.append(Text(f"fitted on {seen}"))
    if law.source:
        parts.append(Text(f"source: {law.source}"))
    return Group(*parts)


def plan_report(plan: Plan, profile: Sequence[Mapping[str, Any]] | None = None) -> RenderableType:
    """The plan beside Chinchilla's, with intervals over the law's draws, and what other sizes would give."""
    inference = (
        "" if plan.inference_flops is None else f", {plan.inference_flops:.3g} inference FLOPs per token"
    )
    rule = plan.chinchilla.rule
    other = "Chinchilla" if rule == "law" else f"Chinchilla ({rule:g} tokens/parameter)"
    interval = plan.intervals
    table = _table("", "plan", f"{plan.level:.0%} interval" if interval else "", other, left=("",))
    rows: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("parameters N", "n_params", amount),
        ("training tokens D", "n_tokens", amount),
        ("samples per problem k", "k", _k),
        ("tokens per parameter", "tokens_per_param", _ratio),
        (f"predicted {plan.metric}", "predicted", lambda v: f"{v:.4f}"),
    )
    for label, name, show in rows:
        span = interval.get("predicted_here" if name == "predicted" else name)
        shown = "" if span is None else f"{show(span[0])} to {show(span[1])}"
        table.add_row(label, show(_value(plan, name)), shown, show(_value(plan.chinchilla, name)))
    parts: list[RenderableType] = [
        Text(f"Best model for {plan.train_flops:.3g} training FLOPs{inference}"),
        table,
    ]
    if plan.ratio is not None:
        parts.append(Text(f"predicted pass@k {plan.ratio:.2f} times Chinchilla's"))
    if plan.chinchilla.clamped:
        parts.append(_note(f"Chinchilla's N was moved by {plan.chinchilla.bound}"))
    parts += [_note(warning) for warning in plan.warnings]
    if plan.law.source:
        parts.append(Text(f"law: {plan.law.name}, {plan.law.source}"))
    if profile is not None:
        sizes = _table("N", "D", "k", "D/N", f"predicted {plan.metric}")
        for row in profile:
            n, d = row["n_params"], row["n_tokens"]
            sizes.add_row(amount(n), amount(d), _k(row["k"]), _ratio(d / n), f"{row['predicted']:.4f}")
        parts += [Text(), sizes]
    return Group(*parts)


def frontier_report(frame: pl.DataFrame, law: Law) -> RenderableType:
    """Plans over a range of training budgets; a star marks what lies outside the law's data."""
    table = _table("C_train", "N", "D", "k", "D/N", "predicted", "Chinchilla N", "D", "k", "predicted")
    starred = False

    def star(row: Mapping[str, Any], prefix: str, name: str, shown: str) -> str:
        nonlocal starred
        low, high = law.domain.get(name, (0.0, math.inf))
        value = row[prefix + name]
        inside = value is None or low <= value <= high
        starred |= not inside
        return shown if inside else shown + "*"

    for row in frame.iter_rows(named=True):
        cells = [f"{row['train_flops']:.2e}"]
        for prefix in ("", "chinchilla_"):
            cells.append(star(row, prefix, "n_params", amount(row[prefix + "n_params"])))
            cells.append(star(row, prefix, "n_tokens", amount(row[prefix + "n_tokens"])))
            cells.append(star(row, prefix, "k", _k(row[prefix + "k"])))
            if not prefix:
                cells.append(_ratio(row["tokens_per_param"]))
            cells.append(f"{row[prefix + 'predicted']:.4f}")
        table.add_row(*cells)
    if not starred:
        return table
    seen = ", ".join(
        f"{symbol} {amount(law.domain[name][0])} to {amount(law.domain[name][1])}"
        for symbol, name in (("N", "n_params"), ("D", "n_tokens"), ("k", "k"))
    )
    return Group(table, _note(f"* outside the law's data ({seen}): an extrapolation"))


def frame_report(frame: pl.DataFrame) -> RenderableType:
    """Any small table: text to the left, numbers with four digits to the right."""
    words = [name for name, kind in frame.schema.items() if kind == pl.String]
    table = _table(*frame.columns, left=tuple(words))
    for row in frame.iter_rows():
        table.add_row(*(v if isinstance(v, str) else "-" if v is None else f"{v:.4g}" for v in row))
    return table


def _value(choice: Choice, name: str) -> float | None:
    return getattr(choice, name)  # type: ignore[no-any-return]


def _k(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _note(note: str) -> RenderableType:
    return Text(f"! {note}", style="yellow")


def _table(*headers: str, left: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, justify="left" if header in left else "right", no_wrap=True)
    return table
