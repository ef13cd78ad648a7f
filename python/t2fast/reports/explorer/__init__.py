"""A page on which budgets move and plans follow, computed in the browser by the core that computes them here.

The Rust core is compiled to WebAssembly (`make explorer` keeps it beside this file) and put into the page
with the law, both compressed. What the core does not do, checking and wording, is written once more in
JavaScript and held to the original by tests: `limits.js`, `plans.js`, `room.js` and
`spending.js` mirror `t2fast.plans`.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
from dataclasses import dataclass, replace
from html import escape
from importlib import resources
from typing import Any

from t2fast import atomic
from t2fast.arguments import require_kind
from t2fast.charts.axes import METRICS
from t2fast.compute import sample_flops, train_flops
from t2fast.costs.hardware import ACCELERATORS, MBU, MFU
from t2fast.costs.memory import CACHE_POWER, cache_bytes
from t2fast.laws import AnyLaw, ForecastLaw, Law, default_law
from t2fast.laws.data_wall import DataWall
from t2fast.plans import plan
from t2fast.plans.limits import EXTRAPOLATE
from t2fast.plans.request import positive
from t2fast.reports.page import asset, digest, head, inline, script
from t2fast.text import clean

__all__ = ["Explorer", "explore"]

_WORK = ("core.js", "words.js", "limits.js", "plans.js", "room.js", "spending.js", "desk.js")
_PAGE = ("charts.js", "form.js", "page.js")


@dataclass(frozen=True)
class Explorer:
    """A page to explore a law on. `title` is its heading; budgets are where it begins."""

    law: AnyLaw
    title: str
    train_flops: float
    inference_flops: float | None
    level: float

    def html(self) -> str:
        """The page: one HTML document that loads nothing from anywhere. The same law makes the same page.

        Returns:
            The document.
        """
        facts = inline(_facts(self))
        work = script("\n".join(map(_asset, _WORK)))
        page = script("\n".join(map(_asset, _PAGE)))
        policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {digest(work)} {digest(page)} 'wasm-unsafe-eval'",
                "worker-src blob:",
                "style-src 'unsafe-inline'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        )
        law = json.dumps(self.law.to_dict(), allow_nan=False, separators=(",", ":")).encode()
        core = resources.files(__package__).joinpath("core.wasm").read_bytes()
        title = escape(clean(self.title))
        source = f"<p>The {escape(_described(self.law))}</p>"
        return (
            f"{head(self.title, policy, asset('page.css') + _asset('page.css'))}"
            '<a class="skip" href="#main">Skip to the plan</a>\n'
            f"<header><h1>{title}</h1>{source}</header>\n{_asset('body.html')}"
            f'<script type="application/json" id="facts">{facts}</script>\n'
            f'<script type="text/plain" id="law">{_packed(law)}</script>\n'
            f'<script type="text/plain" id="core">{_packed(core)}</script>\n'
            f'<script id="work">{work}</script>\n'
            f"<script>{page}</script>\n</body>\n</html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all.

        Args:
            path: of the file.
        """
        atomic.write(path, [self.html().encode("utf-8")])


def explore(
    law: AnyLaw,
    train_flops: float | None = None,
    inference_flops: float | None = None,
    *,
    title: str | None = None,
    level: float = 0.9,
) -> Explorer:
    """A page on which budgets, prices, targets, text and the law's draws move, and plans follow at once.

    Args:
        law: a fitted law.
        train_flops: the training budget that it begins with, FLOPs; by default from the middle of the law's
            data.
        inference_flops: the inference budget that it begins with, FLOPs per token served, likewise.
        title: of the page.
        level: coverage of the intervals that it begins with.

    Returns:
        The page; `save` writes it.

    Raises:
        ValueError: as `plan`, for these budgets and this law.
    """
    require_kind("an explorer", law, (Law, ForecastLaw), "t2fast.Law.load('law.json') gives one")
    train, inference = _middle(law)
    train = train if train_flops is None else positive("train_flops", train_flops)
    if inference_flops is not None:
        inference = positive("inference_flops", inference_flops)
    law.check_draws(level)
    # What cannot be planned cannot be explored.
    plan(replace(law, draws=None), train, inference, level=level)
    return Explorer(law, title or f"Explorer of the {law.name} law", train, inference, level)


