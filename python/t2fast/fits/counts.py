"""The counts law (ours): the accuracy law's link by Beta-binomial likelihood of the counts themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t2fast import _core
from t2fast._core import FitOutcome
from t2fast.arguments import require_kind
from t2fast.fits.bootstrap import Target, draw
from t2fast.fits.conclusion import conclude, enough
from t2fast.fits.passtable import PassTable, resampled_checkpoints
from t2fast.laws.law import Law
from t2fast.tables import Counts

Floats = NDArray[np.float64]


def fit_counts(
    counts: Counts,
    *,
    effect: bool = True,
    regularise: bool = False,
    start: Law | None = None,
    ks: Sequence[float] | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: bool | None = None,
) -> Law:
    """The accuracy law in one stage by maximum likelihood of the Beta-binomial on the counts (ours).

    Π B(c+a, n-c+b)/B(a, b) over problems, (a, b) from the link at L̂ = A/N^α + B/D^β + σu, u ~ N(0, 1)
    shared by the problems of a checkpoint and integrated out. Right where estimates of pass@k are biased: n
    differs between problems, sampling stopped at a success, nothing was solved.

    What the intervals mean: the draws are refits to checkpoints and problems drawn with replacement, and
    :meth:`Law.interval` covers what these leave open about the pass@k of a checkpoint without effect (u = 0).
    A new checkpoint scatters about that by σ, which is a parameter of the law but not in its intervals; nor
    is the form being wrong, which matters most far from the data: see ``fit.lack_of_fit``.

    Args:
        counts: with N and D; sequential sampling is allowed for.
        effect: whether checkpoints have an effect of their own; without it, σ = 0.
        regularise: whether to add the priors that `fit_accuracy` describes.
        start: where the search begins: what `fit_accuracy` finds for the same counts and ``ks``, in one stage
            and not regularised. By default that law is fitted here first, which takes as long as the rest.
        ks: where residuals are reported; the fit itself knows no k.
        draws: refits, which start from the fit; 0 for none.
        seed: of the draws. The same seed gives the same bits whatever the number of threads.
        progress: whether to show a bar; by default where stderr is a terminal.

    Returns:
        The law. What must not be overlooked is in ``law.fit`` and raised as :class:`FitWarning`.

    Raises:
        ValueError: for fewer than five checkpoints, ``ks`` that the table cannot give, a table of which
            nothing was solved, and a ``start`` that is no accuracy law of one stage.
        TypeError: for a table of another kind.
    """
    require_kind("fit_counts", counts, (Counts,))
    if start is not None and not (start.name == "accuracy" and start.latent):
        raise ValueError("start must be an accuracy law fitted to counts alone, in one stage")
    observed = PassTable.of(counts, ks)
    observed.require_solved("counts")
    enough(observed.checkpoints, 5, "checkpoints", "counts")
    target = Target.measured(observed, observed.means)
    if start is None:
        _, _, k, checkpoint, keep = target.rows()
        arrays = (observed.n_params, observed.n_tokens, checkpoint, k)
        y = target.y.ravel()[None, keep]
        first = _core.fit_joint(*arrays, y, np.ones_like(y))[0].params
    else:
        first = np.array(list(start.params.values()))
    # The same mean with problems more alike or more different: the likelihood sees more of their spread.
    starts = np.array([np.append(first, 0.0)] * 3)
    starts[1:, 8] += [-1.5, 1.5]
    order = np.argsort(counts.checkpoint_index, kind="stable")
    samples, correct = counts.n[order].astype(float), counts.c[order].astype(float)

    def solve(row_w: Floats, checkpoint_w: Floats, starts: Floats, refit: bool) -> list[FitOutcome]:
        return _core.fit_counts(
            observed.n_params,
            observed.n_tokens,
            observed.checkpoint,
            samples,
            correct,
            np.ascontiguousarray(row_w),
            np.ascontiguousarray(checkpoint_w),
            starts,
            effect,
            refit,
            regularise,
        )

    found = solve(np.ones((1, len(samples))), np.ones((1, observed.checkpoints)), starts, False)[0]
    rng = np.random.default_rng(seed)
    checkpoint_w = resampled_checkpoints(rng, draws, observed.checkpoints)
    problem_w = observed.resampled_problems(rng, draws)

    def again(both: Floats) -> list[FitOutcome]:
        problems = both[:, observed.checkpoints :]
        return solve(problems[:, observed.problem], both[:, : observed.checkpoints], found.params[None], True)

    drawn = draw(again, np.hstack([checkpoint_w, problem_w]), progress)
    words = "Beta-binomial likelihood" + (" with a checkpoint effect" if effect else "")
    words += ", regularised" if regularise else ""
    return conclude(
        "counts",
        found,
        drawn,
        target,
        words,
        "negative log-likelihood (without binomial coefficients)",
        seed,
        latent=True,
    )
