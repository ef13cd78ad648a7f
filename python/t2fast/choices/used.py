"""The tokens of a query and of a sample: as told, or else as the counts say that they were used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from t2fast.tables.fields import listed
from t2fast.tables.prices import Prices

Floats: TypeAlias = npt.NDArray[np.float64]
Tokens: TypeAlias = float | Floats


@dataclass(frozen=True)
class Given:
    """Tokens of a query's prompt and of a sample, for models of which the prices say nothing."""

    prompt_tokens: float | None
    output_tokens: float | None


@dataclass
class Usage:
    """Whose tokens are as used, and what is to be said of them.

    Attributes:
        given: by the caller.
        prices: which may have a model's own.
    """

    given: Given
    prices: Prices
    _used: list[str] = field(default_factory=list)
    _instead: list[str] = field(default_factory=list)
    _partly: list[str] = field(default_factory=list)

    def tokens(
        self, model: str, terms: Mapping[str, float | None], rows: pl.DataFrame
    ) -> tuple[Tokens, Tokens]:
        """Prompt and output tokens a sample, of a model or of each of its problems, (problems,).

        A model's own in the prices come first, then what the caller gives, then what the counts say: samples
        of hard problems are longer. Problems of which they say nothing take as many as the others in the
        mean.

        Args:
            model: its name.
            terms: its row of the prices.
            rows: its counts, a row a problem.

        Raises:
            ValueError: if nothing says it.
        """
        prompt, output = (self._side(model, side, terms, rows) for side in ("prompt_tokens", "output_tokens"))
        means = f"{model} {np.mean(prompt):,.0f} + {np.mean(output):,.0f}"
        if np.ndim(prompt) or np.ndim(output):
            self._used.append(means)
            open_ = rows.select(
                pl.any_horizontal(
                    pl.col(side).is_null()
                    for side, value in (("prompt_tokens", prompt), ("output_tokens", output))
                    if np.ndim(value)
                ).sum()
            ).item()
            if open_:
                self._partly.append(f"{model} ({open_} of {rows.height})")
        elif any(_known(rows, side) for side in ("prompt_tokens", "output_tokens")):
            self._instead.append(means)
        return prompt, output

    def notes(self) -> list[str]:
        """What a reader should know of them."""
        notes = []
        if self._used:
            notes.append(
                f"tokens as the counts say they were used, prompt + output a sample: {listed(self._used)}"
            )
        if self._partly:
            notes.append(
                f"problems whose tokens the counts leave open take the others' mean: {listed(self._partly)}"
            )
        if self._instead:
            notes.append(
                "tokens as given, not as the counts say they were used, prompt + output a sample: "
                f"{listed(self._instead)}"
            )
        return notes

    def _side(self, model: str, side: str, terms: Mapping[str, float | None], rows: pl.DataFrame) -> Tokens:
        told = terms[side]
        if told is None:
            told = getattr(self.given, side)
        if told is not None:
            return float(told)
        if not _known(rows, side):
            what = f"how many {side.replace('_', ' ')} {model} takes is unknown"
            if side in rows.columns:
                raise ValueError(
                    f"{what}: of every problem some sample's {side} is missing in the counts. Give {side}=, "
                    "or fill the column"
                )
            raise ValueError(
                f"{what}: give {side}=, or a column of that name in {self.prices.source} or in the counts"
            )
        return (rows[side] / rows["n_samples"]).fill_null(strategy="mean").to_numpy()


def _known(rows: pl.DataFrame, side: str) -> bool:
    return side in rows.columns and rows[side].null_count() < rows.height