def _middle(law: AnyLaw) -> tuple[float, float | None]:
    """Budgets that pay for the middle of what the law was fitted on."""
    n, d, k = (math.sqrt(math.prod(_seen(law, axis))) for axis in ("n_params", "n_tokens", "k"))
    return _three_digits(train_flops(n, d)), _three_digits(sample_flops(n, k)) if law.has_k else None


def _seen(law: AnyLaw, axis: str) -> tuple[float, float]:
    anything = {"n_params": (1e7, 1e11), "n_tokens": (1e9, 1e13), "k": (1.0, 1e3)}
    return law.domain.get(axis, anything[axis])


def _facts(page: Explorer) -> dict[str, Any]:
    """What the page must know besides the law's file."""
    law = page.law
    n, d, k = (_seen(law, axis) for axis in ("n_params", "n_tokens", "k"))
    train = train_flops(n[0], d[0]), train_flops(n[1], d[1])
    middle = plan(replace(law, draws=None), page.train_flops, page.inference_flops)
    best = middle.pass_at_k if law.metric == "-log pass@k" else middle.predicted
    assert best is not None
    draws = 0 if law.draws is None else len(law.draws)
    return {
        "metrics": METRICS,
        # A law of -log pass@k is asked for pass@k all the same.
        "sought": METRICS["pass@k" if law.metric == "-log pass@k" else law.metric],
        "law": {
            "metric": law.metric,
            # Which commands take where none is named.
            "ours": law.to_dict() == default_law().to_dict(),
            "hasK": law.has_k,
            "higherIsBetter": law.higher_is_better,
            "latent": law.latent,
            "domain": law.domain,
            "draws": draws,
            # The workers' law is its file, and these.
            "traits": {
                "name": law.name,
                "metric": law.metric,
                "hasK": law.has_k,
                "hasProcess": law.has_process,
                "higherIsBetter": law.higher_is_better,
                "latent": law.latent,
                "cautions": [clean(words) for words in law.cautions],
                "believed": EXTRAPOLATE,
                "repeats": DataWall().r_d,
                **({} if draws else {"draws": []}),
            },
        },
        "ranges": {
            "train": (train[0] / EXTRAPOLATE, train[1] * EXTRAPOLATE**2),
            "inference": (sample_flops(n[0], k[0]), sample_flops(n[1], k[1]) * EXTRAPOLATE),
            "budget": (train[0], train[1] * 1e3),
            "target": (best / 2, best * 2) if law.metric == "loss" else (0.01, 0.99),
            "tokens": (d[0], d[1] * 10),
            "params": (n[0] / EXTRAPOLATE, n[1] * EXTRAPOLATE),
        },
        "chips": [
            {
                "name": chip.name,
                "flops": chip.flops,
                "bandwidth": chip.bandwidth,
                "memory": chip.memory,
                "cache": cache_bytes(1.0),
                "cachePower": CACHE_POWER,
            }
            for chip in ACCELERATORS.values()
        ],
        "mfu": MFU,
        "mbu": MBU,
        "start": {
            "train": page.train_flops,
            "inference": page.inference_flops,
            "budget": _three_digits(4 * page.train_flops),
            "target": float(f"{best:.2g}") if law.metric == "loss" else min(float(f"{best:.2g}"), 0.99),
            "queries": 1e6,
            "promptTokens": 500,
            "outputTokens": 500,
            "chip": "",
            "usdPerHour": 2.5,
            "batch": 64,
            "mfu": MFU,
            "mbu": MBU,
            "unique": None,
            "mostD": None,
            "leastN": None,
            "mostN": None,
            "mostK": None,
            "extrapolate": EXTRAPOLATE,
            "ratio": None,
            "level": page.level,
        },
    }


def _described(law: AnyLaw) -> str:
    draws = 0 if law.draws is None else len(law.draws)
    source = f", {law.source}" if law.source else ""
    spread = f"{draws} draws" if draws else "no draws, hence no intervals"
    return clean(f"{law.name} law{source}; {spread}.")


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
