"""What sampling returns."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


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
    - ``stop``: the stop string that fired, else null;
    - ``correct``: what ``verify`` said, null for cancelled samples; only with ``verify``.
    """

    table: pl.DataFrame
    model: str
    n_params: int
    dtype: str
    """The arithmetic, ``float32`` or ``bfloat16``."""
    kernel: str
    """The instructions used, ``triton`` on a GPU; on a CPU, in float32, all give the same bits."""
    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    max_tokens: int
    interrupted: bool
    """Ctrl-C ended the run early: unfinished samples are ``cancelled``."""

    def counts(self) -> pl.DataFrame:
        """Samples drawn and samples correct of each problem (``problem, n_samples, n_correct``).

        ``verify`` ends a problem at its first correct sample. Samples with a higher index may have finished
        by then, but only if they were short, so counting them would bias the success rate. A problem's
        count therefore runs through its samples in order of index, up to the first correct one or to the
        first cancelled one.
        """
        if "correct" not in self.table.columns:
            raise ValueError(
                "no sample was checked: call sample(..., verify=...) or add a correct column yourself"
            )
        solved_before = (
            pl.col("correct").fill_null(False).cum_max().shift(1, fill_value=False).over("problem")
        )
        cancelled_so_far = (pl.col("finish_reason") == "cancelled").cum_max().over("problem")
        return (
            self.table.with_columns(counted=~(solved_before | cancelled_so_far))
            .group_by("problem", maintain_order=True)
            .agg(
                n_samples=pl.col("counted").sum().cast(pl.Int64),
                n_correct=(pl.col("counted") & pl.col("correct")).sum().cast(pl.Int64),
            )
        )
