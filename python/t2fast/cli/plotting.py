"""Plots of plans with matplotlib, which is optional: `pip install 't2fast[plot]'`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from t2fast.choices.choice import Choice as Buy
from t2fast.comparisons import Comparison
from t2fast.plans.planned import Choice, Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, THEIRS = "#0b5fa5", "#b3541e"
_AXIS = {"loss": "loss (nats)", "-log pass@k": "-log pass@k (nats)", "pass@k": "pass@k"}


def plot_profile(plan: Plan, ax: Axes | None = None) -> Axes:
    """What every model size would buy along the budget line, with the plan and Chinchilla's choice marked.

    Args:
        plan: a plan.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    profile = plan.profile(400)
    ax.plot(profile.n_params, profile.predicted, color="0.35", lw=1.5)
    _mark(ax, plan, "T² plan", OURS, "o")
    _mark(ax, plan.chinchilla, "Chinchilla", THEIRS, "s")
    ax.set_xscale("log")
    ax.set_xlabel("parameters N")
    ax.set_ylabel(_AXIS[plan.metric])
    title = f"training {plan.train_flops:.3g} FLOPs"
    if plan.inference_flops is not None:
        title += f", inference {plan.inference_flops:.3g} FLOPs per token"
    ax.set_title(title, fontsize="medium", loc="left")
    ax.legend(frameon=False)
    return ax


def plot_frontier(frame: pl.DataFrame, ax: Axes | None = None) -> Axes:
    """The predicted value over training budgets, ours and Chinchilla's, from `planning.frontier`; the band is
    the interval over the law's bootstrap draws, where it has any.

    Args:
        frame: what `frontier` returned.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: if a column is missing.
    """
    needed = ["train_flops", "predicted", "chinchilla_predicted", "metric"]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ValueError(f"the frame has no column {missing[0]!r}: pass what frontier returned")
    ax = _axes(ax)
    budgets = frame["train_flops"].to_numpy()
    for prefix, label, color in (("", "T² plan", OURS), ("chinchilla_", "Chinchilla", THEIRS)):
        ax.plot(budgets, frame[f"{prefix}predicted"].to_numpy(), color=color, lw=1.8, label=label)
        band = [f"{prefix}predicted_low", f"{prefix}predicted_high"]
        if set(band) <= set(frame.columns):
            low, high = (frame[name].to_numpy() for name in band)
            ax.fill_between(budgets, low, high, color=color, alpha=0.15, lw=0)
    ax.set_xscale("log")
    values = frame["predicted"].to_numpy()
    if np.min(values) > 0 and np.max(values) / np.min(values) > 30:
        ax.set_yscale("log")
    ax.set_xlabel("training FLOPs")
    ax.set_ylabel(_AXIS[frame["metric"][0]])
    inference = frame["inference_flops"].unique()
    if len(inference) == 1 and inference[0] is not None:
        ax.set_title(f"inference {inference[0]:.3g} FLOPs per token", fontsize="medium", loc="left")
    ax.legend(frameon=False)
    return ax


def plot_choice(choice: Buy, ax: Axes | None = None) -> Axes:
    """The frontier of models that exist: pass@k over US dollars a query, with simultaneous intervals, one
    colour a model, the choice marked.

    Args:
        choice: what `choose` returned.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    usd = np.array([option.usd_per_query for option in choice.frontier])
    ends = np.array([(option.low, option.high) for option in choice.frontier])
    ax.fill_between(usd, ends[:, 0], ends[:, 1], color="0.88", lw=0, label=f"{choice.level:.0%} interval")
    for model in dict.fromkeys(option.model for option in choice.frontier):
        mine = [option for option in choice.frontier if option.model == model]
        places = [option.usd_per_query for option in mine], [option.pass_at_k for option in mine]
        ax.plot(*places, ".-", ms=4, lw=1, label=model)
    picks = (
        ("k at once", choice.together),
        ("until solved", choice.until_solved),
        ("cascade", choice.cascade),
    )
    for (label, pick), marker in zip(picks, "o^s", strict=True):
        if pick is not None:
            place = [pick.option.usd_per_query], [pick.option.pass_at_k]
            ax.plot(*place, marker, color=OURS, ms=8, mfc="none", label=f"best {label}")
    if usd.min() > 0:
        ax.set_xscale("log")
    ax.set_xlabel("US dollars a query")
    ax.set_ylabel("pass@k")
    ax.set_title(choice.request, fontsize="medium", loc="left")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_comparison(found: Comparison, ax: Axes | None = None) -> Axes:
    """Differences of pass@k from the first side over k, each with its simultaneous band.

    Args:
        found: what `compare` returned.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    ax.axhline(0.0, color="0.6", lw=1.0)
    for side, name in enumerate(found.names[1:], 1):
        (line,) = ax.plot(found.k, found.difference[:, side], lw=1.6, label=name)
        ax.fill_between(
            found.k, found.low[:, side], found.high[:, side], color=line.get_color(), alpha=0.2, lw=0
        )
    ax.set_xscale("log", base=2)
    ax.set_xlabel("samples k")
    ax.set_ylabel(f"pass@k less that of {found.names[0]}")
    ax.legend(frameon=False)
    return ax


def save(axes: Any, path: str) -> None:
    """Write the figure of these axes to a file."""
    axes.figure.savefig(path, dpi=160, bbox_inches="tight")


def _mark(ax: Axes, choice: Choice, name: str, color: str, marker: str) -> None:
    k = "" if choice.k is None else f", k = {choice.k:.3g}"
    label = f"{name}: N = {choice.n_params:.3g}, D/N = {choice.tokens_per_param:.3g}{k}"
    ax.plot([choice.n_params], [choice.predicted], marker, color=color, ms=7, label=label)


def _axes(ax: Axes | None) -> Axes:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 't2fast[plot]'") from error
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax
