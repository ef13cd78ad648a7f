"""What sampling returns."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from t2fast.decode.prompts import Problem, ProblemId
from t2fast.decode.rendering import Renderer
from t2fast.decode.request import RawSamples, Sampling


@dataclass(frozen=True, slots=True)
class Finished:
    """A sample that ended."""

    problem: ProblemId
    sample: int
    """Its index within the problem."""
    text: str
    """Up to the stop string if one fired."""
    length: int | None
    """Tokens drawn, those that stopped it included; None where a server does not say."""
    logprob: float | None
    """Sum of the tokens' log-probabilities under the model (natural log); None from a server."""
    finish_reason: str
    """`stop_token`, `stop_string` or `length`; a server may say `stop` for the first two, or another."""


@dataclass(frozen=True)
class Samples:
    """Samples and how they were drawn.

    ``table`` has one row a sample, ordered by problem and sample:

    - ``problem``: the prompt's id; ``sample``: its index, from 0;
    - ``text``: up to the stop string if one fired; null where prompts were tokens;
    - ``tokens``: every token drawn, stop tokens and the tokens of a stop string included;
    - ``logprob``: sum of the tokens' log-probabilities under the model (natural log);
    - ``processed_logprob``: the same after temperature, top-k, top-p and min-p;
    - ``finish_reason``: ``stop_token``, ``stop_string``, ``length`` (``max_tokens`` reached) or
      ``cancelled`` (its problem was solved, or sampling was interrupted);
    - ``stop``: the stop string that fired, or the text of the stop token; else null;
    - ``correct``: what ``verify`` said, null for cancelled samples; only with ``verify``.
    """

    table: pl.DataFrame
    model: str
    n_params: int
    dtype: str
    """The arithmetic, ``float32`` or ``bfloat16``."""
    kernel: str
    """The instructions used, ``triton`` on a GPU; on a CPU, in float32, all give the same bits."""
    sampling: Sampling
    """How they were drawn."""
    until_successes: int | None
    """At which success a problem ended: 1 with ``verify``, else None: all its samples were drawn."""
    interrupted: bool
    """Ctrl-C ended the run early: unfinished samples are ``cancelled``."""

    def counts(self) -> pl.DataFrame:
        """Samples drawn and samples correct of each problem (``problem, n_samples, n_correct``).

        ``verify`` ends a problem at its first correct sample. Samples with a higher index may have finished
        by then, but only if they were short, so counting them would bias the success rate. A problem's
        count therefore runs through its samples in order of index, up to the first correct one or to the
        first cancelled one. c/n is biased under such a rule (0.52 for 0.3 with 8 samples at most), so the
        counts carry it: ``until_successes`` is 1 and ``max_samples`` is how many would have been drawn
        without a success. `t2fast.estimators.sequential` and the counts law allow for it.

        Without ``verify``, every finished sample counts.

        Where Ctrl-C ended sampling, a problem without a success yet ends at its last finished sample, which
        is its ``max_samples``; a problem of which none had finished has no row. A warning says how many there
        are, and that the samples which had finished are the shorter ones: where length goes with being
        correct, the counts of an interrupted call are biased.

        Returns:
            Columns ``problem``, ``n_samples`` and ``n_correct``; with ``verify`` also ``until_successes`` and
            ``max_samples``.

        Raises:
            ValueError: if nothing verified the samples.
        """
        if "correct" not in self.table.columns:
            raise ValueError(
                "no sample was checked: call sample(..., verify=...) or add a correct column yourself"
            )
        cancelled = pl.col("finish_reason") == "cancelled"
        if self.until_successes is None:
            counted = ~cancelled
        else:
            successes = pl.col("correct").fill_null(False).cast(pl.Int64).cum_sum()
            before = successes.shift(1, fill_value=0).over("problem")
            counted = (before < self.until_successes) & ~cancelled.cum_max().over("problem")
        counts = (
            self.table.with_columns(counted=counted)
            .group_by("problem", maintain_order=True)
            .agg(
                n_samples=pl.col("counted").sum().cast(pl.Int64),
                n_correct=(pl.col("counted") & pl.col("correct")).sum().cast(pl.Int64),
                asked=pl.len().cast(pl.Int64),
            )
        )
        if self.interrupted:
            none = counts.filter(pl.col("n_samples") == 0)
            counts = counts.filter(pl.col("n_samples") > 0)
            without = f"; {none.height} of {none.height + counts.height} problems have none, and no row"
            warnings.warn(
                "counts of an interrupted call: samples that had finished are the shorter ones"
                + (without if none.height else ""),
                RuntimeWarning,
                stacklevel=2,
            )
        if self.until_successes is None:
            return counts.drop("asked")
        # As a smaller maximum would have ended it.
        solved = pl.col("n_correct") >= self.until_successes
        limit = pl.when(solved).then(pl.col("asked")).otherwise(pl.col("n_samples"))
        return counts.select(
            "problem",
            "n_samples",
            "n_correct",
            until_successes=pl.lit(self.until_successes, dtype=pl.Int64),
            max_samples=limit,
        )


def problem_column(found: list[Problem], rows: Sequence[int]) -> pl.Series:
    """Ids of the problems of rows: numbers if all are, else text."""
    if all(isinstance(problem.id, int) for problem in found):
        return pl.Series("problem", [found[row].id for row in rows], dtype=pl.Int64)
    return pl.Series("problem", [str(found[row].id) for row in rows], dtype=pl.String)


def require_numbers(problem: ProblemId, logprobs: NDArray[np.float32]) -> None:
    """Refuse what a model draws once its logits are no numbers.

    Args:
        problem: the prompt's id, for the message.
        logprobs: log-probabilities of the tokens.

    Raises:
        ValueError: where one is NaN.
    """
    if np.isnan(logprobs).any():
        after = int(np.isnan(logprobs).argmax())
        raise ValueError(
            f"problem {problem!r}: after {after} tokens the model's logits are not numbers: its weights hold "
            "NaN or infinities, or outgrow the arithmetic"
        )


def distinct(raw: RawSamples) -> Counter[tuple[int, bytes, str]]:
    """Of each problem's place in the request, the different runs of tokens (uint32) with why they ended.

    The values say how many samples are the same.
    """
    tokens, offsets = raw["tokens"].tobytes(), (4 * raw["offsets"]).tolist()
    cut = (tokens[a:b] for a, b in pairwise(offsets))
    return Counter(zip(raw["problem"].tolist(), cut, raw["finish_reason"], strict=True))


def samples_table(
    raw: RawSamples, found: list[Problem], render: Renderer | None, stop: Sequence[str]
) -> pl.DataFrame:
    """What a back end drew as `Samples.table` has it."""
    offsets = raw["offsets"].tolist()
    spans = list(pairwise(offsets))
    tokens = [raw["tokens"][a:b].tolist() for a, b in spans]
    for row, (a, b) in zip(raw["problem"].tolist(), spans, strict=True):
        require_numbers(found[row].id, raw["logprobs"][a:b])
    reasons = raw["finish_reason"]
    text = None
    if render is not None:
        text = [render(own, reason == "stop_string") for own, reason in zip(tokens, reasons, strict=True)]

    def stopped_by(i: int) -> str | None:
        if raw["stop_index"][i] >= 0:
            return str(stop[raw["stop_index"][i]])
        if render is None or reasons[i] != "stop_token":
            return None
        return str(render.bytes[tokens[i][-1]], "utf-8", errors="replace")

    def total(values: np.ndarray) -> list[float]:
        return [float(values[a:b].sum(dtype=np.float64)) for a, b in spans]

    return pl.DataFrame(
        [
            problem_column(found, raw["problem"].tolist()),
            pl.Series("sample", raw["sample"], dtype=pl.Int64),
            pl.Series("text", text if text is not None else [None] * len(spans), dtype=pl.String),
            pl.Series("tokens", tokens, dtype=pl.List(pl.UInt32)),
            pl.Series("logprob", total(raw["logprobs"]), dtype=pl.Float64),
            pl.Series("processed_logprob", total(raw["processed_logprobs"]), dtype=pl.Float64),
            pl.Series("finish_reason", reasons, dtype=pl.String),
            pl.Series("stop", [stopped_by(i) for i in range(len(spans))], dtype=pl.String),
        ]
    )
